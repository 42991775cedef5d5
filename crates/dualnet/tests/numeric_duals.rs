//! Numerical duals against the golden values: expansions where a closed form is known, and the raw quadrature rule.

#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::activation::Activation;
use dualnet::dual::hermite::HermiteDual;
use dualnet::dual::quadrature::{Outer, QuadratureDual};
use dualnet::dual::{DynDual, Pair};
use npyz::npz::NpzArchive;

/// An array of the golden set, row by row, and its shape.
fn golden(file: &str, name: &str) -> (Vec<f64>, Vec<usize>) {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut archive = NpzArchive::open(path).unwrap();
    let array = archive.by_name(name).unwrap().unwrap_or_else(|| panic!("no array {name}"));
    let shape = array.shape().iter().map(|&n| n as usize).collect();
    (array.into_vec().unwrap(), shape)
}

fn pair(p: f64, q: f64, c: f64) -> Pair<f64> {
    let (sp, sq) = (p.sqrt(), q.sqrt());
    let delta = if p * q == 0.0 { 1.0 } else { (1.0 - (c / (sp * sq)).abs()).clamp(0.0, 1.0) };
    Pair { c, p, q, sp, sq, delta }
}

/// Expansions of high degree at moderate variances; kinked activations to what their order allows.
#[test]
fn expansions_reach_the_closed_forms() {
    use Activation::*;
    let cases: [(&str, Activation, f64, f64); 8] = [
        ("erf", Erf { a: 1.0, b: 1.0, c: 0.0 }, 1.0, 1e-11),
        ("erf_0.7_1.3_0.2", Erf { a: 0.7, b: 1.3, c: 0.2 }, 1.0, 1e-11),
        ("gelu", Gelu, 2.0, 1e-11),
        ("sin", Sin { a: 1.0, b: 1.0, c: 0.0 }, 4.0, 1e-11),
        ("sin_0.8_1.7_0.4", Sin { a: 0.8, b: 1.7, c: 0.4 }, 4.0, 1e-11),
        ("gaussian", Gaussian { a: 1.0, b: -1.0 }, 1.0, 1e-11),
        ("exp_0.6_0.5", Exp { a: 0.6, b: 0.5 }, 10.0, 1e-11),
        ("relu", Relu, 1e6, 5e-5),
    ];
    let (triples, _) = golden("dual.npz", "c11_c22_c12");
    for (key, activation, largest, tolerance) in cases {
        let (expected, _) = golden("dual.npz", &format!("dual.{key}"));
        let dual = HermiteDual::new(&activation, 160).unwrap();
        let mut compared = 0;
        for (triple, expected) in triples.chunks(3).zip(expected.chunks(2)) {
            let (p, q, c) = (triple[0], triple[1], triple[2]);
            if p.max(q) > largest {
                continue;
            }
            compared += 1;
            let image = dual.pair(pair(p, q, c));
            let scale = expected[0].abs().max((dual.variance(p) * dual.variance(q)).sqrt());
            assert!(
                (image.k - expected[0]).abs() <= tolerance * scale + 1e-30,
                "{key} {triple:?}: {} {expected:?}",
                image.k
            );
            if activation != Relu {
                let scale = expected[1].abs().max(1.0);
                assert!(
                    (image.kdot - expected[1]).abs() <= 10.0 * tolerance * scale,
                    "{key} {triple:?}: {} {expected:?}",
                    image.kdot
                );
            }
        }
        assert!(compared > 10, "{key}: {compared}");
    }
}

/// (Dense(1.3, 0.25) tanh)^L Dense(1.3, 0.25) by the raw 25-point rule, the row outside.
#[test]
fn raw_quadrature_is_that_of_neural_tangents() {
    let (x, shape) = golden("fc.npz", "x_mild");
    let (y, _) = golden("fc.npz", "y_mild");
    let d = shape[1];
    let dual = QuadratureDual::new(&Activation::Tanh, 25, Outer::First).unwrap();
    let (weight, bias) = (1.3f64.powi(2), 0.25f64.powi(2));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / d as f64;
    for (tag, other, slack) in [("self", &x, 1e-7), ("rect", &y, 1e-10)] {
        for depth in 1..=3 {
            let key = format!("fc.tanh_quadrature25.d{depth}.bias.{tag}");
            let ((nngp, _), (ntk, _)) =
                (golden("fc.npz", &format!("{key}.nngp")), golden("fc.npz", &format!("{key}.ntk")));
            let largest = |a: &[f64]| a.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            let (nngp_scale, ntk_scale) = (largest(&nngp), largest(&ntk));
            for (i, a) in x.chunks(d).enumerate() {
                for (j, b) in other.chunks(d).enumerate() {
                    let (mut c, mut p, mut q) = (dot(a, b), dot(a, a), dot(b, b));
                    (c, p, q) = (weight * c + bias, weight * p + bias, weight * q + bias);
                    let mut t = c;
                    for _ in 0..depth {
                        let image = dual.pair(pair(p, q, c));
                        c = weight * image.k + bias;
                        t = weight * t * image.kdot + c;
                        (p, q) = (weight * dual.variance(p) + bias, weight * dual.variance(q) + bias);
                    }
                    let at = i * (other.len() / d) + j;
                    assert!((c - nngp[at]).abs() <= 1e-10 * nngp_scale, "{key} nngp {i} {j}: {c} {}", nngp[at]);
                    assert!((t - ntk[at]).abs() <= slack * ntk_scale, "{key} ntk {i} {j}: {t} {}", ntk[at]);
                }
            }
        }
    }
}
