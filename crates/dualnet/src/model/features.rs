//! A solution in the primal: f(x) = intercept + Phi(x) Theta, Phi the tower of a bundled net or features of the kernel of a net.

use super::embedding::{Embedding, check_generator};
use crate::error::Result;
use crate::features::{FeatureMap, FlipFeatures, TILE, transform_into};
use crate::kernel::{Float, InputShape};
use crate::linalg::{Mat, MatRef, affine};
use crate::resources::Resources;
use crate::snnk::{BundledNet, Directions, TowerOptions, bundled_tower};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Rows mapped at a time: whole tiles, so that the memory of their features stays bounded.
const BATCH: usize = 16 * TILE;

/// The precision features are computed in; sums and solutions are always double.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeaturePrecision {
    /// Single: half the memory and time.
    F32,
    /// Double.
    F64,
}

impl FeaturePrecision {
    /// Bytes of a number.
    pub(super) fn bytes(self) -> u64 {
        match self {
            FeaturePrecision::F32 => 4,
            FeaturePrecision::F64 => 8,
        }
    }
}

/// All that a tower is drawn from: the same description gives the same bits on the same instruction set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TowerDescription {
    pub net: BundledNet,
    pub directions: Directions,
    /// Standard deviation of a projection before the activation, in units of that of the biases (of a radian, where phases are uniform).
    pub scale: f64,
    pub precision: FeaturePrecision,
    pub seed: u64,
    pub generator: u32,
}

/// A feature map in the precision of its description.
#[derive(Clone, Debug)]
pub(super) enum Map {
    F32(Arc<dyn FeatureMap<f32>>),
    F64(Arc<dyn FeatureMap<f64>>),
}

impl TowerDescription {
    /// Draws the tower for preprocessed rows of which `anchors` are some.
    pub fn draw(&self, anchors: MatRef<'_, f64>, resources: &Resources) -> Result<Map> {
        check_generator(self.generator, "the tower")?;
        let options = TowerOptions { directions: self.directions, scale: self.scale };
        let seeded = resources.clone().with_seed(self.seed);
        Ok(match self.precision {
            FeaturePrecision::F32 => Map::F32(Arc::new(bundled_tower::<f32>(&self.net, options, anchors, &seeded)?)),
            FeaturePrecision::F64 => Map::F64(Arc::new(bundled_tower::<f64>(&self.net, options, anchors, &seeded)?)),
        })
    }
}

/// A feature map and the matrix on top of it.
#[derive(Clone, Debug)]
pub(super) struct Features {
    pub embedding: Embedding,
    pub map: Map,
    /// (m, outputs).
    pub theta: Mat<f64>,
    pub lambda_absolute: f64,
}

impl Features {
    /// Values (rows x outputs) of `rows` samples, of which `batch` gives some, preprocessed.
    pub fn values<T: Float>(
        &self,
        rows: usize,
        batch: impl Fn(Range<usize>) -> Result<Mat<T>>,
        intercept: &[f64],
        resources: &Resources,
    ) -> Result<Mat<f64>> {
        let mut values = Mat::zeros(rows, intercept.len());
        for start in (0..rows).step_by(BATCH) {
            let end = rows.min(start + BATCH);
            let phi = self.map.features(batch(start..end)?.as_ref(), resources)?;
            let out = affine(intercept, phi.as_ref(), self.theta.as_ref(), resources)?;
            for i in start..end {
                values.row_mut(i).copy_from_slice(out.row(i - start));
            }
            resources.progress.update("predicting", end as u64, rows as u64);
        }
        Ok(values)
    }
}

impl Map {
    /// The same for an image of that shape and its flip.
    pub fn flipped(self, shape: &InputShape) -> Result<Self> {
        Ok(match self {
            Map::F32(map) => Map::F32(Arc::new(FlipFeatures::new(map, shape)?)),
            Map::F64(map) => Map::F64(Arc::new(FlipFeatures::new(map, shape)?)),
        })
    }

    /// Features in double precision, rows of zeros added up to whole tiles: a product with them then takes the same path for a
    /// row whatever else is in the batch.
    pub fn features<S: Float>(&self, x: MatRef<'_, S>, resources: &Resources) -> Result<Mat<f64>> {
        match self {
            Map::F32(map) => whole_tiles(map.as_ref(), x, resources),
            Map::F64(map) => whole_tiles(map.as_ref(), x, resources),
        }
    }
}

fn whole_tiles<T: Float, S: Float>(
    map: &dyn FeatureMap<T>,
    x: MatRef<'_, S>,
    resources: &Resources,
) -> Result<Mat<f64>> {
    let rows = x.rows().next_multiple_of(TILE);
    let mut phi = Mat::<T>::zeros(x.rows(), map.dim());
    transform_into(map, x.cast::<T>().as_ref(), phi.as_mut(), resources)?;
    let mut wide = Mat::zeros(rows, map.dim());
    wide.as_mut_slice().iter_mut().zip(phi.as_slice()).for_each(|(w, x)| *w = x.to_f64());
    Ok(wide)
}
