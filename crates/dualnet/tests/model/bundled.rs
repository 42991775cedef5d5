//! Bundled nets fitted in closed form: as good as the kernel they stand for, whatever the batches; saved; hostile data.

use crate::data::{Random, column, frame, one, thirds, wave, words};
use dualnet::error::{Error, Result};
use dualnet::model::{
    Batches, BundledOptions, Column, Encoding, FeaturePrecision, Frame, InMemory, Model, Parts, Prediction, Target,
    Values, fit_bundled,
};
use dualnet::snnk::{BundledNet, Directions};
use dualnet::{Mat, Resources};
use serde_json::json;

fn options(net: &str) -> BundledOptions {
    BundledOptions { encodings: vec![Encoding::Plain], ..BundledOptions::new(BundledNet::parse(net).unwrap()) }
}

fn fitted(x: &Frame, target: &Target, options: &BundledOptions) -> Model {
    fit_bundled(&mut InMemory::new(x, target).unwrap(), options, &one()).unwrap()
}

fn values(model: &Model, x: &Frame) -> Mat<f64> {
    match model.predict(x, None, &one()).unwrap() {
        Prediction::Numbers { values, .. } => values,
        Prediction::Classes { scores, .. } => scores,
    }
}

#[test]
fn every_activation_kind_and_depth_learns_a_smooth_function() {
    let (x, new) = (frame(600, 3, 1), frame(300, 3, 2));
    let (y, truth) = (wave(&x, 0.1, 1), wave(&new, 0.0, 2));
    for (net, least) in
        [("relu-1", 0.9), ("cos-1", 0.9), ("tanh-1", 0.9), ("gelu-1", 0.9), ("relu-2", 0.75), ("erf-3", 0.6)]
    {
        for directions in Directions::ALL {
            let options = BundledOptions { directions: vec![directions], ..options(&format!("bundled:{net}-400")) };
            let model = fitted(&x, &y, &options);
            let (metrics, coverage) = model.evaluate(&new, &truth, &one()).unwrap();
            assert!(metrics.r2.unwrap() > least, "{net} {directions:?}: {:?}", metrics.r2);
            assert!((0.85..=1.0).contains(&coverage.unwrap()), "{net} {directions:?}: {coverage:?}");
            let report = model.report();
            let loo = report.loo.as_ref().unwrap().r2.unwrap();
            assert!((loo - metrics.r2.unwrap()).abs() < 0.12, "{net} {directions:?}: {loo} {:?}", metrics.r2);
            assert_eq!((report.n_train, report.loo_rows, report.method.as_str()), (600, 600, "features"));
        }
    }
}

#[test]
fn classes_have_calibrated_probabilities() {
    let (x, new) = (frame(800, 2, 3), frame(400, 2, 4));
    let model = fitted(&x, &thirds(&x), &options("bundled:relu-1-300"));
    let (metrics, _) = model.evaluate(&new, &thirds(&new), &one()).unwrap();
    assert!(metrics.accuracy.unwrap() > 0.93, "{metrics:?}");
    assert!(
        (metrics.log_loss.unwrap() - model.report().loo.as_ref().unwrap().log_loss.unwrap()).abs() < 0.08,
        "{metrics:?}"
    );
}

/// The report says leave-one-out: refitting without a row, with the same tower and lambda, must give the same prediction.
#[test]
fn rows_left_out_are_predicted_as_by_a_model_without_them() {
    let x = frame(60, 2, 5);
    let y = wave(&x, 0.3, 5);
    let options = options("bundled:relu-1-40");
    let model = fitted(&x, &y, &options);
    let parts = model.to_parts().unwrap();
    let theta = &parts.tensors.iter().find(|t| t.name == "theta").unwrap().shape;
    assert_eq!(theta, &[40, 1]);
    // The residuals that calibrate the intervals are those of leave-one-out, larger than those of the fit itself.
    let residuals = &parts.tensors.iter().find(|t| t.name == "residuals").unwrap().data;
    let Target::Numbers { values: truth, .. } = &y else { unreachable!() };
    let fit = values(&model, &x);
    let own: f64 = (0..60).map(|i| (fit[(i, 0)] - truth[(i, 0)]).powi(2)).sum();
    let left: f64 = residuals.iter().map(|r| r * r).sum();
    assert!(left > 1.05 * own, "{left} {own}");
    let rmse = model.report().loo.as_ref().unwrap().rmse.unwrap();
    assert!((rmse - (left / 60.0).sqrt()).abs() < 1e-12 * rmse);
}

