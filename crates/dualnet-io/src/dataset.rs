//! A data set of any format, recognised by its content.

use crate::array::Array;
use crate::error::{Error, Result};
use crate::input::Input;
use crate::options::Options;
use crate::table::Table;
use crate::{csv, idx, missing, npy, npz, parquet, sets};
use std::path::Path;

/// What a file or folder held.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded {
    /// Named columns: CSV, Parquet. The target is one of them.
    Table(Table),
    /// Samples along the first axis: .npy, .npz, IDX, CIFAR, folders of images.
    Arrays {
        /// The samples.
        x: Array,
        /// One value a sample.
        y: Option<Array>,
        /// Test samples and their labels, of a folder that holds both sets.
        test: Option<Box<(Array, Array)>>,
        /// What the classes are called that `y` counts from 0, where the data say; all different.
        classes: Option<Vec<String>>,
    },
}

/// Loads `path`, whatever format its content (of a folder: the names in it) shows it to be. gzip around CSV, .npy and IDX is unpacked on
/// the way. Cost: one pass over the files.
///
/// # Errors
/// A format that is not known, broken or truncated content, missing values (unless the options allow them), more than
/// `options.max_bytes`; always with the file and the place in it.
pub fn load(path: &Path, options: &Options) -> Result<Loaded> {
    if path.is_dir() {
        return sets::load(path, options);
    }
    let input = Input::new(path, options.max_bytes)?;
    match sniff(&input)? {
        Format::Csv => csv::from_input(&input).and_then(|table| finish_table(table, options)),
        Format::Parquet => parquet::from_input(&input).and_then(|table| finish_table(table, options)),
        Format::Npy => finish_arrays(path, npy::from_input(&input)?, None, options),
        Format::Idx => finish_arrays(path, idx::from_input(&input)?, None, options),
        Format::Npz => {
            let mut archive = npz::Archive::open(path, options.max_bytes)?;
            if archive.names().iter().any(|name| name == "indptr") {
                let hint = "sparse rows have a reader of their own; save x.toarray() for methods that take tables";
                return Err(Error::unsupported(path, "the archive", "a sparse matrix among dense data", hint));
            }
            let has_y = archive.names().iter().any(|name| name == "y");
            let x = archive.read("x")?;
            let y = if has_y { Some(archive.read("y")?) } else { None };
            finish_arrays(path, x, y, options)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Parquet,
    Npy,
    Npz,
    Idx,
}

/// Formats that are not read, by their first bytes: what to say of them.
const OTHERS: [(&[u8], &str, &str); 12] = [
    (b"\x89HDF", "HDF5", "export it as .npz or Parquet"),
    (b"\x80\x02", "a Python pickle", "save it with numpy.save"),
    (b"\x80\x03", "a Python pickle", "save it with numpy.save"),
    (b"\x80\x04", "a Python pickle", "save it with numpy.save"),
    (b"\x80\x05", "a Python pickle", "save it with numpy.save"),
    (b"\x89PNG", "a single image", "name the folder it lies in"),
    (b"\xff\xd8\xff", "a single image", "name the folder it lies in"),
    (b"BZh", "bzip2", "unpack it first"),
    (b"\xfd7zXZ", "xz", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", "unpack it first"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
];

/// The format of a file, by its first bytes.
pub(crate) fn sniff(input: &Input) -> Result<Format> {
    let path = input.path();
    let head = input.head(1 << 12)?;
    if head.starts_with(npy::MAGIC) {
        return Ok(Format::Npy);
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Format::Npz);
    }
    if head.starts_with(parquet::MAGIC) {
        return Ok(Format::Parquet);
    }
    if idx::looks_like(&head) {
        return Ok(Format::Idx);
    }
    if let Some((_, name, hint)) = OTHERS.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return Err(Error::unsupported(path, "the file", *name, *hint));
    }
    let known = "CSV, Parquet, .npy, .npz or IDX";
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    if ["npy", "npz", "parquet"].contains(&extension.as_str()) {
        let found = format!("other content in a file named .{extension}");
        return Err(Error::malformed(path, "the beginning", known, found, "the file is damaged or misnamed"));
    }
    if head.contains(&0) {
        let hint = "convert it to one of these; text must be UTF-8";
        return Err(Error::malformed(path, "the beginning", known, "binary content of another kind", hint));
    }
    Ok(Format::Csv)
}

fn finish_table(mut table: Table, options: &Options) -> Result<Loaded> {
    refuse_labels(Path::new(&table.source), options)?;
    missing::in_table(&mut table, options.missing, options.target.as_deref())?;
    Ok(Loaded::Table(table))
}

/// A table takes no label file.
pub(crate) fn refuse_labels(path: &Path, options: &Options) -> Result<()> {
    if options.labels.is_none() {
        return Ok(());
    }
    let hint = "a table holds its own labels: name the column with --target";
    Err(Error::unsupported(path, "--labels", "a label file beside a table", hint))
}

/// Labels there may be once.
pub(crate) fn labels_twice(path: &Path) -> Error {
    Error::unsupported(path, "array y", "labels in the file and in --labels", "leave --labels out")
}

/// Label files are arrays.
pub(crate) fn not_labels(path: &Path) -> Error {
    Error::unsupported(path, "the labels", "this format", "save the labels with numpy.save")
}

fn finish_arrays(path: &Path, mut x: Array, mut y: Option<Array>, options: &Options) -> Result<Loaded> {
    if let Some(labels) = &options.labels {
        if y.is_some() {
            return Err(labels_twice(path));
        }
        y = Some(read_labels(labels, options)?);
    }
    check_pair(path, &x.shape, y.as_ref().map(|y| y.shape.as_slice()), options.labels.as_deref())?;
    missing::in_arrays(path, &mut x, y.as_mut(), options.missing)?;
    Ok(Loaded::Arrays { x, y, test: None, classes: None })
}

fn read_labels(path: &Path, options: &Options) -> Result<Array> {
    let input = Input::new(path, options.max_bytes)?;
    match sniff(&input)? {
        Format::Npy => npy::from_input(&input),
        Format::Idx => idx::from_input(&input),
        _ => Err(not_labels(path)),
    }
}

/// Checks the shapes of samples and labels: samples there must be, and as many labels, each one value.
pub(crate) fn check_pair(path: &Path, x: &[usize], y: Option<&[usize]>, labels: Option<&Path>) -> Result<()> {
    let Some(&samples) = x.first().filter(|_| !x.contains(&0)) else {
        let found = format!("the shape {x:?}");
        return Err(Error::malformed(path, "the samples", "at least one sample", found, "check how it was written"));
    };
    let Some(y) = y else { return Ok(()) };
    // The product may overflow where an axis has no length, hence last.
    if y.first() == Some(&samples) && (labels.is_none() || y.iter().skip(1).product::<usize>() == 1) {
        return Ok(());
    }
    let (expected, found) = (format!("{samples} labels, one for each sample"), format!("the shape {y:?}"));
    let hint = "samples and labels must come from the same set, in the same order";
    Err(Error::malformed(labels.unwrap_or(path), "the labels", expected, found, hint))
}
