//! Folders that hold a data set: which kind one is, by the names in it, and what it holds.

use crate::array::Array;
use crate::dataset::{Loaded, check_pair};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::{cifar, idx, image_folder, missing};
use std::fs;
use std::path::{Path, PathBuf};

/// What lies in a folder: names of files and of folders, sorted, hidden ones left out.
pub(crate) struct Listing {
    pub(crate) files: Vec<String>,
    pub(crate) folders: Vec<String>,
}

impl Listing {
    /// Reads the names in `folder`.
    ///
    /// # Errors
    /// What the system refuses; names that are not UTF-8, since two of them could look the same; what is neither file nor folder.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| Error::read(folder, "list", &e);
        let mut this = Self { files: Vec::new(), folders: Vec::new() };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().into_string().map_err(|name| {
                Error::malformed(folder, "a name in the folder", "UTF-8", format!("{name:?}"), "rename it")
            })?;
            if name.starts_with('.') {
                continue;
            }
            // Links are followed.
            let kind = fs::metadata(entry.path()).map_err(|e| Error::read(&entry.path(), "open", &e))?;
            match (kind.is_dir(), kind.is_file()) {
                (true, _) => this.folders.push(name),
                (_, true) => this.files.push(name),
                _ => {
                    let hint = "move it elsewhere";
                    return Err(Error::malformed(
                        &entry.path(),
                        "the path",
                        "a file or folder",
                        "something else",
                        hint,
                    ));
                }
            }
        }
        this.files.sort_unstable();
        this.folders.sort_unstable();
        Ok(this)
    }
}

/// Loads the set in a folder.
pub(crate) fn load(folder: &Path, options: &Options) -> Result<Loaded> {
    if options.labels.is_some() {
        let found = "labels in the folder and in --labels";
        return Err(Error::unsupported(folder, "the folder", found, "leave --labels out"));
    }
    let listing = Listing::of(folder)?;
    if listing.files.iter().any(|name| idx::is_standard(name)) {
        return load_idx(folder, options);
    }
    if listing.files.iter().any(|name| cifar::is_batch(name)) {
        return cifar::load(folder, &listing, options.max_bytes);
    }
    if !listing.folders.is_empty() || image_folder::holds_images(folder, &listing)? {
        return image_folder::load(folder, listing, options.max_bytes);
    }
    let expected = "the files of an IDX or CIFAR set, or a folder of PNG or JPEG images for each class";
    let found = match listing.files.first() {
        None => "an empty folder".to_string(),
        Some(name) => format!("other files, such as {name}"),
    };
    Err(Error::malformed(folder, "the folder", expected, found, "add what is missing, or name a data file"))
}

/// Both sets of four IDX files.
fn load_idx(folder: &Path, options: &Options) -> Result<Loaded> {
    let [images, labels, test_images, test_labels] = idx::standard_files(folder)?;
    // Both sets lie in memory together and share the limit.
    let mut left = options.max_bytes;
    let mut pair = |images: &PathBuf, labels: &Path| -> Result<(Array, Array)> {
        let mut x = idx::read(images, left)?;
        let mut y = idx::read(labels, left)?;
        left = left.saturating_sub((x.data.len() * x.data.width() + y.data.len() * y.data.width()) as u64);
        check_pair(images, &x.shape, Some(&y.shape), Some(labels))?;
        missing::in_arrays(images, &mut x, Some(&mut y), options.missing)?;
        Ok((x, y))
    };
    let (x, y) = pair(&images, &labels)?;
    let test = pair(&test_images, &test_labels)?;
    if test.0.shape[1..] != x.shape[1..] {
        let (expected, found) = (format!("samples of shape {:?}", &x.shape[1..]), format!("{:?}", &test.0.shape[1..]));
        let hint = "training and test set must come from the same data set";
        return Err(Error::malformed(&test_images, "the samples", expected, found, hint));
    }
    Ok(Loaded::Arrays { x, y: Some(y), test: Some(Box::new(test)), classes: None })
}
