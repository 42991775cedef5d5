//! Ridge on the features of a map: with an intercept by [`RidgeStatistics`](crate::ridge::RidgeStatistics), without by the normal
//! equations.

use super::bundle::{FitOptions, Intercept, Penalty};
use crate::error::{Error, Result};
use crate::features::{FeatureMap, transform};
use crate::kernel::Float;
use crate::linalg::{Cholesky, Mat, MatRef, Update, gemm_tn_parallel};
use crate::resources::Resources;
use crate::ridge::{ArraySource, LambdaScale, PrimalOptions, PrimalPath, PrimalSolver, accumulate};

/// T (l, m) and c (l); `chunk` rows have their features in memory at a time.
pub(super) fn ridge<T: Float>(
    map: &dyn FeatureMap<T>,
    x: MatRef<'_, T>,
    y: MatRef<'_, T>,
    options: &FitOptions,
    chunk: usize,
    resources: &Resources,
) -> Result<(Mat<T>, Vec<T>)> {
    check(x, y, options)?;
    let targets = y.cast::<f64>();
    let (theta, intercept) = match options.intercept {
        Intercept::Fitted => centred(map, x, targets.as_ref(), options.penalty, chunk, resources)?,
        Intercept::None => {
            let theta = through_origin(map, x, targets.as_ref(), options.penalty, chunk, resources)?;
            (theta, vec![0.0; y.cols()])
        }
    };
    let theta = Mat::from_fn(y.cols(), map.dim(), |i, j| T::from_f64(theta[(j, i)]));
    Ok((theta, intercept.into_iter().map(T::from_f64).collect()))
}

/// Coefficients (m, l) and intercepts.
fn centred<T: Float>(
    map: &dyn FeatureMap<T>,
    x: MatRef<'_, T>,
    y: MatRef<'_, f64>,
    penalty: Penalty,
    chunk: usize,
    resources: &Resources,
) -> Result<(Mat<f64>, Vec<f64>)> {
    let statistics = accumulate(map, &mut ArraySource::new(x, y, &[], chunk)?, resources)?;
    let (lambda, scale) = match penalty {
        // The statistics are means over rows.
        Penalty::Absolute(lambda) => (lambda / x.rows() as f64, LambdaScale::Absolute),
        Penalty::Relative(lambda) => (lambda, LambdaScale::MeanDiagonal),
    };
    let options = PrimalOptions { lambdas: vec![lambda], scale, solver: PrimalSolver::Cholesky };
    let fit = PrimalPath::new(statistics, options, resources)?.fit(lambda, resources)?;
    match fit.point.jitter {
        None => Ok((fit.theta, fit.intercept)),
        // Another lambda than was asked for would be another layer.
        Some(jitter) => Err(Error::NotPositiveDefinite {
            what: "the Gram matrix of the features".into(),
            pivot: jitter.pivot.unwrap_or(map.dim()),
            hint: "increase lambda: some features depend on others".into(),
        }),
    }
}

/// Coefficients (m, l) of a fit whose value is 0 where all features are.
fn through_origin<T: Float>(
    map: &dyn FeatureMap<T>,
    x: MatRef<'_, T>,
    y: MatRef<'_, f64>,
    penalty: Penalty,
    chunk: usize,
    resources: &Resources,
) -> Result<Mat<f64>> {
    let (n, m, l) = (x.rows(), map.dim(), y.cols());
    let squares = (m as u64).saturating_mul(m as u64).saturating_mul(8);
    resources.reserve("the normal equations of a fit", squares, "use fewer features")?;
    let (mut gram, mut moments) = (Mat::zeros(m, m), Mat::zeros(m, l));
    for first in (0..n).step_by(chunk) {
        resources.check("fit of an SNNK layer")?;
        let rows = first..n.min(first + chunk);
        let phi = transform(map, x.block(rows.clone(), 0..x.cols())?, resources)?;
        let phi = phi.as_ref().cast::<f64>();
        gemm_tn_parallel(resources, gram.as_mut(), Update::Add, 1.0, phi.as_ref(), phi.as_ref())?;
        gemm_tn_parallel(resources, moments.as_mut(), Update::Add, 1.0, phi.as_ref(), y.block(rows, 0..l)?)?;
    }
    let lambda = match penalty {
        Penalty::Absolute(lambda) => lambda,
        Penalty::Relative(lambda) => lambda * (0..m).map(|i| gram[(i, i)]).sum::<f64>() / m as f64,
    };
    (0..m).for_each(|i| gram[(i, i)] += lambda);
    Cholesky::new(gram, "the Gram matrix of the features", resources)?.solve(moments.as_ref(), resources)
}

fn check<T: Float>(x: MatRef<'_, T>, y: MatRef<'_, T>, options: &FitOptions) -> Result<()> {
    if x.rows() != y.rows() || x.rows() == 0 || y.cols() == 0 {
        return Err(Error::Shape {
            what: "inputs and outputs of a fit".into(),
            expected: "the same number of rows, at least 1, and at least one output".into(),
            found: format!("{} x {} and {} x {}", x.rows(), x.cols(), y.rows(), y.cols()),
        });
    }
    y.check_finite("outputs of a fit")?;
    let (Penalty::Absolute(lambda) | Penalty::Relative(lambda)) = options.penalty;
    if lambda >= 0.0 && lambda.is_finite() {
        return Ok(());
    }
    Err(Error::Invalid {
        what: "lambda of a fit".into(),
        expected: "a finite number of at least 0".into(),
        found: lambda.to_string(),
        hint: "try 1e-6, relative".into(),
    })
}
