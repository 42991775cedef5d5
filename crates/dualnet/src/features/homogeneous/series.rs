//! The kernels of a net of homogeneous activations as power series in the cosine.
//!
//! Where every activation is a min(x, 0) + b max(x, 0) and there are no biases, NNGP and NTK are K(x, y) = |x| |y| kappa(cos) with
//! kappa(rho) = sum c_l rho^l, all c_l >= 0 (Schoenberg), on [-1, 1]. A layer maps the series g of the correlation before it,
//! with kappa_0 and kappa_1 of the arc-cosine kernels (Cho and Saul 2009) for two slopes (docs/kernels.md):
//!
//! kdot(g) = (a + b)^2/4 + (a - b)^2/(2 pi) asin g, k(g)' = kdot(g) g', k(g_0) in closed form.
//!
//! asin g is found from its derivative g' (1 - g^2)^{-1/2}, and the power by the recurrence of power series (Knuth, The Art of Computer
//! Programming 2, section 4.7). Every term of every sum here has one sign, so that nothing cancels: coefficients are right to
//! a few units in the last place times their order, whatever the depth.

use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::kernel::Get;
use crate::net::{DualChoice, Layer, Net, Op};
use std::f64::consts::PI;

/// kappa of a net: K(x, y) = |x| |y| kappa(cos of x and y).
///
/// ```
/// use dualnet::features::HomogeneousSeries;
/// use dualnet::{kernel::Get, net::Net};
/// let kappa = HomogeneousSeries::of(&Net::parse("fc-relu-1")?, 10, Get::Nngp, 100)?;
/// // 2/d (sqrt(1 - rho^2) + (pi - acos rho) rho)/pi: 2/(pi d), 1/d, 1/(pi d), 0, ...
/// assert!((kappa.coefficients()[0] - 0.2 / std::f64::consts::PI).abs() < 1e-16);
/// assert!((kappa.coefficients()[1] - 0.1).abs() < 1e-16 && kappa.coefficients()[3] == 0.0);
/// assert!((kappa.at(0.5) - 0.2 * (0.75f64.sqrt() / std::f64::consts::PI + 1.0 / 3.0)).abs() < 1e-15);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HomogeneousSeries {
    coefficients: Vec<f64>,
    total: f64,
}

impl HomogeneousSeries {
    /// The first `order` + 1 coefficients of the NNGP or the NTK of `net` for rows of `inputs` columns. Cost: order^2 operations a
    /// layer, a few times.
    ///
    /// # Errors
    /// A layer that is not homogeneous of degree 1: another activation, a bias, layer_norm, dropout, a product, a layer over
    /// positions; both kernels at once.
    pub fn of(net: &Net, inputs: usize, get: Get, order: usize) -> Result<Self> {
        let end = walk(net, inputs, Coefficients::cosine(order))?;
        let (c, t) = ((end.c.0, end.p), (end.t.0, end.own));
        let (coefficients, total) = choose(get, c, t)?;
        Ok(Self { coefficients, total })
    }

    /// c_0, c_1, ..., each 0 or positive.
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }
    /// kappa(1), the sum of all coefficients, those beyond the order included.
    pub fn total(&self) -> f64 {
        self.total
    }
    /// The sum of the terms there are, at a cosine in [-1, 1].
    pub fn at(&self, cosine: f64) -> f64 {
        self.coefficients.iter().rev().fold(0.0, |sum, c| sum * cosine + c)
    }
}

/// kappa(cosine) in closed form, layer by layer, to about 1e-8 of kappa(1).
pub(super) fn value(net: &Net, inputs: usize, get: Get, cosine: f64) -> Result<f64> {
    let end = walk(net, inputs, cosine)?;
    Ok(choose(get, (end.c, end.p), (end.t, end.own))?.0)
}

fn choose<V>(get: Get, nngp: V, ntk: V) -> Result<V> {
    match get {
        Get::Nngp => Ok(nngp),
        Get::Ntk => Ok(ntk),
        Get::Both => Err(Error::Invalid {
            what: "the kernel of a homogeneous net".into(),
            expected: "either NNGP or NTK".into(),
            found: "both".into(),
            hint: "make one of each".into(),
        }),
    }
}

/// What is carried through the layers for a pair of unit vectors: a number at one cosine, or a series in the cosine.
trait Value: Clone {
    /// `self * factor`.
    fn scaled(self, factor: f64) -> Self;
    /// `self + other`.
    fn plus(self, other: &Self) -> Self;
    /// `self * other`.
    fn times(self, other: &Self) -> Self;
    /// k and kdot of the correlation `self`, at variances 1.
    fn dual(&self, slopes: Slopes) -> (Self, Self);
}

