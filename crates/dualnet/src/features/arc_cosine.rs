//! Arc-cosine features: steps, ReLUs and squared ReLUs of random projections, and a ReLU with a threshold.
//!
//! | function of z = g . x | E of a product, theta the angle of x and y |
//! |---|---|
//! | \[z >= 0\] | (pi - theta) / 2 pi |
//! | max(z, 0) | \|x\| \|y\| (sin theta + (pi - theta) cos theta) / 2 pi |
//! | max(z, 0)^2 | \|x\|^2 \|y\|^2 (3 sin theta cos theta + (pi - theta)(1 + 2 cos^2 theta)) / 2 pi |
//! | max(z, c) | an integral: [`ArcCosine::expected`] |
//!
//! These are half the kernels of Cho and Saul, "Kernel methods for deep learning" (2009), equations 3 to 7, which count
//! the half-space of every projection twice.

use super::pointwise::{Function, Pointwise, feature_map_of_field};
use super::random::{expectation, extend, pair_of, same_length};
use super::scaling::Scaling;
use crate::activation::Activation;
use crate::dual::quadrature_rule::Rule;
use crate::dual::rectified_monomial::RectifiedMonomial;
use crate::dual::{DynDual, Pair};
use crate::error::Result;
use crate::kernel::Float;
use crate::resources::Resources;
use crate::simd::Real;
use crate::transform::ProjectionKind;
use serde::{Deserialize, Serialize};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, PI};

/// The function of a projection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArcCosine {
    /// \[z >= 0\]: order 0.
    Step,
    /// max(z, 0): order 1.
    Relu,
    /// max(z, 0)^2: order 2.
    SquaredRelu,
    /// max(z, threshold).
    Threshold(f64),
}

impl ArcCosine {
    /// E f(g . x) f(g . y) for standard normal g: what the features of x and y multiply to on average.
    ///
    /// With a threshold c, by Price's theorem (twice in the covariance r of z and z'): with s, t the lengths of x and y
    /// and M(s) = E max(s z, c),
    ///
    /// E = M(s) M(t) + r P(s z > c) P(t z > c) + integral from 0 to asin(rho) of
    /// (r - s t sin u) exp(-(h^2 + k^2 - 2 h k sin u) / (2 cos^2 u)) du / 2 pi, h = c/s, k = c/t and r = rho s t,
    ///
    /// on 16 panels of 24 Gauss-Legendre points, narrower towards the end: 2e-12 of E for |c| up to 5 lengths.
    ///
    /// # Errors
    /// Vectors of different lengths; a threshold that is not finite.
    ///
    /// ```
    /// use dualnet::features::ArcCosine;
    /// let (x, y) = ([2.0, 0.0], [0.0, 1.0]);
    /// assert!((ArcCosine::Step.expected(&x, &y)? - 0.25).abs() < 1e-15);
    /// assert!((ArcCosine::Relu.expected(&x, &y)? - 1.0 / std::f64::consts::PI).abs() < 1e-15);
    /// // Independent projections: E max(2 z, 1) times E max(z, 1).
    /// assert!((ArcCosine::Threshold(1.0).expected(&x, &y)? - 1.395_593_114_802_7 * 1.083_315_470_587_7).abs() < 1e-12);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn expected<T: Float>(self, x: &[T], y: &[T]) -> Result<f64> {
        same_length(x.len(), x, y)?;
        self.function()?;
        let plain = |x: &[T]| extend(x, |_| 1.0, 0.0);
        Ok(self.of_pair(&pair_of(&plain(x), &plain(y))))
    }

    pub(crate) fn of_pair(self, x: &Pair<f64>) -> f64 {
        let dual = |degree| expectation(&RectifiedMonomial::new(degree) as &dyn DynDual, x);
        match self {
            // Where the projection is 0 the step is 1, whereas the dual takes the middle of the jump.
            Self::Step if x.r() == 0.0 => {
                if x.p == x.q {
                    1.0
                } else {
                    0.5
                }
            }
            Self::Step => dual(0),
            Self::Relu | Self::Threshold(0.0) => dual(1),
            Self::SquaredRelu => dual(2),
            Self::Threshold(c) => thresholded(c, x),
        }
    }

    pub(crate) fn function(self) -> Result<Function> {
        match self {
            Self::Step => Function::of(Activation::RectifiedMonomial { degree: 0 }),
            Self::Relu => Function::of(Activation::Relu),
            Self::SquaredRelu => Function::of(Activation::RectifiedMonomial { degree: 2 }),
            Self::Threshold(c) => Function::floor(c),
        }
    }
}

