//! What each form of a layer costs: numbers kept, bytes and operations.
//!
//! | form of a layer d -> l | parameters | fixed numbers | operations of a row |
//! |---|---|---|---|
//! | dense f(W x + b) | l d + l | | 2 l d + 2 l |
//! | SNNK, Psi given or free | l m + l | m d + m | 2 m d + 2 m + 2 l m + 2 l |
//! | n layers bundled | l_n m_n + l_n | sum of m_k m_{k-1} + m_k | the sum of the maps' and 2 l_n m_n + 2 l_n |
//!
//! A product and a sum count as one operation each, a function of one entry as one. The fixed numbers are those of the
//! projections, which a seed can bring back.

use crate::features::pointwise::Pointwise;
use crate::features::{ArcCosineFeatures, FeatureMap, RandomFeatures};
use crate::kernel::Float;
use crate::snnk::Snnk;
use crate::snnk::urf::{UrfMap, WindowedMap};
use crate::transform::ProjectionKind;
use std::iter::Sum;
use std::ops::Add;

/// Numbers, bytes and operations of a layer, a map or a network.
///
/// ```
/// use dualnet::snnk::Count;
/// let dense = Count::dense::<f32>(768, 3072);
/// let snnk = Count::map::<f32>(768, 16) + Count::dense::<f32>(16, 3072);
/// assert_eq!((dense.parameters, snnk.parameters), (2_362_368, 52_224));
/// assert_eq!(snnk.bytes, 4 * (52_224 + 16 * 769));
/// assert!(dense.flops > 36 * snnk.flops);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Numbers that came from training: weights, Psi, biases.
    pub parameters: u64,
    /// Numbers of projections, drawn once and never trained.
    pub fixed: u64,
    /// Bytes of both in memory.
    pub bytes: u64,
    /// Operations of one row.
    pub flops: u64,
}

impl Count {
    /// A dense layer of `outputs` rows and as many biases, with an activation.
    pub fn dense<T: Float>(inputs: usize, outputs: usize) -> Self {
        let (d, l) = (inputs as u64, outputs as u64);
        let parameters = l.saturating_mul(d).saturating_add(l);
        let bytes = parameters.saturating_mul(size_of::<T>() as u64);
        Self { parameters, fixed: 0, bytes, flops: parameters.saturating_mul(2) }
    }

    /// A map of `inputs` columns to `features` functions of a stored projection with biases.
    pub fn map<T: Float>(inputs: usize, features: usize) -> Self {
        let dense = Self::dense::<T>(inputs, features);
        Self { parameters: 0, fixed: dense.parameters, ..dense }
    }

    /// A map with a structured projection: three Hadamard transforms. Its signs are bits, which are not counted.
    pub fn structured_map<T: Float>(inputs: usize, features: usize) -> Self {
        let (m, levels) = (features as u64, u64::from(inputs.max(1).next_power_of_two().trailing_zeros()));
        let flops = m.saturating_mul(3 * levels + 2);
        Self { parameters: 0, fixed: m, bytes: m.saturating_mul(size_of::<T>() as u64), flops }
    }

    pub(super) fn of<T: Float>(map: &Pointwise<T>) -> Self {
        let (inputs, features) = (map.inputs(), map.dim());
        if map.is_implicit() { Self::structured_map::<T>(inputs, features) } else { Self::map::<T>(inputs, features) }
    }
}

impl Add for Count {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            parameters: self.parameters.saturating_add(other.parameters),
            fixed: self.fixed.saturating_add(other.fixed),
            bytes: self.bytes.saturating_add(other.bytes),
            flops: self.flops.saturating_add(other.flops),
        }
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// Something whose cost is known.
pub trait Counted {
    /// Its numbers, bytes and operations.
    fn count(&self) -> Count;
}

impl<T: Float> Counted for RandomFeatures<T> {
    fn count(&self) -> Count {
        Count::of(self.map())
    }
}

impl<T: Float> Counted for ArcCosineFeatures<T> {
    fn count(&self) -> Count {
        Count::of(self.map())
    }
}

/// m frequencies, rows of G and phases; two functions of each product.
impl<T: Float> Counted for UrfMap<T> {
    fn count(&self) -> Count {
        let (inputs, features) = (self.inputs(), self.dim() / 2);
        let map = match self.options().projection {
            ProjectionKind::Structured => Count::structured_map::<T>(inputs, features),
            ProjectionKind::Gaussian | ProjectionKind::Orthogonal => Count::map::<T>(inputs, features),
        };
        Count { flops: map.flops.saturating_add(features as u64), ..map }
    }
}

/// The waves; the input itself costs nothing.
impl<T: Float> Counted for WindowedMap<T> {
    fn count(&self) -> Count {
        self.waves().count()
    }
}

/// A feature map whose cost is known: what a [`Tower`](super::Tower) is built of. Every type that is both is one.
pub trait CountedMap<T: Float>: FeatureMap<T> + Counted {}
impl<T: Float, M: FeatureMap<T> + Counted> CountedMap<T> for M {}

/// A pair of maps whose cost is known: what layers are bundled with. Every type that is both is one.
pub trait CountedSnnk<T: Float>: CountedMap<T> + Snnk<T> {}
impl<T: Float, M: Snnk<T> + Counted> CountedSnnk<T> for M {}
