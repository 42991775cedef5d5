//! Vector code on rows of columns. Rows are padded to whole registers, and what stands in the padding is finite.

use crate::activation::Activation;
use crate::kernel::Float;
use crate::simd::{Kernel, Lanes, Real, Vector};

/// Rows are padded to a multiple of this many entries, and columns may be written so far beyond the last.
pub(super) const PAD: usize = 16;

/// `out = x * weights`; gives the sum of the squares.
pub(super) struct Weigh<'a, T> {
    pub x: &'a [T],
    pub weights: &'a [T],
    pub out: &'a mut [T],
}

impl<T: Float> Kernel for Weigh<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> f64 {
        let lanes = T::Lanes::<V>::LANES;
        let zero = T::Lanes::<V>::splat(simd, T::default());
        let mut sums = [zero; 4];
        let rows =
            self.out.chunks_exact_mut(lanes).zip(self.x.chunks_exact(lanes)).zip(self.weights.chunks_exact(lanes));
        for (i, ((out, x), weights)) in rows.enumerate() {
            let y = T::Lanes::<V>::load(simd, x) * T::Lanes::<V>::load(simd, weights);
            sums[i % 4] = y.mul_add(y, sums[i % 4]);
            y.store(out);
        }
        let mut entries = [T::default(); PAD];
        let mut total = 0.0;
        for sum in sums {
            sum.store(&mut entries);
            total += entries[..lanes].iter().map(|x| x.to_f64()).sum::<f64>();
        }
        total
    }
}

/// `x *= factor`.
pub(super) struct Scale<'a, T> {
    pub x: &'a mut [T],
    pub factor: T,
}

impl<T: Float> Kernel for Scale<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let factor = T::Lanes::<V>::splat(simd, self.factor);
        for x in self.x.chunks_exact_mut(T::Lanes::<V>::LANES) {
            (T::Lanes::<V>::load(simd, x) * factor).store(x);
        }
    }
}

/// `out += x * weights`.
pub(super) struct Add<'a, T> {
    pub x: &'a [T],
    pub weights: &'a [T],
    pub out: &'a mut [T],
}

impl<T: Float> Kernel for Add<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let lanes = T::Lanes::<V>::LANES;
        let rows =
            self.out.chunks_exact_mut(lanes).zip(self.x.chunks_exact(lanes)).zip(self.weights.chunks_exact(lanes));
        for ((out, x), weights) in rows {
            let x = T::Lanes::<V>::load(simd, x);
            let weights = T::Lanes::<V>::load(simd, weights);
            x.mul_add(weights, T::Lanes::<V>::load(simd, out)).store(out);
        }
    }
}

/// `out += x * weights` for each pair of `parts` in their order, whose slices are all as long as `out`: the entries of `out` stay in registers.
pub(super) struct AddAll<'a, T> {
    pub parts: &'a [(&'a [T], &'a [T])],
    pub out: &'a mut [T],
}

impl<T: Float> Kernel for AddAll<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        const SUMS: usize = 4;
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let zero = <T::Lanes<V> as Lanes<V, T>>::splat(simd, T::default());
        let width = SUMS * lanes;
        for (block, out) in self.out.chunks_mut(width).enumerate() {
            let range = block * width..block * width + out.len();
            let mut sums = [zero; SUMS];
            for (sum, out) in sums.iter_mut().zip(out.chunks_exact(lanes)) {
                *sum = <T::Lanes<V> as Lanes<V, T>>::load(simd, out);
            }
            for (x, weights) in self.parts {
                let pairs = x[range.clone()].chunks_exact(lanes).zip(weights[range.clone()].chunks_exact(lanes));
                for (sum, (x, weights)) in sums.iter_mut().zip(pairs) {
                    let x = <T::Lanes<V> as Lanes<V, T>>::load(simd, x);
                    *sum = x.mul_add(<T::Lanes<V> as Lanes<V, T>>::load(simd, weights), *sum);
                }
            }
            for (sum, out) in sums.into_iter().zip(out.chunks_exact_mut(lanes)) {
                sum.store(out);
            }
        }
    }
}

/// `out += x * factor`.
pub(super) struct Axpy<'a, T> {
    pub x: &'a [T],
    pub factor: T,
    pub out: &'a mut [T],
}

impl<T: Float> Kernel for Axpy<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let lanes = T::Lanes::<V>::LANES;
        let factor = T::Lanes::<V>::splat(simd, self.factor);
        for (out, x) in self.out.chunks_exact_mut(lanes).zip(self.x.chunks_exact(lanes)) {
            let x = T::Lanes::<V>::load(simd, x);
            x.mul_add(factor, T::Lanes::<V>::load(simd, out)).store(out);
        }
    }
}

/// `out = phi(z) - mean - slope z`: what degrees 0 and 1 leave of an activation.
pub(super) struct Rest<'a, T> {
    pub activation: &'a Activation,
    pub z: &'a [T],
    pub mean: T,
    pub slope: T,
    pub out: &'a mut [T],
}

impl<T: Float> Kernel for Rest<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let splat = |x| T::Lanes::<V>::splat(simd, x);
        let (mean, slope) = (splat(self.mean), -splat(self.slope));
        let lanes = T::Lanes::<V>::LANES;
        for (out, z) in self.out.chunks_exact_mut(lanes).zip(self.z.chunks_exact(lanes)) {
            let z = T::Lanes::<V>::load(simd, z);
            let phi = self.activation.phi(z).unwrap_or(z);
            z.mul_add(slope, phi - mean).store(out);
        }
    }
}

/// `out = (phi'(z) - slope) r`.
pub(super) struct RestOfSlope<'a, T> {
    pub activation: &'a Activation,
    pub z: &'a [T],
    pub slope: T,
    pub r: &'a [T],
    pub out: &'a mut [T],
}

impl<T: Float> Kernel for RestOfSlope<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let slope = T::Lanes::<V>::splat(simd, self.slope);
        let lanes = T::Lanes::<V>::LANES;
        let rows = self.out.chunks_exact_mut(lanes).zip(self.z.chunks_exact(lanes)).zip(self.r.chunks_exact(lanes));
        for ((out, z), r) in rows {
            let z = T::Lanes::<V>::load(simd, z);
            let phi = self.activation.derivative(z).unwrap_or(z);
            ((phi - slope) * T::Lanes::<V>::load(simd, r)).store(out);
        }
    }
}

/// `x *= weights`.
pub(super) struct Multiply<'a, T> {
    pub x: &'a mut [T],
    pub weights: &'a [T],
}

impl<T: Float> Kernel for Multiply<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let lanes = T::Lanes::<V>::LANES;
        for (x, weights) in self.x.chunks_exact_mut(lanes).zip(self.weights.chunks_exact(lanes)) {
            let product = T::Lanes::<V>::load(simd, x) * T::Lanes::<V>::load(simd, weights);
            product.store(x);
        }
    }
}

/// `out = x * factor`, of any length.
pub(super) struct Copy<'a, T> {
    pub x: &'a [T],
    pub factor: T,
    pub out: &'a mut [T],
}

impl<T: Float> Kernel for Copy<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let factor = <T::Lanes<V> as Lanes<V, T>>::splat(simd, self.factor);
        let (mut to, mut from) = (self.out.chunks_exact_mut(lanes), self.x.chunks_exact(lanes));
        for (out, x) in (&mut to).zip(&mut from) {
            (<T::Lanes<V> as Lanes<V, T>>::load(simd, x) * factor).store(out);
        }
        for (out, x) in to.into_remainder().iter_mut().zip(from.remainder()) {
            *out = *x * self.factor;
        }
    }
}
