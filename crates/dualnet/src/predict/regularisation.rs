//! What is added to the diagonal of a kernel.

use crate::error::{Error, Result};
use crate::linalg::Mat;

/// A number added to the diagonal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DiagonalReg {
    /// In units of the mean diagonal entry of the kernel.
    Relative(f64),
    /// As it is.
    Absolute(f64),
}

impl DiagonalReg {
    /// What is added to this kernel.
    pub fn of(self, kernel: &Mat<f64>) -> Result<f64> {
        let (value, unit) = match self {
            Self::Absolute(value) => (value, 1.0),
            Self::Relative(value) => {
                let n = kernel.rows();
                (value, (0..n).map(|i| kernel[(i, i)] / n as f64).sum())
            }
        };
        if value >= 0.0 && (value * unit).is_finite() {
            return Ok(value * unit);
        }
        Err(Error::Invalid {
            what: "diagonal regularisation".into(),
            expected: "a finite number, not negative".into(),
            found: value.to_string(),
            hint: "try a relative 1e-4".into(),
        })
    }

    /// Kernel with it.
    pub(super) fn add(self, mut kernel: Mat<f64>) -> Result<Mat<f64>> {
        let value = self.of(&kernel)?;
        (0..kernel.rows()).for_each(|i| kernel[(i, i)] += value);
        Ok(kernel)
    }
}
