//! What the targets were, and how values become predictions and metrics.

use super::fitted::Intervals;
use super::invalid;
use super::metrics::Metrics;
use super::target::numbers_of;
use crate::error::{Error, Result};
use crate::linalg::Mat;
use crate::resources::Resources;
use crate::ridge::{Calibration, IntervalCalibration};

/// What the targets were, with what was calibrated on predictions of rows left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outputs {
    Numbers { names: Vec<String>, intervals: IntervalCalibration },
    Classes { name: String, labels: Vec<String>, calibration: Calibration },
}

impl Outputs {
    /// Of a target's name, labels and codes, calibrated on scores of rows left out; with the metrics of those.
    pub fn classes(
        (name, labels, codes): (&str, &[String], &[usize]),
        loo: &Mat<f64>,
        resources: &Resources,
    ) -> Result<(Self, Metrics)> {
        let calibration = Calibration::fit(loo.as_ref(), codes, resources)?;
        let probabilities = calibration.probabilities(loo.as_ref())?;
        let metrics = class_metrics(&probabilities, loo, labels, codes)?;
        Ok((Outputs::Classes { name: name.into(), labels: labels.to_vec(), calibration }, metrics))
    }
}

/// Metrics of classes; where all classes are numbers, also those of the expected value, which is what ridge on the numbers
/// themselves would predict.
pub(super) fn class_metrics(
    probabilities: &Mat<f64>,
    scores: &Mat<f64>,
    labels: &[String],
    codes: &[usize],
) -> Result<Metrics> {
    let classes = Metrics::classes(probabilities.as_ref(), codes)?;
    let Some(numbers) = numbers_of(labels) else { return Ok(classes) };
    let n = codes.len();
    let expected = Mat::from_fn(n, 1, |i, _| scores.row(i).iter().zip(&numbers).map(|(s, v)| s * v).sum());
    let truth = Mat::from_fn(n, 1, |i, _| numbers[codes[i]]);
    let Metrics { rmse, r2, .. } = Metrics::numbers(expected.as_ref(), truth.as_ref())?;
    Ok(Metrics { rmse, r2, ..classes })
}

pub(super) fn coverage(ends: &Intervals, truth: &Mat<f64>) -> f64 {
    let inside = |i: usize, j: usize| (ends.lower[(i, j)]..=ends.upper[(i, j)]).contains(&truth[(i, j)]);
    let entries = truth.rows() * truth.cols();
    let held = (0..truth.rows()).map(|i| (0..truth.cols()).filter(|&j| inside(i, j)).count()).sum::<usize>();
    held as f64 / entries.max(1) as f64
}

/// Numbers of classes in the order of the model.
pub(super) fn recode(name: &str, ours: &[String], theirs: &[String], codes: &[usize]) -> Result<Vec<usize>> {
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
