//! Cholesky decomposition `A = L L^T` and what follows from it: solutions, the diagonal of the inverse, the
//! determinant, the condition number.
//!
//! Right-looking in blocks of 128: after the diagonal block, rows below are solved and updated in blocks of a
//! fixed height, so that the bits do not depend on the number of threads.

use super::eigh::square;
use super::gemm::{ROW_BLOCK, Side, Update, for_row_blocks, gemm, view, view_mut};
use super::mat::{Mat, MatMut, MatRef};
use crate::error::{Error, Result};
use crate::resources::Resources;
use faer::Par;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltError, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::reborrow::ReborrowMut;
use rayon::prelude::*;

pub(super) const BLOCK: usize = 128;
/// Steps of power iteration behind [`Cholesky::condition`].
const POWER_STEPS: usize = 24;

/// `A = L L^T`.
#[derive(Clone, Debug)]
pub struct Cholesky {
    /// L in the lower triangle, zeros above.
    l: Mat<f64>,
}

impl Cholesky {
    /// Decomposes a symmetric positive definite matrix, of which only the lower triangle is read, in its own memory.
    ///
    /// # Errors
    /// [`Error::NotPositiveDefinite`] names the first pivot that is not positive; `what` names the matrix.
    /// Cost n^3 / 3 operations.
    ///
    /// ```
    /// use dualnet::{Mat, Resources, linalg::Cholesky};
    /// let a = Mat::from_vec(2, 2, vec![4.0, 2.0, 2.0, 5.0])?;
    /// let c = Cholesky::new(a, "A", &Resources::new(1)?)?;
    /// assert_eq!(c.lower()[(1, 1)], 2.0);
    /// assert!((c.log_det() - 16f64.ln()).abs() < 1e-15);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn new(mut a: Mat<f64>, what: &str, resources: &Resources) -> Result<Self> {
        let n = square(what, a.as_ref())?;
        a.as_ref().check_finite(what)?;
        factor_lower(&mut a, what, resources)?;
        for i in 0..n {
            a.row_mut(i)[i + 1..].fill(0.0);
        }
        Ok(Self { l: a })
    }

    /// L, with zeros above its diagonal.
    pub fn lower(&self) -> &Mat<f64> {
        &self.l
    }

    /// `A^-1 B` for B (n, k). Cost 2 n^2 k operations.
    pub fn solve(&self, b: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        let n = self.l.rows();
        if b.rows() != n {
            return Err(Error::Shape {
                what: "right-hand side of a Cholesky solve".into(),
                expected: format!("{n} rows"),
                found: b.rows().to_string(),
            });
        }
        substitute(self.l.as_ref(), b, Steps::Both, resources)
    }

    /// The diagonal of `A^-1`: squared norms of the columns of `L^-1`. Cost n^3 / 3 operations.
    pub fn inverse_diagonal(&self, resources: &Resources) -> Result<Vec<f64>> {
        let n = self.l.rows();
        let blocks: Vec<Vec<f64>> = resources.install(|| {
            (0..n.div_ceil(ROW_BLOCK))
                .into_par_iter()
                .map(|block| {
                    let first = block * ROW_BLOCK;
                    let width = ROW_BLOCK.min(n - first);
                    // L^-1 is lower triangular: above row `first` these columns are zero.
                    let mut x = Mat::from_fn(n - first, width, |i, j| if i == j { 1.0 } else { 0.0 });
                    let l = self.l.as_ref().block(first..n, first..n)?;
                    solve_lower_triangular_in_place(view(l), view_mut(x.as_mut()), Par::Seq);
                    let mut sums = vec![0.0; width];
                    for i in 0..x.rows() {
                        sums.iter_mut().zip(x.row(i)).for_each(|(s, x)| *s += x * x);
                    }
                    Ok(sums)
                })
                .collect::<Result<_>>()
        })?;
        Ok(blocks.concat())
    }

    /// Natural logarithm of the determinant of A.
    pub fn log_det(&self) -> f64 {
        (0..self.l.rows()).map(|i| 2.0 * self.l[(i, i)].ln()).sum()
    }

    /// The condition number of A in the 2-norm, from below: power iterations, usually within a few percent.
    pub fn condition(&self) -> f64 {
        let n = self.l.rows();
        if n == 0 {
            return 1.0;
        }
        let largest = power(n, POWER_STEPS, |x| {
            let lower = lower_transpose_times(&self.l, x);
            lower_times(&self.l, &lower)
        });
        let smallest = power(n, POWER_STEPS, |x| {
            let mut x = x.to_vec();
            let l = view(self.l.as_ref());
            let mut column = faer::MatMut::from_column_major_slice_mut(&mut x, n, 1);
            solve_lower_triangular_in_place(l, column.rb_mut(), Par::Seq);
            solve_upper_triangular_in_place(l.transpose(), column.rb_mut(), Par::Seq);
            x
        });
        largest * smallest
    }
}

/// Replaces the lower triangle of a square matrix by its Cholesky factor. Above the diagonal, what lies within the blocks of
/// [`BLOCK`] on it is overwritten, and nothing else.
pub(super) fn factor_lower(a: &mut Mat<f64>, what: &str, resources: &Resources) -> Result<()> {
    for k in (0..a.rows()).step_by(BLOCK) {
        resources.check("Cholesky decomposition")?;
        resources.install(|| step(a, k, what))?;
    }
    Ok(())
}

