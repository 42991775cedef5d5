//! Many columns become few: random signs, sums of columns a power of two apart, a Hadamard transform. And windows of positions: what a
//! convolution makes of features, by signs of each neighbour.
//!
//! With S the map, E (S x) . (S y) = x . y exactly, for signs are independent and the transform is orthogonal; fewer columns than results are
//! mapped without loss. Behind the transform the entries of a row are of one size, so that the neighbours of a position can be added up with
//! signs of their own: E (sum_d s_d x_d) . (sum_d s_d y_d) = sum_d x_d . y_d, what a convolution needs, for the cost of one addition an entry
//! and neighbour.

use super::activate::padded;
use super::lanes::{Add, AddAll, PAD};
use super::rows::{Room, Rows};
use super::weights::{Origin, Weights};
use crate::error::Result;
use crate::kernel::Float;
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use crate::simd::Isa;
use crate::transform::fwht;

#[derive(Clone, Debug)]
pub(super) struct Spread<T> {
    /// Columns that come out, powers of two; of Psi there may be none.
    pub phi: usize,
    pub psi: usize,
    /// Columns of Phi that stand behind the others as they are.
    pub kept: Vec<usize>,
    /// Signs times weights of Phi for Phi, and of Phi and Psi for Psi.
    own: Vec<T>,
    rest: Vec<T>,
    tangent: Vec<T>,
}

pub(super) fn signs(count: usize, purpose: Purpose, seed: u64, index: u64) -> impl Iterator<Item = f64> {
    let mut draws = Draws::new(seed, purpose, index);
    let words: Vec<u64> = (0..count.div_ceil(64)).map(|_| draws.bits()).collect();
    (0..count).map(move |i| if words[i / 64] >> (i % 64) & 1 == 0 { 1.0 } else { -1.0 })
}

impl<T: Float> Spread<T> {
    /// To `phi` columns of Phi and, where any are left for it, `psi` of Psi; the columns `kept` of Phi remain as they are. The weights of the
    /// others become 1, but that Phi keeps its share in the tangent kernel.
    pub(super) fn draw(
        (phi, psi): (usize, usize),
        kept: Vec<usize>,
        layer: u32,
        weights: &mut Weights,
        resources: &Resources,
    ) -> Self {
        let purpose = Purpose::NET_SPREAD.at_layer(layer);
        let (share, mut rest) = weights.share(&kept);
        let mut own = weights.u.clone();
        kept.iter().for_each(|&i| (own[i], rest[i]) = (0.0, 0.0));
        let psi = if weights.w.is_empty() && rest.iter().all(|&w| w == 0.0) { 0 } else { psi };
        let scaled = |weights: &[f64], rows: usize, index| {
            let factor = 1.0 / (rows.max(1) as f64).sqrt();
            let signs = signs(weights.len(), purpose, resources.seed, index);
            padded(signs.zip(weights).map(|(s, w)| s * w * factor))
        };
        let (own, rest, tangent) = (scaled(&own, phi, 0), scaled(&rest, psi, 1), scaled(&weights.w, psi, 2));
        let mut behind = Weights::default();
        behind.push(phi, 1.0, share, Origin::Rest);
        kept.iter().for_each(|&i| behind.push(1, weights.u[i], weights.v[i], weights.origins[i]));
        behind.push_tangent(psi, 1.0);
        *weights = behind;
        Self { phi, psi, kept, own, rest, tangent }
    }

    /// Row `i` into `out`, of the room of the columns that come out.
    pub(super) fn apply(&self, rows: &mut Rows<'_, T>, i: usize, out: &mut [T], isa: Isa) -> Result<()> {
        out.fill(T::default());
        let (out_phi, out_psi) = out.split_at_mut(Room::of(self.phi + self.kept.len(), self.psi).phi);
        let (phi, psi) = rows.row(i);
        out_phi[self.phi..].iter_mut().zip(&self.kept).for_each(|(out, &column)| *out = phi[column]);
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
pub(super) fn fold<T: Float>(x: &[T], weights: &[T], out: &mut [T], isa: Isa) {
    let length = out.len();
    for (x, weights) in x[..weights.len()].chunks(length).zip(weights.chunks(length)) {
        isa.run(Add { x, weights, out: &mut out[..weights.len()] });
    }
}

/// What a position behind takes from those before it, by number of the neighbour; a neighbour may be outside.
pub(super) type Windows = Vec<Vec<Option<usize>>>;

/// Sums of neighbours with signs; columns that were kept stand beside each other.
#[derive(Clone, Debug)]
pub(super) struct Signed<T> {
    pub windows: Windows,
    factor: T,
    /// Columns that are added up, of Phi and of Psi, and those of Phi that are not.
    phi: usize,
    psi: usize,
    kept: usize,
    /// For each neighbour, a row of signs times the factor: for Phi, then for Psi.
    signs: Vec<T>,
}

impl<T: Float> Signed<T> {
    /// For columns behind `spread`; changes the weights to those of the sums.
    pub(super) fn draw(
        windows: Windows,
        factor: f64,
        (phi, psi, kept): (usize, usize, usize),
        layer: u32,
        weights: &mut Weights,
        resources: &Resources,
    ) -> Self {
        let purpose = Purpose::NET_NEIGHBOURS.at_layer(layer);
        let neighbours = windows.iter().map(Vec::len).max().unwrap_or(0);
        let row = |d: usize| signs(phi + psi, purpose, resources.seed, d as u64).map(|s| T::from_f64(s * factor));
        let mut beside = Weights {
            u: weights.u.split_off(phi),
            v: weights.v.split_off(phi),
            w: Vec::new(),
            origins: weights.origins.split_off(phi),
        };
        beside.repeat(neighbours);
        weights.append(&beside);
        Self { windows, factor: T::from_f64(factor), phi, psi, kept, signs: (0..neighbours).flat_map(row).collect() }
    }

    /// Row `at` of the positions behind, from `stored`, whole rows; `phi` and `psi` are zeros.
    pub(super) fn gather(&self, stored: &[T], at: usize, phi: &mut [T], psi: &mut [T], isa: Isa) {
        let room = Room::of(self.phi + self.kept, self.psi);
        let signs = self.signs.chunks_exact(self.phi + self.psi);
        let (mut own, mut tangent) = (Vec::new(), Vec::new());
        for (d, (from, signs)) in self.windows[at].iter().zip(signs).enumerate() {
            let Some(from) = from else { continue };
            let (x, y) = stored[from * room.width()..][..room.width()].split_at(room.phi);
            own.push((&x[..self.phi], &signs[..self.phi]));
            tangent.push((&y[..self.psi], &signs[self.phi..]));
            let beside = &mut phi[self.phi + d * self.kept..][..self.kept];
            for (out, x) in beside.iter_mut().zip(&x[self.phi..]) {
                *out = T::from_f64(x.to_f64() * self.factor.to_f64());
            }
        }
        isa.run(AddAll { parts: &own, out: &mut phi[..self.phi] });
        isa.run(AddAll { parts: &tangent, out: &mut psi[..self.psi] });
    }
}

/// The largest power of two up to `n`, at least [`PAD`].
pub(super) fn power_of_two(n: usize) -> usize {
    let n = n.max(PAD);
    if n.is_power_of_two() { n } else { n.next_power_of_two() / 2 }
}
