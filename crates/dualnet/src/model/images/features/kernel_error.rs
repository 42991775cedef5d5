//! How far features are from the kernel they stand for, on pairs of training images.

use crate::error::Result;
use crate::model::draw::some_of;
use crate::model::features::Map;
use crate::model::images::kernel::ImageKernel;
use crate::model::images::source::Direct;
use crate::model::images::whiten::Whitening;
use crate::model::images::{ImageOptions, Images};
use crate::model::{KernelKind, relative_error};
use crate::random::{Draws, Purpose};
use crate::resources::Resources;

/// Images of the probe: 276 pairs of different ones, which take milliseconds each, and each with itself.
const ROWS: usize = 24;

/// Relative error of products of features against the exact kernel, in the Frobenius norm.
pub(super) fn measure(
    exact: &ImageKernel,
    kind: KernelKind,
    map: &Map,
    images: &Images,
    whitening: &Whitening,
    options: &ImageOptions,
    resources: &Resources,
) -> Result<f64> {
    let mut rows = some_of((0..images.len()).collect(), ROWS, Draws::new(resources.seed, Purpose::PROBE, 0));
    rows.sort_unstable();
    let probe = whitening.apply(&images.select(&rows), resources)?;
    let quiet = crate::features::landmarks::quiet(resources);
    let grams = exact.train(&mut Direct, options, probe.as_ref(), kind.get(), &quiet)?;
    let phi = map.features(probe.as_ref(), &quiet)?;
    Ok(relative_error(&phi, &kind.matrix(grams)?.as_ref().cast::<f64>()))
}
