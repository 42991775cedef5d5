//! Ridge in the primal against plain elimination and the dual; statistics of streams and shards; hostile input.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::features::FeatureMap;
use dualnet::kernel::Float;
use dualnet::ridge::{
    ArraySource, Batch, Centering, DualOptions, DualPath, Identity, LambdaScale, PrimalFit, PrimalOptions, PrimalPath,
    PrimalSolver, RidgeStatistics, Source, accumulate, best_by_gcv,
};
use dualnet::{Error, Mat, MatRef, Resources, Result};
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
    fn mat(&mut self, rows: usize, cols: usize) -> Mat<f64> {
        Mat::from_fn(rows, cols, |_, _| self.next())
    }
}

/// Features that are correlated, and targets that depend on them.
fn problem(n: usize, m: usize, k: usize, seed: u64) -> (Mat<f64>, Mat<f64>) {
    let mut draws = Draws(seed);
    let base = draws.mat(n, m);
    let x = Mat::from_fn(n, m, |i, j| base[(i, j)] + 0.8 * base[(i, j / 2)] + 0.3);
    let noise = draws.mat(n, k);
    let y = Mat::from_fn(n, k, |i, j| x[(i, j % m)] - 0.5 * x[(i, m - 1)] + 0.2 * noise[(i, j)] + 3.0);
    (x, y)
}

fn statistics<T: Float>(x: MatRef<'_, T>, y: MatRef<'_, f64>, w: &[f64], r: &Resources) -> Result<RidgeStatistics> {
    let mut s = RidgeStatistics::new(x.cols(), y.cols(), r)?;
    s.add(x, y, w, r)?;
    Ok(s)
}

fn absolute(solver: PrimalSolver) -> PrimalOptions {
    PrimalOptions { scale: LambdaScale::Absolute, solver, ..PrimalOptions::default() }
}

fn fit(s: &RidgeStatistics, lambda: f64, solver: PrimalSolver, r: &Resources) -> PrimalFit {
    PrimalPath::new(s.clone(), absolute(solver), r).unwrap().fit(lambda, r).unwrap()
}

/// Coefficients and intercept by the bordered normal equations and Gaussian elimination: (m + 1, k), the intercept last.
fn oracle(x: &Mat<f64>, y: &Mat<f64>, w: &[f64], penalty: f64) -> Mat<f64> {
    let (n, m, k) = (x.rows(), x.cols(), y.cols());
    let at = |i: usize, a: usize| if a < m { x[(i, a)] } else { 1.0 };
    let mut a = Mat::from_fn(m + 1, m + 1, |p, q| {
        (0..n).map(|i| w[i] * at(i, p) * at(i, q)).sum::<f64>() + if p == q && p < m { penalty } else { 0.0 }
    });
    let mut b = Mat::from_fn(m + 1, k, |p, j| (0..n).map(|i| w[i] * at(i, p) * y[(i, j)]).sum::<f64>());
    for c in 0..=m {
        let pivot = (c..=m).max_by(|&i, &j| a[(i, c)].abs().total_cmp(&a[(j, c)].abs())).unwrap();
        for j in 0..=m {
            let t = a[(c, j)];
            a[(c, j)] = a[(pivot, j)];
            a[(pivot, j)] = t;
        }
        for j in 0..k {
            let t = b[(c, j)];
            b[(c, j)] = b[(pivot, j)];
            b[(pivot, j)] = t;
        }
        for i in (0..=m).filter(|&i| i != c) {
            let f = a[(i, c)] / a[(c, c)];
            (c..=m).for_each(|j| a[(i, j)] -= f * a[(c, j)]);
            (0..k).for_each(|j| b[(i, j)] -= f * b[(c, j)]);
        }
    }
    Mat::from_fn(m + 1, k, |i, j| b[(i, j)] / a[(i, i)])
}

fn distance(fit: &PrimalFit, expected: &Mat<f64>) -> f64 {
    let (m, k) = (fit.theta.rows(), fit.theta.cols());
    let (mut error, mut size) = (0.0, 0.0);
    for j in 0..k {
        for i in 0..=m {
            let found = if i < m { fit.theta[(i, j)] } else { fit.intercept[j] };
            error += (found - expected[(i, j)]).powi(2);
            size += expected[(i, j)].powi(2);
        }
    }
    f64::sqrt(error / size)
}

