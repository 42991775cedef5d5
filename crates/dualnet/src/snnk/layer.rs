//! One layer in both its forms: dense, f(W x + b), and as a dot product of features, f(T Phi(x) + c).

use super::bound::layer_lipschitz;
use super::count::{Count, Counted, CountedMap, CountedSnnk};
use super::tower::Tower;
use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::features::pointwise::{Function, Pointwise, feature_map_of_field};
use crate::features::{FeatureMap, TILE, transform};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef};
use crate::resources::Resources;
use crate::simd::Isa;
use std::sync::Arc;

/// x -> f(W x + b), entry by entry. A [`FeatureMap`] from d columns to l.
///
/// ```
/// use dualnet::{Mat, Resources, activation::Activation, snnk::DenseLayer};
/// let weights = Mat::from_vec(2, 2, vec![1.0, 2.0, -1.0, 0.0])?;
/// let layer = DenseLayer::new(weights, vec![0.5, 0.5], Activation::Relu)?;
/// let y = layer.forward(Mat::from_vec(1, 2, vec![1.0, 1.0])?.as_ref(), &Resources::new(1)?)?;
/// assert_eq!(y.row(0), [3.5, 0.0]);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DenseLayer<T> {
    map: Pointwise<T>,
    weights: Arc<Mat<T>>,
    activation: Activation,
}

impl<T: Float> DenseLayer<T> {
    /// `weights` (l, d), `biases` (l, or empty: 0).
    ///
    /// # Errors
    /// No weights; another number of biases; entries that are not finite; an activation that is a kernel only.
    pub fn new(weights: Mat<T>, biases: Vec<T>, activation: Activation) -> Result<Self> {
        let weights = Arc::new(weights);
        let map = Pointwise::shared(weights.clone(), biases, Function::of(activation.clone())?)?;
        Ok(Self { map, weights, activation })
    }

    /// W, (l, d).
    pub fn weights(&self) -> &Mat<T> {
        &self.weights
    }
    /// b, (l).
    pub fn biases(&self) -> &[T] {
        self.map.biases()
    }
    /// f.
    pub fn activation(&self) -> &Activation {
        &self.activation
    }

    /// Outputs (n, l) of the rows of `x` (n, d).
    ///
    /// # Errors
    /// As [`transform`].
    pub fn forward(&self, x: MatRef<'_, T>, resources: &Resources) -> Result<Mat<T>> {
        transform(self, x, resources)
    }
}

feature_map_of_field!(DenseLayer);

impl<T: Float> Counted for DenseLayer<T> {
    fn count(&self) -> Count {
        Count::dense::<T>(self.weights.cols(), self.weights.rows())
    }
}

/// x -> f(T Phi(x) + c): features of a [`Tower`] of maps, and a dense layer of l rows on them.
///
/// T is Psi(W, b) of a dense layer ([`Self::given`]), free ([`Self::free`]), fitted to outputs ([`Self::fit`]), or what
/// a bundle of layers collapses to ([`Self::absorb`]). f is the identity, unless an exact layer was folded in
/// ([`Self::fold`]).
#[derive(Clone, Debug)]
pub struct SnnkLayer<T> {
    tower: Tower<T>,
    head: DenseLayer<T>,
    /// What is known of Psi at each map that stood in for a layer.
    levels: Vec<Level>,
    /// Product of the Lipschitz constants of the layers folded in since the last level.
    gain: Option<f64>,
}

/// One map of a bundle and the Psi that belongs to it: what an error bound needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// max over outputs of |Psi_j|, for each feature j.
    pub peaks: Vec<f64>,
    /// Outputs of the layer.
    pub outputs: usize,
    /// Lipschitz constant of the layer in the largest entry: that of f times the largest sum of |W_ij| over a row.
    /// `None` where f has none.
    pub lipschitz: Option<f64>,
}

impl<T: Float> SnnkLayer<T> {
    /// T = Psi(W, b): an estimate of the layer, where `map` was made for its activation.
    ///
    /// # Errors
    /// Those of [`Snnk::psi`](super::Snnk::psi): shapes, biases that the map does not take, norms too large.
    ///
    /// ```
    /// use dualnet::snnk::{DenseLayer, ReluOptions, ReluSnnk, SnnkLayer};
    /// use dualnet::{Mat, Resources, activation::Activation};
    /// use std::sync::Arc;
    /// let resources = Resources::new(1)?;
    /// let layer = DenseLayer::new(Mat::from_fn(4, 3, |i, j| (i + j) as f64 / 4.0), vec![], Activation::Relu)?;
    /// let map = ReluSnnk::draw(3, 64, ReluOptions::default(), &resources)?;
    /// let snnk = SnnkLayer::given(Arc::new(map), &layer, &resources)?;
    /// assert_eq!((snnk.parameters().rows(), snnk.parameters().cols()), (4, 64));
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn given(map: Arc<dyn CountedSnnk<T>>, layer: &DenseLayer<T>, resources: &Resources) -> Result<Self> {
        let psi = map.psi(layer.weights().as_ref(), layer.biases(), resources)?;
        let level = Level::of(&psi, layer);
        let tower = Tower::new(vec![map as Arc<dyn CountedMap<T>>])?;
        Ok(Self {
            tower,
            head: DenseLayer::new(psi, Vec::new(), Activation::Identity)?,
            levels: vec![level],
            gain: Some(1.0),
        })
    }

