//! What a fit does with tables of all kinds.

use crate::data::{Random, column, frame, numbers, one, single, thirds, wave, words};
use dualnet::kernel::{DenseKernel, Get};
use dualnet::linalg::Cholesky;
use dualnet::model::{
    Encoding, FitOptions, Frame, Model, NetChoice, Prediction, Preprocess, Target, Values, fit, plan,
};
use dualnet::{Mat, Resources};

fn values(model: &Model, frame: &Frame) -> Mat<f64> {
    match model.predict(frame, None, &one()).unwrap() {
        Prediction::Numbers { values, .. } => values,
        Prediction::Classes { probabilities, .. } => probabilities,
    }
}

fn finite(matrix: &Mat<f64>) -> bool {
    matrix.as_slice().iter().all(|x| x.is_finite())
}

fn regression(y: &[f64]) -> Target {
    Target::from_columns(&[numbers("y", y)], Some(dualnet::model::Task::Regression)).unwrap()
}

fn classes(words_: &[&str]) -> Target {
    Target::from_columns(&[words("kind", words_)], None).unwrap()
}

/// Predictions of row i by Cholesky of all other rows at one lambda, targets centred without row i.
fn refit_without(i: usize, k: &Mat<f64>, y: &Mat<f64>, lambda: f64) -> Vec<f64> {
    let rest: Vec<usize> = (0..k.rows()).filter(|&r| r != i).collect();
    let n = rest.len();
    let mean: Vec<f64> = (0..y.cols()).map(|j| rest.iter().map(|&r| y[(r, j)]).sum::<f64>() / n as f64).collect();
    let a = Mat::from_fn(n, n, |r, c| k[(rest[r], rest[c])] + if r == c { lambda } else { 0.0 });
    let b = Mat::from_fn(n, y.cols(), |r, j| y[(rest[r], j)] - mean[j]);
    let alpha = Cholesky::new(a, "K", &one()).unwrap().solve(b.as_ref(), &one()).unwrap();
    (0..y.cols()).map(|j| mean[j] + (0..n).map(|r| k[(i, rest[r])] * alpha[(r, j)]).sum::<f64>()).collect()
}

/// Leave-one-out predictions by n refits with the preprocessing of all rows.
fn by_refits(x: &Frame, y: &Mat<f64>, lambda: f64) -> Mat<f64> {
    let NetChoice::Net(net) = single().net else { unreachable!("a net") };
    let z = Preprocess::learn(x, Encoding::Plain).unwrap().apply(x).unwrap();
    let kernel = DenseKernel::new(&net, z.cols()).unwrap();
    let k = kernel.gram(z.as_ref(), Get::Nngp, &one()).unwrap().nngp.unwrap();
    let mean = (0..k.rows()).map(|i| k[(i, i)]).sum::<f64>() / k.rows() as f64;
    let rows: Vec<Vec<f64>> = (0..k.rows()).map(|i| refit_without(i, &k, y, lambda * mean)).collect();
    Mat::from_fn(k.rows(), y.cols(), |i, j| rows[i][j])
}

#[test]
fn leave_one_out_is_a_refit_of_everything_but_one_row() {
    let x = frame(25, 3, 11);
    let target = wave(&x, 0.2, 11);
    let Target::Numbers { values: y, .. } = &target else { unreachable!("numbers") };
    let lambda = 1e-2;
    let report = fit(&x, &target, &FitOptions { lambdas: vec![lambda], ..single() }, &one()).unwrap().report().clone();
    let loo = by_refits(&x, y, lambda);
    let mse = (0..25).map(|i| (loo[(i, 0)] - y[(i, 0)]).powi(2)).sum::<f64>() / 25.0;
    let mean = y.as_slice().iter().sum::<f64>() / 25.0;
    let spread = y.as_slice().iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 25.0;
    assert!((report.loo.as_ref().unwrap().rmse.unwrap() / mse.sqrt() - 1.0).abs() < 1e-10);
    assert!((report.loo.as_ref().unwrap().r2.unwrap() - (1.0 - mse / spread)).abs() < 1e-10);
}

