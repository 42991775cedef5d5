//! [`Tree`] to [`Spec`]: names, keys and types, every one with its position. Ranges and the order of layers are the business of
//! the walk that follows.

use super::activations::{self, ACTIVATIONS};
use super::keys::{Keys, suggest};
use super::limits::{count, refuse};
use super::spec::{
    AttentionNormalization, AttentionScaling, DualChoice, Layer, Padding, Parameterization, Pooling, Spec, Weights,
};
use super::tree::{Tree, quote};
use crate::error::Result;

pub(super) const PARAMETERIZATIONS: [(&str, Parameterization); 2] =
    [("ntk", Parameterization::Ntk), ("standard", Parameterization::Standard)];
pub(super) const PADDINGS: [(&str, Padding); 3] =
    [("same", Padding::Same), ("valid", Padding::Valid), ("circular", Padding::Circular)];
pub(super) const SCALINGS: [(&str, AttentionScaling); 2] =
    [("linear", AttentionScaling::Linear), ("sqrt", AttentionScaling::Sqrt)];
pub(super) const NORMALIZATIONS: [(&str, AttentionNormalization); 4] = [
    ("softmax", AttentionNormalization::Softmax),
    ("identity", AttentionNormalization::Identity),
    ("abs", AttentionNormalization::Abs),
    ("relu", AttentionNormalization::Relu),
];

/// Layers that hold an object of keys, with those keys.
const LAYERS: [(&str, &[&str]); 10] = [
    ("dense", &["w_std", "b_std", "width", "width_scale"]),
    ("conv", &["kernel", "stride", "padding", "w_std", "b_std", "width", "width_scale"]),
    ("avg_pool", &["window", "stride", "padding", "normalize_edges"]),
    ("sum_pool", &["window", "stride", "padding", "normalize_edges"]),
    ("flatten", &[]),
    ("global_avg_pool", &[]),
    ("global_sum_pool", &[]),
    ("layer_norm", &["eps"]),
    ("dropout", &["keep"]),
    ("self_attention", &["scaling", "normalization", "w_query", "w_key", "w_value", "w_out", "b_std"]),
];
/// Layers that hold layers.
const BRANCHINGS: [&str; 4] = ["residual", "sum", "concat", "product"];

/// The whole document.
pub(super) fn spec(tree: &Tree) -> Result<Spec> {
    let Tree::Object(entries) = tree else {
        return Err(refuse("net file", format!("found {}", tree.describe()), "expected an object with the key layers"));
    };
    let keys = Keys::new("", entries, &["parameterization", "w_std", "b_std", "layers"])?;
    let usual = Spec::default();
    let mut reader = Reader { layers: 0 };
    Ok(Spec {
        parameterization: keys.word("parameterization", &PARAMETERIZATIONS)?.unwrap_or(usual.parameterization),
        w_std: keys.number("w_std")?.unwrap_or(usual.w_std),
        b_std: keys.number("b_std")?.unwrap_or(usual.b_std),
        layers: reader.layers("layers", keys.required("layers", keys.get("layers"))?, 0)?,
    })
}

/// Counts what it has read, so that a bomb of layers is refused early.
struct Reader {
    layers: usize,
}

impl Reader {
    fn layers(&mut self, at: &str, tree: &Tree, depth: usize) -> Result<Vec<Layer>> {
        let items = list(at, tree, "a list of layers, for example [\"dense\", \"relu\", \"dense\"]")?;
        self.count(at, depth)?;
        items.iter().enumerate().map(|(i, item)| self.layer(&format!("{at}[{i}]"), item, depth)).collect()
    }

    fn branches(&mut self, at: &str, tree: &Tree, depth: usize) -> Result<Vec<Vec<Layer>>> {
        let items = list(at, tree, "a list of branches, each a list of layers, for example [[], [\"dense\"]]")?;
        items.iter().enumerate().map(|(i, item)| self.layers(&format!("{at}[{i}]"), item, depth + 1)).collect()
    }

    fn count(&mut self, at: &str, depth: usize) -> Result<()> {
        count(&mut self.layers, at, depth)
    }

    /// A layer: its name, or an object with one key, its name.
    fn layer(&mut self, at: &str, tree: &Tree, depth: usize) -> Result<Layer> {
        self.count(at, depth)?;
        let (name, content) = match tree {
            Tree::Word(name) => (name.as_str(), None),
            Tree::Object(entries) => match entries.as_slice() {
                [(name, content)] => (name.as_str(), Some(content)),
                _ => {
                    return Err(refuse(
                        at,
                        format!("an object with {} keys", entries.len()),
                        "a layer is its name or an object with one key, its name: {\"dense\": {\"w_std\": 1}}",
                    ));
                }
            },
            _ => {
                let hint = "a layer is its name or an object with one key, its name";
                return Err(refuse(at, format!("found {}", tree.describe()), hint));
            }
        };
        let position = format!("{at}.{name}");
        if BRANCHINGS.contains(&name) {
            return self.branching(&position, name, content, depth);
        }
        let Some((_, known)) = LAYERS.iter().chain(&ACTIVATIONS).find(|(known, _)| *known == name) else {
            return Err(refuse(at, format!("unknown layer {}", quote(name)), suggest(name, &names(), "layers")));
        };
        let keys = match content {
            None => Keys::none(&position),
            Some(Tree::Object(entries)) => Keys::new(&position, entries, known)?,
            Some(other) => {
                return Err(refuse(position, format!("found {}", other.describe()), "expected an object with keys"));
            }
        };
        simple(name, &keys)
    }

