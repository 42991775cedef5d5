//! Duals by Gauss-Hermite quadrature in two dimensions (kernels.md, section 3), for `"dual": {"quadrature": m}`.
//!
//! With nodes x_i and weights w_i for e^(-x^2), u_i = sqrt(2p) x_i and v_ij = sqrt(2q) (rho x_i + sqrt(1 - rho^2) x_j):
//!
//! k = (1/pi) sum_ij w_i w_j phi(u_i) phi(v_ij), and kdot the same with phi'.
//!
//! **Not positive semidefinite**, and kdot is not the derivative of this k: both are only as good as the rule, which is good for
//! smooth activations at moderate variances and poor at kinks. A Hermite expansion ([`crate::dual::hermite`]) costs far less
//! (m^2 activations a pair here) and is positive semidefinite; this is for comparison with programs that use this rule.

use super::quadrature_rule::Rule;
use super::{DynDual, Image, Pair, PlaneMut, TileMut};
use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::simd::{Element, Isa, Kernel, Lanes, Real, Vector};
use std::f64::consts::{FRAC_1_PI, SQRT_2};

/// Most points a dimension: beyond, a pair takes 65,536 activations.
pub const MAX_POINTS: usize = 256;

/// Which of both variables takes the outer sum, in which the rule is not symmetric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Outer {
    /// The one of larger variance: k is symmetric.
    #[default]
    Larger,
    /// The first of the pair, as neural-tangents has it: k(c, p, q) differs from k(c, q, p).
    First,
}

/// The dual of an activation by quadrature. See the [module](self).
///
/// ```
/// use dualnet::activation::Activation;
/// use dualnet::dual::{DynDual, quadrature::{Outer, QuadratureDual}};
/// let dual = QuadratureDual::new(&Activation::Tanh, 25, Outer::Larger)?;
/// assert!((dual.variance(1.0) - 0.394_294).abs() < 1e-3);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct QuadratureDual {
    activation: Activation,
    rule: Rule,
    outer: Outer,
}

impl QuadratureDual {
    /// With `points` (1 to 256) points a dimension.
    ///
    /// Errors: another number of points; a kernel without activation (`hermite`, `exp_normalized`).
    pub fn new(activation: &Activation, points: usize, outer: Outer) -> Result<Self> {
        if activation.phi(0.0).is_none() {
            return Err(Error::Unsupported {
                at: activation.name().into(),
                what: "quadrature of a kernel without activation".into(),
                hint: "use its closed form (leave out \"dual\")".into(),
            });
        }
        if points == 0 || points > MAX_POINTS {
            return Err(Error::Invalid {
                what: "points of a quadrature dual".into(),
                expected: format!("1 to {MAX_POINTS}"),
                found: points.to_string(),
                hint: "25 points suit smooth activations".into(),
            });
        }
        Ok(Self { activation: activation.clone(), rule: Rule::gauss_hermite(points)?, outer })
    }

    /// Room for the values at all nodes of one pair.
    fn scratch(&self) -> Scratch {
        let len = (self.rule.nodes.len() * self.rule.nodes.len()).next_multiple_of(LANES);
        let outer = self.rule.nodes.len().next_multiple_of(LANES);
        Scratch { x: vec![0.0; len], outer: Values::of(outer), inner: Values::of(len) }
    }

    /// k and kdot of one pair.
    fn sums(&self, x: &Pair<f64>, scratch: &mut Scratch, isa: Isa) -> (f64, f64) {
        let (sp, sq) = match self.outer {
            Outer::First => (x.sp, x.sq),
            Outer::Larger => (x.sp.max(x.sq), x.sp.min(x.sq)),
        };
        let (rho, root) = (x.rho(), x.sin2().sqrt());
        let (nodes, weights) = (&self.rule.nodes, &self.rule.weights);
        let (activation, m) = (&self.activation, nodes.len());
        let Scratch { x: at, outer, inner } = scratch;
        nodes.iter().zip(at.iter_mut()).for_each(|(u, at)| *at = sp * (SQRT_2 * u));
        isa.run(Evaluate { activation, x: &at[..outer.phi.len()], values: outer });
        for (u, row) in nodes.iter().zip(at.chunks_exact_mut(m)) {
            nodes.iter().zip(row).for_each(|(v, at)| *at = sq * (rho * (SQRT_2 * u) + root * (SQRT_2 * v)));
        }
        isa.run(Evaluate { activation, x: at, values: inner });
        let weighted = |values: &[f64]| weights.iter().zip(values).map(|(w, value)| w * value).sum::<f64>();
        let (mut k, mut kdot) = (0.0, 0.0);
        for (i, w) in weights.iter().enumerate() {
            k += w * outer.phi[i] * weighted(&inner.phi[i * m..(i + 1) * m]);
            kdot += w * outer.slope[i] * weighted(&inner.slope[i * m..(i + 1) * m]);
        }
        (k * FRAC_1_PI, kdot * FRAC_1_PI)
    }

