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
    if x == 0.0 {
        return "0".into();
    }
    // Rounded first, since 0.99996 has the digits of 1.
    let rounded: f64 = format!("{x:.3e}").parse().unwrap_or(x);
    if (1e-3..1e5).contains(&rounded.abs()) {
        let digits = (3 - rounded.abs().log10().floor() as i32).clamp(0, 6) as usize;
        format!("{rounded:.digits$}")
    } else {
        format!("{x:.3e}")
    }
}

/// A number of things: "1 row", "12,000 rows".
pub fn count(n: usize, noun: &str) -> String {
    let mut digits = n.to_string();
    for at in (1..digits.len()).rev().filter(|at| (digits.len() - at).is_multiple_of(3)).collect::<Vec<_>>() {
        digits.insert(at, ',');
    }
    format!("{digits} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A span of time for people.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => "less than 1 ms".into(),
        s if s < 1.0 => format!("{:.0} ms", 1e3 * s),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// A span of time, however short, for people.
pub fn short_duration(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{} ns", number(1e9 * s)),
        s if s < 1e-3 => format!("{} us", number(1e6 * s)),
        s if s < 1.0 => format!("{} ms", number(1e3 * s)),
        s => duration(s),
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

/// A remark where `needed` bytes are more than may be used.
pub fn over_limit(needed: u64, limit: Option<u64>) -> String {
    match limit {
        Some(limit) if needed > limit => format!(" (more than the {} allowed)", bytes(limit)),
        _ => String::new(),
    }
}

/// A progress bar with the time left, on standard error; on one line whatever the width of the terminal.
pub struct Bar {
    bar: ProgressBar,
    stages: Mutex<Stages>,
}

impl Bar {
    /// None where nobody watches.
    pub fn new(quiet: bool) -> Option<Self> {
        if quiet || !std::io::stderr().is_terminal() {
            return None;
        }
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) = ProgressStyle::with_template("[{bar:24}] {percent:>3} %  {eta:>4} left  {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Some(Self { bar, stages: Mutex::new(Stages::default()) })
    }
}

impl Progress for Bar {
    fn update(&self, what: &str, done: u64, total: u64) {
        let Ok(mut stages) = self.stages.lock() else { return };
        let entered = stages.update(what, done, total);
        match stages.0.last() {
            None => self.bar.finish_and_clear(),
            Some((_, done, total)) => {
                self.bar.set_length(*total);
                if entered {
                    // Time left is that of the innermost stage, from its own beginning.
                    self.bar.reset();
                    self.bar.set_message(stages.to_string());
                }
                self.bar.set_position(*done);
            }
        }
    }
}

/// Work within work, the innermost last: what, done, total.
#[derive(Default)]
struct Stages(Vec<(String, u64, u64)>);

impl Stages {
    /// Takes an update in; true if a stage began or one ended.
    fn update(&mut self, what: &str, done: u64, total: u64) -> bool {
        let before = self.0.len();
        let known = self.0.iter().position(|(name, ..)| name == what);
        self.0.truncate(known.map_or(before, |at| at));
        if done < total {
            self.0.push((what.to_string(), done, total));
        }
        self.0.len() != before
    }
}

impl std::fmt::Display for Stages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (what, done, total)) in self.0.iter().enumerate() {
            match (at + 1 == self.0.len(), *total > 1) {
                (true, _) => write!(f, "{what}")?,
                (false, true) => write!(f, "{what} {} of {total}: ", done + 1)?,
                (false, false) => write!(f, "{what}: ")?,
            }
        }
        Ok(())
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
        assert_eq!(number(0.999_999), "1.000");
        assert_eq!(number(0.0), "0");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }

    #[test]
    fn things_and_times_are_counted() {
        assert_eq!(
            [count(1, "row"), count(999, "row"), count(1_234_567, "row")],
            ["1 row", "999 rows", "1,234,567 rows"]
        );
        assert_eq!(
            [duration(0.25), duration(59.96), duration(600.0), duration(9000.0)],
            ["250 ms", "60.0 s", "10 min", "2.5 h"]
        );
    }

    #[test]
    fn stages_nest() {
        let mut stages = Stages::default();
        assert!(stages.update("choosing", 2, 8));
        assert!(stages.update("kernel", 1, 10));
        assert!(!stages.update("kernel", 2, 10));
        assert_eq!(stages.to_string(), "choosing 3 of 8: kernel");
        assert!(stages.update("kernel", 10, 10));
        assert_eq!(stages.to_string(), "choosing");
        stages.update("kernel", 1, 10);
        stages.update("choosing", 8, 8);
        assert!(stages.0.is_empty());
    }
}
