//! Ridge regression by conjugate gradients along a path of lambdas, with validation on rows held out.

use super::operator::KernelOperator;
use super::options::{AfterHoldout, IterativeOptions, better, check};
use super::pcg::{State, System};
use super::preconditioner::Preconditioner;
use super::solve::{IterativePoint, Judge, solve};
use crate::error::Result;
use crate::linalg::{Mat, MatRef, in_range};
use crate::resources::Resources;
use crate::ridge::options::Centering;

/// A model that conjugate gradients found: `f(x) = intercept + sum_i k(x, x_i) coefficients_i`.
#[derive(Clone, Debug, PartialEq)]
pub struct IterativeFit {
    /// (n, outputs); zero for rows held out and not fitted again.
    pub coefficients: Mat<f64>,
    /// One for each output.
    pub intercept: Vec<f64>,
    /// What each lambda came to, in the order they were solved: falling.
    pub points: Vec<IterativePoint>,
    /// Index of the point that was chosen.
    pub best: usize,
    /// The fit to all rows after the choice.
    pub refit: Option<IterativePoint>,
}

impl IterativeFit {
    /// The lambda chosen, in units of the mean diagonal.
    pub fn lambda(&self) -> f64 {
        self.points[self.best].lambda
    }
}

/// Solves `(K + lambda s I) A = Y`, s the mean diagonal of K, for the targets (n, outputs).
///
/// There is no leave-one-out error here: lambda is chosen by the squared error on the hold-out rows. These are rows of K as all others: the
/// product that a step takes anyway predicts them, so their error is known after every step at no cost.
///
/// The residuals reported are true ones, computed in f64 from the entries of K; where sums in the precision of the tiles have let the
/// recurrence drift away from it, it starts again from there, as long as that helps ([`Ending::Stalled`](super::Ending) otherwise).
///
/// # Errors
/// Shapes; numbers that are not finite; options out of range; a kernel that is not positive semi-definite to within lambda (f32 tiles
/// have errors of some 1e-6 of the diagonal, so that large n and small lambda call for f64); memory; interruption.
///
/// Cost of a step: one product, and what the preconditioner takes. Memory: about ten blocks of n x outputs numbers.
///
/// ```
/// use dualnet::kernel::{DenseKernel, Get, Kernel};
/// use dualnet::ridge::iterative::{IterativeOptions, KeptTriangle, Plain, fit};
/// use dualnet::{Mat, Resources, net::Net};
/// let (kernel, resources) = (DenseKernel::new(&Net::parse("fc-relu-1")?, 2)?, Resources::new(1)?);
/// let x = Mat::from_fn(40, 2, |i, j| (0.3 * i as f64 + 1.5 * j as f64).sin());
/// let y = Mat::from_fn(40, 1, |i, _| 2.0 + x[(i, 0)].max(0.0));
/// let samples = Kernel::<f64>::prepare(&kernel, x.as_ref(), "x", &resources)?;
/// let k = KeptTriangle::new(&kernel, &samples, Get::Ntk, &resources)?;
/// let options = IterativeOptions { lambdas: vec![1e-2, 1e-4], holdout: vec![3, 9, 31], ..Default::default() };
/// let found = fit(&k, y.as_ref(), &mut Plain, &options, &resources)?;
/// assert_eq!(found.lambda(), 1e-4);
/// let predicted = found.predict(&kernel, Get::Ntk, &samples, &samples, &resources)?;
/// assert!((predicted[(9, 0)] - y[(9, 0)]).abs() < 0.02);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn fit(
    operator: &dyn KernelOperator,
    targets: MatRef<'_, f64>,
    preconditioner: &mut dyn Preconditioner,
    options: &IterativeOptions,
    resources: &Resources,
) -> Result<IterativeFit> {
    let keep = check(operator, targets, preconditioner.side(), options)?;
    let (n, c, unit) = (operator.side(), targets.cols(), operator.mean_diagonal());
    let needed = 80 * (n as u64) * (c as u64);
    resources.reserve("conjugate gradients", needed, "raise the memory limit, or fit fewer outputs at a time")?;
    let mut lambdas = options.lambdas.clone();
    lambdas.sort_by(|a, b| b.total_cmp(a));
    lambdas.dedup();
    let (offset, centred) = centre(targets, keep.as_deref(), options.centering);
    let judge = keep.as_ref().map(|_| Judge { rows: &options.holdout, targets, offset: &offset });
    let mut state = State { solution: Mat::zeros(n, c), image: Mat::zeros(n, c) };
    let (mut points, mut best): (Vec<IterativePoint>, Option<(usize, State)>) = (Vec::new(), None);
    for (at, &lambda) in lambdas.iter().enumerate() {
        preconditioner.prepare(lambda * unit, keep.as_deref(), resources)?;
        let system = System {
            operator,
            shift: lambda * unit,
            keep: keep.as_deref(),
            targets: &centred,
            tolerance: options.tolerance,
        };
        let part = (at, lambdas.len());
        let point = solve(&system, lambda, &mut state, preconditioner, judge.as_ref(), options, part, resources)?;
        let error = |p: &IterativePoint| p.holdout.as_ref().map(|h| h.mse);
        let taken = better(error(&point), best.as_ref().and_then(|(best, _)| error(&points[*best])), options.gain);
        if taken {
            best = Some((at, state.clone()));
        }
        points.push(point);
        if !taken && options.gain > 0.0 {
            break;
        }
    }
    let (best, mut state) = best.unwrap_or((0, state));
    let mut found = (offset, None);
    if let (Some(_), AfterHoldout::Refit) = (&keep, options.after) {
        let (offset, centred) = centre(targets, None, options.centering);
        let lambda = points[best].lambda;
        preconditioner.prepare(lambda * unit, None, resources)?;
        let tolerance = options.tolerance.max(points[best].residual.min(0.5));
        let system = System { operator, shift: lambda * unit, keep: None, targets: &centred, tolerance };
        let point = solve(&system, lambda, &mut state, preconditioner, None, options, (0, 1), resources)?;
        found = (offset, Some(point));
    }
    let coefficients = in_range(state.solution, "coefficients of an iterative fit")?;
    Ok(IterativeFit { coefficients, intercept: found.0, points, best, refit: found.1 })
}

/// What is subtracted from the targets, and what that leaves: zero in rows that are not kept.
fn centre(targets: MatRef<'_, f64>, keep: Option<&[bool]>, centering: Centering) -> (Vec<f64>, Mat<f64>) {
    let kept = |i: usize| keep.is_none_or(|keep| keep[i]);
    let (n, c) = (targets.rows(), targets.cols());
    let mut offset = vec![0.0; c];
    if centering != Centering::None {
        let count = (0..n).filter(|&i| kept(i)).count().max(1) as f64;
        for i in (0..n).filter(|&i| kept(i)) {
            offset.iter_mut().zip(targets.row(i)).for_each(|(o, y)| *o += y / count);
        }
    }
    let centred = Mat::from_fn(n, c, |i, j| if kept(i) { targets.row(i)[j] - offset[j] } else { 0.0 });
    (offset, centred)
}
