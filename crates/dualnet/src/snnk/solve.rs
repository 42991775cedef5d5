//! Ridge on the features of a map, by the normal equations.

use super::bundle::{FitOptions, Intercept, Penalty};
use crate::error::{Error, Result};
use crate::features::{FeatureMap, transform};
use crate::kernel::Float;
use crate::linalg::{Cholesky, Mat, MatRef, Update, gemm_tn_parallel};
use crate::resources::Resources;

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
    let (n, m, l) = (x.rows(), map.dim(), y.cols());
    let squares = (m as u64).saturating_mul(m as u64).saturating_mul(8);
    resources.reserve("the normal equations of a fit", squares, "use fewer features")?;
    let (mut gram, mut moments) = (Mat::zeros(m, m), Mat::zeros(m, l));
    let (mut features, mut targets) = (Sums::default(), Sums::default());
    for first in (0..n).step_by(chunk) {
        resources.check("fit of an SNNK layer")?;
        let rows = first..n.min(first + chunk);
        let phi = transform(map, x.block(rows.clone(), 0..x.cols())?, resources)?;
        let phi = features.shifted(phi.as_ref(), options.intercept);
        let y = targets.shifted(y.block(rows, 0..l)?, options.intercept);
        gemm_tn_parallel(resources, gram.as_mut(), Update::Add, 1.0, phi.as_ref(), phi.as_ref())?;
        gemm_tn_parallel(resources, moments.as_mut(), Update::Add, 1.0, phi.as_ref(), y.as_ref())?;
    }
    // The shift was the mean of the first rows only: what it lacks of the mean of all is small, and harmless to
    // subtract.
    for i in 0..m {
        let mean = features.sums[i] / n as f64;
        if options.intercept == Intercept::Fitted {
            gram.row_mut(i).iter_mut().zip(&features.sums).for_each(|(g, s)| *g -= mean * s);
            moments.row_mut(i).iter_mut().zip(&targets.sums).for_each(|(g, s)| *g -= mean * s);
        }
    }
    let lambda = match options.penalty {
        Penalty::Absolute(lambda) => lambda,
        Penalty::Relative(lambda) => lambda * (0..m).map(|i| gram[(i, i)]).sum::<f64>() / m as f64,
    };
    (0..m).for_each(|i| gram[(i, i)] += lambda);
    let solution =
        Cholesky::new(gram, "the Gram matrix of the features", resources)?.solve(moments.as_ref(), resources)?;
    let parameters = Mat::from_fn(l, m, |i, j| T::from_f64(solution[(j, i)]));
    let intercepts = (0..l).map(|i| match options.intercept {
        Intercept::None => T::default(),
        Intercept::Fitted => {
            let fitted: f64 = (0..m).map(|j| solution[(j, i)] * features.mean(j, n)).sum();
            T::from_f64(targets.mean(i, n) - fitted)
        }
    });
    Ok((parameters, intercepts.collect()))
}

/// Sums of columns less a shift: the mean of the first chunk.
#[derive(Default)]
struct Sums {
    shift: Vec<f64>,
    sums: Vec<f64>,
}

impl Sums {
    /// The rows in f64, less the shift where an intercept is fitted.
    fn shifted<T: Float>(&mut self, x: MatRef<'_, T>, intercept: Intercept) -> Mat<f64> {
        let mut x = Mat::from_fn(x.rows(), x.cols(), |i, j| x.row(i)[j].to_f64());
        if self.sums.is_empty() {
            self.sums = vec![0.0; x.cols()];
            self.shift = match intercept {
                Intercept::None => vec![0.0; x.cols()],
                Intercept::Fitted => means(&x),
            };
        }
        for i in 0..x.rows() {
            for ((x, shift), sum) in x.row_mut(i).iter_mut().zip(&self.shift).zip(&mut self.sums) {
                *x -= shift;
                *sum += *x;
            }
        }
        x
    }

    fn mean(&self, j: usize, n: usize) -> f64 {
        self.shift[j] + self.sums[j] / n as f64
    }
}

fn means(x: &Mat<f64>) -> Vec<f64> {
    let mut sums = vec![0.0; x.cols()];
    (0..x.rows()).for_each(|i| sums.iter_mut().zip(x.row(i)).for_each(|(s, x)| *s += x));
    sums.iter().map(|s| s / x.rows() as f64).collect()
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
