//! Covariances of all pairs of positions.

use crate::error::{Error, Result};

/// n x n values of a pair of samples with n positions each: (P, P') at n P + P'.
pub(super) type Square = Vec<f64>;

/// The state of a pair behind some layer.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Height and width.
    pub(super) size: [usize; 2],
    /// Covariances of the first sample's positions with the second's.
    pub(super) c: Square,
    /// Of the first sample with itself; variances on the diagonal.
    pub(super) p: Square,
    /// Of the second sample with itself.
    pub(super) q: Square,
    /// Tangent kernel of the pair.
    pub(super) t: Square,
}

impl State {
    /// c(P, P') = <x_P, y_P'> / channels.
    pub(super) fn input(size: [usize; 2], channels: usize, x: &[f64], y: &[f64]) -> Self {
        let covariance = |x: &[f64], y: &[f64]| -> Square {
            let mut all = Vec::new();
            for u in x.chunks_exact(channels) {
                for v in y.chunks_exact(channels) {
                    all.push(u.iter().zip(v).map(|(a, b)| a * b).sum::<f64>() / channels as f64);
                }
            }
            all
        };
        let c = covariance(x, y);
        Self { size, t: vec![0.0; c.len()], c, p: covariance(x, x), q: covariance(y, y) }
    }

    /// Positions of each sample.
    pub(super) fn positions(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Refuses what has outgrown `f64`: an infinite variance would divide its covariances to 0 further on.
    pub(super) fn finite(self) -> Result<Self> {
        let parts =
            [("a covariance", &self.c), ("x's variance", &self.p), ("y's variance", &self.q), ("the NTK", &self.t)];
        for (what, values) in parts {
            if let Some(at) = values.iter().position(|v| !v.is_finite()) {
                return Err(Error::Overflow {
                    at: "the convolutional oracle".into(),
                    what: what.into(),
                    precision: "f64",
                    row: at / self.positions(),
                    column: at % self.positions(),
                    hint: "scale the input down".into(),
                });
            }
        }
        Ok(self)
    }

    /// The same map of all four arrays.
    pub(super) fn each(&self, size: [usize; 2], map: impl Fn(&Square) -> Square) -> Self {
        Self { size, c: map(&self.c), p: map(&self.p), q: map(&self.q), t: map(&self.t) }
    }
}

/// The diagonal: variances.
pub(super) fn diagonal(square: &Square, n: usize) -> Vec<f64> {
    (0..n).map(|i| square[n * i + i]).collect()
}

/// Sum over equal positions.
pub(super) fn trace(square: &Square, n: usize) -> f64 {
    diagonal(square, n).iter().sum()
}

/// w_1 a_1 + w_2 a_2 + ...
pub(super) fn combine(parts: &[(f64, &Square)]) -> Square {
    let len = parts.first().map_or(0, |(_, square)| square.len());
    (0..len).map(|at| parts.iter().map(|(w, square)| w * square[at]).sum()).collect()
}
