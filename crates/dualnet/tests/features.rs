//! Random and arc-cosine features: against plain loops, their expectations, scales learnt from data, the same bits
//! everywhere, hostile input.
#![allow(clippy::unwrap_used, clippy::panic)]

mod conforms;

use conforms::{conforms, normals};
use dualnet::activation::Activation;
use dualnet::dual::quadrature_rule::Rule;
use dualnet::features::{
    ArcCosine, ArcCosineFeatures, ArcCosineOptions, FeatureMap, RandomFeatures, RandomOptions, ScaleTo, Scaling,
    transform,
};
use dualnet::simd::{Isa, Real};
use dualnet::transform::ProjectionKind;
use dualnet::{Error, Mat, Resources, Result};
use proptest::prelude::*;
use std::f64::consts::PI;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Mean of Phi(x) . Phi(y) over `seeds` draws within four standard errors of what is expected, for all pairs of `x`.
fn unbiased(
    name: &str,
    seeds: u64,
    x: &Mat<f64>,
    draw: impl Fn(&Resources) -> Box<dyn FeatureMap<f64>>,
    expected: impl Fn(&[f64], &[f64]) -> f64,
) {
    let base = Resources::new(1).unwrap();
    let n = x.rows();
    let (mut sum, mut squares) = (vec![0.0; n * n], vec![0.0; n * n]);
    for seed in 0..seeds {
        let resources = base.clone().with_seed(seed);
        let f = transform(draw(&resources).as_ref(), x.as_ref(), &resources).unwrap();
        for i in 0..n {
            for j in 0..n {
                let estimate = dot(f.row(i), f.row(j));
                sum[i * n + j] += estimate;
                squares[i * n + j] += estimate * estimate;
            }
        }
    }
    let count = seeds as f64;
    for i in 0..n {
        for j in 0..n {
            let mean = sum[i * n + j] / count;
            let error = ((squares[i * n + j] / count - mean * mean) / (count - 1.0)).max(0.0).sqrt();
            let truth = expected(x.row(i), x.row(j));
            assert!((mean - truth).abs() <= 4.0 * error + 1e-14, "{name} {i} {j}: {mean} {truth} +- {error}");
        }
    }
}

#[test]
fn random_features_average_to_the_dual() {
    let x = normals(3, 4, 1);
    let options = RandomOptions { scale: 0.7, bias_std: 0.4, ..RandomOptions::default() };
    let list = [
        Activation::Relu,
        Activation::Gelu,
        Activation::Tanh,
        Activation::Rbf { gamma: 0.5 },
        Activation::Sign,
        Activation::Polynomial { coefficients: vec![0.5, 1.0, -0.3] },
    ];
    for activation in list {
        let resources = Resources::new(1).unwrap();
        let map = RandomFeatures::<f64>::draw(activation.clone(), 4, 1, &options, &resources).unwrap();
        unbiased(
            activation.name(),
            1000,
            &x,
            |r| Box::new(RandomFeatures::draw(activation.clone(), 4, 8, &options, r).unwrap()),
            |x, y| map.expected(x, y).unwrap(),
        );
    }
}

#[test]
fn arc_cosine_features_average_to_their_kernels() {
    let x = normals(3, 4, 2);
    let scaling = Scaling::learn(x.as_ref(), ScaleTo::UnitColumns).unwrap();
    let list = [
        ArcCosine::Step,
        ArcCosine::Relu,
        ArcCosine::SquaredRelu,
        ArcCosine::Threshold(0.6),
        ArcCosine::Threshold(-1.0),
    ];
    for function in list {
        let options = ArcCosineOptions { scaling: scaling.clone(), bias_std: 0.5, ..ArcCosineOptions::default() };
        let resources = Resources::new(1).unwrap();
        let map = ArcCosineFeatures::<f64>::draw(function, 4, 1, options.clone(), &resources).unwrap();
        unbiased(
            &format!("{function:?}"),
            1000,
            &x,
            |r| Box::new(ArcCosineFeatures::draw(function, 4, 8, options.clone(), r).unwrap()),
            |x, y| map.expected(x, y).unwrap(),
        );
    }
}