/// Relative distance of the coefficients of two fits.
fn apart(a: &PrimalFit, b: &PrimalFit) -> f64 {
    let expected = Mat::from_fn(b.theta.rows() + 1, b.theta.cols(), |i, j| {
        if i < b.theta.rows() { b.theta[(i, j)] } else { b.intercept[j] }
    });
    distance(a, &expected)
}

#[test]
fn both_solvers_give_the_solution_of_plain_elimination() {
    let r = Resources::new(2).unwrap();
    for (n, m, k) in [(2, 1, 1), (60, 7, 2), (300, 40, 3), (20, 33, 1)] {
        let (x, y) = problem(n, m, k, 7);
        let mut draws = Draws(5);
        for w in [vec![], (0..n).map(|_| draws.next() + 1.1).collect::<Vec<f64>>()] {
            let s = statistics(x.as_ref(), y.as_ref(), &w, &r).unwrap();
            let full = if w.is_empty() { vec![1.0; n] } else { w };
            let total: f64 = full.iter().sum();
            for lambda in [1e-3, 0.1, 10.0] {
                let expected = oracle(&x, &y, &full, lambda * total);
                for solver in [PrimalSolver::Band, PrimalSolver::Cholesky] {
                    let error = distance(&fit(&s, lambda, solver, &r), &expected);
                    assert!(error < 1e-10, "{n} x {m}, {solver:?}, {lambda}: {error}");
                }
            }
        }
    }
}

/// The same numbers from the statistics as from the fitted values, and degrees of freedom as the sum of the leverages.
#[test]
fn points_say_what_the_fit_does() {
    let r = Resources::new(1).unwrap();
    let (x, y) = problem(150, 24, 2, 3);
    let s = statistics(x.as_ref(), y.as_ref(), &[], &r).unwrap();
    let mut path = PrimalPath::new(s, absolute(PrimalSolver::Band), &r).unwrap();
    for lambda in [1e-4, 1e-2, 1.0] {
        let fit = path.fit(lambda, &r).unwrap();
        let f = fit.predict(x.as_ref(), &r).unwrap();
        let mse = f.as_slice().iter().zip(y.as_slice()).map(|(f, y)| (f - y).powi(2)).sum::<f64>() / 300.0;
        assert!((fit.point.mse - mse).abs() < 1e-12, "{lambda}: {} {mse}", fit.point.mse);
        let mut source = ArraySource::new(x.as_ref(), y.as_ref(), &[], 64).unwrap();
        let loo = path.leave_one_out(lambda, &Identity(24), &mut source, &r).unwrap();
        let total: f64 = loo.leverages.iter().sum();
        assert!((fit.point.degrees_of_freedom - total).abs() < 1e-9, "{lambda}");
        let gcv = mse / (1.0 - total / 150.0).powi(2);
        assert!((fit.point.gcv - gcv).abs() < 1e-9 * gcv, "{lambda}");
        assert_eq!((fit.point.lambda_absolute, fit.point.jitter), (lambda, None));
    }
}

