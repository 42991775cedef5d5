//! What is known of each activation: its name, formula, symmetry and kinks.

use super::Activation;

/// Symmetry of a function about 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// phi(-x) = -phi(x).
    Odd,
    /// phi(-x) = phi(x).
    Even,
    /// Neither.
    Neither,
}

const NAMES: [&str; 28] = [
    "identity",
    "relu",
    "leaky_relu",
    "abs",
    "abrelu",
    "erf",
    "sigmoid_like",
    "gelu",
    "sin",
    "cos",
    "rbf",
    "gaussian",
    "exp",
    "gabor",
    "sign",
    "hermite",
    "monomial",
    "rectified_monomial",
    "polynomial",
    "exp_normalized",
    "tanh",
    "sigmoid",
    "silu",
    "softplus",
    "elu",
    "selu",
    "mish",
    "gelu_tanh",
];

impl Activation {
    /// Every name a net file may use.
    ///
    /// ```
    /// use dualnet::activation::Activation;
    /// assert!(Activation::all_names().contains(&"gelu_tanh"));
    /// ```
    pub fn all_names() -> &'static [&'static str] {
        &NAMES
    }

    /// One of each, in the order of [`Activation::all_names`], with its defaults; degree 2 and slopes 0 and 1 where a net file
    /// has to say.
    ///
    /// ```
    /// use dualnet::activation::Activation;
    /// assert_eq!(Activation::examples().map(|a| a.name()).as_slice(), Activation::all_names());
    /// ```
    pub fn examples() -> [Self; 28] {
        [
            Self::Identity,
            Self::Relu,
            Self::LeakyRelu { alpha: 0.01 },
            Self::Abs,
            Self::Abrelu { a: 0.0, b: 1.0 },
            Self::Erf { a: 1.0, b: 1.0, c: 0.0 },
            Self::SigmoidLike,
            Self::Gelu,
            Self::Sin { a: 1.0, b: 1.0, c: 0.0 },
            Self::Cos { a: 1.0, b: 1.0, c: 0.0 },
            Self::Rbf { gamma: 1.0 },
            Self::Gaussian { a: 1.0, b: -1.0 },
            Self::Exp { a: 1.0, b: 1.0 },
            Self::Gabor,
            Self::Sign,
            Self::Hermite { degree: 2 },
            Self::Monomial { degree: 2 },
            Self::RectifiedMonomial { degree: 2 },
            Self::Polynomial { coefficients: vec![0.0, 1.0] },
            Self::ExpNormalized { gamma: 1.0, shift: -1.0 },
            Self::Tanh,
            Self::Sigmoid,
            Self::Silu,
            Self::Softplus,
            Self::Elu { alpha: 1.0 },
            Self::Selu,
            Self::Mish,
            Self::GeluTanh,
        ]
    }

    /// Its name in a net file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Abs => "abs",
            Self::Abrelu { .. } => "abrelu",
            Self::Erf { .. } => "erf",
            Self::SigmoidLike => "sigmoid_like",
            Self::Gelu => "gelu",
            Self::Sin { .. } => "sin",
            Self::Cos { .. } => "cos",
            Self::Rbf { .. } => "rbf",
            Self::Gaussian { .. } => "gaussian",
            Self::Exp { .. } => "exp",
            Self::Gabor => "gabor",
            Self::Sign => "sign",
            Self::Hermite { .. } => "hermite",
            Self::Monomial { .. } => "monomial",
            Self::RectifiedMonomial { .. } => "rectified_monomial",
            Self::Polynomial { .. } => "polynomial",
            Self::ExpNormalized { .. } => "exp_normalized",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Silu => "silu",
            Self::Softplus => "softplus",
            Self::Elu { .. } => "elu",
            Self::Selu => "selu",
            Self::Mish => "mish",
            Self::GeluTanh => "gelu_tanh",
        }
    }

    /// The activation as a formula in its parameters; for the two without one, its kernel.
    pub fn formula(&self) -> &'static str {
        match self {
            Self::Identity => "x",
            Self::Relu => "max(x, 0)",
            Self::LeakyRelu { .. } => "alpha min(x, 0) + max(x, 0)",
            Self::Abs => "|x|",
            Self::Abrelu { .. } => "a min(x, 0) + b max(x, 0)",
            Self::Erf { .. } => "a erf(b x) + c",
            Self::SigmoidLike => "erf(x / 2.402) / 2 + 1/2",
            Self::Gelu => "x Phi(x)",
            Self::Sin { .. } => "a sin(b x + c)",
            Self::Cos { .. } => "a cos(b x + c)",
            Self::Rbf { .. } => "sqrt(2) sin(sqrt(2 gamma) x + pi/4)",
            Self::Gaussian { .. } => "a exp(b x^2)",
            Self::Exp { .. } => "a exp(b x)",
            Self::Gabor => "exp(-x^2) sin(x)",
            Self::Sign => "sign(x)",
            Self::Hermite { .. } => "kernel c^degree",
            Self::Monomial { .. } => "x^degree",
            Self::RectifiedMonomial { .. } => "x^degree for x >= 0, else 0",
            Self::Polynomial { .. } => "sum of coefficients[i] x^i",
            Self::ExpNormalized { .. } => "kernel sqrt(pq) exp(gamma (rho + shift))",
            Self::Tanh => "tanh(x)",
            Self::Sigmoid => "1 / (1 + exp(-x))",
            Self::Silu => "x / (1 + exp(-x))",
            Self::Softplus => "ln(1 + exp(x))",
            Self::Elu { .. } => "x for x > 0, else alpha (exp(x) - 1)",
            Self::Selu => "1.0507 (x for x > 0, else 1.6733 (exp(x) - 1))",
            Self::Mish => "x tanh(ln(1 + exp(x)))",
            Self::GeluTanh => "x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))",
        }
    }

    /// Points where phi or one of its derivatives jumps.
    pub fn kinks(&self) -> &'static [f64] {
        match self {
            Self::Relu
            | Self::LeakyRelu { .. }
            | Self::Abs
            | Self::Abrelu { .. }
            | Self::Sign
            | Self::RectifiedMonomial { .. }
            | Self::Elu { .. }
            | Self::Selu => &[0.0],
            _ => &[],
        }
    }

    /// True where phi has no jump.
    pub fn is_continuous(&self) -> bool {
        !matches!(self, Self::Sign | Self::RectifiedMonomial { degree: 0 })
    }

    /// n where the kernel satisfies k(s^2 c, s^2 p, s^2 q) = s^(2n) k(c, p, q), `None` elsewhere.
    pub fn homogeneity(&self) -> Option<u32> {
        match *self {
            Self::Identity
            | Self::Relu
            | Self::LeakyRelu { .. }
            | Self::Abs
            | Self::Abrelu { .. }
            | Self::ExpNormalized { .. } => Some(1),
            Self::Sign => Some(0),
            Self::Hermite { degree } | Self::Monomial { degree } | Self::RectifiedMonomial { degree } => Some(degree),
            _ => None,
        }
    }

    /// Symmetry of phi; that of the kernel in c where there is no phi.
    pub fn parity(&self) -> Parity {
        let phase = |odd: bool, even: bool| match (odd, even) {
            (true, _) => Parity::Odd,
            (_, true) => Parity::Even,
            _ => Parity::Neither,
        };
        match self {
            Self::Identity | Self::Sign | Self::Tanh | Self::Gabor => Parity::Odd,
            Self::Abs | Self::Gaussian { .. } => Parity::Even,
            Self::Abrelu { a, b } => phase(a == b, *a == -b),
            Self::LeakyRelu { alpha } => phase(*alpha == 1.0, *alpha == -1.0),
            Self::Erf { c, .. } => phase(*c == 0.0, false),
            Self::Sin { c, .. } => phase(*c == 0.0, false),
            Self::Cos { c, .. } => phase(false, *c == 0.0),
            Self::Hermite { degree } | Self::Monomial { degree } => phase(degree % 2 == 1, degree % 2 == 0),
            Self::Polynomial { coefficients } => {
                let none = |rest: usize| coefficients.iter().skip(rest).step_by(2).all(|&a| a == 0.0);
                phase(none(0), none(1))
            }
            _ => Parity::Neither,
        }
    }

    /// Symmetry of phi once its constant (for odd) or linear part (for even) is taken away: sigmoid - 1/2 is odd,
    /// silu - x/2 is even. These are the functions whose Hermite series has every other term only.
    pub fn core_parity(&self) -> Parity {
        match self {
            Self::SigmoidLike | Self::Sigmoid | Self::Erf { .. } => Parity::Odd,
            Self::Relu
            | Self::LeakyRelu { .. }
            | Self::Abrelu { .. }
            | Self::Gelu
            | Self::Silu
            | Self::Softplus
            | Self::GeluTanh => Parity::Even,
            Self::RectifiedMonomial { degree: 1 } => Parity::Even,
            _ => self.parity(),
        }
    }
}
