//! What one call of the verb computes of what.

use super::plan::{Bytes, Kept};
use super::{samples, samples::Samples};
use crate::error::{Error, Result};
use crate::job::{self, Tiles};
use crate::output;
use crate::value::Value as Number;
use dualnet::gram::{self, Grid, Job, Part};
use dualnet::kernel::{Get, Kernel, NetKernel};
use dualnet::net::Net;
use dualnet::{Mat, Resources};
use dualnet_io::Options;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What the command line asks for.
pub struct Asked<'a> {
    /// The samples' file.
    pub x: &'a PathBuf,
    /// The second samples' file.
    pub x2: Option<&'a PathBuf>,
    /// Which matrices.
    pub get: Get,
    /// Which tiles.
    pub part: Part,
    /// Where they are kept.
    pub kept: Kept,
}

/// Samples and kernel, ready to be computed.
pub struct Work<T> {
    net: Net,
    /// The kernel.
    pub kernel: NetKernel,
    /// Its tiles.
    pub job: Job,
    /// What that takes.
    pub bytes: Bytes,
    /// What may be used.
    pub resources: Resources,
    x: Mat<T>,
    x2: Option<Mat<T>>,
    /// The description of a job; null without one.
    manifest: Value,
}

type Prepared<T> = <NetKernel as Kernel<T>>::Samples;

impl<T: Number> Work<T> {
    /// Reads the samples and compiles the net for them.
    pub fn read(asked: &Asked<'_>, net: Net, resources: Resources) -> Result<Self> {
        let options = Options { max_bytes: resources.memory.unwrap_or(u64::MAX), ..Options::default() };
        let x = samples::read::<T>(asked.x, &net, &options)?;
        let x2 = asked.x2.map(|path| samples::read::<T>(path, &net, &options)).transpose()?;
        if let (Some(path), Some(x2)) = (asked.x2, &x2) {
            samples::check_alike((asked.x, &x.shape), (path, &x2.shape))?;
        }
        let kernel = NetKernel::new(&net, &x.shape).map_err(Error::within(asked.x))?;
        let side = Kernel::<T>::side(&kernel);
        let grid = match &x2 {
            Some(x2) => Grid::rectangular(x.x.rows(), x2.x.rows(), side),
            None => Grid::symmetric(x.x.rows(), side),
        };
        let job = Job { grid, get: asked.get, part: asked.part };
        let bytes = bytes(asked, &job, job.plan::<T, _>(&kernel, resources.threads()), (&x, x2.as_ref()), &resources);
        let manifest = match asked.kept {
            Kept::Memory => Value::Null,
            Kept::Folder => manifest(&net, &job, (&x, x2.as_ref()), &resources),
        };
        Ok(Self { net, kernel, job, bytes, resources, x: x.x, x2: x2.map(|x2| x2.x), manifest })
    }

    /// What every report says.
    pub fn report(&self) -> Value {
        json!({
            "net": self.net.to_string(), "rows": self.job.grid.rows(), "columns": self.job.grid.columns(),
            "pairs": self.job.grid.pairs(), "bytes": self.bytes.plan.matrices, "threads": self.resources.threads(),
            "precision": T::NAME,
        })
    }

    /// "7 x 7 (28 pairs)".
    pub fn size(&self, pairs: u64) -> String {
        let pairs = output::count(pairs as usize, "pair");
        format!("{} x {} ({pairs})", self.job.grid.rows(), self.job.grid.columns())
    }

    /// Opens the job in `folder`, or begins it there.
    pub fn open(&self, folder: &Path) -> Result<Tiles> {
        Tiles::open::<T>(folder, &self.manifest, &self.job)
    }

    /// Seconds a pair. A plan is wanted all the more where the memory allowed does not do.
    pub fn seconds_per_pair(&self) -> Result<f64> {
        let mut resources = self.resources.clone();
        resources.memory = None;
        Ok(gram::seconds_per_pair(&self.kernel, self.x.as_ref(), self.job.get, &resources)?)
    }

    /// Prepares the samples and lets go of their first form.
    pub fn prepare(&mut self) -> Result<(Prepared<T>, Option<Prepared<T>>)> {
        let rows = self.kernel.prepare(self.x.as_ref(), "x", &self.resources)?;
        self.x = Mat::zeros(0, 0);
        let columns = self.x2.take().map(|x2| self.kernel.prepare(x2.as_ref(), "x2", &self.resources)).transpose()?;
        Ok((rows, columns))
    }

    /// Lets go of samples that nobody prepared.
    pub fn release(&mut self) {
        (self.x, self.x2) = (Mat::zeros(0, 0), None);
    }
}

/// The description of a job.
fn manifest<T: Number>(
    net: &Net,
    job: &Job,
    (x, x2): (&Samples<T>, Option<&Samples<T>>),
    resources: &Resources,
) -> Value {
    let net: Value = serde_json::from_str(&net.to_json()).unwrap_or_default();
    let describe = |samples: &Samples<T>| job::describe(&samples.x, &samples.shape);
    job::manifest::<T>(job, json!({"net": net, "x": describe(x), "x2": x2.map(describe)}), resources)
}

fn bytes<T: Number>(
    asked: &Asked<'_>,
    job: &Job,
    plan: gram::Plan,
    (x, x2): (&Samples<T>, Option<&Samples<T>>),
    resources: &Resources,
) -> Bytes {
    let (second, raw) = x2.map_or((0, 0), |x2| (size_of_val(x2.x.as_slice()), x2.read_bytes));
    let read = [x.read_bytes.max(raw), (size_of_val(x.x.as_slice()) + second) as u64];
    Bytes::new(job, plan, read, asked.kept, resources.memory)
}
