//! What can go wrong, said so that it can be mended: where, what was expected, what was found, one thing to try.

use std::path::Path;

/// Result of anything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything this crate reports instead of panicking.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// From the mathematics.
    #[error("{0}")]
    Core(#[from] dualnet::Error),
    /// From reading or writing.
    #[error("{0}")]
    Data(#[from] dualnet_io::Error),
    /// A file of a model that does not say what it should.
    #[error("{}: {at}: expected {expected}, found {found}; {hint}", .file.display())]
    Model {
        /// The file or folder.
        file: Box<Path>,
        /// The key or the tensor.
        at: String,
        /// What would have been accepted.
        expected: String,
        /// What the file holds.
        found: String,
        /// One thing to try.
        hint: String,
    },
    /// An argument outside its range.
    #[error("{what}: expected {expected}, found {found}; {hint}")]
    Invalid {
        /// The argument at fault.
        what: String,
        /// What would have been accepted.
        expected: String,
        /// What came.
        found: String,
        /// One thing to try.
        hint: String,
    },
}

impl Error {
    pub(crate) fn model(
        file: &Path,
        at: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let (at, expected, found, hint) = (at.into(), expected.into(), found.into(), hint.into());
        Self::Model { file: file.into(), at, expected, found, hint }
    }

    pub(crate) fn invalid(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Invalid { what: what.into(), expected: expected.into(), found: found.into(), hint: hint.into() }
    }
}
