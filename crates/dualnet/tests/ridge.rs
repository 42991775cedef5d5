//! Ridge in the dual against refits by plain elimination; invariants; hostile input.
#![allow(clippy::unwrap_used)]

use dualnet::ridge::{
    Calibration, Centering, ClassScores, DualOptions, DualPath, IntervalCalibration, LambdaScale, Width, best,
    default_path, one_hot,
};
use dualnet::{Error, Mat, Resources, Result};
use proptest::prelude::*;

/// Uniform numbers in [-1, 1).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next() / 2.0).sum()
    }
    fn mat(&mut self, rows: usize, cols: usize) -> Mat<f64> {
        Mat::from_fn(rows, cols, |_, _| self.next())
    }
}

fn rbf(x: &Mat<f64>, z: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(x.rows(), z.rows(), |i, j| {
        (-x.row(i).iter().zip(z.row(j)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()).exp()
    })
}

fn kernel(n: usize, seed: u64) -> Mat<f64> {
    let x = Draws(seed).mat(n, 3);
    rbf(&x, &x)
}

/// Gaussian elimination with pivoting.
fn eliminate(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for c in 0..n {
        let p = (c..n).max_by(|&i, &j| a[i][c].abs().total_cmp(&a[j][c].abs())).unwrap();
        a.swap(c, p);
        b.swap(c, p);
        for i in c + 1..n {
            let f = a[i][c] / a[c][c];
            let (above, below) = a.split_at_mut(i);
            below[0].iter_mut().zip(&above[c]).skip(c).for_each(|(x, p)| *x -= f * p);
            b[i] -= f * b[c];
        }
    }
    for c in (0..n).rev() {
        b[c] = (b[c] - (c + 1..n).map(|j| a[c][j] * b[j]).sum::<f64>()) / a[c][c];
    }
    b
}

/// Prediction for `at` by the model of `rows`, refitted from nothing.
fn refit(k: &Mat<f64>, y: &[f64], w: &[f64], lambda: f64, centering: Centering, rows: &[usize], at: usize) -> f64 {
    let n = rows.len();
    let mut a: Vec<Vec<f64>> = rows.iter().map(|&i| rows.iter().map(|&j| k[(i, j)]).collect()).collect();
    (0..n).for_each(|i| a[i][i] += lambda / w[rows[i]]);
    let mut b: Vec<f64> = rows.iter().map(|&i| y[i]).collect();
    let mean = rows.iter().map(|&i| w[i] * y[i]).sum::<f64>() / rows.iter().map(|&i| w[i]).sum::<f64>();
    match centering {
        Centering::None => {}
        Centering::Targets => b.iter_mut().for_each(|b| *b -= mean),
        Centering::Intercept => {
            a.iter_mut().for_each(|row| row.push(1.0));
            a.push((0..=n).map(|j| if j < n { 1.0 } else { 0.0 }).collect());
            b.push(0.0);
        }
    }
    let alpha = eliminate(a, b);
    let f: f64 = rows.iter().zip(&alpha).map(|(&i, a)| k[(at, i)] * a).sum();
    match centering {
        Centering::None => f,
        Centering::Targets => f + mean,
        Centering::Intercept => f + alpha[n],
    }
}

fn options(centering: Centering, weights: Option<Vec<f64>>, lambdas: &[f64]) -> DualOptions {
    DualOptions { lambdas: lambdas.to_vec(), scale: LambdaScale::Absolute, centering, weights }
}

#[test]
fn leave_one_out_equals_refitting() -> Result<()> {
    let resources = Resources::new(2)?;
    for n in [2, 3, 33, 70] {
        let k = kernel(n, 5);
        let y = Draws(9).mat(n, 2);
        for centering in [Centering::None, Centering::Targets, Centering::Intercept] {
            for weighted in [false, true] {
                let w: Vec<f64> = (0..n).map(|i| if weighted { 0.5 + (i % 3) as f64 } else { 1.0 }).collect();
                let mean = w.iter().sum::<f64>() / n as f64;
                let w: Vec<f64> = w.iter().map(|w| w / mean).collect();
                let lambdas = [1e-3, 0.3, 20.0];
                let path = DualPath::new(
                    k.clone(),
                    y.as_ref(),
                    options(centering, weighted.then(|| w.clone()), &lambdas),
                    &resources,
                )?;
                for point in path.points(&resources)? {
                    assert!(point.jitter.is_none());
                    let mut squares = 0.0;
                    for i in 0..n {
                        let rows: Vec<usize> = (0..n).filter(|&j| j != i).collect();
                        for j in 0..2 {
                            let column: Vec<f64> = (0..n).map(|i| y[(i, j)]).collect();
                            let expected = refit(&k, &column, &w, point.lambda, centering, &rows, i);
                            let found = point.loo[(i, j)];
                            assert!(
                                (found - expected).abs() < 1e-10,
                                "{n} {centering:?} {weighted} {found} {expected}"
                            );
                            squares += w[i] * (expected - y[(i, j)]).powi(2);
                        }
                    }
                    assert!((point.mse - squares / (2 * n) as f64).abs() < 1e-10 * (1.0 + squares));
                    let fit = path.fit(point.lambda, &resources)?;
                    let rows: Vec<usize> = (0..n).collect();
                    let fitted = fit.predict(k.as_ref(), &resources)?;
                    let column: Vec<f64> = (0..n).map(|i| y[(i, 1)]).collect();
                    for i in 0..n {
                        let expected = refit(&k, &column, &w, point.lambda, centering, &rows, i);
                        assert!((fitted[(i, 1)] - expected).abs() < 1e-10);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Other targets on the same kernel have the coefficients that a path of their own gives them.
#[test]
fn other_targets_have_their_own_coefficients() -> Result<()> {
    let (n, resources) = (70, Resources::new(2)?);
    let (own, other) = (Draws(9).mat(n, 2), Draws(11).mat(n, 3));
    for weights in [None, Some((0..n).map(|i| 0.5 + (i % 3) as f64).collect::<Vec<_>>())] {
        let options = options(Centering::None, weights, &[0.3]);
        let path = |y: &Mat<f64>| DualPath::new(kernel(n, 5), y.as_ref(), options.clone(), &resources);
        let found = path(&own)?.coefficients_of(other.as_ref(), 0.3, &resources)?;
        let expected = path(&other)?.fit(0.3, &resources)?.coefficients;
        let error = found.as_slice().iter().zip(expected.as_slice()).fold(0.0f64, |e, (a, b)| e.max((a - b).abs()));
        assert!(error < 1e-12, "{error}");
    }
    let path = DualPath::new(kernel(n, 5), own.as_ref(), DualOptions::default(), &resources)?;
    let refused = |y: &Mat<f64>| path.coefficients_of(y.as_ref(), 0.3, &resources).unwrap_err().to_string();
    assert!(refused(&Draws(1).mat(n - 1, 1)).contains("70 rows"));
    assert!(refused(&Mat::from_fn(n, 1, |i, _| if i == 4 { f64::NAN } else { 0.0 })).contains("row 4"));
    Ok(())
}

/// The trace of the smoother, from fits to unit targets; the variance, from its definition.
#[test]
fn degrees_of_freedom_and_variance_equal_their_definitions() -> Result<()> {
    let resources = Resources::new(1)?;
    let n = 40;
    let k = kernel(n, 3);
    let w: Vec<f64> = (0..n).map(|i| if i % 2 == 0 { 0.5 } else { 1.5 }).collect();
    let rows: Vec<usize> = (0..n).collect();
    for centering in [Centering::None, Centering::Targets, Centering::Intercept] {
        let y = Draws(1).mat(n, 1);
        let path = DualPath::new(k.clone(), y.as_ref(), options(centering, Some(w.clone()), &[0.1]), &resources)?;
        let trace: f64 = (0..n)
            .map(|i| {
                let unit: Vec<f64> = (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect();
                refit(&k, &unit, &w, 0.1, centering, &rows, i)
            })
            .sum();
        let point = &path.points(&resources)?[0];
        assert!((point.degrees_of_freedom - trace).abs() < 1e-9, "{centering:?}");
    }
    let y = Draws(1).mat(n, 1);
    let path = DualPath::new(k.clone(), y.as_ref(), options(Centering::None, Some(w.clone()), &[0.1]), &resources)?;
    let x = Draws(8).mat(n, 3);
    let cross = rbf(&x, &Draws(3).mat(n, 3));
    let found = path.posterior_variance(cross.as_ref(), &vec![1.0; n], 0.1, &resources)?;
    for (t, found) in found.iter().enumerate() {
        let column: Vec<f64> = cross.row(t).to_vec();
        let mut a: Vec<Vec<f64>> = (0..n).map(|i| k.row(i).to_vec()).collect();
        (0..n).for_each(|i| a[i][i] += 0.1 / w[i]);
        let explained: f64 = eliminate(a, column).iter().zip(cross.row(t)).map(|(a, b)| a * b).sum();
        assert!((found - (1.0 - explained)).abs() < 1e-10);
    }
    // Left out, sample 7 is a new sample.
    let rest: Vec<usize> = (0..n).filter(|&i| i != 7).collect();
    let mut a: Vec<Vec<f64>> = rest.iter().map(|&i| rest.iter().map(|&j| k[(i, j)]).collect()).collect();
    rest.iter().enumerate().for_each(|(at, &i)| a[at][at] += 0.1 / w[i]);
    let across: Vec<f64> = rest.iter().map(|&i| k[(7, i)]).collect();
    let explained: f64 = eliminate(a, across.clone()).iter().zip(&across).map(|(a, b)| a * b).sum();
    let fit = path.fit(0.1, &resources)?;
    assert!((fit.loo_variance[7] - (1.0 - explained + 0.1 / w[7])).abs() < 1e-10);
    Ok(())
}

#[test]
fn threads_do_not_change_a_bit() -> Result<()> {
    let n = 257;
    let y = Draws(2).mat(n, 3);
    let runs: Vec<_> = [1, 2, 3, 8]
        .into_iter()
        .map(|threads| {
            let resources = Resources::new(threads)?;
            let path = DualPath::new(kernel(n, 4), y.as_ref(), DualOptions::default(), &resources)?;
            Ok((path.points(&resources)?, path.fit(0.01, &resources)?))
        })
        .collect::<Result<_>>()?;
    assert!(runs.iter().all(|r| r == &runs[0]));
    Ok(())
}

#[test]
fn the_choice_is_the_least_error_and_refining_does_not_harm() -> Result<()> {
    let resources = Resources::new(2)?;
    let mut draws = Draws(11);
    let x = draws.mat(120, 1);
    let y = Mat::from_fn(120, 1, |i, _| (3.0 * x[(i, 0)]).sin() + 0.3 * draws.normal());
    let path = DualPath::new(rbf(&x, &x), y.as_ref(), DualOptions::default(), &resources)?;
    let points = path.points(&resources)?;
    let chosen = best(&points).unwrap();
    assert!(points.iter().all(|p| p.jitter.is_some() || p.mse >= points[chosen].mse));
    assert!(chosen > 0 && chosen < points.len() - 1);
    let refined = path.refine(&points, 10, &resources)?;
    assert!(refined.mse <= points[chosen].mse && refined.mse > 0.05);
    Ok(())
}

#[test]
fn what_a_singular_kernel_needs_is_reported() -> Result<()> {
    let resources = Resources::new(1)?;
    let k = Mat::from_fn(40, 40, |_, _| 1.0);
    let y = Draws(1).mat(40, 1);
    let path = DualPath::new(k, y.as_ref(), options(Centering::Targets, None, &[0.0, 1e-2]), &resources)?;
    let points = path.points(&resources)?;
    assert!(points[0].jitter.is_some_and(|j| j.added > 0.0 && j.added < 1e-8), "{:?}", points[0].jitter);
    assert!(points[1].jitter.is_none());
    assert!((points[1].condition / (40.01 / 0.01) - 1.0).abs() < 1e-6);
    assert!(points.iter().all(|p| p.mse.is_finite()));
    let mut indefinite = Mat::from_fn(40, 40, |i, j| if i == j { 1.0 } else { 0.0 });
    indefinite[(3, 3)] = -0.5;
    let path = DualPath::new(indefinite, y.as_ref(), DualOptions::default(), &resources)?;
    assert!(matches!(path.points(&resources), Err(Error::NotPositiveDefinite { .. })));
    Ok(())
}

#[test]
fn bad_input_is_refused_with_its_place() -> Result<()> {
    let resources = Resources::new(1)?;
    let new = |k: Mat<f64>, y: Mat<f64>, o: DualOptions| DualPath::new(k, y.as_ref(), o, &resources).map(|_| ());
    let (k, y) = (kernel(5, 1), Draws(1).mat(5, 1));
    let plain = DualOptions::default;
    let mut nan = k.clone();
    nan[(2, 3)] = f64::NAN;
    assert!(matches!(new(nan, y.clone(), plain()), Err(Error::NonFinite { row: 2, column: 3, .. })));
    let mut inf = y.clone();
    inf[(4, 0)] = f64::INFINITY;
    assert!(matches!(new(k.clone(), inf, plain()), Err(Error::NonFinite { row: 4, column: 0, .. })));
    assert!(matches!(new(Mat::zeros(5, 4), y.clone(), plain()), Err(Error::Shape { .. })));
    assert!(matches!(new(k.clone(), Mat::zeros(4, 1), plain()), Err(Error::Shape { .. })));
    assert!(matches!(new(k.clone(), Mat::zeros(5, 0), plain()), Err(Error::Shape { .. })));
    assert!(matches!(new(Mat::zeros(0, 0), Mat::zeros(0, 1), plain()), Err(Error::Invalid { .. })));
    assert!(matches!(new(kernel(1, 1), Mat::zeros(1, 1), plain()), Err(Error::Invalid { .. })));
    assert!(new(kernel(1, 1), Mat::zeros(1, 1), options(Centering::None, None, &[1.0])).is_ok());
    assert!(matches!(new(Mat::zeros(5, 5), y.clone(), plain()), Err(Error::Invalid { .. })));
    for lambda in [-1.0, f64::NAN, f64::INFINITY] {
        let o = options(Centering::None, None, &[lambda]);
        assert!(matches!(new(k.clone(), y.clone(), o), Err(Error::Invalid { .. })));
    }
    assert!(new(k.clone(), y.clone(), options(Centering::None, None, &[])).is_err());
    for weights in [vec![1.0; 4], vec![1.0, 1.0, 0.0, 1.0, 1.0], vec![f64::NAN; 5]] {
        assert!(new(k.clone(), y.clone(), options(Centering::None, Some(weights), &[1.0])).is_err());
    }
    let huge = Mat::from_fn(5, 1, |i, _| if i == 0 { 1e200 } else { 0.0 });
    let path = DualPath::new(k.clone(), huge.as_ref(), plain(), &resources)?;
    assert!(matches!(path.points(&resources), Err(Error::Overflow { .. })));
    let small = Resources::new(1)?.with_memory(100);
    assert!(matches!(DualPath::new(k, y.as_ref(), plain(), &small), Err(Error::Memory { .. })));
    assert_eq!(default_path().len(), 21);
    assert!(default_path().windows(2).all(|l| (l[1] / l[0] - 10f64.sqrt()).abs() < 1e-12));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn permuting_samples_permutes_results(n in 2usize..60, seed in 1u64..1000, shift in 1usize..50) {
        let resources = Resources::new(1).unwrap();
        let (k, y) = (kernel(n, seed), Draws(seed + 7).mat(n, 1));
        let at = |i: usize| (i + shift) % n;
        let k2 = Mat::from_fn(n, n, |i, j| k[(at(i), at(j))]);
        let y2 = Mat::from_fn(n, 1, |i, _| y[(at(i), 0)]);
        let lambdas = DualOptions { lambdas: vec![1e-3, 1.0], ..DualOptions::default() };
        let run = |k, y: Mat<f64>| DualPath::new(k, y.as_ref(), lambdas.clone(), &resources).unwrap().points(&resources).unwrap();
        for (a, b) in run(k, y).iter().zip(run(k2, y2)) {
            prop_assert!((a.degrees_of_freedom - b.degrees_of_freedom).abs() < 1e-8);
            for i in 0..n {
                prop_assert!((a.loo[(at(i), 0)] - b.loo[(i, 0)]).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn calibrated_probabilities_are_probabilities(n in 2usize..40, k in 2usize..6, seed in 1u64..1000, size in -12i32..12) {
        let resources = Resources::new(1).unwrap();
        let mut draws = Draws(seed);
        let labels: Vec<usize> = (0..n).map(|i| if i < 2 { i } else { (draws.next().abs() * k as f64) as usize % k }).collect();
        let scores = Mat::from_fn(n, k, |i, j| (draws.next() + f64::from(labels[i] == j)) * 10f64.powi(size));
        let calibration = Calibration::fit(scores.as_ref(), &labels, &resources).unwrap();
        let p = calibration.probabilities(scores.as_ref()).unwrap();
        for i in 0..n {
            prop_assert!((p.row(i).iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(p.row(i).iter().all(|p| *p >= 0.0));
        }
        prop_assert!(calibration.scale >= 0.0);
        // Biases alone reach the shares of the classes, so no calibration may be worse by more than the smoothing costs.
        let s = ClassScores::new(p.as_ref(), &labels).unwrap();
        prop_assert!(s.log_loss <= (k as f64).ln() + 0.2, "{}", s.log_loss);
    }
}

#[test]
fn classes_are_learnt_and_probabilities_are_honest() -> Result<()> {
    let resources = Resources::new(2)?;
    let mut draws = Draws(21);
    let n = 300;
    // One class in ten is the second; the classes overlap.
    let labels: Vec<usize> = (0..n).map(|i| usize::from(i % 10 == 0)).collect();
    let x = Mat::from_fn(n, 2, |i, _| draws.normal() + 1.5 * labels[i] as f64);
    let path = DualPath::new(rbf(&x, &x), one_hot(&labels, 2)?.as_ref(), DualOptions::default(), &resources)?;
    let points = path.points(&resources)?;
    let loo = &points[best(&points).unwrap()].loo;
    let calibration = Calibration::fit(loo.as_ref(), &labels, &resources)?;
    let p = calibration.probabilities(loo.as_ref())?;
    let scores = ClassScores::new(p.as_ref(), &labels)?;
    let prior = -(0.9f64 * 0.9f64.ln() + 0.1 * 0.1f64.ln());
    assert!(scores.log_loss < 0.85 * prior && scores.accuracy > 0.9 && scores.brier < 0.18, "{scores:?}");
    let mean = (0..n).map(|i| p[(i, 1)]).sum::<f64>() / n as f64;
    assert!((mean - 0.1).abs() < 0.01, "mean probability {mean}");
    Ok(())
}

#[test]
fn calibration_survives_extremes() -> Result<()> {
    let resources = Resources::new(1)?;
    let two = Mat::from_vec(2, 2, vec![1e-300, 0.0, 0.0, 1e-300])?;
    let calibration = Calibration::fit(two.as_ref(), &[0, 1], &resources)?;
    let p = calibration.probabilities(two.as_ref())?;
    assert!(p[(0, 0)] > 0.6 && p[(0, 0)] < 0.7, "{p:?}"); // Smoothed: (1 + 1) / (1 + 2).
    let p = calibration.probabilities(Mat::from_vec(1, 2, vec![1e300, -1e300])?.as_ref())?;
    assert_eq!(p.as_slice(), &[1.0, 0.0]);
    // Scores that point the wrong way are ignored.
    let wrong = Mat::from_fn(40, 2, |i, j| f64::from((i % 2 == 0) != (j == 0)));
    let labels: Vec<usize> = (0..40).map(|i| i % 2).collect();
    let calibration = Calibration::fit(wrong.as_ref(), &labels, &resources)?;
    assert_eq!(calibration.scale, 0.0);
    // Constant scores: the shares of the classes.
    let labels: Vec<usize> = (0..40).map(|i| usize::from(i % 4 == 0)).collect();
    let flat = Mat::from_fn(40, 2, |_, _| 0.5);
    let p = Calibration::fit(flat.as_ref(), &labels, &resources)?.probabilities(flat.as_ref())?;
    assert!((p[(0, 1)] - 0.25).abs() < 0.04, "{}", p[(0, 1)]);
    assert!(one_hot(&[1, 1, 1], 2).is_err() && one_hot(&[0, 2], 2).is_err() && one_hot(&[], 1).is_err());
    let nan = Mat::from_fn(2, 2, |_, _| f64::NAN);
    assert!(Calibration::fit(nan.as_ref(), &[0, 1], &resources).is_err());
    Ok(())
}

/// Share of fresh samples inside the intervals of `level`, over `runs` data sets, and their mean width.
fn coverage(n: usize, width: Width, noise: impl Fn(f64) -> f64, runs: u64) -> Result<(f64, f64)> {
    let resources = Resources::new(1)?;
    let (mut inside, mut total, mut widths) = (0usize, 0usize, 0.0);
    for run in 0..runs {
        let mut draws = Draws(run * 7919 + 17);
        let mut data = |n: usize| {
            let x = draws.mat(n, 1);
            let y = Mat::from_fn(n, 1, |i, _| (4.0 * x[(i, 0)]).sin() + noise(x[(i, 0)]) * draws.normal());
            (x, y)
        };
        let ((x, y), (z, t)) = (data(n), data(60));
        let path = DualPath::new(rbf(&x, &x), y.as_ref(), DualOptions::default(), &resources)?;
        let points = path.points(&resources)?;
        let fit = path.fit(points[best(&points).unwrap()].lambda, &resources)?;
        let cross = rbf(&z, &x);
        let variance = path.posterior_variance(cross.as_ref(), &[1.0; 60], fit.point.lambda, &resources)?;
        let predictions = fit.predict(cross.as_ref(), &resources)?;
        let intervals = IntervalCalibration::new(&fit, y.as_ref(), width)?;
        let (low, high) = intervals.interval(predictions.as_ref(), &variance, 0.9)?;
        for i in 0..60 {
            inside += usize::from(low[(i, 0)] <= t[(i, 0)] && t[(i, 0)] <= high[(i, 0)]);
            widths += high[(i, 0)] - low[(i, 0)];
            total += 1;
        }
    }
    Ok((inside as f64 / total as f64, widths / total as f64))
}

#[test]
fn intervals_cover_what_they_say() -> Result<()> {
    for n in [12, 30, 120] {
        for width in [Width::Constant, Width::Posterior] {
            let even = coverage(n, width, |_| 0.3, 60)?;
            let uneven = coverage(n, width, |x| 0.1 + 0.4 * x.abs(), 60)?;
            println!("n {n} {width:?}: even {even:.3?} uneven {uneven:.3?}");
            for (share, _) in [even, uneven] {
                assert!((share - 0.9).abs() < 0.05, "n {n} {width:?}: {share}");
            }
        }
    }
    Ok(())
}

#[test]
fn levels_beyond_the_residuals_are_refused() -> Result<()> {
    let resources = Resources::new(1)?;
    let y = Draws(3).mat(9, 1);
    let path = DualPath::new(kernel(9, 2), y.as_ref(), DualOptions::default(), &resources)?;
    let fit = path.fit(0.1, &resources)?;
    let intervals = IntervalCalibration::new(&fit, y.as_ref(), Width::Constant)?;
    let p = Mat::zeros(1, 1);
    assert!(intervals.interval(p.as_ref(), &[], 0.9).is_ok());
    for level in [0.91, 1.0, 0.0, f64::NAN] {
        assert!(matches!(intervals.interval(p.as_ref(), &[], level), Err(Error::Invalid { .. })));
    }
    Ok(())
}
