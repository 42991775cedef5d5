//! `dualnet features`.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use dualnet_io::Data;

/// Dot products of the rows of an (n, m) array.
fn products(x: &[f64], n: usize) -> Vec<f64> {
    let m = x.len() / n;
    let dot = |i: usize, j: usize| (0..m).map(|k| x[i * m + k] * x[j * m + k]).sum();
    (0..n * n).map(|e| dot(e / n, e % n)).collect()
}

fn relative_error(a: &[f64], b: &[f64]) -> f64 {
    let gap: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    (gap / b.iter().map(|b| b * b).sum::<f64>()).sqrt()
}

#[test]
fn products_of_features_are_the_kernels() {
    let place = Place::new();
    place.put("x.npy", points_npy(30, 1));
    place.ok("kernel fc-relu-2 --x x.npy -o k.npz");
    let exact = npz(&place, "k.npz");
    for (method, dim, most) in
        [("random", 2048, 0.1), ("sketch", 2048, 0.1), ("nystrom", 30, 1e-6), ("rpcholesky", 30, 1e-6)]
    {
        let line =
            format!("features fc-relu-2 --x x.npy --method {method} --dim {dim} --precision f64 -o f.npz --threads 2");
        let report = place.json(&line);
        let found = npz(&place, "f.npz");
        for (kernel, (name, features)) in ["nngp", "ntk"].iter().zip(&found) {
            assert_eq!(name, kernel);
            assert_eq!(features.shape, [30, dim]);
            let exact = exact.iter().find(|(other, _)| other == name).unwrap().1.to_f64();
            let error = relative_error(&products(&features.to_f64(), 30), &exact);
            assert!(error < most, "{method} {name}: {error}");
            // All rows are among those the report looked at.
            let said = report["error"][kernel].as_f64().unwrap();
            assert!((said - error).abs() < 1e-9, "{method} {name}: {said} for {error}");
        }
        for (name, expected) in [("rows", 30), ("dim", dim), ("threads", 2), ("error_rows", 30)] {
            assert_eq!(report[name], expected, "{name}");
        }
        assert_eq!(report["method"], method);
    }
}

#[test]
fn a_saved_map_gives_the_same_bits_to_other_rows() {
    let place = Place::new();
    place.put("x.npy", points_npy(40, 1));
    place.put("z.npy", points_npy(9, 2));
    for method in ["random", "sketch", "nystrom", "rpcholesky"] {
        let made = format!("features fc-relu-1 --x x.npy --method {method} --dim 24 --seed 5");
        place.ok(&format!("{made} --map {method} -o first.npz"));
        place.ok(&format!("features --x x.npy --map {method} -o again.npz"));
        assert!(place.read("first.npz") == place.read("again.npz"), "{method}");
        place.ok(&format!("features fc-relu-1 --x z.npy --map {method} --get ntk -o z.npz"));
        assert_eq!(npz(&place, "z.npz").last().unwrap().1.shape, [9, 24]);
        // Another seed, other features.
        place.ok(&format!("features fc-relu-1 --x x.npy --method {method} --dim 24 --seed 6 -o other.npz"));
        assert!(method == "rpcholesky" || place.read("first.npz") != place.read("other.npz"), "{method}");
    }
}

#[test]
fn images_and_precisions() {
    let place = Place::new();
    let values: Vec<u8> = (0..3 * 6 * 6u32).flat_map(|i| f64::from(i * i % 17).to_le_bytes()).collect();
    place.put("x.npy", npy("<f8", "(3, 6, 6)", &values));
    place.put("n.toml", "layers = ['conv', 'relu', 'avg_pool', 'conv', 'relu', 'global_avg_pool', 'dense']\n");
    let report = place.json("features n.toml --x x.npy --dim 512 --get ntk -o f.npz");
    assert!(report["error"]["ntk"].as_f64().unwrap() < 0.2, "{report}");
    assert!(report["error"].get("nngp").is_none());
    let found = npz(&place, "f.npz");
    assert!(found.len() == 1 && matches!(found[0].1.data, Data::F32(_)));
    let plan = place.json("features n.toml --x x.npy --dim 512 --dry-run");
    assert!(plan["seconds_expected"].as_f64().unwrap() > 0.0);
    assert_eq!(plan["bytes"], 2 * 3 * 512 * 4);
}

