//! `dualnet kernel`: exact kernel matrices of a net.

mod net;
mod plan;
mod samples;
mod work;

use crate::error::Result;
use crate::expected::Expected;
use crate::job;
use crate::options::{Common, Output, check_output};
use crate::output;
use crate::value;
use clap::{Args, ValueEnum};
use dualnet::gram::{self, Part};
use dualnet::kernel::Get;
use dualnet::net::Net;
use dualnet_io::job_folder::JobFolder;
use plan::Kept;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;
use work::{Asked, Work};

pub use net::{read as read_net, read_dense as read_dense_net};
pub use samples::{Samples, read as read_samples};

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

/// A kernel that is asked for.
#[derive(Clone, Copy, ValueEnum, PartialEq)]
pub enum Wanted {
    Nngp,
    Ntk,
}

/// A precision that is asked for.
#[derive(Clone, Copy, ValueEnum)]
pub enum PrecisionOption {
    F32,
    F64,
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
        let kept = if self.job.is_some() { Kept::Folder } else { Kept::Memory };
        let part = self.part.unwrap_or(Part::WHOLE);
        let asked = Asked { x: &self.x, x2: self.x2.as_ref(), get: self.get(), part, kept };
        let work = Work::<T>::read(&asked, net, self.common.resources()?)?;
        if self.dry_run {
            return self.plan(&work);
        }
        work.bytes.check(&work.job, &work.resources)?;
        match &self.job {
            Some(folder) => self.run_job(folder, work),
            None => self.run_in_memory(work),
        }
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
        let expected = expected(work, left)?;
        report["plan"] = work.bytes.json();
        report["memory"] = json!(work.resources.memory);
        report["seconds_per_pair"] = json!(expected.per_pair);
        report["seconds_expected"] = json!(expected.seconds());
        report["end_expected"] = json!(expected.end());
        if self.common.json {
            return output::print_json(&report);
        }
        output::print(&plan::sentence(&work.size(left), &work.bytes, &expected))
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
        let blocks = work.bytes.band_blocks(&job, work.resources.memory);
        let tiles = work.open(folder)?;
        let damaged = tiles.tell_damage();
        let (left, pairs) = job::left(&job, |tile| tiles.has(tile));
        let mut line = work.size(pairs);
        if left > 0 && !self.common.quiet {
            let what = format!("{} of {}", output::count(left as usize, "tile"), job.grid.tiles());
            output::say(&plan::sentence(&format!("{line}, {what}"), &work.bytes, &expected(&work, pairs)?));
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
        drop(tiles);
        work.release();
        // What others have done meanwhile counts too.
        let tiles = work.open(folder)?;
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

/// Memory, and time by pairs that are measured now.
fn expected<T: value::Value>(work: &Work<T>, pairs: u64) -> Result<Expected> {
    let (memory, limit) = (work.bytes.peak(), work.resources.memory);
    Ok(Expected { memory, limit, pairs, per_pair: work.seconds_per_pair()? })
}
