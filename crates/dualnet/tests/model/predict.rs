//! Predictions: independent of the batch, honest about their spread.

use crate::data::{frame, numbers, one, single, thirds, wave, words};
use dualnet::model::{FitOptions, Frame, Metrics, Prediction, Target, fit};
use dualnet::{Mat, Resources};

/// All numbers of row i.
fn row(prediction: &Prediction, i: usize) -> Vec<f64> {
    match prediction {
        Prediction::Numbers { values, intervals } => {
            let ends = intervals.iter().flat_map(|e| [e.lower.row(i), e.upper.row(i)]).flatten();
            values.row(i).iter().chain(ends).copied().collect()
        }
        Prediction::Classes { probabilities, scores } => [probabilities.row(i), scores.row(i)].concat(),
    }
}

#[test]
fn a_row_alone_is_the_row_in_a_batch() {
    let x = frame(190, 3, 21);
    let new = frame(1100, 3, 22);
    for (target, level) in [(wave(&x, 0.2, 21), Some(0.9)), (thirds(&x), None)] {
        let model = fit(&x, &target, &single(), &one()).unwrap();
        let batch = model.predict(&new, level, &Resources::new(2).unwrap()).unwrap();
        for i in [0, 1, 7, 127, 128, 700, 1023, 1024, 1099] {
            let alone = model.predict(&new.select(&[i]), level, &one()).unwrap();
            assert_eq!(row(&alone, 0), row(&batch, i), "row {i}");
        }
        let five = model.predict(&new.select(&[3, 1024, 9, 0, 500]), level, &one()).unwrap();
        assert_eq!(row(&five, 1), row(&batch, 1024));
        assert!(model.predict(&new.select(&[]), level, &one()).is_ok());
    }
}

#[test]
fn evaluation_is_the_metrics_of_predictions() {
    let (x, new) = (frame(80, 3, 23), frame(60, 3, 24));
    let truth = wave(&new, 0.2, 24);
    let model = fit(&x, &wave(&x, 0.2, 23), &single(), &one()).unwrap();
    let (metrics, coverage) = model.evaluate(&new, &truth, &one()).unwrap();
    let Target::Numbers { values: y, .. } = &truth else { unreachable!("numbers") };
    let Prediction::Numbers { values, intervals: Some(ends) } = model.predict(&new, Some(0.9), &one()).unwrap() else {
        unreachable!("numbers with intervals")
    };
    assert_eq!(metrics, Metrics::numbers(values.as_ref(), y.as_ref()).unwrap());
    let mse = (0..60).map(|i| (values[(i, 0)] - y[(i, 0)]).powi(2)).sum::<f64>() / 60.0;
    assert!((metrics.rmse.unwrap() / mse.sqrt() - 1.0).abs() < 1e-14);
    let held = (0..60).filter(|&i| ends.lower[(i, 0)] <= y[(i, 0)] && y[(i, 0)] <= ends.upper[(i, 0)]).count();
    assert_eq!(coverage, Some(held as f64 / 60.0));

    let model = fit(&x, &thirds(&x), &single(), &one()).unwrap();
    let truth = thirds(&new);
    let (metrics, coverage) = model.evaluate(&new, &truth, &one()).unwrap();
    let Prediction::Classes { probabilities, .. } = model.predict(&new, None, &one()).unwrap() else { unreachable!() };
    let Target::Classes { codes, .. } = &truth else { unreachable!("classes") };
    assert_eq!((metrics, coverage), (Metrics::classes(probabilities.as_ref(), codes).unwrap(), None));
    assert!(model.evaluate(&new, &wave(&new, 0.0, 0), &one()).is_err());
    assert!(model.evaluate(&new, &truth.select(&[0]), &one()).is_err());
}

