//! The first pass over delimited text: what each column holds, and where its first missing cell stands.

use super::survey::Facts;
use crate::csv::cell::{self, Cell, Commas};
use crate::error::{Error, Result};
use crate::missing::describe;
use crate::options::{Missing, Options};
use std::path::Path;

/// What the cells of a column have been so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Seen {
    Nothing,
    Numbers,
    /// Words, the first of them after nothing but missing cells.
    Words,
    /// Words, the first of them after numbers: which are words too, unseen.
    LateWords,
}

/// A column in the first pass.
pub(super) struct Surveyed {
    pub(super) seen: Seen,
    facts: Facts,
    commas: Commas,
    /// Line of the first missing cell.
    missing: Option<u64>,
    /// Line and value of the first number that is not finite.
    infinite: Option<(u64, f64)>,
}

impl Surveyed {
    pub(super) fn new() -> Self {
        let (seen, facts, commas) = (Seen::Nothing, Facts::default(), Commas::default());
        Self { seen, facts, commas, missing: None, infinite: None }
    }

    /// Takes in the cell on line `line`.
    pub(super) fn add(&mut self, cell: &str, line: u64, rules: Rules, room: &mut u64) {
        let numeric = matches!(self.seen, Seen::Nothing | Seen::Numbers);
        if numeric && rules.missing != Missing::Mean && cell::is_plain_number(cell.trim_ascii()) {
            self.seen = Seen::Numbers;
            return;
        }
        match cell::parse(cell) {
            Cell::Missing => {
                self.missing.get_or_insert(line);
                self.facts.add_word("", rules.missing, room);
            }
            Cell::Number(value) if numeric => {
                self.seen = Seen::Numbers;
                self.facts.mean.add(value);
                if !value.is_finite() {
                    self.infinite.get_or_insert((line, value));
                }
            }
            // As written, since the column is one of words.
            Cell::Number(_) => self.facts.add_word(cell::word(cell), rules.missing, room),
            Cell::Word(word) => {
                match self.seen {
                    Seen::Nothing => self.seen = Seen::Words,
                    Seen::Numbers => self.seen = Seen::LateWords,
                    Seen::Words | Seen::LateWords => {}
                }
                if rules.delimiter == b';' {
                    self.commas.see(word);
                }
                self.facts.add_word(word, rules.missing, room);
            }
        }
    }

    pub(super) fn is_words(&self) -> bool {
        matches!(self.seen, Seen::Words | Seen::LateWords)
    }

    /// What holds of the whole column.
    pub(super) fn facts(self) -> Facts {
        Facts { missing: self.first_bad().is_some(), ..self.facts }
    }

    /// Line and value of the first cell that is missing or no finite number.
    pub(super) fn first_bad(&self) -> Option<(u64, f64)> {
        let missing = self.missing.map(|line| (line, f64::NAN));
        let infinite = self.infinite.filter(|_| !self.is_words());
        missing.into_iter().chain(infinite).min_by_key(|&(line, _)| line)
    }
}

/// By what cells are judged.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) delimiter: u8,
    pub(super) missing: Missing,
}

/// The errors of the whole table: decimal commas, then the first missing cell of all columns or of the target.
pub(super) fn refuse(path: &Path, names: &[String], surveyed: &[Surveyed], options: &Options) -> Result<()> {
    names.iter().zip(surveyed).try_for_each(|(name, column)| column.commas.refuse(path, name))?;
    let refused = |name: &String| match options.missing {
        Missing::Refuse => true,
        Missing::Mean => options.target.as_ref() == Some(name),
        Missing::Drop | Missing::Keep => false,
    };
    let columns = names.iter().zip(surveyed).filter(|(name, _)| refused(name));
    let bad = columns.filter_map(|(name, column)| Some((column.first_bad()?, name)));
    let Some(((line, value), name)) = bad.min_by_key(|&((line, _), _)| line) else { return Ok(()) };
    let (file, row, column) = (path.into(), format!("line {line}"), name.clone());
    Err(Error::Missing { file, row, column, found: describe(value) })
}
