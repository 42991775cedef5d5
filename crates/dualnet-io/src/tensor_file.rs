//! Files of named arrays (safetensors), read array by array, and written with arrays copied from other such files.
//!
//! 8 bytes: the length of the header; the header: JSON, for each array its name, type, shape and place; the values.

use crate::atomic;
use crate::element::half;
use crate::error::{Error, Result};
use crate::input::Input;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Most bytes of a header.
const MAX_HEADER: u64 = 64 << 20;
/// Bytes that are copied or decoded at a time.
const PIECE: usize = 1 << 16;

/// A file of arrays whose header has been read and checked.
///
/// ```
/// use dualnet_io::tensor_file::{self, Entry, TensorFile};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("a.safetensors");
/// tensor_file::write(&path, &[Entry::values("w", &[2], &[0.5, -1.0])])?;
/// let file = TensorFile::open(&path)?;
/// assert_eq!(file.shape("w"), Some(&[2][..]));
/// assert_eq!(file.read("w")?, [0.5, -1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorFile {
    input: Input,
    metadata: Metadata,
    /// Where the values begin.
    start: u64,
}

impl TensorFile {
    /// Opens `path` and reads its header.
    ///
    /// # Errors
    /// A file that is missing, truncated or not of this format: a name given twice, arrays that overlap or leave gaps, sizes that are not
    /// those of their shapes. Lengths in the file are checked against its size before memory is taken.
    pub fn open(path: &Path) -> Result<Self> {
        let input = Input::new(path, u64::MAX)?;
        let (_, metadata, start) = read_header(&input)?;
        Ok(Self { input, metadata, start })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.input.path()
    }

    /// The names of the arrays, in the order of their values.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// The shape of an array.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.metadata.info(name).map(|info| info.shape.as_slice())
    }

    /// Bytes of the values of an array; 0 if there is none of that name.
    pub fn bytes(&self, name: &str) -> u64 {
        self.metadata.info(name).map_or(0, |info| (info.data_offsets.1 - info.data_offsets.0) as u64)
    }

    /// The values of an array in C order, as f32.
    ///
    /// # Errors
    /// No array of that name; a type other than F32, F16, BF16; a file that changed since it was opened.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let info = self.info(name)?;
        let decode: fn(&[u8], &mut Vec<f32>) = match info.dtype {
            Dtype::F32 => |bytes, to| to.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
            Dtype::F16 => |bytes, to| to.extend(bytes.as_chunks().0.iter().map(|b| half(u16::from_le_bytes(*b)))),
            // The upper half of an f32.
            Dtype::BF16 => |bytes, to| {
                to.extend(bytes.as_chunks().0.iter().map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)));
            },
            other => {
                let (at, hint) = (format!("tensor {name}"), "save it as F32, F16 or BF16");
                return Err(Error::unsupported(self.path(), at, format!("the type {other}"), hint));
            }
        };
        let mut values = Vec::with_capacity(info.shape.iter().product());
        self.pieces(name, |bytes| {
            decode(bytes, &mut values);
            Ok(())
        })?;
        Ok(values)
    }

    fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.metadata.info(name).ok_or_else(|| {
            let hint = "see the names of the tensors in the file";
            Error::malformed(self.path(), "the header", format!("tensor {name}"), "no such tensor", hint)
        })
    }

    /// Hands out the bytes of an array in pieces that are multiples of 8, but for the last.
    fn pieces(&self, name: &str, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<()> {
        let info = self.info(name)?;
        self.input.check_unchanged()?;
        let (mut file, _) = self.input.file()?;
        let failed = |e: io::Error| Error::read(self.path(), "read", &e);
        file.seek(SeekFrom::Start(self.start + info.data_offsets.0 as u64)).map_err(failed)?;
        let mut left = info.data_offsets.1 - info.data_offsets.0;
        let mut piece = vec![0; PIECE.min(left)];
        while left > 0 {
            let piece = &mut piece[..PIECE.min(left)];
            file.read_exact(piece).map_err(failed)?;
            take(piece).map_err(failed)?;
            left -= piece.len();
        }
        Ok(())
    }
}

