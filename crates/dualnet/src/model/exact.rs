//! A model solved exactly: f(x) = intercept + sum_i k(x, x_i) coefficients_i.

use super::candidates::{Candidate, KernelKind};
use super::fit::{Report, kernel_matrix};
use super::frame::{Column, Frame};
use super::invalid;
use super::metrics::Metrics;
use super::preprocess::{InputKind, Preprocess};
use super::target::{Target, Task, numbers_of};
use crate::error::{Error, Result};
use crate::gram;
use crate::kernel::{DenseKernel, Kernel};
use crate::linalg::gemm::ROW_BLOCK;
use crate::linalg::{Cholesky, Mat, MatRef, Update, gemm_nn_parallel, in_range};
use crate::net::Net;
use crate::resources::Resources;
use crate::ridge::{Calibration, DualFit, IntervalCalibration, Width};

/// Rows predicted at a time: bounds the memory of the kernel between them and the training rows.
const BATCH: usize = 1024;
/// Level at which coverage is reported.
const LEVEL: f64 = 0.9;

/// What the targets were.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outputs {
    Numbers { names: Vec<String>, intervals: IntervalCalibration },
    Classes { name: String, labels: Vec<String>, calibration: Calibration },
}

/// A fitted model.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) net: Net,
    pub(super) kernel: KernelKind,
    pub(super) preprocess: Preprocess,
    pub(super) outputs: Outputs,
    pub(super) x: Mat<f64>,
    pub(super) coefficients: Mat<f64>,
    pub(super) intercept: Vec<f64>,
    pub(super) lambda_absolute: f64,
    pub(super) report: Report,
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
    pub(super) fn assemble(
        candidate: &Candidate,
        preprocess: Preprocess,
        x: Mat<f64>,
        target: &Target,
        fitted: DualFit,
        mut report: Report,
        resources: &Resources,
    ) -> Result<Self> {
        let loo = &fitted.point.loo;
        let (outputs, metrics) = match target {
            Target::Numbers { names, values } => {
                let intervals = IntervalCalibration::new(&fitted, values.as_ref(), Width::Posterior)?;
                let metrics = Metrics::numbers(loo.as_ref(), values.as_ref())?;
                (Outputs::Numbers { names: names.clone(), intervals }, metrics)
            }
            Target::Classes { name, labels, codes } => {
                let calibration = Calibration::fit(loo.as_ref(), codes, resources)?;
                let probabilities = calibration.probabilities(loo.as_ref())?;
                let metrics = class_metrics(&probabilities, loo, labels, codes)?;
                (Outputs::Classes { name: name.clone(), labels: labels.clone(), calibration }, metrics)
            }
        };
        report.loo = metrics;
        Ok(Self {
            net: candidate.net.clone(),
            kernel: candidate.kernel,
            preprocess,
            outputs,
            x,
            coefficients: fitted.coefficients,
            intercept: fitted.intercept,
            lambda_absolute: fitted.point.lambda_absolute,
            report,
        })
    }

    /// What was fitted, and how good it is by leave-one-out.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The net.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Classes or numbers.
    pub fn task(&self) -> Task {
        match &self.outputs {
            Outputs::Classes { .. } => Task::Classification,
            Outputs::Numbers { .. } => Task::Regression,
        }
    }

    /// The classes, in the order of the columns of probabilities; empty for regression.
    pub fn classes(&self) -> &[String] {
        match &self.outputs {
            Outputs::Classes { labels, .. } => labels,
            Outputs::Numbers { .. } => &[],
        }
    }

    /// Names of the target columns.
    pub fn targets(&self) -> Vec<String> {
        match &self.outputs {
            Outputs::Classes { name, .. } => vec![name.clone()],
            Outputs::Numbers { names, .. } => names.clone(),
        }
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
    /// Row i alone gives the same bits as in any batch. Cost n (d + 25 layers) flops a row; intervals need n^3/3 flops
    /// once and 2 n^2 a row, and n^2 numbers of memory.
    ///
    /// Share of fresh rows inside intervals of level 0.9, mean of 30 data sets (y = sin 2a + b + noise of 0.3, three columns),
    /// for one net and for the choice among eight candidates, which the same residuals make: n = 20: .83, .77; 40: .87, .86;
    /// 80: .89, .88; 160: .89, .89. Single data sets stray, by .1 at n = 40.
    ///
    /// # Errors
    /// A column missing or of another type; a level beyond n / (n + 1); memory; values beyond the range of f64.
    pub fn predict(&self, frame: &Frame, level: Option<f64>, resources: &Resources) -> Result<Prediction> {
        let x = self.preprocess.apply(frame)?;
        let (m, k) = (x.rows(), self.intercept.len());
        let kernel = DenseKernel::new(&self.net, self.x.cols())?;
        let training = kernel.prepare(self.x.as_ref(), "training rows", resources)?;
        let factor = match (&self.outputs, level) {
            (Outputs::Numbers { intervals, .. }, Some(level)) => {
                // A level that cannot be vouched for is refused before the work.
                intervals.interval(Mat::zeros(0, k).as_ref(), &[], level)?;
                Some(self.factor(resources)?)
            }
            _ => None,
        };
        let (mut values, mut variance) = (Mat::zeros(m, k), Vec::new());
        for start in (0..m).step_by(BATCH) {
            let end = m.min(start + BATCH);
            let part = kernel.prepare(x.as_ref().block(start..end, 0..x.cols())?, "new rows", resources)?;
            let cross = gram::cross_prepared(&kernel, &part, &training, self.kernel.get(), resources)?;
            let cross = whole_blocks(self.kernel.matrix(cross)?)?;
            let out = self.combine(cross.as_ref(), resources)?;
            for i in start..end {
                values.row_mut(i).copy_from_slice(out.row(i - start));
            }
            if let Some(factor) = &factor {
                let (nngp, ntk) = kernel.diagonal(&part);
                let own = if self.kernel == KernelKind::Nngp { nngp } else { ntk };
                variance.extend(variances(factor, own, &cross, resources)?);
            }
            resources.progress.update("predicting", end as u64, m as u64);
        }
        let values = in_range(values, "predictions")?;
        match &self.outputs {
            Outputs::Classes { calibration, .. } => {
                Ok(Prediction::Classes { probabilities: calibration.probabilities(values.as_ref())?, scores: values })
            }
            Outputs::Numbers { intervals, .. } => {
                let ends = match level {
                    None => None,
                    Some(level) => {
                        let (lower, upper) = intervals.interval(values.as_ref(), &variance, level)?;
                        let (lower, upper) = (in_range(lower, "lower ends")?, in_range(upper, "upper ends")?);
                        Some(Intervals { lower, upper })
                    }
                };
                Ok(Prediction::Numbers { values, intervals: ends })
            }
        }
    }

    /// Metrics on rows of known target; for regression with the share of targets within 90 % intervals.
    pub fn evaluate(&self, frame: &Frame, target: &Target, resources: &Resources) -> Result<(Metrics, Option<f64>)> {
        if frame.rows() != target.rows() || frame.rows() == 0 {
            return Err(invalid(
                "the data",
                "at least one row, and a target for each",
                &frame.rows().to_string(),
                "check the file",
            ));
        }
        match (&self.outputs, target) {
            (Outputs::Classes { labels, name, .. }, Target::Classes { labels: theirs, codes, .. }) => {
                let codes = recode(name, labels, theirs, codes)?;
                match self.predict(frame, None, resources)? {
                    Prediction::Classes { probabilities, scores } => {
                        Ok((class_metrics(&probabilities, &scores, labels, &codes)?, None))
                    }
                    Prediction::Numbers { .. } => Err(other_task()),
                }
            }
            (Outputs::Numbers { .. }, Target::Numbers { values: truth, .. }) => {
                if truth.cols() != self.intercept.len() {
                    return Err(Error::Shape {
                        what: "target".into(),
                        expected: format!("{} columns", self.intercept.len()),
                        found: format!("{}", truth.cols()),
                    });
                }
                // Fewer residuals cannot vouch for this level.
                let level = (self.x.rows() >= 9).then_some(LEVEL);
                match self.predict(frame, level, resources)? {
                    Prediction::Numbers { values, intervals } => {
                        let coverage = intervals.map(|ends| coverage(&ends, truth));
                        Ok((Metrics::numbers(values.as_ref(), truth.as_ref())?, coverage))
                    }
                    Prediction::Classes { .. } => Err(other_task()),
                }
            }
            _ => Err(other_task()),
        }
    }

    /// f for kernel values between new and training rows, in whole blocks.
    fn combine(&self, cross: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        let mut out = Mat::from_fn(cross.rows(), self.intercept.len(), |_, j| self.intercept[j]);
        gemm_nn_parallel(resources, out.as_mut(), Update::Add, 1.0, cross, self.coefficients.as_ref())?;
        Ok(out)
    }

    /// Cholesky decomposition of K + lambda I.
    fn factor(&self, resources: &Resources) -> Result<Cholesky> {
        let n = self.x.rows();
        let needed = 8 * (n as u64).pow(2) + 16 * (n * BATCH) as u64;
        resources.reserve("intervals", needed, "leave out --interval, or raise --memory")?;
        let mut k = kernel_matrix((&self.net, self.kernel), self.x.as_ref(), resources)?;
        for i in 0..n {
            k[(i, i)] += self.lambda_absolute;
        }
        Cholesky::new(k, "the regularised kernel", resources)
    }
}

