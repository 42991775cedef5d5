//! What can go wrong, said so that it can be mended: where, what was expected, what was found, one thing to try.

/// Result of anything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything this crate reports instead of panicking.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Sizes that do not fit together.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// The argument at fault, with its role: "y of ridge".
        what: String,
        /// What would have been accepted.
        expected: String,
        /// What came.
        found: String,
    },
    /// A NaN or an infinity in the input.
    #[error("{what}: {value} at row {row}, column {column}; remove or impute it first")]
    NonFinite {
        /// The argument at fault.
        what: String,
        /// Row, counted from 0.
        row: usize,
        /// Column, counted from 0.
        column: usize,
        /// The value found.
        value: f64,
    },
    /// A net description that cannot be built.
    #[error("{at}: {problem}; {hint}")]
    Net {
        /// Position in the description: `layers[3].conv.pading`.
        at: String,
        /// What is wrong.
        problem: String,
        /// One thing to try.
        hint: String,
    },
    /// An argument outside its range.
    #[error("{what}: expected {expected}, found {found}; {hint}")]
    Invalid {
        /// The argument at fault.
        what: String,
        /// The admissible range.
        expected: String,
        /// What came.
        found: String,
        /// One thing to try.
        hint: String,
    },
    /// A result too large for the precision.
    #[error("{at}: {what} exceeds the range of {precision} (row {row}, column {column}); {hint}")]
    Overflow {
        /// The layer, or the stage of the computation.
        at: String,
        /// What overflowed: "the variance", "the kernel".
        what: String,
        /// `f32` or `f64`.
        precision: &'static str,
        /// Row, counted from 0.
        row: usize,
        /// Column, counted from 0.
        column: usize,
        /// One thing to try.
        hint: String,
    },
    /// Work that would not fit in the memory allowed.
    #[error("{what} needs {needed} bytes, the limit is {limit}; {hint}")]
    Memory {
        /// The work.
        what: String,
        /// Bytes it needs.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
        /// The option that helps.
        hint: String,
    },
    /// A matrix that should be positive definite and is not.
    #[error("{what} is not positive definite (pivot {pivot}); {hint}")]
    NotPositiveDefinite {
        /// The matrix.
        what: String,
        /// The first pivot that failed, counted from 0.
        pivot: usize,
        /// One thing to try.
        hint: String,
    },
    /// Something valid that this version does not do.
    #[error("{at}: {what} is not supported here; {hint}")]
    Unsupported {
        /// The layer or argument.
        at: String,
        /// What was asked for.
        what: String,
        /// One thing to try.
        hint: String,
    },
    /// Rows that could not be read, or tiles that could not be kept, in the words of whoever reads or keeps them.
    #[error("{at}: {problem}; {hint}")]
    Source {
        /// Where: the file and the line, or what stands for them.
        at: String,
        /// What is wrong.
        problem: String,
        /// One thing to try.
        hint: String,
    },
    /// Interrupted through [`crate::resources::Progress`].
    #[error("{what}: interrupted")]
    Interrupted {
        /// The work.
        what: String,
    },
}

impl Error {
    /// The same error about a row, where row 0 of the part that was looked at is row `first` of the whole.
    pub fn after_rows(self, first: usize) -> Self {
        match self {
            Self::NonFinite { what, row, column, value } => Self::NonFinite { what, row: row + first, column, value },
            Self::Overflow { at, what, precision, row, column, hint } => {
                Self::Overflow { at, what, precision, row: row + first, column, hint }
            }
            other => other,
        }
    }
}
