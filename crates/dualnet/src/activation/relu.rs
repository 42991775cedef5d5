//! Activations with a kink at 0: the ReLU family, ELU, sign and rectified powers.

use crate::simd::Real;

/// a min(x, 0) + b max(x, 0).
#[inline(always)]
pub(super) fn abrelu<V: Real>(x: V, a: f64, b: f64) -> V {
    let zero = x.lit(0.0);
    x.min(zero) * a + x.max(zero) * b
}

/// Slope of [`abrelu`]; the mean of both slopes at 0.
#[inline(always)]
pub(super) fn abrelu_slope<V: Real>(x: V, a: f64, b: f64) -> V {
    step(x, x.lit(a), x.lit(b))
}

/// scale (x for x > 0, else alpha (e^x - 1)).
#[inline(always)]
pub(super) fn elu<V: Real>(x: V, alpha: f64, scale: f64) -> V {
    let zero = x.lit(0.0);
    let below = x.min(zero).exp_m1() * (alpha * scale);
    V::select(zero.lt(x), x * scale, below)
}

/// Slope of [`elu`]; the mean of both slopes at 0.
#[inline(always)]
pub(super) fn elu_slope<V: Real>(x: V, alpha: f64, scale: f64) -> V {
    let below = x.min(x.lit(0.0)).exp() * (alpha * scale);
    step(x, below, x.lit(scale))
}

/// -1, 0 or 1.
#[inline(always)]
pub(super) fn sign<V: Real>(x: V) -> V {
    step(x, x.lit(-1.0), x.lit(1.0))
}

/// x^n for x >= 0, else 0.
#[inline(always)]
pub(super) fn rectified_power<V: Real>(x: V, n: u32) -> V {
    let zero = x.lit(0.0);
    let power = super::polynomial::power(x.max(zero), n);
    V::select(x.lt(zero), zero, power)
}

/// Slope of [`rectified_power`]; 0 for n = 0, whose true slope is a point mass.
#[inline(always)]
pub(super) fn rectified_power_slope<V: Real>(x: V, n: u32) -> V {
    match n {
        0 => x.lit(0.0),
        1 => step(x, x.lit(0.0), x.lit(1.0)),
        _ => rectified_power(x, n - 1) * f64::from(n),
    }
}

/// `below` for x < 0, `above` for x > 0, their mean at 0.
#[inline(always)]
fn step<V: Real>(x: V, below: V, above: V) -> V {
    let zero = x.lit(0.0);
    let at = (below + above) * 0.5;
    V::select(x.lt(zero), below, V::select(zero.lt(x), above, at))
}
