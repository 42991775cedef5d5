//! `dualnet features`: feature maps of the kernels of a net.

mod rows;
mod saved;

use crate::error::{Error, Result};
use crate::options::{Common, NumberOption, Output, Wanted, check_output};
use crate::output;
use crate::value::Value as Number;
use crate::verbs::kernel::read_net;
use clap::{Args, ValueEnum};
use dualnet::Resources;
use dualnet::kernel::{InputShape, KernelKind};
use dualnet::model::{MapMethod, MapOptions, NetMap};
use dualnet::net::Net;
use dualnet_io::{FloatKind, npz};
use rows::Rows;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Rows that are mapped and written at a time.
const BAND: usize = 2048;
/// Compute features whose dot products are the kernels of a net
///
/// The arrays nngp and ntk of the .npz have M columns each: a ridge regression on them is one on the kernel, at a cost that grows with the number
/// of samples instead of its square. The error printed is |F F^T - K| / |K| (Frobenius norm) among some of the samples.
///
/// Methods: random: layer by layer, for every net but those with attention or dropout; no data needed, images one by one, the error
/// falls as the root of M. sketch: polynomials of the kernels: of the whole net for dense nets of ReLUs without biases, best where M is at least
/// some times the number of columns, else of each activation, also those that are kernels alone (hermite, exp_normalized). nystrom: from M
/// samples drawn at random; rpcholesky: from M samples chosen by randomly pivoted Cholesky, the most accurate where the samples' kernel has
/// falling eigenvalues, as that of most data has.
///
/// Sparse rows (svmlight text, .npz of scipy.sparse.save_npz) stay sparse up to a sketch to at most M/2 columns, whose error is printed too, for
/// random and sketch.
///
/// Cost: random and sketch some ten microseconds a row of a dense net and M = 1,024, milliseconds an image; nystrom and rpcholesky n M values of the
/// exact kernel and 2 n M^2 operations, rpcholesky half of that again. Memory: n M values, of random and sketch a band of them.
#[derive(Args)]
pub struct Features {
    /// A net file (JSON or TOML) or a preset such as fc-relu-3 or myrtle-5; with the folder of a map that exists it may be left out
    #[arg(required_unless_present = "map")]
    net: Option<String>,
    /// Samples, as of `dualnet kernel`; or sparse rows for a dense net
    #[arg(long, value_name = "FILE")]
    x: PathBuf,
    /// How
    #[arg(long, default_value = "random")]
    method: MethodOption,
    /// Number of features, M
    #[arg(long, value_name = "M", default_value_t = 4096)]
    dim: usize,
    /// Degree of the sketch; default: 16 for that of a whole net, else for each activation what leaves an error of 1 %, at most 16
    #[arg(long, value_name = "L")]
    degree: Option<usize>,
    /// Of which kernels
    #[arg(long, value_delimiter = ',', default_value = "nngp,ntk")]
    get: Vec<Wanted>,
    /// Precision of the computation and of the result
    #[arg(long, default_value = "f32")]
    precision: NumberOption,
    /// A folder for the maps: saved there if it is new, taken from there if it exists
    #[arg(long, value_name = "DIR")]
    map: Option<PathBuf>,
    /// Print the plan (bytes, expected time from rows measured, error) and stop
    #[arg(long)]
    dry_run: bool,
    /// Where to write the arrays nngp and ntk (.npz)
    #[arg(short, long, value_name = "FILE.npz", required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum, PartialEq)]
enum MethodOption {
    Random,
    Sketch,
    Nystrom,
    Rpcholesky,
}

impl MethodOption {
    /// What it is for a net and samples of that shape.
    fn method(self, net: &Net, shape: &InputShape, dim: usize) -> MapMethod {
        match self {
            MethodOption::Random => MapMethod::Random,
            MethodOption::Sketch => MapMethod::sketch(net, shape, dim),
            MethodOption::Nystrom => MapMethod::Nystrom,
            MethodOption::Rpcholesky => MapMethod::RpCholesky,
        }
    }
}

impl Features {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        if let Some(path) = &self.output {
            check_output(path, Output::File)?;
        }
        if let (Some(folder), true) = (&self.map, self.is_new()) {
            check_output(folder, Output::Model)?;
        }
        match self.precision {
            NumberOption::F32 => self.run_in::<f32>(),
            NumberOption::F64 => self.run_in::<f64>(),
        }
    }

