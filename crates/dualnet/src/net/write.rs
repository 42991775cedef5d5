//! [`Spec`] to [`Tree`]: the canonical form. The net's own keys are always written, those of layers where they differ from
//! their defaults, so that reading gives the same [`Spec`] again.

use super::activations;
use super::read::{NORMALIZATIONS, PADDINGS, PARAMETERIZATIONS, SCALINGS};
use super::spec::{AttentionNormalization, AttentionScaling, DualChoice, Layer, Padding, Pooling, Spec, Weights};
use super::tree::Tree;

/// The whole document.
pub(super) fn spec(spec: &Spec) -> Tree {
    Tree::Object(vec![
        ("parameterization".into(), word(&PARAMETERIZATIONS, &spec.parameterization)),
        ("w_std".into(), Tree::Number(spec.w_std)),
        ("b_std".into(), Tree::Number(spec.b_std)),
        ("layers".into(), layers(&spec.layers)),
    ])
}

/// A list of layers.
pub(super) fn layers(layers: &[Layer]) -> Tree {
    Tree::List(layers.iter().map(layer).collect())
}

fn layer(layer: &Layer) -> Tree {
    let content = match layer {
        Layer::Residual(inner) => layers(inner),
        Layer::Sum(branches) | Layer::Concat(branches) | Layer::Product(branches) => {
            Tree::List(branches.iter().map(|branch| layers(branch)).collect())
        }
        _ => {
            let entries = entries(layer);
            if entries.is_empty() {
                return Tree::Word(layer.name().into());
            }
            Tree::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        }
    };
    Tree::Object(vec![(layer.name().to_owned(), content)])
}

/// Keys of a layer that differ from their defaults.
fn entries(layer: &Layer) -> Vec<(&'static str, Tree)> {
    match layer {
        Layer::Dense(weights) => weight_entries(weights),
        Layer::Conv { weights, kernel, stride, padding } => {
            let mut entries = Vec::new();
            put(&mut entries, "kernel", sizes(kernel), sizes(&[3, 3]));
            put(&mut entries, "stride", sizes(stride), sizes(&vec![1; kernel.len()]));
            put(&mut entries, "padding", word(&PADDINGS, padding), word(&PADDINGS, &Padding::Same));
            entries.extend(weight_entries(weights));
            entries
        }
        Layer::Pool { window, stride, padding, normalize_edges, .. } => {
            let mut entries = Vec::new();
            put(&mut entries, "window", sizes(window), sizes(&[2, 2]));
            put(&mut entries, "stride", sizes(stride), sizes(window));
            put(&mut entries, "padding", word(&PADDINGS, padding), word(&PADDINGS, &Padding::Valid));
            put(&mut entries, "normalize_edges", Tree::Flag(*normalize_edges), Tree::Flag(false));
            entries
        }
        Layer::Activation { activation, dual } => {
            let mut entries = activations::write(activation);
            match dual {
                DualChoice::Default => {}
                DualChoice::Quadrature(points) => entries.push(("dual", single("quadrature", *points))),
                DualChoice::Hermite(degree) => entries.push(("dual", single("hermite", *degree))),
            }
            entries
        }
        Layer::LayerNorm { eps } => {
            let mut entries = Vec::new();
            put(&mut entries, "eps", Tree::Number(*eps), Tree::Number(1e-12));
            entries
        }
        Layer::Dropout { keep } => vec![("keep", Tree::Number(*keep))],
        Layer::SelfAttention { scaling, normalization, w_query, w_key, w_value, w_out, b_std } => {
            let mut entries = Vec::new();
            put(&mut entries, "scaling", word(&SCALINGS, scaling), word(&SCALINGS, &AttentionScaling::Linear));
            let usual = word(&NORMALIZATIONS, &AttentionNormalization::Softmax);
            put(&mut entries, "normalization", word(&NORMALIZATIONS, normalization), usual);
            for (key, value) in [("w_query", w_query), ("w_key", w_key), ("w_value", w_value), ("w_out", w_out)] {
                put(&mut entries, key, Tree::Number(*value), Tree::Number(1.0));
            }
            put(&mut entries, "b_std", Tree::Number(*b_std), Tree::Number(0.0));
            entries
        }
        _ => Vec::new(),
    }
}

fn weight_entries(weights: &Weights) -> Vec<(&'static str, Tree)> {
    let Weights { w_std, b_std, width, width_scale } = weights;
    let numbers = [("w_std", w_std), ("b_std", b_std), ("width", width)];
    let mut entries: Vec<_> =
        numbers.into_iter().filter_map(|(key, value)| value.map(|value| (key, Tree::Number(value)))).collect();
    if let Some(scale) = width_scale {
        entries.push(("width_scale", Tree::List(scale.iter().map(|s| Tree::Number(*s)).collect())));
    }
    entries
}

fn put(entries: &mut Vec<(&'static str, Tree)>, key: &'static str, value: Tree, usual: Tree) {
    if value != usual {
        entries.push((key, value));
    }
}

fn sizes(sizes: &[usize]) -> Tree {
    Tree::List(sizes.iter().map(|size| Tree::Integer(*size as i128)).collect())
}

fn single(key: &str, value: usize) -> Tree {
    Tree::Object(vec![(key.to_owned(), Tree::Integer(value as i128))])
}

/// The word of a choice; the tables of the reader hold every choice.
fn word<T: PartialEq>(choices: &[(&str, T)], choice: &T) -> Tree {
    choices.iter().find(|(_, known)| known == choice).map_or(Tree::Null, |(word, _)| Tree::Word((*word).to_owned()))
}

impl Layer {
    /// The name in a net file.
    ///
    /// ```
    /// use dualnet::net::Layer;
    /// assert_eq!(Layer::Flatten.name(), "flatten");
    /// ```
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dense(_) => "dense",
            Self::Conv { .. } => "conv",
            Self::Pool { pooling: Pooling::Average, .. } => "avg_pool",
            Self::Pool { pooling: Pooling::Sum, .. } => "sum_pool",
            Self::Flatten => "flatten",
            Self::GlobalPool(Pooling::Average) => "global_avg_pool",
            Self::GlobalPool(Pooling::Sum) => "global_sum_pool",
            Self::Activation { activation, .. } => activation.name(),
            Self::LayerNorm { .. } => "layer_norm",
            Self::Dropout { .. } => "dropout",
            Self::Residual(_) => "residual",
            Self::Sum(_) => "sum",
            Self::Concat(_) => "concat",
            Self::Product(_) => "product",
            Self::SelfAttention { .. } => "self_attention",
        }
    }
}
