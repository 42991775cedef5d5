//! `dualnet kernel`: exact kernel matrices of a net.

mod job;
mod net;
mod plan;
mod samples;
mod value;

use crate::error::{Error, Result};
use crate::options::{Common, Output, check_output};
use crate::output;
use clap::{Args, ValueEnum};
use dualnet::gram::{self, Grid, Job, Part};
use dualnet::kernel::{Get, Kernel as _, NetKernel};
use dualnet::net::Net;
use dualnet::{Mat, Resources};
use dualnet_io::Options;
use dualnet_io::job_folder::JobFolder;
use job::Tiles;
use plan::{Bytes, Kept};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub use net::read_dense as read_dense_net;

/// Compute the exact kernel matrices of a net
///
/// The NNGP is the covariance of the outputs of the net with random weights, the NTK the kernel by which gradient descent
/// trains it, both in the limit of infinite width. They are written as the arrays nngp and ntk of an .npz file.
///
/// Cost: n^2/2 pairs of samples (n m with --x2). A dense net takes 2 d operations for the inner product and a few vector instructions a
/// layer: 20,000 samples of 3 values take about 5 s on two cores in f32. A convolutional net takes milliseconds a pair: --dry-run measures
/// them. Memory: n^2 values of 4 or 8 bytes for each matrix, unless the work is a job.
///
/// Jobs: with --job DIR every finished tile of pairs is written to DIR at once. Killed at any time, even by kill -9, the same command takes up
/// the work where it was; at most one tile of each thread is lost, and the result has the same bits. --part k/N computes only the k-th of
/// N parts: run one for each k, on as many machines as share DIR, then the command without --part, which computes what is missing (nothing, if
/// all parts are done) and writes the result. Machines must have the same instruction set. Remove DIR when the result is there.
#[derive(Args)]
pub struct Kernel {
    /// A net file (JSON or TOML) or a preset such as fc-relu-3 or myrtle-5
    net: String,
    /// Samples: (n, d) for dense nets; (n, h, w, c), or (n, h, w) with one channel, for nets over images; (n, l, c) for nets over sequences.
    /// In .npy, IDX, or the array x of an .npz; values are taken as they are, those of bytes too
    #[arg(long, value_name = "FILE")]
    x: PathBuf,
    /// Second samples: the kernel between x and x2 instead of that of x with itself
    #[arg(long, value_name = "FILE")]
    x2: Option<PathBuf>,
    /// Which matrices
    #[arg(long, value_delimiter = ',', default_value = "nngp,ntk")]
    get: Vec<Wanted>,
    /// Precision of the computation and of the result; default: f64 for dense nets, f32 for nets over images or sequences
    #[arg(long)]
    precision: Option<PrecisionOption>,
    /// A folder for the work done so far: the job is begun there, or taken up
    #[arg(long, value_name = "DIR")]
    job: Option<PathBuf>,
    /// Compute only this part of the job, such as 2/3
    #[arg(long, value_name = "k/N", requires = "job")]
    part: Option<Part>,
    /// Print the plan (pairs, bytes, time from pairs measured, end) and stop
    #[arg(long)]
    dry_run: bool,
    /// Where to write the arrays nngp and ntk (.npz); with --part only if the job is complete then
    #[arg(short, long, value_name = "FILE.npz", required_unless_present_any = ["dry_run", "part"])]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum, PartialEq)]
enum Wanted {
    Nngp,
    Ntk,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionOption {
    F32,
    F64,
}

/// What is computed of what.
struct Work<T> {
    net: Net,
    kernel: NetKernel,
    job: Job,
    bytes: Bytes,
    x: Mat<T>,
    x2: Option<Mat<T>>,
    resources: Resources,
    /// The samples in a job's description.
    described: Option<(Value, Option<Value>)>,
}

impl Kernel {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        if let Some(path) = &self.output {
            check_output(path, Output::File)?;
        }
        let net = net::read(&self.net)?;
        let default = if net.is_spatial() { PrecisionOption::F32 } else { PrecisionOption::F64 };
        match self.precision.unwrap_or(default) {
            PrecisionOption::F32 => self.run_in::<f32>(net),
            PrecisionOption::F64 => self.run_in::<f64>(net),
        }
    }

