//! A job: a folder with `job.json` (what is computed) and `tiles/` (logs of what is done), made to survive.
//!
//! Many processes may work on one job at a time, on machines that share the folder. Each appends to a log of its own and writes a tile, as
//! one record, as soon as it has it: a process that is killed loses the tile at work, no other. Nobody ever changes a byte that was written;
//! a record that was cut off is passed over and its tile computed again.
//!
//! ```text
//! tiles/NAME.log   "dualnet1", hash of job.json (32 bytes), records
//! record           "tile\xa7rec", length of the values in bytes (4), number of the tile (8), values, checksum (16)
//! ```
//! All numbers are little-endian. The checksum is BLAKE3 keyed by the hash of `job.json`, over all of the record before it, cut to 16
//! bytes: a record of another job is no record here.

mod log;
mod manifest;
mod record;
mod scan;

pub use scan::Damage;

use crate::array::{Elements, ElementsMut};
use crate::error::{Error, Result};
use log::Log;
use record::{Key, Record};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is computed.
pub const JSON: &str = "job.json";
/// The folder of the logs.
pub const TILES: &str = "tiles";

/// Bits of a [`Place`] that hold an offset: logs of up to 16 TiB, a million of them.
const OFFSET_BITS: u32 = 44;

/// Where the record of a tile begins: log and offset, in 8 bytes; 0: nowhere, since every log begins with a header.
type Place = u64;

/// Log files kept open for reading.
const OPEN_FILES: usize = 64;

/// An open job. Takes 8 bytes of memory for each tile.
///
/// ```
/// use dualnet_io::{Elements, ElementsMut, job_folder::JobFolder};
/// let folder = tempfile::tempdir()?;
/// let manifest = serde_json::json!({"net": "fc-relu-3", "rows": 100});
/// let open = || JobFolder::open(&folder.path().join("job"), &manifest, 10, 1 << 20);
///
/// let job = open()?;
/// job.put(7, Elements::F32(&[0.5, 0.25]))?;
/// let again = open()?; // in another process, or after this one was killed
/// assert_eq!((again.found(), again.has(7), again.has(8)), (1, true, false));
/// let mut values = [0.0; 2];
/// assert!(again.read(7, ElementsMut::F32(&mut values))?);
/// assert_eq!(values, [0.5, 0.25]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct JobFolder {
    folder: PathBuf,
    key: Key,
    max_bytes: usize,
    logs: Vec<PathBuf>,
    places: Vec<Place>,
    found: u64,
    damage: Vec<Damage>,
    log: Mutex<Option<Log>>,
    open: Mutex<HashMap<usize, File>>,
}

impl JobFolder {
    /// Opens the job `manifest` (an object) in `path`, or begins it where nothing is; reads all logs once. The job has `tiles` tiles of at
    /// most `max_bytes` bytes of values.
    ///
    /// # Errors
    /// A folder that holds another job (with the first key that differs, and both values) or other things; logs that do not belong to it;
    /// two records of one tile with different values; what the file system refuses. Damaged records are no error: see
    /// [`JobFolder::damage`].
    pub fn open(path: &Path, manifest: &Value, tiles: u64, max_bytes: usize) -> Result<Self> {
        let key = manifest::begin_or_check(path, manifest)?;
        let count = usize::try_from(tiles).map_err(|_| too_many(path, tiles))?;
        let (folder, max_bytes) = (path.join(TILES), max_bytes.min(u32::MAX as usize));
        let mut job = Self {
            logs: log::all_in(&folder)?,
            folder,
            key,
            max_bytes,
            places: vec![0; count],
            found: 0,
            damage: Vec::new(),
            log: Mutex::new(None),
            open: Mutex::new(HashMap::new()),
        };
        for log in 0..job.logs.len() {
            job.read_log(log)?;
        }
        Ok(job)
    }

    /// Whether a job has begun in `path`.
    pub fn exists(path: &Path) -> bool {
        path.join(JSON).is_file()
    }

    /// Whether a whole record of the tile was there when the job was opened.
    pub fn has(&self, tile: u64) -> bool {
        self.place(tile).is_some()
    }

    /// How many tiles were there when the job was opened.
    pub fn found(&self) -> u64 {
        self.found
    }

    /// What cannot be read of the logs, though it is followed by records that can. The tiles in it count as not computed; what breaks off
    /// at the end of a log is no damage: a process was stopped there, or is writing.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Appends the values of a tile to the log of this process, in one write; every few seconds the log is synced to the disk.
    ///
    /// # Errors
    /// What the file system refuses; more values than a tile may have.
    pub fn put(&self, tile: u64, values: Elements<'_>) -> Result<()> {
        let bytes = values.bytes();
        if tile >= self.places.len() as u64 || bytes > self.max_bytes {
            let expected = format!("a tile below {} of at most {} bytes", self.places.len(), self.max_bytes);
            let found = format!("tile {tile} of {bytes} bytes");
            return Err(Error::malformed(&self.folder, "a new record", expected, found, "open the job it belongs to"));
        }
        let record = record::encode(&self.key, tile, values);
        log::append(&self.log, &self.folder, &self.key, &record)
    }

