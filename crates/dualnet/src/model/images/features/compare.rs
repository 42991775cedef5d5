//! Which kernel: the better one by leave-one-out of fewer features on some of the images.

use super::source::Whitened;
use super::{ImageFeatureOptions, draw_map};
use crate::error::Result;
use crate::features::FeatureMap;
use crate::kernel::Float;
use crate::model::draw::draw;
use crate::model::features::Map;
use crate::model::images::TriedKernel;
use crate::model::primal::{self, Rows, best_lambda};
use crate::model::{KernelChoice, KernelKind, Target, invalid};
use crate::resources::Resources;
use crate::ridge::{Identity, PrimalOptions, PrimalPath, accumulate_keeping};

/// Features that are compared at most.
pub(super) const DIM: usize = 1024;
/// Images: this part of them, between these numbers.
const PART: usize = 10;
const ROWS: (usize, usize) = (200, 1000);

/// How many of `rows` images are compared on.
pub(super) fn count(rows: usize) -> usize {
    (rows / PART).clamp(ROWS.0, ROWS.1).min(rows)
}

/// Images that kernels are compared on, ascending.
pub(super) fn rows(rows: usize, target: &Target, resources: &Resources) -> Vec<usize> {
    draw(rows, count(rows), target, resources.seed).unwrap_or_else(|| (0..rows).collect())
}

/// The kernel asked for, or the better one of both, with what was tried, best first.
pub(super) fn better(
    source: Whitened<'_>,
    rows: &[usize],
    options: &ImageFeatureOptions,
    resources: &Resources,
) -> Result<(KernelKind, Vec<TriedKernel>)> {
    if let KernelChoice::Kind(kind) = options.choice.kernel {
        return Ok((kind, Vec::new()));
    }
    let mut tried = Vec::new();
    for kernel in [KernelKind::Nngp, KernelKind::Ntk] {
        let embedding = options.embedding(kernel, options.dim.min(DIM), resources);
        let part = Whitened { rows: Some(rows), ..source };
        let (lambda, loo_mse) = match draw_map(&embedding, source.images.shape(), options.choice.augment, resources)? {
            Map::F32(map) => judged(map.as_ref(), part, rows.len(), &options.choice.lambdas)?,
            Map::F64(map) => judged(map.as_ref(), part, rows.len(), &options.choice.lambdas)?,
        };
        tried.push(TriedKernel { kernel, lambda, loo_mse });
    }
    tried.sort_by(|a, b| a.loo_mse.total_cmp(&b.loo_mse));
    let best =
        tried.first().ok_or_else(|| invalid("the kernel", "NNGP or NTK", "neither", "report this as a defect"))?;
    Ok((best.kernel, tried))
}

/// Best lambda of one kernel, and its leave-one-out error.
fn judged<T: Float>(
    map: &dyn FeatureMap<T>,
    mut part: Whitened<'_>,
    rows: usize,
    lambdas: &[f64],
) -> Result<(f64, f64)> {
    let resources = part.resources;
    let all: Vec<usize> = (0..rows).collect();
    let (statistics, kept) = accumulate_keeping(map, &mut part, &all, resources)?;
    let lambdas = primal::lambdas::<T>(lambdas);
    let options = PrimalOptions { lambdas: lambdas.clone(), ..PrimalOptions::default() };
    let mut path = PrimalPath::new(statistics, options, resources)?;
    let rows = Rows { x: kept.features.as_ref(), y: kept.targets.as_ref() };
    best_lambda(&mut path, &lambdas, &Identity(map.dim()), rows, resources)
}
