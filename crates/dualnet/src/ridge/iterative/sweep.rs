//! `K x` from the tiles of the upper triangle, each of which is read once and serves its image below the diagonal, too.
//!
//! Bands of tile rows are divided among a fixed number of groups. A group is summed by one task, in order, into its own block of
//! vectors; the blocks are added in order at the end. Columns come in panels, so that these blocks stay small.

use super::geometry::Triangle;
use super::operator::{Sums, check};
use super::tile_product::{Aligned, Sides, Strip, TileProduct};
use crate::error::{Error, Result};
use crate::linalg::{MatMut, MatRef, first_not_finite};
use crate::resources::Resources;
use crate::simd::Element;
use rayon::prelude::*;

/// Columns of a panel: with more, products are bound by arithmetic anyway.
pub(super) const PANEL: usize = 32;

/// Where the tiles of a triangle come from.
pub(super) trait Tiles<T>: Sync {
    /// Memory of one thread.
    type Scratch;
    /// That memory.
    fn scratch(&self) -> Self::Scratch;
    /// Tile `at` of a band, (row, column) being `place`: (side, side) without gaps, zero beyond the matrix.
    fn tile<'a>(
        &'a self,
        scratch: &'a mut Self::Scratch,
        band: usize,
        at: usize,
        place: (usize, usize),
        resources: &Resources,
    ) -> Result<&'a [T]>;
}

/// Bytes of a product with `columns` vectors summed in numbers of `width` bytes.
pub(super) fn bytes(triangle: &Triangle, columns: usize, width: usize) -> u64 {
    let numbers = (triangle.tiles * triangle.edge * columns.min(PANEL)) as u64;
    numbers * (8 * triangle.groups.len() as u64 + width as u64)
}

/// `out = K x` for K of the tiles, summed as told.
pub(super) fn product<T: Element, S: Tiles<T>>(
    tiles: &S,
    triangle: &Triangle,
    x: MatRef<'_, f64>,
    sums: Sums,
    out: MatMut<'_, f64>,
    resources: &Resources,
) -> Result<()> {
    check(triangle.n, x, &out)?;
    match sums {
        Sums::Tiles => sweep::<T, T, S>(tiles, triangle, x, out, resources),
        Sums::Double => sweep::<T, f64, S>(tiles, triangle, x, out, resources),
    }
}

/// `out = K x`, sums in A; shapes are right.
fn sweep<T: Element, A: Element, S: Tiles<T>>(
    tiles: &S,
    triangle: &Triangle,
    x: MatRef<'_, f64>,
    mut out: MatMut<'_, f64>,
    resources: &Resources,
) -> Result<()> {
    let hint = "raise the memory limit, or multiply fewer columns at a time";
    resources.reserve("product with a kernel", bytes(triangle, x.cols(), size_of::<A>()), hint)?;
    for first in (0..x.cols()).step_by(PANEL) {
        let panel = Panel::<A>::new(x, first, triangle);
        let parts = resources.install(|| {
            let groups = triangle.groups.par_iter().with_max_len(1);
            groups.map(|bands| group(tiles, triangle, bands, &panel, resources)).collect::<Result<Vec<_>>>()
        })?;
        panel.add_up(&parts, first, &mut out, resources)?;
    }
    Ok(())
}

/// The share of some bands in the product.
fn group<T: Element, A: Element, S: Tiles<T>>(
    tiles: &S,
    triangle: &Triangle,
    bands: &[usize],
    panel: &Panel<A>,
    resources: &Resources,
) -> Result<Vec<f64>> {
    let block = triangle.edge * panel.columns;
    let mut y = vec![0.0; triangle.tiles * block];
    let mut scratch = tiles.scratch();
    let mut strip = Strip::new(triangle.edge, panel.columns);
    for &band in bands {
        resources.check("product with a kernel")?;
        for (at, (i, j)) in triangle.order(band).enumerate() {
            let tile = tiles.tile(&mut scratch, band, at, (i, j), resources)?;
            let (above, below) = y.split_at_mut(j * block);
            // A tile on the diagonal has no image: its own rows are those after the cut.
            let (yi, yj, sides) = match i == j {
                true => (&mut below[..block], &mut [][..], Sides::Rows),
                false => (&mut above[i * block..][..block], &mut below[..block], Sides::Both),
            };
            resources.isa.run(&mut TileProduct {
                tile,
                side: triangle.edge,
                columns: panel.columns,
                sides,
                xi: panel.block(i),
                xj: panel.block(j),
                yi,
                yj,
                strip: &mut strip,
            });
        }
    }
    Ok(y)
}

