//! Drawing the features of a chosen kernel.

use super::options::{EmbeddedOptions, KernelMap, landmark_rows};
use crate::error::Result;
use crate::features::landmarks::{LandmarkMethod, Landmarks};
use crate::features::{NystromFeatures, Root};
use crate::kernel::{DenseKernel, Float, InputShape};
use crate::linalg::{Mat, MatRef};
use crate::model::candidates::Candidate;
use crate::model::embedding::{Embedding, NetDraw};
use crate::model::features::{FeaturePrecision, Map};
use crate::model::primal::Sample;
use crate::random::GENERATOR;
use crate::resources::Resources;

/// A map, and how it came to be.
pub(super) struct Mapped {
    pub embedding: Embedding,
    pub map: Map,
    /// Rows of the sample that are landmarks.
    pub landmarks: Option<Vec<usize>>,
    pub rank: Option<usize>,
}

impl Mapped {
    /// For the preprocessed rows `x` of the sample of a fit to `rows` rows.
    pub fn new(
        candidate: &Candidate,
        x: &Mat<f64>,
        sample: &Sample,
        rows: usize,
        options: &EmbeddedOptions,
        resources: &Resources,
    ) -> Result<Self> {
        let (dim, precision) = (options.dim(rows), options.precision(rows));
        let (net, kernel) = (candidate.net.clone(), candidate.kernel);
        let (embedding, landmarks, rank) = match options.map {
            KernelMap::Random => {
                let drawn = NetDraw { dim, precision, seed: resources.seed, generator: GENERATOR };
                (Embedding::Net { net, kernel, drawn }, None, None)
            }
            KernelMap::Nystrom => {
                let bytes = precision.bytes();
                let among = sample.some(landmark_rows(x.rows(), dim, bytes, resources.memory));
                let part = x.as_ref().select_rows(&among);
                let Nystrom { landmarks, weights, rows, rank } = match precision {
                    FeaturePrecision::F32 => nystrom::<f32>(candidate, part.as_ref(), dim, resources)?,
                    FeaturePrecision::F64 => nystrom::<f64>(candidate, part.as_ref(), dim, resources)?,
                };
                let rows = rows.into_iter().map(|i| among[i]).collect();
                (Embedding::Nystrom { net, kernel, precision, landmarks, weights }, Some(rows), Some(rank))
            }
        };
        let map = embedding.draw(&InputShape::vector(x.cols()), resources)?;
        Ok(Self { embedding, map, landmarks, rank })
    }
}

/// Landmarks, widened without loss, and where they stand among the rows they were chosen from.
struct Nystrom {
    landmarks: Mat<f64>,
    weights: Mat<f64>,
    rows: Vec<usize>,
    rank: usize,
}

fn nystrom<T: Float>(candidate: &Candidate, x: MatRef<'_, f64>, dim: usize, resources: &Resources) -> Result<Nystrom> {
    let kernel = DenseKernel::new(&candidate.net, x.cols())?;
    let x = x.cast::<T>();
    let method = LandmarkMethod::rp_cholesky();
    let chosen = Landmarks::choose(&kernel, x.as_ref(), candidate.kernel, dim, method, resources)?;
    // A kernel of low rank has fewer.
    let dim = dim.min(chosen.rows().len()).max(1);
    let samples = chosen.samples(x.as_ref())?;
    let map = NystromFeatures::new(kernel, candidate.kernel, samples.as_ref(), dim, Root::suited_to(dim), resources)?;
    Ok(Nystrom {
        landmarks: map.landmarks().as_ref().cast(),
        weights: map.weights().as_ref().cast(),
        rows: chosen.rows().to_vec(),
        rank: map.rank(),
    })
}
