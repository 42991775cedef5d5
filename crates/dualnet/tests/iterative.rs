//! Iterative fits against Cholesky decompositions; products of both operators; threads, paths, hostile input.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::gram;
use dualnet::kernel::{ConvKernel, DenseKernel, Float, Get, InputShape, Kernel};
use dualnet::linalg::{Cholesky, Update, eigh, gemm_nn};
use dualnet::net::Net;
use dualnet::resources::Progress;
use dualnet::ridge::iterative::{
    AfterHoldout, EarlyStop, Ending, IterativeFit, IterativeOptions, KeptTriangle, KernelOperator, LandmarkFit,
    LandmarkOptions, NystromPreconditioner, OnTheFly, Plain, Preconditioner, Sums, fit, fit_landmarks, landmark_bytes,
};
use dualnet::ridge::{ArraySource, Centering, DualOptions, DualPath};
use dualnet::{Error, Mat, MatRef, Resources, Result};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers in [-1, 1).
fn number(i: usize) -> f64 {
    let mut x = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((x ^ (x >> 32)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn mat(rows: usize, cols: usize, seed: usize) -> Mat<f64> {
    Mat::from_fn(rows, cols, |i, j| number(1_000_003 * seed + i * cols + j))
}

fn narrow<T: Float>(x: &Mat<f64>) -> Mat<T> {
    Mat::from_fn(x.rows(), x.cols(), |i, j| T::from_f64(x[(i, j)]))
}

fn two() -> Resources {
    Resources::new(2).unwrap()
}

const WIDTH: usize = 6;

fn dense() -> DenseKernel {
    DenseKernel::new(&Net::parse("fc-relu-2").unwrap(), WIDTH).unwrap()
}

fn prepared<T: Float, K: Kernel<T>>(kernel: &K, x: &Mat<f64>) -> K::Samples {
    kernel.prepare(narrow::<T>(x).as_ref(), "x", &two()).unwrap()
}

/// K in full, of f64 tiles.
fn full(x: &Mat<f64>) -> Mat<f64> {
    gram::symmetric(&dense(), x.as_ref(), Get::Ntk, &two()).unwrap().ntk.unwrap()
}

fn mean_diagonal(k: &Mat<f64>) -> f64 {
    (0..k.rows()).map(|i| k[(i, i)]).sum::<f64>() / k.rows() as f64
}

/// `(K + lambda s I)^-1 Y`, by Cholesky.
fn exact(k: &Mat<f64>, y: &Mat<f64>, lambda: f64) -> Mat<f64> {
    let shift = lambda * mean_diagonal(k);
    let shifted = Mat::from_fn(k.rows(), k.rows(), |i, j| k[(i, j)] + if i == j { shift } else { 0.0 });
    Cholesky::new(shifted, "K", &two()).unwrap().solve(y.as_ref(), &two()).unwrap()
}

/// Largest distance relative to the largest entry.
fn distance(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    assert_eq!((a.rows(), a.cols()), (b.rows(), b.cols()));
    let largest = b.as_slice().iter().fold(1e-300f64, |m, x| m.max(x.abs()));
    a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

/// A Nystrom factor from rows at equal distances: `K_nm K_mm^(-1/2)`.
fn factor(k: &Mat<f64>, landmarks: usize) -> Mat<f64> {
    let n = k.rows();
    let at: Vec<usize> = (0..landmarks).map(|j| j * n / landmarks).collect();
    let inner = Mat::from_fn(landmarks, landmarks, |i, j| k[(at[i], at[j])]);
    let spectrum = eigh(inner.as_ref(), &two()).unwrap();
    let largest = spectrum.values[landmarks - 1];
    let scaled = Mat::from_fn(landmarks, landmarks, |i, j| {
        let value = spectrum.values[j];
        if value > 1e-10 * largest { spectrum.vectors[(j, i)] / value.sqrt() } else { 0.0 }
    });
    let cross = Mat::from_fn(n, landmarks, |i, j| k[(i, at[j])]);
    let mut out = Mat::zeros(n, landmarks);
    gemm_nn(out.as_mut(), Update::Replace, 1.0, cross.as_ref(), scaled.as_ref()).unwrap();
    out
}

fn one(lambda: f64, tolerance: f64) -> IterativeOptions {
    IterativeOptions { lambdas: vec![lambda], centering: Centering::None, tolerance, ..Default::default() }
}

fn product(operator: &dyn KernelOperator, x: &Mat<f64>, sums: Sums, resources: &Resources) -> Result<Mat<f64>> {
    let mut out = Mat::zeros(operator.side(), x.cols());
    operator.apply(x.as_ref(), sums, out.as_mut(), resources)?;
    Ok(out)
}

#[test]
fn products_are_those_of_the_whole_matrix() {
    for n in [1, 2, 127, 129, 256, 257, 700] {
        let x = mat(n, WIDTH, n);
        let (kernel, k) = (dense(), full(&x));
        let (wide, short) = (prepared::<f64, _>(&kernel, &x), prepared::<f32, _>(&kernel, &x));
        let kept = KeptTriangle::<f64>::new(&kernel, &wide, Get::Ntk, &two()).unwrap();
        let single = KeptTriangle::<f32>::new(&kernel, &short, Get::Ntk, &two()).unwrap();
        assert!((kept.mean_diagonal() / mean_diagonal(&k) - 1.0).abs() < 1e-12);
        for c in [1, 3, 17, 40] {
            let v = mat(n, c, 7);
            let mut expected = Mat::zeros(n, c);
            gemm_nn(expected.as_mut(), Update::Replace, 1.0, k.as_ref(), v.as_ref()).unwrap();
            for (operator, sums, tolerance) in [
                (&kept as &dyn KernelOperator, Sums::Tiles, 1e-12),
                (&kept, Sums::Double, 1e-12),
                (&single, Sums::Double, 2e-5),
                (&single, Sums::Tiles, 2e-5),
            ] {
                let found = product(operator, &v, sums, &two()).unwrap();
                assert!(distance(&found, &expected) < tolerance, "{n} {c} {sums:?} {}", distance(&found, &expected));
            }
        }
    }
}

/// The error that [`Sums::Tiles`] states, against sums in f64 of the same entries.
#[test]
fn sums_in_f32_keep_to_their_error() {
    let (n, kernel) = (1500, dense());
    let x = mat(n, WIDTH, 3);
    let kept = KeptTriangle::<f32>::new(&kernel, &prepared::<f32, _>(&kernel, &x), Get::Ntk, &two()).unwrap();
    let v = mat(n, 2, 5);
    let (a, b) = (product(&kept, &v, Sums::Tiles, &two()).unwrap(), product(&kept, &v, Sums::Double, &two()).unwrap());
    let k = full(&x);
    for i in 0..n {
        let row = k.row(i).iter().map(|k| k * k).sum::<f64>().sqrt();
        for j in 0..2 {
            let norm = (0..n).map(|i| v[(i, j)].powi(2)).sum::<f64>().sqrt();
            let error = (a[(i, j)] - b[(i, j)]).abs();
            assert!(error < 2e-7 * row * norm, "{i} {j}: {}", error / row / norm);
        }
    }
}

#[test]
fn columns_of_any_size_keep_their_digits_in_f32() {
    let (n, kernel) = (300, dense());
    let kept =
        KeptTriangle::<f32>::new(&kernel, &prepared::<f32, _>(&kernel, &mat(n, WIDTH, 1)), Get::Ntk, &two()).unwrap();
    let v = mat(n, 1, 2);
    let scaled = Mat::from_fn(n, 3, |i, j| v[(i, 0)] * [2f64.powi(-200), 1.0, 2f64.powi(200)][j]);
    let (a, b) =
        (product(&kept, &v, Sums::Tiles, &two()).unwrap(), product(&kept, &scaled, Sums::Tiles, &two()).unwrap());
    for i in 0..n {
        for (j, scale) in [2f64.powi(-200), 1.0, 2f64.powi(200)].into_iter().enumerate() {
            assert_eq!(b[(i, j)], a[(i, 0)] * scale);
        }
    }
}

#[test]
fn kept_and_computed_anew_are_the_same_bits_for_any_number_of_threads() {
    fn all<T: Float>(x: &Mat<f64>, v: &Mat<f64>, sums: Sums) {
        let kernel = dense();
        let samples = prepared::<T, _>(&kernel, x);
        let mut first: Option<Mat<f64>> = None;
        for threads in [1, 2, 3] {
            let resources = Resources::new(threads).unwrap();
            let kept = KeptTriangle::<T>::new(&kernel, &samples, Get::Nngp, &resources).unwrap();
            let fly = OnTheFly::new(&kernel, &samples, Get::Nngp, &resources).unwrap();
            assert_eq!(kept.mean_diagonal(), fly.mean_diagonal());
            for operator in [&kept as &dyn KernelOperator, &fly] {
                let found = product(operator, v, sums, &resources).unwrap();
                assert!(*first.get_or_insert_with(|| found.clone()) == found, "{threads} threads");
            }
            // A column alone.
            let column = Mat::from_fn(v.rows(), 1, |i, _| v[(i, 3)]);
            let alone = product(&kept, &column, sums, &resources).unwrap();
            assert!((0..v.rows()).all(|i| alone[(i, 0)] == first.as_ref().unwrap()[(i, 3)]));
        }
    }
    let (x, v) = (mat(900, WIDTH, 4), mat(900, 5, 8));
    all::<f32>(&x, &v, Sums::Tiles);
    all::<f32>(&x, &v, Sums::Double);
    all::<f64>(&x, &v, Sums::Tiles);
}

#[test]
fn solutions_are_those_of_cholesky() {
    for (n, c) in [(1, 1), (2, 17), (130, 1), (513, 17)] {
        let (x, y) = (mat(n, WIDTH, n), mat(n, c, 2));
        let (kernel, k) = (dense(), full(&x));
        let samples = prepared::<f64, _>(&kernel, &x);
        let kept = KeptTriangle::<f64>::new(&kernel, &samples, Get::Ntk, &two()).unwrap();
        for lambda in [1.0, 1e-3] {
            let expected = exact(&k, &y, lambda);
            let shift = lambda * kept.mean_diagonal();
            let f = factor(&k, n.min(60));
            let mut nystrom = NystromPreconditioner::from_factor(f.as_ref(), shift, &two()).unwrap();
            let mut steps = Vec::new();
            for preconditioner in [&mut Plain as &mut dyn Preconditioner, &mut nystrom] {
                let found = fit(&kept, y.as_ref(), preconditioner, &one(lambda, 1e-10), &two()).unwrap();
                assert_eq!(found.points[0].ending, Ending::Converged);
                let error = distance(&found.coefficients, &expected);
                assert!(error < 1e-6, "{n} {c} {lambda}: {error}");
                steps.push(found.points[0].steps);
            }
            assert!(n < 500 || lambda > 0.1 || steps[1] * 2 < steps[0], "preconditioned in {steps:?} steps");
        }
    }
}

/// Entries of f32 kernels are off by some 1e-6 of the diagonal, which lambda divides.
#[test]
fn solutions_of_f32_tiles_are_near() {
    let (n, lambda) = (600, 1e-2);
    let (x, y) = (mat(n, WIDTH, 9), mat(n, 3, 2));
    let (kernel, k) = (dense(), full(&x));
    let kept = KeptTriangle::<f32>::new(&kernel, &prepared::<f32, _>(&kernel, &x), Get::Ntk, &two()).unwrap();
    let f = narrow::<f32>(&factor(&k, 100));
    let mut p = NystromPreconditioner::from_factor(f.as_ref(), lambda * kept.mean_diagonal(), &two()).unwrap();
    let found = fit(&kept, y.as_ref(), &mut p, &one(lambda, 1e-6), &two()).unwrap();
    assert_eq!(found.points[0].ending, Ending::Converged);
    let error = distance(&found.coefficients, &exact(&k, &y, lambda));
    assert!(error < 1e-3, "{error}");
}

#[test]
fn threads_do_not_change_a_bit_of_a_fit() {
    let (x, y) = (mat(400, WIDTH, 9), mat(400, 3, 2));
    let kernel = dense();
    let samples = prepared::<f32, _>(&kernel, &x);
    let f = narrow::<f32>(&factor(&full(&x), 50));
    let options = IterativeOptions {
        lambdas: vec![1e-1, 1e-2],
        holdout: (0..400).step_by(7).collect(),
        tolerance: 1e-5,
        ..Default::default()
    };
    let run = |threads| {
        let resources = Resources::new(threads).unwrap();
        let kept = KeptTriangle::<f32>::new(&kernel, &samples, Get::Ntk, &resources).unwrap();
        let mut p = NystromPreconditioner::from_factor(f.as_ref(), 1.0, &resources).unwrap();
        let found = fit(&kept, y.as_ref(), &mut p, &options, &resources).unwrap();
        let predicted = found.predict(&kernel, Get::Ntk, &samples, &samples, &resources).unwrap();
        (found.coefficients, predicted)
    };
    let first = run(1);
    assert!(first == run(2) && first == run(3));
}

#[test]
fn a_path_from_warm_starts_ends_where_cold_starts_do() {
    let (n, lambdas) = (300, [1e-1, 1e-2, 1e-3]);
    let (x, y) = (mat(n, WIDTH, 5), mat(n, 2, 2));
    let (kernel, k) = (dense(), full(&x));
    let kept = KeptTriangle::<f64>::new(&kernel, &prepared::<f64, _>(&kernel, &x), Get::Ntk, &two()).unwrap();
    let holdout: Vec<usize> = (0..n).step_by(5).collect();
    let options = IterativeOptions {
        lambdas: lambdas.to_vec(),
        tolerance: 1e-9,
        holdout: holdout.clone(),
        early_stop: EarlyStop::Never,
        after: AfterHoldout::Keep,
        ..one(1.0, 1e-9)
    };
    let path = fit(&kept, y.as_ref(), &mut Plain, &options, &two()).unwrap();
    let mut least = (f64::INFINITY, 0.0);
    for (point, &lambda) in path.points.iter().zip(&lambdas) {
        let single = IterativeOptions { lambdas: vec![lambda], ..options.clone() };
        let cold = fit(&kept, y.as_ref(), &mut Plain, &single, &two()).unwrap();
        let (warm, cold) = (point.holdout.as_ref().unwrap(), cold.points[0].holdout.as_ref().unwrap());
        assert!(distance(&warm.predictions, &cold.predictions) < 1e-7);
        // Against the plain formula on the other rows.
        let rest: Vec<usize> = (0..n).filter(|i| i % 5 != 0).collect();
        let inner = Mat::from_fn(rest.len(), rest.len(), |i, j| k[(rest[i], rest[j])]);
        let targets = y.as_ref().select_rows(&rest);
        let shift = lambda * mean_diagonal(&k) / mean_diagonal(&inner);
        let a = exact(&inner, &targets, shift);
        let cross = Mat::from_fn(holdout.len(), rest.len(), |i, j| k[(holdout[i], rest[j])]);
        let mut expected = Mat::zeros(holdout.len(), 2);
        gemm_nn(expected.as_mut(), Update::Replace, 1.0, cross.as_ref(), a.as_ref()).unwrap();
        assert!(distance(&warm.predictions, &expected) < 1e-6, "{}", distance(&warm.predictions, &expected));
        let held = y.as_ref().select_rows(&holdout);
        let mse = expected.as_slice().iter().zip(held.as_slice());
        let mse = mse.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / (2 * holdout.len()) as f64;
        assert!((warm.mse / mse - 1.0).abs() < 1e-6);
        if mse < least.0 {
            least = (mse, lambda);
        }
    }
    assert_eq!(path.lambda(), least.1);
    // Where a smaller lambda has to do a thousand times better, the first is taken.
    let few = fit(&kept, y.as_ref(), &mut Plain, &IterativeOptions { gain: 0.999, ..options }, &two()).unwrap();
    assert!(few.points.len() == 2 && few.best == 0 && few.points[1].lambda == 1e-2);
    assert!(holdout.iter().all(|&i| path.coefficients.row(i) == [0.0, 0.0]));
}

#[test]
fn predictions_are_those_of_the_dual_path() {
    let n = 260;
    let (x, new) = (mat(n, WIDTH, 5), mat(300, WIDTH, 6));
    let y = Mat::from_fn(n, 2, |i, j| 3.0 + x[(i, j)].max(0.0) + 0.1 * number(i));
    let (kernel, lambda) = (dense(), 1e-2);
    let (train, test) = (prepared::<f64, _>(&kernel, &x), prepared::<f64, _>(&kernel, &new));
    let kept = KeptTriangle::<f64>::new(&kernel, &train, Get::Ntk, &two()).unwrap();
    let options = IterativeOptions { lambdas: vec![lambda], tolerance: 1e-11, ..Default::default() };
    let found = fit(&kept, y.as_ref(), &mut Plain, &options, &two()).unwrap();
    let predicted = found.predict(&kernel, Get::Ntk, &train, &test, &two()).unwrap();
    let path = DualPath::new(full(&x), y.as_ref(), DualOptions::default(), &two()).unwrap();
    let cross = gram::cross(&kernel, new.as_ref(), x.as_ref(), Get::Ntk, &two()).unwrap().ntk.unwrap();
    let expected = path.fit(lambda, &two()).unwrap().predict(cross.as_ref(), &two()).unwrap();
    assert!(distance(&predicted, &expected) < 1e-8, "{}", distance(&predicted, &expected));
    let other = found.predict(&kernel, Get::Ntk, &test, &test, &two());
    assert!(matches!(other, Err(Error::Shape { .. })));
}

#[test]
fn all_rows_are_fitted_after_the_choice() {
    let n = 200;
    let (x, kernel) = (mat(n, WIDTH, 5), dense());
    let y = Mat::from_fn(n, 1, |i, _| x[(i, 0)].max(0.0) + 1.0);
    let kept = KeptTriangle::<f64>::new(&kernel, &prepared::<f64, _>(&kernel, &x), Get::Ntk, &two()).unwrap();
    let f = factor(&full(&x), 40);
    let mut p = NystromPreconditioner::from_factor(f.as_ref(), 1.0, &two()).unwrap();
    let options = IterativeOptions {
        lambdas: vec![1.0, 1e-2],
        holdout: vec![3, 77, 150, 180],
        tolerance: 1e-9,
        early_stop: EarlyStop::Never,
        ..Default::default()
    };
    let found = fit(&kept, y.as_ref(), &mut p, &options, &two()).unwrap();
    let alone = IterativeOptions { lambdas: vec![found.lambda()], holdout: Vec::new(), ..options };
    let direct = fit(&kept, y.as_ref(), &mut Plain, &alone, &two()).unwrap();
    assert!(distance(&found.coefficients, &direct.coefficients) < 1e-6);
    assert!((found.intercept[0] - direct.intercept[0]).abs() < 1e-14);
}

#[test]
fn noise_ends_a_small_lambda_early() {
    let n = 300;
    let (x, kernel) = (mat(n, WIDTH, 5), dense());
    let y = Mat::from_fn(n, 1, |i, _| x[(i, 0)] + 0.7 * number(77 * i));
    let kept = KeptTriangle::<f64>::new(&kernel, &prepared::<f64, _>(&kernel, &x), Get::Ntk, &two()).unwrap();
    let options = |early_stop| IterativeOptions {
        lambdas: vec![1e-6],
        holdout: (0..n).step_by(4).collect(),
        early_stop,
        after: AfterHoldout::Keep,
        ..Default::default()
    };
    let error = |f: &IterativeFit| f.points[0].holdout.as_ref().unwrap().mse;
    let stopped = fit(&kept, y.as_ref(), &mut Plain, &options(EarlyStop::Patience(15)), &two()).unwrap();
    let whole = fit(&kept, y.as_ref(), &mut Plain, &options(EarlyStop::Never), &two()).unwrap();
    assert_eq!(stopped.points[0].ending, Ending::Holdout);
    let steps = (stopped.points[0].steps, whole.points[0].steps);
    assert!(
        error(&stopped) < 1.01 * error(&whole) && steps.0 < steps.1,
        "{} {} {steps:?}",
        error(&stopped),
        error(&whole)
    );
}

#[test]
fn targets_of_zero_and_equal_rows_are_no_trouble() {
    let base = mat(150, WIDTH, 5);
    let x = Mat::from_fn(300, WIDTH, |i, j| base[(i / 2, j)]);
    let y = Mat::from_fn(300, 2, |i, j| if j == 0 { 0.0 } else { number(i) });
    let kernel = dense();
    let kept = KeptTriangle::<f64>::new(&kernel, &prepared::<f64, _>(&kernel, &x), Get::Ntk, &two()).unwrap();
    let found = fit(&kept, y.as_ref(), &mut Plain, &one(1e-2, 1e-10), &two()).unwrap();
    assert!((0..300).all(|i| found.coefficients[(i, 0)] == 0.0));
    assert!(distance(&found.coefficients, &exact(&full(&x), &y, 1e-2)) < 1e-6);
}

#[test]
fn images_of_a_convolutional_kernel_are_fitted_like_rows() {
    let kernel = ConvKernel::new(&Net::parse("myrtle-5").unwrap(), &InputShape::image(8, 8, 1)).unwrap();
    let (x, y) = (mat(19, 64, 3), mat(19, 2, 4));
    let k = gram::symmetric(&kernel, x.as_ref(), Get::Ntk, &two()).unwrap().ntk.unwrap();
    let samples = prepared::<f64, _>(&kernel, &x);
    let kept = KeptTriangle::<f64>::new(&kernel, &samples, Get::Ntk, &two()).unwrap();
    let found = fit(&kept, y.as_ref(), &mut Plain, &one(1e-2, 1e-11), &two()).unwrap();
    assert!(distance(&found.coefficients, &exact(&k, &y, 1e-2)) < 1e-6);
    let predicted = found.predict(&kernel, Get::Ntk, &samples, &samples, &two()).unwrap();
    let mut expected = Mat::zeros(19, 2);
    gemm_nn(expected.as_mut(), Update::Replace, 1.0, k.as_ref(), found.coefficients.as_ref()).unwrap();
    assert!(distance(&predicted, &expected) < 1e-10);
}

/// A matrix that is given.
struct Given(Mat<f64>);

impl KernelOperator for Given {
    fn side(&self) -> usize {
        self.0.rows()
    }
    fn mean_diagonal(&self) -> f64 {
        1.0
    }
    fn apply(&self, x: MatRef<'_, f64>, _: Sums, out: dualnet::linalg::MatMut<'_, f64>, _: &Resources) -> Result<()> {
        gemm_nn(out, Update::Replace, 1.0, self.0.as_ref(), x)
    }
}

#[test]
fn matrices_that_are_not_positive_definite_are_named() {
    let k = Given(Mat::from_fn(4, 4, |i, j| if i != j { 0.0 } else { [1.0, 2.0, -1.0, 1.0][i] }));
    let error = fit(&k, mat(4, 1, 1).as_ref(), &mut Plain, &one(1e-3, 1e-8), &two()).unwrap_err();
    assert!(matches!(&error, Error::NotPositiveDefinite { hint, .. } if hint.contains("raise lambda")), "{error}");
}

#[test]
fn what_cannot_work_is_refused() {
    let (x, kernel) = (mat(20, WIDTH, 5), dense());
    let samples = prepared::<f64, _>(&kernel, &x);
    let kept = KeptTriangle::<f64>::new(&kernel, &samples, Get::Ntk, &two()).unwrap();
    let y = mat(20, 1, 1);
    let run = |y: &Mat<f64>, options: IterativeOptions| fit(&kept, y.as_ref(), &mut Plain, &options, &two());
    let options = || one(1e-2, 1e-4);
    assert!(matches!(run(&mat(19, 1, 1), options()), Err(Error::Shape { .. })));
    assert!(matches!(run(&Mat::zeros(20, 0), options()), Err(Error::Shape { .. })));
    let hole = Mat::from_fn(20, 2, |i, j| if (i, j) == (7, 1) { f64::NAN } else { 1.0 });
    assert!(matches!(run(&hole, options()), Err(Error::NonFinite { row: 7, column: 1, .. })));
    for lambdas in [vec![], vec![0.0], vec![-1.0], vec![f64::NAN], vec![1.0, 2.0]] {
        assert!(matches!(run(&y, IterativeOptions { lambdas, ..options() }), Err(Error::Invalid { .. })));
    }
    for holdout in [vec![20], (0..20).collect()] {
        assert!(matches!(run(&y, IterativeOptions { holdout, ..options() }), Err(Error::Invalid { .. })));
    }
    for tolerance in [0.0, 1.0, f64::NAN] {
        assert!(matches!(run(&y, IterativeOptions { tolerance, ..options() }), Err(Error::Invalid { .. })));
    }
    let intercept = IterativeOptions { centering: Centering::Intercept, ..options() };
    assert!(matches!(run(&y, intercept), Err(Error::Unsupported { .. })));
    assert!(matches!(KeptTriangle::<f64>::new(&kernel, &samples, Get::Both, &two()), Err(Error::Invalid { .. })));
    let tight = Resources::new(1).unwrap().with_memory(100_000);
    assert!(matches!(KeptTriangle::<f64>::new(&kernel, &samples, Get::Ntk, &tight), Err(Error::Memory { .. })));
    let zero = prepared::<f64, _>(&kernel, &Mat::zeros(5, WIDTH));
    assert!(matches!(OnTheFly::<f64, _>::new(&kernel, &zero, Get::Ntk, &two()), Err(Error::Invalid { .. })));
    let factor = mat(20, 3, 1);
    for shift in [0.0, -1.0, f64::NAN] {
        assert!(NystromPreconditioner::from_factor(factor.as_ref(), shift, &two()).is_err());
    }
    assert!(NystromPreconditioner::<f64>::from_factor(Mat::zeros(20, 0).as_ref(), 1.0, &two()).is_err());
    let mut short = NystromPreconditioner::from_factor(mat(19, 3, 1).as_ref(), 1.0, &two()).unwrap();
    assert!(matches!(fit(&kept, y.as_ref(), &mut short, &options(), &two()), Err(Error::Shape { .. })));
    let mut out = Mat::zeros(20, 1);
    let bad = Mat::from_fn(20, 1, |_, _| f64::INFINITY);
    let refused = kept.apply(bad.as_ref(), Sums::Tiles, out.as_mut(), &two());
    assert!(matches!(refused, Err(Error::NonFinite { .. })));
}

/// Interrupts after so many questions.
struct Interrupt(AtomicU64);

impl Progress for Interrupt {
    fn update(&self, _: &str, _: u64, _: u64) {}
    fn interrupted(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

#[test]
fn a_fit_can_be_interrupted() {
    let (x, kernel) = (mat(200, WIDTH, 5), dense());
    let kept = KeptTriangle::<f64>::new(&kernel, &prepared::<f64, _>(&kernel, &x), Get::Ntk, &two()).unwrap();
    for after in [1, 5, 20] {
        let resources = two().with_progress(Arc::new(Interrupt(AtomicU64::new(after))));
        let found = fit(&kept, mat(200, 1, 1).as_ref(), &mut Plain, &one(1e-6, 1e-12), &resources);
        assert!(matches!(found, Err(Error::Interrupted { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// `P^-1` times P gives back what was put in, on the rows kept.
    #[test]
    fn the_preconditioner_is_an_inverse(n in 1usize..300, k in 1usize..40, c in 1usize..6, seed in 0usize..1000, some in any::<bool>()) {
        let (f, shift, x) = (mat(n, k, seed), 0.3, mat(n, c, seed + 1));
        let keep: Vec<bool> = (0..n).map(|i| i % 3 != 1).collect();
        let keep = some.then_some(&keep[..]);
        let kept = |i: usize| keep.is_none_or(|keep| keep[i]);
        let mut p = NystromPreconditioner::from_factor(f.as_ref(), 1.0, &two()).unwrap();
        p.prepare(shift, keep, &two()).unwrap();
        let x = Mat::from_fn(n, c, |i, j| if kept(i) { x[(i, j)] } else { 0.0 });
        let inner = Mat::from_fn(k, c, |a, j| (0..n).map(|i| f[(i, a)] * x[(i, j)]).sum::<f64>());
        let px = Mat::from_fn(n, c, |i, j| {
            let own: f64 = (0..k).map(|a| f[(i, a)] * inner[(a, j)]).sum();
            if kept(i) { own + shift * x[(i, j)] } else { 0.0 }
        });
        let back = p.apply(&px, &two()).unwrap();
        prop_assert!(distance(&back, &x) < 1e-9, "{}", distance(&back, &x));
    }
}

/// What plans say is what is there: the tiles, and the sums of a product.
#[test]
fn plans_are_what_is_allocated() {
    let n = 3000;
    let (kernel, x) = (dense(), mat(n, WIDTH, 5));
    let kept = KeptTriangle::<f32>::new(&kernel, &prepared::<f32, _>(&kernel, &x), Get::Ntk, &two()).unwrap();
    let planned = KeptTriangle::<f32>::bytes(n, 0, 128);
    assert_eq!(planned, kept.kept_bytes());
    let half = (n * (n + 1) / 2 * 4) as f64;
    assert!(planned as f64 <= 1.15 * half && KeptTriangle::<f32>::bytes(60_000, 10, 128) < 7_400_000_000);
}

/// The normal equations on landmarks, by Cholesky: `(C^T C + lambda n s K_mm) a = C^T (y - mean)`.
fn on_landmarks(cross: &Mat<f64>, inner: &Mat<f64>, y: &Mat<f64>, lambda: f64) -> Mat<f64> {
    let (n, m, c) = (cross.rows(), inner.rows(), y.cols());
    let weight = lambda * n as f64 * mean_diagonal(inner);
    let dot = |a: &dyn Fn(usize) -> f64, b: &dyn Fn(usize) -> f64| (0..n).map(|i| a(i) * b(i)).sum::<f64>();
    let h = Mat::from_fn(m, m, |a, b| dot(&|i| cross[(i, a)], &|i| cross[(i, b)]) + weight * inner[(a, b)]);
    let mean: Vec<f64> = (0..c).map(|j| (0..n).map(|i| y[(i, j)]).sum::<f64>() / n as f64).collect();
    let right = Mat::from_fn(m, c, |a, j| dot(&|i| cross[(i, a)], &|i| y[(i, j)] - mean[j]));
    let a = Cholesky::new(h, "H", &two()).unwrap().solve(right.as_ref(), &two()).unwrap();
    let mut out = Mat::from_fn(n, c, |_, j| mean[j]);
    gemm_nn(out.as_mut(), Update::Add, 1.0, cross.as_ref(), a.as_ref()).unwrap();
    out
}

#[test]
fn fits_on_landmarks_are_those_of_the_normal_equations() {
    let (n, kernel) = (2500, dense());
    let x = mat(n, WIDTH, 5);
    let y = Mat::from_fn(n, 2, |i, j| 3.0 + x[(i, j)].max(0.0) + 0.1 * number(9 * i + j));
    for m in [1, 40] {
        let at = x.as_ref().select_rows(&(0..m).map(|j| 61 * j).collect::<Vec<_>>());
        let inner = gram::symmetric(&kernel, at.as_ref(), Get::Ntk, &two()).unwrap().ntk.unwrap();
        let cross = gram::cross(&kernel, x.as_ref(), at.as_ref(), Get::Ntk, &two()).unwrap().ntk.unwrap();
        let (landmarks, rows) = (prepared::<f64, _>(&kernel, &at), prepared::<f64, _>(&kernel, &x));
        let options =
            LandmarkOptions { lambdas: vec![1e-3, 1e-5], tolerance: 1e-10, steps: 200, ..LandmarkOptions::default() };
        let run = |batch: usize, room: u64, resources: &Resources| {
            let mut source = ArraySource::new(x.as_ref(), y.as_ref(), &[], batch).unwrap();
            let options = LandmarkOptions { room, ..options.clone() };
            fit_landmarks((&kernel, Get::Ntk), &landmarks, &inner, &mut source, &options, resources).unwrap()
        };
        let found = run(700, 1 << 30, &two());
        assert!(found.best == 1 && found.refit.is_none());
        for fit in &found.points {
            assert!(fit.residual <= 1e-10, "{fit:?}");
            let predicted = fit.predict(&kernel, Get::Ntk, &landmarks, &rows, &two()).unwrap();
            let error = distance(&predicted, &on_landmarks(&cross, &inner, &y, fit.lambda));
            assert!(error < 1e-7, "{m} {}: {error}", fit.lambda);
        }
        // All kept, the first of two chunks or none, whatever the batches and threads: the same bits.
        let one_chunk = landmark_bytes::<f64>(2500, m, 128) / 2;
        assert!(found == run(2500, one_chunk, &two()) && found == run(31, 0, &Resources::new(3).unwrap()));
    }
}

/// Rows left out are absent from the system, and predicted by it; the model is then fitted to all.
#[test]
fn rows_held_out_choose_lambda_on_landmarks() {
    let (n, m, kernel) = (2500, 40, dense());
    let x = mat(n, WIDTH, 5);
    let y = Mat::from_fn(n, 2, |i, j| 3.0 + x[(i, 0)].max(0.0) + 0.1 * number(9 * i + j));
    let at = x.as_ref().select_rows(&(0..m).map(|j| 61 * j).collect::<Vec<_>>());
    let inner = gram::symmetric(&kernel, at.as_ref(), Get::Ntk, &two()).unwrap().ntk.unwrap();
    // In both chunks, at their ends, in the middle of a block.
    let holdout = vec![0, 255, 256, 1000, 2047, 2048, 2300, 2499];
    let others: Vec<usize> = (0..n).filter(|i| !holdout.contains(i)).collect();
    let (part, wanted) = (x.as_ref().select_rows(&others), y.as_ref().select_rows(&others));
    let (landmarks, rows) = (prepared::<f64, _>(&kernel, &at), prepared::<f64, _>(&kernel, &x));
    let options = LandmarkOptions {
        lambdas: vec![1.0, 1e-3, 0.9e-3],
        tolerance: 1e-10,
        steps: 200,
        holdout: holdout.clone(),
        gain: 0.01,
        room: 0,
    };
    let run = |x: &Mat<f64>, y: &Mat<f64>, options: &LandmarkOptions| {
        let mut source = ArraySource::new(x.as_ref(), y.as_ref(), &[], 600).unwrap();
        fit_landmarks((&kernel, Get::Ntk), &landmarks, &inner, &mut source, options, &two()).unwrap()
    };
    let found = run(&x, &y, &options);
    let alone = LandmarkOptions { holdout: Vec::new(), gain: 0.0, room: 1 << 30, ..options.clone() };
    let (without, all) = (run(&part, &wanted, &alone), run(&x, &y, &alone));
    // The third lambda gains nothing, so the second is taken.
    assert_eq!((found.points.len(), found.best), (3, 1));
    for (point, expected) in found.points.iter().zip(&without.points) {
        let score = point.holdout.as_ref().unwrap();
        let predicted = expected.predict(&kernel, Get::Ntk, &landmarks, &rows, &two()).unwrap();
        let predicted = predicted.as_ref().select_rows(&holdout);
        assert!(distance(&score.predictions, &predicted) < 1e-7, "{}", point.lambda);
        let squares = |i: usize| (0..2).map(|j| (predicted[(i, j)] - y[(holdout[i], j)]).powi(2)).sum::<f64>();
        let mse = (0..holdout.len()).map(squares).sum::<f64>() / (2 * holdout.len()) as f64;
        assert!((score.mse - mse).abs() < 1e-7 * mse);
    }
    let of_all = |fit: &LandmarkFit| fit.predict(&kernel, Get::Ntk, &landmarks, &rows, &two()).unwrap();
    assert!(distance(&of_all(found.chosen()), &of_all(&all.points[1])) < 1e-7 && found.chosen().lambda == 1e-3);
    assert!(found == run(&x, &y, &LandmarkOptions { room: 1 << 30, ..options }));
}

#[test]
fn fits_on_landmarks_refuse_what_cannot_work() {
    let (x, y, kernel) = (mat(30, WIDTH, 5), mat(30, 1, 1), dense());
    let at = x.as_ref().select_rows(&[0, 9, 18]);
    let inner = gram::symmetric(&kernel, at.as_ref(), Get::Ntk, &two()).unwrap().ntk.unwrap();
    let landmarks = prepared::<f64, _>(&kernel, &at);
    let run = |y: &Mat<f64>, weights: &[f64], inner: &Mat<f64>, options: LandmarkOptions| {
        let mut source = ArraySource::new(x.as_ref(), y.as_ref(), weights, 8).unwrap();
        fit_landmarks((&kernel, Get::Ntk), &landmarks, inner, &mut source, &options, &two())
    };
    let default = LandmarkOptions::default;
    assert!(run(&y, &[], &inner, default()).is_ok());
    assert!(matches!(run(&y, &[2.0; 30], &inner, default()), Err(Error::Unsupported { .. })));
    assert!(matches!(run(&y, &[], &mat(2, 2, 1), default()), Err(Error::Shape { .. })));
    let hole = Mat::from_fn(30, 1, |i, _| if i == 11 { f64::NAN } else { 1.0 });
    assert!(matches!(run(&hole, &[], &inner, default()), Err(Error::NonFinite { row: 11, .. })));
    for holdout in [vec![3, 2], vec![30], (0..30).collect()] {
        assert!(matches!(run(&y, &[], &inner, LandmarkOptions { holdout, ..default() }), Err(Error::Invalid { .. })));
    }
    for lambdas in [vec![], vec![0.0], vec![f64::NAN]] {
        assert!(matches!(run(&y, &[], &inner, LandmarkOptions { lambdas, ..default() }), Err(Error::Invalid { .. })));
    }
    let (none, no) = (Mat::zeros(0, WIDTH), Mat::zeros(0, 1));
    let mut empty = ArraySource::new(none.as_ref(), no.as_ref(), &[], 8).unwrap();
    let found = fit_landmarks((&kernel, Get::Ntk), &landmarks, &inner, &mut empty, &default(), &two());
    assert!(matches!(found, Err(Error::Invalid { .. })));
}
