//! Choosing and solving a model: every candidate's whole lambda path by exact leave-one-out, the best one on all rows.
//!
//! The criterion is the leave-one-out mean squared error, also for classes (one-hot, centred): by accuracy the choice was worse on
//! the 57 tables of bench/tables.py. Beyond [`FitOptions::all_rows`] rows the candidates are compared on a random part.

use super::candidates::{Candidate, KernelChoice, KernelKind, NetChoice, candidates};
use super::compare::{Compared, compare};
use super::draw::draw;
use super::exact::Exact;
use super::fitted::{Model, Solution as Solved};
use super::frame::Frame;
use super::invalid;
use super::metric::{self, Input, Learned, MetricChoice, Search, learn};
use super::outputs::Outputs;
use super::preprocess::{Encoding, Preprocess};
use super::report::{LambdaError, Report};
use super::target::Target;
use super::units::{Unit, standardised, units};
use crate::error::Result;
use crate::gram;
use crate::kernel::DenseKernel;
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;
use crate::ridge::{DualFit, DualOptions, DualPath, PathPoint, Width, best, default_path};
use serde::{Deserialize, Serialize};

/// What to fit.
#[derive(Clone, Debug)]
pub struct FitOptions {
    /// Which nets to try.
    pub net: NetChoice,
    /// Which of their kernels.
    pub kernel: KernelChoice,
    /// How numbers may be shown to them.
    pub encodings: Vec<Encoding>,
    /// Lambdas, in units of the mean diagonal of the kernel.
    pub lambdas: Vec<f64>,
    /// Up to this many rows candidates are compared on all of them.
    pub all_rows: usize,
    /// Beyond, on so many drawn at random.
    pub some_rows: usize,
    /// Whether to learn a metric on the inputs ([`super::metric`]).
    pub metric: MetricChoice,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            net: NetChoice::Auto,
            kernel: KernelChoice::Auto,
            encodings: vec![Encoding::Plain, Encoding::Binned],
            lambdas: default_path(),
            all_rows: 1200,
            some_rows: 800,
            metric: MetricChoice::None,
        }
    }
}

/// What a fit will take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Training rows.
    pub rows: usize,
    /// Candidates compared.
    pub candidates: usize,
    /// Rows on which they are compared.
    pub compared_rows: usize,
    /// Most bytes allocated at a time.
    pub bytes: u64,
    /// Floating-point operations.
    pub flops: f64,
    /// Those of them that the search for a metric takes.
    pub metric_flops: f64,
}

/// What fitting `rows` rows of `columns` columns to `outputs` outputs will take.
pub fn plan(rows: usize, columns: usize, outputs: usize, options: &FitOptions) -> Result<Plan> {
    let list = candidates(&options.net, options.kernel, &options.encodings)?;
    let tried = list.len();
    let compared = compared_rows(rows, tried, options);
    let path = |n: usize| path_flops(n, outputs, options.lambdas.len());
    let metric_flops = metric::flops((rows, columns, outputs), tried, pair_flops(&list, columns), options);
    let flops = tried as f64 * path(compared) + if compared == rows { 0.0 } else { path(rows) } + metric_flops;
    let columns = (rows as u64).saturating_mul(columns as u64).saturating_mul(8);
    let bytes = path_bytes(rows, outputs, options.lambdas.len()).saturating_add(columns);
    Ok(Plan { rows, candidates: tried, compared_rows: compared, bytes, flops, metric_flops })
}

/// Operations of the path of a kernel of `rows` rows over `steps` lambdas.
pub(super) fn path_flops(rows: usize, outputs: usize, steps: usize) -> f64 {
    let n = rows as f64;
    8.0 / 3.0 * n.powi(3) + steps as f64 * n * n * (70.0 + 2.0 * outputs as f64)
}

/// Bytes of the same.
pub(super) fn path_bytes(rows: usize, outputs: usize, steps: usize) -> u64 {
    let (side, steps, outputs) = (rows as u64, steps as u64, outputs as u64);
    // The kernel, the band reduction of it and its workspace, and the solution of the best candidate so far; for each lambda
    // a factor of the band, and the outputs solved, applied and left out.
    let square = side.saturating_mul(side).saturating_mul(28);
    let each = outputs.saturating_mul(5).saturating_add(45);
    square.saturating_add(side.saturating_mul(steps).saturating_mul(each).saturating_mul(8))
}

impl FitOptions {
    /// Rows that candidates are compared on where the fit itself is not exact: even one, for its lambda.
    pub(super) fn compared(&self, rows: usize) -> usize {
        if rows > self.all_rows { self.some_rows.min(rows) } else { rows }
    }

    /// Most rows that are solved for exactly before such a fit.
    pub(super) fn solved(&self, rows: usize) -> usize {
        let learned = if self.metric == MetricChoice::None { 0 } else { rows.min(metric::SOME_ROWS) };
        learned.max(self.compared(rows))
    }
}

