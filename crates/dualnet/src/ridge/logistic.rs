//! Multinomial logistic regression on features: convex, without a formula for its minimum, found by L-BFGS.
//!
//! ```text
//! minimise  sum w (ln sum_c exp f_c(x) - f_label(x)) / W + lambda / 2 |theta|^2,    f(x) = intercept + phi(x) . theta
//! ```
//!
//! The intercepts bear no penalty. Features are centred on the way, which changes nothing but the speed.

use super::chunk::weight;
use super::classify::{Calibration, check_labels, softmax};
use super::lbfgs::minimise;
use super::logistic_loss::LogisticLoss;
use super::options::LambdaScale;
use super::primal::PrimalFit;
use super::statistics::check_weights;
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::{Mat, MatRef, Update, affine, gemm_nn, in_range};
use crate::resources::Resources;

/// Options of [`logistic()`].
#[derive(Clone, Debug, PartialEq)]
pub struct LogisticOptions {
    /// Weight of the penalty, positive.
    pub lambda: f64,
    /// Its unit: by default the mean variance of the features.
    pub scale: LambdaScale,
    /// It ends when no derivative exceeds this share of the largest one at the start from zero.
    pub tolerance: f64,
    /// It ends after so many steps.
    pub steps: u64,
}

impl Default for LogisticOptions {
    fn default() -> Self {
        Self { lambda: 1e-4, scale: LambdaScale::default(), tolerance: 1e-5, steps: 500 }
    }
}

/// Why a minimisation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The derivatives are as small as was asked.
    Converged,
    /// No step lowers the loss in f64 any more, or the steps allowed are used up: see [`LogisticFit::residual`].
    Stopped,
}

/// Logistic regression, fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct LogisticFit {
    /// Coefficients (m, classes).
    pub theta: Mat<f64>,
    /// One for each class.
    pub intercept: Vec<f64>,
    /// The value that was minimised, in nats.
    pub objective: f64,
    /// Largest derivative of it by a coefficient or intercept, for features that are centred and scaled to a mean variance of 1: 0 at the
    /// minimum.
    pub residual: f64,
    /// The same at theta = 0, with the shares of the classes as probabilities.
    pub residual_at_zero: f64,
    /// lambda in units of 1.
    pub lambda_absolute: f64,
    /// Evaluations of the loss and its gradient.
    pub evaluations: u64,
    /// Why it ended.
    pub outcome: Outcome,
}

impl LogisticFit {
    /// Probabilities (n, classes) from features (n, m).
    pub fn probabilities(&self, features: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        features.check_finite("features of new rows")?;
        let scores = affine(&self.intercept, features, self.theta.as_ref(), resources)?;
        let mut out = in_range(scores, "scores of classes")?;
        (0..out.rows()).for_each(|i| {
            softmax(out.row_mut(i));
        });
        Ok(out)
    }
}

