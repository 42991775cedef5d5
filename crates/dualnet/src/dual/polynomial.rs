//! Polynomials, monomials among them.

use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;

/// The dual of `sum_i a_i x^i`, of any degree.
///
/// With the Hermite coefficients at standard deviation s, h_l(s) = sum_j a_i i! / (j! 2^j sqrt(l!)) s^i (i = l + 2j),
/// k = sum_l rho^l h_l(sp) h_l(sq), and kdot is the same sum for the derivative of the polynomial. The coefficients are
/// constants of each sample, those of k divided by their norm. With unit vectors h the new 1 - rho is
/// sum_l (h_l - h'_l)^2 / 2 + h_l h'_l (1 - rho^l), which does not cancel near rho = 1, and k = r rho.
///
/// k is accurate to a few roundings of sqrt(k(p,p,p) k(q,q,q)). Overflows to infinity at large variances, as the activation
/// itself does; kernels report it.
///
/// ```
/// use dualnet::dual::{DynDual, Pair, polynomial::Polynomial};
/// let x = Pair { c: 0.5, p: 1.0, q: 1.0, sp: 1.0, sq: 1.0, delta: 0.5 };
/// let image = DynDual::pair(&Polynomial::new(&[0.0, 0.0, 1.0]), x);
/// assert!((image.k - 1.5).abs() < 1e-14); // E[u^2 v^2] = pq + 2 c^2
/// assert!((image.kdot - 2.0).abs() < 1e-14); // 4c
/// ```
#[derive(Clone, Debug)]
pub struct Polynomial {
    /// Powers l of rho that occur, ascending by `stride`.
    terms: Vec<Term>,
    stride: Stride,
    /// Lowest and highest i with a_i != 0.
    lowest: usize,
    degree: usize,
    /// For each l the (j, weight of v^j) of R_l(v) = E[phi^(l)(sqrt v z)].
    moments: Vec<Vec<(usize, f64)>>,
}

/// An even or odd polynomial needs every other power only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stride {
    Every,
    SameParity,
}

/// One power l of rho.
#[derive(Clone, Debug)]
struct Term {
    power: usize,
    /// (i, weight of s^i) in h_l.
    value: Vec<(usize, f64)>,
    /// (i, weight of s^i) in h_(l-1) of the derivative.
    slope: Vec<(usize, f64)>,
}

impl Polynomial {
    /// The coefficients a_0, a_1, ...
    pub fn new(coefficients: &[f64]) -> Self {
        let used = |i: &usize| coefficients[*i] != 0.0;
        let lowest = (0..coefficients.len()).find(used).unwrap_or(0);
        let degree = (0..coefficients.len()).rev().find(used).unwrap_or(0);
        let mixed = (lowest..degree).filter(used).any(|i| (degree - i) % 2 != 0);
        let (stride, first) = if mixed { (Stride::Every, 0) } else { (Stride::SameParity, degree % 2) };
        let derivative: Vec<f64> = coefficients.iter().enumerate().skip(1).map(|(i, a)| i as f64 * a).collect();
        let terms = (first..=degree)
            .step_by(if mixed { 1 } else { 2 })
            .map(|power| Term {
                power,
                value: weights(coefficients, power),
                slope: power.checked_sub(1).map_or(Vec::new(), |l| weights(&derivative, l)),
            })
            .collect();
        let moments = (0..=degree).map(|l| moments(coefficients, l)).collect();
        Self { terms, stride, lowest, degree, moments }
    }

    /// x^degree: k = sum_j (n! / (j! 2^j))^2 / (n - 2j)! (pq)^j c^(n-2j).
    pub fn monomial(degree: u32) -> Self {
        let mut coefficients = vec![0.0; degree as usize];
        coefficients.push(1.0);
        Self::new(&coefficients)
    }

    /// The Hermite coefficients at standard deviation `s` over a common power of `s`, and the exponent of that.
    ///
    /// The power is the one which neither overflows nor leaves 0 alone.
    fn coefficients(&self, s: f64) -> (Vec<f64>, usize) {
        let common = if s > 1.0 { self.degree } else { self.lowest };
        let power = |i: usize| powi(s, i as i64 - common as i64);
        let sum = |term: &Term| term.value.iter().map(|&(i, w)| w * power(i)).sum();
        (self.terms.iter().map(sum).collect(), common)
    }
}

fn powi(s: f64, n: i64) -> f64 {
    s.powi(n.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32)
}

/// (i, a_i i! / (j! 2^j sqrt(l!))) for i = l + 2j where a_i != 0.
fn weights(coefficients: &[f64], l: usize) -> Vec<(usize, f64)> {
    // At j = 0 the factor is sqrt(l!); a step multiplies it by i (i - 1) / 2j.
    let mut factor: f64 = (1..=l).map(|i| (i as f64).sqrt()).product();
    let mut out = Vec::new();
    for (j, i) in (l..coefficients.len()).step_by(2).enumerate() {
        if j > 0 {
            factor *= (i * (i - 1)) as f64 / (2 * j) as f64;
        }
        if coefficients[i] != 0.0 {
            out.push((i, coefficients[i] * factor));
        }
    }
    out
}