/// Operations of a pair of rows of `columns` columns, for the deepest net of a list.
pub(super) fn pair_flops(list: &[Candidate], columns: usize) -> f64 {
    let layers = |c: &Candidate| c.net.ops(columns.max(1)).map_or(0, |ops| ops.len());
    2.0 * columns as f64 + 25.0 * list.iter().map(layers).max().unwrap_or(0) as f64
}

/// One candidate is compared with none: its path is that of all rows.
fn compared_rows(rows: usize, candidates: usize, options: &FitOptions) -> usize {
    if rows > options.all_rows && candidates > 1 { options.some_rows.min(rows) } else { rows }
}

/// Fits a model to the rows of `frame` and their `target`.
///
/// # Errors
/// Fewer than two rows; different numbers of rows; one class only; whatever preprocessing and the kernel refuse; more memory than allowed.
///
/// Cost: 8/3 n^3 flops for each candidate compared and for the final solution; memory 2.5 n^2 numbers (see [`plan`]).
pub fn fit(frame: &Frame, target: &Target, options: &FitOptions, resources: &Resources) -> Result<Model> {
    check(frame.rows(), target)?;
    if options.encodings.is_empty() {
        return Err(invalid("the encodings", "at least one", "none", "leave them out to compare two"));
    }
    let rows = frame.rows();
    let plan = plan(rows, frame.columns().len(), target.outputs(), options)?;
    let mut prepared = prepare(frame, &options.encodings, plan.bytes, resources)?;
    let units = units(target)?;
    let y = standardised(target, &units)?;
    let encodings: Vec<Encoding> = prepared.iter().map(|(p, _)| p.encoding()).collect();
    let list = candidates(&options.net, options.kernel, &encodings)?;
    let some = draw(rows, compared_rows(rows, list.len(), options), target, resources.seed);
    let inputs = || prepared.iter().map(|(p, x)| (p.encoding(), x.as_ref()));
    let Compared { solution, tried, order } = match &some {
        None => compare(&list, &inputs().collect::<Vec<_>>(), y.as_ref(), options, resources)?,
        Some(some) => {
            let parts: Vec<_> = inputs().map(|(encoding, x)| (encoding, x.select_rows(some))).collect();
            let parts: Vec<_> = parts.iter().map(|(encoding, x)| (*encoding, x.as_ref())).collect();
            compare(&list, &parts, y.as_ref().select_rows(some).as_ref(), options, resources)?
        }
    };
    // The path of the rows compared goes before that of all is made; of many rows no two fit the memory together.
    let kept = some.is_none() && (options.metric == MetricChoice::None || rows <= options.all_rows);
    let solution = kept.then_some(solution);
    let of_columns: Vec<Vec<usize>> = prepared.iter().map(|(p, _)| p.input_of_columns()).collect();
    let shown = prepared.iter().zip(&of_columns);
    let shown = shown.map(|((p, x), of)| Input { encoding: p.encoding(), x: x.as_ref(), of_columns: of });
    let inputs: Vec<Input<'_>> = shown.collect();
    let (candidates, codes) = (&list[..], target.codes());
    let search = Search { candidates, order: &order, inputs: &inputs, y: y.as_ref(), codes, options };
    let Learned { place, metric, report: learned } = learn(&search, resources)?;
    let candidate = &list[place];
    let at = encodings.iter().position(|&e| e == candidate.encoding).unwrap_or(0);
    let (preprocess, mut x) = prepared.swap_remove(at);
    drop(prepared);
    let solution = match (solution, &metric) {
        (Some(solution), None) => solution,
        (solution, _) => {
            drop(solution);
            resources.progress.update("solving", 0, 1);
            if let Some(metric) = &metric {
                x = metric.apply(x)?;
            }
            solve(candidate, x.as_ref(), y.as_ref(), options, resources)?
        }
    };
    let preprocess = preprocess.with_metric(metric);
    let mut fitted = solution.path.fit(solution.point().lambda, resources)?;
    if let Some(learned) = &learned {
        learned.correct(&mut fitted.point.loo, y.as_ref());
    }
    restore(&mut fitted, &units);
    resources.progress.update("solving", 1, 1);
    let path = solution.errors();
    drop(solution);
    let report = Report {
        task: target.task(),
        n_train: rows,
        n_features: frame.columns().len(),
        n_encoded: x.cols(),
        n_classes: target.classes_len(),
        net: candidate.name.clone(),
        kernel: candidate.kernel,
        encoding: candidate.encoding,
        method: "exact".into(),
        lambda: fitted.point.lambda,
        loo: None,
        loo_rows: rows,
        degrees_of_freedom: Some(fitted.point.degrees_of_freedom),
        condition: Some(fitted.point.condition),
        jitter: fitted.point.jitter.map(|j| j.added),
        path,
        metric: learned,
        candidates: tried,
        compared_rows: some.as_ref().map_or(rows, Vec::len),
        dropped: preprocess.dropped().to_vec(),
        features: None,
        iterative: None,
    };
    assemble(candidate, preprocess, x, target, fitted, report, resources)
}

