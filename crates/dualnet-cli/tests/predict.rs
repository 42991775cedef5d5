//! `dualnet predict`, and what a saved model is worth.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::fs;

#[test]
fn a_loaded_model_predicts_like_the_fitted_one() {
    let place = Place::new();
    place.put("train.csv", numbers_csv(60, 1));
    place.put("test.csv", numbers_csv(25, 2));
    let fitted = place.json("fit train.csv --test test.csv -o m");
    assert_eq!(place.json("evaluate m test.csv"), fitted["test"]);
    // The test error, from the predictions as printed, to the last digits that the sum may round.
    let predicted = csv_numbers(&place.ok("predict m test.csv").out, "prediction");
    let truth = csv_numbers(&numbers_csv(25, 2), "y");
    let square: f64 = predicted.iter().zip(&truth).map(|(p, y)| (p - y).powi(2)).sum();
    let rmse = fitted["test"]["rmse"].as_f64().unwrap();
    assert!(((square / 25.0).sqrt() / rmse - 1.0).abs() < 1e-12);
}

#[test]
fn the_same_bits_whatever_the_threads_and_the_batch() {
    let place = Place::new();
    place.put("train.csv", numbers_csv(60, 1));
    place.put("new.csv", numbers_csv(25, 2));
    place.ok("fit train.csv -o m");
    let all = place.ok("predict m new.csv --interval .9").out;
    for threads in 1..=3 {
        assert_eq!(place.ok(&format!("predict m new.csv --interval .9 --threads {threads}")).out, all);
    }
    let text = numbers_csv(25, 2);
    let lines: Vec<&str> = text.lines().collect();
    place.put("one.csv", format!("{}\n{}\n", lines[0], lines[7]));
    let one = place.ok("predict m one.csv --interval .9").out;
    assert_eq!(one.lines().nth(1), all.lines().nth(7));
}

#[test]
fn columns_of_the_result() {
    let place = Place::new();
    let lines = |rows: usize| -> String {
        points(rows, 3).iter().map(|[a, b]| format!("{a},{b},{},{}\n", a * b, a - b)).collect()
    };
    place.put("two.csv", format!("a,b,y,z\n{}", lines(40)));
    place.ok("fit two.csv --target y,z -o two");
    place.put("ab.csv", "b,more,a\n0.5,x,0.25\n");
    let text = place.ok("predict two ab.csv --interval .9").out;
    assert!(text.starts_with("prediction_y,lower_y,upper_y,prediction_z,lower_z,upper_z\n"), "{text}");
    for name in ["y", "z"] {
        let [low, middle, high] =
            ["lower", "prediction", "upper"].map(|what| csv_numbers(&text, &format!("{what}_{name}"))[0]);
        assert!(low < middle && middle < high, "{text}");
    }
    assert!((csv_numbers(&text, "prediction_z")[0] + 0.25).abs() < 0.05);

    place.put("c.csv", classes_csv(40, 2));
    place.ok("fit c.csv -o c");
    place.put("new.csv", "a,b,c\n0.9,0.8,u\n-0.9,-0.8,never\n");
    let text = place.ok("predict c new.csv").out;
    assert!(text.starts_with("prediction,p_fir,p_oak\noak,"), "{text}");
    let [fir, oak] = ["p_fir", "p_oak"]
        .map(|name| csv_numbers(&text.replace("oak,", "0,").replace("fir,", "0,").replacen("p_0,", "p_fir,", 1), name));
    for i in 0..2 {
        assert!((fir[i] + oak[i] - 1.0).abs() < 1e-12, "{text}");
    }
    let object = place.json("predict c new.csv");
    assert_eq!(object["prediction"], serde_json::json!(["oak", "fir"]));
    place.fails("predict c new.csv --interval .9", &["--interval: expected a model of numbers, found a classifier"]);
}

#[test]
fn to_a_file() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(30, 1));
    place.ok("fit n.csv -o m");
    let printed = place.ok("predict m n.csv").out;
    let done = place.ok("predict m n.csv -o p.csv");
    assert_eq!((done.out.as_str(), done.err.as_str()), ("", "30 rows written to p.csv\n"));
    assert_eq!(place.read("p.csv"), printed.as_bytes());
    let object = place.json("predict m n.csv -o p.csv --quiet");
    assert_eq!(object, serde_json::json!({"rows": 30, "columns": ["prediction"], "output": "p.csv"}));
    place.fails("predict m n.csv -o no/p.csv", &["-o: expected a path in a folder that exists"]);
    place.fails("predict m n.csv -o m", &["-o: expected a file, found m; that is a folder"]);
    for level in ["0", "1", "2", "nan"] {
        place.fails(&format!("predict m n.csv --interval {level}"), &["--interval: expected a probability"]);
    }
}

