//! The units a ridge is solved in: neither a large offset of the targets nor a small scale then costs digits.

use super::invalid;
use super::preprocess::moments;
use super::target::Target;
use crate::error::Result;
use crate::linalg::Mat;
use crate::ridge::one_hot_columns;

/// Where a target column has its origin, and its unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    pub mean: f64,
    pub size: f64,
}

/// Mean and standard deviation of each column of numbers; 0 and 1 for classes.
pub(super) fn units(target: &Target) -> Result<Vec<Unit>> {
    let values = match target {
        Target::Classes { labels, .. } => return Ok(vec![Unit { mean: 0.0, size: 1.0 }; labels.len()]),
        Target::Numbers { values, .. } => values,
    };
    let column = |j: usize| -> Vec<f64> { (0..values.rows()).map(|i| values[(i, j)]).collect() };
    let unit = |(mean, deviation): (f64, f64)| Unit { mean, size: if deviation == 0.0 { 1.0 } else { deviation } };
    let units: Vec<Unit> = (0..values.cols()).map(|j| unit(moments(&column(j)))).collect();
    if let Some(j) = units.iter().position(|u| !(u.mean.is_finite() && u.size.is_normal())) {
        let found = format!("mean {:e}, standard deviation {:e}", units[j].mean, units[j].size);
        return Err(invalid(&format!("target column {j}"), "a spread that can be standardised", &found, "rescale it"));
    }
    Ok(units)
}

/// What the ridge is solved for: 0/1 columns of classes, numbers in their units.
pub(super) fn standardised(target: &Target, units: &[Unit]) -> Result<Mat<f64>> {
    match target {
        Target::Classes { labels, codes, .. } => one_hot_columns(codes, labels.len()),
        Target::Numbers { values, .. } => {
            Ok(Mat::from_fn(values.rows(), values.cols(), |i, j| (values[(i, j)] - units[j].mean) / units[j].size))
        }
    }
}
