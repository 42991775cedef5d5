//! Where the tiles of a job are kept.

use super::grid::Tile;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Keeps finished tiles. The values of a tile are those of the matrices wanted, NNGP first, each `height` x `width` row by row, of a tile on
/// the diagonal of a symmetric matrix both halves. Whoever implements it reports what goes wrong as [`Error::Source`].
pub trait TileStore<T>: Sync {
    /// Whether a tile was kept before the job began.
    fn has(&self, tile: u64) -> bool;
    /// Keeps a tile. Called from any thread, as soon as the tile is done; what has been kept must outlive the process where the store
    /// promises so.
    fn put(&self, tile: &Tile, values: &[T]) -> Result<()>;
    /// Fills in the values of a tile; false if it has none.
    fn get(&self, tile: &Tile, values: &mut [T]) -> Result<bool>;
}

/// Tiles in memory, for tests and for jobs that need not survive.
#[derive(Debug, Default)]
pub struct MemoryStore<T>(Mutex<BTreeMap<u64, Vec<T>>>);

impl<T> MemoryStore<T> {
    /// Without tiles.
    pub fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }
    /// Number of tiles.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
    /// True without tiles.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Forgets a tile.
    pub fn remove(&self, tile: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&tile);
    }
}

impl<T: Copy + Send> TileStore<T> for MemoryStore<T> {
    fn has(&self, tile: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&tile)
    }

    fn put(&self, tile: &Tile, values: &[T]) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tile.index, values.to_vec());
        Ok(())
    }

    fn get(&self, tile: &Tile, values: &mut [T]) -> Result<bool> {
        let tiles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = tiles.get(&tile.index) else { return Ok(false) };
        if kept.len() != values.len() {
            return Err(Error::Shape {
                what: format!("tile {} of the store", tile.index),
                expected: format!("{} values", values.len()),
                found: format!("{} values", kept.len()),
            });
        }
        values.copy_from_slice(kept);
        Ok(true)
    }
}
