//! Errors of the command line: those of the libraries, and its own.

use std::path::Path;

/// Result of a verb.
pub type Result<T> = std::result::Result<T, Error>;

/// What a verb can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// From the mathematics.
    #[error("{0}")]
    Core(#[from] dualnet::Error),
    /// From reading or writing.
    #[error("{0}")]
    Data(#[from] dualnet_io::Error),
    /// From pretrained encoders.
    #[error("{0}")]
    Encoder(Box<dualnet_nn::Error>),
    /// Writing to standard output.
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
    /// An argument that does not fit the others or the data.
    #[error("{what}: expected {expected}, found {found}; {hint}")]
    Argument {
        /// The argument.
        what: String,
        /// What would do.
        expected: String,
        /// What came.
        found: String,
        /// One thing to try.
        hint: String,
    },
    /// An error with the file it concerns in front.
    #[error("{file}: {source}")]
    In {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: Box<dualnet::Error>,
    },
}

impl From<dualnet_nn::Error> for Error {
    fn from(error: dualnet_nn::Error) -> Self {
        Self::Encoder(Box::new(error))
    }
}

impl Error {
    /// An argument that does not fit.
    pub fn argument(what: &str, expected: &str, found: &str, hint: &str) -> Self {
        Self::Argument { what: what.into(), expected: expected.into(), found: found.into(), hint: hint.into() }
    }

    /// Puts the name of a file in front of an error of the mathematics.
    pub fn within(file: &Path) -> impl FnOnce(dualnet::Error) -> Self {
        let file = file.display().to_string();
        move |source| Self::In { file, source: Box::new(source) }
    }

    /// Whether standard output was closed by its reader.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Error::Output(e) if e.kind() == std::io::ErrorKind::BrokenPipe)
    }
}
