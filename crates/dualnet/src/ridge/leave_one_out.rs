//! Exact leave-one-out errors of one lambda.
//!
//! The prediction for sample i by the model without it misses by `(G y)_i / G_ii` (Allen's PRESS). What centring adds is
//! exact, too: without sample i the mean is another, `m_i`, and the miss is `(G y - m_i G 1)_i / G_ii`; with an intercept
//! G is replaced by `G - G 1 1^T G / 1^T G 1`, the first block of the inverse of the bordered system. Weights w turn K,
//! y and 1 into `S K S`, `S y` and `S 1` with `S = diag(sqrt w)`.

use super::dual::DualPath;
use super::options::Centering;
use super::path::PathPoint;
use super::shifted::Solved;
use crate::error::{Error, Result};
use crate::linalg::Mat;

impl DualPath {
    pub(super) fn border(&self, solved: &Solved) -> Border {
        let outputs = self.targets.cols();
        match self.options.centering {
            Centering::None | Centering::Targets => Border { total: None, shift: vec![0.0; outputs] },
            Centering::Intercept => {
                let total = |j: usize| -> f64 {
                    self.weights.iter().enumerate().map(|(i, w)| w.sqrt() * solved.applied[(i, j)]).sum()
                };
                let ones = total(0);
                Border { total: Some(ones), shift: (0..outputs).map(|j| total(j + 1) / ones).collect() }
            }
        }
    }

    pub(super) fn point(&self, solved: &Solved) -> Result<PathPoint> {
        let (n, outputs) = (self.weights.len(), self.targets.cols());
        let border = self.border(solved);
        let (mut loo, mut squares, mut trace, mut ones) = (Mat::zeros(n, outputs), 0.0, 0.0, 0.0);
        for i in 0..n {
            let (w, root) = (self.weights[i], self.weights[i].sqrt());
            let (diagonal, one) = (border.diagonal(solved, i), solved.applied[(i, 0)]);
            trace += diagonal;
            ones += root * one;
            for j in 0..outputs {
                let y = self.targets[(i, j)];
                let shift = match self.options.centering {
                    Centering::None => 0.0,
                    // The mean of centred targets without sample i.
                    Centering::Targets => -w * y / (n as f64 - w),
                    Centering::Intercept => border.shift[j],
                };
                let miss = (solved.applied[(i, j + 1)] - shift * one) / (diagonal * root);
                loo[(i, j)] = y - miss + self.offset[j];
                squares += w * miss * miss;
            }
        }
        let mean = if self.options.centering == Centering::Targets { solved.shift * ones / n as f64 } else { 0.0 };
        let (mse, lambda_absolute) = (squares / (n * outputs) as f64, solved.shift * self.unit);
        if !mse.is_finite() || !lambda_absolute.is_finite() {
            return Err(Error::Overflow {
                at: "leave-one-out".into(),
                what: "the squared error, or lambda,".into(),
                precision: "f64",
                row: 0,
                column: 0,
                hint: "scale the targets and the kernel so that their entries are near 1".into(),
            });
        }
        Ok(PathPoint {
            lambda: solved.lambda,
            lambda_absolute,
            loo,
            mse,
            degrees_of_freedom: n as f64 - solved.shift * trace + mean,
            condition: solved.condition,
            jitter: solved.jitter,
        })
    }
}

/// What an unpenalised intercept does to G.
pub(super) struct Border {
    /// `1^T S G S 1`, with an intercept.
    pub(super) total: Option<f64>,
    /// Intercept of the centred targets.
    pub(super) shift: Vec<f64>,
}

impl Border {
    /// Diagonal entry i of G, or of G with its border.
    pub(super) fn diagonal(&self, solved: &Solved, i: usize) -> f64 {
        match self.total {
            None => solved.diagonal[i],
            Some(total) => solved.diagonal[i] - solved.applied[(i, 0)] * (solved.applied[(i, 0)] / total),
        }
    }
}
