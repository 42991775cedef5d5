//! Networks of dense layers, with some or all layers bundled.

use super::bundle::FitOptions;
use super::count::{Count, Counted, CountedMap, CountedSnnk};
use super::layer::{DenseLayer, SnnkLayer};
use super::tower::Tower;
use crate::error::{Error, Result};
use crate::features::{FeatureMap, transform};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef};
use crate::resources::Resources;
use crate::simd::Isa;
use std::ops::Range;
use std::sync::Arc;

/// Dense layers, one after the other.
///
/// ```
/// use dualnet::snnk::{Counted, DenseLayer, DenseNetwork, FitOptions, ReluOptions, Tower};
/// use dualnet::{Mat, Resources, activation::Activation};
/// let resources = Resources::new(1)?;
/// let weights = |l, d, s| Mat::from_fn(l, d, |i, j| ((3 * i + 5 * j + s) as f64).sin());
/// let network = DenseNetwork::new(vec![
///     DenseLayer::new(weights(60, 2, 1), vec![], Activation::Relu)?,
///     DenseLayer::new(weights(60, 60, 2), vec![], Activation::Relu)?,
///     DenseLayer::new(weights(1, 60, 3), vec![0.1], Activation::Identity)?,
/// ])?;
/// // All three layers as one, fitted to what the network does on 400 inputs.
/// let x = weights(400, 2, 4);
/// let tower = Tower::relu(2, &[50], ReluOptions { constant: 1.0, ..ReluOptions::default() }, &resources)?;
/// let bundled = network.fit_bundle(0..3, tower, x.as_ref(), &FitOptions::default(), &resources)?;
/// assert_eq!((network.count().parameters, bundled.count().parameters), (3901, 51));
/// let report = bundled.report(&network, x.as_ref(), 0.05, &resources)?;
/// assert!(report.stages[0].end_to_end.relative < 0.06);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DenseNetwork<T> {
    layers: Vec<Arc<DenseLayer<T>>>,
    chain: Tower<T>,
}

/// Consecutive layers and the maps that stand in for their activations.
#[derive(Clone, Debug)]
pub struct Bundle<T> {
    /// Which layers, from 0.
    pub layers: Range<usize>,
    /// One for each of them that has an activation.
    pub maps: Vec<Arc<dyn CountedSnnk<T>>>,
}

impl<T: Float> DenseNetwork<T> {
    /// These layers, the first of the input.
    ///
    /// # Errors
    /// No layers; one whose inputs are not the outputs of the one before.
    pub fn new(layers: Vec<DenseLayer<T>>) -> Result<Self> {
        let layers: Vec<_> = layers.into_iter().map(Arc::new).collect();
        let chain = Tower::new(layers.iter().map(|l| l.clone() as Arc<dyn CountedMap<T>>).collect())?;
        Ok(Self { layers, chain })
    }

    /// The layers, from the input on.
    pub fn layers(&self) -> &[Arc<DenseLayer<T>>] {
        &self.layers
    }

    /// Outputs (n, l) of the rows of `x` (n, d).
    ///
    /// # Errors
    /// As [`transform`].
    pub fn forward(&self, x: MatRef<'_, T>, resources: &Resources) -> Result<Mat<T>> {
        transform(&self.chain, x, resources)
    }

    /// Outputs of the first `layers` layers; for 0 the input itself.
    ///
    /// # Errors
    /// More layers than there are; as [`transform`].
    pub fn hidden(&self, layers: usize, x: MatRef<'_, T>, resources: &Resources) -> Result<Mat<T>> {
        self.check(&(0..layers))?;
        match layers {
            0 => Ok(x.to_mat()),
            _ => transform(&Tower::new(self.chain.maps()[..layers].to_vec())?, x, resources),
        }
    }

    /// With these bundles of layers, each collapsed to one matrix by its weights ([`SnnkLayer::bundle`]). Between
    /// bundles layers stay as they are.
    ///
    /// # Errors
    /// Bundles that overlap, are not in order or reach beyond the last layer; as [`SnnkLayer::bundle`].
    pub fn bundle(&self, bundles: &[Bundle<T>], resources: &Resources) -> Result<BundledNetwork<T>> {
        let collapsed = bundles.iter().map(|bundle| {
            self.check(&bundle.layers)?;
            let layer = SnnkLayer::bundle(&self.layers[bundle.layers.clone()], &bundle.maps, resources)?;
            Ok((bundle.layers.clone(), layer))
        });
        self.replace(collapsed.collect::<Result<_>>()?)
    }

    /// All layers in one bundle: two towers, one matrix.
    ///
    /// # Errors
    /// As [`SnnkLayer::bundle`].
    pub fn bundle_all(&self, maps: Vec<Arc<dyn CountedSnnk<T>>>, resources: &Resources) -> Result<BundledNetwork<T>> {
        self.bundle(&[Bundle { layers: 0..self.layers.len(), maps }], resources)
    }

