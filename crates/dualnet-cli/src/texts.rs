//! Files of texts, one a line.

use crate::error::{Error, Result};
use std::path::Path;

/// The lines of a file, of at most `limit` bytes.
///
/// # Errors
/// A file that cannot be read, is larger, is not UTF-8 (the line is named), or has no lines.
pub fn read(path: &Path, limit: u64) -> Result<Vec<String>> {
    let what = path.display().to_string();
    let failed = |e: std::io::Error| Error::argument(&what, "a file of texts", &e.to_string(), "check the path");
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > limit {
        let hint = "split the file, or raise --memory";
        return Err(Error::argument(&what, &format!("at most {limit} bytes"), &size.to_string(), hint));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(e) => {
            let line = 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            let hint = "convert the file to UTF-8";
            return Err(Error::argument(&what, "text in UTF-8", &format!("other bytes in line {line}"), hint));
        }
    };
    let lines: Vec<String> = text.lines().map(String::from).collect();
    if lines.is_empty() {
        return Err(Error::argument(&what, "texts, one a line", "an empty file", "write at least one line"));
    }
    Ok(lines)
}

/// "3 texts were longer than 128 tokens and have lost their ends": said wherever texts are cut.
pub fn cut_sentence(cut: usize, limit: usize) -> Option<String> {
    let texts = crate::output::count(cut, "text");
    let (were, have) = if cut == 1 { ("was", "has lost its end") } else { ("were", "have lost their ends") };
    (cut > 0).then(|| format!("{texts} {were} longer than {limit} tokens and {have}"))
}
