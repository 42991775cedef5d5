//! Smooth monotone activations: tanh, the sigmoids, softplus; and the bells and exponentials.
//!
//! Everything that decays is written with e^(-|x|), so that nothing overflows and no two infinities meet.

use crate::simd::Real;
use std::f64::consts::FRAC_2_SQRT_PI;

/// Slope of tanh: 4 e / (1 + e)^2 with e = e^(-2|x|), which keeps its digits where 1 - tanh^2 has none left.
#[inline(always)]
pub(super) fn tanh_slope<V: Real>(x: V) -> V {
    sigmoid_slope(x * 2.0) * 4.0
}

/// 1 / (1 + e^(-x)).
#[inline(always)]
pub(super) fn sigmoid<V: Real>(x: V) -> V {
    let one = x.lit(1.0);
    let e = (-x.abs()).exp();
    V::select(x.lt(x.lit(0.0)), e, one) / (e + one)
}

/// Slope of [`sigmoid`].
#[inline(always)]
pub(super) fn sigmoid_slope<V: Real>(x: V) -> V {
    let e = (-x.abs()).exp();
    let whole = e + 1.0;
    e / (whole * whole)
}

/// ln(1 + e^x) = max(x, 0) + ln(1 + e^(-|x|)).
#[inline(always)]
pub(super) fn softplus<V: Real>(x: V) -> V {
    x.max(x.lit(0.0)) + ln_1p((-x.abs()).exp())
}

/// ln(1 + e) for e in \[0, 1\], accurate for small e: the rounding of 1 + e is undone by e / ((1 + e) - 1).
#[inline(always)]
fn ln_1p<V: Real>(e: V) -> V {
    let whole = e + 1.0;
    let kept = whole - 1.0;
    let lost = kept.lt(e.lit(V::EPS));
    V::select(lost, e, whole.ln() * (e / kept.max(e.lit(V::EPS))))
}

/// a erf(b x) + c.
#[inline(always)]
pub(super) fn erf<V: Real>(x: V, a: f64, b: f64, c: f64) -> V {
    (x * b).erf() * a + c
}

/// Slope of [`erf`].
#[inline(always)]
pub(super) fn erf_slope<V: Real>(x: V, a: f64, b: f64) -> V {
    let y = x * b;
    (-(y * y)).exp() * (a * b * FRAC_2_SQRT_PI)
}

/// a e^(b x^2).
#[inline(always)]
pub(super) fn gaussian<V: Real>(x: V, a: f64, b: f64) -> V {
    // (b x) x, not b (x x): with b = 0 the square may overflow.
    ((x * b) * x).exp() * a
}

/// Slope of [`gaussian`].
#[inline(always)]
pub(super) fn gaussian_slope<V: Real>(x: V, a: f64, b: f64) -> V {
    gaussian(x, a, b) * (x * (2.0 * b))
}

/// a e^(b x).
#[inline(always)]
pub(super) fn exp<V: Real>(x: V, a: f64, b: f64) -> V {
    (x * b).exp() * a
}
