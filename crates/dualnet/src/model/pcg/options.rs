//! What a fit by conjugate gradients is told, and what it will take.

use crate::error::Result;
use crate::kernel::{DenseKernel, Float, Get};
use crate::model::candidates::candidates;
use crate::model::features::FeaturePrecision;
use crate::model::fit::{FitOptions, pair_flops, path_bytes, path_flops};
use crate::model::{invalid, metric};
use crate::resources::Resources;
use crate::ridge::iterative::{EarlyStop, KeptTriangle, NystromPreconditioner, OnTheFly};
use serde::{Deserialize, Serialize};

/// Up to so many rows tiles are in double precision by default.
pub(in crate::model) const DOUBLE_ROWS: usize = 8192;
/// Landmarks of the preconditioner: so many for the root of the number of rows, at least (they cost next to nothing), and at most.
const LANDMARKS_ROOT: f64 = 6.0;
const LEAST_LANDMARKS: usize = 1024;
const MOST_LANDMARKS: usize = 4096;
/// Share of the memory that the factor of the preconditioner may take: one part in so many.
const FACTOR_SHARE: u64 = 8;
/// Steps that end a lambda where they do not lower the error of the rows held out by a thousandth, all together.
const PATIENCE: usize = 5;
/// What a smaller lambda must take off the error of the rows held out.
const GAIN: f64 = 0.005;
/// Steps that a fit takes in all, for estimates.
const STEPS: f64 = 60.0;
/// What a flop of a product with a kernel that is kept takes against those of a matrix product: it is bound by memory.
pub(in crate::model) const KEPT_SLOWNESS: f64 = 4.0;

/// What to fit.
#[derive(Clone, Debug)]
pub struct PcgOptions {
    /// Which nets, kernels and encodings to compare, and lambdas to choose from.
    pub choice: FitOptions,
    /// Precision of kernel values; `None`: double up to 8,192 rows, else single. Sums, residuals and coefficients are always double.
    pub precision: Option<FeaturePrecision>,
    /// A lambda has converged when the residual of every output is this share of its targets.
    pub tolerance: f64,
    /// Whether the rows held out may end a lambda before that.
    pub early_stop: EarlyStop,
    /// A smaller lambda must lower the error of the rows held out by this share, or the path ends with the one before it.
    pub gain: f64,
    /// Columns of the preconditioner; `None`: about six times the root of the rows, at least 1,024, as far as there is memory.
    pub landmarks: Option<usize>,
}

impl Default for PcgOptions {
    fn default() -> Self {
        Self {
            choice: FitOptions::default(),
            precision: None,
            tolerance: 1e-3,
            early_stop: EarlyStop::Patience(PATIENCE),
            gain: GAIN,
            landmarks: None,
        }
    }
}

/// Where the kernel matrix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelTiles {
    /// In memory: half of it, the other half follows by symmetry.
    Kept,
    /// Computed anew for every product.
    Computed,
}

/// What a fit by conjugate gradients will take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PcgPlan {
    /// Training rows.
    pub rows: usize,
    /// Columns of the preconditioner.
    pub landmarks: usize,
    /// Where the kernel matrix is.
    pub tiles: KernelTiles,
    /// Precision of its values.
    pub precision: FeaturePrecision,
    /// Most bytes at a time.
    pub bytes: u64,
    /// Floating-point operations, those bound by memory counted as the operations of a matrix product that take as long.
    pub flops: f64,
}

/// What fitting `rows` rows of `columns` columns to `outputs` outputs will take with that much memory (`None`: no limit).
///
/// # Errors
/// A net that no table fits; no candidate.
pub fn plan_pcg(
    (rows, columns, outputs): (usize, usize, usize),
    options: &PcgOptions,
    memory: Option<u64>,
) -> Result<PcgPlan> {
    let double = options.precision.map_or(rows <= DOUBLE_ROWS, |p| p == FeaturePrecision::F64);
    match double {
        true => plan::<f64>((rows, columns, outputs), options, FeaturePrecision::F64, memory),
        false => plan::<f32>((rows, columns, outputs), options, FeaturePrecision::F32, memory),
    }
}

