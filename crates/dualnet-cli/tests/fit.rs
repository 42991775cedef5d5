//! `dualnet fit`.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use serde_json::Value;

#[test]
fn json_has_the_promised_names() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(60, 1));
    let report = place.json("fit n.csv --holdout .25");
    let names =
        ["task", "n_train", "n_features", "n_classes", "net", "kernel", "method", "lambda", "loo", "test", "seconds"];
    for name in names {
        assert!(keys(&report).contains(&name), "{name}");
    }
    assert_eq!([&report["task"], &report["method"]], ["regression", "exact"]);
    assert_eq!([&report["n_train"], &report["test"]["rows"]], [45, 15]);
    assert!(report["n_classes"].is_null());
    for part in ["loo", "test"] {
        assert!(report[part]["r2"].as_f64().unwrap() > 0.9, "{part}");
        assert!(report[part]["rmse"].as_f64().unwrap() > 0.0, "{part}");
    }
    place.put("c.csv", classes_csv(80, 2));
    place.put("t.csv", classes_csv(30, 3));
    let report = place.json("fit c.csv --test t.csv");
    assert_eq!(report["n_classes"], 2);
    for part in ["loo", "test"] {
        assert!(report[part]["accuracy"].as_f64().unwrap() > 0.8, "{part}");
        assert!(report[part]["log_loss"].as_f64().unwrap() > 0.0, "{part}");
    }
}

#[test]
fn a_report_for_people() {
    let place = Place::new();
    place.put("c.csv", classes_csv(60, 2));
    let done = place.ok("fit c.csv --holdout .2 --net fc-relu-2 --kernel ntk -o m");
    for part in ["2 classes of kind", "leave-one-out    48", "test             12", "accuracy", "saved in m"] {
        assert!(done.out.contains(part), "{part:?} in {}", done.out);
    }
    assert_eq!(done.err, "c.csv: CSV, separated by commas, 60 rows, 3 columns of input\n");
    assert_eq!(place.ok("fit c.csv --quiet").err, "");
}

#[test]
fn targets_of_every_kind() {
    let place = Place::new();
    let points = points(60, 4);
    let rows: String = points
        .iter()
        .map(|[a, b]| format!("{a},{b},{},{}\n", i32::from(*a > 0.0) + i32::from(*b > 0.0), a * b))
        .collect();
    place.put("t.csv", format!("a,b,count,product\n{rows}"));
    let done = place.ok("fit t.csv --target count");
    assert!(
        done.err.contains("count holds 3 different integers, taken as classes; for numbers give --task regression")
    );
    assert!(done.out.contains("3 classes of count"), "{}", done.out);
    assert_eq!(place.json("fit t.csv --target count --task regression")["task"], "regression");
    let both = place.json("fit t.csv --target count,product");
    assert_eq!([&both["task"], &both["n_features"]], [&Value::from("regression"), &Value::from(2)]);
    assert_eq!(place.json("fit t.csv")["n_features"], 3);
    let all = "t.csv: expected a column of input, found none";
    place.fails("fit t.csv --target a,b,count,product", &[all]);
    place.fails(
        "fit t.csv --target q",
        &["--target: expected the name of a column, found q; the columns are a, b, count"],
    );
    let hint = "found several columns; fit one model for each";
    place.fails("fit t.csv --target a,b --task classification", &[hint]);
    place.put("c.csv", classes_csv(30, 2));
    place.fails("fit c.csv --task regression", &["c.csv: target \"kind\": expected numbers, found words"]);
}

#[test]
fn every_format() {
    let place = Place::new();
    let (x, y) = (points_npy(40, 5), column_npy(points(40, 5).into_iter().map(|[a, b]| a * b)));
    place.put("x.npy", &x);
    place.put("y.npy", &y);
    let arrays = place.json("fit x.npy --labels y.npy --holdout .5");
    let lines: String = points(40, 5).iter().map(|[a, b]| format!("{a}\t{b}\t{}\n", a * b)).collect();
    place.put("t.tsv", format!("x0\tx1\ty\n{lines}"));
    let table = place.json("fit t.tsv --holdout .5");
    assert_eq!((&arrays["loo"], &arrays["test"]), (&table["loo"], &table["test"]));
    place.put("short.npy", column_npy([1.0, 2.0]));
    place.fails("fit x.npy --labels short.npy", &["short.npy: the labels: expected 40 labels", "found the shape [2]"]);
    place.fails("fit x.npy", &["x.npy: expected data with targets, found samples alone; give --labels"]);
    place.fails("fit y.npy --labels y.npy", &["y.npy: expected an array with samples", "reshape"]);
    place.fails("fit x.npy --target y", &["--target: expected a table with named columns, found y"]);
}

