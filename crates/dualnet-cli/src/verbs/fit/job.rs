//! Fits whose kernel matrices are a job in a folder.

use crate::error::{Error, Result};
use crate::expected::Expected;
use crate::job::{self, Tiles};
use crate::options::Common;
use crate::output;
use dualnet::Resources;
use dualnet::gram::{self, Job, Part};
use dualnet::kernel::{Get, Grams, Kernel};
use dualnet::linalg::MatRef;
use dualnet::model::{Direct, GramSource, ImageOptions, Images, image_job};
use dualnet_io::job_folder::JobFolder;
use serde_json::{Value, json};
use std::path::Path;

/// The description of a job: images by the hash of what was read, since that and what is done to them decide what the kernel sees.
fn manifest(description: &str, images: &Images, job: &Job, resources: &Resources) -> Value {
    let mut what: Value = serde_json::from_str(description).unwrap_or_default();
    what["verb"] = json!("fit");
    what["x"] = job::describe(images.values(), images.shape());
    job::manifest::<f32>(job, what, resources)
}

/// How much of a job is done.
pub(super) struct Found {
    /// Tiles of the job.
    pub(super) total: u64,
    /// Those that are there.
    pub(super) done: u64,
    /// Their pairs.
    pub(super) pairs: u64,
}

/// What is there of the job of a fit to `images`. Begins nothing.
pub(super) fn find(path: &Path, images: &Images, options: &ImageOptions, resources: &Resources) -> Result<Found> {
    let job = image_job(images.len(), images.shape(), options)?;
    let total = job.grid.tiles();
    if !JobFolder::exists(path) {
        return Ok(Found { total, done: 0, pairs: 0 });
    }
    let tiles = Tiles::open::<f32>(path, &manifest(&options.description(), images, &job, resources), &job)?;
    let (left, pairs) = job::left(&job, |tile| tiles.has(tile));
    Ok(Found { total, done: total - left, pairs: job.grid.pairs() - pairs })
}

/// Who computes the kernel matrices of a fit.
pub(super) enum Source<'a> {
    /// The library, in memory.
    Direct,
    /// A job.
    Folder(Folder<'a>),
}

/// A job in a folder.
pub(super) struct Folder<'a> {
    path: &'a Path,
    common: &'a Common,
    /// The training images as they were read.
    images: &'a Images,
    /// What the fit needs at its peak.
    bytes: u64,
    /// What was computed, for the report.
    tiles: Value,
    /// What went wrong, in place of the words that the library made of it.
    failed: Option<Error>,
}

impl<'a> Folder<'a> {
    /// The job in `path` of a fit to `images` that takes `bytes`.
    pub(super) fn new(path: &'a Path, common: &'a Common, images: &'a Images, bytes: u64) -> Self {
        Self { path, common, images, bytes, tiles: Value::Null, failed: None }
    }

    fn compute<K: Kernel<f32>>(
        &mut self,
        kernel: &K,
        job: &Job,
        manifest: &Value,
        x: MatRef<'_, f32>,
        resources: &Resources,
    ) -> Result<Grams<f32>> {
        let open = || Tiles::open::<f32>(self.path, manifest, job);
        let mut tiles = open()?;
        let damaged = tiles.tell_damage();
        let (left, pairs) = job::left(job, |tile| tiles.has(tile));
        if left > 0 {
            if !self.common.quiet {
                let per_pair = gram::seconds_per_pair(kernel, x, job.get, resources)?;
                let expected = Expected { memory: self.bytes, limit: resources.memory, pairs, per_pair };
                let (tiles, pairs) = (output::count(left as usize, "tile"), output::count(pairs as usize, "pair"));
                output::say(&format!("{pairs}, {tiles} of {}: {expected}", job.grid.tiles()));
            }
            let samples = kernel.prepare(x, "x", resources)?;
            gram::run(kernel, (&samples, &samples), job, &tiles, resources).map_err(|e| tiles.cause(e))?;
            tiles.sync()?;
            drop(tiles);
            tiles = open()?;
        }
        self.tiles = json!({"total": job.grid.tiles(), "computed": left, "damaged": damaged});
        gram::assemble(&job.grid, job.get, &tiles, resources).map_err(|e| tiles.cause(e))
    }
}

impl Source<'_> {
    /// The error of a fit: that of the folder, where that was its cause.
    pub(super) fn cause(self, data: &Path, error: dualnet::Error) -> Error {
        match self {
            Source::Folder(Folder { failed: Some(failed), .. }) => failed,
            _ => Error::within(data)(error),
        }
    }

    /// What a job computed; null without one.
    pub(super) fn tiles(&self) -> Value {
        match self {
            Source::Direct => Value::Null,
            Source::Folder(folder) => folder.tiles.clone(),
        }
    }
}

impl GramSource for Source<'_> {
    fn symmetric<K: Kernel<f32>>(
        &mut self,
        kernel: &K,
        description: &str,
        x: MatRef<'_, f32>,
        get: Get,
        resources: &Resources,
    ) -> dualnet::Result<Grams<f32>> {
        let Source::Folder(folder) = self else { return Direct.symmetric(kernel, description, x, get, resources) };
        let job = Job { grid: gram::Grid::symmetric(x.rows(), kernel.side()), get, part: Part::WHOLE };
        let manifest = manifest(description, folder.images, &job, resources);
        folder.compute(kernel, &job, &manifest, x, resources).map_err(|error| match error {
            Error::Core(error) => error,
            other => {
                let (at, problem) = (folder.path.display().to_string(), other.to_string());
                folder.failed = Some(other);
                dualnet::Error::Source { at, problem, hint: "see there".into() }
            }
        })
    }
}
