//! One vector of length one for each text or image.

use super::blocks::net;
use super::graph::{Graph, Value};
use super::maps::Maps;
use super::proto::Attribute;
use crate::encoder::Encoder;
use crate::error::Result;
use crate::pool::Pooling;
use crate::pooler::Pooler;

/// Vectors shorter than this are divided by it instead of their length.
const SHORTEST: f32 = 1e-30;

/// The pooled rows of `x` (batch, sequence, d), of length one. `present` has 1 for each token and 0 for each that is none.
pub(super) fn pooled(
    (graph, maps): (&mut Graph, &mut Maps),
    (encoder, pooling): (&Encoder, Pooling),
    x: &str,
    present: Option<&str>,
) -> Result<Value> {
    let axis = |axis| Attribute::ints("axes", &[axis]);
    let first = |graph: &mut Graph| {
        let first = graph.integers("first", &[], &[0]);
        graph.op("Gather", &[x, &first], &[Attribute::int("axis", 1)])
    };
    let pooled = match (pooling, present) {
        (Pooling::Cls, _) => first(graph),
        (Pooling::Pooler, _) => {
            let x = first(graph);
            match encoder.needed_pooler()? {
                Pooler::Snnk(features) => net(graph, maps, "pooler", &x, features),
                Pooler::Tanh(map) => {
                    let y = maps.linear(graph, "pooler", &x, map);
                    graph.op("Tanh", &[&y], &[])
                }
            }
        }
        (Pooling::Mean, None) => graph.op("ReduceMean", &[x], &[axis(1), Attribute::int("keepdims", 0)]),
        (Pooling::Mean, Some(present)) => {
            let axes = graph.integers("axes", &[1], &[1]);
            let kept = graph.op("Mul", &[x, present], &[]);
            let [sum, count] =
                [&kept, present].map(|x| graph.op("ReduceSum", &[x, &axes], &[Attribute::int("keepdims", 0)]));
            graph.op("Div", &[&sum, &count], &[])
        }
    };
    let length = graph.op("ReduceL2", &[&pooled], &[axis(1), Attribute::int("keepdims", 1)]);
    let shortest = graph.floats("shortest", &[], [SHORTEST]);
    let length = graph.op("Max", &[&length, &shortest], &[]);
    Ok(graph.op("Div", &[&pooled, &length], &[]))
}
