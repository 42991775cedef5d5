//! Kernel ridge regression along a path of lambdas, with exact leave-one-out.
//!
//! One reduction `K = Q B Q^T` to a block tridiagonal B serves all lambdas: with `G = (K + lambda I)^-1`, each needs
//! the Cholesky decomposition of `B + lambda I` (negligible), `diag G` (a forward substitution for each row of Q) and
//! `G Y`. At n = 2400 the reduction costs about as much as five Cholesky decompositions with inverses, and a third of
//! an eigendecomposition; 21 lambdas together about two more (`examples/ridge_speed.rs`).

use super::options::{Centering, DualOptions, check_lambdas, normalised_weights};
use super::path::PathPoint;
use super::shifted::POWER_STEPS;
use crate::error::{Error, Result};
use crate::linalg::cholesky::power;
use crate::linalg::{BandReduction, Mat, MatRef, Update, gemm_nn_parallel, gemm_tn_parallel, in_range, reduce};
use crate::resources::Resources;

/// A kernel and targets, ready to be regularised by any lambda.
#[derive(Debug)]
pub struct DualPath {
    pub(super) reduction: BandReduction,
    /// Q^T [S 1, S y].
    pub(super) rotated: Mat<f64>,
    /// Targets less `offset`.
    pub(super) targets: Mat<f64>,
    /// Subtracted from the targets.
    pub(super) offset: Vec<f64>,
    pub(super) weights: Vec<f64>,
    /// What K was divided by.
    pub(super) unit: f64,
    /// Largest eigenvalue of B.
    pub(super) largest: f64,
    pub(super) options: DualOptions,
}

/// The model at one lambda: `f(x) = intercept + sum_i k(x, x_i) coefficients_i`.
#[derive(Clone, Debug, PartialEq)]
pub struct DualFit {
    /// (n, outputs).
    pub coefficients: Mat<f64>,
    /// One for each output.
    pub intercept: Vec<f64>,
    /// Variance, in the units of the kernel, of the prediction for each sample by the model without it: of the target,
    /// noise included (n).
    pub loo_variance: Vec<f64>,
    /// What is known of this lambda.
    pub point: PathPoint,
}

impl DualFit {
    /// Predictions (m, outputs) from the kernel between m new samples and the training samples (m, n).
    pub fn predict(&self, kernel: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        kernel.check_finite("kernel of new samples")?;
        let mut out = Mat::from_fn(kernel.rows(), self.intercept.len(), |_, j| self.intercept[j]);
        gemm_nn_parallel(resources, out.as_mut(), Update::Add, 1.0, kernel, self.coefficients.as_ref())?;
        in_range(out, "predictions of ridge")
    }
}

