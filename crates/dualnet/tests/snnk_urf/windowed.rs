//! Series on a window, and their features.

use crate::shared::{dot, estimate, normals};
use dualnet::Mat;
use dualnet::activation::Activation;
use dualnet::features::FeatureMap;
use dualnet::resources::Resources;
use dualnet::snnk::urf::windowed::window;
use dualnet::snnk::urf::{Allocation, Estimator, Series, Split, UrfOptions, WindowedMap};

const ERF: Activation = Activation::Erf { a: 1.0, b: 1.0, c: 0.0 };

#[test]
fn series_are_the_activation_within_their_error() {
    use Activation::*;
    for activation in [Relu, Gelu, Tanh, Softplus, Silu, ERF, Sigmoid, Elu { alpha: 1.0 }, Mish, GeluTanh, Abs] {
        for (period, harmonics) in [(3.0, 4), (10.0, 30), (25.0, 200)] {
            let series = Series::of(&activation, period, harmonics).unwrap();
            let (mut largest, mut squares, n) = (0.0, 0.0, 9973);
            for i in 0..n {
                let z = period * ((i as f64 + 0.5) / f64::from(n) - 0.5);
                let gap = (activation.phi(z).unwrap() - series.value(z)).abs();
                largest = f64::max(largest, gap);
                squares += gap * gap;
            }
            let (said, rms) = (series.truncation(), (squares / f64::from(n)).sqrt());
            assert!(largest <= 1.01 * said.largest + 1e-12, "{} {period}: {largest} {said:?}", activation.name());
            assert!((rms - said.rms).abs() <= 0.1 * said.rms + 1e-12, "{}: {rms} {said:?}", activation.name());
        }
    }
}

/// |z|/2 = P/8 - (P / pi^2) sum over odd j of cos(omega_j z) / j^2.
#[test]
fn coefficients_of_relu() {
    let (pi, period) = (std::f64::consts::PI, 5.0);
    let series = Series::of(&Activation::Relu, period, 21).unwrap();
    assert!((series.constant() - period / 8.0).abs() < 1e-12);
    for (index, &(re, im)) in series.coefficients().iter().enumerate() {
        let j = (index + 1) as f64;
        let expected = if index % 2 == 0 { -period / (pi * j).powi(2) } else { 0.0 };
        assert!((re - expected).abs() < 1e-12 && im == 0.0, "{index}: {re} {im}");
    }
}

/// The error falls like 1/J where the continuation has a kink, and exponentially where it is smooth.
#[test]
fn series_converge() {
    let error = |a: &Activation, j| Series::of(a, 12.0, j).unwrap().truncation().largest;
    for activation in [Activation::Relu, Activation::Gelu, Activation::Silu, Activation::Softplus] {
        let ratio = error(&activation, 40) / error(&activation, 80);
        assert!((1.8..2.2).contains(&ratio), "{}: {ratio}", activation.name());
    }
    // tanh'' at the ends of the window, and with it the jump there, is 1e-4.
    assert!(error(&Activation::Tanh, 8) < 2e-2 && error(&Activation::Tanh, 40) < 1e-6);
    assert!(error(&ERF, 40) < 1e-9);
}

#[test]
fn what_has_no_series_says_so() {
    let text = |a: &Activation, period, harmonics| Series::of(a, period, harmonics).unwrap_err().to_string();
    assert!(text(&Activation::Hermite { degree: 3 }, 4.0, 4).contains("a kernel without a function"));
    assert!(text(&Activation::Exp { a: 1.0, b: 1.0 }, 2000.0, 4).contains("finite at 1000"));
    assert!(text(&Activation::Gaussian { a: 1.0, b: -1e4 }, 4.0, 4).contains("settle"));
    for (period, harmonics) in [(0.0, 4), (f64::NAN, 4), (1e5, 4), (4.0, 0), (4.0, 2000)] {
        assert!(text(&Activation::Relu, period, harmonics).contains("window"));
    }
    for activation in Activation::examples() {
        match Series::of(&activation, 6.0, 12) {
            Ok(series) => assert!(series.truncation().largest.is_finite(), "{}", activation.name()),
            Err(_) => assert!(activation.phi(0.5).is_none(), "{}", activation.name()),
        }
    }
}

/// The mean over 1,000 seeds is the series (not the activation), within four standard errors; for both ways to share draws.
#[test]
fn features_are_unbiased_for_the_series() {
    let resources = Resources::new(1).unwrap();
    let (x, w, b) = (normals(4, 3, 0.25, 1), normals(3, 3, 0.25, 2), [0.3, -0.5, 0.1]);
    for activation in [Activation::Relu, Activation::Gelu, Activation::Tanh, Activation::Sigmoid] {
        for allocation in [Allocation::Coefficients, Allocation::Norms { input: 0.4, weight: 0.4 }] {
            let series = Series::of(&activation, 4.0, 5).unwrap();
            let (mut sums, mut squares) = (vec![0.0; 12], vec![0.0; 12]);
            for seed in 0..1000 {
                let resources = resources.clone().with_seed(seed);
                let estimator = Estimator { split: Split::Balanced, damping: -0.02 };
                let options = UrfOptions { estimator, ..UrfOptions::default() };
                let map = WindowedMap::<f64>::draw(series.clone(), 24, 3, allocation, options, &resources).unwrap();
                let found = estimate(&map, x.as_ref(), w.as_ref(), &b, &resources);
                for at in 0..12 {
                    let (i, k) = (at / 3, at % 3);
                    let gap = found[(i, k)] - series.value(dot(x.row(i), w.row(k)) + b[k]);
                    sums[at] += gap;
                    squares[at] += gap * gap;
                }
            }
            for (sum, square) in sums.iter().zip(&squares) {
                let error = (square / 1000.0).sqrt() / 1000f64.sqrt();
                assert!((sum / 1000.0).abs() < 4.0 * error, "{}: {sum} {error}", activation.name());
            }
        }
    }
}

