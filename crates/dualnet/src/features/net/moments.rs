//! The first two Hermite coefficients of an activation at the variance of a row.

use crate::activation::Activation;
use crate::dual::quadrature_rule::Rule;
use crate::simd::{Element, Isa, Kernel, Lanes, Real, Vector};
use std::f64::consts::PI;

/// Ends of the panels of the half line, in standard deviations: narrow near 0, where activations bend when the variance is large.
const ENDS: [f64; 13] = [0.0, 0.012, 0.05, 0.15, 0.4, 0.9, 1.6, 2.6, 3.8, 5.2, 7.0, 9.5, 14.0];
/// Points of a panel. Their number is a multiple of the lanes of every register.
const POINTS: usize = 16;

/// Mean E phi(s z) and slope E phi'(s z), z standard normal: the parts of degree 0 and 1 of phi are mean + slope s z (Stein).
#[derive(Clone, Debug)]
pub(super) struct Moments {
    activation: Activation,
    known: Known,
}

#[derive(Clone, Debug)]
enum Known {
    /// Both at s = 1; they go as s^n and s^(n - 1).
    Homogeneous { degree: i32, mean: f64, slope: f64 },
    /// a e^(b^2 s^2 / 2) and b times that.
    Exp { a: f64, b: f64 },
    /// By quadrature: nodes > 0 and weights.
    Quadrature { nodes: Vec<f64>, weights: Vec<f64> },
}

impl Moments {
    pub(super) fn new(activation: &Activation) -> Self {
        let legendre = Rule::gauss_legendre(POINTS);
        let (mut nodes, mut weights) = (Vec::new(), Vec::new());
        for panel in ENDS.windows(2) {
            let (middle, half) = (0.5 * (panel[0] + panel[1]), 0.5 * (panel[1] - panel[0]));
            for (x, w) in legendre.nodes.iter().zip(&legendre.weights) {
                let z = middle + half * x;
                nodes.push(z);
                weights.push(w * half * (-0.5 * z * z).exp() / (2.0 * PI).sqrt());
            }
        }
        let mut moments = Self { activation: activation.clone(), known: Known::Quadrature { nodes, weights } };
        if let Activation::Exp { a, b } = *activation {
            moments.known = Known::Exp { a, b };
        } else if let Some(degree) = activation.homogeneity() {
            let (mean, slope) = moments.at(1.0, Isa::best());
            moments.known = Known::Homogeneous { degree: degree as i32, mean, slope };
        }
        moments
    }

    /// Mean and slope at standard deviation `s`. At a jump the slope is 0, as that of the kernels is.
    pub(super) fn at(&self, s: f64, isa: Isa) -> (f64, f64) {
        match &self.known {
            Known::Homogeneous { degree: 0, mean, .. } => (*mean, 0.0),
            Known::Homogeneous { degree, mean, slope } => (mean * s.powi(*degree), slope * s.powi(degree - 1)),
            Known::Exp { a, b } => {
                let mean = a * (0.5 * (b * s) * (b * s)).exp();
                (mean, b * mean)
            }
            Known::Quadrature { nodes, weights } => isa.run(Sums { activation: &self.activation, s, nodes, weights }),
        }
    }
}

struct Sums<'a> {
    activation: &'a Activation,
    s: f64,
    nodes: &'a [f64],
    weights: &'a [f64],
}

impl Kernel for Sums<'_> {
    type Output = (f64, f64);
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> (f64, f64) {
        type L<V> = <f64 as Element>::Lanes<V>;
        let lanes = <L<V> as Lanes<V, f64>>::LANES;
        let splat = |x| <L<V> as Lanes<V, f64>>::splat(simd, x);
        let (s, zero) = (splat(self.s), splat(0.0));
        let (mut mean, mut slope) = (zero, zero);
        for (nodes, weights) in self.nodes.chunks_exact(lanes).zip(self.weights.chunks_exact(lanes)) {
            let weight = <L<V> as Lanes<V, f64>>::load(simd, weights);
            let node = <L<V> as Lanes<V, f64>>::load(simd, nodes) * s;
            for x in [node, -node] {
                mean = self.activation.phi(x).unwrap_or(zero).mul_add(weight, mean);
                slope = self.activation.derivative(x).unwrap_or(zero).mul_add(weight, slope);
            }
        }
        let sum = |x: L<V>| {
            let mut entries = [0.0; 8];
            x.store(&mut entries);
            entries.iter().sum::<f64>()
        };
        (sum(mean), sum(slope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dual::{Pair, Precision, dual_of};
    use crate::net::spec::DualChoice;

    /// Against the dual at c = 0: k = mean^2 and kdot = slope^2.
    #[test]
    fn squares_are_the_dual_of_independent_inputs() {
        for activation in Activation::examples() {
            if activation.phi(0.0f64).is_none() {
                continue;
            }
            let dual = dual_of(&activation, DualChoice::Default, Precision::F64).expect("a dual");
            let moments = Moments::new(&activation);
            for p in [1e-4, 0.01, 0.3, 1.0, 2.0, 5.0] {
                let (mean, slope) = moments.at(f64::sqrt(p), Isa::best());
                let pair = dual.pair(Pair { c: 0.0, p, q: p, sp: f64::sqrt(p), sq: f64::sqrt(p), delta: 1.0 });
                let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs().max(1e-3);
                let jump = !activation.is_continuous();
                assert!(near(mean * mean, pair.k), "{activation:?} at {p}: {} {}", mean * mean, pair.k);
                assert!(jump || near(slope * slope, pair.kdot), "{activation:?} {p}: {} {}", slope * slope, pair.kdot);
            }
        }
    }
}
