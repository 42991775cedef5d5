//! Delimited text: a header line, then rows; comma, tab, semicolon or bar, found out from the text; quotes, a byte order
//! mark and all line ends are understood.

pub(crate) mod cell;
pub(crate) mod records;

use crate::error::{Error, Result};
use crate::input::Input;
use crate::table::{Column, Places, Table, Values};
use cell::{Cell, Commas};
use records::{Records, sniff_delimiter};
use std::path::Path;

/// A column being read: numbers until a cell is found that is none.
enum Building {
    Number {
        values: Vec<f64>,
        present: bool,
    },
    Text(Vec<String>),
    /// Numbers came before the first text: read again as text from the beginning.
    Again,
}

/// Reads delimited text, with missing and non-finite cells still in it.
///
/// Cost: one pass, a second one for columns whose first text comes after numbers. Memory: 8 bytes a number, 24 and its
/// length a text cell.
pub(crate) fn from_input(input: &Input) -> Result<Table> {
    let path = input.path();
    let (delimiter, delimiter_name) = sniff_delimiter(input)?;
    let mut records = Records::new(path, input.open()?, delimiter, input.limit())?;
    let names = records.names().to_vec();
    let mut columns: Vec<Building> =
        names.iter().map(|_| Building::Number { values: Vec::new(), present: false }).collect();
    let mut places = Places::From(2);
    let mut budget = Budget { path, at: "the table", used: 0, limit: input.limit() };
    let mut rows = 0;
    while let Some((line, record)) = records.next()? {
        places.push(rows, line);
        budget.add(8 * names.len() as u64)?;
        columns.iter_mut().zip(record).for_each(|(column, cell)| push(column, cell, rows, &mut budget));
        budget.check()?;
        rows += 1;
    }
    if rows == 0 {
        return Err(no_rows(path));
    }
    if columns.iter().any(|c| matches!(c, Building::Again)) {
        read_again(input, delimiter, rows, &mut columns, &mut budget)?;
    }
    let columns = columns.into_iter().zip(names).map(|(column, name)| match column {
        Building::Number { values, .. } => Column { name, values: Values::Number(values) },
        Building::Text(cells) => Column { name, values: Values::Text(cells) },
        Building::Again => Column { name, values: Values::Text(Vec::new()) },
    });
    let columns: Vec<Column> = columns.collect();
    if delimiter == b';' {
        refuse_decimal_commas(path, &columns)?;
    }
    let (source, format) = (path.display().to_string(), format_name(delimiter_name));
    Ok(Table { source, format, columns, rows, places, noun: "line" })
}

pub(crate) fn no_rows(path: &Path) -> Error {
    Error::malformed(path, "line 2", "a row of values", "the end of the file", "check the file")
}

pub(crate) fn format_name(delimiter_name: &str) -> String {
    format!("CSV, separated by {delimiter_name}")
}

fn push(column: &mut Building, cell: &str, row: usize, budget: &mut Budget<'_>) {
    if let Building::Number { values, present } = column {
        match cell::parse(cell) {
            Cell::Missing => return values.push(f64::NAN),
            Cell::Number(value) => {
                *present = true;
                return values.push(value);
            }
            Cell::Word(_) => {}
        }
        *column = if *present {
            Building::Again
        } else {
            budget.used += row as u64 * 16;
            Building::Text(vec![String::new(); row])
        };
    }
    if let Building::Text(cells) = column {
        let text = cell::word(cell);
        budget.used += 16 + text.len() as u64;
        cells.push(text.to_owned());
    }
}

/// Fills the columns marked [`Building::Again`] by a second pass.
fn read_again(
    input: &Input,
    delimiter: u8,
    rows: usize,
    columns: &mut [Building],
    budget: &mut Budget<'_>,
) -> Result<()> {
    let again: Vec<usize> = (0..columns.len()).filter(|&i| matches!(columns[i], Building::Again)).collect();
    for &index in &again {
        columns[index] = Building::Text(Vec::with_capacity(rows));
    }
    let path = input.path();
    let mut records = Records::new(path, input.open()?, delimiter, input.limit())?;
    let mut found = 0;
    while let Some((_, record)) = records.next()? {
        for &index in &again {
            push(&mut columns[index], record.get(index).unwrap_or_default(), found, budget);
        }
        budget.check()?;
        found += 1;
    }
    if found != rows {
        return Err(Error::changed(path, format!("{rows} rows"), found.to_string()));
    }
    Ok(())
}

fn refuse_decimal_commas(path: &Path, columns: &[Column]) -> Result<()> {
    for column in columns {
        let Values::Text(cells) = &column.values else { continue };
        let mut commas = Commas::default();
        let words = cells.iter().filter(|cell| matches!(cell::parse(cell), Cell::Word(_)));
        words
            .take_while(|word| {
                commas.see(word);
                commas != Commas::Not
            })
            .for_each(drop);
        commas.refuse(path, &column.name)?;
    }
    Ok(())
}

/// Counts the memory that a table takes while it grows.
pub(crate) struct Budget<'a> {
    pub(crate) path: &'a Path,
    /// What grows, in words for a message.
    pub(crate) at: &'static str,
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

impl Budget<'_> {
    pub(crate) fn add(&mut self, bytes: u64) -> Result<()> {
        self.used = self.used.saturating_add(bytes);
        self.check()
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.used <= self.limit {
            return Ok(());
        }
        let (file, at) = (self.path.into(), self.at.into());
        Err(Error::TooLarge { file, at, needed: self.used, limit: self.limit })
    }
}
