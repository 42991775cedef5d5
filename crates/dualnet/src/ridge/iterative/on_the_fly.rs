//! A kernel matrix that is computed anew for every product.

use super::geometry::Triangle;
use super::operator::{KernelOperator, Sums};
use super::sweep::{Tiles, bytes, product};
use super::tile_maker::{Entries, MakerScratch, mean_diagonal, scratch_bytes};
use crate::error::Result;
use crate::kernel::{Float, Get, Kernel};
use crate::linalg::{MatMut, MatRef};
use crate::resources::Resources;

/// K without memory for it: each product computes the tiles of the upper triangle, uses them on both sides of the diagonal and drops
/// them. The same bits as a [`KeptTriangle`](super::KeptTriangle).
///
/// ```
/// use dualnet::kernel::{DenseKernel, Get, Kernel};
/// use dualnet::ridge::iterative::{KernelOperator, OnTheFly, Sums};
/// use dualnet::{Mat, Resources, net::Net};
/// let (kernel, resources) = (DenseKernel::new(&Net::parse("fc-relu-1")?, 2)?, Resources::new(1)?);
/// let x = Mat::from_vec(2, 2, vec![1.0, 0.0, 0.0, 1.0])?;
/// let samples = Kernel::<f64>::prepare(&kernel, x.as_ref(), "x", &resources)?;
/// let k = OnTheFly::new(&kernel, &samples, Get::Nngp, &resources)?;
/// assert!((k.mean_diagonal() - 1.0).abs() < 1e-15);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub struct OnTheFly<'a, T: Float, K: Kernel<T>> {
    entries: Entries<'a, T, K>,
    triangle: Triangle,
    unit: f64,
}

impl<T: Float, K: Kernel<T>> std::fmt::Debug for OnTheFly<'_, T, K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnTheFly").field("samples", &self.triangle.n).field("unit", &self.unit).finish()
    }
}

impl<'a, T: Float, K: Kernel<T>> OnTheFly<'a, T, K> {
    /// Of the NNGP or the NTK of `samples` with themselves.
    ///
    /// # Errors
    /// [`Get::Both`]; samples without a positive mean diagonal.
    pub fn new(kernel: &'a K, samples: &'a K::Samples, get: Get, resources: &Resources) -> Result<Self> {
        let entries = Entries::symmetric(kernel, samples, get)?;
        let unit = mean_diagonal(kernel, samples, get, resources)?;
        let triangle = Triangle::new(kernel.len(samples), kernel.side());
        Ok(Self { entries, triangle, unit })
    }

    /// Bytes of a product with `columns` vectors, beside the samples.
    pub fn plan(kernel: &K, n: usize, columns: usize, get: Get, resources: &Resources) -> u64 {
        let scratch = scratch_bytes::<T, K>(kernel, get).saturating_mul(resources.threads() as u64);
        bytes(&Triangle::new(n, kernel.side()), columns, size_of::<f64>()).saturating_add(scratch)
    }
}

impl<T: Float, K: Kernel<T>> Tiles<T> for OnTheFly<'_, T, K> {
    type Scratch = MakerScratch<T, K::Workspace>;
    fn scratch(&self) -> Self::Scratch {
        self.entries.scratch()
    }
    fn tile<'a>(
        &'a self,
        scratch: &'a mut Self::Scratch,
        _: usize,
        _: usize,
        place: (usize, usize),
        resources: &Resources,
    ) -> Result<&'a [T]> {
        self.entries.make_own(scratch, place, resources)
    }
}

impl<T: Float, K: Kernel<T>> KernelOperator for OnTheFly<'_, T, K> {
    fn side(&self) -> usize {
        self.triangle.n
    }
    fn mean_diagonal(&self) -> f64 {
        self.unit
    }
    fn apply(&self, x: MatRef<'_, f64>, sums: Sums, out: MatMut<'_, f64>, resources: &Resources) -> Result<()> {
        product(self, &self.triangle, x, sums, out, resources)
    }
}
