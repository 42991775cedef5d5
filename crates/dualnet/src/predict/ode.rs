//! Training by gradient flow on any loss: `df/dt = -learning rate Theta dL/df`, integrated numerically.

use super::posterior::Kernels;
use crate::error::{Error, Result};
use crate::linalg::{Mat, MatRef, Update, gemm_nn_parallel, in_range};
use crate::resources::Resources;

/// Accuracy of the integration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Relative to each output.
    pub relative: f64,
    /// Added to it.
    pub absolute: f64,
    /// Steps after which integration gives up.
    pub most_steps: usize,
}

impl Default for Tolerance {
    /// 1e-9 and 1e-9, 100,000 steps.
    fn default() -> Self {
        Self { relative: 1e-9, absolute: 1e-9, most_steps: 100_000 }
    }
}

/// The system and what it needs.
struct System<'a, G> {
    train: MatRef<'a, f64>,
    test: MatRef<'a, f64>,
    learning_rate: f64,
    gradient: G,
    resources: &'a Resources,
}

impl<G: Fn(MatRef<'_, f64>) -> Result<Mat<f64>>> System<'_, G> {
    /// Derivative of the outputs on training and test samples, stacked.
    fn slope(&self, state: &Mat<f64>) -> Result<Mat<f64>> {
        let (n, m) = (self.train.rows(), self.test.rows());
        let f = state.as_ref().block(0..n, 0..state.cols())?;
        let gradient = (self.gradient)(f)?;
        if (gradient.rows(), gradient.cols()) != (n, state.cols()) {
            return Err(Error::Shape {
                what: "gradient of the loss".into(),
                expected: format!("{n} x {}", state.cols()),
                found: format!("{} x {}", gradient.rows(), gradient.cols()),
            });
        }
        gradient.as_ref().check_finite("gradient of the loss")?;
        let mut out = Vec::with_capacity((n + m) * state.cols());
        for kernel in [self.train, self.test] {
            let mut part = Mat::zeros(kernel.rows(), state.cols());
            let g = gradient.as_ref();
            gemm_nn_parallel(self.resources, part.as_mut(), Update::Replace, -self.learning_rate, kernel, g)?;
            out.extend(part.into_vec());
        }
        Mat::from_vec(n + m, state.cols(), out)
    }
}

/// Coefficients of Dormand and Prince (1980), order 5 with an error estimate of order 4.
const A: [[f64; 6]; 6] = [
    [1.0 / 5.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [3.0 / 40.0, 9.0 / 40.0, 0.0, 0.0, 0.0, 0.0],
    [44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0, 0.0, 0.0, 0.0],
    [19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0, 0.0, 0.0],
    [9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0, 0.0],
    [35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];
/// The solution less the embedded solution.
const E: [f64; 7] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0];

/// Outputs on training (n, outputs) and test samples (m, outputs) after training for `time` on a loss whose gradient
/// with respect to the training outputs is `gradient`. `kernels` are tangent kernels; `kernels.own` is not read.
///
/// Dormand-Prince 5(4) with adaptive steps. The flow is stiff where the kernel's eigenvalues spread; steps are then
/// bound by the largest, and their number grows with time: for the squared loss use [`super::Flow`].
/// Cost six products (n + m, n) x (n, outputs) a step.
///
/// # Errors
/// Shapes; numbers that are not finite; a learning rate or time that is negative; too many steps.
///
/// ```
/// use dualnet::{Mat, Resources, predict::{Kernels, Tolerance, gradient_descent}};
/// let one = Mat::from_vec(1, 1, vec![1.0])?;
/// let kernels = Kernels { train: one.as_ref(), test: one.as_ref(), own: one.as_ref() };
/// let start = (one.as_ref(), one.as_ref());
/// // L = f^2 / 2: exponential decay.
/// let (f, _) =
///     gradient_descent(kernels, |f| Ok(f.to_mat()), start, 1.0, 2.0, Tolerance::default(), &Resources::new(1)?)?;
/// assert!((f[(0, 0)] - (-2f64).exp()).abs() < 1e-8);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn gradient_descent(
    kernels: Kernels<'_>,
    gradient: impl Fn(MatRef<'_, f64>) -> Result<Mat<f64>>,
    (initial, initial_test): (MatRef<'_, f64>, MatRef<'_, f64>),
    learning_rate: f64,
    time: f64,
    tolerance: Tolerance,
    resources: &Resources,
) -> Result<(Mat<f64>, Mat<f64>)> {
    kernels.check("tangent", initial)?;
    initial_test.check_finite("initial outputs of test samples")?;
    let (n, m, outputs) = (initial.rows(), kernels.test.rows(), initial.cols());
    if (initial_test.rows(), initial_test.cols()) != (m, outputs) {
        return Err(Error::Shape {
            what: "initial outputs of test samples".into(),
            expected: format!("{m} x {outputs}"),
            found: format!("{} x {}", initial_test.rows(), initial_test.cols()),
        });
    }
    let settings = [learning_rate, time, tolerance.relative, tolerance.absolute];
    if settings.iter().any(|x| !(x.is_finite() && *x >= 0.0)) || tolerance.relative + tolerance.absolute == 0.0 {
        return Err(Error::Invalid {
            what: "learning rate, time and tolerances of a flow".into(),
            expected: "finite numbers, not negative; a tolerance above 0".into(),
            found: format!("{settings:?}"),
            hint: "leave the tolerance at its default".into(),
        });
    }
    let stacked = [initial.to_mat().into_vec(), initial_test.to_mat().into_vec()].concat();
    let system = System { train: kernels.train, test: kernels.test, learning_rate, gradient, resources };
    let last = integrate(&system, Mat::from_vec(n + m, outputs, stacked)?, time, tolerance)?;
    let last = in_range(last, "gradient flow")?;
    let state = last.as_ref();
    Ok((state.block(0..n, 0..outputs)?.to_mat(), state.block(n..n + m, 0..outputs)?.to_mat()))
}

fn integrate<G: Fn(MatRef<'_, f64>) -> Result<Mat<f64>>>(
    system: &System<'_, G>,
    mut state: Mat<f64>,
    time: f64,
    tolerance: Tolerance,
) -> Result<Mat<f64>> {
    let mut slope = system.slope(&state)?;
    let (mut now, mut step) = (0.0, first_step(&state, &slope, time, tolerance));
    for _ in 0..tolerance.most_steps {
        if now >= time {
            return Ok(state);
        }
        system.resources.check("gradient flow")?;
        let last = now + step >= time;
        let length = if last { time - now } else { step };
        let (next, slopes) = stages(system, &state, slope.clone(), length)?;
        let error = error_norm(&state, &next, &slopes, length, tolerance);
        if error <= 1.0 {
            now = if last { time } else { now + length };
            state = next;
            slope = slopes.into_iter().next_back().unwrap_or(slope);
        }
        // A step that overshoots into infinity has an error that is not a number: shrink as much as allowed.
        let factor = if error.is_finite() { (0.9 * error.max(1e-10).powf(-0.2)).clamp(0.2, 5.0) } else { 0.2 };
        step = length * factor;
    }
    Err(Error::Invalid {
        what: "gradient flow".into(),
        expected: format!("at most {} steps", tolerance.most_steps),
        found: format!("time {now} of {time}"),
        hint: "raise the tolerance, shorten the time, or use the closed form of the squared loss".into(),
    })
}

/// The state after a step, and its seven slopes.
fn stages<G: Fn(MatRef<'_, f64>) -> Result<Mat<f64>>>(
    system: &System<'_, G>,
    state: &Mat<f64>,
    slope: Mat<f64>,
    length: f64,
) -> Result<(Mat<f64>, Vec<Mat<f64>>)> {
    let mut slopes = vec![slope];
    let mut next = state.clone();
    for row in &A {
        next = state.clone();
        for (a, k) in row.iter().zip(&slopes) {
            next.as_mut_slice().iter_mut().zip(k.as_slice()).for_each(|(x, k)| *x += length * a * k);
        }
        slopes.push(system.slope(&next)?);
    }
    Ok((next, slopes))
}

/// Root mean square of the error estimate, in units of the tolerance.
fn error_norm(state: &Mat<f64>, next: &Mat<f64>, slopes: &[Mat<f64>], length: f64, tolerance: Tolerance) -> f64 {
    let count = state.as_slice().len().max(1) as f64;
    let each = |at: usize| {
        let error: f64 = E.iter().zip(slopes).map(|(e, k)| e * k.as_slice()[at]).sum::<f64>() * length;
        let size = state.as_slice()[at].abs().max(next.as_slice()[at].abs());
        (error / (tolerance.absolute + tolerance.relative * size)).powi(2)
    };
    ((0..state.as_slice().len()).map(each).sum::<f64>() / count).sqrt()
}

/// A step small enough for the first slope to be a fair guide; the controller does the rest.
fn first_step(state: &Mat<f64>, slope: &Mat<f64>, time: f64, tolerance: Tolerance) -> f64 {
    let size = |a: &Mat<f64>| a.as_slice().iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let guess = 0.01 * (size(state) + tolerance.absolute) / size(slope);
    if guess.is_finite() && guess > 0.0 { guess.min(time) } else { time }
}
