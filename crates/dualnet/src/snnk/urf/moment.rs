//! How far a feature scatters: second moment and variance in closed form, and an error where they make the estimate worthless.
//!
//! Z = (tau/q) e^(itb) Lam_g(i rho x) Lam_g(eta w) is one draw, E Z = f(w.x + b). With r = 1/(1-8A) and the factor
//! D = (1-4A)^d (1-8A)^(-d/2), over g alone
//!
//! ```text
//! E |Z|^2  = D |tau/q|^2 exp(r eta^2 |w|^2 + rho^2 |x|^2)
//! E Z^2    = D (tau/q)^2 exp(r (eta^2 |w|^2 - rho^2 |x|^2)) e^(i t (4 (1-4A) r w.x + 2b))
//! ```
//!
//! and what is averaged is Re Z, of second moment (E |Z|^2 + Re E Z^2) / 2 <= E |Z|^2.

use super::split::{Estimator, Split};
use super::transform::Spectrum;
use crate::dual::quadrature_rule::Rule;
use crate::error::{Error, Result};
use crate::simd::Real;
use std::f64::consts::{FRAC_PI_2, LN_10, PI, SQRT_2};

/// ln E |Z|^2 of one draw for |x| = `x`, |w| = `w` in `inputs` columns: infinite where the second moment is.
///
/// Infinite for a constant s with Gaussian frequencies (standard deviation sigma of t) where s sigma |x| >= sqrt(1/2), with those of
/// sech wherever x is not 0; for the balanced split with those of a sech(b z) where b (r |w|^2 + |x|^2) >= pi/2.
pub fn log_second_moment(spectrum: &Spectrum, estimator: Estimator, inputs: usize, x: f64, w: f64) -> f64 {
    let (level, r) = damping_factor(estimator.damping, inputs);
    let over_t = match estimator.split {
        Split::Constant(s) => r * (w / s).powi(2) + log_mean_exp_square(spectrum, (s * x).powi(2)),
        Split::Balanced => log_mean_exp_abs(spectrum, r * w * w + x * x),
    };
    match level + 2.0 * spectrum.scale().ln() + over_t {
        _ if spectrum.scale() == 0.0 => f64::NEG_INFINITY,
        log if log.is_nan() => f64::INFINITY,
        log => log,
    }
}

/// E |Z|^2 of one draw: [`log_second_moment`] without the logarithm. The mean of m draws has a variance of at most this / m.
///
/// ```
/// use dualnet::snnk::urf::{Estimator, Spectrum, Split, moment::second_moment};
/// let cos = Spectrum::Cos { a: 1.0, b: 1.0, c: 0.0 };
/// let plain = Estimator { split: Split::Constant(1.0), damping: 0.0 };
/// // exp(|w|^2 + |x|^2).
/// assert!((second_moment(&cos, plain, 5, 0.6, 0.8) - 1f64.exp()).abs() < 1e-14);
/// let sech = Spectrum::Sech { a: 1.0, b: 1.0 };
/// assert!(second_moment(&sech, plain, 5, 0.6, 0.8).is_infinite());
/// assert!(second_moment(&sech, Estimator::default(), 5, 0.6, 0.8).is_finite());
/// ```
pub fn second_moment(spectrum: &Spectrum, estimator: Estimator, inputs: usize, x: f64, w: f64) -> f64 {
    log_second_moment(spectrum, estimator, inputs, x, w).exp()
}

/// Variance of Re Z: m draws estimate f(w.x + b) with a mean square error of this / m. Infinite where the second moment is.
///
/// Cost: one fixed quadrature over t where no closed form is known, accurate to 1e-10 of the second moment.
///
/// ```
/// use dualnet::snnk::urf::{Estimator, Spectrum, moment::variance};
/// // cos at x = w = 0 is a constant: nothing scatters.
/// let cos = Spectrum::Cos { a: 1.0, b: 1.0, c: 0.0 };
/// assert!(variance(&cos, Estimator::default(), &[0.0], &[0.0], 0.7).abs() < 1e-15);
/// ```
pub fn variance(spectrum: &Spectrum, estimator: Estimator, x: &[f64], w: &[f64], b: f64) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (xx, ww, xw) = (dot(x, x), dot(w, w), dot(x, w));
    let whole = second_moment(spectrum, estimator, x.len(), xx.sqrt(), ww.sqrt());
    if !whole.is_finite() {
        return f64::INFINITY;
    }
    let (level, r) = damping_factor(estimator.damping, x.len());
    let angle = 4.0 * (1.0 - 4.0 * estimator.damping) * r * xw + 2.0 * b;
    let exponent = |t: f64| {
        let (rho, eta) = estimator.split.factors(t);
        level + r * ((eta * eta) * ww - (rho * rho) * xx)
    };
    let growth = match estimator.split {
        Split::Constant(_) => 0.0,
        Split::Balanced => (r * ww - xx).max(0.0),
    };
    let square = mean_of_square(spectrum, angle, exponent, growth);
    (0.5 * (whole + square) - spectrum.value(xw + b).powi(2)).max(0.0)
}