/// Slopes below and above 0.
#[derive(Clone, Copy)]
struct Slopes(f64, f64);

impl Slopes {
    /// The factor of the bend, (a - b)^2 / (2 pi).
    fn kink(self) -> f64 {
        (self.0 - self.1).powi(2) / (2.0 * PI)
    }
    /// kdot at a right angle, (a + b)^2 / 4.
    fn right(self) -> f64 {
        (self.0 + self.1).powi(2) / 4.0
    }
    /// The factor of the variance.
    fn gain(self) -> f64 {
        0.5 * (self.0 * self.0 + self.1 * self.1)
    }
}

impl Value for f64 {
    fn scaled(self, factor: f64) -> Self {
        self * factor
    }
    fn plus(self, other: &Self) -> Self {
        self + other
    }
    fn times(self, other: &Self) -> Self {
        self * other
    }
    fn dual(&self, slopes: Slopes) -> (Self, Self) {
        let g = self.clamp(-1.0, 1.0);
        let sin = ((1.0 - g) * (1.0 + g)).sqrt();
        let kdot = slopes.right() + slopes.kink() * g.atan2(sin);
        (slopes.kink() * sin + g * kdot, kdot)
    }
}

/// Coefficients of a power series in the cosine.
#[derive(Clone)]
struct Coefficients(Vec<f64>);

impl Coefficients {
    fn cosine(order: usize) -> Self {
        let mut out = vec![0.0; order + 1];
        out.iter_mut().skip(1).take(1).for_each(|c| *c = 1.0);
        Self(out)
    }

    /// The series that starts with `first` and whose derivative is g' f: n s_n = sum over j of j g_j f_{n-j}.
    fn integral(first: f64, g: &[f64], f: &[f64]) -> Vec<f64> {
        let term = |n: usize| (1..=n).map(|j| j as f64 * g[j] * f[n - j]).sum::<f64>() / n as f64;
        (0..g.len()).map(|n| if n == 0 { first } else { term(n) }).collect()
    }

    /// (1 - g^2)^{-1/2}: with h = 1 - g^2, n h_0 w_n = sum over k of (k/2 - n) h_k w_{n-k}.
    fn inverse_root(g: &[f64]) -> Vec<f64> {
        let square = product(g, g);
        let first = (1.0 - g[0]) * (1.0 + g[0]);
        let mut w = Vec::with_capacity(g.len());
        w.push(1.0 / first.sqrt());
        for n in 1..g.len() {
            let sum: f64 = (1..=n).map(|k| (n as f64 - 0.5 * k as f64) * square[k] * w[n - k]).sum();
            w.push(sum / (n as f64 * first));
        }
        w
    }
}

/// The product of two series, as far as they go.
fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    (0..a.len()).map(|n| (0..=n).map(|j| a[j] * b[n - j]).sum()).collect()
}

impl Value for Coefficients {
    fn scaled(mut self, factor: f64) -> Self {
        self.0.iter_mut().for_each(|c| *c *= factor);
        self
    }
    fn plus(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a += b);
        self
    }
    fn times(self, other: &Self) -> Self {
        Self(product(&self.0, &other.0))
    }
    fn dual(&self, slopes: Slopes) -> (Self, Self) {
        let g = &self.0;
        let (first, _) = g[0].dual(slopes);
        let asin = Self::integral(g[0].asin(), g, &Self::inverse_root(g));
        let mut kdot = Self(asin).scaled(slopes.kink());
        kdot.0[0] += slopes.right();
        (Self(Self::integral(first, g, &kdot.0)), kdot)
    }
}

/// Behind some layer: covariance and tangent kernel of a pair, and both of a unit vector with itself.
#[derive(Clone)]
struct State<V> {
    c: V,
    t: V,
    p: f64,
    own: f64,
}

impl<V: Value> State<V> {
    fn scaled(self, factor: f64) -> Self {
        Self { c: self.c.scaled(factor), t: self.t.scaled(factor), p: self.p * factor, own: self.own * factor }
    }
    fn plus(self, other: &Self) -> Self {
        Self { c: self.c.plus(&other.c), t: self.t.plus(&other.t), p: self.p + other.p, own: self.own + other.own }
    }
}

