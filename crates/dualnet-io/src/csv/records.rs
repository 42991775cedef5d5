//! Rows of delimited text, one at a time, with the lines on which they stand.

use crate::error::{Error, Result};
use crate::input::Input;
use crate::table::check_names;
use ::csv::{ByteRecord, Reader, ReaderBuilder, StringRecord, Terminator};
use flate2::Crc;
use std::io::{self, Chain, Read};
use std::path::{Path, PathBuf};

/// Bytes looked at to find the delimiter.
const SAMPLE: u64 = 1 << 16;

/// Longest row read, line ends and blank lines before it included. A quote that is never closed would otherwise take the
/// rest of the file for one cell.
const LONGEST: u64 = 1 << 26;

/// Delimiters in the order of preference, with their names in messages.
const DELIMITERS: [(u8, &str); 4] = [(b',', "commas"), (b'\t', "tabs"), (b';', "semicolons"), (b'|', "bars")];

/// The rows below a header.
pub(crate) struct Records<R> {
    path: PathBuf,
    reader: Reader<Chain<Fence<R>, &'static [u8]>>,
    names: Vec<String>,
    /// The last row, kept for its memory.
    record: Option<StringRecord>,
    longest: u64,
}

impl<R: Read> Records<R> {
    /// Reads the header of `content`. A row may take `limit` bytes, as far as that is a sensible length of a row.
    pub(crate) fn new(path: &Path, content: R, delimiter: u8, limit: u64) -> Result<Self> {
        let longest = limit.clamp(SAMPLE, LONGEST);
        let content = Fence { inner: content, given: 0, fence: longest, crc: Crc::new() };
        // The last line gets a line feed in case it has none.
        let reader = reader(content.chain(&b"\n"[..]), delimiter);
        let mut records = Self { path: path.into(), reader, names: Vec::new(), record: None, longest };
        let mut record = ByteRecord::new();
        let found = records.read(&mut record)?;
        records.names = header(path, found.then_some(&record))?;
        Ok(records)
    }

    /// The names of the columns.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The next row, of as many cells as the header, and the line on which it begins.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &StringRecord)>> {
        let mut record = self.record.take().map_or_else(ByteRecord::new, StringRecord::into_byte_record);
        if !self.read(&mut record)? {
            return Ok(None);
        }
        let (line, width) = (line_of(&self.reader, &record), self.names.len());
        if record.len() != width {
            let (expected, found) = (format!("{width} cells as in the header"), record.len().to_string());
            let hint = "quote cells that hold the delimiter, and close every quote";
            return Err(Error::malformed(&self.path, format!("line {line}"), expected, found, hint));
        }
        let record = StringRecord::from_byte_record(record).map_err(|e| {
            let name = self.names.get(e.utf8_error().field()).map_or("", String::as_str);
            not_utf8(&self.path, line, name)
        })?;
        Ok(Some((line, self.record.insert(record))))
    }

    /// CRC-32 of the bytes read: of the whole content once the rows have come to their end.
    pub(crate) fn checksum(&self) -> u32 {
        self.reader.get_ref().get_ref().0.crc.sum()
    }

    fn read(&mut self, record: &mut ByteRecord) -> Result<bool> {
        let from = self.reader.position().clone();
        self.reader.get_mut().get_mut().0.fence = from.byte().saturating_add(self.longest);
        loop {
            let more = self.reader.read_byte_record(record).map_err(|e| match e.into_kind() {
                ::csv::ErrorKind::Io(e) if e.get_ref().is_some_and(|inner| inner.is::<Fenced>()) => {
                    let expected = format!("a row of at most {} bytes", self.longest);
                    let hint = "close every quote";
                    Error::malformed(&self.path, format!("line {}", from.line()), expected, "a longer one", hint)
                }
                ::csv::ErrorKind::Io(e) => Error::read(&self.path, "read", &e),
                other => {
                    Error::malformed(&self.path, "the text", "rows of cells", format!("{other:?}"), "check the file")
                }
            })?;
            // The csv crate skips empty lines, but not those with a carriage return.
            if !more || record.len() != 1 || record.as_slice() != b"\r" {
                return Ok(more);
            }
        }
    }
}

/// A reader that fails at a fence, which moves on with every row, and sums up what it has given.
struct Fence<R> {
    inner: R,
    given: u64,
    fence: u64,
    crc: Crc,
}

