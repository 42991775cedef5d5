//! Sparse rows: svmlight (libsvm) text, and compressed sparse rows in scipy's .npz.

mod csr_npz;
mod svmlight;

use crate::error::{Error, Result};
use crate::input::Input;
use std::path::Path;

/// Rows by their non-zeros (CSR): row i has the entries `indptr[i]` to `indptr[i + 1]`. A reader returns only what fits together: columns
/// of a row increase and are below `columns`, values are finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Sparse {
    /// Number of columns.
    pub columns: usize,
    /// Where rows begin and end: 0 first, the number of entries last, one number more than rows.
    pub indptr: Vec<usize>,
    /// Column of each entry, from 0.
    pub indices: Vec<u32>,
    /// Value of each entry; zeros that the file names are kept.
    pub values: Vec<f64>,
    /// One target a row, where the format has them (svmlight).
    pub y: Option<Vec<f64>>,
}

impl Sparse {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }
}

/// From which number columns are counted in svmlight text; .npz counts from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Base {
    /// From 0 if column 0 occurs anywhere, else from 1. A part of a data set may decide otherwise than the whole: name the base for
    /// files that belong together.
    #[default]
    Auto,
    /// From 0.
    Zero,
    /// From 1, as svmlight itself does.
    One,
}

/// How sparse rows are read.
///
/// ```
/// assert_eq!(dualnet_io::sparse::SparseOptions::default().max_bytes, 8 << 30);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SparseOptions {
    /// Bytes that the rows may take; also the most that a compressed file may unpack to. Default 8 GiB.
    pub max_bytes: u64,
    /// From which number columns are counted in text.
    pub base: Base,
    /// Number of columns where text shall have as many as another file; `None`: up to the last one that occurs.
    pub columns: Option<usize>,
}

impl Default for SparseOptions {
    fn default() -> Self {
        Self { max_bytes: 8 << 30, base: Base::Auto, columns: None }
    }
}

/// Reads sparse rows from a zip archive as of `scipy.sparse.save_npz`, or from svmlight text (plain or gzip), as the content shows.
///
/// ```
/// use dualnet_io::sparse::{SparseOptions, load};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("words.svm");
/// std::fs::write(&path, "# label word:count\n1 2:1 5:3\n-1 1:0.5 # a comment\n")?;
/// let x = load(&path, &SparseOptions::default())?;
/// assert_eq!((x.rows(), x.columns), (2, 5));
/// assert_eq!((&x.indices[..], &x.values[..]), (&[1, 4, 0][..], &[1.0, 3.0, 0.5][..]));
/// assert_eq!(x.y, Some(vec![1.0, -1.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Content that breaks the rules of its format, with line and column or the array; more than `max_bytes`; what formats allow and this does
/// not read: qid, several labels a row, other layouts than CSR, columns twice.
pub fn load(path: &Path, options: &SparseOptions) -> Result<Sparse> {
    let input = Input::new(path, options.max_bytes)?;
    let head = input.head(4)?;
    if head.starts_with(b"PK") { csr_npz::read(path, options) } else { svmlight::read(&input, options) }
}

/// Whether a file holds sparse rows, as its beginning shows: an archive with the array indptr, or text whose first row is a number and then
/// `column:value`, or the number alone in a file named .svm, .svmlight or .libsvm.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("words");
/// std::fs::write(&path, "1 2:1 5:3\n")?;
/// assert!(dualnet_io::sparse::is_sparse(&path)?);
/// std::fs::write(&path, "a,b\n1,2\n")?;
/// assert!(!dualnet_io::sparse::is_sparse(&path)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A file that cannot be read; a folder is none of sparse rows.
pub fn is_sparse(path: &Path) -> Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    let input = Input::new(path, u64::MAX)?;
    let head = input.head(1 << 16)?;
    if head.starts_with(b"PK") {
        return Ok(crate::npz::Archive::open(path, u64::MAX)?.names().iter().any(|name| name == "indptr"));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let named = [".svm", ".svmlight", ".libsvm"].iter().any(|end| name.trim_end_matches(".gz").ends_with(end));
    Ok(svmlight::looks_like(&head, named))
}

/// Bytes of an entry in memory, beside those of a row.
const ENTRY: u64 = 12;
const ROW: u64 = 16;

/// Refuses more than the limit.
fn check_size(path: &Path, rows: usize, entries: usize, limit: u64) -> Result<()> {
    let needed = ENTRY.saturating_mul(entries as u64).saturating_add(ROW.saturating_mul(rows as u64));
    if needed > limit {
        return Err(Error::TooLarge { file: path.into(), at: "the sparse rows".into(), needed, limit });
    }
    Ok(())
}