#[test]
fn leave_one_out_accuracy_is_that_of_refits() {
    let x = frame(25, 3, 4);
    let target = thirds(&x);
    let Target::Classes { codes, labels, .. } = &target else { unreachable!("classes") };
    let y = Mat::from_fn(25, labels.len(), |i, k| f64::from(u8::from(codes[i] == k)));
    let options = FitOptions { lambdas: vec![1e-1], ..single() };
    let model = fit(&x, &target, &options, &one()).unwrap();
    // Calibration is fitted to these scores: it is the only difference between them and the probabilities.
    let loo = by_refits(&x, &y, 1e-1);
    let p = dualnet::ridge::Calibration::fit(loo.as_ref(), codes, &one()).unwrap().probabilities(loo.as_ref()).unwrap();
    let right = (0..25).filter(|&i| dualnet::ridge::argmax(p.row(i)) == codes[i]).count();
    assert_eq!(model.report().loo.as_ref().unwrap().accuracy, Some(right as f64 / 25.0));
    let log_loss = -(0..25).map(|i| p[(i, codes[i])].ln()).sum::<f64>() / 25.0;
    assert!((model.report().loo.as_ref().unwrap().log_loss.unwrap() - log_loss).abs() < 1e-9);
}

#[test]
fn two_rows_are_enough() {
    let x = Frame::new(vec![numbers("x", &[0.0, 1.0])]).unwrap();
    for target in [regression(&[3.0, 5.0]), classes(&["a", "b"])] {
        let model = fit(&x, &target, &FitOptions::default(), &one()).unwrap();
        assert!(finite(&values(&model, &x)));
    }
    assert!(
        fit(&Frame::new(vec![numbers("x", &[0.0])]).unwrap(), &regression(&[3.0]), &FitOptions::default(), &one())
            .is_err()
    );
}

#[test]
fn one_class_is_refused_by_name() {
    let error = fit(&frame(6, 2, 0), &classes(&["oak"; 6]), &FitOptions::default(), &one()).unwrap_err().to_string();
    assert!(
        error.contains("\"kind\"") && error.contains("\"oak\"") && error.contains("at least two classes"),
        "{error}"
    );
}

#[test]
fn more_columns_than_rows() {
    let x = frame(12, 100, 2);
    let model = fit(&x, &wave(&x, 0.1, 2), &FitOptions::default(), &one()).unwrap();
    assert!(finite(&values(&model, &x)) && model.report().n_features == 100);
}

#[test]
fn several_outputs_weigh_the_same_whatever_their_units() {
    let x = frame(80, 2, 7);
    let mut random = Random(70);
    let smooth: Vec<f64> = (0..80).map(|i| (2.0 * column(&x, 0)[i]).sin()).collect();
    let noise: Vec<f64> = (0..80).map(|_| random.normal()).collect();
    let fitted = |unit: f64| {
        let scaled: Vec<f64> = noise.iter().map(|v| v * unit).collect();
        let target = Target::from_columns(&[numbers("a", &smooth), numbers("b", &scaled)], None).unwrap();
        fit(&x, &target, &FitOptions::default(), &one()).unwrap()
    };
    let (small, large) = (fitted(2f64.powi(-20)), fitted(2f64.powi(20)));
    assert_eq!((small.report().lambda, &small.report().net), (large.report().lambda, &large.report().net));
    let (s, l) = (values(&small, &x), values(&large, &x));
    assert!((0..80).all(|i| s[(i, 0)] == l[(i, 0)] && s[(i, 1)] * 2f64.powi(40) == l[(i, 1)]));
    assert_eq!(small.targets(), ["a", "b"]);
}

#[test]
fn rare_and_single_classes_are_kept() {
    let x = frame(200, 2, 8);
    let rare: Vec<&str> = (0..200).map(|i| if i % 100 == 0 { "rare" } else { "common" }).collect();
    let model = fit(&x, &classes(&rare), &FitOptions::default(), &one()).unwrap();
    let p = values(&model, &x);
    // No signal: probabilities are about the share.
    let mean = (0..200).map(|i| p[(i, 1)]).sum::<f64>() / 200.0;
    assert!(
        model.classes() == ["common", "rare"]
            && mean < 0.05
            && model.report().loo.as_ref().unwrap().accuracy.unwrap() > 0.97
    );
    let mut names = vec!["a"; 97];
    names.extend(["b", "c", "d"]);
    let x = x.select(&(0..100).collect::<Vec<_>>());
    let model = fit(&x, &classes(&names), &FitOptions::default(), &one()).unwrap();
    let p = values(&model, &x);
    assert!(finite(&p) && p.cols() == 4 && (0..100).all(|i| (p.row(i).iter().sum::<f64>() - 1.0).abs() < 1e-12));
}