impl DualPath {
    /// Prepares a symmetric positive semi-definite kernel (n, n), of which only the lower triangle is read, and targets
    /// (n, outputs).
    ///
    /// # Errors
    /// Shapes; numbers that are not finite; n = 0, and n = 1 unless nothing is centred; a kernel whose diagonal is not
    /// positive on average; weights and lambdas out of range; memory: 2.5 n^2 numbers, the kernel included.
    ///
    /// Cost 8 n^3 / 3 operations.
    ///
    /// ```
    /// use dualnet::{Mat, Resources, ridge::{DualOptions, DualPath, best}};
    /// let x = [0.0, 1.0, 2.0, 3.0];
    /// let k = Mat::from_fn(4, 4, |i, j| 1.0 + x[i] * x[j]);
    /// let y = Mat::from_fn(4, 1, |i, _| 2.0 * x[i]);
    /// let resources = Resources::new(1)?;
    /// let path = DualPath::new(k, y.as_ref(), DualOptions::default(), &resources)?;
    /// let points = path.points(&resources)?;
    /// let best = &points[best(&points).unwrap()];
    /// assert!(best.mse < 1e-10);
    /// let fit = path.fit(best.lambda, &resources)?;
    /// let at_ten = Mat::from_fn(1, 4, |_, j| 1.0 + 10.0 * x[j]);
    /// assert!((fit.predict(at_ten.as_ref(), &resources)?[(0, 0)] - 20.0).abs() < 1e-4);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn new(
        kernel: Mat<f64>,
        targets: MatRef<'_, f64>,
        options: DualOptions,
        resources: &Resources,
    ) -> Result<Self> {
        let n = check(&kernel, targets, &options)?;
        let needed = 20 * (n as u64).pow(2) + 16 * (n * (targets.cols() + 1)) as u64;
        resources.reserve("ridge in the dual", needed, "use features, or fewer samples, or raise the memory limit")?;
        let weights = normalised_weights(options.weights.as_deref(), n)?;
        let unit = mean_diagonal(&kernel)?;
        let roots: Vec<f64> = weights.iter().map(|w| w.sqrt()).collect();
        let mut kernel = kernel;
        for (i, &ri) in roots.iter().enumerate() {
            // The root divides twice, so that a unit near the ends of the range does no harm.
            kernel.row_mut(i).iter_mut().zip(&roots).for_each(|(k, rj)| *k = *k / unit * (ri * rj));
        }
        // Holds for every positive semi-definite matrix with room to spare; beyond it squares could overflow.
        if let Some(at) = kernel.as_slice().iter().position(|k| k.abs() > 1e100) {
            return Err(Error::NotPositiveDefinite {
                what: "kernel of ridge".into(),
                pivot: at / n,
                hint: "an entry exceeds its diagonal by far; check how the kernel was computed".into(),
            });
        }
        let reduction = reduce(kernel, resources)?;
        let offset = offsets(targets, &weights, options.centering);
        let targets = Mat::from_fn(n, targets.cols(), |i, j| targets.row(i)[j] - offset[j]);
        let sides =
            Mat::from_fn(n, targets.cols() + 1, |i, j| roots[i] * if j == 0 { 1.0 } else { targets[(i, j - 1)] });
        let mut rotated = Mat::zeros(n, targets.cols() + 1);
        let q = reduction.q.as_ref();
        gemm_tn_parallel(resources, rotated.as_mut(), Update::Replace, 1.0, q, sides.as_ref())?;
        let largest = power(n, POWER_STEPS, |x| reduction.band.times(x));
        Ok(Self { reduction, rotated, targets, offset, weights, unit, largest, options })
    }

    /// The path asked for in the options.
    pub fn points(&self, resources: &Resources) -> Result<Vec<PathPoint>> {
        self.evaluate(&self.options.lambdas, resources)
    }

    /// Any other lambdas. Cost about n^2 (64 + 2 outputs) operations each.
    pub fn evaluate(&self, lambdas: &[f64], resources: &Resources) -> Result<Vec<PathPoint>> {
        check_lambdas(lambdas)?;
        self.solve(lambdas, resources)?.iter().map(|s| self.point(s)).collect()
    }

    /// The model at one lambda. Cost as [`Self::evaluate`].
    pub fn fit(&self, lambda: f64, resources: &Resources) -> Result<DualFit> {
        check_lambdas(&[lambda])?;
        let mut solved = self.solve(&[lambda], resources)?;
        let Some(solved) = solved.pop() else { return Err(internal("no lambda was solved")) };
        let border = self.border(&solved);
        let coefficients = Mat::from_fn(self.targets.rows(), self.targets.cols(), |i, j| {
            let y = solved.applied[(i, j + 1)] - border.shift[j] * solved.applied[(i, 0)];
            self.weights[i].sqrt() * y / self.unit
        });
        let coefficients = in_range(coefficients, "coefficients of ridge")?;
        let intercept = self.offset.iter().zip(&border.shift).map(|(o, s)| o + s).collect();
        let variance = |(i, w): (usize, &f64)| self.unit / (w * border.diagonal(&solved, i));
        let loo_variance = self.weights.iter().enumerate().map(variance).collect();
        Ok(DualFit { coefficients, intercept, loo_variance, point: self.point(&solved)? })
    }

    /// The coefficients of the same at one lambda for other targets (n, outputs), whose mean is to be 0: no intercept is taken out. Cost 4 n^2
    /// operations an output.
    ///
    /// # Errors
    /// Shapes; numbers that are not finite; as [`Self::fit`].
    pub fn coefficients_of(&self, targets: MatRef<'_, f64>, lambda: f64, resources: &Resources) -> Result<Mat<f64>> {
        check_lambdas(&[lambda])?;
        targets.check_finite("targets of ridge")?;
        let (n, outputs) = (self.weights.len(), targets.cols());
        if targets.rows() != n {
            let (expected, found) = (format!("{n} rows"), targets.rows().to_string());
            return Err(Error::Shape { what: "targets of ridge".into(), expected, found });
        }
        let (factor, ..) = self.factor(lambda)?;
        let sides = Mat::from_fn(n, outputs, |i, j| self.weights[i].sqrt() * targets.row(i)[j]);
        let (mut rotated, mut applied) = (Mat::zeros(n, outputs), Mat::zeros(n, outputs));
        let q = self.reduction.q.as_ref();
        gemm_tn_parallel(resources, rotated.as_mut(), Update::Replace, 1.0, q, sides.as_ref())?;
        factor.solve(&mut rotated)?;
        gemm_nn_parallel(resources, applied.as_mut(), Update::Replace, 1.0, q, rotated.as_ref())?;
        let coefficient = |i: usize, j: usize| self.weights[i].sqrt() * applied[(i, j)] / self.unit;
        in_range(Mat::from_fn(n, outputs, coefficient), "coefficients of ridge")
    }
}

