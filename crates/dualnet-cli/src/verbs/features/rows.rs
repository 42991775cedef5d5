//! The samples of the verb: dense rows, images, sequences, or sparse rows.

use crate::error::{Error, Result};
use crate::value::Value as Number;
use crate::verbs::kernel::{Samples, read_samples};
use dualnet::features::transform;
use dualnet::linalg::SparseRows;
use dualnet::model::{MapOptions, NetMap};
use dualnet::net::Net;
use dualnet::{Mat, Resources};
use dualnet_io::Options;
use dualnet_io::sparse::{SparseOptions, is_sparse, load};
use serde_json::{Value, json};
use std::path::Path;

/// Rows that the error is measured among: vectors, and images, whose exact kernel takes milliseconds a pair.
const PROBE: (usize, usize) = (256, 24);

pub enum Rows<T> {
    Dense(Samples<T>),
    Sparse(SparseRows<T>),
}

impl<T: Number> Rows<T> {
    /// Reads samples for `net`; sparse text has at least as many columns as the map has that exists.
    pub fn read(path: &Path, net: &Net, saved: Option<&NetMap<T>>, resources: &Resources) -> Result<Self> {
        let max_bytes = resources.memory.unwrap_or(u64::MAX);
        if !is_sparse(path)? {
            return Ok(Rows::Dense(read_samples(path, net, &Options { max_bytes, ..Options::default() })?));
        }
        let columns = saved.and_then(NetMap::input).map(|input| input.columns());
        let found = load(path, &SparseOptions { max_bytes, columns, ..SparseOptions::default() })?;
        let values = found.values.into_iter().map(T::from_f64).collect();
        let rows = SparseRows::new(found.columns, found.indptr, found.indices, values).map_err(Error::within(path))?;
        Ok(Rows::Sparse(rows))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Rows::Dense(samples) => samples.x.rows(),
            Rows::Sparse(x) => x.rows(),
        }
    }

    /// Makes a map for such rows.
    pub fn make(&self, net: &Net, options: MapOptions, resources: &Resources) -> Result<NetMap<T>> {
        Ok(match self {
            Rows::Dense(samples) => NetMap::make(net, &samples.shape, options, samples.x.as_ref(), resources)?,
            Rows::Sparse(x) => NetMap::make_sparse(net, x.cols(), options, resources)?,
        })
    }

    /// Refuses rows that the map of `folder` was not made for.
    pub fn check(&self, path: &Path, map: &NetMap<T>, folder: &str) -> Result<()> {
        let made = match map.input() {
            None => map.shape().to_string(),
            Some(input) => sparse(input.columns()),
        };
        let (fits, found) = match self {
            Rows::Dense(samples) => (map.input().is_none() && map.shape() == &samples.shape, samples.shape.to_string()),
            Rows::Sparse(x) => (map.input().is_some_and(|input| input.columns() == x.cols()), sparse(x.cols())),
        };
        if fits {
            return Ok(());
        }
        let expected = format!("samples of {made}, as {folder} was made for");
        let hint = "give samples of that shape, or a new folder for the map";
        Err(Error::argument(&path.display().to_string(), &expected, &found, hint))
    }

    /// Features of rows `first` to `end`.
    pub fn features(&self, map: &NetMap<T>, first: usize, end: usize, resources: &Resources) -> Result<Mat<T>> {
        Ok(match self {
            Rows::Dense(samples) => {
                let band = samples.x.as_ref().block(first..end, 0..samples.x.cols())?;
                transform(map, band, resources).map_err(|e| e.after_rows(first))?
            }
            Rows::Sparse(x) => {
                map.transform_sparse(x, first, end - first, resources).map_err(|e| e.after_rows(first))?
            }
        })
    }

    /// How many rows the errors are measured among.
    pub fn probe(&self) -> usize {
        let most = match self {
            Rows::Dense(samples) if !samples.shape.positions.is_empty() => PROBE.1,
            _ => PROBE.0,
        };
        self.len().min(most)
    }

    /// Errors of the maps by kernel, and what is to be said of a sketched input.
    pub fn errors(&self, maps: &[NetMap<T>], resources: &Resources) -> Result<(Value, Value)> {
        let (mut errors, mut input) = (serde_json::Map::new(), Value::Null);
        // Among no samples the rounding of an empty matrix says nothing.
        for map in maps.iter().filter(|_| self.len() > 0) {
            let error = match self {
                Rows::Dense(samples) => map.error(samples.x.as_ref(), self.probe(), resources)?,
                Rows::Sparse(x) => {
                    let found = map.sparse_error(x, self.probe(), resources)?;
                    input = map.input().map_or(Value::Null, |sketch| {
                        json!({
                            "columns": x.cols(), "nonzeros": x.len(), "width": sketch.width(),
                            "sketched": sketch.is_sketched(), "error": found.input,
                        })
                    });
                    found.kernel
                }
            };
            errors.insert(map.options().kind.name().into(), json!(error));
        }
        Ok((errors.into(), input))
    }
}

fn sparse(columns: usize) -> String {
    format!("{columns} columns, sparse")
}
