//! A tall matrix in tiles: products with it and with its transpose in one reading each.

use super::sweep::Panel;
use super::tile_product::{Sides, Strip, TileProduct};
use crate::error::Result;
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;
use crate::simd::Element;
use rayon::prelude::*;

/// Groups of row blocks that are summed apart.
const GROUPS: usize = 16;
/// Rows and columns of a tile.
pub(super) const SIDE: usize = 256;

/// A (n, m) matrix, zero-padded to whole tiles, tile row after tile row.
#[derive(Debug)]
pub(super) struct Rectangle<T> {
    rows: usize,
    columns: usize,
    tiles: Vec<T>,
}

impl<T: Element> Rectangle<T> {
    /// Of a matrix without gaps.
    pub(super) fn new(a: MatRef<'_, T>, resources: &Resources) -> Self {
        let (n, m) = (a.rows(), a.cols());
        let across = m.div_ceil(SIDE);
        let mut tiles = Mat::zeros(n.div_ceil(SIDE) * across, SIDE * SIDE).into_vec();
        resources.install(|| {
            tiles.par_chunks_mut((across * SIDE * SIDE).max(1)).enumerate().for_each(|(i, band)| {
                for r in 0..SIDE.min(n - i * SIDE) {
                    for (part, tile) in a.row(i * SIDE + r).chunks(SIDE).zip(band.chunks_exact_mut(SIDE * SIDE)) {
                        tile[r * SIDE..r * SIDE + part.len()].copy_from_slice(part);
                    }
                }
            });
        });
        Self { rows: n, columns: m, tiles }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// The tiles of each block of rows.
    fn bands(&self) -> impl IndexedParallelIterator<Item = &[T]> {
        self.tiles.par_chunks((self.columns.div_ceil(SIDE) * SIDE * SIDE).max(1))
    }

    /// Columns `SIDE j ..` of row `i`.
    pub(super) fn part(&self, i: usize, j: usize) -> &[T] {
        let across = self.columns.div_ceil(SIDE);
        let tile = (i / SIDE * across + j) * SIDE * SIDE;
        &self.tiles[tile + i % SIDE * SIDE..][..SIDE.min(self.columns - j * SIDE)]
    }

    /// `A x` for x (m, c).
    pub(super) fn times(&self, x: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        let c = x.cols();
        let panel = Panel::<f64>::of(x, 0..c, SIDE);
        let blocks: Vec<Vec<f64>> = resources.install(|| {
            let one = |strip: &mut Strip<f64>, band: &[T]| {
                let mut y = vec![0.0; SIDE * c];
                for (j, tile) in band.chunks_exact(SIDE * SIDE).enumerate() {
                    let (yi, yj) = (&mut y[..], &mut [][..]);
                    let (xi, xj) = (&[][..], panel.block(j));
                    let sides = Sides::Rows;
                    resources.isa.run(&mut TileProduct { tile, side: SIDE, columns: c, sides, xi, xj, yi, yj, strip });
                }
                y
            };
            self.bands().map_init(|| Strip::new(SIDE, c), one).collect()
        });
        let mut out = Mat::zeros(self.rows, c);
        panel.add_up(&[blocks.concat()], 0, &mut out.as_mut(), resources)?;
        Ok(out)
    }

    /// `A^T x` for x (n, c).
    pub(super) fn transposed_times(&self, x: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        let c = x.cols();
        let panel = Panel::<f64>::of(x, 0..c, SIDE);
        let across = self.columns.div_ceil(SIDE);
        let bands = self.rows.div_ceil(SIDE);
        let each = bands.div_ceil(GROUPS).max(1);
        let parts: Vec<Vec<f64>> = resources.install(|| {
            let one = |first: usize| {
                let mut y = vec![0.0; across * SIDE * c];
                let mut strip = Strip::new(SIDE, c);
                for i in first..bands.min(first + each) {
                    let band = &self.tiles[i * across * SIDE * SIDE..(i + 1) * across * SIDE * SIDE];
                    let blocks = y.chunks_exact_mut((SIDE * c).max(1));
                    for (tile, yj) in band.chunks_exact(SIDE * SIDE).zip(blocks) {
                        let (xi, xj, yi) = (panel.block(i), &[][..], &mut [][..]);
                        let (sides, strip) = (Sides::Columns, &mut strip);
                        resources.isa.run(&mut TileProduct {
                            tile,
                            side: SIDE,
                            columns: c,
                            sides,
                            xi,
                            xj,
                            yi,
                            yj,
                            strip,
                        });
                    }
                }
                y
            };
            (0..bands.div_ceil(each)).into_par_iter().map(|group| one(group * each)).collect()
        });
        let mut out = Mat::zeros(self.columns, c);
        panel.add_up(&parts, 0, &mut out.as_mut(), resources)?;
        Ok(out)
    }
}
