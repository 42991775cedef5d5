//! From a source through a feature map, in chunks of [`CHUNK`] rows.
//!
//! Rows wait until a chunk is full. Chunks therefore begin at the same rows whatever the sizes of the batches, and what is made of
//! them does not depend on these by a bit.

use super::chunk::weight;
use super::source::{Batch, Source};
use super::statistics::{CHUNK, RidgeStatistics, check_weights};
use crate::error::{Error, Result};
use crate::features::{FeatureMap, transform_into};
use crate::kernel::Float;
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;

/// Statistics of the features of all rows of a source, in one pass.
///
/// Memory m^2 numbers of 8 bytes, and features of [`CHUNK`] rows twice, for any number of rows. The batches' sizes and the number
/// of threads do not change a bit.
///
/// # Errors
/// Those of the source; of [`transform`](crate::features::transform) and [`RidgeStatistics::add`], with rows counted from the
/// first row of the source; inputs that do not fit the map.
///
/// ```
/// use dualnet::{Mat, Resources, ridge::{ArraySource, Identity, accumulate}};
/// let (x, y) = (Mat::from_fn(5, 2, |i, j| (i * j) as f32), Mat::from_fn(5, 1, |i, _| i as f64));
/// let mut source = ArraySource::new(x.as_ref(), y.as_ref(), &[], 2)?;
/// let statistics = accumulate(&Identity(2), &mut source, &Resources::new(1)?)?;
/// assert_eq!((statistics.rows(), statistics.mean()), (5, &[0.0, 2.0][..]));
/// assert!((statistics.cross()[(1, 0)] - 10.0).abs() < 1e-6);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn accumulate<T: Float>(
    map: &dyn FeatureMap<T>,
    source: &mut dyn Source<T>,
    resources: &Resources,
) -> Result<RidgeStatistics> {
    Ok(accumulate_keeping(map, source, &[], resources)?.0)
}

/// What is kept of some rows that went by.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept<T> {
    /// Their features (rows, m).
    pub features: Mat<T>,
    /// Their targets (rows, k).
    pub targets: Mat<f64>,
    /// Their weights.
    pub weights: Vec<f64>,
}

/// [`accumulate`], with the features of the rows numbered `keep`, ascending: what a map takes long for is then there for leave-one-out
/// ([`PrimalPath::leave_one_out`](super::PrimalPath::leave_one_out) with the map [`Identity`](super::Identity)).
///
/// Memory: m numbers of `T` for each row kept, beside that of [`accumulate`].
///
/// ```
/// use dualnet::{Mat, Resources, ridge::{ArraySource, Identity, accumulate_keeping}};
/// let (x, y) = (Mat::from_fn(5, 2, |i, j| (i * j) as f32), Mat::from_fn(5, 1, |i, _| i as f64));
/// let mut source = ArraySource::new(x.as_ref(), y.as_ref(), &[], 2)?;
/// let (statistics, kept) = accumulate_keeping(&Identity(2), &mut source, &[1, 4], &Resources::new(1)?)?;
/// assert_eq!((statistics.rows(), kept.features.row(1), kept.targets.row(0)), (5, &[0.0, 4.0][..], &[1.0][..]));
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// Those of [`accumulate`]; rows that are not ascending, or that the source does not have.
pub fn accumulate_keeping<T: Float>(
    map: &dyn FeatureMap<T>,
    source: &mut dyn Source<T>,
    keep: &[usize],
    resources: &Resources,
) -> Result<(RidgeStatistics, Kept<T>)> {
    let (m, k, rows) = (map.dim(), source.outputs(), keep.len());
    let mut statistics = RidgeStatistics::new(m, k, resources)?;
    let held = (m as u64).pow(2) * 8 + (rows as u64) * (m * size_of::<T>() + 8 * k) as u64;
    let mut kept = Kept { features: Mat::zeros(rows, m), targets: Mat::zeros(rows, k), weights: vec![1.0; rows] };
    let (mut done, mut next) = (0, 0);
    for_each_chunk(map, source, held, "features", resources, |chunk| {
        let end = done + chunk.features.rows();
        while let Some(&row) = keep.get(next).filter(|row| **row < end) {
            let i = row.checked_sub(done).ok_or_else(|| not_there(row))?;
            kept.features.row_mut(next).copy_from_slice(chunk.features.row(i));
            kept.targets.row_mut(next).copy_from_slice(chunk.targets.row(i));
            kept.weights[next] = weight(chunk.weights, i);
            next += 1;
        }
        done = end;
        statistics.add(chunk.features, chunk.targets, chunk.weights, resources)
    })?;
    match keep.get(next) {
        None => Ok((statistics, kept)),
        Some(&row) => Err(not_there(row)),
    }
}

fn not_there(row: usize) -> Error {
    Error::Invalid {
        what: "rows to keep".into(),
        expected: "ascending numbers of rows of the source".into(),
        found: row.to_string(),
        hint: "sort them, and count from 0".into(),
    }
}

/// A chunk of mapped rows.
pub(super) struct Mapped<'a, T> {
    pub(super) features: MatRef<'a, T>,
    pub(super) targets: MatRef<'a, f64>,
    /// Empty: all 1.
    pub(super) weights: &'a [f64],
}

