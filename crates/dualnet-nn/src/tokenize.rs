//! Texts to the numbers of their tokens, by `tokenizer.json`.

use crate::config::read_object;
use crate::error::{Error, Result};
use dualnet::Resources;
use rayon::prelude::*;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokenizers::Encoding;
use tokenizers::utils::truncation::TruncationParams;

/// The file.
pub const TOKENIZER: &str = "tokenizer.json";
/// Where sentence-transformers says how long texts may be.
const SENTENCES: &str = "sentence_bert_config.json";

/// A tokenizer with a limit on the length of texts.
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    limit: usize,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("path", &self.path).field("limit", &self.limit).finish()
    }
}

/// Texts as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// For each text the numbers of its tokens, those that begin and end it included.
    pub texts: Vec<Vec<u32>>,
    /// How many texts were longer than the limit and have lost their ends.
    pub cut: usize,
}

impl Tokens {
    /// Tokens of all texts.
    pub fn count(&self) -> usize {
        self.texts.iter().map(Vec::len).sum()
    }

    /// The texts that `parts` of what was encoded are; none may be empty.
    fn of<'a>(encoded: &[Encoding], parts: impl Iterator<Item = &'a Encoding>) -> Result<Self> {
        let texts: Vec<Vec<u32>> = parts.map(|e| e.get_ids().to_vec()).collect();
        if let Some(i) = texts.iter().position(Vec::is_empty) {
            let hint = "this tokenizer adds no tokens of its own: leave empty texts out";
            return Err(Error::invalid(format!("text {}", i + 1), "at least one token", "none", hint));
        }
        Ok(Self { texts, cut: encoded.iter().filter(|e| !e.get_overflowing().is_empty()).count() })
    }
}

impl Tokenizer {
    /// Opens `tokenizer.json` of `folder`; texts are cut to what the model allows (`longest`), or to fewer tokens where the folder says so.
    ///
    /// # Errors
    /// A file that is missing or that the tokenizers library does not understand.
    pub fn open(folder: &Path, longest: usize) -> Result<Self> {
        let path = folder.join(TOKENIZER);
        // The library's own words for a missing or broken file name neither file nor place.
        read_object_of_any_size(&path)?;
        let mut inner = tokenizers::Tokenizer::from_file(&path).map_err(|e| {
            let hint = "save the tokenizer again with a current version of transformers";
            Error::model(&path, "the file", "a tokenizer", e.to_string(), hint)
        })?;
        inner.with_padding(None);
        let sentences = folder.join(SENTENCES);
        let stated = match sentences.is_file() {
            true => read_object(&sentences)?.get("max_seq_length").and_then(Value::as_u64),
            false => None,
        };
        let limit = stated.map_or(longest, |n| longest.min(n as usize));
        let mut tokenizer = Self { path, inner, limit };
        tokenizer.set_limit(limit)?;
        Ok(tokenizer)
    }

    /// Most tokens of a text.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Cuts texts to fewer tokens.
    ///
    /// # Errors
    /// Fewer than the tokens that begin and end every text, and one.
    pub fn set_limit(&mut self, limit: usize) -> Result<()> {
        let own = self.inner.encode("", true).map_or(2, |encoding| encoding.len());
        if limit <= own {
            let hint = "raise the limit";
            return Err(Error::invalid("tokens of a text", format!("more than {own}"), limit.to_string(), hint));
        }
        let truncation = TruncationParams { max_length: limit, ..TruncationParams::default() };
        self.inner.with_truncation(Some(truncation)).map_err(|e| {
            Error::model(&self.path, "the limit of tokens", "one the tokenizer takes", e.to_string(), "choose another")
        })?;
        self.limit = limit;
        Ok(())
    }

    /// Texts to tokens, on all threads.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take apart.
    pub fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], resources: &Resources) -> Result<Tokens> {
        let encoded = self.encodings(texts, resources)?;
        Tokens::of(&encoded, encoded.iter())
    }

    /// The same, but what is beyond the limit becomes texts of its own, each with the tokens that begin and end every text. `cut` counts the texts
    /// that became several.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_whole<S: AsRef<str> + Sync>(&self, texts: &[S], resources: &Resources) -> Result<Tokens> {
        let encoded = self.encodings(texts, resources)?;
        Tokens::of(&encoded, encoded.iter().flat_map(|e| std::iter::once(e).chain(e.get_overflowing())))
    }

    fn encodings<S: AsRef<str> + Sync>(&self, texts: &[S], resources: &Resources) -> Result<Vec<Encoding>> {
        resources.install(|| {
            let encode = |(i, text): (usize, &S)| {
                self.inner.encode(text.as_ref(), true).map_err(|e| {
                    let hint = "remove it, or use another tokenizer";
                    Error::invalid(format!("text {}", i + 1), "a text of known tokens", e.to_string(), hint)
                })
            };
            texts.par_iter().enumerate().map(encode).collect()
        })
    }
}

/// Vocabularies are larger than any configuration.
fn read_object_of_any_size(path: &Path) -> Result<()> {
    let failed = |e: std::io::Error| {
        let hint = "the folder needs a tokenizer.json (save the tokenizer with a fast tokenizer of transformers)";
        Error::model(path, "the file", "a file that can be read", e.to_string(), hint)
    };
    let text = std::fs::read(path).map_err(failed)?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&text).map(|_| ()).map_err(|e| {
        let at = format!("line {}, column {}", e.line(), e.column());
        Error::model(path, at, "JSON", e.to_string(), "the file is damaged: restore it from a copy")
    })
}
