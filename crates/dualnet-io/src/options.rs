//! What a caller may ask of a reader.

use std::path::PathBuf;

/// What to do with missing and non-finite values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// An error that names file, row and column.
    #[default]
    Refuse,
    /// Leave out every row that holds one.
    Drop,
    /// Numbers: the mean of the column's finite values. Text: a level of its own, `missing`.
    Mean,
    /// Hand them on: NaN in numbers, the empty string in text, for callers that fill in values learnt elsewhere.
    Keep,
}

/// How to load data.
///
/// ```
/// let options = dualnet_io::Options { missing: dualnet_io::Missing::Drop, ..Default::default() };
/// assert_eq!(options.max_bytes, 8 << 30);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes that the loaded data may take; also the most that a compressed file may unpack to. Default 8 GiB.
    pub max_bytes: u64,
    /// File with the labels of an array file (`--labels`): IDX or .npy with one value a sample.
    pub labels: Option<PathBuf>,
    /// What to do with missing and non-finite values. Default: refuse.
    pub missing: Missing,
    /// Column of a table whose missing values are never made up: [`Missing::Mean`] refuses them there.
    pub target: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_bytes: 8 << 30, labels: None, missing: Missing::Refuse, target: None }
    }
}