fn plan<T: Float>(
    (rows, columns, outputs): (usize, usize, usize),
    options: &PcgOptions,
    precision: FeaturePrecision,
    memory: Option<u64>,
) -> Result<PcgPlan> {
    let choice = &options.choice;
    let tried = candidates(&choice.net, choice.kernel, &choice.encodings)?;
    let Some(first) = tried.first() else {
        return Err(invalid("the candidates", "at least one", "none", "leave encodings and nets out"));
    };
    let (n, d, c, wide) = (rows as u64, columns as u64, outputs as u64, precision.bytes());
    let landmarks = landmarks(rows, wide, options, memory);
    // The frame and its encoding; vectors of the iteration; the factor of the preconditioner while it is copied.
    let arrays = n.saturating_mul(16 * d + 160 * c);
    let factor = NystromPreconditioner::<T>::bytes(rows, landmarks).saturating_add(n * landmarks as u64 * wide);
    let kernel = DenseKernel::new(&first.net, columns.max(1))?;
    // The rows in the precision of the kernel, as they are and prepared; one more time while landmarks are chosen.
    let samples = 3 * crate::kernel::Kernel::<T>::samples_bytes(&kernel, rows) / 2;
    let base = arrays.saturating_add(factor).saturating_add(samples);
    // Candidates are compared before any of it but the frame is there.
    let compared = path_bytes(choice.solved(rows), outputs, choice.lambdas.len()).saturating_add(arrays);
    let one = Resources::new(1)?;
    let kept = base.saturating_add(KeptTriangle::<T>::plan(&kernel, rows, outputs, Get::Ntk, &one));
    let fits = memory.is_none_or(|limit| kept <= limit);
    let (tiles, bytes) = match fits {
        true => (KernelTiles::Kept, kept),
        false => {
            let computed = OnTheFly::<T, DenseKernel>::plan(&kernel, rows, outputs, Get::Ntk, &one);
            (KernelTiles::Computed, base.saturating_add(computed))
        }
    };
    let (n, c, k, narrow) = (rows as f64, outputs as f64, landmarks as f64, wide as f64 / 8.0);
    let comparing = tried.len() as f64 * path_flops(choice.compared(rows), outputs, choice.lambdas.len());
    let pair = pair_flops(&tried, columns);
    let comparing =
        comparing + metric::flops((rows.min(metric::SOME_ROWS), columns, outputs), tried.len(), pair, choice);
    let values = n * n / 2.0 * pair_flops(&tried, columns) * narrow;
    let product = 2.0 * n * n * c * narrow * KEPT_SLOWNESS;
    let matrix = match tiles {
        KernelTiles::Kept => values + STEPS * product,
        KernelTiles::Computed => STEPS * (values + product),
    };
    let preconditioner = 4.0 * n * k * k + 10.0 * k.powi(3) + STEPS * 8.0 * n * k * c;
    let bytes = bytes.max(compared);
    Ok(PcgPlan { rows, landmarks, tiles, precision, bytes, flops: comparing + matrix + preconditioner })
}

/// Columns of the preconditioner.
fn landmarks(rows: usize, wide: u64, options: &PcgOptions, memory: Option<u64>) -> usize {
    let room = memory.map_or(u64::MAX, |m| m / FACTOR_SHARE / (2 * wide * rows as u64).max(1));
    let wanted = options.landmarks.unwrap_or(LEAST_LANDMARKS.max((LANDMARKS_ROOT * (rows as f64).sqrt()) as usize));
    wanted.min(MOST_LANDMARKS).min(usize::try_from(room).unwrap_or(usize::MAX)).clamp(1, rows.max(1))
}

/// Lambdas to solve, falling: those of the options from far above the best of the rows compared, `proposed`, where convergence is fast, down to
/// the share `below` of it, as far as the precision allows.
///
/// Decades: the error is flat near its minimum, and a small lambda is solved in few steps only from the solution of a larger one.
pub(in crate::model) fn lambdas(
    choice: &FitOptions,
    (proposed, below): (f64, f64),
    precision: FeaturePrecision,
    rows: usize,
) -> Vec<f64> {
    const ABOVE: f64 = 20.0;
    const EASY: f64 = 1e-2;
    const STEP: f64 = 5.0;
    let least = least_lambda(precision, rows);
    let proposed = proposed.max(least);
    let mut near: Vec<f64> = choice.lambdas.iter().map(|l| l.max(least)).collect();
    near.retain(|l| (below * proposed..=(ABOVE * proposed).max(1.01 * EASY)).contains(l));
    near.sort_by(|a, b| b.total_cmp(a));
    let mut lambdas: Vec<f64> = Vec::new();
    for lambda in near {
        if lambdas.last().is_none_or(|last| *last >= STEP * lambda) {
            lambdas.push(lambda);
        }
    }
    if lambdas.is_empty() { vec![proposed] } else { lambdas }
}

/// The rounding of kernel values is a matrix of independent errors, whose norm goes with the root of the rows; lambda must be above it for the
/// sum to be positive definite.
fn least_lambda(precision: FeaturePrecision, rows: usize) -> f64 {
    match precision {
        FeaturePrecision::F32 => 4e-7 * (rows as f64).sqrt(),
        FeaturePrecision::F64 => 1e-14 * (rows as f64).sqrt(),
    }
}
