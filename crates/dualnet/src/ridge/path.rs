//! What is known of each lambda of a path, and the choice among them.

use crate::linalg::Mat;

/// An addition to lambda that the decomposition needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// What was added to the diagonal, in units of lambda.
    pub added: f64,
    /// The first pivot that failed, in the basis of the reduction; `None`: none failed, the condition number was
    /// beyond the precision.
    pub pivot: Option<usize>,
}

/// One lambda of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct PathPoint {
    /// Lambda as it was asked for.
    pub lambda: f64,
    /// What is added to the diagonal of the kernel, jitter included.
    pub lambda_absolute: f64,
    /// Predictions for each sample by the model fitted to all others (n, outputs).
    pub loo: Mat<f64>,
    /// Mean squared error of `loo` over samples (weighted) and outputs.
    pub mse: f64,
    /// Trace of the matrix that maps targets to fitted values; the mean or intercept included.
    pub degrees_of_freedom: f64,
    /// Condition number of the regularised kernel in the 2-norm: an estimate from below, good to its order of
    /// magnitude and usually to a tenth.
    pub condition: f64,
    /// What had to be added to lambda; `None`: nothing.
    pub jitter: Option<Jitter>,
}

/// The index of the point with the least leave-one-out error; of equals the largest lambda. `None` without points.
///
/// Points that needed no jitter go before those that did.
pub fn best(points: &[PathPoint]) -> Option<usize> {
    let key = |p: &PathPoint| (p.jitter.is_some(), p.mse, -p.lambda);
    (0..points.len()).min_by(|&a, &b| {
        let (a, b) = (key(&points[a]), key(&points[b]));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
    })
}
