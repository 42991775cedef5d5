//! The walk from a [`Spec`] to [`Op`]s. It is also the check: a net is possible exactly if the walk succeeds.

use super::branching::Branch;
use super::flow::{Flow, Law, Width};
use super::limits::{MAX_NUMBER, MAX_SIZE, Range, check_count, count, refuse};
use super::op::{Op, Tangent};
use super::parameters::check_activation;
use super::spec::{AttentionNormalization, AttentionScaling, Layer, Padding, Parameterization, Pooling, Spec, Weights};
use crate::activation::Activation;
use crate::error::Result;

/// What a walk finds out besides its steps.
pub(super) struct Walk<'a> {
    spec: &'a Spec,
    /// Channels of the input; `None`: not known yet, and the steps are those for one channel.
    pub(super) input_width: Option<f64>,
    layers: usize,
    /// Axes of kernels and windows, and the layer that settled them.
    pub(super) axes: Option<(usize, String)>,
    /// The first layer that works over positions.
    pub(super) first_spatial: Option<(String, &'static str)>,
    pub(super) has_dropout: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(spec: &'a Spec, input_width: Option<f64>) -> Self {
        Self { spec, input_width, layers: 0, axes: None, first_spatial: None, has_dropout: false }
    }

    /// Steps of the whole net, and what is known of its output.
    pub(super) fn run(&mut self) -> Result<(Vec<Op>, Flow)> {
        Range::Positive.check(|| "w_std".into(), self.spec.w_std)?;
        Range::ZeroOrPositive.check(|| "b_std".into(), self.spec.b_std)?;
        if self.spec.layers.is_empty() {
            return Err(refuse("layers", "no layers", "the smallest net is [\"dense\"]"));
        }
        let mut flow = Flow::input();
        let ops = self.layers("layers", &self.spec.layers, &mut flow, 0)?;
        Ok((ops, flow))
    }

    pub(super) fn layers(&mut self, at: &str, layers: &[Layer], flow: &mut Flow, depth: usize) -> Result<Vec<Op>> {
        count(&mut self.layers, at, depth)?;
        let step = |(i, layer): (usize, &Layer)| {
            let at = format!("{at}[{i}].{}", layer.name());
            count(&mut self.layers, &at, depth)?;
            self.layer(&at, layer, flow, depth)
        };
        layers.iter().enumerate().map(step).collect()
    }

    fn layer(&mut self, at: &str, layer: &Layer, flow: &mut Flow, depth: usize) -> Result<Op> {
        match layer {
            Layer::Dense(weights) => {
                let (w2, b2, tangent) = self.weights(at, weights, 1.0, flow)?;
                Ok(Op::Affine { w2, b2, tangent })
            }
            Layer::Conv { weights, kernel, stride, padding } => {
                self.window(at, layer.name(), ("kernel", kernel), stride, *padding, flow)?;
                let area = kernel.iter().map(|size| *size as f64).product();
                let (w2, b2, tangent) = self.weights(at, weights, area, flow)?;
                let (kernel, stride) = (kernel.clone(), stride.clone());
                Ok(Op::Conv { kernel, stride, padding: *padding, w2, b2, tangent, at: at.to_owned() })
            }
            Layer::Pool { pooling, window, stride, padding, normalize_edges } => {
                self.window(at, layer.name(), ("window", window), stride, *padding, flow)?;
                if *normalize_edges && *pooling == Pooling::Sum {
                    let problem = "a sum has no divisor to normalise";
                    return Err(refuse(format!("{at}.normalize_edges"), problem, "use avg_pool, or leave the key out"));
                }
                Ok(Op::Pool {
                    pooling: *pooling,
                    window: window.clone(),
                    stride: stride.clone(),
                    padding: *padding,
                    normalize_edges: *normalize_edges,
                    at: at.to_owned(),
                })
            }
            Layer::Flatten => {
                self.collapse(at, layer.name(), flow)?;
                // Positions become channels, each with a covariance of its own.
                if flow.law == Law::Gaussian {
                    (flow.law, flow.from) = (Law::Centred, at.to_owned());
                }
                Ok(Op::Flatten)
            }
            Layer::GlobalPool(pooling) => {
                self.collapse(at, layer.name(), flow)?;
                Ok(Op::GlobalPool(*pooling))
            }
            Layer::Activation { activation, dual } => {
                check_activation(at, activation, *dual)?;
                if *activation != Activation::Identity {
                    flow.need_gaussian(at, layer.name())?;
                    (flow.law, flow.from) = (Law::Any, at.to_owned());
                }
                Ok(Op::Activation { activation: activation.clone(), choice: *dual, at: at.to_owned() })
            }
            Layer::LayerNorm { eps } => {
                Range::Between(0.0, MAX_NUMBER).check(|| format!("{at}.eps"), *eps)?;
                flow.need_gaussian(at, layer.name())?;
                Ok(Op::LayerNorm { eps: *eps })
            }
            Layer::Dropout { keep } => {
                Range::Above(0.0, 1.0).check(|| format!("{at}.keep"), *keep)?;
                self.has_dropout = true;
                if flow.law == Law::Gaussian {
                    (flow.law, flow.from) = (Law::Centred, at.to_owned());
                }
                Ok(Op::Dropout { keep: *keep })
            }
            Layer::Residual(inner) => {
                let branches = [Branch::new("its input", at, &[]), Branch::new("its branch", at, inner)];
                self.sum(at, &branches, flow, depth)
            }
            Layer::Sum(branches) => self.sum(at, &Branch::all(at, branches)?, flow, depth),
            Layer::Concat(branches) => self.concat(at, &Branch::all(at, branches)?, flow, depth),
            Layer::Product(branches) => self.product(at, &Branch::all(at, branches)?, flow, depth),
            Layer::SelfAttention { scaling, normalization, w_query, w_key, w_value, w_out, b_std } => {
                if *scaling == AttentionScaling::Sqrt && *normalization != AttentionNormalization::Identity {
                    let problem = "sqrt scaling has a closed form with identity normalization only";
                    let hint = "add \"normalization\": \"identity\", or use linear scaling";
                    return Err(refuse(format!("{at}.scaling"), problem, hint));
                }
                let (score, w2) = self.attention(at, [*w_query, *w_key, *w_value, *w_out], *b_std, flow)?;
                let (scaling, normalization) = (*scaling, *normalization);
                Ok(Op::SelfAttention { scaling, normalization, score, w2, b2: b_std * b_std, at: at.to_owned() })
            }
        }
    }

    /// (w_std^2, b_std^2, rule of the tangent kernel) of a weight layer whose kernel has `area` positions.
    fn weights(&self, at: &str, weights: &Weights, area: f64, flow: &mut Flow) -> Result<(f64, f64, Tangent)> {
        let (w_std, b_std) = (weights.w_std.unwrap_or(self.spec.w_std), weights.b_std.unwrap_or(self.spec.b_std));
        Range::Positive.check(|| format!("{at}.w_std"), w_std)?;
        Range::ZeroOrPositive.check(|| format!("{at}.b_std"), b_std)?;
        if let Some(width) = weights.width {
            Range::Between(1.0, MAX_NUMBER).check(|| format!("{at}.width"), width)?;
        }
        let scale = weights.width_scale.unwrap_or([1.0, 1.0]);
        for (i, factor) in scale.into_iter().enumerate() {
            Range::Positive.check(|| format!("{at}.width_scale[{i}]"), factor)?;
        }
        let (w2, b2) = (w_std * w_std, b_std * b_std);
        let tangent = match self.spec.parameterization {
            Parameterization::Ntk => Tangent { from_output: 1.0, from_input: 0.0, carry: w2, constant: 0.0 },
            Parameterization::Standard => {
                let fan_in = self.known_width(flow, || format!("the standard parameterization of {at}"))?;
                let constant = if b_std > 0.0 { 1.0 } else { 0.0 };
                Tangent { from_output: 0.0, from_input: fan_in * area / scale[0], carry: w2, constant }
            }
        };
        flow.law = Law::Gaussian;
        flow.from = at.to_owned();
        flow.own = true;
        flow.width = match weights.width {
            Some(width) => Ok(Width { per_input: 0.0, fixed: width * scale[1] }),
            None => Err(at.to_owned()),
        };
        Ok((w2, b2, tangent))
    }

    /// The number of channels, or an error that `whose` needs it.
    pub(super) fn known_width(&self, flow: &Flow, whose: impl FnOnce() -> String) -> Result<f64> {
        match &flow.width {
            Ok(width) => Ok(width.of(self.input_width.unwrap_or(1.0))),
            Err(at) => Err(refuse(
                format!("{at}.width"),
                format!("missing, and {} needs it", whose()),
                "add \"width\": the layer's number of outputs",
            )),
        }
    }

    /// Checks a kernel or window and moves the positions on.
    fn window(
        &mut self,
        at: &str,
        name: &'static str,
        (key, window): (&str, &[usize]),
        stride: &[usize],
        padding: Padding,
        flow: &mut Flow,
    ) -> Result<()> {
        check_count(|| format!("{at}.{key}: number of axes"), window.len(), 1, 2)?;
        if stride.len() != window.len() {
            let problem = format!("{} axes, while {key} has {}", stride.len(), window.len());
            return Err(refuse(format!("{at}.stride"), problem, "give as many"));
        }
        for (key, sizes) in [(key, window), ("stride", stride)] {
            for (axis, size) in sizes.iter().enumerate() {
                check_count(|| format!("{at}.{key}[{axis}]"), *size, 1, MAX_SIZE)?;
            }
        }
        match &self.axes {
            None => self.axes = Some((window.len(), at.to_owned())),
            Some((axes, first)) if *axes != window.len() => {
                let problem = format!("{}-D, while {first} is {axes}-D", window.len());
                return Err(refuse(
                    format!("{at}.{key}"),
                    problem,
                    "use [3] throughout for sequences, [3, 3] for images",
                ));
            }
            Some(_) => {}
        }
        self.spatial(at, name);
        let reductions = flow.need_positions(at, name)?;
        for (axis, reduction) in reductions.iter_mut().enumerate().take(window.len()) {
            *reduction = reduction.then(window[axis], stride[axis], padding).ok_or_else(|| {
                refuse(at, "the layers up to here reduce an image by more than any image has", "use smaller strides")
            })?;
        }
        Ok(())
    }

    fn spatial(&mut self, at: &str, name: &'static str) {
        self.first_spatial.get_or_insert_with(|| (at.to_owned(), name));
    }

    /// One vector of all positions.
    fn collapse(&mut self, at: &str, name: &'static str, flow: &mut Flow) -> Result<()> {
        self.spatial(at, name);
        flow.need_positions(at, name)?;
        flow.positions = Err(at.to_owned());
        Ok(())
    }

    /// (w_query w_key, (w_value w_out)^2) of the standard deviations [query, key, value, out].
    fn attention(&mut self, at: &str, weights: [f64; 4], b_std: f64, flow: &mut Flow) -> Result<(f64, f64)> {
        self.spatial(at, "self_attention");
        flow.need_positions(at, "self_attention")?;
        let [query, key, value, out] = weights;
        // Without queries or keys attention is uniform, which is a net; without values there is nothing.
        Range::ZeroOrPositive.check(|| format!("{at}.w_query"), query)?;
        Range::ZeroOrPositive.check(|| format!("{at}.w_key"), key)?;
        Range::Positive.check(|| format!("{at}.w_value"), value)?;
        Range::Positive.check(|| format!("{at}.w_out"), out)?;
        Range::ZeroOrPositive.check(|| format!("{at}.b_std"), b_std)?;
        // The scores depend on the input through its covariance alone: any input does, and the output is Gaussian.
        flow.law = Law::Gaussian;
        flow.from = at.to_owned();
        flow.own = true;
        Ok((query * key, (value * out).powi(2)))
    }
}
