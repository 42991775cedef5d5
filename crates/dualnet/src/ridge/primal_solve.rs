//! `(A + shift I)^-1 B` and the trace of the inverse, A the scatter of features in units of its mean diagonal.

use super::options::LambdaScale;
use super::path::Jitter;
use super::primal::{PrimalPath, PrimalPoint};
use crate::error::{Error, Result};
use crate::linalg::cholesky::power;
use crate::linalg::{
    BandReduction, BlockFactor, Mat, ShiftedCholesky, Update, gemm_nn_parallel, gemm_tn_parallel, reduce,
};
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use rayon::prelude::*;

/// Power iterations behind the largest and smallest eigenvalue: their order of magnitude is wanted.
const POWER_STEPS: usize = 10;
/// Probes of the trace estimate. Its cost, m^2 operations each, is 3 % of a decomposition at m = 8192.
const PROBES: usize = 64;
/// Streams of random signs: apart from those that choose rows.
const STREAM: u64 = 1 << 63;
/// Rows whose quadratic forms one task computes.
const ROWS: usize = 128;

/// What solves.
#[derive(Debug)]
pub(super) enum Solver {
    /// Nothing: while a path is being built.
    Moving,
    Band(Band),
    Cholesky(Dense),
}

#[derive(Debug)]
pub(super) struct Band {
    reduction: BandReduction,
    /// Q^T B.
    rotated: Mat<f64>,
    largest: f64,
}

#[derive(Debug)]
pub(super) struct Dense {
    matrix: ShiftedCholesky,
    sides: Mat<f64>,
    largest: f64,
}

/// One lambda, solved.
#[derive(Clone, Debug)]
pub(super) struct Solved {
    /// (m, k), in the basis of the solver.
    pub(super) x: Mat<f64>,
    /// What is on the diagonal, in units of the mean diagonal.
    pub(super) shift: f64,
    pub(super) point: PrimalPoint,
}

/// A decomposition of `A + shift I`.
enum Factor<'a> {
    Band(BlockFactor),
    Dense(&'a Dense),
}

impl Solver {
    pub(super) fn band(a: Mat<f64>, b: Mat<f64>, resources: &Resources) -> Result<Self> {
        let reduction = reduce(a, resources)?;
        let mut rotated = Mat::zeros(b.rows(), b.cols());
        let q = reduction.q.as_ref();
        gemm_tn_parallel(resources, rotated.as_mut(), Update::Replace, 1.0, q, b.as_ref())?;
        let largest = power(b.rows(), POWER_STEPS, |x| reduction.band.times(x));
        Ok(Self::Band(Band { reduction, rotated, largest }))
    }

    pub(super) fn cholesky(a: Mat<f64>, b: Mat<f64>, resources: &Resources) -> Self {
        let matrix = ShiftedCholesky::new(a, resources);
        let largest = power(b.rows(), POWER_STEPS, |x| matrix.times(x));
        Self::Cholesky(Dense { matrix, sides: b, largest })
    }

    /// Solutions in the basis of the features.
    pub(super) fn rotate_back(&self, x: Mat<f64>, resources: &Resources) -> Result<Mat<f64>> {
        let Self::Band(band) = self else { return Ok(x) };
        let mut out = Mat::zeros(x.rows(), x.cols());
        gemm_nn_parallel(resources, out.as_mut(), Update::Replace, 1.0, band.reduction.q.as_ref(), x.as_ref())?;
        Ok(out)
    }

    fn largest(&self) -> f64 {
        match self {
            Self::Moving => 0.0,
            Self::Band(band) => band.largest,
            Self::Cholesky(dense) => dense.largest,
        }
    }

    /// B in the basis of the solver.
    fn sides(&self) -> Result<&Mat<f64>> {
        match self {
            Self::Moving => Err(moving()),
            Self::Band(band) => Ok(&band.rotated),
            Self::Cholesky(dense) => Ok(&dense.sides),
        }
    }

