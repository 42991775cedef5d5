//! `fit --method` and `--time` from the command line.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use serde_json::Value;

fn timeless(mut report: Value) -> Value {
    let object = report.as_object_mut().unwrap();
    object.remove("seconds");
    object.remove("threads");
    report
}

#[test]
fn every_method_fits_saves_and_predicts() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(400, 1));
    place.put("t.csv", numbers_csv(150, 2));
    let exact = place.json("fit n.csv --net fc-relu-2 --method exact --test t.csv");
    let ways =
        [("pcg", ""), ("falkon", "--features 150"), ("nystrom", "--features 150"), ("features", "--features 600")];
    for (method, more) in ways.into_iter().chain([("nystrom", "")]) {
        let line = format!("fit n.csv --net fc-relu-2 --method {method} {more} --test t.csv -o m");
        let report = place.json(&format!("{line} --threads 1"));
        assert_eq!(report["method"], method);
        let (ours, theirs) = (&report["test"]["r2"], &exact["test"]["r2"]);
        assert!(ours.as_f64().unwrap() > theirs.as_f64().unwrap() - 0.04, "{method}: {ours} {theirs}");
        assert_eq!(timeless(report.clone()), timeless(place.json(&format!("{line} --threads 2"))), "{method}");
        match method {
            "pcg" | "falkon" => {
                assert!(report["loo"].is_null() && report["iterative"]["holdout"]["rows"] == 80, "{report}");
                assert!(report["iterative"]["refit"]["residual"].as_f64().unwrap() < 0.1, "{report}");
            }
            _ => {
                assert_eq!(report["loo"]["rows"], 400);
                assert!(report["features"]["kernel_error"].as_f64().unwrap() < 0.2, "{report}");
            }
        }
        let judged = place.json("evaluate m t.csv");
        assert_eq!(judged["r2"], report["test"]["r2"], "{method}");
        assert_eq!(place.ok("predict m t.csv --interval .9").out.lines().count(), 151);
        let text = place.ok(&line).out;
        let (row, line) = match method {
            "pcg" | "falkon" => ("held out", "iteration"),
            _ => ("leave-one-out", "kernel error"),
        };
        assert!(text.contains(row) && text.contains(line), "{text}");
    }
}

#[test]
fn features_of_kernels_read_from_the_file_too() {
    let place = Place::new();
    place.put("c.csv", classes_csv(5000, 1));
    for method in ["nystrom", "features"] {
        let fit = |read: &str| {
            let line =
                format!("fit c.csv --net fc-relu-1 --kernel nngp --method {method} --features 256 --read {read}");
            timeless(place.json(&format!("{line} --holdout .2")))
        };
        assert_eq!(fit("memory"), fit("file"), "{method}");
    }
}

#[test]
fn auto_takes_what_the_limits_allow_and_says_why() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(3000, 1));
    let plan = |more: &str| place.ok(&format!("fit n.csv --dry-run {more}"));
    assert!(plan("--memory 4G").out.contains("8 candidates compared"));
    let pcg = plan("--memory 150M");
    assert!(pcg.out.contains("landmarks, the kernel kept in memory"), "{}", pcg.out);
    assert!(pcg.err.contains("method pcg: exact needs 2") && pcg.err.lines().count() == 2, "{}", pcg.err);
    let nystrom = plan("--memory 40M");
    assert!(nystrom.out.contains(" Nystrom features, "), "{}", nystrom.out);
    assert!(
        nystrom.err.contains("pcg needs ") && nystrom.err.contains("nystrom with 1024 features needs "),
        "{}",
        nystrom.err
    );
    assert_eq!(place.json("fit n.csv --dry-run --memory 40M")["method"], "nystrom");
    place.fails("fit n.csv --dry-run --memory 1M", &["n.csv", "--memory"]);
    place.fails("fit n.csv --dry-run --time 0.0001s", &["n.csv", "--time"]);
    place.fails("fit n.csv --dry-run --method exact --time 0.001s", &["--time", "for --method exact"]);
    place.fails("fit n.csv --dry-run --method nystrom --time 0.0001s", &["n.csv", "--time"]);
    place.fails("fit n.csv --method pcg --memory 3M", &["n.csv", "3000 rows by conjugate gradients needs"]);
    let done = place.ok("fit n.csv --net fc-relu-1 --kernel nngp --memory 40M");
    assert!(
        done.err.contains("method nystrom (") && done.err.contains("relative error of its kernel "),
        "{}",
        done.err
    );
    assert!(done.out.contains("Nystrom features"), "{}", done.out);
    place.json("fit n.csv --net fc-relu-1 --kernel nngp --method pcg --time 10m --memory 1G");
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let place = Place::new();
    place.put("n.csv", numbers_csv(80, 1));
    for (line, words) in [
        ("fit n.csv --net bundled:relu-1-10 --method nystrom", "features for a bundled net"),
        ("fit n.csv --net bundled:relu-1-10 --method pcg", "features for a bundled net"),
        ("fit n.csv --net bundled:relu-1-10 --features 100", "bundled:relu-1-4096"),
        ("fit n.csv --net myrtle-5 --method nystrom", "exact, features or auto for a net on images"),
        ("fit n.csv --net myrtle-5 --method falkon", "exact, features or auto for a net on images"),
        ("fit n.csv --net myrtle-5 --method pcg", "exact, features or auto for a net on images"),
        ("fit n.csv --features 100", "--method nystrom"),
        ("fit n.csv --features 100 --method pcg", "--method nystrom"),
        ("fit n.csv --method nystrom --features 0", "number of features"),
        ("fit n.csv --method falkon --features 0", "number of landmarks"),
        ("fit n.csv --method falkon --memory 1M", "landmarks needs"),
        ("fit n.csv --method exact --precision f32", "--precision"),
        ("fit n.csv --method nystrom --directions pairs", "bundled"),
    ] {
        place.fails(line, &[words]);
    }
    assert!(place.run("fit n.csv --time soon").err.contains("a duration above zero, such as 90s, 5m or 2h"));
}
