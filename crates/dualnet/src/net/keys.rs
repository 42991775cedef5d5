//! Reads one object of a net file: known keys and their types. Ranges are checked later, where a hand-made
//! [`Spec`](super::Spec) is checked too.

use super::limits::refuse;
use super::tree::{Tree, quote};
use crate::error::{Error, Result};

/// The keys of one object at a position.
#[derive(Clone, Debug)]
pub(super) struct Keys<'a> {
    at: String,
    entries: &'a [(String, Tree)],
}

impl<'a> Keys<'a> {
    /// Refuses keys that are not `known` and keys that come twice.
    pub(super) fn new(at: &str, entries: &'a [(String, Tree)], known: &[&str]) -> Result<Self> {
        let keys = Self { at: at.to_owned(), entries };
        // `known` is short: an entry beyond its length is unknown or repeated, so this stays linear in the text.
        for (i, (key, _)) in entries.iter().enumerate() {
            if !known.contains(&key.as_str()) {
                return Err(refuse(keys.position(key), "unknown key", suggest(key, known, "keys")));
            }
            if entries[..i].iter().any(|(earlier, _)| earlier == key) {
                return Err(refuse(keys.position(key), "given twice", "keep one of them"));
            }
        }
        Ok(keys)
    }

    /// No keys: every default.
    pub(super) fn none(at: &str) -> Self {
        Self { at: at.to_owned(), entries: &[] }
    }

    /// Position of a key for messages: `layers[3].conv.padding`.
    pub(super) fn position(&self, key: &str) -> String {
        let key = if key.len() <= 40 && key.chars().all(|c| c.is_alphanumeric() || c == '_') {
            key.to_owned()
        } else {
            quote(key)
        };
        if self.at.is_empty() { key } else { format!("{}.{key}", self.at) }
    }

    /// The value of a key as it stands.
    pub(super) fn get(&self, key: &str) -> Option<&'a Tree> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn wrong(&self, key: &str, found: &Tree, expected: &str) -> Error {
        refuse(self.position(key), format!("found {}", found.describe()), format!("expected {expected}"))
    }

    /// Reads a key with `read`, which gives `None` for a value that is not `expected`.
    fn read<T>(&self, key: &str, expected: &str, read: impl FnOnce(&'a Tree) -> Option<T>) -> Result<Option<T>> {
        match self.get(key) {
            None => Ok(None),
            Some(tree) => read(tree).map(Some).ok_or_else(|| self.wrong(key, tree, expected)),
        }
    }

    /// A finite number; whole numbers count.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.read(key, "a finite number", number)
    }

    /// Numbers in a list.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.read(key, "a list of finite numbers, for example [1, 0.5]", |tree| match tree {
            Tree::List(items) => items.iter().map(number).collect(),
            _ => None,
        })
    }

    /// A whole number from 0.
    pub(super) fn count(&self, key: &str) -> Result<Option<usize>> {
        self.read(key, "a whole number", count)
    }

    /// A whole number from 0.
    pub(super) fn degree(&self, key: &str) -> Result<Option<u32>> {
        self.read(key, "a whole number", |tree| count(tree).and_then(|n| u32::try_from(n).ok()))
    }

    /// Sizes along the axes of an image or a sequence.
    pub(super) fn sizes(&self, key: &str) -> Result<Option<Vec<usize>>> {
        self.read(key, "a list of whole numbers: [3] along a sequence, [3, 3] over an image", |tree| match tree {
            Tree::List(items) => items.iter().map(count).collect(),
            _ => None,
        })
    }

    /// true or false.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.read(key, "true or false", |tree| match tree {
            Tree::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some(tree) = self.get(key) else { return Ok(None) };
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let Tree::Word(found) = tree else {
            return Err(self.wrong(key, tree, &format!("one of {}", words.join(", "))));
        };
        match choices.iter().find(|(word, _)| word == found) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => Err(refuse(
                self.position(key),
                format!("unknown word {}", quote(found)),
                suggest(found, &words, "words"),
            )),
        }
    }

    /// An object within the object.
    pub(super) fn object(&self, key: &str, known: &[&str]) -> Result<Option<Keys<'a>>> {
        match self.get(key) {
            None => Ok(None),
            Some(Tree::Object(entries)) => Keys::new(&self.position(key), entries, known).map(Some),
            Some(tree) => Err(self.wrong(key, tree, &format!("an object with one of the keys {}", known.join(", ")))),
        }
    }

    /// The value, or an error that the key is missing.
    pub(super) fn required<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| refuse(self.position(key), "missing, and it has no default", format!("add \"{key}\"")))
    }
}

fn number(tree: &Tree) -> Option<f64> {
    match tree {
        Tree::Integer(value) => Some(*value as f64),
        Tree::Number(value) => value.is_finite().then_some(*value),
        _ => None,
    }
}

fn count(tree: &Tree) -> Option<usize> {
    match tree {
        Tree::Integer(value) => usize::try_from(*value).ok(),
        _ => None,
    }
}

/// "did you mean …?" where a known name is near, else all of them.
pub(super) fn suggest(found: &str, known: &[&str], what: &str) -> String {
    if known.is_empty() {
        return format!("there are no {what} here");
    }
    let found = found.to_lowercase().replace('-', "_");
    let near = (found.len() <= 40)
        .then(|| {
            known.iter().map(|name| (strsim::jaro_winkler(&found, name), *name)).max_by(|x, y| x.0.total_cmp(&y.0))
        })
        .flatten()
        .filter(|(similarity, _)| *similarity >= 0.8);
    match near {
        Some((_, name)) => format!("did you mean {name}?"),
        None => format!("known {what}: {}", known.join(", ")),
    }
}
