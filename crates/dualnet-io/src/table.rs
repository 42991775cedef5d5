//! Tables: named columns of numbers or text.

use crate::error::{Error, Result};
use std::path::Path;

/// Most columns of a table.
pub const MAX_COLUMNS: usize = 100_000;

/// The cells of a column. A missing cell is NaN in numbers and the empty string in text.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Every cell that is not missing is a number.
    Number(Vec<f64>),
    /// Some cell is no number.
    Text(Vec<String>),
}

/// A named column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The name in the file's header.
    pub name: String,
    /// The cells.
    pub values: Values,
}

impl Column {
    /// Number of cells.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Number(v) => v.len(),
            Values::Text(v) => v.len(),
        }
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for `more` cells.
    pub(crate) fn reserve(&mut self, more: usize) {
        match &mut self.values {
            Values::Number(v) => v.reserve(more),
            Values::Text(v) => v.reserve(more),
        }
    }

    /// True if the cell is missing or no finite number. False beyond the end.
    pub fn is_missing(&self, row: usize) -> bool {
        match &self.values {
            Values::Number(v) => v.get(row).is_some_and(|x| !x.is_finite()),
            Values::Text(v) => v.get(row).is_some_and(String::is_empty),
        }
    }
}

/// Where rows stand in the file, as a person counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Places {
    /// Row i stands at `first + i`.
    From(u64),
    /// Row i stands at the i-th number: after dropped rows, blank lines, line breaks inside quotes.
    Each(Vec<u64>),
}

impl Places {
    pub(crate) fn get(&self, row: usize) -> u64 {
        match self {
            Self::From(first) => first + row as u64,
            Self::Each(places) => places.get(row).copied().unwrap_or(0),
        }
    }

    /// Notes that the row after `rows` rows stands at `place`.
    pub(crate) fn push(&mut self, rows: usize, place: u64) {
        match self {
            Self::From(first) if *first + rows as u64 == place => {}
            Self::From(first) => {
                let mut places: Vec<u64> = (*first..*first + rows as u64).collect();
                places.push(place);
                *self = Self::Each(places);
            }
            Self::Each(places) => places.push(place),
        }
    }
}

/// A table as a file holds it: columns of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The file it came from.
    pub source: String,
    /// What the file turned out to be: "CSV, separated by semicolons".
    pub format: String,
    /// The columns, names all different.
    pub columns: Vec<Column>,
    pub(crate) rows: usize,
    pub(crate) places: Places,
    pub(crate) noun: &'static str,
}

impl Table {
    /// A table of columns made elsewhere.
    ///
    /// ```
    /// use dualnet_io::{Column, Table, Values};
    /// let t = Table::new("memory", vec![Column { name: "a".into(), values: Values::Number(vec![1.0, 2.0]) }])?;
    /// assert_eq!((t.rows(), t.place(1)), (2, "row 2".to_string()));
    /// # Ok::<(), dualnet_io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Columns of different lengths; a name given twice; more than [`MAX_COLUMNS`].
    pub fn new(source: impl Into<String>, columns: Vec<Column>) -> Result<Self> {
        let source = source.into();
        let rows = columns.first().map_or(0, Column::len);
        if let Some(other) = columns.iter().find(|c| c.len() != rows) {
            let (expected, found) = (format!("{rows} values"), other.len().to_string());
            let at = format!("column {}", other.name);
            return Err(Error::malformed(Path::new(&source), at, expected, found, "give every column the same length"));
        }
        check_names(Path::new(&source), "the columns", columns.iter().map(|c| c.name.as_str()))?;
        Ok(Self { source, format: "a table".into(), columns, rows, places: Places::From(1), noun: "row" })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Where row `row` (counted from 0) stands in the file, in a person's words: "line 3" of a CSV file whose header is
    /// line 1, "row 2" of other files.
    pub fn place(&self, row: usize) -> String {
        format!("{} {}", self.noun, self.places.get(row))
    }

    /// The column `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// Refuses names that are empty or given twice, and too many of them.
pub(crate) fn check_names<'a>(file: &Path, at: &str, names: impl ExactSizeIterator<Item = &'a str>) -> Result<()> {
    if names.len() > MAX_COLUMNS {
        let (expected, found) = (format!("at most {MAX_COLUMNS} columns"), names.len().to_string());
        return Err(Error::malformed(file, at, expected, found, "store wide data as an array (.npy)"));
    }
    let mut seen = std::collections::HashMap::new();
    for (index, name) in names.enumerate() {
        if name.is_empty() || name == "__index_level_0__" {
            let found = format!("no name in column {}", index + 1);
            let hint = "name it or remove it; pandas leaves row numbers out with index=False";
            return Err(Error::malformed(file, at, "a name for every column", found, hint));
        }
        if let Some(first) = seen.insert(name, index) {
            let found = format!("{name:?} in columns {} and {}", first + 1, index + 1);
            return Err(Error::malformed(file, at, "different names", found, "rename one of them"));
        }
    }
    Ok(())
}
