//! A net in one line: `dense relu dense (ntk, w_std 1.414, b_std 0)`.

use super::tree::Tree;
use super::{Net, Parameterization, write};
use std::fmt;

/// Layers shown of a long list: this many at its start, and the last two.
const SHOWN: usize = 24;

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = self.spec();
        if let Tree::List(layers) = write::layers(&spec.layers) {
            sequence(&layers, f)?;
        }
        let parameterization = match spec.parameterization {
            Parameterization::Ntk => "ntk",
            Parameterization::Standard => "standard",
        };
        write!(f, " ({parameterization}, w_std {}, b_std {})", number(spec.w_std), number(spec.b_std))
    }
}

fn sequence(layers: &[Tree], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let hidden = if layers.len() > SHOWN + 2 { SHOWN..layers.len() - 2 } else { 0..0 };
    for (i, layer) in layers.iter().enumerate() {
        let space = if i > 0 { " " } else { "" };
        if i == hidden.start && !hidden.is_empty() {
            write!(f, "{space}... {} more ...", hidden.len())?;
        }
        if !hidden.contains(&i) {
            f.write_str(space)?;
            one(layer, f)?;
        }
    }
    Ok(())
}

fn one(layer: &Tree, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match layer {
        Tree::Object(entries) => {
            for (name, content) in entries {
                write!(f, "{name}(")?;
                match content {
                    Tree::List(items) if items.iter().all(|item| matches!(item, Tree::List(_))) => branches(items, f)?,
                    Tree::List(items) => sequence(items, f)?,
                    Tree::Object(keys) => pairs(keys, f)?,
                    other => value(other, f)?,
                }
                f.write_str(")")?;
            }
            Ok(())
        }
        other => value(other, f),
    }
}

fn branches(branches: &[Tree], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, branch) in branches.iter().enumerate() {
        f.write_str(if i > 0 { " | " } else { "" })?;
        match branch {
            Tree::List(layers) if layers.is_empty() => f.write_str("input")?,
            Tree::List(layers) => sequence(layers, f)?,
            other => value(other, f)?,
        }
    }
    Ok(())
}

fn pairs(entries: &[(String, Tree)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, (key, content)) in entries.iter().enumerate() {
        write!(f, "{}{key} ", if i > 0 { ", " } else { "" })?;
        value(content, f)?;
    }
    Ok(())
}

fn value(tree: &Tree, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match tree {
        Tree::Word(word) => f.write_str(word),
        Tree::Number(value) => f.write_str(&number(*value)),
        Tree::List(items) => {
            for (i, item) in items.iter().enumerate() {
                f.write_str(if i > 0 { "x" } else { "" })?;
                value(item, f)?;
            }
            Ok(())
        }
        Tree::Object(entries) => pairs(entries, f),
        other => f.write_str(&other.describe()),
    }
}

/// Four significant digits, as short as they go.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    let text = format!("{rounded:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
