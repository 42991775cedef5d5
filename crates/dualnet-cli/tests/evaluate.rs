//! `dualnet evaluate`.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;

#[test]
fn metrics_of_numbers_and_classes() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(60, 1));
    place.put("n2.csv", numbers_csv(30, 2));
    place.ok("fit n.csv -o n");
    let report = place.json("evaluate n n2.csv");
    assert_eq!(keys(&report), ["coverage_90", "r2", "rmse", "rows"]);
    assert_eq!(report["rows"], 30);
    assert!(report["r2"].as_f64().unwrap() > 0.9);
    let words = place.ok("evaluate n n2.csv").out;
    assert!(words.contains("n2.csv    30") && words.contains("90 % intervals held "), "{words}");

    place.put("c.csv", classes_csv(60, 3));
    place.put("c2.csv", classes_csv(30, 4));
    place.ok("fit c.csv -o c");
    let report = place.json("evaluate c c2.csv");
    assert_eq!(keys(&report), ["accuracy", "brier", "log_loss", "rows"]);
    assert!(report["accuracy"].as_f64().unwrap() > 0.8);
}

#[test]
fn integer_classes_keep_their_names() {
    let place = Place::new();
    let lines: String =
        points(40, 5).iter().map(|[a, b]| format!("{a},{b},{}\n", 1 + 2 * i32::from(*a > 0.0))).collect();
    place.put("i.csv", format!("a,b,k\n{lines}"));
    place.ok("fit i.csv -o m");
    assert!(place.ok("predict m i.csv").out.starts_with("prediction,p_1,p_3\n"));
    place.put("f.csv", "a,b,k\n0.9,0.1,3.0\n-0.9,0.1,1.0\n");
    assert_eq!(place.json("evaluate m f.csv")["accuracy"], 1.0);
    place.put("two.csv", "a,b,k\n0.9,0.1,3\n-0.9,0.1,2\n");
    place.fails("evaluate m two.csv", &["two.csv: line 3, column k: expected one of 1, 3, found \"2\""]);
}

#[test]
fn targets_must_be_there() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(20, 1));
    place.ok("fit n.csv -o m");
    place.put("ab.csv", "a,b\n1,2\n");
    let error =
        "ab.csv: expected the target column y, found the columns a, b; add what is to be predicted, or use predict";
    place.fails("evaluate m ab.csv", &[error]);
    place.put("words.csv", "a,b,y\n1,2,low\n");
    place.fails("evaluate m words.csv", &["words.csv: target \"y\": expected numbers, found words"]);
    place.put("hole.csv", "a,b,y\n1,2,3\n1,2,\n");
    place.fails("evaluate m hole.csv --missing mean", &["hole.csv: line 3, column y", "targets are not filled in"]);
    place.put("x.npy", points_npy(20, 1));
    place.put("y.npy", column_npy(points(20, 1).iter().map(|[a, b]| a * b)));
    place.ok("fit x.npy --labels y.npy -o arrays");
    place.fails("evaluate arrays x.npy", &["x.npy: expected data with targets, found samples alone; give --labels"]);
    assert!(place.json("evaluate arrays x.npy --labels y.npy")["r2"].as_f64().unwrap() > 0.9);
}
