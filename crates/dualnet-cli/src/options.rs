//! Options that every verb understands, and what they become.

use crate::error::{Error, Result};
use crate::output;
use clap::{Args, ValueEnum};
use dualnet::Resources;
use dualnet_io::Missing;
use std::sync::Arc;

/// Options of every verb.
#[derive(Args, Clone)]
pub struct Common {
    /// Threads to use; 0: one for each core. Results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0, global = true)]
    pub threads: usize,
    /// Memory that may be used, such as 500M or 8G; default: what the machine has free
    #[arg(long, value_name = "SIZE", value_parser = parse_size, global = true)]
    pub memory: Option<u64>,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0, global = true)]
    pub seed: u64,
    /// Say nothing but errors
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Print one JSON object on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do with missing values.
#[derive(Clone, Copy, ValueEnum)]
pub enum MissingOption {
    /// An error with file, row and column
    Refuse,
    /// Leave rows out
    Drop,
    /// The column's mean; for words a level of its own
    Mean,
}

impl From<MissingOption> for Missing {
    fn from(option: MissingOption) -> Missing {
        match option {
            MissingOption::Refuse => Missing::Refuse,
            MissingOption::Drop => Missing::Drop,
            MissingOption::Mean => Missing::Mean,
        }
    }
}

impl Common {
    /// Bytes that may be used: what was asked for, else what is free.
    pub fn memory(&self) -> Option<u64> {
        self.memory.or_else(available_memory)
    }

    /// Threads, memory, seed and a progress bar where somebody watches.
    pub fn resources(&self) -> Result<Resources> {
        let resources = Resources::new(self.threads)?.with_seed(self.seed);
        let resources = match self.memory() {
            Some(bytes) => resources.with_memory(bytes),
            None => resources,
        };
        Ok(match output::Bar::new(self.quiet) {
            Some(bar) => resources.with_progress(Arc::new(bar)),
            None => resources,
        })
    }

    /// A line for people on standard error, unless they want none.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            output::say(line);
        }
    }
}

/// `500M`, `8G`, `8GiB`, `1073741824`: powers of 1024.
fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
        "" => 1u64,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return Err("expected a size such as 500M or 8G".into()),
    };
    let number: f64 = digits.trim().parse().map_err(|_| "expected a size such as 500M or 8G".to_string())?;
    let bytes = number * unit as f64;
    if bytes.is_finite() && (1.0..=u64::MAX as f64).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err("expected a size above zero, such as 500M or 8G".into())
    }
}

/// Memory that can be had without swapping, where the system tells.
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Refuses a path given with `-o` that is not there to be written, before hours of work.
pub fn check_output(path: &std::path::Path) -> Result<()> {
    let parent = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => std::path::Path::new("."),
    };
    if parent.is_dir() {
        return Ok(());
    }
    Err(Error::argument("-o", "a path in a folder that exists", &path.display().to_string(), "make the folder first"))
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("8G"), Ok(8 << 30));
        assert_eq!(parse_size("500MiB"), Ok(500 << 20));
        assert_eq!(parse_size("1.5k"), Ok(1536));
        assert_eq!(parse_size("12"), Ok(12));
        for bad in ["", "G", "-1G", "8X", "nan", "1e400"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
