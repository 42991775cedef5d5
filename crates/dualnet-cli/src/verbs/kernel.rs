//! `dualnet kernel`: exact kernel matrices of a net.

use crate::error::{Error, Result};
use crate::options::{Common, Output, check_output};
use crate::output;
use clap::{Args, ValueEnum};
use dualnet::gram;
use dualnet::kernel::{DenseKernel, Float, Get, Grams};
use dualnet::net::Net;
use dualnet::{Mat, Resources};
use dualnet_io::{Elements, Loaded, Options};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Compute the exact kernel matrices of a net
///
/// The NNGP is the covariance of the outputs of the net with random weights, the NTK the kernel by which gradient descent
/// trains it, both in the limit of infinite width. They are written as the arrays nngp and ntk of an .npz file.
///
/// Cost: n^2/2 pairs of samples (n m with --x2), each 2 d operations for the inner product and a few vector instructions a
/// layer; memory n^2 values of 4 or 8 bytes for each matrix. 20,000 samples of 3 values take about 5 s on two cores in f32.
#[derive(Args)]
pub struct Kernel {
    /// A net file (JSON or TOML) or a preset such as fc-relu-3
    net: String,
    /// Samples: an array of shape (n, d) in .npy, or the array x of an .npz
    #[arg(long, value_name = "FILE")]
    x: PathBuf,
    /// Second samples: the kernel between x and x2 instead of that of x with itself
    #[arg(long, value_name = "FILE")]
    x2: Option<PathBuf>,
    /// Which matrices
    #[arg(long, value_delimiter = ',', default_value = "nngp,ntk")]
    get: Vec<Wanted>,
    /// Precision of the computation and of the result
    #[arg(long, default_value = "f64")]
    precision: PrecisionOption,
    /// Print the plan (pairs, bytes) and stop
    #[arg(long)]
    dry_run: bool,
    /// Where to write the arrays nngp and ntk (.npz)
    #[arg(short, long, value_name = "FILE.npz", required_unless_present = "dry_run")]
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

impl Kernel {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        match self.precision {
            PrecisionOption::F32 => self.run_in::<f32>(),
            PrecisionOption::F64 => self.run_in::<f64>(),
        }
    }

    fn run_in<T: Save>(self) -> Result<()> {
        if let Some(path) = &self.output {
            check_output(path, Output::File)?;
        }
        let net = read_dense_net(&self.net)?;
        let resources = self.common.resources()?;
        let options = Options { max_bytes: self.common.memory().unwrap_or(u64::MAX), ..Options::default() };
        let x = read_samples::<T>(&self.x, &options)?;
        let x2 = match &self.x2 {
            Some(path) => Some(read_samples::<T>(path, &options)?),
            None => None,
        };
        let get = match (self.get.contains(&Wanted::Nngp), self.get.contains(&Wanted::Ntk)) {
            (true, false) => Get::Nngp,
            (false, true) => Get::Ntk,
            _ => Get::Both,
        };
        if let (Some(path), Some(other)) = (&self.x2, &x2)
            && other.cols() != x.cols()
        {
            let expected = format!("{} values a sample, as in {}", x.cols(), self.x.display());
            let hint = "both files must hold samples of one kind";
            return Err(Error::argument(&path.display().to_string(), &expected, &other.cols().to_string(), hint));
        }
        let (rows, columns) = (x.rows(), x2.as_ref().map_or(x.rows(), Mat::rows));
        let pairs = if x2.is_some() { rows as u64 * columns as u64 } else { (rows as u64 * (rows as u64 + 1)) / 2 };
        let mut report = json!({
            "net": net.to_string(), "rows": rows, "columns": columns, "pairs": pairs,
            "bytes": gram::bytes::<T>(rows, columns, get), "threads": resources.threads(), "precision": T::NAME,
        });
        let kernel = DenseKernel::new(&net, x.cols()).map_err(Error::within(&self.x))?;
        let Some(path) = self.output.as_ref().filter(|_| !self.dry_run) else {
            let per_pair = probe(&kernel, &x, get, &resources)?;
            report["memory"] = json!(resources.memory);
            report["seconds_expected"] = json!(per_pair * pairs as f64);
            return self.finish(&report);
        };
        let start = Instant::now();
        let grams = match &x2 {
            Some(x2) => kernel.cross(x.as_ref(), x2.as_ref(), get, &resources)?,
            None => kernel.gram(x.as_ref(), get, &resources)?,
        };
        report["seconds"] = json!(start.elapsed().as_secs_f64());
        T::save(path, &grams)?;
        self.finish(&report)
    }

