//! What the rows of a stream hold.

use crate::array::Data;

/// What every row of a stream holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Schema {
    /// Named columns.
    Table {
        /// What the file turned out to be: "CSV, separated by semicolons".
        format: String,
        /// The columns in the order of the file.
        fields: Vec<Field>,
    },
    /// Samples and perhaps labels.
    Arrays {
        /// A sample.
        x: RowShape,
        /// The label of a sample.
        y: Option<RowShape>,
    },
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The name in the file's header.
    pub name: String,
    /// What its cells are, in every batch.
    pub kind: Kind,
}

/// What the cells of a column are.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Numbers: [`Values::Number`](crate::Values::Number).
    Number,
    /// Words: [`Values::Text`](crate::Values::Text).
    Word(Levels),
}

/// The different words of a column over all rows of a pass: without those of dropped rows, with
/// [`MISSING_LEVEL`](crate::MISSING_LEVEL) where it was filled in, without the empty string that stands for a missing cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Levels {
    /// All of them, each once, in the order in which they appear.
    All(Vec<String>),
    /// More than are kept: see [`MAX_LEVELS`].
    TooMany,
}

/// Most levels kept of one column.
pub const MAX_LEVELS: usize = 100_000;

/// A row of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowShape {
    /// Length of each axis but the first; none where a row is one value.
    pub shape: Vec<usize>,
    /// Type of the values in memory: the variant of [`Data`] that every batch has.
    pub element: ElementType,
}

/// The variants of [`Data`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    /// [`Data::U8`].
    U8,
    /// [`Data::F32`].
    F32,
    /// [`Data::F64`].
    F64,
}

impl ElementType {
    pub(super) fn of(data: &Data) -> Self {
        match data {
            Data::U8(_) => Self::U8,
            Data::F32(_) => Self::F32,
            Data::F64(_) => Self::F64,
        }
    }
}
