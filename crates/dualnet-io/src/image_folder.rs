//! Folders of images: a folder of PNG and JPEG files for each class, or images alone, without classes.

use crate::array::{Array, Data};
use crate::dataset::Loaded;
use crate::error::{Error, Result};
use crate::image_file::{self, Pixels};
use crate::sets::Listing;
use std::path::{Path, PathBuf};

/// The folders of a training and of a test set.
const TRAIN: &str = "train";
const TEST: &str = "test";

/// Whether files that lie in the folder itself are images: it then holds samples without classes.
pub(crate) fn holds_images(folder: &Path, listing: &Listing) -> Result<bool> {
    listing.files.first().map_or(Ok(false), |name| image_file::is_image(&folder.join(name)))
}

/// Loads the images in `folder`, whose content is `listing`: those of `train` and `test`, if it holds just these, else its own.
///
/// Classes are the names of the folders of the training set, sorted; images are in the order of their names.
pub(crate) fn load(folder: &Path, listing: Listing, max_bytes: u64) -> Result<Loaded> {
    let mut pile = Pile { max_bytes, ..Pile::default() };
    let both = listing.folders == [TEST, TRAIN];
    if !both && listing.folders != [TRAIN] {
        let (classes, labels) = read_set(folder, &listing, None, &mut pile)?;
        let x = pile.finish();
        return Ok(Loaded::Arrays { x, y: labels, test: None, classes });
    }
    refuse_files(folder, &listing)?;
    let train = folder.join(TRAIN);
    let (classes, y) = read_set(&train, &Listing::of(&train)?, None, &mut pile)?;
    if !both {
        return Ok(Loaded::Arrays { x: pile.finish(), y, test: None, classes });
    }
    let Some(known) = &classes else {
        let hint = "make a folder for each class, in train and in test";
        return Err(Error::malformed(&train, "the folder", "class folders", "images without classes", hint));
    };
    let (count, path) = (pile.count, folder.join(TEST));
    let (_, test_y) = read_set(&path, &Listing::of(&path)?, Some(known), &mut pile)?;
    let (x, test_x) = split(pile.finish(), count);
    Ok(Loaded::Arrays { x, y, test: test_y.map(|y| Box::new((test_x, y))), classes })
}

/// Adds the images of one set to the pile; gives its classes, and the number of each image's among `known` (or among its own).
/// Nothing of both for images without class folders.
fn read_set(
    folder: &Path,
    listing: &Listing,
    known: Option<&[String]>,
    pile: &mut Pile,
) -> Result<(Option<Vec<String>>, Option<Array>)> {
    if listing.folders.is_empty() {
        if known.is_some() || listing.files.is_empty() {
            let (expected, found) = ("a folder for each class", "none");
            return Err(Error::malformed(folder, "the folder", expected, found, "put the images of a class into one"));
        }
        listing.files.iter().try_for_each(|name| pile.add(&folder.join(name)))?;
        return Ok((None, None));
    }
    refuse_files(folder, listing)?;
    let classes = known.unwrap_or(&listing.folders);
    let mut labels = Vec::new();
    for name in &listing.folders {
        let path = folder.join(name);
        let Some(class) = classes.iter().position(|c| c == name) else {
            let expected = format!("one of the classes of the training set, {}", some(classes));
            return Err(Error::malformed(&path, "the folder", expected, "another name", "rename or remove it"));
        };
        let inner = Listing::of(&path)?;
        if let Some(deeper) = inner.folders.first() {
            let found = format!("the folder {deeper}");
            return Err(Error::malformed(&path, "the folder", "images alone", found, "take the images out of it"));
        }
        if inner.files.is_empty() {
            return Err(Error::malformed(&path, "the folder", "at least one image", "none", "add some, or remove it"));
        }
        for file in &inner.files {
            pile.add(&path.join(file))?;
            // Exact: a set that fits in memory has fewer classes than 2^53.
            labels.push(class as f64);
        }
    }
    let y = Array { shape: vec![labels.len()], data: Data::F64(labels) };
    Ok((Some(classes.to_vec()), Some(y)))
}

/// Files beside class folders belong to no class.
fn refuse_files(folder: &Path, listing: &Listing) -> Result<()> {
    let Some(name) = listing.files.first() else { return Ok(()) };
    let path = folder.join(name);
    let hint = "move it into the folder of its class, or elsewhere";
    Err(Error::malformed(&path, "the path", "folders of classes alone", "a file beside them", hint))
}

/// The first few of a list of names.
fn some(names: &[String]) -> String {
    let first = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 8 { format!("{first}, … ({} in all)", names.len()) } else { first }
}

/// Images of one size, one after the other; grey until the first in colour.
#[derive(Default)]
struct Pile {
    max_bytes: u64,
    /// Height, width, and the file they were first seen in.
    size: Option<((usize, usize), PathBuf)>,
    colour: bool,
    values: Vec<u8>,
    count: usize,
}

impl Pile {
    fn add(&mut self, path: &Path) -> Result<()> {
        let expected = self.size.as_ref().map(|(size, first)| (*size, first.as_path()));
        let image = image_file::read(path, expected, self.max_bytes.saturating_sub(self.values.len() as u64))?;
        if self.size.is_none() {
            self.size = Some(((image.height, image.width), path.into()));
        }
        match (image.pixels, self.colour) {
            (Pixels::Grey(v), false) => self.values.extend(v),
            (Pixels::Grey(v), true) => self.values.extend(v.into_iter().flat_map(|g| [g; 3])),
            (Pixels::Colour(v), colour) => {
                if !colour {
                    self.fits(path, 3 * self.values.len() + v.len())?;
                    self.values = self.values.iter().flat_map(|&g| [g; 3]).collect();
                    self.colour = true;
                }
                self.values.extend(v);
            }
        }
        self.count += 1;
        self.fits(path, self.values.len())
    }

    fn fits(&self, path: &Path, bytes: usize) -> Result<()> {
        let (needed, limit) = (bytes as u64, self.max_bytes);
        if needed <= limit {
            return Ok(());
        }
        Err(Error::TooLarge { file: path.into(), at: "the images up to this one".into(), needed, limit })
    }

    fn finish(self) -> Array {
        let (height, width) = self.size.map_or((0, 0), |(size, _)| size);
        let channels = if self.colour { 3 } else { 1 };
        Array { shape: vec![self.count, height, width, channels], data: Data::U8(self.values) }
    }
}

/// The first `count` samples, and the others.
fn split(all: Array, count: usize) -> (Array, Array) {
    let width = all.row_len();
    let shape = |n: usize| [&[n], &all.shape[1..]].concat();
    let (first, rest) = (shape(count), shape(all.rows() - count));
    match all.data {
        Data::U8(mut values) => {
            let after = values.split_off(count * width);
            (Array { shape: first, data: Data::U8(values) }, Array { shape: rest, data: Data::U8(after) })
        }
        // Images are bytes.
        other => (Array { shape: first, data: other }, Array { shape: rest, data: Data::U8(Vec::new()) }),
    }
}
