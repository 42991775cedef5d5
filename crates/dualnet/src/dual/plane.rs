//! Duals on planes: pairs of positions of two images at one offset, where both samples of a pair change from entry to entry.

// Registers are counted, not iterated: an iterator's closures would leave the instruction set.
#![allow(clippy::needless_range_loop)]

use super::{Constants, Dual, Pair};
use crate::simd::{Element, Kernel, Lanes, Real, Register, Vector, view, view_mut};

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

/// Three rows of sums that a plane is still to be made of: c = w (a + b + c), plus b; t likewise, plus c. What a convolution leaves to do,
/// so that its result need not be stored before the dual.
#[derive(Clone, Copy, Debug)]
pub struct ThreeRows<'a, T> {
    /// Sums of the covariances.
    pub c: [&'a [T]; 3],
    /// Sums of the tangent kernel.
    pub t: [&'a [T]; 3],
    /// Factor of the covariances.
    pub w: f64,
    /// Added to them.
    pub b: f64,
    /// Factor of the tangent kernel.
    pub carry: f64,
}

/// A plane of pairs. Updated in place: c becomes k, t becomes t * kdot. Lengths are whole registers; what lies beyond `len` is
/// undefined afterwards.
#[derive(Debug)]
pub struct PlaneMut<'a, T> {
    /// Pairs.
    pub len: usize,
    /// What c and t are made of, if they do not hold it yet; both kernels are wanted then.
    pub rows: Option<&'a ThreeRows<'a, T>>,
    /// Covariances.
    pub c: &'a mut [T],
    /// Tangent kernel; empty where only the NNGP is wanted.
    pub t: &'a mut [T],
    /// Positions of the first image.
    pub first: Points<'a, T>,
    /// Positions of the second.
    pub second: Points<'a, T>,
}

impl<T: Element> PlaneMut<'_, T> {
    /// c and t of pair `j` as they come from the layer before; t is 0 where only the NNGP is wanted.
    pub(super) fn before(&self, j: usize) -> (f64, f64) {
        let sum = |rows: &[&[T]; 3]| rows.iter().map(|row| row[j].to_f64()).sum::<f64>();
        match self.rows {
            Some(rows) => {
                let c = sum(&rows.c) * rows.w + rows.b;
                (c, sum(&rows.t) * rows.carry + c)
            }
            None => (self.c[j].to_f64(), self.t.get(j).map_or(0.0, |t| t.to_f64())),
        }
    }
    /// Pair `j` with covariance `c`; 1-|rho| is formed from it.
    pub(super) fn pair(&self, j: usize, c: f64) -> Pair<f64> {
        let map = |points: &Points<'_, T>, i: usize| points.maps[i * points.stride + points.at + j].to_f64();
        let (sp, sq) = (map(&self.first, 0), map(&self.second, 0));
        let delta = (1.0 - c.abs() * map(&self.first, 1) * map(&self.second, 1)).max(0.0);
        Pair { c, p: sp * sp, q: sq * sq, sp, sq, delta }
    }
}

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
        let (first, second) = (plane.first, plane.second);
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

pub(super) struct Apply<'a, 'p, D, T> {
    pub dual: &'a D,
    pub plane: &'a mut PlaneMut<'p, T>,
}

