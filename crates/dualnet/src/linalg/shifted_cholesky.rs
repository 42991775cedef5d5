//! One symmetric matrix, decomposed again and again with something else added to its diagonal, in the memory of one matrix: above
//! the diagonal stands A, below it the factor.

use super::cholesky::{BLOCK, Steps, factor_lower, substitute, substitute_rows};
use super::mat::{Mat, MatRef};
use crate::error::{Error, Result};
use crate::resources::Resources;
use rayon::prelude::*;

/// A, and the factor L of `A + shift I`.
#[derive(Debug)]
pub(crate) struct ShiftedCholesky {
    /// A above the blocks on the diagonal, L at and below the diagonal.
    both: Mat<f64>,
    /// The blocks of A on the diagonal, (BLOCK, BLOCK).
    diagonal: Vec<Mat<f64>>,
    shift: Option<f64>,
}

impl ShiftedCholesky {
    /// Of a square matrix, of which the lower triangle is read.
    pub(crate) fn new(mut a: Mat<f64>, resources: &Resources) -> Self {
        let n = a.rows();
        let mut diagonal = Vec::with_capacity(n.div_ceil(BLOCK));
        for first in (0..n).step_by(BLOCK) {
            let at = |i: usize, j: usize| (first + i.max(j), first + i.min(j));
            let width = BLOCK.min(n - first);
            diagonal.push(Mat::from_fn(width, width, |i, j| a[at(i, j)]));
        }
        transpose(&mut a, Direction::Up, resources);
        Self { both: a, diagonal, shift: None }
    }

    /// Side of A.
    pub(crate) fn side(&self) -> usize {
        self.both.rows()
    }

    /// Decomposes `A + shift I`, unless that is the present decomposition; the first pivot that fails otherwise.
    /// Cost n^3 / 3 operations.
    pub(crate) fn factor(&mut self, shift: f64, resources: &Resources) -> Result<std::result::Result<(), usize>> {
        if self.shift == Some(shift) {
            return Ok(Ok(()));
        }
        self.shift = None;
        transpose(&mut self.both, Direction::Down, resources);
        for (b, block) in self.diagonal.iter().enumerate() {
            for i in 0..block.rows() {
                let row = &mut self.both.row_mut(b * BLOCK + i)[b * BLOCK..b * BLOCK + block.cols()];
                row.copy_from_slice(block.row(i));
                row[i] += shift;
            }
        }
        match factor_lower(&mut self.both, "matrix plus shift", resources) {
            Ok(()) => {
                self.shift = Some(shift);
                Ok(Ok(()))
            }
            Err(Error::NotPositiveDefinite { pivot, .. }) => Ok(Err(pivot)),
            Err(other) => Err(other),
        }
    }

    /// `(A + shift I)^-1 B` of the present decomposition. Cost 2 n^2 k operations.
    pub(crate) fn solve(&self, b: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        substitute(self.both.as_ref(), b, Steps::Both, resources)
    }

    /// `L^-1 B`. Cost n^2 k operations.
    pub(crate) fn forward(&self, b: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        substitute(self.both.as_ref(), b, Steps::Forward, resources)
    }

    /// For each row x of X: `x^T (A + shift I)^-1 x`, on the calling thread.
    pub(crate) fn quadratic_forms(&self, mut x: Mat<f64>) -> Vec<f64> {
        substitute_rows(self.both.as_ref(), &mut x);
        (0..x.rows()).map(|i| super::band::dot(x.row(i), x.row(i))).collect()
    }

    /// `A x`. Cost 2 n^2 operations, on the calling thread.
    pub(crate) fn times(&self, x: &[f64]) -> Vec<f64> {
        let n = self.side();
        let mut out = vec![0.0; n];
        for (b, block) in self.diagonal.iter().enumerate() {
            let (first, next) = (b * BLOCK, b * BLOCK + block.rows());
            for i in first..next {
                let right = &self.both.row(i)[next..];
                let own = super::band::dot(block.row(i - first), &x[first..next]);
                out[i] += own + super::band::dot(right, &x[next..]);
                out[next..].iter_mut().zip(right).for_each(|(o, a)| *o += a * x[i]);
            }
        }
        out
    }
}

