//! Options that every verb understands, and what they become.

use crate::error::{Error, Result};
use crate::output;
use clap::{Args, ValueEnum};
use dualnet::Resources;
use dualnet_io::model_folder;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Options of every verb.
#[derive(Args, Clone)]
pub struct Common {
    /// Threads to use; 0: one for each core. Results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse_threads, global = true)]
    pub threads: usize,
    /// Memory that may be used, such as 500M or 8G; default: 8G or what is free, whichever is less
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

/// Which kernels are asked for.
#[derive(Clone, Copy, ValueEnum, PartialEq)]
pub enum Wanted {
    Nngp,
    Ntk,
}

/// The numbers that are computed with.
#[derive(Clone, Copy, ValueEnum)]
pub enum NumberOption {
    F32,
    F64,
}

/// What to do with missing values.
#[derive(Clone, Copy, ValueEnum)]
pub enum MissingOption {
    /// An error with file, row and column
    Refuse,
    /// Leave such rows out
    Drop,
    /// Fill in the mean that the column has in the training data; for words a level of its own
    Mean,
}

impl Common {
    /// Bytes that may be used: what was asked for, else 8 GiB or what is free, whichever is less.
    pub fn memory(&self) -> Option<u64> {
        const DEFAULT: u64 = 8 << 30;
        self.memory.or(Some(available_memory().map_or(DEFAULT, |free| free.min(DEFAULT))))
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

/// At most 1,024: beyond, starting them takes longer than any work.
fn parse_threads(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|n| *n <= 1024).ok_or_else(|| "expected a number from 0 to 1024".into())
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

/// `90s`, `5m`, `2h`, `1.5d`; a number alone counts seconds.
pub fn parse_duration(text: &str) -> std::result::Result<Duration, String> {
    let refuse = || "expected a duration above zero, such as 90s, 5m or 2h".to_string();
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(refuse()),
    };
    let number: f64 = digits.trim().parse().map_err(|_| refuse())?;
    let seconds = number * unit;
    if seconds > 0.0 { Duration::try_from_secs_f64(seconds).map_err(|_| refuse()) } else { Err(refuse()) }
}

/// Memory that can be had without swapping, where the system tells.
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// What `-o` is to name.
#[derive(Clone, Copy, PartialEq)]
pub enum Output {
    /// A file.
    File,
    /// A folder with a model.
    Model,
}

/// Refuses a path given with `-o` that cannot be written, before hours of work.
pub fn check_output(path: &Path, output: Output) -> Result<()> {
    let refuse = |expected: &str, hint: &str| Err(Error::argument("-o", expected, &path.display().to_string(), hint));
    let parent = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        return refuse("a path in a folder that exists", "make the folder first");
    }
    let empty = || std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    match (output, path.is_dir()) {
        (Output::File, true) => return refuse("a file", "that is a folder: name a file in it"),
        (Output::Model, true) if !path.join(model_folder::JSON).is_file() && !empty() => {
            return refuse(
                "a new folder, or an older model to replace",
                "that folder holds other things: choose a new name",
            );
        }
        (Output::Model, false) if path.exists() => {
            return refuse("a new folder, or an older model to replace", "that is a file: choose a new name");
        }
        _ => {}
    }
    // What permissions and mounts allow is only known by trying.
    let probe = parent.join(format!(".dualnet-{}", std::process::id()));
    match std::fs::OpenOptions::new().write(true).create_new(true).open(&probe) {
        Ok(_) => {
            let _ = std::fs::remove_file(&probe);
            Ok(())
        }
        Err(e) => refuse("a path that can be written", &format!("the system says: {e}; choose another folder")),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_duration, parse_size};

    #[test]
    fn durations() {
        let seconds = |text| parse_duration(text).map(|d| d.as_secs_f64());
        assert_eq!([seconds("90s"), seconds("5m"), seconds("2h")], [Ok(90.0), Ok(300.0), Ok(7200.0)]);
        assert_eq!([seconds("1.5d"), seconds("12")], [Ok(129_600.0), Ok(12.0)]);
        for bad in ["", "m", "-1m", "0s", "5 minutes", "5M", "nan", "1e300h", "infs"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

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
