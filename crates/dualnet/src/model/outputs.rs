//! What the targets were, and how values become predictions and metrics.

use super::exact::Variances;
use super::fitted::{Intervals, Prediction};
use super::invalid;
use super::metrics::Metrics;
use super::target::{Target, Task, numbers_of};
use crate::error::{Error, Result};
use crate::linalg::{Mat, in_range};
use crate::resources::Resources;
use crate::ridge::{Calibration, DualFit, IntervalCalibration, Width};

/// Level at which coverage is reported.
const LEVEL: f64 = 0.9;

/// What the targets were, with what was calibrated on predictions of rows left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outputs {
    Numbers { names: Vec<String>, intervals: IntervalCalibration },
    Classes { name: String, labels: Vec<String>, calibration: Calibration },
}

impl Outputs {
    /// Of a target's name, labels and codes, calibrated on scores of rows left out; with the metrics of those.
    pub fn of_classes(
        (name, labels, codes): (&str, &[String], &[usize]),
        loo: &Mat<f64>,
        resources: &Resources,
    ) -> Result<(Self, Metrics)> {
        let calibration = Calibration::fit(loo.as_ref(), codes, resources)?;
        let probabilities = calibration.probabilities(loo.as_ref())?;
        let metrics = class_metrics(&probabilities, loo, labels, codes)?;
        Ok((Outputs::Classes { name: name.into(), labels: labels.to_vec(), calibration }, metrics))
    }

    /// Of a target, and predictions by models that did not see the rows they are for: intervals have the same width everywhere. `noise`: what was
    /// added to the diagonal. With the metrics of these rows.
    pub fn of_left_out(
        target: &Target,
        predictions: &Mat<f64>,
        noise: f64,
        resources: &Resources,
    ) -> Result<(Self, Metrics)> {
        let (names, values) = match target {
            Target::Classes { name, labels, codes } => {
                return Self::of_classes((name, labels, codes), predictions, resources);
            }
            Target::Numbers { names, values } => (names.clone(), values),
        };
        let residuals = |j: usize| {
            let each = |i: usize| (values[(i, j)] - predictions[(i, j)]).abs();
            let mut all: Vec<f64> = (0..predictions.rows()).map(each).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let residuals = (0..predictions.cols()).map(residuals).collect();
        let intervals = IntervalCalibration::from_parts(Width::Constant, residuals, noise)?;
        let metrics = Metrics::numbers(predictions.as_ref(), values.as_ref())?;
        Ok((Outputs::Numbers { names, intervals }, metrics))
    }

    /// Of a target that was fitted to in the dual; with the metrics of its rows left out. `width`: of the intervals of numbers.
    pub fn of_fit(target: &Target, fit: &DualFit, width: Width, resources: &Resources) -> Result<(Self, Metrics)> {
        let loo = &fit.point.loo;
        match target {
            Target::Numbers { names, values } => {
                let intervals = IntervalCalibration::new(fit, values.as_ref(), width)?;
                let metrics = Metrics::numbers(loo.as_ref(), values.as_ref())?;
                Ok((Outputs::Numbers { names: names.clone(), intervals }, metrics))
            }
            Target::Classes { name, labels, codes } => Self::of_classes((name, labels, codes), loo, resources),
        }
    }

    /// Classes or numbers.
    pub fn task(&self) -> Task {
        match self {
            Outputs::Classes { .. } => Task::Classification,
            Outputs::Numbers { .. } => Task::Regression,
        }
    }

    /// The classes; empty for numbers.
    pub fn classes(&self) -> &[String] {
        match self {
            Outputs::Classes { labels, .. } => labels,
            Outputs::Numbers { .. } => &[],
        }
    }

    /// Names of the target columns.
    pub fn targets(&self) -> Vec<String> {
        match self {
            Outputs::Classes { name, .. } => vec![name.clone()],
            Outputs::Numbers { names, .. } => names.clone(),
        }
    }

    /// The level at which coverage is reported: few residuals cannot vouch for any.
    pub fn level(&self) -> Option<f64> {
        match self {
            Outputs::Numbers { intervals, .. } => {
                (intervals.residuals().first().map_or(0, Vec::len) >= 9).then_some(LEVEL)
            }
            Outputs::Classes { .. } => None,
        }
    }

    /// Whether intervals of that level need a variance for each row. A level that cannot be vouched for is refused before the work.
    pub fn variances(&self, level: Option<f64>) -> Result<Variances> {
        match (self, level) {
            (Outputs::Numbers { names, intervals }, Some(level)) => {
                intervals.interval(Mat::zeros(0, names.len()).as_ref(), &[], level)?;
                Ok(if intervals.width() == Width::Posterior { Variances::Wanted } else { Variances::Spared })
            }
            _ => Ok(Variances::Spared),
        }
    }

    /// What is predicted from values (rows x outputs), with their variances where [`Outputs::variances`] wanted them.
    pub fn prediction(&self, values: Mat<f64>, variance: &[f64], level: Option<f64>) -> Result<Prediction> {
        let values = in_range(values, "predictions")?;
        match self {
            Outputs::Classes { calibration, .. } => {
                Ok(Prediction::Classes { probabilities: calibration.probabilities(values.as_ref())?, scores: values })
            }
            Outputs::Numbers { intervals, .. } => {
                let ends = match level {
                    None => None,
                    Some(level) => {
                        let (lower, upper) = intervals.interval(values.as_ref(), variance, level)?;
                        let (lower, upper) = (in_range(lower, "lower ends")?, in_range(upper, "upper ends")?);
                        Some(Intervals { lower, upper })
                    }
                };
                Ok(Prediction::Numbers { values, intervals: ends })
            }
        }
    }

    /// Refuses targets that predictions of `rows` rows cannot be judged by.
    pub fn check(&self, rows: usize, target: &Target) -> Result<()> {
        if rows != target.rows() || rows == 0 {
            let expected = "at least one row, and a target for each";
            return Err(invalid("the data", expected, &rows.to_string(), "check the file"));
        }
        if target.task() == self.task() { Ok(()) } else { Err(other_task()) }
    }

    /// Metrics of predictions for rows of known target; for numbers the share of them within the intervals.
    pub fn judge(&self, prediction: Prediction, target: &Target) -> Result<(Metrics, Option<f64>)> {
        match (self, target, prediction) {
            (
                Outputs::Classes { labels, name, .. },
                Target::Classes { labels: theirs, codes, .. },
                Prediction::Classes { probabilities, scores },
            ) => {
                let codes = recode(name, labels, theirs, codes)?;
                Ok((class_metrics(&probabilities, &scores, labels, &codes)?, None))
            }
            (
                Outputs::Numbers { names, .. },
                Target::Numbers { values: truth, .. },
                Prediction::Numbers { values, intervals },
            ) => {
                if truth.cols() != names.len() {
                    return Err(Error::Shape {
                        what: "target".into(),
                        expected: format!("{} columns", names.len()),
                        found: format!("{}", truth.cols()),
                    });
                }
                let coverage = intervals.map(|ends| coverage(&ends, truth));
                Ok((Metrics::numbers(values.as_ref(), truth.as_ref())?, coverage))
            }
            _ => Err(other_task()),
        }
    }
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
pub(super) fn same_number(a: &str, b: &str) -> bool {
    matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y)) if x == y)
}

pub(super) fn other_task() -> Error {
    invalid(
        "the target",
        "the kind the model was fitted to",
        "another",
        "give classes to a classifier, numbers to a regressor",
    )
}
