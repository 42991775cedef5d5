//! The tensors of a model folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.

use crate::config::read_object;
use crate::error::{Error, Result};
use dualnet::Mat;
use dualnet_io::tensor_file::TensorFile;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// All tensors in one file.
pub const SINGLE: &str = "model.safetensors";
/// Which tensor lies in which of several files.
pub const INDEX: &str = "model.safetensors.index.json";
/// By these ends the tensor is recognised whose beginning is the prefix of all.
const FIRST: [&str; 2] = ["embeddings.word_embeddings.weight", "embeddings.cls_token"];

/// The tensors of a folder, read when asked for.
#[derive(Debug)]
pub struct Weights {
    folder: PathBuf,
    files: Vec<TensorFile>,
    /// In which file each tensor lies.
    places: BTreeMap<String, usize>,
    prefix: String,
}

impl Weights {
    /// Opens the files of `folder` and reads their headers.
    ///
    /// # Errors
    /// Files that are missing, truncated or damaged; shards outside the folder; a tensor given twice; none that could be the table of words
    /// of an encoder.
    pub fn open(folder: &Path) -> Result<Self> {
        let files = files(folder)?.iter().map(|file| TensorFile::open(file)).collect::<dualnet_io::Result<Vec<_>>>()?;
        let mut places = BTreeMap::new();
        for (i, file) in files.iter().enumerate() {
            for name in file.names() {
                if let Some(other) = places.insert(name.clone(), i) {
                    let found = format!("it is in {} as well", files[other].path().display());
                    let hint = "the shards are of different models: save the model again";
                    return Err(Error::model(file.path(), format!("tensor {name}"), "a name of its own", found, hint));
                }
            }
        }
        let mut weights = Self { folder: folder.into(), files, places, prefix: String::new() };
        weights.prefix = weights.find_prefix()?;
        Ok(weights)
    }

    fn find_prefix(&self) -> Result<String> {
        let prefixes = self.places.keys().filter_map(|name| {
            let prefix = FIRST.iter().find_map(|first| name.strip_suffix(first))?;
            (prefix.is_empty() || prefix.ends_with('.')).then_some(prefix)
        });
        let shortest = prefixes.min_by_key(|prefix| prefix.len());
        shortest.map(String::from).ok_or_else(|| self.missing(FIRST[0]))
    }

    fn missing(&self, name: &str) -> Error {
        let mut near: Vec<(f64, &String)> =
            self.places.keys().map(|other| (strsim::jaro_winkler(name, other), other)).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let near: Vec<&str> = near.iter().take(3).map(|(_, name)| name.as_str()).collect();
        let found = match near[..] {
            [] => "no tensors at all".into(),
            _ => format!("the nearest are {}", near.join(", ")),
        };
        let hint = "the file must hold the encoder that config.json describes";
        Error::model(&self.folder, "the tensors", format!("one named {name}"), found, hint)
    }

    /// The name in the files of what is called `name` without a prefix.
    pub fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether there is such a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(&self.full_name(name))
    }

    /// The names of factors and summands of the norm called `norm`: old files call them gamma and beta, others weight and bias.
    pub(crate) fn norm_names(&self, norm: &str) -> [String; 2] {
        let old = self.has(&format!("{norm}.gamma"));
        let ends = if old { ["gamma", "beta"] } else { ["weight", "bias"] };
        ends.map(|end| format!("{norm}.{end}"))
    }

    /// All tensors, by their full names, with their files, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &TensorFile)> {
        self.places.iter().map(|(name, file)| (name.as_str(), &self.files[*file]))
    }

    /// The table of `rows` rows and `cols` columns called `name`.
    ///
    /// # Errors
    /// No such tensor (the nearest names are listed); another shape; values that are not finite.
    pub fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Mat<f32>> {
        let values = self.values(name, &[rows, cols])?;
        Ok(Mat::from_vec(rows, cols, values)?)
    }

    /// The vector of length `length` called `name`.
    ///
    /// # Errors
    /// As [`Self::matrix`].
    pub fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>> {
        self.values(name, &[length])
    }

    /// The same for any shape, row by row.
    ///
    /// # Errors
    /// As [`Self::matrix`].
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let full = self.full_name(name);
        let Some(file) = self.places.get(&full).map(|place| &self.files[*place]) else {
            return Err(self.missing(&full));
        };
        let found = file.shape(&full).unwrap_or(&[]);
        let at = || format!("tensor {full}");
        if found != shape {
            let hint = "config.json and the weights are of different models";
            return Err(Error::model(file.path(), at(), format!("shape {shape:?}"), format!("{found:?}"), hint));
        }
        let values = file.read(&full)?;
        if let Some(place) = values.iter().position(|x| !x.is_finite()) {
            let found = format!("{} at place {place}", values[place]);
            return Err(Error::model(file.path(), at(), "finite numbers", found, "restore the file from a copy"));
        }
        Ok(values)
    }
}

/// The files that hold tensors.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
    match (single.is_file(), index.is_file()) {
        (true, true) => {
            let hint = "remove the one that is not of this model";
            Err(Error::model(folder, "the weights", format!("either {SINGLE} or {INDEX}"), "both", hint))
        }
        (true, false) => Ok(vec![single]),
        (false, true) => shards(folder, &index),
        (false, false) => {
            let hint =
                "name the folder of a pretrained encoder; weights in other formats (pytorch_model.bin) are not read";
            Err(Error::model(folder, "the weights", format!("{SINGLE} or {INDEX}"), "neither", hint))
        }
    }
}

fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let json = read_object(index)?;
    let hint = "the file is damaged: restore it from a copy";
    let Some(map) = json.get("weight_map").and_then(Value::as_object) else {
        return Err(Error::model(index, "key weight_map", "an object", "none", hint));
    };
    let mut names = BTreeSet::new();
    for (tensor, file) in map {
        let file = file.as_str().unwrap_or("");
        let mut parts = Path::new(file).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            let (at, found) = (format!("tensor {tensor}"), format!("{file:?}"));
            return Err(Error::model(index, at, "the name of a file in this folder", found, hint));
        }
        names.insert(file);
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}
