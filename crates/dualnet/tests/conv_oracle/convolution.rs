//! Convolutional networks of width 256: their covariance, and their tangent kernel by a backward pass.

use super::draws::{Normal, consistent, dot};
use dualnet::kernel::InputShape;
use dualnet::net::Net;
use dualnet::oracle::conv::{Same, kernel};

const WIDTH: usize = 256;
const SIDE: usize = 4;
const POSITIONS: usize = SIDE * SIDE;
const CHANNELS: usize = 2;
const W: f64 = 1.3;
const B: f64 = 0.4;

/// 3x3, zeros around the image or the image again.
#[derive(Clone, Copy, PartialEq)]
enum Edge {
    Zero,
    Wrap,
}

/// Position and tap -> position; `None` outside.
fn taps(edge: Edge) -> Vec<[Option<usize>; 9]> {
    let along = |i: usize, d: usize| match (edge, i + d) {
        (Edge::Zero, 0) => None,
        (Edge::Zero, at) => Some(at - 1).filter(|at| *at < SIDE),
        (Edge::Wrap, at) => Some((at + SIDE - 1) % SIDE),
    };
    let tap = |p: usize, d: usize| Some(along(p / SIDE, d / 3)? * SIDE + along(p % SIDE, d % 3)?);
    (0..POSITIONS).map(|p| std::array::from_fn(|d| tap(p, d))).collect()
}

/// The nine neighbours of every position side by side.
fn patches(h: &[Vec<f64>], taps: &[[Option<usize>; 9]]) -> Vec<Vec<f64>> {
    let zeros = vec![0.0; h[0].len()];
    let row = |taps: &[Option<usize>; 9]| taps.iter().flat_map(|at| at.map_or(&zeros, |at| &h[at]).clone()).collect();
    taps.iter().map(row).collect()
}

/// A layer of `WIDTH` channels: weights with the fan-in last, and biases.
struct Layer {
    weights: Vec<Vec<f64>>,
    biases: Vec<f64>,
}

impl Layer {
    fn draw(fan_in: usize, normal: &mut Normal) -> Self {
        Self { weights: (0..WIDTH).map(|_| normal.many(fan_in)).collect(), biases: normal.many(WIDTH) }
    }

    fn scale(&self) -> f64 {
        W / (self.weights[0].len() as f64).sqrt()
    }

    /// z = W / sqrt(fan-in) weights x + B biases at every position.
    fn forward(&self, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let unit = |x: &[f64], i: usize| self.scale() * dot4(&self.weights[i], x) + B * self.biases[i];
        x.iter().map(|x| (0..WIDTH).map(|i| unit(x, i)).collect()).collect()
    }

    /// Gradients with respect to x from those with respect to z.
    fn backward(&self, g: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let row = |g: &Vec<f64>| {
            let mut out = vec![0.0; self.weights[0].len()];
            for (g, weights) in g.iter().zip(&self.weights) {
                out.iter_mut().zip(weights).for_each(|(out, w)| *out += self.scale() * g * w);
            }
            out
        };
        g.iter().map(row).collect()
    }
}

/// A product in four sums, which runs on vectors.
fn dot4(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    for (a, b) in a.chunks(4).zip(b.chunks(4)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

/// What the tangent kernel of a layer needs of one image: its inputs, and the gradients of the output with respect to its outputs.
struct Pass {
    inputs: [Vec<Vec<f64>>; 2],
    gradients: [Vec<Vec<f64>>; 2],
    pooled: Vec<f64>,
}

/// conv relu conv relu mean dense.
fn pass(image: &[f64], layers: &[Layer; 2], readout: &[f64], edges: [Edge; 2]) -> Pass {
    let taps = edges.map(taps);
    let relu = |z: &[Vec<f64>]| -> Vec<Vec<f64>> { z.iter().map(|z| z.iter().map(|z| z.max(0.0)).collect()).collect() };
    let slope = |g: f64, z: f64| if z > 0.0 { g } else { 0.0 };
    let pixels: Vec<Vec<f64>> = image.chunks(CHANNELS).map(<[f64]>::to_vec).collect();
    let first = patches(&pixels, &taps[0]);
    let z1 = layers[0].forward(&first);
    let second = patches(&relu(&z1), &taps[1]);
    let z2 = layers[1].forward(&second);
    let pooled = (0..WIDTH).map(|i| z2.iter().map(|z| z[i].max(0.0)).sum::<f64>() / POSITIONS as f64).collect();
    let scale = W / (WIDTH as f64).sqrt() / POSITIONS as f64;
    let at_output = |z: &Vec<f64>| z.iter().zip(readout).map(|(z, v)| slope(scale * v, *z)).collect();
    let g2: Vec<Vec<f64>> = z2.iter().map(at_output).collect();
    let mut g1 = vec![vec![0.0; WIDTH]; POSITIONS];
    for (taps, from) in taps[1].iter().zip(layers[1].backward(&g2)) {
        for (at, from) in taps.iter().zip(from.chunks(WIDTH)) {
            if let Some(at) = at {
                let z = &z1[*at];
                g1[*at].iter_mut().zip(from).zip(z).for_each(|((g, from), z)| *g += slope(*from, *z));
            }
        }
    }
    Pass { inputs: [first, second], gradients: [g1, g2], pooled }
}

/// (NNGP given the layers before the readout, tangent kernel).
fn empirical(a: &Pass, b: &Pass) -> (f64, f64) {
    let nngp = W * W * dot(&a.pooled, &b.pooled) / WIDTH as f64 + B * B;
    let mut ntk = nngp;
    for layer in 0..2 {
        for (g, x) in a.gradients[layer].iter().zip(&a.inputs[layer]) {
            for (h, y) in b.gradients[layer].iter().zip(&b.inputs[layer]) {
                ntk += dot4(g, h) * (W * W * dot4(x, y) / x.len() as f64 + B * B);
            }
        }
    }
    (nngp, ntk)
}

#[test]
fn wide_networks_have_these_kernels() {
    let net = Net::from_json(&format!(
        r#"{{"w_std":{W},"b_std":{B},"layers":["conv","relu",{{"conv":{{"padding":"circular"}}}},"relu","global_avg_pool","dense"]}}"#
    ));
    let (net, shape) = (net.unwrap(), InputShape::image(SIDE, SIDE, CHANNELS));
    let mut normal = Normal::new(1);
    let (x, y) = (normal.many(shape.width()), normal.many(shape.width()));
    let networks: Vec<_> = (0..24)
        .map(|seed| {
            let mut normal = Normal::new(100 + seed);
            let layers = [9 * CHANNELS, 9 * WIDTH].map(|fan_in| Layer::draw(fan_in, &mut normal));
            let readout = normal.many(WIDTH);
            [&x, &y].map(|image| pass(image, &layers, &readout, [Edge::Zero, Edge::Wrap]))
        })
        .collect();
    for (name, first, second, i, j) in [("(x, y)", &x, &y, 0, 1), ("(x, x)", &x, &x, 0, 0)] {
        let limit = kernel(&net, &shape, first, second, Same::No).unwrap();
        let found: Vec<_> = networks.iter().map(|network| empirical(&network[i], &network[j])).collect();
        consistent(name, &found, limit, limit, 2.0 / WIDTH as f64);
    }
}
