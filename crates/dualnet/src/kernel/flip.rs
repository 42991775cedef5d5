//! A kernel averaged over the horizontal flip of images.

use super::{Float, Get, InputShape, Kernel, Region, TileOut, mixed};
use crate::error::{Error, Result};
use crate::gram;
use crate::linalg::{Mat, MatRef};
use crate::random::{Draws, Purpose};
use crate::resources::{Resources, Silent};
use std::ops::Range;
use std::sync::Arc;

/// Largest difference between k(Fx, Fy) and k(x, y) that counts as rounding, in units of sqrt(k(x, x) k(y, y)).
const ROUNDING: f64 = 1e-9;

/// k_F(x, y) = (k(x, y) + k(x, Fy)) / 2, where F turns an image left to right.
///
/// If k(Fx, Fy) = k(x, y), this is the mean of k over all four pairs of an image or its flip with another or its flip, hence positive
/// semi-definite, and ridge with it gives the function that ridge with k gives for the images and their flips together, at twice the
/// lambda (absolute): by symmetry both of a pair have the same coefficient (Haasdonk & Burkhardt 2007, "Invariant kernel functions for pattern
/// analysis and machine learning"). It costs two pairs of k for one of k_F; the matrices keep their size.
///
/// ```
/// use dualnet::kernel::{DenseKernel, FlipKernel, Get, InputShape};
/// use dualnet::{Mat, Resources, gram, net::Net};
/// let (shape, resources) = (InputShape::image(1, 2, 1), Resources::new(1)?);
/// let kernel = FlipKernel::new(DenseKernel::new(&Net::parse("fc-relu-1")?, 2)?, &shape)?;
/// // Two images of two pixels, each the flip of the other: to this kernel they are one.
/// let x = Mat::from_vec(2, 2, vec![1.0, 0.0, 0.0, 1.0])?;
/// let k = gram::symmetric(&kernel, x.as_ref(), Get::Nngp, &resources)?.nngp.unwrap();
/// // (1 + 1/pi) / 2, by the values of DenseKernel.
/// let expected = 0.5 + 0.5 / std::f64::consts::PI;
/// assert!(k.as_slice().iter().all(|v| f64::abs(v - expected) < 1e-15));
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlipKernel<K> {
    inner: K,
    shape: InputShape,
}

/// Images and their flips, prepared.
#[derive(Debug)]
pub struct FlipSamples<S> {
    plain: S,
    flipped: S,
}

/// Scratch memory of one thread: that of the kernel inside, and a tile of k(x, Fy).
#[derive(Debug)]
pub struct FlipWorkspace<T, W> {
    inner: W,
    nngp: Vec<T>,
    ntk: Vec<T>,
}

impl<K: Kernel<f64>> FlipKernel<K> {
    /// Averages `inner`, a kernel of images of that shape.
    ///
    /// # Errors
    /// Samples that are no images. A kernel that tells left from right: two random images and their flips are compared in `f64`, ten
    /// pairs.
    pub fn new(inner: K, shape: &InputShape) -> Result<Self> {
        if shape.positions.len() != 2 {
            return Err(Error::Invalid {
                what: "samples to flip".into(),
                expected: "images: height, width, channels".into(),
                found: format!("the shape {shape}"),
                hint: "leave flips out".into(),
            });
        }
        let this = Self { inner, shape: shape.clone() };
        this.check_symmetry()?;
        Ok(this)
    }

    fn check_symmetry(&self) -> Result<()> {
        let width = self.shape.width();
        let mut draws = Draws::new(0, Purpose::ROWS, 0);
        let images = Mat::from_fn(2, width, |_, _| draws.normal());
        let flips = flipped(images.as_ref(), &self.shape);
        let all = Mat::from_vec(4, width, [images.into_vec(), flips.into_vec()].concat())?;
        // One thread, said to nobody: a fraction of a second whatever the data.
        let resources = Resources::new(1)?.with_progress(Arc::new(Silent));
        let grams = gram::symmetric(&self.inner, all.as_ref(), Get::Both, &resources)?;
        for k in [grams.nngp, grams.ntk].into_iter().flatten() {
            for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
                let (plain, turned) = (k[(i, j)], k[((i + 2) % 4, (j + 2) % 4)]);
                let size = (k[(i, i)] * k[(j, j)]).sqrt();
                if (plain - turned).abs() > ROUNDING * size {
                    return Err(one_sided(plain / size, turned / size));
                }
            }
        }
        Ok(())
    }
}

fn one_sided(plain: f64, turned: f64) -> Error {
    Error::Invalid {
        what: "the kernel to average over flips".into(),
        expected: "the same value for two images and for both flipped".into(),
        found: format!(
            "{plain:.6} and {turned:.6}: a convolution of even size, or a stride or window that leaves out columns on one side, \
             tells left from right"
        ),
        hint: "use odd sizes and strides that divide the width evenly, or leave flips out".into(),
    }
}

