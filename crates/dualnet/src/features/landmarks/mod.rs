//! Landmarks: a few rows of the data whose kernel columns stand for the whole kernel matrix.
//!
//! The Nystrom approximation by rows L is K_L K_LL^-1 K_L^T with K_L the columns of K at L: never larger than K (the difference is positive
//! semi-definite), exact in the rows L. How good it is depends on the rows:
//!
//! | method | cost beside the kernel | memory | error |
//! |---|---|---|---|
//! | [`LandmarkMethod::Uniform`] | none | none | misses what is rare: small clusters, outliers |
//! | [`LandmarkMethod::Leverage`] | 2 n k^2, 2 n k kernel values | k^2 | near the best for a ridge of its lambda |
//! | [`LandmarkMethod::RpCholesky`] | n k^2, n k kernel values | n k | near the best of rank k in the trace norm; gives the error |
//!
//! On 1,000 handwritten digits (8 x 8 pixels, columns standardised, NTK of fc-relu-2) the relative error in the Frobenius norm was, for 256 and 512
//! rows, mean of 10 seeds: .130 and .089 by uniform, .037 and .019 by RPCholesky; best possible .017 and .010.
//!
//! Any [`Kernel`] serves, dense or of images. Rows are counted from 0. Seeds, instruction set and precision fix the choice; threads do not
//! change it.
//!
//! ```
//! use dualnet::features::landmarks::{LandmarkMethod, Landmarks};
//! use dualnet::kernel::{DenseKernel, KernelKind};
//! use dualnet::{Mat, Resources, net::Net};
//! let kernel = DenseKernel::new(&Net::parse("fc-relu-1")?, 2)?;
//! // Two directions, each many times: two landmarks are all there is.
//! let x = Mat::from_fn(100, 2, |i, j| if i % 2 == j { 1.0 } else { 0.0 });
//! let method = LandmarkMethod::rp_cholesky();
//! let chosen = Landmarks::choose(&kernel, x.as_ref(), KernelKind::Ntk, 10, method, &Resources::new(1)?)?;
//! assert_eq!(chosen.rows().len(), 2);
//! assert_ne!(chosen.rows()[0] % 2, chosen.rows()[1] % 2);
//! assert_eq!(chosen.partial().map(|p| p.relative_residual()), Some(0.0));
//! # Ok::<(), dualnet::Error>(())
//! ```

pub(crate) mod columns;
mod leverage;
mod partial;
mod rp_cholesky;
mod uniform;
mod wheel;

pub use leverage::leverage_scores;
pub use partial::PartialCholesky;
pub(crate) use partial::quiet;

use crate::error::{Error, Result};
use crate::kernel::{Float, Kernel, KernelKind};
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;

/// How landmarks are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LandmarkMethod {
    /// All rows alike.
    Uniform,
    /// By approximate ridge leverage scores, see [`leverage_scores`].
    Leverage {
        /// The ridge, in units of the mean of K(x, x).
        lambda: f64,
    },
    /// By randomly pivoted Cholesky decomposition.
    RpCholesky {
        /// How many rows are proposed at once. The law of the landmarks does not depend on it; time and the rows that a seed gives do.
        proposals: Proposals,
    },
}

impl LandmarkMethod {
    /// Randomly pivoted Cholesky with the number of proposals left to it.
    pub fn rp_cholesky() -> Self {
        LandmarkMethod::RpCholesky { proposals: Proposals::Automatic }
    }
}

/// How many rows [`LandmarkMethod::RpCholesky`] proposes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposals {
    /// As many as fill a tile of columns, by the share accepted so far.
    Automatic,
    /// This many, 1 to 16,384: 1 is the plain algorithm.
    Fixed(usize),
}

/// Rows chosen to stand for the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Landmarks<T> {
    kind: KernelKind,
    rows: Vec<usize>,
    partial: Option<PartialCholesky<T>>,
}

impl<T: Float> Landmarks<T> {
    /// Chooses `k` of the rows of `x` (n, d) for a kernel, with the seed of `resources`.
    ///
    /// Fewer are chosen where there are fewer: at most n, those with K(x, x) > 0 (by leverage and RPCholesky), and by RPCholesky at most the
    /// numerical rank of K.
    ///
    /// # Errors
    /// `k` = 0; options out of range; input that the kernel refuses, with its row and column; memory (RPCholesky keeps n k numbers); an
    /// interruption.
    pub fn choose<K: Kernel<T>>(
        kernel: &K,
        x: MatRef<'_, T>,
        kind: KernelKind,
        k: usize,
        method: LandmarkMethod,
        resources: &Resources,
    ) -> Result<Self> {
        if k == 0 {
            return Err(invalid("number of landmarks", "at least 1", "0", "a hundred is a start"));
        }
        let only = |rows| Self { kind, rows, partial: None };
        Ok(match method {
            LandmarkMethod::Uniform => {
                x.check_finite("x")?;
                only(uniform::choose(x.rows(), k, resources))
            }
            LandmarkMethod::Leverage { lambda } => only(leverage::choose(kernel, x, kind, k, lambda, resources)?),
            LandmarkMethod::RpCholesky { proposals } => {
                let partial = rp_cholesky::choose(kernel, x, kind, k, proposals, resources)?;
                Self { kind, rows: partial.pivots().to_vec(), partial: Some(partial) }
            }
        })
    }

    /// For which kernel.
    pub fn kind(&self) -> KernelKind {
        self.kind
    }
    /// The rows chosen, in the order they were; those of RPCholesky are good in any number from the first on.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }
    /// The decomposition that RPCholesky made on its way, with the error; for others see [`PartialCholesky::of_rows`].
    pub fn partial(&self) -> Option<&PartialCholesky<T>> {
        self.partial.as_ref()
    }
    /// The decomposition, for as long as nothing else is wanted.
    pub fn into_partial(self) -> Option<PartialCholesky<T>> {
        self.partial
    }
    /// The landmarks themselves, of the samples `x` they were chosen from: (number of rows chosen, d).
    ///
    /// # Errors
    /// Fewer rows than those they were chosen from.
    pub fn samples(&self, x: MatRef<'_, T>) -> Result<Mat<T>> {
        match self.rows.iter().find(|row| **row >= x.rows()) {
            None => Ok(x.select_rows(&self.rows)),
            Some(row) => Err(Error::Shape {
                what: "samples of landmarks".into(),
                expected: format!("more than {row} rows"),
                found: x.rows().to_string(),
            }),
        }
    }
}

/// An argument out of its range.
pub(crate) fn invalid(what: &str, expected: &str, found: &str, hint: &str) -> Error {
    Error::Invalid { what: what.into(), expected: expected.into(), found: found.into(), hint: hint.into() }
}
