//! From the power series of a net to the terms of a sketch: where the series ends, what becomes of its tail, how many features each
//! degree gets.

use super::series::{HomogeneousSeries, value};
use crate::error::{Error, Result};
use crate::kernel::Get;
use crate::net::Net;
use crate::transform::Power;

/// Coefficients beyond the degree of the polynomial that are looked at.
const ORDER: usize = 1024;
/// Cosines at which the error of a polynomial is looked for, from -1 to 1 and denser towards both.
const COSINES: usize = 401;

/// sum over l <= q of c_l rho^l, c_l >= 0, in place of kappa.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Polynomial {
    pub(super) coefficients: Vec<f64>,
    /// Largest error over all cosines, in parts of kappa(1).
    pub(super) error: f64,
}

impl Polynomial {
    /// Degree q and, of each parity, what of the tail costs least on the highest degree: the part that has the least mean square
    /// error over cosines uniform in [-1, 1], that of a sketch of `dim` features included.
    ///
    /// With t_l the tail's coefficients of the parity of q and s the sum of the coefficients sketched, the mean square of
    /// sum t_l rho^l - delta rho^q is a parabola in delta (the mean of rho^{2k} is 1/(2k+1)), and the variance of the best allotment is
    /// (s + delta)^2 / dim.
    pub(super) fn of(net: &Net, inputs: usize, get: Get, degree: usize, dim: usize) -> Result<Self> {
        let series = HomogeneousSeries::of(net, inputs, get, degree + ORDER)?;
        let (kept, tail) = series.coefficients().split_at(degree + 1);
        let mut coefficients = kept.to_vec();
        let sketched: f64 = kept.iter().skip(3).sum();
        for (last, kept) in coefficients.iter_mut().enumerate().skip(degree.saturating_sub(1)) {
            let terms = tail.iter().enumerate().map(|(i, c)| (degree + 1 + i, c));
            let same = terms.filter(|(l, _)| l % 2 == last % 2);
            let overlap: f64 = same.map(|(l, c)| c / (l + last + 1) as f64).sum();
            let (weight, price) = (1.0 / (2 * last + 1) as f64, 1.0 / dim as f64);
            *kept += ((overlap - price * sketched) / (weight + price)).max(0.0);
        }
        let error = error(net, inputs, get, &coefficients, series.total())?;
        Ok(Self { coefficients, error })
    }

    pub(super) fn at(&self, cosine: f64) -> f64 {
        self.coefficients.iter().rev().fold(0.0, |sum, c| sum * cosine + c)
    }
}

fn error(net: &Net, inputs: usize, get: Get, coefficients: &[f64], total: f64) -> Result<f64> {
    let mut largest = 0.0f64;
    for i in 0..COSINES {
        let cosine = (std::f64::consts::PI * i as f64 / (COSINES - 1) as f64).cos();
        let found = coefficients.iter().rev().fold(0.0, |sum, c| sum * cosine + c);
        largest = largest.max((found - value(net, inputs, get, cosine)?).abs());
    }
    Ok(if total > 0.0 { largest / total } else { 0.0 })
}

/// How the square of a row is represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Square {
    /// By the products of its entries, d (d + 1) / 2 features without error.
    Exact,
    /// By a sketch, as other degrees, or not at all.
    Sketched,
}

/// Features of each degree.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Allotment {
    pub(super) square: Square,
    pub(super) powers: Vec<Power>,
}

/// Features in proportion to the coefficients, which makes the variance least: sum of c_l^2 / m_l = (sum of c_l)^2 / (sum of m_l). The
/// square is exact if it fits and what is left to the others makes that smaller.
pub(super) fn allot(coefficients: &[f64], inputs: usize, dim: usize) -> Result<Allotment> {
    let there = |l: usize| coefficients.get(l).is_some_and(|&c| c > 0.0);
    let exact = usize::from(there(0)) + if there(1) { inputs } else { 0 };
    let sum = |first: usize| coefficients.iter().skip(first).sum::<f64>();
    let least = exact + coefficients.iter().skip(2).filter(|&&c| c > 0.0).count();
    if dim < least {
        return Err(Error::Invalid {
            what: "dimension of the sketch of a homogeneous net".into(),
            expected: format!(
                "at least {least}: a constant and the columns are kept as they are, each higher degree needs one"
            ),
            found: dim.to_string(),
            hint: "ask for more features, or a lower degree".into(),
        });
    }
    let left = dim - exact;
    let square = inputs.saturating_mul(inputs.saturating_add(1)) / 2;
    let higher = coefficients.iter().skip(3).filter(|&&c| c > 0.0).count();
    let fits = there(2) && square.saturating_add(higher) <= left;
    let spread = |first, features: usize| sum(first) / (features.max(1) as f64).sqrt();
    if fits && spread(3, left - square) <= spread(2, left) {
        return Ok(Allotment { square: Square::Exact, powers: share(coefficients, 3, left - square) });
    }
    Ok(Allotment { square: Square::Sketched, powers: share(coefficients, 2, left) })
}

/// `features` among the degrees from `first` on, at least one for each with a coefficient; what rounding leaves goes to the largest.
fn share(coefficients: &[f64], first: usize, features: usize) -> Vec<Power> {
    let wanted = coefficients.iter().enumerate().skip(first).filter(|(_, c)| **c > 0.0);
    let sum: f64 = wanted.clone().map(|(_, c)| c).sum();
    let spare = features.saturating_sub(wanted.clone().count()) as f64;
    let mut powers: Vec<Power> =
        wanted.map(|(degree, c)| Power { degree, width: 1 + (spare * (c / sum)) as usize }).collect();
    let given: usize = powers.iter().map(|power| power.width).sum();
    if let Some(largest) = powers.iter_mut().max_by_key(|power| power.width) {
        largest.width += features.saturating_sub(given);
    }
    powers
}
