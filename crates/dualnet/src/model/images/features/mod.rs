//! Fitting features of the kernel of a net to images, some at a time: any number of them, in memory that does not grow with it.

mod compare;
mod kernel_error;
mod plan;
mod source;

use super::kernel::ImageKernel;
use super::predict::{ImageModel, ImageSolution};
use super::report::ImageReport;
use super::whiten::Whitening;
use super::{Augment, ImageOptions, Images};
use crate::error::Result;
use crate::features::FeatureMap;
use crate::kernel::{Float, InputShape};
use crate::model::draw::draw;
use crate::model::embedding::{Embedding, NetDraw};
use crate::model::features::{FeaturePrecision, Features, Map};
use crate::model::fit::check;
use crate::model::outputs::Outputs;
use crate::model::primal::{self, FeatureReport, Solved};
use crate::model::units::units;
use crate::model::{KernelKind, Target, invalid};
use crate::random::GENERATOR;
use crate::resources::Resources;
use crate::ridge::PrimalFit;
use source::Whitened;

pub use plan::{ImageFeaturePlan, image_seconds, plan_image_features};

/// What to fit.
#[derive(Clone, Debug)]
pub struct ImageFeatureOptions {
    /// Net, kernels, preprocessing and symmetry; its lambdas are in units of the mean of the diagonal of Phi'Phi/n here, Phi centred.
    pub choice: ImageOptions,
    /// Number of features, at least 1.
    pub dim: usize,
    /// Their precision; single unless rounding is to be looked at.
    pub precision: FeaturePrecision,
}

impl ImageFeatureOptions {
    /// `dim` features, in single precision.
    pub fn new(choice: ImageOptions, dim: usize) -> Self {
        Self { choice, dim, precision: FeaturePrecision::F32 }
    }

    pub(super) fn check(&self) -> Result<()> {
        const MOST: usize = 1 << 20;
        if (1..=MOST).contains(&self.dim) {
            return Ok(());
        }
        Err(invalid("the number of features", &format!("1 to {MOST}"), &self.dim.to_string(), "1024 is a start"))
    }

    /// The features of one kernel, described.
    fn embedding(&self, kernel: KernelKind, dim: usize, resources: &Resources) -> Embedding {
        let drawn = NetDraw { dim, precision: self.precision, seed: resources.seed, generator: GENERATOR };
        Embedding::Net { net: self.choice.net.clone(), kernel, drawn }
    }
}

/// Draws the features of images, the same for an image and its flip where that is asked for.
pub(super) fn draw_map(
    embedding: &Embedding,
    shape: &InputShape,
    augment: Augment,
    resources: &Resources,
) -> Result<Map> {
    let map = embedding.draw(shape, resources)?;
    match augment {
        Augment::None => Ok(map),
        Augment::Flip => map.flipped(shape),
    }
}

