//! An activation on a window: a linear part, exact, and the rest as a Fourier series.
//!
//! On \[-P/2, P/2\], with beta = (f(P/2) - f(-P/2)) / P, the rest f(z) - beta z takes the same value at both ends, so that its periodic
//! continuation is continuous and, away from kinks and jumps of f, its coefficients fall like 1/j^2 or faster:
//!
//! ```text
//! f(z) = alpha + beta z + sum over j of Re(c_j e^(i omega_j z)),   omega_j = 2 pi j / P,
//! c_j = (2/P) int (f(z) - beta z) e^(-i omega_j z) dz
//! ```
//!
//! For ReLU, GELU, softplus and SiLU beta is 1/2 or near it, and the rest looks like |z|/2; for tanh and erf it is smooth at the ends.

use crate::activation::Activation;
use crate::dual::quadrature_rule::Rule;
use crate::error::{Error, Result};
use crate::simd::{F64s, Real};
use std::f64::consts::PI;

/// Most harmonics of a series.
pub const MAX_HARMONICS: usize = 1024;
/// Widest window.
pub const MAX_PERIOD: f64 = 1e4;
/// Coefficients are right to this, relative to the largest value of f on the window (or 1).
pub const COEFFICIENT_ERROR: f64 = 1e-11;
/// Panels of the grid that the error of a series is taken on.
const GRID: usize = 4096;

/// What a series leaves out, over a grid of 4,097 points of the window, its ends and middle included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truncation {
    /// Largest |f - series|.
    pub largest: f64,
    /// Root mean square of f - series.
    pub rms: f64,
}

/// A linear function and harmonics that together are an activation on a window.
///
/// ```
/// use dualnet::{activation::Activation, snnk::urf::Series};
/// let relu = Series::of(&Activation::Relu, 4.0, 7)?;
/// // z/2 + |z|/2; the first cosine of |z|/2 is -P / pi^2.
/// assert_eq!(relu.slope(), 0.5);
/// assert!((relu.coefficients()[0].0 + 4.0 / std::f64::consts::PI.powi(2)).abs() < 1e-12);
/// assert!((relu.value(1.3) - 1.3).abs() < relu.truncation().largest);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Series {
    activation: Activation,
    period: f64,
    constant: f64,
    slope: f64,
    /// Largest value of the activation met, or 1: the scale of errors.
    size: f64,
    coefficients: Vec<(f64, f64)>,
    truncation: Truncation,
}

impl Series {
    /// The series of `harmonics` (1 to 1,024) terms on \[-P/2, P/2\], P = `period` (1e-3 to 1e4).
    ///
    /// Coefficients come from panels of 24 Gauss-Legendre points, no wider than 1 and than P / harmonics and parted at kinks; panels of 32
    /// points have to agree to [`COEFFICIENT_ERROR`]. A needle thinner than a hundredth of a panel escapes both. Cost: (P + harmonics) 56 harmonics operations.
    ///
    /// # Errors
    /// An activation that is only a kernel; a window or a number of harmonics out of range; values on the window that are not
    /// finite, or that change too fast for the panels.
    pub fn of(activation: &Activation, period: f64, harmonics: usize) -> Result<Self> {
        if !(1e-3..=MAX_PERIOD).contains(&period) || !(1..=MAX_HARMONICS).contains(&harmonics) {
            return Err(Error::Invalid {
                what: "window of a series".into(),
                expected: format!("a period of 1e-3 to {MAX_PERIOD} and 1 to {MAX_HARMONICS} harmonics"),
                found: format!("{period} and {harmonics}"),
                hint: "scale inputs or parameters so that w.x + b is of order 1".into(),
            });
        }
        let ends = (phi(activation, period / 2.0)?, phi(activation, -period / 2.0)?);
        let mut series = Self {
            activation: activation.clone(),
            period,
            constant: 0.0,
            slope: (ends.0 - ends.1) / period,
            size: ends.0.abs().max(ends.1.abs()).max(1.0),
            coefficients: Vec::new(),
            truncation: Truncation { largest: 0.0, rms: 0.0 },
        };
        let (coarse, fine) = (series.integrals(harmonics, 24)?, series.integrals(harmonics, 32)?);
        let gap = coarse.iter().zip(&fine).map(|(a, b)| (a.0 - b.0).hypot(a.1 - b.1)).fold(0.0, f64::max);
        if gap > COEFFICIENT_ERROR * series.size {
            return Err(Error::Invalid {
                what: format!("{} on a window of {period}", activation.name()),
                expected: format!("a function whose coefficients settle to {COEFFICIENT_ERROR:e}"),
                found: format!("a change of {gap:.1e} between two rules"),
                hint: "rescale it, so that it changes over lengths of 1; sin, cos and gaussian have an exact spectrum"
                    .into(),
            });
        }
        series.constant = fine[0].0 / 2.0;
        series.coefficients = fine[1..].to_vec();
        series.forget_rounding();
        series.measure()?;
        Ok(series)
    }

