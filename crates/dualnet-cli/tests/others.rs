//! `dualnet activations`, `dualnet doctor`, help, and what holds for every verb.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::io::Read;
use std::process::{Command, Stdio};

#[test]
fn activations_are_listed() {
    let place = Place::new();
    let text = place.ok("activations").out;
    let relu = text.lines().find(|l| l.starts_with("relu ")).unwrap();
    assert!(relu.contains("closed form") && relu.ends_with("degree 1"), "{relu}");
    let tanh = text.lines().find(|l| l.starts_with("tanh ")).unwrap();
    assert!(tanh.contains("Hermite expansion of degree") && tanh.ends_with("no"), "{tanh}");
    let list = place.json("activations")["activations"].as_array().unwrap().clone();
    assert_eq!(list.len() + 1, text.lines().count());
    let relu = list.iter().find(|a| a["name"] == "relu").unwrap();
    assert_eq!([&relu["exact"], &relu["homogeneity"]], [&serde_json::json!(true), &serde_json::json!(1)]);
}

#[test]
fn the_doctor_says_what_it_found() {
    let place = Place::new();
    let found = place.json("doctor --threads 3 --memory 2G");
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!([&found["threads"], &found["memory"]], [3u64, 2 << 30]);
    assert!(!found["instruction_sets"].as_array().unwrap().is_empty());
    let text = place.ok("doctor --memory 1.5G").out;
    assert!(text.contains("memory limit     1.5 GiB"), "{text}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("dualnet"))
        .args(["activations", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Closed before the first byte is read.
    drop(child.stdout.take());
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert_eq!((child.wait().unwrap().code(), words.as_str()), (Some(0), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = Command::new(assert_cmd::cargo::cargo_bin("dualnet")).arg("activations").stdout(full).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8(run.stderr).unwrap().starts_with("dualnet: standard output: "));
}

#[test]
fn help_is_there_and_fits() {
    let place = Place::new();
    for verb in ["", "fit", "predict", "evaluate", "kernel", "activations", "doctor"] {
        let text = place.ok(&format!("{verb} --help")).out;
        let widest = text.lines().max_by_key(|l| l.chars().count()).unwrap();
        assert!(widest.chars().count() <= 100, "{verb}: {widest}");
    }
    for verb in ["fit", "predict", "evaluate", "kernel"] {
        assert!(place.ok(&format!("{verb} --help")).out.contains("Cost: "), "{verb}");
    }
    assert!(place.ok("--version").out.starts_with("dualnet "));
}

#[test]
fn mistakes_end_with_2() {
    let place = Place::new();
    for line in
        ["", "fix", "fit", "doctor --memory foo", "doctor --memory 0", "doctor --threads 100000", "kernel fc-relu-3"]
    {
        assert_eq!(place.run(line).code, 2, "{line}");
    }
    assert!(place.run("doctor --memory foo").err.contains("expected a size such as 500M or 8G"));
}
