//! How good predictions are.

use super::invalid;
use super::preprocess::moments;
use crate::error::{Error, Result};
use crate::linalg::MatRef;
use crate::ridge::ClassScores;
use serde::{Deserialize, Serialize};

/// Metrics of predictions; absent where they do not apply.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Metrics {
    /// Share of rows whose most probable class is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Mean of -ln p(class), probabilities at least 1e-15.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_loss: Option<f64>,
    /// Mean over rows of the squared distance between probabilities and the class (0 to 2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brier: Option<f64>,
    /// Root of the mean squared error, over all outputs. For classes that are numbers: of the expected value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmse: Option<f64>,
    /// 1 - squared error / squared deviation from the mean of these rows, averaged over outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r2: Option<f64>,
}

impl Metrics {
    /// Of probabilities (n x classes) for rows of known classes.
    ///
    /// ```
    /// use dualnet::{Mat, model::Metrics};
    /// let p = Mat::from_vec(2, 2, vec![0.8, 0.2, 0.6, 0.4])?;
    /// let m = Metrics::classes(p.as_ref(), &[0, 1])?;
    /// assert_eq!(m.accuracy, Some(0.5));
    /// assert!((m.log_loss.unwrap() - (-(0.8f64.ln()) - 0.4f64.ln()) / 2.0).abs() < 1e-15);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn classes(probabilities: MatRef<'_, f64>, codes: &[usize]) -> Result<Self> {
        let ClassScores { accuracy, log_loss, brier } = ClassScores::new(probabilities, codes)?;
        Ok(Self { accuracy: Some(accuracy), log_loss: Some(log_loss), brier: Some(brier), ..Self::default() })
    }

    /// Of predicted numbers (n x k) for rows of known ones, n and k at least 1. Where all targets of an output are equal, its R^2 is 1
    /// if they are predicted exactly, and left out of the mean otherwise; absent if no output has one.
    ///
    /// ```
    /// use dualnet::{Mat, model::Metrics};
    /// let (p, y) = (Mat::from_vec(2, 1, vec![1.0, 2.0])?, Mat::from_vec(2, 1, vec![1.0, 3.0])?);
    /// let m = Metrics::numbers(p.as_ref(), y.as_ref())?;
    /// assert_eq!(m.rmse, Some(0.5f64.sqrt()));
    /// assert!((m.r2.unwrap() - 0.5).abs() < 1e-15);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn numbers(predicted: MatRef<'_, f64>, truth: MatRef<'_, f64>) -> Result<Self> {
        let (n, k) = (truth.rows(), truth.cols());
        if (predicted.rows(), predicted.cols()) != (n, k) || n * k == 0 {
            return Err(Error::Shape {
                what: "predictions".into(),
                expected: format!("{n} x {k}, as the target, and not empty"),
                found: format!("{} x {}", predicted.rows(), predicted.cols()),
            });
        }
        predicted.check_finite("predictions")?;
        truth.check_finite("the target")?;
        let (mut roots, mut r2) = (Vec::with_capacity(k), Vec::with_capacity(k));
        for j in 0..k {
            let column: Vec<f64> = (0..n).map(|i| truth.row(i)[j]).collect();
            let errors: Vec<f64> = (0..n).map(|i| column[i] - predicted.row(i)[j]).collect();
            let (error, (_, spread)) = (root_mean_square(&errors), moments(&column));
            roots.push(error);
            match (error, spread) {
                (_, spread) if spread > 0.0 => r2.push(1.0 - (error / spread).powi(2)),
                (0.0, _) => r2.push(1.0),
                _ => {}
            }
        }
        let rmse = root_mean_square(&roots);
        let r2 = (!r2.is_empty()).then(|| r2.iter().sum::<f64>() / r2.len() as f64);
        if !rmse.is_finite() || r2.is_some_and(|r| !r.is_finite()) {
            return Err(invalid("the errors", "within the range of f64", &format!("{rmse:e}"), "rescale the target"));
        }
        Ok(Self { rmse: Some(rmse), r2, ..Self::default() })
    }
}

/// Root of the mean square; the largest entry is taken out, so that squares stay in range.
fn root_mean_square(values: &[f64]) -> f64 {
    let largest = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let squares = values.iter().map(|x| (x / largest).powi(2)).sum::<f64>();
    largest * (squares / values.len() as f64).sqrt()
}
