//! Jobs: the tiles of a matrix, or of a part of it, computed into a [`TileStore`]. What the store has already is not computed again.

use super::grid::{Grid, Part};
use super::store::TileStore;
use super::tile::{Meter, Scratch, check_sizes, scratch_bytes};
use crate::error::{Error, Result};
use crate::kernel::{Float, Get, Kernel};
use crate::linalg::MatRef;
use crate::resources::Resources;

use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is to be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The tiles of the whole matrix.
    pub grid: Grid,
    /// Which matrices.
    pub get: Get,
    /// Which tiles of the grid.
    pub part: Part,
}

/// What one [`run`] computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Tiles.
    pub tiles: u64,
    /// Pairs of samples.
    pub pairs: u64,
}

/// Bytes that a job needs, known before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The matrices themselves: on disk for a job with a folder, else in memory.
    pub matrices: u64,
    /// Workspaces and tiles of all threads.
    pub workspaces: u64,
    /// What the kernel keeps of the samples of both sides.
    pub samples: u64,
}

impl Job {
    /// Bytes this job needs on `threads` threads.
    pub fn plan<T: Float, K: Kernel<T>>(&self, kernel: &K, threads: usize) -> Plan {
        let (n, m) = (self.grid.rows(), self.grid.columns());
        let second = if self.grid.kind() == super::Kind::Symmetric { 0 } else { kernel.samples_bytes(m) };
        Plan {
            matrices: super::bytes::<T>(n, m, self.get),
            workspaces: threads as u64 * scratch_bytes(kernel, self.get),
            samples: kernel.samples_bytes(n) + second,
        }
    }

    /// Values of the largest tile.
    pub fn tile_values(&self) -> usize {
        self.get.matrices() * self.grid.side().min(self.grid.rows()) * self.grid.side().min(self.grid.columns())
    }
}

/// Computes the tiles of a job that `store` has not, each by one thread, and hands each to the store as soon as it is done. Progress counts
/// only what is left. `samples` are those of rows and columns, twice the same for a symmetric matrix.
///
/// ```
/// use dualnet::gram::{self, Grid, Job, MemoryStore, Part};
/// use dualnet::kernel::{DenseKernel, Get, Kernel};
/// use dualnet::{Mat, Resources, net::Net};
/// let (kernel, resources) = (DenseKernel::new(&Net::parse("fc-relu-1")?, 2)?, Resources::new(1)?);
/// let x = Mat::from_fn(300, 2, |i, j| ((i * 7 + j * 3) % 11) as f64 - 5.0);
/// let samples = kernel.prepare(x.as_ref(), "x", &resources)?;
///
/// let store = MemoryStore::new();
/// let mut job = Job { grid: Grid::symmetric(300, 128), get: Get::Ntk, part: Part::new(1, 2)? };
/// assert_eq!(gram::run(&kernel, (&samples, &samples), &job, &store, &resources)?.tiles, 3);
/// job.part = Part::WHOLE; // takes up what is left
/// assert_eq!(gram::run(&kernel, (&samples, &samples), &job, &store, &resources)?.tiles, 3);
/// let k = gram::assemble(&job.grid, job.get, &store, &resources)?;
/// assert_eq!(k, kernel.gram(x.as_ref(), Get::Ntk, &resources)?);
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for samples that do not fit the grid, whatever kernel or store report, [`Error::Interrupted`]. Tiles handed over before
/// stay in the store.
pub fn run<T: Float, K: Kernel<T>>(
    kernel: &K,
    samples: (&K::Samples, &K::Samples),
    job: &Job,
    store: &impl TileStore<T>,
    resources: &Resources,
) -> Result<Done> {
    check_sizes(kernel, samples, &job.grid)?;
    let mine = job.part.count(job.grid.tiles());
    let left = (0..mine).filter(|n| !store.has(job.part.nth(*n))).count() as u64;
    let (next, stop, meter) = (AtomicU64::new(0), AtomicBool::new(false), Meter::new(left));
    let (tiles, pairs) = (AtomicU64::new(0), AtomicU64::new(0));
    // Workers take tiles in order, one at a time: at no time is more than one tile of each at stake.
    let worker = |_| -> Result<()> {
        let mut scratch = None;
        let mut values = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= mine {
                break;
            }
            let tile = job.grid.tile(job.part.nth(n));
            if store.has(tile.index) {
                continue;
            }
            resources.check("the kernel matrix")?;
            let scratch = scratch.get_or_insert_with(|| Scratch::new(kernel, job.get));
            scratch.compute(kernel, samples, &tile, resources)?;
            scratch.pack(&tile, &mut values);
            store.put(&tile, &values)?;
            tiles.fetch_add(1, Ordering::Relaxed);
            pairs.fetch_add(tile.pairs(), Ordering::Relaxed);
            meter.tick(resources);
        }
        Ok(())
    };
    let stopping = |w| worker(w).inspect_err(|_: &Error| stop.store(true, Ordering::Relaxed));
    let workers = 0..resources.threads();
    resources.install(|| workers.into_par_iter().with_max_len(1).try_for_each(stopping))?;
    Ok(Done { tiles: tiles.into_inner(), pairs: pairs.into_inner() })
}

/// Seconds a pair with all threads at work, measured for about half a second on the first samples of `x` (n x d), at least one tile a
/// thread.
///
/// # Errors
/// Those of the kernel on these samples.
pub fn seconds_per_pair<T: Float, K: Kernel<T>>(
    kernel: &K,
    x: MatRef<'_, T>,
    get: Get,
    resources: &Resources,
) -> Result<f64> {
    const SPAN: Duration = Duration::from_millis(500);
    let some: Vec<usize> = (0..x.rows().min(2 * kernel.side())).collect();
    let samples = kernel.prepare(x.select_rows(&some).as_ref(), "x", resources)?;
    // A whole tile off the diagonal where there is one, as nearly all are.
    let grid = Grid::rectangular(some.len(), some.len(), kernel.side());
    let tile = grid.tile(u64::from(some.len() == 2 * kernel.side()));
    let worker = |_| -> Result<f64> {
        let mut scratch = Scratch::new(kernel, get);
        let (start, mut pairs) = (Instant::now(), 0);
        while pairs == 0 || start.elapsed() < SPAN {
            resources.check("measuring")?;
            scratch.compute(kernel, (&samples, &samples), &tile, resources)?;
            pairs += tile.pairs().max(1);
        }
        Ok(pairs as f64 / start.elapsed().as_secs_f64())
    };
    let rates: Vec<f64> = resources
        .install(|| (0..resources.threads()).into_par_iter().with_max_len(1).map(worker).collect::<Result<_>>())?;
    Ok(1.0 / rates.iter().sum::<f64>())
}
