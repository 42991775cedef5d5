//! `dualnet kernel`: exact kernel matrices of a net.

use crate::error::{Error, Result};
use crate::options::{Common, check_output};
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

/// Compute the NNGP and NTK matrices of a net
///
/// Cost: n^2/2 (n m for two sets) pairs, each 2d flops for the inner product and about 3 vector instructions a layer; memory
/// n^2 values of 4 or 8 bytes for each of nngp and ntk.
#[derive(Args)]
pub struct Kernel {
    /// A net file (JSON or TOML) or a preset such as fc-relu-3
    net: String,
    /// Samples: .npy (n, d), or the array x of an .npz
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
            check_output(path)?;
        }
        let net = read_net(&self.net)?;
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
        let (rows, columns) = (x.rows(), x2.as_ref().map_or(x.rows(), Mat::rows));
        let pairs = if x2.is_some() { rows as u64 * columns as u64 } else { (rows as u64 * (rows as u64 + 1)) / 2 };
        let mut report = json!({
            "net": net.to_string(), "rows": rows, "columns": columns, "pairs": pairs,
            "bytes": gram::bytes::<T>(rows, columns, get), "threads": resources.threads(), "precision": T::NAME,
        });
        let kernel = DenseKernel::new(&net, x.cols()).map_err(Error::within(&self.x))?;
        let Some(path) = self.output.as_ref().filter(|_| !self.dry_run) else {
            let per_pair = probe(&kernel, &x, get, &resources)?;
            report["seconds_expected"] = json!(per_pair * pairs as f64);
            return self.finish(&report, "plan");
        };
        let start = Instant::now();
        let grams = match &x2 {
            Some(x2) => kernel.cross(x.as_ref(), x2.as_ref(), get, &resources)?,
            None => kernel.gram(x.as_ref(), get, &resources)?,
        };
        report["seconds"] = json!(start.elapsed().as_secs_f64());
        T::save(path, &grams)?;
        self.finish(&report, "written")
    }

    fn finish(&self, report: &serde_json::Value, what: &str) -> Result<()> {
        if self.common.json {
            return output::print_json(report);
        }
        let bytes = output::bytes(report["bytes"].as_u64().unwrap_or(0));
        let time = report["seconds"].as_f64().or(report["seconds_expected"].as_f64()).unwrap_or(0.0);
        let (rows, columns, pairs) = (&report["rows"], &report["columns"], &report["pairs"]);
        self.common.say(&format!("{what}: {rows} x {columns} ({pairs} pairs), {bytes}, {time:.3} s"));
        Ok(())
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

fn read_samples<T: Float>(path: &Path, options: &Options) -> Result<Mat<T>> {
    let Loaded::Arrays { x, .. } = dualnet_io::load(path, options)? else {
        return Err(Error::argument(
            &path.display().to_string(),
            "an array of numbers (.npy, .npz)",
            "a table",
            "save the columns as a .npy array (n, d)",
        ));
    };
    if x.shape.len() != 2 {
        return Err(Error::argument(
            &path.display().to_string(),
            "an array of shape (n, d) for a dense net",
            &format!("shape {:?}", x.shape),
            "flatten the samples",
        ));
    }
    let values = x.to_f64().into_iter().map(T::from_f64).collect();
    Mat::from_vec(x.rows(), x.row_len(), values).map_err(Error::within(path))
}

/// Seconds a pair, measured on the first rows.
fn probe<T: Float>(kernel: &DenseKernel, x: &Mat<T>, get: Get, resources: &Resources) -> Result<f64> {
    let rows: Vec<usize> = (0..x.rows().min(512)).collect();
    let some = x.as_ref().select_rows(&rows);
    let start = Instant::now();
    kernel.gram(some.as_ref(), get, resources)?;
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
