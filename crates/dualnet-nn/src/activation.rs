//! Activations of feed-forward nets, and their slopes.

use crate::TILE;
use dualnet::simd::{Element, Isa, Kernel, Lanes, Real, Vector};

/// An activation that pretrained encoders use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x Phi(x) with the distribution function Phi of the normal distribution.
    Gelu,
    /// x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2.
    GeluTanh,
    /// max(x, 0).
    Relu,
    /// x / (1 + e^-x).
    Silu,
}

type Register<V> = <f32 as Element>::Lanes<V>;

impl Activation {
    /// The names known, for messages.
    pub const NAMES: &'static str = "gelu, gelu_new, gelu_pytorch_tanh, relu, silu or swish";

    /// The activation of that name in a configuration.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Self::GeluTanh,
            "relu" => Self::Relu,
            "silu" | "swish" => Self::Silu,
            _ => return None,
        })
    }

    /// `out = phi(pre)`. Both hold whole tiles of [`TILE`] rows.
    pub(crate) fn apply(self, pre: &[f32], out: &mut [f32], isa: Isa) {
        debug_assert!(pre.len().is_multiple_of(TILE));
        isa.run(Values { activation: self, pre, out });
    }

    /// `gradient *= phi'(pre)`, likewise.
    pub(crate) fn chain(self, pre: &[f32], gradient: &mut [f32], isa: Isa) {
        debug_assert!(pre.len().is_multiple_of(TILE));
        isa.run(Chain { activation: self, pre, gradient });
    }
}

struct Values<'a> {
    activation: Activation,
    pre: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Values<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { activation, pre, out } = self;
        match activation {
            Activation::Gelu => map::<V>(simd, pre, out, |x, _| gelu(x).0),
            Activation::GeluTanh => map::<V>(simd, pre, out, |x, _| gelu_tanh(x).0),
            Activation::Relu => map::<V>(simd, pre, out, |x, _| x.max(x.lit(0.0))),
            Activation::Silu => map::<V>(simd, pre, out, |x, _| silu(x).0),
        }
    }
}

struct Chain<'a> {
    activation: Activation,
    pre: &'a [f32],
    gradient: &'a mut [f32],
}

impl Kernel for Chain<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { activation, pre, gradient } = self;
        match activation {
            Activation::Gelu => map::<V>(simd, pre, gradient, |x, g| g * gelu(x).1),
            Activation::GeluTanh => map::<V>(simd, pre, gradient, |x, g| g * gelu_tanh(x).1),
            Activation::Relu => {
                map::<V>(simd, pre, gradient, |x, g| Real::select(x.lit(0.0).lt(x), g, x.lit(0.0)));
            }
            Activation::Silu => map::<V>(simd, pre, gradient, |x, g| g * silu(x).1),
        }
    }
}

/// `out = f(pre, out)`, register by register; what does not fill one at the end is left: whole tiles fill all.
#[inline(always)]
fn map<V: Vector>(simd: V, pre: &[f32], out: &mut [f32], f: impl Fn(Register<V>, Register<V>) -> Register<V>) {
    let lanes = <Register<V> as Lanes<V, f32>>::LANES;
    for (x, y) in pre.chunks_exact(lanes).zip(out.chunks_exact_mut(lanes)) {
        f(Register::<V>::load(simd, x), Register::<V>::load(simd, y)).store(y);
    }
}

/// Value and slope.
#[inline(always)]
fn gelu<R: Real>(x: R) -> (R, R) {
    let phi = ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
    let density = (x * x * -0.5).exp() * 0.398_942_280_401_432_7;
    (x * phi, x.mul_add(density, phi))
}

#[inline(always)]
fn gelu_tanh<R: Real>(x: R) -> (R, R) {
    const ROOT: f64 = 0.797_884_560_802_865_4;
    let square = x * x;
    let tanh = (x * ROOT * (square * 0.044_715 + 1.0)).tanh();
    let half = (tanh + 1.0) * 0.5;
    let slope = (x.lit(1.0) - tanh * tanh) * (square * (3.0 * 0.044_715) + 1.0) * (0.5 * ROOT);
    (x * half, x.mul_add(slope, half))
}

#[inline(always)]
fn silu<R: Real>(x: R) -> (R, R) {
    let sigmoid = x.lit(1.0) / ((-x).exp() + 1.0);
    let slope = sigmoid * (x * (x.lit(1.0) - sigmoid) + 1.0);
    (x * sigmoid, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 4] = [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu];

    fn value(activation: Activation, x: f32) -> f32 {
        let (pre, mut out) = (vec![x; TILE], vec![0.0; TILE]);
        activation.apply(&pre, &mut out, Isa::best());
        out[TILE - 1]
    }

    /// gelu, gelu_new, relu, silu at -1.5 and 0.7, by their formulas in double precision.
    #[test]
    fn values_are_the_known_ones() {
        let known = [(-0.100_210_8, 0.530_625_4), (-0.100_428_4, 0.530_570_1), (0.0, 0.7), (-0.273_638_3, 0.467_731_4)];
        for (activation, (left, right)) in ALL.into_iter().zip(known) {
            assert!((value(activation, -1.5) - left).abs() < 2e-6, "{activation:?} {}", value(activation, -1.5));
            assert!((value(activation, 0.7) - right).abs() < 2e-6, "{activation:?} {}", value(activation, 0.7));
        }
    }

    #[test]
    fn slopes_are_differences() {
        for activation in ALL {
            for x in [-3.0f32, -0.8, 0.4, 2.5] {
                let mut slope = vec![1.0; TILE];
                activation.chain(&vec![x; TILE], &mut slope, Isa::best());
                let difference = (value(activation, x + 0.01) - value(activation, x - 0.01)) / 0.02;
                assert!((slope[0] - difference).abs() < 2e-4, "{activation:?} at {x}: {} {difference}", slope[0]);
            }
        }
    }
}
