//! The log of this process: made when the first tile is done, only ever appended to.

use super::lock;
use super::record::Key;
use crate::atomic;
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(super) const MAGIC: &[u8; 8] = b"dualnet1";
/// Magic and the hash of the job.
pub(super) const HEAD: usize = 8 + blake3::KEY_LEN;

/// What was written before the last so many seconds survives the loss of power.
const SYNC: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Log {
    file: Arc<File>,
    path: PathBuf,
    synced: Instant,
}

impl Log {
    fn create(folder: &Path, key: &Key) -> Result<Self> {
        let failed = |e: &std::io::Error| Error::write(folder, "begin a log in", &atomic::plain(e));
        let new = atomic::builder_of("", ".log").tempfile_in(folder).map_err(|e| failed(&e))?;
        let (file, path) = new.keep().map_err(|e| failed(&e.error))?;
        let log = Self { file: Arc::new(file), path, synced: Instant::now() };
        (&*log.file).write_all(&[&MAGIC[..], key].concat()).map_err(|e| Error::write(&log.path, "write", &e))?;
        atomic::sync_folder(folder).map_err(|e| failed(&e))?;
        Ok(log)
    }
}

/// Appends a record to the log, which is made if there is none.
pub(super) fn append(log: &Mutex<Option<Log>>, folder: &Path, key: &Key, record: &[u8]) -> Result<()> {
    let mut guard = lock(log);
    let open = match guard.take() {
        Some(open) => open,
        None => Log::create(folder, key)?,
    };
    // A log that could not be written to is left behind: what comes next goes to a new one.
    (&*open.file).write_all(record).map_err(|e| Error::write(&open.path, "write", &e))?;
    let due = open.synced.elapsed() >= SYNC;
    let open = guard.insert(open);
    if due {
        open.synced = Instant::now();
        let (file, path) = (open.file.clone(), open.path.clone());
        // Others may write meanwhile.
        drop(guard);
        file.sync_data().map_err(|e| Error::write(&path, "write", &e))?;
    }
    Ok(())
}

pub(super) fn sync(log: &Mutex<Option<Log>>) -> Result<()> {
    match &*lock(log) {
        Some(open) => open.file.sync_data().map_err(|e| Error::write(&open.path, "write", &e)),
        None => Ok(()),
    }
}

/// The logs in a folder, by name.
pub(super) fn all_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::read(folder, "read", &e);
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|e| e == "log") && path.is_file() {
            logs.push(path);
        }
    }
    logs.sort();
    Ok(logs)
}