/// Each layer is one step, so that layers and steps go side by side.
fn walk<V: Value>(net: &Net, inputs: usize, cosine: V) -> Result<State<V>> {
    let p = 1.0 / inputs as f64;
    let start = State { t: cosine.clone().scaled(0.0), c: cosine.scaled(p), p, own: 0.0 };
    chain(&net.ops(inputs)?, &net.spec().layers, "layers", start)
}

fn chain<V: Value>(ops: &[Op], layers: &[Layer], at: &str, mut state: State<V>) -> Result<State<V>> {
    for (i, (op, layer)) in ops.iter().zip(layers).enumerate() {
        let at = format!("{at}[{i}].{}", layer.name());
        state = step(op, layer, &at, state)?;
    }
    Ok(state)
}

fn step<V: Value>(op: &Op, layer: &Layer, at: &str, s: State<V>) -> Result<State<V>> {
    match op {
        Op::Affine { b2, tangent, .. } if *b2 != 0.0 || tangent.constant != 0.0 => {
            Err(refused(at, "a bias", "set b_std to 0"))
        }
        Op::Affine { w2, tangent: g, .. } => {
            let c = s.c.clone().scaled(*w2);
            let t = s.t.scaled(g.carry).plus(&s.c.scaled(g.from_input)).plus(&c.clone().scaled(g.from_output));
            let p = w2 * s.p;
            Ok(State { c, t, p, own: g.carry * s.own + g.from_input * s.p + g.from_output * p })
        }
        Op::Activation { activation, choice, .. } => {
            if *choice != DualChoice::Default {
                return Err(refused(at, "a numerical dual", "leave the key dual out"));
            }
            let Some(slopes) = slopes(activation) else {
                let hint = "use relu, leaky_relu, abs, abrelu or identity, or features layer by layer";
                return Err(refused(at, "an activation that is not homogeneous of degree 1", hint));
            };
            let p = s.p * slopes.gain();
            if slopes.0 == slopes.1 || s.p == 0.0 {
                return Ok(s.scaled(slopes.0 * slopes.1));
            }
            let (k, kdot) = s.c.scaled(1.0 / s.p).dual(slopes);
            Ok(State { c: k.scaled(s.p), t: s.t.times(&kdot), p, own: s.own * slopes.gain() })
        }
        Op::Sum(branches) => join(branches.iter().map(|ops| (1.0, ops)), layer, at, &s),
        Op::Concat(branches) => join(branches.iter().map(|(weight, ops)| (*weight, ops)), layer, at, &s),
        Op::LayerNorm { .. } => Err(refused(at, "a normalisation, which is homogeneous of degree 0", "leave it out")),
        Op::Dropout { .. } => Err(refused(at, "dropout, which treats a row and its copy differently", "leave it out")),
        Op::Product(_) => Err(refused(at, "a product, whose degrees add up", "use sum, or features layer by layer")),
        _ => Err(refused(at, "a layer over positions", "use a net of dense layers")),
    }
}

fn join<'a, V: Value>(
    branches: impl Iterator<Item = (f64, &'a Vec<Op>)>,
    layer: &Layer,
    at: &str,
    s: &State<V>,
) -> Result<State<V>> {
    let mut total = s.clone().scaled(0.0);
    for (i, (weight, ops)) in branches.enumerate() {
        // A residual layer is the sum of the empty branch and its own.
        let (layers, at) = match layer {
            Layer::Residual(inner) => (inner.as_slice(), at.to_owned()),
            Layer::Sum(all) | Layer::Concat(all) => (all.get(i).map_or(&[][..], Vec::as_slice), format!("{at}[{i}]")),
            _ => (&[][..], at.to_owned()),
        };
        total = total.plus(&chain(ops, layers, &at, s.clone())?.scaled(weight));
    }
    Ok(total)
}

/// Slopes of the activations that are homogeneous of degree 1.
fn slopes(activation: &Activation) -> Option<Slopes> {
    match activation {
        Activation::Identity | Activation::Monomial { degree: 1 } => Some(Slopes(1.0, 1.0)),
        Activation::Relu | Activation::RectifiedMonomial { degree: 1 } => Some(Slopes(0.0, 1.0)),
        Activation::LeakyRelu { alpha } => Some(Slopes(*alpha, 1.0)),
        Activation::Abs => Some(Slopes(-1.0, 1.0)),
        Activation::Abrelu { a, b } => Some(Slopes(*a, *b)),
        _ => None,
    }
}

fn refused(at: &str, what: &str, hint: &str) -> Error {
    Error::Unsupported {
        at: at.into(),
        what: format!("{what}, in the sketch of a homogeneous net,"),
        hint: hint.into(),
    }
}
