//! Hermite coefficients at the variance of a row, between those at fixed variances, each computed when it is first needed.

use crate::features::HermiteSeries;
use std::sync::OnceLock;

/// Logarithms of the least and the largest standard deviation of the table; beyond, each is computed.
const RANGE: (f64, f64) = (-7.0, 4.0);
/// Steps for a factor of e: cubic interpolation then errs by about 1e-5 of a coefficient.
const STEPS: f64 = 48.0;

/// A series with its coefficients at fixed variances, a pure function of the variance for any order of calls.
#[derive(Debug)]
pub(super) struct SeriesTable {
    series: HermiteSeries,
    nodes: Vec<OnceLock<Vec<f64>>>,
    /// At variance 0, which positions outside what an image shows have.
    zero: OnceLock<Vec<f64>>,
}

/// Coefficients at one variance, in one piece.
#[derive(Clone, Debug)]
pub(super) struct Coefficients {
    terms: Vec<f64>,
    degree: usize,
}

impl Coefficients {
    /// a_l.
    pub(super) fn value(&self, l: usize) -> f64 {
        self.terms[l]
    }
    /// b_l.
    pub(super) fn slope(&self, l: usize) -> f64 {
        self.terms[self.degree + 1 + l]
    }
    /// Share of the variance beyond the series.
    pub(super) fn beyond(&self) -> f64 {
        self.terms[2 * self.degree + 2]
    }
}

impl SeriesTable {
    pub(super) fn new(series: HermiteSeries) -> Self {
        let count = ((RANGE.1 - RANGE.0) * STEPS) as usize + 1;
        Self { series, nodes: (0..count).map(|_| OnceLock::new()).collect(), zero: OnceLock::new() }
    }

    pub(super) fn series(&self) -> &HermiteSeries {
        &self.series
    }

    /// Coefficients at variance `v`.
    pub(super) fn at(&self, v: f64) -> Coefficients {
        let degree = self.series.degree();
        let place = (0.5 * v.ln() - RANGE.0) * STEPS;
        // One node before and two behind.
        let inside = place >= 1.0 && place < (self.nodes.len() - 3) as f64;
        if v == 0.0 {
            return Coefficients { terms: self.zero.get_or_init(|| self.exact(0.0)).clone(), degree };
        }
        if !inside || self.series.is_scaled() {
            return Coefficients { terms: self.exact(v), degree };
        }
        let (first, x) = (place.floor() as usize - 1, place - place.floor());
        let weights = [
            -x * (x - 1.0) * (x - 2.0) / 6.0,
            (x + 1.0) * (x - 1.0) * (x - 2.0) / 2.0,
            -(x + 1.0) * x * (x - 2.0) / 2.0,
            (x + 1.0) * x * (x - 1.0) / 6.0,
        ];
        let mut terms = vec![0.0; 2 * degree + 3];
        for (i, weight) in weights.iter().enumerate() {
            let node = self.nodes[first + i].get_or_init(|| {
                let log = RANGE.0 + (first + i) as f64 / STEPS;
                self.exact((2.0 * log).exp())
            });
            terms.iter_mut().zip(node).for_each(|(term, x)| *term = weight.mul_add(*x, *term));
        }
        Coefficients { terms, degree }
    }

    fn exact(&self, v: f64) -> Vec<f64> {
        let terms = self.series.at(v);
        terms.values.into_iter().chain(terms.slopes).chain([terms.beyond]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use crate::net::spec::DualChoice;

    #[test]
    fn interpolates_what_the_series_says() {
        for activation in Activation::examples() {
            let degree = match activation {
                Activation::Hermite { degree } => degree as usize + 2,
                _ => 9,
            };
            let table = SeriesTable::new(HermiteSeries::new(&activation, DualChoice::Default, degree).unwrap());
            for v in [1e-9, 1e-4, 0.0331, 0.77, 3.3, 7.7] {
                let (found, exact) = (table.at(v), table.series.at(v));
                let size = exact.values.iter().map(|a| a * a).sum::<f64>().sqrt();
                for (l, a) in exact.values.iter().enumerate() {
                    assert!(
                        (found.value(l) - a).abs() <= 3e-5 * size,
                        "{activation:?} {v} {l}: {} {a}",
                        found.value(l)
                    );
                }
                let size = exact.slopes.iter().map(|a| a * a).sum::<f64>().sqrt();
                for (l, b) in exact.slopes.iter().enumerate() {
                    assert!(
                        (found.slope(l) - b).abs() <= 1e-4 * size,
                        "{activation:?} {v} {l}: {} {b}",
                        found.slope(l)
                    );
                }
            }
        }
    }
}
