//! Scales of inputs, learnt from data and kept as numbers.

use super::TILE;
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::MatRef;
use serde::{Deserialize, Serialize};

/// What inputs are brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleTo {
    /// Every column to a mean square of 1, each by its own factor. Columns of zeros stay.
    UnitColumns,
    /// The mean of |x|^2 to d, by one factor.
    Dimension,
    /// The mean of |x|^2 to 1, by one factor.
    Unit,
}

/// Factors that inputs are multiplied by before they are projected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Inputs as they are.
    #[default]
    None,
    /// One factor.
    Number(f64),
    /// A factor for each column.
    Columns(Vec<f64>),
}

impl Scaling {
    /// The factors that bring the rows of `x` (n, d) to `target`: 1 where the data are all 0. One pass for the largest
    /// entries and one for the squares, so that no square leaves the range of f64.
    ///
    /// # Errors
    /// An entry that is not finite, with its row and column; data so small that the factor overflows.
    ///
    /// ```
    /// use dualnet::{Mat, features::{ScaleTo, Scaling}};
    /// let x = Mat::from_vec(2, 2, vec![3.0, 0.0, 4.0, 0.0])?;
    /// assert_eq!(Scaling::learn(x.as_ref(), ScaleTo::Unit)?, Scaling::Number(1.0 / 12.5f64.sqrt()));
    /// assert_eq!(Scaling::learn(x.as_ref(), ScaleTo::UnitColumns)?, Scaling::Columns(vec![1.0 / 12.5f64.sqrt(), 1.0]));
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn learn<T: Float>(x: MatRef<'_, T>, target: ScaleTo) -> Result<Self> {
        x.check_finite("data to learn a scale from")?;
        let rms = column_rms(x);
        let factor = |rms: f64, wanted: f64| if rms > 0.0 { wanted / rms } else { 1.0 };
        let largest = rms.iter().fold(0.0, |a: f64, &b| a.max(b));
        let norm = match largest {
            0.0 => 0.0,
            _ => largest * rms.iter().map(|r| (r / largest).powi(2)).sum::<f64>().sqrt(),
        };
        let scaling = match target {
            ScaleTo::UnitColumns => Self::Columns(rms.iter().map(|&r| factor(r, 1.0)).collect()),
            ScaleTo::Dimension => Self::Number(factor(norm, (x.cols() as f64).sqrt())),
            ScaleTo::Unit => Self::Number(factor(norm, 1.0)),
        };
        scaling.check::<T>(x.cols())?;
        Ok(scaling)
    }

    /// Refuses another number of columns than `inputs`, and factors beyond the range of `T`.
    pub(crate) fn check<T: Float>(&self, inputs: usize) -> Result<()> {
        let factors: &[f64] = match self {
            Self::None => return Ok(()),
            Self::Number(factor) => std::slice::from_ref(factor),
            Self::Columns(factors) if factors.len() != inputs => {
                return Err(Error::Shape {
                    what: "factors of the columns".into(),
                    expected: inputs.to_string(),
                    found: factors.len().to_string(),
                });
            }
            Self::Columns(factors) => factors,
        };
        match factors.iter().find(|&&f| !T::from_f64(f).is_finite()) {
            Some(factor) => Err(Error::Invalid {
                what: "factor of the inputs".into(),
                expected: format!("a number in the range of {}", T::NAME),
                found: factor.to_string(),
                hint: "bring the data nearer to 1 first".into(),
            }),
            None => Ok(()),
        }
    }

    /// The factor of column `j`.
    pub fn factor(&self, j: usize) -> f64 {
        match self {
            Self::None => 1.0,
            Self::Number(factor) => *factor,
            Self::Columns(factors) => factors.get(j).copied().unwrap_or(1.0),
        }
    }

    /// A tile of rows scaled into `out`, (TILE, d) without gaps.
    pub(crate) fn tile<T: Float>(&self, x: MatRef<'_, T>, out: &mut [T]) {
        let factors: Vec<T> = (0..x.cols()).map(|j| T::from_f64(self.factor(j))).collect();
        for (i, out) in out.chunks_exact_mut(x.cols()).take(TILE).enumerate() {
            for ((out, &x), &factor) in out.iter_mut().zip(x.row(i)).zip(&factors) {
                *out = T::from_f64(x.to_f64() * factor.to_f64());
            }
        }
    }
}

/// Roots of the mean squares of the columns, rows taken in order.
fn column_rms<T: Float>(x: MatRef<'_, T>) -> Vec<f64> {
    let mut largest = vec![0.0f64; x.cols()];
    let mut sums = vec![0.0; x.cols()];
    for i in 0..x.rows() {
        largest.iter_mut().zip(x.row(i)).for_each(|(l, x)| *l = l.max(x.to_f64().abs()));
    }
    for i in 0..x.rows() {
        for ((sum, &largest), x) in sums.iter_mut().zip(&largest).zip(x.row(i)) {
            if largest > 0.0 {
                *sum += (x.to_f64() / largest).powi(2);
            }
        }
    }
    let n = x.rows().max(1) as f64;
    sums.iter().zip(&largest).map(|(sum, largest)| largest * (sum / n).sqrt()).collect()
}
