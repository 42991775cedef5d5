//! svmlight text: a row a line, `label column:value column:value ... # comment`, columns increasing. (Joachims' SVMlight; libsvm.)

use super::{Base, Sparse, SparseOptions, check_size};
use crate::error::{Error, Result};
use crate::input::Input;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Longest line read.
const LONGEST: u64 = 1 << 26;

pub(super) fn read(input: &Input, options: &SparseOptions) -> Result<Sparse> {
    let path = input.path();
    let mut reader = BufReader::with_capacity(1 << 16, input.open()?);
    let mut rows = Rows { indptr: vec![0], indices: Vec::new(), values: Vec::new(), labels: Vec::new() };
    let longest = LONGEST.min(options.max_bytes.max(1 << 10));
    let (mut bytes, mut number) = (Vec::new(), 0);
    loop {
        bytes.clear();
        number += 1;
        let line = Line { path, number };
        let taken = (&mut reader).take(longest + 1).read_until(b'\n', &mut bytes);
        let count = taken.map_err(|e| Error::read(path, "read", &e))? as u64;
        if count == 0 {
            return rows.finish(path, options);
        }
        if count > longest {
            return Err(line.wrong(0, &format!("a line of at most {longest} bytes"), "a longer one".into()));
        }
        let content = bytes.split(|&b| b == b'#').next().unwrap_or_default();
        rows.push(&line, content)?;
        check_size(path, rows.labels.len(), rows.values.len(), options.max_bytes)?;
    }
}

/// Whether the first row of `head` is one of svmlight text; a label alone is one where the file is `named` so.
pub(super) fn looks_like(head: &[u8], named: bool) -> bool {
    let rows = head.split(|&b| b == b'\n').map(|line| line.split(|&b| b == b'#').next().unwrap_or_default());
    let Some(row) = rows.map(words).find_map(|mut words| words.next().map(|label| (label, words.next()))) else {
        return named;
    };
    let ((_, label), first) = row;
    let entry = first.map_or(named, |(_, word)| {
        let digits = word.iter().take_while(|b| b.is_ascii_digit()).count();
        (digits > 0 && word.get(digits) == Some(&b':')) || word.starts_with(b"qid:")
    });
    number(label).is_some() && entry
}

/// Where a line stands, for messages.
struct Line<'a> {
    path: &'a Path,
    number: u64,
}

impl Line<'_> {
    /// Something wrong at byte `at` of the line, counted from 0.
    fn wrong(&self, at: usize, expected: &str, found: String) -> Error {
        let place = format!("line {}, column {}", self.number, at + 1);
        Error::malformed(self.path, place, expected, found, "each line is: label column:value column:value ...")
    }
    fn unsupported(&self, at: usize, found: &str, hint: &str) -> Error {
        Error::unsupported(self.path, format!("line {}, column {}", self.number, at + 1), found, hint)
    }
}

struct Rows {
    indptr: Vec<usize>,
    /// As they stand in the file.
    indices: Vec<u32>,
    values: Vec<f64>,
    labels: Vec<f64>,
}

impl Rows {
    /// Takes in a line without its comment; one of blanks alone is none.
    fn push(&mut self, line: &Line<'_>, content: &[u8]) -> Result<()> {
        let mut words = words(content);
        let Some((at, word)) = words.next() else { return Ok(()) };
        if word.contains(&b',') {
            return Err(line.unsupported(at, "a list of labels", "give each row one label"));
        }
        let label = number(word).ok_or_else(|| line.wrong(at, "a label that is a finite number", shown(word)))?;
        let first = self.indices.len();
        for (at, word) in words {
            let (column, value) = pair(line, at, word)?;
            if let Some(&last) = self.indices[first..].last().filter(|&&last| last >= column) {
                return Err(line.wrong(at, &format!("a column after {last}"), column.to_string()));
            }
            self.indices.push(column);
            self.values.push(value);
        }
        self.labels.push(label);
        self.indptr.push(self.indices.len());
        Ok(())
    }

    fn finish(mut self, path: &Path, options: &SparseOptions) -> Result<Sparse> {
        if self.labels.is_empty() {
            return Err(Error::malformed(
                path,
                "the text",
                "at least one row",
                "the end of the file",
                "check the file",
            ));
        }
        let (lowest, highest) = (self.indices.iter().min().copied(), self.indices.iter().max().copied());
        let from = match options.base {
            Base::Zero => 0,
            Base::One => 1,
            Base::Auto => u32::from(lowest.is_some_and(|lowest| lowest > 0)),
        };
        if from == 1 && lowest == Some(0) {
            let hint = "columns are counted from 0 here: say so";
            return Err(Error::malformed(path, "the columns", "numbers from 1 on", "column 0", hint));
        }
        let needed = highest.map_or(0, |highest| (highest - from) as usize + 1);
        let columns = options.columns.unwrap_or(needed);
        if needed > columns {
            let (expected, found) = (format!("at most {columns} columns"), format!("{needed}"));
            return Err(Error::malformed(path, "the columns", expected, found, "check the base and the other file"));
        }
        self.indices.iter_mut().for_each(|column| *column -= from);
        let Self { indptr, indices, values, labels } = self;
        Ok(Sparse { columns, indptr, indices, values, y: Some(labels) })
    }
}

/// Words between blanks, each with its first byte.
fn words(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += content[at..].iter().position(|b| !b.is_ascii_whitespace())?;
        let rest = &content[at..];
        let length = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let word = (at, &rest[..length]);
        at += length;
        Some(word)
    })
}

/// `column:value`.
fn pair(line: &Line<'_>, at: usize, word: &[u8]) -> Result<(u32, f64)> {
    let Some(colon) = word.iter().position(|&b| b == b':') else {
        return Err(line.wrong(at, "column:value", shown(word)));
    };
    let (column, value) = (&word[..colon], &word[colon + 1..]);
    if column == b"qid" {
        return Err(line.unsupported(at, "qid, which groups rows for ranking,", "remove it from every row"));
    }
    let parsed = std::str::from_utf8(column).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let parsed = parsed.and_then(|text| text.parse().ok());
    let column = parsed.ok_or_else(|| line.wrong(at, "a column below 2^32", shown(column)))?;
    let value = number(value).ok_or_else(|| line.wrong(at + colon + 1, "a finite number", shown(value)))?;
    Ok((column, value))
}

/// A finite number.
fn number(word: &[u8]) -> Option<f64> {
    std::str::from_utf8(word).ok()?.parse().ok().filter(|x: &f64| x.is_finite())
}

/// A word for a message, its beginning if it is long.
fn shown(word: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&word[..word.len().min(40)]))
}
