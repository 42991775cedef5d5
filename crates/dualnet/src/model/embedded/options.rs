//! What a fit of features of a kernel is told, and what it will take.

use crate::error::Result;
use crate::model::candidates::candidates;
use crate::model::features::FeaturePrecision;
use crate::model::fit::{FitOptions, pair_flops, path_bytes, path_flops};
use crate::model::{invalid, metric, primal};

/// Features of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelMap {
    /// Random features, layer by layer ([`NetFeatures`](crate::features::NetFeatures)): they cost about the same for any net and need
    /// no training rows.
    Random,
    /// Nystrom features of landmarks by randomly pivoted Cholesky ([`NystromFeatures`](crate::features::NystromFeatures)): nearer to the kernel
    /// for the same number, and dearer; the model holds the landmarks.
    Nystrom,
}

impl KernelMap {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            KernelMap::Random => "random features",
            KernelMap::Nystrom => "Nystrom features",
        }
    }

    /// The method as reports call it.
    pub fn method(self) -> &'static str {
        match self {
            KernelMap::Random => "features",
            KernelMap::Nystrom => "nystrom",
        }
    }
}

/// What to fit.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Which features.
    pub map: KernelMap,
    /// How many, at least 1; Nystrom features at most one a row.
    pub dim: usize,
    /// Which nets, kernels and encodings to compare; its lambdas are in units of the mean of the diagonal of Phi'Phi/n here, Phi centred.
    pub choice: FitOptions,
    /// Precision of the features; `None`: double where that takes seconds, else single.
    pub precision: Option<FeaturePrecision>,
}

impl EmbeddedOptions {
    /// `dim` features, everything else chosen.
    pub fn new(map: KernelMap, dim: usize) -> Self {
        Self { map, dim, choice: FitOptions::default(), precision: None }
    }

    /// The number of features for `rows` rows.
    pub fn dim(&self, rows: usize) -> usize {
        match self.map {
            KernelMap::Random => self.dim,
            KernelMap::Nystrom => self.dim.min(rows),
        }
    }

    /// The precision for `rows` rows.
    pub fn precision(&self, rows: usize) -> FeaturePrecision {
        self.precision.unwrap_or_else(|| primal::default_precision(rows, self.dim(rows)))
    }

    pub(super) fn check(&self) -> Result<()> {
        const MOST: usize = 1 << 20;
        if (1..=MOST).contains(&self.dim) {
            return Ok(());
        }
        Err(invalid("the number of features", &format!("1 to {MOST}"), &self.dim.to_string(), "1024 is a start"))
    }
}

/// Rows that landmarks of `rows` rows are chosen among: those of the sample that a decomposition of `k` columns has room for.
pub(super) fn landmark_rows(sample: usize, k: usize, bytes: u64, memory: Option<u64>) -> usize {
    /// More rows for each landmark would hardly give better ones.
    const EACH: usize = 16;
    /// Share of the memory that the decomposition may take: one part in so many.
    const SHARE: u64 = 4;
    let room = memory.map_or(u64::MAX, |m| m / SHARE / (bytes * k as u64).max(1));
    sample.min(k.saturating_mul(EACH)).min(usize::try_from(room).unwrap_or(usize::MAX)).max(k.min(sample))
}

/// What fitting `rows` rows of `columns` columns to `outputs` outputs will take: most bytes at a time, and operations.
///
/// # Errors
/// A net that no table fits; no candidate.
pub fn plan_embedded(rows: usize, columns: usize, outputs: usize, options: &EmbeddedOptions) -> Result<(u64, f64)> {
    let (dim, precision, choice) = (options.dim(rows), options.precision(rows), &options.choice);
    let (bytes, flops) = primal::plan(rows, columns, dim, precision);
    let (n, m, wide) = (rows as f64, dim as f64, precision.bytes());
    let tried = candidates(&choice.net, choice.kernel, &choice.encodings)?;
    let compared = choice.compared(rows);
    let comparing = tried.len() as f64 * path_flops(compared, outputs, choice.lambdas.len());
    let pair = pair_flops(&tried, columns);
    let comparing =
        comparing + metric::flops((rows.min(metric::SOME_ROWS), columns, outputs), tried.len(), pair, choice);
    let (drawn, map) = match options.map {
        // A projection goes through a Hadamard transform of a quarter of the features for every such quarter.
        KernelMap::Random => (32 * dim as u64 * wide, n * m * (16.0 + 4.0 * m.log2())),
        KernelMap::Nystrom => {
            let among = landmark_rows(primal::sample_rows(rows, columns), dim, wide, None);
            let chosen = among as f64 * m * (pair + m);
            // Kernel matrix, roots and weights of the landmarks. The decomposition that finds them takes what memory there is, and is gone
            // before the sums are taken.
            let bytes = dim as u64 * (dim as u64 * (wide + 24) + 8 * columns as u64);
            (bytes, n * m * (pair + 2.0 * m) + chosen + 12.0 * m.powi(3))
        }
    };
    // Candidates are compared before any of it is there.
    let bytes = bytes.saturating_add(drawn).max(path_bytes(choice.solved(rows), outputs, choice.lambdas.len()));
    Ok((bytes, comparing + map + flops))
}
