//! Hermite coefficients of an activation at a given variance.
//!
//! With h_l orthonormal under N(0, 1) and s = sqrt(v): a_0 = E\[phi(s z)\] and, for l >= 1, the slopes
//! alpha_l = a_l / s = E\[phi'(s z) h_(l-1)(z)\] / sqrt l (Stein). Slopes keep all their digits as s goes to 0, where the
//! a_l themselves vanish, and have a limit there.

use super::source::Source;
use crate::activation::Parity;
use crate::dual::quadrature_rule::Rule;

/// Below this variance an input counts as zero: its square would underflow.
const SMALLEST: f64 = 1e-200;
/// Points of a panel.
const POINTS: usize = 18;
/// Panels are narrow near 0, where activations bend when the variance is large.
const FINE: [f64; 6] = [0.012, 0.05, 0.15, 0.4, 0.9, 1.6];

/// Coefficients at one variance.
#[derive(Clone, Debug)]
pub(super) struct Coefficients {
    /// a_0.
    pub mean: f64,
    /// alpha_1, alpha_2, ..., two more than the degree of the expansion.
    pub slopes: Vec<f64>,
}

/// Quadrature on the half line z > 0, and the functions h_l(z) e^(-z^2/4) at its nodes.
#[derive(Clone, Debug)]
pub(super) struct Table {
    nodes: Vec<f64>,
    /// Weights times the normal density times e^(z^2/4).
    weights: Vec<f64>,
    /// `degrees` values a node: h_0, h_2, ..., then h_1, h_3, ...
    functions: Vec<f64>,
    degrees: usize,
}

impl Table {
    /// For h_0 .. h_degree, up to z = `reach`, split at `kinks` besides.
    pub fn new(degree: usize, reach: f64, kinks: &[f64]) -> Self {
        let degrees = degree + 1;
        let legendre = Rule::gauss_legendre(POINTS);
        let (mut nodes, mut weights, mut functions) = (Vec::new(), Vec::new(), Vec::new());
        for panel in edges(degree, reach, kinks).windows(2) {
            let (middle, half) = (0.5 * (panel[0] + panel[1]), 0.5 * (panel[1] - panel[0]));
            for (x, w) in legendre.nodes.iter().zip(&legendre.weights) {
                let z = middle + half * x;
                let e = (-0.25 * z * z).exp();
                nodes.push(z);
                weights.push(w * half * e / (2.0 * std::f64::consts::PI).sqrt());
                let (mut before, mut now) = (0.0, e);
                let (start, evens) = (functions.len(), degrees.div_ceil(2));
                functions.resize(start + degrees, 0.0);
                for l in 0..degrees {
                    functions[start + l / 2 + evens * (l % 2)] = now;
                    let next = (z * now - (l as f64).sqrt() * before) / (l as f64 + 1.0).sqrt();
                    (before, now) = (now, next);
                }
            }
        }
        Self { nodes, weights, functions, degrees }
    }

    /// E\[f(s z) h_l(z)\] for l = 0 ..= degree; 0 for those that the parity of the part of `f` beside its constant rules out.
    fn project(&self, s: f64, parity: Parity, f: impl Fn(f64) -> f64) -> Vec<f64> {
        // h_l is even or odd: the sum over +z and -z needs f(z) + f(-z) for even l and the difference for odd l.
        let origin = f(0.0);
        let (evens, odds) = (self.degrees.div_ceil(2), self.degrees / 2);
        let (kept_evens, kept_odds) = match parity {
            Parity::Even => (evens, 0),
            Parity::Odd => (1, odds),
            Parity::Neither => (evens, odds),
        };
        let (mut even, mut odd) = (vec![0.0; kept_evens], vec![0.0; kept_odds]);
        for ((&z, &w), row) in self.nodes.iter().zip(&self.weights).zip(self.functions.chunks_exact(self.degrees)) {
            let plus = f(s * z);
            let minus = match parity {
                Parity::Even => plus,
                Parity::Odd => 2.0 * origin - plus,
                Parity::Neither => f(-s * z),
            };
            let (sum, difference) = (w * (plus + minus), w * (plus - minus));
            let (row_even, row_odd) = row.split_at(evens);
            even.iter_mut().zip(row_even).for_each(|(total, h)| *total += sum * h);
            odd.iter_mut().zip(row_odd).for_each(|(total, h)| *total += difference * h);
        }
        even.resize(evens, 0.0);
        odd.resize(odds, 0.0);
        (0..self.degrees).map(|l| if l % 2 == 0 { even[l / 2] } else { odd[l / 2] }).collect()
    }

    /// The integral over z > 0 of f(s z) under the normal density.
    fn mean(&self, s: f64, f: impl Fn(f64) -> f64) -> f64 {
        let rows = self.functions.chunks_exact(self.degrees);
        self.nodes.iter().zip(&self.weights).zip(rows).map(|((&z, &w), row)| w * row[0] * f(s * z)).sum()
    }
}

