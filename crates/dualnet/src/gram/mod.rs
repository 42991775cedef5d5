//! Kernel matrices assembled from a fixed grid of tiles.
//!
//! The grid does not depend on the number of threads and every tile is computed by one thread, so neither does any bit of the result.
//! A symmetric matrix computes the tiles of one triangle and writes each twice.

use crate::error::{Error, Result};
use crate::kernel::{Float, Get, Grams, Kernel, Region, TileOut};
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;

use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// The symmetric matrices K(x, x), n x n.
pub fn symmetric<T: Float, K: Kernel<T>>(
    kernel: &K,
    x: MatRef<'_, T>,
    get: Get,
    resources: &Resources,
) -> Result<Grams<T>> {
    reserve::<T>(x.rows(), x.rows(), get, resources)?;
    let samples = kernel.prepare(x, "x", resources)?;
    let (n, side) = (kernel.len(&samples), kernel.side());
    let mut out = Output::<T>::zeros(n, n, get);
    let mut blocks = out.blocks(side);
    let mut tasks = Vec::with_capacity(blocks.len() / 2 + n);
    let width = n.div_ceil(side);
    for i in 0..width {
        for j in i..width {
            let upper = std::mem::take(&mut blocks[i * width + j]);
            let lower = std::mem::take(&mut blocks[j * width + i]);
            let region = if i == j { Region::Upper } else { Region::All };
            tasks.push(Task { i, j, region, at: upper, mirror: lower });
        }
    }
    compute(kernel, &samples, &samples, get, tasks, resources)?;
    Ok(Grams { nngp: out.nngp, ntk: out.ntk })
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
    reserve::<T>(kernel.len(rows), kernel.len(cols), get, resources)?;
    let mut out = Output::<T>::zeros(kernel.len(rows), kernel.len(cols), get);
    let width = kernel.len(cols).div_ceil(kernel.side());
    let tasks = out
        .blocks(kernel.side())
        .into_iter()
        .enumerate()
        .map(|(k, at)| Task { i: k / width, j: k % width, region: Region::All, at, mirror: Block::default() })
        .collect();
    compute(kernel, rows, cols, get, tasks, resources)?;
    Ok(Grams { nngp: out.nngp, ntk: out.ntk })
}

/// Bytes of the matrices of an n x m job.
pub fn bytes<T>(n: usize, m: usize, get: Get) -> u64 {
    n as u64 * m as u64 * size_of::<T>() as u64 * get.matrices() as u64
}

fn reserve<T>(n: usize, m: usize, get: Get, resources: &Resources) -> Result<()> {
    let what = format!("a kernel matrix of {n} x {m}");
    resources.reserve(&what, bytes::<T>(n, m, get), "raise --memory, take f32, fewer rows, or only one of nngp and ntk")
}

/// The rows of one tile of the NNGP and of the NTK; empty where not wanted.
#[derive(Default)]
struct Block<'a, T> {
    nngp: Vec<&'a mut [T]>,
    ntk: Vec<&'a mut [T]>,
}

struct Task<'a, T> {
    i: usize,
    j: usize,
    region: Region,
    at: Block<'a, T>,
    /// The transposed place; empty on the diagonal and for rectangular matrices.
    mirror: Block<'a, T>,
}

struct Output<T> {
    nngp: Option<Mat<T>>,
    ntk: Option<Mat<T>>,
}

impl<T: Float> Output<T> {
    fn zeros(n: usize, m: usize, get: Get) -> Self {
        Self { nngp: get.nngp().then(|| Mat::zeros(n, m)), ntk: get.ntk().then(|| Mat::zeros(n, m)) }
    }

    /// All tiles, row block by row block.
    fn blocks(&mut self, side: usize) -> Vec<Block<'_, T>> {
        let nngp = self.nngp.as_mut().map(|m| tiles(m, side)).unwrap_or_default();
        let ntk = self.ntk.as_mut().map(|m| tiles(m, side)).unwrap_or_default();
        let count = nngp.len().max(ntk.len());
        let (mut nngp, mut ntk) = (nngp.into_iter(), ntk.into_iter());
        (0..count)
            .map(|_| Block { nngp: nngp.next().unwrap_or_default(), ntk: ntk.next().unwrap_or_default() })
            .collect()
    }
}

/// Splits a matrix into tiles, each a list of pieces of rows.
fn tiles<T: Float>(matrix: &mut Mat<T>, side: usize) -> Vec<Vec<&mut [T]>> {
    let (n, m) = (matrix.rows(), matrix.cols());
    if n == 0 || m == 0 {
        return Vec::new();
    }
    let width = m.div_ceil(side);
    let mut tiles: Vec<Vec<&mut [T]>> = Vec::new();
    tiles.resize_with(n.div_ceil(side) * width, Vec::new);
    for (i, row) in matrix.as_mut_slice().chunks_exact_mut(m).enumerate() {
        for (j, piece) in row.chunks_mut(side).enumerate() {
            tiles[i / side * width + j].push(piece);
        }
    }
    tiles
}

fn compute<T: Float, K: Kernel<T>>(
    kernel: &K,
    rows: &K::Samples,
    cols: &K::Samples,
    get: Get,
    tasks: Vec<Task<'_, T>>,
    resources: &Resources,
) -> Result<()> {
    let (total, done) = (tasks.len() as u64, AtomicU64::new(0));
    let side = kernel.side();
    let zeros = |wanted: bool| vec![T::default(); if wanted { side * side } else { 0 }];
    let scratch = || (kernel.workspace(get), zeros(true), zeros(get.ntk()));
    resources.install(|| {
        tasks.into_par_iter().try_for_each_init(scratch, |(workspace, nngp, ntk), task| {
            resources.check("the kernel matrix")?;
            let out = TileOut { region: task.region, nngp, ntk };
            kernel.tile(workspace, (rows, task.i), (cols, task.j), out, resources)?;
            for (tile, at, mirror) in [(nngp, task.at.nngp, task.mirror.nngp), (ntk, task.at.ntk, task.mirror.ntk)] {
                if task.region == Region::Upper && !tile.is_empty() {
                    reflect(tile, side);
                }
                write(tile, side, at, mirror, (task.i, task.j))?;
            }
            resources.progress.update("kernel", done.fetch_add(1, Ordering::Relaxed) + 1, total);
            Ok(())
        })
    })
}

/// Copies what is above the diagonal below it.
fn reflect<T: Copy>(tile: &mut [T], side: usize) {
    for i in 0..side {
        for j in 0..i {
            tile[i * side + j] = tile[j * side + i];
        }
    }
}

/// Copies a tile to its place and its transpose to the mirror place, refusing values that are not finite.
fn write<T: Float>(
    tile: &[T],
    side: usize,
    at: Vec<&mut [T]>,
    mirror: Vec<&mut [T]>,
    (i, j): (usize, usize),
) -> Result<()> {
    let (height, width) = (at.len(), at.first().map_or(0, |row| row.len()));
    for (r, row) in at.into_iter().enumerate() {
        let from = &tile[r * side..r * side + width];
        // Without an early end, so that it runs on vectors.
        if !from.iter().fold(true, |fine, v| fine & v.is_finite()) {
            let c = from.iter().position(|v| !v.is_finite()).unwrap_or(0);
            return Err(Error::Overflow {
                at: "the kernel matrix".into(),
                what: "a value".into(),
                precision: T::NAME,
                row: i * side + r,
                column: j * side + c,
                hint: "scale the input down, or compute in f64".into(),
            });
        }
        row.copy_from_slice(from);
    }
    transpose(tile, side, mirror, height);
    Ok(())
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