    fn run_in<T: value::Value>(&self, net: Net) -> Result<()> {
        let work = self.read::<T>(net)?;
        if self.dry_run {
            return self.plan(&work);
        }
        work.bytes.check(&work.job, &work.resources)?;
        match &self.job {
            Some(folder) => self.run_job(folder, work),
            None => self.run_in_memory(work),
        }
    }

    /// Reads the samples and makes what is to be computed of them.
    fn read<T: value::Value>(&self, net: Net) -> Result<Work<T>> {
        let resources = self.common.resources()?;
        let options = Options { max_bytes: resources.memory.unwrap_or(u64::MAX), ..Options::default() };
        let x = samples::read::<T>(&self.x, &net, &options)?;
        let x2 =
            self.x2.as_ref().map(|path| samples::read::<T>(path, &net, &options).map(|x2| (path, x2))).transpose()?;
        if let Some((path, x2)) = &x2 {
            samples::check_alike((&self.x, &x.shape), (path, &x2.shape))?;
        }
        let kernel = NetKernel::new(&net, &x.shape).map_err(Error::within(&self.x))?;
        let side = dualnet::kernel::Kernel::<T>::side(&kernel);
        let grid = match &x2 {
            Some((_, x2)) => Grid::rectangular(x.x.rows(), x2.x.rows(), side),
            None => Grid::symmetric(x.x.rows(), side),
        };
        let job = Job { grid, get: self.get(), part: self.part.unwrap_or(Part::WHOLE) };
        let (second, raw) = x2.as_ref().map_or((0, 0), |(_, x2)| (x2.x.as_slice().len(), x2.read_bytes));
        let converted = (x.x.as_slice().len() + second) * size_of::<T>();
        let kept = if self.job.is_some() { Kept::Folder } else { Kept::Memory };
        let plan = job.plan::<T, _>(&kernel, resources.threads());
        let bytes = Bytes::new(&job, plan, [x.read_bytes.max(raw), converted as u64], kept, resources.memory);
        let described = self
            .job
            .is_some()
            .then(|| (job::samples(&x.x, &x.shape), x2.as_ref().map(|(_, x2)| job::samples(&x2.x, &x2.shape))));
        Ok(Work { net, kernel, job, bytes, x: x.x, x2: x2.map(|(_, x2)| x2.x), resources, described })
    }

    fn get(&self) -> Get {
        match (self.get.contains(&Wanted::Nngp), self.get.contains(&Wanted::Ntk)) {
            (true, false) => Get::Nngp,
            (false, true) => Get::Ntk,
            _ => Get::Both,
        }
    }

    fn plan<T: value::Value>(&self, work: &Work<T>) -> Result<()> {
        let mut report = work.report();
        let mut left = work.job.grid.pairs();
        if let Some(folder) = &self.job {
            // A plan begins nothing.
            let (tiles, pairs) = match JobFolder::exists(folder) {
                true => {
                    let tiles = work.open(folder)?;
                    report["tiles"] = json!({"total": work.job.grid.tiles(), "done": tiles.found()});
                    job::left(&work.job, |tile| tiles.has(tile))
                }
                false => job::left(&work.job, |_| false),
            };
            left = pairs;
            report["left"] = json!({"tiles": tiles, "pairs": pairs});
        }
        let per_pair = work.seconds_per_pair()?;
        let seconds = per_pair * left as f64;
        report["plan"] = work.bytes.json();
        report["memory"] = json!(work.resources.memory);
        report["seconds_per_pair"] = json!(per_pair);
        report["seconds_expected"] = json!(seconds);
        report["end_expected"] = json!(plan::end(seconds));
        if self.common.json {
            return output::print_json(&report);
        }
        output::print(&plan::sentence(&work.size(left), &work.bytes, per_pair, left, work.resources.memory))
    }

    fn run_in_memory<T: value::Value>(&self, mut work: Work<T>) -> Result<()> {
        let (mut report, size) = (work.report(), work.size(work.job.grid.pairs()));
        let start = Instant::now();
        let (rows, columns) = work.prepare()?;
        let grams = match &columns {
            Some(columns) => gram::cross_prepared(&work.kernel, &rows, columns, work.job.get, &work.resources)?,
            None => gram::symmetric_prepared(&work.kernel, &rows, work.job.get, &work.resources)?,
        };
        let seconds = start.elapsed().as_secs_f64();
        report["seconds"] = json!(seconds);
        if let Some(path) = &self.output {
            value::save(path, &grams)?;
        }
        self.finish(
            &report,
            &format!("{size}, {}, {}", output::bytes(work.bytes.plan.matrices), output::duration(seconds)),
        )
    }

