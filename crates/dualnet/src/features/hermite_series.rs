//! The dual of an activation as a polynomial in the correlation, with variances kept: what a sketch of powers estimates.
//!
//! With a_l(v) = E\[phi(sqrt v z) h_l(z)\] and b_l(v) = sqrt(l + 1) a_{l+1}(v) / sqrt v (Stein), k = sum a_l(p) a_l(q) rho^l and
//! kdot = sum b_l(p) b_l(q) rho^l. The series are cut at a degree L, and what is cut of the even and of the odd degrees goes to the highest of
//! each that is left: k(v, v, v) and kdot(v, v, v) stay what they are, so that the error does not add up from layer to layer along the
//! diagonal; in between, rho^L stands for higher powers. The first two coefficients of k and the first of kdot stay as they are.

use crate::activation::Activation;
use crate::dual::hermite::HermiteDual;
use crate::dual::{DynDual, Pair, Precision, default_degree, dual_of};
use crate::error::{Error, Result};
use crate::net::spec::DualChoice;
use std::f64::consts::{FRAC_1_PI, PI};
use std::sync::Arc;

/// The highest degree: beyond it a sketch is not worth its cost.
const HIGHEST: usize = 64;
/// The highest that is chosen without being asked for.
const HIGHEST_CHOSEN: usize = 16;
/// Largest error of k and of kdot, relative to rho = 1, of the degree that is chosen.
const ERROR: f64 = 0.01;
/// Cosines at which errors are looked for, from -1 to 1 and denser towards both.
const COSINES: usize = 129;
/// Variances are taken as at least this: s^2 must not underflow.
const SMALLEST: f64 = 1e-150;

/// Coefficients at one variance.
#[derive(Clone, Debug, PartialEq)]
pub struct HermiteTerms {
    /// a_0 .. a_L.
    pub values: Vec<f64>,
    /// b_0 .. b_L.
    pub slopes: Vec<f64>,
    /// Share of k(v, v, v) that belongs to degrees beyond L.
    pub beyond: f64,
}

/// Hermite coefficients of an activation, or of a kernel without one, up to a degree, at any variance.
///
/// Cost: a quadrature of some hundred points for each variance, about 20 microseconds; none for homogeneous ones.
///
/// ```
/// use dualnet::activation::Activation;
/// use dualnet::features::HermiteSeries;
/// use dualnet::net::spec::DualChoice;
/// let series = HermiteSeries::new(&Activation::Erf { a: 1.0, b: 1.0, c: 0.0 }, DualChoice::Default, 9)?;
/// let (k, kdot) = series.pair(1.0, 4.0, 0.5);
/// // 2/pi asin(2 c / sqrt((1 + 2p)(1 + 2q))) and its derivative in c.
/// assert!((k - 2.0 / std::f64::consts::PI * (2.0 / 27f64.sqrt()).asin()).abs() < 1e-3);
/// assert!((kdot - 4.0 / std::f64::consts::PI / 23f64.sqrt()).abs() < 2e-3);
/// assert!(series.error(1.0) < 0.01 && series.at(1.0).beyond < 0.01);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HermiteSeries {
    degree: usize,
    dual: Arc<dyn DynDual>,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    /// Those at variance 1 of what is homogeneous of degree n: values go as s^n, slopes as s^(n-1).
    Scaled { one: HermiteTerms, degree: i32 },
    /// By quadrature; masses from the dual's closed form.
    Closed(Box<HermiteDual>),
    /// The dual itself is a series: nothing but its terms has any mass.
    Series(Box<HermiteDual>),
}

/// Even and odd parts of k and kdot at rho = 1.
struct Masses {
    values: [f64; 2],
    slopes: [f64; 2],
}

impl HermiteSeries {
    /// Of an activation that `choice` serves, up to `degree`.
    ///
    /// # Errors
    /// A degree below 2 or above 64; a power (`hermite`) of a higher one, of which nothing would be left; whatever the dual refuses.
    pub fn new(activation: &Activation, choice: DualChoice, degree: usize) -> Result<Self> {
        let least = match activation {
            Activation::Hermite { degree } => (*degree as usize).max(2),
            _ => 2,
        };
        if !(least..=HIGHEST).contains(&degree) {
            return Err(Error::Invalid {
                what: format!("degree of the sketch of {}", activation.name()),
                expected: format!("{least} to {HIGHEST}"),
                found: degree.to_string(),
                hint: "leave it out: one is chosen; or take random features, nystrom or rpcholesky".into(),
            });
        }
        let dual = dual_of(activation, choice, Precision::F64)?;
        // Values up to one degree more: kdot of degree L needs a_(L+1).
        let numeric = |degree| HermiteDual::new(activation, degree).map(Box::new);
        let source = match (choice, default_degree(activation, Precision::F64)) {
            (DualChoice::Hermite(own), _) | (DualChoice::Default, Some(own)) => Source::Series(numeric(own)?),
            _ => match (activation.homogeneity(), powers(activation, degree + 2)) {
                (Some(n), Some(raw)) => scaled(raw, activation, &*dual, degree, n),
                (Some(n), None) => scaled(numeric(degree + 1)?.coefficients(1.0), activation, &*dual, degree, n),
                (None, _) => Source::Closed(numeric(degree + 1)?),
            },
        };
        Ok(Self { degree, dual, source })
    }