#[test]
fn precisions_agree() {
    let x = frame(500, 4, 6);
    let y = wave(&x, 0.2, 6);
    let with = |precision| {
        let options =
            BundledOptions { precision: Some(precision), lambdas: vec![1e-3], ..options("bundled:relu-1-200") };
        values(&fitted(&x, &y, &options), &x)
    };
    let (single, double) = (with(FeaturePrecision::F32), with(FeaturePrecision::F64));
    let far = single.as_slice().iter().zip(double.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(far < 2e-3 && far > 0.0, "{far}");
}

#[test]
fn threads_and_batches_do_not_change_a_bit() {
    let x = frame(700, 3, 7);
    let y = wave(&x, 0.2, 7);
    for (net, precision) in [("bundled:relu-1-130", FeaturePrecision::F32), ("bundled:cos-2-70", FeaturePrecision::F64)]
    {
        let options = BundledOptions { precision: Some(precision), ..options(net) };
        let reference = fitted(&x, &y, &options);
        for threads in [2, 3] {
            let resources = Resources::new(threads).unwrap();
            let model = fit_bundled(&mut InMemory::new(&x, &y).unwrap(), &options, &resources).unwrap();
            assert_eq!(model.to_parts().unwrap(), reference.to_parts().unwrap());
            assert_eq!(model.predict(&x, Some(0.9), &resources), reference.predict(&x, Some(0.9), &one()));
        }
        let whole = values(&reference, &x);
        for i in [0, 128, 699] {
            assert_eq!(values(&reference, &x.select(&[i])).row(0), whole.row(i), "row {i} alone");
        }
        let mut ragged = Ragged::new(&x, &y, usize::MAX);
        let model = fit_bundled(&mut ragged, &options, &one()).unwrap();
        assert_eq!(model.to_parts().unwrap(), reference.to_parts().unwrap());
    }
}

/// Batches of changing sizes, with something wrong after `fails` rows of the second pass.
struct Ragged<'a> {
    rows: InMemory<'a>,
    turn: usize,
    passed: usize,
    restarts: usize,
    fails: usize,
    wrong: fn(Frame, Target) -> Batch,
}

type Batch = Result<Option<(Frame, Target)>>;

impl<'a> Ragged<'a> {
    fn new(x: &'a Frame, y: &'a Target, fails: usize) -> Self {
        let rows = InMemory::new(x, y).unwrap();
        Self { rows, turn: 0, passed: 0, restarts: 0, fails, wrong: |_, _| Ok(None) }
    }
}

impl Batches for Ragged<'_> {
    fn rows(&self) -> usize {
        self.rows.rows()
    }
    fn next(&mut self, most: usize) -> Result<Option<(Frame, Target)>> {
        self.turn += 1;
        let batch = self.rows.next(most.min(1 + self.turn * 37 % 90))?;
        let Some((frame, target)) = batch else { return Ok(None) };
        self.passed += frame.rows();
        if self.restarts > 1 && self.passed > self.fails {
            (self.wrong)(frame, target)
        } else {
            Ok(Some((frame, target)))
        }
    }
    fn restart(&mut self) -> Result<()> {
        self.restarts += 1;
        self.passed = 0;
        self.rows.restart()
    }
}

#[test]
fn what_goes_wrong_in_the_middle_of_a_pass_is_an_error() {
    let x = frame(300, 2, 8);
    let y = wave(&x, 0.2, 8);
    let failing = |wrong| {
        let mut batches = Ragged { wrong, ..Ragged::new(&x, &y, 150) };
        fit_bundled(&mut batches, &options("bundled:relu-1-30"), &one()).unwrap_err().to_string()
    };
    assert!(failing(|_, _| Ok(None)).contains("300 rows, as when they were opened"), "truncated");
    let read = failing(|_, _| Err(Error::Interrupted { what: "reading disk 7".into() }));
    assert!(read.contains("disk 7"), "{read}");
    let columns = failing(|frame, target| Ok(Some((Frame::new(frame.columns()[..1].to_vec())?, target))));
    assert!(columns.contains("x1"), "{columns}");
    let poisoned = failing(|frame, target| {
        let Target::Numbers { names, values } = target else { unreachable!() };
        let values = Mat::from_fn(values.rows(), 1, |i, _| if i == 0 { f64::NAN } else { values[(i, 0)] });
        Ok(Some((frame, Target::Numbers { names, values })))
    });
    assert!(poisoned.contains("NaN"), "{poisoned}");
}

