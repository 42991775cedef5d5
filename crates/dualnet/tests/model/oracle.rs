//! Leave-one-out errors of an independent implementation, on the tables of the repository.
//!
//! That one centres targets by the mean of all rows, this one by the mean of the rows left: relative differences up to 3e-6 for
//! classes (with the mean of all rows the errors agree to all ten digits known), a few 1e-8 for numbers.

use crate::data::{numbers, table, words};
use dualnet::Resources;
use dualnet::model::{
    Encoding, FitOptions, Frame, KernelChoice, KernelKind, NetChoice, Target, Values, candidates, fit,
};

/// Every candidate's error, in the order of the nets: fc-relu-1, fc-relu-2, fc-relu-4, fc-gelu-3.
fn errors(frame: &Frame, target: &Target, encoding: Encoding) -> Vec<(f64, f64)> {
    let options = FitOptions { encodings: vec![encoding], all_rows: 2000, ..FitOptions::default() };
    let model = fit(frame, target, &options, &Resources::new(2).unwrap()).unwrap();
    let tried = &model.report().candidates;
    ["fc-relu-1", "fc-relu-2", "fc-relu-4", "fc-gelu-3"]
        .iter()
        .map(|name| tried.iter().find(|t| t.net.starts_with(name)).map(|t| (t.loo_mse, t.lambda)).unwrap())
        .collect()
}

fn check(found: &[(f64, f64)], expected: &[(f64, f64)], tolerance: f64) {
    for ((mse, lambda), (expected, at)) in found.iter().zip(expected) {
        let error = mse / expected - 1.0;
        assert!(error.abs() < tolerance && (lambda / at - 1.0).abs() < 1e-9, "{mse} {expected} {error:e} {lambda:e}");
    }
}

#[test]
fn airfoil() {
    let (frame, last) = table("airfoil.csv");
    let y: Vec<f64> = last.iter().map(|y| y.parse().unwrap()).collect();
    let target = Target::from_columns(&[numbers("y", &y)], None).unwrap();
    let plain = [(0.026270322, 1e-7), (0.035671433, 1e-8), (0.035967806, 1e-8), (0.063056118, 1e-5)];
    check(&errors(&frame, &target, Encoding::Plain), &plain, 1e-6);
    let binned = [(0.050105863, 1e-8), (0.058790361, 1e-8), (0.063336532, 1e-8), (0.048036634, 1e-8)];
    check(&errors(&frame, &target, Encoding::Binned), &binned, 1e-6);
}

#[test]
fn digits() {
    let (frame, last) = table("digits.csv");
    let last: Vec<&str> = last.iter().map(String::as_str).collect();
    let target = Target::from_columns(&[words("digit", &last)], None).unwrap();
    assert!(frame.columns().iter().all(|c| matches!(c.values, Values::Numbers(_))));
    // One net of the four: the others take seconds each.
    let net = candidates(&NetChoice::Auto, KernelChoice::Auto, &[Encoding::Plain]).unwrap().swap_remove(3).net;
    for (encoding, expected) in [(Encoding::Plain, 0.0049807934), (Encoding::Binned, 0.008917253)] {
        let options = FitOptions {
            net: NetChoice::Net(net.clone()),
            kernel: KernelChoice::Kind(KernelKind::Nngp),
            encodings: vec![encoding],
            all_rows: 2000,
            ..FitOptions::default()
        };
        let model = fit(&frame, &target, &options, &Resources::new(2).unwrap()).unwrap();
        check(&[(model.report().candidates[0].loo_mse, model.report().lambda)], &[(expected, 1e-8)], 3e-6);
        if encoding == Encoding::Plain {
            // Of uncalibrated scores .9905.
            assert!((model.report().loo.as_ref().unwrap().accuracy.unwrap() - 0.9905).abs() < 1.5e-3);
        }
    }
}