    /// The least degree with an error of at most 0.01 at variance `v` ([`Self::error`]), at most 16: where the
    /// slope of the activation jumps the error falls as the root of the degree only.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn chosen_degree(activation: &Activation, choice: DualChoice, v: f64) -> Result<usize> {
        let first = match activation {
            Activation::Hermite { degree } => return Ok((*degree as usize).max(2)),
            _ => 2,
        };
        for degree in first..HIGHEST_CHOSEN {
            if Self::new(activation, choice, degree)?.error(v) <= ERROR {
                return Ok(degree);
            }
        }
        Ok(HIGHEST_CHOSEN)
    }

    /// L.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// Whether coefficients at any variance are those at 1 times a power: no quadrature is needed.
    pub(crate) fn is_scaled(&self) -> bool {
        matches!(self.source, Source::Scaled { .. })
    }

    /// k(v, v, v) of the dual itself.
    pub fn variance(&self, v: f64) -> f64 {
        self.dual.variance(v)
    }

    /// Coefficients at variance `v`. Beyond the range of double precision they are not finite.
    pub fn at(&self, v: f64) -> HermiteTerms {
        let v = v.max(SMALLEST);
        let s = v.sqrt();
        match &self.source {
            Source::Scaled { one, degree } => {
                let (value, slope) = (s.powi(*degree), s.powi(*degree - 1));
                HermiteTerms {
                    values: one.values.iter().map(|a| a * value).collect(),
                    slopes: one.slopes.iter().map(|b| b * slope).collect(),
                    beyond: one.beyond,
                }
            }
            Source::Closed(numeric) => fold(numeric.coefficients(v), s, self.degree, &masses(&*self.dual, v)),
            Source::Series(numeric) => {
                let raw = numeric.coefficients(v);
                let mut masses = Masses { values: [0.0; 2], slopes: [0.0; 2] };
                for (l, a) in raw.iter().enumerate() {
                    masses.values[l % 2] += a * a;
                    masses.slopes[(l + 1) % 2] += l as f64 * a * a / v;
                }
                fold(raw, s, self.degree, &masses)
            }
        }
    }

    /// k and kdot of the polynomial at variances p and q and correlation rho.
    pub fn pair(&self, p: f64, q: f64, rho: f64) -> (f64, f64) {
        let (p, q) = (self.at(p), self.at(q));
        (polynomial(&p.values, &q.values, rho), polynomial(&p.slopes, &q.slopes, rho))
    }

    /// Largest error of k and of kdot over all correlations at variance `v`, each relative to rho = 1.
    pub fn error(&self, v: f64) -> f64 {
        let (v, terms) = (v.max(SMALLEST), self.at(v));
        let one = self.dual.pair(pair(v, 1.0));
        let part = |error: f64, of: f64| if of > 0.0 { error.abs() / of } else { error.abs() };
        (0..COSINES)
            .map(|i| (PI * i as f64 / (COSINES - 1) as f64).cos())
            .map(|rho| {
                let exact = self.dual.pair(pair(v, rho));
                let k = part(polynomial(&terms.values, &terms.values, rho) - exact.k, one.k);
                k.max(part(polynomial(&terms.slopes, &terms.slopes, rho) - exact.kdot, one.kdot))
            })
            .fold(0.0, f64::max)
    }
}

fn pair(v: f64, rho: f64) -> Pair<f64> {
    let s = v.sqrt();
    Pair { c: rho * v, p: v, q: v, sp: s, sq: s, delta: 1.0 - rho.abs() }
}

fn polynomial(a: &[f64], b: &[f64], rho: f64) -> f64 {
    a.iter().zip(b).rev().fold(0.0, |sum, (a, b)| sum.mul_add(rho, a * b))
}

fn masses(dual: &dyn DynDual, v: f64) -> Masses {
    let (one, minus) = (dual.pair(pair(v, 1.0)), dual.pair(pair(v, -1.0)));
    let parts = |one: f64, minus: f64| [0.5 * (one + minus), 0.5 * (one - minus)];
    Masses { values: parts(one.k, minus.k), slopes: parts(one.kdot, minus.kdot) }
}

