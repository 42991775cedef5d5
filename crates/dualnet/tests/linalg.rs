//! Products, Cholesky and eigendecomposition against plain loops, and the same bits for any number of threads.
#![allow(clippy::unwrap_used)]

use dualnet::linalg::{
    Cholesky, Update, eigh, gemm_nn, gemm_nn_parallel, gemm_nt, gemm_nt_parallel, gemm_tn, gemm_tn_parallel,
};
use dualnet::{Error, Mat, MatRef, Resources, Result};

fn wave(rows: usize, cols: usize, seed: usize) -> Mat<f64> {
    Mat::from_fn(rows, cols, |i, j| ((i * 31 + j * 17 + seed) as f64 * 0.37).sin())
}

fn gram(n: usize) -> Mat<f64> {
    let x = wave(n, n / 2 + 1, 3);
    let mut k = Mat::from_fn(n, n, |i, j| if i == j { 0.5 } else { 0.0 });
    gemm_nt(k.as_mut(), Update::Add, 1.0, x.as_ref(), x.as_ref()).unwrap();
    k
}

fn transposed(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.cols(), a.rows(), |i, j| a[(j, i)])
}

#[test]
fn products_equal_plain_loops() -> Result<()> {
    let resources = Resources::new(2)?;
    for (m, n, k) in [(1, 1, 1), (3, 5, 7), (130, 65, 40), (257, 3, 300), (4, 4, 0)] {
        let (a, b) = (wave(m, k, 1), wave(n, k, 2));
        let (at, bt) = (transposed(&a), transposed(&b));
        let expected = Mat::from_fn(m, n, |i, j| 1.0 + 2.0 * (0..k).map(|l| a[(i, l)] * b[(j, l)]).sum::<f64>());
        for case in 0..6 {
            let mut c = Mat::from_fn(m, n, |_, _| 1.0);
            let (view, add) = (c.as_mut(), Update::Add);
            match case {
                0 => gemm_nt(view, add, 2.0, a.as_ref(), b.as_ref())?,
                1 => gemm_tn(view, add, 2.0, at.as_ref(), bt.as_ref())?,
                2 => gemm_nn(view, add, 2.0, a.as_ref(), bt.as_ref())?,
                3 => gemm_nt_parallel(&resources, view, add, 2.0, a.as_ref(), b.as_ref())?,
                4 => gemm_tn_parallel(&resources, view, add, 2.0, at.as_ref(), bt.as_ref())?,
                _ => gemm_nn_parallel(&resources, view, add, 2.0, a.as_ref(), bt.as_ref())?,
            }
            for (found, expected) in c.as_slice().iter().zip(expected.as_slice()) {
                assert!((found - expected).abs() < 1e-12, "case {case}, {m} {n} {k}");
            }
        }
    }
    Ok(())
}

#[test]
fn products_of_f32_and_of_strided_views() -> Result<()> {
    let a: Vec<f32> = (0..40).map(|i| i as f32).collect();
    let view = MatRef::new(&a[3..], 4, 5, 9)?;
    let mut c = Mat::zeros(4, 4);
    gemm_nt(c.as_mut(), Update::Replace, 1.0f32, view, view)?;
    for i in 0..4 {
        for j in 0..4 {
            let expected: f32 = (0..5).map(|l| a[3 + 9 * i + l] * a[3 + 9 * j + l]).sum();
            assert_eq!(c[(i, j)], expected);
        }
    }
    let wrong = gemm_nt(Mat::zeros(4, 3).as_mut(), Update::Replace, 1.0f32, view, view);
    assert!(matches!(wrong, Err(Error::Shape { .. })));
    Ok(())
}

/// What kernels rely on: within products of a fixed, padded shape a row's bits do not depend on its place.
#[test]
fn a_row_of_a_fixed_tile_has_the_same_bits_anywhere() -> Result<()> {
    for depth in [1, 7, 64, 300] {
        let (a, b) = (wave(64, depth, 5), wave(64, depth, 6));
        let shuffled =
            Mat::from_fn(64, depth, |i, j| if (i * 37 + 11) % 64 == 20 { 0.0 } else { a[((i * 37 + 11) % 64, j)] });
        let (mut c, mut d) = (Mat::zeros(64, 64), Mat::zeros(64, 64));
        gemm_nt(c.as_mut(), Update::Replace, 1.0, a.as_ref(), b.as_ref())?;
        gemm_nt(d.as_mut(), Update::Replace, 1.0, shuffled.as_ref(), b.as_ref())?;
        for i in (0..64).filter(|i| (i * 37 + 11) % 64 != 20) {
            assert_eq!(d.row(i), c.row((i * 37 + 11) % 64), "depth {depth}, row {i}");
        }
    }
    Ok(())
}

