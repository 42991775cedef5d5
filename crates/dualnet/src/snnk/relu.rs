//! ReLU-SNNK: the same ReLU features of inputs and of parameters (snnk.md, section 3).

use super::count::{Count, Counted};
use super::{Snnk, checked_parameters};
use crate::error::{Error, Result};
use crate::features::pointwise::{Extended, Function, Pointwise, finite};
use crate::features::{ArcCosine, FeatureMap, TILE, same_length, transform};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef};
use crate::resources::Resources;
use crate::simd::Isa;
use crate::transform::ProjectionKind;

/// How a [`ReluSnnk`] is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReluOptions {
    /// How the rows of G are drawn.
    pub projection: ProjectionKind,
    /// c of max(G x, c).
    pub threshold: f64,
    /// A further input that is always this number and meets the bias of a layer. 0: layers have no biases.
    pub constant: f64,
    /// Layer of a tower, below 2^20: layers have draws of their own.
    pub layer: u32,
}

impl Default for ReluOptions {
    /// Gaussian projection, threshold 0, no biases, layer 0.
    fn default() -> Self {
        Self { projection: ProjectionKind::Gaussian, threshold: 0.0, constant: 0.0, layer: 0 }
    }
}

/// Phi(x) = max(G x, c) / sqrt(m) and Psi(w) = max(G w, c) / sqrt(m) ("Scalable Neural Network Kernels", ReLU-SNNK).
///
/// Its mean is the arc-cosine kernel of x and w ([`half_arc_cosine`] for c = 0), which is not ReLU(w . x): for c = 0 it
/// is at least 0, grows with |x| |w| and vanishes only where x and w are opposite. As a layer with free parameters it
/// is a two-layer network whose first layer is fixed; as a stand-in for a trained ReLU layer it is wrong by what the
/// two functions differ, however many features it has.
///
/// With `constant` s, x becomes (x, s) and a row of weights with its bias (w, b).
///
/// ```
/// use dualnet::snnk::{ReluOptions, ReluSnnk, Snnk, half_arc_cosine};
/// use dualnet::{Mat, Resources, features::transform};
/// let resources = Resources::new(1)?;
/// let map = ReluSnnk::draw(2, 20_000, ReluOptions::default(), &resources)?;
/// let (x, w) = (Mat::from_vec(1, 2, vec![1.0, 0.0])?, Mat::from_vec(1, 2, vec![0.0, 2.0])?);
/// let phi = transform(&map, x.as_ref(), &resources)?;
/// let psi = map.psi(w.as_ref(), &[], &resources)?;
/// let y: f64 = phi.row(0).iter().zip(psi.row(0)).map(|(a, b)| a * b).sum();
/// assert!((y - half_arc_cosine(x.row(0), w.row(0))?).abs() < 0.02);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReluSnnk<T> {
    map: Pointwise<T>,
    threshold: f64,
    constant: f64,
}

/// |x| |w| (sin theta + (pi - theta) cos theta) / 2 pi, theta the angle of x and w: what a [`ReluSnnk`] without threshold
/// estimates. Half the arc-cosine kernel of order 1 (Cho and Saul 2009, equation 6).
///
/// # Errors
/// Vectors of different lengths.
///
/// ```
/// use dualnet::snnk::half_arc_cosine;
/// assert!((half_arc_cosine(&[3.0, 4.0], &[3.0, 4.0])? - 12.5).abs() < 1e-14);
/// assert!(half_arc_cosine(&[3.0, 4.0], &[-3.0, -4.0])?.abs() < 1e-14);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn half_arc_cosine<T: Float>(x: &[T], w: &[T]) -> Result<f64> {
    ArcCosine::Relu.expected(x, w)
}

impl<T: Float> ReluSnnk<T> {
    /// `features` features of inputs with `inputs` columns, drawn with the seed of `resources`.
    ///
    /// # Errors
    /// No features or columns; options that are not finite; memory.
    pub fn draw(inputs: usize, features: usize, options: ReluOptions, resources: &Resources) -> Result<Self> {
        let drawn = (options.projection, options.layer);
        let function = Function::floor(options.threshold)?;
        finite("constant input", options.constant)?;
        // Unit biases, which the constant multiplies on one side and the layer's biases on the other.
        let bias_std = if options.constant == 0.0 { 0.0 } else { 1.0 };
        let map = Pointwise::draw((inputs, features), drawn, bias_std, function, resources)?;
        Ok(Self { map, threshold: options.threshold, constant: options.constant })
    }

    /// With G (m, d) given instead of drawn, and no constant input.
    ///
    /// # Errors
    /// No entries, or some that are not finite; a threshold that is not.
    pub fn with_rows(rows: Mat<T>, threshold: f64) -> Result<Self> {
        let map = Pointwise::new(rows, Vec::new(), Function::floor(threshold)?)?.averaged();
        Ok(Self { map, threshold, constant: 0.0 })
    }

    /// What Phi(x) . Psi(w, bias) estimates.
    ///
    /// # Errors
    /// Other lengths than the map's inputs.
    pub fn expected(&self, x: &[T], w: &[T], bias: T) -> Result<f64> {
        same_length(self.map.inputs(), x, w)?;
        let extended = |x: &[T], last: f64| x.iter().map(|x| x.to_f64()).chain([last]).collect::<Vec<f64>>();
        let bias = if self.constant == 0.0 { 0.0 } else { bias.to_f64() };
        ArcCosine::Threshold(self.threshold).expected(&extended(x, self.constant), &extended(w, bias))
    }

    /// Features of rows, each with a number that multiplies the biases.
    fn features(&self, x: MatRef<'_, T>, multiplier: impl Fn(usize) -> T, resources: &Resources) -> Result<Mat<T>> {
        let d = x.cols();
        let extended = Mat::from_fn(x.rows(), d + 1, |i, j| if j < d { x.row(i)[j] } else { multiplier(i) });
        transform(&Extended(&self.map), extended.as_ref(), resources)
    }
}

impl<T: Float> FeatureMap<T> for ReluSnnk<T> {
    fn inputs(&self) -> usize {
        self.map.inputs()
    }
    fn dim(&self) -> usize {
        self.map.dim()
    }
    fn scratch(&self) -> usize {
        self.map.scratch()
    }
    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let constant = [T::from_f64(self.constant); TILE];
        self.map.tile(x, out, scratch, isa, Some(&constant))
    }
}

impl<T: Float> Snnk<T> for ReluSnnk<T> {
    fn psi(&self, weights: MatRef<'_, T>, biases: &[T], resources: &Resources) -> Result<Mat<T>> {
        checked_parameters(self.map.inputs(), weights, biases)?;
        if let Some(row) = biases.iter().position(|b| *b != T::default() && self.constant == 0.0) {
            return Err(Error::Invalid {
                what: format!("bias {row} of a ReLU-SNNK without a constant input"),
                expected: "0".into(),
                found: biases[row].to_f64().to_string(),
                hint: "draw it with ReluOptions::constant = 1".into(),
            });
        }
        self.features(weights, |i| biases.get(i).copied().unwrap_or_default(), resources)
    }
}

impl<T: Float> Counted for ReluSnnk<T> {
    fn count(&self) -> Count {
        Count::of(&self.map)
    }
}
