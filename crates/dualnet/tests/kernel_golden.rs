//! Exact dense kernels against every golden array.
#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(clippy::neg_cmp_op_on_partial_ord)] // A NaN must fail, too.

mod common;

use common::golden::{Array, arrays, json};
use dualnet::kernel::{DenseKernel, Float, Get};
use dualnet::net::Net;
use dualnet::{Mat, Resources};

/// Largest error over the golden README's scale: self max(|t|, sqrt(t_ii t_jj)), rect max(|t|, sqrt(rowmax_i colmax_j)).
fn worst<T: Float>(ours: &Mat<T>, truth: &Array, symmetric: bool) -> f64 {
    let (n, m) = (truth.0[0], truth.0[1]);
    assert_eq!((ours.rows(), ours.cols()), (n, m));
    let t = |i: usize, j: usize| truth.1[i * m + j];
    let row = |i: usize| (0..m).map(|j| t(i, j).abs()).fold(0.0, f64::max);
    let col = |j: usize| (0..n).map(|i| t(i, j).abs()).fold(0.0, f64::max);
    let mut worst: f64 = 0.0;
    for i in 0..n {
        for j in 0..m {
            let scale = if symmetric { (t(i, i) * t(j, j)).sqrt() } else { (row(i) * col(j)).sqrt() };
            let error = (ours[(i, j)].to_f64() - t(i, j)).abs();
            worst = worst.max(error / scale.max(t(i, j).abs()).max(1e-30));
        }
    }
    worst
}

fn matrix<T: Float>((shape, data): &Array) -> Mat<T> {
    Mat::from_vec(shape[0], shape[1], data.iter().map(|&v| T::from_f64(v)).collect()).unwrap()
}

/// Every dense case: (key, kind of array, error).
fn errors<T: Float>() -> Vec<(String, String, f64)> {
    let (nets, golden, resources) = (json("nets.json"), arrays("fc.npz"), Resources::new(2).unwrap());
    let mut found = Vec::new();
    for case in json("fc.json").as_array().unwrap() {
        let key = case["key"].as_str().unwrap();
        // The reference of this case is a rule that the library does not offer: see dual/quadrature.rs and its tests.
        if key.contains("quadrature") {
            continue;
        }
        let net = Net::from_json(&nets[key].to_string()).unwrap();
        let input = case["input"].as_str().unwrap();
        let x: Mat<T> = matrix(&golden[input]);
        // Where the manifest names one input, the second is its counterpart.
        let second = case["input2"].as_str().map(str::to_string).unwrap_or(input.replace("x_", "y_"));
        let y: Mat<T> = matrix(&golden[&second]);
        let kernel = DenseKernel::new(&net, x.cols()).unwrap();
        let whole = kernel.gram(x.as_ref(), Get::Both, &resources).unwrap();
        let cross = kernel.cross(x.as_ref(), y.as_ref(), Get::Both, &resources).unwrap();
        for (kind, ours) in [("self", whole), ("rect", cross)] {
            for (name, ours) in [("nngp", ours.nngp), ("ntk", ours.ntk)] {
                let array = format!("{kind}.{name}");
                // The cases of the standard parameterization have no rectangular arrays.
                if let Some(truth) = golden.get(&format!("{key}.{array}")) {
                    found.push((key.to_string(), array, worst(&ours.unwrap(), truth, kind == "self")));
                }
            }
        }
    }
    found
}

#[test]
fn f64_agrees_with_every_golden_array() {
    let found = errors::<f64>();
    assert!(found.len() > 400, "{}", found.len());
    let mut bad = Vec::new();
    for (key, array, error) in found {
        // neural-tangents itself loses digits in self NTKs; everything else is 60-digit truth or good to 1e-10.
        let from_library = key.starts_with("fcx") || key.starts_with("fcstd");
        let limit = if from_library && array == "self.ntk" { 1e-7 } else { 1e-10 };
        if !(error <= limit) {
            bad.push(format!("{key}.{array}: {error:.2e}"));
        }
    }
    assert!(bad.is_empty(), "{} beyond tolerance:\n{}", bad.len(), bad.join("\n"));
}

#[test]
fn f32_agrees_with_every_golden_array() {
    let mut bad = Vec::new();
    for (key, array, error) in errors::<f32>() {
        let limit = if array == "self.ntk" { 2e-4 } else { 2e-5 };
        if !(error <= limit) {
            bad.push(format!("{key}.{array}: {error:.2e}"));
        }
    }
    assert!(bad.is_empty(), "{} beyond tolerance:\n{}", bad.len(), bad.join("\n"));
}
