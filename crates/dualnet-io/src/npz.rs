//! NumPy's .npz: a zip archive of .npy files, stored or deflated.

use crate::array::{Array, Elements, FloatKind};
use crate::error::{Error, Result};
use crate::input::{Input, Length, inflated_at_most};
use crate::{atomic, npy};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use zip::read::ZipFile;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Most arrays in one archive.
const MAX_ARRAYS: usize = 10_000;

/// Most bytes looked at for a word.
const MAX_WORD: u64 = 1 << 10;

/// The arrays of an archive, opened; values are read on demand.
pub struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<BufReader<File>>,
    size: u64,
    limit: u64,
}

impl<'a> Archive<'a> {
    /// Opens an archive; each array read from it may take `max_bytes`.
    ///
    /// # Errors
    /// Anything that is not a zip archive; two arrays of one name.
    pub fn open(path: &'a Path, max_bytes: u64) -> Result<Self> {
        Self::from_file(path, Input::new(path, max_bytes)?.file()?, max_bytes)
    }

    /// The archive in a file of a given size.
    pub(crate) fn from_file(path: &'a Path, (file, size): (File, u64), max_bytes: u64) -> Result<Self> {
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| malformed(path, "the archive", &e))?;
        if zip.has_duplicate_names() || zip.len() > MAX_ARRAYS {
            let (expected, found) = (format!("at most {MAX_ARRAYS} arrays, each name once"), "others".to_string());
            return Err(Error::malformed(path, "the archive", expected, found, "write it again with numpy.savez"));
        }
        Ok(Self { path, zip, size, limit: max_bytes })
    }

    /// The names of the arrays, in the order of the archive.
    pub fn names(&self) -> Vec<String> {
        let names = self.zip.file_names().filter_map(std::result::Result::ok);
        names.filter_map(|name| name.strip_suffix(".npy").map(str::to_owned)).collect()
    }

    /// Reads the array `name`.
    ///
    /// # Errors
    /// No such array (the message names those there are); a damaged one; more than the limit.
    pub fn read(&mut self, name: &str) -> Result<Array> {
        let at = format!("array {name}");
        let (size, limit, path) = (self.size, self.limit, self.path);
        let mut entry = self.entry(name)?;
        let length = length_of(&entry, size);
        npy::from_reader(&mut entry, path, &at, length, limit)
    }

    /// The text in the array `name`, which holds one string of ASCII, as bytes or as characters (`|S3`, `<U3`).
    pub(crate) fn word(&mut self, name: &str) -> Result<String> {
        let (path, at) = (self.path, format!("array {name}"));
        let mut content = Vec::new();
        let read = self.entry(name)?.take(MAX_WORD).read_to_end(&mut content);
        read.map_err(|e| Error::read(path, "read", &e))?;
        // Magic, version, length of the header, header, text; zeros fill up characters and the end.
        let text = content.get(8..10).map(|n| 10 + usize::from(n[0]) + 256 * usize::from(n[1]));
        let text = text.filter(|_| content.starts_with(npy::MAGIC)).and_then(|start| content.get(start..));
        let text: Option<String> = text.map(|text| text.iter().filter(|&&b| b != 0).map(|&b| char::from(b)).collect());
        text.filter(|text| text.is_ascii() && text.len() < 16).ok_or_else(|| {
            Error::malformed(path, at, "a short word", "other content", "write it again with scipy.sparse.save_npz")
        })
    }

    /// Where the array `name` lies, for readers that go there themselves.
    pub(crate) fn member(&mut self, name: &str) -> Result<Member> {
        let (path, size) = (self.path, self.size);
        let entry = self.entry(name)?;
        let at = format!("array {name}");
        let packing = match entry.compression() {
            CompressionMethod::Stored => Packing::Stored,
            CompressionMethod::Deflated => Packing::Deflated,
            other => {
                let found = format!("the packing method {other}");
                return Err(Error::unsupported(path, at, found, "write it again with numpy.savez"));
            }
        };
        let Some(start) = entry.data_start() else {
            return Err(Error::malformed(path, at, "its place in the archive", "none", "copy or write it again"));
        };
        Ok(Member {
            start,
            packed: entry.compressed_size(),
            length: length_of(&entry, size),
            packing,
            size: entry.size(),
            crc: entry.crc32(),
        })
    }

    fn entry(&mut self, name: &str) -> Result<ZipFile<'_, BufReader<File>>> {
        let at = format!("array {name}");
        let Some(index) = self.zip.index_for_name(&format!("{name}.npy")) else {
            let names = self.names();
            let found = if names.is_empty() { "no arrays".into() } else { format!("arrays {}", names.join(", ")) };
            return Err(Error::malformed(self.path, "the archive", at, found, "save it as np.savez(file, x=x, y=y)"));
        };
        self.zip.by_index(index).map_err(|e| malformed(self.path, &at, &e))
    }
}

/// The archive's sizes are claims: none may exceed what the file could hold.
fn length_of(entry: &ZipFile<'_, BufReader<File>>, size: u64) -> Length {
    let packed = entry.compressed_size().min(size);
    match entry.compression() {
        CompressionMethod::Stored => Length::Exact(packed),
        _ => Length::AtMost(inflated_at_most(packed)),
    }
}