/// ln D and r.
fn damping_factor(a: f64, inputs: usize) -> (f64, f64) {
    let d = inputs as f64;
    (d * (-4.0 * a).ln_1p() - 0.5 * d * (-8.0 * a).ln_1p(), 1.0 / (1.0 - 8.0 * a))
}

/// ln E e^(k t^2), k >= 0.
fn log_mean_exp_square(spectrum: &Spectrum, k: f64) -> f64 {
    match *spectrum {
        Spectrum::Cos { b, .. } | Spectrum::Sin { b, .. } => k * b * b,
        // t ~ N(0, -2b)
        Spectrum::Gaussian { b, .. } if -4.0 * b * k < 1.0 => -0.5 * (4.0 * b * k).ln_1p(),
        Spectrum::Sech { b, .. } if k * b == 0.0 => 0.0,
        _ => f64::INFINITY,
    }
}

/// ln E e^(k |t|), k >= 0.
fn log_mean_exp_abs(spectrum: &Spectrum, k: f64) -> f64 {
    match *spectrum {
        Spectrum::Cos { b, .. } | Spectrum::Sin { b, .. } => k * b.abs(),
        Spectrum::Gaussian { b, .. } => {
            let u = (-2.0 * b).sqrt() * k;
            0.5 * u * u + Real::erf(u / SQRT_2).ln_1p()
        }
        Spectrum::Sech { b, .. } => {
            // Density sech(pi t / 2b) / 2b: (2/pi) sum (-1)^n / (n + 1/2 - kb/pi).
            let first = 0.5 - k * b.abs() / PI;
            if first > 0.0 { (2.0 / PI * alternating(first)).ln() } else { f64::INFINITY }
        }
    }
}

/// sum over n >= 0 of (-1)^n / (n + a), a > 0: the first terms, and the rest by Boole's formula to 1e-15.
fn alternating(a: f64) -> f64 {
    const TERMS: i32 = 40;
    let sign = |n: i32| if n % 2 == 0 { 1.0 } else { -1.0 };
    let y = 1.0 / (a + f64::from(TERMS));
    let z = y * y;
    let rest = y * (0.5 + y * 0.25 - y * z * (0.125 - z * (0.25 - z * 17.0 / 16.0)));
    (0..TERMS).rev().map(|n| sign(n) / (a + f64::from(n))).sum::<f64>() + rest
}

/// Re E (tau/q)^2 e^(exponent(t)) e^(i angle t), where exponent(t) is at most `growth` |t| beyond a constant.
fn mean_of_square(spectrum: &Spectrum, angle: f64, exponent: impl Fn(f64) -> f64, growth: f64) -> f64 {
    let scale = spectrum.scale().powi(2);
    match *spectrum {
        Spectrum::Cos { b, c, .. } => scale * exponent(b).exp() * (angle * b + 2.0 * c).cos(),
        Spectrum::Sin { b, c, .. } => -scale * exponent(b).exp() * (angle * b + 2.0 * c).cos(),
        Spectrum::Gaussian { b, .. } => {
            let sigma = (-2.0 * b).sqrt();
            // In units of sigma, so that b = 0 needs no case of its own.
            let density = |v: f64| (-0.5 * v * v).exp() * (2.0 / PI).sqrt();
            let value = |v: f64| density(v) * exponent(sigma * v).exp() * (angle * sigma * v).cos();
            scale * integral(value, sigma * growth + 12.0, angle * sigma)
        }
        Spectrum::Sech { b, .. } => {
            let b = b.abs();
            let value = |v: f64| {
                // sech(pi v / 2) e^(exponent), both exponents in one: apart, either may leave the range.
                let density = 2.0 / (1.0 + (-PI * v).exp());
                density * (exponent(b * v) - FRAC_PI_2 * v).exp() * (angle * b * v).cos()
            };
            scale * integral(value, 36.0 / (FRAC_PI_2 - b * growth).max(1e-4), angle * b)
        }
    }
}

