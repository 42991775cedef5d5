//! Sums of outer products of rows, `A += sum_r x_r x_r^T`: products of tiles in the precision of X, sums in f64.
//!
//! The rows come packed in panels of [`SIDE`] columns without gaps ([`Panels`]), so that a product of two panels reads memory in
//! order whatever the number of columns. Of A only the tiles that touch the lower triangle are computed, each by one thread and in
//! a fixed order: the bits do not depend on the number of threads.

use super::gemm::{Scalar, Side, Update, gemm};
use super::mat::{Mat, MatMut, MatRef};
use crate::error::Result;
use crate::resources::Resources;
use crate::simd::{Isa, Kernel, Vector};
use rayon::prelude::*;

/// Columns of a panel, and rows and columns of a tile of A.
pub(crate) const SIDE: usize = 256;
/// Rows that are multiplied in `f32` before the products go to the sums in `f64`: short chains of rounding, at 3 % of the time.
const CHAIN: usize = 256;

/// Rows of a matrix, packed in panels of columns.
pub(crate) struct Panels<T> {
    data: Vec<T>,
    rows: usize,
    cols: usize,
}

impl<T: Scalar> Panels<T> {
    /// Room for `rows` x `cols` entries, all 0.
    pub(crate) fn zeros(rows: usize, cols: usize) -> Self {
        Self { data: Mat::zeros(rows, cols).into_vec(), rows, cols }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Panel `j`: all rows of at most [`SIDE`] columns from `SIDE j` on.
    pub(crate) fn panel(&self, j: usize) -> Result<MatRef<'_, T>> {
        let first = j * SIDE;
        let width = SIDE.min(self.cols - first);
        MatRef::new(&self.data[first * self.rows..(first + width) * self.rows], self.rows, width, width)
    }

    /// The entries of each panel, row by row, to write.
    pub(crate) fn parts_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [T]> {
        self.data.par_chunks_mut((SIDE * self.rows).max(1))
    }
}

/// What else belongs to the sum: `A += D (X^T X) D + minus v v^T + plus u u^T` with D = diag(`units`).
pub(crate) struct Terms<'a> {
    /// What the columns of X have to be multiplied by.
    pub(crate) units: &'a [f64],
    /// A factor and a vector.
    pub(crate) first: (f64, &'a [f64]),
    /// Another one.
    pub(crate) second: (f64, &'a [f64]),
}

/// Adds the products of the columns of X and the other terms to the lower triangle of A (m, m); above it the tiles on the diagonal
/// are written, too. Cost n m^2 operations.
pub(crate) fn add_outer_products<T: Scalar>(
    a: &mut Mat<f64>,
    x: &Panels<T>,
    terms: &Terms<'_>,
    resources: &Resources,
) -> Result<()> {
    let tiles = lower_tiles(a);
    let workspace = || (vec![T::default(); SIDE * SIDE], vec![0.0; SIDE * SIDE]);
    resources.install(|| {
        tiles.into_par_iter().with_max_len(1).try_for_each_init(workspace, |(products, sums), tile| {
            resources.check("sums of products of features")?;
            multiply(tile.at, x, products, sums, resources.isa)?;
            resources.isa.run(Finish { tile, sums, terms });
            Ok(())
        })
    })
}

/// A tile of the lower triangle.
struct Tile<'a> {
    /// Which: counted in tiles.
    at: (usize, usize),
    /// Its rows.
    rows: Vec<&'a mut [f64]>,
}

/// The tiles that touch the lower triangle, from the last row on, so that the parallel end is fine-grained.
fn lower_tiles(a: &mut Mat<f64>) -> Vec<Tile<'_>> {
    let m = a.cols();
    let mut tiles = Vec::new();
    for (i, block) in a.as_mut_slice().chunks_mut((SIDE * m).max(1)).enumerate() {
        let mut row_of_tiles: Vec<Tile<'_>> =
            (0..=i).map(|j| Tile { at: (i, j), rows: Vec::with_capacity(SIDE) }).collect();
        for row in block.chunks_exact_mut(m) {
            row.chunks_mut(SIDE).zip(&mut row_of_tiles).for_each(|(part, tile)| tile.rows.push(part));
        }
        tiles.extend(row_of_tiles);
    }
    tiles
}