/// A file inside an archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    /// Where its bytes begin in the archive.
    pub(crate) start: u64,
    /// How many they are.
    pub(crate) packed: u64,
    pub(crate) packing: Packing,
    /// What they unpack to.
    pub(crate) length: Length,
    /// What the archive says that is.
    pub(crate) size: u64,
    /// CRC-32 of what they unpack to.
    pub(crate) crc: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Stored,
    Deflated,
}

fn malformed(path: &Path, at: &str, e: &ZipError) -> Error {
    match e {
        ZipError::Io(e) => Error::read(path, "read", e),
        ZipError::UnsupportedArchive(what) => Error::unsupported(path, at, *what, "write it again with numpy.savez"),
        other => Error::malformed(path, at, "a zip archive", other.to_string(), "copy or write it again"),
    }
}

/// Writes arrays under their names, uncompressed, atomically; `arrays` holds name, shape and values in C order.
///
/// ```
/// use dualnet_io::{Elements, npz};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("k.npz");
/// npz::write(&path, &[("nngp", &[2][..], Elements::F32(&[1.0, 2.0])), ("ntk", &[1][..], Elements::F64(&[3.0]))])?;
/// let mut archive = npz::Archive::open(&path, 1 << 20)?;
/// assert_eq!(archive.names(), ["nngp", "ntk"]);
/// assert_eq!(archive.read("ntk")?.into_f64(), [3.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A shape that does not fit its values; a name given twice or not usable; whatever the file system refuses.
pub fn write(path: &Path, arrays: &[(&str, &[usize], Elements<'_>)]) -> Result<()> {
    for (name, shape, elements) in arrays {
        npy::check_shape(path, &format!("array {name}"), shape, *elements)?;
    }
    let heads: Vec<_> = arrays.iter().map(|(name, shape, elements)| (*name, *shape, elements.kind())).collect();
    write_pieces(path, &heads, |index, sink| sink(arrays[index].2))
}

/// Takes the next values of an array.
pub type Sink<'a> = dyn FnMut(Elements<'_>) -> Result<()> + 'a;

/// [`write()`] of arrays that need not be in memory: `values` is called with the number of each array, in order, and hands its values piece
/// by piece to the sink. The bytes of the file are the same as those of [`write()`].
///
/// ```
/// use dualnet_io::{Elements, FloatKind, npz};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("k.npz");
/// npz::write_pieces(&path, &[("nngp", &[3, 2][..], FloatKind::F32)], |_, sink| {
///     (0..3).try_for_each(|row| sink(Elements::F32(&[row as f32, 0.5])))
/// })?;
/// assert_eq!(npz::Archive::open(&path, 1 << 20)?.read("nngp")?.into_f64(), [0.0, 0.5, 1.0, 0.5, 2.0, 0.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`write()`], and whatever `values` returns; nothing is written then.
pub fn write_pieces<E: From<Error>>(
    path: &Path,
    arrays: &[(&str, &[usize], FloatKind)],
    mut values: impl FnMut(usize, &mut Sink<'_>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    check_names(path, arrays)?;
    let mut failed = None;
    let written = atomic::write(path, |file| {
        let mut zip = ZipWriter::new(file);
        // Stored, so that other programs can map the arrays; zip64 fields, so that an array may exceed 4 GiB.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        for (index, (name, shape, kind)) in arrays.iter().enumerate() {
            zip.start_file(format!("{name}.npy"), options).map_err(io::Error::from)?;
            io::Write::write_all(&mut zip, &npy::header(shape, *kind))?;
            let mut left = shape.iter().product::<usize>();
            let mut sink = |piece: Elements<'_>| {
                if piece.kind() != *kind || piece.len() > left {
                    return Err(wrong_piece(path, name, *kind, left, piece));
                }
                left -= piece.len();
                piece.write_to(&mut zip).map_err(|e| Error::write(path, "write", &e))
            };
            let done = values(index, &mut sink).and_then(|()| match left {
                0 => Ok(()),
                _ => Err(wrong_piece(path, name, *kind, left, Elements::F64(&[])).into()),
            });
            done.map_err(|e| {
                failed = Some(e);
                io::Error::other("stopped")
            })?;
        }
        zip.finish().map(|_| ()).map_err(io::Error::from)
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(written?),
    }
}

fn wrong_piece(path: &Path, name: &str, kind: FloatKind, left: usize, piece: Elements<'_>) -> Error {
    let (expected, found) =
        (format!("{left} more values of {kind:?}"), format!("{} of {:?}", piece.len(), piece.kind()));
    Error::malformed(path, format!("array {name}"), expected, found, "give the shape of the values")
}

fn check_names(path: &Path, arrays: &[(&str, &[usize], FloatKind)]) -> Result<()> {
    for (index, (name, shape, _)) in arrays.iter().enumerate() {
        npy::check_countable(path, &format!("array {name}"), shape)?;
        let twice = arrays[..index].iter().any(|(other, ..)| other == name);
        if twice || name.is_empty() || name.contains(['/', '\\', '\0']) {
            let expected = "names without slashes, each once";
            return Err(Error::malformed(path, "the names of the arrays", expected, format!("{name:?}"), "rename it"));
        }
    }
    Ok(())
}
