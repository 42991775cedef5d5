//! One step: a fit, its gradients, and the metric that they make.

use super::task::Task;
use super::{Metric, MetricKind};
use crate::error::{Error, Result};
use crate::kernel::{DenseKernel, KernelGradient};
use crate::linalg::{Cholesky, Mat, MatRef};
use crate::model::fit::{Solution, kernel_matrix};
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use crate::ridge::{DualFit, mean_diagonal};
use std::ops::Range;

/// Draws of noise whose fits tell which gradients mean nothing.
const DRAWS: usize = 8;

/// What an input keeps at least of its squares: what moves the function beside others alone shows when others are found, and must not be lost before.
const LEAST: f64 = 0.1;

/// An input that keeps less than this share of its squares hardly shows: its gradients are less than 1.4 times as large as those of noise, where inputs of noise
/// have up to 1.2 times.
const FAINT: f64 = 0.5;

/// Below this lambda rounding may decide what a Cholesky decomposition without pivots gives.
const LEAST_LAMBDA: f64 = 1e-9;

/// Coefficients of a fit, and of fits to [`DRAWS`] draws of noise, as large together as what the fit leaves unexplained of other rows; no draws for
/// classes.
pub(super) type Coefficients = (Mat<f64>, Mat<f64>);

/// What gradients make of the inputs.
#[derive(Clone)]
pub(super) struct Next {
    pub metric: Metric,
    /// The inputs that the fit follows hardly more than fits to noise do; told of a sharp metric only.
    pub faint: Vec<usize>,
}

/// The path's best lambda, solved; the rest of the path goes.
pub(super) fn best_fit(task: &Task<'_>, solution: Solution, resources: &Resources) -> Result<(DualFit, Mat<f64>)> {
    let fit = solution.path.fit(solution.point().lambda, resources)?;
    let noise = noise(task, fit.coefficients.rows(), fit.point.mse, resources);
    let noise = solution.path.coefficients_of(noise.as_ref(), solution.point().lambda, resources)?;
    Ok((fit, noise))
}

/// The same at a `lambda` that is known, for what is left unexplained as `mse`: one Cholesky decomposition, an eighth of the work of a path.
pub(super) fn fit_at(
    task: &Task<'_>,
    (z, y): (MatRef<'_, f64>, MatRef<'_, f64>),
    (lambda, mse): (f64, f64),
    resources: &Resources,
) -> Result<Coefficients> {
    let by_path = || {
        let (fit, noise) = best_fit(task, task.solve(z, y, resources)?, resources)?;
        Ok((fit.coefficients, noise))
    };
    if lambda < LEAST_LAMBDA {
        return by_path();
    }
    let (n, outputs) = (y.rows(), y.cols());
    let mut matrix = kernel_matrix((&task.candidate.net, task.candidate.kernel), z, resources)?;
    let shift = lambda * mean_diagonal(&matrix)?;
    (0..n).for_each(|i| matrix[(i, i)] += shift);
    let factor = match Cholesky::new(matrix, "kernel of a metric", resources) {
        Ok(factor) => factor,
        // The path finds out what must be added.
        Err(Error::NotPositiveDefinite { .. }) => return by_path(),
        Err(other) => return Err(other),
    };
    let means: Vec<f64> = (0..outputs).map(|k| (0..n).map(|i| y.row(i)[k] / n as f64).sum()).collect();
    let noise = noise(task, n, mse, resources);
    let sides = Mat::from_fn(n, outputs + noise.cols(), |i, k| {
        if k < outputs { y.row(i)[k] - means[k] } else { noise[(i, k - outputs)] }
    });
    let both = factor.solve(sides.as_ref(), resources)?;
    let part = |columns: Range<usize>| Mat::from_fn(n, columns.len(), |i, k| both[(i, columns.start + k)]);
    Ok((part(0..outputs), part(outputs..both.cols())))
}

/// Targets of noise for `rows` rows, with mean 0. What is left of one-hot classes is the shape of their borders more than noise: with the share of
/// noise taken away, fits to all rows did worse; so there are none for classes.
fn noise(task: &Task<'_>, rows: usize, mse: f64, resources: &Resources) -> Mat<f64> {
    if !task.codes.is_empty() {
        return Mat::zeros(rows, 0);
    }
    let deviation = (mse * task.y.cols() as f64 / DRAWS as f64).sqrt();
    let mut draws = Draws::new(resources.seed, Purpose::METRIC, 1);
    let mut noise = Mat::from_fn(rows, DRAWS, |_, _| deviation * draws.normal());
    for k in 0..DRAWS {
        let mean = (0..rows).map(|i| noise[(i, k)]).sum::<f64>() / rows as f64;
        (0..rows).for_each(|i| noise[(i, k)] -= mean);
    }
    noise
}

