//! Features averaged over the horizontal flip of images.

use super::{FeatureMap, TILE};
use crate::error::{Error, Result};
use crate::kernel::flip::{average, flipped};
use crate::kernel::{Float, InputShape};
use crate::linalg::{MatMut, MatRef};
use crate::simd::Isa;
use std::sync::Arc;

/// (F(x) + F(flipped x)) / 2: the same for an image and its flip. Products of these are the mean of those of F over all four pairs of an image
/// or its flip with another or its flip, which is what [`FlipKernel`](crate::kernel::FlipKernel) is of a kernel. Twice the cost of F.
///
/// ```
/// use dualnet::features::{FlipFeatures, transform};
/// use dualnet::{Mat, Resources, kernel::InputShape, ridge::Identity};
/// let map = FlipFeatures::<f64>::new(std::sync::Arc::new(Identity(4)), &InputShape::image(2, 2, 1))?;
/// let x = Mat::from_vec(1, 4, vec![1.0, 3.0, 0.0, 4.0])?;
/// assert_eq!(transform(&map, x.as_ref(), &Resources::new(1)?)?.row(0), [2.0, 2.0, 2.0, 2.0]);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlipFeatures<T> {
    inner: Arc<dyn FeatureMap<T>>,
    shape: InputShape,
}

impl<T: Float> FlipFeatures<T> {
    /// Averages `inner`, a map of images of that shape.
    ///
    /// # Errors
    /// Samples that are no images, or not those of the map.
    pub fn new(inner: Arc<dyn FeatureMap<T>>, shape: &InputShape) -> Result<Self> {
        if shape.positions.len() == 2 && shape.width() == inner.inputs() {
            return Ok(Self { inner, shape: shape.clone() });
        }
        Err(Error::Invalid {
            what: "samples to flip".into(),
            expected: format!("images (height, width, channels) of {} values", inner.inputs()),
            found: format!("the shape {shape}"),
            hint: "leave flips out".into(),
        })
    }
}

impl<T: Float> FeatureMap<T> for FlipFeatures<T> {
    fn inputs(&self) -> usize {
        self.inner.inputs()
    }
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    /// That of the map inside, and a tile of features of the flips.
    fn scratch(&self) -> usize {
        self.inner.scratch() + TILE * self.inner.dim()
    }
    fn work_bytes(&self) -> u64 {
        let second = TILE * (self.inner.dim() + self.inner.inputs()) * size_of::<T>();
        self.inner.work_bytes() + second as u64
    }
    fn tile(&self, x: MatRef<'_, T>, mut out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let m = self.inner.dim();
        let (second, scratch) = scratch.split_at_mut(TILE * m);
        let flips = flipped(x, &self.shape);
        self.inner.tile(flips.as_ref(), MatMut::new(second, TILE, m, m)?, scratch, isa)?;
        let stride = out.stride();
        self.inner.tile(x, MatMut::new(out.data_mut(), TILE, m, stride)?, scratch, isa)?;
        second.chunks_exact(m).enumerate().for_each(|(i, flip)| average(out.row_mut(i), flip));
        Ok(())
    }
}
