//! Reading a log that may be cut off, damaged, or growing.

use super::log;
use super::record::{self, Key, Record};
use crate::element::fill;
use crate::error::{Error, Result};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Bytes of a log that are no records, with records behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The log.
    pub file: PathBuf,
    /// Where they begin.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
    /// The tile that they claim to be, where they begin like a record.
    pub tile: Option<u64>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: offset {}: {} damaged bytes", self.file.display(), self.offset, self.bytes)?;
        match self.tile {
            Some(tile) => write!(f, ", of tile {tile}"),
            None => Ok(()),
        }
    }
}

/// What the records of a job may claim.
pub(super) struct Limits {
    pub(super) tiles: u64,
    pub(super) max_bytes: usize,
}

/// Calls `take` with every whole record of the log at `path` and its offset. After bytes that are none it goes on with the next record there
/// is. Needs memory for a few records, whatever the log claims.
pub(super) fn records(
    path: &Path,
    key: &Key,
    limits: &Limits,
    mut take: impl FnMut(u64, &Record<'_>) -> Result<()>,
) -> Result<Vec<Damage>> {
    let file = File::open(path).map_err(|e| Error::read(path, "open", &e))?;
    let mut window = Window { file, path, bytes: Vec::new(), at: 0, start: 0, ended: false };
    let whole = record::OVERHEAD + limits.max_bytes;
    let (mut damage, mut count) = (Vec::new(), 0u64);
    window.reach(log::HEAD)?;
    let head = window.rest();
    let begins = head.starts_with(log::MAGIC) && head.get(log::MAGIC.len()..log::HEAD) == Some(&key[..]);
    let too_short = head.len() < log::HEAD;
    let mut bad = None;
    if begins {
        window.at += log::HEAD;
    } else {
        bad = Some((0, None));
        window.skip();
    }
    loop {
        window.reach(whole)?;
        if window.rest().is_empty() {
            break;
        }
        let found = Record::parse(key, window.rest(), limits.max_bytes).filter(|r| r.tile < limits.tiles);
        let Some(record) = found else {
            let tile = record::claims(window.rest()).map(|(tile, _)| tile).filter(|tile| *tile < limits.tiles);
            bad.get_or_insert((window.offset(), tile));
            window.skip();
            continue;
        };
        let (offset, length) = (window.offset(), record::OVERHEAD + record.values.len());
        if let Some((from, tile)) = bad.take() {
            damage.push(Damage { file: path.into(), offset: from, bytes: offset - from, tile });
        }
        take(offset, &record)?;
        count += 1;
        window.at += length;
    }
    if begins || count > 0 || too_short {
        return Ok(damage);
    }
    let (expected, found) = ("the beginning of a log of this job", "another one");
    Err(Error::malformed(path, "offset 0", expected, found, "it belongs to another job, or is lost: remove the file"))
}

/// A piece of a file that moves forward.
struct Window<'a> {
    file: File,
    path: &'a Path,
    bytes: Vec<u8>,
    /// Where in `bytes` the reader is.
    at: usize,
    /// Where in the file `bytes` begin.
    start: u64,
    ended: bool,
}

impl Window<'_> {
    const STEP: usize = 1 << 20;

    fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Reads on until `count` bytes are there, or the end of the file.
    fn reach(&mut self, count: usize) -> Result<()> {
        while self.rest().len() < count && !self.ended {
            self.bytes.drain(..self.at);
            self.start += self.at as u64;
            self.at = 0;
            let have = self.bytes.len();
            self.bytes.resize(have + Self::STEP, 0);
            let read = fill(&mut self.file, &mut self.bytes[have..]).map_err(|e| Error::read(self.path, "read", &e))?;
            self.bytes.truncate(have + read);
            self.ended = read < Self::STEP;
        }
        Ok(())
    }

    /// On to the next bytes that may begin a record.
    fn skip(&mut self) {
        let magic = record::MAGIC;
        let rest = self.rest();
        let next = (1..rest.len()).find(|&i| rest[i] == magic[0] && magic.starts_with(&rest[i..rest.len().min(i + 8)]));
        self.at += next.unwrap_or(rest.len());
    }
}