/// The product of two panels into `sums`, row by row without gaps.
fn multiply<T: Scalar>(
    (i, j): (usize, usize),
    x: &Panels<T>,
    products: &mut [T],
    sums: &mut [f64],
    isa: Isa,
) -> Result<()> {
    let (left, right) = (x.panel(i)?, x.panel(j)?);
    let (height, width) = (left.cols(), right.cols());
    // In double precision there is nothing to gain from short chains.
    let chain = if T::EPS < 1e-10 { x.rows().max(1) } else { CHAIN };
    let sums = &mut sums[..height * width];
    sums.fill(0.0);
    for first in (0..x.rows()).step_by(chain) {
        let rows = first..x.rows().min(first + chain);
        let (a, b) = (left.block(rows.clone(), 0..height)?, right.block(rows, 0..width)?);
        let c = MatMut::new(products, height, width, width)?;
        gemm(c, Update::Replace, T::from_f64(1.0), (a, Side::Transposed), (b, Side::Plain))?;
        isa.run(Widen { from: products, to: sums });
    }
    Ok(())
}

/// Adds numbers to wider ones.
struct Widen<'a, T> {
    from: &'a [T],
    to: &'a mut [f64],
}

impl<T: Scalar> Kernel for Widen<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        for (to, from) in self.to.iter_mut().zip(self.from) {
            *to += from.to_f64();
        }
    }
}

/// Adds a tile of products and the other terms to A.
struct Finish<'a, 'b> {
    tile: Tile<'a>,
    sums: &'b [f64],
    terms: &'b Terms<'b>,
}

impl Kernel for Finish<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        let (i, j) = (self.tile.at.0 * SIDE, self.tile.at.1 * SIDE);
        let Terms { units, first, second } = self.terms;
        for (r, row) in self.tile.rows.into_iter().enumerate() {
            let width = row.len();
            let (a, b) = (first.0 * first.1[i + r], second.0 * second.1[i + r]);
            let unit = units[i + r];
            let sums = &self.sums[r * width..(r + 1) * width];
            let (units, u, v) = (&units[j..j + width], &first.1[j..j + width], &second.1[j..j + width]);
            for c in 0..width {
                row[c] += sums[c] * (unit * units[c]) + (a * u[c] + b * v[c]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed<T: Scalar>(x: &Mat<f64>) -> Panels<T> {
        let mut panels = Panels::zeros(x.rows(), x.cols());
        for (j, part) in panels.data.chunks_mut(SIDE * x.rows()).enumerate() {
            let width = part.len() / x.rows();
            for (i, row) in part.chunks_exact_mut(width).enumerate() {
                row.iter_mut().zip(&x.row(i)[j * SIDE..]).for_each(|(to, from)| *to = T::from_f64(*from));
            }
        }
        panels
    }

    /// Against sums written out, over shapes around the tile, for both precisions and several numbers of threads.
    fn agrees<T: Scalar>(tolerance: f64) -> Result<()> {
        for (n, m) in [(1, 1), (3, 5), (700, 255), (64, 256), (1100, 257), (20, 700)] {
            let x = Mat::from_fn(n, m, |i, j| (((i * 31 + j * 17) % 1009) as f64 / 512.0) - 1.0);
            let units: Vec<f64> = (0..m).map(|j| if j % 2 == 0 { 1.0 } else { 4.0 }).collect();
            let (u, v): (Vec<f64>, Vec<f64>) = (0..m).map(|j| ((j as f64).sin(), (j as f64).cos())).unzip();
            let terms = Terms { units: &units, first: (-0.5, &u), second: (2.0, &v) };
            let run = |threads| {
                let mut a = Mat::from_fn(m, m, |_, _| 1.0);
                add_outer_products(&mut a, &packed::<T>(&x), &terms, &Resources::new(threads)?)?;
                Ok(a)
            };
            let a = run(1)?;
            assert!(a == run(2)? && a == run(3)?, "threads change bits at {n} x {m}");
            for i in (0..m).step_by(1 + m / 40) {
                for j in 0..=i {
                    let product: f64 = (0..n).map(|r| x[(r, i)] * x[(r, j)]).sum();
                    let expected = 1.0 + units[i] * units[j] * product - 0.5 * u[i] * u[j] + 2.0 * v[i] * v[j];
                    let error = (a[(i, j)] - expected).abs();
                    let bound = tolerance * (4.0 + 16.0 * n as f64 / 3.0);
                    assert!(error <= bound, "{n} x {m} at ({i}, {j}): {error}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn products_are_those_of_a_plain_loop() -> Result<()> {
        agrees::<f64>(1e-14)?;
        agrees::<f32>(3e-6)
    }
}