    /// With layers `layers` replaced by `tower` and the matrix that fits what they do on the inputs `x` (n, d) of the
    /// network ([`SnnkLayer::fit`]).
    ///
    /// # Errors
    /// No such layers; a tower of other inputs; as [`SnnkLayer::fit`].
    pub fn fit_bundle(
        &self,
        layers: Range<usize>,
        tower: Tower<T>,
        x: MatRef<'_, T>,
        options: &FitOptions,
        resources: &Resources,
    ) -> Result<BundledNetwork<T>> {
        self.check(&layers)?;
        let inputs = self.hidden(layers.start, x, resources)?;
        let outputs = self.hidden(layers.end, x, resources)?;
        let fitted = SnnkLayer::fit(tower, inputs.as_ref(), outputs.as_ref(), options, resources)?;
        self.replace(vec![(layers, fitted)])
    }

    /// With ranges of layers replaced by SNNK layers.
    ///
    /// # Errors
    /// Ranges that are empty, overlap, are not in order or reach beyond the last layer; layers that do not fit in.
    pub fn replace(&self, by: Vec<(Range<usize>, SnnkLayer<T>)>) -> Result<BundledNetwork<T>> {
        let mut stages = Vec::new();
        let dense = |from: usize, to: usize| (from..to).map(|k| Stage::Dense(k, self.layers[k].clone()));
        let mut next = 0;
        for (layers, layer) in by {
            self.check(&layers)?;
            if layers.start < next || layers.is_empty() {
                return Err(out_of_order(&layers, next));
            }
            stages.extend(dense(next, layers.start));
            next = layers.end;
            stages.push(Stage::Snnk(layers, Arc::new(layer)));
        }
        stages.extend(dense(next, self.layers.len()));
        let chain = Tower::new(stages.iter().map(Stage::map).collect())?;
        if (chain.inputs(), chain.dim()) != (self.inputs(), self.dim()) {
            return Err(Error::Shape {
                what: "network with layers replaced".into(),
                expected: format!("{} inputs and {} outputs", self.inputs(), self.dim()),
                found: format!("{} and {}", chain.inputs(), chain.dim()),
            });
        }
        Ok(BundledNetwork { stages, chain })
    }

    fn check(&self, layers: &Range<usize>) -> Result<()> {
        if layers.start <= layers.end && layers.end <= self.layers.len() {
            return Ok(());
        }
        Err(Error::Shape {
            what: "layers of a network".into(),
            expected: format!("within 0..{}", self.layers.len()),
            found: format!("{layers:?}"),
        })
    }
}

fn out_of_order(layers: &Range<usize>, next: usize) -> Error {
    Error::Invalid {
        what: format!("bundle of layers {layers:?}"),
        expected: format!("at least one layer, from layer {next} on"),
        found: format!("layers {layers:?}"),
        hint: "give bundles in order, without overlap".into(),
    }
}

/// A part of a [`BundledNetwork`].
#[derive(Clone, Debug)]
pub enum Stage<T> {
    /// This layer as it was.
    Dense(usize, Arc<DenseLayer<T>>),
    /// What stands for these layers.
    Snnk(Range<usize>, Arc<SnnkLayer<T>>),
}

impl<T: Float> Stage<T> {
    /// The layers of the dense network that it stands for.
    pub fn layers(&self) -> Range<usize> {
        match self {
            Self::Dense(layer, _) => *layer..layer + 1,
            Self::Snnk(layers, _) => layers.clone(),
        }
    }

    /// What it does, as a map.
    pub fn map(&self) -> Arc<dyn CountedMap<T>> {
        match self {
            Self::Dense(_, layer) => layer.clone(),
            Self::Snnk(_, layer) => layer.clone(),
        }
    }
}

/// A network with some or all of its layers bundled.
#[derive(Clone, Debug)]
pub struct BundledNetwork<T> {
    stages: Vec<Stage<T>>,
    chain: Tower<T>,
}

impl<T: Float> BundledNetwork<T> {
    /// Its parts, from the input on.
    pub fn stages(&self) -> &[Stage<T>] {
        &self.stages
    }

    /// Outputs (n, l) of the rows of `x` (n, d).
    ///
    /// # Errors
    /// As [`transform`].
    pub fn forward(&self, x: MatRef<'_, T>, resources: &Resources) -> Result<Mat<T>> {
        transform(&self.chain, x, resources)
    }
}

/// Both kinds of network are maps, and have a cost.
macro_rules! chain {
    ($network:ident) => {
        impl<T: Float> FeatureMap<T> for $network<T> {
            fn inputs(&self) -> usize {
                self.chain.inputs()
            }
            fn dim(&self) -> usize {
                self.chain.dim()
            }
            fn scratch(&self) -> usize {
                self.chain.scratch()
            }
            fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
                self.chain.tile(x, out, scratch, isa)
            }
        }

        impl<T: Float> Counted for $network<T> {
            fn count(&self) -> Count {
                self.chain.count()
            }
        }
    };
}
chain!(DenseNetwork);
chain!(BundledNetwork);
