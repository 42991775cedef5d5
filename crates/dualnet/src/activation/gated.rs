//! Gated activations x g(x): GELU, its tanh form, SiLU and Mish.

use super::smooth::{sigmoid, sigmoid_slope};
use crate::simd::Real;
use std::f64::consts::FRAC_1_SQRT_2;

/// sqrt(2 / pi).
const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
/// Cubic coefficient of the tanh form of GELU.
const CUBIC: f64 = 0.044_715;

/// x Phi(x).
#[inline(always)]
pub(super) fn gelu<V: Real>(x: V) -> V {
    x * normal_cdf(x)
}

/// Slope of [`gelu`]: Phi(x) + x density(x).
#[inline(always)]
pub(super) fn gelu_slope<V: Real>(x: V) -> V {
    let density = (-(x * x) * 0.5).exp() * (0.5 * SQRT_2_OVER_PI);
    x.mul_add(density, normal_cdf(x))
}

#[inline(always)]
fn normal_cdf<V: Real>(x: V) -> V {
    ((x * FRAC_1_SQRT_2).erf() + 1.0) * 0.5
}

/// x sigmoid(x).
#[inline(always)]
pub(super) fn silu<V: Real>(x: V) -> V {
    x * sigmoid(x)
}

/// Slope of [`silu`].
#[inline(always)]
pub(super) fn silu_slope<V: Real>(x: V) -> V {
    x.mul_add(sigmoid_slope(x), sigmoid(x))
}

/// x/2 (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).
#[inline(always)]
pub(super) fn gelu_tanh<V: Real>(x: V) -> V {
    x * sigmoid(gate(x).0)
}

/// Slope of [`gelu_tanh`].
#[inline(always)]
pub(super) fn gelu_tanh_slope<V: Real>(x: V) -> V {
    let (gate, gate_slope) = gate(x);
    (x * gate_slope).mul_add(sigmoid_slope(gate), sigmoid(gate))
}

/// 2u and its slope. Held fixed beyond |x| = 30, where the sigmoid is 0 or 1 in every precision: a cube of a large x would
/// overflow and meet a zero.
#[inline(always)]
fn gate<V: Real>(x: V) -> (V, V) {
    let bound = x.lit(30.0);
    let x = x.min(bound).max(-bound);
    let square = x * x;
    let scale = 2.0 * SQRT_2_OVER_PI;
    (x * (square * CUBIC + 1.0) * scale, (square * (3.0 * CUBIC) + 1.0) * scale)
}

/// x tanh(ln(1 + e^x)).
#[inline(always)]
pub(super) fn mish<V: Real>(x: V) -> V {
    x * mish_gate(x).0
}

/// Slope of [`mish`].
#[inline(always)]
pub(super) fn mish_slope<V: Real>(x: V) -> V {
    let (gate, gate_slope) = mish_gate(x);
    x.mul_add(gate_slope, gate)
}

/// tanh(ln(1 + y)) = (y^2 + 2y) / (y^2 + 2y + 2), y = e^x, and its slope in x; both fractions reduced by y^2 where x > 0.
#[inline(always)]
fn mish_gate<V: Real>(x: V) -> (V, V) {
    let e = (-x.abs()).exp();
    let square = e * e;
    let negative = x.lt(x.lit(0.0));
    let top = V::select(negative, square + e * 2.0, e * 2.0 + 1.0);
    let bottom = V::select(negative, top + 2.0, top + square * 2.0);
    let rise = V::select(negative, square + e, square + square * e) * 4.0;
    (top / bottom, rise / (bottom * bottom))
}
