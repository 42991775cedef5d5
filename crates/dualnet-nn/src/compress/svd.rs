//! Both matrices of a net as products of low rank, for the inputs that they get.
//!
//! The product of rank r nearest to W x in the mean square over inputs of covariance C is U U' W, with U the r directions in which W x varies
//! most: the singular value decomposition of W C^(1/2). They are found from the eigenvectors of whichever of C^(1/2) W'W C^(1/2) and W C W'
//! is smaller.

use super::calibrate::{Calibration, used};
use super::fit::{covariance, inverse_deviations, statistics};
use crate::error::Result;
use crate::ffn::Ffn;
use crate::linear::Linear;
use dualnet::linalg::{Update, eigh, gemm_nn};
use dualnet::ridge::RidgeStatistics;
use dualnet::{Mat, Resources};

/// `old` with both matrices of the rank that takes the bytes of a net of `width` neurons, and 1 over the deviation of each coordinate of the target.
pub(super) fn low_rank(
    old: &Ffn,
    width: usize,
    calibration: &Calibration,
    resources: &Resources,
) -> Result<(Ffn, Vec<f64>)> {
    let (m, d) = (old.width(), old.up.inputs());
    let rank = (width * d / (m + d)).clamp(1, d.min(m));
    let mut inputs = RidgeStatistics::new(d, d, resources)?;
    for piece in &calibration.pieces {
        inputs.add(used(piece.x(), piece)?, piece.target().as_ref(), &[], resources)?;
    }
    let weights = inverse_deviations(&inputs);
    let up = nearest(&old.up, rank, &inputs, &vec![1.0; m], resources)?;
    let net = Ffn::new(up, old.activation, old.down.clone())?;
    // Of the net whose first matrix is a product already.
    let hidden = statistics(&net, calibration, resources)?;
    // Where a coordinate does not vary, any weight does.
    let scale: Vec<f64> = weights.iter().map(|w| if *w > 0.0 { *w } else { 1.0 }).collect();
    let down = nearest(&old.down, rank, &hidden, &scale, resources)?;
    Ok((Ffn::new(net.up, old.activation, down)?, weights))
}

/// The product of rank `rank` nearest to `map`, each output multiplied by `scale`, for inputs of these statistics; exact at their mean.
fn nearest(
    map: &Linear,
    rank: usize,
    inputs: &RidgeStatistics,
    scale: &[f64],
    resources: &Resources,
) -> Result<Linear> {
    let (m, n) = (map.outputs(), map.inputs());
    let c = covariance(inputs);
    let scaled = Mat::from_fn(m, n, |i, j| f64::from(map.weight[(i, j)]) * scale[i]);
    let directions = if m <= n {
        let product = multiply(&multiply(&scaled, &c)?, &transpose(&scaled))?;
        leading(&product, rank, resources)?
    } else {
        let root = square_root(&c, resources)?;
        let whitened = multiply(&scaled, &root)?;
        let right = leading(&multiply(&transpose(&whitened), &whitened)?, rank, resources)?;
        let mut left = multiply(&whitened, &right)?;
        normalise_columns(&mut left);
        left
    };
    let inner = multiply(&transpose(&directions), &scaled)?;
    let mean = inputs.mean();
    let outer = Mat::from_fn(m, rank, |i, k| (directions[(i, k)] / scale[i]) as f32);
    let inner = Mat::from_fn(rank, n, |k, j| inner[(k, j)] as f32);
    let at_mean: Vec<f64> = (0..rank).map(|k| (0..n).map(|j| f64::from(inner[(k, j)]) * mean[j]).sum()).collect();
    let bias = |i: usize| {
        let whole: f64 = (0..n).map(|j| f64::from(map.weight[(i, j)]) * mean[j]).sum();
        let kept: f64 = (0..rank).map(|k| f64::from(outer[(i, k)]) * at_mean[k]).sum();
        map.bias[i] + (whole - kept) as f32
    };
    let bias = (0..m).map(bias).collect();
    Linear::product(outer, inner, bias)
}

/// The eigenvectors of the `count` largest eigenvalues, as columns.
fn leading(a: &Mat<f64>, count: usize, resources: &Resources) -> Result<Mat<f64>> {
    let eigen = eigh(a.as_ref(), resources)?;
    let last = a.rows() - 1;
    Ok(Mat::from_fn(a.rows(), count, |i, k| eigen.vectors[(last - k, i)]))
}

/// Of a symmetric matrix without negative eigenvalues but by rounding.
fn square_root(c: &Mat<f64>, resources: &Resources) -> Result<Mat<f64>> {
    let eigen = eigh(c.as_ref(), resources)?;
    let n = c.rows();
    let scaled = Mat::from_fn(n, n, |k, j| eigen.vectors[(k, j)] * eigen.values[k].max(0.0).sqrt());
    multiply(&transpose(&eigen.vectors), &scaled)
}

fn normalise_columns(a: &mut Mat<f64>) {
    for k in 0..a.cols() {
        let length = (0..a.rows()).map(|i| a[(i, k)].powi(2)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        (0..a.rows()).for_each(|i| a[(i, k)] /= length);
    }
}

fn transpose(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.cols(), a.rows(), |i, j| a[(j, i)])
}

fn multiply(a: &Mat<f64>, b: &Mat<f64>) -> Result<Mat<f64>> {
    let mut c = Mat::zeros(a.rows(), b.cols());
    gemm_nn(c.as_mut(), Update::Replace, 1.0, a.as_ref(), b.as_ref())?;
    Ok(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs of rank 2 around a mean: maps of rank 2 lose nothing there, whichever side is the smaller.
    #[test]
    fn nothing_is_lost_on_inputs_of_that_rank() -> Result<()> {
        let resources = Resources::new(2)?;
        for (m, n) in [(9, 5), (4, 7)] {
            let wave = |i: usize, j: usize, k: f32| (k * (i * 11 + j * 3 + 1) as f32).sin();
            let x =
                Mat::from_fn(50, n, |i, j| 3.0 + wave(i, 0, 0.7) * wave(0, j, 0.4) + wave(i, 1, 1.3) * wave(1, j, 0.9));
            let mut inputs = RidgeStatistics::new(n, 1, &resources)?;
            inputs.add(x.as_ref(), Mat::zeros(50, 1).as_ref(), &[], &resources)?;
            let map = Linear::new(Mat::from_fn(m, n, |i, j| wave(i, j, 2.1)), vec![0.5; m])?;
            let scale: Vec<f64> = (0..m).map(|i| 1.0 + i as f64).collect();
            let near = nearest(&map, 2, &inputs, &scale, &resources)?;
            assert_eq!(near.rank(), Some(2));
            let rows = Mat::from_fn(crate::TILE, n, |i, j| x[(i % 50, j)]);
            let (a, b) = (map.apply(&rows, &resources)?, near.apply(&rows, &resources)?);
            let error = a.as_slice().iter().zip(b.as_slice()).fold(0.0f32, |e, (a, b)| e.max((a - b).abs()));
            assert!(error < 1e-3, "{m} {n}: {error}");
            let one = nearest(&map, 1, &inputs, &scale, &resources)?.apply(&rows, &resources)?;
            assert!(a.as_slice().iter().zip(one.as_slice()).any(|(a, b)| (a - b).abs() > 0.01));
        }
        Ok(())
    }
}
