//! What a fit of features to images will take.

use super::compare;
use super::source::BATCH;
use super::{ImageFeatureOptions, draw_map};
use crate::error::Result;
use crate::kernel::InputShape;
use crate::model::features::{FeaturePrecision, Map};
use crate::model::images::Images;
use crate::model::images::plan::whitening_of;
use crate::model::{KernelChoice, KernelKind, primal};
use crate::resources::{Resources, Silent};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// What a fit will take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageFeaturePlan {
    /// Training images.
    pub rows: usize,
    /// Features.
    pub features: usize,
    /// Images whose features are computed, among them those that kernels are compared on, which have fewer: counted as so many less.
    pub mapped: f64,
    /// Most bytes allocated at a time, the images included.
    pub bytes: u64,
    /// Floating-point operations of preprocessing and solution, the features apart.
    pub flops: f64,
}

/// What fitting features to `rows` images of that shape and `outputs` outputs will take. The time of the features is to be measured:
/// [`image_seconds`].
///
/// ```
/// use dualnet::model::{ImageFeatureOptions, ImageOptions, plan_image_features};
/// use dualnet::{Resources, kernel::InputShape, net::Net};
/// let options = ImageFeatureOptions::new(ImageOptions::new(Net::parse("myrtle-5")?), 512);
/// let shape = InputShape::image(8, 8, 3);
/// let resources = Resources::new(1)?;
/// let plan = |rows| plan_image_features(rows, &shape, 10, &options, &resources);
/// // 60,000 images more take no more than themselves, in single precision.
/// assert_eq!(plan(80_000)?.bytes - plan(20_000)?.bytes, 60_000 * 8 * 8 * 3 * 4);
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// No features; a net that does not fit the images or has layers without features.
pub fn plan_image_features(
    rows: usize,
    shape: &InputShape,
    outputs: usize,
    options: &ImageFeatureOptions,
    resources: &Resources,
) -> Result<ImageFeaturePlan> {
    options.check()?;
    let (n, d, m) = (rows as u64, shape.width() as u64, options.dim);
    let wide = options.precision.bytes();
    // The sample of a table has no counterpart.
    let (sums, flops) = primal::plan(rows, 0, m, options.precision);
    let (roots, whitening) = whitening_of(rows, shape.width(), options.choice.whiten);
    let images = n.saturating_mul(d).saturating_mul(4);
    // A batch as given and whitened, in f64 in between, and a chunk of rows that wait.
    let batches = (BATCH as u64).saturating_mul(d).saturating_mul(16 + 4 * wide);
    let map = map_bytes(shape, options, resources)?.saturating_mul(resources.threads() as u64);
    let bytes = images.saturating_add(roots.max(sums.saturating_add(batches).saturating_add(map)));
    let compared = match options.choice.kernel {
        KernelChoice::Auto => 2.0 * compare::count(rows) as f64 * (m.min(compare::DIM) as f64 / m as f64),
        KernelChoice::Kind(_) => 0.0,
    };
    let fits = outputs as f64 * rows as f64 * m as f64 * 2.0;
    // Products in single precision are twice as fast; those of features reach more of the peak than a decomposition.
    let flops = whitening + fits + if options.precision == FeaturePrecision::F32 { flops / 3.0 } else { flops / 1.5 };
    Ok(ImageFeaturePlan { rows, features: m, mapped: rows as f64 + compared, bytes, flops })
}

/// The kernel that stands for both.
fn kind(options: &ImageFeatureOptions) -> KernelKind {
    match options.choice.kernel {
        KernelChoice::Auto => KernelKind::Ntk,
        KernelChoice::Kind(kind) => kind,
    }
}

/// Bytes of one thread's work on a tile of images.
fn map_bytes(shape: &InputShape, options: &ImageFeatureOptions, resources: &Resources) -> Result<u64> {
    let embedding = options.embedding(kind(options), options.dim, resources);
    let work = match draw_map(&embedding, shape, options.choice.augment, resources)? {
        Map::F32(map) => map.work_bytes(),
        Map::F64(map) => map.work_bytes(),
    };
    let tile = (crate::features::TILE * (options.dim + shape.width())) as u64;
    Ok(work.saturating_add(tile.saturating_mul(options.precision.bytes())))
}

/// Seconds for the features of one image on all threads together, measured on some of `images`: less than a second.
///
/// # Errors
/// Those of [`plan_image_features`]; features beyond the range of single precision.
pub fn image_seconds(images: &Images, options: &ImageFeatureOptions, resources: &Resources) -> Result<f64> {
    // Of nets over positions images go through one by one, and a tile is filled up by images of zeros, which are computed once.
    const FEW: usize = 8;
    options.check()?;
    let spatial = options.choice.net.is_spatial();
    let count = images.len().min(if spatial { FEW } else { crate::features::TILE });
    let rows: Vec<usize> = (0..count).map(|i| i * images.len() / count).collect();
    let mut quiet = resources.clone().with_progress(Arc::new(Silent));
    quiet.memory = None;
    let embedding = options.embedding(kind(options), options.dim, resources);
    let map = draw_map(&embedding, images.shape(), options.choice.augment, &quiet)?;
    let some = images.select(&rows);
    let start = Instant::now();
    match &map {
        Map::F32(map) => drop(crate::features::transform(map.as_ref(), some.values().as_ref(), &quiet)?),
        Map::F64(map) => {
            drop(crate::features::transform(map.as_ref(), some.values().as_ref().cast().as_ref(), &quiet)?)
        }
    }
    let done = if spatial { count + 1 } else { crate::features::TILE };
    Ok(start.elapsed().as_secs_f64() / done as f64 / resources.threads() as f64)
}
