//! What a fit to images will take.

use super::kernel::ImageKernel;
use super::source::Direct;
use super::{Augment, ImageOptions, Images, Whiten};
use crate::error::Result;
use crate::gram::Job;
use crate::kernel::{Get, InputShape};
use crate::model::KernelChoice;
use crate::model::fit::{path_bytes, path_flops};
use crate::resources::{Resources, Silent};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// What a fit will take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImagePlan {
    /// Training images.
    pub rows: usize,
    /// Pairs of images whose kernel is computed.
    pub pairs: u64,
    /// Most bytes allocated at a time.
    pub bytes: u64,
    /// Floating-point operations of preprocessing and solution.
    pub flops: f64,
}

/// Which matrices are computed for a choice.
pub(super) fn wanted(kernel: KernelChoice) -> Get {
    match kernel {
        KernelChoice::Auto => Get::Both,
        KernelChoice::Kind(kind) => kind.get(),
    }
}

/// What fitting `rows` images of that shape to `outputs` outputs on `threads` threads will take. The time of the pairs is to be measured:
/// [`pair_seconds`].
///
/// ```
/// use dualnet::{kernel::InputShape, model::{ImageOptions, plan_images}, net::Net};
/// let options = ImageOptions::new(Net::parse("myrtle-5")?);
/// let plan = plan_images(1000, &InputShape::image(28, 28, 1), 10, &options, 2)?;
/// assert_eq!(plan.pairs, 500_500);
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// A net that does not fit the images, or with flips tells left from right.
pub fn plan_images(
    rows: usize,
    shape: &InputShape,
    outputs: usize,
    options: &ImageOptions,
    threads: usize,
) -> Result<ImagePlan> {
    let kernel = ImageKernel::new(&options.net, shape, options.augment)?;
    Ok(plan_of(&kernel, (rows, shape.width()), outputs, options, threads))
}

/// [`plan_images`] with the kernel at hand, for `rows` images of `width` values.
pub(super) fn plan_of(
    kernel: &ImageKernel,
    (rows, width): (usize, usize),
    outputs: usize,
    options: &ImageOptions,
    threads: usize,
) -> ImagePlan {
    let get = wanted(options.kernel);
    let (n, d, steps) = (rows as u64, width as u64, options.lambdas.len());
    let gram = kernel.plan(rows, get, threads);
    // As given, whitened, and with flips turned while they are prepared.
    let images = n.saturating_mul(d).saturating_mul(8);
    let flips = if options.augment == Augment::Flip { images / 2 } else { 0 };
    let computing = gram.samples.saturating_add(flips.max(gram.workspaces));
    let (roots, zca) = whitening_of(rows, width, options.whiten);
    // Matrices stay in f32 until they are solved.
    let matrices = gram.matrices.saturating_add(computing.max(path_bytes(rows, outputs, steps)));
    let bytes = images.saturating_add(matrices.max(roots));
    let flops = zca + get.matrices() as f64 * path_flops(rows, outputs, steps);
    ImagePlan { rows, pairs: n.saturating_mul(n + 1) / 2, bytes, flops }
}

/// What learning to preprocess takes: bytes, and operations.
pub(super) fn whitening_of(rows: usize, width: usize, whiten: Whiten) -> (u64, f64) {
    let (n, d) = (rows as f64, width as u64);
    match whiten {
        Whiten::Zca => (d.saturating_mul(d).saturating_mul(56), (n + 11.0 * d as f64) * (d as f64).powi(2)),
        Whiten::None | Whiten::Mean => (0, 0.0),
    }
}

/// The tiles of the kernel matrices of a fit to `rows` images: what a [`GramSource`](super::GramSource) that keeps them is asked for.
///
/// ```
/// use dualnet::{kernel::InputShape, model::{ImageOptions, image_job}, net::Net};
/// let job = image_job(100, &InputShape::image(8, 8, 3), &ImageOptions::new(Net::parse("myrtle-5")?))?;
/// assert_eq!((job.grid.side(), job.grid.tiles()), (8, 91));
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// Those of [`plan_images`].
pub fn image_job(rows: usize, shape: &InputShape, options: &ImageOptions) -> Result<Job> {
    Ok(ImageKernel::new(&options.net, shape, options.augment)?.job(rows, wanted(options.kernel)))
}

/// Seconds for each pair of images with the threads of `resources`, measured on the first tiles: some tenths of a second.
///
/// # Errors
/// A net that does not fit the images.
pub fn pair_seconds(images: &Images, options: &ImageOptions, resources: &Resources) -> Result<f64> {
    let kernel = ImageKernel::new(&options.net, images.shape(), options.augment)?;
    // Three blocks make six tiles; as many more as keep all threads at work.
    let blocks = 3.max((2.0 * resources.threads() as f64).sqrt().ceil() as usize);
    let rows: Vec<usize> = (0..images.len().min(blocks * kernel.job(0, Get::Both).grid.side())).collect();
    let some = images.select(&rows);
    // A plan is wanted all the more where the memory allowed does not do.
    let mut resources = resources.clone().with_progress(Arc::new(Silent));
    resources.memory = None;
    let start = Instant::now();
    kernel.train(&mut Direct, options, some.values().as_ref(), wanted(options.kernel), &resources)?;
    let pairs = rows.len() * (rows.len() + 1) / 2;
    Ok(start.elapsed().as_secs_f64() / pairs.max(1) as f64)
}