/// E max(u, c) max(v, c); see [`ArcCosine::expected`].
fn thresholded(c: f64, x: &Pair<f64>) -> f64 {
    let product = floored_mean(c, x.sp) * floored_mean(c, x.sq);
    if x.r() == 0.0 {
        return product;
    }
    let (h, k) = (c / x.sp, c / x.sq);
    let above = |h: f64| 0.5 * (1.0 - Real::erf(h * FRAC_1_SQRT_2));
    let sign = if x.c < 0.0 { -1.0 } else { 1.0 };
    // For rho < 0 the substitution u -> -u gives the same integral with -k for k. In the exponent
    // h^2 + k^2 - 2 h k sin u = (h - k)^2 + 2 h k (1 - sin u), and 1 - sin u = cos^2 u / (1 + sin u).
    let integrand = |u: f64| {
        let (sin, cos) = (u.sin(), (FRAC_PI_2 - u).sin());
        let gap = (h - sign * k) / cos;
        (1.0 - x.delta - sin) * (-0.5 * gap * gap - sign * h * k / (1.0 + sin)).exp()
    };
    let rule = Rule::gauss_legendre(24);
    let (end, panels) = (FRAC_PI_2 - x.delta.acos_one_minus(), 16);
    let (mut integral, mut from) = (0.0, 0.0);
    for panel in 1..=panels {
        // Half of what is left to pi/2, where the integrand is steep, until the end is nearer.
        let to = if panel == panels { end } else { (0.5 * (from + FRAC_PI_2)).min(end) };
        let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
        let points = rule.nodes.iter().zip(&rule.weights);
        integral += half * points.map(|(node, weight)| weight * integrand(middle + half * node)).sum::<f64>();
        from = to;
    }
    product + x.c * above(h) * above(k) + x.r() * integral / (2.0 * PI)
}

/// E max(s z, c) = s phi(c/s) + c Phi(c/s).
fn floored_mean(c: f64, s: f64) -> f64 {
    if s == 0.0 {
        return c.max(0.0);
    }
    let h = c / s;
    let density = (-0.5 * h * h).exp() / (2.0 * PI).sqrt();
    s * density + 0.5 * c * (1.0 + Real::erf(h * FRAC_1_SQRT_2))
}

/// How arc-cosine features are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct ArcCosineOptions {
    /// How the rows of G are drawn.
    pub projection: ProjectionKind,
    /// Factors of the inputs, such as [`Scaling::learn`] gives.
    pub scaling: Scaling,
    /// Standard deviation of a bias: as one more input that is always `bias_std`.
    pub bias_std: f64,
    /// Layer of a tower, below 2^20.
    pub layer: u32,
}

impl Default for ArcCosineOptions {
    /// Gaussian projection, inputs as they are, no bias, layer 0.
    fn default() -> Self {
        Self { projection: ProjectionKind::Gaussian, scaling: Scaling::None, bias_std: 0.0, layer: 0 }
    }
}

/// Phi_j(x) = f(g_j . S x + bias_std b_j) / sqrt(m), f an [`ArcCosine`] and S the factors of the inputs.
///
/// ```
/// use dualnet::features::{ArcCosine, ArcCosineFeatures, ArcCosineOptions, transform};
/// use dualnet::{Mat, Resources};
/// let resources = Resources::new(1)?;
/// let map = ArcCosineFeatures::draw(ArcCosine::Step, 3, 10_000, ArcCosineOptions::default(), &resources)?;
/// let f = transform(&map, Mat::from_vec(1, 3, vec![1.0, -2.0, 0.5])?.as_ref(), &resources)?;
/// // Half of all half-spaces hold a point.
/// assert!((f.row(0).iter().map(|f| f * f).sum::<f64>() - 0.5).abs() < 0.02);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ArcCosineFeatures<T> {
    map: Pointwise<T>,
    function: ArcCosine,
    options: ArcCosineOptions,
}

impl<T: Float> ArcCosineFeatures<T> {
    /// `features` features of inputs with `inputs` columns, drawn with the seed of `resources`.
    ///
    /// # Errors
    /// No features or columns; options that are not finite; factors for another number of columns; memory.
    pub fn draw(
        function: ArcCosine,
        inputs: usize,
        features: usize,
        options: ArcCosineOptions,
        resources: &Resources,
    ) -> Result<Self> {
        let drawn = (options.projection, options.layer);
        let map = Pointwise::draw((inputs, features), drawn, options.bias_std, function.function()?, resources)?;
        let map = map.with_scaling(options.scaling.clone())?;
        Ok(Self { map, function, options })
    }

    /// What Phi(x) . Phi(y) estimates.
    ///
    /// # Errors
    /// Other lengths than the map's inputs.
    pub fn expected(&self, x: &[T], y: &[T]) -> Result<f64> {
        same_length(self.map.inputs(), x, y)?;
        let extended = |x: &[T]| extend(x, |j| self.options.scaling.factor(j), self.options.bias_std);
        Ok(self.function.of_pair(&pair_of(&extended(x), &extended(y))))
    }

    pub(crate) fn map(&self) -> &Pointwise<T> {
        &self.map
    }

    /// How they were drawn.
    pub fn options(&self) -> &ArcCosineOptions {
        &self.options
    }
}

feature_map_of_field!(ArcCosineFeatures);
