//! Products of branches: c = c_1 c_2 and t = t_1 c_2 + c_1 t_2 by sketches of tensor products, two branches at a time.

use super::activate::padded;
use super::lanes::Multiply;
use super::rows::Rows;
use super::weights::{Origin, Weights};
use crate::error::Result;
use crate::kernel::Float;
use crate::linalg::{MatMut, MatRef};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::Isa;
use crate::transform::TensorSrht;

/// The product of the branches so far with the next.
#[derive(Clone, Debug)]
struct Factor<T> {
    left: Side<T>,
    right: Side<T>,
    /// F_1 (x) F_2, and where there is a tangent kernel T_1 (x) F_2 and F_1 (x) T_2.
    own: TensorSrht<T>,
    tangent: Vec<(TensorSrht<T>, Which)>,
}

/// Which factor of a product is of the tangent kernel.
#[derive(Clone, Copy, Debug)]
enum Which {
    Left,
    Right,
}

/// Weights of a branch.
#[derive(Clone, Debug)]
struct Side<T> {
    nngp: Vec<T>,
    ntk: Vec<T>,
}

impl<T: Float> Side<T> {
    fn of(weights: &Weights) -> Self {
        Self { nngp: padded(weights.u.iter().copied()), ntk: padded(weights.v.iter().chain(&weights.w).copied()) }
    }
}

/// A product of at least two branches.
#[derive(Clone, Debug)]
pub(super) struct Product<T> {
    factors: Vec<Factor<T>>,
    own: usize,
    tangent: usize,
}

impl<T: Float> Product<T> {
    /// With so many features of the NNGP, and of each of the two terms of the NTK; gives the weights behind it too.
    pub(super) fn draw(
        branches: &[Weights],
        (own, tangent): (usize, usize),
        layer: &mut dyn FnMut() -> u32,
        resources: &Resources,
    ) -> Result<(Self, Weights)> {
        let (mut factors, mut now) = (Vec::new(), branches.first().cloned().unwrap_or_default());
        let mut draw =
            |left, right, rows| TensorSrht::draw(left, right, rows, Purpose::NET_BRANCHES.at_layer(layer()), resources);
        for next in branches.iter().skip(1) {
            let mut products = Vec::new();
            if tangent > 0 {
                // Columns without weight are of no use to the tangent kernel, but they are few.
                products.push((draw(now.columns(), next.u.len(), tangent)?, Which::Left));
                products.push((draw(now.u.len(), next.columns(), tangent)?, Which::Right));
            }
            let both = draw(now.u.len(), next.u.len(), own)?;
            factors.push(Factor { left: Side::of(&now), right: Side::of(next), own: both, tangent: products });
            now = Weights::default();
            now.push(own, 1.0, 0.0, Origin::Rest);
            now.push_tangent(2 * tangent, 1.0);
        }
        Ok((Self { factors, own, tangent: 2 * tangent }, now))
    }

    /// Columns of Phi and Psi behind it.
    pub(super) fn columns(&self) -> (usize, usize) {
        (self.own, self.tangent)
    }

    /// The rows of all branches into `out`.
    pub(super) fn apply(&self, branches: &[Rows<'_, T>], out: &mut Rows<'_, T>, isa: Isa) -> Result<()> {
        let n = out.len();
        let scratch = self.factors.iter().flat_map(|factor| {
            std::iter::once(&factor.own).chain(factor.tangent.iter().map(|(map, _)| map)).map(TensorSrht::scratch)
        });
        let mut scratch = vec![T::default(); scratch.max().unwrap_or(0)];
        let (mut own, mut tangent) = (vec![T::default(); n * self.own], vec![T::default(); n * self.tangent]);
        let Some((first, others)) = branches.split_first() else { return Ok(()) };
        for (i, (factor, next)) in self.factors.iter().zip(others).enumerate() {
            let left = match i {
                0 => Weighed::of(&factor.left, n, |row, out| first.joined(row, out), first.phi, isa),
                _ => {
                    let joined = |row: usize, out: &mut [T]| {
                        out[..self.own].copy_from_slice(&own[row * self.own..][..self.own]);
                        out[self.own..][..self.tangent].copy_from_slice(&tangent[row * self.tangent..][..self.tangent]);
                    };
                    Weighed::of(&factor.left, n, joined, self.own, isa)
                }
            };
            let right = Weighed::of(&factor.right, n, |row, out| next.joined(row, out), next.phi, isa);
            let to = MatMut::new(&mut own, n, self.own, self.own)?;
            factor.own.tile(left.nngp(n, &factor.own, 0)?, right.nngp(n, &factor.own, 1)?, to, &mut scratch, isa)?;
            for (j, (map, which)) in factor.tangent.iter().enumerate() {
                let to = MatMut::new(&mut tangent[j * map.rows()..], n, map.rows(), self.tangent)?;
                let (x, y) = match which {
                    Which::Left => (left.ntk(n, map, 0)?, right.nngp(n, map, 1)?),
                    Which::Right => (left.nngp(n, map, 0)?, right.ntk(n, map, 1)?),
                };
                map.tile(x, y, to, &mut scratch, isa)?;
            }
        }
        for i in 0..n {
            let (phi, psi) = out.row(i);
            phi[..self.own].copy_from_slice(&own[i * self.own..][..self.own]);
            psi[..self.tangent].copy_from_slice(&tangent[i * self.tangent..][..self.tangent]);
        }
        (out.phi, out.psi) = (self.own, self.tangent);
        Ok(())
    }
}

/// Features of one branch: of its NNGP and of its NTK.
struct Weighed<T> {
    nngp: Vec<T>,
    ntk: Vec<T>,
    widths: (usize, usize),
}

impl<T: Float> Weighed<T> {
    /// From the columns that `joined` gives of a row, `phi` of them of Phi.
    fn of(side: &Side<T>, n: usize, joined: impl Fn(usize, &mut [T]), phi: usize, isa: Isa) -> Self {
        let widths = (side.nngp.len(), side.ntk.len());
        let (mut nngp, mut ntk) = (vec![T::default(); n * widths.0], vec![T::default(); n * widths.1]);
        for i in 0..n {
            let (own, all) = (&mut nngp[i * widths.0..][..widths.0], &mut ntk[i * widths.1..][..widths.1]);
            joined(i, all);
            own[..phi].copy_from_slice(&all[..phi]);
            isa.run(Multiply { x: own, weights: &side.nngp });
            isa.run(Multiply { x: all, weights: &side.ntk });
        }
        Self { nngp, ntk, widths }
    }

    fn nngp(&self, n: usize, map: &TensorSrht<T>, side: usize) -> Result<MatRef<'_, T>> {
        MatRef::new(&self.nngp, n, [map.cols().0, map.cols().1][side], self.widths.0)
    }

    fn ntk(&self, n: usize, map: &TensorSrht<T>, side: usize) -> Result<MatRef<'_, T>> {
        MatRef::new(&self.ntk, n, [map.cols().0, map.cols().1][side], self.widths.1)
    }
}
