//! Partial derivatives of a dual in the covariance and in the first variance: what gradients of a kernel with respect to its first
//! input are made of.
//!
//! **Singular parts are 0.** A kink makes kdot as steep as 1/s, s = sqrt(pq - c^2), where samples coincide or oppose each other (and a
//! jump k itself). There the kernel has a cone, whose slopes of all directions cancel: the part that grows with 1/s counts as 0 below
//! an angle of [`COINCIDENT`], and so does what is divided by a variance of 0. Everything is finite.

use super::tile::{Registers, Side};
use super::{Dual, Pair};
use crate::simd::{Element, Kernel, Lanes, Real, Vector};

/// 1-|rho| below which samples coincide: an angle of 1.4e-7. Above it, parts that cancel lose half of the digits at most.
pub const COINCIDENT: f64 = 1e-14;

/// Partial derivatives of k(c, p, q) and kdot(c, p, q).
#[derive(Clone, Copy, Debug)]
pub struct Partials<V> {
    /// dk/dc: kdot, but for jumps, whose kdot is 0 by convention.
    pub k_c: V,
    /// dk/dp.
    pub k_p: V,
    /// kdot itself.
    pub kdot: V,
    /// d kdot/dc.
    pub kdot_c: V,
    /// d kdot/dp.
    pub kdot_p: V,
}

impl<V: Real> Partials<V> {
    /// Of a dual that is homogeneous of degree `n` in the standard deviation of each sample, kdot of degree n - 1 (Euler's theorem):
    /// 2p dk/dp = n k - c dk/dc.
    #[inline(always)]
    pub fn homogeneous(x: &Pair<V>, n: f64, (k, k_c): (V, V), (kdot, kdot_c): (V, V)) -> Self {
        let half = half_inverse(x.p);
        let k_p = (k * n - x.c * k_c) * half;
        let kdot_p = (kdot * (n - 1.0) - x.c * kdot_c) * half;
        Self { k_c, k_p, kdot, kdot_c, kdot_p }
    }
}

/// 1/(2p), 0 for p = 0.
#[inline(always)]
pub(super) fn half_inverse<V: Real>(p: V) -> V {
    let zero = p.lit(0.0);
    V::select(zero.lt(p), p.lit(0.5) / p, zero)
}

/// 1/s = 1/sqrt(pq - c^2), 0 where samples coincide, oppose each other or have a variance of 0.
#[inline(always)]
pub(super) fn inverse_s<V: Real>(x: &Pair<V>) -> V {
    let (zero, r) = (x.c.lit(0.0), x.r());
    let s = r * x.sin2().sqrt();
    let proper = V::select(x.delta.lt(x.delta.lit(COINCIDENT)), zero, s);
    V::select(zero.lt(proper), x.c.lit(1.0) / s, zero)
}

/// A tile of pairs before the activation, and where its partial derivatives go; entries as in [`TileMut`](super::TileMut).
#[derive(Debug)]
pub struct PartialsMut<'a> {
    /// Covariances.
    pub c: &'a [f64],
    /// 1 - |rho|.
    pub delta: &'a [f64],
    /// Samples along the rows.
    pub rows: Side<'a, f64>,
    /// Samples along the columns; their number is a multiple of every register's width.
    pub cols: Side<'a, f64>,
    /// Constants of [`Dual::slope_constants`] of the rows, laid out as those of a [`Side`].
    pub row_slopes: &'a [f64],
    /// The same of the columns.
    pub col_slopes: &'a [f64],
    /// dk/dc.
    pub k_c: &'a mut [f64],
    /// dk/dp.
    pub k_p: &'a mut [f64],
    /// kdot; empty where only the NNGP is wanted.
    pub kdot: &'a mut [f64],
    /// d kdot/dc; empty where only the NNGP is wanted.
    pub kdot_c: &'a mut [f64],
    /// d kdot/dp; empty where only the NNGP is wanted.
    pub kdot_p: &'a mut [f64],
}

pub(super) struct Apply<'a, 'b, D> {
    pub dual: &'a D,
    pub tile: PartialsMut<'b>,
}

impl<D: Dual> Kernel for Apply<'_, '_, D> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let PartialsMut { c, delta, rows, cols, row_slopes, col_slopes, k_c, k_p, kdot, kdot_c, kdot_p } = self.tile;
        type Register<V> = <f64 as Element>::Lanes<V>;
        let (n, m) = (rows.p.len(), cols.p.len());
        for i in 0..n {
            let p = Register::<V>::splat(simd, rows.p[i]);
            let sp = Register::<V>::splat(simd, rows.sp[i]);
            let out_sp = Register::<V>::splat(simd, rows.out_sp[i]);
            for j in (0..m).step_by(Register::<V>::LANES) {
                let at = i * m + j;
                let load = |from: &[f64]| Register::<V>::load(simd, from);
                let x = Pair {
                    c: load(&c[at..]),
                    p,
                    q: load(&cols.p[j..]),
                    sp,
                    sq: load(&cols.sp[j..]),
                    delta: load(&delta[at..]),
                };
                let r = out_sp * load(&cols.out_sp[j..]);
                let of = |rows, cols| Registers { simd, rows, row: i, row_len: n, cols, col: j, col_len: m };
                let (constants, slopes) = (of(rows.constants, cols.constants), of(row_slopes, col_slopes));
                let Some(found) = self.dual.partials(x, r, &constants, &slopes) else { return };
                found.k_c.store(&mut k_c[at..]);
                found.k_p.store(&mut k_p[at..]);
                if !kdot.is_empty() {
                    found.kdot.store(&mut kdot[at..]);
                    found.kdot_c.store(&mut kdot_c[at..]);
                    found.kdot_p.store(&mut kdot_p[at..]);
                }
            }
        }
    }
}