/// Ends of the panels. They narrow as the degree grows, so that h_l turns at most twice in one.
fn edges(degree: usize, reach: f64, kinks: &[f64]) -> Vec<f64> {
    let width = (10.0 / (degree as f64 + 4.0).sqrt()).min(1.3);
    let mut ends = vec![0.0];
    ends.extend(FINE);
    let count = ((reach - FINE[FINE.len() - 1]) / width).ceil().max(1.0) as usize;
    let step = (reach - FINE[FINE.len() - 1]) / count as f64;
    ends.extend((1..=count).map(|i| FINE[FINE.len() - 1] + step * i as f64));
    ends.extend(kinks.iter().copied().filter(|&z| z > 0.0 && z < reach));
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    ends
}

impl Coefficients {
    /// At variance `v`, with slopes alpha_1 .. alpha_(degree + 2).
    pub fn new(source: &Source, table: &Table, degree: usize, v: f64) -> Self {
        let wanted = degree + 2;
        if v < SMALLEST || v.is_nan() {
            let mut slopes = vec![0.0; wanted];
            slopes[0] = source.slope_at_zero();
            return Self { mean: source.value(0.0), slopes };
        }
        let s = v.sqrt();
        if let Source::Builtin(crate::activation::Activation::Exp { a, b }) = *source {
            return Self::of_exp(a, b, s, wanted);
        }
        let split;
        let table = match source.moving_kinks() {
            [] => table,
            kinks => {
                let scaled: Vec<f64> = kinks.iter().map(|x| x.abs() / s).collect();
                split = Table::new(wanted, source.reach(), &scaled);
                &split
            }
        };
        let mean = match source.parity() {
            Parity::Odd => source.value(0.0),
            Parity::Even => {
                let line = source.slope_at_zero();
                table.mean(s, |x| 2.0 * (source.value(x) - line * x))
            }
            Parity::Neither => table.mean(s, |x| source.value(x) + source.value(-x)),
        };
        // The slope of an odd function is even, and the other way round.
        let parity = match source.parity() {
            Parity::Odd => Parity::Even,
            Parity::Even => Parity::Odd,
            Parity::Neither => Parity::Neither,
        };
        let slopes = match source {
            Source::Builtin(_) => {
                let projected = table.project(s, parity, |x| source.slope(x));
                projected.iter().take(wanted).enumerate().map(|(m, b)| b / (m as f64 + 1.0).sqrt()).collect()
            }
            Source::Given { phi, .. } => {
                let s = s.max(super::source::SMALLEST_DEVIATION);
                let origin = phi(0.0);
                let projected = table.project(s, Parity::Neither, |x| phi(x) - origin);
                projected.iter().skip(1).take(wanted).map(|a| a / s).collect()
            }
        };
        Self { mean, slopes }
    }

    /// a e^(b x): a_l = a e^(b^2 v / 2) (b s)^l / sqrt(l!), whose mass moves out of any fixed range as v grows.
    fn of_exp(a: f64, b: f64, s: f64, wanted: usize) -> Self {
        let mean = a * (0.5 * (b * s) * (b * s)).exp();
        let mut slope = mean * b;
        let mut slopes = vec![slope];
        for l in 2..=wanted {
            slope *= b * s / (l as f64).sqrt();
            slopes.push(slope);
        }
        Self { mean, slopes }
    }

    /// sum_(l <= degree) a_l^2 without a_0.
    pub fn power(&self, degree: usize) -> f64 {
        self.slopes[..degree].iter().rev().map(|a| a * a).sum()
    }

    /// kdot(v, v, v) = sum of l alpha_l^2 up to `degree`.
    pub fn slope(&self, degree: usize) -> f64 {
        self.slopes[..degree].iter().enumerate().rev().map(|(i, a)| (i + 1) as f64 * a * a).sum()
    }

    /// How fast the direction of the vector (a_0, .., a_degree) turns with the standard deviation s: an angle per unit of s.
    pub fn turn(&self, degree: usize, s: f64) -> f64 {
        let value = |l: usize| if l == 0 { self.mean } else { s * self.slopes[l - 1] };
        // da_l/ds = (sqrt((l+1)(l+2)) a_(l+2) + l a_l) / s.
        let rate = |l: usize| {
            let x = l as f64;
            let own = if l == 0 { 0.0 } else { x * self.slopes[l - 1] };
            ((x + 1.0) * (x + 2.0)).sqrt() * self.slopes[l + 1] + own
        };
        let (mut square, mut along) = (0.0, 0.0);
        for l in (0..=degree).rev() {
            square += value(l) * value(l);
            along += value(l) * rate(l);
        }
        if square == 0.0 {
            return 0.0;
        }
        let along = along / square;
        (0..=degree).rev().map(|l| (rate(l) - along * value(l)).powi(2)).sum::<f64>().sqrt() / square.sqrt()
    }
}
