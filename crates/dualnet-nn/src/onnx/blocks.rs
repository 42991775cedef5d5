//! Layers as operations.

use super::graph::{Graph, Value};
use super::maps::Maps;
use super::proto::Attribute;
use crate::activation::Activation;
use crate::attention::Attention;
use crate::ffn::Ffn;
use crate::layer::{Layer, NormOrder};
use crate::norm::LayerNorm;
use std::f32::consts::{FRAC_1_SQRT_2, PI};

/// What is added to all scores of attention: by tokens that are none, by relative positions.
#[derive(Default)]
pub(super) struct ScoreTerms {
    pub(super) mask: Option<Value>,
    pub(super) relative: Option<Value>,
}

/// The output of layer `i`.
pub(super) fn layer(
    graph: &mut Graph,
    maps: &mut Maps,
    (i, layer): (usize, &Layer),
    x: &str,
    terms: &ScoreTerms,
) -> Value {
    let name = |part: &str| format!("layer.{i}.{part}");
    let attend = |graph: &mut Graph, maps: &mut Maps, x: &str| {
        let part = attention(graph, maps, &name("attention"), x, &layer.attention, terms);
        adapted(graph, maps, &name("attention_adapter"), part, layer.attention_adapter.as_ref())
    };
    let pass = |graph: &mut Graph, maps: &mut Maps, x: &str| {
        let part = net(graph, maps, &name("ffn"), x, &layer.ffn);
        adapted(graph, maps, &name("ffn_adapter"), part, layer.ffn_adapter.as_ref())
    };
    match layer.order {
        NormOrder::After => {
            let part = attend(graph, maps, x);
            let sum = graph.op("Add", &[x, &part], &[]);
            let x = norm(graph, &name("attention_norm"), &layer.attention_norm, &sum);
            let part = pass(graph, maps, &x);
            let sum = graph.op("Add", &[&x, &part], &[]);
            norm(graph, &name("ffn_norm"), &layer.ffn_norm, &sum)
        }
        NormOrder::Before => {
            let entry = norm(graph, &name("attention_norm"), &layer.attention_norm, x);
            let part = attend(graph, maps, &entry);
            let x = graph.op("Add", &[x, &part], &[]);
            let entry = norm(graph, &name("ffn_norm"), &layer.ffn_norm, &x);
            let part = pass(graph, maps, &entry);
            graph.op("Add", &[&x, &part], &[])
        }
    }
}

/// A net with one hidden layer.
pub(super) fn net(graph: &mut Graph, maps: &mut Maps, name: &str, x: &str, net: &Ffn) -> Value {
    let up = maps.linear(graph, &format!("{name}.up"), x, &net.up);
    let act = activation(graph, net.activation, &up);
    maps.linear(graph, &format!("{name}.down"), &act, &net.down)
}

/// What a part gives, through its adapter if there is one.
fn adapted(graph: &mut Graph, maps: &mut Maps, name: &str, part: Value, adapter: Option<&Ffn>) -> Value {
    let Some(adapter) = adapter else { return part };
    let change = net(graph, maps, name, &part, adapter);
    graph.op("Add", &[&part, &change], &[])
}

/// A layer norm over the last axis.
pub(super) fn norm(graph: &mut Graph, name: &str, norm: &LayerNorm, x: &str) -> Value {
    let gamma = graph.floats(&format!("{name}.weight"), &[norm.gamma.len()], norm.gamma.iter().copied());
    let beta = graph.floats(&format!("{name}.bias"), &[norm.beta.len()], norm.beta.iter().copied());
    let attributes = [Attribute::int("axis", -1), Attribute::float("epsilon", norm.eps)];
    graph.op("LayerNormalization", &[x, &gamma, &beta], &attributes)
}

fn attention(
    graph: &mut Graph,
    maps: &mut Maps,
    name: &str,
    x: &str,
    attention: &Attention,
    terms: &ScoreTerms,
) -> Value {
    let (d, heads) = (attention.out.inputs(), attention.heads);
    let mut qkv = attention.qkv.clone();
    // The queries' share of the map carries the factor of the scores: an operation less for each pair of tokens.
    let factor = 1.0 / ((d / heads) as f32).sqrt();
    qkv.weight.as_mut_slice()[..d * attention.qkv.inputs()].iter_mut().for_each(|w| *w *= factor);
    qkv.bias[..d].iter_mut().for_each(|b| *b *= factor);
    let all = maps.linear(graph, &format!("{name}.qkv"), x, &qkv);
    let sizes = graph.integers("sizes", &[3], &[d as i64; 3]);
    let parts: [Value; 3] = graph.ops("Split", &[&all, &sizes], &[Attribute::int("axis", -1)]);
    let by_head = graph.integers("by_head", &[4], &[0, 0, heads as i64, (d / heads) as i64]);
    let [query, key, value] = parts.map(|part| graph.op("Reshape", &[&part, &by_head], &[]));
    let mut turned = |x: &str, order: [i64; 4]| graph.op("Transpose", &[x], &[Attribute::ints("perm", &order)]);
    let (query, value) = (turned(&query, [0, 2, 1, 3]), turned(&value, [0, 2, 1, 3]));
    let key = turned(&key, [0, 2, 3, 1]);
    let mut scores = graph.op("MatMul", &[&query, &key], &[]);
    for term in [&terms.relative, &terms.mask].into_iter().flatten() {
        scores = graph.op("Add", &[&scores, term], &[]);
    }
    let shares = graph.op("Softmax", &[&scores], &[Attribute::int("axis", -1)]);
    let context = graph.op("MatMul", &[&shares, &value], &[]);
    let context = graph.op("Transpose", &[&context], &[Attribute::ints("perm", &[0, 2, 1, 3])]);
    let flat = graph.integers("flat", &[3], &[0, 0, d as i64]);
    let context = graph.op("Reshape", &[&context, &flat], &[]);
    maps.linear(graph, &format!("{name}.out"), &context, &attention.out)
}

/// By operations that runtimes know how to join.
fn activation(graph: &mut Graph, activation: Activation, x: &str) -> Value {
    match activation {
        Activation::Relu => graph.op("Relu", &[x], &[]),
        Activation::Silu => {
            let sigmoid = graph.op("Sigmoid", &[x], &[]);
            graph.op("Mul", &[x, &sigmoid], &[])
        }
        Activation::Gelu => {
            let root = graph.floats("sqrt2", &[], [1.0 / FRAC_1_SQRT_2]);
            let scaled = graph.op("Div", &[x, &root], &[]);
            let erf = graph.op("Erf", &[&scaled], &[]);
            half_of_one_plus(graph, x, &erf)
        }
        Activation::GeluTanh => {
            let [three, cubic, root] =
                [3.0, 0.044_715, (2.0 / PI).sqrt()].map(|number| graph.floats("number", &[], [number]));
            let cube = graph.op("Pow", &[x, &three], &[]);
            let cube = graph.op("Mul", &[&cube, &cubic], &[]);
            let sum = graph.op("Add", &[x, &cube], &[]);
            let scaled = graph.op("Mul", &[&sum, &root], &[]);
            let tanh = graph.op("Tanh", &[&scaled], &[]);
            half_of_one_plus(graph, x, &tanh)
        }
    }
}

/// `x (1 + y) / 2`.
fn half_of_one_plus(graph: &mut Graph, x: &str, y: &str) -> Value {
    let [one, half] = [1.0, 0.5].map(|number| graph.floats("number", &[], [number]));
    let sum = graph.op("Add", &[y, &one], &[]);
    let product = graph.op("Mul", &[x, &sum], &[]);
    graph.op("Mul", &[&product, &half], &[])
}
