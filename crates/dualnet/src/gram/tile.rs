//! One tile: computed, completed below the diagonal, checked. What is kept in memory and what goes to a store comes from here.

use super::grid::{Grid, Tile};
use crate::error::{Error, Result};
use crate::kernel::{Float, Get, Kernel, Region, TileOut};
use crate::resources::Resources;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one thread needs to compute tiles, and the tile it computed last.
pub(crate) struct Scratch<T, W> {
    workspace: W,
    nngp: Vec<T>,
    ntk: Vec<T>,
    get: Get,
    side: usize,
}

/// Bytes of a [`Scratch`].
pub(crate) fn scratch_bytes<T: Float, K: Kernel<T>>(kernel: &K, get: Get) -> u64 {
    let tiles = 1 + u64::from(get.ntk());
    kernel.workspace_bytes(get) + tiles * (kernel.side() * kernel.side() * size_of::<T>()) as u64
}

impl<T: Float, W> Scratch<T, W> {
    pub(crate) fn new<K: Kernel<T, Workspace = W>>(kernel: &K, get: Get) -> Self {
        let side = kernel.side();
        let zeros = |wanted: bool| vec![T::default(); if wanted { side * side } else { 0 }];
        Self { workspace: kernel.workspace(get), nngp: zeros(true), ntk: zeros(get.ntk()), get, side }
    }

    /// Computes a tile.
    pub(crate) fn compute<K: Kernel<T, Workspace = W>>(
        &mut self,
        kernel: &K,
        (rows, cols): (&K::Samples, &K::Samples),
        tile: &Tile,
        resources: &Resources,
    ) -> Result<()> {
        let out = TileOut { region: tile.region, nngp: &mut self.nngp, ntk: &mut self.ntk };
        kernel.tile(&mut self.workspace, (rows, tile.i), (cols, tile.j), out, resources)?;
        let side = self.side;
        let wanted = [(&mut self.nngp, self.get.nngp()), (&mut self.ntk, self.get.ntk())];
        for (values, _) in wanted.into_iter().filter(|(_, wanted)| *wanted) {
            if tile.region == Region::Upper {
                reflect(values, side);
            }
            check(values, side, tile)?;
        }
        Ok(())
    }

    /// NNGP and NTK of the tile, `side` values a row; empty where not wanted.
    pub(crate) fn values(&self) -> [&[T]; 2] {
        [if self.get.nngp() { &self.nngp } else { &[] }, &self.ntk]
    }

    /// The matrices wanted, one behind the other, each `height` x `width` without gaps.
    pub(super) fn pack(&self, tile: &Tile, into: &mut Vec<T>) {
        into.clear();
        for values in self.values() {
            for row in values.chunks_exact(self.side).take(tile.height) {
                into.extend_from_slice(&row[..tile.width]);
            }
        }
    }
}

/// Copies what is above the diagonal below it.
fn reflect<T: Copy>(values: &mut [T], side: usize) {
    for i in 0..side {
        for j in 0..i {
            values[i * side + j] = values[j * side + i];
        }
    }
}

/// Refuses values that are not finite.
fn check<T: Float>(values: &[T], side: usize, tile: &Tile) -> Result<()> {
    for (r, row) in values.chunks_exact(side).take(tile.height).enumerate() {
        let row = &row[..tile.width];
        // Without an early end, so that it runs on vectors.
        if !row.iter().fold(true, |fine, v| fine & v.is_finite()) {
            let c = row.iter().position(|v| !v.is_finite()).unwrap_or(0);
            return Err(Error::Overflow {
                at: "the kernel matrix".into(),
                what: "a value".into(),
                precision: T::NAME,
                row: tile.i * side + r,
                column: tile.j * side + c,
                hint: "scale the input down, or compute in f64".into(),
            });
        }
    }
    Ok(())
}

/// Counts tiles and tells of them, some thousand times at most.
pub(crate) struct Meter {
    done: AtomicU64,
    total: u64,
}

impl Meter {
    const STEPS: u64 = 2000;

    pub(crate) fn new(total: u64) -> Self {
        Self { done: AtomicU64::new(0), total }
    }

    /// One tile more is done.
    pub(crate) fn tick(&self, resources: &Resources) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let step = self.total.div_ceil(Self::STEPS).max(1);
        if done.is_multiple_of(step) || done == self.total {
            resources.progress.update("kernel", done, self.total);
        }
    }
}

/// Refuses samples that do not fit a grid.
pub(super) fn check_sizes<T: Float, K: Kernel<T>>(
    kernel: &K,
    (rows, cols): (&K::Samples, &K::Samples),
    grid: &Grid,
) -> Result<()> {
    let found = (kernel.len(rows), kernel.len(cols), kernel.side());
    let expected = (grid.rows(), grid.columns(), grid.side());
    if found == expected {
        return Ok(());
    }
    let say = |(n, m, side): (usize, usize, usize)| format!("{n} and {m} samples in tiles of {side}");
    Err(Error::Shape { what: "samples of a kernel matrix".into(), expected: say(expected), found: say(found) })
}
