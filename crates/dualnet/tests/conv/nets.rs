//! Random nets over positions that are valid by construction, and images for them.

use dualnet::Mat;
use dualnet::kernel::InputShape;
use dualnet::net::Net;
use proptest::prelude::*;

/// Which nets are wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// All that the layers allow.
    Any,
    /// Circular padding and stride 1 throughout, then global pooling: moving an image around changes nothing.
    Circular,
}

/// A net and the shape of its samples.
#[derive(Clone, Debug)]
pub struct Case {
    pub net: Net,
    pub shape: InputShape,
    /// With a single channel and no biases a corner of one image is a multiple of another's: rho = 1 for different images.
    pub generic: bool,
}

/// Every choice is a number, 0 the plainest: cases shrink towards plain nets on small images.
pub fn cases(family: Family) -> impl Strategy<Value = Case> {
    let axes = prop::sample::select(vec![2usize, 2, 1]);
    let shape = (axes, 1usize..=9, 1usize..=9, 1usize..=3);
    (shape, prop::collection::vec(any::<u16>(), 8..60)).prop_map(move |((axes, height, width, channels), choices)| {
        let size = [height, if axes == 2 { width } else { 1 }];
        let mut build = Build { choices: choices.into_iter(), axes, size, family };
        let (biased, standard) = (build.pick(2) == 1, build.pick(3) == 1);
        let layers = build.net().join(",");
        let text = format!(
            r#"{{"parameterization":"{}","w_std":1.2,"b_std":{},"layers":[{layers}]}}"#,
            if standard { "standard" } else { "ntk" },
            if biased { 0.3 } else { 0.0 },
        );
        let net = Net::from_json(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        let shape = InputShape { positions: [height, width][..axes].to_vec(), channels };
        Case { net, shape, generic: channels > 1 || biased }
    })
}

/// Choices to come, and what is known of the values behind the layers so far: Gaussian, of width [`WIDTH`], at `size` positions.
struct Build {
    choices: std::vec::IntoIter<u16>,
    axes: usize,
    size: [usize; 2],
    family: Family,
}

const WIDTH: usize = 4;

/// Bounded growth for inputs of any variance.
const TAME: [&str; 13] = [
    r#""relu""#,
    r#""identity""#,
    r#""erf""#,
    r#""gelu""#,
    r#"{"sin":{"b":0.7,"c":0.4}}"#,
    r#""abs""#,
    r#"{"leaky_relu":{"alpha":0.2}}"#,
    r#"{"abrelu":{"a":-0.5,"b":1.5}}"#,
    r#"{"cos":{"b":0.6}}"#,
    r#"{"rbf":{"gamma":0.3}}"#,
    r#"{"gaussian":{}}"#,
    r#"{"erf":{"a":0.7,"b":1.3,"c":0.2}}"#,
    r#""tanh""#,
];

/// Those that outgrow any number one behind the other, or whose expansions are for moderate variances: behind layer_norm.
const WILD: [&str; 8] = [
    r#"{"rectified_monomial":{"degree":2}}"#,
    r#"{"polynomial":{"coefficients":[0.1,0.5,0.2]}}"#,
    r#"{"exp":{"b":0.4}}"#,
    r#"{"monomial":{"degree":3}}"#,
    r#"{"hermite":{"degree":2}}"#,
    r#"{"exp_normalized":{}}"#,
    r#""gabor""#,
    r#""softplus""#,
];

impl Build {
    /// One of `n`; the plainest once choices have run out.
    fn pick(&mut self, n: usize) -> usize {
        usize::from(self.choices.next().unwrap_or(0)) % n
    }

    fn net(&mut self) -> Vec<String> {
        // Before the choices run out.
        let ends = ["global_avg_pool", "flatten", "global_sum_pool"];
        let pooled = format!(r#""{}""#, if self.family == Family::Circular { ends[0] } else { ends[self.pick(3)] });
        let end = if self.pick(3) == 1 { vec![pooled] } else { vec![self.activation(), pooled] };
        let again = self.pick(3);
        let mut layers = match self.pick(6) {
            1 => vec![self.pool(false, 3), self.conv(WIDTH, None)],
            // Attention keeps the channels of the input.
            2 => vec![self.attention(), self.conv(WIDTH, None)],
            _ => vec![self.conv(WIDTH, None)],
        };
        while self.choices.len() > 4 && layers.len() < 12 {
            layers.extend(self.block(2, false));
        }
        layers.extend(end);
        layers.push(r#"{"dense":{"w_std":0.8,"width":4}}"#.into());
        if again == 1 {
            layers.extend([r#""relu""#.into(), r#""dense""#.into()]);
        }
        layers
    }

    /// Layers from Gaussian values to Gaussian values; `keep`: the positions stay as they are.
    fn block(&mut self, depth: usize, keep: bool) -> Vec<String> {
        let stride = if keep { Some(1) } else { None };
        match self.pick(if depth > 0 { 10 } else { 5 }) {
            0 | 1 => vec![self.activation(), self.conv(WIDTH, stride)],
            2 => vec![self.activation(), self.pool(keep, 2), self.dense()],
            3 => vec![self.pool(keep, 3), r#""layer_norm""#.into()],
            4 => {
                let wild = self.one_of(&WILD);
                vec![r#""layer_norm""#.into(), wild, r#"{"dropout":{"keep":0.8}}"#.into(), self.dense()]
            }
            5 => {
                let mut inner = self.block(depth - 1, true);
                inner.extend([self.activation(), self.conv(WIDTH, Some(1))]);
                vec![format!(r#"{{"residual":[{}]}}"#, inner.join(","))]
            }
            6 => {
                let [a, b, _] = self.branches(depth, keep, [WIDTH; 2]);
                vec![format!(r#"{{"sum":[[{a}],[{b}]]}}"#)]
            }
            7 => {
                let [a, b, identity] = self.branches(depth, keep, [2, 5]);
                vec![format!(r#"{{"concat":[[{a}],[{b}]{identity}]}}"#), self.dense()]
            }
            8 => {
                let [a, b, _] = self.branches(depth, keep, [WIDTH; 2]);
                vec![format!(r#"{{"product":[[{a}],[{b}]]}}"#), self.dense(), r#""layer_norm""#.into()]
            }
            _ => vec![self.activation(), self.attention(), self.dense()],
        }
    }

    /// Two branches that end with the same positions and the given widths, and an identity where that fits.
    fn branches(&mut self, depth: usize, keep: bool, widths: [usize; 2]) -> [String; 3] {
        let (stride, start) = (if keep { 1 } else { 1 + self.pick(2) }, self.size);
        let mut first = vec![self.conv(WIDTH, Some(stride))];
        first.extend(self.block(depth - 1, true));
        first.push(self.conv(widths[0], Some(1)));
        let end = std::mem::replace(&mut self.size, start);
        let second = [self.activation(), self.conv(widths[1], Some(stride))];
        assert_eq!(self.size, end);
        let identity = if end == start && stride == 1 && self.pick(2) == 1 { ",[]" } else { "" };
        [first.join(","), second.join(","), identity.into()]
    }

    fn activation(&mut self) -> String {
        self.one_of(&TAME)
    }

    /// The oracle computes an expansion anew for each pair of positions, which takes too long for many of them.
    fn one_of(&mut self, names: &[&str]) -> String {
        let name = names[self.pick(names.len())];
        let expanded = [r#""tanh""#, r#""softplus""#].contains(&name);
        if expanded && self.size[0] * self.size[1] > 6 { r#""erf""#.into() } else { name.into() }
    }

    fn dense(&mut self) -> String {
        format!(r#"{{"dense":{{"width":{WIDTH}}}}}"#)
    }

    /// Kernels of up to 4 positions along an axis; `stride`: the same on both axes, any where not given.
    fn conv(&mut self, width: usize, stride: Option<usize>) -> String {
        format!(r#"{{"conv":{{"kernel":{},"width":{width}}}}}"#, self.window(4, stride))
    }

    /// One of `poolings`, where the third, a sum, wants a normalisation soon.
    fn pool(&mut self, keep: bool, poolings: usize) -> String {
        let window = self.window(3, if keep { Some(1) } else { None });
        match self.pick(poolings) {
            0 => format!(r#"{{"avg_pool":{{"window":{window}}}}}"#),
            1 => format!(r#"{{"avg_pool":{{"window":{window},"normalize_edges":true}}}}"#),
            _ => format!(r#"{{"sum_pool":{{"window":{window}}}}}"#),
        }
    }

    /// Sizes, stride and padding of a window, and the positions behind it.
    fn window(&mut self, most: usize, stride: Option<usize>) -> String {
        let circular = self.family == Family::Circular;
        let padding = match self.pick(if stride.is_some() { 2 } else { 3 }) {
            _ if circular => "circular",
            0 => "same",
            1 => "circular",
            _ => "valid",
        };
        let (mut sizes, mut strides) = (Vec::new(), Vec::new());
        for axis in 0..self.axes {
            let n = self.size[axis];
            // 3 is the plainest.
            let size = [3, 2, 1, 4][self.pick(most)].min(if padding == "valid" { n } else { most });
            let step = if circular { 1 } else { stride.unwrap_or_else(|| [1, 1, 2, 1, 3, 1][self.pick(6)]) };
            self.size[axis] = if padding == "valid" { (n - size) / step + 1 } else { n.div_ceil(step) };
            sizes.push(size);
            strides.push(step);
        }
        format!(r#"{sizes:?},"stride":{strides:?},"padding":"{padding}""#)
    }

    /// Without a softmax the output grows with the third power of the input: weights as small as the image is large.
    fn attention(&mut self) -> String {
        let small = 1.0 / (self.size[0] * self.size[1]) as f64;
        let normalization = match self.pick(5) {
            0 => return r#"{"self_attention":{"w_query":0.9,"b_std":0.1}}"#.into(),
            1 => "identity",
            2 => "abs",
            3 => "relu",
            _ => {
                return format!(
                    r#"{{"self_attention":{{"scaling":"sqrt","normalization":"identity","w_value":{small:?}}}}}"#
                );
            }
        };
        format!(r#"{{"self_attention":{{"normalization":"{normalization}","w_value":{small:?},"b_std":0.2}}}}"#)
    }
}

/// Images in general position.
pub const GENERIC: usize = 3;

/// Rows 0 to 2 in general position, 3 a copy of 0, 4 zero, 5 constant, 6 the negative of 1, and more in general position.
pub fn images(n: usize, shape: &InputShape, seed: u64) -> Mat<f64> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut draw = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    let mut x = Mat::from_fn(n, shape.width(), |_, _| draw());
    for i in 3..n.min(7) {
        let (from, scale, shift) = [(0, 1.0, 0.0), (0, 0.0, 0.0), (0, 0.0, 0.7), (1, -1.0, 0.0)][i - 3];
        let row: Vec<f64> = x.row(from).iter().map(|v| v * scale + shift).collect();
        x.row_mut(i).copy_from_slice(&row);
    }
    x
}
