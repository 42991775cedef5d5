//! A model of images.

use super::kernel::ImageKernel;
use super::report::ImageReport;
use super::whiten::Whitening;
use super::{Augment, Images};
use crate::error::Result;
use crate::kernel::InputShape;
use crate::linalg::{Mat, affine};
use crate::model::exact::whole_blocks;
use crate::model::features::Features;
use crate::model::outputs::Outputs;
use crate::model::{KernelKind, Metrics, Prediction, Target, Task};
use crate::net::Net;
use crate::resources::Resources;
use std::ops::Range;

/// How the function was solved for.
#[derive(Clone, Debug)]
pub(super) enum ImageSolution {
    /// In the dual: preprocessed training images, and a coefficient for each and output.
    Exact { x: Mat<f32>, coefficients: Mat<f64> },
    /// In the primal, by features of the kernel.
    Features(Box<Features>),
}

/// A model fitted to images by [`super::fit_images`] or [`super::fit_image_features`].
#[derive(Clone, Debug)]
pub struct ImageModel {
    pub(super) net: Net,
    pub(super) augment: Augment,
    pub(super) kind: KernelKind,
    pub(super) whitening: Whitening,
    pub(super) solution: ImageSolution,
    pub(super) intercept: Vec<f64>,
    pub(super) lambda_absolute: f64,
    pub(super) outputs: Outputs,
    pub(super) report: ImageReport,
}

impl ImageModel {
    /// What was fitted, and how good it is by leave-one-out.
    pub fn report(&self) -> &ImageReport {
        &self.report
    }

    /// What the images look like.
    pub fn shape(&self) -> &InputShape {
        &self.whitening.shape
    }

    /// Classes or numbers.
    pub fn task(&self) -> Task {
        self.outputs.task()
    }

    /// The classes, in the order of the columns of probabilities; empty for regression.
    pub fn classes(&self) -> &[String] {
        self.outputs.classes()
    }

    /// Names of the target columns.
    pub fn targets(&self) -> Vec<String> {
        self.outputs.targets()
    }

    /// Predicts images; for regression with intervals that hold a new value with probability `level`, where given. These have the same
    /// width everywhere.
    ///
    /// Image i alone gives the same bits as in any batch. Cost: a pair for each new and each training image, or the features of each new one, twice
    /// with flips.
    ///
    /// # Errors
    /// Images of another shape; a level beyond n / (n + 1); memory; values beyond the range of the precision.
    pub fn predict(&self, images: &Images, level: Option<f64>, resources: &Resources) -> Result<Prediction> {
        self.outputs.variances(level)?;
        self.whitening.check(images)?;
        let values = match &self.solution {
            ImageSolution::Exact { x, coefficients } => self.exact(images, (x, coefficients), resources)?,
            ImageSolution::Features(features) => {
                let batch =
                    |rows: Range<usize>| self.whitening.apply(&images.select(&rows.collect::<Vec<_>>()), resources);
                features.values(images.len(), batch, &self.intercept, resources)?
            }
        };
        self.outputs.prediction(values, &[], level)
    }

    fn exact(
        &self,
        images: &Images,
        (training, coefficients): (&Mat<f32>, &Mat<f64>),
        resources: &Resources,
    ) -> Result<Mat<f64>> {
        let x = self.whitening.apply(images, resources)?;
        let kernel = ImageKernel::new(&self.net, self.shape(), self.augment)?;
        let mut values = Mat::zeros(images.len(), self.intercept.len());
        kernel.cross(x.as_ref(), training.as_ref(), self.kind, resources, |rows, cross| {
            let cross = whole_blocks(cross)?;
            let part = affine(&self.intercept, cross.as_ref(), coefficients.as_ref(), resources)?;
            for i in rows.clone() {
                values.row_mut(i).copy_from_slice(part.row(i - rows.start));
            }
            Ok(())
        })?;
        Ok(values)
    }

    /// Metrics on images of known target; for regression with the share of targets within 90 % intervals.
    ///
    /// # Errors
    /// As [`ImageModel::predict`]; no images; targets of another number or kind; classes never seen.
    pub fn evaluate(&self, images: &Images, target: &Target, resources: &Resources) -> Result<(Metrics, Option<f64>)> {
        self.outputs.check(images.len(), target)?;
        self.outputs.judge(self.predict(images, self.outputs.level(), resources)?, target)
    }
}
