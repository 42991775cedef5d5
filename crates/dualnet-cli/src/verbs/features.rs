//! `dualnet features`: feature maps of the kernels of a net.

use crate::error::{Error, Result};
use crate::options::{Common, NumberOption, Output, Wanted, check_output};
use crate::output;
use crate::store;
use crate::value::Value as Number;
use crate::verbs::kernel::{Samples, read_net, read_samples};
use clap::{Args, ValueEnum};
use dualnet::features::transform;
use dualnet::kernel::KernelKind;
use dualnet::model::{MapMethod, MapOptions, NetMap, Parts, Tensor};
use dualnet::net::Net;
use dualnet::{Mat, Resources};
use dualnet_io::{FloatKind, Options, model_folder, npz};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Rows that are mapped and written at a time.
const BAND: usize = 2048;
/// Rows that the error is measured among: vectors, and images, whose exact kernel takes milliseconds a pair.
const PROBE: (usize, usize) = (256, 24);

/// Compute features whose dot products are the kernels of a net
///
/// The arrays nngp and ntk of the .npz have M columns each: a ridge regression on them is one on the kernel, at a cost that grows with the number
/// of samples instead of its square. The error printed is |F F^T - K| / |K| (Frobenius norm) among some of the samples.
///
/// Methods: random: layer by layer, for every net but those with attention, dropout or products; no data needed, images one by one, the error
/// falls as the root of M. sketch: a polynomial of the whole kernel, for dense nets of ReLUs without biases; best where M is at least
/// some times the number of columns. nystrom: from M samples drawn at random; rpcholesky: from M samples chosen by randomly pivoted Cholesky,
/// the most accurate where the samples' kernel has falling eigenvalues, as that of most data has.
///
/// Cost: random and sketch some ten microseconds a row of a dense net and M = 1,024, milliseconds an image; nystrom and rpcholesky n M values of the
/// exact kernel and 2 n M^2 operations, rpcholesky half of that again. Memory: n M values, of random and sketch a band of them.
#[derive(Args)]
pub struct Features {
    /// A net file (JSON or TOML) or a preset such as fc-relu-3 or myrtle-5; with the folder of a map that exists it may be left out
    #[arg(required_unless_present = "map")]
    net: Option<String>,
    /// Samples, as of `dualnet kernel`
    #[arg(long, value_name = "FILE")]
    x: PathBuf,
    /// How
    #[arg(long, default_value = "random")]
    method: MethodOption,
    /// Number of features, M
    #[arg(long, value_name = "M", default_value_t = 4096)]
    dim: usize,
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

impl From<MethodOption> for MapMethod {
    fn from(option: MethodOption) -> Self {
        match option {
            MethodOption::Random => MapMethod::Random,
            MethodOption::Sketch => MapMethod::Sketch,
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
        let saved = self.saved::<T>(&resources)?;
        let net = match (&self.net, saved.first()) {
            (Some(net), _) => read_net(net)?,
            (None, Some(map)) => map.net().clone(),
            (None, None) => return Err(no_maps(self.map.as_deref())),
        };
        let options = Options { max_bytes: resources.memory.unwrap_or(u64::MAX), ..Options::default() };
        let samples = read_samples::<T>(&self.x, &net, &options)?;
        let start = Instant::now();
        let maps = if saved.is_empty() { self.make(&net, &samples, &resources)? } else { saved };
        let making = start.elapsed().as_secs_f64();
        for map in &maps {
            self.check(map, &net, &samples)?;
        }
        let mut report = self.report(&maps, &samples, &resources)?;
        report["seconds_map"] = json!(making);
        if self.dry_run {
            return self.plan(&maps, &samples, report, &resources);
        }
        if let (Some(folder), true) = (&self.map, self.is_new()) {
            save(folder, &maps)?;
        }
        let start = Instant::now();
        if let Some(path) = &self.output {
            write(path, &maps, &samples.x, &resources)?;
        }
        report["seconds"] = json!(start.elapsed().as_secs_f64());
        self.finish(&report)
    }

    /// Whether there are no maps to take.
    fn is_new(&self) -> bool {
        self.map.as_ref().is_some_and(|folder| !folder.exists())
    }

    /// Maps that exist, if a folder with some was named.
    fn saved<T: Number>(&self, resources: &Resources) -> Result<Vec<NetMap<T>>> {
        let Some(folder) = self.map.as_ref().filter(|folder| folder.exists()) else { return Ok(Vec::new()) };
        if !folder.join(model_folder::JSON).is_file() {
            return Err(no_maps(Some(folder)));
        }
        let mut all = store::load_parts(folder)?;
        let mut maps = Vec::new();
        for kind in [KernelKind::Nngp, KernelKind::Ntk] {
            if let Some(parts) = taken(&mut all, kind) {
                maps.push(NetMap::from_parts(parts, resources).map_err(Error::within(folder))?);
            }
        }
        if maps.is_empty() { Err(no_maps(Some(folder))) } else { Ok(maps) }
    }

    fn make<T: Number>(&self, net: &Net, samples: &Samples<T>, resources: &Resources) -> Result<Vec<NetMap<T>>> {
        let make = |kind| {
            let options = MapOptions { method: self.method.into(), kind, dim: self.dim };
            NetMap::make(net, &samples.shape, options, samples.x.as_ref(), resources)
        };
        let wanted = |kind: &KernelKind| match kind {
            KernelKind::Nngp => self.get.contains(&Wanted::Nngp),
            KernelKind::Ntk => self.get.contains(&Wanted::Ntk),
        };
        let kinds = [KernelKind::Nngp, KernelKind::Ntk].into_iter().filter(wanted);
        Ok(kinds.map(make).collect::<std::result::Result<_, _>>()?)
    }

    /// Refuses samples and a net that the map was not made for.
    fn check<T: Number>(&self, map: &NetMap<T>, net: &Net, samples: &Samples<T>) -> Result<()> {
        let folder = || self.map.as_ref().map_or_else(|| "the map".into(), |folder| folder.display().to_string());
        if map.shape() != &samples.shape {
            let expected = format!("samples of {}, as {} was made for", map.shape(), folder());
            let hint = "give samples of that shape, or a new folder for the map";
            return Err(Error::argument(&self.x.display().to_string(), &expected, &samples.shape.to_string(), hint));
        }
        if map.net().to_json() != net.to_json() {
            let hint = "leave the net out, or name a new folder for the map";
            let expected = format!("the net of {}", folder());
            return Err(Error::argument("the net", &expected, &net.to_string(), hint));
        }
        Ok(())
    }

    fn report<T: Number>(&self, maps: &[NetMap<T>], samples: &Samples<T>, resources: &Resources) -> Result<Value> {
        let most = if samples.shape.positions.is_empty() { PROBE.0 } else { PROBE.1 };
        let mut errors = serde_json::Map::new();
        for map in maps {
            // Among few samples the rounding of an empty matrix says nothing.
            if samples.x.rows() > 0 {
                errors.insert(map.options().kind.name().into(), json!(map.error(samples.x.as_ref(), most, resources)?));
            }
        }
        let (dim, method) =
            maps.first().map_or((self.dim, self.method.into()), |m| (m.options().dim, m.options().method));
        let method = serde_json::to_value(method).unwrap_or_default();
        let net = maps.first().map_or(String::new(), |map| map.net().to_string());
        Ok(json!({
            "net": net, "method": method, "dim": dim, "rows": samples.x.rows(), "precision": T::NAME,
            "threads": resources.threads(), "error": errors, "error_rows": samples.x.rows().min(most),
            "bytes": bytes::<T>(maps, samples.x.rows()),
        }))
    }

    fn plan<T: Number>(
        &self,
        maps: &[NetMap<T>],
        samples: &Samples<T>,
        mut report: Value,
        resources: &Resources,
    ) -> Result<()> {
        let some = samples.x.rows().min(256);
        let start = Instant::now();
        for map in maps {
            transform(map, samples.x.as_ref().block(0..some, 0..samples.x.cols())?, resources)?;
        }
        let seconds = start.elapsed().as_secs_f64() * samples.x.rows() as f64 / some.max(1) as f64;
        report["seconds_expected"] = json!(seconds);
        if self.common.json {
            return output::print_json(&report);
        }
        let size = output::bytes(bytes::<T>(maps, samples.x.rows()));
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

/// "1,797 rows, 4096 random features, relative error: nngp .012, ntk .038".
fn sentence(report: &Value) -> String {
    let rows = output::count(report["rows"].as_u64().unwrap_or(0) as usize, "row");
    let errors: Vec<String> = report["error"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(kind, error)| format!("{kind} {:.4}", error.as_f64().unwrap_or(f64::NAN)))
        .collect();
    let method = report["method"].as_str().unwrap_or("");
    format!("{rows}, {} features by {method}; relative error: {}", report["dim"], errors.join(", "))
}

fn bytes<T: Number>(maps: &[NetMap<T>], rows: usize) -> u64 {
    maps.iter().map(|map| (map.options().dim * rows * size_of::<T>()) as u64).sum()
}

fn no_maps(folder: Option<&Path>) -> Error {
    let what = folder.map_or_else(|| "--map".into(), |folder| folder.display().to_string());
    let hint = "name a new folder and a net, and the maps are made and saved there";
    Error::argument(&what, "a folder with saved maps (nngp, ntk)", "none", hint)
}

/// One folder for all maps: their descriptions under `maps`, their arrays by kernel.
fn save<T: Number>(folder: &Path, maps: &[NetMap<T>]) -> Result<()> {
    let (mut descriptions, mut tensors) = (serde_json::Map::new(), Vec::new());
    for map in maps {
        let (parts, kind) = (map.to_parts()?, map.options().kind.name());
        descriptions.insert(kind.into(), parts.json);
        tensors.extend(parts.tensors.into_iter().map(|t| Tensor { name: format!("{kind}.{}", t.name), ..t }));
    }
    store::save(folder, Parts { json: json!({"maps": descriptions}), tensors })
}

/// The parts of one of the maps of a folder.
fn taken(all: &mut Parts, kind: KernelKind) -> Option<Parts> {
    let json = all.json.get("maps")?.get(kind.name())?.clone();
    let prefix = format!("{}.", kind.name());
    let (own, others) = std::mem::take(&mut all.tensors).into_iter().partition(|t| t.name.starts_with(&prefix));
    all.tensors = others;
    let own: Vec<Tensor> = own;
    let named = |t: Tensor| Tensor { name: t.name[prefix.len()..].into(), ..t };
    Some(Parts { json, tensors: own.into_iter().map(named).collect() })
}

/// Features band by band, so that only one band of them is in memory.
fn write<T: Number>(path: &Path, maps: &[NetMap<T>], x: &Mat<T>, resources: &Resources) -> Result<()> {
    let shapes: Vec<[usize; 2]> = maps.iter().map(|map| [x.rows(), map.options().dim]).collect();
    let heads: Vec<(&str, &[usize], FloatKind)> =
        maps.iter().zip(&shapes).map(|(map, shape)| (map.options().kind.name(), &shape[..], T::KIND)).collect();
    npz::write_pieces(path, &heads, |index, sink| {
        for first in (0..x.rows()).step_by(BAND) {
            resources.check("features")?;
            let end = x.rows().min(first + BAND);
            let band = transform(&maps[index], x.as_ref().block(first..end, 0..x.cols())?, resources)
                .map_err(|e| e.after_rows(first))?;
            sink(T::elements(band.as_slice()))?;
            resources.progress.update(maps[index].options().kind.name(), end as u64, x.rows() as u64);
        }
        Ok::<(), Error>(())
    })
}
