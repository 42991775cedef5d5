//! Jobs of the verbs: the tiles of the library in the folders of the formats.

use crate::error::{Error, Result};
use crate::output;
use crate::value::Value as Number;
use dualnet::gram::{self, Band, Job, Kind, Tile, TileStore};
use dualnet::kernel::{Get, InputShape};
use dualnet::{Mat, Resources};
use dualnet_io::job_folder::{self, JobFolder};
use dualnet_io::npz;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// All that decides the bits of a job's tiles: `what` (an object: nets, samples, what is done to them), the grid, the program.
pub fn manifest<T: Number>(job: &Job, mut what: Value, resources: &Resources) -> Value {
    let matrices: Vec<&str> = names(job.get).map(|(name, _)| name).collect();
    let grid = json!({
        "format": 1, "dualnet": env!("CARGO_PKG_VERSION"), "isa": format!("{:?}", resources.isa).to_lowercase(),
        "precision": T::NAME, "matrices": matrices,
        "kind": if job.grid.kind() == Kind::Symmetric { "symmetric" } else { "rectangular" },
        "rows": job.grid.rows(), "columns": job.grid.columns(), "side": job.grid.side(), "tiles": job.grid.tiles(),
    });
    if let (Value::Object(what), Value::Object(grid)) = (&mut what, grid) {
        what.extend(grid);
    }
    what
}

/// Samples by shape and hash.
pub fn describe<T: Number>(x: &Mat<T>, shape: &InputShape) -> Value {
    let mut axes = vec![x.rows()];
    axes.extend(&shape.positions);
    axes.push(shape.channels);
    json!({"shape": axes, "blake3": job_folder::hash(T::elements(x.as_slice()))})
}

/// The matrices wanted, with their numbers among NNGP and NTK.
fn names(get: Get) -> impl Iterator<Item = (&'static str, usize)> {
    [("nngp", get.nngp()), ("ntk", get.ntk())]
        .into_iter()
        .enumerate()
        .filter(|(_, (_, there))| *there)
        .map(|(i, (n, _))| (n, i))
}

/// Tiles and pairs of a job's part that are not there.
pub fn left(job: &Job, has: impl Fn(u64) -> bool) -> (u64, u64) {
    let left = (0..job.grid.tiles()).filter(|tile| job.part.has(*tile) && !has(*tile));
    left.fold((0, 0), |(tiles, pairs), tile| (tiles + 1, pairs + job.grid.tile(tile).pairs()))
}

/// A job's folder as the library's store. Errors of the folder are kept: the library passes on their text alone.
pub struct Tiles {
    folder: JobFolder,
    failed: Mutex<Option<dualnet_io::Error>>,
}

impl Tiles {
    /// Opens or begins a job.
    pub fn open<T: Number>(path: &Path, manifest: &Value, job: &Job) -> Result<Self> {
        let folder = JobFolder::open(path, manifest, job.grid.tiles(), job.tile_values() * size_of::<T>())?;
        Ok(Self { folder, failed: Mutex::new(None) })
    }

    /// How many tiles there are.
    pub fn found(&self) -> u64 {
        self.folder.found()
    }

    /// Whether a tile was there when the job was opened.
    pub fn has(&self, tile: u64) -> bool {
        self.folder.has(tile)
    }

    /// Says what of the logs is damaged and not computed again yet; how many such places there are.
    pub fn tell_damage(&self) -> usize {
        const TOLD: usize = 5;
        let lost: Vec<_> =
            self.folder.damage().iter().filter(|d| d.tile.is_none_or(|tile| !self.folder.has(tile))).collect();
        for damage in lost.iter().take(TOLD) {
            output::say(&format!("dualnet: {damage}: what was there is computed again"));
        }
        if lost.len() > TOLD {
            output::say(&format!("dualnet: {} such places more", lost.len() - TOLD));
        }
        lost.len()
    }

    /// Syncs the log of this process.
    pub fn sync(&self) -> Result<()> {
        Ok(self.folder.sync()?)
    }

    /// What the folder reported, in place of the words that the library made of it.
    pub fn cause(&self, error: dualnet::Error) -> Error {
        let kept = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.map_or_else(|| error.into(), Error::from)
    }

    fn keep(&self, error: dualnet_io::Error) -> dualnet::Error {
        let (at, problem) = (error.file().display().to_string(), error.to_string());
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        dualnet::Error::Source { at, problem, hint: "see there".into() }
    }

    /// Assembles the matrices into an .npz file, some rows of tiles at a time.
    pub fn assemble<T: Number>(&self, job: &Job, path: &Path, blocks: usize) -> Result<()> {
        let (n, m) = (job.grid.rows(), job.grid.columns());
        let shape = [n, m];
        let matrices: Vec<(&str, usize)> = names(job.get).collect();
        let heads: Vec<(&str, &[usize], _)> = matrices.iter().map(|(name, _)| (*name, &shape[..], T::KIND)).collect();
        let last = job.grid.blocks().0;
        let mut rows = Vec::new();
        npz::write_pieces(path, &heads, |index, sink| {
            for first in (0..last).step_by(blocks) {
                let end = last.min(first + blocks);
                rows.resize(((end * job.grid.side()).min(n) - first * job.grid.side()) * m, T::default());
                let [nngp, ntk]: [&mut [T]; 2] = match matrices[index].1 {
                    0 => [&mut rows, &mut []],
                    _ => [&mut [], &mut rows],
                };
                let band = Band { nngp, ntk };
                gram::fill(&job.grid, job.get, first..end, self, band).map_err(|e| self.cause(e))?;
                sink(T::elements(&rows))?;
            }
            Ok(())
        })
    }
}

impl<T: Number> TileStore<T> for Tiles {
    fn has(&self, tile: u64) -> bool {
        self.folder.has(tile)
    }

    fn put(&self, tile: &Tile, values: &[T]) -> dualnet::Result<()> {
        self.folder.put(tile.index, T::elements(values)).map_err(|e| self.keep(e))
    }

    fn get(&self, tile: &Tile, values: &mut [T]) -> dualnet::Result<bool> {
        self.folder.read(tile.index, T::elements_mut(values)).map_err(|e| self.keep(e))
    }
}
