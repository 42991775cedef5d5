//! The numbers that formulas are written in.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number, a register of them, or a number with its derivative.
///
/// A dual is written once over `Real` and then runs on `f64`, on registers of every instruction set
/// in both precisions, and on [`Jet`](super::Jet)s. Literals enter through the `f64` operators or [`Real::lit`].
///
/// On registers the tests allow the elementary functions 1.75 units in the last place in double precision and 1.5 in
/// single precision (sampled, not proven); results underflow gradually, and NaN in a lane gives NaN in that lane.
pub trait Real:
    Copy
    + Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
{
    /// The result of a comparison, lane by lane.
    type Mask: Copy;
    /// Unit roundoff of one lane: 2^-53 or 2^-24.
    const EPS: f64;
    /// The same literal in every lane.
    fn lit(self, x: f64) -> Self;
    /// `self * a + b`, with one rounding where the machine has it at no cost, with two elsewhere.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// The smaller of both; `other` where either is NaN.
    fn min(self, other: Self) -> Self;
    /// The larger of both; `other` where either is NaN.
    fn max(self, other: Self) -> Self;
    /// `self < other`.
    fn lt(self, other: Self) -> Self::Mask;
    /// `yes` where the mask is set, `no` elsewhere. Both are evaluated.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// `|self|` with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// e^x. Underflows to 0, overflows to infinity.
    fn exp(self) -> Self;
    /// e^x - 1 without cancellation near 0.
    fn exp_m1(self) -> Self;
    /// Natural logarithm of x >= 0.
    fn ln(self) -> Self;
    /// Sine and cosine together. Registers with arguments beyond 1e6 (1e5 in single precision) take the slow way.
    fn sin_cos(self) -> (Self, Self);
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Error function.
    fn erf(self) -> Self;
    /// The angle of the point (x, self) in [-pi, pi]; zeros and infinities as in IEEE 754, so 0 at the origin (+0, +0).
    fn atan2(self, x: Self) -> Self;
    /// The angle in [0, pi/2] whose cosine is `1 - self`, for self in [0, 1]: the accurate acos near 1.
    ///
    /// This is `2 asin(sqrt(self / 2))`; a relative error in `self` costs only half of it here, whereas
    /// `acos(1 - self)` loses half of all digits.
    fn acos_one_minus(self) -> Self;
    /// [`Real::acos_one_minus`] and the sine of that angle, `sqrt(self (2 - self))`.
    #[inline(always)]
    fn acos_sin_one_minus(self) -> (Self, Self) {
        (self.acos_one_minus(), (self * (self.lit(2.0) - self)).sqrt())
    }
}
