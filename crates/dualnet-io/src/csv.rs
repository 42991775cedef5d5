//! Delimited text: a header line, then rows; comma, tab, semicolon or bar, found out from the text; quotes, a byte order
//! mark and all line ends are understood.

use crate::error::{Error, Result};
use crate::input::Input;
use crate::missing::is_missing_token;
use crate::table::{Column, Places, Table, Values, check_names};
use ::csv::{ByteRecord, Reader, ReaderBuilder, Terminator};
use std::io::Read;
use std::path::Path;

/// Bytes looked at to find the delimiter.
const SAMPLE: u64 = 1 << 16;

/// Delimiters in the order of preference, with their names in messages.
const DELIMITERS: [(u8, &str); 4] = [(b',', "commas"), (b'\t', "tabs"), (b';', "semicolons"), (b'|', "bars")];

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
    let mut reader = reader(input.open()?, delimiter);
    let names = read_header(path, &mut reader)?;
    let mut columns: Vec<Building> =
        names.iter().map(|_| Building::Number { values: Vec::new(), present: false }).collect();
    let mut places = Places::From(2);
    let mut budget = Budget { path, used: 0, limit: input.limit() };
    let rows = for_each_row(path, &mut reader, names.len(), |row, line, record| {
        places.push(row, line);
        budget.add(8 * names.len() as u64)?;
        let cells = columns.iter_mut().zip(&names).zip(record.iter());
        for ((column, name), cell) in cells {
            push(column, cell.trim_ascii(), row, &mut budget).map_err(|()| not_utf8(path, line, name))?;
        }
        budget.check()
    })?;
    if rows == 0 {
        return Err(Error::malformed(path, "line 2", "a row of values", "the end of the file", "check the file"));
    }
    if columns.iter().any(|c| matches!(c, Building::Again)) {
        read_again(input, delimiter, &names, rows, &mut columns, &mut budget)?;
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
    let (source, format) = (path.display().to_string(), format!("CSV, separated by {delimiter_name}"));
    Ok(Table { source, format, columns, rows, places, noun: "line" })
}

/// Adds a cell; an error means that it is not UTF-8.
fn push(column: &mut Building, cell: &[u8], row: usize, budget: &mut Budget<'_>) -> std::result::Result<(), ()> {
    let text = std::str::from_utf8(cell).map_err(|_| ())?;
    if let Building::Number { values, present } = column {
        if is_missing_token(text) {
            values.push(f64::NAN);
            return Ok(());
        }
        if let Ok(value) = text.parse::<f64>() {
            *present = true;
            values.push(value);
            return Ok(());
        }
        *column = if *present {
            Building::Again
        } else {
            budget.used += row as u64 * 16;
            Building::Text(vec![String::new(); row])
        };
    }
    if let Building::Text(cells) = column {
        let text = if is_missing_token(text) { "" } else { text };
        budget.used += 16 + text.len() as u64;
        cells.push(text.to_owned());
    }
    Ok(())
}

/// Fills the columns marked [`Building::Again`] by a second pass.
fn read_again(
    input: &Input,
    delimiter: u8,
    names: &[String],
    rows: usize,
    columns: &mut [Building],
    budget: &mut Budget<'_>,
) -> Result<()> {
    let again: Vec<usize> = (0..columns.len()).filter(|&i| matches!(columns[i], Building::Again)).collect();
    for &index in &again {
        columns[index] = Building::Text(Vec::with_capacity(rows));
    }
    let path = input.path();
    let mut reader = reader(input.open()?, delimiter);
    read_header(path, &mut reader)?;
    let found = for_each_row(path, &mut reader, names.len(), |row, line, record| {
        for &index in &again {
            let cell = record.get(index).unwrap_or_default().trim_ascii();
            push(&mut columns[index], cell, row, budget).map_err(|()| not_utf8(path, line, &names[index]))?;
        }
        budget.check()
    })?;
    if found != rows {
        return Err(Error::malformed(path, "the file", format!("{rows} rows"), found.to_string(), changed()));
    }
    Ok(())
}

fn changed() -> &'static str {
    "the file changed while it was read: try again"
}