fn offsets(targets: MatRef<'_, f64>, weights: &[f64], centering: Centering) -> Vec<f64> {
    let mean = |j: usize| {
        // Weights have mean 1. Dividing before adding keeps the sum finite.
        let n = weights.len() as f64;
        weights.iter().enumerate().map(|(i, w)| targets.row(i)[j] * (w / n)).sum::<f64>()
    };
    match centering {
        Centering::None => vec![0.0; targets.cols()],
        Centering::Targets | Centering::Intercept => (0..targets.cols()).map(mean).collect(),
    }
}

fn check(kernel: &Mat<f64>, targets: MatRef<'_, f64>, options: &DualOptions) -> Result<usize> {
    let n = kernel.rows();
    if kernel.cols() != n {
        return Err(Error::Shape {
            what: "kernel of ridge".into(),
            expected: "a square matrix".into(),
            found: format!("{n} x {}", kernel.cols()),
        });
    }
    if targets.rows() != n || targets.cols() == 0 {
        return Err(Error::Shape {
            what: "targets of ridge".into(),
            expected: format!("{n} rows, as the kernel, and one or more columns"),
            found: format!("{} x {}", targets.rows(), targets.cols()),
        });
    }
    let least = if options.centering == Centering::None { 1 } else { 2 };
    if n < least {
        return Err(Error::Invalid {
            what: "samples of ridge".into(),
            expected: format!("at least {least}, so that leaving one out leaves {}", least - 1),
            found: n.to_string(),
            hint: "give more samples, or centre nothing".into(),
        });
    }
    check_lambdas(&options.lambdas)?;
    kernel.as_ref().check_finite("kernel of ridge")?;
    targets.check_finite("targets of ridge")?;
    Ok(n)
}

/// The unit of lambda: positive, or the kernel is refused.
/// The unit of lambda; refused where it is not positive.
pub(crate) fn mean_diagonal(kernel: &Mat<f64>) -> Result<f64> {
    let n = kernel.rows();
    let mean = (0..n).map(|i| kernel[(i, i)] / n as f64).sum::<f64>();
    if mean.is_finite() && mean > f64::MIN_POSITIVE {
        return Ok(mean);
    }
    Err(Error::Invalid {
        what: "diagonal of the kernel of ridge".into(),
        expected: "a positive mean".into(),
        found: mean.to_string(),
        hint: "all samples may be zero; scale them, or give the net a bias".into(),
    })
}

pub(super) fn internal(found: &str) -> Error {
    Error::Invalid {
        what: "path of ridge".into(),
        expected: "at least one lambda".into(),
        found: found.into(),
        hint: "give a path".into(),
    }
}