#[test]
fn leave_one_out_is_that_of_refits_and_of_the_dual() {
    let r = Resources::new(2).unwrap();
    let (n, m, lambda) = (40, 12, 0.05);
    let (x, y) = problem(n, m, 2, 11);
    let mut draws = Draws(9);
    let w: Vec<f64> = (0..n).map(|_| draws.next() + 1.2).collect();
    let total: f64 = w.iter().sum();
    for solver in [PrimalSolver::Band, PrimalSolver::Cholesky] {
        let mut source = ArraySource::new(x.as_ref(), y.as_ref(), &w, 7).unwrap();
        let s = accumulate(&Identity(m), &mut source, &r).unwrap();
        let mut path = PrimalPath::new(s, absolute(solver), &r).unwrap();
        let loo = path.leave_one_out(lambda, &Identity(m), &mut source, &r).unwrap();
        for i in 0..n {
            let mut without = w.clone();
            without[i] = 0.0;
            let refit = oracle(&x, &y, &without, lambda * total);
            for j in 0..2 {
                let f: f64 = (0..m).map(|a| x[(i, a)] * refit[(a, j)]).sum::<f64>() + refit[(m, j)];
                assert!((loo.predictions[(i, j)] - f).abs() < 1e-10, "{solver:?}, row {i}");
            }
        }
        // Weights of the dual have mean 1.
        let kernel = Mat::from_fn(n, n, |i, j| x.row(i).iter().zip(x.row(j)).map(|(a, b)| a * b).sum::<f64>());
        let options = DualOptions {
            lambdas: vec![lambda * n as f64],
            scale: LambdaScale::Absolute,
            centering: Centering::Intercept,
            weights: Some(w.clone()),
        };
        let dual = DualPath::new(kernel, y.as_ref(), options, &r).unwrap().points(&r).unwrap().remove(0);
        for (a, b) in loo.predictions.as_slice().iter().zip(dual.loo.as_slice()) {
            assert!((a - b).abs() < 1e-9, "{solver:?}: {a} {b}");
        }
        assert!((loo.mse - dual.mse).abs() < 1e-9);
        // Some of the rows alone.
        let some = Mat::from_fn(5, m, |i, j| x[(i + 3, j)]);
        let its = Mat::from_fn(5, 2, |i, j| y[(i + 3, j)]);
        let mut part = ArraySource::new(some.as_ref(), its.as_ref(), &w[3..8], 2).unwrap();
        let few = path.leave_one_out(lambda, &Identity(m), &mut part, &r).unwrap();
        for i in 0..5 {
            assert!((few.predictions[(i, 0)] - loo.predictions[(i + 3, 0)]).abs() < 1e-12);
        }
    }
}

#[test]
fn the_search_finds_the_minimum_of_the_whole_path() {
    let r = Resources::new(2).unwrap();
    for (n, m, seed) in [(400, 150, 1), (150, 300, 2), (3000, 140, 4)] {
        let (x, y) = problem(n, m, 1, seed);
        let noisy = Mat::from_fn(n, 1, |i, _| y[(i, 0)] + 2.0 * Draws(i as u64 + 99).next());
        let s = statistics(x.as_ref(), noisy.as_ref(), &[], &r).unwrap();
        let options = |solver| PrimalOptions { solver, ..PrimalOptions::default() };
        let all = PrimalPath::new(s.clone(), options(PrimalSolver::Band), &r).unwrap().points(&r).unwrap();
        let mut path = PrimalPath::new(s, options(PrimalSolver::Cholesky), &r).unwrap();
        let some = path.points(&r).unwrap();
        let (best, found) = (&all[best_by_gcv(&all).unwrap()], &some[best_by_gcv(&some).unwrap()]);
        // The criterion is flat there, and the estimate of the degrees of freedom within its error.
        let true_gcv = all.iter().find(|p| p.lambda == found.lambda).unwrap().gcv;
        let ratio = true_gcv / best.gcv;
        // With fewer rows than features the criterion has a second minimum, at an exact fit.
        let allowed = if n > m { 1.02 } else { 1.5 };
        assert!(ratio <= allowed, "{n} x {m}: {ratio}, {} instead of {}", found.lambda, best.lambda);
        assert!(some.len() < all.len(), "{}", some.len());
        for p in &some {
            let exact = all.iter().find(|a| a.lambda == p.lambda).unwrap();
            let off = (p.degrees_of_freedom - exact.degrees_of_freedom).abs();
            assert!(off <= 4.0 * p.degrees_of_freedom_error + 1e-6, "{n} x {m} at {}: {off}", p.lambda);
            assert!((p.mse - exact.mse).abs() <= 1e-9 * exact.mse + 1e-13);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Rows in any number of shards, batches of any size, merged in any order.
    #[test]
    fn shards_merged_in_any_order_give_the_same_solution(
        cuts in proptest::collection::vec(0usize..500, 1..6),
        batches in proptest::collection::vec(1usize..70, 6),
        order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(),
        offset in prop_oneof![Just(0.0), Just(1e3), Just(1e6)],
    ) {
        let r = Resources::new(2).unwrap();
        let (m, lambda) = (9, 1e-3);
        let (mut x, y) = problem(500, m, 2, 21);
        // What the offset rounds away is gone for both alike.
        x.as_mut_slice().iter_mut().for_each(|x| *x += offset);
        let whole = fit(&statistics(x.as_ref(), y.as_ref(), &[], &r).unwrap(), lambda, PrimalSolver::Auto, &r);
        let mut ends = cuts.clone();
        ends.extend([0, 500]);
        ends.sort_unstable();
        let mut shards = Vec::new();
        for (i, pair) in ends.windows(2).enumerate() {
            let (a, b) = (pair[0], pair[1]);
            let mut shard = RidgeStatistics::new(m, 2, &r).unwrap();
            for first in (a..b).step_by(batches[i % 6]) {
                let last = b.min(first + batches[i % 6]);
                let xs = x.as_ref().block(first..last, 0..m).unwrap();
                shard.add(xs, y.as_ref().block(first..last, 0..2).unwrap(), &[], &r).unwrap();
            }
            shards.push(shard);
        }
        let mut merged = RidgeStatistics::new(m, 2, &r).unwrap();
        for &i in order.iter().filter(|&&i| i < shards.len()) {
            merged.merge(&shards[i], &r).unwrap();
        }
        prop_assert_eq!(merged.rows(), 500);
        let error = apart(&fit(&merged, lambda, PrimalSolver::Auto, &r), &whole);
        prop_assert!(error < 1e-10, "{}", error);
    }
}

/// Yields rows of arrays in batches of the sizes named, over and over.
struct Uneven<'a> {
    inner: ArraySource<'a, f32>,
    sizes: Vec<usize>,
    held: Option<(Batch<f32>, usize)>,
    turn: usize,
}

impl Source<f32> for Uneven<'_> {
    fn columns(&self) -> usize {
        self.inner.columns()
    }
    fn outputs(&self) -> usize {
        self.inner.outputs()
    }
    fn rows(&self) -> Option<u64> {
        None
    }
    fn next(&mut self) -> Result<Option<Batch<f32>>> {
        if self.held.is_none() {
            self.held = self.inner.next()?.map(|b| (b, 0));
        }
        let Some((batch, first)) = self.held.take() else { return Ok(None) };
        let size = self.sizes[self.turn % self.sizes.len()];
        self.turn += 1;
        let last = batch.x.rows().min(first + size);
        let part = Batch {
            x: batch.x.as_ref().block(first..last, 0..batch.x.cols())?.to_mat(),
            y: batch.y.as_ref().block(first..last, 0..batch.y.cols())?.to_mat(),
            weights: Vec::new(),
        };
        if last < batch.x.rows() {
            self.held = Some((batch, last));
        }
        Ok(Some(part))
    }
    fn restart(&mut self) -> Result<()> {
        (self.held, self.turn) = (None, 0);
        self.inner.restart()
    }
}