/// Which triangular systems are solved.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Steps {
    /// That of L.
    Forward,
    /// Those of L and of its transpose.
    Both,
}

/// `L^-1 B` or `(L L^T)^-1 B`, L in the lower triangle of `l`, by blocks of columns of B.
pub(super) fn substitute(
    l: MatRef<'_, f64>,
    b: MatRef<'_, f64>,
    steps: Steps,
    resources: &Resources,
) -> Result<Mat<f64>> {
    let n = l.rows();
    let blocks: Vec<(usize, Mat<f64>)> = resources.install(|| {
        (0..b.cols().div_ceil(ROW_BLOCK))
            .into_par_iter()
            .map(|block| {
                let first = block * ROW_BLOCK;
                let width = ROW_BLOCK.min(b.cols() - first);
                let mut x = b.block(0..n, first..first + width)?.to_mat();
                solve_lower_triangular_in_place(view(l), view_mut(x.as_mut()), Par::Seq);
                if steps == Steps::Both {
                    solve_upper_triangular_in_place(view(l).transpose(), view_mut(x.as_mut()), Par::Seq);
                }
                Ok((first, x))
            })
            .collect::<Result<_>>()
    })?;
    let mut out = Mat::zeros(n, b.cols());
    for (first, x) in blocks {
        for i in 0..n {
            out.row_mut(i)[first..first + x.cols()].copy_from_slice(x.row(i));
        }
    }
    Ok(out)
}

/// `X L^-T` in the memory of X (r, n): row by row the forward substitution, on the calling thread.
pub(super) fn substitute_rows(l: MatRef<'_, f64>, x: &mut Mat<f64>) {
    solve_lower_triangular_in_place(view(l), view_mut(x.as_mut()).transpose_mut(), Par::Seq);
}

fn lower_times(l: &Mat<f64>, x: &[f64]) -> Vec<f64> {
    (0..l.rows()).map(|i| l.row(i)[..=i].iter().zip(x).map(|(a, b)| a * b).sum()).collect()
}

fn lower_transpose_times(l: &Mat<f64>, x: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; l.rows()];
    for (i, &xi) in x.iter().enumerate() {
        out.iter_mut().zip(&l.row(i)[..=i]).for_each(|(o, a)| *o += a * xi);
    }
    out
}

/// The largest eigenvalue of a symmetric positive operator, from below, by `steps` power iterations.
pub(crate) fn power(n: usize, steps: usize, apply: impl Fn(&[f64]) -> Vec<f64>) -> f64 {
    // A start without symmetry, so that it is orthogonal to no plausible eigenvector.
    let mut x: Vec<f64> = (0..n).map(|i| 1.0 + ((i * 7919 + 13) % 101) as f64 / 101.0).collect();
    let mut value = 0.0;
    for _ in 0..steps {
        let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm == 0.0 || !norm.is_finite() {
            return value;
        }
        x.iter_mut().for_each(|x| *x /= norm);
        let y = apply(&x);
        value = y.iter().map(|y| y * y).sum::<f64>().sqrt();
        x = y;
    }
    value
}

/// One block column: its diagonal block, the rows below it, and their effect on what remains.
fn step(a: &mut Mat<f64>, k: usize, what: &str) -> Result<()> {
    let n = a.rows();
    let width = BLOCK.min(n - k);
    let (next, stride) = (k + width, n);
    let mut diagonal = a.as_ref().block(k..next, k..next)?.to_mat();
    factor(diagonal.as_mut()).map_err(|pivot| Error::NotPositiveDefinite {
        what: what.into(),
        pivot: k + pivot,
        hint: "increase the regularisation, or remove duplicate samples".into(),
    })?;
    for i in 0..width {
        a.row_mut(k + i)[k..next].copy_from_slice(diagonal.row(i));
    }
    if next == n {
        return Ok(());
    }
    let below = &mut a.as_mut_slice()[next * stride..];
    for_row_blocks(MatMut::new(&mut below[k..], n - next, width, stride)?, |_, rows| {
        let columns = view_mut(rows).transpose_mut();
        solve_lower_triangular_in_place(view(diagonal.as_ref()), columns, Par::Seq);
        Ok(())
    })?;
    let panel = MatRef::new(&below[k..], n - next, width, stride)?.to_mat();
    for_row_blocks(MatMut::new(&mut below[next..], n - next, n - next, stride)?, |first, rows| {
        let last = first + rows.rows();
        let left = panel.as_ref().block(first..last, 0..width)?;
        let right = panel.as_ref().block(0..last, 0..width)?;
        gemm(rows.left_columns(last)?, Update::Add, -1.0, (left, Side::Plain), (right, Side::Transposed))
    })
}

/// The Cholesky factor of a small block, in place; the failing pivot otherwise.
pub(crate) fn factor(a: MatMut<'_, f64>) -> std::result::Result<(), usize> {
    let parameters = Default::default();
    let mut buffer = MemBuffer::new(cholesky_in_place_scratch::<f64>(a.rows(), Par::Seq, parameters));
    let stack = MemStack::new(&mut buffer);
    match cholesky_in_place(view_mut(a), Default::default(), Par::Seq, stack, parameters) {
        Ok(_) => Ok(()),
        Err(LltError::NonPositivePivot { index }) => Err(index),
    }
}