/// (j, a_i i!/(j! 2^j)) for i = l + 2j where a_i != 0.
fn moments(coefficients: &[f64], l: usize) -> Vec<(usize, f64)> {
    let factorial: f64 = (1..=l).map(|i| i as f64).product::<f64>().sqrt();
    weights(coefficients, l).into_iter().map(|(i, w)| ((i - l) / 2, w * factorial)).collect()
}

fn norm(x: &[f64]) -> f64 {
    let largest = x.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    largest * x.iter().map(|v| (v / largest).powi(2)).sum::<f64>().sqrt()
}

impl Dual for Polynomial {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, constants: &C) -> Image<V> {
        let (zero, one, two) = (x.c.lit(0.0), x.c.lit(1.0), x.c.lit(2.0));
        let sign = one.copysign(x.c);
        let (step_fall, step_sign) = match self.stride {
            Stride::Every => (x.delta, sign),
            Stride::SameParity => (x.sin2(), one),
        };
        let step = one - step_fall;
        let odd = self.terms.first().is_some_and(|t| t.power % 2 == 1);
        // 1 - |rho|^l and |rho|^(l-1); the sign of the whole sum stays outside, `turn` is what is left of the term's.
        let (outer, mut fall) = if odd { (sign, x.delta) } else { (one, zero) };
        let mut below = if odd || self.stride == Stride::Every { one } else { one - x.delta };
        let mut turn = one;
        let mut delta = zero;
        let mut kdot = zero;
        for i in 0..self.terms.len() {
            let (h, other) = (constants.row(2 * i), constants.col(2 * i) * turn);
            let gap = h - other;
            delta = (h * other).mul_add(fall, (gap * gap).mul_add(one * 0.5, delta));
            kdot = (below * turn).mul_add(constants.row(2 * i + 1) * constants.col(2 * i + 1), kdot);
            // The first power below l = 0 does not exist; that below l = 1 or 2 is what the start was set to.
            if i > 0 || odd {
                below = below * step;
            }
            fall = fall.mul_add(step, step_fall);
            turn = turn * step_sign;
        }
        // The derivative of an odd power is even.
        let kdot = kdot * (outer * sign);
        let delta = delta.max(zero).min(two);
        let k = r * (one - delta) * outer;
        let delta = delta.min(two - delta);
        Image { k, kdot, delta: V::select(zero.lt(r), delta, one) }
    }

    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, _r: V, _of: &C, slopes: &C) -> Option<Partials<V>> {
        // With R_l(v) = E[phi^(l)(sqrt v z)], k = sum_l c^l/l! R_l(p) R_l(q) and R_l' = R_(l+2)/2.
        let zero = x.c.lit(0.0);
        let of = |i: usize| if i <= self.degree { (slopes.row(i), slopes.col(i)) } else { (zero, zero) };
        let mut found = Partials { k_c: zero, k_p: zero, kdot: zero, kdot_c: zero, kdot_p: zero };
        let mut power = zero.lit(1.0);
        for l in 0..=self.degree {
            let [a, b, c, d] = [of(l), of(l + 1), of(l + 2), of(l + 3)];
            found.k_c = power.mul_add(b.0 * b.1, found.k_c);
            found.k_p = power.mul_add(c.0 * a.1 * 0.5, found.k_p);
            found.kdot_c = power.mul_add(c.0 * c.1, found.kdot_c);
            found.kdot_p = power.mul_add(d.0 * b.1 * 0.5, found.kdot_p);
            power = power * x.c * (1.0 / (l + 1) as f64);
        }
        Some(Partials { kdot: found.k_c, ..found })
    }
    fn variance(&self, p: f64) -> f64 {
        let s = p.sqrt();
        let (h, common) = self.coefficients(s);
        (norm(&h) * powi(s, common as i64)).powi(2)
    }

    fn constants_len(&self) -> usize {
        2 * self.terms.len()
    }

    fn constants(&self, p: f64, out: &mut [f64]) {
        let s = p.sqrt();
        let (h, _) = self.coefficients(s);
        let norm = norm(&h);
        let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        for ((slot, h), term) in out.chunks_exact_mut(2).zip(h).zip(&self.terms) {
            let slope = term.slope.iter().map(|&(i, w)| w * powi(s, i as i64)).sum();
            slot.copy_from_slice(&[h * scale, slope]);
        }
    }

    fn slope_constants_len(&self) -> usize {
        self.degree + 1
    }

    fn slope_constants(&self, p: f64, out: &mut [f64]) {
        for (l, out) in out.iter_mut().enumerate().take(self.degree + 1) {
            *out = self.moments[l].iter().map(|&(j, w)| w * powi(p, j as i64)).sum();
        }
    }

    fn homogeneity(&self) -> Option<u32> {
        let homogeneous = self.lowest == self.degree && self.terms.iter().any(|t| !t.value.is_empty());
        u32::try_from(self.degree).ok().filter(|_| homogeneous)
    }
}
