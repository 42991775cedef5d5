//! Sinusoids, and the sinusoid under a bell (Gabor).

use crate::simd::Real;

/// a sin(b x + c).
#[inline(always)]
pub(super) fn sin<V: Real>(x: V, a: f64, b: f64, c: f64) -> V {
    (x * b + c).sin_cos().0 * a
}

/// Slope of [`sin`].
#[inline(always)]
pub(super) fn sin_slope<V: Real>(x: V, a: f64, b: f64, c: f64) -> V {
    (x * b + c).sin_cos().1 * (a * b)
}

/// a cos(b x + c).
#[inline(always)]
pub(super) fn cos<V: Real>(x: V, a: f64, b: f64, c: f64) -> V {
    (x * b + c).sin_cos().1 * a
}

/// Slope of [`cos`].
#[inline(always)]
pub(super) fn cos_slope<V: Real>(x: V, a: f64, b: f64, c: f64) -> V {
    (x * b + c).sin_cos().0 * (-a * b)
}

/// e^(-x^2) sin(x).
#[inline(always)]
pub(super) fn gabor<V: Real>(x: V) -> V {
    (-(x * x)).exp() * x.sin_cos().0
}

/// Slope of [`gabor`].
#[inline(always)]
pub(super) fn gabor_slope<V: Real>(x: V) -> V {
    let (sin, cos) = x.sin_cos();
    let bell = (-(x * x)).exp();
    // The bell goes first onto x: beyond its reach x is large, and 0 x is 0.
    cos * bell - (bell * x) * sin * 2.0
}
