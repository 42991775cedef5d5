//! How exp(xh . wh) is shared among both sides: the scale s, the damping A, and the function Lam.

use super::transform::Spectrum;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The scale s in xh = i s t x and wh = w / s, t = 2 pi xi.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// The same s > 0 for all frequencies. With frequencies from a Gaussian the second moment is finite only for
    /// s |x| < sqrt(1/2) / sigma, with those of sech for no x but 0; for cos and sin always, least at s^2 = |w| / (|t| |x|).
    Constant(f64),
    /// s = |t|^(-1/2): xh = i sign(t) sqrt|t| x, wh = sqrt|t| w. Finite for all norms with Gaussian frequencies, for
    /// |x|^2 + |w|^2 < pi/2 with those of sech.
    #[default]
    Balanced,
}

impl Split {
    /// (rho, eta) of angular frequency t: xh = i rho x, wh = eta w, rho eta = t.
    pub fn factors(self, t: f64) -> (f64, f64) {
        match self {
            Self::Constant(s) => (s * t, 1.0 / s),
            Self::Balanced => (t.abs().sqrt().copysign(t), t.abs().sqrt()),
        }
    }
}

/// What, besides the function, determines the law of a feature.
///
/// ```
/// use dualnet::snnk::urf::{Estimator, Spectrum, Split};
/// let bell = Spectrum::Gaussian { a: 1.0, b: -0.5 };
/// let estimator = Estimator::damped(Split::Balanced, &bell, 5, 0.3)?;
/// assert!((estimator.damping + 0.022_136).abs() < 1e-6);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimator {
    /// The scale s.
    pub split: Split,
    /// A <= 0 in Lam; below 0 the features of parameters are bounded over all g.
    pub damping: f64,
}

impl Estimator {
    /// The damping that suits parameters of mean square length `mean_square_w` and `inputs` columns best:
    /// [`optimal_damping`] with its argument for complex xh + wh, the mean of |Re(xh + wh)|^2 = eta^2 |w|^2.
    ///
    /// # Errors
    /// A length that is negative or not finite; a scale that is not positive.
    pub fn damped(split: Split, spectrum: &Spectrum, inputs: usize, mean_square_w: f64) -> Result<Self> {
        let eta_square = match split {
            Split::Constant(s) => 1.0 / (s * s),
            Split::Balanced => spectrum.mean_frequency(),
        };
        let estimator = Self { split, damping: optimal_damping(eta_square * mean_square_w, inputs)? };
        estimator.check()?;
        Ok(estimator)
    }

    /// Refuses what is no estimator.
    ///
    /// # Errors
    /// A positive damping, a scale that is not positive, either of them not finite.
    pub fn check(&self) -> Result<()> {
        let scale = match self.split {
            Split::Constant(s) => s,
            Split::Balanced => 1.0,
        };
        let usable = scale > 0.0 && scale.is_finite() && (1.0 / scale).is_finite();
        if usable && self.damping <= 0.0 && self.damping.is_finite() {
            return Ok(());
        }
        Err(Error::Invalid {
            what: "estimator of universal random features".into(),
            expected: "a finite scale > 0 and a finite damping <= 0".into(),
            found: format!("{self:?}"),
            hint: "take the balanced split and damping 0".into(),
        })
    }
}

/// The real A that gives exp(x.w) = E Lam_g(x) Lam_g(w) the least second moment over samples in `d` dimensions, where `phi` is
/// the mean of |x + w|^2, or of |Re(x + w)|^2 where arguments are complex: A = (1 - 1/r) / 8 with
/// r = (sqrt((2 phi + d)^2 + 8 d phi) - 2 phi - d) / (4 phi) (the OPRF of FAVOR++: "Chefs' random tables", NeurIPS 2022,
/// arXiv 2205.15317).
///
/// ```
/// use dualnet::snnk::urf::optimal_damping;
/// assert_eq!(optimal_damping(0.0, 5)?, 0.0);
/// assert!((optimal_damping(5.0, 5)? + 0.320_194).abs() < 1e-6);
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// `phi` negative or not finite; no dimensions.
pub fn optimal_damping(phi: f64, d: usize) -> Result<f64> {
    if d == 0 || !(0.0..=1e150).contains(&phi) {
        return Err(Error::Invalid {
            what: "mean square of the arguments of Lam".into(),
            expected: "0 to 1e150, in at least one dimension".into(),
            found: format!("{phi} in {d} dimensions"),
            hint: "give the mean of |x + w|^2".into(),
        });
    }
    let d = d as f64;
    let b = 2.0 * phi + d;
    // r = 2d / (root + b), the same number without the cancellation at small phi.
    let inverse = (b.hypot((8.0 * d * phi).sqrt()) + b) / (2.0 * d);
    Ok((1.0 - inverse).min(0.0) / 8.0)
}

/// Lam_g(z) = (1-4A)^(d/4) exp(A |g|^2 + sqrt(1-4A) g.z - z.z / 2) for complex z = `re` + i `im`: real and imaginary part.
///
/// g.z and z.z are bilinear: nothing is conjugated. E Lam_g(z) Lam_g(y) = exp(z.y) over g ~ N(0, I), for real A < 1/8 (A <= 0 is
/// what [`Estimator`] allows). The plain definition, for checks; [`super::UrfMap`] computes the same on registers.
/// Entries missing in a shorter slice count as 0.
///
/// ```
/// use dualnet::snnk::urf::lambda;
/// // z = i: z.z = -1, not 1.
/// let (re, im) = lambda(&[0.0], &[1.0], &[0.0], 0.0);
/// assert!((re - 0.5f64.exp()).abs() < 1e-15 && im == 0.0);
/// ```
pub fn lambda(re: &[f64], im: &[f64], g: &[f64], damping: f64) -> (f64, f64) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let spread = (1.0 - 4.0 * damping).sqrt();
    let square = (dot(re, re) - dot(im, im), 2.0 * dot(re, im));
    let exponent = 0.5 * g.len() as f64 * spread.ln() + damping * dot(g, g) + spread * dot(g, re) - 0.5 * square.0;
    let (sin, cos) = (spread * dot(g, im) - 0.5 * square.1).sin_cos();
    (exponent.exp() * cos, exponent.exp() * sin)
}
