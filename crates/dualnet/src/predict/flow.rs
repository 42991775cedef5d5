//! Training by gradient flow on the squared loss, in closed form at any time.
//!
//! With T the regularised tangent kernel and `rate = learning rate / (n outputs)`:
//! `f_t = y + e^(-rate t T) (f_0 - y)` on training samples, `f_t = f_0* + Th*X A_t (y - f_0)` on test samples,
//! `A_t = T^-1 (I - e^(-rate t T))` (Lee et al. 2019). One eigendecomposition serves all times.

use super::posterior::{Gaussian, Kernels, ensemble_covariance, same_test, symmetric};
use super::regularisation::DiagonalReg;
use crate::error::{Error, Result};
use crate::linalg::{Eigh, Mat, MatRef, Update, eigh, gemm_nn_parallel, gemm_nt_parallel, gemm_tn_parallel, in_range};
use crate::resources::Resources;

/// How long the flow runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Time {
    /// Until this time, at least 0.
    At(f64),
    /// To the end.
    Infinity,
}

/// The flow of one kernel. Eigenvalues below 0 act as 0.
#[derive(Clone, Debug)]
pub struct Flow {
    eigh: Eigh,
    learning_rate: f64,
}

impl Flow {
    /// Decomposes a tangent kernel (n, n), regularised. Cost about 9 n^3 operations.
    ///
    /// # Errors
    /// Shape, numbers that are not finite, memory, a learning rate or regularisation that is negative.
    ///
    /// ```
    /// use dualnet::{Mat, Resources, predict::{DiagonalReg, Flow, Time}};
    /// let resources = Resources::new(1)?;
    /// let flow = Flow::new(Mat::from_vec(1, 1, vec![2.0])?.as_ref(), 0.5, DiagonalReg::Absolute(0.0), &resources)?;
    /// let (f0, y) = (Mat::zeros(1, 1), Mat::from_vec(1, 1, vec![1.0])?);
    /// let f = flow.train(Time::At(3.0), f0.as_ref(), y.as_ref(), &resources)?;
    /// assert!((f[(0, 0)] - (1.0 - (-3f64).exp())).abs() < 1e-15);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn new(kernel: MatRef<'_, f64>, learning_rate: f64, reg: DiagonalReg, resources: &Resources) -> Result<Self> {
        if !(learning_rate.is_finite() && learning_rate > 0.0) {
            return Err(not_positive("learning rate", learning_rate));
        }
        if kernel.rows() != kernel.cols() || kernel.rows() == 0 {
            return Err(Error::Shape {
                what: "tangent kernel of a flow".into(),
                expected: "a square matrix of at least one row".into(),
                found: format!("{} x {}", kernel.rows(), kernel.cols()),
            });
        }
        kernel.check_finite("tangent kernel of a flow")?;
        let needed = 32 * (kernel.rows() as u64).pow(2);
        resources.reserve("gradient flow", needed, "use fewer samples, or raise the memory limit")?;
        let mut decomposed = eigh(reg.add(kernel.to_mat())?.as_ref(), resources)?;
        decomposed.values.iter_mut().for_each(|v| *v = v.max(0.0));
        Ok(Self { eigh: decomposed, learning_rate })
    }

    /// Outputs (n, outputs) on the training samples, from `initial` towards `targets`.
    pub fn train(
        &self,
        time: Time,
        initial: MatRef<'_, f64>,
        targets: MatRef<'_, f64>,
        resources: &Resources,
    ) -> Result<Mat<f64>> {
        let error = self.error(initial, targets)?;
        let Time::At(_) = time else { return Ok(targets.to_mat()) };
        let rate = self.rate(time, targets.cols())?;
        let decayed = self.apply(|v| (-rate * v).exp(), error.as_ref(), resources)?;
        Ok(Mat::from_fn(targets.rows(), targets.cols(), |i, j| targets.row(i)[j] - decayed[(i, j)]))
    }

    /// Outputs (m, outputs) on test samples, from `initial_test`; `kernel` (m, n) is the tangent kernel between test
    /// and training samples.
    pub fn test(
        &self,
        time: Time,
        kernel: MatRef<'_, f64>,
        initial_test: MatRef<'_, f64>,
        initial: MatRef<'_, f64>,
        targets: MatRef<'_, f64>,
        resources: &Resources,
    ) -> Result<Mat<f64>> {
        let error = self.error(initial, targets)?;
        kernel.check_finite("kernel between test and training samples")?;
        initial_test.check_finite("initial outputs of test samples")?;
        let rate = self.rate(time, targets.cols())?;
        let coefficients = self.apply(|v| inverse(v, rate), error.as_ref(), resources)?;
        let mut out = initial_test.to_mat();
        gemm_nn_parallel(resources, out.as_mut(), Update::Add, 1.0, kernel, coefficients.as_ref())?;
        finite(out, "outputs of test samples")
    }

    fn rate(&self, time: Time, outputs: usize) -> Result<f64> {
        match time {
            Time::Infinity => Ok(f64::INFINITY),
            Time::At(t) if t >= 0.0 && t.is_finite() => {
                Ok(self.learning_rate * t / (self.eigh.values.len() * outputs.max(1)) as f64)
            }
            Time::At(t) => Err(not_positive("time of a flow", t)),
        }
    }

    /// `y - f_0`.
    fn error(&self, initial: MatRef<'_, f64>, targets: MatRef<'_, f64>) -> Result<Mat<f64>> {
        let n = self.eigh.values.len();
        if targets.rows() != n || (initial.rows(), initial.cols()) != (n, targets.cols()) {
            return Err(Error::Shape {
                what: "initial outputs and targets of a flow".into(),
                expected: format!("{n} rows each, and the same columns"),
                found: format!("{} x {}, {} x {}", initial.rows(), initial.cols(), targets.rows(), targets.cols()),
            });
        }
        initial.check_finite("initial outputs")?;
        targets.check_finite("targets")?;
        Ok(Mat::from_fn(n, targets.cols(), |i, j| targets.row(i)[j] - initial.row(i)[j]))
    }

    /// `g(T) X`.
    fn apply(&self, g: impl Fn(f64) -> f64, x: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        let vectors = self.eigh.vectors.as_ref();
        let mut rotated = Mat::zeros(x.rows(), x.cols());
        gemm_nn_parallel(resources, rotated.as_mut(), Update::Replace, 1.0, vectors, x)?;
        for (i, &v) in self.eigh.values.iter().enumerate() {
            let factor = g(v);
            rotated.row_mut(i).iter_mut().for_each(|x| *x *= factor);
        }
        let mut out = Mat::zeros(x.rows(), x.cols());
        gemm_tn_parallel(resources, out.as_mut(), Update::Replace, 1.0, vectors, rotated.as_ref())?;
        finite(out, "function of the kernel")
    }

    /// `X g(T)`, X (m, n).
    fn apply_right(&self, g: impl Fn(f64) -> f64, x: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        let vectors = self.eigh.vectors.as_ref();
        let mut rotated = Mat::zeros(x.rows(), x.cols());
        gemm_nt_parallel(resources, rotated.as_mut(), Update::Replace, 1.0, x, vectors)?;
        let factors: Vec<f64> = self.eigh.values.iter().map(|&v| g(v)).collect();
        for i in 0..x.rows() {
            rotated.row_mut(i).iter_mut().zip(&factors).for_each(|(x, f)| *x *= f);
        }
        let mut out = Mat::zeros(x.rows(), x.cols());
        gemm_nn_parallel(resources, out.as_mut(), Update::Replace, 1.0, rotated.as_ref(), vectors)?;
        finite(out, "function of the kernel")
    }
}