    /// Makes sure that what this process has put is on the disk.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn sync(&self) -> Result<()> {
        log::sync(&self.log)
    }

    /// Fills in the values of a tile, checking its record again; false if it was not there when the job was opened.
    ///
    /// # Errors
    /// A record that has changed since; another number of values; what the file system refuses.
    pub fn read(&self, tile: u64, into: ElementsMut<'_>) -> Result<bool> {
        let Some((log, offset)) = self.place(tile) else { return Ok(false) };
        let bytes = self.record_at(log, offset, record::OVERHEAD + self.max_bytes)?;
        let Some(record) = Record::parse(&self.key, &bytes, self.max_bytes).filter(|r| r.tile == tile) else {
            let (at, expected) =
                (format!("offset {offset}"), format!("the record of tile {tile}, as when it was opened"));
            let (found, hint) = ("other bytes", "run the job again: it computes that tile anew");
            return Err(Error::malformed(&self.logs[log], at, expected, found, hint));
        };
        if into.fill(record.values) {
            return Ok(true);
        }
        let (at, found) = (format!("offset {offset}, tile {tile}"), format!("{} bytes", record.values.len()));
        Err(Error::malformed(
            &self.logs[log],
            at,
            "as many values as the tile has",
            found,
            "begin the job anew elsewhere",
        ))
    }

    fn place(&self, tile: u64) -> Option<(usize, u64)> {
        let place = usize::try_from(tile).ok().and_then(|tile| self.places.get(tile)).filter(|place| **place != 0)?;
        Some(((place >> OFFSET_BITS) as usize, place & ((1 << OFFSET_BITS) - 1)))
    }

    /// Enters the records of a log.
    fn read_log(&mut self, log: usize) -> Result<()> {
        let path = self.logs[log].clone();
        if log >= 1 << (u64::BITS - OFFSET_BITS) {
            return Err(Error::unsupported(&path, "its folder", "more than a million logs", "begin the job anew"));
        }
        let limits = scan::Limits { tiles: self.places.len() as u64, max_bytes: self.max_bytes };
        let damage = scan::records(&path, &self.key.clone(), &limits, |offset, record| {
            if offset >> OFFSET_BITS != 0 {
                return Err(Error::unsupported(&path, "the file", "a log beyond 16 TiB", "begin the job anew"));
            }
            match self.place(record.tile) {
                Some(first) => self.compare(record, first, (&path, offset)),
                None => {
                    self.places[record.tile as usize] = (log as u64) << OFFSET_BITS | offset;
                    self.found += 1;
                    Ok(())
                }
            }
        })?;
        self.damage.extend(damage);
        Ok(())
    }

    /// A tile may be there twice, if its values are the same.
    fn compare(&self, record: &Record<'_>, (log, first): (usize, u64), (path, offset): (&Path, u64)) -> Result<()> {
        let bytes = self.record_at(log, first, record::OVERHEAD + record.values.len())?;
        match Record::parse(&self.key, &bytes, self.max_bytes) {
            Some(other) if other.values == record.values => Ok(()),
            _ => Err(Error::malformed(
                path,
                format!("offset {offset}, tile {}", record.tile),
                format!("the values it has in {}, offset {first}", self.logs[log].display()),
                "other values",
                "one of the two machines computes wrongly: remove its log and run the job again",
            )),
        }
    }

    /// Up to `length` bytes of a log from `offset`.
    fn record_at(&self, log: usize, offset: u64, length: usize) -> Result<Vec<u8>> {
        let path = &self.logs[log];
        let mut open = lock(&self.open);
        if open.len() >= OPEN_FILES && !open.contains_key(&log) {
            open.clear();
        }
        let mut read = || -> io::Result<Vec<u8>> {
            let file = match open.entry(log) {
                std::collections::hash_map::Entry::Occupied(file) => file.into_mut(),
                std::collections::hash_map::Entry::Vacant(none) => none.insert(File::open(path)?),
            };
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::with_capacity(length);
            file.take(length as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|e| Error::read(path, "read", &e))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn too_many(path: &Path, tiles: u64) -> Error {
    Error::unsupported(path, "the job", format!("{tiles} tiles"), "divide the samples")
}

/// The hash of samples, for a manifest: BLAKE3 of their values as little-endian bytes.
///
/// ```
/// let a = dualnet_io::job_folder::hash(dualnet_io::Elements::F32(&[1.0, 2.0]));
/// assert_eq!((a.len(), a == dualnet_io::job_folder::hash(dualnet_io::Elements::F32(&[1.0, 2.5]))), (64, false));
/// ```
pub fn hash(values: Elements<'_>) -> String {
    let mut hash = blake3::Hasher::new();
    // A hasher takes all that it is given.
    let _ = values.write_to(&mut hash);
    hash.finalize().to_hex().to_string()
}

/// True if `path` is a folder with nothing in it, or not there.
fn is_free(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => e.kind() == io::ErrorKind::NotFound,
    }
}