impl<D: Dual, T: Element> Kernel for Apply<'_, '_, D, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let plane = self.plane;
        let count = plane.len.div_ceil(<T::Lanes<V> as Lanes<V, T>>::LANES);
        let at = Registers::<V, T>::new(simd, plane, count);
        let c = view_mut::<V, T>(&mut *plane.c, 0, count);
        match (plane.t.is_empty(), plane.rows) {
            (true, _) => nngp::<D, V, T>(self.dual, simd, at, c),
            (false, None) => both::<D, V, T>(self.dual, simd, at, c, view_mut::<V, T>(&mut *plane.t, 0, count)),
            (false, Some(rows)) => {
                let t = view_mut::<V, T>(&mut *plane.t, 0, count);
                summed::<D, V, T>(self.dual, simd, at, rows, c, t);
            }
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

#[inline(always)]
fn summed<D: Dual, V: Vector, T: Element>(
    dual: &D,
    simd: V,
    mut at: Registers<'_, V, T>,
    rows: &ThreeRows<'_, T>,
    c: &mut [Register<V, T>],
    t: &mut [Register<V, T>],
) {
    let count = at.count;
    let sums = Sums::<V, T>::new(simd, rows, count);
    for k in 0..count {
        at.k = k;
        let (before, slope_before) = sums.get(simd, k, count);
        let (image, slope) = dual.values(at.pair(before), at.norms(), &at);
        c[k] = image.register();
        t[k] = (slope_before * slope).register();
    }
}

/// [`ThreeRows`] in registers.
pub(super) struct Sums<'a, V: Vector, T: Element> {
    c: [&'a [Register<V, T>]; 3],
    t: [&'a [Register<V, T>]; 3],
    w: T::Lanes<V>,
    b: T::Lanes<V>,
    carry: T::Lanes<V>,
}

impl<'a, V: Vector, T: Element> Sums<'a, V, T> {
    #[inline(always)]
    pub fn new(simd: V, rows: &ThreeRows<'a, T>, count: usize) -> Self {
        let [a, b, c] = rows.c;
        let [d, e, f] = rows.t;
        Self {
            c: [view::<V, T>(a, 0, count), view::<V, T>(b, 0, count), view::<V, T>(c, 0, count)],
            t: [view::<V, T>(d, 0, count), view::<V, T>(e, 0, count), view::<V, T>(f, 0, count)],
            w: T::Lanes::<V>::splat(simd, T::from_f64(rows.w)),
            b: T::Lanes::<V>::splat(simd, T::from_f64(rows.b)),
            carry: T::Lanes::<V>::splat(simd, T::from_f64(rows.carry)),
        }
    }
    /// c and t of register `k`.
    #[inline(always)]
    pub fn get(&self, simd: V, k: usize, count: usize) -> (T::Lanes<V>, T::Lanes<V>) {
        let [a, b, c] = self.c;
        let [d, e, f] = self.t;
        let (a, b, c, d, e, f) = (&a[..count], &b[..count], &c[..count], &d[..count], &e[..count], &f[..count]);
        let sum = T::Lanes::<V>::of(simd, a[k]) + T::Lanes::<V>::of(simd, b[k]) + T::Lanes::<V>::of(simd, c[k]);
        let out = sum.mul_add(self.w, self.b);
        let sum = T::Lanes::<V>::of(simd, d[k]) + T::Lanes::<V>::of(simd, e[k]) + T::Lanes::<V>::of(simd, f[k]);
        (out, sum.mul_add(self.carry, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use crate::dual::{DynDual, dual_of};
    use crate::kernel::Float;
    use crate::net::DualChoice;
    use crate::simd::Isa;

    const LEN: usize = 37;
    const STRIDE: usize = 64;

    /// Maps of variances, as a kernel over positions keeps them.
    fn maps<T: Float>(dual: &dyn DynDual, p: &[f64]) -> Vec<T> {
        let found = dual.samples(p);
        let mut maps = vec![0.0; (3 + dual.constants_len()) * STRIDE];
        for (j, variance) in p.iter().enumerate() {
            let s = variance.sqrt();
            maps[j] = s;
            maps[STRIDE + j] = if s > 0.0 { 1.0 / s } else { 0.0 };
            maps[2 * STRIDE + j] = found.variances[j].sqrt();
            for i in 0..dual.constants_len() {
                maps[(3 + i) * STRIDE + j] = found.constants[i * p.len() + j];
            }
        }
        maps.into_iter().map(T::from_f64).collect()
    }

    fn agrees<T: Float>(activation: &Activation, choice: DualChoice, tolerance: f64) {
        let dual = dual_of(activation, choice, T::PRECISION).unwrap();
        let p: Vec<f64> = (0..LEN).map(|j| if j == 5 { 0.0 } else { 0.2 + 0.07 * j as f64 }).collect();
        let q: Vec<f64> = (0..LEN).map(|j| if j == 9 { 0.0 } else { 2.5 - 0.05 * j as f64 }).collect();
        let rho = |j: usize| -0.97 + 1.9 * j as f64 / LEN as f64;
        let c = |j: usize| rho(j) * (p[j] * q[j]).sqrt();
        let (first, second) = (maps::<T>(dual.as_ref(), &p), maps::<T>(dual.as_ref(), &q));
        for isa in Isa::available() {
            for summed in [false, true] {
                // The sum of three rows, scaled, is c; t is c with what rows of t add.
                let (mut now, mut slope) = ([T::default(); STRIDE], [T::from_f64(1.0); STRIDE]);
                let (mut thirds, mut ones) = ([T::default(); STRIDE], [T::default(); STRIDE]);
                for j in 0..LEN {
                    now[j] = T::from_f64(if summed { 0.0 } else { c(j) });
                    thirds[j] = T::from_f64(c(j) * 2.0 / 3.0);
                    ones[j] = T::from_f64((1.0 - c(j)) * 2.0 / 3.0);
                }
                let rows = ThreeRows { c: [&thirds; 3], t: [&ones; 3], w: 0.5, b: 0.0, carry: 0.5 };
                let point = |maps| Points { maps, stride: STRIDE, at: 0 };
                let (first, second) = (point(&first[..]), point(&second[..]));
                let rows = summed.then_some(&rows);
                let mut plane = PlaneMut { len: LEN, rows, c: &mut now, t: &mut slope, first, second };
                T::apply_plane(dual.as_ref(), isa, &mut plane);
                for j in 0..LEN {
                    let (sp, sq) = (p[j].sqrt(), q[j].sqrt());
                    let delta = if sp * sq > 0.0 { 1.0 - rho(j).abs() } else { 1.0 };
                    let image = dual.pair(Pair { c: c(j), p: p[j], q: q[j], sp, sq, delta });
                    let scale = 1.0 + image.k.abs() + image.kdot.abs();
                    for (name, found, expected) in [("k", now[j], image.k), ("kdot", slope[j], image.kdot)] {
                        let off = (found.to_f64() - expected).abs() / scale;
                        assert!(
                            off < tolerance,
                            "{} {name} at {j} on {isa:?}, {summed}: off by {off:e}",
                            activation.name()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn planes_agree_with_pairs() {
        for activation in Activation::examples() {
            agrees::<f64>(&activation, DualChoice::Default, 1e-12);
            agrees::<f32>(&activation, DualChoice::Default, 1e-5);
        }
        agrees::<f64>(&Activation::Tanh, DualChoice::Quadrature(9), 1e-12);
        agrees::<f32>(&Activation::Tanh, DualChoice::Quadrature(9), 1e-5);
    }
}