/// `(1 - e^(-rate v)) / v`, and its limit `rate` at v = 0.
fn inverse(v: f64, rate: f64) -> f64 {
    if v == 0.0 { rate } else { -(-rate * v).exp_m1() / v }
}

/// A whole ensemble of networks, drawn from the NNGP, in training.
#[derive(Clone, Debug)]
pub struct Ensemble<'a> {
    nngp: Kernels<'a>,
    ntk: Kernels<'a>,
    targets: MatRef<'a, f64>,
    /// All layers train: the flow of the NTK.
    ntk_flow: Flow,
    /// The last layer trains: the flow of the NNGP.
    nngp_flow: Flow,
}

impl<'a> Ensemble<'a> {
    /// Two eigendecompositions.
    pub fn new(
        nngp: Kernels<'a>,
        ntk: Kernels<'a>,
        targets: MatRef<'a, f64>,
        learning_rate: f64,
        reg: DiagonalReg,
        resources: &Resources,
    ) -> Result<Self> {
        nngp.check("NNGP", targets)?;
        ntk.check("NTK", targets)?;
        same_test(&nngp, &ntk)?;
        let ntk_flow = Flow::new(ntk.train, learning_rate, reg, resources)?;
        let nngp_flow = Flow::new(nngp.train, learning_rate, reg, resources)?;
        Ok(Self { nngp, ntk, targets, ntk_flow, nngp_flow })
    }

