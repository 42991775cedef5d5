//! What an iterative fit is told, and the check of it.

use super::operator::KernelOperator;
use crate::error::{Error, Result};
use crate::linalg::MatRef;
use crate::ridge::options::{Centering, check_lambdas};

/// Whether a lambda may end before it has converged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyStop {
    /// No.
    Never,
    /// When the error on the hold-out rows has not fallen by a thousandth for so many steps; the best step counts.
    Patience(usize),
}

/// What happens once the hold-out rows have chosen lambda.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterHoldout {
    /// The model is fitted to all rows at that lambda, starting from what was found and as far as that had converged.
    #[default]
    Refit,
    /// The model stays that of the other rows.
    Keep,
}

/// Options of [`fit`](super::fit()).
#[derive(Clone, Debug, PartialEq)]
pub struct IterativeOptions {
    /// Lambdas in units of the mean diagonal of the kernel, positive; solved from the largest to the smallest, each from the
    /// solution of the one before. More than one needs hold-out rows to choose by.
    pub lambdas: Vec<f64>,
    /// Treatment of the mean of the targets; [`Centering::Intercept`] is not supported.
    pub centering: Centering,
    /// A column has converged when the norm of its residual is this share of that of its targets.
    pub tolerance: f64,
    /// Steps for each lambda, at most.
    pub steps: usize,
    /// Rows that are left out to choose lambda by; empty: none.
    pub holdout: Vec<usize>,
    /// Whether the hold-out rows may end a lambda early.
    pub early_stop: EarlyStop,
    /// A smaller lambda must lower the error of the hold-out rows by this share, or the path ends with the one before it. 0: all are
    /// solved, and the least error wins.
    pub gain: f64,
    /// What happens after the choice.
    pub after: AfterHoldout,
}

impl Default for IterativeOptions {
    fn default() -> Self {
        Self {
            lambdas: vec![1e-3],
            centering: Centering::default(),
            tolerance: 1e-4,
            steps: 500,
            holdout: Vec::new(),
            early_stop: EarlyStop::Patience(20),
            gain: 0.0,
            after: AfterHoldout::default(),
        }
    }
}

/// Refuses what cannot work, and gives the rows that are fitted (`None`: all).
pub(super) fn check(
    operator: &dyn KernelOperator,
    targets: MatRef<'_, f64>,
    preconditioner: Option<usize>,
    options: &IterativeOptions,
) -> Result<Option<Vec<bool>>> {
    let n = operator.side();
    if targets.rows() != n || targets.cols() == 0 || n == 0 {
        return Err(Error::Shape {
            what: "targets of an iterative fit".into(),
            expected: format!("{n} rows, as the kernel, at least one, and one or more columns"),
            found: format!("{} x {}", targets.rows(), targets.cols()),
        });
    }
    if let Some(side) = preconditioner.filter(|side| *side != n) {
        return Err(Error::Shape {
            what: "preconditioner".into(),
            expected: format!("{n} rows, as the kernel"),
            found: side.to_string(),
        });
    }
    targets.check_finite("targets of an iterative fit")?;
    check_lambdas(&options.lambdas)?;
    if options.lambdas.iter().any(|l| *l <= 0.0) {
        return Err(invalid("lambda of an iterative fit", "positive numbers", "0", "take 1e-8, or the exact fit"));
    }
    if !(options.tolerance > 0.0 && options.tolerance < 1.0) || options.steps == 0 {
        let found = format!("{} and {} steps", options.tolerance, options.steps);
        return Err(invalid(
            "tolerance",
            "a share between 0 and 1, and at least one step",
            &found,
            "1e-4 and 500 suit",
        ));
    }
    if !(0.0..1.0).contains(&options.gain) {
        let found = options.gain.to_string();
        return Err(invalid("gain of a smaller lambda", "a share, 0 or more and below 1", &found, "0.01 saves time"));
    }
    if options.centering == Centering::Intercept {
        return Err(Error::Unsupported {
            at: "iterative fit".into(),
            what: "an intercept fitted together with the coefficients".into(),
            hint: "centre the targets".into(),
        });
    }
    mask(n, options)
}

/// Whether a smaller lambda is taken, by the errors of the rows held out; without any, the last is.
pub(super) fn better(error: Option<f64>, known: Option<f64>, gain: f64) -> bool {
    match (error, known) {
        (Some(error), Some(known)) => error < (1.0 - gain) * known,
        _ => true,
    }
}

fn mask(n: usize, options: &IterativeOptions) -> Result<Option<Vec<bool>>> {
    if options.holdout.is_empty() {
        let several = options.lambdas.iter().any(|l| *l != options.lambdas[0]);
        return match several {
            true => {
                Err(invalid("hold-out rows", "some, to choose among lambdas by", "none", "name rows, or one lambda"))
            }
            false => Ok(None),
        };
    }
    let mut keep = vec![true; n];
    for &row in &options.holdout {
        match keep.get_mut(row) {
            Some(keep) => *keep = false,
            None => return Err(invalid("hold-out row", &format!("below {n}"), &row.to_string(), "count rows from 0")),
        }
    }
    if !keep.contains(&true) {
        return Err(invalid("hold-out rows", "fewer than all", &format!("all {n}"), "leave rows to fit to"));
    }
    Ok(Some(keep))
}

fn invalid(what: &str, expected: &str, found: &str, hint: &str) -> Error {
    Error::Invalid { what: what.into(), expected: expected.into(), found: found.into(), hint: hint.into() }
}
