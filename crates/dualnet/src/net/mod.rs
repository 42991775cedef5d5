//! One description of a network, for every interpreter.
//!
//! - [`Net`]: a checked net. A net that exists can be interpreted.
//! - [`spec`]: what a net file says, unchecked.
//! - [`op`]: what an interpreter walks.
//! - [`limits`]: how large a net may be.
//!
//! A net file is JSON or TOML; every key, the rules and examples are in `docs/net.md`.

mod activations;
mod branching;
mod display;
mod flow;
mod keys;
pub mod limits;
pub mod op;
mod parameters;
mod preset;
mod read;
mod shape;
pub mod spec;
mod text;
mod tree;
mod walk;
mod write;

#[cfg(test)]
mod tests;

pub use op::{Op, Tangent};
pub use spec::{
    AttentionNormalization, AttentionScaling, DualChoice, Layer, Padding, Parameterization, Pooling, Spec, Weights,
};

use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::str::FromStr;
use tree::Tree;
use walk::Walk;

pub(crate) use preset::activation_named;
pub(crate) use shape::{behind, in_front};

/// A network that can be interpreted: every parameter in range, every layer with an input it can work on.
///
/// The rules besides ranges:
/// - An activation (other than identity) and `layer_norm` need a mean-zero Gaussian input: the output of dense, conv or
///   self_attention, also behind pooling, layer_norm, identity, or a sum of such. The input of the net, activations, dropout,
///   flatten, concat and product do not give one; a dense layer after them does.
/// - Branches of a sum: all but one are centred and have weights of their own (the others' cross terms vanish then). Branches of
///   a product: all but one have weights of their own.
/// - Layers over positions come before flatten and global pooling; kernels and windows are all 1-D or all 2-D; branches leave
///   the same number of positions.
/// - The width of a layer is given where it matters: before another weight layer in the standard parameterization, and at the end
///   of a branch of concat.
///
/// ```
/// use dualnet::net::Net;
/// let net = Net::from_json(r#"{"layers": ["dense", "relu", {"dense": {"w_std": 1}}]}"#)?;
/// assert_eq!(net.to_string(), "dense relu dense(w_std 1) (ntk, w_std 1.414, b_std 0)");
/// assert_eq!(net, Net::from_toml("layers = ['dense', 'relu', {dense = {w_std = 1}}]")?);
/// let error = Net::from_json(r#"{"layers": [{"conv": {"pading": "same"}}]}"#).unwrap_err();
/// assert_eq!(error.to_string(), "layers[0].conv.pading: unknown key; did you mean padding?");
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Net {
    spec: Spec,
    axes: Option<usize>,
    first_spatial: Option<(String, &'static str)>,
    output_is_spatial: bool,
    has_dropout: bool,
}

impl Net {
    /// Checks a description.
    ///
    /// # Errors
    /// [`Error::Net`] with the position of the first layer or key that cannot be.
    pub fn new(spec: Spec) -> Result<Self> {
        let mut walk = Walk::new(&spec, None);
        let (_, end) = walk.run()?;
        let axes = walk.axes.as_ref().map(|(axes, _)| *axes);
        let first_spatial = walk.first_spatial.take();
        let output_is_spatial = first_spatial.is_some() && end.positions.is_ok();
        let has_dropout = walk.has_dropout;
        Ok(Self { spec, axes, first_spatial, output_is_spatial, has_dropout })
    }

    /// Reads a net file in JSON.
    ///
    /// # Errors
    /// [`Error::Net`]: line and column of a syntax error, else the position of the layer or key.
    pub fn from_json(text: &str) -> Result<Self> {
        Self::new(read::spec(&text::json(text)?)?)
    }

    /// Reads a net file in TOML. Literal strings and inline tables keep it short: `layers = ['dense', {dropout = {keep = 0.9}}]`.
    ///
    /// # Errors
    /// As [`Net::from_json`].
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::new(read::spec(&text::toml(text)?)?)
    }

    /// A preset: `fc-ACTIVATION-DEPTH` (`fc-relu-3`: three hidden layers), `myrtle-5`, `myrtle-7`, `myrtle-10`; w_std sqrt 2, no
    /// biases.
    ///
    /// ```
    /// use dualnet::net::Net;
    /// assert_eq!(Net::preset("fc-erf-1")?.to_string(), "dense erf dense (ntk, w_std 1.414, b_std 0)");
    /// assert!(Net::preset("myrtle-5")?.is_spatial());
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Net`] for unknown names and for activations with required keys.
    pub fn preset(name: &str) -> Result<Self> {
        Self::new(preset::preset(name)?)
    }

    /// Reads whatever describes a net: text that starts with `{` is JSON, a single word is the name of a preset, all else is TOML.
    ///
    /// # Errors
    /// Those of the reader chosen.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim_start_matches('\u{feff}');
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(limits::refuse("net", "empty", "give a preset such as fc-relu-3, or JSON or TOML text"));
        }
        if trimmed.starts_with('{') {
            return Self::from_json(text);
        }
        let is_word = !trimmed.contains(|c: char| c.is_whitespace() || "=[]{}\"'#".contains(c));
        if is_word { Self::preset(trimmed) } else { Self::from_toml(text) }
    }

    /// The description it was made of.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The net file in JSON, on one line, as short as it goes: [`Net::from_json`] of it is equal to this net.
    ///
    /// ```
    /// let json = dualnet::net::Net::preset("fc-relu-1")?.to_json();
    /// assert_eq!(json, r#"{"parameterization":"ntk","w_std":1.4142135623730951,"b_std":0.0,"layers":["dense","relu","dense"]}"#);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        // Numbers, words and objects with words for keys: there is nothing that JSON could not hold.
        serde_json::to_string(&write::spec(&self.spec)).unwrap_or_default()
    }

    /// The steps of an interpreter for data with `input_width` features (channels), which enter the standard parameterization
    /// and the weights of concat. Cost: linear in the number of layers.
    ///
    /// ```
    /// use dualnet::net::{Net, Op};
    /// let net = Net::parse("layers = [{concat = [[], [{dense = {width = 6}}]]}, 'dense']")?;
    /// let ops = net.ops(2)?;
    /// let Op::Concat(branches) = &ops[0] else { unreachable!() };
    /// assert_eq!((branches[0].0, branches[1].0), (0.25, 0.75));
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if `input_width` is 0; [`Error::Net`] if a sum or product adds the input to branches of another width.
    pub fn ops(&self, input_width: usize) -> Result<Vec<Op>> {
        if input_width == 0 {
            return Err(Error::Invalid {
                what: "input width of the net".into(),
                expected: "at least one feature".into(),
                found: "0".into(),
                hint: "check the data's columns".into(),
            });
        }
        Ok(Walk::new(&self.spec, Some(input_width as f64)).run()?.0)
    }

    /// True if some layer works over positions (conv, pooling, flatten, self_attention): the net needs images or sequences.
    pub fn is_spatial(&self) -> bool {
        self.first_spatial.is_some()
    }

    /// True if the output of the net still has positions: neither flatten nor global pooling has made one vector of them.
    pub fn output_is_spatial(&self) -> bool {
        self.output_is_spatial
    }

    /// True if the net has dropout, so that K(x, x) differs from K(x, copy of x).
    pub fn has_dropout(&self) -> bool {
        self.has_dropout
    }

    /// Position and name of the first layer that works over positions: `("layers[0].conv", "conv")`.
    pub fn first_spatial_layer(&self) -> Option<(String, &'static str)> {
        self.first_spatial.clone()
    }

    /// Position of the last layer, for messages about the output: `layers[4].dense`.
    pub fn last_layer(&self) -> String {
        let last = self.spec.layers.len().saturating_sub(1);
        self.spec.layers.last().map_or_else(String::new, |layer| format!("layers[{last}].{}", layer.name()))
    }

    /// Axes of kernels and windows: 1 for sequences, 2 for images; `None` if the net takes both or has no such layers.
    pub fn axes(&self) -> Option<usize> {
        self.axes
    }

    /// Positions along each axis of the output for an input with `positions` (height and width, or length); empty when the
    /// output is one vector.
    ///
    /// ```
    /// use dualnet::net::Net;
    /// let net = Net::from_json(r#"{"layers": [{"conv": {"stride": [2, 2]}}, "relu", "avg_pool"]}"#)?;
    /// assert_eq!(net.output_positions(&[32, 28])?, [8, 7]);
    /// assert!(net.output_positions(&[2, 2]).is_err());
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Net`] with the layer at which the image is too small, or the branches that end with different sizes.
    pub fn output_positions(&self, positions: &[usize]) -> Result<Vec<usize>> {
        if positions.contains(&0) {
            return Err(Error::Invalid {
                what: "positions of the net's input".into(),
                expected: "at least one along each axis".into(),
                found: format!("{positions:?}"),
                hint: "check the data's shape".into(),
            });
        }
        shape::through("layers", &self.spec.layers, positions.to_vec())
    }
}

impl FromStr for Net {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Serialize for Net {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        write::spec(&self.spec).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Net {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let tree = Tree::deserialize(deserializer)?;
        read::spec(&tree).and_then(Self::new).map_err(serde::de::Error::custom)
    }
}
