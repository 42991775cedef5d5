//! How good predictions are.

use crate::linalg::MatRef;
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
    /// let m = Metrics::classes(p.as_ref(), &[0, 1]);
    /// assert_eq!(m.accuracy, Some(0.5));
    /// assert!((m.log_loss.unwrap() - (-(0.8f64.ln()) - 0.4f64.ln()) / 2.0).abs() < 1e-15);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn classes(probabilities: MatRef<'_, f64>, codes: &[usize]) -> Self {
        let n = codes.len().max(1) as f64;
        let (mut right, mut loss, mut brier) = (0.0, 0.0, 0.0);
        for (i, &code) in codes.iter().enumerate() {
            let row = probabilities.row(i);
            right += f64::from(u8::from(arg_max(row) == code));
            loss -= row[code].max(1e-15).ln();
            brier += row.iter().enumerate().map(|(k, p)| (p - f64::from(u8::from(k == code))).powi(2)).sum::<f64>();
        }
        Self { accuracy: Some(right / n), log_loss: Some(loss / n), brier: Some(brier / n), ..Self::default() }
    }

    /// Of predicted numbers (n x k) for rows of known ones.
    pub fn numbers(predicted: MatRef<'_, f64>, truth: MatRef<'_, f64>) -> Self {
        let (n, k) = (truth.rows(), truth.cols());
        let (mut total, mut r2) = (0.0, 0.0);
        for j in 0..k {
            let mean = (0..n).map(|i| truth.row(i)[j] / n as f64).sum::<f64>();
            let error: f64 = (0..n).map(|i| (truth.row(i)[j] - predicted.row(i)[j]).powi(2)).sum();
            let spread: f64 = (0..n).map(|i| (truth.row(i)[j] - mean).powi(2)).sum();
            total += error;
            r2 += if spread > 0.0 { 1.0 - error / spread } else { f64::from(u8::from(error == 0.0)) };
        }
        let (entries, outputs) = ((n * k).max(1) as f64, k.max(1) as f64);
        Self { rmse: Some((total / entries).sqrt()), r2: Some(r2 / outputs), ..Self::default() }
    }
}

/// The first of the largest entries.
pub fn arg_max(row: &[f64]) -> usize {
    let mut best = 0;
    for (k, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = k;
        }
    }
    best
}
