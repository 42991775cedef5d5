//! From files to images with their targets.

use crate::data::{self, Reading};
use crate::error::{Error, Result};
use crate::options::MissingOption;
use crate::samples::check_classes;
use dualnet::Mat;
use dualnet::kernel::InputShape;
use dualnet::model::{Column, ImageModel, Images, Target, Task};
use dualnet_io::{Array, Data, Loaded, Missing, Options};
use std::path::{Path, PathBuf};

/// Images of a file or folder.
pub struct Pictures {
    /// The file or folder.
    pub file: PathBuf,
    /// The images.
    pub images: Images,
    /// Target columns, not yet read as numbers or classes; empty where the data have none.
    target: Vec<Column>,
}

/// What a file or folder held.
pub struct PictureData {
    /// Its images.
    pub pictures: Pictures,
    /// A test set that came along.
    pub test: Option<Pictures>,
}

/// Loads images for a net over `axes` axes: 1 for sequences, else images.
pub fn load(path: &Path, axes: usize, reading: &Reading<'_>) -> Result<PictureData> {
    let missing = match reading.missing {
        MissingOption::Refuse => Missing::Refuse,
        MissingOption::Drop => Missing::Drop,
        MissingOption::Mean => {
            let hint = "fill the images in first, or pass --missing drop";
            return Err(Error::argument("--missing", "refuse or drop for images", "mean", hint));
        }
    };
    let options = Options {
        max_bytes: reading.common.memory().unwrap_or(u64::MAX),
        labels: reading.labels.map(Path::to_path_buf),
        missing,
        target: None,
    };
    let Loaded::Arrays { x, y, test, classes } = dualnet_io::load(path, &options)? else {
        let hint = "give .npy, .npz or IDX, a CIFAR folder, or a folder of class folders";
        return Err(Error::argument(&path.display().to_string(), "images", "a table", hint));
    };
    let pictures = |x: Array, y: Option<Array>| -> Result<Pictures> {
        let target = match &y {
            Some(y) => data::targets(path, x.rows(), y, classes.as_deref())?,
            None => Vec::new(),
        };
        let file = path.to_path_buf();
        Ok(Pictures { images: images(path, x, axes)?, target, file })
    };
    let test = match test {
        Some(pair) => Some(pictures(pair.0, Some(pair.1))?),
        None => None,
    };
    Ok(PictureData { pictures: pictures(x, y)?, test })
}

/// Images for a model that was fitted before: of a folder with a training and a test set the latter.
pub fn load_for(model: &ImageModel, path: &Path, reading: &Reading<'_>) -> Result<Pictures> {
    let data = load(path, model.shape().positions.len(), reading)?;
    Ok(data.test.unwrap_or(data.pictures))
}

/// Images and targets to judge a model by.
pub fn load_judging(model: &ImageModel, path: &Path, reading: &Reading<'_>) -> Result<(Images, Target)> {
    let pictures = load_for(model, path, reading)?;
    let target = pictures.target(Some(model.task()))?;
    pictures.check_classes(&target, model.classes())?;
    Ok((pictures.images, target))
}

impl Pictures {
    /// The targets as numbers or classes; an error where there are none.
    pub fn target(&self, task: Option<Task>) -> Result<Target> {
        if self.target.is_empty() {
            let hint = "give --labels, an .npz with x and y, or a folder for each class";
            return Err(Error::argument(&self.file.display().to_string(), "images with targets", "images alone", hint));
        }
        Target::from_columns(&self.target, task).map_err(Error::within(&self.file))
    }

    /// Refuses classes that are not among `known`.
    pub fn check_classes(&self, target: &Target, known: &[String]) -> Result<()> {
        check_classes(&self.file, target, known, |row| format!("image {}", row + 1))
    }

    /// Refuses images of another shape than those of `file`.
    pub fn check_shape(&self, shape: &InputShape, file: &Path) -> Result<()> {
        if self.images.shape() == shape {
            return Ok(());
        }
        let (what, expected) =
            (self.file.display().to_string(), format!("images of {shape}, as in {}", file.display()));
        Err(Error::argument(&what, &expected, &self.images.shape().to_string(), "bring all images to one size first"))
    }
}

/// An array as images (n, height, width[, channels]), or sequences (n, length[, channels]).
fn images(path: &Path, x: Array, axes: usize) -> Result<Images> {
    let shape = match (axes, &x.shape[1..]) {
        (1, &[length]) => InputShape::sequence(length, 1),
        (1, &[length, channels]) => InputShape::sequence(length, channels),
        (2, &[height, width]) => InputShape::image(height, width, 1),
        (2, &[height, width, channels]) => InputShape::image(height, width, channels),
        _ => {
            let expected = match axes {
                1 => "sequences of shape (n, length) or (n, length, channels)",
                _ => "images of shape (n, height, width) or (n, height, width, channels)",
            };
            let hint = "reshape the array, or use a net of dense layers";
            return Err(Error::argument(&path.display().to_string(), expected, &format!("{:?}", x.shape), hint));
        }
    };
    let (rows, width) = (x.rows(), x.row_len());
    let floats = |values: Vec<f32>| Mat::from_vec(rows, width, values).and_then(|m| Images::new(shape.clone(), m));
    match x.data {
        Data::U8(bytes) => Images::from_bytes(shape, &bytes),
        Data::F32(values) => floats(values),
        Data::F64(values) => floats(values.into_iter().map(|v| v as f32).collect()),
    }
    .map_err(Error::within(path))
}
