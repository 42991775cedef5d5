//! Input that no reader would make, but a caller may.

use crate::data::{frame, numbers, one, single, thirds, wave};
use dualnet::model::{FitOptions, Frame, Metrics, Target, Task, fit};
use dualnet::{Error, Mat};

#[test]
fn numbers_that_are_not_finite_are_refused_with_their_place() {
    let bad = |v: f64| Frame::new(vec![numbers("a", &[1.0, 2.0]), numbers("b", &[1.0, v])]).unwrap_err();
    for v in [f64::NAN, f64::INFINITY] {
        let Error::NonFinite { what, row, column, .. } = bad(v) else { unreachable!("not finite") };
        assert_eq!((what.as_str(), row, column), ("column \"b\"", 1, 1));
    }
    for task in [None, Some(Task::Classification), Some(Task::Regression)] {
        let error = Target::from_columns(&[numbers("y", &[1.0, f64::NAN])], task).unwrap_err();
        assert!(matches!(&error, Error::NonFinite { what, row: 1, .. } if what.contains("\"y\"")), "{error}");
    }
    let x = frame(3, 1, 0);
    let values = Mat::from_vec(3, 1, vec![0.0, f64::NAN, 1.0]).unwrap();
    let target = Target::Numbers { names: vec!["y".into()], values };
    assert!(matches!(fit(&x, &target, &single(), &one()), Err(Error::NonFinite { row: 1, column: 0, .. })));
}

#[test]
fn targets_that_do_not_fit_are_errors() {
    let x = frame(4, 1, 0);
    let class = |labels: &[&str], codes: Vec<usize>| Target::Classes {
        name: "k".into(),
        labels: labels.iter().map(|l| l.to_string()).collect(),
        codes,
    };
    for target in [
        class(&["a", "b"], vec![0, 1, 2, 0]),
        class(&[], vec![0, 1, 0, 1]),
        class(&["a"], vec![0; 4]),
        class(&["a", "b"], vec![0, 1]),
        Target::Numbers { names: Vec::new(), values: Mat::zeros(4, 0) },
        Target::Numbers { names: vec!["y".into()], values: Mat::zeros(4, 2) },
    ] {
        assert!(fit(&x, &target, &FitOptions::default(), &one()).is_err(), "{target:?}");
    }
    assert!(Target::from_columns(&[], None).is_err());
    assert!(Target::from_columns(&[numbers("a", &[1.0]), numbers("b", &[1.0, 2.0])], None).is_err());
}

#[test]
fn options_that_leave_nothing_are_errors() {
    let x = frame(20, 2, 1);
    let y = wave(&x, 0.1, 1);
    for options in [
        FitOptions { encodings: Vec::new(), ..FitOptions::default() },
        FitOptions { lambdas: Vec::new(), ..FitOptions::default() },
        FitOptions { lambdas: vec![f64::NAN], ..FitOptions::default() },
        FitOptions { lambdas: vec![-1.0], ..FitOptions::default() },
        FitOptions { all_rows: 10, some_rows: 0, ..FitOptions::default() },
        FitOptions { all_rows: 10, some_rows: 1, ..FitOptions::default() },
    ] {
        assert!(fit(&x, &y, &options, &one()).is_err(), "{options:?}");
    }
    assert!(fit(&x, &thirds(&x), &FitOptions { all_rows: 10, some_rows: 6, ..FitOptions::default() }, &one()).is_ok());
}

#[test]
fn labels_that_spell_infinity_are_words() {
    let x = frame(20, 2, 2);
    let labels: Vec<&str> = (0..20).map(|i| ["inf", "nan", "1"][i % 3]).collect();
    let target = Target::from_columns(&[crate::data::words("k", &labels)], None).unwrap();
    let model = fit(&x, &target, &single(), &one()).unwrap();
    assert_eq!(
        (model.classes(), model.report().loo.as_ref().unwrap().rmse),
        (&["1".to_string(), "inf".into(), "nan".into()][..], None)
    );
}

#[test]
fn metrics_refuse_what_does_not_fit() {
    let (a, b) = (Mat::zeros(2, 1), Mat::zeros(3, 1));
    assert!(Metrics::numbers(a.as_ref(), b.as_ref()).is_err());
    assert!(Metrics::numbers(Mat::zeros(0, 1).as_ref(), Mat::zeros(0, 1).as_ref()).is_err());
    assert!(Metrics::classes(Mat::zeros(2, 2).as_ref(), &[0, 5]).is_err());
    let huge = Mat::from_vec(2, 1, vec![1e200, -1e200]).unwrap();
    let metrics = Metrics::numbers(Mat::zeros(2, 1).as_ref(), huge.as_ref()).unwrap();
    assert!((metrics.rmse.unwrap() / 1e200 - 1.0).abs() < 1e-15 && metrics.r2.unwrap().abs() < 1e-15);
}