/// Rows of the largest chunk of a source of so many rows.
pub(super) fn chunk_rows(rows: Option<u64>) -> usize {
    rows.and_then(|rows| usize::try_from(rows).ok()).map_or(CHUNK, |rows| rows.min(CHUNK))
}

/// Hands the features of all rows to `work`, a chunk at a time; `held` bytes are in use already.
pub(super) fn for_each_chunk<T: Float>(
    map: &dyn FeatureMap<T>,
    source: &mut dyn Source<T>,
    held: u64,
    what: &str,
    resources: &Resources,
    mut work: impl FnMut(Mapped<'_, T>) -> Result<()>,
) -> Result<()> {
    let (d, m, k) = (map.inputs(), map.dim(), source.outputs());
    if source.columns() != d {
        return Err(Error::Shape {
            what: "columns of the source".into(),
            expected: format!("{d}, as the feature map takes"),
            found: source.columns().to_string(),
        });
    }
    let row = (size_of::<T>() as u64).saturating_mul(2 * m as u64 + d as u64).saturating_add(8 * k as u64);
    let most = chunk_rows(source.rows());
    let needed = row.saturating_mul(most as u64).saturating_add(held);
    resources.reserve("features of a chunk of rows", needed, "use fewer features, or raise the memory limit")?;
    let total = source.rows().unwrap_or(0);
    let mut waiting = Waiting { x: Vec::new(), y: Vec::new(), weights: Vec::new(), rows: 0, done: 0 };
    let mut features = Mat::zeros(most, m);
    loop {
        resources.check(what)?;
        let batch = source.next()?;
        let last = batch.is_none();
        let mut taken = 0;
        let rows = batch.as_ref().map_or(0, |b| b.x.rows());
        if let Some(batch) = &batch {
            check(batch, d, k, waiting.done + waiting.rows)?;
        }
        while taken < rows || (last && waiting.rows > 0) {
            if let Some(batch) = &batch {
                taken += waiting.take(batch, taken);
            }
            if waiting.rows < CHUNK && !last {
                break;
            }
            let n = waiting.rows;
            if n > features.rows() {
                // More than the source said it has.
                features = Mat::zeros(CHUNK, m);
            }
            let mapped = Mat::from_vec(n, d, std::mem::take(&mut waiting.x))?;
            let out = crate::linalg::MatMut::new(features.as_mut_slice(), n, m, m)?;
            transform_into(map, mapped.as_ref(), out, resources).map_err(|e| e.after_rows(waiting.done))?;
            let chunk = Mapped {
                features: features.as_ref().block(0..n, 0..m)?,
                targets: MatRef::new(&waiting.y, n, k, k)?,
                weights: &waiting.weights,
            };
            work(chunk).map_err(|e| e.after_rows(waiting.done))?;
            waiting.done += n;
            waiting.rows = 0;
            (waiting.x, waiting.y) = (mapped.into_vec(), std::mem::take(&mut waiting.y));
            waiting.x.clear();
            waiting.y.clear();
            waiting.weights.clear();
            resources.progress.update(what, waiting.done as u64, total.max(waiting.done as u64));
        }
        if last {
            return Ok(());
        }
    }
}

/// Rows that wait for their chunk to be full.
struct Waiting<T> {
    x: Vec<T>,
    y: Vec<f64>,
    weights: Vec<f64>,
    rows: usize,
    /// Rows of the chunks before.
    done: usize,
}

impl<T: Float> Waiting<T> {
    /// Takes rows of a batch from `first` on, as many as fit.
    fn take(&mut self, batch: &Batch<T>, first: usize) -> usize {
        let n = (CHUNK - self.rows).min(batch.x.rows() - first);
        let (d, k) = (batch.x.cols(), batch.y.cols());
        self.x.extend_from_slice(&batch.x.as_slice()[first * d..(first + n) * d]);
        self.y.extend_from_slice(&batch.y.as_slice()[first * k..(first + n) * k]);
        match batch.weights.is_empty() {
            true => self.weights.extend(std::iter::repeat_n(1.0, n)),
            false => self.weights.extend_from_slice(&batch.weights[first..first + n]),
        }
        self.rows += n;
        n
    }
}

/// Refuses a batch, the first row of which is row `first` of the source.
fn check<T: Float>(batch: &Batch<T>, d: usize, k: usize, first: usize) -> Result<()> {
    let n = batch.x.rows();
    if batch.x.cols() != d || (batch.y.rows(), batch.y.cols()) != (n, k) {
        return Err(Error::Shape {
            what: "batch of a source".into(),
            expected: format!("x {n} x {d}, y {n} x {k}"),
            found: format!("x {n} x {}, y {} x {}", batch.x.cols(), batch.y.rows(), batch.y.cols()),
        });
    }
    batch.x.as_ref().check_finite("x of the source").map_err(|e| e.after_rows(first))?;
    batch.y.as_ref().check_finite("y of the source").map_err(|e| e.after_rows(first))?;
    check_weights(&batch.weights, n, first)
}
