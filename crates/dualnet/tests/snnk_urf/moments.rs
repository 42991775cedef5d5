//! Predicted moments against measured ones, where they are infinite, and the error they lead to.

use crate::shared::{dot, normals};
use dualnet::random::Purpose;
use dualnet::resources::Resources;
use dualnet::snnk::Snnk;
use dualnet::snnk::urf::moment::{check, log_second_moment, second_moment, variance};
use dualnet::snnk::urf::{Estimator, Limit, Spectrum, Split, UrfMap, UrfOptions};
use dualnet::transform::{Projection, ProjectionKind};
use dualnet::{Error, Mat};
use std::f64::consts::TAU;

const COS: Spectrum = Spectrum::Cos { a: 1.0, b: 1.0, c: 0.0 };
const BELL: Spectrum = Spectrum::Gaussian { a: 1.0, b: -0.5 };
const SECH: Spectrum = Spectrum::Sech { a: 1.0, b: 1.0 };

fn estimator(split: Split, damping: f64) -> Estimator {
    Estimator { split, damping }
}

/// Mean and standard error.
fn mean(samples: &[f64]) -> (f64, f64) {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    (mean, (samples.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt())
}

#[test]
fn measured_moments_are_those_predicted() {
    let resources = Resources::new(1).unwrap().with_seed(4);
    let (d, draws) = (3, 200_000);
    let x = normals(2, d, 0.3, 1);
    let w = normals(2, d, 0.3, 2);
    let b = [0.4, -0.9];
    let cases = [
        (Spectrum::Cos { a: 1.3, b: -0.9, c: 0.4 }, estimator(Split::Constant(0.8), -0.05)),
        (Spectrum::Sin { a: 0.7, b: 1.1, c: 0.2 }, estimator(Split::Balanced, -0.03)),
        (BELL, estimator(Split::Constant(0.6), -0.05)),
        (Spectrum::Gaussian { a: 2.0, b: -0.3 }, estimator(Split::Balanced, -0.02)),
        (Spectrum::Sech { a: 1.0, b: 0.5 }, estimator(Split::Balanced, 0.0)),
        (Spectrum::Sech { a: -1.5, b: -0.6 }, estimator(Split::Balanced, -0.03)),
    ];
    for (spectrum, estimator) in cases {
        let options = UrfOptions { estimator, ..UrfOptions::default() };
        let map = UrfMap::<f64>::draw(spectrum, draws, d, options, &resources).unwrap();
        let phi = map.phi_complex(x.as_ref(), &resources).unwrap();
        let psi = map.psi_complex(w.as_ref(), &b, &resources).unwrap();
        for (i, k) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let z = |j: usize| {
                let ((a, b), (u, v)) = ((phi.re[(i, j)], phi.im[(i, j)]), (psi.re[(k, j)], psi.im[(k, j)]));
                let m = draws as f64;
                (m * (a * u - b * v), m * (a * v + b * u))
            };
            let (sizes, reals): (Vec<f64>, Vec<f64>) = (0..draws).map(z).map(|z| (z.0 * z.0 + z.1 * z.1, z.0)).unzip();
            let (found, error) = mean(&sizes);
            let norm = |a: &[f64]| dot(a, a).sqrt();
            let expected = second_moment(&spectrum, estimator, d, norm(x.row(i)), norm(w.row(k)));
            assert!((found - expected).abs() < 4.0 * error, "{spectrum:?} {estimator:?}: {found} {expected} {error}");
            assert!(error < 0.05 * expected, "the measurement says nothing");

            let exact = spectrum.value(dot(x.row(i), w.row(k)) + b[k]);
            let (found, error) = mean(&reals.iter().map(|z| (z - exact).powi(2)).collect::<Vec<_>>());
            let expected = variance(&spectrum, estimator, x.row(i), w.row(k), b[k]);
            assert!((found - expected).abs() < 4.0 * error, "variance {spectrum:?}: {found} {expected} {error}");
        }
    }
}