    /// Free parameters `parameters` (l, m) and `biases` (l, or empty: 0) on the features of `tower`.
    ///
    /// # Errors
    /// Another number of columns than features; entries that are not finite.
    pub fn free(tower: Tower<T>, parameters: Mat<T>, biases: Vec<T>) -> Result<Self> {
        if parameters.cols() != tower.dim() {
            return Err(Error::Shape {
                what: "parameters of an SNNK layer".into(),
                expected: format!("{} columns, one a feature", tower.dim()),
                found: parameters.cols().to_string(),
            });
        }
        Ok(Self {
            tower,
            head: DenseLayer::new(parameters, biases, Activation::Identity)?,
            levels: Vec::new(),
            gain: Some(1.0),
        })
    }

    /// With `next` folded into the head.
    pub(super) fn with_head(&self, head: DenseLayer<T>, next: &DenseLayer<T>) -> Self {
        let gain = self.gain.zip(layer_lipschitz(next)).map(|(a, b)| a * b);
        Self { tower: self.tower.clone(), head, levels: self.levels.clone(), gain }
    }

    /// One map higher, with Psi of the layer `next` as parameters. The error of the layers before enters through the
    /// weights of `next`, and of what was folded in before it.
    pub(super) fn deeper(&self, map: Arc<dyn CountedMap<T>>, psi: Mat<T>, next: &DenseLayer<T>) -> Result<Self> {
        let mut level = Level::of(&psi, next);
        level.lipschitz = level.lipschitz.zip(self.gain).map(|(a, b)| a * b);
        let levels = self.levels.iter().cloned().chain([level]).collect();
        let head = DenseLayer::new(psi, Vec::new(), Activation::Identity)?;
        Ok(Self { tower: self.tower.then(map)?, head, levels, gain: Some(1.0) })
    }

    /// The maps of the inputs.
    pub fn tower(&self) -> &Tower<T> {
        &self.tower
    }
    /// The dense layer on the features.
    pub fn head(&self) -> &DenseLayer<T> {
        &self.head
    }
    /// T, (l, m).
    pub fn parameters(&self) -> &Mat<T> {
        self.head.weights()
    }
    /// Lipschitz constant, in the largest entry, of the layers folded in after the last map.
    pub fn gain(&self) -> Option<f64> {
        self.gain
    }
    /// The maps that stand in for layers, from the input on; none where T is free or fitted.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Outputs (n, l) of the rows of `x` (n, d).
    ///
    /// # Errors
    /// As [`transform`].
    pub fn forward(&self, x: MatRef<'_, T>, resources: &Resources) -> Result<Mat<T>> {
        transform(self, x, resources)
    }
}

impl Level {
    fn of<T: Float>(psi: &Mat<T>, layer: &DenseLayer<T>) -> Self {
        let mut peaks = vec![0.0f64; psi.cols()];
        for i in 0..psi.rows() {
            peaks.iter_mut().zip(psi.row(i)).for_each(|(peak, x)| *peak = peak.max(x.to_f64().abs()));
        }
        Self { peaks, outputs: psi.rows(), lipschitz: layer_lipschitz(layer) }
    }
}

impl<T: Float> FeatureMap<T> for SnnkLayer<T> {
    fn inputs(&self) -> usize {
        self.tower.inputs()
    }
    fn dim(&self) -> usize {
        self.head.dim()
    }
    fn scratch(&self) -> usize {
        TILE * self.tower.dim() + self.tower.scratch().max(self.head.scratch())
    }
    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let m = self.tower.dim();
        let (features, scratch) = scratch.split_at_mut(TILE * m);
        self.tower.tile(x, MatMut::new(features, TILE, m, m)?, scratch, isa)?;
        self.head.tile(MatRef::new(features, TILE, m, m)?, out, scratch, isa)
    }
}

impl<T: Float> Counted for SnnkLayer<T> {
    fn count(&self) -> Count {
        self.tower.count() + self.head.count()
    }
}
