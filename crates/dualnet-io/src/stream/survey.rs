//! What a first pass finds out about the columns of a table, in memory that does not grow with the rows.

use super::schema::{Levels, MAX_LEVELS};
use crate::missing::{MISSING_LEVEL, Mean};
use crate::options::Missing;
use crate::table::{Column, Values};
use std::collections::HashSet;

/// Memory that a level takes beside its bytes: a string and its entry in a set, twice.
const LEVEL: u64 = 96;

/// What is known of one column.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) mean: Mean,
    pub(super) levels: Words,
    /// Some cell is missing or no finite number.
    pub(super) missing: bool,
}

/// The words of a column, until they are too many.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    order: Vec<String>,
    seen: HashSet<String>,
    too_many: bool,
}

impl Words {
    /// Takes in a word. `room` is the memory left for the words of all columns; a column for which it is not enough gives back
    /// what it has taken.
    pub(super) fn add(&mut self, word: &str, room: &mut u64) {
        if self.too_many || self.seen.contains(word) {
            return;
        }
        let needed = LEVEL + 2 * word.len() as u64;
        if needed > *room || self.order.len() == MAX_LEVELS {
            *room += self.order.iter().map(|word| LEVEL + 2 * word.len() as u64).sum::<u64>();
            *self = Self { too_many: true, ..Self::default() };
            return;
        }
        *room -= needed;
        self.order.push(word.to_owned());
        self.seen.insert(word.to_owned());
    }

    pub(super) fn levels(self) -> Levels {
        if self.too_many { Levels::TooMany } else { Levels::All(self.order) }
    }
}

impl Facts {
    /// Takes in a cell of a column of words, which is empty if missing.
    pub(super) fn add_word(&mut self, word: &str, missing: Missing, room: &mut u64) {
        if !word.is_empty() {
            return self.levels.add(word, room);
        }
        self.missing = true;
        if missing == Missing::Mean {
            self.levels.add(MISSING_LEVEL, room);
        }
    }

    /// Takes in the cells of a part of the column from which dropped rows are gone already.
    pub(super) fn add_part(&mut self, column: &Column, missing: Missing, room: &mut u64) {
        match &column.values {
            Values::Number(values) => {
                self.missing |= values.iter().any(|x| !x.is_finite());
                if missing == Missing::Mean {
                    values.iter().for_each(|&x| self.mean.add(x));
                }
            }
            Values::Text(cells) => cells.iter().for_each(|word| self.add_word(word, missing, room)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_in_order_until_the_room_is_used_up() {
        let (mut words, mut room) = (Words::default(), 3 * (LEVEL + 2));
        for word in ["b", "a", "b", "c", "a"] {
            words.add(word, &mut room);
        }
        assert_eq!((words.clone().levels(), room), (Levels::All(vec!["b".into(), "a".into(), "c".into()]), 0));
        let mut other = Words::default();
        other.add("x", &mut room);
        assert_eq!((other.levels(), room), (Levels::TooMany, 0));
        words.add("d", &mut room);
        words.add("b", &mut room);
        assert_eq!((words.levels(), room), (Levels::TooMany, 3 * (LEVEL + 2)));
    }
}
