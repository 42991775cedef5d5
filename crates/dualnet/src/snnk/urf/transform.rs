//! Functions whose Fourier transform can be sampled.
//!
//! | f(z) | tau(xi) = int f(z) e^(-2 pi i xi z) dz | xi is drawn | tau / q |
//! |---|---|---|---|
//! | a cos(b z + c) | a (e^(ic) delta(xi - b/2pi) + e^(-ic) delta(xi + b/2pi)) / 2 | +-b/2pi, 1/2 each | a e^(+-ic) |
//! | a sin(b z + c) | a (e^(ic) delta(xi - b/2pi) - e^(-ic) delta(xi + b/2pi)) / 2i | +-b/2pi, 1/2 each | -+i a e^(+-ic) |
//! | a e^(b z^2), b < 0 | a sqrt(pi/-b) e^(pi^2 xi^2 / b) | N(0, -b / 2pi^2) | a |
//! | a sech(b z) | a (pi/b) sech(pi^2 xi / b) | b ln(tan(pi u / 2)) / pi^2, u uniform | a |
//!
//! Tanh, sigmoid and erf (tau ~ 1/xi at 0) and whatever grows like |z| (ReLU, GELU, softplus, SiLU) have no transform that could
//! be sampled: see [`super::windowed`].

use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::random::Draws;
use crate::simd::{F64s, Real};
use serde::{Deserialize, Serialize};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI, SQRT_2};

/// A function together with its Fourier transform, as a measure that frequencies are drawn from.
///
/// ```
/// use dualnet::{activation::Activation, random::{Draws, Purpose}, snnk::urf::Spectrum};
/// let bell = Spectrum::of(&Activation::Gaussian { a: 1.0, b: -0.5 })?;
/// // f(z) = E (tau/q) e^(2 pi i xi z): here with tau/q = 1.
/// let mut draws = Draws::new(1, Purpose::FREQUENCIES, 0);
/// let mean = (0..40_000).map(|_| (std::f64::consts::TAU * bell.draw(&mut draws)).cos()).sum::<f64>() / 4e4;
/// assert!((mean - (-0.5f64).exp()).abs() < 0.01);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spectrum {
    /// a cos(b z + c)
    Cos {
        /// Scale.
        a: f64,
        /// Frequency.
        b: f64,
        /// Phase.
        c: f64,
    },
    /// a sin(b z + c)
    Sin {
        /// Scale.
        a: f64,
        /// Frequency.
        b: f64,
        /// Phase.
        c: f64,
    },
    /// a e^(b z^2), b <= 0
    Gaussian {
        /// Scale.
        a: f64,
        /// Exponent, at most 0.
        b: f64,
    },
    /// a sech(b z) = a / cosh(b z)
    Sech {
        /// Scale.
        a: f64,
        /// Rate.
        b: f64,
    },
}

impl Spectrum {
    /// The spectrum of an activation, exactly: `sin`, `cos`, `rbf` and `gaussian` have one.
    ///
    /// # Errors
    /// Any other activation; parameters that are not finite; a growing Gaussian.
    pub fn of(activation: &Activation) -> Result<Self> {
        let spectrum = match *activation {
            Activation::Sin { a, b, c } => Self::Sin { a, b, c },
            Activation::Cos { a, b, c } => Self::Cos { a, b, c },
            Activation::Rbf { gamma } => Self::Sin { a: SQRT_2, b: (2.0 * gamma).sqrt(), c: FRAC_PI_4 },
            Activation::Gaussian { a, b } => Self::Gaussian { a, b },
            ref other => {
                return Err(Error::Unsupported {
                    at: "universal random features".into(),
                    what: format!("{}, whose Fourier transform cannot be sampled,", other.name()),
                    hint: "use a windowed series (snnk::urf::windowed) or ReLU features".into(),
                });
            }
        };
        spectrum.check()?;
        Ok(spectrum)
    }

    /// Refuses parameters for which there is no transform.
    ///
    /// # Errors
    /// A parameter that is not finite; a Gaussian with b > 0.
    pub fn check(&self) -> Result<()> {
        let (parameters, grows) = match *self {
            Self::Cos { a, b, c } | Self::Sin { a, b, c } => ([a, b, c], false),
            Self::Gaussian { a, b } => ([a, b, 0.0], b > 0.0),
            Self::Sech { a, b } => ([a, b, 0.0], false),
        };
        if parameters.iter().all(|p| p.is_finite()) && !grows {
            return Ok(());
        }
        Err(Error::Invalid {
            what: "function of universal random features".into(),
            expected: "finite parameters, and b <= 0 for a Gaussian".into(),
            found: format!("{self:?}"),
            hint: "correct the parameters".into(),
        })
    }

    /// f(z).
    pub fn value(&self, z: f64) -> f64 {
        match *self {
            Self::Cos { a, b, c } => a * (b * z + c).cos(),
            Self::Sin { a, b, c } => a * (b * z + c).sin(),
            Self::Gaussian { a, b } => a * (b * z * z).exp(),
            Self::Sech { a, b } => {
                // Not 1 / cosh: that overflows where f is a small number.
                let e = (-(b * z).abs()).exp();
                a * 2.0 * e / (1.0 + e * e)
            }
        }
    }

