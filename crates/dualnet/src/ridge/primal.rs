//! Ridge regression on features from their statistics, along a path of lambdas, with generalised cross-validation.
//!
//! With `S` and `C` the scatter of the features and their products with the targets, both about the means, and W the weights,
//!
//! ```text
//! theta = (S / W + lambda I)^-1 C / W,    intercept = mean y - mean phi . theta
//! ```
//!
//! which minimises `sum w (y - intercept - phi . theta)^2 / W + lambda |theta|^2` without a penalty on the intercept. In the dual
//! the same model has W lambda on the diagonal of the kernel. Up to [`BAND_LIMIT`] features the scatter is reduced to a band once,
//! and every lambda is cheap. Beyond, the lambda is searched: the whole path on some of the features gives a guess, from which
//! Cholesky decompositions go downhill until both neighbours are worse.

use super::options::{LambdaScale, check_lambdas, default_path};
use super::path::Jitter;
use super::primal_solve::{Solved, Solver};
use super::statistics::RidgeStatistics;
use crate::error::{Error, Result};
use crate::linalg::{Mat, MatRef, affine, in_range};
use crate::resources::Resources;

/// Up to this many features one reduction to a band, 8 m^3 / 3 operations at a lower rate, costs less than the five or so Cholesky
/// decompositions of a search.
pub const BAND_LIMIT: usize = 2500;
/// Features on which a search of lambda begins.
pub(super) const GUESS: usize = 1024;

/// How `S / W + lambda I` is solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrimalSolver {
    /// By a band up to [`BAND_LIMIT`] features, by Cholesky beyond.
    #[default]
    Auto,
    /// One reduction to a band for all lambdas; exact degrees of freedom.
    Band,
    /// One Cholesky decomposition for each lambda; degrees of freedom estimated.
    Cholesky,
}

/// Options of [`PrimalPath`].
#[derive(Clone, Debug, PartialEq)]
pub struct PrimalOptions {
    /// The path: finite, not negative, not empty.
    pub lambdas: Vec<f64>,
    /// Unit of the path. [`LambdaScale::MeanDiagonal`]: the mean diagonal entry of `S / W`, which is the mean variance of the
    /// features.
    pub scale: LambdaScale,
    /// The way to solve.
    pub solver: PrimalSolver,
}

impl Default for PrimalOptions {
    fn default() -> Self {
        Self { lambdas: default_path(), scale: LambdaScale::default(), solver: PrimalSolver::default() }
    }
}

/// One lambda of a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrimalPoint {
    /// Lambda as it was asked for.
    pub lambda: f64,
    /// What is added to the diagonal of `S / W`, jitter included. W times it is what the dual adds to its kernel.
    pub lambda_absolute: f64,
    /// Mean squared error on the training rows, over rows (weighted) and outputs. Computed from the statistics: what is below
    /// 1e-14 of the variance of the targets is rounding.
    pub mse: f64,
    /// Trace of the matrix that maps targets to fitted values, the intercept included.
    pub degrees_of_freedom: f64,
    /// Standard error of the degrees of freedom: 0 where they are exact.
    pub degrees_of_freedom_error: f64,
    /// Generalised cross-validation, `mse / (1 - degrees of freedom / n)^2` with n rows (Golub, Heath, Wahba 1979): an estimate of
    /// the squared error on new rows.
    pub gcv: f64,
    /// What had to be added to lambda; `None`: nothing.
    pub jitter: Option<Jitter>,
}

/// The model at one lambda: `f(x) = intercept + phi(x) . theta`.
#[derive(Clone, Debug, PartialEq)]
pub struct PrimalFit {
    /// Coefficients (m, k).
    pub theta: Mat<f64>,
    /// One for each output (k).
    pub intercept: Vec<f64>,
    /// What is known of this lambda.
    pub point: PrimalPoint,
}

impl PrimalFit {
    /// Predictions (n, k) from features (n, m). Cost 2 n m k operations.
    pub fn predict(&self, features: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        features.check_finite("features of new rows")?;
        in_range(affine(&self.intercept, features, self.theta.as_ref(), resources)?, "predictions of ridge")
    }
}

/// Statistics of features and targets, ready to be regularised by any lambda.
#[derive(Debug)]
pub struct PrimalPath {
    pub(super) mean: Vec<f64>,
    pub(super) target_mean: Vec<f64>,
    /// Variance of each output.
    pub(super) variance: Vec<f64>,
    pub(super) rows: u64,
    pub(super) weight: f64,
    /// Mean diagonal entry of S / W.
    pub(super) unit: f64,
    pub(super) options: PrimalOptions,
    pub(super) solver: Solver,
    /// Where a search begins: a lambda in units of `unit`.
    pub(super) guess: Option<f64>,
    /// What was solved already, where that is expensive.
    pub(super) known: Vec<Solved>,
}

