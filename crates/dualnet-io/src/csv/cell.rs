//! What a cell of delimited text is: missing, a number, or a word.

use crate::error::{Error, Result};
use crate::missing::is_missing_token;
use std::path::Path;

/// A cell without the blanks around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    Missing,
    /// As the standard library parses it: also infinite, and NaN written with a sign.
    Number(f64),
    Word(&'a str),
}

pub(crate) fn parse(cell: &str) -> Cell<'_> {
    let text = cell.trim_ascii();
    if is_missing_token(text) {
        return Cell::Missing;
    }
    text.parse().map_or(Cell::Word(text), Cell::Number)
}

/// The cell in a column of words: empty if it is missing.
pub(crate) fn word(cell: &str) -> &str {
    let text = cell.trim_ascii();
    if is_missing_token(text) { "" } else { text }
}

/// True only for cells that [`parse`] gives as a finite number, and for most of these: decides without computing the value.
pub(crate) fn is_plain_number(cell: &str) -> bool {
    let bytes = cell.as_bytes();
    let unsigned = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let mut points = 0;
    for &byte in unsigned {
        match byte {
            b'0'..=b'9' => {}
            b'.' => points += 1,
            _ => return false,
        }
    }
    // Below 300 digits no number overflows.
    points < 2 && unsigned.len() > points && unsigned.len() < 300
}

/// Looks for a column that would be numeric but for decimal commas. Files with semicolons often write 1,5 for 1.5; taken
/// as text, each number would become a level.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Commas {
    /// No word seen.
    #[default]
    None,
    /// All words were numbers with a comma; this was the first.
    All(String),
    /// Some word was none.
    Not,
}

impl Commas {
    /// Takes in a cell that is neither missing nor a number.
    pub(crate) fn see(&mut self, word: &str) {
        if *self == Self::Not {
            return;
        }
        let is_number = word.matches(',').count() == 1 && word.replace(',', ".").parse::<f64>().is_ok();
        match self {
            _ if !is_number => *self = Self::Not,
            Self::None => *self = Self::All(word.to_owned()),
            _ => {}
        }
    }

    /// An error if the column `name` is such a column.
    pub(crate) fn refuse(&self, path: &Path, name: &str) -> Result<()> {
        let Self::All(first) = self else { return Ok(()) };
        let hint = "write numbers with points (sed 's/,/./g' where the comma has no other use)";
        Err(Error::malformed(path, format!("column {name}"), "numbers with a decimal point", first.clone(), hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blanks_are_dropped_and_tokens_are_missing() {
        assert_eq!(parse(" 1.5\t\r"), Cell::Number(1.5));
        assert_eq!(parse(" n/a "), Cell::Missing);
        assert_eq!((parse(" a b "), word(" a b "), word(" ? ")), (Cell::Word("a b"), "a b", ""));
        assert_eq!(parse("-inf"), Cell::Number(f64::NEG_INFINITY));
        assert!(matches!(parse("-nan"), Cell::Number(x) if x.is_nan()));
    }

    proptest! {
        #[test]
        fn plain_numbers_are_finite_numbers(cell in "[-+ ]?[0-9.eE_x-]{0,8}") {
            if is_plain_number(&cell) {
                prop_assert!(matches!(parse(&cell), Cell::Number(x) if x.is_finite()), "{cell}");
            }
        }
    }

    #[test]
    fn plain_numbers_are_most_numbers() {
        for cell in ["0", "-1", "12.5", ".5", "5.", "-0.25", &"9".repeat(299)] {
            assert!(is_plain_number(cell) && matches!(parse(cell), Cell::Number(x) if x.is_finite()), "{cell}");
        }
        for cell in ["", "-", ".", "-.", "1.2.3", "--1", "1e5", "inf", &"9".repeat(400), "١"] {
            assert!(!is_plain_number(cell), "{cell}");
        }
    }
}
