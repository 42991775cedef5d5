//! Choosing and solving a model: every candidate's whole lambda path by exact leave-one-out, the best one on all rows.
//!
//! The criterion is the leave-one-out mean squared error, also for classes (one-hot, centred): by accuracy the choice was worse on
//! the 57 tables of bench/tables.py. Beyond [`FitOptions::all_rows`] rows the candidates are compared on a random part.

use super::candidates::{Candidate, KernelChoice, KernelKind, NetChoice, candidates};
use super::exact::Model;
use super::frame::Frame;
use super::invalid;
use super::metrics::Metrics;
use super::preprocess::{Encoding, Preprocess};
use super::target::{Target, Task};
use crate::error::{Error, Result};
use crate::gram;
use crate::kernel::{DenseKernel, Grams};
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;
use crate::ridge::{DualOptions, DualPath, PathPoint, best, default_path};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// Widest code of binned columns that is tried: beyond it, it costs more than it brings.
const MAX_BINNED: usize = 4096;

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
        }
    }
}

/// One candidate's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Name of the net.
    pub net: String,
    /// Kernel.
    pub kernel: KernelKind,
    /// Encoding.
    pub encoding: Encoding,
    /// Best lambda of its path.
    pub lambda: f64,
    /// Leave-one-out mean squared error there, over all outputs.
    pub loo_mse: f64,
}

/// What was fitted, and how good it is on rows it has not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Classes or numbers.
    pub task: Task,
    /// Training rows.
    pub n_train: usize,
    /// Columns of the input before preprocessing.
    pub n_columns: usize,
    /// Columns the kernel sees.
    pub n_features: usize,
    /// Number of classes.
    pub n_classes: Option<usize>,
    /// Name of the net chosen.
    pub net: String,
    /// Kernel chosen.
    pub kernel: KernelKind,
    /// Encoding chosen.
    pub encoding: Encoding,
    /// How it was solved.
    pub method: String,
    /// Lambda, in units of the mean diagonal of the kernel.
    pub lambda: f64,
    /// Exact leave-one-out metrics.
    pub loo: Metrics,
    /// Effective number of parameters.
    pub degrees_of_freedom: f64,
    /// Estimate of the condition number of the regularised kernel.
    pub condition: f64,
    /// What had to be added to lambda for a stable solution, in the same units; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jitter: Option<f64>,
    /// All candidates, best first.
    pub candidates: Vec<Tried>,
    /// Rows on which candidates were compared.
    pub compared_rows: usize,
    /// Columns left out, with the reason.
    pub dropped: Vec<(String, String)>,
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
}

/// What fitting `rows` rows of `columns` columns to `outputs` outputs will take.
pub fn plan(rows: usize, columns: usize, outputs: usize, options: &FitOptions) -> Result<Plan> {
    let tried = candidates(&options.net, options.kernel, &options.encodings)?.len();
    let compared = compared_rows(rows, options);
    let n = rows as f64;
    let path = |n: f64| 8.0 / 3.0 * n.powi(3) + options.lambdas.len() as f64 * n * n * (70.0 + 2.0 * outputs as f64);
    let alone = tried == 1 || compared == rows;
    let flops = tried as f64 * path(compared as f64) + if alone { 0.0 } else { path(n) };
    let side = rows as u64;
    let bytes = 28 * side * side + 8 * side * (columns as u64 + 30 * outputs as u64);
    Ok(Plan { rows, candidates: tried, compared_rows: compared, bytes, flops })
}

fn compared_rows(rows: usize, options: &FitOptions) -> usize {
    if rows > options.all_rows { options.some_rows.min(rows) } else { rows }
}

