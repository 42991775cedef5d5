//! The net of the verb: a preset or a file.

use crate::error::{Error, Result};
use dualnet::kernel::DenseKernel;
use dualnet::net::Net;
use std::path::Path;

/// A preset, or the text of a net file, with one vector at its end.
pub fn read(text: &str) -> Result<Net> {
    let net = read_any(text)?;
    if net.output_is_spatial() {
        let what = format!("{text}: {}", net.last_layer());
        let hint = "append flatten or global_avg_pool, and a dense layer";
        return Err(Error::argument(&what, "one vector for each sample at the end", "an image or sequence", hint));
    }
    Ok(net)
}

/// A net without layers over positions, for what computes with tables alone.
pub fn read_dense(text: &str) -> Result<Net> {
    let net = read_any(text)?;
    DenseKernel::new(&net, 1).map_err(Error::within(Path::new(text)))?;
    Ok(net)
}

fn read_any(net: &str) -> Result<Net> {
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