#[test]
fn a_class_without_members_gets_almost_no_probability() {
    let x = frame(40, 2, 9);
    let target = thirds(&x);
    let Target::Classes { codes, .. } = &target else { unreachable!("classes") };
    let rows: Vec<usize> = (0..40).filter(|&i| codes[i] != 2).collect();
    let model = fit(&x.select(&rows), &target.select(&rows), &single(), &one()).unwrap();
    let p = values(&model, &x);
    assert!(p.cols() == 3 && (0..40).all(|i| p[(i, 2)] < 0.05));
}

#[test]
fn a_constant_target_is_predicted_exactly() {
    let x = frame(30, 3, 1);
    let model = fit(&x, &regression(&[0.1; 30]), &FitOptions::default(), &one()).unwrap();
    assert!(values(&model, &frame(9, 3, 2)).as_slice().iter().all(|v| *v == 0.1));
    assert_eq!(
        (model.report().loo.as_ref().unwrap().rmse, model.report().loo.as_ref().unwrap().r2),
        (Some(0.0), Some(1.0))
    );
}

#[test]
fn duplicated_rows_need_no_luck() {
    let x = frame(20, 2, 3);
    let twice: Vec<usize> = (0..20).chain(0..20).chain(0..20).collect();
    let (x, y) = (x.select(&twice), wave(&x, 0.0, 3).select(&twice));
    let options = FitOptions { lambdas: vec![0.0, 1e-12, 1e-2], ..single() };
    let model = fit(&x, &y, &options, &one()).unwrap();
    assert!(finite(&values(&model, &x)));
    assert!(model.predict(&x, Some(0.9), &one()).is_ok());
}

#[test]
fn all_columns_but_one_may_be_constant() {
    let x: Vec<f64> = (0..30).map(f64::from).collect();
    let frame = Frame::new(vec![numbers("a", &[1.0; 30]), numbers("x", &x), words("b", &["w"; 30])]).unwrap();
    let model = fit(&frame, &regression(&x), &FitOptions::default(), &one()).unwrap();
    assert_eq!(model.report().dropped.len(), 2);
    assert!(model.report().loo.as_ref().unwrap().r2.unwrap() > 0.99);
}

#[test]
fn offset_and_scale_of_the_target_cost_no_digits() {
    let x = frame(60, 2, 6);
    let Target::Numbers { values: y, .. } = wave(&x, 0.1, 6) else { unreachable!("numbers") };
    let reference = fit(&x, &regression(y.as_slice()), &FitOptions::default(), &one()).unwrap();
    let base = values(&reference, &x);
    for (offset, scale, tolerance) in
        [(1e9, 1.0, 1e-6), (0.0, 1e-9, 1e-12), (0.0, 1e-150, 1e-12), (0.0, 1e150, 1e-12), (-5e8, 1e-3, 1e-3)]
    {
        let moved: Vec<f64> = y.as_slice().iter().map(|v| offset + scale * v).collect();
        let model = fit(&x, &regression(&moved), &FitOptions::default(), &one()).unwrap();
        assert_eq!((model.report().lambda, &model.report().net), (reference.report().lambda, &reference.report().net));
        let worst = values(&model, &x)
            .as_slice()
            .iter()
            .zip(base.as_slice())
            .fold(0.0f64, |m, (a, b)| m.max(((a - offset) / scale - b).abs()));
        assert!(worst < tolerance, "{offset} {scale} {worst}");
        let r2 =
            (model.report().loo.as_ref().unwrap().r2.unwrap(), reference.report().loo.as_ref().unwrap().r2.unwrap());
        assert!((r2.0 - r2.1).abs() < tolerance, "{r2:?}");
    }
}

#[test]
fn same_seed_same_model_on_any_number_of_threads() {
    let x = frame(300, 3, 12);
    let new = frame(150, 3, 13);
    for target in [wave(&x, 0.2, 12), thirds(&x)] {
        let options = FitOptions { all_rows: 200, some_rows: 100, ..FitOptions::default() };
        let fitted = |threads: usize| {
            let resources = Resources::new(threads).unwrap().with_seed(5);
            let model = fit(&x, &target, &options, &resources).unwrap();
            let level = matches!(target, Target::Numbers { .. }).then_some(0.8);
            (model.report().clone(), model.predict(&new, level, &resources).unwrap())
        };
        let first = fitted(1);
        assert_eq!(first.0.compared_rows, 100);
        assert!([1, 2, 3, 8].into_iter().all(|threads| fitted(threads) == first));
        let other = fit(&x, &target, &options, &one().with_seed(6)).unwrap();
        assert_ne!(other.report().candidates, first.0.candidates, "another seed compares on other rows");
    }
}

