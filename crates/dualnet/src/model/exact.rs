//! A model solved exactly: f(x) = intercept + sum_i k(x, x_i) coefficients_i.

use super::candidates::{Candidate, KernelKind};
use super::fit::{Report, kernel_matrix};
use super::frame::Frame;
use super::invalid;
use super::metrics::Metrics;
use super::preprocess::Preprocess;
use super::target::{Target, Task};
use crate::error::{Error, Result};
use crate::kernel::DenseKernel;
use crate::linalg::{Cholesky, Mat, MatRef, Update, gemm_nn_parallel};
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
                let metrics = Metrics::numbers(loo.as_ref(), values.as_ref());
                (Outputs::Numbers { names: names.clone(), intervals }, metrics)
            }
            Target::Classes { name, labels, codes } => {
                let calibration = Calibration::fit(loo.as_ref(), codes, resources)?;
                let probabilities = calibration.probabilities(loo.as_ref())?;
                let metrics = class_metrics(&probabilities, loo, labels, codes);
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
        self.report.task
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

    /// Predicts rows; for regression with intervals that hold a new value with probability `level`, where given.
    ///
    /// Row i alone gives the same bits as in any batch. Cost n (d + 25 layers) flops a row; intervals need n^3/3 flops
    /// once and 2 n^2 a row, and n^2 numbers of memory.
    pub fn predict(&self, frame: &Frame, level: Option<f64>, resources: &Resources) -> Result<Prediction> {
        let x = self.preprocess.apply(frame)?;
        let (m, k) = (x.rows(), self.intercept.len());
        let factor = match (&self.outputs, level) {
            (Outputs::Numbers { .. }, Some(_)) => Some(self.factor(resources)?),
            _ => None,
        };
        let (mut values, mut variance) = (Mat::zeros(m, k), Vec::new());
        for start in (0..m).step_by(BATCH) {
            let rows: Vec<usize> = (start..m.min(start + BATCH)).collect();
            let part = x.as_ref().select_rows(&rows);
            let cross = kernel_matrix((&self.net, self.kernel), part.as_ref(), Some(self.x.as_ref()), resources)?;
            let mut out = self.combine(cross.as_ref(), resources)?;
            for (at, &i) in rows.iter().enumerate() {
                values.row_mut(i).copy_from_slice(out.row_mut(at));
            }
            if let Some(factor) = &factor {
                variance.extend(self.variance(factor, part.as_ref(), &cross, resources)?);
            }
            resources.progress.update("predicting", rows.len() as u64 + start as u64, m as u64);
        }
        match &self.outputs {
            Outputs::Classes { calibration, .. } => {
                Ok(Prediction::Classes { probabilities: calibration.probabilities(values.as_ref())?, scores: values })
            }
            Outputs::Numbers { intervals, .. } => {
                let ends = match level {
                    None => None,
                    Some(level) => {
                        let (lower, upper) = intervals.interval(values.as_ref(), &variance, level)?;
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
                        Ok((class_metrics(&probabilities, &scores, labels, &codes), None))
                    }
                    Prediction::Numbers { .. } => Err(other_task()),
                }
            }
            (Outputs::Numbers { .. }, Target::Numbers { values: truth, .. }) => {
                let level = (self.x.rows() >= 10).then_some(LEVEL);
                match self.predict(frame, level, resources)? {
                    Prediction::Numbers { values, intervals } => {
                        if truth.cols() != values.cols() {
                            return Err(Error::Shape {
                                what: "target".into(),
                                expected: format!("{} columns", values.cols()),
                                found: format!("{}", truth.cols()),
                            });
                        }
                        let coverage = intervals.map(|ends| coverage(&ends, truth));
                        Ok((Metrics::numbers(values.as_ref(), truth.as_ref()), coverage))
                    }
                    Prediction::Classes { .. } => Err(other_task()),
                }
            }
            _ => Err(other_task()),
        }
    }

    /// f for kernel values between new and training rows. Fixed tiles of rows keep a row's bits independent of its batch.
    fn combine(&self, cross: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        let (m, k) = (cross.rows(), self.intercept.len());
        let padded = m.next_multiple_of(crate::kernel::TILE);
        let whole = Mat::from_fn(padded, cross.cols(), |i, j| if i < m { cross.row(i)[j] } else { 0.0 });
        let mut out = Mat::from_fn(padded, k, |_, j| self.intercept[j]);
        gemm_nn_parallel(resources, out.as_mut(), Update::Add, 1.0, whole.as_ref(), self.coefficients.as_ref())?;
        Ok(out)
    }

    /// Cholesky decomposition of K + lambda I.
    fn factor(&self, resources: &Resources) -> Result<Cholesky> {
        let n = self.x.rows();
        let needed = 8 * (n as u64).pow(2) + 16 * (n * BATCH) as u64;
        resources.reserve("intervals", needed, "leave out --interval, or raise --memory")?;
        let mut k = kernel_matrix((&self.net, self.kernel), self.x.as_ref(), None, resources)?;
        for i in 0..n {
            k[(i, i)] += self.lambda_absolute;
        }
        Cholesky::new(k, "the regularised kernel", resources)
    }

    /// k(x, x) - k_x^T (K + lambda I)^-1 k_x for each row.
    fn variance(
        &self,
        factor: &Cholesky,
        x: MatRef<'_, f64>,
        cross: &Mat<f64>,
        resources: &Resources,
    ) -> Result<Vec<f64>> {
        let (nngp, ntk) = DenseKernel::new(&self.net, x.cols())?.variances(x, resources)?;
        let own = if self.kernel == KernelKind::Nngp { nngp } else { ntk };
        let n = self.x.rows();
        let turned = Mat::from_fn(n, cross.rows(), |i, j| cross[(j, i)]);
        let solved = factor.solve(turned.as_ref(), resources)?;
        Ok((0..cross.rows())
            .map(|j| own[j] - (0..n).map(|i| cross[(j, i)] * solved[(i, j)]).sum::<f64>())
            .map(|v| v.max(0.0))
            .collect())
    }
}

