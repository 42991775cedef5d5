//! The vector code of a [`Pointwise`](super::pointwise::Pointwise) map: a function of each entry of a panel.

use super::TILE;
use super::pointwise::Function;
use crate::activation::Activation;
use crate::kernel::Float;
use crate::simd::{Element, Kernel, Lanes, Real, Vector};

/// The function, the biases and the factors on one panel: false if an argument of the function was not finite (which
/// max would hide: it has no NaN).
pub(super) struct Apply<'a, T> {
    pub function: &'a Function,
    /// What the product is multiplied by before the function, and its value after it.
    pub scale: T,
    pub factor: T,
    /// TILE rows of `width` entries, `stride` apart.
    pub panel: &'a mut [T],
    pub stride: usize,
    pub width: usize,
    /// One for each column, times the multiplier of a row (1 where there are none).
    pub biases: &'a [T],
    pub multipliers: Option<&'a [T]>,
}

impl<T: Float> Kernel for Apply<'_, T> {
    type Output = bool;
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> bool {
        // A choice made once, not for every register, where the function is a single instruction.
        match &self.function {
            Function::Floor(threshold) => self.rows(simd, Floor(*threshold)),
            Function::Activation(Activation::Relu) => self.rows(simd, Floor(0.0)),
            Function::Activation(Activation::Identity) => self.rows(simd, Identity),
            Function::Activation(activation) => self.rows(simd, General(activation)),
        }
    }
}

impl<T: Float> Apply<'_, T> {
    #[inline(always)]
    fn rows<V: Vector, P: Point>(self, simd: V, point: P) -> bool {
        let scale = splat::<V, T>(simd, self.scale);
        let factor = splat::<V, T>(simd, self.factor);
        let (one, zero) = (T::from_f64(1.0), splat::<V, T>(simd, T::default()));
        let mut wrong = zero;
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let (mut z, mut bias) = ([T::default(); REGISTER], [T::default(); REGISTER]);
        for (i, row) in self.panel.chunks_mut(self.stride).take(TILE).enumerate() {
            let multiplier = splat::<V, T>(simd, self.multipliers.map_or(one, |m| m[i]));
            let pairs = row[..self.width].chunks_mut(lanes).zip(self.biases.chunks(lanes));
            for (entries, biases) in pairs {
                // The last register of a row may be short. One place that calls the function, since it is inlined
                // there.
                let short = entries.len() < lanes;
                if short {
                    z[..entries.len()].copy_from_slice(entries);
                    bias[..entries.len()].copy_from_slice(biases);
                }
                let (from, biases) = if short { (&z[..], &bias[..]) } else { (&*entries, biases) };
                let shift = T::Lanes::<V>::load(simd, biases) * multiplier;
                let argument = T::Lanes::<V>::load(simd, from).mul_add(scale, shift);
                // 0 times a finite argument is 0, times any other NaN.
                wrong = argument.mul_add(zero, wrong);
                let value = point.at(argument) * factor;
                if short {
                    value.store(&mut z);
                    entries.copy_from_slice(&z[..entries.len()]);
                } else {
                    value.store(entries);
                }
            }
        }
        let mut sums = [T::default(); REGISTER];
        wrong.store(&mut sums);
        sums.iter().all(|x| x.is_finite())
    }
}

/// Numbers in the largest register.
const REGISTER: usize = 16;

#[inline(always)]
fn splat<V: Vector, T: Element>(simd: V, x: T) -> T::Lanes<V> {
    <T::Lanes<V> as Lanes<V, T>>::splat(simd, x)
}

/// A function of registers.
trait Point: Copy {
    fn at<V: Real>(&self, z: V) -> V;
}

#[derive(Clone, Copy)]
struct Floor(f64);
impl Point for Floor {
    #[inline(always)]
    fn at<V: Real>(&self, z: V) -> V {
        z.max(z.lit(self.0))
    }
}

#[derive(Clone, Copy)]
struct Identity;
impl Point for Identity {
    #[inline(always)]
    fn at<V: Real>(&self, z: V) -> V {
        z
    }
}

#[derive(Clone, Copy)]
struct General<'a>(&'a Activation);
impl Point for General<'_> {
    #[inline(always)]
    fn at<V: Real>(&self, z: V) -> V {
        // `Function::of` lets no activation without phi in.
        self.0.phi(z).unwrap_or(z)
    }
}