/// Fits random features of the kernel of a net ([`NetFeatures`](crate::features::NetFeatures)) to images and their `target`.
///
/// The features of every image are computed once and summed up; the lambda is found by exact leave-one-out of some hundred images, and the model
/// judged and calibrated by that of up to 10,000. Which kernel, where both are asked for: by leave-one-out of fewer features of some hundred
/// images. Flips: the mean of the features of an image and its flip. Sums and solution are of double precision.
///
/// Cost: the features of every image (twice with flips), n m^2 operations and about 3 m^3; memory 24 m^2 bytes, features of some thousand images,
/// and whatever the images take ([`plan_image_features`]). The same bits for any number of threads.
///
/// ```
/// use dualnet::kernel::InputShape;
/// use dualnet::model::{ImageFeatureOptions, ImageOptions, Images, Target, fit_image_features};
/// use dualnet::{Resources, net::Net};
/// // Bars of 4 x 4 pixels, at the top or at the bottom.
/// let bar = |i: usize| (0..16).map(move |p| if p / 4 == 3 * (i % 2) && p % 4 != i % 3 { 255 } else { (7 * i + p) as u8 % 16 });
/// let images = Images::from_bytes(InputShape::image(4, 4, 1), &(0..40).flat_map(bar).collect::<Vec<u8>>())?;
/// let target = Target::Classes { name: "y".into(), labels: vec!["top".into(), "low".into()], codes: (0..40).map(|i| i % 2).collect() };
/// let net = Net::parse("layers = ['conv', 'relu', 'flatten', 'dense']")?;
/// let options = ImageFeatureOptions::new(ImageOptions::new(net), 256);
/// let model = fit_image_features(&images, &target, &options, &Resources::new(1)?)?;
/// assert_eq!(model.report().loo.accuracy, Some(1.0));
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// Fewer than two images; different numbers of images and targets; one class only; no features; a net that does not fit the images, has layers
/// without features, or with flips tells left from right; more memory than allowed.
pub fn fit_image_features(
    images: &Images,
    target: &Target,
    options: &ImageFeatureOptions,
    resources: &Resources,
) -> Result<ImageModel> {
    let (rows, shape, choice) = (images.len(), images.shape(), &options.choice);
    check(rows, target)?;
    options.check()?;
    // What the exact kernel refuses, so do its features.
    let exact = ImageKernel::new(&choice.net, shape, choice.augment)?;
    let plan = plan_image_features(rows, shape, target.outputs(), options, resources)?;
    let what = format!("a fit of {} features to {rows} images", options.dim);
    resources.reserve(&what, plan.bytes, "use fewer features, or raise --memory")?;
    let units = units(target)?;
    let whitening = Whitening::learn(images, choice.whiten, choice.augment, resources)?;
    let source = Whitened { images, target, whitening: &whitening, units: &units, rows: None, at: 0, resources };
    let compared = compare::rows(rows, target, resources);
    let (kind, candidates) = compare::better(source, &compared, options, resources)?;
    let embedding = options.embedding(kind, options.dim, resources);
    let map = draw_map(&embedding, shape, choice.augment, resources)?;
    let error = kernel_error::measure(&exact, kind, &map, images, &whitening, choice, resources)?;
    let wanted = primal::loo_rows(rows, options.dim);
    let left_out = draw(rows, wanted, target, resources.seed).unwrap_or_else(|| (0..rows).collect());
    let Solved { fit, loo } = match &map {
        Map::F32(map) => solved(map.as_ref(), source, &left_out, choice)?,
        Map::F64(map) => solved(map.as_ref(), source, &left_out, choice)?,
    };
    let PrimalFit { theta, intercept, point } = fit;
    let lambda_absolute = point.lambda_absolute;
    let (outputs, metrics) = Outputs::of_left_out(&target.select(&left_out), &loo, lambda_absolute, resources)?;
    let features = FeatureReport {
        dim: options.dim,
        precision: options.precision,
        parameters: (target.outputs() * (options.dim + 1)) as u64,
        gcv: point.gcv,
        tower: None,
        landmarks: None,
        rank: None,
        kernel_error: Some(error),
    };
    let report = ImageReport {
        loo: metrics,
        loo_rows: left_out.len(),
        kernel: kind,
        method: "features".into(),
        compared_rows: if candidates.is_empty() { 0 } else { compared.len() },
        candidates,
        lambda: point.lambda,
        degrees_of_freedom: point.degrees_of_freedom,
        jitter: point.jitter.map(|j| j.added),
        features: Some(features),
        ..super::fit::describe(images, target, choice)
    };
    Ok(ImageModel {
        net: choice.net.clone(),
        augment: choice.augment,
        kind,
        whitening,
        solution: ImageSolution::Features(Box::new(Features { embedding, map, theta, lambda_absolute })),
        intercept,
        lambda_absolute,
        outputs,
        report,
    })
}

fn solved<T: Float>(
    map: &dyn FeatureMap<T>,
    mut source: Whitened<'_>,
    left_out: &[usize],
    choice: &ImageOptions,
) -> Result<Solved> {
    let (units, resources) = (source.units, source.resources);
    primal::solve(map, &mut source, left_out, &primal::lambdas::<T>(&choice.lambdas), units, resources)
}