/// Fits features (n, m) to labels 0 to `classes` - 1, with a weight for each row (empty: all 1). `start`, a ridge fit of the one-hot
/// targets on the same features, saves steps: its scores are scaled by a [`Calibration`] and taken from there.
///
/// # Errors
/// Shapes; numbers that are not finite; labels out of range; no row of positive weight; features that do not vary; options out of
/// range; memory.
///
/// Cost 4 n m classes operations an evaluation, in f64; n classes numbers of memory beside the features.
///
/// ```
/// use dualnet::ridge::{LambdaScale, LogisticOptions, Outcome, logistic};
/// use dualnet::{Mat, Resources};
/// let resources = Resources::new(1)?;
/// // Three of four at -1 are of class 0, three of four at 1 of class 1: log odds of ln 3 on either side.
/// let x = Mat::from_fn(8, 1, |i, _| if i < 4 { -1.0f32 } else { 1.0 });
/// let labels = [0, 0, 0, 1, 1, 1, 1, 0];
/// let options = LogisticOptions { lambda: 1e-9, scale: LambdaScale::Absolute, tolerance: 1e-9, steps: 100 };
/// let fit = logistic(x.as_ref(), &labels, 2, &[], None, &options, &resources)?;
/// assert_eq!(fit.outcome, Outcome::Converged);
/// assert!((fit.theta[(0, 1)] - fit.theta[(0, 0)] - 3f64.ln()).abs() < 1e-6);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn logistic<T: Float>(
    features: MatRef<'_, T>,
    labels: &[usize],
    classes: usize,
    weights: &[f64],
    start: Option<&PrimalFit>,
    options: &LogisticOptions,
    resources: &Resources,
) -> Result<LogisticFit> {
    let (n, m) = (features.rows(), features.cols());
    check(features, labels, classes, weights, start, options)?;
    resources.reserve("logistic regression", 8 * (n as u64 + 50 * m as u64) * classes as u64, "use fewer features")?;
    let total: f64 = if weights.is_empty() { n as f64 } else { weights.iter().sum() };
    let shares: Vec<f64> = (0..n).map(|i| weight(weights, i) / total).collect();
    let (mean, variance) = moments(features, &shares);
    let unit = variance.iter().sum::<f64>() / m as f64;
    if !(total > 0.0 && unit.is_finite() && unit > f64::MIN_POSITIVE) {
        return Err(Error::Invalid {
            what: "mean variance of the features of a logistic regression".into(),
            expected: "a positive number, over rows of positive weight".into(),
            found: unit.to_string(),
            hint: "all rows have the same features, or no weight".into(),
        });
    }
    // The problem is solved for features of mean variance 1, so that a first step of length 1 suits any units.
    let (root, lambda) = match options.scale {
        LambdaScale::MeanDiagonal => (unit.sqrt(), options.lambda),
        LambdaScale::Absolute => (unit.sqrt(), options.lambda / unit),
    };
    let zero = at_zero(labels, &shares, m, classes);
    let begin = match start {
        Some(fit) => from_ridge(fit, features, labels, (&mean, root), resources)?,
        None => zero.clone(),
    };
    let loss = LogisticLoss { features, labels, shares, mean, scale: 1.0 / root, classes, lambda, resources };
    let at_zero = super::lbfgs::Smooth::evaluate(&loss, &zero)?;
    let residual_at_zero = at_zero.1.iter().fold(0.0f64, |most, g| g.abs().max(most));
    // A start worse than nothing is none.
    let begin = if super::lbfgs::Smooth::evaluate(&loss, &begin)?.0 <= at_zero.0 { begin } else { zero };
    let found = minimise(&loss, begin, options.tolerance * residual_at_zero, options.steps, resources)?;
    let theta = found.at[..m * classes].iter().map(|t| t / root).collect();
    let theta = in_range(Mat::from_vec(m, classes, theta)?, "coefficients of a logistic regression")?;
    let intercept = (0..classes).map(|c| {
        let pull: f64 = loss.mean.iter().enumerate().map(|(i, mean)| mean * theta[(i, c)]).sum();
        found.at[m * classes + c] - pull
    });
    let residual = found.residual();
    let converged = residual <= options.tolerance * residual_at_zero;
    Ok(LogisticFit {
        intercept: intercept.collect(),
        theta,
        objective: found.value,
        residual,
        residual_at_zero,
        lambda_absolute: lambda * unit,
        evaluations: found.evaluations + 2,
        outcome: if converged { Outcome::Converged } else { Outcome::Stopped },
    })
}