/// Reads and checks the header of a file of arrays; also returns a reader that stands at the values, and their place.
pub(crate) fn read_header(input: &Input) -> Result<(BufReader<File>, Metadata, u64)> {
    let path = input.path();
    let (file, size) = input.file()?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let damaged = |found: String| {
        let hint = "the file is damaged: restore it from a copy";
        Error::malformed(path, "the header", "a safetensors header", found, hint)
    };
    let truncated = |at: &str, expected: u64, missing: u64| Error::Truncated {
        file: path.into(),
        at: at.into(),
        expected,
        missing,
    };
    if size < 8 {
        return Err(truncated("the header", 8, 8 - size));
    }
    let mut length = [0; 8];
    reader.read_exact(&mut length).map_err(|e| Error::read(path, "read", &e))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Err(damaged(format!("a header of {length} bytes")));
    }
    if length > size - 8 {
        return Err(truncated("the header", length, length - (size - 8)));
    }
    let mut header = vec![0; length as usize];
    reader.read_exact(&mut header).map_err(|e| Error::read(path, "read", &e))?;
    if let Ok(Repeated(Some(name))) = serde_json::from_slice(&header) {
        return Err(damaged(format!("tensor {name} twice")));
    }
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| damaged(e.to_string()))?;
    let (expected, found) = (metadata.data_len() as u64, size - 8 - length);
    if found < expected {
        return Err(truncated("the tensors", expected, expected - found));
    }
    if found > expected {
        return Err(damaged(format!("tensors of {expected} bytes and {found} bytes of values")));
    }
    Ok((reader, metadata, 8 + length))
}

/// A key that a JSON object holds twice. Readers of maps keep the last and say nothing.
struct Repeated(Option<String>);

impl<'de> Deserialize<'de> for Repeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Repeated;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Repeated, A::Error> {
                let (mut seen, mut repeated) = (BTreeSet::new(), None);
                while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if !seen.insert(key.clone()) {
                        repeated = Some(key);
                    }
                }
                Ok(Repeated(repeated))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// An array to write.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    name: String,
    source: Source<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Values(&'a [usize], &'a [f32]),
    Copy(&'a TensorFile, &'a str),
}

impl<'a> Entry<'a> {
    /// Values in C order, written as F32.
    pub fn values(name: impl Into<String>, shape: &'a [usize], values: &'a [f32]) -> Self {
        Self { name: name.into(), source: Source::Values(shape, values) }
    }

    /// The array `from` of another file, byte for byte and of its type.
    pub fn copy(name: impl Into<String>, file: &'a TensorFile, from: &'a str) -> Self {
        Self { name: name.into(), source: Source::Copy(file, from) }
    }
}

/// Writes a file of arrays, atomically; its metadata say `format: pt`, as the libraries that read such files want it.
///
/// # Errors
/// A shape that does not fit its values; a name given twice; what an array is copied from; whatever the file system refuses.
pub fn write(path: &Path, entries: &[Entry<'_>]) -> Result<()> {
    let header = header(path, entries)?;
    let mut failed = None;
    let written = atomic::write(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for entry in entries {
            match entry.source {
                Source::Values(_, values) => crate::Elements::F32(values).write_to(file)?,
                Source::Copy(source, name) => {
                    if let Err(e) = source.pieces(name, |bytes| file.write_all(bytes)) {
                        let words = e.to_string();
                        failed = Some(e);
                        return Err(io::Error::other(words));
                    }
                }
            }
        }
        Ok(())
    });
    failed.map_or(written, Err)
}

