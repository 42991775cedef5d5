//! What a fit to images will take.

use super::kernel::ImageKernel;
use super::source::Direct;
use super::{Augment, ImageOptions, Images, Whiten};
use crate::error::Result;
use crate::kernel::Get;
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
    /// Most bytes allocated at a time, but for what the kernel keeps of each image.
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

/// What fitting `rows` images of `width` values to `outputs` outputs will take. The time of the pairs is to be measured:
/// [`pair_seconds`].
///
/// ```
/// use dualnet::{model::{ImageOptions, plan_images}, net::Net};
/// let plan = plan_images(1000, 784, 10, &ImageOptions::new(Net::parse("myrtle-5")?));
/// assert_eq!(plan.pairs, 500_500);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn plan_images(rows: usize, width: usize, outputs: usize, options: &ImageOptions) -> ImagePlan {
    let get = wanted(options.kernel);
    let (n, d, steps) = (rows as u64, width as u64, options.lambdas.len());
    let pairs = n.saturating_mul(n + 1) / 2;
    let copies = if options.augment == Augment::Flip { 4 } else { 3 };
    // The images as given, whitened, and as the kernel holds them; matrices in f32 until they are solved.
    let images = n.saturating_mul(d).saturating_mul(4 * copies);
    let grams = n.saturating_mul(n).saturating_mul(4 * get.matrices() as u64);
    let (roots, zca) = match options.whiten {
        Whiten::Zca => (d.saturating_mul(d).saturating_mul(56), (n as f64 + 11.0 * d as f64) * (d as f64).powi(2)),
        Whiten::None | Whiten::Mean => (0, 0.0),
    };
    let solving = path_bytes(rows, outputs, steps).saturating_add(grams);
    let bytes = images.saturating_add(solving.max(roots));
    let flops = zca + get.matrices() as f64 * path_flops(rows, outputs, steps);
    ImagePlan { rows, pairs, bytes, flops }
}

/// Seconds for each pair of images with the threads of `resources`, measured on the first tiles: some tenths of a second.
///
/// # Errors
/// A net that does not fit the images.
pub fn pair_seconds(images: &Images, options: &ImageOptions, resources: &Resources) -> Result<f64> {
    let kernel = ImageKernel::new(&options.net, images.shape(), options.augment)?;
    // Three blocks make six tiles; as many more as keep all threads at work.
    let blocks = 3.max((2.0 * resources.threads() as f64).sqrt().ceil() as usize);
    let rows: Vec<usize> = (0..images.len().min(blocks * kernel.side())).collect();
    let some = images.select(&rows);
    // A plan is wanted all the more where the memory allowed does not do.
    let mut resources = resources.clone().with_progress(Arc::new(Silent));
    resources.memory = None;
    let start = Instant::now();
    kernel.train(&mut Direct, options, some.values().as_ref(), wanted(options.kernel), &resources)?;
    let pairs = rows.len() * (rows.len() + 1) / 2;
    Ok(start.elapsed().as_secs_f64() / pairs.max(1) as f64)
}