/// The closed form against the integral over t itself, by midpoints whose error is below (h / 2)^2.
#[test]
fn moments_of_sech_are_the_integral() {
    let balanced = Estimator::default();
    assert!(log_second_moment(&SECH, balanced, 1, 0.0, 0.0).abs() < 1e-14);
    for i in 0..40 {
        let k = f64::from(i) / 40.0 * std::f64::consts::FRAC_PI_2;
        let (steps, end) = (400_000, 60.0 / (std::f64::consts::FRAC_PI_2 - k));
        let h = end / f64::from(steps);
        let term = |i: i32| {
            let t = h * (f64::from(i) + 0.5);
            let e = std::f64::consts::FRAC_PI_2 * t;
            (k * t - e).exp() * 2.0 / (1.0 + (-2.0 * e).exp())
        };
        let integral = h * (0..steps).map(term).sum::<f64>();
        let found = second_moment(&SECH, balanced, 1, k.sqrt(), 0.0);
        assert!((found / integral - 1.0).abs() < 1e-6, "{k}: {found} {integral}");
    }
}

#[test]
fn infinite_where_they_are_infinite() {
    let (constant, balanced) = (estimator(Split::Constant(1.0), 0.0), Estimator::default());
    // Gaussian frequencies, s = 1: finite below |x|^2 = 1/2.
    assert!(second_moment(&BELL, constant, 2, 0.707, 3.0).is_finite());
    assert!(second_moment(&BELL, constant, 2, 0.708, 3.0).is_infinite());
    assert!(second_moment(&BELL, balanced, 2, 5.0, 3.0).is_finite());
    // sech: never with a constant s, balanced for |x|^2 + |w|^2 < pi/2.
    assert!(second_moment(&SECH, constant, 2, 1e-9, 0.1).is_infinite());
    assert!(second_moment(&SECH, constant, 2, 0.0, 0.1).is_finite());
    assert!(second_moment(&SECH, balanced, 2, 1.0, 0.755).is_finite());
    assert!(second_moment(&SECH, balanced, 2, 1.0, 0.756).is_infinite());
    assert!(variance(&SECH, constant, &[0.1], &[0.1], 0.0).is_infinite());
    // Damping widens it on the side of the parameters.
    assert!(second_moment(&SECH, estimator(Split::Balanced, -0.1), 2, 1.0, 0.9).is_finite());
    // Beyond the range of f64 the logarithm still is a number; nothing is ever NaN.
    assert!((log_second_moment(&COS, balanced, 784, 9.2, 28.0) - (9.2f64.powi(2) + 784.0)).abs() < 1e-9);
    for spectrum in [COS, BELL, SECH, Spectrum::Sech { a: 0.0, b: 1.0 }] {
        for norms in [(1e200, 1e200), (f64::INFINITY, 0.0), (f64::NAN, 1.0), (0.0, 0.0)] {
            for estimator in [constant, balanced] {
                assert!(!log_second_moment(&spectrum, estimator, 3, norms.0, norms.1).is_nan());
            }
        }
    }
}

/// The best constant s of cos: s^2 = |w| / (|t| |x|), with exp(2 |t| |x| |w|); and the best damping beats its neighbours.
#[test]
fn optima_are_optima() {
    let (x, w) = (0.5, 1.1);
    let at = |split, damping| second_moment(&COS, estimator(split, damping), 4, x, w);
    let best = at(Split::Constant(f64::sqrt(w / x)), 0.0);
    assert!((best - (2.0 * x * w).exp()).abs() < 1e-12 * best);
    for s in [0.9, 1.1] {
        assert!(at(Split::Constant(s * f64::sqrt(w / x)), 0.0) > best);
    }
    for split in [Split::Constant(0.8), Split::Balanced] {
        let damped = Estimator::damped(split, &COS, 4, w * w).unwrap().damping;
        assert!(damped < -0.01);
        for other in [0.0, 0.9 * damped, 1.1 * damped] {
            assert!(at(split, other) > at(split, damped), "{split:?} {other} {damped}");
        }
    }
}

