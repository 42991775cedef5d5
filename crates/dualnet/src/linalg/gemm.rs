//! Products of row-major matrices: `C = alpha A B^T`, `alpha A^T B`, `alpha A B`, replacing or adding to C.
//!
//! The plain functions run on the calling thread and suit tiles; those ending in `_parallel` cut C into blocks of
//! [`ROW_BLOCK`] rows, a partition that depends on nothing but the shape, so that any number of threads gives the
//! same bits. Cost 2 m n k operations.

use super::mat::{Mat, MatMut, MatRef};
use super::triangular;
use crate::error::{Error, Result};
use crate::resources::Resources;
use crate::simd::Element;
use faer::{Accum, Par};
use rayon::prelude::*;

/// Rows of C that one parallel task computes.
pub const ROW_BLOCK: usize = 128;

/// What becomes of the entries that C had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// They are overwritten.
    Replace,
    /// The product is added to them.
    Add,
}

/// A factor as it is stored, or its transpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// As stored.
    Plain,
    /// Its transpose.
    Transposed,
}

/// Elements that matrices can be multiplied in: `f32` and `f64`.
pub trait Scalar: Element + private::Multiply {}
impl Scalar for f32 {}
impl Scalar for f64 {}

mod private {
    use super::*;

    /// The library's products and substitutions behind a trait of our own, so that its types stay out of public signatures.
    pub trait Multiply: Sized {
        fn multiply(
            c: MatMut<'_, Self>,
            update: Update,
            alpha: Self,
            a: (MatRef<'_, Self>, Side),
            b: (MatRef<'_, Self>, Side),
        );
        fn substitute_rows(l: MatRef<'_, Self>, x: MatMut<'_, Self>);
    }

    impl Multiply for f32 {
        fn multiply(c: MatMut<'_, f32>, update: Update, alpha: f32, a: Factor<'_, f32>, b: Factor<'_, f32>) {
            product(c, update, alpha, a, b);
        }
        fn substitute_rows(l: MatRef<'_, f32>, x: MatMut<'_, f32>) {
            triangular::forward(l, x);
        }
    }

    impl Multiply for f64 {
        fn multiply(c: MatMut<'_, f64>, update: Update, alpha: f64, a: Factor<'_, f64>, b: Factor<'_, f64>) {
            product(c, update, alpha, a, b);
        }
        fn substitute_rows(l: MatRef<'_, f64>, x: MatMut<'_, f64>) {
            triangular::forward(l, x);
        }
    }
}

type Factor<'a, T> = (MatRef<'a, T>, Side);

/// The library's view of one of ours.
pub(super) fn view<T>(a: MatRef<'_, T>) -> faer::MatRef<'_, T> {
    faer::MatRef::from_row_major_slice_with_stride(a.data(), a.rows(), a.cols(), a.stride())
}

/// The library's mutable view of one of ours.
pub(super) fn view_mut<T>(a: MatMut<'_, T>) -> faer::MatMut<'_, T> {
    let (rows, cols, stride) = (a.rows(), a.cols(), a.stride());
    // The row-major constructor of faer 0.24.4 swaps the strides of mutable views and writes out of bounds.
    faer::MatMut::from_column_major_slice_with_stride_mut(a.into_data(), cols, rows, stride).transpose_mut()
}

fn orient<'a, T>((m, side): Factor<'a, T>) -> faer::MatRef<'a, T> {
    match side {
        Side::Plain => view(m),
        Side::Transposed => view(m).transpose(),
    }
}

fn product<T: faer::traits::ComplexField>(
    c: MatMut<'_, T>,
    update: Update,
    alpha: T,
    a: Factor<'_, T>,
    b: Factor<'_, T>,
) {
    if c.rows() == 0 || c.cols() == 0 {
        return;
    }
    let update = match update {
        Update::Replace => Accum::Replace,
        Update::Add => Accum::Add,
    };
    faer::linalg::matmul::matmul(view_mut(c), update, orient(a), orient(b), alpha, Par::Seq);
}

/// `C = alpha op(A) op(B)` on the calling thread, shapes checked.
pub(crate) fn gemm<T: Scalar>(
    c: MatMut<'_, T>,
    update: Update,
    alpha: T,
    a: Factor<'_, T>,
    b: Factor<'_, T>,
) -> Result<()> {
    let shape = |(m, side): &Factor<'_, T>| match side {
        Side::Plain => (m.rows(), m.cols()),
        Side::Transposed => (m.cols(), m.rows()),
    };
    let ((m, k), (k2, n)) = (shape(&a), shape(&b));
    if k != k2 || (c.rows(), c.cols()) != (m, n) {
        return Err(Error::Shape {
            what: "matrix product".into(),
            expected: "C (m, n), op(A) (m, k), op(B) (k, n)".into(),
            found: format!("C ({}, {}), op(A) ({m}, {k}), op(B) ({k2}, {n})", c.rows(), c.cols()),
        });
    }
    T::multiply(c, update, alpha, a, b);
    Ok(())
}

