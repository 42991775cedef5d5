//! Many columns become few: random signs, sums of columns a power of two apart, a Hadamard transform. And windows of positions: what a
//! convolution makes of features, by signs of each neighbour.
//!
//! With S the map, E (S x) . (S y) = x . y exactly, for signs are independent and the transform is orthogonal; fewer columns than results are
//! mapped without loss. Behind the transform the entries of a row are of one size, so that the neighbours of a position can be added up with
//! signs of their own: E (sum_d s_d x_d) . (sum_d s_d y_d) = sum_d x_d . y_d, what a convolution needs, for the cost of one addition an entry
//! and neighbour.

use super::activate::padded;
use super::lanes::{Add, PAD};
use super::rows::{Room, Rows};
use super::weights::Weights;
use crate::error::Result;
use crate::kernel::Float;
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use crate::simd::Isa;
use crate::transform::fwht;
use std::ops::Range;

#[derive(Clone, Debug)]
pub(super) struct Spread<T> {
    /// Columns that come out, powers of two; of Psi there may be none.
    pub phi: usize,
    pub psi: usize,
    /// Signs times weights of Phi for Phi, and of Phi and Psi for Psi.
    own: Vec<T>,
    rest: Vec<T>,
    tangent: Vec<T>,
}

fn signs(count: usize, purpose: Purpose, seed: u64, index: u64) -> impl Iterator<Item = f64> {
    let mut draws = Draws::new(seed, purpose, index);
    let words: Vec<u64> = (0..count.div_ceil(64)).map(|_| draws.bits()).collect();
    (0..count).map(move |i| if words[i / 64] >> (i % 64) & 1 == 0 { 1.0 } else { -1.0 })
}

impl<T: Float> Spread<T> {
    /// To `phi` columns of Phi and, where any are left for it, `psi` of Psi. The weights become 1, but that Phi keeps its share in the tangent
    /// kernel.
    pub(super) fn draw(phi: usize, psi: usize, layer: u32, weights: &mut Weights, resources: &Resources) -> Self {
        let purpose = Purpose::NET_SPREAD.at_layer(layer);
        let signs = |count, index| signs(count, purpose, resources.seed, index);
        let (share, rest) = weights.share();
        let psi = if weights.w.is_empty() && rest.iter().all(|&w| w == 0.0) { 0 } else { psi };
        let scaled = |weights: &[f64], rows: usize, index| {
            let factor = 1.0 / (rows.max(1) as f64).sqrt();
            padded(
                signs(weights.len(), index).zip(weights).map(|(s, w)| s * w * factor).collect::<Vec<_>>().into_iter(),
            )
        };
        let spread = Self {
            phi,
            psi,
            own: scaled(&weights.u, phi, 0),
            rest: scaled(&rest, psi, 1),
            tangent: scaled(&weights.w, psi, 2),
        };
        *weights = Weights { u: vec![1.0; phi], v: vec![share; phi], w: vec![1.0; psi] };
        spread
    }

    /// Row `i` into `out`, of the room of the columns that come out.
    pub(super) fn apply(&self, rows: &mut Rows<'_, T>, i: usize, out: &mut [T], isa: Isa) -> Result<()> {
        out.fill(T::default());
        let (out_phi, out_psi) = out.split_at_mut(Room::of(self.phi, self.psi).phi);
        let (phi, psi) = rows.row(i);
        fold(phi, &self.own, &mut out_phi[..self.phi], isa);
        fwht(&mut out_phi[..self.phi], isa)?;
        if self.psi > 0 {
            fold(phi, &self.rest, &mut out_psi[..self.psi], isa);
            fold(psi, &self.tangent, &mut out_psi[..self.psi], isa);
            fwht(&mut out_psi[..self.psi], isa)?;
        }
        Ok(())
    }
}

/// `out[k mod out.len()] += x[k] weights[k]`.
fn fold<T: Float>(x: &[T], weights: &[T], out: &mut [T], isa: Isa) {
    let length = out.len();
    for (x, weights) in x[..weights.len()].chunks(length).zip(weights.chunks(length)) {
        isa.run(Add { x, weights, out: &mut out[..weights.len()] });
    }
}

/// What a position behind takes from those before it, by number of the neighbour; a neighbour may be outside.
pub(super) type Windows = Vec<Vec<Option<usize>>>;

/// Sums of neighbours with signs.
#[derive(Clone, Debug)]
pub(super) struct Signed<T> {
    pub windows: Windows,
    /// For each neighbour, a row of signs times the factor.
    signs: Vec<T>,
    width: usize,
}

impl<T: Float> Signed<T> {
    pub(super) fn draw(windows: Windows, factor: f64, room: Room, layer: u32, resources: &Resources) -> Self {
        let purpose = Purpose::NET_NEIGHBOURS.at_layer(layer);
        let (neighbours, width) = (windows.iter().map(Vec::len).max().unwrap_or(0), room.width());
        let row = |d: usize| signs(width, purpose, resources.seed, d as u64).map(|s| T::from_f64(s * factor));
        Self { windows, signs: (0..neighbours).flat_map(row).collect(), width }
    }

    /// `part` of row `at` of the positions behind, from `stored`, whole rows.
    pub(super) fn gather(&self, stored: &[T], at: usize, part: Range<usize>, out: &mut [T], isa: Isa) {
        let width = self.width;
        for (d, from) in self.windows[at].iter().enumerate() {
            if let Some(from) = from {
                let (x, weights) = (&stored[from * width..][part.clone()], &self.signs[d * width..][part.clone()]);
                isa.run(Add { x, weights, out: &mut out[..part.len()] });
            }
        }
    }
}

/// The largest power of two up to `n`, at least [`PAD`].
pub(super) fn power_of_two(n: usize) -> usize {
    let n = n.max(PAD);
    if n.is_power_of_two() { n } else { n.next_power_of_two() / 2 }
}