/// Integral over (0, `end`) of what oscillates at `frequency`: panels of 24 Gauss-Legendre points.
fn integral(f: impl Fn(f64) -> f64, end: f64, frequency: f64) -> f64 {
    let rule = Rule::gauss_legendre(24);
    let panels = (end * (1.0 + frequency.abs() / 4.0)).ceil().clamp(1.0, 1e5);
    let half = 0.5 * end / panels;
    let mut sum = 0.0;
    for panel in 0..panels as usize {
        let middle = half * (2 * panel + 1) as f64;
        sum += rule.nodes.iter().zip(&rule.weights).map(|(x, w)| w * half * f(middle + half * x)).sum::<f64>();
    }
    sum
}

/// Refuses norms for which `features` draws miss a root mean square error of `error`, by the second moment.
///
/// ```
/// use dualnet::snnk::urf::{Estimator, Spectrum, moment::check};
/// let cos = Spectrum::Cos { a: 1.0, b: 1.0, c: 0.0 };
/// assert!(check(&cos, Estimator::default(), 5, 1024, 0.6, 0.8, 0.1).is_ok());
/// // Images of 784 pixels, a layer of standard initialisation.
/// let refused = check(&cos, Estimator::default(), 784, 4096, 9.2, 28.0, 0.1).unwrap_err().to_string();
/// assert!(refused.contains("|x| = 9.2") && refused.contains("features would be needed"));
/// ```
///
/// # Errors
/// A predicted error above the limit: it names norms, variance, the number of features needed, and ways out.
pub fn check(
    spectrum: &Spectrum,
    estimator: Estimator,
    inputs: usize,
    features: usize,
    x: f64,
    w: f64,
    error: f64,
) -> Result<()> {
    let hint = match (spectrum, estimator.split) {
        (Spectrum::Gaussian { .. } | Spectrum::Sech { .. }, Split::Constant(_)) => "take Split::Balanced first",
        _ => "scale inputs or parameters down",
    };
    allow(log_second_moment(spectrum, estimator, inputs, x, w), features, (x, w), error, hint)
}

/// The error of [`check`] from a logarithm of the second moment.
pub(super) fn allow(log_moment: f64, features: usize, (x, w): (f64, f64), error: f64, first: &str) -> Result<()> {
    if !(error > 0.0 && error.is_finite()) {
        return Err(Error::Invalid {
            what: "limit of the error of universal random features".into(),
            expected: "a finite number > 0".into(),
            found: error.to_string(),
            hint: "0.1 suits activations with values near 1".into(),
        });
    }
    let needed = log_moment - 2.0 * error.ln();
    if needed <= (features as f64).ln() {
        return Ok(());
    }
    let found = if log_moment == f64::INFINITY {
        "an infinite variance, which no number of features mends".to_string()
    } else {
        format!(
            "a variance of up to {} a feature with {features} features; {} features would be needed",
            power_of_ten(log_moment),
            power_of_ten(needed)
        )
    };
    Err(Error::Invalid {
        what: format!("norms |x| = {} and |w| = {} of universal random features", short(x), short(w)),
        expected: format!("norms that allow a root mean square error of {error}"),
        found,
        hint: format!(
            "{first}; else use ReLU features (ReLU-SNNK), the bounded form with parameters trained freely, or a fit in closed form"
        ),
    })
}

/// e^`log`, also where that is beyond every number.
fn power_of_ten(log: f64) -> String {
    if log < 13.0 { format!("{:.3}", log.exp()) } else { format!("1e{:.0}", log / LN_10) }
}

/// Four digits of a norm.
fn short(x: f64) -> String {
    if (1e-3..1e6).contains(&x) { format!("{}", (x * 1e3).round() / 1e3) } else { format!("{x:.3e}") }
}
