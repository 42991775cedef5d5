//! Global self-attention (Hron et al. 2020, "Infinite attention"), on whole matrices of positions x positions.
//!
//! Linear scaling: with G(x) = zeta(score c_xx), zeta along each row,
//! c' = w2 G(x) c G(x')^T + b2 and t' = w2 G(x) t G(x')^T + 2 (c' - b2) + b2.
//! Square-root scaling with identity normalization: with <a, b> the sum over all pairs of positions and s2 = score^2 w2,
//! c' = s2 <c, c> c + b2 and t' = s2 (2 <c, t> c + <c, c> (t + 4 c)) + b2.
//!
//! Cost: 4 N^3 operations a pair and matrix for N positions, so for small images.

use super::buffer::Buffer;
use super::planes::State;
use super::program::{Attention, Grid};
use crate::error::Result;
use crate::kernel::Float;
use crate::linalg::{Mat, MatRef, Update, gemm_nn};
use crate::net::{AttentionNormalization, AttentionScaling};

/// The matrix of entries (P, P') of a state that has all planes.
pub fn matrix<T: Float>(values: &[T], state: &State<T>) -> Mat<T> {
    let (grid, scale) = (state.grid, T::from_f64(state.scale));
    Mat::from_fn(grid.positions(), grid.positions(), |p, q| scale * values[place(grid, p, q)])
}

/// Where the entry of positions (p, q) lies.
fn place(grid: Grid, p: usize, q: usize) -> usize {
    let (rows, cols) = (grid.rows, grid.cols);
    let u = (q / cols + rows - p / cols) % rows;
    let v = (q % cols + cols - p % cols) % cols;
    (v * rows + u) * grid.stride() + p
}

/// zeta of the scores of an image, from its covariance with itself.
pub fn weights<T: Float>(attention: &Attention, own: &Mat<T>) -> Buffer<T> {
    let n = own.rows();
    let mut weights = Vec::with_capacity(n * n);
    for p in 0..n {
        let scores: Vec<f64> = own.row(p).iter().map(|c| attention.score * c.to_f64()).collect();
        let zeta: Vec<f64> = match attention.normalization {
            AttentionNormalization::Identity => scores,
            AttentionNormalization::Abs => scores.iter().map(|s| s.abs()).collect(),
            AttentionNormalization::Relu => scores.iter().map(|s| s.max(0.0)).collect(),
            AttentionNormalization::Softmax => {
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                let total: f64 = powers.iter().sum();
                powers.iter().map(|e| e / total).collect()
            }
        };
        weights.extend(zeta.into_iter().map(T::from_f64));
    }
    Buffer::copied(&weights)
}

/// Attends, given the tables of both images.
pub fn attend<T: Float>(attention: &Attention, state: &mut State<T>, first: &[T], second: &[T]) -> Result<()> {
    let n = state.grid.positions();
    let c = matrix(&state.c, state);
    let t = (!state.t.is_empty()).then(|| matrix(&state.t, state));
    let (w2, b2) = (attention.w2, attention.b2);
    let (new_c, new_t): (Mat<f64>, Option<Mat<f64>>) = match attention.scaling {
        AttentionScaling::Linear => {
            let between = |m: &Mat<T>| sandwich(first, m, second);
            let c = between(&c)?;
            let t = match &t {
                Some(t) => {
                    let t = between(t)?;
                    Some(Mat::from_fn(n, n, |p, q| w2 * (t[(p, q)] + 2.0 * c[(p, q)]) + b2))
                }
                None => None,
            };
            (Mat::from_fn(n, n, |p, q| w2 * c[(p, q)] + b2), t)
        }
        AttentionScaling::Sqrt => {
            let s2 = attention.score * attention.score * w2;
            let product = |a: &Mat<T>, b: &Mat<T>| -> f64 {
                a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
            };
            let cc = product(&c, &c);
            let new_t = t.as_ref().map(|t| {
                let ct = product(&c, t);
                Mat::from_fn(n, n, |p, q| {
                    let (c, t) = (c[(p, q)].to_f64(), t[(p, q)].to_f64());
                    s2 * (2.0 * ct * c + cc * (t + 4.0 * c)) + b2
                })
            });
            (Mat::from_fn(n, n, |p, q| s2 * cc * c[(p, q)].to_f64() + b2), new_t)
        }
    };
    state.scale = 1.0;
    let grid = state.grid;
    for (values, matrix) in [(&mut state.c, Some(new_c)), (&mut state.t, new_t)] {
        if let Some(matrix) = matrix {
            for p in 0..n {
                for q in 0..n {
                    values[place(grid, p, q)] = T::from_f64(matrix[(p, q)]);
                }
            }
        }
    }
    Ok(())
}

/// G m G'^T.
fn sandwich<T: Float>(g: &[T], m: &Mat<T>, other: &[T]) -> Result<Mat<f64>> {
    let n = m.rows();
    let one = T::from_f64(1.0);
    let mut half = Mat::<T>::zeros(n, n);
    gemm_nn(half.as_mut(), Update::Replace, one, MatRef::new(g, n, n, n)?, m.as_ref())?;
    let turned = Mat::from_fn(n, n, |i, j| other[j * n + i]);
    let mut whole = Mat::<T>::zeros(n, n);
    gemm_nn(whole.as_mut(), Update::Replace, one, half.as_ref(), turned.as_ref())?;
    Ok(whole.as_ref().cast())
}