#[test]
fn neither_batches_nor_threads_change_a_bit() {
    let (x, y) = problem(5000, 300, 2, 31);
    let x = Mat::from_fn(5000, 300, |i, j| x[(i, j)] as f32);
    let run = |threads: usize, sizes: Vec<usize>| {
        let r = Resources::new(threads).unwrap();
        let inner = ArraySource::new(x.as_ref(), y.as_ref(), &[], 5000).unwrap();
        let mut source = Uneven { inner, sizes, held: None, turn: 0 };
        accumulate(&Identity(300), &mut source, &r).unwrap()
    };
    let first = run(1, vec![5000]);
    for (threads, sizes) in [(2, vec![5000]), (3, vec![1, 0, 999]), (1, vec![2047, 3]), (2, vec![4096])] {
        assert!(run(threads, sizes.clone()) == first, "{threads} threads, {sizes:?}");
    }
    let fits: Vec<PrimalFit> = [1, 2, 3]
        .into_iter()
        .flat_map(|t| {
            let r = Resources::new(t).unwrap();
            [PrimalSolver::Band, PrimalSolver::Cholesky].map(|solver| fit(&first, 0.01, solver, &r))
        })
        .collect();
    for pair in fits.chunks(2) {
        assert!(pair == &fits[..2]);
    }
}

