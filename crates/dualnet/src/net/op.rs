//! What an interpreter walks: layers with defaults filled in, parameters squared, and the rule for the tangent kernel explicit.

use super::spec::{AttentionNormalization, AttentionScaling, DualChoice, Padding, Pooling};
use crate::activation::Activation;

/// The tangent kernel t behind a weight layer: t' = carry t + from_input c + from_output c' + constant, with c the covariance
/// before the layer and c' the one behind it (kernels.md section 5). In a convolution, c and t stand for their means over the
/// kernel's positions.
///
/// NTK parameterization: carry = w_std^2, from_output = 1. Standard: carry = w_std^2, from_input = N / s0 (N the true fan-in,
/// times the kernel's positions in a convolution), constant = 1 if there are biases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tangent {
    /// Factor of c'.
    pub from_output: f64,
    /// Factor of c.
    pub from_input: f64,
    /// Factor of t.
    pub carry: f64,
    /// Added.
    pub constant: f64,
}

/// One step of an interpreter; branches hold their own steps, and an empty branch is the identity.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// c' = w2 c + b2: a dense layer, at each position.
    Affine {
        /// Variance of the weights.
        w2: f64,
        /// Variance of the biases.
        b2: f64,
        /// Rule of the tangent kernel.
        tangent: Tangent,
    },
    /// An activation: c' = k(c, p, q), t' = t kdot(c, p, q).
    Activation {
        /// Which.
        activation: Activation,
        /// Served by which dual.
        choice: DualChoice,
        /// Position in the net for messages: `layers[1].relu`.
        at: String,
    },
    /// c' = c / sqrt((p + eps)(q + eps)), t likewise.
    LayerNorm {
        /// Added to the variance.
        eps: f64,
    },
    /// Entries of the same sample and position are divided by `keep`.
    Dropout {
        /// Probability of keeping.
        keep: f64,
    },
    /// Sums c and t over branches; a residual layer is the sum of the empty branch and its own.
    Sum(Vec<Vec<Op>>),
    /// Weighted mean of c and t over branches. The weights are positive and sum to 1.
    Concat(Vec<(f64, Vec<Op>)>),
    /// c' = product of c_i, t' = sum of t_i times the other c_j.
    Product(Vec<Vec<Op>>),
    /// c'(P, P') = w2 mean_d c(sP + d, sP' + d) + b2.
    Conv {
        /// Positions along each axis: one entry for sequences, two for images.
        kernel: Vec<usize>,
        /// Step along each axis, as long as `kernel`.
        stride: Vec<usize>,
        /// What lies outside.
        padding: Padding,
        /// Variance of the weights.
        w2: f64,
        /// Variance of the biases.
        b2: f64,
        /// Rule of the tangent kernel.
        tangent: Tangent,
        /// Position in the net for messages: `layers[0].conv`.
        at: String,
    },
    /// Mean or sum over the windows of both positions.
    Pool {
        /// Mean or sum.
        pooling: Pooling,
        /// Positions along each axis: one entry for sequences, two for images.
        window: Vec<usize>,
        /// Step along each axis, as long as `window`.
        stride: Vec<usize>,
        /// What lies outside.
        padding: Padding,
        /// Divide by the number of positions inside the image.
        normalize_edges: bool,
        /// Position in the net for messages: `layers[2].avg_pool`.
        at: String,
    },
    /// Mean over equal positions.
    Flatten,
    /// Mean or sum over all pairs of positions.
    GlobalPool(Pooling),
    /// Self-attention over all positions: G(x) = zeta(score c_xx), c' = w2 G c G^T + b2 (linear scaling).
    SelfAttention {
        /// Of the scores.
        scaling: AttentionScaling,
        /// zeta.
        normalization: AttentionNormalization,
        /// w_query w_key.
        score: f64,
        /// (w_value w_out)^2.
        w2: f64,
        /// Variance of the biases.
        b2: f64,
        /// Position in the net for messages: `layers[2].self_attention`.
        at: String,
    },
}
