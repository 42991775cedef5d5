//! Logistic regression on features: conditions of the minimum, against Newton's method written out, hostile input.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::ridge::{
    Identity, LambdaScale, LogisticFit, LogisticOptions, Outcome, PrimalOptions, PrimalPath, accumulate, logistic,
    one_hot,
};
use dualnet::{Error, Mat, Resources};

/// Uniform numbers in [-1, 1).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Correlated features and labels that follow them, with noise.
fn problem(n: usize, m: usize, k: usize, seed: u64) -> (Mat<f64>, Vec<usize>) {
    let mut draws = Draws(seed);
    let base = Mat::from_fn(n, m, |_, _| draws.next());
    let x = Mat::from_fn(n, m, |i, j| base[(i, j)] + 0.9 * base[(i, 0)] + 0.2);
    let labels = (0..n)
        .map(|i| {
            let score = |c: usize| x[(i, c % m)] * if c < m { 1.0 } else { -1.0 };
            let noisy: Vec<f64> = (0..k).map(|c| score(c) + 0.8 * draws.next()).collect();
            (0..k).max_by(|&a, &b| noisy[a].total_cmp(&noisy[b])).unwrap()
        })
        .collect();
    (x, labels)
}

fn options(lambda: f64) -> LogisticOptions {
    LogisticOptions { lambda, scale: LambdaScale::Absolute, tolerance: 1e-7, steps: 500 }
}

/// The largest derivative by theta or intercept, written out.
fn residual(x: &Mat<f64>, labels: &[usize], w: &[f64], fit: &LogisticFit) -> f64 {
    let (n, m, k) = (x.rows(), x.cols(), fit.intercept.len());
    let r = Resources::new(1).unwrap();
    let p = fit.probabilities(x.as_ref(), &r).unwrap();
    let total: f64 = w.iter().sum();
    let mut most = 0f64;
    for c in 0..k {
        let miss = |i: usize| w[i] / total * (p[(i, c)] - if labels[i] == c { 1.0 } else { 0.0 });
        most = most.max((0..n).map(miss).sum::<f64>().abs());
        for j in 0..m {
            let slope: f64 = (0..n).map(|i| miss(i) * x[(i, j)]).sum();
            most = most.max((slope + fit.lambda_absolute * fit.theta[(j, c)]).abs());
        }
    }
    most
}

#[test]
fn the_conditions_of_the_minimum_hold() {
    let r = Resources::new(2).unwrap();
    for (n, m, k, lambda) in [(60, 4, 2, 1e-2), (400, 10, 3, 1e-3), (40, 60, 4, 1e-2), (300, 260, 3, 1e-2)] {
        let (x, labels) = problem(n, m, k, 17);
        let mut draws = Draws(3);
        for w in [vec![1.0; n], (0..n).map(|_| draws.next() + 1.5).collect()] {
            let fit = logistic(x.as_ref(), &labels, k, &w, None, &options(lambda), &r).unwrap();
            assert_eq!(fit.outcome, Outcome::Converged, "{n} x {m}: {}", fit.residual);
            let found = residual(&x, &labels, &w, &fit);
            assert!(found < 1e-7, "{n} x {m} x {k}: {found}");
        }
    }
}

/// Two classes are one problem of the difference of their coefficients, solved here by Newton's method.
#[test]
fn two_classes_agree_with_newtons_method() {
    let r = Resources::new(1).unwrap();
    let (n, lambda) = (200, 0.01);
    let (x, labels) = problem(n, 1, 2, 5);
    // Penalty lambda / 2 (a^2 + a^2) with difference d = 2 a: lambda d^2 / 4.
    let (mut d, mut b) = (0.0, 0.0);
    for _ in 0..50 {
        let (mut g, mut h) = ([lambda * d / 2.0, 0.0], [[lambda / 2.0, 0.0], [0.0, 0.0]]);
        for i in 0..n {
            let p = 1.0 / (1.0 + f64::exp(-(d * x[(i, 0)] + b)));
            let (miss, v) = ((p - labels[i] as f64) / n as f64, p * (1.0 - p) / n as f64);
            g = [g[0] + miss * x[(i, 0)], g[1] + miss];
            h[0][0] += v * x[(i, 0)].powi(2);
            h[0][1] += v * x[(i, 0)];
            h[1][1] += v;
        }
        let det = h[0][0] * h[1][1] - h[0][1] * h[0][1];
        d -= (h[1][1] * g[0] - h[0][1] * g[1]) / det;
        b -= (h[0][0] * g[1] - h[0][1] * g[0]) / det;
    }
    let fit = logistic(x.as_ref(), &labels, 2, &[], None, &options(lambda), &r).unwrap();
    assert!((fit.theta[(0, 1)] - fit.theta[(0, 0)] - d).abs() < 1e-5, "{d}");
    assert!((fit.intercept[1] - fit.intercept[0] - b).abs() < 1e-5, "{b}");
}

