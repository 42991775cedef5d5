//! Where the features of a fit in the primal come from, and all that is needed to have them again.

use super::candidates::KernelKind;
use super::features::{FeaturePrecision, Map, TowerDescription};
use super::invalid;
use crate::error::Result;
use crate::features::{NetFeatureOptions, NetFeatures, NystromFeatures};
use crate::kernel::{Float, InputShape, NetKernel};
use crate::linalg::Mat;
use crate::net::Net;
use crate::random::GENERATOR;
use crate::resources::Resources;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A feature map, described: the same description and arrays give the same bits on the same instruction set.
#[derive(Clone, Debug)]
pub(super) enum Embedding {
    /// The tower of a bundled net, drawn from some of the preprocessed training rows.
    Tower { tower: TowerDescription, anchors: Mat<f64> },
    /// Random features of the kernel of a net.
    Net { net: Net, kernel: KernelKind, drawn: NetDraw },
    /// Nystrom features of the kernel of a net: `landmarks` (k, d) are preprocessed training rows, `weights` (k, features).
    Nystrom { net: Net, kernel: KernelKind, precision: FeaturePrecision, landmarks: Mat<f64>, weights: Mat<f64> },
}

/// What random features of a net are drawn by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NetDraw {
    pub dim: usize,
    pub precision: FeaturePrecision,
    pub seed: u64,
    pub generator: u32,
}

impl Embedding {
    /// Number of features.
    pub fn dim(&self) -> usize {
        match self {
            Embedding::Tower { tower, .. } => tower.net.features,
            Embedding::Net { drawn, .. } => drawn.dim,
            Embedding::Nystrom { weights, .. } => weights.cols(),
        }
    }

    /// The map, for preprocessed samples of that shape.
    pub fn draw(&self, shape: &InputShape, resources: &Resources) -> Result<Map> {
        match self {
            Embedding::Tower { tower, anchors } => tower.draw(anchors.as_ref(), resources),
            Embedding::Net { net, kernel, drawn } => {
                check_generator(drawn.generator, "the features of the net")?;
                let seeded = resources.clone().with_seed(drawn.seed);
                Ok(match drawn.precision {
                    FeaturePrecision::F32 => Map::F32(net_features(net, *kernel, drawn.dim, shape, &seeded)?),
                    FeaturePrecision::F64 => Map::F64(net_features(net, *kernel, drawn.dim, shape, &seeded)?),
                })
            }
            Embedding::Nystrom { net, kernel, precision, landmarks, weights } => {
                let parts = (landmarks, weights);
                Ok(match precision {
                    FeaturePrecision::F32 => Map::F32(nystrom(net, *kernel, parts, shape, resources)?),
                    FeaturePrecision::F64 => Map::F64(nystrom(net, *kernel, parts, shape, resources)?),
                })
            }
        }
    }
}

/// Refuses draws of another generator: they would be other features.
pub(super) fn check_generator(found: u32, what: &str) -> Result<()> {
    if found == GENERATOR {
        return Ok(());
    }
    let hint = "use the version of dualnet that wrote the model";
    Err(invalid(&format!("the generator of {what}"), &GENERATOR.to_string(), &found.to_string(), hint))
}

fn net_features<T: Float>(
    net: &Net,
    kernel: KernelKind,
    dim: usize,
    shape: &InputShape,
    resources: &Resources,
) -> Result<Arc<NetFeatures<T>>> {
    Ok(Arc::new(NetFeatures::draw(net, shape, &NetFeatureOptions::new(kernel, dim), resources)?))
}

fn nystrom<T: Float>(
    net: &Net,
    kernel: KernelKind,
    (landmarks, weights): (&Mat<f64>, &Mat<f64>),
    shape: &InputShape,
    resources: &Resources,
) -> Result<Arc<NystromFeatures<T, NetKernel>>> {
    let exact = NetKernel::new(net, shape)?;
    let (landmarks, weights) = (landmarks.as_ref().cast::<T>(), weights.as_ref().cast::<T>());
    Ok(Arc::new(NystromFeatures::with_parts(exact, kernel, landmarks, weights, resources)?))
}