#[test]
fn single_precision_costs_what_is_stated() {
    let r = Resources::new(2).unwrap();
    let (x, y) = problem(6000, 60, 1, 41);
    let low = Mat::from_fn(6000, 60, |i, j| x[(i, j)] as f32);
    let same = Mat::from_fn(6000, 60, |i, j| f64::from(low[(i, j)]));
    let (a, b) = (statistics(low.as_ref(), y.as_ref(), &[], &r), statistics(same.as_ref(), y.as_ref(), &[], &r));
    let (a, b) = (a.unwrap(), b.unwrap());
    for i in 0..60 {
        for j in 0..=i {
            let size = (b.scatter()[(i, i)] * b.scatter()[(j, j)]).sqrt();
            let error = (a.scatter()[(i, j)] - b.scatter()[(i, j)]).abs() / size;
            assert!(error < 1e-6, "({i}, {j}): {error}");
        }
    }
    let error = apart(&fit(&a, 1e-4, PrimalSolver::Auto, &r), &fit(&b, 1e-4, PrimalSolver::Auto, &r));
    assert!(error < 1e-5, "{error}");
}

#[test]
fn large_offsets_and_odd_units_cost_no_digits() {
    let r = Resources::new(1).unwrap();
    let (x, y) = problem(3000, 8, 1, 51);
    // On a grid, so that the offsets round nothing away.
    let grid = |v: f64, step: f64| (v / step).round() * step;
    let x = Mat::from_fn(3000, 8, |i, j| grid(x[(i, j)], 2f64.powi(-20)));
    let y = Mat::from_fn(3000, 1, |i, j| grid(y[(i, j)], 2f64.powi(-20)));
    let plain = fit(&statistics(x.as_ref(), y.as_ref(), &[], &r).unwrap(), 1e-3, PrimalSolver::Auto, &r);
    let far = Mat::from_fn(3000, 8, |i, j| x[(i, j)] + 1e6);
    let high = Mat::from_fn(3000, 1, |i, _| y[(i, 0)] + 1e8);
    let moved = fit(&statistics(far.as_ref(), high.as_ref(), &[], &r).unwrap(), 1e-3, PrimalSolver::Auto, &r);
    for i in 0..8 {
        let error = (moved.theta[(i, 0)] - plain.theta[(i, 0)]).abs();
        assert!(error < 1e-10, "{i}: {error}");
    }
    // Squares of these leave the range of f32.
    let tiny = Mat::from_fn(3000, 8, |i, j| (x[(i, j)] * 1e-30) as f32);
    let huge = Mat::from_fn(3000, 8, |i, j| (x[(i, j)] * 1e30) as f32);
    for (m, unit) in [(tiny, 1e-30), (huge, 1e30)] {
        let s = statistics(m.as_ref(), y.as_ref(), &[], &r).unwrap();
        let scaled = fit(&s, 1e-3 * unit * unit, PrimalSolver::Auto, &r);
        for i in 0..8 {
            let error = (scaled.theta[(i, 0)] * unit - plain.theta[(i, 0)]).abs();
            assert!(error < 1e-5, "{unit}: {error}");
        }
    }
}

#[test]
fn weights_are_repeated_rows_and_zero_is_absent() {
    let r = Resources::new(1).unwrap();
    let (x, y) = problem(50, 5, 1, 61);
    let w: Vec<f64> = (0..50).map(|i| (i % 4) as f64).collect();
    let rows: Vec<usize> = (0..50).flat_map(|i| std::iter::repeat_n(i, i % 4)).collect();
    let weighted = statistics(x.as_ref(), y.as_ref(), &w, &r).unwrap();
    let (xs, ys) = (x.as_ref().select_rows(&rows), y.as_ref().select_rows(&rows));
    let repeated = statistics(xs.as_ref(), ys.as_ref(), &[], &r).unwrap();
    assert_eq!((weighted.rows(), repeated.rows()), (37, 73));
    let fits = [&weighted, &repeated].map(|s| fit(s, 0.01, PrimalSolver::Auto, &r));
    assert!(apart(&fits[0], &fits[1]) < 1e-12);
    // A row of no weight may hold anything finite.
    let mut wild = x.clone();
    wild.row_mut(0).fill(1e100);
    assert!(w[0] == 0.0);
    let s = statistics(wild.as_ref(), y.as_ref(), &w, &r).unwrap();
    assert!(s == weighted);
    // Only ratios matter.
    let scaled: Vec<f64> = w.iter().map(|w| w * 1e-15).collect();
    let small = fit(&statistics(x.as_ref(), y.as_ref(), &scaled, &r).unwrap(), 0.01, PrimalSolver::Auto, &r);
    assert!(apart(&small, &fits[0]) < 1e-12);
}