/// Rows of images turned left to right.
pub(crate) fn flipped<T: Float>(x: MatRef<'_, T>, shape: &InputShape) -> Mat<T> {
    let (width, channels) = (shape.positions.last().copied().unwrap_or(1), shape.channels);
    let mut out = x.to_mat();
    for i in 0..x.rows() {
        for line in out.row_mut(i).chunks_exact_mut((width * channels).max(1)) {
            line.reverse();
            line.chunks_exact_mut(channels.max(1)).for_each(<[T]>::reverse);
        }
    }
    out
}

/// Half the sum, into `a`.
pub(crate) fn average<T: Float>(a: &mut [T], b: &[T]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a = T::from_f64(0.5 * a.to_f64() + 0.5 * b.to_f64());
    }
}

impl<T: Float, K: Kernel<T>> Kernel<T> for FlipKernel<K> {
    type Samples = FlipSamples<K::Samples>;
    type Workspace = FlipWorkspace<T, K::Workspace>;

    fn side(&self) -> usize {
        self.inner.side()
    }

    fn prepare(&self, x: MatRef<'_, T>, what: &str, resources: &Resources) -> Result<Self::Samples> {
        if x.cols() != self.shape.width() {
            return Err(Error::Shape {
                what: what.into(),
                expected: format!("rows of {} values, images of {}", self.shape.width(), self.shape),
                found: format!("{} values", x.cols()),
            });
        }
        let plain = self.inner.prepare(x, what, resources)?;
        let flips = flipped(x, &self.shape);
        Ok(FlipSamples { plain, flipped: self.inner.prepare(flips.as_ref(), what, resources)? })
    }

    fn len(&self, samples: &Self::Samples) -> usize {
        self.inner.len(&samples.plain)
    }

    /// k(x, x) in `f64`, k(x, Fx) in `T`. Cost: a whole tile for each `side` samples.
    fn own(&self, samples: &Self::Samples, range: Range<usize>, resources: &Resources) -> Result<Vec<(f64, f64)>> {
        let mut own = self.inner.own(&samples.plain, range.clone(), resources)?;
        let side = self.inner.side();
        let mut inner = self.inner.workspace(Get::Both);
        let (mut nngp, mut ntk) = (vec![T::default(); side * side], vec![T::default(); side * side]);
        for block in range.start / side..range.end.div_ceil(side) {
            let (rows, cols) = ((&samples.plain, block), (&samples.flipped, block));
            let out = TileOut { region: Region::All, nngp: &mut nngp, ntk: &mut ntk };
            self.inner.tile(&mut inner, rows, cols, out, resources)?;
            for i in range.start.max(block * side)..range.end.min((block + 1) * side) {
                let at = (i - block * side) * (side + 1);
                let value = own.get_mut(i - range.start).ok_or_else(|| mixed("fewer samples than asked for"))?;
                *value = (0.5 * (value.0 + nngp[at].to_f64()), 0.5 * (value.1 + ntk[at].to_f64()));
            }
        }
        Ok(own)
    }

    fn workspace(&self, get: Get) -> Self::Workspace {
        let entries = self.inner.side() * self.inner.side();
        let zeros = |wanted: bool| vec![T::default(); if wanted { entries } else { 0 }];
        FlipWorkspace { inner: self.inner.workspace(get), nngp: zeros(true), ntk: zeros(get.ntk()) }
    }

    fn workspace_bytes(&self, get: Get) -> u64 {
        let tiles = 1 + usize::from(get.ntk());
        self.inner.workspace_bytes(get) + (tiles * self.inner.side() * self.inner.side() * size_of::<T>()) as u64
    }

    fn samples_bytes(&self, n: usize) -> u64 {
        self.inner.samples_bytes(n).saturating_mul(2)
    }

    fn tile(
        &self,
        workspace: &mut Self::Workspace,
        rows: (&Self::Samples, usize),
        cols: (&Self::Samples, usize),
        out: TileOut<'_, T>,
        resources: &Resources,
    ) -> Result<()> {
        let FlipWorkspace { inner, nngp, ntk } = workspace;
        let (plain, second) = ((&rows.0.plain, rows.1), (&cols.0.plain, cols.1));
        let there = TileOut { region: out.region, nngp: &mut *out.nngp, ntk: &mut *out.ntk };
        self.inner.tile(inner, plain, second, there, resources)?;
        // Of an image and a flip, even its own: never the same sample.
        let turned = TileOut { region: Region::All, nngp: &mut *nngp, ntk: &mut *ntk };
        self.inner.tile(inner, plain, (&cols.0.flipped, cols.1), turned, resources)?;
        average(out.nngp, nngp);
        average(out.ntk, ntk);
        Ok(())
    }
}
