//! Kernels of nets over positions against every golden array: the oracle, and the engine in both precisions.
#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(clippy::neg_cmp_op_on_partial_ord)] // A NaN must fail, too.

mod common;

use common::golden::{Array, arrays, json};
use dualnet::gram::{cross, symmetric};
use dualnet::kernel::{Float, Get, InputShape, NetKernel};
use dualnet::net::Net;
use dualnet::oracle::conv::{Same, kernel, spatial};
use dualnet::{Mat, Resources};
use std::collections::HashMap;

/// A case of the manifest. There is no net for resized images.
struct Case {
    key: String,
    net: Net,
    /// Shape of a sample, and its values row by row.
    shape: InputShape,
    x: Mat<f64>,
    /// Of the rectangular arrays.
    y: Option<Mat<f64>>,
}

fn cases(golden: &HashMap<String, Array>) -> Vec<Case> {
    let nets = json("nets.json");
    let mut all = Vec::new();
    for case in json("conv.json").as_array().unwrap() {
        let key = case["key"].as_str().unwrap();
        if let Some(net) = nets.get(key) {
            let x = &golden[case["input"].as_str().unwrap()];
            let axes = x.0.len() - 1;
            let shape = InputShape { positions: x.0[1..axes].to_vec(), channels: x.0[axes] };
            let rows = |(sizes, data): &Array| Mat::from_vec(sizes[0], shape.width(), data.clone()).unwrap();
            let y = case["input2"].as_str().map(|name| rows(&golden[name]));
            all.push(Case { key: key.into(), net: Net::from_json(&net.to_string()).unwrap(), x: rows(x), y, shape });
        }
    }
    all
}

/// Which of the golden README's scales an array has.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// max(|t|, sqrt(t_ii t_jj)).
    Own,
    /// max(|t|, sqrt(rowmax_i colmax_j)).
    Rect,
}

/// Largest error over the scale.
fn worst(ours: &[f64], truth: &Array, kind: Kind) -> f64 {
    let (n, m) = (truth.0[0], truth.0[1]);
    assert_eq!(ours.len(), n * m);
    let t = |i: usize, j: usize| truth.1[i * m + j];
    let row = |i: usize| (0..m).map(|j| t(i, j).abs()).fold(0.0, f64::max);
    let col = |j: usize| (0..n).map(|i| t(i, j).abs()).fold(0.0, f64::max);
    let error = |(i, j): (usize, usize)| {
        let scale = if kind == Kind::Own { (t(i, i) * t(j, j)).sqrt() } else { (row(i) * col(j)).sqrt() };
        (ours[i * m + j] - t(i, j)).abs() / scale.max(t(i, j).abs()).max(1e-30)
    };
    // Not `f64::max`, which drops NaN.
    (0..n * m).map(|at| error((at / m, at % m))).fold(0.0, |a, b| if b <= a { a } else { b })
}

/// NNGP and NTK of all pairs, row by row.
type Both = (Vec<f64>, Vec<f64>);

/// Errors of every array that has one vector at the end, by name.
fn errors(compute: impl Fn(&Case, Option<&Mat<f64>>) -> Both) -> Vec<(String, f64)> {
    let golden = arrays("conv.npz");
    let mut found = Vec::new();
    for case in cases(&golden).iter().filter(|case| !case.net.output_is_spatial()) {
        let mut add = |kind, name: &str, (nngp, ntk): Both| {
            for (ours, get) in [(nngp, "nngp"), (ntk, "ntk")] {
                let name = format!("{}.{name}.{get}", case.key);
                let error = worst(&ours, &golden[&name], kind);
                found.push((name, error));
            }
        };
        add(Kind::Own, "self", compute(case, None));
        if let Some(y) = &case.y {
            add(Kind::Rect, "rect", compute(case, Some(y)));
        }
    }
    found
}

fn hold(found: &[(String, f64)], limit: impl Fn(&str) -> f64) {
    assert_eq!(found.len(), 22 * 4 + 2 * 2, "arrays");
    let bad: Vec<String> = found
        .iter()
        .filter(|(name, error)| !(*error <= limit(name)))
        .map(|(name, error)| format!("{name}: {error:.2e}"))
        .collect();
    assert!(bad.is_empty(), "{} beyond tolerance:\n{}", bad.len(), bad.join("\n"));
}