    /// A tile pair by pair: the many values of one pair fill the registers.
    fn tile<T: Element>(&self, isa: Isa, tile: TileMut<'_, T>) {
        let TileMut { c, delta, t, rows, cols } = tile;
        let mut scratch = self.scratch();
        for i in 0..rows.p.len() {
            for j in 0..cols.p.len() {
                let at = i * cols.p.len() + j;
                let x = Pair {
                    c: c[at].to_f64(),
                    p: rows.p[i].to_f64(),
                    q: cols.p[j].to_f64(),
                    sp: rows.sp[i].to_f64(),
                    sq: cols.sp[j].to_f64(),
                    delta: delta[at].to_f64(),
                };
                let (k, kdot) = self.sums(&x, &mut scratch, isa);
                let image = Image::from_k(k, kdot, rows.out_sp[i].to_f64() * cols.out_sp[j].to_f64());
                (c[at], delta[at]) = (T::from_f64(image.k), T::from_f64(image.delta));
                if let Some(t) = t.get_mut(at) {
                    *t = T::from_f64(t.to_f64() * kdot);
                }
            }
        }
    }

    /// A plane likewise.
    fn plane<T: Element>(&self, isa: Isa, plane: &mut PlaneMut<'_, T>) {
        let mut scratch = self.scratch();
        for j in 0..plane.len {
            let (c, t) = plane.before(j);
            let x = plane.pair(j, c);
            let (k, kdot) = self.sums(&x, &mut scratch, isa);
            plane.c[j] = T::from_f64(k);
            if let Some(to) = plane.t.get_mut(j) {
                *to = T::from_f64(t * kdot);
            }
        }
    }
}

/// Registers of every instruction set divide lengths that are multiples of this.
const LANES: usize = 8;

/// Values and slopes of an activation at some points.
struct Values {
    phi: Vec<f64>,
    slope: Vec<f64>,
}

impl Values {
    fn of(len: usize) -> Self {
        Self { phi: vec![0.0; len], slope: vec![0.0; len] }
    }
}

struct Scratch {
    x: Vec<f64>,
    outer: Values,
    inner: Values,
}

/// Fills `values` for the points `x`.
///
/// A loop for the values and one for the slopes: both in one, inside the sums, made a megabyte of code, since the compiler takes the choice of
/// the activation out of every loop.
struct Evaluate<'a> {
    activation: &'a Activation,
    x: &'a [f64],
    values: &'a mut Values,
}

impl Kernel for Evaluate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        // `new` refuses activations without a value, so the zeros below are never taken.
        let lanes = <<f64 as Element>::Lanes<V> as Lanes<V, f64>>::LANES;
        for (x, out) in self.x.chunks_exact(lanes).zip(self.values.phi.chunks_exact_mut(lanes)) {
            let x = <f64 as Element>::Lanes::<V>::load(simd, x);
            self.activation.phi(x).unwrap_or(x.lit(0.0)).store(out);
        }
        for (x, out) in self.x.chunks_exact(lanes).zip(self.values.slope.chunks_exact_mut(lanes)) {
            let x = <f64 as Element>::Lanes::<V>::load(simd, x);
            self.activation.derivative(x).unwrap_or(x.lit(0.0)).store(out);
        }
    }
}

