//! Bundling: layers after an SNNK layer become part of its parameters (snnk.md, section 5).
//!
//! With y = T Phi(x) + c for the layers before, the next layer is f(W y + b) = f((W T) Phi(x) + (W c + b)): a dense
//! layer on Phi(x), exactly ([`SnnkLayer::fold`]). A map for f then takes Phi(x) as its input and W T as its weights,
//! which leaves Psi_2(W T, W c + b) Phi_2(Phi(x)) ([`SnnkLayer::absorb`]), and so on: towers of inputs stay, the tower
//! of parameters collapses to one matrix.

use super::count::{CountedMap, CountedSnnk};
use super::layer::{DenseLayer, SnnkLayer};
use super::tower::Tower;
use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::features::FeatureMap;
use crate::kernel::Float;
use crate::linalg::{Mat, MatRef, Update, gemm_nn_parallel};
use crate::resources::Resources;
use std::sync::Arc;

impl<T: Float> SnnkLayer<T> {
    /// This layer followed by `next`, exactly, as one layer: T becomes W T, c becomes W c + b, and f that of `next`.
    /// Cost 2 l_2 l m operations, once.
    ///
    /// # Errors
    /// Another number of inputs than outputs here; a layer that has an activation already (absorb that first);
    /// products beyond the range of `T`.
    ///
    /// ```
    /// use dualnet::snnk::{DenseLayer, ReluOptions, SnnkLayer, Tower};
    /// use dualnet::{Mat, Resources, activation::Activation};
    /// let resources = Resources::new(1)?;
    /// let tower = Tower::relu(2, &[3], ReluOptions::default(), &resources)?;
    /// let layer = SnnkLayer::free(tower, Mat::from_fn(2, 3, |i, j| (i + j) as f64), vec![1.0, 0.0])?;
    /// let head = DenseLayer::new(Mat::from_vec(1, 2, vec![2.0, 1.0])?, vec![0.5], Activation::Identity)?;
    /// let folded = layer.fold(&head, &resources)?;
    /// assert_eq!(folded.parameters().row(0), [1.0, 4.0, 7.0]);
    /// assert_eq!(folded.head().biases(), [2.5]);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn fold(&self, next: &DenseLayer<T>, resources: &Resources) -> Result<Self> {
        if *self.head().activation() != Activation::Identity {
            return Err(Error::Unsupported {
                at: "fold of two layers".into(),
                what: format!("an activation ({}) between them", self.head().activation().name()),
                hint: "replace the activation by a map with `absorb` first".into(),
            });
        }
        if next.weights().cols() != self.dim() {
            return Err(Error::Shape {
                what: "inputs of a layer that is folded in".into(),
                expected: format!("{}, the outputs of the layer before", self.dim()),
                found: next.weights().cols().to_string(),
            });
        }
        let mut weights = Mat::zeros(next.weights().rows(), self.parameters().cols());
        let (one, w) = (T::from_f64(1.0), next.weights().as_ref());
        gemm_nn_parallel(resources, weights.as_mut(), Update::Replace, one, w, self.parameters().as_ref())?;
        let biases = (0..w.rows()).map(|i| {
            let products = w.row(i).iter().zip(self.head().biases()).map(|(w, c)| w.to_f64() * c.to_f64());
            T::from_f64(products.sum::<f64>() + next.biases()[i].to_f64())
        });
        let biases: Vec<T> = biases.collect();
        in_range(weights.as_ref())?;
        in_range(MatRef::new(&biases, 1, biases.len(), biases.len())?)?;
        Ok(self.with_head(DenseLayer::new(weights, biases, next.activation().clone())?, next))
    }

    /// This layer followed by `next` whose activation `map` stands in for: T becomes Psi(W T, W c + b), and the tower
    /// is one map higher.
    ///
    /// # Errors
    /// As [`Self::fold`] and [`Snnk::psi`](super::Snnk::psi); a map whose inputs are not the features of this tower.
    pub fn absorb(&self, next: &DenseLayer<T>, map: Arc<dyn CountedSnnk<T>>, resources: &Resources) -> Result<Self> {
        let folded = self.fold(next, resources)?;
        let psi = map.psi(folded.parameters().as_ref(), folded.head().biases(), resources)?;
        self.deeper(map as Arc<dyn CountedMap<T>>, psi, next)
    }

    /// Consecutive layers as one: each layer with an activation takes the next of `maps`, linear ones are folded. The
    /// first map takes the input's columns, each further one the features of the one before.
    ///
    /// # Errors
    /// No layers; a linear first layer (fold it into the second yourself: there are no features yet); another number of
    /// maps than layers with activations; as [`Self::absorb`].
    pub fn bundle(
        layers: &[Arc<DenseLayer<T>>],
        maps: &[Arc<dyn CountedSnnk<T>>],
        resources: &Resources,
    ) -> Result<Self> {
        let nonlinear = |layer: &DenseLayer<T>| *layer.activation() != Activation::Identity;
        let needed = layers.iter().filter(|layer| nonlinear(layer)).count();
        let first = layers.first().filter(|layer| nonlinear(layer));
        let (Some(first), true) = (first, needed == maps.len()) else {
            return Err(Error::Shape {
                what: "layers of a bundle and maps for them".into(),
                expected: "a first layer with an activation, and a map for each such layer".into(),
                found: format!("{} layers, {needed} with an activation, {} maps", layers.len(), maps.len()),
            });
        };
        let mut maps = maps.iter().cloned();
        let missing = || Error::Shape { what: "maps".into(), expected: needed.to_string(), found: "fewer".into() };
        let mut bundle = Self::given(maps.next().ok_or_else(missing)?, first, resources)?;
        for layer in &layers[1..] {
            bundle = match nonlinear(layer) {
                true => bundle.absorb(layer, maps.next().ok_or_else(missing)?, resources)?,
                false => bundle.fold(layer, resources)?,
            };
        }
        Ok(bundle)
    }
}