/// IDX: images of 2 x 2 whose first pixel says the class.
fn idx_folder(place: &Place) {
    for (part, rows) in [("train", 30u8), ("t10k", 12)] {
        let (mut images, mut labels) = (vec![0, 0, 8, 3], vec![0, 0, 8, 1]);
        images.extend([0, 0, 0, rows, 0, 0, 0, 2, 0, 0, 0, 2]);
        labels.extend([0, 0, 0, rows]);
        for i in 0..rows {
            images.extend([255 * (i % 2), 7 * i, 100, 3 * i]);
            labels.push(i % 2);
        }
        place.put(&format!("idx/{part}-images-idx3-ubyte"), images);
        place.put(&format!("idx/{part}-labels-idx1-ubyte"), labels);
    }
}

#[test]
fn a_folder_of_images_is_tested_on_its_test_set() {
    let place = Place::new();
    idx_folder(&place);
    let report = place.json("fit idx -o m");
    assert_eq!([&report["n_train"], &report["test"]["rows"]], [30, 12]);
    assert_eq!(report["test"]["accuracy"], 1.0);
    assert_eq!(place.json("evaluate m idx"), report["test"]);
    assert_eq!(place.ok("predict m idx").out.lines().count(), 13);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(200, 6));
    for threads in 1..=3 {
        place.ok(&format!("fit n.csv --threads {threads} -o m{threads}"));
    }
    let arrays = |threads: usize| place.read(&format!("m{threads}/model.safetensors"));
    assert!(arrays(1) == arrays(2) && arrays(1) == arrays(3));
    place.ok("fit n.csv --holdout .5 --seed 1 -o other");
    assert!(arrays(1) != place.read("other/model.safetensors"));
}

#[test]
fn hard_but_fair_data() {
    let place = Place::new();
    place.put("two.csv", "a,y\n1,2\n2,3\n");
    assert_eq!(place.json("fit two.csv")["n_train"], 2);
    let mut next = noise(7);
    let mut line = |n: usize| (0..n).map(|_| next().to_string()).collect::<Vec<_>>().join(",") + "\n";
    let header: Vec<String> = (0..21).map(|i| format!("c{i}")).collect();
    let rows: String = (0..8).map(|_| line(21)).collect();
    place.put("wide.csv", format!("{}\n{rows}", header.join(",")));
    assert_eq!(place.json("fit wide.csv")["n_features"], 20);
    place.put("constant.csv", "a,y\n1,5.5\n2,5.5\n3,5.5\n4,5.5\n");
    assert_eq!(place.json("fit constant.csv")["loo"]["rmse"], 0.0);
    place.put("column.csv", "a,b,y\n1,7,2\n2,7,3\n3,7,5\n");
    assert!(place.ok("fit column.csv").out.contains("left out     column \"b\": constant"));
}

#[test]
fn data_that_cannot_be_fitted() {
    let place = Place::new();
    place.put("one.csv", "a,k\n1,x\n2,x\n3,x\n");
    place.fails("fit one.csv", &["one.csv: target \"k\": expected at least two classes, found only \"x\""]);
    place.put("row.csv", "a,y\n1,2\n");
    place.fails("fit row.csv", &["row.csv: the data: expected at least two rows, found 1"]);
    place.put("empty.csv", "");
    place.fails("fit empty.csv", &["empty.csv: line 1: expected column names, found an empty file"]);
    place.put("header.csv", "a,y\n");
    place.fails("fit header.csv", &["header.csv: line 2: expected a row of values, found the end of the file"]);
    place.put("dates.csv", "d,y\n2024-01-01,1\n2024-01-02,2\n2024-02-03,4\n");
    place.fails("fit dates.csv", &["column \"d\"", "dates such as \"2024-01-01\"", "turn dates into numbers"]);
    place.fails("fit nowhere.csv", &["nowhere.csv: cannot open", "check the path"]);
    place.put("x.npy", npy("<f8", "(2, 1)", &[1.0f64, f64::NAN].map(f64::to_le_bytes).concat()));
    place.put("y.npy", column_npy([1.0, 2.0]));
    place.fails("fit x.npy --labels y.npy", &["x.npy: row 2, column 1: a missing value"]);
}