/// Columns of a block of vectors, as tiles take them: block after block of rows, column by column.
pub(super) struct Panel<A> {
    data: Aligned<A>,
    pub(super) columns: usize,
    side: usize,
    /// What each column was divided by: powers of two, so that no column leaves the range of A.
    pub(super) scales: Vec<f64>,
}

impl<A: Element> Panel<A> {
    /// Columns of x from `first` on.
    fn new(x: MatRef<'_, f64>, first: usize, triangle: &Triangle) -> Self {
        Self::of(x, first..x.cols().min(first + PANEL), triangle.edge)
    }

    /// The columns of x named.
    pub(super) fn of(x: MatRef<'_, f64>, which: std::ops::Range<usize>, side: usize) -> Self {
        let (first, columns) = (which.start, which.len());
        let mut largest = vec![0.0f64; columns];
        for i in 0..x.rows() {
            largest.iter_mut().zip(&x.row(i)[first..]).for_each(|(l, x)| *l = l.max(x.abs()));
        }
        let scales: Vec<f64> = largest.into_iter().map(power_of_two).collect();
        let mut data = Aligned::zeros(x.rows().div_ceil(side) * side * columns);
        let block = (side * columns).max(1);
        for (b, block) in data.get().chunks_exact_mut(block).enumerate() {
            for i in b * side..x.rows().min((b + 1) * side) {
                for (k, x) in x.row(i)[first..first + columns].iter().enumerate() {
                    block[k * side + i - b * side] = A::from_f64(x / scales[k]);
                }
            }
        }
        Self { data, columns, side, scales }
    }

    /// The vectors of a block of rows.
    pub(super) fn block(&self, i: usize) -> &[A] {
        let block = self.side * self.columns;
        &self.data.as_slice()[i * block..(i + 1) * block]
    }

    /// Writes the sums of `parts` to columns of `out` from `first` on.
    pub(super) fn add_up(
        &self,
        parts: &[Vec<f64>],
        first: usize,
        out: &mut MatMut<'_, f64>,
        resources: &Resources,
    ) -> Result<()> {
        let (n, stride, side, columns) = (out.rows(), out.stride(), self.side, self.columns);
        let rows = out.data_mut().par_chunks_mut((side * stride).max(1)).take(n.div_ceil(side)).enumerate();
        resources.install(|| {
            rows.try_for_each(|(b, rows)| {
                for (r, row) in rows.chunks_mut(stride).take(n - b * side).enumerate() {
                    let row = &mut row[first..first + columns];
                    for (k, to) in row.iter_mut().enumerate() {
                        let at = (b * columns + k) * side + r;
                        *to = parts.iter().map(|part| part[at]).sum::<f64>() * self.scales[k];
                    }
                    if let Some(k) = first_not_finite(row) {
                        return Err(overflow(b * side + r, first + k));
                    }
                }
                Ok(())
            })
        })
    }
}

/// The least power of two that is not below x, away from the ends of the range; 1 for 0.
fn power_of_two(x: f64) -> f64 {
    if x > 0.0 { x.log2().ceil().clamp(-900.0, 1000.0).exp2() } else { 1.0 }
}

fn overflow(row: usize, column: usize) -> Error {
    Error::Overflow {
        at: "product with a kernel".into(),
        what: "an entry".into(),
        precision: "the sums",
        row,
        column,
        hint: "scale the input of the kernel down, or sum in f64".into(),
    }
}
