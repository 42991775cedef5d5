//! Gauss-Hermite and Gauss-Legendre rules.
//!
//! Orthonormal polynomials p_k of a weight obey x p_k = b_(k+1) p_(k+1) + b_k p_(k-1); the nodes are the zeros of p_m, the
//! weights 1 / sum_(k<m) p_k(x)^2 (Golub and Welsch, Math. Comp. 23, 1969). Zeros are isolated by the Sturm count of the
//! tridiagonal matrix and then polished by Newton steps, so that every digit of a node is right.

use crate::error::{Error, Result};
use std::f64::consts::PI;

/// Most points of a Gauss-Hermite rule; beyond, the outer weights underflow.
pub const MAX_HERMITE_POINTS: usize = 512;

/// Nodes in increasing order, with their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Where to evaluate.
    pub nodes: Vec<f64>,
    /// With which weight.
    pub weights: Vec<f64>,
}

impl Rule {
    /// The rule with `m` points (1 to 512) for the weight e^(-x^2) on the line. Cost O(m^2).
    ///
    /// ```
    /// use dualnet::dual::quadrature_rule::Rule;
    /// let rule = Rule::gauss_hermite(2)?;
    /// assert!((rule.nodes[1] - 0.5f64.sqrt()).abs() < 1e-15);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn gauss_hermite(m: usize) -> Result<Self> {
        if m == 0 || m > MAX_HERMITE_POINTS {
            return Err(Error::Invalid {
                what: "points of a Gauss-Hermite rule".into(),
                expected: format!("1 to {MAX_HERMITE_POINTS}"),
                found: m.to_string(),
                hint: "25 points suit smooth activations".into(),
            });
        }
        let upper = (m - m / 2..m).map(|rank| hermite_zero(m, rank)).collect::<Vec<_>>();
        let weight = |&x: &f64| {
            let e = (-x * x / 2.0).exp();
            let sum: f64 = HermiteWalk::new(x, e).take(m).map(|p| p * p).sum();
            e * (e / sum)
        };
        Ok(mirrored(&upper, m % 2 == 1, weight))
    }

    /// The rule with `m` points (at least 1) for the weight 1 on \[-1, 1\]. Cost O(m^2).
    pub fn gauss_legendre(m: usize) -> Self {
        let m = m.max(1);
        let upper = (0..m / 2).rev().map(|i| legendre_zero(m, i)).collect::<Vec<_>>();
        let weight = |&x: &f64| {
            let (_, slope) = legendre(m, x);
            2.0 / ((1.0 - x) * (1.0 + x) * slope * slope)
        };
        mirrored(&upper, m % 2 == 1, weight)
    }
}

/// A symmetric rule from its positive nodes in increasing order.
fn mirrored(upper: &[f64], with_zero: bool, weight: impl Fn(&f64) -> f64) -> Rule {
    let mut nodes: Vec<f64> = upper.iter().rev().map(|x| -x).collect();
    nodes.extend(with_zero.then_some(0.0));
    nodes.extend(upper);
    let weights = nodes.iter().map(|x| weight(&x.abs())).collect();
    Rule { nodes, weights }
}

/// Orthonormal Hermite polynomials p_0(x), p_1(x), ... for the weight e^(-x^2), each times `scale`.
struct HermiteWalk {
    x: f64,
    k: f64,
    now: f64,
    before: f64,
}

impl HermiteWalk {
    fn new(x: f64, scale: f64) -> Self {
        Self { x, k: 0.0, now: scale / PI.sqrt().sqrt(), before: 0.0 }
    }
}

impl Iterator for HermiteWalk {
    type Item = f64;
    fn next(&mut self) -> Option<f64> {
        let value = self.now;
        let next = (self.x * self.now - (self.k / 2.0).sqrt() * self.before) / ((self.k + 1.0) / 2.0).sqrt();
        (self.before, self.now, self.k) = (self.now, next, self.k + 1.0);
        Some(value)
    }
}