/// A reader of `content`. Rows end at line feeds; carriage returns before them are trimmed with the cells, so that lines
/// are counted the same way for both line ends. The last line gets a line feed in case it has none.
fn reader<R: Read>(content: R, delimiter: u8) -> Reader<impl Read> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .terminator(Terminator::Any(b'\n'))
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(1 << 16)
        .from_reader(content.chain(&b"\n"[..]))
}

/// Calls `each` with the row number from 0, the line it begins at, and the cells; returns the number of rows.
fn for_each_row<R: Read>(
    path: &Path,
    reader: &mut Reader<R>,
    width: usize,
    mut each: impl FnMut(usize, u64, &ByteRecord) -> Result<()>,
) -> Result<usize> {
    let mut record = ByteRecord::new();
    let mut rows = 0;
    while read_record(path, reader, &mut record)? {
        let line = line_of(reader, &record);
        if record.len() != width {
            let (expected, found) = (format!("{width} cells as in the header"), record.len().to_string());
            let hint = "quote cells that hold the delimiter, and close every quote";
            return Err(Error::malformed(path, format!("line {line}"), expected, found, hint));
        }
        each(rows, line, &record)?;
        rows += 1;
    }
    Ok(rows)
}

fn read_record<R: Read>(path: &Path, reader: &mut Reader<R>, record: &mut ByteRecord) -> Result<bool> {
    loop {
        let more = reader.read_byte_record(record).map_err(|e| match e.into_kind() {
            ::csv::ErrorKind::Io(e) => Error::read(path, "read", &e),
            other => Error::malformed(path, "the text", "rows of cells", format!("{other:?}"), "check the file"),
        })?;
        // The csv crate skips empty lines, but not those with a carriage return.
        if !more || record.len() != 1 || record.as_slice() != b"\r" {
            return Ok(more);
        }
    }
}

/// The line on which `record`, just read, begins. The record's own position is that before skipped empty lines, so count
/// back from the line the reader has come to: one line end after the record, and those inside its quotes.
fn line_of<R: Read>(reader: &Reader<R>, record: &ByteRecord) -> u64 {
    let inside = record.as_slice().iter().filter(|&&b| b == b'\n').count() as u64;
    let before = record.position().map_or(1, ::csv::Position::line);
    before.max(reader.position().line().saturating_sub(inside + 1))
}

/// The names of the columns.
fn read_header<R: Read>(path: &Path, reader: &mut Reader<R>) -> Result<Vec<String>> {
    let mut record = ByteRecord::new();
    let mut found = read_record(path, reader, &mut record)?;
    // A byte order mark followed by nothing is an empty record, not a header.
    if found && record.len() == 1 && record.as_slice().is_empty() {
        found = false;
    }
    if !found {
        return Err(Error::malformed(path, "line 1", "column names", "an empty file", "check the file"));
    }
    let mut names = Vec::with_capacity(record.len());
    for (index, cell) in record.iter().enumerate() {
        let name = std::str::from_utf8(cell).map_err(|_| not_utf8(path, 1, &(index + 1).to_string()))?;
        names.push(name.trim().to_owned());
    }
    if looks_like_data(&names) {
        let found = format!("the values {}", names.iter().take(4).cloned().collect::<Vec<_>>().join(", "));
        let hint = "put a line with the names of the columns before the first row";
        return Err(Error::malformed(path, "line 1", "column names", found, hint));
    }
    check_names(path, "line 1", names.iter().map(String::as_str))?;
    Ok(names)
}

/// True if at least half of the cells are numbers, unless these count up by one: pandas names columns 0, 1, 2 …, and
/// tables of years have years as names.
fn looks_like_data(cells: &[String]) -> bool {
    let numbers: Vec<f64> = cells.iter().filter_map(|cell| cell.parse().ok()).collect();
    let counting = numbers.len() > 1 && numbers.windows(2).all(|w| w[1] == w[0] + 1.0);
    2 * numbers.len() >= cells.len() && !numbers.is_empty() && !counting
}

fn not_utf8(path: &Path, line: u64, column: &str) -> Error {
    let hint = "save the file as UTF-8 (iconv -f latin1 -t utf-8)";
    Error::malformed(path, format!("line {line}, column {column}"), "UTF-8 text", "other bytes", hint)
}

