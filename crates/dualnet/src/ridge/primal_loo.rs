//! Exact leave-one-out predictions of primal ridge, by a second pass over the rows, or over some of them.
//!
//! With the leverage `h_i = w_i / W (1 + (phi_i - mean)^T (S / W + lambda I)^-1 (phi_i - mean))`, the intercept included, the model
//! of all rows but i, with the same W lambda, predicts `y_i - (y_i - f_i) / (1 - h_i)` for row i (Allen 1974).

use super::chunk::weight;
use super::options::check_lambdas;
use super::primal::{PrimalFit, PrimalPath};
use super::source::Source;
use super::stream::{Mapped, chunk_rows, for_each_chunk};
use crate::error::{Error, Result};
use crate::features::FeatureMap;
use crate::kernel::Float;
use crate::linalg::{Mat, Update, gemm_nn_parallel};
use crate::resources::Resources;

/// What is left of a leverage below which a prediction without the row is rounding.
const LEAST: f64 = 1e-10;

/// Predictions for rows by the models fitted to all others.
#[derive(Clone, Debug, PartialEq)]
pub struct PrimalLeaveOneOut {
    /// One for each row of the source, in its order (n, k).
    pub predictions: Mat<f64>,
    /// Leverage of each row, 0 to 1: the share of its target in its fitted value (n).
    pub leverages: Vec<f64>,
    /// Mean squared error of the predictions over rows (weighted) and outputs.
    pub mse: f64,
}

impl PrimalPath {
    /// Leave-one-out predictions at one lambda for the rows of `source`: all that the statistics were made of, or some of them,
    /// with the same map and weights. Other rows than those give numbers without a meaning.
    ///
    /// ```
    /// use dualnet::ridge::{ArraySource, Identity, PrimalOptions, PrimalPath, accumulate};
    /// use dualnet::{Mat, Resources};
    /// let resources = Resources::new(1)?;
    /// let x = Mat::from_vec(3, 1, vec![0.0, 1.0, 2.0])?;
    /// let y = Mat::from_vec(3, 1, vec![0.0, 1.0, 5.0])?;
    /// let mut source = ArraySource::new(x.as_ref(), y.as_ref(), &[], 2)?;
    /// let statistics = accumulate(&Identity(1), &mut source, &resources)?;
    /// let mut path = PrimalPath::new(statistics, PrimalOptions::default(), &resources)?;
    /// let loo = path.leave_one_out(0.0, &Identity(1), &mut source, &resources)?;
    /// // The line through (0, 0) and (1, 1) is at 2 for x = 2.
    /// assert!((loo.predictions[(2, 0)] - 2.0).abs() < 1e-12);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the source and of the map; a row whose leverage is 1, so that the others do not determine its prediction.
    ///
    /// Cost n m^2 operations with Cholesky and twice that with a band, and a decomposition unless the last one was of this lambda.
    pub fn leave_one_out<T: Float>(
        &mut self,
        lambda: f64,
        map: &dyn FeatureMap<T>,
        source: &mut dyn Source<T>,
        resources: &Resources,
    ) -> Result<PrimalLeaveOneOut> {
        let (m, k) = (self.mean.len(), self.target_mean.len());
        if (map.dim(), source.outputs()) != (m, k) {
            return Err(Error::Shape {
                what: "rows to leave out".into(),
                expected: format!("{m} features and {k} outputs, as the statistics"),
                found: format!("{} and {}", map.dim(), source.outputs()),
            });
        }
        check_lambdas(&[lambda])?;
        let solved = self.solved(lambda, resources)?;
        let shift = solved.shift;
        let fit = self.fit_of(solved, resources)?;
        source.restart()?;
        let (mut predictions, mut leverages) = (Vec::new(), Vec::new());
        let (mut squares, mut total) = (0.0, 0.0);
        let held = 8 * (m as u64).pow(2) + 16 * (chunk_rows(source.rows()) * m) as u64;
        for_each_chunk(map, source, held, "leave-one-out", resources, |chunk| {
            let rows = self.leave_out(&fit, shift, &chunk, leverages.len(), resources)?;
            for (i, (h, f)) in rows.into_iter().enumerate() {
                let w = weight(chunk.weights, i);
                let misses = f.iter().zip(chunk.targets.row(i)).map(|(f, y)| (y - f).powi(2));
                squares += w * misses.sum::<f64>();
                total += w;
                leverages.push(h);
                predictions.extend(f);
            }
            Ok(())
        })?;
        let predictions = Mat::from_vec(leverages.len(), k, predictions)?;
        let mse = if total > 0.0 { squares / total / k as f64 } else { 0.0 };
        Ok(PrimalLeaveOneOut { predictions, leverages, mse })
    }

    /// Leverages and predictions of one chunk, the first row of which is row `first`.
    fn leave_out<T: Float>(
        &mut self,
        fit: &PrimalFit,
        shift: f64,
        chunk: &Mapped<'_, T>,
        first: usize,
        resources: &Resources,
    ) -> Result<Vec<(f64, Vec<f64>)>> {
        let (n, m) = (chunk.features.rows(), self.mean.len());
        let rows = Mat::from_fn(n, m, |i, j| chunk.features.row(i)[j].to_f64() - self.mean[j]);
        let mut fitted = Mat::from_fn(n, self.target_mean.len(), |_, j| self.target_mean[j]);
        gemm_nn_parallel(resources, fitted.as_mut(), Update::Add, 1.0, rows.as_ref(), fit.theta.as_ref())?;
        let forms = self.solver.quadratic_forms(&rows, shift, resources)?;
        let one = |(i, form): (usize, f64)| {
            let w = weight(chunk.weights, i);
            let h = w / self.weight * (1.0 + form / self.unit);
            if 1.0 - h < LEAST || h.is_nan() {
                return Err(Error::Invalid {
                    what: format!("leverage of row {}", first + i),
                    expected: "less than 1".into(),
                    found: h.to_string(),
                    hint: "increase lambda: without it the other rows do not determine its prediction".into(),
                });
            }
            let y = chunk.targets.row(i);
            Ok((h, y.iter().zip(fitted.row(i)).map(|(y, f)| y - (y - f) / (1.0 - h)).collect()))
        };
        forms.into_iter().enumerate().map(one).collect()
    }
}