/// Norms of images: an error that says what it found and what would help, from every door.
#[test]
fn norms_of_images_are_refused() {
    let (x, w) = (normals(3, 784, 9.2 / 28.0, 1), normals(2, 784, 1.0, 2));
    let resources = Resources::new(1).unwrap();
    for spectrum in [COS, BELL, SECH] {
        for split in [Split::Constant(1.0), Split::Balanced] {
            let options = UrfOptions { estimator: estimator(split, 0.0), ..UrfOptions::default() };
            let map = UrfMap::<f64>::draw(spectrum, 64, 784, options, &resources).unwrap();
            let text = map.check(x.as_ref(), w.as_ref(), 0.1).unwrap_err().to_string();
            assert!(text.contains("|x| = 9") && text.contains("|w| = 2") && text.contains("ReLU"), "{text}");
            let text = check(&spectrum, options.estimator, 784, 64, 9.2, 28.0, 0.1).unwrap_err().to_string();
            assert!(text.contains("|x| = 9.2") && text.contains("|w| = 28"), "{text}");
            assert!(text.contains("infinite variance") || text.contains("features would be needed"), "{text}");

            let limit = Limit::Error { error: 0.1, input_norm: 9.2 };
            let map = UrfMap::<f64>::draw(spectrum, 64, 784, UrfOptions { limit, ..options }, &resources).unwrap();
            let text = map.psi(w.as_ref(), &[], &resources).unwrap_err().to_string();
            assert!(text.contains("row 0") && text.contains("scale the norms down"), "{text}");
        }
    }
    // The number of features that it asks for is enough.
    let text = check(&COS, Estimator::default(), 5, 10, 0.6, 0.8, 0.1).unwrap_err().to_string();
    assert!(text.contains("271.828 features"), "{text}");
    assert!(check(&COS, Estimator::default(), 5, 272, 0.6, 0.8, 0.1).is_ok());
    assert!(matches!(check(&COS, Estimator::default(), 5, 10, 0.6, 0.8, f64::NAN), Err(Error::Invalid { .. })));
}

/// Entries beyond the range: an error with the row, on either side, never an infinity.
#[test]
fn overflow_names_the_row() {
    let resources = Resources::new(1).unwrap();
    let map = UrfMap::<f32>::draw(COS, 16, 2, UrfOptions::default(), &resources).unwrap();
    let mut x = Mat::<f32>::zeros(200, 2);
    x.row_mut(150)[1] = 40.0;
    match dualnet::features::transform(&map, x.as_ref(), &resources) {
        Err(Error::Overflow { row: 150, precision: "f32", .. }) => {}
        other => panic!("{:?}", other.is_ok()),
    }
    // e^(g.w - |w|^2/2) can only vanish.
    match map.psi(x.as_ref(), &[], &resources) {
        Err(Error::Invalid { what, .. }) => assert!(what.contains("row 150"), "{what}"),
        other => panic!("{:?}", other.is_ok()),
    }
    let loud = Spectrum::Cos { a: 3e38, b: 1.0, c: 0.0 };
    // The exponent of Psi is largest for w = g / 2.
    let g = Projection::<f32>::draw(ProjectionKind::Gaussian, 1, 2, Purpose::PROJECTION, &resources).unwrap().to_mat();
    x.row_mut(150).iter_mut().zip(g.row(0)).for_each(|(x, g)| *x = 2.0 * g);
    let loud = UrfMap::given(loud, &[1.0 / TAU], Mat::from_fn(1, 2, |_, j| 4.0 * g[(0, j)]), UrfOptions::default());
    match loud.unwrap().psi(x.as_ref(), &[], &resources) {
        Err(Error::Overflow { row: 150, at, .. }) => assert!(at.contains("Psi"), "{at}"),
        other => panic!("{:?}", other.is_ok()),
    }
}
