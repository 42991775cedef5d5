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
    refused("features n.toml --x x.npy --method sketch -o f.npz", &["layers[1].gelu"]);
    refused("features n.toml --x x.npy --dim 0 -o f.npz", &["at least one feature"]);
    refused("features --x x.npy --map none -o f.npz", &["none", "saved maps"]);
    place.ok("features n.toml --x x.npy --dim 8 --map map -o g.npz");
    refused("features fc-relu-1 --x x.npy --map map -o f.npz", &["the net", "map"]);
    let wide: Vec<u8> = (0..20u32).flat_map(|i| f64::from(i).to_le_bytes()).collect();
    place.put("wide.npy", npy("<f8", "(2, 10)", &wide));
    refused("features --x wide.npy --map map -o f.npz", &["wide.npy", "as map was made for"]);
    refused("features --x x.npy --map map --precision f64 -o f.npz", &["precision"]);
    let text = String::from_utf8(place.read("map/model.json")).unwrap();
    place.put("map/model.json", text.replace("\"dim\": 8", "\"dim\": \"many\""));
    refused("features --x x.npy --map map -o f.npz", &["feature map"]);
}
