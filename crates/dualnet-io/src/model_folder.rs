//! A saved model or feature map: a folder with `model.json` (what it is) and `model.safetensors` (its arrays).
//!
//! `model.json` also holds, under `hashes`, the BLAKE3 hash of the array file, checked at every load.

use crate::atomic;
use crate::element::{Element, Number, Order, Payload};
use crate::error::{Error, Result};
use crate::folder::{Existing, write_folder};
use crate::input::{Input, Length};
use crate::tensor_file;
use crate::{Array, Data, Elements};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

/// The description.
pub const JSON: &str = "model.json";
/// The arrays.
pub const TENSORS: &str = "model.safetensors";

/// Most bytes of the description and of the array file's header.
const MAX_JSON: u64 = 64 << 20;

/// Saves a model: `json` is an object, whose key `hashes` is set here; `tensors` holds name, shape and values. A model
/// (a folder with `model.json`) of that name is replaced, anything else refused.
///
/// ```
/// use dualnet_io::model_folder;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model");
/// model_folder::save(&path, serde_json::json!({"format": 1}), &[("alpha", &[2], &[0.5, -1.0])])?;
/// let (json, tensors) = model_folder::load(&path)?;
/// assert_eq!(json["format"], 1);
/// assert_eq!(tensors["alpha"].to_f64(), [0.5, -1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A shape that does not fit its values; a name given twice; a description that is no object; whatever the file system
/// refuses. Nothing half-written is left.
pub fn save(path: &Path, json: Value, tensors: &[(&str, &[usize], &[f64])]) -> Result<()> {
    let Value::Object(mut json) = json else {
        let hint = "put the value under a key";
        return Err(Error::malformed(path, JSON, "an object", "another JSON value", hint));
    };
    let header = header(path, tensors)?;
    write_folder(path, Existing::Replace { marker: JSON }, |folder| {
        let mut hash = blake3::Hasher::new();
        atomic::write(&folder.join(TENSORS), |file| {
            let mut out = Hashing { inner: file, hash: &mut hash };
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(&header)?;
            tensors.iter().try_for_each(|(_, _, values)| Elements::F64(values).write_to(&mut out))
        })?;
        let hashes = serde_json::json!({ TENSORS: format!("blake3:{}", hash.finalize().to_hex()) });
        json.insert("hashes".into(), hashes);
        atomic::write(&folder.join(JSON), |file| {
            serde_json::to_writer_pretty(&mut *file, &json)?;
            file.write_all(b"\n")
        })
    })
    .map_err(|e| rename_file(e, path))
}

/// Errors inside the temporary folder name the folder that was asked for.
fn rename_file(e: Error, path: &Path) -> Error {
    match e {
        Error::Write { action, reason, hint, .. } => Error::Write { file: path.into(), action, reason, hint },
        other => other,
    }
}

/// The header of the array file: JSON, padded with spaces to a multiple of 8 bytes.
fn header(path: &Path, tensors: &[(&str, &[usize], &[f64])]) -> Result<Vec<u8>> {
    let mut infos: Vec<(String, TensorInfo)> = Vec::with_capacity(tensors.len());
    let mut at = 0;
    for (name, shape, values) in tensors {
        crate::npy::check_shape(path, &format!("tensor {name}"), shape, Elements::F64(values))?;
        if infos.iter().any(|(other, _)| other == name) || *name == "__metadata__" {
            let found = format!("{name:?} twice or reserved");
            return Err(Error::malformed(path, "the tensors", "different names", found, "rename one of them"));
        }
        let end = at + 8 * values.len();
        infos.push(((*name).into(), TensorInfo { dtype: Dtype::F64, shape: shape.to_vec(), data_offsets: (at, end) }));
        at = end;
    }
    let broken =
        |e: String| Error::malformed(path, "the tensors", "a valid header", e, "check the shapes of the tensors");
    let metadata = Metadata::new(None, infos).map_err(|e| broken(e.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|e| broken(e.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Loads a model: its description (with the key `hashes`) and its arrays by name, f64 or f32.
///
/// # Errors
/// A file that is missing, damaged (the error names it) or not of this format. Lengths in the files are checked against
/// their sizes before memory is taken.
pub fn load(path: &Path) -> Result<(Value, BTreeMap<String, Array>)> {
    let json_path = path.join(JSON);
    let json = read_json(&json_path)?;
    let key = json.get("hashes").and_then(|h| h.get(TENSORS)).and_then(Value::as_str);
    let Some(expected) = key else {
        let hint = "save the model again";
        return Err(Error::malformed(&json_path, "key hashes", format!("the hash of {TENSORS}"), "none", hint));
    };
    let tensors_path = path.join(TENSORS);
    let input = Input::new(&tensors_path, u64::MAX)?;
    let found = format!("blake3:{}", hash(&input)?);
    if found != expected {
        let (recorded_in, expected) = (JSON.into(), expected.into());
        return Err(Error::Damaged { file: tensors_path, recorded_in, expected, found });
    }
    Ok((json, read_tensors(&input)?))
}

fn read_json(path: &Path) -> Result<Value> {
    let (file, size) = Input::new(path, MAX_JSON)?.file()?;
    if size > MAX_JSON {
        let (file, at) = (path.into(), "the description".into());
        return Err(Error::TooLarge { file, at, needed: size, limit: MAX_JSON });
    }
    serde_json::from_reader(io::BufReader::new(file)).map_err(|e| {
        let at = format!("line {}, column {}", e.line(), e.column());
        Error::malformed(path, at, "JSON", e.to_string(), "the file is damaged: restore it from a copy")
    })
}

fn hash(input: &Input) -> Result<String> {
    let (mut file, _) = input.file()?;
    let mut hash = blake3::Hasher::new();
    hash.update_reader(&mut file).map_err(|e| Error::read(input.path(), "read", &e))?;
    Ok(hash.finalize().to_hex().to_string())
}

/// Reads an array file. The header is checked whole (offsets contiguous, sizes those of the shapes) before any tensor.
pub(crate) fn read_tensors(input: &Input) -> Result<BTreeMap<String, Array>> {
    let path = input.path();
    let (mut reader, metadata, _) = tensor_file::read_header(input)?;
    let mut tensors = BTreeMap::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let array = read_tensor(path, &mut reader, &name, info)?;
        tensors.insert(name, array);
    }
    Ok(tensors)
}

fn read_tensor(path: &Path, reader: &mut impl Read, name: &str, info: &TensorInfo) -> Result<Array> {
    let at = format!("tensor {name}");
    let number = match info.dtype {
        Dtype::F64 => Number::F64,
        Dtype::F32 => Number::F32,
        other => {
            return Err(Error::unsupported(path, at, format!("the type {other}"), "save it with 32 or 64-bit floats"));
        }
    };
    let (start, end) = info.data_offsets;
    let bytes = (end - start) as u64;
    let element = Element { number, order: Order::Little };
    let payload = Payload { file: path, at, length: Length::Exact(bytes), limit: u64::MAX };
    let data: Data = payload.read(&mut reader.take(bytes), element, (end - start) / element.width())?;
    Ok(Array { shape: info.shape.clone(), data })
}

/// Hashes what passes through.
struct Hashing<'a, W> {
    inner: W,
    hash: &'a mut blake3::Hasher,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