/// Which triangle is written from the other.
#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Up,
    Down,
}

/// Rows of a block.
type Block<'a> = Vec<&'a mut [f64]>;

/// Copies what lies beside the blocks on the diagonal across it.
fn transpose(a: &mut Mat<f64>, direction: Direction, resources: &Resources) {
    let n = a.rows();
    let mut pairs: Vec<(Block<'_>, Block<'_>)> = Vec::new();
    let mut grid: Vec<Vec<Block<'_>>> = Vec::new();
    for rows in a.as_mut_slice().chunks_mut((BLOCK * n).max(1)) {
        let mut blocks: Vec<Block<'_>> = (0..n.div_ceil(BLOCK)).map(|_| Vec::with_capacity(BLOCK)).collect();
        for row in rows.chunks_exact_mut(n) {
            row.chunks_mut(BLOCK).zip(&mut blocks).for_each(|(part, block)| block.push(part));
        }
        grid.push(blocks);
    }
    for i in 0..grid.len() {
        let (above, below) = grid.split_at_mut(i);
        let Some(row) = below.first_mut() else { continue };
        for (j, upper) in above.iter_mut().enumerate() {
            pairs.push((std::mem::take(&mut row[j]), std::mem::take(&mut upper[i])));
        }
    }
    resources.install(|| {
        pairs.into_par_iter().for_each(|(lower, upper)| {
            let (from, mut to) = if direction == Direction::Up { (lower, upper) } else { (upper, lower) };
            // Through memory without gaps: rows that lie a power of two apart would evict each other from the caches.
            let packed: Vec<f64> = from.iter().flat_map(|row| row.iter().copied()).collect();
            let width = from.first().map_or(0, |row| row.len());
            for (i, to) in to.iter_mut().enumerate() {
                for (j, to) in to.iter_mut().enumerate() {
                    *to = packed[j * width + i];
                }
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shift_is_that_of_a_fresh_decomposition() -> Result<()> {
        let resources = Resources::new(2)?;
        for n in [1, 5, 128, 129, 300] {
            let a = Mat::from_fn(n, n, |i, j| if i == j { 1.0 } else { 0.4 / (1.0 + i.abs_diff(j) as f64).powi(2) });
            let b = Mat::from_fn(n, 2, |i, j| ((i * 3 + j) as f64).sin());
            let mut shifted = ShiftedCholesky::new(a.clone(), &resources);
            let x: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
            for (i, found) in shifted.times(&x).into_iter().enumerate() {
                let plain: f64 = (0..n).map(|j| a[(i, j)] * x[j]).sum();
                assert!((found - plain).abs() < 1e-13, "{n}: {i}");
            }
            for shift in [0.5, 0.0, -3.0, 0.5, 2.0] {
                if shift < 0.0 {
                    assert!(shifted.factor(shift, &resources)?.is_err());
                    continue;
                }
                assert_eq!(shifted.factor(shift, &resources)?, Ok(()));
                let plus = Mat::from_fn(n, n, |i, j| a[(i, j)] + if i == j { shift } else { 0.0 });
                let fresh = crate::linalg::Cholesky::new(plus, "A", &resources)?.solve(b.as_ref(), &resources)?;
                assert!(shifted.solve(b.as_ref(), &resources)? == fresh, "{n}: {shift}");
                let column = Mat::from_fn(1, n, |_, i| b[(i, 0)]);
                let form: f64 = (0..n).map(|i| b[(i, 0)] * fresh[(i, 0)]).sum();
                assert!((shifted.quadratic_forms(column)[0] - form).abs() <= 1e-13 * form, "{n}: {shift}");
            }
        }
        Ok(())
    }
}