#[test]
fn degenerate_features_are_no_trouble() {
    let r = Resources::new(1).unwrap();
    let (x, y) = problem(30, 4, 1, 71);
    // Twins and a constant, of a size that a sloppy mean would not cancel.
    let wide = Mat::from_fn(30, 6, |i, j| match j {
        4 => x[(i, 0)],
        5 => 1e6 + 1.0 / 3.0,
        _ => x[(i, j)],
    });
    let s = statistics(wide.as_ref(), y.as_ref(), &[], &r).unwrap();
    assert!((0..6).all(|j| s.scatter()[(5, j)] == 0.0));
    for solver in [PrimalSolver::Band, PrimalSolver::Cholesky] {
        let found = fit(&s, 1e-2, solver, &r);
        assert!((found.theta[(0, 0)] - found.theta[(4, 0)]).abs() < 1e-12);
        assert!(found.theta[(5, 0)].abs() < 1e-12 && found.point.jitter.is_none());
        // Without lambda the matrix is singular.
        let bare = fit(&s, 0.0, solver, &r);
        assert!(bare.point.jitter.is_some_and(|j| j.added > 0.0 && j.added < 1e-8), "{:?}", bare.point);
        assert!(bare.theta.as_slice().iter().all(|t| t.is_finite()));
        assert!(bare.point.mse <= found.point.mse);
    }
    // Fewer rows than features.
    let few = statistics(wide.as_ref().block(0..4, 0..6).unwrap(), y.as_ref().block(0..4, 0..1).unwrap(), &[], &r);
    let mut path = PrimalPath::new(few.unwrap(), PrimalOptions::default(), &r).unwrap();
    let points = path.points(&r).unwrap();
    assert!(points.iter().all(|p| p.gcv.is_finite() && p.degrees_of_freedom <= 4.0 && p.jitter.is_none()));
    assert_eq!(points.len(), 21);
    // Targets that do not vary: all lambdas are equal, the largest wins.
    let flat = Mat::from_fn(30, 1, |_, _| 7.0);
    let s = statistics(x.as_ref(), flat.as_ref(), &[], &r).unwrap();
    let mut path = PrimalPath::new(s, PrimalOptions::default(), &r).unwrap();
    let points = path.points(&r).unwrap();
    assert_eq!(points[best_by_gcv(&points).unwrap()].lambda, 1e2);
    assert!((path.fit(1.0, &r).unwrap().intercept[0] - 7.0).abs() < 1e-12);
}

#[test]
fn bad_rows_are_named_by_their_place_in_the_stream() {
    let r = Resources::new(2).unwrap();
    let (n, m) = (5000, 3);
    let at = |row: usize, what: &str| -> Error {
        let (mut x, mut y) = problem(n, m, 2, 81);
        let mut w = vec![1.0; n];
        match what {
            "x" => x[(row, 2)] = f64::NAN,
            "y" => y[(row, 1)] = f64::INFINITY,
            "large" => x[(row, 1)] = 1e200,
            _ => w[row] = -1.0,
        }
        let mut source = ArraySource::new(x.as_ref(), y.as_ref(), &w, 300).unwrap();
        accumulate(&Identity(m), &mut source, &r).unwrap_err()
    };
    for row in [0, 299, 300, 2500, 4999] {
        assert!(matches!(at(row, "x"), Error::NonFinite { row: found, column: 2, .. } if found == row));
        assert!(matches!(at(row, "y"), Error::NonFinite { row: found, column: 1, .. } if found == row));
        assert!(matches!(at(row, "large"), Error::Overflow { row: found, column: 1, .. } if found == row));
        assert!(at(row, "w").to_string().contains(&format!("weight of row {row}:")), "{}", at(row, "w"));
    }
}

#[test]
fn rows_that_fail_leave_the_sums_as_they_were() {
    let r = Resources::new(1).unwrap();
    let (mut x, y) = problem(5000, 2, 1, 91);
    let mut s = statistics(x.as_ref(), y.as_ref(), &[], &r).unwrap();
    let before = s.clone();
    x[(4500, 1)] = f64::NAN;
    let error = s.add(x.as_ref(), y.as_ref(), &[], &r).unwrap_err();
    assert!(matches!(error, Error::NonFinite { row: 4500, column: 1, .. }));
    assert!(s == before);
}