/// Weighted means and variances of the columns of at least one row.
fn moments<T: Float>(features: MatRef<'_, T>, shares: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let m = features.cols();
    // About the first row, so that columns that do not vary have a variance of exactly 0.
    let origin: Vec<f64> = features.row(0).iter().map(|x| x.to_f64()).collect();
    let (mut mean, mut variance) = (vec![0.0; m], vec![0.0; m]);
    for (i, share) in shares.iter().enumerate() {
        let row = features.row(i).iter().zip(&origin);
        mean.iter_mut().zip(row).for_each(|(s, (x, o))| *s += share * (x.to_f64() - o));
    }
    mean.iter_mut().zip(&origin).for_each(|(mean, o)| *mean += o);
    for (i, share) in shares.iter().enumerate() {
        let row = features.row(i).iter().zip(&mean);
        variance.iter_mut().zip(row).for_each(|(s, (x, mean))| *s += share * (x.to_f64() - mean).powi(2));
    }
    (mean, variance)
}

/// No coefficients, and the logarithms of the shares of the classes (of half a row where there is none), of mean 0.
fn at_zero(labels: &[usize], shares: &[f64], m: usize, classes: usize) -> Vec<f64> {
    let mut counts = vec![0.5 / labels.len() as f64; classes];
    labels.iter().zip(shares).for_each(|(&label, share)| counts[label] += share);
    let logs: Vec<f64> = counts.iter().map(|c| c.ln()).collect();
    let mean = logs.iter().sum::<f64>() / classes as f64;
    let mut out = vec![0.0; m * classes];
    out.extend(logs.iter().map(|l| l - mean));
    out
}

/// Scores of a ridge fit, scaled so that they are logits.
fn from_ridge<T: Float>(
    fit: &PrimalFit,
    features: MatRef<'_, T>,
    labels: &[usize],
    (mean, root): (&[f64], f64),
    resources: &Resources,
) -> Result<Vec<f64>> {
    const ROWS: usize = 256;
    let (n, m, k) = (features.rows(), features.cols(), fit.theta.cols());
    let centre: Vec<f64> = (0..k)
        .map(|c| fit.intercept[c] + mean.iter().enumerate().map(|(i, mean)| mean * fit.theta[(i, c)]).sum::<f64>())
        .collect();
    let mut scores = Mat::from_fn(n, k, |_, c| centre[c]);
    for (block, out) in scores.as_mut_slice().chunks_mut(ROWS * k).enumerate() {
        let rows = Mat::from_fn(out.len() / k, m, |i, j| features.row(block * ROWS + i)[j].to_f64() - mean[j]);
        let out = crate::linalg::MatMut::new(out, rows.rows(), k, k)?;
        gemm_nn(out, Update::Add, 1.0, rows.as_ref(), fit.theta.as_ref())?;
    }
    let calibration = Calibration::fit(scores.as_ref(), labels, resources)?;
    let mut out: Vec<f64> = fit.theta.as_slice().iter().map(|t| calibration.scale * root * t).collect();
    out.extend(centre.iter().zip(&calibration.bias).map(|(c, b)| calibration.scale * c + b));
    Ok(out)
}

fn check<T: Float>(
    features: MatRef<'_, T>,
    labels: &[usize],
    classes: usize,
    weights: &[f64],
    start: Option<&PrimalFit>,
    options: &LogisticOptions,
) -> Result<()> {
    let (n, m) = (features.rows(), features.cols());
    let started = start.is_none_or(|s| (s.theta.rows(), s.theta.cols(), s.intercept.len()) == (m, classes, classes));
    if labels.len() != n || n == 0 || m == 0 || !started {
        return Err(Error::Shape {
            what: "logistic regression".into(),
            expected: format!("{n} labels, one for each row, at least one; a start of {m} features, {classes} classes"),
            found: format!("{} labels, features {n} x {m}", labels.len()),
        });
    }
    check_labels(labels, classes)?;
    check_weights(weights, n, 0)?;
    features.check_finite("features of a logistic regression")?;
    for (what, value) in [("lambda", options.lambda), ("tolerance", options.tolerance)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(Error::Invalid {
                what: format!("{what} of a logistic regression"),
                expected: "a finite positive number".into(),
                found: value.to_string(),
                hint: "without a penalty separable classes have no minimum; try 1e-6".into(),
            });
        }
    }
    Ok(())
}
