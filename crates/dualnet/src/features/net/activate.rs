//! An activation: terms of degree 0 and 1 as they are, the rest by random features.
//!
//! With u = g . x normal of variance s^2, phi(u) = mean + slope u + rest(u), and the three are uncorrelated under any correlation of u with
//! another input. So k(x, x') = mean mean' + (slope slope') x . x' + E rest(u) rest(u'), of which only the last term is estimated:
//! for two inputs at right angles it vanishes, where plain random features have their full variance. Likewise kdot(x, x') = slope slope' +
//! E (phi'(u) - slope)(phi'(u') - slope'), so that t' = t kdot takes over the features of t times the slope and adds the products
//! (r . psi)(phi'(g . x) - slope) with r another normal vector: E (r . psi)(r . psi') = t.

use super::factor::Factor;
use super::lanes::{PAD, Rest, RestOfSlope, Scale, Weigh};
use super::moments::Moments;
use super::rows::Rows;
use super::weights::{Origin, Weights};
use crate::activation::{Activation, Parity};
use crate::error::Result;
use crate::kernel::Float;
use crate::linalg::{MatMut, MatRef};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::Isa;
use crate::transform::{Projection, ProjectionKind};

/// How many features an activation has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Counts {
    /// Of the NNGP.
    pub rest: usize,
    /// Of the NTK beside them.
    pub tangent: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Activate<T> {
    activation: Activation,
    moments: Moments,
    counts: Counts,
    /// Weights of Phi in the NNGP.
    nngp: Vec<T>,
    /// g, one row a feature, and r.
    argument: Projection<T>,
    factor: Option<Factor<T>>,
    /// Nothing of degree 1: the columns there are end here.
    replaces: bool,
}

/// Weights in `T`, padded with zeros.
pub(super) fn padded<T: Float>(weights: impl Iterator<Item = f64>) -> Vec<T> {
    let mut padded: Vec<T> = weights.map(T::from_f64).collect();
    padded.resize(padded.len().next_multiple_of(PAD), T::default());
    padded
}

impl<T: Float> Activate<T> {
    /// Draws the `layer`th activation, and changes the weights to those behind it.
    pub(super) fn draw(
        activation: &Activation,
        counts: Counts,
        (kind, layer): (ProjectionKind, u32),
        weights: &mut Weights,
        resources: &Resources,
    ) -> Result<Self> {
        let phi = weights.u.len();
        let rows = counts.rest.max(counts.tangent);
        let draw =
            |rows, columns, purpose: Purpose| Projection::draw(kind, rows, columns, purpose.at_layer(layer), resources);
        let step = Self {
            activation: activation.clone(),
            moments: Moments::new(activation),
            counts,
            nngp: padded(weights.u.iter().copied()),
            argument: draw(rows, phi, Purpose::NET_ARGUMENTS)?,
            factor: (counts.tangent > 0).then(|| Factor::draw(counts.tangent, layer, weights, resources)),
            replaces: replaces(activation),
        };
        behind(activation, counts, weights);
        Ok(step)
    }

    /// Numbers of scratch memory for a chunk of `rows` rows.
    pub(super) fn scratch(&self, rows: usize) -> usize {
        rows * (self.nngp.len() + self.argument_columns()) + self.factor_columns() + self.argument.scratch()
    }

    fn argument_columns(&self) -> usize {
        self.argument.rows().next_multiple_of(PAD)
    }
    fn factor_columns(&self) -> usize {
        self.factor.as_ref().map_or(0, Factor::columns)
    }

    /// Applies it to a chunk.
    pub(super) fn apply(&self, rows: &mut Rows<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let n = rows.len();
        let (weighed, rest) = scratch.split_at_mut(n * self.nngp.len());
        let (arguments, rest) = rest.split_at_mut(n * self.argument_columns());
        let (factors, rest) = rest.split_at_mut(self.factor_columns());
        let variances = self.arguments(rows, weighed, arguments, rest, isa)?;
        let (phi, psi) = (rows.phi, rows.psi);
        for (i, variance) in variances.iter().enumerate() {
            let (mean, slope) = self.moments.at(variance.sqrt(), isa);
            let z = &arguments[i * self.argument_columns()..(i + 1) * self.argument_columns()];
            let (mean, slope) = (T::from_f64(mean), T::from_f64(slope));
            let (kept_phi, kept_psi) = if self.replaces { (0, 0) } else { (phi, psi) };
            let (own, tangent) = rows.row(i);
            if let Some(factor) = &self.factor {
                factor.apply((own, tangent), factors, isa)?;
            }
            isa.run(Scale { x: &mut own[..kept_phi.next_multiple_of(PAD)], factor: slope });
            own[kept_phi] = mean;
            let out = &mut own[kept_phi + 1..][..self.counts.rest.next_multiple_of(PAD)];
            isa.run(Rest { activation: &self.activation, z, mean, slope, out });
            if self.factor.is_some() {
                isa.run(Scale { x: &mut tangent[..kept_psi.next_multiple_of(PAD)], factor: slope });
                let out = &mut tangent[kept_psi..][..self.counts.tangent.next_multiple_of(PAD)];
                isa.run(RestOfSlope { activation: &self.activation, z, slope, r: factors, out });
            }
        }
        (rows.phi, rows.psi) = if self.replaces { (0, 0) } else { (phi, psi) };
        rows.phi += 1 + self.counts.rest;
        rows.psi += self.counts.tangent;
        Ok(())
    }

    /// g . x of every row and feature; gives the variances.
    fn arguments(
        &self,
        rows: &mut Rows<'_, T>,
        weighed: &mut [T],
        arguments: &mut [T],
        scratch: &mut [T],
        isa: Isa,
    ) -> Result<Vec<f64>> {
        let (n, width) = (rows.len(), self.nngp.len());
        let mut variances = Vec::with_capacity(n);
        for (i, out) in weighed.chunks_exact_mut(width).take(n).enumerate() {
            let (own, _) = rows.row(i);
            variances.push(isa.run(Weigh { x: &own[..width], weights: &self.nngp, out }));
        }
        let x = MatRef::new(weighed, n, rows.phi, width)?;
        self.argument.tile(
            x,
            MatMut::new(arguments, n, self.argument.rows(), self.argument_columns())?,
            scratch,
            isa,
        )?;
        Ok(variances)
    }
}

/// Whether the slope of an activation vanishes at every variance.
pub(super) fn replaces(activation: &Activation) -> bool {
    activation.parity() == Parity::Even || !activation.is_continuous()
}

/// The weights behind an activation with so many features.
fn behind(activation: &Activation, counts: Counts, weights: &mut Weights) {
    if replaces(activation) {
        *weights = Weights::default();
    }
    weights.push(1, 1.0, 0.0, Origin::Mean);
    weights.push(counts.rest, 1.0 / (counts.rest as f64).sqrt(), 0.0, Origin::Rest);
    weights.push_tangent(counts.tangent, 1.0 / (counts.tangent as f64).sqrt());
    // t' = t kdot: what Phi was in the tangent kernel it remains, times the slope; the new columns of Phi were not in it.
}
