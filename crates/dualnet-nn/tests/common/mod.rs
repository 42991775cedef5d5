//! The tiny encoders that scripts/tiny_encoders.py wrote, and texts for them.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

pub const FAMILIES: [&str; 4] = ["bert", "roberta", "mpnet", "distilbert"];

pub fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tiny").join(name)
}

/// A copy that a test may damage.
pub fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(tiny(name).join(file), folder.path().join(file)).unwrap();
    }
    folder
}

/// Sentences of the words of the tiny vocabulary, all different.
pub fn sentences(count: usize) -> Vec<String> {
    const WORDS: [&str; 16] = [
        "the", "a", "film", "is", "good", "bad", "very", "not", "one", "of", "scene", "music", "story", "warm", "cold",
        "dull",
    ];
    let sentence = |i: usize| {
        let words = (0..3 + i % 9).map(|j| WORDS[(i * 7 + j * (3 + i / 16) + i / 5) % WORDS.len()]);
        words.collect::<Vec<_>>().join(" ")
    };
    (0..count).map(sentence).collect()
}
