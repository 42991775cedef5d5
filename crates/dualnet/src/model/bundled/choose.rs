//! Which encoding, directions and scale of the projections: by leave-one-out of small towers on some rows.

use super::BundledOptions;
use crate::error::Result;
use crate::features::FeatureMap;
use crate::kernel::Float;
use crate::linalg::{Mat, MatRef};
use crate::model::candidates::KernelKind;
use crate::model::features::{FeaturePrecision, Map, TowerDescription};
use crate::model::invalid;
use crate::model::preprocess::{Encoding, Preprocess};
use crate::model::primal::{Rows, Sample, anchors, best_lambda, lambdas};
use crate::model::report::Tried;
use crate::model::units::{Unit, standardised};
use crate::random::GENERATOR;
use crate::resources::Resources;
use crate::ridge::{ArraySource, PrimalOptions, PrimalPath, accumulate};
use crate::snnk::{BundledNet, Directions};

/// Rows on which candidates are compared, and features of each while they are.
pub(super) const COMPARED_ROWS: usize = 2000;
const COMPARED_FEATURES: usize = 512;
/// Widths of a projection that are compared, in units of the biases; the first with all encodings and directions.
const SCALES: [f64; 3] = [1.0, 0.5, 2.0];

/// A candidate that was chosen: how the data are shown, and the tower it was tried with.
pub(super) struct Chosen {
    pub preprocess: Preprocess,
    pub tower: TowerDescription,
}

/// Compares small towers by exact leave-one-out on some rows: every encoding with every kind of directions, then scales of the best.
pub(super) fn choose(
    sample: &Sample,
    options: &BundledOptions,
    units: &[Unit],
    precision: FeaturePrecision,
    resources: &Resources,
) -> Result<(Chosen, Vec<Tried>)> {
    let prepared = Preprocess::learn_each(&sample.frame, &options.encodings)?;
    let rows = sample.some(COMPARED_ROWS);
    let frame = sample.frame.select(&rows);
    let inputs = prepared.iter().map(|p| p.apply(&frame)).collect::<Result<Vec<_>>>()?;
    let y = standardised(&sample.target.select(&rows), units)?;
    let judge = Judge { options, y: y.as_ref(), precision, resources };
    let pairs: Vec<(usize, Directions)> =
        (0..prepared.len()).flat_map(|k| options.directions.iter().map(move |&d| (k, d))).collect();
    let total = (pairs.len() + SCALES.len() - 1) as u64;
    let mut results: Vec<(Tried, usize, TowerDescription)> = Vec::new();
    for &(k, directions) in &pairs {
        resources.progress.update("choosing", results.len() as u64, total);
        let (tried, tower) = judge.of((&inputs[k], prepared[k].encoding()), directions, SCALES[0])?;
        results.push((tried, k, tower));
    }
    let by_error = |a: &(Tried, usize, TowerDescription), b: &(Tried, usize, TowerDescription)| {
        a.0.loo_mse.total_cmp(&b.0.loo_mse)
    };
    results.sort_by(by_error);
    let nothing =
        || invalid("encodings and directions", "at least one of each", "none", "leave them out to compare some");
    let (k, directions) = results.first().map(|(_, k, tower)| (*k, tower.directions)).ok_or_else(nothing)?;
    for &scale in &SCALES[1..] {
        resources.progress.update("choosing", results.len() as u64, total);
        let (tried, tower) = judge.of((&inputs[k], prepared[k].encoding()), directions, scale)?;
        results.push((tried, k, tower));
    }
    results.sort_by(by_error);
    let tried = results.iter().map(|r| r.0.clone()).collect();
    let (_, k, tower) = results.into_iter().next().ok_or_else(nothing)?;
    let preprocess = prepared.into_iter().nth(k).ok_or_else(nothing)?;
    Ok((Chosen { preprocess, tower }, tried))
}

/// What candidates are compared on.
struct Judge<'a> {
    options: &'a BundledOptions,
    /// Targets of some rows, in their units.
    y: MatRef<'a, f64>,
    precision: FeaturePrecision,
    resources: &'a Resources,
}

impl Judge<'_> {
    /// One candidate's error for preprocessed rows, and its tower.
    fn of(
        &self,
        (x, encoding): (&Mat<f64>, Encoding),
        directions: Directions,
        scale: f64,
    ) -> Result<(Tried, TowerDescription)> {
        let net = &self.options.net;
        let tower = TowerDescription {
            net: BundledNet { features: net.features.min(COMPARED_FEATURES), ..net.clone() },
            directions,
            scale,
            precision: self.precision,
            seed: self.resources.seed,
            generator: GENERATOR,
        };
        let anchors = anchors(x, self.resources.seed);
        let (lambda, loo_mse) = match tower.draw(anchors.as_ref(), self.resources)? {
            Map::F32(map) => self.error(map.as_ref(), x.as_ref().cast::<f32>().as_ref())?,
            Map::F64(map) => self.error(map.as_ref(), x.as_ref())?,
        };
        let tried = Tried {
            net: format!("{net}, {} directions, scale {scale}", directions.name()),
            kernel: KernelKind::Nngp,
            encoding,
            lambda,
            loo_mse,
        };
        Ok((tried, tower))
    }

    /// Best lambda and its leave-one-out error.
    fn error<T: Float>(&self, map: &dyn FeatureMap<T>, x: MatRef<'_, T>) -> Result<(f64, f64)> {
        let y = self.y;
        let lambdas = lambdas::<T>(&self.options.lambdas);
        let statistics = accumulate(map, &mut ArraySource::new(x, y, &[], COMPARED_ROWS)?, self.resources)?;
        let options = PrimalOptions { lambdas: lambdas.clone(), ..PrimalOptions::default() };
        let mut path = PrimalPath::new(statistics, options, self.resources)?;
        best_lambda(&mut path, &lambdas, map, Rows { x, y }, self.resources)
    }
}