    fn run_in<T: Number>(&self) -> Result<()> {
        let resources = self.common.resources()?;
        let saved = saved::load::<T>(self.map.as_deref(), &resources)?;
        let net = match (&self.net, saved.first()) {
            (Some(net), _) => read_net(net)?,
            (None, Some(map)) => map.net().clone(),
            (None, None) => return Err(saved::none(self.map.as_deref())),
        };
        let rows = Rows::read(&self.x, &net, saved.first(), &resources)?;
        let start = Instant::now();
        let maps = if saved.is_empty() { self.make(&net, &rows, &resources)? } else { saved };
        let making = start.elapsed().as_secs_f64();
        for map in &maps {
            self.check(map, &net, &rows)?;
        }
        let mut report = self.report(&maps, &rows, &resources)?;
        report["seconds_map"] = json!(making);
        if self.dry_run {
            return self.plan(&maps, &rows, report, &resources);
        }
        if let (Some(folder), true) = (&self.map, self.is_new()) {
            saved::save(folder, &maps)?;
        }
        let start = Instant::now();
        if let Some(path) = &self.output {
            write(path, &maps, &rows, &resources)?;
        }
        report["seconds"] = json!(start.elapsed().as_secs_f64());
        self.finish(&report)
    }

    /// Whether there are no maps to take.
    fn is_new(&self) -> bool {
        self.map.as_ref().is_some_and(|folder| !folder.exists())
    }

    fn make<T: Number>(&self, net: &Net, rows: &Rows<T>, resources: &Resources) -> Result<Vec<NetMap<T>>> {
        if self.degree.is_some() && self.method != MethodOption::Sketch {
            return Err(Error::argument("--degree", "--method sketch beside it", "another method", "leave it out"));
        }
        // Sparse rows are sketched to at most M/2 columns, which leaves room for the columns themselves.
        let method = match rows {
            Rows::Dense(samples) => self.method.method(net, &samples.shape, self.dim),
            Rows::Sparse(x) => self.method.method(net, &InputShape::vector(x.cols().min(self.dim / 2)), self.dim),
        };
        let make = |kind| rows.make(net, MapOptions { method, kind, dim: self.dim, degree: self.degree }, resources);
        let wanted = |kind: &KernelKind| match kind {
            KernelKind::Nngp => self.get.contains(&Wanted::Nngp),
            KernelKind::Ntk => self.get.contains(&Wanted::Ntk),
        };
        [KernelKind::Nngp, KernelKind::Ntk].into_iter().filter(wanted).map(make).collect()
    }

    /// Refuses samples and a net that the map was not made for.
    fn check<T: Number>(&self, map: &NetMap<T>, net: &Net, rows: &Rows<T>) -> Result<()> {
        let folder = self.map.as_ref().map_or_else(|| "the map".into(), |folder| folder.display().to_string());
        rows.check(&self.x, map, &folder)?;
        if map.net().to_json() != net.to_json() {
            let hint = "leave the net out, or name a new folder for the map";
            let expected = format!("the net of {folder}");
            return Err(Error::argument("the net", &expected, &net.to_string(), hint));
        }
        Ok(())
    }

    fn report<T: Number>(&self, maps: &[NetMap<T>], rows: &Rows<T>, resources: &Resources) -> Result<Value> {
        let (errors, input) = rows.errors(maps, resources)?;
        let mut report = json!({
            "rows": rows.len(), "precision": T::NAME, "threads": resources.threads(), "error": errors,
            "error_rows": rows.probe(), "bytes": bytes::<T>(maps, rows.len()),
        });
        if let Some(map) = maps.first() {
            report["net"] = json!(map.net().to_string());
            report["dim"] = json!(map.options().dim);
            let sketch = |of: &str| json!({"of": of, "degrees": map.degrees().iter().map(|d| d.1).collect::<Vec<_>>()});
            let (method, sketch) = match map.options().method {
                MapMethod::Random => ("random", Value::Null),
                MapMethod::Sketch => ("sketch", sketch("net")),
                MapMethod::Layers => ("sketch", sketch("layers")),
                MapMethod::Nystrom => ("nystrom", Value::Null),
                MapMethod::RpCholesky => ("rpcholesky", Value::Null),
            };
            report["method"] = json!(method);
            report["sketch"] = sketch;
        }
        report["input"] = input;
        Ok(report)
    }

