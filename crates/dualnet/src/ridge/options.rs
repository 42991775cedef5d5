//! What a dual ridge regression is told, and the check of it.

use crate::error::{Error, Result};

/// What happens to the mean of the targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Centering {
    /// Nothing: predictions shrink towards 0.
    None,
    /// The (weighted) mean of the targets is subtracted before, and added after.
    #[default]
    Targets,
    /// An intercept is fitted together with the coefficients, without a penalty.
    Intercept,
}

/// The unit of lambda.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LambdaScale {
    /// The mean diagonal entry of the kernel.
    #[default]
    MeanDiagonal,
    /// 1: the number that is added to the diagonal.
    Absolute,
}

/// Options of [`super::DualPath`].
#[derive(Clone, Debug, PartialEq)]
pub struct DualOptions {
    /// The path: finite, not negative, not empty.
    pub lambdas: Vec<f64>,
    /// Unit of the path.
    pub scale: LambdaScale,
    /// Treatment of the mean.
    pub centering: Centering,
    /// A positive weight for each sample, for the squared error; only ratios matter. `None`: all equal.
    pub weights: Option<Vec<f64>>,
}

impl Default for DualOptions {
    fn default() -> Self {
        Self { lambdas: default_path(), scale: LambdaScale::default(), centering: Centering::default(), weights: None }
    }
}

/// 1e-8 to 1e2 in half decades: 21 values.
///
/// ```
/// let path = dualnet::ridge::default_path();
/// assert_eq!((path.len(), path[0], path[20]), (21, 1e-8, 1e2));
/// ```
pub fn default_path() -> Vec<f64> {
    // Whole decades are literals of the shortest form, so that 1e-8 is 1e-8.
    (0..21)
        .map(|i: i32| {
            let decade = 10f64.powi((i / 2 - 8).abs());
            let decade = if i / 2 < 8 { 1.0 / decade } else { decade };
            if i % 2 == 0 { decade } else { decade * 10f64.sqrt() }
        })
        .collect()
}

/// Refuses a lambda that is negative or not finite, and an empty path.
pub(super) fn check_lambdas(lambdas: &[f64]) -> Result<()> {
    let bad = lambdas.iter().find(|l| !(l.is_finite() && **l >= 0.0));
    if !lambdas.is_empty() && bad.is_none() {
        return Ok(());
    }
    Err(Error::Invalid {
        what: "lambda of ridge".into(),
        expected: "one or more finite numbers, none negative".into(),
        found: bad.map_or("none".into(), f64::to_string),
        hint: "leave the path out to get 1e-8 to 1e2".into(),
    })
}

/// Weights of mean 1.
pub(super) fn normalised_weights(weights: Option<&[f64]>, n: usize) -> Result<Vec<f64>> {
    let Some(weights) = weights else { return Ok(vec![1.0; n]) };
    if weights.len() != n {
        return Err(Error::Shape {
            what: "weights of ridge".into(),
            expected: format!("{n}, one for each sample"),
            found: weights.len().to_string(),
        });
    }
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if let Some(row) = weights.iter().position(|w| !(w.is_finite() && *w > 0.0 && *w >= 1e-12 * largest)) {
        return Err(Error::Invalid {
            what: format!("weight of sample {row}"),
            expected: "a finite positive number, at least 1e-12 of the largest".into(),
            found: weights[row].to_string(),
            hint: "leave samples out instead of giving them no weight".into(),
        });
    }
    // Dividing by the largest first keeps the sum finite.
    let mean = weights.iter().map(|w| w / largest).sum::<f64>() / n as f64;
    Ok(weights.iter().map(|w| w / largest / mean).collect())
}