    fn run_job<T: value::Value>(&self, folder: &Path, mut work: Work<T>) -> Result<()> {
        let (mut report, job) = (work.report(), work.job.clone());
        let manifest = work.manifest();
        let blocks = work.bytes.band_blocks(&job, work.resources.memory);
        let tiles = work.open(folder)?;
        let damaged = tiles.tell_damage();
        let (left, pairs) = job::left(&job, |tile| tiles.has(tile));
        let mut line = work.size(pairs);
        if left > 0 && !self.common.quiet {
            let per_pair = work.seconds_per_pair()?;
            let what = format!("{} of {}", output::count(left as usize, "tile"), job.grid.tiles());
            let limit = work.resources.memory;
            output::say(&plan::sentence(&format!("{line}, {what}"), &work.bytes, per_pair, pairs, limit));
        }
        let start = Instant::now();
        let mut done = gram::Done::default();
        if left > 0 {
            let (rows, columns) = work.prepare()?;
            let sides = (&rows, columns.as_ref().unwrap_or(&rows));
            done = gram::run(&work.kernel, sides, &job, &tiles, &work.resources).map_err(|e| tiles.cause(e))?;
            tiles.sync()?;
        }
        let seconds = start.elapsed().as_secs_f64();
        drop((tiles, work));
        // What others have done meanwhile counts too.
        let tiles = Tiles::open::<T>(folder, &manifest, &job)?;
        let complete = tiles.found() == job.grid.tiles();
        report["pairs"] = json!(done.pairs);
        report["seconds"] = json!(seconds);
        report["part"] = json!(job.part.to_string());
        let counts = [job.grid.tiles(), tiles.found(), done.tiles];
        report["tiles"] = json!({"total": counts[0], "done": counts[1], "computed": counts[2], "damaged": damaged});
        report["complete"] = json!(complete);
        line = format!("{line}, {}; {} of {} tiles done", output::duration(seconds), counts[1], counts[0]);
        match (&self.output, complete) {
            (Some(path), true) => tiles.assemble::<T>(&job, path, blocks)?,
            (Some(_), false) => line.push_str("; nothing is written before all are"),
            (None, _) => {}
        }
        self.finish(&report, &line)
    }

    fn finish(&self, report: &Value, line: &str) -> Result<()> {
        if self.common.json {
            return output::print_json(report);
        }
        self.common.say(line);
        Ok(())
    }
}

type Prepared<T> = <NetKernel as dualnet::kernel::Kernel<T>>::Samples;

impl<T: value::Value> Work<T> {
    fn report(&self) -> Value {
        json!({
            "net": self.net.to_string(), "rows": self.job.grid.rows(), "columns": self.job.grid.columns(),
            "pairs": self.job.grid.pairs(), "bytes": self.bytes.plan.matrices, "threads": self.resources.threads(),
            "precision": T::NAME,
        })
    }

    /// "7 x 7 (28 pairs)".
    fn size(&self, pairs: u64) -> String {
        let pairs = output::count(pairs as usize, "pair");
        format!("{} x {} ({pairs})", self.job.grid.rows(), self.job.grid.columns())
    }

    fn manifest(&self) -> Value {
        let (x, x2) = self.described.clone().unwrap_or_default();
        job::manifest::<T>(&self.net, &self.job, x, x2, &self.resources)
    }

    fn open(&self, folder: &Path) -> Result<Tiles> {
        Tiles::open::<T>(folder, &self.manifest(), &self.job)
    }

    /// Seconds a pair. A plan is wanted all the more where the memory allowed does not do.
    fn seconds_per_pair(&self) -> Result<f64> {
        let mut resources = self.resources.clone();
        resources.memory = None;
        Ok(gram::seconds_per_pair(&self.kernel, self.x.as_ref(), self.job.get, &resources)?)
    }

    /// Prepares the samples and lets go of their first form.
    fn prepare(&mut self) -> Result<(Prepared<T>, Option<Prepared<T>>)> {
        let rows = self.kernel.prepare(self.x.as_ref(), "x", &self.resources)?;
        self.x = Mat::zeros(0, 0);
        let columns = self.x2.take().map(|x2| self.kernel.prepare(x2.as_ref(), "x2", &self.resources)).transpose()?;
        Ok((rows, columns))
    }
}
