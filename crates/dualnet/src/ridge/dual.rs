//! Kernel ridge regression along a path of lambdas, with exact leave-one-out.
//!
//! One reduction `K = Q B Q^T` to a block tridiagonal B serves all lambdas: with `G = (K + lambda I)^-1`, each needs
//! the Cholesky decomposition of `B + lambda I` (negligible), `diag G` (a forward substitution for each row of Q) and
//! `G Y`. At n = 2400 the reduction costs about as much as five Cholesky decompositions with inverses, and a third of
//! an eigendecomposition; 21 lambdas together about two more (`examples/ridge_speed.rs`). Below n of about 1000 an
//! eigendecomposition is cheaper, but all of it takes a fraction of a second there.
//!
//! Leave-one-out: the prediction for sample i by the model without it misses by `(G y)_i / G_ii` (Allen's PRESS). What
//! centring adds is exact, too: without sample i the mean is another, `m_i`, and the miss is
//! `(G y - m_i G 1)_i / G_ii`; with an intercept G is replaced by `G - G 1 1^T G / 1^T G 1`, the first block of the
//! inverse of the bordered system. Weights w turn K, y and 1 into `S K S`, `S y` and `S 1` with `S = diag(sqrt w)`.

use super::options::{Centering, DualOptions, LambdaScale, check_lambdas, normalised_weights};
use super::path::{Jitter, PathPoint};
use crate::error::{Error, Result};
use crate::linalg::cholesky::power;
use crate::linalg::{
    BandReduction, BlockFactor, Mat, MatRef, Update, gemm_nn_parallel, gemm_tn_parallel, in_range, reduce,
};
use crate::resources::Resources;
use rayon::prelude::*;

/// Rows of Q in one task.
const ROWS: usize = 256;
/// Power iterations behind condition numbers: the order of magnitude is what is wanted, for every lambda.
const POWER_STEPS: usize = 10;

/// A kernel and targets, ready to be regularised by any lambda.
#[derive(Debug)]
pub struct DualPath {
    reduction: BandReduction,
    /// Q^T [S 1, S y].
    rotated: Mat<f64>,
    /// Targets less `offset`.
    targets: Mat<f64>,
    /// Subtracted from the targets.
    offset: Vec<f64>,
    weights: Vec<f64>,
    /// What K was divided by.
    unit: f64,
    /// Largest eigenvalue of B.
    largest: f64,
    options: DualOptions,
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

/// `G = (B + shift I)^-1` of one lambda, as far as ridge needs it, in the basis of samples.
struct Solved {
    lambda: f64,
    shift: f64,
    jitter: Option<Jitter>,
    condition: f64,
    diagonal: Vec<f64>,
    /// G [S 1, S y].
    applied: Mat<f64>,
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

    /// Lambda nearest the least leave-one-out error: golden section over log lambda between the neighbours of the best
    /// point of the path, `steps` evaluations (6 to 12 are plenty: the error is flat there).
    pub fn refine(&self, points: &[PathPoint], steps: usize, resources: &Resources) -> Result<PathPoint> {
        let Some(at) = super::path::best(points) else { return Err(internal("a path without points")) };
        let mut found = points[at].clone();
        let neighbour = |cmp: fn(f64, f64) -> bool| {
            let others = points.iter().map(|p| p.lambda).filter(|&l| l > 0.0 && cmp(l, points[at].lambda));
            others.min_by(|a, b| (a / points[at].lambda).ln().abs().total_cmp(&(b / points[at].lambda).ln().abs()))
        };
        let (Some(low), Some(high)) = (neighbour(|l, b| l < b), neighbour(|l, b| l > b)) else { return Ok(found) };
        let (mut low, mut high) = (low.ln(), high.ln());
        let ratio = (5f64.sqrt() - 1.0) / 2.0;
        let at = |x: f64| Ok::<_, Error>(self.evaluate(&[x.exp()], resources)?.swap_remove(0));
        let (mut x, mut y) = (high - ratio * (high - low), low + ratio * (high - low));
        let (mut fx, mut fy) = (at(x)?, at(y)?);
        for _ in 2..steps.max(2) {
            if fx.mse < fy.mse {
                (high, y, fy) = (y, x, fx);
                x = high - ratio * (high - low);
                fx = at(x)?;
            } else {
                (low, x, fx) = (x, y, fy);
                y = low + ratio * (high - low);
                fy = at(y)?;
            }
        }
        for candidate in [fx, fy] {
            if candidate.jitter.is_none() && candidate.mse < found.mse {
                found = candidate;
            }
        }
        Ok(found)
    }

