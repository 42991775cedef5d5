//! What can go wrong with a file, said so that it can be mended: which file, where in it, expected, found, one thing to try.

use std::io;
use std::path::{Path, PathBuf};

/// Result of anything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything this crate reports instead of panicking. Each message begins with the file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read.
    #[error("{}: cannot {action}: {reason}; {hint}", .file.display())]
    Read {
        /// The file or folder.
        file: PathBuf,
        /// What was tried: "open", "read".
        action: &'static str,
        /// The system's words.
        reason: String,
        /// One thing to try.
        hint: String,
    },
    /// The operating system refused to write. Nothing was left under the name asked for.
    #[error("{}: cannot {action}: {reason}; {hint}", .file.display())]
    Write {
        /// The file or folder that was to be written.
        file: PathBuf,
        /// What was tried: "create", "write", "rename".
        action: &'static str,
        /// The system's words.
        reason: String,
        /// One thing to try.
        hint: String,
    },
    /// Content that breaks the rules of its format.
    #[error("{}: {at}: expected {expected}, found {found}; {hint}", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Line and column, byte offset, or name of the array or tensor.
        at: String,
        /// What would have been accepted.
        expected: String,
        /// What the file holds.
        found: String,
        /// One thing to try.
        hint: String,
    },
    /// A file that ends too early.
    #[error("{}: {at}: {missing} of {expected} bytes are missing; the file is truncated: copy or download it again", .file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// What was being read.
        at: String,
        /// Bytes it needs.
        expected: u64,
        /// Bytes of it that are not there.
        missing: u64,
    },
    /// A missing or non-finite value where none is allowed.
    #[error(
        "{}: {row}, column {column}: {found} where a value is expected; \
         fill it in, or pass --missing drop or --missing mean", .file.display()
    )]
    Missing {
        /// The file.
        file: PathBuf,
        /// The line or row as a person counts it: "line 3", "row 2".
        row: String,
        /// Name of the column (for arrays its number, counted from 1).
        column: String,
        /// "a missing value" or the number found.
        found: String,
    },
    /// Data that would not fit in the memory allowed.
    #[error("{}: {at}: at least {needed} bytes are needed, the limit is {limit}; raise it with --memory", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// What is too large.
        at: String,
        /// Bytes it needs at least.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Something valid that this version does not read.
    #[error("{}: {at}: {found} is not supported; {hint}", .file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// Where in it.
        at: String,
        /// What it is.
        found: String,
        /// One thing to try.
        hint: String,
    },
    /// A file whose content is not what was written.
    #[error("{}: damaged: its hash is {found}, {recorded_in} says {expected}; restore it from a copy", .file.display())]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// The file that holds the hash.
        recorded_in: String,
        /// The hash recorded.
        expected: String,
        /// The hash of the content.
        found: String,
    },
}

impl Error {
    /// The file or folder at fault.
    pub fn file(&self) -> &Path {
        match self {
            Self::Read { file, .. }
            | Self::Write { file, .. }
            | Self::Malformed { file, .. }
            | Self::Truncated { file, .. }
            | Self::Missing { file, .. }
            | Self::TooLarge { file, .. }
            | Self::Unsupported { file, .. }
            | Self::Damaged { file, .. } => file,
        }
    }

    pub(crate) fn malformed(
        file: &Path,
        at: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let (at, expected, found, hint) = (at.into(), expected.into(), found.into(), hint.into());
        Self::Malformed { file: file.into(), at, expected, found, hint }
    }

    pub(crate) fn unsupported(
        file: &Path,
        at: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Unsupported { file: file.into(), at: at.into(), found: found.into(), hint: hint.into() }
    }

    /// A file that is not the same at a second look.
    pub(crate) fn changed(file: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::malformed(file, "the file", expected, found, "the file changed while it was read: try again")
    }

    /// An error of the system while reading; a limit crossed inside a reader comes out as [`Error::TooLarge`].
    pub(crate) fn read(file: &Path, action: &'static str, e: &io::Error) -> Self {
        if let Some(over) = e.get_ref().and_then(|inner| inner.downcast_ref::<OverLimit>()) {
            let (at, needed) = ("the unpacked content".into(), over.limit.saturating_add(1));
            return Self::TooLarge { file: file.into(), at, needed, limit: over.limit };
        }
        let hint = match e.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check the permissions",
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                "the file is damaged: copy or download it again"
            }
            _ => "check the file and the disk",
        };
        Self::Read { file: file.into(), action, reason: e.to_string(), hint: hint.into() }
    }

    pub(crate) fn write(file: &Path, action: &'static str, e: &io::Error) -> Self {
        let hint = match e.kind() {
            io::ErrorKind::NotFound => "create the folder it shall lie in first",
            io::ErrorKind::NotADirectory => "a part of the path is a file: choose another path",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "choose a folder you may write to",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space or choose another disk",
            io::ErrorKind::IsADirectory => "name a file, not a folder",
            io::ErrorKind::AlreadyExists => "choose another name or remove what is there",
            _ => "check the path and the disk",
        };
        Self::Write { file: file.into(), action, reason: e.to_string(), hint: hint.into() }
    }
}

/// Carried inside an [`io::Error`] by readers that stop at a limit.
#[derive(Debug)]
pub(crate) struct OverLimit {
    pub(crate) limit: u64,
}

impl std::fmt::Display for OverLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "more than {} bytes", self.limit)
    }
}

impl std::error::Error for OverLimit {}