/// Self NTKs are good to 1e-7 in the reference itself.
fn double(name: &str) -> f64 {
    if name.ends_with("self.ntk") { 1e-7 } else { 1e-10 }
}

fn by_oracle(case: &Case, y: Option<&Mat<f64>>) -> Both {
    let mut both = (Vec::new(), Vec::new());
    let second = y.unwrap_or(&case.x);
    for i in 0..case.x.rows() {
        for j in 0..second.rows() {
            let same = if y.is_none() && i == j { Same::Yes } else { Same::No };
            let (k, t) = kernel(&case.net, &case.shape, case.x.row(i), second.row(j), same).unwrap();
            both.0.push(k);
            both.1.push(t);
        }
    }
    both
}

fn by_engine<T: Float>(case: &Case, y: Option<&Mat<f64>>) -> Both {
    let cast = |x: &Mat<f64>| Mat::from_fn(x.rows(), x.cols(), |i, j| T::from_f64(x[(i, j)]));
    let (engine, resources) = (NetKernel::new(&case.net, &case.shape).unwrap(), Resources::new(1).unwrap());
    let x = cast(&case.x);
    let grams = match y {
        None => symmetric(&engine, x.as_ref(), Get::Both, &resources).unwrap(),
        Some(y) => cross(&engine, x.as_ref(), cast(y).as_ref(), Get::Both, &resources).unwrap(),
    };
    let values = |gram: Option<Mat<T>>| gram.unwrap().as_slice().iter().map(|v| v.to_f64()).collect();
    (values(grams.nngp), values(grams.ntk))
}

#[test]
fn oracle_agrees_with_every_golden_array() {
    hold(&errors(by_oracle), double);
}

#[test]
fn engine_agrees_with_every_golden_array_in_f64() {
    hold(&errors(by_engine::<f64>), double);
}

#[test]
fn engine_agrees_with_every_golden_array_in_f32() {
    hold(&errors(by_engine::<f32>), |name| if name.ends_with("self.ntk") { 2e-4 } else { 2e-5 });
}

/// Spatial kernels of each pair of samples, at (P, P'), in one array: the golden order is (sample, sample, h, h', w, w').
fn golden_order(pairs: &[Vec<f64>], [height, width]: [usize; 2]) -> Vec<f64> {
    let (n, mut all) = (height * width, Vec::new());
    for values in pairs {
        for (h, g) in (0..height).flat_map(|h| (0..height).map(move |g| (h, g))) {
            for (w, v) in (0..width).flat_map(|w| (0..width).map(move |v| (w, v))) {
                all.push(values[n * (h * width + w) + g * width + v]);
            }
        }
    }
    all
}

#[test]
fn oracle_agrees_with_every_spatial_golden_array() {
    let golden = arrays("conv.npz");
    let spatial_cases: Vec<Case> = cases(&golden).into_iter().filter(|case| case.net.output_is_spatial()).collect();
    assert_eq!(spatial_cases.len(), 3);
    for Case { key, net, shape, x, .. } in &spatial_cases {
        let n = x.rows();
        let found: Vec<_> = (0..n * n)
            .map(|at| {
                let same = if at / n == at % n { Same::Yes } else { Same::No };
                spatial(net, shape, x.row(at / n), x.row(at % n), same).unwrap()
            })
            .collect();
        let size = [found[0].positions[0], found[0].positions[1]];
        for (name, limit) in [("nngp", 1e-10), ("ntk", 1e-7)] {
            let truth = &golden[&format!("{key}.{name}")];
            assert_eq!(truth.0, [n, n, size[0], size[0], size[1], size[1]]);
            let values: Vec<Vec<f64>> =
                found.iter().map(|f| if name == "nngp" { f.nngp.clone() } else { f.ntk.clone() }).collect();
            let most = truth.1.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            for (ours, theirs) in golden_order(&values, size).iter().zip(&truth.1) {
                assert!((ours - theirs).abs() <= limit * most, "{key}.{name}: {ours} {theirs}");
            }
        }
    }
}