/// Without partials: kdot is not the derivative of this k.
impl DynDual for QuadratureDual {
    fn variance(&self, p: f64) -> f64 {
        let s = SQRT_2 * p.sqrt();
        let nodes = self.rule.nodes.iter().zip(&self.rule.weights);
        nodes.map(|(x, w)| w * self.activation.phi(s * x).unwrap_or(0.0).powi(2)).sum::<f64>()
            / std::f64::consts::PI.sqrt()
    }
    fn constants_len(&self) -> usize {
        0
    }
    fn constants(&self, _: f64, _: &mut [f64]) {}
    fn homogeneity(&self) -> Option<u32> {
        self.activation.homogeneity()
    }
    fn pair(&self, x: Pair<f64>) -> Image<f64> {
        let (k, kdot) = self.sums(&x, &mut self.scratch(), Isa::best());
        Image::from_k(k, kdot, self.variance(x.p).sqrt() * self.variance(x.q).sqrt())
    }
    fn tile_f32(&self, isa: Isa, tile: TileMut<'_, f32>) {
        self.tile(isa, tile);
    }
    fn tile_f64(&self, isa: Isa, tile: TileMut<'_, f64>) {
        self.tile(isa, tile);
    }
    fn plane_f32(&self, isa: Isa, plane: &mut PlaneMut<'_, f32>) {
        self.plane(isa, plane);
    }
    fn plane_f64(&self, isa: Isa, plane: &mut PlaneMut<'_, f64>) {
        self.plane(isa, plane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(p: f64, q: f64, rho: f64) -> Pair<f64> {
        let (sp, sq) = (p.sqrt(), q.sqrt());
        Pair { c: rho * sp * sq, p, q, sp, sq, delta: 1.0 - rho.abs() }
    }

    #[test]
    fn exact_for_polynomials() {
        let cube = Activation::Polynomial { coefficients: vec![0.5, 0.0, 0.0, 1.0] };
        let dual = QuadratureDual::new(&cube, 8, Outer::Larger).unwrap();
        let x = pair(0.7, 1.9, -0.4);
        let image = dual.pair(x);
        // E[u^3 v^3] = 9 p q c + 6 c^3; E[9 u^2 v^2] = 9 (p q + 2 c^2).
        let k = 0.25 + 9.0 * x.p * x.q * x.c + 6.0 * x.c.powi(3);
        assert!((image.k - k).abs() < 1e-13 * k.abs());
        assert!((image.kdot - 9.0 * (x.p * x.q + 2.0 * x.c * x.c)).abs() < 1e-12);
        assert!((dual.variance(0.7) - 0.25 - 15.0 * 0.7f64.powi(3)).abs() < 1e-13);
    }

    #[test]
    fn symmetric_unless_asked_for_the_raw_rule() {
        let (x, mirrored) = (pair(0.4, 3.0, 0.6), pair(3.0, 0.4, 0.6));
        let k = |outer, x| QuadratureDual::new(&Activation::Tanh, 9, outer).unwrap().pair(x).k;
        assert_eq!(k(Outer::Larger, x), k(Outer::Larger, mirrored));
        assert!((k(Outer::First, x) - k(Outer::First, mirrored)).abs() > 1e-6);
        assert_eq!(k(Outer::First, mirrored), k(Outer::Larger, x));
    }

    #[test]
    fn zero_variances_and_ends_are_finite() {
        for activation in [Activation::Tanh, Activation::Selu, Activation::Softplus] {
            let dual = QuadratureDual::new(&activation, 25, Outer::Larger).unwrap();
            let zero = Pair { c: 0.0, p: 0.0, q: 1.0, sp: 0.0, sq: 1.0, delta: 1.0 };
            let image = dual.pair(zero);
            assert!(image.k.is_finite() && image.kdot.is_finite() && (0.0..=1.0).contains(&image.delta));
            let image = dual.pair(pair(0.8, 0.8, 1.0));
            assert!((image.k - dual.variance(0.8)).abs() < 1e-14);
        }
    }

    #[test]
    fn refuses_bad_requests() {
        assert!(QuadratureDual::new(&Activation::Tanh, 0, Outer::Larger).is_err());
        assert!(QuadratureDual::new(&Activation::Tanh, 257, Outer::Larger).is_err());
        let kernel = Activation::ExpNormalized { gamma: 1.0, shift: -1.0 };
        assert!(QuadratureDual::new(&kernel, 25, Outer::Larger).is_err());
    }
}
