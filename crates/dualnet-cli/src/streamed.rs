//! Rows read batch by batch from a file: what a fit by features needs of data that do not fit the memory.
//!
//! The targets alone lie in memory, 8 bytes a row: whether they are classes, and which, is known only when all have been read.

use crate::data::{self, Reading, Wanted};
use crate::error::{Error, Result};
use crate::options::MissingOption;
use crate::samples::Samples;
use dualnet::model::{Batches, Column, Frame, Target, Task, Values};
use dualnet_io::stream::{self, Chunk, Stream};
use dualnet_io::{Missing, Options};
use std::path::{Path, PathBuf};

/// Rows read at a time while targets are collected.
const ROWS: usize = 8192;

/// A file of rows, its targets known.
pub struct Streamed {
    file: PathBuf,
    reader: Reader,
    /// Of all rows of the file.
    target: Target,
    /// Rows that are given, ascending; `None`: all.
    part: Option<Vec<usize>>,
    /// Columns of input.
    pub columns: usize,
    /// What kind of file it is.
    pub format: String,
    /// Rows of the file that have gone by in this pass.
    at: usize,
    failed: Option<Error>,
}

/// The stream, and which of its columns are targets.
struct Reader {
    stream: Stream,
    names: Vec<String>,
}

impl Reader {
    fn next(&mut self, file: &Path, rows: usize) -> Result<Option<Samples>> {
        Ok(match self.stream.next_batch(rows)? {
            None => None,
            Some(Chunk::Table(table)) => Some(data::from_table(file, table, Wanted::Named(&self.names))?.samples),
            Some(Chunk::Arrays { x, y }) => Some(data::from_arrays(file, &x, y.as_ref())?),
        })
    }
}

impl Streamed {
    /// Opens a file and reads it once for its targets; `names` and `task` as for a fit in memory.
    pub fn open(path: &Path, names: &[String], task: Option<Task>, reading: &Reading<'_>) -> Result<Self> {
        let options = Options {
            max_bytes: reading.common.memory().unwrap_or(u64::MAX),
            labels: reading.labels.map(Path::to_path_buf),
            missing: match reading.missing {
                MissingOption::Refuse => Missing::Refuse,
                MissingOption::Drop => Missing::Drop,
                MissingOption::Mean => Missing::Mean,
            },
            target: names.first().cloned(),
        };
        let stream = stream::open(path, &options)?;
        let mut reader = Reader { stream, names: names.to_vec() };
        let (mut targets, mut columns): (Vec<Column>, usize) = (Vec::new(), 0);
        while let Some(samples) = reader.next(path, ROWS)? {
            columns = samples.inputs.len();
            if samples.target.is_empty() {
                return Err(data::no_target(&samples, names, ""));
            }
            match targets.is_empty() {
                true => targets = samples.target,
                false => targets.iter_mut().zip(samples.target).try_for_each(|(all, more)| extend(path, all, more))?,
            }
        }
        let target = Target::from_columns(&targets, task).map_err(Error::within(path))?;
        reader.stream.restart()?;
        let format = match reader.stream.schema() {
            stream::Schema::Table { format, .. } => format.clone(),
            stream::Schema::Arrays { x, .. } => format!("samples of shape {:?}", x.shape),
        };
        Ok(Self { file: path.into(), reader, target, part: None, columns, format, at: 0, failed: None })
    }

    /// Targets of the rows that are given.
    pub fn targets(&self) -> Target {
        match &self.part {
            None => self.target.clone(),
            Some(rows) => self.target.select(rows),
        }
    }

    /// Whether columns have no names of their own.
    pub fn is_array(&self) -> bool {
        matches!(self.reader.stream.schema(), stream::Schema::Arrays { .. })
    }

    /// Gives the rows named alone, ascending.
    pub fn restrict(&mut self, rows: Vec<usize>) {
        self.part = Some(rows);
    }

    /// What went wrong while reading, in the words of the reader, if that is what ended a fit.
    pub fn failure(&mut self) -> Option<Error> {
        self.failed.take()
    }

    /// The next rows of the file that are given, with their numbers in the file; perhaps none of a batch.
    fn read(&mut self, most: usize) -> Result<Option<(Frame, Vec<usize>)>> {
        let Some(samples) = self.reader.next(&self.file, most)? else { return Ok(None) };
        let (first, last) = (self.at, self.at + samples.len());
        self.at = last;
        if last > self.target.rows() {
            let found = format!("more than {} rows", self.target.rows());
            let hint = "do not change the file during a fit";
            return Err(Error::argument(&self.file.display().to_string(), "the rows of the first pass", &found, hint));
        }
        let rows: Vec<usize> = match &self.part {
            None => (first..last).collect(),
            Some(part) => part[part.partition_point(|&i| i < first)..part.partition_point(|&i| i < last)].to_vec(),
        };
        let samples = match rows.len() == samples.len() {
            true => samples,
            false => samples.select(&rows.iter().map(|i| i - first).collect::<Vec<_>>()),
        };
        Ok(Some((samples.into_frame()?, rows)))
    }
}

impl Batches for Streamed {
    fn rows(&self) -> usize {
        self.part.as_ref().map_or(self.target.rows(), Vec::len)
    }
    fn next(&mut self, most: usize) -> dualnet::Result<Option<(Frame, Target)>> {
        loop {
            match self.read(most) {
                Ok(None) => return Ok(None),
                Ok(Some((_, rows))) if rows.is_empty() => {}
                Ok(Some((frame, rows))) => return Ok(Some((frame, self.target.select(&rows)))),
                Err(error) => return Err(self.keep(error)),
            }
        }
    }
    fn restart(&mut self) -> dualnet::Result<()> {
        self.at = 0;
        self.reader.stream.restart().map_err(|e| self.keep(e.into()))
    }
}

impl Streamed {
    /// Keeps the error for [`Streamed::failure`]; the fit ends with its text.
    fn keep(&mut self, error: Error) -> dualnet::Error {
        let at = self.file.display().to_string();
        let source = dualnet::Error::Source { at, problem: error.to_string(), hint: "see there".into() };
        self.failed = Some(error);
        source
    }
}

/// Appends the entries of a column to those before; a stream gives a column one type in all batches.
fn extend(path: &Path, all: &mut Column, more: Column) -> Result<()> {
    match (&mut all.values, more.values) {
        (Values::Numbers(v), Values::Numbers(more)) => v.extend(more),
        (Values::Words(v), Values::Words(more)) => v.extend(more),
        _ => {
            let what = format!("{}: column {}", path.display(), all.name);
            let hint = "do not change the file during a fit";
            return Err(Error::argument(&what, "one type", "numbers and words", hint));
        }
    }
    Ok(())
}
