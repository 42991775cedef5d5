//! Data as they come: named columns of numbers or of words.

use crate::error::{Error, Result};
use crate::linalg::MatRef;

/// One column of input.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, unique in the frame.
    pub name: String,
    /// Its entries.
    pub values: Values,
}

/// Entries of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Finite numbers.
    Numbers(Vec<f64>),
    /// Words: categories.
    Words(Vec<String>),
}

impl Values {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Values::Numbers(v) => v.len(),
            Values::Words(v) => v.len(),
        }
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The entries named, in that order.
    pub fn select(&self, rows: &[usize]) -> Values {
        match self {
            Values::Numbers(v) => Values::Numbers(rows.iter().map(|&i| v[i]).collect()),
            Values::Words(v) => Values::Words(rows.iter().map(|&i| v[i].clone()).collect()),
        }
    }
}

/// Columns of equal length.
///
/// ```
/// use dualnet::model::{Column, Frame, Values};
/// let frame = Frame::new(vec![Column { name: "age".into(), values: Values::Numbers(vec![31.0, 52.0]) }])?;
/// assert_eq!(frame.rows(), 2);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Frame {
    columns: Vec<Column>,
    rows: usize,
}

impl Frame {
    /// Checks lengths, names and finiteness.
    pub fn new(columns: Vec<Column>) -> Result<Self> {
        let rows = columns.first().map_or(0, |c| c.values.len());
        let mut names = std::collections::HashSet::new();
        for (column, c) in columns.iter().enumerate() {
            if c.values.len() != rows {
                return Err(Error::Shape {
                    what: format!("column {:?}", c.name),
                    expected: format!("{rows} entries, as in the first column"),
                    found: format!("{} entries", c.values.len()),
                });
            }
            if !names.insert(c.name.as_str()) {
                return Err(Error::Invalid {
                    what: "column names".into(),
                    expected: "each name once".into(),
                    found: format!("{:?} twice", c.name),
                    hint: "rename one of the columns".into(),
                });
            }
            if let Values::Numbers(v) = &c.values
                && let Some(row) = v.iter().position(|x| !x.is_finite())
            {
                return Err(Error::NonFinite { what: format!("column {:?}", c.name), row, column, value: v[row] });
            }
        }
        Ok(Self { columns, rows })
    }

    /// Columns x0, x1, ... of a matrix of samples (n x d).
    pub fn from_matrix(x: MatRef<'_, f64>) -> Result<Self> {
        let column = |j: usize| Column {
            name: format!("x{j}"),
            values: Values::Numbers((0..x.rows()).map(|i| x.row(i)[j]).collect()),
        };
        Self::new((0..x.cols()).map(column).collect())
    }

    /// The rows of one frame after those of another; all have the same columns.
    pub(super) fn concatenated(frames: Vec<Frame>) -> Result<Self> {
        let mut frames = frames.into_iter();
        let Some(mut all) = frames.next() else { return Self::new(Vec::new()) };
        for frame in frames {
            all.rows += frame.rows;
            if frame.columns.len() != all.columns.len() {
                return Err(mixed(&all, &frame));
            }
            for (column, more) in all.columns.iter_mut().zip(frame.columns) {
                match (&mut column.values, more.values) {
                    (Values::Numbers(v), Values::Numbers(more_values)) if column.name == more.name => {
                        v.extend(more_values)
                    }
                    (Values::Words(v), Values::Words(more_values)) if column.name == more.name => v.extend(more_values),
                    _ => return Err(mixed_column(&column.name, &more.name)),
                }
            }
        }
        Ok(all)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
    /// The rows named, in that order.
    pub fn select(&self, rows: &[usize]) -> Frame {
        let columns =
            self.columns.iter().map(|c| Column { name: c.name.clone(), values: c.values.select(rows) }).collect();
        Frame { columns, rows: rows.len() }
    }
}

fn mixed(first: &Frame, other: &Frame) -> Error {
    Error::Shape {
        what: "columns of a batch".into(),
        expected: format!("{}, as in the first batch", first.columns.len()),
        found: other.columns.len().to_string(),
    }
}

fn mixed_column(first: &str, other: &str) -> Error {
    Error::Invalid {
        what: format!("column {first:?} of a batch"),
        expected: "the name and type it had in the first batch".into(),
        found: format!("{other:?}"),
        hint: "every batch must have the same columns".into(),
    }
}
