//! Text of a net file to a [`Tree`]: size limit, syntax, and the line and column of what is wrong.

use super::limits::{MAX_TEXT, refuse};
use super::tree::Tree;
use crate::error::Result;

/// Parses JSON.
pub(super) fn json(text: &str) -> Result<Tree> {
    bounded(text)?;
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // serde_json ends its message with " at line L column C".
        let problem = message.rfind(" at line ").map_or(message.as_str(), |end| &message[..end]);
        refuse(place(error.line(), error.column()), format!("not valid JSON: {problem}"), hint(problem))
    })
}

/// Parses TOML.
pub(super) fn toml(text: &str) -> Result<Tree> {
    bounded(text)?;
    toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        // Some messages of the parser span lines.
        let problem = error.message().trim().replace('\n', ", ");
        refuse(place(line, column), format!("not valid TOML: {problem}"), hint(&problem))
    })
}

fn bounded(text: &str) -> Result<()> {
    if text.len() <= MAX_TEXT {
        return Ok(());
    }
    Err(refuse("net file", format!("{} bytes long", text.len()), format!("the limit is {MAX_TEXT} bytes")))
}

fn place(line: usize, column: usize) -> String {
    format!("line {line}, column {column}")
}

fn hint(problem: &str) -> &'static str {
    match problem.contains("recursion") {
        true => "nest less deeply",
        false => "a net file looks like {\"layers\": [\"dense\", \"relu\", \"dense\"]}",
    }
}