/// `C = alpha A B^T (+ C)`: A (m, k), B (n, k), C (m, n). On the calling thread: the product of a tile of kernels.
///
/// ```
/// use dualnet::linalg::{Mat, Update, gemm_nt};
/// let a = Mat::from_fn(1, 2, |_, j| 1.0 + j as f64);
/// let mut c = Mat::zeros(1, 1);
/// gemm_nt(c.as_mut(), Update::Replace, 2.0, a.as_ref(), a.as_ref())?;
/// assert_eq!(c[(0, 0)], 10.0);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn gemm_nt<T: Scalar>(
    c: MatMut<'_, T>,
    update: Update,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
) -> Result<()> {
    gemm(c, update, alpha, (a, Side::Plain), (b, Side::Transposed))
}

/// `C = alpha A^T B (+ C)`: A (k, m), B (k, n), C (m, n). On the calling thread.
pub fn gemm_tn<T: Scalar>(
    c: MatMut<'_, T>,
    update: Update,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
) -> Result<()> {
    gemm(c, update, alpha, (a, Side::Transposed), (b, Side::Plain))
}

/// `C = alpha A B (+ C)`: A (m, k), B (k, n), C (m, n). On the calling thread.
pub fn gemm_nn<T: Scalar>(
    c: MatMut<'_, T>,
    update: Update,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
) -> Result<()> {
    gemm(c, update, alpha, (a, Side::Plain), (b, Side::Plain))
}

/// [`gemm_nt`] on all threads of `resources`.
pub fn gemm_nt_parallel<T: Scalar>(
    resources: &Resources,
    c: MatMut<'_, T>,
    update: Update,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
) -> Result<()> {
    same("rows of A and C", a.rows(), c.rows())?;
    resources.install(|| {
        for_row_blocks(c, |first, c| {
            let a = a.block(first..first + c.rows(), 0..a.cols())?;
            gemm_nt(c, update, alpha, a, b)
        })
    })
}

/// [`gemm_tn`] on all threads of `resources`.
pub fn gemm_tn_parallel<T: Scalar>(
    resources: &Resources,
    c: MatMut<'_, T>,
    update: Update,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
) -> Result<()> {
    same("columns of A and rows of C", a.cols(), c.rows())?;
    resources.install(|| {
        for_row_blocks(c, |first, c| {
            let a = a.block(0..a.rows(), first..first + c.rows())?;
            gemm_tn(c, update, alpha, a, b)
        })
    })
}

/// [`gemm_nn`] on all threads of `resources`.
pub fn gemm_nn_parallel<T: Scalar>(
    resources: &Resources,
    c: MatMut<'_, T>,
    update: Update,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
) -> Result<()> {
    same("rows of A and C", a.rows(), c.rows())?;
    resources.install(|| {
        for_row_blocks(c, |first, c| {
            let a = a.block(first..first + c.rows(), 0..a.cols())?;
            gemm_nn(c, update, alpha, a, b)
        })
    })
}

fn same(what: &str, a: usize, c: usize) -> Result<()> {
    if a == c {
        return Ok(());
    }
    Err(Error::Shape { what: what.into(), expected: c.to_string(), found: a.to_string() })
}

/// Hands blocks of [`ROW_BLOCK`] rows, and the number of their first row, to the threads of the current pool.
pub(crate) fn for_row_blocks<T: Scalar>(
    c: MatMut<'_, T>,
    work: impl Fn(usize, MatMut<'_, T>) -> Result<()> + Sync,
) -> Result<()> {
    let (rows, cols, stride) = (c.rows(), c.cols(), c.stride());
    if rows == 0 || cols == 0 {
        return Ok(());
    }
    let stride = stride.max(cols);
    let used = (rows - 1) * stride + cols;
    c.into_data()[..used].par_chunks_mut(ROW_BLOCK * stride).enumerate().try_for_each(|(i, chunk)| {
        let first = i * ROW_BLOCK;
        work(first, MatMut::new(chunk, ROW_BLOCK.min(rows - first), cols, stride)?)
    })
}

/// `intercept + x coefficients` for each row of `x` (n, m), coefficients (m, k): what every solution of a ridge predicts.
pub(crate) fn affine(
    intercept: &[f64],
    x: MatRef<'_, f64>,
    coefficients: MatRef<'_, f64>,
    resources: &Resources,
) -> Result<Mat<f64>> {
    let mut out = Mat::from_fn(x.rows(), intercept.len(), |_, j| intercept[j]);
    gemm_nn_parallel(resources, out.as_mut(), Update::Add, 1.0, x, coefficients)?;
    Ok(out)
}

/// The matrix, unless an entry left the range of f64.
pub(crate) fn in_range(a: Mat<f64>, at: &str) -> Result<Mat<f64>> {
    match a.as_ref().check_finite(at) {
        Err(Error::NonFinite { row, column, .. }) => Err(Error::Overflow {
            at: at.into(),
            what: "the result".into(),
            precision: "f64",
            row,
            column,
            hint: "scale the kernel and the targets so that their entries are near 1".into(),
        }),
        _ => Ok(a),
    }
}