impl PrimalPath {
    /// Takes the statistics, in whose memory it works: m^2 numbers with Cholesky, 2 m^2 with a band.
    ///
    /// # Errors
    /// Fewer than two rows of positive weight; features that do not vary; lambdas out of range; memory.
    ///
    /// Cost 8 m^3 / 3 operations with a band; with Cholesky nearly nothing yet.
    ///
    /// ```
    /// use dualnet::ridge::{ArraySource, Identity, PrimalOptions, PrimalPath, accumulate, best_by_gcv};
    /// use dualnet::{Mat, Resources};
    /// let resources = Resources::new(1)?;
    /// let x = Mat::from_fn(9, 1, |i, _| i as f64);
    /// let y = Mat::from_fn(9, 1, |i, _| 1.0 + 2.0 * i as f64 + if i % 2 == 0 { 0.01 } else { -0.01 });
    /// let statistics = accumulate(&Identity(1), &mut ArraySource::new(x.as_ref(), y.as_ref(), &[], 4)?, &resources)?;
    /// let mut path = PrimalPath::new(statistics, PrimalOptions::default(), &resources)?;
    /// let points = path.points(&resources)?;
    /// let fit = path.fit(points[best_by_gcv(&points).unwrap()].lambda, &resources)?;
    /// assert!((fit.theta[(0, 0)] - 2.0).abs() < 1e-3 && (fit.intercept[0] - 1.0).abs() < 1e-2);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn new(statistics: RidgeStatistics, options: PrimalOptions, resources: &Resources) -> Result<Self> {
        check_lambdas(&options.lambdas)?;
        let (rows, weight, m) = (statistics.rows(), statistics.weight(), statistics.features());
        if rows < 2 {
            return Err(Error::Invalid {
                what: "rows of ridge".into(),
                expected: "at least 2 of positive weight".into(),
                found: rows.to_string(),
                hint: "give more rows".into(),
            });
        }
        let band = match options.solver {
            PrimalSolver::Auto => m <= BAND_LIMIT,
            PrimalSolver::Band => true,
            PrimalSolver::Cholesky => false,
        };
        let numbers = (m as u64).pow(2) * if band { 2 } else { 1 };
        resources.reserve("ridge in the primal", 8 * numbers, "use fewer features, or raise the memory limit")?;
        let (mean, target_mean) = (statistics.mean().to_vec(), statistics.target_mean().to_vec());
        let variance = statistics.target_scatter().iter().map(|s| s / weight).collect();
        let (mut scatter, mut cross) = statistics.into_parts();
        let unit = (0..m).map(|i| scatter[(i, i)] / weight / m as f64).sum::<f64>();
        if !(unit.is_finite() && unit > f64::MIN_POSITIVE) {
            return Err(Error::Invalid {
                what: "mean variance of the features of ridge".into(),
                expected: "a positive number".into(),
                found: unit.to_string(),
                hint: "all rows have the same features; check the map and its input".into(),
            });
        }
        resources.install(|| {
            use rayon::prelude::*;
            let rows = scatter.as_mut_slice().par_chunks_mut(m).enumerate();
            rows.for_each(|(i, row)| row[..=i].iter_mut().for_each(|s| *s = *s / weight / unit));
        });
        cross.as_mut_slice().iter_mut().for_each(|c| *c /= weight);
        let mut path = Self {
            mean,
            target_mean,
            variance,
            rows,
            weight,
            unit,
            options,
            solver: Solver::Moving,
            guess: None,
            known: Vec::new(),
        };
        path.solver = match band {
            true => Solver::band(scatter, cross, resources)?,
            false => {
                path.guess = path.guess(&scatter, &cross, resources)?;
                Solver::cholesky(scatter, cross, resources)
            }
        };
        Ok(path)
    }

    /// With a band, all lambdas of the options, in their order. With Cholesky those that a search of the least
    /// [`gcv`](PrimalPoint::gcv) visits, ascending: usually three to five, each m^3 / 3 operations.
    ///
    /// The search takes the criterion to have one minimum along the path.
    pub fn points(&mut self, resources: &Resources) -> Result<Vec<PrimalPoint>> {
        match &self.solver {
            Solver::Cholesky(_) => self.search(resources),
            _ => self.evaluate(&self.options.lambdas.clone(), resources),
        }
    }

    /// A lambda of the options to begin a search at, which leave-one-out may decide: with a band the one of least
    /// [`gcv`](PrimalPoint::gcv), with Cholesky the one that the first features alone lead to. No decomposition beyond those of the band.
    ///
    /// # Errors
    /// No lambdas; those of [`Self::points`].
    pub fn proposal(&mut self, resources: &Resources) -> Result<f64> {
        let none = || Error::Invalid {
            what: "lambdas of ridge".into(),
            expected: "at least one".into(),
            found: "none".into(),
            hint: "leave the path out".into(),
        };
        let lambdas = &self.options.lambdas;
        if let Solver::Cholesky(_) = &self.solver {
            return self.nearest_to_guess(lambdas).map(|at| lambdas[at]).ok_or_else(none);
        }
        let points = self.points(resources)?;
        best_by_gcv(&points).map(|best| points[best].lambda).ok_or_else(none)
    }

    /// Which of `lambdas` is nearest to the guess, in their ratio.
    fn nearest_to_guess(&self, lambdas: &[f64]) -> Option<usize> {
        let guess = self.guess.unwrap_or(1e-4);
        let far = |lambda: f64| (self.relative(lambda).max(1e-300).ln() - guess.ln()).abs();
        (0..lambdas.len()).min_by(|&a, &b| far(lambdas[a]).total_cmp(&far(lambdas[b])))
    }

    /// The lambdas named, one decomposition each.
    pub fn evaluate(&mut self, lambdas: &[f64], resources: &Resources) -> Result<Vec<PrimalPoint>> {
        check_lambdas(lambdas)?;
        lambdas.iter().map(|&lambda| Ok(self.solved(lambda, resources)?.point)).collect()
    }

    /// The model at one lambda. With Cholesky one decomposition, or none where that lambda was visited before.
    pub fn fit(&mut self, lambda: f64, resources: &Resources) -> Result<PrimalFit> {
        check_lambdas(&[lambda])?;
        let solved = self.solved(lambda, resources)?;
        self.fit_of(solved, resources)
    }

    /// The model of a lambda that is solved.
    pub(super) fn fit_of(&self, solved: Solved, resources: &Resources) -> Result<PrimalFit> {
        let theta = in_range(self.solver.rotate_back(solved.x, resources)?, "coefficients of ridge")?;
        let intercept = self.target_mean.iter().enumerate().map(|(j, y)| {
            let pull: f64 = self.mean.iter().enumerate().map(|(i, mean)| mean * theta[(i, j)]).sum();
            y - pull
        });
        Ok(PrimalFit { intercept: intercept.collect(), theta, point: solved.point })
    }

    /// Walks along the path, from the guess, downhill.
    fn search(&mut self, resources: &Resources) -> Result<Vec<PrimalPoint>> {
        let mut lambdas = self.options.lambdas.clone();
        lambdas.sort_by(f64::total_cmp);
        lambdas.dedup();
        let start = self.nearest_to_guess(&lambdas).unwrap_or(0);
        let mut visited: Vec<(usize, PrimalPoint)> = Vec::new();
        let mut wanted = vec![start, start.saturating_sub(1), (start + 1).min(lambdas.len() - 1)];
        loop {
            for &at in &wanted {
                if visited.iter().all(|v| v.0 != at) {
                    visited.push((at, self.solved(lambdas[at], resources)?.point));
                }
            }
            visited.sort_by_key(|v| v.0);
            let points: Vec<PrimalPoint> = visited.iter().map(|v| v.1).collect();
            let best = best_by_gcv(&points).unwrap_or(0);
            let at = visited[best].0;
            let low = best == 0 && at > 0;
            let high = best + 1 == visited.len() && at + 1 < lambdas.len();
            match (low, high) {
                (false, false) => return Ok(points),
                (true, _) => wanted = vec![at - 1],
                (false, true) => wanted = vec![at + 1],
            }
        }
    }

    /// The best lambda of the first features alone, in units of the mean diagonal, made up for their number: a kernel of so many
    /// more features is so much larger.
    fn guess(&self, scatter: &Mat<f64>, cross: &Mat<f64>, resources: &Resources) -> Result<Option<f64>> {
        let m = scatter.rows();
        let part = GUESS.min(m.div_ceil(2));
        if self.options.lambdas.len() < 2 {
            return Ok(None);
        }
        let mut path = Self {
            mean: Vec::new(),
            target_mean: Vec::new(),
            variance: self.variance.clone(),
            rows: self.rows,
            weight: self.weight,
            unit: self.unit,
            options: PrimalOptions { lambdas: default_path(), ..PrimalOptions::default() },
            solver: Solver::band(
                scatter.as_ref().block(0..part, 0..part)?.to_mat(),
                cross.as_ref().block(0..part, 0..cross.cols())?.to_mat(),
                resources,
            )?,
            guess: None,
            known: Vec::new(),
        };
        let points = path.points(resources)?;
        Ok(best_by_gcv(&points).map(|best| points[best].lambda * m as f64 / part as f64))
    }
}

/// The index of the point with the least generalised cross-validation; of equals the largest lambda. `None` without points.
///
/// Points that needed no jitter go before those that did.
pub fn best_by_gcv(points: &[PrimalPoint]) -> Option<usize> {
    (0..points.len()).min_by(|&a, &b| {
        let (a, b) = (&points[a], &points[b]);
        let jitter = a.jitter.is_some().cmp(&b.jitter.is_some());
        jitter.then(a.gcv.total_cmp(&b.gcv)).then(b.lambda.total_cmp(&a.lambda))
    })
}