    /// Posterior variance of f at new samples, in the units of the kernel: `k(x, x) - k_x^T (K + lambda / w)^-1 k_x`,
    /// for `kernel` (m, n) between new and training samples and `own[i] = k(x_i, x_i)`. The uncertainty of the mean or
    /// intercept is left out. Rounding below 0 gives 0. Cost 2 m n^2 operations.
    pub fn posterior_variance(
        &self,
        kernel: MatRef<'_, f64>,
        own: &[f64],
        lambda: f64,
        resources: &Resources,
    ) -> Result<Vec<f64>> {
        let n = self.weights.len();
        check_lambdas(&[lambda])?;
        kernel.check_finite("kernel of new samples")?;
        if kernel.cols() != n || kernel.rows() != own.len() {
            return Err(Error::Shape {
                what: "kernel of new samples".into(),
                expected: format!("{} x {n}", own.len()),
                found: format!("{} x {}", kernel.rows(), kernel.cols()),
            });
        }
        let (factor, ..) = self.factor(lambda)?;
        let scaled = Mat::from_fn(own.len(), n, |i, j| kernel.row(i)[j] / self.unit * self.weights[j].sqrt());
        let mut rotated = Mat::zeros(own.len(), n);
        let q = self.reduction.q.as_ref();
        gemm_nn_parallel(resources, rotated.as_mut(), Update::Replace, 1.0, scaled.as_ref(), q)?;
        let explained = self.quadratic_forms(&[&factor], rotated.as_ref(), resources)?.swap_remove(0);
        Ok(own.iter().zip(explained).map(|(k, e)| (k - self.unit * e).max(0.0)).collect())
    }

    /// Lambda in units of `unit`.
    fn relative(&self, lambda: f64) -> f64 {
        match self.options.scale {
            LambdaScale::MeanDiagonal => lambda,
            LambdaScale::Absolute => lambda / self.unit,
        }
    }

    /// Decomposes `B + shift I`, with as little jitter as it takes; its condition number.
    fn factor(&self, lambda: f64) -> Result<(BlockFactor, f64, Option<Jitter>, f64)> {
        let n = self.weights.len();
        let wanted = self.relative(lambda);
        if wanted > 1e30 {
            return Err(Error::Invalid {
                what: "lambda of ridge".into(),
                expected: "at most 1e30 times the mean diagonal of the kernel".into(),
                found: lambda.to_string(),
                hint: "predict the mean instead".into(),
            });
        }
        let floor = 8.0 * f64::EPSILON * self.largest;
        let (mut added, mut pivot) = (0.0, None);
        loop {
            let shift = wanted + added;
            match self.reduction.band.factor(shift)? {
                Ok(factor) => {
                    let inverse = |x: &[f64]| {
                        let mut y = Mat::from_fn(n, 1, |i, _| x[i]);
                        // Shapes are right by construction; a failure shows as an infinite norm.
                        if factor.solve(&mut y).is_err() { vec![f64::INFINITY; n] } else { y.into_vec() }
                    };
                    let smallest = 1.0 / power(n, POWER_STEPS, inverse);
                    if smallest.is_finite() && (smallest >= floor || added > 1e-6 * self.largest) {
                        let jitter = (added > 0.0).then(|| Jitter { added: added * self.lambda_unit(), pivot });
                        return Ok((factor, shift, jitter, (self.largest + shift) / smallest));
                    }
                }
                Err(failed) => {
                    pivot = pivot.or(Some(failed));
                    if added > 1e-6 * self.largest {
                        return Err(Error::NotPositiveDefinite {
                            what: "kernel plus lambda".into(),
                            pivot: failed,
                            hint: "it has negative eigenvalues beyond rounding; check how it was computed".into(),
                        });
                    }
                }
            }
            added = if added == 0.0 { n as f64 * floor } else { 10.0 * added };
        }
    }

