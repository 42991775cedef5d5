//! Layers that take each entry of a plane by itself.

// Registers are counted, not iterated: an iterator's closures would leave the instruction set.
#![allow(clippy::needless_range_loop)]

use super::convolve::Rule;
use super::planes::Plane;
use super::program::{Affine, Join};
use crate::dual::Points;
use crate::kernel::Float;
use crate::simd::{Isa, Kernel, Lanes, Real, Register, Vector, view, view_mut};

/// c = mean over channels of the products of both images; `first` and `second` are (maps, from one to the next, first entry).
pub struct Products<'a, T> {
    /// Channels of the first image.
    pub first: Points<'a, T>,
    /// Channels of the second.
    pub second: Points<'a, T>,
    /// Number of channels.
    pub channels: usize,
    /// Entries.
    pub len: usize,
    /// Where to.
    pub c: &'a mut [T],
}

impl<T: Float> Kernel for &mut Products<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let scale = T::Lanes::<V>::splat(simd, T::from_f64(1.0 / self.channels as f64));
        let count = self.len.div_ceil(<T::Lanes<V> as Lanes<V, T>>::LANES);
        let (first, second, channels) = (self.first, self.second, self.channels);
        let c = view_mut::<V, T>(&mut *self.c, 0, count);
        // Three channels at a time: one pass for colours.
        let mut channel = 0;
        while channel < channels {
            let at = |map: usize| (map * first.stride + first.at, map * second.stride + second.at);
            let others = [channel, channel + 1, channel + 2].map(|k| if k < channels { at(k) } else { at(channel) });
            let x = others.map(|(x, _)| view::<V, T>(first.maps, x, count));
            let y = others.map(|(_, y)| view::<V, T>(second.maps, y, count));
            let add = channel > 0;
            match channels - channel {
                1 => products::<V, T, 1>(simd, scale, x, y, c, add),
                2 => products::<V, T, 2>(simd, scale, x, y, c, add),
                _ => products::<V, T, 3>(simd, scale, x, y, c, add),
            }
            channel += 3;
        }
    }
}

/// `c = scale * sum of x y` over `N` channels, or `c +=` that.
#[inline(always)]
fn products<V: Vector, T: Float, const N: usize>(
    simd: V,
    scale: T::Lanes<V>,
    x: [&[Register<V, T>]; 3],
    y: [&[Register<V, T>]; 3],
    c: &mut [Register<V, T>],
    add: bool,
) {
    let count = c.len();
    let (x, y) = (x.map(|x| &x[..count]), y.map(|y| &y[..count]));
    for k in 0..count {
        let mut sum = T::Lanes::<V>::of(simd, x[0][k]) * T::Lanes::<V>::of(simd, y[0][k]);
        for i in 1..N {
            sum = T::Lanes::<V>::of(simd, x[i][k]).mul_add(T::Lanes::<V>::of(simd, y[i][k]), sum);
        }
        let start = if add { T::Lanes::<V>::of(simd, c[k]) } else { sum.lit(0.0) };
        c[k] = sum.mul_add(scale, start).register();
    }
}

/// Dense layer at each position.
pub fn affine<T: Float>(isa: Isa, affine: &Affine, len: usize, plane: &mut Plane<T>) {
    let (c, t) = plane.both();
    isa.run(&mut AffinePass { affine, len, c, t });
}

struct AffinePass<'a, T> {
    affine: &'a Affine,
    len: usize,
    c: &'a mut [T],
    t: &'a mut [T],
}

impl<T: Float> Kernel for &mut AffinePass<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let zero = T::Lanes::<V>::splat(simd, T::default());
        let rule = Rule::new(zero, self.affine, 1.0);
        for e in (0..self.len).step_by(<T::Lanes<V> as Lanes<V, T>>::LANES) {
            let c = T::Lanes::<V>::load(simd, &self.c[e..]);
            let out = rule.c(c);
            out.store(&mut self.c[e..]);
            if !self.t.is_empty() {
                let t = if self.affine.first { zero } else { T::Lanes::<V>::load(simd, &self.t[e..]) };
                rule.t(c, t, out).store(&mut self.t[e..]);
            }
        }
    }
}

/// `values *= first * second`: layer normalisation.
pub struct Normalize<'a, T> {
    /// 1 / sqrt(p + eps) of the first image.
    pub first: Points<'a, T>,
    /// That of the second.
    pub second: Points<'a, T>,
    /// Entries.
    pub len: usize,
    /// What is multiplied.
    pub values: &'a mut [T],
}

impl<T: Float> Kernel for &mut Normalize<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let (x, y) = (&self.first.maps[self.first.at..], &self.second.maps[self.second.at..]);
        for e in (0..self.len).step_by(<T::Lanes<V> as Lanes<V, T>>::LANES) {
            let scale = T::Lanes::<V>::load(simd, &x[e..]) * T::Lanes::<V>::load(simd, &y[e..]);
            (T::Lanes::<V>::load(simd, &self.values[e..]) * scale).store(&mut self.values[e..]);
        }
    }
}

/// Branches become one: `into` and all of `others`, which are (c, t) as well. `into` holds the first branch before.
pub fn join<T: Float>(isa: Isa, join: &Join, len: usize, into: (&mut [T], &mut [T]), others: &[(&[T], &[T])]) {
    let (c, t) = into;
    match join {
        Join::Sum(weights) => {
            let branches: Vec<&[T]> = others.iter().map(|(c, _)| *c).collect();
            isa.run(SumPass { weights, branches: &branches, len, values: c });
            if !t.is_empty() {
                let branches: Vec<&[T]> = others.iter().map(|(_, t)| *t).collect();
                isa.run(SumPass { weights, branches: &branches, len, values: t });
            }
        }
        Join::Product => isa.run(ProductPass { others, len, c, t }),
    }
}

struct SumPass<'a, T> {
    weights: &'a [f64],
    branches: &'a [&'a [T]],
    len: usize,
    values: &'a mut [T],
}

impl<T: Float> Kernel for SumPass<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        for e in (0..self.len).step_by(<T::Lanes<V> as Lanes<V, T>>::LANES) {
            let first = T::Lanes::<V>::load(simd, &self.values[e..]);
            let mut sum = first * self.weights.first().copied().unwrap_or(1.0);
            for (branch, weight) in self.branches.iter().zip(&self.weights[1..]) {
                sum = T::Lanes::<V>::load(simd, &branch[e..]).mul_add(sum.lit(*weight), sum);
            }
            sum.store(&mut self.values[e..]);
        }
    }
}

struct ProductPass<'a, T> {
    others: &'a [(&'a [T], &'a [T])],
    len: usize,
    c: &'a mut [T],
    t: &'a mut [T],
}

impl<T: Float> Kernel for ProductPass<'_, T> {
    type Output = ();
    /// c = product of the c_k, t by the product rule.
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        for e in (0..self.len).step_by(<T::Lanes<V> as Lanes<V, T>>::LANES) {
            let mut c = T::Lanes::<V>::load(simd, &self.c[e..]);
            let mut t = c.lit(0.0);
            if !self.t.is_empty() {
                t = T::Lanes::<V>::load(simd, &self.t[e..]);
            }
            for (ck, tk) in self.others {
                let ck = T::Lanes::<V>::load(simd, &ck[e..]);
                if !self.t.is_empty() {
                    t = t.mul_add(ck, T::Lanes::<V>::load(simd, &tk[e..]) * c);
                }
                c = c * ck;
            }
            c.store(&mut self.c[e..]);
            if !self.t.is_empty() {
                t.store(&mut self.t[e..]);
            }
        }
    }
}
