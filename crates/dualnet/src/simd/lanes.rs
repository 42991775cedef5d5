//! Registers of numbers: [`Real`] for every instruction set, in both precisions, and for plain `f64`.

use super::isa::Vector;
use super::real::Real;
use super::{acos, atan, erf, exp, ln, tanh, trig};
use pulp::bytemuck;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A register of `f32`.
#[derive(Clone, Copy, Debug)]
pub struct F32s<V: Vector>(pub V, pub V::f32s);

/// A register of `f64`.
#[derive(Clone, Copy, Debug)]
pub struct F64s<V: Vector>(pub V, pub V::f64s);

/// An element type whose registers are [`Real`]: `f32` or `f64`.
pub trait Element: bytemuck::Pod + PartialOrd + Default + std::fmt::Debug + Send + Sync + 'static {
    /// The register of this element on instruction set `V`.
    type Lanes<V: Vector>: Lanes<V, Self>;
    /// Unit roundoff.
    const EPS: f64;
    /// The nearest value.
    fn from_f64(x: f64) -> Self;
    /// The same value.
    fn to_f64(self) -> f64;
    /// Neither NaN nor infinite.
    fn is_finite(self) -> bool;
}

/// Loading and storing of registers. `LANES` divides the width of every tile, so nothing is ever loaded in part.
pub trait Lanes<V: Vector, T>: Real {
    /// Numbers in a register.
    const LANES: usize;
    /// What lies in memory.
    type Register: bytemuck::Pod;
    /// The whole registers at the beginning of a slice. Loops over such slices of one length check no bounds.
    fn registers(from: &[T]) -> &[Self::Register];
    /// Likewise, to be written.
    fn registers_mut(to: &mut [T]) -> &mut [Self::Register];
    /// Reads one.
    fn of(simd: V, register: Self::Register) -> Self;
    /// What lies in memory of this one.
    fn register(self) -> Self::Register;
    /// The same value in every lane.
    fn splat(simd: V, x: T) -> Self;
    /// The first `LANES` values of `from`; panics if there are fewer (a bug of the caller, who owns the tile).
    fn load(simd: V, from: &[T]) -> Self;
    /// Writes the lanes to the front of `to`.
    fn store(self, to: &mut [T]);
    /// Of the numbers of `self`, then those of `next`: those in even places and those in odd places.
    fn unzip(self, next: Self) -> (Self, Self);
}

/// A register of `T` as it lies in memory.
pub type Register<V, T> = <<T as Element>::Lanes<V> as Lanes<V, T>>::Register;

/// `count` registers from entry `at` on.
#[inline(always)]
pub fn view<V: Vector, T: Element>(from: &[T], at: usize, count: usize) -> &[Register<V, T>] {
    &<T::Lanes<V> as Lanes<V, T>>::registers(&from[at..])[..count]
}

/// The same, to be written.
#[inline(always)]
pub fn view_mut<V: Vector, T: Element>(to: &mut [T], at: usize, count: usize) -> &mut [Register<V, T>] {
    &mut <T::Lanes<V> as Lanes<V, T>>::registers_mut(&mut to[at..])[..count]
}