impl<R: Read> Read for Fence<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.fence.saturating_sub(self.given).min(buffer.len() as u64) as usize;
        if room == 0 && !buffer.is_empty() {
            // At the fence the content may also be at its end.
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::other(Fenced)),
            };
        }
        let count = self.inner.read(&mut buffer[..room])?;
        self.given += count as u64;
        self.crc.update(&buffer[..count]);
        Ok(count)
    }
}

/// Carried inside an [`io::Error`] by a [`Fence`].
#[derive(Debug, thiserror::Error)]
#[error("a row that is too long")]
struct Fenced;

/// Rows end at line feeds; carriage returns before them are trimmed with the cells, so that lines are counted the same way
/// for both line ends.
fn reader<R: Read>(content: R, delimiter: u8) -> Reader<R> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .terminator(Terminator::Any(b'\n'))
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(1 << 16)
        .from_reader(content)
}

/// The line on which `record`, just read, begins. The record's own position is that before skipped empty lines, so count
/// back from the line the reader has come to: one line end after the record, and those inside its quotes.
fn line_of<R: Read>(reader: &Reader<R>, record: &ByteRecord) -> u64 {
    let before = record.position().map_or(1, ::csv::Position::line);
    let after = reader.position().line();
    if after == before + 1 {
        return before;
    }
    let inside = record.as_slice().iter().filter(|&&b| b == b'\n').count() as u64;
    before.max(after.saturating_sub(inside + 1))
}

/// The names of the columns.
fn header(path: &Path, record: Option<&ByteRecord>) -> Result<Vec<String>> {
    // A byte order mark followed by nothing is an empty record, not a header.
    let Some(record) = record.filter(|record| record.len() != 1 || !record.as_slice().is_empty()) else {
        return Err(Error::malformed(path, "line 1", "column names", "an empty file", "check the file"));
    };
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

/// The delimiter under which the first rows have the most equal numbers of cells, more than one of them, and its name.
pub(crate) fn sniff_delimiter(input: &Input) -> Result<(u8, &'static str)> {
    let mut sample = input.head(SAMPLE)?;
    if sample.len() as u64 == SAMPLE
        && let Some(end) = sample.iter().rposition(|&b| b == b'\n')
    {
        sample.truncate(end);
    }
    let score = |delimiter: u8| -> (usize, usize) {
        let mut reader = reader(sample.chain(&b"\n"[..]), delimiter);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, longest: u64) -> Result<Vec<u64>> {
        let mut records = Records::new(Path::new("t"), text.as_bytes(), b',', longest)?;
        let mut lines = Vec::new();
        while let Some((line, _)) = records.next()? {
            lines.push(line);
        }
        Ok(lines)
    }

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
        let lines = |text| lines(text, 1 << 20).unwrap();
        assert_eq!(lines("a,b\n1,2\n3,4"), [2, 3]);
        assert_eq!(lines("a,b\n1,2\n3,4\n"), [2, 3]);
        assert_eq!(lines("a,b\r\n1,2\r\n3,4\r\n"), [2, 3]);
        assert_eq!(lines("a,b\n\n\n1,2\n3,4\n"), [4, 5]);
        assert_eq!(lines("a,b\r\n\r\n1,2\r\n3,4"), [3, 4]);
        assert_eq!(lines("a,\"b\nc\"\n1,2\n3,\"4\n\n\"\n5,6"), [3, 4, 7]);
        assert_eq!(lines("\na,b\n1,2\n\n"), [3]);
    }

    #[test]
    fn a_row_that_does_not_end_is_not_read_to_its_end() {
        let cell = "x".repeat(30_000);
        let text = format!("a,b\n{cell},{cell}\n").repeat(4);
        assert_eq!(lines(&text, 0).unwrap().len(), 7, "rows of less than 64 KiB");
        let open = format!("a,b\n1,2\n3,\"{}", cell.repeat(3));
        let error = lines(&open, 0).unwrap_err().to_string();
        assert_eq!(error, "t: line 3: expected a row of at most 65536 bytes, found a longer one; close every quote");
        let exact = format!("a\n{}\n", "x".repeat((1 << 16) - 1));
        assert_eq!(lines(&exact, 0).unwrap(), [2]);
        assert!(lines(&exact.replacen('x', "xx", 1), 0).is_err());
    }
}