#[test]
fn a_start_from_ridge_saves_evaluations_and_changes_nothing_else() {
    let r = Resources::new(2).unwrap();
    let (n, m, k) = (1500, 60, 4);
    let (x, labels) = problem(n, m, k, 23);
    let y = one_hot(&labels, k).unwrap();
    let mut source = dualnet::ridge::ArraySource::new(x.as_ref(), y.as_ref(), &[], 500).unwrap();
    let s = accumulate(&Identity(m), &mut source, &r).unwrap();
    let ridge = PrimalPath::new(s, PrimalOptions::default(), &r).unwrap().fit(1e-3, &r).unwrap();
    let loose = LogisticOptions { tolerance: 1e-4, ..options(1e-3) };
    let cold = logistic(x.as_ref(), &labels, k, &[], None, &loose, &r).unwrap();
    let warm = logistic(x.as_ref(), &labels, k, &[], Some(&ridge), &loose, &r).unwrap();
    assert!(warm.evaluations < cold.evaluations, "{} {}", warm.evaluations, cold.evaluations);
    let ends = [None, Some(&ridge)].map(|s| logistic(x.as_ref(), &labels, k, &[], s, &options(1e-3), &r).unwrap());
    assert!((ends[0].objective - ends[1].objective).abs() < 1e-12);
    for (a, b) in ends[0].theta.as_slice().iter().zip(ends[1].theta.as_slice()) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}

#[test]
fn threads_weights_units_and_offsets_do_what_they_should() {
    let (n, m, k) = (300, 258, 3);
    let (x, labels) = problem(n, m, k, 29);
    let w: Vec<f64> = (0..n).map(|i| (i % 3) as f64).collect();
    let run = |threads: usize| {
        let r = Resources::new(threads).unwrap();
        logistic(x.as_ref(), &labels, k, &w, None, &options(1e-2), &r).unwrap()
    };
    let first = run(1);
    assert!(run(2) == first && run(3) == first);
    let r = Resources::new(2).unwrap();
    let rows: Vec<usize> = (0..n).flat_map(|i| std::iter::repeat_n(i, i % 3)).collect();
    let repeated: Vec<usize> = rows.iter().map(|&i| labels[i]).collect();
    let again = logistic(x.as_ref().select_rows(&rows).as_ref(), &repeated, k, &[], None, &options(1e-2), &r).unwrap();
    let far = Mat::from_fn(n, m, |i, j| 1e-3 * x[(i, j)] + 1e3);
    let moved = logistic(far.as_ref(), &labels, k, &w, None, &options(1e-8), &r).unwrap();
    for i in 0..m * k {
        let (a, b, c) = (first.theta.as_slice()[i], again.theta.as_slice()[i], moved.theta.as_slice()[i] * 1e-3);
        assert!((a - b).abs() < 1e-4 && (a - c).abs() < 1e-4, "{a} {b} {c}");
    }
    // Single precision keeps the problem, rounded once.
    let low = Mat::from_fn(n, m, |i, j| x[(i, j)] as f32);
    let single = logistic(low.as_ref(), &labels, k, &w, None, &options(1e-2), &r).unwrap();
    assert!((single.objective - first.objective).abs() < 1e-6);
}

#[test]
fn hostile_input_is_refused_and_hard_problems_end() {
    let r = Resources::new(1).unwrap();
    let (x, labels) = problem(30, 3, 2, 31);
    let with =
        |x: &Mat<f64>, l: &[usize], k, w: &[f64], o: &LogisticOptions| logistic(x.as_ref(), l, k, w, None, o, &r);
    let o = options(1e-3);
    assert!(matches!(with(&x, &labels[1..], 2, &[], &o), Err(Error::Shape { .. })));
    assert!(with(&x, &labels, 1, &[], &o).is_err());
    assert!(with(&x, &[2; 30], 2, &[], &o).is_err());
    assert!(with(&x, &labels, 2, &[-1.0; 30], &o).is_err());
    assert!(with(&x, &labels, 2, &[0.0; 30], &o).is_err());
    for bad in [0.0, -1.0, f64::NAN] {
        assert!(with(&x, &labels, 2, &[], &options(bad)).is_err());
    }
    let mut nan = x.clone();
    nan[(7, 1)] = f64::NAN;
    assert!(matches!(with(&nan, &labels, 2, &[], &o), Err(Error::NonFinite { row: 7, column: 1, .. })));
    let flat = Mat::from_fn(30, 3, |_, _| 2.0);
    assert!(with(&flat, &labels, 2, &[], &o).is_err());
    // Separable, with hardly a penalty: large coefficients, finite, and said not to have converged if so.
    let clear = Mat::from_fn(30, 3, |i, j| if labels[i] == 1 { 1.0 } else { -1.0 } + 0.1 * x[(i, j)]);
    let fit = with(&clear, &labels, 2, &[], &LogisticOptions { steps: 30, ..options(1e-300) }).unwrap();
    assert!(fit.theta.as_slice().iter().all(|t| t.is_finite()));
    assert_eq!(fit.outcome == Outcome::Converged, fit.residual <= 1e-7 * fit.residual_at_zero);
    // A class that never occurs.
    let fit = with(&x, &labels, 3, &[], &o).unwrap();
    let p = fit.probabilities(x.as_ref(), &r).unwrap();
    assert!((0..30).all(|i| p[(i, 2)] < 0.05 && p.row(i).iter().all(|p| p.is_finite())));
}