/// Zero number `rank` (counted from 0, increasing) of p_m.
fn hermite_zero(m: usize, rank: usize) -> f64 {
    let below = |x: f64| {
        // Sturm count: negative pivots of the tridiagonal matrix minus x.
        let mut pivot = -x;
        let mut count = usize::from(pivot < 0.0);
        for k in 1..m {
            let safe = if pivot == 0.0 { f64::MIN_POSITIVE } else { pivot };
            pivot = -x - 0.5 * k as f64 / safe;
            count += usize::from(pivot < 0.0);
        }
        count
    };
    let (mut low, mut high) = (0.0, (2.0 * m as f64 + 1.0).sqrt());
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if below(middle) > rank { high = middle } else { low = middle }
    }
    let mut x = 0.5 * (low + high);
    for _ in 0..2 {
        // p_m' = sqrt(2m) p_(m-1).
        let mut walk = HermiteWalk::new(x, (-x * x / 2.0).exp()).skip(m - 1);
        if let (Some(before), Some(value)) = (walk.next(), walk.next()) {
            x -= value / ((2.0 * m as f64).sqrt() * before);
        }
    }
    x
}

/// Legendre polynomial of degree m and its slope, for |x| < 1.
fn legendre(m: usize, x: f64) -> (f64, f64) {
    let (mut before, mut now) = (1.0, x);
    for k in 2..=m {
        let k = k as f64;
        (before, now) = (now, ((2.0 * k - 1.0) * x * now - (k - 1.0) * before) / k);
    }
    let slope = m as f64 * (before - x * now) / ((1.0 - x) * (1.0 + x));
    (now, slope)
}

/// Positive zero number `i` of the Legendre polynomial, counted from the largest.
fn legendre_zero(m: usize, i: usize) -> f64 {
    let mut x = (PI * (i as f64 + 0.75) / (m as f64 + 0.5)).cos();
    for _ in 0..6 {
        let (value, slope) = legendre(m, x);
        x -= value / slope;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hermite_nodes() {
        // Abramowitz and Stegun, table 25.10.
        let rule = Rule::gauss_hermite(5).unwrap();
        let expected = [(0.0, 0.945_308_720_482_941_9), (0.958_572_464_613_818_5, 0.393_619_323_152_241_2)];
        for (i, (x, w)) in expected.iter().enumerate() {
            assert!((rule.nodes[2 + i] - x).abs() < 1e-15);
            assert!((rule.weights[2 + i] - w).abs() < 1e-15);
        }
        assert!((rule.nodes[4] - 2.020_182_870_456_085_6).abs() < 1e-14);
        assert!((rule.weights[4] - 0.019_953_242_059_045_913).abs() < 1e-16);
    }

    #[test]
    fn hermite_rules_integrate_moments() {
        for m in [1, 2, 7, 25, 64, 120, 200, 512] {
            let rule = Rule::gauss_hermite(m).unwrap();
            assert_eq!(rule.nodes.len(), m);
            assert!(rule.nodes.windows(2).all(|pair| pair[0] < pair[1]));
            let mut exact = PI.sqrt();
            for k in 0..m.min(12) {
                let sum: f64 = rule.nodes.iter().zip(&rule.weights).map(|(x, w)| w * x.powi(2 * k as i32)).sum();
                assert!((sum / exact - 1.0).abs() < 2e-13, "{m} points, moment {}: {}", 2 * k, sum / exact - 1.0);
                exact *= k as f64 + 0.5;
            }
        }
    }

    #[test]
    fn legendre_rules_integrate_powers() {
        for m in [1, 2, 3, 16, 20, 101] {
            let rule = Rule::gauss_legendre(m);
            assert_eq!(rule.nodes.len(), m);
            for power in (0..2 * m).step_by(2) {
                let sum: f64 = rule.nodes.iter().zip(&rule.weights).map(|(x, w)| w * x.powi(power as i32)).sum();
                assert!((sum * (power as f64 + 1.0) / 2.0 - 1.0).abs() < 2e-13, "{m} {power}");
            }
        }
        assert!((Rule::gauss_legendre(2).nodes[1] - 1.0 / 3f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn refuses_what_would_underflow() {
        assert!(Rule::gauss_hermite(0).is_err());
        assert!(Rule::gauss_hermite(513).is_err());
    }
}
