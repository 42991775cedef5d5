//! Delimited text: a first pass that finds the kinds of the columns, then rows of these kinds.

use super::survey::Facts;
use super::tables::{Rows, Tables, part, room_for_levels};
use crate::csv::cell::{self, Cell, Commas};
use crate::csv::records::{Records, sniff_delimiter};
use crate::csv::{Budget, format_name, no_rows};
use crate::error::{Error, Result};
use crate::input::Input;
use crate::missing::{describe, no_row_left};
use crate::options::{Missing, Options};
use crate::table::{Column, Places, Table, Values};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

type Text = Records<Box<dyn Read + Send>>;

/// What the cells of a column have been so far.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Seen {
    Nothing,
    Numbers,
    /// Words, the first of them after nothing but missing cells.
    Words,
    /// Words, the first of them after numbers: which are words too, unseen.
    LateWords,
}

/// A column in the first pass.
struct Surveyed {
    seen: Seen,
    facts: Facts,
    commas: Commas,
    /// Line of the first missing cell.
    missing: Option<u64>,
    /// Line and value of the first number that is not finite.
    infinite: Option<(u64, f64)>,
}

impl Surveyed {
    fn new() -> Self {
        let (seen, facts, commas) = (Seen::Nothing, Facts::default(), Commas::default());
        Self { seen, facts, commas, missing: None, infinite: None }
    }

    /// Takes in the cell on line `line`.
    fn add(&mut self, cell: &str, line: u64, rules: Rules, room: &mut u64) {
        let numeric = matches!(self.seen, Seen::Nothing | Seen::Numbers);
        if numeric && rules.missing != Missing::Mean && cell::is_plain_number(cell.trim_ascii()) {
            self.seen = Seen::Numbers;
            return;
        }
        match cell::parse(cell) {
            Cell::Missing => {
                self.missing.get_or_insert(line);
                self.facts.add_word("", rules.missing, room);
            }
            Cell::Number(value) if numeric => {
                self.seen = Seen::Numbers;
                self.facts.mean.add(value);
                if !value.is_finite() {
                    self.infinite.get_or_insert((line, value));
                }
            }
            // As written, since the column is one of words.
            Cell::Number(_) => self.facts.add_word(cell::word(cell), rules.missing, room),
            Cell::Word(word) => {
                match self.seen {
                    Seen::Nothing => self.seen = Seen::Words,
                    Seen::Numbers => self.seen = Seen::LateWords,
                    Seen::Words | Seen::LateWords => {}
                }
                if rules.delimiter == b';' {
                    self.commas.see(word);
                }
                self.facts.add_word(word, rules.missing, room);
            }
        }
    }

    fn is_words(&self) -> bool {
        matches!(self.seen, Seen::Words | Seen::LateWords)
    }

    /// Line and words of the first cell that is missing or no finite number.
    fn first_bad(&self) -> Option<(u64, f64)> {
        let missing = self.missing.map(|line| (line, f64::NAN));
        let infinite = self.infinite.filter(|_| !self.is_words());
        missing.into_iter().chain(infinite).min_by_key(|&(line, _)| line)
    }
}

/// By what cells are judged.
#[derive(Clone, Copy)]
struct Rules {
    delimiter: u8,
    missing: Missing,
}

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
    let mut facts: Vec<Facts> = surveyed.into_iter().map(with_infinite).collect();
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

fn with_infinite(column: Surveyed) -> Facts {
    Facts { missing: column.first_bad().is_some(), ..column.facts }
}

/// The errors of the whole table: decimal commas, then the first missing cell of all columns or of the target.
fn refuse(path: &Path, names: &[String], surveyed: &[Surveyed], options: &Options) -> Result<()> {
    names.iter().zip(surveyed).try_for_each(|(name, column)| column.commas.refuse(path, name))?;
    let refused = |name: &String| match options.missing {
        Missing::Refuse => true,
        Missing::Mean => options.target.as_ref() == Some(name),
        Missing::Drop | Missing::Keep => false,
    };
    let columns = names.iter().zip(surveyed).filter(|(name, _)| refused(name));
    let bad = columns.filter_map(|(name, column)| Some((column.first_bad()?, name)));
    let Some(((line, value), name)) = bad.min_by_key(|&((line, _), _)| line) else { return Ok(()) };
    let (file, row, column) = (path.into(), format!("line {line}"), name.clone());
    Err(Error::Missing { file, row, column, found: describe(value) })
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