/// A map fitted to a layer: its error on the samples is near, and at most twice, the predicted one.
#[test]
fn fitted_maps_keep_their_promise() {
    let resources = Resources::new(1).unwrap();
    let (x, w) = (normals(200, 4, 0.25, 1), normals(10, 4, 0.25, 2));
    let b: Vec<f64> = (0..10).map(|k| f64::from(k) / 5.0 - 1.0).collect();
    for activation in [Activation::Relu, Activation::Gelu, Activation::Tanh, Activation::Softplus, Activation::Silu] {
        let options = UrfOptions::default();
        let map = WindowedMap::fit(&activation, x.as_ref(), w.as_ref(), &b, 4096, 1.25, options, &resources).unwrap();
        let found = estimate(&map, x.as_ref(), w.as_ref(), &b, &resources);
        let mut squares = 0.0;
        for (i, k) in (0..200).flat_map(|i| (0..10).map(move |k| (i, k))) {
            let z = dot(x.row(i), w.row(k)) + b[k];
            assert!(z.abs() <= map.series().period() / 2.5 + 1e-12);
            squares += (found[(i, k)] - activation.phi(z).unwrap()).powi(2);
        }
        let (rms, said) = ((squares / 2000.0).sqrt(), map.predicted_error(0.5, 0.5));
        println!(
            "{}: P {:.2}, {} harmonics, rms error {rms:.4}, predicted {said:.4}, truncation {:?}",
            activation.name(),
            map.series().period(),
            map.series().coefficients().len(),
            map.series().truncation()
        );
        assert!(rms < 2.0 * said, "{}: {rms} {said}", activation.name());
        assert!(rms < 0.03, "{}: {rms}", activation.name());
    }
}

/// No harmonics: linear activations are exact for all inputs.
#[test]
fn linear_activations_are_exact() {
    let resources = Resources::new(1).unwrap();
    let (x, w) = (normals(5, 3, 10.0, 1), normals(4, 3, 10.0, 2));
    let b = [1.0, -2.0, 0.0, 5.0];
    let series = Series::of(&Activation::Identity, 3.0, 9).unwrap();
    assert!(series.coefficients().iter().all(|&c| c == (0.0, 0.0)) && series.truncation().largest < 1e-12);
    let options = UrfOptions { form: dualnet::snnk::urf::Form::Bounded, ..UrfOptions::default() };
    let map = WindowedMap::<f64>::draw(series, 6, 3, Allocation::Coefficients, options, &resources).unwrap();
    assert_eq!(map.dim(), 16);
    let found = estimate(&map, x.as_ref(), w.as_ref(), &b, &resources);
    for (i, k) in (0..5).flat_map(|i| (0..4).map(move |k| (i, k))) {
        assert!((found[(i, k)] - dot(x.row(i), w.row(k)) - b[k]).abs() < 1e-9);
    }
}

#[test]
fn windows_come_from_the_data() {
    let resources = Resources::new(1).unwrap();
    let (x, w) = (normals(300, 3, 1.0, 1), normals(7, 3, 1.0, 2));
    let b: Vec<f64> = (0..7).map(f64::from).collect();
    let mut largest = 0.0;
    for (i, k) in (0..300).flat_map(|i| (0..7).map(move |k| (i, k))) {
        largest = f64::max(largest, (dot(x.row(i), w.row(k)) + b[k]).abs());
    }
    let found = window(x.as_ref(), w.as_ref(), &b, 1.5, &resources).unwrap();
    assert!((found - 3.0 * largest).abs() < 1e-12 * found);
    assert!(window(x.as_ref(), w.as_ref(), &b, 0.5, &resources).is_err());
    assert!(window(x.as_ref(), w.as_ref(), &b[1..], 1.5, &resources).is_err());
    assert!(window(Mat::<f64>::zeros(0, 3).as_ref(), w.as_ref(), &b, 1.5, &resources).is_err());
    let huge = Mat::from_fn(1, 3, |_, _| 1e200);
    let error = window(huge.as_ref(), huge.as_ref(), &[], 1.5, &resources).unwrap_err();
    assert!(error.to_string().contains("range of f64"), "{error}");
    assert!(
        WindowedMap::fit(&Activation::Relu, x.as_ref(), w.as_ref(), &b, 0, 1.5, UrfOptions::default(), &resources)
            .is_err()
    );
}

/// Fewer draws than harmonics: an error; exactly as many: one each.
#[test]
fn every_harmonic_gets_a_draw() {
    let resources = Resources::new(1).unwrap();
    let series = Series::of(&Activation::Relu, 4.0, 9).unwrap();
    let draw = |m| {
        let options = UrfOptions::default();
        WindowedMap::<f64>::draw(series.clone(), m, 2, Allocation::Coefficients, options, &resources)
    };
    assert!(draw(4).is_err());
    let mut seen = draw(5).unwrap().harmonics().frequencies().to_vec();
    seen.dedup();
    assert_eq!(seen.len(), 5);
    let map = draw(100).unwrap();
    assert_eq!((map.dim(), map.harmonics().features()), (203, 100));
}