fn in_range<T: Float>(a: MatRef<'_, T>) -> Result<()> {
    match a.check_finite("") {
        Err(Error::NonFinite { row, column, .. }) => Err(Error::Overflow {
            at: "fold of two layers".into(),
            what: "a product of weights".into(),
            precision: T::NAME,
            row,
            column,
            hint: "scale the weights down, or work in f64".into(),
        }),
        other => other,
    }
}

/// How strongly fitted parameters are pulled to 0: lambda |T|^2 beside the sum of squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Penalty {
    /// lambda itself.
    Absolute(f64),
    /// In units of the mean diagonal of the features' Gram matrix (centred, where there is an intercept).
    Relative(f64),
}

/// What is fitted beside T.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intercept {
    /// c, not penalised.
    Fitted,
    /// Nothing: c = 0.
    None,
}

/// How [`SnnkLayer::fit`] fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOptions {
    /// lambda (relative, 1e-6).
    pub penalty: Penalty,
    /// Whether there is a c (fitted).
    pub intercept: Intercept,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self { penalty: Penalty::Relative(1e-6), intercept: Intercept::Fitted }
    }
}

/// Rows whose features are held at a time.
const ROWS: usize = 1024;

impl<T: Float> SnnkLayer<T> {
    /// T and c in closed form: argmin of sum |T Phi(x_i) + c - y_i|^2 + lambda |T|^2 over the rows of `x` (n, d) and
    /// `y` (n, l). With y the outputs of layers of a network on inputs x this bundles them by what they do on data
    /// instead of by their weights, and needs no Psi.
    ///
    /// Sums are kept in f64, of features less the mean of the first rows; n m^2 + m^3 / 3 operations and m^2 numbers.
    ///
    /// # Errors
    /// Shapes; entries that are not finite; a lambda below 0; features so dependent that lambda is too small for them;
    /// memory.
    pub fn fit(
        tower: Tower<T>,
        x: MatRef<'_, T>,
        y: MatRef<'_, T>,
        options: &FitOptions,
        resources: &Resources,
    ) -> Result<Self> {
        let (parameters, intercepts) = super::solve::ridge(&tower, x, y, options, ROWS, resources)?;
        Self::free(tower, parameters, intercepts)
    }
}
