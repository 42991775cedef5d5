//! A folder of PNG and JPEG images of any sizes, one after the other.

use crate::error::{Error, Result};
use crate::image_file::{self, Pixels};
use crate::sets::Listing;
use std::path::{Path, PathBuf};

/// An image in colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColourImage {
    /// Its file.
    pub file: PathBuf,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Row by row: red, green, blue; grey images have the same value three times.
    pub rgb: Vec<u8>,
}

/// The images of `folder` in the order of their names; those of folders in it, one deep, after its own. An image needs at most `limit` bytes.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let Err(error) = dualnet_io::images::read(folder.path(), 1 << 20) else { panic!("images in an empty folder") };
/// assert!(error.to_string().contains("at least one image"), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A folder without images; files that are no images, or not read here (see [`crate::load`]).
pub fn read(folder: &Path, limit: u64) -> Result<impl Iterator<Item = Result<ColourImage>>> {
    let listing = Listing::of(folder)?;
    let mut files: Vec<PathBuf> = listing.files.iter().map(|name| folder.join(name)).collect();
    for name in &listing.folders {
        let inner = folder.join(name);
        files.extend(Listing::of(&inner)?.files.iter().map(|name| inner.join(name)));
    }
    if files.is_empty() {
        let hint = "put PNG or JPEG files into it";
        return Err(Error::malformed(folder, "the folder", "at least one image", "none", hint));
    }
    Ok(files.into_iter().map(move |file| {
        let image = image_file::read(&file, None, limit)?;
        let rgb = match image.pixels {
            Pixels::Colour(rgb) => rgb,
            Pixels::Grey(grey) => grey.into_iter().flat_map(|value| [value; 3]).collect(),
        };
        Ok(ColourImage { file, height: image.height, width: image.width, rgb })
    }))
}
