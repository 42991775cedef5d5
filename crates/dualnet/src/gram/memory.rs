//! Whole matrices in memory.

use super::bytes;
use super::grid::{Grid, Kind, Tile};
use super::tile::{Meter, Scratch};
use crate::error::Result;
use crate::kernel::{Float, Get, Grams, Kernel};
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;

use rayon::prelude::*;

/// The symmetric matrices K(x, x), n x n.
pub fn symmetric<T: Float, K: Kernel<T>>(
    kernel: &K,
    x: MatRef<'_, T>,
    get: Get,
    resources: &Resources,
) -> Result<Grams<T>> {
    reserve::<T>(x.rows(), x.rows(), get, resources)?;
    let samples = kernel.prepare(x, "x", resources)?;
    symmetric_prepared(kernel, &samples, get, resources)
}

/// [`symmetric`] of samples that were prepared before.
pub fn symmetric_prepared<T: Float, K: Kernel<T>>(
    kernel: &K,
    samples: &K::Samples,
    get: Get,
    resources: &Resources,
) -> Result<Grams<T>> {
    let grid = Grid::symmetric(kernel.len(samples), kernel.side());
    matrices(kernel, (samples, samples), &grid, get, resources)
}

/// The matrices K(x, y), n x m.
pub fn cross<T: Float, K: Kernel<T>>(
    kernel: &K,
    x: MatRef<'_, T>,
    y: MatRef<'_, T>,
    get: Get,
    resources: &Resources,
) -> Result<Grams<T>> {
    reserve::<T>(x.rows(), y.rows(), get, resources)?;
    let (rows, cols) = (kernel.prepare(x, "x", resources)?, kernel.prepare(y, "x2", resources)?);
    cross_prepared(kernel, &rows, &cols, get, resources)
}

/// [`cross`] of samples that were prepared before, for when one side meets many others.
pub fn cross_prepared<T: Float, K: Kernel<T>>(
    kernel: &K,
    rows: &K::Samples,
    cols: &K::Samples,
    get: Get,
    resources: &Resources,
) -> Result<Grams<T>> {
    let grid = Grid::rectangular(kernel.len(rows), kernel.len(cols), kernel.side());
    matrices(kernel, (rows, cols), &grid, get, resources)
}

fn reserve<T>(n: usize, m: usize, get: Get, resources: &Resources) -> Result<()> {
    let what = format!("a kernel matrix of {n} x {m}");
    resources.reserve(&what, bytes::<T>(n, m, get), "raise --memory, take f32, fewer rows, or only one of nngp and ntk")
}

/// The rows of one tile of the NNGP and of the NTK; empty where not wanted.
type Block<'a, T> = [Vec<&'a mut [T]>; 2];

/// A tile with its place, and the transposed place: empty on the diagonal and for rectangular matrices.
struct Task<'a, T> {
    tile: Tile,
    at: Block<'a, T>,
    mirror: Block<'a, T>,
}

fn matrices<T: Float, K: Kernel<T>>(
    kernel: &K,
    samples: (&K::Samples, &K::Samples),
    grid: &Grid,
    get: Get,
    resources: &Resources,
) -> Result<Grams<T>> {
    let (n, m) = (grid.rows(), grid.columns());
    reserve::<T>(n, m, get, resources)?;
    let zeros = |wanted: bool| wanted.then(|| Mat::zeros(n, m));
    let mut out = Grams { nngp: zeros(get.nngp()), ntk: zeros(get.ntk()) };
    compute(kernel, samples, tasks(grid, &mut out), get, resources)?;
    Ok(out)
}

/// Every tile of the grid with the places it goes to.
fn tasks<'a, T: Float>(grid: &Grid, out: &'a mut Grams<T>) -> Vec<Task<'a, T>> {
    let split = |matrix: &'a mut Option<Mat<T>>| matrix.as_mut().map(|m| pieces(m, grid)).unwrap_or_default();
    let (mut nngp, mut ntk) = (split(&mut out.nngp), split(&mut out.ntk));
    let width = grid.blocks().1;
    let mut take = |i: usize, j: usize| {
        [&mut nngp, &mut ntk].map(|m| m.get_mut(i * width + j).map(std::mem::take).unwrap_or_default())
    };
    let task = |index| {
        let tile = grid.tile(index);
        let mirrored = grid.kind() == Kind::Symmetric && tile.i != tile.j;
        let mirror = if mirrored { take(tile.j, tile.i) } else { Block::default() };
        Task { tile, at: take(tile.i, tile.j), mirror }
    };
    (0..grid.tiles()).map(task).collect()
}

/// Splits a matrix into tiles, block row by block row, each a list of pieces of rows.
fn pieces<'a, T: Float>(matrix: &'a mut Mat<T>, grid: &Grid) -> Vec<Vec<&'a mut [T]>> {
    let (m, side) = (matrix.cols(), grid.side());
    let (height, width) = grid.blocks();
    let mut tiles: Vec<Vec<&mut [T]>> = Vec::new();
    tiles.resize_with(height * width, Vec::new);
    for (i, row) in matrix.as_mut_slice().chunks_exact_mut(m.max(1)).enumerate() {
        for (j, piece) in row.chunks_mut(side).enumerate() {
            tiles[i / side * width + j].push(piece);
        }
    }
    tiles
}

fn compute<T: Float, K: Kernel<T>>(
    kernel: &K,
    samples: (&K::Samples, &K::Samples),
    tasks: Vec<Task<'_, T>>,
    get: Get,
    resources: &Resources,
) -> Result<()> {
    let (meter, side) = (Meter::new(tasks.len() as u64), kernel.side());
    resources.install(|| {
        tasks.into_par_iter().try_for_each_init(
            || Scratch::new(kernel, get),
            |scratch, task| {
                resources.check("the kernel matrix")?;
                scratch.compute(kernel, samples, &task.tile, resources)?;
                for ((values, at), mirror) in scratch.values().into_iter().zip(task.at).zip(task.mirror) {
                    for (row, from) in at.into_iter().zip(values.chunks_exact(side)) {
                        row.copy_from_slice(&from[..row.len()]);
                    }
                    transpose(values, side, mirror, task.tile.height);
                }
                meter.tick(resources);
                Ok(())
            },
        )
    })
}

/// Writes column c of the first `height` rows of a tile to `mirror[c]`, in blocks whose lines stay in the first-level cache.
fn transpose<T: Copy>(tile: &[T], side: usize, mut mirror: Vec<&mut [T]>, height: usize) {
    const ROWS: usize = 32;
    const COLUMNS: usize = 16;
    for first in (0..height).step_by(ROWS) {
        let rows = first..height.min(first + ROWS);
        for (block, columns) in mirror.chunks_mut(COLUMNS).enumerate() {
            for (c, column) in columns.iter_mut().enumerate() {
                let from = &tile[block * COLUMNS + c..];
                for (r, value) in rows.clone().zip(&mut column[rows.clone()]) {
                    *value = from[r * side];
                }
            }
        }
    }
}