    /// The same series with its first `harmonics` terms only.
    ///
    /// # Errors
    /// None that [`Self::of`] did not have.
    pub fn first(&self, harmonics: usize) -> Result<Self> {
        let mut series = self.clone();
        series.coefficients.truncate(harmonics);
        series.measure()?;
        Ok(series)
    }

    /// P.
    pub fn period(&self) -> f64 {
        self.period
    }
    /// alpha.
    pub fn constant(&self) -> f64 {
        self.constant
    }
    /// beta.
    pub fn slope(&self) -> f64 {
        self.slope
    }
    /// c_1, c_2, ...: real and imaginary parts. Those that symmetry makes 0 are 0.
    pub fn coefficients(&self) -> &[(f64, f64)] {
        &self.coefficients
    }
    /// omega_j = 2 pi j / P of coefficient number `index` = j - 1.
    pub fn frequency(&self, index: usize) -> f64 {
        2.0 * PI * (index + 1) as f64 / self.period
    }
    /// What it leaves out on the window.
    pub fn truncation(&self) -> Truncation {
        self.truncation
    }
    /// The activation.
    pub fn activation(&self) -> &Activation {
        &self.activation
    }

    /// alpha + beta z + harmonics. It is near the activation for |z| <= P/2 only.
    pub fn value(&self, z: f64) -> f64 {
        let powers = Powers::new(2.0 * PI * z / self.period);
        let waves = self.coefficients.iter().zip(powers.skip(1)).map(|(c, e)| c.0 * e.0 - c.1 * e.1);
        self.constant + self.slope * z + waves.sum::<f64>()
    }

    /// (2/P) int (f(z) - beta z) e^(-i omega_j z) dz, j = 0..=`harmonics`.
    fn integrals(&mut self, harmonics: usize, points: usize) -> Result<Vec<(f64, f64)>> {
        let rule = Rule::gauss_legendre(points);
        let half_period = self.period / 2.0;
        let mut edges = vec![-half_period, half_period];
        edges.extend(self.activation.kinks().iter().filter(|k| k.abs() < half_period));
        edges.sort_by(f64::total_cmp);
        let mut sums = vec![(0.0, 0.0); harmonics + 1];
        for part in edges.windows(2) {
            let panels = ((part[1] - part[0]) * (harmonics as f64 / self.period).max(1.0)).ceil().max(1.0);
            let half = 0.5 * (part[1] - part[0]) / panels;
            for panel in 0..panels as usize {
                let middle = part[0] + half * (2 * panel + 1) as f64;
                for (x, w) in rule.nodes.iter().zip(&rule.weights) {
                    let z = middle + half * x;
                    let f = phi(&self.activation, z)?;
                    self.size = self.size.max(f.abs());
                    let weight = w * half * (f - self.slope * z) / half_period;
                    for (sum, e) in sums.iter_mut().zip(Powers::new(-2.0 * PI * z / self.period)) {
                        *sum = (sum.0 + weight * e.0, sum.1 + weight * e.1);
                    }
                }
            }
        }
        Ok(sums)
    }

    /// Sets to 0 what is only the rounding of the quadrature, so that no draws are spent on it.
    fn forget_rounding(&mut self) {
        let least = COEFFICIENT_ERROR * self.size;
        for part in self.coefficients.iter_mut().flat_map(|c| [&mut c.0, &mut c.1]) {
            if part.abs() < least {
                *part = 0.0;
            }
        }
    }

    /// Fills in [`Truncation`].
    fn measure(&mut self) -> Result<()> {
        let (mut largest, mut squares) = (0.0, 0.0);
        for i in 0..=GRID {
            let z = self.period * (i as f64 / GRID as f64 - 0.5);
            let gap = (phi(&self.activation, z)? - self.value(z)).abs();
            largest = f64::max(largest, gap);
            // The two ends are one point of the period.
            squares += if i == 0 { 0.0 } else { gap * gap };
        }
        self.truncation = Truncation { largest, rms: (squares / GRID as f64).sqrt() };
        Ok(())
    }
}

/// f(z), the same on every platform.
fn phi(activation: &Activation, z: f64) -> Result<f64> {
    match activation.phi(F64s(pulp::Scalar, z)) {
        Some(F64s(_, value)) if value.is_finite() => Ok(value),
        found => Err(Error::Invalid {
            what: format!("{} on a window", activation.name()),
            expected: format!("a function that is finite at {z}"),
            found: if found.is_some() { "none" } else { "a kernel without a function" }.into(),
            hint: "take another activation or a narrower window".into(),
        }),
    }
}

/// e^(0i), e^(i angle), e^(2i angle), ...: by products, an error of one rounding each.
struct Powers {
    step: (f64, f64),
    now: (f64, f64),
}

impl Powers {
    fn new(angle: f64) -> Self {
        let (sin, cos) = F64s(pulp::Scalar, angle).sin_cos();
        Self { step: (cos.1, sin.1), now: (1.0, 0.0) }
    }
}

impl Iterator for Powers {
    type Item = (f64, f64);
    fn next(&mut self) -> Option<(f64, f64)> {
        let ((a, b), (u, v)) = (self.now, self.step);
        self.now = (a * u - b * v, a * v + b * u);
        Some((a, b))
    }
}