#[test]
fn cholesky_solves_inverts_and_measures() -> Result<()> {
    let resources = Resources::new(2)?;
    for n in [1, 2, 127, 128, 129, 300] {
        let k = gram(n);
        let c = Cholesky::new(k.clone(), "K", &resources)?;
        let mut rebuilt = Mat::zeros(n, n);
        gemm_nt(rebuilt.as_mut(), Update::Replace, 1.0, c.lower().as_ref(), c.lower().as_ref())?;
        for (found, expected) in rebuilt.as_slice().iter().zip(k.as_slice()) {
            assert!((found - expected).abs() < 1e-10, "{n}");
        }
        let identity = Mat::from_fn(n, n, |i, j| if i == j { 1.0 } else { 0.0 });
        let inverse = c.solve(identity.as_ref(), &resources)?;
        for (i, d) in c.inverse_diagonal(&resources)?.into_iter().enumerate() {
            assert!((d - inverse[(i, i)]).abs() < 1e-11);
        }
        let e = eigh(k.as_ref(), &resources)?;
        let log_det: f64 = e.values.iter().map(|v| v.ln()).sum();
        assert!((c.log_det() - log_det).abs() < 1e-9 * (1.0 + log_det.abs()));
        let condition = e.values[n - 1] / e.values[0];
        assert!(c.condition() <= condition * (1.0 + 1e-9) && c.condition() > 0.5 * condition, "{n}");
    }
    Ok(())
}

#[test]
fn cholesky_names_the_first_failing_pivot() -> Result<()> {
    let resources = Resources::new(2)?;
    for bad in [0, 5, 128, 200] {
        let mut k = gram(257);
        k[(bad, bad)] = -1.0;
        match Cholesky::new(k, "the kernel", &resources) {
            Err(Error::NotPositiveDefinite { what, pivot, .. }) => {
                assert_eq!((what.as_str(), pivot), ("the kernel", bad))
            }
            other => panic!("{other:?}"),
        }
    }
    let mut k = gram(4);
    k[(2, 1)] = f64::NAN;
    assert!(matches!(Cholesky::new(k.clone(), "K", &resources), Err(Error::NonFinite { row: 2, column: 1, .. })));
    assert!(matches!(eigh(k.as_ref(), &resources), Err(Error::NonFinite { row: 2, column: 1, .. })));
    assert!(matches!(Cholesky::new(Mat::zeros(2, 3), "K", &resources), Err(Error::Shape { .. })));
    assert!(matches!(eigh(gram(50).as_ref(), &Resources::new(1)?.with_memory(1000)), Err(Error::Memory { .. })));
    assert_eq!(Cholesky::new(Mat::zeros(0, 0), "K", &resources)?.log_det(), 0.0);
    Ok(())
}

#[test]
fn eigenvectors_rebuild_the_matrix() -> Result<()> {
    let resources = Resources::new(1)?;
    for n in [0, 1, 2, 50, 200] {
        let k = if n == 0 { Mat::zeros(0, 0) } else { gram(n) };
        let e = eigh(k.as_ref(), &resources)?;
        assert!(e.values.windows(2).all(|v| v[0] <= v[1]));
        let scaled = Mat::from_fn(n, n, |i, j| e.values[i] * e.vectors[(i, j)]);
        let mut rebuilt = Mat::zeros(n, n);
        gemm_tn(rebuilt.as_mut(), Update::Replace, 1.0, e.vectors.as_ref(), scaled.as_ref())?;
        for (found, expected) in rebuilt.as_slice().iter().zip(k.as_slice()) {
            assert!((found - expected).abs() < 1e-10);
        }
    }
    Ok(())
}

#[test]
fn threads_do_not_change_a_bit() -> Result<()> {
    for n in [50, 257, 600] {
        let (k, x) = (gram(n), wave(n, 60, 9));
        let runs: Vec<_> = [1, 2, 3, 8]
            .into_iter()
            .map(|threads| {
                let resources = Resources::new(threads)?;
                let c = Cholesky::new(k.clone(), "K", &resources)?;
                let e = eigh(k.as_ref(), &resources)?;
                let mut product = Mat::zeros(n, n);
                gemm_nt_parallel(&resources, product.as_mut(), Update::Replace, 1.0, x.as_ref(), x.as_ref())?;
                let solved = c.solve(x.as_ref(), &resources)?;
                Ok((c.lower().clone(), c.inverse_diagonal(&resources)?, solved, e.values, e.vectors, product))
            })
            .collect::<Result<_>>()?;
        assert!(runs.iter().all(|run| run == &runs[0]), "n = {n}");
    }
    Ok(())
}
