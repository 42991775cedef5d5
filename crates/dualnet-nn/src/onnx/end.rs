//! One vector of length one for each text or image.

use super::graph::{Graph, Value};
use super::proto::Attribute;
use crate::pool::Pooling;

/// Vectors shorter than this are divided by it instead of their length.
const SHORTEST: f32 = 1e-30;

/// The pooled rows of `x` (batch, sequence, d), of length one. `present` has 1 for each token and 0 for each that is none.
pub(super) fn pooled(graph: &mut Graph, pooling: Pooling, x: &str, present: Option<&str>) -> Value {
    let axis = |axis| Attribute::ints("axes", &[axis]);
    let pooled = match (pooling, present) {
        (Pooling::Cls, _) => {
            let first = graph.integers("first", &[], &[0]);
            graph.op("Gather", &[x, &first], &[Attribute::int("axis", 1)])
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
    graph.op("Div", &[&pooled, &length], &[])
}
