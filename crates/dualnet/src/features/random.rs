//! Random features of an activation: a layer of a wide random network as a feature map.

use super::pointwise::{Function, Pointwise, feature_map_of_field, finite};
use crate::activation::Activation;
use crate::dual::{DynDual, Pair, Precision, dual_of};
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::Mat;
use crate::net::spec::DualChoice;
use crate::resources::Resources;
use crate::transform::ProjectionKind;
use std::sync::Arc;

/// How random features are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomOptions {
    /// How the rows of G are drawn.
    pub projection: ProjectionKind,
    /// What G x is multiplied by: the standard deviation of a weight.
    pub scale: f64,
    /// Standard deviation of a bias.
    pub bias_std: f64,
    /// Layer of a tower, below 2^20: layers have draws of their own.
    pub layer: u32,
}

impl Default for RandomOptions {
    /// Gaussian projection, scale 1, no bias, layer 0.
    fn default() -> Self {
        Self { projection: ProjectionKind::Gaussian, scale: 1.0, bias_std: 0.0, layer: 0 }
    }
}

/// Phi_j(x) = phi(scale g_j . x + bias_std b_j) / sqrt(m), g_j and b_j standard normal.
///
/// E Phi(x) . Phi(y) = k(c, p, q), the dual of phi, at p = scale^2 |x|^2 + bias_std^2, q likewise and
/// c = scale^2 x . y + bias_std^2 (Rahimi and Recht 2007 for the cosine; Cho and Saul 2009 for ReLU). The error of one
/// entry is of the order 1/sqrt(m). A row costs 2 d m operations (fewer with a structured projection) and m values of
/// phi.
///
/// ```
/// use dualnet::features::{RandomFeatures, RandomOptions, transform};
/// use dualnet::{Mat, Resources, activation::Activation};
/// let resources = Resources::new(1)?.with_seed(1);
/// let map = RandomFeatures::draw(Activation::Relu, 2, 20_000, &RandomOptions::default(), &resources)?;
/// let x = Mat::from_vec(2, 2, vec![1.0, 0.0, 0.0, 1.0])?;
/// let f = transform(&map, x.as_ref(), &resources)?;
/// let estimate: f64 = f.row(0).iter().zip(f.row(1)).map(|(a, b)| a * b).sum();
/// // Orthogonal unit vectors: 1/(2 pi).
/// assert!((map.expected(x.row(0), x.row(1))? - 0.5 / std::f64::consts::PI).abs() < 1e-15);
/// assert!((estimate - 0.5 / std::f64::consts::PI).abs() < 0.01);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomFeatures<T> {
    map: Pointwise<T>,
    dual: Arc<dyn DynDual>,
    options: RandomOptions,
}

impl<T: Float> RandomFeatures<T> {
    /// `features` features of inputs with `inputs` columns, drawn with the seed of `resources`.
    ///
    /// # Errors
    /// No features or columns; an activation that is a kernel only (`hermite`, `exp_normalized`); options that are not
    /// finite; memory.
    pub fn draw(
        activation: Activation,
        inputs: usize,
        features: usize,
        options: &RandomOptions,
        resources: &Resources,
    ) -> Result<Self> {
        let drawn = (options.projection, options.layer);
        let (function, dual) = parts(activation)?;
        let map = Pointwise::draw((inputs, features), drawn, options.bias_std, function, resources)?;
        Ok(Self { map: map.scaled(options.scale)?, dual, options: *options })
    }

    /// With G (m, d) and b (m, or empty: 0) given, instead of drawn; `options.projection` and `options.layer` say
    /// nothing.
    ///
    /// # Errors
    /// As [`Self::draw`]; entries that are not finite; another number of biases than rows.
    pub fn with_rows(activation: Activation, rows: Mat<T>, biases: &[T], options: &RandomOptions) -> Result<Self> {
        finite("standard deviation of the biases", options.bias_std)?;
        let (function, dual) = parts(activation)?;
        let biases = biases.iter().map(|b| T::from_f64(options.bias_std * b.to_f64())).collect();
        let map = Pointwise::new(rows, biases, function)?.averaged().scaled(options.scale)?;
        Ok(Self { map, dual, options: *options })
    }

    pub(crate) fn map(&self) -> &Pointwise<T> {
        &self.map
    }

    /// How they were drawn.
    pub fn options(&self) -> &RandomOptions {
        &self.options
    }

    /// What Phi(x) . Phi(y) estimates: the dual of the activation, in closed form where one is known, by a Hermite
    /// expansion of the default degree elsewhere.
    ///
    /// # Errors
    /// Other lengths than the map's inputs.
    pub fn expected(&self, x: &[T], y: &[T]) -> Result<f64> {
        same_length(self.map.inputs(), x, y)?;
        let scale = self.options.scale;
        let extended = |x: &[T]| extend(x, |_| scale, self.options.bias_std);
        Ok(expectation(self.dual.as_ref(), &pair_of(&extended(x), &extended(y))))
    }
}

fn parts(activation: Activation) -> Result<(Function, Arc<dyn DynDual>)> {
    let dual = dual_of(&activation, DualChoice::Default, Precision::F64);
    let function = Function::of(activation)?;
    Ok((function, dual?))
}

feature_map_of_field!(RandomFeatures);

/// k of one pair.
pub(crate) fn expectation(dual: &dyn DynDual, x: &Pair<f64>) -> f64 {
    dual.pair(*x).k
}

/// x with each column times its factor, and one more entry.
pub(crate) fn extend<T: Float>(x: &[T], factor: impl Fn(usize) -> f64, last: f64) -> Vec<f64> {
    x.iter().enumerate().map(|(j, x)| factor(j) * x.to_f64()).chain([last]).collect()
}

/// Variances and covariance of g . x and g . y, g standard normal; 1 - |rho| from the difference of the unit vectors,
/// which has no cancellation.
pub(crate) fn pair_of(x: &[f64], y: &[f64]) -> Pair<f64> {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>();
    let (c, p, q) = (dot(x, y), dot(x, x), dot(y, y));
    let (sp, sq) = (p.sqrt(), q.sqrt());
    let sign = if c < 0.0 { -1.0 } else { 1.0 };
    let gaps = x.iter().zip(y).map(|(a, b)| a / sp - sign * b / sq);
    let delta = if sp * sq > 0.0 { (0.5 * gaps.map(|g| g * g).sum::<f64>()).min(1.0) } else { 1.0 };
    Pair { c, p, q, sp, sq, delta }
}

pub(crate) fn same_length<T>(expected: usize, x: &[T], y: &[T]) -> Result<()> {
    if x.len() == expected && y.len() == expected {
        return Ok(());
    }
    Err(Error::Shape {
        what: "a pair of inputs".into(),
        expected: format!("{expected} numbers each"),
        found: format!("{} and {}", x.len(), y.len()),
    })
}
