//! Duals on planes: pairs of positions of two images at one offset, where both samples of a pair change from entry to entry.

// Registers are counted, not iterated: an iterator's closures would leave the instruction set.
#![allow(clippy::needless_range_loop)]

use super::{Constants, Dual, Pair};
use crate::simd::{Element, Kernel, Lanes, Real, Vector, view, view_mut};

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

type Register<V, T> = <<T as Element>::Lanes<V> as Lanes<V, T>>::Register;

/// The pairs of a plane in registers, and the constants of one register of them.
pub(super) struct Registers<'a, V: Vector, T: Element> {
    simd: V,
    count: usize,
    first: Points<'a, T>,
    second: Points<'a, T>,
    first_maps: [&'a [Register<V, T>]; 3],
    second_maps: [&'a [Register<V, T>]; 3],
    /// The register at work.
    pub k: usize,
}

impl<'a, V: Vector, T: Element> Registers<'a, V, T> {
    /// Of a plane with `count` registers.
    #[inline(always)]
    pub fn new(simd: V, plane: &PlaneMut<'a, T>, count: usize) -> Self {
        let PlaneMut { first, second, .. } = *plane;
        let first_maps = [
            view::<V, T>(first.maps, first.at, count),
            view::<V, T>(first.maps, first.stride + first.at, count),
            view::<V, T>(first.maps, 2 * first.stride + first.at, count),
        ];
        let second_maps = [
            view::<V, T>(second.maps, second.at, count),
            view::<V, T>(second.maps, second.stride + second.at, count),
            view::<V, T>(second.maps, 2 * second.stride + second.at, count),
        ];
        Self { simd, count, first, second, first_maps, second_maps, k: 0 }
    }
    #[inline(always)]
    fn fixed(&self, maps: &[&'a [Register<V, T>]; 3], map: usize) -> T::Lanes<V> {
        T::Lanes::<V>::of(self.simd, maps[map][..self.count][self.k])
    }
    #[inline(always)]
    fn constant(&self, of: Points<'a, T>, i: usize) -> T::Lanes<V> {
        let entry = self.k * <T::Lanes<V> as Lanes<V, T>>::LANES;
        T::Lanes::<V>::load(self.simd, &of.maps[(Points::<T>::FIXED + i) * of.stride + of.at + entry..])
    }
    /// The pairs; 1-|rho| is formed from c.
    #[inline(always)]
    pub fn pair(&self, c: T::Lanes<V>) -> Pair<T::Lanes<V>> {
        let (sp, sq) = (self.fixed(&self.first_maps, 0), self.fixed(&self.second_maps, 0));
        let inverse = self.fixed(&self.first_maps, 1) * self.fixed(&self.second_maps, 1);
        let delta = (-c.abs()).mul_add(inverse, c.lit(1.0)).max(c.lit(0.0));
        Pair { c, p: sp * sp, q: sq * sq, sp, sq, delta }
    }
    /// sqrt(k(p,p,p)) sqrt(k(q,q,q)).
    #[inline(always)]
    pub fn norms(&self) -> T::Lanes<V> {
        self.fixed(&self.first_maps, 2) * self.fixed(&self.second_maps, 2)
    }
}

impl<V: Vector, T: Element> Constants<T::Lanes<V>> for Registers<'_, V, T> {
    #[inline(always)]
    fn row(&self, i: usize) -> T::Lanes<V> {
        self.constant(self.first, i)
    }
    #[inline(always)]
    fn col(&self, i: usize) -> T::Lanes<V> {
        self.constant(self.second, i)
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
        let count = plane.len.div_ceil(<T::Lanes<V> as Lanes<V, T>>::LANES);
        let at = Registers::<V, T>::new(simd, &plane, count);
        let c = view_mut::<V, T>(plane.c, 0, count);
        match plane.t.is_empty() {
            true => nngp::<D, V, T>(self.dual, simd, at, c),
            false => both::<D, V, T>(self.dual, simd, at, c, view_mut::<V, T>(plane.t, 0, count)),
        }
    }
}

// Arguments of their own tell the compiler that no store changes the parameters of the dual, so that it reads them once.

#[inline(always)]
fn both<D: Dual, V: Vector, T: Element>(
    dual: &D,
    simd: V,
    mut at: Registers<'_, V, T>,
    c: &mut [Register<V, T>],
    t: &mut [Register<V, T>],
) {
    for k in 0..at.count {
        at.k = k;
        let (image, slope) = dual.values(at.pair(T::Lanes::<V>::of(simd, c[k])), at.norms(), &at);
        c[k] = image.register();
        t[k] = (T::Lanes::<V>::of(simd, t[k]) * slope).register();
    }
}

#[inline(always)]
fn nngp<D: Dual, V: Vector, T: Element>(dual: &D, simd: V, mut at: Registers<'_, V, T>, c: &mut [Register<V, T>]) {
    for k in 0..at.count {
        at.k = k;
        c[k] = dual.values(at.pair(T::Lanes::<V>::of(simd, c[k])), at.norms(), &at).0.register();
    }
}
