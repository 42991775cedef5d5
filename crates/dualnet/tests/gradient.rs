//! Gradients of kernels: against finite differences, and what must stay finite and keep its bits.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::dual::Pair;
use dualnet::dual::closed_form;
use dualnet::dual::hermite::HermiteDual;
use dualnet::kernel::{DenseKernel, KernelGradient, KernelKind};
use dualnet::net::Net;
use dualnet::random::{Draws, Purpose};
use dualnet::{Error, Mat, Resources, activation::Activation};
use nets::{nets, samples};
use proptest::prelude::*;

#[path = "common/nets.rs"]
mod nets;

const KINDS: [KernelKind; 2] = [KernelKind::Nngp, KernelKind::Ntk];

fn normals(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut draws = Draws::new(seed, Purpose(40), 0);
    Mat::from_fn(rows, cols, |_, _| draws.normal())
}

/// The slope at 0 of an even-odd function by central differences of sixth order.
fn difference(f: impl Fn(f64) -> f64, h: f64) -> f64 {
    let pair = |k: f64| f(k * h) - f(-k * h);
    (pair(3.0) - 9.0 * pair(2.0) + 45.0 * pair(1.0)) / (60.0 * h)
}

/// Gradients of f_k(x) = sum_j K(x, y_j) a_jk, and their differences.
fn agrees(net: &Net, kind: KernelKind, x: &Mat<f64>, y: &Mat<f64>) -> Result<(), String> {
    let resources = Resources::new(2).unwrap();
    let kernel = DenseKernel::new(net, x.cols()).unwrap();
    let a = normals(y.rows(), 2, 9);
    let gradient = KernelGradient::new(&kernel, kind, y.as_ref(), a.as_ref(), &resources).unwrap();
    let found = gradient.at(x.as_ref(), &resources).unwrap();
    // All points moved along all axes, in one matrix.
    let d = x.cols();
    let steps = [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0];
    let h = 2e-3;
    let moved = Mat::from_fn(x.rows() * d * 6, d, |r, c| {
        let (i, axis, step) = (r / (6 * d), r / 6 % d, steps[r % 6]);
        x[(i, c)] + if axis == c { step * h } else { 0.0 }
    });
    let grams = kernel.cross(moved.as_ref(), y.as_ref(), kind.get(), &resources).unwrap();
    let k = kind.of((grams.nngp, grams.ntk)).unwrap();
    let values = |r: usize, out: usize| -> f64 { (0..y.rows()).map(|j| k[(r, j)] * a[(j, out)]).sum() };
    let scale = found.iter().flat_map(|g| g.as_slice()).fold(0.0f64, |m, g| m.max(g.abs())).max(1e-3);
    for (out, found) in found.iter().enumerate() {
        for i in 0..x.rows() {
            for axis in 0..d {
                let at = |s: f64| {
                    let step = steps.iter().position(|t| *t == s).unwrap();
                    values((i * d + axis) * 6 + step, out)
                };
                let slope = difference(|t| at((t / h).round()), h);
                let ours = found[(i, axis)];
                if (ours - slope).abs() > 1e-7 * scale {
                    return Err(format!(
                        "output {out}, row {i}, axis {axis}: {ours} against {slope} ({scale}) in {net}"
                    ));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_dual_agrees_with_differences() {
    let closed = [
        Activation::Identity,
        Activation::Relu,
        Activation::Abs,
        Activation::Abrelu { a: -0.3, b: 1.2 },
        Activation::Erf { a: 1.1, b: 0.8, c: 0.2 },
        Activation::Gelu,
        Activation::Sin { a: 1.0, b: 0.7, c: 0.4 },
        Activation::Cos { a: 1.0, b: 0.7, c: 0.4 },
        Activation::Rbf { gamma: 0.3 },
        Activation::Gaussian { a: 1.2, b: -0.7 },
        Activation::Exp { a: 0.9, b: 0.5 },
        Activation::Gabor,
        Activation::Sign,
        Activation::Hermite { degree: 3 },
        Activation::Monomial { degree: 4 },
        Activation::Polynomial { coefficients: vec![0.3, -1.0, 0.5, 0.2] },
        Activation::ExpNormalized { gamma: 1.0, shift: -1.0 },
        Activation::RectifiedMonomial { degree: 0 },
        Activation::RectifiedMonomial { degree: 1 },
        Activation::RectifiedMonomial { degree: 2 },
        Activation::RectifiedMonomial { degree: 4 },
    ];
    let series = [Activation::Tanh, Activation::Silu, Activation::Abs, Activation::Softplus];
    let duals = closed
        .iter()
        .map(|a| (a, closed_form(a).unwrap()))
        .chain(series.iter().map(|a| (a, std::sync::Arc::new(HermiteDual::new(a, 30).unwrap()) as _)));
    for (activation, dual) in duals {
        for (p, q, rho) in [(0.7, 1.9, 0.35), (1.3, 0.4, -0.8), (2.5, 2.4, 0.97), (0.9, 0.9, -0.1)] {
            let c: f64 = rho * f64::sqrt(p * q);
            let image = |c: f64, p: f64| {
                let (sp, sq) = (p.sqrt(), f64::sqrt(q));
                let delta = 1.0 - c.abs() / (sp * sq);
                dual.pair(Pair { c, p, q, sp, sq, delta })
            };
            let (sp, sq) = (f64::sqrt(p), f64::sqrt(q));
            let found = dual.partials(Pair { c, p, q, sp, sq, delta: 1.0 - rho.abs() }).unwrap();
            let h = 1e-3;
            let expected = [
                (found.k_c, difference(|t| image(c + t, p).k, h)),
                (found.k_p, difference(|t| image(c, p + t).k, h)),
                (found.kdot_c, difference(|t| image(c + t, p).kdot, h)),
                (found.kdot_p, difference(|t| image(c, p + t).kdot, h)),
                (found.kdot, image(c, p).kdot),
            ];
            for (which, (ours, slope)) in expected.into_iter().enumerate() {
                let scale = 1.0 + slope.abs();
                assert!(
                    (ours - slope).abs() < 2e-8 * scale,
                    "{activation:?} ({p}, {q}, {rho}), {which}: {ours} {slope}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn gradients_agree_with_differences(net in nets(), seed: u64) {
        let (x, y) = (normals(3, 4, seed), normals(9, 4, seed ^ 1));
        for kind in KINDS {
            prop_assert_eq!(agrees(&net, kind, &x, &y), Ok(()));
        }
    }

    /// Duplicates, antipodes, zero rows and constant columns.
    #[test]
    fn gradients_are_finite(net in nets(), seed: u64) {
        let mut x = samples(30, 4, seed);
        (0..30).for_each(|i| x[(i, 2)] = if i % 7 == 6 { 0.0 } else { 0.5 });
        let resources = Resources::new(1).unwrap();
        let kernel = DenseKernel::new(&net, 4).unwrap();
        let a = normals(30, 1, seed);
        for kind in KINDS {
            let gradient = KernelGradient::new(&kernel, kind, x.as_ref(), a.as_ref(), &resources).unwrap();
            // An error would be one of range: `at` refuses anything that is not finite.
            let found = gradient.at(x.as_ref(), &resources).unwrap();
            prop_assert!(found[0].as_slice().iter().all(|g| g.is_finite()));
            let squares = gradient.squares(x.as_ref(), &resources).unwrap();
            prop_assert!(squares.iter().all(|g| g.is_finite() && *g >= 0.0));
        }
    }

    /// Mean squares of each output by itself are those of its gradients.
    #[test]
    fn squares_of_outputs_are_kept_apart(net in nets(), seed: u64) {
        let (x, y, a) = (normals(140, 4, seed), normals(9, 4, seed ^ 1), normals(9, 3, seed ^ 2));
        let resources = Resources::new(2).unwrap();
        let kernel = DenseKernel::new(&net, 4).unwrap();
        let gradient = KernelGradient::new(&kernel, KINDS[0], y.as_ref(), a.as_ref(), &resources).unwrap();
        let each = gradient.squares_each(x.as_ref(), &resources).unwrap();
        for (k, at) in gradient.at(x.as_ref(), &resources).unwrap().iter().enumerate() {
            for j in 0..4 {
                let mean = (0..140).map(|i| at[(i, j)].powi(2)).sum::<f64>() / 140.0;
                prop_assert!((each[(k, j)] - mean).abs() <= 1e-12 * mean.max(1e-300));
            }
        }
    }
}

#[test]
fn the_cone_at_a_coincident_point_has_the_mean_slope_of_its_sides() {
    // K of ReLU twice differentiable but for the cone of the NTK at x = y: the means of both one-sided slopes.
    let net = Net::from_json(r#"{"layers":["dense","relu","dense","relu","dense"]}"#).unwrap();
    let resources = Resources::new(1).unwrap();
    let kernel = DenseKernel::new(&net, 3).unwrap();
    let y = normals(1, 3, 4);
    let one = Mat::from_vec(1, 1, vec![1.0]).unwrap();
    let gradient = KernelGradient::new(&kernel, KernelKind::Ntk, y.as_ref(), one.as_ref(), &resources).unwrap();
    let at = |x: &Mat<f64>| gradient.at(x.as_ref(), &resources).unwrap().swap_remove(0);
    let own = at(&y);
    for axis in 0..3 {
        let moved = |t: f64| Mat::from_fn(1, 3, |_, c| y[(0, c)] + if c == axis { t } else { 0.0 });
        let mean = 0.5 * (at(&moved(1e-5))[(0, axis)] + at(&moved(-1e-5))[(0, axis)]);
        assert!((own[(0, axis)] - mean).abs() < 1e-4 * mean.abs().max(1.0), "{axis}: {} {mean}", own[(0, axis)]);
    }
}

#[test]
fn bits_depend_neither_on_threads_nor_on_the_batch() {
    let net = Net::from_json(r#"{"b_std":0.4,"layers":["dense","relu","dense","gelu","dense"]}"#).unwrap();
    let kernel = DenseKernel::new(&net, 7).unwrap();
    let (x, a) = (normals(300, 7, 1), normals(300, 3, 2));
    let with = |threads: usize| {
        let resources = Resources::new(threads).unwrap();
        let gradient = KernelGradient::new(&kernel, KernelKind::Ntk, x.as_ref(), a.as_ref(), &resources).unwrap();
        let alone = gradient.at(x.as_ref().select_rows(&[211]).as_ref(), &resources).unwrap();
        (gradient.at(x.as_ref(), &resources).unwrap(), gradient.outer_product(x.as_ref(), &resources).unwrap(), alone)
    };
    let (one, three) = (with(1), with(3));
    assert_eq!(one, three);
    for k in 0..3 {
        assert_eq!(one.2[k].row(0), one.0[k].row(211));
    }
}

#[test]
fn outer_products_are_those_of_the_gradients() {
    let net = Net::parse("fc-relu-2").unwrap();
    let kernel = DenseKernel::new(&net, 5).unwrap();
    let resources = Resources::new(2).unwrap();
    let (x, y, a) = (normals(140, 5, 1), normals(60, 5, 2), normals(60, 2, 3));
    let gradient = KernelGradient::new(&kernel, KernelKind::Nngp, y.as_ref(), a.as_ref(), &resources).unwrap();
    let all = gradient.at(x.as_ref(), &resources).unwrap();
    let g = gradient.outer_product(x.as_ref(), &resources).unwrap();
    let squares = gradient.squares(x.as_ref(), &resources).unwrap();
    for i in 0..5 {
        for j in 0..5 {
            let sum: f64 = all.iter().map(|f| (0..140).map(|r| f[(r, i)] * f[(r, j)]).sum::<f64>()).sum();
            assert!((g[(i, j)] - sum / 140.0).abs() < 1e-12 * g[(0, 0)]);
        }
        assert!((squares[i] - g[(i, i)]).abs() < 1e-12 * g[(i, i)]);
    }
}

#[test]
fn quadrature_is_refused_by_the_name_of_its_layer() {
    let net = Net::from_json(r#"{"layers":["dense",{"tanh":{"dual":{"quadrature":9}}},"dense"]}"#).unwrap();
    let kernel = DenseKernel::new(&net, 2).unwrap();
    let (x, a) = (normals(3, 2, 1), normals(3, 1, 2));
    let error = KernelGradient::new(&kernel, KernelKind::Nngp, x.as_ref(), a.as_ref(), &Resources::new(1).unwrap());
    assert!(matches!(error, Err(Error::Unsupported { at, .. }) if at.contains("layers[1]")));
}
