//! What the first layer gets, from token ids or pixels.

use super::blocks::{ScoreTerms, norm};
use super::graph::{Graph, Size, Value};
use super::maps::Maps;
use super::proto::{Attribute, FLOAT};
use super::{BATCH, SEQUENCE};
use crate::encoder::TokenEmbeddings;
use crate::error::Result;
use crate::patches::PatchEmbeddings;
use crate::relative::RelativeBias;

/// Scores of tokens that are none: so low that their share is 0, so high that sums stay in the range.
const NEVER: f32 = -1e9;

/// What the layers begin with.
pub(super) struct Begin {
    /// (batch, sequence, d).
    pub(super) x: Value,
    pub(super) terms: ScoreTerms,
    /// 1 for each token and 0 for each that is none, (batch, sequence, 1); images have all of theirs.
    pub(super) present: Option<Value>,
}

/// Inputs `input_ids` and `attention_mask`.
pub(super) fn tokens(
    graph: &mut Graph,
    maps: &mut Maps,
    embeddings: &TokenEmbeddings,
    relative: Option<(&RelativeBias, usize)>,
) -> Begin {
    let sizes = [Size::Any(BATCH), Size::Any(SEQUENCE)];
    let ids = graph.input("input_ids", true, &sizes);
    let mask = graph.input("attention_mask", true, &sizes);
    let length = graph.op("Shape", &[&ids], &[Attribute::int("start", 1), Attribute::int("end", 2)]);

    let words = maps.rows(graph, "word_embeddings", &embeddings.words, &ids);
    let d = embeddings.words.cols();
    let kind = graph.floats("token_type", &[d], embeddings.kind.iter().copied());
    let first = embeddings.first_position;
    let used = &embeddings.positions.as_slice()[first * d..];
    let table = graph.floats("position_embeddings", &[used.len() / d, d], used.iter().copied());
    let zero = graph.integers("zero", &[1], &[0]);
    let positions = graph.op("Slice", &[&table, &zero, &length, &zero], &[]);
    let sum = graph.op("Add", &[&words, &kind], &[]);
    let sum = graph.op("Add", &[&sum, &positions], &[]);
    let x = norm(graph, "embeddings_norm", &embeddings.norm, &sum);

    let present = graph.op("Cast", &[&mask], &[Attribute::int("to", i64::from(FLOAT))]);
    let axes = graph.integers("axes", &[2], &[1, 2]);
    let row = graph.op("Unsqueeze", &[&present, &axes], &[]);
    let [one, never] = [1.0, -NEVER].map(|number| graph.floats("number", &[], [number]));
    let row = graph.op("Sub", &[&row, &one], &[]);
    let row = graph.op("Mul", &[&row, &never], &[]);
    let last = graph.integers("axes", &[1], &[2]);
    let present = graph.op("Unsqueeze", &[&present, &last], &[]);

    let relative = relative.map(|(bias, longest)| by_offset(graph, bias, longest, &length));
    Begin { x, terms: ScoreTerms { mask: Some(row), relative }, present: Some(present) }
}

/// The biases of attention (heads, sequence, sequence): those of all offsets are a constant.
fn by_offset(graph: &mut Graph, bias: &RelativeBias, longest: usize, length: &str) -> Value {
    let (heads, last) = (bias.table.cols(), longest as isize - 1);
    let of_head = |head| (-last..=last).map(move |offset| bias.table[(bias.bucket(offset), head)]);
    let table = graph.floats("relative_bias", &[heads, 2 * longest - 1], (0..heads).flat_map(of_head));
    let [zero, one, middle] = [0, 1, last as i64].map(|i| graph.integers("integer", &[], &[i]));
    let length = graph.op("Squeeze", &[length], &[]);
    let places = graph.op("Range", &[&zero, &length, &one], &[]);
    let [keys, queries] = [0, 1].map(|axis| {
        let axis = graph.integers("axes", &[1], &[axis]);
        graph.op("Unsqueeze", &[&places, &axis], &[])
    });
    let offsets = graph.op("Sub", &[&keys, &queries], &[]);
    let offsets = graph.op("Add", &[&offsets, &middle], &[]);
    graph.op("Gather", &[&table, &offsets], &[Attribute::int("axis", 1)])
}

/// Input `pixel_values`, images of `size` x `size`.
pub(super) fn patches(graph: &mut Graph, embeddings: &PatchEmbeddings, size: usize) -> Result<Begin> {
    let (d, side, prefix) = (embeddings.positions.cols(), embeddings.patch, embeddings.prefix.rows());
    let pixels = graph.input("pixel_values", false, &[Size::Any(BATCH), Size::Is(3), Size::Is(size), Size::Is(size)]);
    let projection = &embeddings.projection;
    let weight = graph.floats("patches.weight", &[d, 3, side, side], projection.weight.as_slice().iter().copied());
    let bias = graph.floats("patches.bias", &[d], projection.bias.iter().copied());
    let step = side as i64;
    let attributes = [Attribute::ints("kernel_shape", &[step, step]), Attribute::ints("strides", &[step, step])];
    let own = graph.op("Conv", &[&pixels, &weight, &bias], &attributes);
    let flat = graph.integers("flat", &[3], &[0, d as i64, -1]);
    let own = graph.op("Reshape", &[&own, &flat], &[]);
    let own = graph.op("Transpose", &[&own], &[Attribute::ints("perm", &[0, 2, 1])]);

    let first = graph.floats("prefix", &[1, prefix, d], embeddings.prefix.as_slice().iter().copied());
    let batch = graph.op("Shape", &[&pixels], &[Attribute::int("start", 0), Attribute::int("end", 1)]);
    let each = graph.integers("each", &[2], &[prefix as i64, d as i64]);
    let shape = graph.op("Concat", &[&batch, &each], &[Attribute::int("axis", 0)]);
    let first = graph.op("Expand", &[&first, &shape], &[]);
    let all = graph.op("Concat", &[&first, &own], &[Attribute::int("axis", 1)]);

    let length = embeddings.length(size);
    let positions = embeddings.positions_for(length)?;
    let table = graph.floats("position_embeddings", &[length, d], positions.as_slice().iter().copied());
    let x = graph.op("Add", &[&all, &table], &[]);
    Ok(Begin { x, terms: ScoreTerms::default(), present: None })
}
