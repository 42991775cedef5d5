//! Folders that appear whole or not at all: built under a temporary name beside the final one, synced, renamed.

use crate::atomic::{folder_of, plain, sync_folder};
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// What to do when something of the folder's name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// An error.
    Refuse,
    /// Replace a folder that holds a file of this name, or nothing; an error for anything else, so that a mistyped path
    /// cannot destroy what it names.
    Replace {
        /// A file that only folders of this kind hold: `model.json`.
        marker: &'static str,
    },
}

/// Writes a folder: `fill` gets the path of an empty one and puts files into it. On any error nothing is left under the
/// temporary name, and what lay under `path` stays as it was. (Replacing takes two renames: should the machine stop between
/// them, the old folder lies beside under a name that begins with `.dualnet-`.)
///
/// ```
/// use dualnet_io::folder::{Existing, write_folder};
/// let outer = tempfile::tempdir()?;
/// let path = outer.path().join("model");
/// write_folder(&path, Existing::Refuse, |folder| {
///     dualnet_io::atomic::write(&folder.join("a"), |file| std::io::Write::write_all(file, b"1"))
/// })?;
/// assert_eq!(std::fs::read(path.join("a"))?, b"1");
/// assert!(write_folder(&path, Existing::Refuse, |_| Ok(())).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Whatever `fill` returns; what the file system refuses; something that exists and is not to be replaced.
pub fn write_folder(path: &Path, existing: Existing, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let failed = |action: &'static str| move |e: io::Error| Error::write(path, action, &plain(&e));
    check_existing(path, existing)?;
    let parent = folder_of(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".dualnet-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    // Dropping it on an early return removes it with its content.
    let mut temporary = builder.tempdir_in(&parent).map_err(failed("create"))?;
    fill(temporary.path())?;
    sync_all(temporary.path()).map_err(failed("write"))?;
    // Checked again, since filling takes time.
    check_existing(path, existing)?;
    let old = match fs::symlink_metadata(path) {
        Ok(_) => {
            let old = builder.tempdir_in(&parent).map_err(failed("replace"))?;
            fs::rename(path, old.path()).map_err(failed("replace"))?;
            Some(old)
        }
        Err(_) => None,
    };
    if let Err(e) = fs::rename(temporary.path(), path) {
        if let Some(mut old) = old {
            // If even this fails, what was there stays under its temporary name rather than being removed.
            old.disable_cleanup(fs::rename(old.path(), path).is_err());
        }
        return Err(failed("rename the finished folder to")(e));
    }
    temporary.disable_cleanup(true);
    sync_folder(&parent).map_err(failed("sync the folder of"))?;
    old.map_or(Ok(()), |old| old.close().map_err(failed("remove the former content of")))
}

fn check_existing(path: &Path, existing: Existing) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(metadata) if metadata.is_dir() => {
            let Existing::Replace { marker } = existing else {
                return Err(refuse(path, "a name that is free", "a folder"));
            };
            let empty = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
            if empty || path.join(marker).is_file() {
                return Ok(());
            }
            return Err(refuse(path, &format!("a free name, or a folder with {marker}"), "another folder"));
        }
        Ok(metadata) if metadata.is_symlink() => "a symbolic link",
        Ok(_) => "a file",
    };
    Err(refuse(path, "a name that is free", found))
}

fn refuse(path: &Path, expected: &str, found: &str) -> Error {
    Error::malformed(path, "the path to write to", expected, found, "choose another name or remove what is there")
}

/// Syncs every file and folder under `folder`.
fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all(&entry.path())?;
        } else if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_folder(folder)
}