fn header(path: &Path, entries: &[Entry<'_>]) -> Result<Vec<u8>> {
    let mut infos: Vec<(String, TensorInfo)> = Vec::with_capacity(entries.len());
    let (mut at, mut names) = (0, BTreeSet::new());
    for Entry { name, source } in entries {
        let (dtype, shape, bytes) = match source {
            Source::Values(shape, values) => {
                crate::npy::check_shape(path, &format!("tensor {name}"), shape, crate::Elements::F32(values))?;
                (Dtype::F32, shape.to_vec(), 4 * values.len())
            }
            Source::Copy(file, from) => {
                let info = file.info(from)?;
                (info.dtype, info.shape.clone(), info.data_offsets.1 - info.data_offsets.0)
            }
        };
        if !names.insert(name.as_str()) || name == "__metadata__" {
            let found = format!("{name:?} twice or reserved");
            return Err(Error::malformed(path, "the tensors", "different names", found, "rename one of them"));
        }
        infos.push((name.clone(), TensorInfo { dtype, shape, data_offsets: (at, at + bytes) }));
        at += bytes;
    }
    let broken =
        |e: String| Error::malformed(path, "the tensors", "a valid header", e, "check the shapes of the tensors");
    let about = [("format".to_string(), "pt".to_string())].into_iter().collect();
    let metadata = Metadata::new(Some(about), infos).map_err(|e| broken(e.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|e| broken(e.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, values: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), values].concat()
    }

    fn open(bytes: &[u8]) -> std::result::Result<Vec<f32>, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let path = folder.path().join("a.safetensors");
        std::fs::write(&path, bytes).map_err(|e| e.to_string())?;
        TensorFile::open(&path).and_then(|f| f.read("a")).map_err(|e| e.to_string())
    }

    #[test]
    fn halves_are_widened() {
        let header = |kind: &str| format!(r#"{{"a":{{"dtype":"{kind}","shape":[2],"data_offsets":[0,4]}}}}"#);
        assert_eq!(open(&file(&header("F16"), &[0, 0x3c, 0, 0xc0])), Ok(vec![1.0, -2.0]));
        assert_eq!(open(&file(&header("BF16"), &[0x80, 0x3f, 0, 0xc0])), Ok(vec![1.0, -2.0]));
    }

    #[test]
    fn broken_files_are_named() {
        let one = r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
        let expect = |bytes: &[u8], words: &str| {
            let error = open(bytes).expect_err(words);
            assert!(error.contains(words) && error.contains("a.safetensors"), "{error}");
        };
        expect(&file(&format!("{{{one},{one}}}"), &[0; 4]), "tensor a twice");
        expect(&file(&format!("{{{one}}}"), &[0; 3]), "1 of 4 bytes are missing");
        expect(&file(&format!("{{{one}}}"), &[0; 5]), "tensors of 4 bytes and 5 bytes");
        expect(&file(&format!("{{{one}}}").replace("[1]", "[2]"), &[0; 4]), "a safetensors header");
        expect(&file("{}", &[]), "no such tensor");
        expect(&file(&format!("{{{one}}}").replace("F32", "I32"), &[0; 4]), "the type I32");
        expect(&[1, 2, 3], "5 of 8 bytes are missing");
    }

    #[test]
    fn arrays_are_copied_with_their_type() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let header = r#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
        std::fs::write(&from, file(header, &[7, 0, 0, 0, 0, 0, 0, 1]))?;
        let source = TensorFile::open(&from)?;
        write(&to, &[Entry::copy("b", &source, "a"), Entry::values("c", &[1, 1], &[2.5])])?;
        let copy = TensorFile::open(&to)?;
        assert_eq!((copy.names(), copy.read("c")?), (vec!["b".into(), "c".into()], vec![2.5]));
        assert!(std::fs::read(&to)?.ends_with(&[[7, 0, 0, 0, 0, 0, 0, 1].as_slice(), &2.5f32.to_le_bytes()].concat()));
        assert!(write(&to, &[Entry::values("c", &[2], &[2.5])]).is_err());
        assert_eq!(TensorFile::open(&to)?.names().len(), 2);
        Ok(())
    }
}
