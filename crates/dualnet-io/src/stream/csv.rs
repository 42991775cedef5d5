//! Delimited text: a first pass that finds the kinds of the columns, then rows of these kinds.

use super::csv_survey::{Rules, Seen, Surveyed, refuse};
use super::survey::Facts;
use super::tables::{Rows, Tables, part, room_for_levels};
use crate::csv::cell::{self, Cell};
use crate::csv::records::{Records, sniff_delimiter};
use crate::csv::{Budget, format_name, no_rows};
use crate::error::{Error, Result};
use crate::input::Input;
use crate::missing::no_row_left;
use crate::options::{Missing, Options};
use crate::table::{Column, Places, Table, Values};
use std::io::Read;
use std::sync::Arc;

type Text = Records<Box<dyn Read + Send>>;

/// Surveys the text, then opens it for reading.
pub(super) fn open(input: &Arc<Input>, options: &Options) -> Result<Tables<CsvRows>> {
    let path = input.path();
    let (delimiter, delimiter_name) = sniff_delimiter(input)?;
    let rules = Rules { delimiter, missing: options.missing };
    let mut room = room_for_levels(options);
    let mut records = Records::new(path, input.open_stream()?, delimiter, options.max_bytes)?;
    let names = records.names().to_vec();
    let mut surveyed: Vec<Surveyed> = names.iter().map(|_| Surveyed::new()).collect();
    let mut rows = 0;
    while let Some((line, record)) = records.next()? {
        surveyed.iter_mut().zip(record).for_each(|(column, cell)| column.add(cell, line, rules, &mut room));
        rows += 1;
    }
    if rows == 0 {
        return Err(no_rows(path));
    }
    refuse(path, &names, &surveyed, options)?;
    let columns = names.into_iter().zip(&surveyed).map(|(name, column)| {
        let values = if column.is_words() { Values::Text(Vec::new()) } else { Values::Number(Vec::new()) };
        Column { name, values }
    });
    let pass = Pass { rows, checksum: records.checksum() };
    let columns: Vec<Column> = columns.collect();
    let format = format_name(delimiter_name);
    let mut reader = CsvRows {
        input: Arc::clone(input),
        rules,
        limit: options.max_bytes,
        format: format.clone(),
        columns,
        records,
        read: 0,
        pass,
    };
    let late = surveyed.iter().any(|column| column.seen == Seen::LateWords);
    let dropped = options.missing == Missing::Drop && surveyed.iter().any(|column| column.first_bad().is_some());
    let mut facts: Vec<Facts> = surveyed.into_iter().map(Surveyed::facts).collect();
    let mut left = rows;
    if late || dropped {
        (facts, left) = reader.recount(facts, room_for_levels(options))?;
    }
    if left == 0 {
        return Err(no_row_left(path));
    }
    reader.restart()?;
    let columns = reader.columns.clone();
    Tables::new(path, reader, (format, &columns), left, facts, options)
}

/// What every pass over the text has to come to.
#[derive(Debug, Clone, Copy)]
struct Pass {
    rows: u64,
    checksum: u32,
}

/// Rows of columns of known kinds.
pub(super) struct CsvRows {
    input: Arc<Input>,
    rules: Rules,
    limit: u64,
    format: String,
    /// The columns, without cells.
    columns: Vec<Column>,
    records: Text,
    read: u64,
    pass: Pass,
}

impl CsvRows {
    /// Goes through all rows once more, now that the kinds of the columns are known: the levels of columns whose words came
    /// late, and without the rows to be dropped. Returns the number of rows left.
    fn recount(&mut self, old: Vec<Facts>, mut room: u64) -> Result<(Vec<Facts>, u64)> {
        let missing = self.rules.missing;
        let mut facts: Vec<Facts> =
            old.into_iter().map(|facts| Facts { levels: Default::default(), ..facts }).collect();
        let is_word: Vec<bool> = self.columns.iter().map(|c| matches!(c.values, Values::Text(_))).collect();
        self.restart()?;
        let mut left = 0;
        while let Some((_, record)) = self.records.next()? {
            self.read += 1;
            let is_missing = |(cell, &is_word): (&str, &bool)| match cell::parse(cell) {
                Cell::Missing => true,
                Cell::Number(value) => !is_word && !value.is_finite(),
                Cell::Word(_) => false,
            };
            if missing == Missing::Drop && record.iter().zip(&is_word).any(is_missing) {
                continue;
            }
            left += 1;
            for ((cell, facts), _) in record.iter().zip(&mut facts).zip(&is_word).filter(|&(_, &is_word)| is_word) {
                facts.add_word(cell::word(cell), missing, &mut room);
            }
        }
        self.check_end()?;
        Ok((facts, left))
    }

    /// The text at its end must be that of the first pass.
    fn check_end(&self) -> Result<()> {
        let (path, first) = (self.input.path(), self.pass);
        if self.read != first.rows {
            return Err(Error::changed(path, format!("{} rows", first.rows), self.read.to_string()));
        }
        if self.records.checksum() != first.checksum {
            return Err(Error::changed(path, "the text as at the beginning", "other text"));
        }
        Ok(())
    }
}

impl Rows for CsvRows {
    fn read(&mut self, rows: usize, used: u64) -> Result<Option<Table>> {
        let path = self.input.path();
        let mut budget = Budget { path, at: "a batch", used, limit: self.limit };
        let mut columns = self.columns.clone();
        let room = (rows as u64).min(self.pass.rows.saturating_sub(self.read));
        if room.saturating_mul(8 * columns.len() as u64) <= self.limit {
            columns.iter_mut().for_each(|column| column.reserve(room as usize));
        }
        let mut places = Places::From(0);
        let mut read = 0;
        while read < rows {
            let Some((line, record)) = self.records.next()? else { break };
            if read == 0 {
                places = Places::From(line);
            }
            places.push(read, line);
            budget.add(8 * columns.len() as u64)?;
            for (column, cell) in columns.iter_mut().zip(record) {
                match &mut column.values {
                    Values::Number(values) => match cell::parse(cell) {
                        Cell::Number(value) => values.push(value),
                        Cell::Missing => values.push(f64::NAN),
                        Cell::Word(word) => {
                            let found = format!("{word:?} on line {line}, column {}", column.name);
                            return Err(Error::changed(path, "the number that stood there before", found));
                        }
                    },
                    Values::Text(cells) => {
                        let word = cell::word(cell);
                        budget.used += 16 + word.len() as u64;
                        cells.push(word.to_owned());
                    }
                }
            }
            budget.check()?;
            read += 1;
        }
        self.read += read as u64;
        if self.read > self.pass.rows || read < rows {
            self.check_end()?;
        }
        if read == 0 {
            return Ok(None);
        }
        Ok(Some(part(path, &self.format, columns, places, "line")))
    }

    fn restart(&mut self) -> Result<()> {
        let (input, limit) = (&self.input, self.limit);
        let records = Records::new(input.path(), input.open_stream()?, self.rules.delimiter, limit)?;
        let names = self.columns.iter().map(|column| &column.name);
        if !records.names().iter().eq(names) {
            return Err(Error::changed(input.path(), "the names of the columns as before", "others"));
        }
        (self.records, self.read) = (records, 0);
        Ok(())
    }
}