#[test]
fn the_order_of_rows_matters_only_in_rounding() {
    let x = frame(70, 3, 14);
    let order: Vec<usize> = (0..70).map(|i| (i * 31 + 7) % 70).collect();
    for target in [wave(&x, 0.2, 14), thirds(&x)] {
        let a = fit(&x, &target, &FitOptions::default(), &one()).unwrap();
        let b = fit(&x.select(&order), &target.select(&order), &FitOptions::default(), &one()).unwrap();
        assert_eq!((a.report().lambda, &a.report().net), (b.report().lambda, &b.report().net));
        let (a, b) = (values(&a, &x), values(&b, &x));
        let worst = a.as_slice().iter().zip(b.as_slice()).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(worst < 1e-8, "{worst}");
    }
}

#[test]
fn an_encoding_that_changes_nothing_is_tried_once() {
    let x = Frame::new(vec![words("w", &["a", "b", "a", "b", "b", "a"])]).unwrap();
    let target = regression(&[1.0, 2.0, 1.1, 2.1, 2.2, 0.9]);
    for encodings in
        [vec![Encoding::Plain, Encoding::Binned], vec![Encoding::Binned, Encoding::Plain], vec![Encoding::Plain; 3]]
    {
        let model = fit(&x, &target, &FitOptions { encodings, ..FitOptions::default() }, &one()).unwrap();
        assert_eq!(model.report().candidates.len(), 4);
    }
}

#[test]
fn one_candidate_is_reported_as_compared_on_all_rows() {
    let x = frame(60, 2, 16);
    let options = FitOptions { all_rows: 20, some_rows: 10, ..single() };
    let report = fit(&x, &wave(&x, 0.1, 16), &options, &one()).unwrap().report().clone();
    assert_eq!((report.compared_rows, report.candidates.len()), (60, 1));
    assert_eq!(plan(60, 2, 1, &options).unwrap().compared_rows, 60);
    assert_eq!(report.candidates[0].lambda, report.lambda);
}

#[test]
fn memory_is_refused_before_any_work() {
    let x = frame(400, 2, 15);
    let y = wave(&x, 0.1, 15);
    let wanted = plan(400, 2, 1, &FitOptions::default()).unwrap();
    assert!(wanted.bytes > 28 * 400 * 400 && wanted.flops > 0.0);
    let error = fit(&x, &y, &FitOptions::default(), &one().with_memory(wanted.bytes - 1)).unwrap_err().to_string();
    assert!(error.contains("an exact fit of 400 rows") && error.contains("--memory"), "{error}");
    let model = fit(&x, &y, &FitOptions::default(), &one().with_memory(2 * wanted.bytes)).unwrap();
    let error = model.predict(&x, Some(0.9), &one().with_memory(400 * 400 * 8)).unwrap_err().to_string();
    assert!(error.contains("intervals"), "{error}");
    // A class for each of a million rows would be a target of 8 TB.
    let labels: Vec<String> = (0..1_000_000).map(|i| i.to_string()).collect();
    let target = Target::Classes { name: "id".into(), labels, codes: (0..1_000_000).collect() };
    let x = Frame::new(vec![numbers("x", &(0..1_000_000).map(f64::from).collect::<Vec<_>>())]).unwrap();
    assert!(fit(&x, &target, &FitOptions::default(), &one().with_memory(1 << 40)).is_err());
    assert!(plan(usize::MAX, usize::MAX, usize::MAX, &FitOptions::default()).unwrap().bytes == u64::MAX);
}

#[test]
fn numbers_that_are_integers_are_classes_or_not() {
    let codes: Vec<f64> = (0..50).map(|i| f64::from(i % 2) - 0.0).collect();
    let mut signed = codes.clone();
    signed[0] = -0.0;
    let Target::Classes { labels, .. } = Target::from_columns(&[numbers("y", &signed)], None).unwrap() else {
        unreachable!()
    };
    assert_eq!(labels, ["0", "1"]);
    assert!(matches!(Target::from_columns(&[numbers("y", &codes[..9])], None).unwrap(), Target::Numbers { .. }));
    let many: Vec<f64> = (0..210).map(|i| f64::from(i % 21)).collect();
    assert!(matches!(Target::from_columns(&[numbers("y", &many)], None).unwrap(), Target::Numbers { .. }));
    let Target::Classes { labels, .. } = Target::from_columns(&[words("y", &["10", "9", "-1"])], None).unwrap() else {
        unreachable!()
    };
    assert_eq!(labels, ["-1", "9", "10"]);
    assert!(matches!(Values::Numbers(codes).select(&[1, 1]), Values::Numbers(v) if v == [1.0, 1.0]));
}