    /// Draws a frequency xi. The bits are the same on every platform.
    pub fn draw(&self, draws: &mut Draws) -> f64 {
        match *self {
            Self::Cos { b, .. } | Self::Sin { b, .. } => {
                let xi = b / (2.0 * PI);
                if draws.uniform() < 0.5 { xi } else { -xi }
            }
            Self::Gaussian { b, .. } => (-2.0 * b).sqrt() * draws.normal() / (2.0 * PI),
            Self::Sech { b, .. } => {
                // Of the two halves of u the one with an accurate tangent; the sign tells them apart.
                let u = draws.uniform();
                let (sin, cos) = F64s(pulp::Scalar, FRAC_PI_2 * u.min(1.0 - u)).sin_cos();
                let tail = (cos / sin).ln().1;
                b * tail.copysign(u - 0.5) / (PI * PI)
            }
        }
    }

    /// (tau/q)(xi), real and imaginary part, for a frequency that [`Self::draw`] may give. Its modulus is |a|.
    pub fn weight(&self, xi: f64) -> (f64, f64) {
        // e^(i(bz + c)) belongs to the xi that has the sign of b; a zero carries its sign too.
        let turn = |b: f64, c: f64| {
            let sign = if xi.is_sign_negative() == b.is_sign_negative() { 1.0 } else { -1.0 };
            let (sin, cos) = F64s(pulp::Scalar, c).sin_cos();
            (cos.1, sign * sin.1, sign)
        };
        match *self {
            Self::Cos { a, b, c } => {
                let (re, im, _) = turn(b, c);
                (a * re, a * im)
            }
            Self::Sin { a, b, c } => {
                let (re, im, sign) = turn(b, c);
                (a * sign * im, -a * sign * re)
            }
            Self::Gaussian { a, .. } | Self::Sech { a, .. } => (a, 0.0),
        }
    }

    /// Scale a: the modulus of every weight.
    pub fn scale(&self) -> f64 {
        match *self {
            Self::Cos { a, .. } | Self::Sin { a, .. } | Self::Gaussian { a, .. } | Self::Sech { a, .. } => a.abs(),
        }
    }

    /// E|t|, t = 2 pi xi: |b|, sqrt(2/pi) sigma or (8 G / pi^2) |b| with Catalan's constant G.
    pub fn mean_frequency(&self) -> f64 {
        const CATALAN: f64 = 0.915_965_594_177_219;
        match *self {
            Self::Cos { b, .. } | Self::Sin { b, .. } => b.abs(),
            Self::Gaussian { b, .. } => (-4.0 * b / PI).sqrt(),
            Self::Sech { b, .. } => 8.0 * CATALAN / (PI * PI) * b.abs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    /// E (tau/q) e^(2 pi i xi z) is f, with an imaginary part of 0: within five standard errors.
    #[test]
    fn frequencies_and_weights_give_the_function_back() {
        let n = 40_000;
        for spectrum in [
            Spectrum::Cos { a: 1.5, b: 0.7, c: 0.4 },
            Spectrum::Cos { a: 1.5, b: -0.7, c: 0.4 },
            Spectrum::Cos { a: 1.5, b: 0.0, c: 0.4 },
            Spectrum::Sin { a: -1.2, b: 1.3, c: 0.3 },
            Spectrum::Sin { a: 1.2, b: -1.3, c: 0.3 },
            Spectrum::Sin { a: 1.2, b: 0.0, c: 0.3 },
            Spectrum::Gaussian { a: 0.8, b: -0.3 },
            Spectrum::Sech { a: 2.0, b: 0.6 },
        ] {
            let mut draws = Draws::new(5, Purpose::FREQUENCIES, 0);
            let xi: Vec<f64> = (0..n).map(|_| spectrum.draw(&mut draws)).collect();
            for z in [-2.0, 0.0, 0.5, 3.0] {
                let (mut re, mut im) = (0.0, 0.0);
                for &xi in &xi {
                    let ((sin, cos), (u, v)) = ((2.0 * PI * xi * z).sin_cos(), spectrum.weight(xi));
                    re += (u * cos - v * sin) / f64::from(n);
                    im += (u * sin + v * cos) / f64::from(n);
                }
                let error = 5.0 * spectrum.scale() / f64::from(n).sqrt();
                assert!((re - spectrum.value(z)).abs() < error, "{spectrum:?} {z}: {re} {}", spectrum.value(z));
                assert!(im.abs() < error, "{spectrum:?} {z}: {im}");
            }
            let mean = xi.iter().map(|xi| (2.0 * PI * xi).abs()).sum::<f64>() / f64::from(n);
            assert!((mean - spectrum.mean_frequency()).abs() <= 0.02 * mean, "{spectrum:?}: {mean}");
        }
    }

    #[test]
    fn draws_are_those_of_version_1() {
        let bits = |s: Spectrum| s.draw(&mut Draws::new(1, Purpose::FREQUENCIES, 2)).to_bits();
        let drawn = [bits(Spectrum::Gaussian { a: 1.0, b: -0.5 }), bits(Spectrum::Sech { a: 1.0, b: 1.0 })];
        assert_eq!(drawn, DRAWN, "other draws: raise GENERATOR");
    }
    const DRAWN: [u64; 2] = [13_822_919_842_678_701_217, 13_823_340_578_751_467_702];
}
