//! A fitted model: preprocessing, a solution in the dual or in features, and what its outputs mean.

use super::batches::Batches;
use super::exact::Exact;
use super::features::Features;
use super::frame::{Column, Frame};
use super::invalid;
use super::metrics::Metrics;
use super::outputs::{Outputs, other_task};
use super::preprocess::{InputKind, Preprocess};
use super::report::Report;
use super::target::{Target, Task};
use crate::error::Result;
use crate::linalg::Mat;
use crate::resources::Resources;

/// Rows evaluated at a time.
const BATCH: usize = 4096;

/// How the function was solved for.
#[derive(Clone, Debug)]
pub(super) enum Solution {
    /// In the dual, by the kernel of a net.
    Exact(Box<Exact>),
    /// In the primal, by the features of a bundled net or of the kernel of a net.
    Features(Box<Features>),
}

/// A fitted model.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) preprocess: Preprocess,
    pub(super) outputs: Outputs,
    pub(super) solution: Solution,
    pub(super) intercept: Vec<f64>,
    pub(super) report: Report,
    /// Scores or numbers for the training rows by the model without each; not kept in files.
    pub(super) left_out: Option<Mat<f64>>,
}

/// Predictions for some rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// Numbers, rows x outputs.
    Numbers {
        /// The predicted means.
        values: Mat<f64>,
        /// The ends of the intervals, where asked for.
        intervals: Option<Intervals>,
    },
    /// Classes.
    Classes {
        /// Calibrated probabilities, rows x classes.
        probabilities: Mat<f64>,
        /// The uncalibrated scores, which sum to 1 over the classes.
        scores: Mat<f64>,
    },
}

/// Ends of prediction intervals, rows x outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervals {
    /// Lower ends.
    pub lower: Mat<f64>,
    /// Upper ends.
    pub upper: Mat<f64>,
}

impl Model {
    /// What was fitted, and how good it is on rows left out.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Classes or numbers.
    pub fn task(&self) -> Task {
        self.outputs.task()
    }

    /// The classes, in the order of the columns of probabilities; empty for regression.
    pub fn classes(&self) -> &[String] {
        self.outputs.classes()
    }

    /// Names of the target columns.
    pub fn targets(&self) -> Vec<String> {
        self.outputs.targets()
    }

    /// The input columns that the model reads, with what they held in training.
    pub fn inputs(&self) -> Vec<(&str, InputKind)> {
        self.preprocess.inputs()
    }

    /// Fills missing cells of new rows in with the means of the training rows; see [`Preprocess::fill_missing`].
    pub fn fill_missing(&self, columns: &mut [Column]) {
        self.preprocess.fill_missing(columns);
    }

    /// Predicts rows; for regression with intervals that hold a new value with probability `level`, where given.
    ///
    /// Row i alone gives the same bits as in any batch. Cost of an exact model: n (d + 25 layers) flops a row; intervals need n^3/3
    /// flops once and 2 n^2 a row, and n^2 numbers of memory. Cost of a bundled net: its features, 2 d m flops a row for one
    /// layer; intervals are free, and of the same width everywhere.
    ///
    /// Share of fresh rows inside intervals of level 0.9, mean of 30 data sets (y = sin 2a + b + noise of 0.3, three columns),
    /// for one net and for the choice among eight candidates, which the same residuals make: n = 20: .83, .77; 40: .87, .86;
    /// 80: .89, .88; 160: .89, .89. Single data sets stray, by .1 at n = 40.
    ///
    /// # Errors
    /// A column missing or of another type; a level beyond n / (n + 1); memory; values beyond the range of f64.
    pub fn predict(&self, frame: &Frame, level: Option<f64>, resources: &Resources) -> Result<Prediction> {
        let x = self.preprocess.apply(frame)?;
        let wanted = self.outputs.variances(level)?;
        let (values, variance) = match &self.solution {
            Solution::Exact(exact) => exact.values(&x, &self.intercept, wanted, resources)?,
            Solution::Features(features) => {
                let batch = |rows| Ok(x.as_ref().block(rows, 0..x.cols())?.to_mat());
                (features.values(x.rows(), batch, &self.intercept, resources)?, Vec::new())
            }
        };
        self.outputs.prediction(values, &variance, level)
    }

    /// [`Self::evaluate`] of rows that come in batches: predictions and targets alone are kept.
    pub fn evaluate_batches(&self, batches: &mut dyn Batches, resources: &Resources) -> Result<(Metrics, Option<f64>)> {
        batches.restart()?;
        let mut parts = Vec::new();
        while let Some((frame, target)) = batches.next(BATCH)? {
            resources.check("evaluating")?;
            parts.push((self.predict(&frame, self.outputs.level(), resources)?, target));
        }
        let (predictions, targets): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        self.outputs.judge(Prediction::concatenated(predictions)?, &Target::concatenated(targets)?)
    }

    /// Metrics on rows of known target; for regression with the share of targets within 90 % intervals.
    pub fn evaluate(&self, frame: &Frame, target: &Target, resources: &Resources) -> Result<(Metrics, Option<f64>)> {
        self.outputs.check(frame.rows(), target)?;
        self.outputs.judge(self.predict(frame, self.outputs.level(), resources)?, target)
    }
}

impl Prediction {
    /// Predictions of some rows after those of others.
    fn concatenated(parts: Vec<Prediction>) -> Result<Self> {
        let mut parts = parts.into_iter();
        let Some(mut all) = parts.next() else {
            return Err(invalid("the data", "at least one row", "none", "check the file"));
        };
        for part in parts {
            match (&mut all, part) {
                (Prediction::Numbers { values, intervals }, Prediction::Numbers { values: more, intervals: ends }) => {
                    append(values, more)?;
                    if let (Some(all), Some(ends)) = (intervals.as_mut(), ends) {
                        append(&mut all.lower, ends.lower)?;
                        append(&mut all.upper, ends.upper)?;
                    }
                }
                (
                    Prediction::Classes { probabilities, scores },
                    Prediction::Classes { probabilities: p, scores: s },
                ) => {
                    append(probabilities, p)?;
                    append(scores, s)?;
                }
                _ => return Err(other_task()),
            }
        }
        Ok(all)
    }
}

/// Rows of `more` below those of `all`.
fn append(all: &mut Mat<f64>, more: Mat<f64>) -> Result<()> {
    let (rows, cols) = (all.rows() + more.rows(), all.cols());
    let mut data = std::mem::take(all).into_vec();
    data.extend(more.into_vec());
    *all = Mat::from_vec(rows, cols, data)?;
    Ok(())
}