/// Fits a model to the rows of `frame` and their `target`.
///
/// # Errors
/// Fewer than two rows; different numbers of rows; one class only; whatever preprocessing and the kernel refuse; more memory than allowed.
///
/// Cost: 8/3 n^3 flops for each candidate compared and for the final solution; memory 2.5 n^2 numbers (see [`plan`]).
pub fn fit(frame: &Frame, target: &Target, options: &FitOptions, resources: &Resources) -> Result<Model> {
    check(frame, target)?;
    let rows = frame.rows();
    let y = target.matrix();
    let plan = plan(rows, frame.columns().len(), y.cols(), options)?;
    let hint = "raise --memory, or fit fewer rows";
    resources.reserve(&format!("an exact fit of {rows} rows"), plan.bytes, hint)?;

    let mut prepared = Vec::new();
    for &encoding in &options.encodings {
        let preprocess = Preprocess::learn(frame, encoding)?;
        // Nothing to bin: the same columns twice would be the same candidates twice.
        let repeats = prepared.iter().any(|(p, _): &(Preprocess, Mat<f64>)| p.width() == preprocess.width());
        let adds = encoding != Encoding::Binned || !repeats && preprocess.width() <= MAX_BINNED;
        if prepared.is_empty() || adds {
            let x = preprocess.apply(frame)?;
            prepared.push((preprocess, x));
        }
    }
    let encodings: Vec<Encoding> = prepared.iter().map(|(p, _)| p.encoding()).collect();
    let list = candidates(&options.net, options.kernel, &encodings)?;
    let compared = draw(rows, compared_rows(rows, options), target, resources.seed);
    let mut tried = Vec::with_capacity(list.len());
    let mut winner: Option<(usize, f64, Option<Solution>)> = None;
    if list.len() > 1 {
        for (k, candidate) in list.iter().enumerate() {
            resources.progress.update("choosing", k as u64, list.len() as u64 + 1);
            let x = input(&prepared, candidate);
            let solution = match &compared {
                None => solve(candidate, x.as_ref(), y.as_ref(), options, resources)?,
                Some(some) => {
                    let (x, y) = (x.as_ref().select_rows(some), y.as_ref().select_rows(some));
                    solve(candidate, x.as_ref(), y.as_ref(), options, resources)?
                }
            };
            let point = solution.point();
            tried.push((k, point.lambda, point.mse));
            if winner.as_ref().is_none_or(|(_, mse, _)| point.mse < *mse) {
                winner = Some((k, point.mse, compared.is_none().then_some(solution)));
            }
        }
    }
    let (k, _, solution) = winner.unwrap_or((0, f64::INFINITY, None));
    let candidate = &list[k];
    resources.progress.update("solving", 0, 1);
    let x = input(&prepared, candidate);
    let solution = match solution {
        Some(solution) => solution,
        None => solve(candidate, x.as_ref(), y.as_ref(), options, resources)?,
    };
    let fitted = solution.path.fit(solution.point().lambda, resources)?;
    resources.progress.update("solving", 1, 1);

    tried.sort_by(|a, b| a.2.total_cmp(&b.2));
    let describe = |&(k, lambda, loo_mse): &(usize, f64, f64)| Tried {
        net: list[k].name.clone(),
        kernel: list[k].kernel,
        encoding: list[k].encoding,
        lambda,
        loo_mse,
    };
    let (preprocess, x) = prepared.swap_remove(encodings.iter().position(|&e| e == candidate.encoding).unwrap_or(0));
    let report = Report {
        task: target.task(),
        n_train: rows,
        n_columns: frame.columns().len(),
        n_features: x.cols(),
        n_classes: match target {
            Target::Classes { labels, .. } => Some(labels.len()),
            Target::Numbers { .. } => None,
        },
        net: candidate.name.clone(),
        kernel: candidate.kernel,
        encoding: candidate.encoding,
        method: "exact".into(),
        lambda: fitted.point.lambda,
        loo: Metrics::default(),
        degrees_of_freedom: fitted.point.degrees_of_freedom,
        condition: fitted.point.condition,
        jitter: fitted.point.jitter.map(|j| j.added),
        candidates: tried.iter().map(describe).collect(),
        compared_rows: compared.as_ref().map_or(rows, Vec::len),
        dropped: preprocess.dropped().to_vec(),
    };
    Model::assemble(candidate, preprocess, x, target, fitted, report, resources)
}