/// a_0, a_1, ... at variance 1 where they have a formula and no quadrature: kernels without an activation, and jumps.
fn powers(activation: &Activation, count: usize) -> Option<Vec<f64>> {
    // asin rho: 1/l (1 3 .. (l-2)) / (2 4 .. (l-1)) for odd l.
    let arcsine = |factor: f64| {
        let mut central = 1.0;
        let mut out = vec![0.0; count];
        for l in (1..count).step_by(2) {
            out[l] = (factor * central / l as f64).sqrt();
            central *= l as f64 / (l + 1) as f64;
        }
        out
    };
    match *activation {
        Activation::Hermite { degree } => Some((0..count).map(|l| f64::from(l == degree as usize)).collect()),
        Activation::ExpNormalized { gamma, shift } => {
            let mut term = (gamma * shift).exp();
            let next = |l: usize| {
                let now = term.sqrt();
                term *= gamma / (l + 1) as f64;
                now
            };
            Some((0..count).map(next).collect())
        }
        Activation::Sign => Some(arcsine(2.0 * FRAC_1_PI)),
        Activation::RectifiedMonomial { degree: 0 } => {
            let mut out = arcsine(0.5 * FRAC_1_PI);
            out[0] = 0.5;
            Some(out)
        }
        _ => None,
    }
}

/// From coefficients at variance 1.
fn scaled(raw: Vec<f64>, activation: &Activation, dual: &dyn DynDual, degree: usize, homogeneity: u32) -> Source {
    let mut one = fold(raw, 1.0, degree, &masses(dual, 1.0));
    if !activation.is_continuous() {
        // The kernels take the slope of a jump as 0.
        one.slopes.fill(0.0);
    }
    Source::Scaled { one, degree: homogeneity as i32 }
}

/// Cuts a series at `degree` and gives what is cut to the highest degree of its parity, from degree 2 of k and 1 of kdot on.
fn fold(raw: Vec<f64>, s: f64, degree: usize, masses: &Masses) -> HermiteTerms {
    let a = |l: usize| raw.get(l).copied().unwrap_or(0.0);
    let mut values: Vec<f64> = (0..=degree).map(a).collect();
    let mut slopes: Vec<f64> = (0..=degree).map(|l| (l as f64 + 1.0).sqrt() * a(l + 1) / s).collect();
    let total = masses.values[0] + masses.values[1];
    let cut = complete(&mut values, masses.values, 2);
    complete(&mut slopes, masses.slopes, 1);
    HermiteTerms { values, slopes, beyond: if total > 0.0 { cut / total } else { 0.0 } }
}

/// The highest coefficient of each parity takes what is missing of its `masses`, with the positive sign: that is the same at any variance, as
/// the sign of what it stands for is not. Gives what was missing.
fn complete(terms: &mut [f64], masses: [f64; 2], first: usize) -> f64 {
    let mut missing = 0.0;
    for top in terms.len().saturating_sub(2)..terms.len() {
        let own: f64 = terms.iter().skip(top % 2).step_by(2).rev().map(|a| a * a).sum();
        let rest = (masses[top % 2] - own).max(0.0);
        missing += rest;
        if top >= first {
            terms[top] = terms[top].mul_add(terms[top], rest).sqrt();
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At rho = 1 nothing is missing, and a high degree is the dual, at equal and at different variances.
    #[test]
    fn series_are_the_duals() {
        for activation in Activation::examples() {
            let smooth = !matches!(activation, Activation::Sign | Activation::RectifiedMonomial { degree: 0 });
            let high = HermiteSeries::new(&activation, DualChoice::Default, 40).unwrap();
            let low = HermiteSeries::new(&activation, DualChoice::Default, 6).unwrap();
            for (p, q) in [(0.01, 0.01), (0.3, 1.0), (1.0, 2.0), (2.0, 2.0)] {
                if p == q && smooth {
                    let (one, (k, kdot)) = (low.dual.pair(pair(p, 1.0)), low.pair(p, p, 1.0));
                    assert!((k - one.k).abs() <= 1e-7 * one.k.abs(), "{activation:?} {p}: {k}, expected {}", one.k);
                    assert!((kdot - one.kdot).abs() <= 1e-6 * one.kdot.abs(), "{activation:?} {p}: {kdot}");
                }
                for rho in [-0.7, 0.0, 0.4, 0.8] {
                    let (sp, sq) = (f64::sqrt(p), f64::sqrt(q));
                    let exact = high.dual.pair(Pair { c: rho * sp * sq, p, q, sp, sq, delta: 1.0 - rho.abs() });
                    let (k, kdot) = high.pair(p, q, rho);
                    let size = (high.variance(p) * high.variance(q)).sqrt();
                    assert!((k - exact.k).abs() <= 1e-4 * size, "{activation:?} {p} {q} {rho}: {k} {}", exact.k);
                    let size = exact.kdot.abs().max(1e-2 * size);
                    assert!((kdot - exact.kdot).abs() <= 2e-3 * size, "{activation:?} {p} {q} {rho}: {kdot}");
                }
            }
        }
    }

    #[test]
    fn degrees_that_leave_nothing_are_refused() {
        let power = Activation::Hermite { degree: 5 };
        assert!(HermiteSeries::new(&power, DualChoice::Default, 4).unwrap_err().to_string().contains("5 to 64"));
        assert_eq!(HermiteSeries::chosen_degree(&power, DualChoice::Default, 1.0).unwrap(), 5);
        for degree in [0, 1, 65] {
            assert!(HermiteSeries::new(&Activation::Relu, DualChoice::Default, degree).is_err());
        }
    }
}
