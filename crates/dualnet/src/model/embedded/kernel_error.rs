//! How far features are from the kernel they stand for: products of features against exact values on pairs of rows.

use crate::error::Result;
use crate::gram;
use crate::kernel::DenseKernel;
use crate::linalg::Mat;
use crate::model::candidates::Candidate;
use crate::model::draw::some_of;
use crate::model::features::Map;
use crate::model::relative_error;
use crate::random::{Draws, Purpose};
use crate::resources::Resources;

/// Rows of the probe: 496 pairs of different rows, and each with itself.
const ROWS: usize = 32;

/// Relative error in the Frobenius norm over the pairs of some rows of `x`, drawn by the seed; landmarks, where features are exact, are left
/// out as long as there are others.
pub(super) fn measure(
    candidate: &Candidate,
    map: &Map,
    x: &Mat<f64>,
    landmarks: Option<&[usize]>,
    resources: &Resources,
) -> Result<f64> {
    let mut open = vec![true; x.rows()];
    landmarks.unwrap_or_default().iter().for_each(|&i| open[i] = false);
    let others: Vec<usize> = (0..x.rows()).filter(|&i| open[i]).collect();
    let rows = if others.len() < ROWS.min(x.rows()) { (0..x.rows()).collect() } else { others };
    let rows = some_of(rows, ROWS, Draws::new(resources.seed, Purpose::PROBE, 0));
    let probe = x.as_ref().select_rows(&rows);
    let kernel = DenseKernel::new(&candidate.net, x.cols())?;
    let quiet = crate::features::landmarks::quiet(resources);
    let exact = candidate.kernel.matrix(gram::symmetric(&kernel, probe.as_ref(), candidate.kernel.get(), &quiet)?)?;
    let phi = map.features(probe.as_ref(), resources)?;
    Ok(relative_error(&phi, &exact))
}