#[test]
fn classes_are_matched_by_name_then_by_number() {
    let x = frame(60, 2, 25);
    let spell = |names: [&'static str; 2]| -> Vec<&str> {
        (0..60).map(|i| names[usize::from(crate::data::column(&x, 0)[i] > 0.0)]).collect()
    };
    let model =
        fit(&x, &Target::from_columns(&[words("k", &spell(["1", "2"]))], None).unwrap(), &single(), &one()).unwrap();
    let evaluate = |names| {
        let target = Target::from_columns(&[words("k", &spell(names))], None).unwrap();
        model.evaluate(&x, &target, &one()).map(|(m, _)| m)
    };
    let same = evaluate(["1", "2"]).unwrap();
    assert_eq!(evaluate(["1.0", "2.00"]).unwrap(), same);
    assert!(same.rmse.is_some() && same.accuracy.unwrap() > 0.9);
    let error = evaluate(["1", "oak"]).unwrap_err().to_string();
    assert!(error.contains("\"oak\" at row") && error.contains("one of 1, 2"), "{error}");
}

#[test]
fn intervals_hold_their_share_of_fresh_rows() {
    let (mut total, sets) = (0.0, 12);
    for seed in 0..sets {
        let (n, noise) = (80 + 10 * seed as usize, 0.2 + 0.1 * (seed % 4) as f64);
        let (x, new) = (frame(n, 3, seed << 40), frame(500, 3, (seed << 40) + 7));
        let model = fit(&x, &wave(&x, noise, seed << 40), &single(), &one()).unwrap();
        let (_, coverage) = model.evaluate(&new, &wave(&new, noise, (seed << 40) + 7), &one()).unwrap();
        total += coverage.unwrap();
    }
    let mean = total / sets as f64;
    // About 0.89 from n = 80 on; the mean of 12 sets strays by about 0.01.
    assert!((0.85..0.93).contains(&mean), "{mean}");
}

#[test]
fn far_away_rows_get_finite_predictions_and_wide_intervals() {
    let x = frame(50, 2, 41);
    let far = |v: f64| Frame::new(vec![numbers("x0", &[v, -v, 0.0]), numbers("x1", &[v, v, v])]).unwrap();
    let level = Some(0.9);
    for target in [wave(&x, 0.1, 41), thirds(&x)] {
        let model = fit(&x, &target, &FitOptions::default(), &one()).unwrap();
        for v in [0.0, 10.0, 1e6, 1e150, f64::MAX] {
            let prediction = model.predict(&far(v), level, &one()).unwrap();
            assert!((0..3).all(|i| row(&prediction, i).iter().all(|x| x.is_finite())), "{v}");
            match prediction {
                Prediction::Numbers { intervals: Some(ends), .. } => {
                    assert!((0..3).all(|i| ends.lower[(i, 0)] < ends.upper[(i, 0)]));
                }
                Prediction::Numbers { .. } => unreachable!("intervals were asked for"),
                Prediction::Classes { probabilities, .. } => {
                    assert!((0..3).all(|i| (probabilities.row(i).iter().sum::<f64>() - 1.0).abs() < 1e-12));
                }
            }
        }
    }
}

#[test]
fn intervals_are_wider_for_higher_levels_and_refused_beyond_their_residuals() {
    let x = frame(30, 2, 42);
    let model = fit(&x, &wave(&x, 0.3, 42), &single(), &one()).unwrap();
    let width = |level: f64| match model.predict(&x, Some(level), &one()).unwrap() {
        Prediction::Numbers { intervals: Some(e), .. } => Mat::from_fn(30, 1, |i, _| e.upper[(i, 0)] - e.lower[(i, 0)]),
        _ => unreachable!("intervals were asked for"),
    };
    let (low, high) = (width(0.5), width(0.95));
    assert!((0..30).all(|i| 0.0 <= low[(i, 0)] && low[(i, 0)] < high[(i, 0)]));
    for level in [0.0, 1.0, 0.99, -1.0, f64::NAN] {
        assert!(model.predict(&x, Some(level), &one()).unwrap_err().to_string().contains("level"));
    }
}