    fn lambda_unit(&self) -> f64 {
        match self.options.scale {
            LambdaScale::MeanDiagonal => 1.0,
            LambdaScale::Absolute => self.unit,
        }
    }

    fn solve(&self, lambdas: &[f64], resources: &Resources) -> Result<Vec<Solved>> {
        let (n, sides) = (self.weights.len(), self.rotated.cols());
        let factored: Vec<_> = resources.install(|| {
            let one = |&lambda: &f64| {
                let (factor, shift, jitter, condition) = self.factor(lambda)?;
                let mut x = self.rotated.clone();
                factor.solve(&mut x)?;
                Ok((factor, shift, jitter, condition, x))
            };
            lambdas.par_iter().map(one).collect::<Result<_>>()
        })?;
        let factors: Vec<&BlockFactor> = factored.iter().map(|f| &f.0).collect();
        let diagonals = self.quadratic_forms(&factors, self.reduction.q.as_ref(), resources)?;
        let mut stacked = Mat::zeros(n, sides * lambdas.len());
        for i in 0..n {
            for (part, f) in stacked.row_mut(i).chunks_exact_mut(sides).zip(&factored) {
                part.copy_from_slice(f.4.row(i));
            }
        }
        let mut applied = Mat::zeros(n, stacked.cols());
        let q = self.reduction.q.as_ref();
        gemm_nn_parallel(resources, applied.as_mut(), Update::Replace, 1.0, q, stacked.as_ref())?;
        let solved = factored.iter().zip(diagonals).zip(lambdas).enumerate();
        Ok(solved
            .map(|(at, ((f, diagonal), &lambda))| Solved {
                lambda,
                shift: f.1,
                jitter: f.2,
                condition: f.3,
                diagonal,
                applied: Mat::from_fn(n, sides, |i, j| applied[(i, at * sides + j)]),
            })
            .collect())
    }

    /// For each factor, for each row x of `rows`: `x^T (B + shift I)^-1 x`.
    fn quadratic_forms(
        &self,
        factors: &[&BlockFactor],
        rows: MatRef<'_, f64>,
        resources: &Resources,
    ) -> Result<Vec<Vec<f64>>> {
        let n = rows.rows();
        let blocks: Vec<Vec<Vec<f64>>> = resources.install(|| {
            (0..n.div_ceil(ROWS))
                .into_par_iter()
                .map(|block| {
                    resources.check("leave-one-out")?;
                    let part = rows.block(block * ROWS..n.min((block + 1) * ROWS), 0..rows.cols())?;
                    factors.iter().map(|f| f.quadratic_forms(part)).collect()
                })
                .collect::<Result<_>>()
        })?;
        Ok((0..factors.len()).map(|f| blocks.iter().flat_map(|b| b[f].iter().copied()).collect()).collect())
    }

    fn border(&self, solved: &Solved) -> Border {
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

    fn point(&self, solved: &Solved) -> Result<PathPoint> {
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
struct Border {
    /// `1^T S G S 1`, with an intercept.
    total: Option<f64>,
    /// Intercept of the centred targets.
    shift: Vec<f64>,
}

impl Border {
    /// Diagonal entry i of G, or of G with its border.
    fn diagonal(&self, solved: &Solved, i: usize) -> f64 {
        match self.total {
            None => solved.diagonal[i],
            Some(total) => solved.diagonal[i] - solved.applied[(i, 0)] * (solved.applied[(i, 0)] / total),
        }
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
fn mean_diagonal(kernel: &Mat<f64>) -> Result<f64> {
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

fn internal(found: &str) -> Error {
    Error::Invalid {
        what: "path of ridge".into(),
        expected: "at least one lambda".into(),
        found: found.into(),
        hint: "give a path".into(),
    }
}
