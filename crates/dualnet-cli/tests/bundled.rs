//! Bundled nets from the command line: `fit --net bundled:...`, from memory and from the file.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use serde_json::Value;

const NET: &str = "--net bundled:relu-1-64";

/// A report without what differs from run to run.
fn timeless(mut report: Value) -> Value {
    let object = report.as_object_mut().unwrap();
    object.remove("seconds");
    report
}

#[test]
fn the_report_says_what_was_fitted() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(200, 1));
    let report = place.json(&format!("fit n.csv {NET} --holdout .25"));
    assert_eq!([&report["method"], &report["net"], &report["kernel"]], ["features", "bundled:relu-1-64", "nngp"]);
    assert_eq!([&report["n_train"], &report["loo"]["rows"], &report["test"]["rows"]], [150, 150, 50]);
    assert!(["pairs", "orthogonal"].iter().any(|d| report["features"]["directions"] == *d), "{report}");
    assert_eq!(
        [&report["features"]["precision"], &report["features"]["depth"]],
        [&Value::from("f64"), &Value::from(1)]
    );
    assert_eq!([&report["features"]["dim"], &report["features"]["parameters"]], [64, 65]);
    for part in ["loo", "test"] {
        assert!(report[part]["r2"].as_f64().unwrap() > 0.8, "{part}: {report}");
    }
    let text = place.ok(&format!("fit n.csv {NET} --directions orthogonal --precision f32")).out;
    assert!(text.contains("bundled:relu-1-64 (orthogonal directions, f32,"), "{text}");
}

#[test]
fn classes_are_saved_loaded_and_predicted() {
    let place = Place::new();
    place.put("c.csv", classes_csv(150, 2));
    place.put("t.csv", classes_csv(60, 3));
    let report = place.json(&format!("fit c.csv {NET} --test t.csv -o m"));
    assert!(report["test"]["accuracy"].as_f64().unwrap() > 0.8, "{report}");
    let judged = place.json("evaluate m t.csv");
    assert_eq!(judged["accuracy"], report["test"]["accuracy"]);
    let (whole, part) = (place.ok("predict m t.csv --threads 1").out, place.ok("predict m t.csv --threads 2").out);
    assert_eq!(whole, part);
    assert!(whole.starts_with("prediction,p_"), "{whole}");
}

#[test]
fn rows_read_from_the_file_give_the_same_model() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(9000, 1));
    place.put("t.csv", numbers_csv(100, 2));
    for more in ["", "--holdout .2", "--test t.csv"] {
        let fit =
            |read: &str, model: &str| timeless(place.json(&format!("fit n.csv {NET} {more} --read {read} -o {model}")));
        assert_eq!(fit("memory", "a"), fit("file", "b"), "{more}");
        let predict = |model: &str| place.ok(&format!("predict {model} t.csv --interval .8")).out;
        assert_eq!(predict("a"), predict("b"));
    }
    place.put("x.npy", points_npy(300, 3));
    place.put("y.npy", column_npy((0..300).map(|i| f64::from(i % 3))));
    let fit = |read: &str| timeless(place.json(&format!("fit x.npy --labels y.npy {NET} --read {read}")));
    assert_eq!(fit("memory"), fit("file"));
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(80, 1));
    for (line, words) in [
        ("fit n.csv --net bundled:relu", "bundled:relu-1-4096"),
        ("fit n.csv --net bundled:rleu-1-10", "relu"),
        ("fit n.csv --net bundled:relu-1-10 --method exact", "features"),
        ("fit n.csv --net bundled:relu-1-10 --kernel ntk", "nngp"),
        ("fit n.csv --precision f32", "--precision"),
        ("fit n.csv --net bundled:relu-1-4000 --memory 20M", "bytes"),
        ("fit . --net bundled:relu-1-10 --read file", "folder"),
    ] {
        place.fails(line, &[words]);
    }
}

#[test]
fn a_bad_cell_in_the_middle_of_a_stream_is_named() {
    let place = Place::new();
    let text = numbers_csv(9000, 1);
    let mut lines: Vec<&str> = text.lines().collect();
    let cells: Vec<&str> = lines[6000].split(',').collect();
    let bad = format!("nan,{}", cells[1..].join(","));
    lines[6000] = &bad;
    place.put("n.csv", lines.join("\n"));
    place.fails(&format!("fit n.csv {NET} --read file -o m"), &["n.csv", "6001"]);
    assert!(!place.path("m").exists());
    let dropped = place.json(&format!("fit n.csv {NET} --read file --missing drop"));
    assert_eq!(dropped["n_train"], 8999);
}

#[test]
fn a_plan_costs_nothing() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(80, 1));
    for read in ["memory", "file"] {
        let plan = place.json(&format!("fit n.csv --net bundled:relu-2-1000 --dry-run --read {read}"));
        assert_eq!(plan["rows"], 80);
        assert!(plan["bytes"].as_u64().unwrap() > 24_000_000, "{plan}");
        assert!(plan["seconds_expected"].as_f64().unwrap() > 0.0, "{plan}");
    }
}