/// The metric of a function fitted to `z`, the inputs in the metric `before`; `None` for a function that is constant.
pub(super) fn next_metric(
    task: &Task<'_>,
    kind: MetricKind,
    (z, before): (MatRef<'_, f64>, Option<&Metric>),
    (coefficients, noise): &Coefficients,
    resources: &Resources,
) -> Result<Option<Next>> {
    let kernel = DenseKernel::new(&task.candidate.net, z.cols())?;
    let gradient = |a: &Mat<f64>| KernelGradient::new(&kernel, task.candidate.kernel, z, a.as_ref(), resources);
    let back = |mut squares: Vec<f64>| {
        if let Some(metric) = before {
            metric.pull_back_squares(&mut squares);
        }
        squares
    };
    let all = |metric: Option<Metric>| metric.map(|metric| Next { metric, faint: Vec::new() });
    match kind {
        MetricKind::Full => {
            let g = gradient(coefficients)?.outer_product(z, resources)?;
            let g = before.map_or(Ok(g.clone()), |metric| metric.pull_back(&g))?;
            Ok(all(Metric::from_outer_product(g.as_ref(), resources)?))
        }
        MetricKind::Diagonal => {
            let squares = back(gradient(coefficients)?.squares(z, resources)?);
            Ok(all(Metric::from_squares(&squares, 0.5)))
        }
        MetricKind::Sharp => {
            let own = coefficients.cols();
            let both = Mat::from_fn(z.rows(), own + noise.cols(), |i, k| {
                if k < own { coefficients[(i, k)] } else { noise[(i, k - own)] }
            });
            let each = gradient(&both)?.squares_each(z, resources)?;
            let sum = |outputs: Range<usize>| back(column_sums(&each, outputs));
            Ok(sharp(&sum(0..own), &sum(own..each.rows()), task.input.of_columns))
        }
    }
}

fn column_sums(each: &Mat<f64>, rows: Range<usize>) -> Vec<f64> {
    (0..each.cols()).map(|j| rows.clone().map(|k| each[(k, j)]).sum()).collect()
}

/// The sharp metric: from the squares of each input the share is taken that fits to noise have there, of all its columns together, for one alone is a small
/// sample.
fn sharp(squares: &[f64], noise: &[f64], inputs: &[usize]) -> Option<Next> {
    let (mut shrunk, mut faint, mut first) = (squares.to_vec(), Vec::new(), 0);
    for columns in inputs.chunk_by(|a, b| a == b) {
        let input = columns[0];
        let columns = first..first + columns.len();
        first = columns.end;
        let sum = |of: &[f64]| of[columns.clone()].iter().sum::<f64>();
        let (own, noise) = (sum(squares), sum(noise));
        let kept = if own > 0.0 { 1.0 - noise / own } else { 0.0 };
        if kept < FAINT {
            faint.push(input);
        }
        shrunk[columns].iter_mut().for_each(|s| *s *= kept.max(LEAST));
    }
    Some(Next { metric: Metric::from_squares(&shrunk, 1.0)?, faint })
}

/// Inputs in a metric, if there is one.
pub(super) fn transformed(x: &Mat<f64>, metric: Option<&Metric>) -> Result<Mat<f64>> {
    metric.map_or_else(|| Ok(x.clone()), |metric| metric.apply(x.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::candidates::{Candidate, KernelKind};
    use crate::model::fit::FitOptions;
    use crate::model::metric::task::Input;
    use crate::model::preprocess::Encoding;
    use crate::net::Net;

    #[test]
    fn one_lambda_gives_what_its_place_on_the_path_does() {
        let resources = Resources::new(1).unwrap();
        let mut draws = Draws::new(3, Purpose::METRIC, 7);
        let x = Mat::from_fn(60, 4, |_, _| draws.normal());
        let y = Mat::from_fn(60, 2, |i, k| x[(i, k)].sin() + 0.3 * draws.normal());
        let net = Net::from_json(r#"{"b_std":1,"layers":["dense","relu","dense"]}"#).unwrap();
        let (kernel, encoding, options) = (KernelKind::Nngp, Encoding::Plain, FitOptions::default());
        let candidate = Candidate { name: "net".into(), net, kernel, encoding };
        let input = Input { encoding, x: x.as_ref(), of_columns: &[0, 1, 2, 3] };
        let task = Task { candidate: &candidate, input, y: y.as_ref(), codes: &[], options: &options };
        let (fit, noise) =
            best_fit(&task, task.solve(x.as_ref(), y.as_ref(), &resources).unwrap(), &resources).unwrap();
        let at = (fit.point.lambda, fit.point.mse);
        let ours = fit_at(&task, (x.as_ref(), y.as_ref()), at, &resources).unwrap();
        assert!(noise.cols() == DRAWS && fit.coefficients.cols() == 2);
        for (a, b) in [(&fit.coefficients, &ours.0), (&noise, &ours.1)] {
            let largest = a.as_slice().iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            let difference = a.as_slice().iter().zip(b.as_slice()).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
            assert!(a.rows() == 60 && difference < 1e-9 * largest, "{difference} of {largest}");
        }
        // Where rounding would decide, the path does.
        let path = fit_at(&task, (x.as_ref(), y.as_ref()), (0.0, 1.0), &resources).unwrap();
        assert_eq!(path, (fit.coefficients, noise));
    }

    /// Two columns of an input that matters, one of noise, two of noise of which one shows more than fits to noise do, one that is constant.
    #[test]
    fn columns_of_an_input_are_judged_together() {
        let (squares, noise) = ([8.0, 2.0, 3.0, 3.0, 1.0, 0.0], [1.0, 1.0, 6.0, 2.0, 2.0, 0.0]);
        let inputs = [0, 0, 1, 2, 2, 3];
        let Next { metric, faint } = sharp(&squares, &noise, &inputs).unwrap();
        let of = |squares: [f64; 6]| Metric::from_squares(&squares, 1.0).unwrap();
        assert_eq!(metric, of([8.0 * 0.8, 2.0 * 0.8, 3.0 * LEAST, 3.0 * LEAST, LEAST, 0.0]));
        assert_eq!(faint, [1, 2, 3]);
        assert!(sharp(&squares, &[0.0; 6], &[0, 0, 1, 2, 2, 2]).unwrap().faint.is_empty());
        assert!(sharp(&[0.0; 6], &noise, &inputs).is_none());
    }
}