    /// Decomposes, or names the first pivot that fails.
    fn factor(&mut self, shift: f64, resources: &Resources) -> Result<std::result::Result<Factor<'_>, usize>> {
        match self {
            Self::Moving => Err(moving()),
            Self::Band(band) => Ok(band.reduction.band.factor(shift)?.map(Factor::Band)),
            Self::Cholesky(dense) => Ok(match dense.matrix.factor(shift, resources)? {
                Ok(()) => Ok(Factor::Dense(dense)),
                Err(pivot) => Err(pivot),
            }),
        }
    }

    /// Decomposes `A + wanted I` with as little more on the diagonal as it takes; the shift, and
    /// what was added to it.
    ///
    /// A shift above `floor` needs no look at the smallest eigenvalue. Below, it must be clear of rounding.
    fn regularised(&mut self, wanted: f64, resources: &Resources) -> Result<(f64, Option<Jitter>)> {
        let largest = self.largest();
        let m = self.sides()?.rows();
        let floor = 8.0 * f64::EPSILON * largest;
        let (mut added, mut pivot) = (0.0, None);
        loop {
            let shift = wanted + added;
            match self.factor(shift, resources)? {
                Ok(factor) => {
                    let clear = shift >= m as f64 * floor || factor.smallest(m, resources) >= floor;
                    if clear || added > 1e-6 * largest {
                        return Ok((shift, (added > 0.0).then_some(Jitter { added, pivot })));
                    }
                }
                Err(failed) if added > 1e-6 * largest => {
                    return Err(Error::NotPositiveDefinite {
                        what: "scatter of the features plus lambda".into(),
                        pivot: failed,
                        hint: "increase lambda".into(),
                    });
                }
                Err(failed) => pivot = pivot.or(Some(failed)),
            }
            added = if added == 0.0 { m as f64 * floor } else { 10.0 * added };
        }
    }

    /// For each row x of `rows` (r, m), in the basis of features: `x^T (A + shift I)^-1 x`, the last decomposition having been made
    /// with this shift.
    pub(super) fn quadratic_forms(&mut self, rows: &Mat<f64>, shift: f64, resources: &Resources) -> Result<Vec<f64>> {
        let (r, m) = (rows.rows(), rows.cols());
        let rotated = match &*self {
            Self::Band(band) => {
                let mut out = Mat::zeros(r, m);
                let q = band.reduction.q.as_ref();
                gemm_nn_parallel(resources, out.as_mut(), Update::Replace, 1.0, rows.as_ref(), q)?;
                Some(out)
            }
            _ => None,
        };
        let rows = rotated.as_ref().unwrap_or(rows);
        let factor = self.factor(shift, resources)?.map_err(|pivot| Error::NotPositiveDefinite {
            what: "scatter of the features plus lambda".into(),
            pivot,
            hint: "increase lambda".into(),
        })?;
        let blocks: Vec<Vec<f64>> = resources.install(|| {
            (0..r.div_ceil(ROWS))
                .into_par_iter()
                .map(|b| {
                    let part = rows.as_ref().block(b * ROWS..r.min((b + 1) * ROWS), 0..m)?;
                    match &factor {
                        Factor::Band(factor) => factor.quadratic_forms(part),
                        Factor::Dense(dense) => Ok(dense.matrix.quadratic_forms(part.to_mat())),
                    }
                })
                .collect::<Result<_>>()
        })?;
        Ok(blocks.concat())
    }
}

impl Factor<'_> {
    /// `(A + shift I)^-1 B`.
    fn solve(&self, b: &Mat<f64>, resources: &Resources) -> Result<Mat<f64>> {
        match self {
            Self::Dense(dense) => dense.matrix.solve(b.as_ref(), resources),
            Self::Band(factor) => {
                let mut x = b.clone();
                factor.solve(&mut x)?;
                Ok(x)
            }
        }
    }

    /// The smallest eigenvalue of `A + shift I`, from above.
    fn smallest(&self, m: usize, resources: &Resources) -> f64 {
        let inverse = |x: &[f64]| {
            let x = Mat::from_fn(m, 1, |i, _| x[i]);
            // Shapes are right by construction; a failure shows as an infinite norm.
            self.solve(&x, resources).map_or(vec![f64::INFINITY; m], Mat::into_vec)
        };
        let value = 1.0 / power(m, POWER_STEPS, inverse);
        if value.is_finite() { value } else { 0.0 }
    }

    /// Trace of the inverse and its standard error.
    ///
    /// Exact with a band. With Cholesky the mean of `|L^-1 z|^2` over vectors z of random signs (Hutchinson 1990), the same for every
    /// lambda, so that points of a path can be compared.
    fn trace(&self, m: usize, resources: &Resources) -> Result<(f64, f64)> {
        let dense = match self {
            Self::Band(factor) => return Ok((factor.inverse_trace()?, 0.0)),
            Self::Dense(dense) => dense,
        };
        let mut signs = Mat::zeros(m, PROBES);
        for i in 0..m {
            let bits = Draws::new(resources.seed, Purpose::ROWS, STREAM + i as u64).bits();
            signs.row_mut(i).iter_mut().enumerate().for_each(|(p, s)| *s = if bits >> p & 1 == 0 { 1.0 } else { -1.0 });
        }
        let solved = dense.matrix.forward(signs.as_ref(), resources)?;
        let mut values = vec![0.0; PROBES];
        for i in 0..m {
            values.iter_mut().zip(solved.row(i)).for_each(|(v, x)| *v += x * x);
        }
        let count = PROBES as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Ok((mean, (variance / count).sqrt()))
    }
}

