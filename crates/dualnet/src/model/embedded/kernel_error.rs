//! How far features are from the kernel they stand for: products of features against exact values on pairs of rows.

use crate::error::Result;
use crate::gram;
use crate::kernel::DenseKernel;
use crate::linalg::Mat;
use crate::model::candidates::Candidate;
use crate::model::features::Map;
use crate::model::fit::some_of;
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
    let (count, probe) = (rows.len(), x.as_ref().select_rows(&rows));
    let kernel = DenseKernel::new(&candidate.net, x.cols())?;
    let quiet = crate::features::landmarks::quiet(resources);
    let exact = candidate.kernel.matrix(gram::symmetric(&kernel, probe.as_ref(), candidate.kernel.get(), &quiet)?)?;
    let phi = map.features(probe.as_ref(), resources)?;
    let (mut error, mut size) = (0.0, 0.0);
    for i in 0..count {
        for j in 0..=i {
            let product: f64 = phi.row(i).iter().zip(phi.row(j)).map(|(a, b)| a * b).sum();
            // Pairs of different rows stand in both triangles.
            let weight = if i == j { 1.0 } else { 2.0 };
            error += weight * (product - exact[(i, j)]).powi(2);
            size += weight * exact[(i, j)].powi(2);
        }
    }
    Ok(if size > 0.0 { (error / size).sqrt() } else { 0.0 })
}
