//! A graph under construction: operations by the names of their inputs, constants, inputs and outputs.

use super::proto::{
    Attribute, Dimension, FLOAT, GraphMessage, INT8, INT64, Model, Node, OperatorSet, Shape, Tensor, TensorType, Type,
    ValueInfo,
};

/// The standard operators as of 2022: the first with layer norms, and read by all runtimes in use.
const OPERATORS: i64 = 17;
/// The version of the format that belongs to them.
const IR: i64 = 8;

/// What flows: the name of a constant, of an input, or of what an operation gives.
pub(super) type Value = String;

/// A size of an input or output.
#[derive(Clone, Copy)]
pub(super) enum Size {
    /// Fixed.
    Is(usize),
    /// Chosen by the caller, by this name.
    Any(&'static str),
}

#[derive(Default)]
pub(super) struct Graph {
    message: GraphMessage,
}

impl Attribute {
    pub(super) fn int(name: &str, int: i64) -> Self {
        Self { name: name.into(), int, kind: 2, ..Self::default() }
    }

    pub(super) fn float(name: &str, float: f32) -> Self {
        Self { name: name.into(), float, kind: 1, ..Self::default() }
    }

    pub(super) fn ints(name: &str, ints: &[i64]) -> Self {
        Self { name: name.into(), ints: ints.into(), kind: 7, ..Self::default() }
    }
}

impl Graph {
    /// What an operation gives.
    pub(super) fn op(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute]) -> Value {
        let [value] = self.ops(operator, inputs, attributes);
        value
    }

    /// What an operation with `N` results gives.
    pub(super) fn ops<const N: usize>(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[Attribute],
    ) -> [Value; N] {
        let at = self.message.nodes.len();
        let outputs: [Value; N] = std::array::from_fn(|i| format!("{operator}_{at}_{i}"));
        self.node(operator, inputs, outputs.to_vec(), attributes);
        outputs
    }

    fn node(&mut self, operator: &str, inputs: &[&str], outputs: Vec<Value>, attributes: &[Attribute]) {
        self.message.nodes.push(Node {
            inputs: inputs.iter().map(|input| (*input).into()).collect(),
            outputs,
            // No name of a value: some runtimes tell them apart by names alone.
            name: format!("node_{}", self.message.nodes.len()),
            operator: operator.into(),
            attributes: attributes.to_vec(),
        });
    }

    /// A constant of numbers.
    pub(super) fn floats(&mut self, name: &str, dims: &[usize], values: impl IntoIterator<Item = f32>) -> Value {
        self.constant(name, FLOAT, dims, values.into_iter().flat_map(f32::to_le_bytes).collect())
    }

    /// A constant of integers; without `dims` a single one.
    pub(super) fn integers(&mut self, name: &str, dims: &[usize], values: &[i64]) -> Value {
        self.constant(name, INT64, dims, values.iter().flat_map(|i| i.to_le_bytes()).collect())
    }

    /// A constant of small integers.
    pub(super) fn bytes(&mut self, name: &str, dims: &[usize], values: impl IntoIterator<Item = i8>) -> Value {
        self.constant(name, INT8, dims, values.into_iter().map(i8::cast_unsigned).collect())
    }

    /// Constants called alike are told apart by their numbers.
    fn constant(&mut self, name: &str, kind: i32, dims: &[usize], bytes: Vec<u8>) -> Value {
        let name = format!("{name}#{}", self.message.constants.len());
        let dims = dims.iter().map(|dim| *dim as i64).collect();
        self.message.constants.push(Tensor { dims, kind, name: name.clone(), bytes });
        name
    }

    /// An input of integers or numbers.
    pub(super) fn input(&mut self, name: &str, integers: bool, sizes: &[Size]) -> Value {
        self.message.inputs.push(value_info(name, if integers { INT64 } else { FLOAT }, sizes));
        name.into()
    }

    /// Makes `value` an output of numbers called `name`.
    pub(super) fn output(&mut self, name: &str, value: &str, sizes: &[Size]) {
        self.node("Identity", &[value], vec![name.into()], &[]);
        self.message.outputs.push(value_info(name, FLOAT, sizes));
    }

    /// Bytes of all constants.
    pub(super) fn size(&self) -> usize {
        self.message.constants.iter().map(|constant| constant.bytes.len()).sum()
    }

    /// The whole file.
    pub(super) fn finish(mut self) -> Model {
        self.message.name = "encoder".into();
        Model {
            ir_version: IR,
            producer_name: env!("CARGO_PKG_NAME").into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.message),
            operators: vec![OperatorSet { domain: String::new(), version: OPERATORS }],
        }
    }
}

fn value_info(name: &str, element: i32, sizes: &[Size]) -> ValueInfo {
    let dimension = |size: &Size| match *size {
        Size::Is(value) => Dimension { value: Some(value as i64), name: None },
        Size::Any(name) => Dimension { value: None, name: Some(name.into()) },
    };
    let shape = Some(Shape { dims: sizes.iter().map(dimension).collect() });
    ValueInfo { name: name.into(), kind: Some(Type { tensor: Some(TensorType { element, shape }) }) }
}
