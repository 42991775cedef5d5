//! Data read batch by batch, so that a fit needs memory for a batch and not for the file.
//!
//! The rules are those of [`load`](crate::load): the batches of a stream, one after the other, are what it gives, and its
//! errors are these. What only the whole file tells (whether a column is numeric, its mean, the levels of a column of
//! words) is found in a first pass when the stream is opened; every further pass is held against it, so that a file
//! written to meanwhile is an error.

mod array_rows;
mod arrays;
mod csv;
mod csv_survey;
mod parquet;
mod schema;
mod survey;
mod tables;

pub use schema::{ElementType, Field, Kind, Levels, MAX_LEVELS, RowShape, Schema};

use crate::array::Array;
use crate::dataset::{Format, refuse_labels, sniff};
use crate::error::{Error, Result};
use crate::input::Input;
use crate::options::Options;
use crate::table::Table;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Some rows of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Chunk {
    /// Rows of a table; [`Table::place`] says where each stands in the file.
    Table(Table),
    /// Samples and their labels.
    Arrays {
        /// The samples.
        x: Array,
        /// One value a sample, if the source has labels.
        y: Option<Array>,
    },
}

impl Chunk {
    /// The number of rows, at least one.
    pub fn rows(&self) -> usize {
        match self {
            Self::Table(table) => table.rows(),
            Self::Arrays { x, .. } => x.rows(),
        }
    }
}

/// A data file being read.
///
/// ```
/// use dualnet_io::stream::{self, Chunk, Kind, Schema};
/// use dualnet_io::{Options, Values};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("plants.csv");
/// std::fs::write(&path, "height,kind\n1.5,oak\n2,fir\n4,oak\n")?;
/// let mut stream = stream::open(&path, &Options::default())?;
/// let Schema::Table { fields, .. } = stream.schema() else { unreachable!() };
/// assert_eq!((stream.rows(), &fields[0].kind), (Some(3), &Kind::Number));
/// let mut sum = 0.0;
/// while let Some(Chunk::Table(part)) = stream.next_batch(2)? {
///     let Values::Number(heights) = &part.columns[0].values else { unreachable!() };
///     sum += heights.iter().sum::<f64>();
/// }
/// assert_eq!(sum, 7.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stream {
    path: PathBuf,
    input: Arc<Input>,
    source: Box<dyn Source>,
    failed: Option<Error>,
    ended: bool,
}

/// What a format gives a stream: batches with missing values dealt with.
trait Source: Send {
    fn schema(&self) -> &Schema;

    /// Rows of a whole pass, as far as known.
    fn rows(&self) -> Option<u64>;

    /// The next `rows` rows; fewer only at the end, and then at least one.
    fn next(&mut self, rows: usize) -> Result<Option<Chunk>>;

    /// Begins another pass.
    fn restart(&mut self) -> Result<()>;
}

/// Opens `path`, whatever format its content shows it to be: all that [`load`](crate::load) reads, but for folders. gzip around
/// CSV, .npy and IDX is unpacked on the way. A pipe is copied to a temporary file first, of at most `options.max_bytes`.
///
/// `options.max_bytes` bounds a batch, and the levels kept of columns of words. What a packed file unpacks to is not limited.
///
/// Cost: CSV is read once here, a second time if words follow numbers in a column or if rows are dropped. Parquet is read
/// once here if it has columns of words or if the options ask for means or for dropped rows; arrays if they ask for means.
/// Memory: a row (at most 64 MiB of text) and the levels.
///
/// # Errors
/// Those of [`load`](crate::load) that the passes made here find; a folder; a packed array in Fortran order, whose rows are spread over all of it.
pub fn open(path: &Path, options: &Options) -> Result<Stream> {
    if path.is_dir() {
        let hint = "name the file of the samples, and that of the labels with --labels";
        return Err(Error::unsupported(path, "the path", "a folder read in batches", hint));
    }
    let input = Arc::new(Input::for_stream(path, options.max_bytes)?);
    let format = sniff(&input)?;
    if matches!(format, Format::Csv | Format::Parquet) {
        refuse_labels(path, options)?;
    }
    let source: Box<dyn Source> = match format {
        Format::Csv => Box::new(csv::open(&input, options)?),
        Format::Parquet => Box::new(parquet::open(&input, options)?),
        format => Box::new(arrays::open(&input, format, options)?),
    };
    input.check_unchanged()?;
    Ok(Stream { path: path.into(), input, source, failed: None, ended: false })
}

impl Stream {
    /// What every row holds.
    pub fn schema(&self) -> &Schema {
        self.source.schema()
    }

    /// The number of rows of a pass. None for arrays whose rows with missing values are dropped, until a pass has ended.
    pub fn rows(&self) -> Option<u64> {
        self.source.rows()
    }

    /// The next `rows` rows, fewer only at the end; none after it. Row numbers in errors count from the start of the file.
    ///
    /// Memory: the batch, of at most `max_bytes`, and a copy of it while text or Parquet is decoded.
    ///
    /// # Errors
    /// A batch of no rows. Damaged content, missing values not found before, a file changed since it was opened (size, time or
    /// content); after any of these the same again until [`Stream::restart`].
    pub fn next_batch(&mut self, rows: usize) -> Result<Option<Chunk>> {
        if rows == 0 {
            return Err(Error::malformed(&self.path, "a batch", "at least one row", "0", "ask for more rows"));
        }
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.ended {
            return Ok(None);
        }
        // Looked at after reading, so that nothing written before is handed on.
        let batch = self.source.next(rows).and_then(|batch| self.input.check_unchanged().map(|()| batch));
        match &batch {
            Ok(None) => self.ended = true,
            Err(error) => self.failed = Some(error.clone()),
            Ok(Some(_)) => {}
        }
        batch
    }

    /// Begins again at the first row. The rows have the same bits in every pass.
    ///
    /// # Errors
    /// A file that is gone or has changed.
    pub fn restart(&mut self) -> Result<()> {
        let started = self.input.check_unchanged().and_then(|()| self.source.restart());
        self.failed = started.as_ref().err().cloned();
        self.ended = false;
        started
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("path", &self.path).field("schema", self.schema()).finish_non_exhaustive()
    }
}
