//! Random vectors r with E (r . x)(r . y) = x . y, which the terms of the tangent kernel are multiplied by: signs, sums of columns a power of two
//! apart, a Hadamard transform.
//!
//! Only second moments are asked of r, unlike the arguments of an activation, which have to be normal. So one transform does, of as many
//! entries as there are features, however many columns come in; the vectors of a block are at right angles as far as columns do not meet.

use super::activate::padded;
use super::spread::{fold, power_of_two, signs};
use super::weights::Weights;
use crate::error::Result;
use crate::kernel::Float;
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::Isa;
use crate::transform::fwht;

#[derive(Clone, Debug)]
pub(super) struct Factor<T> {
    /// Entries of a block, a power of two.
    block: usize,
    /// Of each block: signs times weights, of Phi and of Psi.
    signs: Vec<(Vec<T>, Vec<T>)>,
}

impl<T: Float> Factor<T> {
    /// For `rows` features of the tangent kernel of columns with those weights.
    pub(super) fn draw(rows: usize, layer: u32, weights: &Weights, resources: &Resources) -> Self {
        let block = power_of_two(rows.min(weights.columns()).next_power_of_two());
        let purpose = Purpose::NET_FACTORS.at_layer(layer);
        let scaled = |weights: &[f64], index: usize| {
            let signs = signs(weights.len(), purpose, resources.seed, index as u64);
            padded(signs.zip(weights).map(|(s, w)| s * w))
        };
        let of = |b: usize| (scaled(&weights.v, 2 * b), scaled(&weights.w, 2 * b + 1));
        Self { block, signs: (0..rows.div_ceil(block)).map(of).collect() }
    }

    /// Entries that [`Self::apply`] writes.
    pub(super) fn columns(&self) -> usize {
        self.block * self.signs.len()
    }

    /// r . x of every feature, and of some more.
    pub(super) fn apply(&self, (phi, psi): (&[T], &[T]), out: &mut [T], isa: Isa) -> Result<()> {
        out.fill(T::default());
        for (out, (own, tangent)) in out.chunks_exact_mut(self.block).zip(&self.signs) {
            fold(phi, own, out, isa);
            fold(psi, tangent, out, isa);
            fwht(out, isa)?;
        }
        Ok(())
    }
}
