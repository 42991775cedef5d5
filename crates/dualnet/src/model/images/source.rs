//! Who computes the kernel matrices of a fit.

use crate::error::Result;
use crate::gram;
use crate::kernel::{Get, Grams, Kernel};
use crate::linalg::MatRef;
use crate::resources::Resources;

/// Computes the symmetric matrices of a kernel: at once, or as a job that outlives the program.
pub trait GramSource {
    /// The matrices K(x, x) of the rows of `x` (n x values), as [`gram::symmetric`] gives them. `description` is that of
    /// [`ImageOptions::description`](super::ImageOptions::description): the same text and the same images have the same matrices, be they
    /// compared as `x` or as they were before preprocessing.
    fn symmetric<K: Kernel<f32>>(
        &mut self,
        kernel: &K,
        description: &str,
        x: MatRef<'_, f32>,
        get: Get,
        resources: &Resources,
    ) -> Result<Grams<f32>>;
}

/// Computes them at once, in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl GramSource for Direct {
    fn symmetric<K: Kernel<f32>>(
        &mut self,
        kernel: &K,
        _: &str,
        x: MatRef<'_, f32>,
        get: Get,
        resources: &Resources,
    ) -> Result<Grams<f32>> {
        gram::symmetric(kernel, x, get, resources)
    }
}
