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

/// Neighbouring tiles with their place, and the transposed place: empty on the diagonal and for rectangular matrices.
struct Task<'a, T> {
    /// Tiles along each side.
    tiles: usize,
    i: usize,
    j: usize,
    at: Block<'a, T>,
    mirror: Block<'a, T>,
}

impl<T: Copy> Task<'_, T> {
    /// Writes a tile, and its mirror image where there is one.
    fn write(&mut self, tile: &Tile, values: [&[T]; 2], side: usize, kind: Kind) {
        let (top, left) = (tile.i % self.tiles * side, tile.j % self.tiles * side);
        let mirrored = kind == Kind::Symmetric && tile.i != tile.j;
        for ((values, at), mirror) in values.into_iter().zip(&mut self.at).zip(&mut self.mirror) {
            for (row, from) in at.iter_mut().skip(top).zip(values.chunks_exact(side)).take(tile.height) {
                row[left..left + tile.width].copy_from_slice(&from[..tile.width]);
            }
            if mirrored && !values.is_empty() {
                let there = if self.i == self.j { at } else { mirror };
                transpose(values, side, &mut there[left..left + tile.width], top, tile.height);
            }
        }
    }
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
    let tasks = tasks(grid, task_tiles(grid, resources.threads()), &mut out);
    compute(kernel, samples, grid, tasks, get, resources)?;
    Ok(out)
}

/// Tiles along each side of a task: a place is a list of pieces of rows, and pieces of few values would take half as much memory as the
/// values; but all threads must be at work till the end.
fn task_tiles(grid: &Grid, threads: usize) -> usize {
    const VALUES: usize = 128;
    const EACH: usize = 64;
    let (height, width) = grid.blocks();
    let enough = |tiles: &usize| height.div_ceil(*tiles) * width.div_ceil(*tiles) >= 2 * EACH * threads;
    (2..=VALUES / grid.side()).rev().find(enough).unwrap_or(1)
}

/// All tiles of the grid by tasks, with the places they go to.
fn tasks<'a, T: Float>(grid: &Grid, tiles: usize, out: &'a mut Grams<T>) -> Vec<Task<'a, T>> {
    let grid = match grid.kind() {
        Kind::Symmetric => Grid::symmetric(grid.rows(), tiles * grid.side()),
        Kind::Rectangular => Grid::rectangular(grid.rows(), grid.columns(), tiles * grid.side()),
    };
    let split = |matrix: &'a mut Option<Mat<T>>| matrix.as_mut().map(|m| pieces(m, &grid)).unwrap_or_default();
    let (mut nngp, mut ntk) = (split(&mut out.nngp), split(&mut out.ntk));
    let width = grid.blocks().1;
    let mut take = |i: usize, j: usize| {
        [&mut nngp, &mut ntk].map(|m| m.get_mut(i * width + j).map(std::mem::take).unwrap_or_default())
    };
    let task = |index| {
        let Tile { i, j, .. } = grid.tile(index);
        let mirror = if grid.kind() == Kind::Symmetric && i != j { take(j, i) } else { Block::default() };
        Task { tiles, i, j, at: take(i, j), mirror }
    };
    (0..grid.tiles()).map(task).collect()
}

/// The tiles of the grid in square `i`, `j` of so many along each side.
fn tiles_of(grid: &Grid, tiles: usize, (i, j): (usize, usize)) -> impl Iterator<Item = Tile> {
    let columns = j * tiles..(j + 1) * tiles;
    let places = (i * tiles..(i + 1) * tiles).flat_map(move |i| columns.clone().map(move |j| (i, j)));
    places.filter_map(|(i, j)| grid.find(i, j)).map(|index| grid.tile(index))
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
    grid: &Grid,
    tasks: Vec<Task<'_, T>>,
    get: Get,
    resources: &Resources,
) -> Result<()> {
    let meter = Meter::new(grid.tiles());
    resources.install(|| {
        tasks.into_par_iter().try_for_each_init(
            || Scratch::new(kernel, get),
            |scratch, mut task| {
                for tile in tiles_of(grid, task.tiles, (task.i, task.j)) {
                    resources.check("the kernel matrix")?;
                    scratch.compute(kernel, samples, &tile, resources)?;
                    task.write(&tile, scratch.values(), grid.side(), grid.kind());
                    meter.tick(resources);
                }
                Ok(())
            },
        )
    })
}

/// Writes column c of the first `height` rows of a tile to `mirror[c]`, from `first` on, in blocks whose lines stay in the first-level
/// cache.
fn transpose<T: Copy>(tile: &[T], side: usize, mirror: &mut [&mut [T]], first: usize, height: usize) {
    const ROWS: usize = 32;
    const COLUMNS: usize = 16;
    for top in (0..height).step_by(ROWS) {
        let rows = top..height.min(top + ROWS);
        for (block, columns) in mirror.chunks_mut(COLUMNS).enumerate() {
            for (c, column) in columns.iter_mut().enumerate() {
                let from = &tile[block * COLUMNS + c..];
                for (r, value) in rows.clone().zip(&mut column[first + rows.start..first + rows.end]) {
                    *value = from[r * side];
                }
            }
        }
    }
}
