//! Names, keys and defaults of activations in a net file.

use super::keys::Keys;
use super::tree::Tree;
use crate::activation::Activation;
use crate::error::Result;

/// Every activation with its keys; `dual` goes with all of them.
pub(super) const ACTIVATIONS: [(&str, &[&str]); 28] = [
    ("identity", &["dual"]),
    ("relu", &["dual"]),
    ("leaky_relu", &["alpha", "dual"]),
    ("abs", &["dual"]),
    ("abrelu", &["a", "b", "dual"]),
    ("erf", &["a", "b", "c", "dual"]),
    ("sigmoid_like", &["dual"]),
    ("gelu", &["dual"]),
    ("sin", &["a", "b", "c", "dual"]),
    ("cos", &["a", "b", "c", "dual"]),
    ("rbf", &["gamma", "dual"]),
    ("gaussian", &["a", "b", "dual"]),
    ("exp", &["a", "b", "dual"]),
    ("gabor", &["dual"]),
    ("sign", &["dual"]),
    ("hermite", &["degree", "dual"]),
    ("monomial", &["degree", "dual"]),
    ("rectified_monomial", &["degree", "dual"]),
    ("polynomial", &["coefficients", "dual"]),
    ("exp_normalized", &["gamma", "shift", "dual"]),
    ("tanh", &["dual"]),
    ("sigmoid", &["dual"]),
    ("silu", &["dual"]),
    ("softplus", &["dual"]),
    ("elu", &["alpha", "dual"]),
    ("selu", &["dual"]),
    ("mish", &["dual"]),
    ("gelu_tanh", &["dual"]),
];

/// The activation `name` with the given keys; `None`: there is no such activation.
///
/// # Errors
/// A value of the wrong type, or a required key that is missing.
pub(super) fn read(name: &str, keys: &Keys) -> Result<Option<Activation>> {
    let or = |key, default| Ok(keys.number(key)?.unwrap_or(default));
    let must = |key| keys.required(key, keys.number(key)?);
    let degree = || keys.required("degree", keys.degree("degree")?);
    Ok(Some(match name {
        "identity" => Activation::Identity,
        "relu" => Activation::Relu,
        "leaky_relu" => Activation::LeakyRelu { alpha: or("alpha", 0.01)? },
        "abs" => Activation::Abs,
        "abrelu" => Activation::Abrelu { a: must("a")?, b: must("b")? },
        "erf" => Activation::Erf { a: or("a", 1.0)?, b: or("b", 1.0)?, c: or("c", 0.0)? },
        "sigmoid_like" => Activation::SigmoidLike,
        "gelu" => Activation::Gelu,
        "sin" => Activation::Sin { a: or("a", 1.0)?, b: or("b", 1.0)?, c: or("c", 0.0)? },
        "cos" => Activation::Cos { a: or("a", 1.0)?, b: or("b", 1.0)?, c: or("c", 0.0)? },
        "rbf" => Activation::Rbf { gamma: or("gamma", 1.0)? },
        "gaussian" => Activation::Gaussian { a: or("a", 1.0)?, b: or("b", -1.0)? },
        "exp" => Activation::Exp { a: or("a", 1.0)?, b: or("b", 1.0)? },
        "gabor" => Activation::Gabor,
        "sign" => Activation::Sign,
        "hermite" => Activation::Hermite { degree: degree()? },
        "monomial" => Activation::Monomial { degree: degree()? },
        "rectified_monomial" => Activation::RectifiedMonomial { degree: degree()? },
        "polynomial" => {
            Activation::Polynomial { coefficients: keys.required("coefficients", keys.numbers("coefficients")?)? }
        }
        "exp_normalized" => Activation::ExpNormalized { gamma: or("gamma", 1.0)?, shift: or("shift", -1.0)? },
        "tanh" => Activation::Tanh,
        "sigmoid" => Activation::Sigmoid,
        "silu" => Activation::Silu,
        "softplus" => Activation::Softplus,
        "elu" => Activation::Elu { alpha: or("alpha", 1.0)? },
        "selu" => Activation::Selu,
        "mish" => Activation::Mish,
        "gelu_tanh" => Activation::GeluTanh,
        _ => return Ok(None),
    }))
}

/// The numeric parameters by key, defaults included; degrees and coefficients are not among them.
pub(super) fn numbers(activation: &Activation) -> Vec<(&'static str, f64)> {
    match *activation {
        Activation::LeakyRelu { alpha } | Activation::Elu { alpha } => vec![("alpha", alpha)],
        Activation::Abrelu { a, b } | Activation::Gaussian { a, b } | Activation::Exp { a, b } => {
            vec![("a", a), ("b", b)]
        }
        Activation::Erf { a, b, c } | Activation::Sin { a, b, c } | Activation::Cos { a, b, c } => {
            vec![("a", a), ("b", b), ("c", c)]
        }
        Activation::Rbf { gamma } => vec![("gamma", gamma)],
        Activation::ExpNormalized { gamma, shift } => vec![("gamma", gamma), ("shift", shift)],
        _ => Vec::new(),
    }
}

/// The keys that differ from their defaults.
pub(super) fn write(activation: &Activation) -> Vec<(&'static str, Tree)> {
    let usual = match read(activation.name(), &Keys::none("")) {
        Ok(Some(usual)) => numbers(&usual),
        // Some key has no default: all are written.
        _ => Vec::new(),
    };
    let mut entries: Vec<_> = numbers(activation)
        .into_iter()
        .filter(|entry| !usual.contains(entry))
        .map(|(key, value)| (key, Tree::Number(value)))
        .collect();
    match activation {
        Activation::Hermite { degree } | Activation::Monomial { degree } | Activation::RectifiedMonomial { degree } => {
            entries.push(("degree", Tree::Integer((*degree).into())));
        }
        Activation::Polynomial { coefficients } => {
            entries.push(("coefficients", Tree::List(coefficients.iter().map(|a| Tree::Number(*a)).collect())));
        }
        _ => {}
    }
    entries
}