impl PrimalPath {
    /// Lambda in units of `unit`.
    pub(super) fn relative(&self, lambda: f64) -> f64 {
        match self.options.scale {
            LambdaScale::MeanDiagonal => lambda,
            LambdaScale::Absolute => lambda / self.unit,
        }
    }

    /// Solves at one lambda.
    pub(super) fn solved(&mut self, lambda: f64, resources: &Resources) -> Result<Solved> {
        if let Some(known) = self.known.iter().find(|k| k.point.lambda == lambda) {
            return Ok(known.clone());
        }
        let wanted = self.relative(lambda);
        if wanted > 1e30 {
            return Err(Error::Invalid {
                what: "lambda of ridge".into(),
                expected: "at most 1e30 times the mean variance of the features".into(),
                found: lambda.to_string(),
                hint: "predict the mean instead".into(),
            });
        }
        let (shift, added) = self.solver.regularised(wanted, resources)?;
        let sides = self.solver.sides()?.clone();
        let m = sides.rows();
        let factor = self.solver.factor(shift, resources)?.map_err(|pivot| Error::NotPositiveDefinite {
            what: "scatter of the features plus lambda".into(),
            pivot,
            hint: "increase lambda".into(),
        })?;
        let mut x = factor.solve(&sides, resources)?;
        let (trace, error) = factor.trace(m, resources)?;
        x.as_mut_slice().iter_mut().for_each(|x| *x /= self.unit);
        let unit_of_lambda = match self.options.scale {
            LambdaScale::MeanDiagonal => 1.0,
            LambdaScale::Absolute => self.unit,
        };
        let jitter = added.map(|j| Jitter { added: j.added * unit_of_lambda, ..j });
        let point = self.point(lambda, shift, jitter, (trace, error), (&x, &sides))?;
        let solved = Solved { x, shift, point };
        if matches!(self.solver, Solver::Cholesky(_)) {
            self.known.push(solved.clone());
        }
        Ok(solved)
    }

    fn point(
        &self,
        lambda: f64,
        shift: f64,
        jitter: Option<Jitter>,
        (trace, error): (f64, f64),
        (x, sides): (&Mat<f64>, &Mat<f64>),
    ) -> Result<PrimalPoint> {
        let (m, k, n) = (x.rows(), x.cols(), self.rows as f64);
        let lambda_absolute = shift * self.unit;
        let (mut explained, mut squares) = (vec![0.0; k], vec![0.0; k]);
        for i in 0..m {
            for j in 0..k {
                explained[j] += x[(i, j)] * sides[(i, j)];
                squares[j] += x[(i, j)] * x[(i, j)];
            }
        }
        // |y - f|^2 = |y|^2 - theta . C - lambda |theta|^2, about the means: no worse than rounding of |y|^2.
        let left = (0..k).map(|j| (self.variance[j] - explained[j] - lambda_absolute * squares[j]).max(0.0));
        let mse = left.sum::<f64>() / k as f64;
        let noise = 64.0 * f64::EPSILON * self.variance.iter().sum::<f64>() / k as f64;
        let degrees_of_freedom = (1.0 + m as f64 - shift * trace).clamp(1.0, (1.0 + m as f64).min(n));
        // With n degrees of freedom nothing is left to judge by: no lambda is worse.
        let share = (1.0 - degrees_of_freedom / n).max(f64::EPSILON);
        let gcv = mse.max(noise) / share.powi(2);
        if !(mse.is_finite() && lambda_absolute.is_finite() && gcv.is_finite()) {
            return Err(Error::Overflow {
                at: "ridge in the primal".into(),
                what: "the squared error, or lambda,".into(),
                precision: "f64",
                row: 0,
                column: 0,
                hint: "scale the targets and the features so that their entries are near 1".into(),
            });
        }
        let degrees_of_freedom_error = shift * error;
        Ok(PrimalPoint { lambda, lambda_absolute, mse, degrees_of_freedom, degrees_of_freedom_error, gcv, jitter })
    }
}

fn moving() -> Error {
    Error::Invalid {
        what: "path of ridge".into(),
        expected: "a finished path".into(),
        found: "one that is being built".into(),
        hint: "build the path anew".into(),
    }
}
