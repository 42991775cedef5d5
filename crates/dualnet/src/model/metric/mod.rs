//! Learning which inputs matter: a metric on the inputs from the gradients of the fitted function, solved again (the recursive feature
//! machine of Radhakrishnan, Beaglehole, Pandit and Belkin, 2024).
//!
//! With f fitted at its best lambda, G = (1/n) sum_i sum_k grad f_k(x_i) grad f_k(x_i)^T says how much each direction of the input moves
//! the outputs. Inputs become M^(1/2) x, and the kernel is solved for again; at most [`STEPS`] times:
//!
//! - full: M = G^(1/2) d / tr G^(1/2);
//! - diagonal: M = diag(sqrt G_jj) d / sum_j sqrt G_jj;
//! - sharp: M = diag(s_j G_jj) d / sum_j s_j G_jj, with s_j = max(1 - N_j / G_j, 1/10) for all columns of an input, N_j and G_j being sums over them
//!   (classes: s_j = 1).
//!
//! N is what the same fit makes of noise: the mean squares of gradients of fits to normal numbers, at the same lambda, as large as what is left
//! unexplained of rows left out. An input of noise has G_j near N_j, whatever its scale and encoding, and goes almost at once; altogether if
//! cross-validation finds that better.
//! The square root matters for directions: M = G collapses to one or two within two steps. Whether a metric helps, and for which net and
//! encoding, is asked of 3-fold cross-validation ([`gate`], [`race`]), never of leave-one-out: the metric has seen the targets of the rows left out, so that their error
//! falls while that of new rows rises.

mod chain;
mod fold;
mod gate;
mod learn;
mod race;
mod step;
mod task;
mod transform;

pub(super) use gate::{expected, flops};
pub(super) use learn::{Learned, learn};
pub(super) use task::{Input, Search};
pub use transform::Metric;

use super::candidates::KernelKind;
use super::preprocess::Encoding;
use crate::linalg::{Mat, MatRef};
use serde::{Deserialize, Serialize};

/// Most steps.
pub const STEPS: usize = 3;

/// Rows that cross-validation takes, drawn at random beyond.
pub(super) const GATE_ROWS: usize = 1200;

/// Rows that a metric is learned from, drawn at random beyond: a kernel matrix and its decomposition for each step.
pub(super) const LEARN_ROWS: usize = 3000;

/// The same for fits that are not exact, whose other parts take seconds.
pub(super) const SOME_ROWS: usize = 2000;

/// Rows that tell whether what was learned from some of many rows will help all of them.
pub(super) const JUDGED_ROWS: usize = 2000;

/// Below so many rows `auto` takes no step: a fold would judge by some ten rows.
const LEAST_ROWS: usize = 40;

/// Widest inputs that a full metric is learned for: it takes 9 d^3 operations a step, and d^2 numbers in the model.
pub(super) const WIDEST: usize = 1024;

/// A metric is used if the error of cross-validation is below this share of that without it.
pub(super) const GAIN: f64 = 0.98;

/// Whether to learn a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricChoice {
    /// No.
    #[default]
    None,
    /// Full, diagonal or sharp, if cross-validation finds that it lowers the error by more than 2 %.
    Auto,
    /// Full, with the number of steps that cross-validation finds best, at least one.
    Full,
    /// Diagonal, likewise.
    Diagonal,
    /// Sharp, likewise.
    Sharp,
}

/// The shape of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// A d x d matrix: directions.
    Full,
    /// One number an input: the root of the mean square of the derivatives by it.
    Diagonal,
    /// One number an input: that mean square itself, less what fits to noise have there, which takes inputs of noise almost away.
    Sharp,
}

impl MetricKind {
    /// `full`, `diagonal` or `sharp`.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Full => "full",
            MetricKind::Diagonal => "diagonal",
            MetricKind::Sharp => "sharp",
        }
    }
}

impl MetricChoice {
    /// The shapes to be compared for inputs of `width` columns.
    pub(super) fn kinds(self, width: usize) -> Vec<MetricKind> {
        match self {
            MetricChoice::None => Vec::new(),
            MetricChoice::Auto if width > WIDEST => vec![MetricKind::Diagonal, MetricKind::Sharp],
            MetricChoice::Auto => vec![MetricKind::Full, MetricKind::Diagonal, MetricKind::Sharp],
            MetricChoice::Full => vec![MetricKind::Full],
            MetricChoice::Diagonal => vec![MetricKind::Diagonal],
            MetricChoice::Sharp => vec![MetricKind::Sharp],
        }
    }
}

/// What became of the search for a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricReport {
    /// The shape used; `None`: the inputs stay as they are.
    pub kind: Option<MetricKind>,
    /// Steps taken.
    pub steps: usize,
    /// Rows of the cross-validation.
    pub gate_rows: usize,
    /// Its mean squared error without a step, of the candidate that has the least by leave-one-out: over all outputs, of numbers in units of
    /// their variance.
    pub mse_without: f64,
    /// The same of what was chosen; absent: nothing was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mse: Option<f64>,
    /// The same of the chosen candidate without a step.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mse_own: Option<f64>,
    /// The same for each candidate, shape and number of steps that was tried; none follows a step that did not lower it.
    pub tried: Vec<MetricTried>,
    /// Inputs that a sharp metric leaves out altogether.
    #[serde(default)]
    pub left_out: usize,
    /// Rows that the metric was learned from; 0 without one.
    pub learned_rows: usize,
    /// The squared errors of leave-one-out were multiplied by this, since the metric had seen the rows left out: found by cross-validation, at
    /// least 1. Of an exact fit; others do not judge by leave-one-out of the rows that the metric was learned from.
    #[serde(default = "one")]
    pub optimism: f64,
    /// By what the metric is expected to change the squared error of all rows, where it was learned from some of many.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<f64>,
}

fn one() -> f64 {
    1.0
}

impl MetricReport {
    /// Moves predictions of rows left out away from their targets, as far as the metric that saw these rows has drawn them near.
    pub(super) fn correct(&self, left_out: &mut Mat<f64>, targets: MatRef<'_, f64>) {
        let factor = self.optimism.sqrt();
        for i in 0..left_out.rows() {
            left_out.row_mut(i).iter_mut().zip(targets.row(i)).for_each(|(f, y)| *f = y + factor * (*f - y));
        }
    }
}

/// The cross-validation of one candidate, shape and number of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricTried {
    /// Name of the net.
    pub net: String,
    /// Kernel.
    pub kernel: KernelKind,
    /// Encoding.
    pub encoding: Encoding,
    /// Shape.
    pub kind: MetricKind,
    /// Steps.
    pub steps: usize,
    /// Whether the last step left out what hardly shows.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub pruned: bool,
    /// Mean squared error.
    pub mse: f64,
}