    fn branching(&mut self, at: &str, name: &str, content: Option<&Tree>, depth: usize) -> Result<Layer> {
        let Some(content) = content else {
            return Err(refuse(at, "no branches given", format!("write {{\"{name}\": [...]}}")));
        };
        Ok(match name {
            "residual" => Layer::Residual(self.layers(at, content, depth + 1)?),
            "sum" => Layer::Sum(self.branches(at, content, depth)?),
            "concat" => Layer::Concat(self.branches(at, content, depth)?),
            _ => Layer::Product(self.branches(at, content, depth)?),
        })
    }
}

fn list<'a>(at: &str, tree: &'a Tree, expected: &str) -> Result<&'a [Tree]> {
    match tree {
        Tree::List(items) => Ok(items),
        _ => Err(refuse(at, format!("found {}", tree.describe()), format!("expected {expected}"))),
    }
}

/// All names of layers.
fn names() -> Vec<&'static str> {
    LAYERS.iter().chain(&ACTIVATIONS).map(|(name, _)| *name).chain(BRANCHINGS).collect()
}

/// A layer that holds no layers.
pub(super) fn simple(name: &str, keys: &Keys) -> Result<Layer> {
    Ok(match name {
        "dense" => Layer::Dense(weights(keys)?),
        "conv" => conv(keys)?,
        "avg_pool" => pool(Pooling::Average, keys)?,
        "sum_pool" => pool(Pooling::Sum, keys)?,
        "flatten" => Layer::Flatten,
        "global_avg_pool" => Layer::GlobalPool(Pooling::Average),
        "global_sum_pool" => Layer::GlobalPool(Pooling::Sum),
        "layer_norm" => Layer::LayerNorm { eps: keys.number("eps")?.unwrap_or(1e-12) },
        "dropout" => Layer::Dropout { keep: keys.required("keep", keys.number("keep")?)? },
        "self_attention" => attention(keys)?,
        _ => match activations::read(name, keys)? {
            Some(activation) => Layer::Activation { activation, dual: dual(keys)? },
            None => return Err(refuse(keys.position(name), "unknown layer", suggest(name, &names(), "layers"))),
        },
    })
}

fn weights(keys: &Keys) -> Result<Weights> {
    let width_scale = match keys.numbers("width_scale")?.as_deref() {
        None => None,
        Some([input, output]) => Some([*input, *output]),
        Some(other) => {
            let at = keys.position("width_scale");
            return Err(refuse(at, format!("found {} numbers", other.len()), "expected two, [input, output]"));
        }
    };
    Ok(Weights {
        w_std: keys.number("w_std")?,
        b_std: keys.number("b_std")?,
        width: keys.number("width")?,
        width_scale,
    })
}

fn conv(keys: &Keys) -> Result<Layer> {
    let kernel = keys.sizes("kernel")?.unwrap_or_else(|| vec![3, 3]);
    Ok(Layer::Conv {
        weights: weights(keys)?,
        stride: keys.sizes("stride")?.unwrap_or_else(|| vec![1; kernel.len()]),
        kernel,
        padding: keys.word("padding", &PADDINGS)?.unwrap_or(Padding::Same),
    })
}

fn pool(pooling: Pooling, keys: &Keys) -> Result<Layer> {
    let window = keys.sizes("window")?.unwrap_or_else(|| vec![2, 2]);
    Ok(Layer::Pool {
        pooling,
        stride: keys.sizes("stride")?.unwrap_or_else(|| window.clone()),
        window,
        padding: keys.word("padding", &PADDINGS)?.unwrap_or(Padding::Valid),
        normalize_edges: keys.flag("normalize_edges")?.unwrap_or(false),
    })
}

fn attention(keys: &Keys) -> Result<Layer> {
    let or = |key, default| Ok(keys.number(key)?.unwrap_or(default));
    Ok(Layer::SelfAttention {
        scaling: keys.word("scaling", &SCALINGS)?.unwrap_or(AttentionScaling::Linear),
        normalization: keys.word("normalization", &NORMALIZATIONS)?.unwrap_or(AttentionNormalization::Softmax),
        w_query: or("w_query", 1.0)?,
        w_key: or("w_key", 1.0)?,
        w_value: or("w_value", 1.0)?,
        w_out: or("w_out", 1.0)?,
        b_std: or("b_std", 0.0)?,
    })
}

fn dual(keys: &Keys) -> Result<DualChoice> {
    let Some(dual) = keys.object("dual", &["quadrature", "hermite"])? else { return Ok(DualChoice::Default) };
    match (dual.count("quadrature")?, dual.count("hermite")?) {
        (Some(points), None) => Ok(DualChoice::Quadrature(points)),
        (None, Some(degree)) => Ok(DualChoice::Hermite(degree)),
        (found, _) => {
            let problem = if found.is_some() { "two duals given" } else { "no dual given" };
            Err(refuse(keys.position("dual"), problem, "write {\"quadrature\": 25} or {\"hermite\": 16}"))
        }
    }
}
