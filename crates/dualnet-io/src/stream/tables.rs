//! Batches of a table from a reader of rows as they stand in the file.

use super::schema::{Field, Kind, Schema};
use super::survey::Facts;
use super::{Chunk, Source};
use crate::error::Result;
use crate::missing::{in_part, no_value};
use crate::options::{Missing, Options};
use crate::table::{Column, Places, Table, Values};
use std::path::Path;

/// Rows with missing cells still in them.
pub(super) trait Rows: Send {
    /// Some further rows, at least one and at most `rows`, none at the end. `used` bytes of what a batch may take are taken.
    fn read(&mut self, rows: usize, used: u64) -> Result<Option<Table>>;

    fn restart(&mut self) -> Result<()>;
}

/// Room for the levels of all columns: a quarter of what a batch may take.
pub(super) fn room_for_levels(options: &Options) -> u64 {
    options.max_bytes / 4
}

/// A table whose columns are known.
pub(super) struct Tables<R> {
    reader: R,
    schema: Schema,
    rows: u64,
    missing: Missing,
    target: Option<String>,
    means: Vec<Option<f64>>,
}

impl<R: Rows> Tables<R> {
    /// `columns` are without cells; `rows` are those left of a pass, `facts` about all of them.
    pub(super) fn new(
        path: &Path,
        reader: R,
        (format, columns): (String, &[Column]),
        rows: u64,
        facts: Vec<Facts>,
        options: &Options,
    ) -> Result<Self> {
        let (mut fields, mut means) = (Vec::new(), Vec::new());
        for (column, facts) in columns.iter().zip(facts) {
            let number = matches!(column.values, Values::Number(_));
            let mean = facts.mean.value();
            if number && facts.missing && mean.is_none() && options.missing == Missing::Mean {
                return Err(no_value(path, &column.name));
            }
            means.push(mean);
            let kind = if number { Kind::Number } else { Kind::Word(facts.levels.levels()) };
            fields.push(Field { name: column.name.clone(), kind });
        }
        let (missing, target) = (options.missing, options.target.clone());
        Ok(Self { reader, schema: Schema::Table { format, fields }, rows, missing, target, means })
    }
}

impl<R: Rows> Source for Tables<R> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn rows(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn next(&mut self, rows: usize) -> Result<Option<Chunk>> {
        let (mut batch, mut used) = (None, 0u64);
        let mut left = rows;
        while left > 0 {
            let Some(mut part) = self.reader.read(left, used)? else { break };
            in_part(&mut part, self.missing, self.target.as_deref(), &self.means)?;
            left = left.saturating_sub(part.rows());
            used += bytes_of(&part);
            match &mut batch {
                _ if part.rows() == 0 => {}
                None => batch = Some(part),
                Some(batch) => append(batch, part),
            }
        }
        Ok(batch.map(Chunk::Table))
    }

    fn restart(&mut self) -> Result<()> {
        self.reader.restart()
    }
}

/// Memory that the cells take.
fn bytes_of(table: &Table) -> u64 {
    let column = |column: &Column| match &column.values {
        Values::Number(values) => 8 * values.len() as u64,
        Values::Text(cells) => cells.iter().map(|cell| 24 + cell.len() as u64).sum(),
    };
    table.columns.iter().map(column).sum()
}

/// Adds the rows of `part`, a table of the same columns.
fn append(table: &mut Table, part: Table) {
    for row in 0..part.rows {
        table.places.push(table.rows + row, part.places.get(row));
    }
    table.rows += part.rows;
    for (column, more) in table.columns.iter_mut().zip(part.columns) {
        match (&mut column.values, more.values) {
            (Values::Number(values), Values::Number(more)) => values.extend(more),
            (Values::Text(cells), Values::Text(more)) => cells.extend(more),
            // The kinds of columns are fixed when a reader is opened.
            _ => {}
        }
    }
}

/// A table of `columns`, of which the first row stands at `first`.
pub(super) fn part(path: &Path, format: &str, columns: Vec<Column>, places: Places, noun: &'static str) -> Table {
    let rows = columns.first().map_or(0, Column::len);
    Table { source: path.display().to_string(), format: format.into(), columns, rows, places, noun }
}
