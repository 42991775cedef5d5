//! Kernel matrices assembled from a fixed grid of tiles.
//!
//! The [`Grid`] does not depend on the number of threads and every tile is computed by one thread, so neither does any bit of the result.
//! A symmetric matrix computes the tiles of one triangle and writes each twice.
//!
//! - In memory: [`symmetric`], [`cross`].
//! - As a [`Job`]: [`run`] hands every finished tile to a [`TileStore`] and skips those it has, so that work survives its process and can be
//!   divided into parts; [`assemble()`] or, by bands of rows, [`fill`] make matrices of the tiles. The values are the same bits as in memory.

mod assemble;
mod grid;
mod job;
mod memory;
mod store;
mod tile;

pub use assemble::{Band, assemble, fill};
pub use grid::{Grid, Kind, Part, Tile};
pub use job::{Done, Job, Plan, run, seconds_per_pair};
pub use memory::{cross, cross_prepared, symmetric, symmetric_prepared};
pub use store::{MemoryStore, TileStore};
pub(crate) use tile::{Meter, Scratch, scratch_bytes};

use crate::kernel::Get;

/// Bytes of the matrices of an n x m job.
pub fn bytes<T>(n: usize, m: usize, get: Get) -> u64 {
    n as u64 * m as u64 * size_of::<T>() as u64 * get.matrices() as u64
}
