//! Models of images: exact kernels of nets over positions, with preprocessing and symmetry that images have.
//!
//! [`fit_images`] computes NNGP and NTK of all pairs of images in one pass, in `f32`, and solves both in `f64` along the path of lambdas by
//! exact leave-one-out, as [`super::fit()`] does for tables. Whoever wants the matrices computed otherwise, by a job that can be resumed,
//! gives another [`GramSource`]. [`fit_image_features`] fits features of the kernel instead, to any number of images.
//!
//! ```
//! use dualnet::kernel::InputShape;
//! use dualnet::model::{Direct, ImageOptions, Images, Target, fit_images};
//! use dualnet::{Resources, net::Net};
//! // Bars of 4 x 4 pixels, at the top or at the bottom.
//! let bar = |i: usize| (0..16).map(move |p| if p / 4 == 3 * (i % 2) && p % 4 != i % 3 { 255 } else { (7 * i + p) as u8 % 16 });
//! let images = Images::from_bytes(InputShape::image(4, 4, 1), &(0..20).flat_map(bar).collect::<Vec<u8>>())?;
//! let target = Target::Classes { name: "y".into(), labels: vec!["top".into(), "low".into()], codes: (0..20).map(|i| i % 2).collect() };
//! let options = ImageOptions::new(Net::parse("fc-relu-1")?);
//! let model = fit_images(&images, &target, &options, &mut Direct, &Resources::new(1)?)?;
//! assert_eq!(model.report().loo.accuracy, Some(1.0));
//! # Ok::<(), dualnet::Error>(())
//! ```

mod features;
mod fit;
mod kernel;
mod plan;
mod predict;
mod report;
mod saved;
mod source;
mod whiten;

use super::candidates::KernelChoice;
use super::invalid;
use crate::error::{Error, Result};
use crate::kernel::InputShape;
use crate::linalg::Mat;
use crate::net::Net;
use crate::ridge::default_path;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use features::{ImageFeatureOptions, ImageFeaturePlan, fit_image_features, image_seconds, plan_image_features};
pub use fit::fit_images;
pub use plan::{ImagePlan, image_job, pair_seconds, plan_images};
pub use predict::ImageModel;
pub use report::{ImageReport, TriedKernel};
pub(super) use saved::is_meant_by;
pub use source::{Direct, GramSource};
pub use whiten::ZCA_REGULARISATION;

/// Images of one shape; each a row of values in the order (height, width, channel).
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    shape: InputShape,
    values: Mat<f32>,
}

impl Images {
    /// Takes values (n x positions and channels) as they are.
    ///
    /// # Errors
    /// Rows of another length than the shape says; none; values that are not finite; a shape without positions.
    pub fn new(shape: InputShape, values: Mat<f32>) -> Result<Self> {
        let width = shape.width();
        if values.cols() != width || width == 0 || shape.positions.is_empty() {
            return Err(Error::Shape {
                what: "images".into(),
                expected: "rows of as many values as positions times channels".into(),
                found: format!("{} values for the shape {shape}", values.cols()),
            });
        }
        if values.rows() == 0 {
            return Err(invalid("the images", "at least one", "none", "check the file"));
        }
        values.as_ref().check_finite("images")?;
        Ok(Self { shape, values })
    }

    /// Takes bytes, image by image, as parts of 255: values from 0 to 1.
    ///
    /// ```
    /// use dualnet::{kernel::InputShape, model::Images};
    /// let images = Images::from_bytes(InputShape::image(1, 2, 1), &[0, 255, 51, 102])?;
    /// assert_eq!(images.values().row(1), [0.2, 0.4]);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Images::new`].
    pub fn from_bytes(shape: InputShape, bytes: &[u8]) -> Result<Self> {
        let width = shape.width().max(1);
        let values = bytes.iter().map(|&b| f32::from(b) / 255.0).collect();
        Self::new(shape, Mat::from_vec(bytes.len() / width, width, values)?)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.values.rows()
    }
    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// What one looks like.
    pub fn shape(&self) -> &InputShape {
        &self.shape
    }
    /// n x (positions and channels).
    pub fn values(&self) -> &Mat<f32> {
        &self.values
    }
    /// The images named, in that order.
    pub fn select(&self, images: &[usize]) -> Self {
        Self { shape: self.shape.clone(), values: self.values.as_ref().select_rows(images) }
    }
}

/// What is done to the values before the kernel sees them; learned on the training images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whiten {
    /// Nothing.
    #[default]
    None,
    /// Each channel to mean 0 and standard deviation 1.
    Mean,
    /// All values of an image decorrelated: multiplied by (C + r I)^(-1/2), C their covariance, r a tenth of its mean eigenvalue. Costs n d^2
    /// operations for the covariance and 10 d^3 for its roots, on one thread: about 10 s for 32 x 32 x 3.
    Zca,
}

/// What the model takes for the same image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Augment {
    /// Nothing but itself.
    #[default]
    None,
    /// An image and its horizontal flip: [`crate::kernel::FlipKernel`].
    Flip,
}

/// What to fit to images.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    /// The net; one without layers over positions sees flattened images.
    pub net: Net,
    /// Which of its kernels; auto: the better of both by leave-one-out.
    pub kernel: KernelChoice,
    /// Preprocessing.
    pub whiten: Whiten,
    /// Symmetry.
    pub augment: Augment,
    /// Lambdas, in units of the mean diagonal of the kernel.
    pub lambdas: Vec<f64>,
}

impl ImageOptions {
    /// Both kernels of `net`, the default path of lambdas, nothing else.
    pub fn new(net: Net) -> Self {
        let lambdas = default_path();
        Self { net, kernel: KernelChoice::Auto, whiten: Whiten::None, augment: Augment::None, lambdas }
    }

    /// All that decides the values of the kernel on given images, as a JSON object: `net`, `whiten`, `augment`.
    ///
    /// ```
    /// use dualnet::{model::ImageOptions, net::Net};
    /// let text = ImageOptions::new(Net::parse("myrtle-5")?).description();
    /// assert!(text.ends_with(r#""whiten":"none","augment":"none"}"#));
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn description(&self) -> String {
        let (net, whiten, augment) = (self.net.to_json(), json!(self.whiten), json!(self.augment));
        format!("{{\"net\":{net},\"whiten\":{whiten},\"augment\":{augment}}}")
    }
}