/// Cho and Saul's formulas, halved, where the angle is nowhere near 0 or pi.
#[test]
fn expectations_are_the_published_formulas() {
    let x = normals(6, 3, 3);
    for i in 0..6 {
        for j in (0..6).filter(|&j| j != i) {
            let (a, b) = (x.row(i), x.row(j));
            let r = (dot(a, a) * dot(b, b)).sqrt();
            let t = (dot(a, b) / r).acos();
            let near = |function: ArcCosine, truth: f64| {
                let found = function.expected(a, b).unwrap();
                assert!((found - truth).abs() < 1e-13 * (1.0 + truth.abs()), "{function:?} {i} {j}: {found} {truth}");
            };
            near(ArcCosine::Step, (PI - t) / (2.0 * PI));
            near(ArcCosine::Relu, r * (t.sin() + (PI - t) * t.cos()) / (2.0 * PI));
            let order2 = 3.0 * t.sin() * t.cos() + (PI - t) * (1.0 + 2.0 * t.cos().powi(2));
            near(ArcCosine::SquaredRelu, r * r * order2 / (2.0 * PI));
        }
    }
}

/// E max(s z, c) max(t (rho z + sqrt(1 - rho^2) z'), c): the inner mean in closed form, the outer on 1,600 panels.
fn slow_threshold(c: f64, s: f64, t: f64, rho: f64) -> f64 {
    let inner = |mean: f64, std: f64| {
        let h = (mean - c) / std;
        let below = 0.5 * (1.0 + Real::erf(h / 2f64.sqrt()));
        c + (mean - c) * below + std * (-0.5 * h * h).exp() / (2.0 * PI).sqrt()
    };
    let rule = Rule::gauss_legendre(24);
    let kink = (c / s).clamp(-13.0, 13.0);
    let mut sum = 0.0;
    for (from, to) in [(-13.0, kink), (kink, 13.0)] {
        let half = (to - from) / 1600.0;
        for panel in 0..800 {
            let middle = from + half * f64::from(2 * panel + 1);
            for (x, w) in rule.nodes.iter().zip(&rule.weights) {
                let z = middle + half * x;
                let weight = w * half * (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
                sum += weight * (s * z).max(c) * inner(t * rho * z, t * (1.0 - rho * rho).sqrt());
            }
        }
    }
    sum
}

#[test]
fn thresholds_have_the_expectation_of_two_dimensional_quadrature() {
    for c in [-5.0, -1.0, -0.2, 1e-9, 0.5, 2.0, 5.0] {
        for (s, t) in [(1.0, 1.0), (0.5, 3.0), (2.0, 1.9)] {
            for rho in [-0.9999, -0.9, -0.3, 0.0, 0.2, 0.8, 0.999, 0.999_999] {
                let root = f64::sqrt(1.0 - rho * rho);
                let found = ArcCosine::Threshold(c).expected(&[s, 0.0], &[t * rho, t * root]).unwrap();
                let truth = slow_threshold(c, s, t, rho);
                // The oracle itself knows no better than this near |rho| = 1.
                let error = (found - truth).abs() / truth.abs().max(1e-3);
                assert!(error < 2e-12, "{c} {s} {t} {rho}: {found} {truth} {error:e}");
            }
        }
    }
    // Zero inputs: max(0, c) times the mean of the other.
    let zero = ArcCosine::Threshold(2.0).expected(&[0.0], &[0.0]).unwrap();
    assert!((zero - 4.0).abs() < 1e-15);
    let gone = ArcCosine::Threshold(-1.0).expected(&[0.0], &[3.0]).unwrap();
    assert_eq!(gone, 0.0);
}

/// Several panels, the last of them and its last register short; biases; every instruction set.
#[test]
fn features_are_those_of_plain_loops() -> Result<()> {
    let (d, m, n) = (7, 603, 130);
    let (x, g, b) = (normals(n, d, 4), normals(m, d, 5), normals(1, m, 6));
    let options = RandomOptions { scale: 0.3, bias_std: 0.2, ..RandomOptions::default() };
    for activation in Activation::examples() {
        if activation.phi(0.0f64).is_none() {
            continue;
        }
        let map = RandomFeatures::with_rows(activation.clone(), g.clone(), b.as_slice(), &options)?;
        for isa in Isa::available() {
            let f = transform(&map, x.as_ref(), &Resources::new(1)?.with_isa(isa))?;
            for i in 0..n {
                for j in 0..m {
                    let z = 0.3 * dot(x.row(i), g.row(j)) + 0.2 * b[(0, j)];
                    let truth = activation.phi(z).unwrap() / (m as f64).sqrt();
                    let error = (f[(i, j)] - truth).abs();
                    assert!(error <= 1e-13 * (1.0 + truth.abs()), "{} {isa:?} {i} {j}", activation.name());
                }
            }
        }
    }
    Ok(())
}

#[test]
fn single_precision_is_near_double() -> Result<()> {
    let (x, g) = (normals(140, 20, 7), normals(1100, 20, 8));
    let single = |a: &Mat<f64>| Mat::from_fn(a.rows(), a.cols(), |i, j| a[(i, j)] as f32);
    let options = RandomOptions::default();
    let resources = Resources::new(1)?;
    for activation in [Activation::Relu, Activation::Tanh, Activation::Rbf { gamma: 0.1 }, Activation::Gelu] {
        let wide = RandomFeatures::with_rows(activation.clone(), g.clone(), &[], &options)?;
        let narrow = RandomFeatures::with_rows(activation, single(&g), &[], &options)?;
        let wide = transform(&wide, x.as_ref(), &resources)?;
        let narrow = transform(&narrow, single(&x).as_ref(), &resources)?;
        for (a, b) in wide.as_slice().iter().zip(narrow.as_slice()) {
            assert!((a - f64::from(*b)).abs() < 2e-6, "{a} {b}");
        }
    }
    Ok(())
}

#[test]
fn maps_conform() -> Result<()> {
    let resources = Resources::new(1)?.with_seed(9);
    let scaling = Scaling::Columns((0..11).map(|j| 0.5 + j as f64 / 7.0).collect());
    let options = RandomOptions { bias_std: 0.3, layer: 2, ..RandomOptions::default() };
    let arc = ArcCosineOptions { scaling, ..ArcCosineOptions::default() };
    conforms(&RandomFeatures::<f64>::draw(Activation::Rbf { gamma: 1.0 }, 11, 530, &options, &resources)?);
    conforms(&RandomFeatures::<f32>::draw(Activation::Relu, 200, 1025, &options, &resources)?);
    conforms(&RandomFeatures::<f32>::draw(Activation::Tanh, 1, 1, &options, &resources)?);
    for projection in [ProjectionKind::Orthogonal, ProjectionKind::Structured] {
        let options = RandomOptions { projection, ..options };
        conforms(&RandomFeatures::<f32>::draw(Activation::Relu, 100, 330, &options, &resources)?);
    }
    conforms(&ArcCosineFeatures::<f64>::draw(ArcCosine::SquaredRelu, 11, 37, arc.clone(), &resources)?);
    conforms(&ArcCosineFeatures::<f32>::draw(ArcCosine::Threshold(-0.5), 11, 700, arc, &resources)?);
    Ok(())
}

/// Layers and seeds have draws of their own; more features begin with the same ones.
#[test]
fn draws_belong_to_seed_and_layer() -> Result<()> {
    let x = normals(5, 6, 10);
    let resources = Resources::new(1)?.with_seed(1);
    let features = |m: usize, layer: u32, seed: u64| {
        let (resources, options) = (resources.clone().with_seed(seed), RandomOptions { layer, ..Default::default() });
        let map = RandomFeatures::<f64>::draw(Activation::Relu, 6, m, &options, &resources).unwrap();
        transform(&map, x.as_ref(), &resources).unwrap()
    };
    let (few, many) = (features(8, 0, 1), features(32, 0, 1));
    for i in 0..5 {
        for j in 0..8 {
            assert!((few[(i, j)] - 2.0 * many[(i, j)]).abs() < 1e-14);
        }
    }
    assert_ne!(few, features(8, 1, 1));
    assert_ne!(few, features(8, 0, 2));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn learnt_scales_do_what_they_say(n in 1usize..20, d in 1usize..8, seed in 0u64..1000, power in -150i32..150) {
        let size = 10f64.powi(power);
        let x = normals(n, d, seed);
        let x = Mat::from_fn(n, d, |i, j| x[(i, j)] * size * (j as f64 + 0.1));
        let mean_square = |scaling: &Scaling, columns: std::ops::Range<usize>| {
            let square = |i: usize, j: usize| (x[(i, j)] * scaling.factor(j)).powi(2);
            (0..n).map(|i| columns.clone().map(|j| square(i, j)).sum::<f64>()).sum::<f64>() / n as f64
        };
        let unit = Scaling::learn(x.as_ref(), ScaleTo::Unit).unwrap();
        prop_assert!((mean_square(&unit, 0..d) - 1.0).abs() < 1e-12);
        let dimension = Scaling::learn(x.as_ref(), ScaleTo::Dimension).unwrap();
        prop_assert!((mean_square(&dimension, 0..d) / d as f64 - 1.0).abs() < 1e-12);
        let columns = Scaling::learn(x.as_ref(), ScaleTo::UnitColumns).unwrap();
        for j in 0..d {
            prop_assert!((mean_square(&columns, j..j + 1) - 1.0).abs() < 1e-12);
        }
        let saved = serde_json::to_string(&columns).unwrap();
        prop_assert_eq!(serde_json::from_str::<Scaling>(&saved).unwrap(), columns);
    }
}

#[test]
fn hostile_arguments_are_refused() -> Result<()> {
    let resources = Resources::new(1)?;
    let draw =
        |activation, d, m, options| RandomFeatures::<f32>::draw(activation, d, m, &options, &resources).map(drop);
    let usual = RandomOptions::default();
    assert!(matches!(draw(Activation::Relu, 0, 5, usual), Err(Error::Invalid { .. })));
    assert!(matches!(draw(Activation::Relu, 5, 0, usual), Err(Error::Invalid { .. })));
    assert!(matches!(draw(Activation::Hermite { degree: 2 }, 5, 5, usual), Err(Error::Unsupported { .. })));
    for scale in [f64::NAN, f64::INFINITY, 1e300] {
        assert!(matches!(draw(Activation::Relu, 5, 5, RandomOptions { scale, ..usual }), Err(Error::Invalid { .. })));
    }
    for bias_std in [f64::NAN, f64::INFINITY] {
        let found = draw(Activation::Relu, 5, 5, RandomOptions { bias_std, ..usual });
        assert!(matches!(found, Err(Error::Invalid { .. })));
    }
    let found = draw(Activation::Relu, 5, 5, RandomOptions { layer: u32::MAX, ..usual });
    assert!(matches!(found, Err(Error::Invalid { .. })));
    let rows = Mat::from_fn(3, 2, |_, _| 1.0);
    let given = |b: &[f64]| RandomFeatures::with_rows(Activation::Relu, rows.clone(), b, &usual).map(drop);
    assert!(matches!(given(&[1.0]), Err(Error::Shape { .. })));
    let arc = |scaling| {
        let options = ArcCosineOptions { scaling, ..ArcCosineOptions::default() };
        ArcCosineFeatures::<f64>::draw(ArcCosine::Relu, 2, 3, options, &resources).map(drop)
    };
    assert!(matches!(arc(Scaling::Columns(vec![1.0])), Err(Error::Shape { .. })));
    assert!(matches!(arc(Scaling::Number(f64::NAN)), Err(Error::Invalid { .. })));
    let broken = Mat::from_vec(2, 1, vec![1.0, f64::NAN])?;
    let found = Scaling::learn(broken.as_ref(), ScaleTo::Unit);
    assert!(matches!(found, Err(Error::NonFinite { row: 1, column: 0, .. })));
    assert!(ArcCosine::Threshold(f64::NAN).expected(&[1.0], &[1.0]).is_err());
    assert!(ArcCosine::Relu.expected(&[1.0, 2.0], &[1.0]).is_err());
    Ok(())
}

/// tanh, max and sign of an infinity or a NaN are finite numbers: the argument itself has to be looked at.
#[test]
fn arguments_out_of_range_are_named() -> Result<()> {
    let resources = Resources::new(1)?;
    let mut rows = Mat::from_fn(400, 2, |_, _| 1.0);
    (rows[(300, 0)], rows[(300, 1)]) = (1e200, 1e200);
    for (a, b) in [(1e200, 0.0), (1e200, -1e200)] {
        let mut x = Mat::from_fn(200, 2, |_, _| 1.0);
        (x[(150, 0)], x[(150, 1)]) = (a, b);
        for activation in [Activation::Tanh, Activation::Relu, Activation::Sign] {
            let map = RandomFeatures::with_rows(activation, rows.clone(), &[], &RandomOptions::default())?;
            match transform(&map, x.as_ref(), &resources) {
                Err(Error::Overflow { row: 150, column: 300, .. }) => {}
                other => panic!("{:?}", other.map(drop)),
            }
        }
    }
    Ok(())
}
