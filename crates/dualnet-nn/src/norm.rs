//! Layer norm: gamma (x - mean) / sqrt(variance + eps) + beta, over each row.

use crate::error::{Error, Result};
use dualnet::Mat;
use dualnet::simd::{Isa, Kernel, Vector};

/// Sums run in this many chains, so that they can be vectors and do not depend on the instruction set.
const CHAINS: usize = 16;

/// A layer norm.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// Factors.
    pub gamma: Vec<f32>,
    /// Summands.
    pub beta: Vec<f32>,
    /// Added to the variance.
    pub eps: f32,
}

impl LayerNorm {
    /// A layer norm of rows as long as both vectors.
    ///
    /// # Errors
    /// Vectors of different lengths.
    pub fn new(gamma: Vec<f32>, beta: Vec<f32>, eps: f32) -> Result<Self> {
        if gamma.len() != beta.len() {
            return Err(Error::invalid("beta", gamma.len().to_string(), beta.len().to_string(), "one for each gamma"));
        }
        Ok(Self { gamma, beta, eps })
    }

    /// Of the rows `x`: the normalised rows before gamma and beta stay in `x`, 1 / sqrt(variance + eps) goes to `scale`, the result to `y`.
    pub(crate) fn rows(&self, x: &mut [f32], scale: &mut [f32], y: &mut [f32], isa: Isa) {
        isa.run(Forward { norm: self, x, scale, y });
    }

    /// The gradient by gamma and beta from that by the output; `normed` is what [`Self::rows`] left of the rows.
    pub(crate) fn gradient(normed: &Mat<f32>, gradient: &Mat<f32>) -> Self {
        let d = normed.cols();
        let (mut gamma, mut beta) = (vec![0.0; d], vec![0.0; d]);
        for (x, g) in normed.as_slice().chunks_exact(d).zip(gradient.as_slice().chunks_exact(d)) {
            for (((gamma, beta), x), g) in gamma.iter_mut().zip(&mut beta).zip(x).zip(g) {
                *gamma += x * g;
                *beta += g;
            }
        }
        Self { gamma, beta, eps: 0.0 }
    }

    /// The gradient by the input from that by the output, in place; `x` and `scale` as [`Self::rows`] left them.
    pub(crate) fn back(&self, x: &[f32], scale: &[f32], gradient: &mut [f32], isa: Isa) {
        isa.run(Backward { norm: self, x, scale, gradient });
    }
}

struct Forward<'a> {
    norm: &'a LayerNorm,
    x: &'a mut [f32],
    scale: &'a mut [f32],
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        let LayerNorm { gamma, beta, eps } = self.norm;
        let d = gamma.len();
        let rows = self.x.chunks_exact_mut(d).zip(self.y.chunks_exact_mut(d));
        for ((x, y), scale) in rows.zip(self.scale.iter_mut()) {
            let mean = sum(x, |x| x) / d as f32;
            x.iter_mut().for_each(|x| *x -= mean);
            *scale = 1.0 / (sum(x, |x| x * x) / d as f32 + eps).sqrt();
            for (((x, y), g), b) in x.iter_mut().zip(y).zip(gamma).zip(beta) {
                *x *= *scale;
                *y = g * *x + b;
            }
        }
    }
}

struct Backward<'a> {
    norm: &'a LayerNorm,
    x: &'a [f32],
    scale: &'a [f32],
    gradient: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();
    /// With u = gamma dy: dx = scale (u - mean(u) - x mean(u x)).
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        let gamma = &self.norm.gamma;
        let d = gamma.len();
        let rows = self.x.chunks_exact(d).zip(self.gradient.chunks_exact_mut(d));
        for ((x, u), scale) in rows.zip(self.scale) {
            u.iter_mut().zip(gamma).for_each(|(u, g)| *u *= g);
            let mean = sum(u, |u| u) / d as f32;
            let along = dot(u, x) / d as f32;
            for (u, x) in u.iter_mut().zip(x) {
                *u = scale * (*u - mean - x * along);
            }
        }
    }
}

#[inline(always)]
fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut chains = [0.0f32; CHAINS];
    let (whole, rest) = values.as_chunks::<CHAINS>();
    for chunk in whole {
        chains.iter_mut().zip(chunk).for_each(|(c, x)| *c += of(*x));
    }
    chains.iter_mut().zip(rest).for_each(|(c, x)| *c += of(*x));
    chains.iter().sum()
}

#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut chains = [0.0f32; CHAINS];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<CHAINS>(), b.as_chunks::<CHAINS>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..CHAINS {
            chains[i] += a[i] * b[i];
        }
    }
    for (i, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        chains[i] += a * b;
    }
    chains.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(norm: &LayerNorm, x: &[f32]) -> Vec<f32> {
        let (mut x, mut scale, mut y) = (x.to_vec(), vec![0.0; x.len() / norm.gamma.len()], vec![0.0; x.len()]);
        norm.rows(&mut x, &mut scale, &mut y, Isa::best());
        y
    }

    #[test]
    fn rows_are_normalised() {
        let norm = LayerNorm { gamma: vec![1.0, 2.0], beta: vec![0.0, 3.0], eps: 0.0 };
        assert_eq!(apply(&norm, &[1.0, 3.0, 5.0, 1.0]), [-1.0, 5.0, 1.0, 1.0]);
    }

    #[test]
    fn gradients_are_differences() {
        let d = 19;
        let wave = |k: f32| (0..d).map(|i| (k * i as f32).sin()).collect::<Vec<f32>>();
        let norm = LayerNorm { gamma: wave(0.7), beta: wave(0.3), eps: 1e-3 };
        let (x, weight) = (wave(1.3), wave(2.1));
        let loss = |x: &[f32]| apply(&norm, x).iter().zip(&weight).map(|(y, w)| f64::from(y * w)).sum::<f64>();
        let (mut normed, mut scale, mut y) = (x.clone(), [0.0], vec![0.0; d]);
        norm.rows(&mut normed, &mut scale, &mut y, Isa::best());
        let mut gradient = weight.clone();
        norm.back(&normed, &scale, &mut gradient, Isa::best());
        for (i, gradient) in gradient.iter().enumerate() {
            let moved =
                |by: f32| x.iter().enumerate().map(|(j, x)| if i == j { x + by } else { *x }).collect::<Vec<_>>();
            let difference = (loss(&moved(0.01)) - loss(&moved(-0.01))) / 0.02;
            assert!((difference - f64::from(*gradient)).abs() < 1e-3, "{i}: {difference} {gradient}");
        }
    }
}