    fn finish(&self, report: &serde_json::Value) -> Result<()> {
        if self.common.json {
            return output::print_json(report);
        }
        let needed = report["bytes"].as_u64().unwrap_or(0);
        let pairs = output::count(report["pairs"].as_u64().unwrap_or(0) as usize, "pair");
        let size = format!("{} x {} ({pairs}), {}", report["rows"], report["columns"], output::bytes(needed));
        match report["seconds_expected"].as_f64() {
            Some(seconds) => {
                let limit = output::over_limit(needed, self.common.memory());
                output::print(&format!("{size} of memory{limit}, about {}", output::duration(seconds)))
            }
            None => {
                let seconds = output::duration(report["seconds"].as_f64().unwrap_or(0.0));
                self.common.say(&format!("{size}, {seconds}"));
                Ok(())
            }
        }
    }
}

/// A preset, or the text of a net file.
pub fn read_net(net: &str) -> Result<Net> {
    let path = Path::new(net);
    if path.is_file() {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::argument(net, "a net file in JSON or TOML", &e.to_string(), "check the file"))?;
        return Net::parse(&text).map_err(Error::within(path));
    }
    if net.contains(['/', '\\']) || net.ends_with(".json") || net.ends_with(".toml") {
        return Err(Error::argument("the net", "a file or a preset", &format!("no file {net}"), "try fc-relu-3"));
    }
    Ok(Net::parse(net)?)
}

/// A net whose kernels this version computes: one without spatial layers.
pub fn read_dense_net(text: &str) -> Result<Net> {
    let net = read_net(text)?;
    DenseKernel::new(&net, 1).map_err(Error::within(Path::new(text)))?;
    Ok(net)
}

fn read_samples<T: Float>(path: &Path, options: &Options) -> Result<Mat<T>> {
    let loaded = match dualnet_io::load(path, options) {
        // There is no --missing here, which the reader's own words would suggest.
        Err(dualnet_io::Error::Missing { row, column, found, .. }) => {
            let what = format!("{}: {row}, column {column}", path.display());
            return Err(Error::argument(&what, "a finite number", &found, "fill it in first"));
        }
        other => other?,
    };
    let Loaded::Arrays { x, .. } = loaded else {
        return Err(Error::argument(
            &path.display().to_string(),
            "an array of numbers (.npy, .npz, IDX)",
            "a table",
            "save its columns as an array of shape (n, d) with numpy.save",
        ));
    };
    if x.shape.len() != 2 {
        return Err(Error::argument(
            &path.display().to_string(),
            "an array of shape (n, d) for a dense net",
            &format!("shape {:?}", x.shape),
            "flatten the samples to (n, d)",
        ));
    }
    let values = x.to_f64().into_iter().map(T::from_f64).collect();
    Mat::from_vec(x.rows(), x.row_len(), values).map_err(Error::within(path))
}

/// Seconds a pair, measured on the first rows.
fn probe<T: Float>(kernel: &DenseKernel, x: &Mat<T>, get: Get, resources: &Resources) -> Result<f64> {
    let rows: Vec<usize> = (0..x.rows().min(512)).collect();
    let some = x.as_ref().select_rows(&rows);
    // A plan is wanted all the more where the memory allowed does not do.
    let mut resources = resources.clone();
    resources.memory = None;
    let start = Instant::now();
    kernel.gram(some.as_ref(), get, &resources)?;
    let pairs = rows.len() * (rows.len() + 1) / 2;
    Ok(start.elapsed().as_secs_f64() / pairs.max(1) as f64)
}

/// Writing of matrices in their own precision.
trait Save: Float {
    /// The entries for the writer.
    fn elements(matrix: &Mat<Self>) -> Elements<'_>;

    /// Writes the arrays that are there.
    fn save(path: &Path, grams: &Grams<Self>) -> Result<()> {
        let named = [("nngp", &grams.nngp), ("ntk", &grams.ntk)];
        let there: Vec<(&str, [usize; 2], Elements<'_>)> = named
            .iter()
            .filter_map(|(name, matrix)| matrix.as_ref().map(|m| (*name, [m.rows(), m.cols()], Self::elements(m))))
            .collect();
        let arrays: Vec<(&str, &[usize], Elements<'_>)> = there.iter().map(|(n, s, e)| (*n, &s[..], *e)).collect();
        Ok(dualnet_io::npz::write(path, &arrays)?)
    }
}

impl Save for f32 {
    fn elements(matrix: &Mat<f32>) -> Elements<'_> {
        Elements::F32(matrix.as_slice())
    }
}

impl Save for f64 {
    fn elements(matrix: &Mat<f64>) -> Elements<'_> {
        Elements::F64(matrix.as_slice())
    }
}
