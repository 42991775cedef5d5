//! How large a net may be. A net file is untrusted text: what is read from it is bounded before it is believed.

use crate::error::{Error, Result};

/// Bytes of a net file: room for [`MAX_LAYERS`] layers with all their keys, 25 coefficients included.
pub const MAX_TEXT: usize = 8 << 20;
/// Layers and branches of a net, nested ones included.
pub const MAX_LAYERS: usize = 10_000;
/// Branches within branches: what a parser of limited recursion can read back.
pub const MAX_DEPTH: usize = 16;
/// Positions of a kernel, window or stride along one axis.
pub const MAX_SIZE: usize = 4096;
/// Largest magnitude of a parameter: a^2 b^2 stays below 1e36 and within single precision.
pub const MAX_NUMBER: f64 = 1e9;
/// Smallest standard deviation other than 0: its square stays a normal number of single precision.
pub const MIN_STD: f64 = 1e-9;
/// Degree of `monomial`, `rectified_monomial` and `polynomial`: the variance of x^n is (2n-1)!! p^n, and (2n-1)!! = 1.2e30 for n = 24
/// leaves single precision room for p^n.
pub const MAX_DEGREE: u32 = 24;
/// Degree n of the kernel c^n of `hermite`, which has no factorial in front.
pub const MAX_HERMITE_DEGREE: u32 = 100;
/// Degree of a Hermite expansion (`"dual": {"hermite": L}`): each sample keeps L + 1 numbers.
pub const MAX_EXPANSION: usize = 300;
/// Points of a quadrature (`"dual": {"quadrature": m}`): each pair of samples costs m^2 evaluations of the activation.
pub const MAX_POINTS: usize = 200;
/// gamma (1 + shift) of `exp_normalized`: its exponential stays within single precision.
pub const MAX_EXPONENT: f64 = 80.0;

/// The error of this module's users.
pub(super) fn refuse(at: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Net { at: at.into(), problem: problem.into(), hint: hint.into() }
}

/// Counts one more layer or branch; the reader and the walk share the limits.
pub(super) fn count(layers: &mut usize, at: &str, depth: usize) -> Result<()> {
    *layers += 1;
    // The list of the net itself is the one beyond.
    if *layers > MAX_LAYERS + 1 {
        return Err(refuse(at, "too many layers", format!("the limit is {MAX_LAYERS} layers and branches")));
    }
    if depth > MAX_DEPTH {
        return Err(refuse(at, "branches nested too deeply", format!("the limit is {MAX_DEPTH}")));
    }
    Ok(())
}

/// Numbers that a key may hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Range {
    /// A standard deviation that must let something through.
    Positive,
    /// A standard deviation that may be 0.
    ZeroOrPositive,
    /// Of any sign.
    Any,
    /// At most 0.
    NotPositive,
    /// Above `.0`, at most `.1`.
    Above(f64, f64),
    /// From `.0` to `.1`.
    Between(f64, f64),
}

impl Range {
    /// Refuses `value` at `at` outside the range, NaN and infinities always.
    pub(super) fn check(self, at: impl FnOnce() -> String, value: f64) -> Result<()> {
        let (good, expected) = match self {
            Self::Positive => {
                ((MIN_STD..=MAX_NUMBER).contains(&value), format!("a number from {MIN_STD:e} to {MAX_NUMBER:e}"))
            }
            Self::ZeroOrPositive => (
                value == 0.0 || (MIN_STD..=MAX_NUMBER).contains(&value),
                format!("0 or a number from {MIN_STD:e} to {MAX_NUMBER:e}"),
            ),
            Self::Any => (value.abs() <= MAX_NUMBER, format!("a number of magnitude at most {MAX_NUMBER:e}")),
            Self::NotPositive => {
                ((-MAX_NUMBER..=0.0).contains(&value), format!("0 or a negative number down to {:e}", -MAX_NUMBER))
            }
            Self::Above(low, high) => {
                (value > low && value <= high, format!("a number above {low} and at most {high}"))
            }
            Self::Between(low, high) => ((low..=high).contains(&value), format!("a number from {low} to {high}")),
        };
        if good { Ok(()) } else { Err(refuse(at(), format!("found {value:?}"), format!("expected {expected}"))) }
    }
}

/// Refuses `value` at `at` outside `low..=high`.
pub(super) fn check_count(at: impl FnOnce() -> String, value: usize, low: usize, high: usize) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(refuse(at(), format!("found {value}"), format!("expected a whole number from {low} to {high}")))
}