#[test]
fn what_does_not_fit_is_refused() {
    let r = Resources::new(1).unwrap();
    let (x, y) = problem(20, 3, 1, 99);
    let s = statistics(x.as_ref(), y.as_ref(), &[], &r).unwrap();
    let mut other = RidgeStatistics::new(4, 1, &r).unwrap();
    assert!(matches!(other.merge(&s, &r), Err(Error::Shape { .. })));
    assert!(matches!(other.add(x.as_ref(), y.as_ref(), &[], &r), Err(Error::Shape { .. })));
    assert!(matches!(RidgeStatistics::new(0, 1, &r), Err(Error::Shape { .. })));
    let small = Resources::new(1).unwrap().with_memory(1000);
    assert!(matches!(RidgeStatistics::new(50_000, 1, &small), Err(Error::Memory { .. })));
    assert!(matches!(RidgeStatistics::new(usize::MAX, 1, &small), Err(Error::Memory { .. })));
    for w in [vec![-1.0; 20], vec![f64::NAN; 20], vec![f64::INFINITY; 20]] {
        assert!(matches!(statistics(x.as_ref(), y.as_ref(), &w, &r), Err(Error::Invalid { .. })));
    }
    assert!(matches!(statistics(x.as_ref(), y.as_ref(), &[1.0], &r), Err(Error::Shape { .. })));
    let nothing = statistics(x.as_ref(), y.as_ref(), &[0.0; 20], &r).unwrap();
    assert_eq!(nothing.rows(), 0);
    assert!(matches!(PrimalPath::new(nothing, PrimalOptions::default(), &r), Err(Error::Invalid { .. })));
    let flat = Mat::from_fn(20, 3, |_, _| 0.1);
    let s = statistics(flat.as_ref(), y.as_ref(), &[], &r).unwrap();
    assert!(matches!(PrimalPath::new(s, PrimalOptions::default(), &r), Err(Error::Invalid { .. })));
    let mut wrong = ArraySource::new(x.as_ref(), y.as_ref(), &[], 5).unwrap();
    assert!(matches!(accumulate(&Identity(4), &mut wrong, &r), Err(Error::Shape { .. })));
    assert!(ArraySource::new(x.as_ref(), y.as_ref(), &[], 0).is_err());
    assert!(ArraySource::new(x.as_ref(), y.as_ref(), &[1.0], 5).is_err());
    // A row that only itself determines.
    let lonely = Mat::from_fn(6, 1, |i, _| if i == 3 { 1.0 } else { 0.0 });
    let y = Mat::from_fn(6, 1, |i, _| i as f64);
    let mut source = ArraySource::new(lonely.as_ref(), y.as_ref(), &[], 6).unwrap();
    let s = accumulate(&Identity(1), &mut source, &r).unwrap();
    let mut path = PrimalPath::new(s, PrimalOptions::default(), &r).unwrap();
    let error = path.leave_one_out(0.0, &Identity(1), &mut source, &r).unwrap_err();
    assert!(error.to_string().contains("leverage of row 3"), "{error}");
    for lambda in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
        assert!(path.fit(lambda, &r).is_err(), "{lambda}");
    }
}

/// Errors of a source that is not ours pass through.
#[test]
fn errors_of_a_source_pass_through() {
    struct Broken;
    impl Source<f64> for Broken {
        fn columns(&self) -> usize {
            1
        }
        fn outputs(&self) -> usize {
            1
        }
        fn rows(&self) -> Option<u64> {
            None
        }
        fn next(&mut self) -> Result<Option<Batch<f64>>> {
            Err(Error::Source { at: "a.csv, line 7".into(), problem: "not a number: x".into(), hint: "mend it".into() })
        }
        fn restart(&mut self) -> Result<()> {
            Ok(())
        }
    }
    let r = Resources::new(1).unwrap();
    let error = accumulate(&Identity(1), &mut Broken, &r).unwrap_err();
    assert_eq!(error.to_string(), "a.csv, line 7: not a number: x; mend it");
    let _: &dyn FeatureMap<f64> = &Identity(1);
}
