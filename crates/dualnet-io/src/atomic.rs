//! Files that appear whole or not at all: temporary name in the same folder, write, sync, rename, sync the folder.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

/// Writes `path` through `content`. On any error nothing is left: neither under `path`, where an earlier file stays as it
/// was, nor under the temporary name. A symbolic link is followed; a device or pipe gets the bytes when all are ready.
///
/// # Errors
/// [`Error::Write`] with what the system refused.
pub fn write(path: &Path, content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let existing = fs::metadata(path).ok();
    match &existing {
        Some(m) if m.is_dir() => return Err(Error::write(path, "write", &io::ErrorKind::IsADirectory.into())),
        Some(m) if !m.is_file() => return write_to_device(path, content),
        _ => {}
    }
    let target = if existing.is_some() {
        fs::canonicalize(path).map_err(|e| Error::write(path, "find", &e))?
    } else {
        path.to_owned()
    };
    if target.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(Error::write(path, "write", &io::ErrorKind::IsADirectory.into()));
    }
    let folder = folder_of(&target);
    let mut temporary = builder().tempfile_in(&folder).map_err(|e| Error::write(path, "create", &plain(&e)))?;
    if let Some(metadata) = existing {
        let kept = fs::set_permissions(temporary.path(), metadata.permissions());
        kept.map_err(|e| Error::write(path, "set the permissions of", &e))?;
    }
    // From here on an early return drops `temporary`, which removes it.
    let mut writer = BufWriter::with_capacity(
        1 << 16,
        temporary.as_file_mut().try_clone().map_err(|e| Error::write(path, "open", &e))?,
    );
    content(&mut writer).and_then(|()| writer.flush()).map_err(|e| Error::write(path, "write", &e))?;
    writer.get_ref().sync_all().map_err(|e| Error::write(path, "write", &e))?;
    drop(writer);
    temporary.persist(&target).map_err(|e| Error::write(path, "rename the finished file to", &e.error))?;
    sync_folder(&folder).map_err(|e| Error::write(path, "sync the folder of", &e))
}

/// Renaming over a device would replace it, so its bytes are made ready elsewhere and copied.
fn write_to_device(path: &Path, content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let copy = || {
        let mut writer = BufWriter::with_capacity(1 << 16, tempfile::tempfile()?);
        content(&mut writer)?;
        let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        io::copy(&mut file, &mut File::options().write(true).open(path)?).map(|_| ())
    };
    copy().map_err(|e: io::Error| Error::write(path, "write", &e))
}

/// The folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    }
}

/// Writes a new file at `path` through `content`, which appears whole or not at all.
///
/// # Errors
/// [`Error::Write`]: something of that name exists (also if it came to be meanwhile), or what the system refused.
pub fn create(path: &Path, content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let folder = folder_of(path);
    let mut temporary = builder().tempfile_in(&folder).map_err(|e| Error::write(path, "create", &plain(&e)))?;
    let failed = |e: &io::Error| Error::write(path, "write", e);
    let mut writer = BufWriter::with_capacity(1 << 16, temporary.as_file_mut().try_clone().map_err(|e| failed(&e))?);
    content(&mut writer).and_then(|()| writer.flush()).map_err(|e| failed(&e))?;
    writer.get_ref().sync_all().map_err(|e| failed(&e))?;
    drop(writer);
    temporary.persist_noclobber(path).map_err(|e| Error::write(path, "create", &e.error))?;
    sync_folder(&folder).map_err(|e| Error::write(path, "sync the folder of", &e))
}

/// A builder of hidden temporary names with the permissions that an ordinary new file gets.
fn builder() -> tempfile::Builder<'static, 'static> {
    builder_of(".dualnet-", ".tmp")
}

/// The same with other ends of the names.
pub(crate) fn builder_of(prefix: &'static str, suffix: &'static str) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(suffix).rand_bytes(12);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

/// Makes the renaming itself durable. Windows cannot open folders and needs no such step.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// tempfile adds the temporary path to its errors, in words only; the caller never asked for that path.
pub(crate) fn plain(e: &io::Error) -> io::Error {
    let text = e.to_string();
    let reason = text.split_once(" at path \"").map_or(text.as_str(), |(reason, _)| reason);
    io::Error::new(e.kind(), reason)
}