/// The delimiter under which the first rows have the most equal numbers of cells, more than one of them.
fn sniff_delimiter(input: &Input) -> Result<(u8, &'static str)> {
    let mut sample = input.head(SAMPLE)?;
    if sample.len() as u64 == SAMPLE
        && let Some(end) = sample.iter().rposition(|&b| b == b'\n')
    {
        sample.truncate(end);
    }
    let score = |delimiter: u8| -> (usize, usize) {
        let mut reader = reader(sample.as_slice(), delimiter);
        let widths: Vec<usize> = reader.byte_records().take(50).map_while(|r| Some(r.ok()?.len())).collect();
        match widths.first() {
            Some(&width) if width > 1 => (100 * widths.iter().filter(|&&w| w == width).count() / widths.len(), width),
            _ => (0, 0),
        }
    };
    // The first of the best: max_by_key takes the last, hence the reversal.
    let best = DELIMITERS.iter().rev().max_by_key(|&&(delimiter, _)| score(delimiter));
    Ok(*best.unwrap_or(&DELIMITERS[0]))
}

/// Files with semicolons often write 1,5 for 1.5; taken as text, each number would become a level.
fn refuse_decimal_commas(path: &Path, columns: &[Column]) -> Result<()> {
    let is_number = |cell: &str| cell.matches(',').count() == 1 && cell.replace(',', ".").parse::<f64>().is_ok();
    for column in columns {
        let Values::Text(cells) = &column.values else { continue };
        let mut present = cells.iter().filter(|cell| !cell.is_empty() && cell.parse::<f64>().is_err()).peekable();
        if let Some(first) = present.peek().map(|cell| (*cell).clone())
            && present.all(|cell| is_number(cell))
        {
            let hint = "write numbers with points (sed 's/,/./g' where the comma has no other use)";
            let at = format!("column {}", column.name);
            return Err(Error::malformed(path, at, "numbers with a decimal point", first, hint));
        }
    }
    Ok(())
}

/// Counts the memory that a table takes while it grows.
struct Budget<'a> {
    path: &'a Path,
    used: u64,
    limit: u64,
}

impl Budget<'_> {
    fn add(&mut self, bytes: u64) -> Result<()> {
        self.used = self.used.saturating_add(bytes);
        self.check()
    }

    fn check(&self) -> Result<()> {
        if self.used <= self.limit {
            return Ok(());
        }
        let (file, at) = (self.path.into(), "the table".into());
        Err(Error::TooLarge { file, at, needed: self.used, limit: self.limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_data_are_told_apart() {
        let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert!(looks_like_data(&cells("5.1,3.5,1.4,0.2,setosa")));
        assert!(looks_like_data(&cells("7")));
        assert!(!looks_like_data(&cells("0,1,2,3")));
        assert!(!looks_like_data(&cells("country,1990,1991,1992")));
        assert!(!looks_like_data(&cells("a,b,2")));
    }

    #[test]
    fn lines_are_those_a_person_counts() {
        let lines = |text: &str| {
            let mut reader = reader(text.as_bytes(), b',');
            let mut lines = Vec::new();
            for_each_row(Path::new("t"), &mut reader, 2, |_, line, _| {
                lines.push(line);
                Ok(())
            })
            .unwrap();
            lines
        };
        assert_eq!(lines("a,b\n1,2\n3,4"), [1, 2, 3]);
        assert_eq!(lines("a,b\n1,2\n3,4\n"), [1, 2, 3]);
        assert_eq!(lines("a,b\r\n1,2\r\n3,4\r\n"), [1, 2, 3]);
        assert_eq!(lines("a,b\n\n\n1,2\n3,4\n"), [1, 4, 5]);
        assert_eq!(lines("a,b\r\n\r\n1,2\r\n3,4"), [1, 3, 4]);
        assert_eq!(lines("a,\"b\nc\"\n1,2\n3,\"4\n\n\"\n5,6"), [1, 3, 4, 7]);
        assert_eq!(lines("\na,b\n1,2\n\n"), [2, 3]);
    }
}
