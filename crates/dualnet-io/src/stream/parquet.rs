//! Parquet: row group by row group, all columns side by side.

use super::survey::Facts;
use super::tables::{Rows, Tables, part, room_for_levels};
use crate::error::{Error, Result};
use crate::input::Input;
use crate::missing::{in_part, no_row_left, refuse};
use crate::options::{Missing, Options};
use crate::parquet::{FORMAT, Groups, OpenColumn, guarded, no_rows};
use crate::table::{Column, Places, Table, Values};
use std::sync::Arc;

/// Cells read at a time in the first pass.
const SURVEY: usize = 1 << 18;

/// Opens the file; surveys it where words, means or dropped rows have to be known.
pub(super) fn open(input: &Arc<Input>, options: &Options) -> Result<Tables<ParquetRows>> {
    let path = input.path();
    let mut reader = ParquetRows::open(input, options.max_bytes)?;
    let columns = reader.columns.clone();
    let mut rows = reader.count()?;
    if rows == 0 || columns.is_empty() {
        return Err(no_rows(path));
    }
    let words = columns.iter().any(|column| matches!(column.values, Values::Text(_)));
    let mut facts = vec![Facts::default(); columns.len()];
    if words || matches!(options.missing, Missing::Mean | Missing::Drop) {
        rows = survey(&mut reader, &mut facts, options)?;
        if rows == 0 {
            return Err(no_row_left(path));
        }
        reader.restart()?;
    }
    Tables::new(path, reader, (FORMAT.into(), &columns), rows, facts, options)
}

/// Goes through all rows; returns the number of those not dropped.
fn survey(reader: &mut ParquetRows, facts: &mut [Facts], options: &Options) -> Result<u64> {
    let mut room = room_for_levels(options);
    let at_once = (SURVEY / facts.len().max(1)).clamp(1, 1 << 14);
    let mut rows = 0;
    while let Some(mut part) = reader.read(at_once, 0)? {
        match options.missing {
            Missing::Refuse | Missing::Drop => in_part(&mut part, options.missing, None, &[])?,
            Missing::Mean => options.target.as_deref().map_or(Ok(()), |name| refuse(&part, Some(name)))?,
            Missing::Keep => {}
        }
        for (column, facts) in part.columns.iter().zip(facts.iter_mut()) {
            facts.add_part(column, options.missing, &mut room);
        }
        rows += part.rows() as u64;
    }
    Ok(rows)
}

/// Rows of a file, nulls as missing cells.
pub(super) struct ParquetRows {
    input: Arc<Input>,
    limit: u64,
    groups: Groups,
    /// The columns, without cells.
    columns: Vec<Column>,
    /// Those of the row group being read.
    open: Vec<OpenColumn>,
    next_group: usize,
    left_in_group: usize,
    /// Rows read so far.
    read: u64,
}

impl ParquetRows {
    fn open(input: &Arc<Input>, limit: u64) -> Result<Self> {
        let groups = guarded(input.path(), || Groups::open(input, limit))?;
        let columns = groups.empty_columns();
        let (input, open) = (Arc::clone(input), Vec::new());
        Ok(Self { input, limit, groups, columns, open, next_group: 0, left_in_group: 0, read: 0 })
    }

    /// The rows that the footer states.
    fn count(&self) -> Result<u64> {
        guarded(self.input.path(), || {
            let mut rows = (0..self.groups.len()).map(|group| self.groups.rows_of(group));
            rows.try_fold(0u64, |sum, rows| Ok(sum.saturating_add(rows? as u64)))
        })
    }

    /// Opens the columns of the next row group.
    fn open_group(&mut self) -> Result<()> {
        let group = self.next_group;
        self.open.clear();
        let mut pages = 0u64;
        for index in 0..self.columns.len() {
            let (column, largest) = self.groups.open_column(group, index)?;
            // A page of every column is unpacked at the same time.
            pages = pages.saturating_add(largest);
            if pages > self.limit {
                let (file, at) = (self.input.path().into(), format!("the pages of row group {group}"));
                return Err(Error::TooLarge { file, at, needed: pages, limit: self.limit });
            }
            self.open.push(column);
        }
        self.left_in_group = self.groups.rows_of(group)?;
        self.next_group += 1;
        Ok(())
    }
}

impl Rows for ParquetRows {
    fn read(&mut self, rows: usize, mut used: u64) -> Result<Option<Table>> {
        let input = Arc::clone(&self.input);
        guarded(input.path(), || {
            while self.left_in_group == 0 {
                if self.next_group == self.groups.len() {
                    return Ok(None);
                }
                self.open_group()?;
            }
            let rows = rows.min(self.left_in_group);
            let mut columns = self.columns.clone();
            for (column, open) in columns.iter_mut().zip(&mut self.open) {
                open.read(rows, &mut column.values, &mut used)?;
            }
            let places = Places::From(1 + self.read);
            self.left_in_group -= rows;
            self.read += rows as u64;
            Ok(Some(part(input.path(), FORMAT, columns, places, "row")))
        })
    }

    fn restart(&mut self) -> Result<()> {
        // All anew, also after a panic of the decoder.
        *self = Self::open(&self.input, self.limit)?;
        Ok(())
    }
}
