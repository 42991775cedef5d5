//! What a net file says, with every default filled in. Nothing here is checked beyond its type; [`crate::net`] checks.

use crate::activation::Activation;

/// How weights are scaled with width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Parameterization {
    /// Weights N(0, 1), scaled by w_std / sqrt(fan-in) in the forward pass.
    #[default]
    Ntk,
    /// Weights N(0, w_std^2 / fan-in), as most libraries initialise.
    Standard,
}

/// A network.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// How weights are scaled with width.
    pub parameterization: Parameterization,
    /// Standard deviation of weights where a layer does not say (sqrt 2).
    pub w_std: f64,
    /// Standard deviation of biases where a layer does not say (0: no bias).
    pub b_std: f64,
    /// From input to output.
    pub layers: Vec<Layer>,
}

impl Default for Spec {
    /// No layers yet; NTK parameterization, w_std sqrt 2, no biases.
    fn default() -> Self {
        Self {
            parameterization: Parameterization::Ntk,
            w_std: std::f64::consts::SQRT_2,
            b_std: 0.0,
            layers: Vec::new(),
        }
    }
}

/// Which exact or approximate dual serves an activation.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum DualChoice {
    /// The closed form where there is one, else a Hermite expansion whose degree suits the precision.
    #[default]
    Default,
    /// Gauss-Hermite quadrature with this many points a dimension. Not positive semidefinite.
    Quadrature(usize),
    /// Hermite expansion up to this degree.
    Hermite(usize),
}

/// Weights and biases of a layer; `None`: the net's default.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Weights {
    /// Standard deviation of the weights.
    pub w_std: Option<f64>,
    /// Standard deviation of the biases.
    pub b_std: Option<f64>,
    /// Nominal width.
    pub width: Option<f64>,
    /// Factors of the nominal width of the input and of the output.
    pub width_scale: Option<[f64; 2]>,
}

/// Padding of convolution and pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros around, so that the output has ceil(n / stride) positions.
    Same,
    /// None.
    Valid,
    /// As `Same`, but wrapped around.
    Circular,
}

/// Mean or sum over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Mean.
    Average,
    /// Sum.
    Sum,
}

/// How attention scores scale with width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionScaling {
    /// 1 / width.
    Linear,
    /// 1 / sqrt(width).
    Sqrt,
}

/// What turns attention scores into weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionNormalization {
    /// Softmax over positions.
    Softmax,
    /// Nothing.
    Identity,
    /// Absolute value.
    Abs,
    /// ReLU.
    Relu,
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// Fully connected; before `Flatten`, at each position.
    Dense(Weights),
    /// Convolution over one or two axes.
    Conv {
        /// Weights and biases.
        weights: Weights,
        /// Positions along each axis.
        kernel: Vec<usize>,
        /// Step along each axis.
        stride: Vec<usize>,
        /// What lies outside.
        padding: Padding,
    },
    /// Pooling over windows.
    Pool {
        /// Mean or sum.
        pooling: Pooling,
        /// Positions along each axis.
        window: Vec<usize>,
        /// Step along each axis.
        stride: Vec<usize>,
        /// What lies outside.
        padding: Padding,
        /// Divide by the number of positions inside the image.
        normalize_edges: bool,
    },
    /// All positions side by side.
    Flatten,
    /// One value for all positions.
    GlobalPool(Pooling),
    /// An activation, element by element.
    Activation {
        /// Which.
        activation: Activation,
        /// Served by which dual.
        dual: DualChoice,
    },
    /// Normalisation over channels, at each position.
    LayerNorm {
        /// Added to the variance (1e-12).
        eps: f64,
    },
    /// Keeps each entry with this probability while training.
    Dropout {
        /// Probability of keeping, in (0, 1].
        keep: f64,
    },
    /// x + f(x).
    Residual(Vec<Layer>),
    /// Sum of branches; an empty branch is the identity.
    Sum(Vec<Vec<Layer>>),
    /// Branches side by side, weighted by width.
    Concat(Vec<Vec<Layer>>),
    /// Product of branches, element by element.
    Product(Vec<Vec<Layer>>),
    /// Self-attention over all positions.
    SelfAttention {
        /// Of the scores.
        scaling: AttentionScaling,
        /// Of the scores.
        normalization: AttentionNormalization,
        /// Standard deviation of the query weights.
        w_query: f64,
        /// Standard deviation of the key weights.
        w_key: f64,
        /// Standard deviation of the value weights.
        w_value: f64,
        /// Standard deviation of the output weights.
        w_out: f64,
        /// Standard deviation of the output biases.
        b_std: f64,
    },
}