#[test]
fn missing_values_get_the_means_of_the_training_data() {
    let place = Place::new();
    place.put("train.csv", "a,b,y\n1,1,1\n2,3,5\n3,2,4\n6,5,0\n,4,2\n");
    place.ok("fit train.csv --missing mean -o m");
    place.put("new.csv", "a,b\n,2\n100,2\n");
    place.put("filled.csv", "a,b\n3,2\n100,2\n");
    let filled = place.ok("predict m filled.csv").out;
    assert_eq!(place.ok("predict m new.csv --missing mean").out, filled);
    place.put("none.csv", "a,b\n,2\nNA,2\n");
    let expected = filled.lines().nth(1).unwrap();
    assert_eq!(place.ok("predict m none.csv --missing mean").out, format!("prediction\n{expected}\n{expected}\n"));
    place.fails("predict m new.csv", &["new.csv: line 2, column a: expected a value", "--missing mean"]);
    let dropped = place.ok("predict m new.csv --missing drop");
    assert_eq!(dropped.err, "new.csv: 1 row with missing values left out\n");
    assert_eq!(dropped.out.lines().count(), 2);
    // What the model does not read may be missing.
    place.put("untold.csv", "a,y,b,note\n3,,2,\n100,,2,\n");
    assert_eq!(place.ok("predict m untold.csv").out, filled);
    // Test rows too are filled in from the training rows, not from their own.
    place.put("test.csv", "a,b,y\n,2,1\n100,2,3\n");
    place.put("test_filled.csv", "a,b,y\n3,2,1\n100,2,3\n");
    let test = |file: &str| place.json(&format!("fit train.csv --missing mean --test {file}"))["test"].clone();
    assert_eq!(test("test.csv"), test("test_filled.csv"));
}

#[test]
fn words_may_be_missing() {
    let place = Place::new();
    place.put("train.csv", "c,y\nu,1\nv,2\n,3\nu,1\nv,2\nNA,3\n");
    place.ok("fit train.csv --missing mean --task regression -o m");
    place.put("new.csv", "c\nu\nmissing\n\"\"\n");
    let values = csv_numbers(&place.ok("predict m new.csv --missing mean").out, "prediction");
    assert_eq!(values[1], values[2]);
    assert!((values[0] - 1.0).abs() < 0.5 && (values[1] - 3.0).abs() < 0.5, "{values:?}");
}

#[test]
fn data_of_another_kind() {
    let place = Place::new();
    place.put("x.npy", points_npy(20, 1));
    place.put("y.npy", column_npy(points(20, 1).iter().map(|[a, b]| a * b)));
    place.ok("fit x.npy --labels y.npy -o m");
    let wide: Vec<u8> = (0..6).flat_map(|i| f64::from(i).to_le_bytes()).collect();
    place.put("wide.npy", npy("<f8", "(2, 3)", &wide));
    place.fails("predict m wide.npy", &["wide.npy: expected 2 values a sample, as in the training data, found 3"]);
    place.put("t.csv", "a,b\n1,2\n");
    place.fails("predict m t.csv", &["t.csv: expected a column x0, as in the training data, found the columns a, b"]);
    place.put("w.csv", "x0,x1\n1,2\n1,two\n");
    place.fails("predict m w.csv", &["w.csv: line 3, column x1: expected a number", "found \"two\""]);
}

#[test]
fn models_that_are_none() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(20, 1));
    place.ok("fit n.csv -o m");
    place.put("folder/file", "");
    place
        .fails("predict nothing n.csv", &["nothing: expected the folder of a saved model, found nothing of that name"]);
    place.fails("predict n.csv n.csv", &["n.csv: expected the folder of a saved model, found a file"]);
    place.fails("predict folder n.csv", &["found a folder without model.json"]);

    let (json, tensors) = (place.read("m/model.json"), place.read("m/model.safetensors"));
    let json = String::from_utf8(json).unwrap();
    let mut flipped = tensors.clone();
    *flipped.last_mut().unwrap() ^= 1;
    place.put("m/model.safetensors", flipped);
    place.fails("predict m n.csv", &["m/model.safetensors: damaged: its hash is blake3:", "restore it from a copy"]);
    place.put("m/model.safetensors", &tensors);
    place.put("m/model.json", json.replace("\"format\": 5", "\"format\": 6"));
    place.fails("predict m n.csv", &["m: model.json: format: expected 1 to 5, found 6; use the version of dualnet"]);
    place.put("m/model.json", json.replace("\"lambda_absolute\"", "\"other\""));
    place.fails("predict m n.csv", &["m: model.json: lambda_absolute: ", "the field is missing"]);
    place.put("m/model.json", &json[..json.len() / 2]);
    place.fails("predict m n.csv", &["m/model.json: line ", "expected JSON"]);
    fs::remove_file(place.path("m/model.safetensors")).unwrap();
    place.put("m/model.json", json);
    place.fails("predict m n.csv", &["m/model.safetensors: cannot open"]);
}
