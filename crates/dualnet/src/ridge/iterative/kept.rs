//! The upper triangle of a kernel matrix, kept in memory.

use super::geometry::Triangle;
use super::operator::{KernelOperator, Sums};
use super::sweep::{Tiles, bytes, product};
use super::tile_maker::{Entries, mean_diagonal, scratch_bytes};
use crate::error::Result;
use crate::gram::Meter;
use crate::kernel::{Float, Get, Kernel};
use crate::linalg::{Mat, MatMut, MatRef};
use crate::resources::Resources;
use rayon::prelude::*;

/// K on and above its diagonal, in tiles of 256 x 256: half of the memory of a matrix, and every product reads each number once.
///
/// With `f32`, 60,000 samples take 7.3 GB. Products with one or two vectors run at some 80 % of the speed of plain reading, with ten at half
/// of it, where arithmetic is the limit (`examples/kept_triangle.rs`).
///
/// ```
/// use dualnet::kernel::{DenseKernel, Get, Kernel};
/// use dualnet::ridge::iterative::{KeptTriangle, KernelOperator, Sums};
/// use dualnet::{Mat, Resources, net::Net};
/// let (kernel, resources) = (DenseKernel::new(&Net::parse("fc-relu-1")?, 2)?, Resources::new(1)?);
/// let x = Mat::from_vec(2, 2, vec![1.0, 0.0, 0.0, 1.0])?;
/// let samples = Kernel::<f64>::prepare(&kernel, x.as_ref(), "x", &resources)?;
/// let k = KeptTriangle::new(&kernel, &samples, Get::Nngp, &resources)?;
/// let (ones, mut out) = (Mat::from_vec(2, 1, vec![1.0, 1.0])?, Mat::zeros(2, 1));
/// k.apply(ones.as_ref(), Sums::Tiles, out.as_mut(), &resources)?;
/// assert!((out[(0, 0)] - (1.0 + 1.0 / std::f64::consts::PI)).abs() < 1e-14);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Debug)]
pub struct KeptTriangle<T> {
    triangle: Triangle,
    /// The tiles of each band, one after another.
    bands: Vec<Vec<T>>,
    unit: f64,
}

impl<T: Float> KeptTriangle<T> {
    /// Computes the NNGP or the NTK of `samples` with themselves. Tells its progress as "kernel".
    ///
    /// # Errors
    /// [`Get::Both`]; samples without a positive mean diagonal; a kernel beyond the range of `T`; memory ([`Self::bytes`]);
    /// interruption.
    ///
    /// Cost: n (n + 1) / 2 pairs of the kernel.
    pub fn new<K: Kernel<T>>(kernel: &K, samples: &K::Samples, get: Get, resources: &Resources) -> Result<Self> {
        let entries = Entries::symmetric(kernel, samples, get)?;
        let n = kernel.len(samples);
        let triangle = Triangle::new(n, kernel.side());
        let scratch = entries.scratch_bytes() * resources.threads() as u64;
        let hint = "raise --memory, take f32, or take fewer samples or features";
        let needed = Self::bytes(n, 0, kernel.side()) + scratch;
        resources.reserve(&format!("a kernel triangle of {n} samples"), needed, hint)?;
        let unit = mean_diagonal(kernel, samples, get, resources)?;
        let area = triangle.area();
        let mut bands: Vec<Vec<T>> =
            (0..triangle.bands()).map(|band| Mat::zeros(triangle.len(band), area).into_vec()).collect();
        let tasks: Vec<_> = bands
            .iter_mut()
            .enumerate()
            .flat_map(|(band, tiles)| triangle.order(band).zip(tiles.chunks_exact_mut(area)))
            .collect();
        let meter = Meter::new(tasks.len() as u64);
        resources.install(|| {
            tasks.into_par_iter().try_for_each_init(
                || crate::gram::Scratch::new(kernel, get),
                |scratch, (place, tile)| {
                    entries.make(scratch, place, tile, resources)?;
                    meter.tick(resources);
                    Ok(())
                },
            )
        })?;
        Ok(Self { triangle, bands, unit })
    }

    /// Bytes of the triangle of `n` samples of a kernel with tiles of `kernel_side`, and of a product with `columns` vectors.
    pub fn bytes(n: usize, columns: usize, kernel_side: usize) -> u64 {
        let triangle = Triangle::new(n, kernel_side);
        let tiles = triangle.total() as u64 * triangle.area() as u64 * size_of::<T>() as u64;
        tiles.saturating_add(bytes(&triangle, columns, size_of::<f64>()))
    }

    /// Bytes that are read in one product.
    pub fn kept_bytes(&self) -> u64 {
        (self.triangle.total() * self.triangle.area() * size_of::<T>()) as u64
    }

    /// What [`Self::new`] and a product with `columns` vectors need beside the samples, for plans.
    pub fn plan<K: Kernel<T>>(kernel: &K, n: usize, columns: usize, get: Get, resources: &Resources) -> u64 {
        let scratch = scratch_bytes::<T, K>(kernel, get).saturating_mul(resources.threads() as u64);
        Self::bytes(n, columns, kernel.side()).saturating_add(scratch)
    }

    /// Reads all tiles once, in the order and on the tasks of a product, and adds their numbers: what memory alone takes.
    pub fn read(&self, resources: &Resources) -> f64 {
        resources.install(|| {
            let groups = self.triangle.groups.par_iter().with_max_len(1);
            let sums: Vec<f64> = groups
                .map(|bands| bands.iter().map(|band| resources.isa.run(Total(&self.bands[*band]))).sum())
                .collect();
            sums.iter().sum()
        })
    }
}

/// The sum of numbers.
struct Total<'a, T>(&'a [T]);

impl<T: Float> crate::simd::Kernel for Total<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn run<V: crate::simd::Vector>(self, _: V) -> f64 {
        const LANES: usize = 64;
        let mut sums = [T::default(); LANES];
        for chunk in self.0.chunks_exact(LANES) {
            for l in 0..LANES {
                sums[l] = sums[l] + chunk[l];
            }
        }
        sums.iter().map(|s| s.to_f64()).sum()
    }
}

impl<T: Float> Tiles<T> for KeptTriangle<T> {
    type Scratch = ();
    fn scratch(&self) {}
    fn tile<'a>(&'a self, (): &'a mut (), band: usize, at: usize, _: (usize, usize), _: &Resources) -> Result<&'a [T]> {
        let area = self.triangle.area();
        Ok(&self.bands[band][at * area..(at + 1) * area])
    }
}

impl<T: Float> KernelOperator for KeptTriangle<T> {
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