fn check(frame: &Frame, target: &Target) -> Result<()> {
    if frame.rows() != target.rows() {
        return Err(Error::Shape {
            what: "target".into(),
            expected: format!("{} rows, as in the data", frame.rows()),
            found: format!("{}", target.rows()),
        });
    }
    if frame.rows() < 2 {
        return Err(invalid("the data", "at least two rows", &frame.rows().to_string(), "give more rows"));
    }
    if let Target::Classes { name, codes, labels } = target
        && codes.windows(2).all(|pair| pair[0] == pair[1])
    {
        let found = format!("only {:?}", labels.get(codes[0]).map_or("", |l| l));
        let hint = "check the target column, and that the data are not sorted and cut";
        return Err(invalid(&format!("target {name:?}"), "at least two classes", &found, hint));
    }
    Ok(())
}

fn input<'a>(prepared: &'a [(Preprocess, Mat<f64>)], candidate: &Candidate) -> &'a Mat<f64> {
    let at = prepared.iter().position(|(p, _)| p.encoding() == candidate.encoding);
    &prepared[at.unwrap_or(0)].1
}

/// The numbers below `rows` in random order, the same for a seed on every platform.
pub fn shuffled(rows: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for i in (1..rows).rev() {
        // The bias of the remainder is below 2^-32 for any number of rows that fits in memory.
        order.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
    }
    order
}

/// A random part of the rows in ascending order; `None`: all. Classes keep at least two members where they have them.
fn draw(rows: usize, wanted: usize, target: &Target, seed: u64) -> Option<Vec<usize>> {
    if wanted >= rows {
        return None;
    }
    let mut order = shuffled(rows, seed);
    if let Target::Classes { codes, labels, .. } = target {
        // Two of each class first, so that no class is missing from the comparison.
        let mut seen = vec![0u8; labels.len()];
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for i in order {
            let count = &mut seen[codes[i]];
            if *count < 2 && first.len() < wanted {
                *count += 1;
                first.push(i);
            } else {
                rest.push(i);
            }
        }
        first.extend(rest);
        order = first;
    }
    order.truncate(wanted);
    order.sort_unstable();
    Some(order)
}

struct Solution {
    path: DualPath,
    points: Vec<PathPoint>,
    best: usize,
}

impl Solution {
    fn point(&self) -> &PathPoint {
        &self.points[self.best]
    }
}

/// The kernel matrix of a candidate.
pub(super) fn kernel_matrix(
    candidate: (&crate::net::Net, KernelKind),
    x: MatRef<'_, f64>,
    other: Option<MatRef<'_, f64>>,
    resources: &Resources,
) -> Result<Mat<f64>> {
    let (net, kind) = candidate;
    let kernel = DenseKernel::new(net, x.cols())?;
    let Grams { nngp, ntk } = match other {
        None => gram::symmetric(&kernel, x, kind.get(), resources)?,
        Some(other) => gram::cross(&kernel, x, other, kind.get(), resources)?,
    };
    let empty = || invalid("the kernel", "the matrix asked for", "none", "report this as a defect");
    match kind {
        KernelKind::Nngp => nngp,
        KernelKind::Ntk => ntk,
    }
    .ok_or_else(empty)
}

fn solve(
    candidate: &Candidate,
    x: MatRef<'_, f64>,
    y: MatRef<'_, f64>,
    options: &FitOptions,
    resources: &Resources,
) -> Result<Solution> {
    let matrix = kernel_matrix((&candidate.net, candidate.kernel), x, None, resources)?;
    let options = DualOptions { lambdas: options.lambdas.clone(), ..DualOptions::default() };
    let path = DualPath::new(matrix, y, options, resources)?;
    let points = path.points(resources)?;
    let best = best(&points).ok_or_else(|| invalid("lambdas", "at least one", "none", "leave the path out"))?;
    Ok(Solution { path, points, best })
}
