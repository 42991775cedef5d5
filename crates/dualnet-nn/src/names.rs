//! What tensors are called in each family.

use crate::config::Family;

/// A linear map or a layer norm of a layer; its tensors are `NAME.weight` and `NAME.bias`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Query,
    Key,
    Value,
    AttentionOut,
    AttentionNorm,
    Up,
    Down,
    OutputNorm,
}

/// The table of the bias of attention by relative position.
pub(crate) const RELATIVE_BIAS: &str = "encoder.relative_attention_bias.weight";

/// The map of the pooler: the only one of the standard kind, the last one where features come first.
pub(crate) const POOLER_DENSE: &str = "pooler.dense";
/// The random features of a pooler of our kind.
pub(crate) const POOLER_FEATURES: &str = "pooler.features";

/// The factor that acts first of the map called `name`, where its matrix is a product.
pub(crate) fn inner(name: &str) -> String {
    format!("{name}.inner.weight")
}

/// Factors on what attention and net of layer `layer` of a DINOv2 give.
pub(crate) fn scales(layer: usize) -> [String; 2] {
    ["layer_scale1", "layer_scale2"].map(|name| format!("encoder.layer.{layer}.{name}.lambda1"))
}

/// What stands before the number of a layer.
pub(crate) fn layers(family: Family) -> &'static str {
    if family == Family::DistilBert { "transformer.layer." } else { "encoder.layer." }
}

/// The name of a part of layer `layer`.
pub(crate) fn name(family: Family, layer: usize, part: Part) -> String {
    let own = match (family, part) {
        (Family::DistilBert, part) => match part {
            Part::Query => "attention.q_lin",
            Part::Key => "attention.k_lin",
            Part::Value => "attention.v_lin",
            Part::AttentionOut => "attention.out_lin",
            Part::AttentionNorm => "sa_layer_norm",
            Part::Up => "ffn.lin1",
            Part::Down => "ffn.lin2",
            Part::OutputNorm => "output_layer_norm",
        },
        (Family::Vit | Family::Deit, Part::AttentionNorm) => "layernorm_before",
        (Family::Vit | Family::Deit, Part::OutputNorm) => "layernorm_after",
        (Family::DinoV2, Part::AttentionNorm) => "norm1",
        (Family::DinoV2, Part::OutputNorm) => "norm2",
        (Family::DinoV2, Part::Up) => "mlp.fc1",
        (Family::DinoV2, Part::Down) => "mlp.fc2",
        (Family::Vit | Family::Deit | Family::DinoV2, Part::Query) => "attention.attention.query",
        (Family::Vit | Family::Deit | Family::DinoV2, Part::Key) => "attention.attention.key",
        (Family::Vit | Family::Deit | Family::DinoV2, Part::Value) => "attention.attention.value",
        (Family::MpNet, Part::Query) => "attention.attn.q",
        (Family::MpNet, Part::Key) => "attention.attn.k",
        (Family::MpNet, Part::Value) => "attention.attn.v",
        (Family::MpNet, Part::AttentionOut) => "attention.attn.o",
        (Family::MpNet, Part::AttentionNorm) => "attention.LayerNorm",
        (_, Part::Query) => "attention.self.query",
        (_, Part::Key) => "attention.self.key",
        (_, Part::Value) => "attention.self.value",
        (_, Part::AttentionOut) => "attention.output.dense",
        (_, Part::AttentionNorm) => "attention.output.LayerNorm",
        (_, Part::Up) => "intermediate.dense",
        (_, Part::Down) => "output.dense",
        (_, Part::OutputNorm) => "output.LayerNorm",
    };
    format!("{}{layer}.{own}", layers(family))
}