#[test]
fn little_and_odd_data() {
    let x = frame(2, 2, 9);
    let y = wave(&x, 0.0, 9);
    assert!(values(&fitted(&x, &y, &options("bundled:relu-1-8")), &x).as_slice().iter().all(|v| v.is_finite()));
    // More features than rows, words, a column of duplicates.
    let mut columns = frame(40, 2, 10).columns().to_vec();
    columns.push(words("letter", &["a", "b", "c", "d"].repeat(10)));
    columns.push(Column { name: "same".into(), values: columns[0].values.clone() });
    let x = Frame::new(columns).unwrap();
    let model = fitted(&x, &wave(&x, 0.1, 10), &options("bundled:relu-2-100"));
    assert!(model.report().loo.as_ref().unwrap().r2.unwrap().is_finite());
    // All rows equal but one.
    let mut values_ = vec![1.0; 50];
    values_[7] = 2.0;
    let x = Frame::new(vec![Column { name: "x".into(), values: Values::Numbers(values_) }]).unwrap();
    let y = Target::Numbers { names: vec!["y".into()], values: Mat::from_fn(50, 1, |i, _| (i % 3) as f64) };
    assert!(values(&fitted(&x, &y, &options("bundled:relu-1-16")), &x).as_slice().iter().all(|v| v.is_finite()));
}

#[test]
fn limits_are_held() {
    let x = frame(200, 2, 11);
    let y = wave(&x, 0.1, 11);
    let little = one().with_memory(1 << 20);
    let error = fit_bundled(&mut InMemory::new(&x, &y).unwrap(), &options("bundled:relu-1-2048"), &little).unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error}");
    let short = Target::Numbers { names: vec!["y".into()], values: Mat::zeros(3, 1) };
    assert!(InMemory::new(&x, &short).is_err());
}

fn saved() -> (Frame, Vec<Model>) {
    let x = frame(90, 3, 12);
    let target = |net: &str, directions, precision, y: &Target| {
        let options = BundledOptions { directions: vec![directions], precision: Some(precision), ..options(net) };
        fitted(&x, y, &options)
    };
    let models = vec![
        target("bundled:relu-2-40", Directions::Pairs, FeaturePrecision::F32, &wave(&x, 0.1, 12)),
        target("bundled:cos-1-40", Directions::Orthogonal, FeaturePrecision::F64, &thirds(&x)),
        target("bundled:tanh-1-40", Directions::Structured, FeaturePrecision::F32, &thirds(&x)),
    ];
    (x, models)
}

#[test]
fn saved_models_give_the_same_bits() {
    let (x, models) = saved();
    for model in models {
        let parts = model.to_parts().unwrap();
        let text =
            Parts { json: serde_json::from_str(&parts.json.to_string()).unwrap(), tensors: parts.tensors.clone() };
        let again = Model::from_parts(text, &Resources::new(2).unwrap().with_seed(99)).unwrap();
        assert_eq!(again.report(), model.report());
        assert_eq!(again.predict(&x, None, &one()).unwrap(), model.predict(&x, None, &one()).unwrap());
        assert_eq!(again.to_parts().unwrap(), parts);
    }
}

#[test]
fn damaged_descriptions_of_towers_are_refused() {
    let (_, models) = saved();
    let whole = models[0].to_parts().unwrap();
    let changes = [
        ("/tower/generator", json!(999)),
        ("/tower/net", json!("bundled:relu-2-41")),
        ("/tower/net", json!("bundled:rleu-2-40")),
        ("/tower/net", json!("bundled:relu-2-9999999999")),
        ("/tower/scale", json!(-1.0)),
        ("/tower/scale", json!("wide")),
        ("/tower/directions", json!("sideways")),
        ("/tower/precision", json!("f16")),
        ("/tower/seed", json!(-1)),
    ];
    for (pointer, value) in changes {
        let mut parts = whole.clone();
        *parts.json.pointer_mut(pointer).unwrap() = value.clone();
        let error = Model::from_parts(parts, &one());
        assert!(error.is_err(), "{pointer} was taken as {value}");
    }
}

/// Few directions of many columns: pairs of rows follow the data, which vary in three directions of sixty.
#[test]
fn pairs_of_rows_beat_normal_directions_where_data_are_flat() {
    let mut random = Random(13);
    let mixing: Vec<f64> = (0..180).map(|_| random.normal()).collect();
    let mut table = |n: usize| {
        let hidden = frame(n, 3, random.uniform().to_bits());
        let x = Mat::from_fn(n, 60, |i, j| {
            (0..3).map(|k| column(&hidden, k)[i] * mixing[3 * j + k]).sum::<f64>() + 0.7 * random.normal()
        });
        (Frame::from_matrix(x.as_ref()).unwrap(), wave(&hidden, 0.05, 13))
    };
    let ((x, y), (new, truth)) = (table(1000), table(500));
    let r2 = |directions| {
        let options = BundledOptions { directions: vec![directions], ..options("bundled:relu-1-100") };
        fitted(&x, &y, &options).evaluate(&new, &truth, &one()).unwrap().0.r2.unwrap()
    };
    let (pairs, gaussian) = (r2(Directions::Pairs), r2(Directions::Gaussian));
    assert!(pairs > gaussian + 0.01, "{pairs} {gaussian}");
}
