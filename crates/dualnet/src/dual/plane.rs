//! Duals on planes: pairs of positions of two images at one offset, where both samples of a pair change from entry to entry.

use super::{Constants, Dual, Pair};
use crate::simd::{Element, Kernel, Lanes, Real, Vector};

/// What is known of the positions of one image at the layer of a dual: maps of equal length one behind the other.
///
/// Map 0: standard deviations; 1: their reciprocals, 0 for 0; 2: standard deviations behind the dual; from 3 on its constants.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a, T> {
    /// All maps.
    pub maps: &'a [T],
    /// Entries from the beginning of a map to that of the next.
    pub stride: usize,
    /// Entry of each map that belongs to the plane's first.
    pub at: usize,
}

impl<T> Points<'_, T> {
    /// Maps in front of the constants.
    pub const FIXED: usize = 3;
}

/// A plane of pairs. Updated in place: c becomes k, t becomes t * kdot. Lengths are whole registers; what lies beyond `len` is
/// undefined afterwards.
#[derive(Debug)]
pub struct PlaneMut<'a, T> {
    /// Pairs.
    pub len: usize,
    /// Covariances.
    pub c: &'a mut [T],
    /// Tangent kernel; empty where only the NNGP is wanted.
    pub t: &'a mut [T],
    /// Positions of the first image.
    pub first: Points<'a, T>,
    /// Positions of the second.
    pub second: Points<'a, T>,
}

/// Constants of a register of pairs.
pub(super) struct Registers<'a, V, T> {
    simd: V,
    first: Points<'a, T>,
    second: Points<'a, T>,
    entry: usize,
}

impl<'a, V: Vector, T: Element> Registers<'a, V, T> {
    /// Those of the pairs from `entry` on.
    #[inline(always)]
    pub fn new(simd: V, plane: &PlaneMut<'a, T>, entry: usize) -> Self {
        Self { simd, first: plane.first, second: plane.second, entry }
    }
    #[inline(always)]
    fn load(&self, of: Points<'a, T>, map: usize) -> T::Lanes<V> {
        T::Lanes::<V>::load(self.simd, &of.maps[map * of.stride + of.at + self.entry..])
    }
    /// The pairs; 1-|rho| is formed from c.
    #[inline(always)]
    pub fn pair(&self, c: T::Lanes<V>) -> Pair<T::Lanes<V>> {
        let (sp, sq) = (self.load(self.first, 0), self.load(self.second, 0));
        let inverse = self.load(self.first, 1) * self.load(self.second, 1);
        let delta = (-c.abs()).mul_add(inverse, c.lit(1.0)).max(c.lit(0.0));
        Pair { c, p: sp * sp, q: sq * sq, sp, sq, delta }
    }
    /// sqrt(k(p,p,p)) sqrt(k(q,q,q)).
    #[inline(always)]
    pub fn norms(&self) -> T::Lanes<V> {
        self.load(self.first, 2) * self.load(self.second, 2)
    }
}

impl<V: Vector, T: Element> Constants<T::Lanes<V>> for Registers<'_, V, T> {
    #[inline(always)]
    fn row(&self, i: usize) -> T::Lanes<V> {
        self.load(self.first, Points::<T>::FIXED + i)
    }
    #[inline(always)]
    fn col(&self, i: usize) -> T::Lanes<V> {
        self.load(self.second, Points::<T>::FIXED + i)
    }
}

pub(super) struct Apply<'a, D, T> {
    pub dual: &'a D,
    pub plane: PlaneMut<'a, T>,
}

impl<D: Dual, T: Element> Kernel for Apply<'_, D, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let plane = self.plane;
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        for e in (0..plane.len).step_by(lanes) {
            let at = Registers::new(simd, &plane, e);
            let x = at.pair(T::Lanes::<V>::load(simd, &plane.c[e..]));
            let (k, kdot) = self.dual.values(x, at.norms(), &at);
            k.store(&mut plane.c[e..]);
            if !plane.t.is_empty() {
                (T::Lanes::<V>::load(simd, &plane.t[e..]) * kdot).store(&mut plane.t[e..]);
            }
        }
    }
}
