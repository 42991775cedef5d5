//! What is kept of one image: its channels, and the tables of the layers.

use super::buffer::Buffer;
use super::program::{Grid, PAD, Program, Table};
use crate::kernel::Float;

/// One image, in planes of positions.
#[derive(Debug, PartialEq)]
pub struct Image<T> {
    /// Channel k at `k * stride`.
    pub channels: Buffer<T>,
    /// By number of the table; map k at `k * stride` of the table's positions.
    pub tables: Vec<Buffer<T>>,
}

impl<T: Float> Image<T> {
    /// An image whose tables are still to be filled, from values in the order (row, column, channel).
    pub fn new(program: &Program, values: impl Iterator<Item = T>) -> Self {
        let stride = program.grid.stride();
        let mut channels = Buffer::zeros(program.channels * stride);
        for (k, value) in values.take(program.channels * program.grid.positions()).enumerate() {
            channels[k % program.channels * stride + k / program.channels] = value;
        }
        let tables = program.tables.iter().map(|(table, grid)| Buffer::zeros(table_len(*table, *grid))).collect();
        Self { channels, tables }
    }

    /// The nearest numbers of another precision.
    pub fn cast<U: Float>(&self) -> Image<U> {
        let cast = |from: &Buffer<T>| {
            let mut to = Buffer::zeros(from.len());
            to.iter_mut().zip(from.iter()).for_each(|(to, x)| *to = U::from_f64(x.to_f64()));
            to
        };
        Image { channels: cast(&self.channels), tables: self.tables.iter().map(cast).collect() }
    }

    /// Bytes of an image.
    pub fn bytes(program: &Program) -> u64 {
        let tables: usize = program.tables.iter().map(|(table, grid)| table_len(*table, *grid)).sum();
        ((program.channels * program.grid.stride() + tables) * size_of::<T>()) as u64
    }
}

fn table_len(table: Table, grid: Grid) -> usize {
    match table {
        Table::Attention => grid.positions() * grid.positions(),
        _ => table.maps() * grid.stride(),
    }
}

/// Maps of the second image, moved so that the partners of a plane's entries lie one behind the other: row i of a rotated map is row
/// i mod H, each rotated by v columns; the partners in plane (u, v) begin at row u.
#[derive(Debug)]
pub struct Rotated<T> {
    /// Map k at `k * stride`.
    pub maps: Buffer<T>,
    /// From one map to the next.
    pub stride: usize,
}

impl<T> Default for Rotated<T> {
    fn default() -> Self {
        Self { maps: Buffer::default(), stride: 0 }
    }
}

impl<T: Float> Rotated<T> {
    /// Rotates `count` maps by `v` columns.
    pub fn fill(&mut self, maps: &[T], count: usize, grid: Grid, v: usize) {
        let (width, stride) = (grid.cols, grid.stride());
        self.stride = (2 * grid.positions()).next_multiple_of(PAD) + PAD;
        self.maps.reserve(count * self.stride);
        for (to, from) in self.maps.chunks_exact_mut(self.stride).zip(maps.chunks_exact(stride)) {
            let (once, again) = to[..2 * grid.positions()].split_at_mut(grid.positions());
            for (to, from) in once.chunks_exact_mut(width).zip(from.chunks_exact(width)) {
                to[..width - v].copy_from_slice(&from[v..]);
                to[width - v..].copy_from_slice(&from[..v]);
            }
            again.copy_from_slice(once);
        }
    }
}