#[test]
fn missing_values() {
    let place = Place::new();
    let mut lines: Vec<String> = numbers_csv(40, 8).lines().map(str::to_owned).collect();
    lines[6] = format!(",{}", lines[6].split_once(',').unwrap().1);
    place.put("x.csv", lines.join("\n"));
    place.fails("fit x.csv", &["x.csv: line 7, column a: a missing value", "--missing drop"]);
    let dropped = place.ok("fit x.csv --missing drop");
    assert!(dropped.err.starts_with("x.csv: 1 row with missing values left out\n"), "{}", dropped.err);
    assert_eq!(place.json("fit x.csv --missing drop")["n_train"], 39);
    assert_eq!(place.json("fit x.csv --missing mean")["n_train"], 40);
    lines[6] = "0.5,0.5,NA".into();
    place.put("y.csv", lines.join("\n"));
    place
        .fails("fit y.csv --missing mean", &["y.csv: line 7, column y: expected a value", "targets are not filled in"]);
}

#[test]
fn a_test_file_must_fit_the_training_data() {
    let place = Place::new();
    place.put("c.csv", classes_csv(40, 2));
    place.put("levels.csv", "kind,c,b,a\noak,never,0.5,0.5\nfir,u,-0.5,-0.5\n");
    assert_eq!(place.json("fit c.csv --test levels.csv")["test"]["rows"], 2);
    place.put("class.csv", "a,b,c,kind\n1,1,u,oak\n1,1,u,elm\n");
    place.fails(
        "fit c.csv --test class.csv",
        &["class.csv: line 3, column kind: expected one of fir, oak, found \"elm\""],
    );
    place.put("untold.csv", "a,b,c\n1,1,u\n");
    let error = "untold.csv: expected the target column kind, found the columns a, b, c";
    place.fails("fit c.csv --test untold.csv", &[error, "use predict"]);
    place.put("column.csv", "a,c,kind\n1,u,oak\n");
    place.fails("fit c.csv --test column.csv", &["column.csv: expected a column b, as in the training data"]);
    place.put("words.csv", "a,b,c,kind\n1,1,u,oak\n1,low,u,oak\n");
    place.fails("fit c.csv --test words.csv", &["words.csv: line 3, column b: expected a number", "found \"low\""]);
    place.fails("fit c.csv --test levels.csv --holdout .2", &["--help"]);
}

#[test]
fn options_are_checked_before_the_work() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(20, 1));
    place.put("other/file", "");
    place.fails("fit n.csv -o no/such", &["-o: expected a path in a folder that exists, found no/such"]);
    place.fails("fit n.csv -o n.csv", &["found n.csv; that is a file"]);
    place.fails("fit n.csv -o other", &["found other; that folder holds other things"]);
    place.fails("fit n.csv --net fc-foo-3", &["preset \"fc-foo-3\": unknown activation \"foo\""]);
    place.fails("fit n.csv --net nowhere.json", &["no file nowhere.json; try fc-relu-3"]);
    place.fails("fit n.csv --net myrtle-5", &["n.csv: expected images, found a table"]);
    for share in ["0", "1", "2", "nan", "0.001"] {
        place.fails(&format!("fit n.csv --holdout {share}"), &["--holdout: expected a share", "try .2"]);
    }
    for unknown in ["--method best", "--metric best", "--time soon", "--report no/such.html", "--whiten zca"] {
        assert_eq!(place.run(&format!("fit n.csv {unknown}")).code, 2, "{unknown}");
    }
    let error = place.run("fit n.csv --method best").err;
    assert!(error.contains("[possible values: auto, exact, falkon, features, nystrom, pcg]"), "{error}");
}

#[test]
fn the_plan_and_the_limit_on_memory() {
    let place = Place::new();
    place.put("big.csv", numbers_csv(3000, 1));
    let plan = place.json("fit big.csv --method exact --memory 100M --dry-run");
    let bytes = plan["bytes"].as_u64().unwrap();
    // 28 bytes a pair of rows, and the encoded rows.
    assert!((252_000_000..300_000_000).contains(&bytes), "{bytes}");
    let needs = format!("big.csv: an exact fit of 3000 rows needs {bytes} bytes, the limit is 104857600");
    place.fails("fit big.csv --method exact --memory 100M", &[&needs, "raise --memory"]);
    assert_eq!([&plan["rows"], &plan["candidates"], &plan["compared_rows"]], [3000, 8, 800]);
    assert_eq!(plan["memory"], 100 << 20);
    assert!(plan["seconds_expected"].as_f64().unwrap() > 0.0);
    let words = place.ok("fit big.csv --method exact --memory 100M --dry-run").out;
    assert!(words.starts_with("3,000 rows, 8 candidates compared on 800 rows, 2"), "{words}");
    assert!(words.contains(" MiB of memory (more than the 100.0 MiB allowed), about "), "{words}");
}