    fn plan<T: Number>(
        &self,
        maps: &[NetMap<T>],
        rows: &Rows<T>,
        mut report: Value,
        resources: &Resources,
    ) -> Result<()> {
        let some = rows.len().min(256);
        let start = Instant::now();
        for map in maps {
            rows.features(map, 0, some, resources)?;
        }
        let seconds = start.elapsed().as_secs_f64() * rows.len() as f64 / some.max(1) as f64;
        report["seconds_expected"] = json!(seconds);
        if self.common.json {
            return output::print_json(&report);
        }
        let size = output::bytes(bytes::<T>(maps, rows.len()));
        output::print(&format!("{}; {size}; about {}", sentence(&report), output::duration(seconds)))
    }

    fn finish(&self, report: &Value) -> Result<()> {
        if self.common.json {
            return output::print_json(report);
        }
        let seconds = report["seconds"].as_f64().unwrap_or(0.0);
        self.common.say(&format!("{}; {}", sentence(report), output::duration(seconds)));
        Ok(())
    }
}

/// "1,797 rows, 4096 features by sketch of each layer (degrees 7, 5); relative error: nngp .012, ntk .038".
fn sentence(report: &Value) -> String {
    let rows = output::count(report["rows"].as_u64().unwrap_or(0) as usize, "row");
    let number = |value: &Value| format!("{:.4}", value.as_f64().unwrap_or(f64::NAN));
    let errors: Vec<String> = report["error"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(kind, error)| format!("{kind} {}", number(error)))
        .collect();
    let degrees: Vec<String> =
        report["sketch"]["degrees"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    let degrees = match degrees.len() {
        0 => String::new(),
        1 => format!(" (degree {})", degrees[0]),
        _ => format!(" (degrees {})", degrees.join(", ")),
    };
    let method = report["method"].as_str().unwrap_or("");
    let of = match report["sketch"]["of"].as_str() {
        Some("net") => " of the whole net",
        Some(_) => " of each layer",
        None => "",
    };
    let input = match report["input"]["sketched"].as_bool() {
        Some(true) => format!(
            "; input of {} columns sketched to {}, relative error of its products {}",
            report["input"]["columns"],
            report["input"]["width"],
            number(&report["input"]["error"])
        ),
        _ => String::new(),
    };
    format!("{rows}, {} features by {method}{of}{degrees}; relative error: {}{input}", report["dim"], errors.join(", "))
}

fn bytes<T: Number>(maps: &[NetMap<T>], rows: usize) -> u64 {
    maps.iter().map(|map| (map.options().dim * rows * size_of::<T>()) as u64).sum()
}

/// Features band by band, so that only one band of them is in memory.
fn write<T: Number>(path: &Path, maps: &[NetMap<T>], rows: &Rows<T>, resources: &Resources) -> Result<()> {
    let shapes: Vec<[usize; 2]> = maps.iter().map(|map| [rows.len(), map.options().dim]).collect();
    let heads: Vec<(&str, &[usize], FloatKind)> =
        maps.iter().zip(&shapes).map(|(map, shape)| (map.options().kind.name(), &shape[..], T::KIND)).collect();
    npz::write_pieces(path, &heads, |index, sink| {
        for first in (0..rows.len()).step_by(BAND) {
            resources.check("features")?;
            let end = rows.len().min(first + BAND);
            sink(T::elements(rows.features(&maps[index], first, end, resources)?.as_slice()))?;
            resources.progress.update(maps[index].options().kind.name(), end as u64, rows.len() as u64);
        }
        Ok::<(), Error>(())
    })
}
