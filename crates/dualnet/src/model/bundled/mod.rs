//! Fitting a bundled net: a tower chosen on some rows, and one ridge on its features.

mod choose;
mod options;

pub use options::{BundledOptions, plan_bundled};

use super::batches::Batches;
use super::candidates::KernelKind;
use super::embedding::Embedding;
use super::features::TowerDescription;
use super::fitted::Model;
use super::primal::{FeatureReport, Named, Prepared, Sample, TowerReport, anchors, check_rows};
use super::units::units;
use crate::error::Result;
use crate::kernel::InputShape;
use crate::resources::Resources;
use choose::choose;

/// Fits the bundled net to all rows of `batches`.
///
/// # Errors
/// Fewer than two rows; one class only; whatever preprocessing refuses or reading meets; more memory than allowed.
///
/// Cost: 2 n d m operations for the features of one layer (2 n m^2 for each further one), n m^2 for their sums, m^3/3 for each of a few
/// lambdas; memory 24 m^2 bytes and that of one batch.
pub fn fit_bundled(batches: &mut dyn Batches, options: &BundledOptions, resources: &Resources) -> Result<Model> {
    prepare(batches, options, resources)?.solve(batches, resources)
}

fn prepare(batches: &mut dyn Batches, options: &BundledOptions, resources: &Resources) -> Result<Prepared> {
    let rows = check_rows(batches)?;
    let sample = Sample::take(batches, resources)?;
    let outputs = sample.target.outputs();
    let (bytes, _) = plan_bundled(rows, sample.frame.columns().len(), outputs, options);
    resources.reserve(&format!("a fit of {}", options.net), bytes, "use fewer features, or raise --memory")?;
    let units = units(&sample.target)?;
    let precision = options.precision(rows);
    let (chosen, tried) = choose(&sample, options, &units, precision, resources)?;
    let x = chosen.preprocess.apply(&sample.frame)?;
    let tower = TowerDescription { net: options.net.clone(), ..chosen.tower };
    let (drawn, parameters) = tower.net.parameters(x.cols(), outputs);
    let features = FeatureReport {
        dim: tower.net.features,
        precision,
        parameters,
        gcv: 0.0,
        tower: Some(TowerReport {
            depth: tower.net.depth,
            directions: tower.directions,
            scale: tower.scale,
            drawn,
            flops: tower.net.flops(x.cols(), outputs),
        }),
        landmarks: None,
        rank: None,
        kernel_error: None,
    };
    let named = Named { net: tower.net.to_string(), kernel: KernelKind::Nngp, method: "features" };
    let embedding = Embedding::Tower { anchors: anchors(&x, resources.seed), tower };
    let map = embedding.draw(&InputShape::vector(x.cols()), resources)?;
    let (lambdas, compared_rows) = (options.lambdas.clone(), choose::COMPARED_ROWS.min(x.rows()));
    let preprocess = chosen.preprocess;
    let prepared = Prepared {
        rows,
        sample,
        units,
        preprocess,
        x,
        embedding,
        map,
        lambdas,
        named,
        features,
        tried,
        compared_rows,
        metric: None,
    };
    Ok(prepared)
}