/// Adds rows of zeros up to whole blocks: a product or solution then takes the same path for a row whatever else is in the batch.
fn whole_blocks(cross: Mat<f64>) -> Result<Mat<f64>> {
    let (rows, cols) = (cross.rows().next_multiple_of(ROW_BLOCK), cross.cols());
    let mut data = cross.into_vec();
    data.resize(rows * cols, 0.0);
    Mat::from_vec(rows, cols, data)
}

/// k(x, x) - k_x^T (K + lambda I)^-1 k_x for each entry of `own`, k(x, x), and row of `cross`, which has whole blocks.
fn variances(factor: &Cholesky, own: &[f64], cross: &Mat<f64>, resources: &Resources) -> Result<Vec<f64>> {
    let n = cross.cols();
    let turned = Mat::from_fn(n, cross.rows(), |i, j| cross[(j, i)]);
    let solved = in_range(factor.solve(turned.as_ref(), resources)?, "variances of predictions")?;
    let mut explained = vec![0.0; own.len()];
    for i in 0..n {
        for ((e, k), s) in explained.iter_mut().zip(turned.row(i)).zip(solved.row(i)) {
            *e += k * s;
        }
    }
    // Rounding may take a variance of 0 below it.
    Ok(own.iter().zip(explained).map(|(own, e)| (own - e).max(0.0)).collect())
}