fn assemble(
    candidate: &Candidate,
    preprocess: Preprocess,
    x: Mat<f64>,
    target: &Target,
    fitted: DualFit,
    mut report: Report,
    resources: &Resources,
) -> Result<Model> {
    let (outputs, metrics) = Outputs::of_fit(target, &fitted, Width::Posterior, resources)?;
    report.loo = Some(metrics);
    let exact = Exact {
        net: candidate.net.clone(),
        kernel: candidate.kernel,
        x,
        coefficients: fitted.coefficients,
        lambda_absolute: fitted.point.lambda_absolute,
    };
    let solution = Solved::Exact(Box::new(exact));
    let left_out = Some(fitted.point.loo);
    Ok(Model { preprocess, outputs, solution, intercept: fitted.intercept, report, left_out })
}

/// Puts a solution for standardised targets in their own units.
pub(super) fn restore(fitted: &mut DualFit, units: &[Unit]) {
    for (j, &Unit { mean, size }) in units.iter().enumerate() {
        fitted.intercept[j] = mean + size * fitted.intercept[j];
        for i in 0..fitted.coefficients.rows() {
            fitted.coefficients[(i, j)] *= size;
            fitted.point.loo[(i, j)] = mean + size * fitted.point.loo[(i, j)];
        }
    }
}

/// The inputs of every encoding that differs from those before it, once their memory is granted beside that of the solution.
fn prepare(
    frame: &Frame,
    encodings: &[Encoding],
    bytes: u64,
    resources: &Resources,
) -> Result<Vec<(Preprocess, Mat<f64>)>> {
    let (rows, hint) = (frame.rows(), "raise --memory, or fit fewer rows");
    let reserve = |bytes| resources.reserve(&format!("an exact fit of {rows} rows"), bytes, hint);
    reserve(bytes)?;
    let learned = Preprocess::learn_each(frame, encodings)?;
    // Each once here and once padded inside the kernel.
    let width: usize = learned.iter().map(Preprocess::width).sum();
    reserve(bytes.saturating_add(16 * rows as u64 * width as u64))?;
    learned.into_iter().map(|p| p.apply(frame).map(|x| (p, x))).collect()
}

/// Refuses targets that no fit of `rows` rows can be made to.
pub(super) fn check(rows: usize, target: &Target) -> Result<()> {
    target.check_rows(rows)?;
    if rows < 2 {
        return Err(invalid("the data", "at least two rows", &rows.to_string(), "give more rows"));
    }
    target.check()
}

/// A path solved.
pub(super) struct Solution {
    pub path: DualPath,
    points: Vec<PathPoint>,
    best: usize,
}

impl Solution {
    /// All points, without their predictions.
    fn errors(&self) -> Vec<LambdaError> {
        self.points.iter().map(|p| LambdaError { lambda: p.lambda, loo_mse: p.mse }).collect()
    }

    /// The best point.
    pub fn point(&self) -> &PathPoint {
        &self.points[self.best]
    }
}

/// The kernel matrix of a candidate.
pub(super) fn kernel_matrix(
    candidate: (&crate::net::Net, KernelKind),
    x: MatRef<'_, f64>,
    resources: &Resources,
) -> Result<Mat<f64>> {
    let (net, kind) = candidate;
    let kernel = DenseKernel::new(net, x.cols())?;
    kind.matrix(gram::symmetric(&kernel, x, kind.get(), resources)?)
}

pub(super) fn solve(
    candidate: &Candidate,
    x: MatRef<'_, f64>,
    y: MatRef<'_, f64>,
    options: &FitOptions,
    resources: &Resources,
) -> Result<Solution> {
    solve_kernel(kernel_matrix((&candidate.net, candidate.kernel), x, resources)?, y, &options.lambdas, resources)
}

/// The path of a kernel matrix, and the best lambda on it.
pub(super) fn solve_kernel(
    matrix: Mat<f64>,
    y: MatRef<'_, f64>,
    lambdas: &[f64],
    resources: &Resources,
) -> Result<Solution> {
    let options = DualOptions { lambdas: lambdas.to_vec(), ..DualOptions::default() };
    let path = DualPath::new(matrix, y, options, resources)?;
    let points = path.points(resources)?;
    let best = best(&points).ok_or_else(|| invalid("lambdas", "at least one", "none", "leave the path out"))?;
    Ok(Solution { path, points, best })
}