/// Metrics of classes; where all classes are numbers, also those of the expected value, which is what ridge on the numbers
/// themselves would predict.
fn class_metrics(probabilities: &Mat<f64>, scores: &Mat<f64>, labels: &[String], codes: &[usize]) -> Metrics {
    let classes = Metrics::classes(probabilities.as_ref(), codes);
    let Some(numbers) = labels.iter().map(|l| l.parse::<f64>().ok()).collect::<Option<Vec<f64>>>() else {
        return classes;
    };
    let n = codes.len();
    let expected = Mat::from_fn(n, 1, |i, _| scores.row(i).iter().zip(&numbers).map(|(s, v)| s * v).sum());
    let truth = Mat::from_fn(n, 1, |i, _| numbers[codes[i]]);
    let Metrics { rmse, r2, .. } = Metrics::numbers(expected.as_ref(), truth.as_ref());
    Metrics { rmse, r2, ..classes }
}

fn coverage(ends: &Intervals, truth: &Mat<f64>) -> f64 {
    let inside = |i: usize, j: usize| (ends.lower[(i, j)]..=ends.upper[(i, j)]).contains(&truth[(i, j)]);
    let entries = truth.rows() * truth.cols();
    let held = (0..truth.rows()).map(|i| (0..truth.cols()).filter(|&j| inside(i, j)).count()).sum::<usize>();
    held as f64 / entries.max(1) as f64
}

/// Numbers of classes in the order of the model.
fn recode(name: &str, ours: &[String], theirs: &[String], codes: &[usize]) -> Result<Vec<usize>> {
    let map: Vec<Option<usize>> = theirs.iter().map(|l| ours.iter().position(|o| same(o, l))).collect();
    let row = |code: usize| codes.iter().position(|&c| c == code).unwrap_or(0);
    if let Some(unknown) = map.iter().position(Option::is_none) {
        let found = format!("{:?} at row {}", theirs[unknown], row(unknown));
        let hint = "a model cannot be judged on classes it has never seen";
        return Err(invalid(&format!("target {name:?}"), &format!("one of {}", ours.join(", ")), &found, hint));
    }
    Ok(codes.iter().map(|&c| map[c].unwrap_or(0)).collect())
}

/// The same word, or the same number written otherwise.
fn same(a: &str, b: &str) -> bool {
    a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y)) if x == y)
}

fn other_task() -> Error {
    invalid(
        "the target",
        "the kind the model was fitted to",
        "another",
        "give classes to a classifier, numbers to a regressor",
    )
}