    /// Mean and covariance on test samples, all layers training.
    pub fn ntk(&self, time: Time, resources: &Resources) -> Result<Gaussian> {
        let rate = self.ntk_flow.rate(time, self.targets.cols())?;
        let trained = self.ntk_flow.apply_right(|v| inverse(v, rate), self.ntk.test, resources)?;
        let covariance = ensemble_covariance(self.nngp, trained.as_ref(), resources)?;
        Ok(Gaussian { mean: mean(&trained, self.targets, resources)?, covariance })
    }

    /// Mean and covariance on test samples, the last layer training: a Gaussian process that becomes its posterior.
    /// Covariance `K** - K*X Kr^-1 (I - e^(-2 rate t Kr)) KX*`.
    pub fn nngp(&self, time: Time, resources: &Resources) -> Result<Gaussian> {
        let rate = self.nngp_flow.rate(time, self.targets.cols())?;
        let trained = self.nngp_flow.apply_right(|v| inverse(v, rate), self.nngp.test, resources)?;
        let twice = self.nngp_flow.apply_right(|v| inverse(v, 2.0 * rate), self.nngp.test, resources)?;
        let mut covariance = self.nngp.own.to_mat();
        let across = self.nngp.test;
        gemm_nt_parallel(resources, covariance.as_mut(), Update::Add, -1.0, twice.as_ref(), across)?;
        let covariance = in_range(symmetric(covariance), "covariance of the ensemble")?;
        Ok(Gaussian { mean: mean(&trained, self.targets, resources)?, covariance })
    }

    /// Mean on the training samples, all layers training.
    pub fn ntk_train(&self, time: Time, resources: &Resources) -> Result<Mat<f64>> {
        let zero = Mat::zeros(self.targets.rows(), self.targets.cols());
        self.ntk_flow.train(time, zero.as_ref(), self.targets, resources)
    }

    /// Mean on the training samples, the last layer training.
    pub fn nngp_train(&self, time: Time, resources: &Resources) -> Result<Mat<f64>> {
        let zero = Mat::zeros(self.targets.rows(), self.targets.cols());
        self.nngp_flow.train(time, zero.as_ref(), self.targets, resources)
    }
}

fn mean(trained: &Mat<f64>, targets: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
    let mut mean = Mat::zeros(trained.rows(), targets.cols());
    gemm_nn_parallel(resources, mean.as_mut(), Update::Replace, 1.0, trained.as_ref(), targets)?;
    in_range(mean, "mean of the ensemble")
}

/// The largest learning rate at which gradient descent with `momentum` in [0, 1) converges on the squared loss:
/// `2 (1 + momentum) n outputs / lambda_max`.
///
/// ```
/// use dualnet::{Mat, Resources, predict::max_learning_rate};
/// let k = Mat::from_vec(2, 2, vec![2.0, 0.0, 0.0, 4.0])?;
/// assert_eq!(max_learning_rate(k.as_ref(), 3, 0.5, &Resources::new(1)?)?, 4.5);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn max_learning_rate(kernel: MatRef<'_, f64>, outputs: usize, momentum: f64, resources: &Resources) -> Result<f64> {
    if !(0.0..1.0).contains(&momentum) {
        return Err(not_positive("momentum (below 1)", momentum));
    }
    let largest = eigh(kernel, resources)?.values.last().copied().unwrap_or(0.0);
    let rate = 2.0 * (1.0 + momentum) * (kernel.rows() * outputs) as f64 / largest;
    if rate.is_finite() && rate > 0.0 {
        return Ok(rate);
    }
    Err(not_positive("largest eigenvalue of the kernel, or the number of outputs", largest))
}

fn not_positive(what: &str, found: f64) -> Error {
    Error::Invalid {
        what: what.into(),
        expected: "a finite number, not negative (a rate: positive)".into(),
        found: found.to_string(),
        hint: "check its sign and unit".into(),
    }
}

/// A singular kernel without regularisation has no limit at infinite time.
fn finite(a: Mat<f64>, what: &str) -> Result<Mat<f64>> {
    a.as_ref().check_finite(what).map_err(|_| Error::NotPositiveDefinite {
        what: "tangent kernel".into(),
        pivot: 0,
        hint: "regularise it: at infinite time its inverse is needed".into(),
    })?;
    Ok(a)
}
