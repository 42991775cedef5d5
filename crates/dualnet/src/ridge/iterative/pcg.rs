//! Conjugate gradients for `(K + shift I) A = Y` with several columns in lockstep: each has its own recurrence, and one product serves
//! all that have not converged.
//!
//! Restricted to rows (`keep`), it solves the system of those rows, and the product gives what the present solution predicts at the others
//! at no cost.

use super::columns::{dots, norms, restrict, select, update};
use super::operator::{KernelOperator, Sums};
use super::preconditioner::Preconditioner;
use crate::error::{Error, Result};
use crate::linalg::Mat;
use crate::resources::Resources;

/// `(K + shift I) A = Y` on some rows.
pub(super) struct System<'a> {
    pub(super) operator: &'a dyn KernelOperator,
    pub(super) shift: f64,
    /// Rows of the system; `None`: all.
    pub(super) keep: Option<&'a [bool]>,
    /// Y (n, c), zero in rows that are not kept.
    pub(super) targets: &'a Mat<f64>,
    /// A column has converged when its residual is that much smaller than its target.
    pub(super) tolerance: f64,
}

/// A, and `K A` in all rows.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) solution: Mat<f64>,
    pub(super) image: Mat<f64>,
}

/// Whether to go on after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Step,
    Stop,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Converged,
    Steps,
    Watcher,
}

impl System<'_> {
    /// The norms of the columns of Y, of which tolerances are shares.
    pub(super) fn scales(&self, resources: &Resources) -> Vec<f64> {
        norms(self.targets, resources)
    }

    /// `Y - (K + shift I) A` with the image that is carried, which drifts, or with a new one in f64.
    pub(super) fn residual(&self, state: &State) -> Mat<f64> {
        let mut r = self.targets.clone();
        let parts = r.as_mut_slice().iter_mut().zip(state.image.as_slice()).zip(state.solution.as_slice());
        parts.for_each(|((r, image), a)| *r -= image + self.shift * a);
        restrict(&mut r, self.keep);
        r
    }

    /// Computes the image anew, in f64.
    pub(super) fn refresh(&self, state: &mut State, resources: &Resources) -> Result<()> {
        self.operator.apply(state.solution.as_ref(), Sums::Double, state.image.as_mut(), resources)
    }

    /// Largest residual, relative to its target; columns whose target is zero count by themselves.
    pub(super) fn worst(&self, residual: &Mat<f64>, scales: &[f64], resources: &Resources) -> f64 {
        let norms = norms(residual, resources);
        norms.iter().zip(scales).map(|(r, s)| relative(*r, *s)).fold(0.0, f64::max)
    }

    /// Improves the solution by at most `steps` steps from where it is. `watch` sees the state after each, with the number of the step and
    /// the worst residual.
    pub(super) fn run(
        &self,
        state: &mut State,
        preconditioner: &dyn Preconditioner,
        steps: usize,
        resources: &Resources,
        mut watch: impl FnMut(&State, usize, f64) -> Result<Next>,
    ) -> Result<(End, usize)> {
        let scales = self.scales(resources);
        let mut residual = self.residual(state);
        let mut active = self.active(&residual, &scales, resources);
        let mut r = select(residual.as_ref(), &active);
        let mut z = preconditioner.apply(&r, resources)?;
        restrict(&mut z, self.keep);
        let mut rho = dots(&r, &z, resources);
        let mut p = z;
        for step in 0..steps {
            if active.is_empty() {
                return Ok((End::Converged, step));
            }
            resources.check("conjugate gradients")?;
            let mut q = Mat::zeros(p.rows(), p.cols());
            self.operator.apply(p.as_ref(), Sums::Tiles, q.as_mut(), resources)?;
            let mut alpha = dots(&p, &q, resources);
            let squares = dots(&p, &p, resources);
            for (k, alpha) in alpha.iter_mut().enumerate() {
                *alpha = self.length(rho[k], *alpha + self.shift * squares[k], active[k], step)?;
            }
            self.advance(state, &active, &p, &q, &alpha);
            // From here on q = (K + shift I) p.
            update(&mut q, &p, &alpha, resources, |q, p, _| *q += self.shift * p);
            restrict(&mut q, self.keep);
            update(&mut r, &q, &alpha, resources, |r, q, alpha| *r -= alpha * q);
            put(&mut residual, &active, &r);
            let worst = self.worst(&residual, &scales, resources);
            if watch(state, step + 1, worst)? == Next::Stop {
                return Ok((End::Watcher, step + 1));
            }
            let still = self.active(&residual, &scales, resources);
            let places: Vec<usize> = (0..active.len()).filter(|&k| still.contains(&active[k])).collect();
            if places.len() < active.len() {
                (r, p) = (select(r.as_ref(), &places), select(p.as_ref(), &places));
                rho = places.iter().map(|&k| rho[k]).collect();
                active = still;
            }
            if active.is_empty() {
                return Ok((End::Converged, step + 1));
            }
            let mut z = preconditioner.apply(&r, resources)?;
            restrict(&mut z, self.keep);
            let next = dots(&r, &z, resources);
            let beta: Vec<f64> = next.iter().zip(&rho).map(|(new, old)| new / old).collect();
            update(&mut p, &z, &beta, resources, |p, z, beta| *p = z + beta * *p);
            rho = next;
        }
        Ok((if active.is_empty() { End::Converged } else { End::Steps }, steps))
    }

    /// Columns that have not converged.
    fn active(&self, residual: &Mat<f64>, scales: &[f64], resources: &Resources) -> Vec<usize> {
        let norms = norms(residual, resources);
        let open = |k: &usize| relative(norms[*k], scales[*k]) > self.tolerance;
        (0..norms.len()).filter(open).collect()
    }

    /// The length of a step, or an error where the matrix shows itself not to be positive definite.
    fn length(&self, rho: f64, curvature: f64, column: usize, step: usize) -> Result<f64> {
        let length = rho / curvature;
        if rho > 0.0 && curvature > 0.0 && length.is_finite() {
            return Ok(length);
        }
        Err(Error::NotPositiveDefinite {
            what: format!(
                "kernel plus lambda, met by conjugate gradients at step {step} of column {column} (r.z = {rho:e}, p.Kp = {curvature:e}),"
            ),
            pivot: step,
            hint: "raise lambda, or compute the kernel in f64".into(),
        })
    }

    /// Moves active columns along their directions.
    fn advance(&self, state: &mut State, active: &[usize], p: &Mat<f64>, q: &Mat<f64>, alpha: &[f64]) {
        for i in 0..p.rows() {
            for (k, &column) in active.iter().enumerate() {
                state.solution[(i, column)] += alpha[k] * p[(i, k)];
                state.image[(i, column)] += alpha[k] * q[(i, k)];
            }
        }
    }
}

fn relative(residual: f64, scale: f64) -> f64 {
    if scale > 0.0 { residual / scale } else { residual }
}

/// Writes columns to where they were selected from.
fn put(to: &mut Mat<f64>, which: &[usize], from: &Mat<f64>) {
    for i in 0..from.rows() {
        for (k, &column) in which.iter().enumerate() {
            to[(i, column)] = from[(i, k)];
        }
    }
}