#[test]
fn what_does_not_fit_is_refused() {
    let place = Place::new();
    place.put("x.npy", points_npy(10, 1));
    place.put("n.toml", "layers = ['dense', 'gelu', 'dense']\n");
    let refused = |line: &str, words: &[&str]| {
        let done = place.run(line);
        assert_eq!(done.code, 2, "{line}");
        for word in words {
            assert!(done.err.contains(word), "{line}: {}", done.err);
        }
        assert!(!place.path("f.npz").exists(), "{line}");
    };
    refused("features n.toml --x x.npy --method sketch --degree 1 -o f.npz", &["layers[1].gelu", "2 to 64"]);
    refused("features n.toml --x x.npy --degree 8 -o f.npz", &["--degree", "--method sketch"]);
    place.put("words.svm", "1 2:1 5:3\n-1 1:0.5\n");
    refused("features n.toml --x words.svm --method nystrom -o f.npz", &["landmarks"]);
    refused("features myrtle-5 --x words.svm -o f.npz", &["images"]);
    refused("features n.toml --x x.npy --dim 0 -o f.npz", &["at least one feature"]);
    refused("features --x x.npy --map none -o f.npz", &["none", "saved maps"]);
    place.ok("features n.toml --x x.npy --dim 8 --map map -o g.npz");
    refused("features fc-relu-1 --x x.npy --map map -o f.npz", &["the net", "map"]);
    let wide: Vec<u8> = (0..20u32).flat_map(|i| f64::from(i).to_le_bytes()).collect();
    place.put("wide.npy", npy("<f8", "(2, 10)", &wide));
    refused("features --x wide.npy --map map -o f.npz", &["wide.npy", "as map was made for"]);
    refused("features --x words.svm --map map -o f.npz", &["words.svm", "as map was made for"]);
    refused("features --x x.npy --map map --precision f64 -o f.npz", &["precision"]);
    let text = String::from_utf8(place.read("map/model.json")).unwrap();
    place.put("map/model.json", text.replace("\"dim\": 8", "\"dim\": \"many\""));
    refused("features --x x.npy --map map -o f.npz", &["feature map"]);
}

/// The sketch of the whole net where there is one, else that of each layer; both saved and taken up again.
#[test]
fn sketches_of_nets_and_of_layers() {
    let place = Place::new();
    place.put("x.npy", points_npy(30, 1));
    place.put("gelu.toml", "layers = ['dense', 'gelu', 'dense', 'tanh', 'dense']\n");
    place.put("power.toml", "layers = ['dense', {hermite = {degree = 3}}, 'dense']\n");
    for (net, of, degrees) in [("fc-relu-2", "net", 1), ("gelu.toml", "layers", 2), ("power.toml", "layers", 1)] {
        let line = format!("features {net} --x x.npy --method sketch --dim 1024 --get ntk");
        let report = place.json(&format!("{line} --map {of}{degrees}{net} -o first.npz"));
        assert_eq!((&report["sketch"]["of"], &report["method"]), (&of.into(), &"sketch".into()), "{report}");
        assert_eq!(report["sketch"]["degrees"].as_array().unwrap().len(), degrees);
        assert!(report["error"]["ntk"].as_f64().unwrap() < 0.15, "{report}");
        place.ok(&format!("features --x x.npy --map {of}{degrees}{net} -o again.npz"));
        assert!(place.read("first.npz") == place.read("again.npz"), "{net}");
    }
    let report = place.json("features fc-relu-2 --x x.npy --method sketch --degree 5 --dim 512 --map five -o f.npz");
    assert_eq!(report["sketch"]["degrees"], serde_json::json!([5]));
    let done = place.run("features --x x.npy --map five -o again.npz");
    assert!(done.err.contains("by sketch of the whole net (degree 5)"), "{}", done.err);
    // What the format before this one said of a map.
    let text = String::from_utf8(place.read("five/model.json")).unwrap();
    place.put("five/model.json", text.replace("\"format\": 5", "\"format\": 4").replace("\"degree\": 5,", ""));
    let report = place.json("features --x x.npy --map five -o again.npz");
    assert_eq!(report["sketch"]["degrees"], serde_json::json!([16]));
}

/// Sparse rows as dense ones: the same kernel, wide ones by a sketch, and a map takes rows with fewer columns in the text.
#[test]
fn sparse_rows_stay_sparse() {
    let place = Place::new();
    let wide: String = (0..40u32)
        .map(|i| {
            let words: Vec<String> =
                (0..12).map(|j| format!("{}:{}", 1 + 700 * j + (i * i * 7 + j) % 600, 1 + (i + j) % 3)).collect();
            format!("{} {}\n", i % 2, words.join(" "))
        })
        .collect();
    place.put("wide.svm", &wide);
    place.put("few.svm", "1 2:1 5:3\n-1 1:0.5\n0 \n2 3:1 4:1 5:2\n");
    let report = place.json("features fc-relu-1 --x few.svm --dim 64 --get ntk -o f.npz");
    assert_eq!(report["input"]["sketched"], false, "{report}");
    let report = place.json("features fc-relu-1 --x wide.svm --dim 2048 --get ntk --map map -o f.npz");
    assert_eq!((&report["input"]["sketched"], &report["input"]["nonzeros"]), (&true.into(), &480.into()), "{report}");
    assert!(
        report["input"]["error"].as_f64().unwrap() < 0.2 && report["error"]["ntk"].as_f64().unwrap() < 0.2,
        "{report}"
    );
    place.put("part.svm", wide.lines().take(7).map(|line| format!("{line}\n")).collect::<String>());
    place.ok("features --x part.svm --map map -o part.npz");
    let (all, part) = (npz(&place, "f.npz"), npz(&place, "part.npz"));
    assert_eq!(part[0].1.to_f64()[..], all[0].1.to_f64()[..7 * 2048]);
    let done = place.run("features fc-relu-1 --x wide.svm --method sketch --dim 256 -o g.npz");
    assert!(done.err.contains("sketched to 128, relative error of its products"), "{}", done.err);
}