/// Metrics of classes; where all classes are numbers, also those of the expected value, which is what ridge on the numbers
/// themselves would predict.
fn class_metrics(probabilities: &Mat<f64>, scores: &Mat<f64>, labels: &[String], codes: &[usize]) -> Result<Metrics> {
    let classes = Metrics::classes(probabilities.as_ref(), codes)?;
    let Some(numbers) = numbers_of(labels) else { return Ok(classes) };
    let n = codes.len();
    let expected = Mat::from_fn(n, 1, |i, _| scores.row(i).iter().zip(&numbers).map(|(s, v)| s * v).sum());
    let truth = Mat::from_fn(n, 1, |i, _| numbers[codes[i]]);
    let Metrics { rmse, r2, .. } = Metrics::numbers(expected.as_ref(), truth.as_ref())?;
    Ok(Metrics { rmse, r2, ..classes })
}

fn coverage(ends: &Intervals, truth: &Mat<f64>) -> f64 {
    let inside = |i: usize, j: usize| (ends.lower[(i, j)]..=ends.upper[(i, j)]).contains(&truth[(i, j)]);
    let entries = truth.rows() * truth.cols();
    let held = (0..truth.rows()).map(|i| (0..truth.cols()).filter(|&j| inside(i, j)).count()).sum::<usize>();
    held as f64 / entries.max(1) as f64
}

/// Numbers of classes in the order of the model.
fn recode(name: &str, ours: &[String], theirs: &[String], codes: &[usize]) -> Result<Vec<usize>> {
    let position = |label: &String| {
        ours.iter().position(|o| o == label).or_else(|| ours.iter().position(|o| same_number(o, label)))
    };
    let map: Vec<Option<usize>> = theirs.iter().map(position).collect();
    let one = |(row, &code): (usize, &usize)| {
        map.get(code).copied().flatten().ok_or_else(|| {
            let found = format!("{:?} at row {row}", theirs.get(code).map_or("no class", |l| l));
            let hint = "a model cannot be judged on classes it has never seen";
            invalid(&format!("target {name:?}"), &format!("one of {}", ours.join(", ")), &found, hint)
        })
    };
    codes.iter().enumerate().map(one).collect()
}

/// The same number written otherwise.
fn same_number(a: &str, b: &str) -> bool {
    matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y)) if x == y)
}

fn other_task() -> Error {
    invalid(
        "the target",
        "the kind the model was fitted to",
        "another",
        "give classes to a classifier, numbers to a regressor",
    )
}