macro_rules! lanes {
    ($name:ident, $t:ty, $reg:ident, $mask:ident, $eps:expr, $lanes:ident,
     $splat:ident, $add:ident, $sub:ident, $mul:ident, $div:ident, $neg:ident, $fma:ident, $sqrt:ident,
     $min:ident, $max:ident, $lt:ident, $select:ident, $and:ident, $or:ident, $unzip:ident,
     $as_simd:ident, $as_mut_simd:ident) => {
        impl<V: Vector> $name<V> {
            /// Applies a scalar function lane by lane: the slow way, for what is not on a hot path.
            #[inline(always)]
            pub fn map(self, f: impl Fn($t) -> $t) -> Self {
                let mut out = self.1;
                for x in bytemuck::cast_slice_mut::<V::$reg, $t>(std::slice::from_mut(&mut out)) {
                    *x = f(*x);
                }
                Self(self.0, out)
            }
        }
        impl<V: Vector> Add for $name<V> {
            type Output = Self;
            #[inline(always)]
            fn add(self, b: Self) -> Self {
                Self(self.0, self.0.$add(self.1, b.1))
            }
        }
        impl<V: Vector> Sub for $name<V> {
            type Output = Self;
            #[inline(always)]
            fn sub(self, b: Self) -> Self {
                Self(self.0, self.0.$sub(self.1, b.1))
            }
        }
        impl<V: Vector> Mul for $name<V> {
            type Output = Self;
            #[inline(always)]
            fn mul(self, b: Self) -> Self {
                Self(self.0, self.0.$mul(self.1, b.1))
            }
        }
        impl<V: Vector> Div for $name<V> {
            type Output = Self;
            #[inline(always)]
            fn div(self, b: Self) -> Self {
                Self(self.0, self.0.$div(self.1, b.1))
            }
        }
        impl<V: Vector> Neg for $name<V> {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                Self(self.0, self.0.$neg(self.1))
            }
        }
        impl<V: Vector> Add<f64> for $name<V> {
            type Output = Self;
            #[inline(always)]
            fn add(self, b: f64) -> Self {
                self + self.lit(b)
            }
        }
        impl<V: Vector> Sub<f64> for $name<V> {
            type Output = Self;
            #[inline(always)]
            fn sub(self, b: f64) -> Self {
                self - self.lit(b)
            }
        }
        impl<V: Vector> Mul<f64> for $name<V> {
            type Output = Self;
            #[inline(always)]
            fn mul(self, b: f64) -> Self {
                self * self.lit(b)
            }
        }
        impl<V: Vector> Real for $name<V> {
            type Mask = (V, V::$mask);
            const EPS: f64 = $eps;
            #[inline(always)]
            fn lit(self, x: f64) -> Self {
                Self(self.0, self.0.$splat(x as $t))
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                Self(self.0, self.0.$fma(self.1, a.1, b.1))
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                Self(self.0, self.0.$sqrt(self.1))
            }
            #[inline(always)]
            fn abs(self) -> Self {
                // Masking by a literal: the library's own abs negates a register through a call that is not inlined on AVX-512.
                let s = self.0;
                Self(s, s.$and(s.$splat(<$t>::from_bits(!(-0.0 as $t).to_bits())), self.1))
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                Self(self.0, self.0.$min(self.1, other.1))
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                Self(self.0, self.0.$max(self.1, other.1))
            }
            #[inline(always)]
            fn lt(self, other: Self) -> Self::Mask {
                (self.0, self.0.$lt(self.1, other.1))
            }
            #[inline(always)]
            fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
                Self(mask.0, mask.0.$select(mask.1, yes.1, no.1))
            }
            #[inline(always)]
            fn copysign(self, sign: Self) -> Self {
                let s = self.0;
                let bit = s.$splat(-0.0);
                Self(s, s.$or(self.abs().1, s.$and(bit, sign.1)))
            }
            #[inline(always)]
            fn exp(self) -> Self {
                exp::exp(self)
            }
            #[inline(always)]
            fn exp_m1(self) -> Self {
                exp::exp_m1(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                ln::ln(self)
            }
            #[inline(always)]
            fn sin_cos(self) -> (Self, Self) {
                trig::sin_cos(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                tanh::tanh(self)
            }
            #[inline(always)]
            fn erf(self) -> Self {
                erf::erf(self)
            }
            #[inline(always)]
            fn atan2(self, x: Self) -> Self {
                atan::atan2(self, x)
            }
            #[inline(always)]
            fn acos_one_minus(self) -> Self {
                acos::acos_one_minus(self)
            }
            #[inline(always)]
            fn acos_sin_parts(self) -> (Self, Self, Self) {
                acos::acos_sin_parts(self)
            }
        }
        impl<V: Vector> Lanes<V, $t> for $name<V> {
            const LANES: usize = V::$lanes;
            type Register = V::$reg;
            #[inline(always)]
            fn registers(from: &[$t]) -> &[V::$reg] {
                V::$as_simd(from).0
            }
            #[inline(always)]
            fn registers_mut(to: &mut [$t]) -> &mut [V::$reg] {
                V::$as_mut_simd(to).0
            }
            #[inline(always)]
            fn of(simd: V, register: V::$reg) -> Self {
                Self(simd, register)
            }
            #[inline(always)]
            fn register(self) -> V::$reg {
                self.1
            }
            #[inline(always)]
            fn splat(simd: V, x: $t) -> Self {
                Self(simd, simd.$splat(x))
            }
            #[inline(always)]
            fn load(simd: V, from: &[$t]) -> Self {
                Self(simd, bytemuck::pod_read_unaligned(bytemuck::cast_slice(&from[..V::$lanes])))
            }
            #[inline(always)]
            fn store(self, to: &mut [$t]) {
                to[..V::$lanes].copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&self.1)));
            }
            #[inline(always)]
            fn unzip(self, next: Self) -> (Self, Self) {
                let (even, odd) = self.0.$unzip(self.1, next.1);
                (Self(self.0, even), Self(self.0, odd))
            }
        }
        impl Element for $t {
            type Lanes<V: Vector> = $name<V>;
            const EPS: f64 = $eps;
            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                self.abs() < <$t>::INFINITY
            }
        }
    };
}

lanes!(
    F32s,
    f32,
    f32s,
    m32s,
    0.5 * f32::EPSILON as f64,
    F32_LANES,
    splat_f32s,
    add_f32s,
    sub_f32s,
    mul_f32s,
    div_f32s,
    neg_f32s,
    mul_add_e_f32s,
    sqrt_f32s,
    lesser_f32s,
    greater_f32s,
    less_than_f32s,
    select_f32s,
    and_f32s,
    or_f32s,
    unzip_f32s,
    as_simd_f32s,
    as_mut_simd_f32s
);
lanes!(
    F64s,
    f64,
    f64s,
    m64s,
    0.5 * f64::EPSILON,
    F64_LANES,
    splat_f64s,
    add_f64s,
    sub_f64s,
    mul_f64s,
    div_f64s,
    neg_f64s,
    mul_add_e_f64s,
    sqrt_f64s,
    lesser_f64s,
    greater_f64s,
    less_than_f64s,
    select_f64s,
    and_f64s,
    or_f64s,
    unzip_f64s,
    as_simd_f64s,
    as_mut_simd_f64s
);

/// Plain `f64`, for what is done once a sample (variances, coefficients), on the platform's own functions.
impl Real for f64 {
    type Mask = bool;
    const EPS: f64 = 0.5 * f64::EPSILON;
    #[inline(always)]
    fn lit(self, x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self * a + b
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
    #[inline(always)]
    fn lt(self, other: Self) -> bool {
        self < other
    }
    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        f64::copysign(self, sign)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        f64::exp_m1(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn sin_cos(self) -> (Self, Self) {
        f64::sin_cos(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        erf::erf(F64s(pulp::Scalar, self)).1
    }
    #[inline(always)]
    fn atan2(self, x: Self) -> Self {
        f64::atan2(self, x)
    }
    #[inline(always)]
    fn acos_one_minus(self) -> Self {
        2.0 * (self * 0.5).sqrt().asin()
    }
}
