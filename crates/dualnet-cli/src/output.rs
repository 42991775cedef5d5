//! What people see: lines on standard error, a progress bar, aligned tables, one JSON object.

use crate::error::Result;
use dualnet::resources::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::Mutex;

/// A line on standard error; a closed one is nobody's loss.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Text on standard output.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// A JSON object on standard output.
pub fn print_json(value: &serde_json::Value) -> Result<()> {
    print(&format!("{value:#}"))
}

/// Rows with their columns aligned: the first to the left, the others to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |j: usize| rows.iter().filter_map(|r| r.get(j)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (j, cell) in row.iter().enumerate() {
            let gap = " ".repeat(widths[j].saturating_sub(cell.chars().count()));
            let cell = if j == 0 { format!("{cell}{gap}") } else { format!("  {gap}{cell}") };
            line.push_str(&cell);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Four significant digits.
pub fn number(x: f64) -> String {
    if x == 0.0 || (1e-3..1e5).contains(&x.abs()) {
        let digits = (3 - x.abs().max(1e-9).log10().floor() as i32).clamp(0, 6) as usize;
        format!("{x:.digits$}")
    } else {
        format!("{x:.3e}")
    }
}

/// Bytes for people.
pub fn bytes(n: u64) -> String {
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 1024.0 && unit < 4 {
        value /= 1024.0;
        unit += 1;
    }
    let name = ["bytes", "KiB", "MiB", "GiB", "TiB"][unit];
    if unit == 0 { format!("{n} {name}") } else { format!("{value:.1} {name}") }
}

/// A progress bar with the time left, on standard error.
pub struct Bar {
    bar: ProgressBar,
    stage: Mutex<String>,
}

impl Bar {
    /// None where nobody watches.
    pub fn new(quiet: bool) -> Option<Self> {
        if quiet || !std::io::stderr().is_terminal() {
            return None;
        }
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) = ProgressStyle::with_template("{msg:24} [{bar:32}] {percent:>3} %  {eta} left") {
            bar.set_style(style.progress_chars("=> "));
        }
        Some(Self { bar, stage: Mutex::new(String::new()) })
    }
}

impl Progress for Bar {
    fn update(&self, what: &str, done: u64, total: u64) {
        if let Ok(mut stage) = self.stage.lock()
            && *stage != what
        {
            *stage = what.to_string();
            self.bar.reset();
            self.bar.set_message(what.to_string());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
        if done >= total {
            self.bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["long".into(), "23".into()]];
        assert_eq!(table(&rows), "a      1\nlong  23\n");
    }

    #[test]
    fn numbers_have_four_digits() {
        assert_eq!(number(0.91234), "0.9123");
        assert_eq!(number(12.3456), "12.35");
        assert_eq!(number(1e-8), "1.000e-8");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}
