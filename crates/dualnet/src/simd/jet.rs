//! A number with its derivative in one variable: forward differentiation through any formula over [`Real`].

use super::real::Real;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// `value + slope * epsilon`.
///
/// ```
/// use dualnet::simd::{Jet, Real};
/// let x = Jet::variable(0.5);
/// let y = (x * x).exp();
/// assert!((y.slope - 2.0 * 0.5 * 0.25f64.exp()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Jet<R> {
    /// The value.
    pub value: R,
    /// Its derivative.
    pub slope: R,
}

impl<R: Real> Jet<R> {
    /// The variable itself: slope 1.
    #[inline(always)]
    pub fn variable(value: R) -> Self {
        Self { value, slope: value.lit(1.0) }
    }
    /// A constant: slope 0.
    #[inline(always)]
    pub fn constant(value: R) -> Self {
        Self { value, slope: value.lit(0.0) }
    }
    #[inline(always)]
    fn chain(self, value: R, derivative: R) -> Self {
        // 0 * inf is 0 here: a constant has no slope even where the function is steep.
        let zero = value.lit(0.0);
        let flat = R::select(self.slope.abs().lt(value.lit(f64::MIN_POSITIVE.sqrt())), zero, self.slope * derivative);
        Self { value, slope: flat }
    }
}

impl<R: Real> Add for Jet<R> {
    type Output = Self;
    #[inline(always)]
    fn add(self, b: Self) -> Self {
        Self { value: self.value + b.value, slope: self.slope + b.slope }
    }
}
impl<R: Real> Sub for Jet<R> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        Self { value: self.value - b.value, slope: self.slope - b.slope }
    }
}
impl<R: Real> Mul for Jet<R> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        Self { value: self.value * b.value, slope: self.slope.mul_add(b.value, self.value * b.slope) }
    }
}
impl<R: Real> Div for Jet<R> {
    type Output = Self;
    #[inline(always)]
    fn div(self, b: Self) -> Self {
        let value = self.value / b.value;
        Self { value, slope: (self.slope - value * b.slope) / b.value }
    }
}
impl<R: Real> Neg for Jet<R> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { value: -self.value, slope: -self.slope }
    }
}
impl<R: Real> Add<f64> for Jet<R> {
    type Output = Self;
    #[inline(always)]
    fn add(self, b: f64) -> Self {
        Self { value: self.value + b, slope: self.slope }
    }
}
impl<R: Real> Sub<f64> for Jet<R> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, b: f64) -> Self {
        Self { value: self.value - b, slope: self.slope }
    }
}
impl<R: Real> Mul<f64> for Jet<R> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, b: f64) -> Self {
        Self { value: self.value * b, slope: self.slope * b }
    }
}

impl<R: Real> Real for Jet<R> {
    type Mask = R::Mask;
    const EPS: f64 = R::EPS;
    #[inline(always)]
    fn lit(self, x: f64) -> Self {
        Self::constant(self.value.lit(x))
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self * a + b
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.chain(root, root.lit(0.5) / root)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        let one = self.value.lit(1.0);
        Self { value: self.value.abs(), slope: self.slope * one.copysign(self.value) }
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self::select(self.lt(other), self, other)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self::select(other.lt(self), self, other)
    }
    #[inline(always)]
    fn lt(self, other: Self) -> Self::Mask {
        self.value.lt(other.value)
    }
    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        Self { value: R::select(mask, yes.value, no.value), slope: R::select(mask, yes.slope, no.slope) }
    }
    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        let one = self.value.lit(1.0);
        let turn = one.copysign(self.value) * one.copysign(sign.value);
        Self { value: self.value.copysign(sign.value), slope: self.slope * turn }
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let e = self.value.exp();
        self.chain(e, e)
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        self.chain(self.value.exp_m1(), self.value.exp())
    }
    #[inline(always)]
    fn ln(self) -> Self {
        self.chain(self.value.ln(), self.value.lit(1.0) / self.value)
    }
    #[inline(always)]
    fn sin_cos(self) -> (Self, Self) {
        let (s, c) = self.value.sin_cos();
        (self.chain(s, c), self.chain(c, -s))
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        let t = self.value.tanh();
        self.chain(t, t.lit(1.0) - t * t)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        let gauss = (-(self.value * self.value)).exp() * std::f64::consts::FRAC_2_SQRT_PI;
        self.chain(self.value.erf(), gauss)
    }
    #[inline(always)]
    fn atan2(self, x: Self) -> Self {
        let (y, v) = (self.value, x.value);
        let norm = y * y + v * v;
        let zero = y.lit(0.0);
        let slope = (v * self.slope - y * x.slope) / norm;
        Self { value: y.atan2(v), slope: R::select(zero.lt(norm), slope, zero) }
    }
    #[inline(always)]
    fn acos_one_minus(self) -> Self {
        // d acos(1-d) / dd = 1/sqrt(d(2-d)), infinite at d = 0: the singular part is dropped by convention.
        let d = self.value;
        let s = (d * (d.lit(2.0) - d)).sqrt();
        let zero = d.lit(0.0);
        let steep = R::select(zero.lt(s), d.lit(1.0) / s, zero);
        self.chain(d.acos_one_minus(), steep)
    }
}
