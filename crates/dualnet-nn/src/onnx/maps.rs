//! Linear maps and tables as constants: numbers as they are, or whole ones from -127 to 127 with a factor for each row.

use super::Precision;
use super::graph::{Graph, Value};
use super::proto::{Attribute, FLOAT};
use crate::linear::Linear;
use dualnet::Mat;

/// The largest whole number.
const LARGEST: f32 = 127.0;

/// What writes maps, and how far off they are.
pub(super) struct Maps {
    precision: Precision,
    /// The largest relative error of a rounded matrix so far, root of the sum of squares to that of its entries.
    pub(super) rounding: f64,
}

/// A matrix in whole numbers: row i is `factors[i]` times them.
struct Rounded {
    values: Vec<i8>,
    factors: Vec<f32>,
}

impl Maps {
    pub(super) fn new(precision: Precision) -> Self {
        Self { precision, rounding: 0.0 }
    }

    /// `x W^T + b`.
    pub(super) fn linear(&mut self, graph: &mut Graph, name: &str, x: &str, map: &Linear) -> Value {
        let mut y = x.to_string();
        if let Some(inner) = &map.inner {
            y = self.product(graph, &format!("{name}.inner.weight"), &y, inner);
        }
        y = self.product(graph, &format!("{name}.weight"), &y, &map.weight);
        let bias = graph.floats(&format!("{name}.bias"), &[map.bias.len()], map.bias.iter().copied());
        graph.op("Add", &[&y, &bias], &[])
    }

    /// `x W^T`.
    fn product(&mut self, graph: &mut Graph, name: &str, x: &str, weight: &Mat<f32>) -> Value {
        let (m, n) = (weight.rows(), weight.cols());
        match self.precision {
            Precision::F32 => {
                let weight = graph.floats(name, &[n, m], transposed(weight.as_slice(), m, n));
                graph.op("MatMul", &[x, &weight], &[])
            }
            Precision::Int8 => {
                let Rounded { values, factors } = self.rounded(weight);
                let whole = graph.bytes(name, &[n, m], transposed(&values, m, n));
                let factors = graph.floats(&format!("{name}.factor"), &[m], factors);
                let zero = graph.bytes("zero", &[], [0]);
                let [x, scale, offset] = graph.ops("DynamicQuantizeLinear", &[x], &[]);
                let y = graph.op("MatMulInteger", &[&x, &whole, &offset, &zero], &[]);
                let y = graph.op("Cast", &[&y], &[Attribute::int("to", i64::from(FLOAT))]);
                let factors = graph.op("Mul", &[&scale, &factors], &[]);
                graph.op("Mul", &[&y, &factors], &[])
            }
        }
    }

    /// The rows of a table that `places` names.
    pub(super) fn rows(&mut self, graph: &mut Graph, name: &str, table: &Mat<f32>, places: &str) -> Value {
        let dims = [table.rows(), table.cols()];
        match self.precision {
            Precision::F32 => {
                let table = graph.floats(name, &dims, table.as_slice().iter().copied());
                graph.op("Gather", &[&table, places], &[])
            }
            Precision::Int8 => {
                let Rounded { values, factors } = self.rounded(table);
                let whole = graph.bytes(name, &dims, values);
                let factors = graph.floats(&format!("{name}.factor"), &[dims[0], 1], factors);
                let [rows, factors] = [whole, factors].map(|table| graph.op("Gather", &[&table, places], &[]));
                let rows = graph.op("Cast", &[&rows], &[Attribute::int("to", i64::from(FLOAT))]);
                graph.op("Mul", &[&rows, &factors], &[])
            }
        }
    }

    fn rounded(&mut self, weight: &Mat<f32>) -> Rounded {
        let (mut values, mut factors) = (Vec::with_capacity(weight.as_slice().len()), Vec::new());
        let (mut error, mut size) = (0.0f64, 0.0f64);
        for row in weight.as_slice().chunks_exact(weight.cols().max(1)) {
            let largest = row.iter().fold(0.0f32, |largest, w| largest.max(w.abs()));
            let factor = if largest > 0.0 { largest / LARGEST } else { 1.0 };
            for w in row {
                let whole = (w / factor).round().clamp(-LARGEST, LARGEST);
                error += f64::from(w - whole * factor).powi(2);
                size += f64::from(*w).powi(2);
                values.push(whole as i8);
            }
            factors.push(factor);
        }
        self.rounding = self.rounding.max((error / size.max(f64::MIN_POSITIVE)).sqrt());
        Rounded { values, factors }
    }
}

/// The columns, one after the other.
fn transposed<T: Copy>(values: &[T], rows: usize, cols: usize) -> impl Iterator<Item = T> {
    (0..cols).flat_map(move |j| (0..rows).map(move |i| values[i * cols + j]))
}
