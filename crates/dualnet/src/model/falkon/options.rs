//! What a fit on landmarks is told, and what it will take.

use crate::error::Result;
use crate::kernel::{DenseKernel, Float, Kernel};
use crate::model::candidates::candidates;
use crate::model::features::FeaturePrecision;
use crate::model::fit::{FitOptions, pair_flops, path_bytes, path_flops};
use crate::model::pcg::{DOUBLE_ROWS, KEPT_SLOWNESS, KernelTiles, PcgPlan};
use crate::model::{invalid, metric};
use crate::ridge::iterative::landmark_bytes;

/// Landmarks that nobody chose: a quarter of the rows, within these.
const FEWEST: usize = 512;
const MOST: usize = 4096;
/// Steps that a fit takes in all, for estimates.
const STEPS: f64 = 40.0;
/// What a smaller lambda must take off the error of the rows held out.
const GAIN: f64 = 0.002;

/// What to fit.
#[derive(Clone, Debug)]
pub struct FalkonOptions {
    /// Which nets, kernels and encodings to compare, and lambdas to choose from.
    pub choice: FitOptions,
    /// Landmarks; `None`: a quarter of the rows, 512 to 4,096.
    pub landmarks: Option<usize>,
    /// Precision of kernel values; `None`: double up to 8,192 rows, else single. Sums and coefficients are always double.
    pub precision: Option<FeaturePrecision>,
    /// A lambda has converged when the residual of every output, as the preconditioner measures it, is this share of its right-hand side.
    pub tolerance: f64,
    /// A smaller lambda must lower the error of the rows held out by this share, or the path ends with the one before it.
    pub gain: f64,
}

impl Default for FalkonOptions {
    fn default() -> Self {
        Self { choice: FitOptions::default(), landmarks: None, precision: None, tolerance: 1e-2, gain: GAIN }
    }
}

impl FalkonOptions {
    /// The number of landmarks for `rows` rows.
    pub fn landmarks(&self, rows: usize) -> usize {
        let wanted = self.landmarks.unwrap_or(rows.div_ceil(4).next_power_of_two().clamp(FEWEST, MOST));
        wanted.min(rows)
    }

    fn precision(&self, rows: usize) -> FeaturePrecision {
        let double = self.precision.map_or(rows <= DOUBLE_ROWS, |p| p == FeaturePrecision::F64);
        if double { FeaturePrecision::F64 } else { FeaturePrecision::F32 }
    }

    pub(super) fn check(&self) -> Result<()> {
        const MOST: usize = 1 << 16;
        match self.landmarks {
            Some(m) if !(1..=MOST).contains(&m) => {
                Err(invalid("the number of landmarks", &format!("1 to {MOST}"), &m.to_string(), "1024 is a start"))
            }
            _ => Ok(()),
        }
    }

    /// Bytes that kernel values may take: what the rest leaves of the memory.
    pub(super) fn room(&self, plan: &PcgPlan, (columns, outputs): (usize, usize), memory: Option<u64>) -> Result<u64> {
        let rest = rest(plan.rows, columns, outputs, self)?;
        Ok(memory.map_or(u64::MAX, |limit| limit.saturating_sub(rest)))
    }
}

/// Bytes of everything but the kernel values: the frame, its encoding in both precisions, targets and vectors, three matrices of the landmarks
/// and a copy, and two chunks of rows.
fn rest(rows: usize, columns: usize, outputs: usize, options: &FalkonOptions) -> Result<u64> {
    let (n, d, c, m) = (rows as u64, columns as u64, outputs as u64, options.landmarks(rows) as u64);
    let wide = options.precision(rows).bytes();
    let chunks =
        2 * values(options.precision(rows), rows.min(crate::ridge::statistics::CHUNK), m as usize, columns, options)?;
    Ok(n.saturating_mul(16 * d + wide * d + 24 * c)
        .saturating_add(m.saturating_mul(32 * m + 160 * c))
        .saturating_add(chunks))
}

/// Bytes of the kernel values between rows and landmarks.
fn values(precision: FeaturePrecision, rows: usize, m: usize, columns: usize, options: &FalkonOptions) -> Result<u64> {
    let tried = candidates(&options.choice.net, options.choice.kernel, &options.choice.encodings)?;
    let Some(first) = tried.first() else {
        return Err(invalid("the candidates", "at least one", "none", "leave encodings and nets out"));
    };
    let kernel = DenseKernel::new(&first.net, columns.max(1))?;
    fn side<T: Float>(kernel: &DenseKernel) -> usize {
        Kernel::<T>::side(kernel)
    }
    Ok(match precision {
        FeaturePrecision::F32 => landmark_bytes::<f32>(rows, m, side::<f32>(&kernel)),
        FeaturePrecision::F64 => landmark_bytes::<f64>(rows, m, side::<f64>(&kernel)),
    })
}

/// What fitting `rows` rows of `columns` columns to `outputs` outputs will take with that much memory (`None`: no limit): kernel values are kept
/// where they fit it, else as many as do.
///
/// # Errors
/// A net that no table fits; no candidate.
pub fn plan_falkon(
    (rows, columns, outputs): (usize, usize, usize),
    options: &FalkonOptions,
    memory: Option<u64>,
) -> Result<PcgPlan> {
    let (landmarks, precision, choice) = (options.landmarks(rows), options.precision(rows), &options.choice);
    let rest = rest(rows, columns, outputs, options)?;
    let all = values(precision, rows, landmarks, columns, options)?;
    let room = memory.map_or(u64::MAX, |limit| limit.saturating_sub(rest));
    let tiles = if all <= room { KernelTiles::Kept } else { KernelTiles::Computed };
    let tried = candidates(&choice.net, choice.kernel, &choice.encodings)?;
    let compared = choice.compared(rows);
    let bytes = rest.saturating_add(all.min(room)).max(path_bytes(choice.solved(rows), outputs, choice.lambdas.len()));
    let (n, m, c, narrow) = (rows as f64, landmarks as f64, outputs as f64, precision.bytes() as f64 / 8.0);
    let pairs = n * m * pair_flops(&tried, columns) * narrow;
    // What has no room is computed again in every step.
    let again = 1.0 - (room as f64 / all.max(1) as f64).min(1.0);
    let comparing = tried.len() as f64 * path_flops(compared, outputs, choice.lambdas.len());
    let learned = (rows.min(metric::SOME_ROWS), columns, outputs);
    let comparing = comparing + metric::flops(learned, tried.len(), pair_flops(&tried, columns), choice);
    let product = 4.0 * n * m * c * narrow * KEPT_SLOWNESS;
    let flops = comparing + pairs * (1.0 + STEPS * again) + STEPS * product + 4.0 * m.powi(3);
    Ok(PcgPlan { rows, landmarks, tiles, precision, bytes, flops })
}
