//! Which encoding, and which scale of the projections: by leave-one-out of small towers on some rows.

use super::BundledOptions;
use super::sample::{Sample, anchors};
use crate::error::Result;
use crate::linalg::{Mat, MatRef, Update, gemm_nt_parallel};
use crate::model::candidates::KernelKind;
use crate::model::features::{FeaturePrecision, TowerDescription};
use crate::model::fit::Tried;
use crate::model::invalid;
use crate::model::preprocess::Preprocess;
use crate::model::units::{Unit, standardised};
use crate::random::GENERATOR;
use crate::resources::Resources;
use crate::ridge::{DualOptions, DualPath, best};
use crate::snnk::BundledNet;

/// Rows on which candidates are compared, and features of each while they are.
pub(super) const COMPARED_ROWS: usize = 800;
const COMPARED_FEATURES: usize = 1024;
/// Widths of a projection that are compared, in units of the biases.
const SCALES: [f64; 3] = [0.5, 1.0, 2.0];

/// A candidate that was chosen: how the data are shown, and the tower it was tried with.
pub(super) struct Chosen {
    pub preprocess: Preprocess,
    pub tower: TowerDescription,
}

/// Compares encodings and scales by exact leave-one-out of small towers on some rows.
pub(super) fn choose(
    sample: &Sample,
    options: &BundledOptions,
    units: &[Unit],
    precision: FeaturePrecision,
    resources: &Resources,
) -> Result<(Chosen, Vec<Tried>)> {
    let some = sample.some(COMPARED_ROWS);
    let frame = sample.frame.select(&some);
    let y = standardised(&sample.target.select(&some), units)?;
    let prepared = Preprocess::learn_each(&sample.frame, &options.encodings)?;
    let net = BundledNet { features: options.net.features.min(COMPARED_FEATURES), ..options.net.clone() };
    let total = (prepared.len() * SCALES.len()) as u64;
    let mut results: Vec<(f64, Tried, usize, TowerDescription)> = Vec::new();
    for (k, preprocess) in prepared.iter().enumerate() {
        let x = preprocess.apply(&frame)?;
        let anchors = anchors(&x, resources.seed);
        for scale in SCALES {
            resources.progress.update("choosing", results.len() as u64, total);
            let tower = TowerDescription {
                net: net.clone(),
                directions: options.directions,
                scale,
                precision,
                seed: resources.seed,
                generator: GENERATOR,
            };
            let phi = tower.draw(anchors.as_ref(), resources)?.features(x.as_ref(), resources)?;
            let (lambda, loo_mse) = leave_one_out(&phi, y.as_ref(), &options.lambdas, resources)?;
            let tried = Tried {
                net: format!("{} at scale {scale}", options.net),
                kernel: KernelKind::Nngp,
                encoding: preprocess.encoding(),
                lambda,
                loo_mse,
            };
            results.push((loo_mse, tried, k, tower));
        }
    }
    results.sort_by(|a, b| a.0.total_cmp(&b.0));
    let tried = results.iter().map(|r| r.1.clone()).collect();
    let Some((_, _, k, tower)) = results.into_iter().next() else {
        return Err(invalid("the encodings", "at least one", "none", "leave them out to compare two"));
    };
    let preprocess = prepared
        .into_iter()
        .nth(k)
        .ok_or_else(|| invalid("the encodings", "at least one", "none", "leave them out"))?;
    Ok((Chosen { preprocess, tower }, tried))
}

/// Best lambda of few rows and its leave-one-out error, in the dual. `phi` has rows of zeros at its end.
fn leave_one_out(phi: &Mat<f64>, y: MatRef<'_, f64>, lambdas: &[f64], resources: &Resources) -> Result<(f64, f64)> {
    let n = y.rows();
    let phi = phi.as_ref().block(0..n, 0..phi.cols())?;
    let mut kernel = Mat::zeros(n, n);
    gemm_nt_parallel(resources, kernel.as_mut(), Update::Replace, 1.0, phi, phi)?;
    let options = DualOptions { lambdas: lambdas.to_vec(), ..DualOptions::default() };
    let points = DualPath::new(kernel, y, options, resources)?.points(resources)?;
    let point = best(&points).map(|b| &points[b]);
    let point = point.ok_or_else(|| invalid("lambdas", "at least one", "none", "leave the path out"))?;
    Ok((point.lambda, point.mse))
}
