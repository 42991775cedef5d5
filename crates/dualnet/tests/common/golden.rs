//! Reading of golden arrays.

use npyz::npz::NpzArchive;
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

/// An array: shape and entries in C order.
pub type Array = (Vec<usize>, Vec<f64>);

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// All arrays of an archive.
pub fn arrays(name: &str) -> HashMap<String, Array> {
    let mut archive = NpzArchive::new(BufReader::new(File::open(path(name)).unwrap())).unwrap();
    let names: Vec<String> = archive.array_names().map(str::to_string).collect();
    names
        .into_iter()
        .map(|n| {
            let array = archive.by_name(&n).unwrap().unwrap();
            let shape = array.shape().iter().map(|&s| s as usize).collect();
            (n, (shape, array.into_vec::<f64>().unwrap()))
        })
        .collect()
}

/// A JSON document.
pub fn json(name: &str) -> serde_json::Value {
    serde_json::from_reader(File::open(path(name)).unwrap()).unwrap()
}
