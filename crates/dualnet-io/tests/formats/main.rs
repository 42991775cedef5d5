//! Every format: what is read comes back as it was written, and each error says what it should.

#![allow(clippy::unwrap_used, clippy::panic)]

mod arrays;
mod csv;
mod images;
mod model_folder;
mod parquet;
mod sparse;
mod writing;

use dualnet_io::{Loaded, Missing, Options, Result, Table, Values, load};
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder for one test.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The names in the folder, sorted.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.0.path().read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Loads with `options` and gives the error's text with the folder cut off.
    fn error(&self, name: &str, options: &Options) -> String {
        self.text(load(&self.path(name), options))
    }

    fn text<T: std::fmt::Debug>(&self, result: Result<T>) -> String {
        let error = result.unwrap_err();
        assert!(error.to_string().starts_with(&error.file().display().to_string()));
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn table(loaded: Loaded) -> Table {
    match loaded {
        Loaded::Table(table) => table,
        other => panic!("not a table: {other:?}"),
    }
}

fn numbers(table: &Table, name: &str) -> Vec<f64> {
    match &table.column(name).unwrap().values {
        Values::Number(v) => v.clone(),
        Values::Text(v) => panic!("text: {v:?}"),
    }
}

fn texts(table: &Table, name: &str) -> Vec<String> {
    match &table.column(name).unwrap().values {
        Values::Text(v) => v.clone(),
        Values::Number(v) => panic!("numbers: {v:?}"),
    }
}

fn with(missing: Missing) -> Options {
    Options { missing, ..Options::default() }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
