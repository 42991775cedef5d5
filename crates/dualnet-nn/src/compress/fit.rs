//! Layer by layer: choose or draw features, solve for the map from them to the output.

use super::calibrate::{Calibration, used};
use super::local;
use super::report::LayerReport;
use super::select::{Until, forward_selection};
use super::{Method, Options, Plan, Width, svd};
use crate::activation::Activation;
use crate::batch::Inputs;
use crate::encoder::Encoder;
use crate::error::Result;
use crate::ffn::Ffn;
use crate::linear::Linear;
use dualnet::linalg::Cholesky;
use dualnet::random::{Draws, Purpose};
use dualnet::ridge::RidgeStatistics;
use dualnet::{Mat, Resources};

/// Ridge, as a share of the mean variance of features.
const LAMBDA: f64 = 1e-3;

/// A smaller encoder before distillation.
pub(super) struct Fitted {
    pub(super) encoder: Encoder,
    pub(super) layers: Vec<LayerReport>,
    pub(super) kept: Vec<usize>,
    pub(super) tokens: usize,
}

impl Fitted {
    /// The encoder of the layers `kept` alone, each as it is.
    pub(super) fn of_layers(original: &Encoder, kept: &[usize]) -> Self {
        let layers = kept.iter().map(|l| original.layers[*l].clone()).collect();
        let encoder = Encoder { layers, ..original.clone() };
        Self { encoder, layers: Vec::new(), kept: kept.to_vec(), tokens: 0 }
    }
}

pub(super) fn fit(
    original: &Encoder,
    inputs: &Inputs,
    plan: &Plan,
    options: &Options,
    resources: &Resources,
) -> Result<Fitted> {
    let mut calibration = Calibration::new(original, inputs, resources)?;
    let (mut encoder, mut reports) = (original.clone(), Vec::new());
    let last = plan.layers.last().copied().unwrap_or(0);
    for layer in 0..=last {
        resources.progress.update("layers", layer as u64, last as u64 + 1);
        calibration.reach(original, layer, resources)?;
        let Some(width) = plan.layers.iter().position(|l| *l == layer).map(|at| plan.widths[at]) else {
            calibration.keep(original, layer, resources)?;
            continue;
        };
        let old = &original.layers[layer].ffn;
        let (mut net, weights) = narrow(old, layer, width, options.method, &calibration, resources)?;
        let mut error = calibration.pass(original, layer, &net, &weights, resources)?;
        let before = error;
        if options.steps.local > 0 {
            local::improve(&mut net, layer, &calibration, &weights, options.steps.local, resources)?;
            if !matches!(options.method, Method::Prune | Method::Svd) {
                net.down =
                    solve(&statistics(&net, &calibration, resources)?, &Vec::from_iter(0..net.width()), resources)?;
            }
            error = calibration.pass(original, layer, &net, &weights, resources)?;
        }
        let local = (options.steps.local > 0).then_some(error);
        reports.push(LayerReport::new(layer, [old, &net], before, local));
        encoder.layers[layer].ffn = net;
    }
    resources.progress.update("layers", 1, 1);
    let kept = (0..original.layers.len()).collect();
    Ok(Fitted { encoder, layers: reports, kept, tokens: calibration.tokens() })
}

/// A net of fewer features in place of `old`, and 1 over the deviation of each coordinate of the target.
fn narrow(
    old: &Ffn,
    layer: usize,
    width: Width,
    method: Method,
    calibration: &Calibration,
    resources: &Resources,
) -> Result<(Ffn, Vec<f64>)> {
    let count = match width {
        Width::Given(count) => count,
        Width::Error(_) => old.width(),
    };
    if method == Method::Svd {
        return svd::low_rank(old, count, calibration, resources);
    }
    let drawn = (method == Method::Relu).then(|| random_features(old.up.inputs(), count, layer, resources));
    let source = drawn.as_ref().unwrap_or(old);
    let all = statistics(source, calibration, resources)?;
    let n = all.rows() as f64;
    let weights = inverse_deviations(&all);
    let columns = match method {
        Method::Neurons => {
            let scaled = |i, o| all.cross()[(i, o)] / n * weights[o];
            let p = Mat::from_fn(all.features(), all.outputs(), scaled);
            let until = match width {
                Width::Given(count) => Until::Count(count),
                // Each coordinate that varies at all has variance 1 in these units.
                Width::Error(error) => {
                    Until::Explained((1.0 - error) * weights.iter().filter(|w| **w > 0.0).count() as f64)
                }
            };
            let mut chosen = forward_selection(&covariance(&all), p, until, resources)?;
            chosen.sort_unstable();
            chosen
        }
        Method::Prune => strongest(old, &all, &weights, count),
        Method::Relu | Method::DropLayers | Method::Svd => (0..count).collect(),
    };
    let up = rows(&source.up, &columns)?;
    let down = match method {
        Method::Prune => pruned(&old.down, &columns, all.mean())?,
        _ => solve(&all, &columns, resources)?,
    };
    Ok((Ffn::new(up, source.activation, down)?, weights))
}

/// 1 over the deviation of each coordinate of the targets; 0 where it does not vary.
pub(super) fn inverse_deviations(sums: &RidgeStatistics) -> Vec<f64> {
    let n = sums.rows() as f64;
    sums.target_scatter().iter().map(|s| if *s > 0.0 { (n / s).sqrt() } else { 0.0 }).collect()
}

/// Sums over all tokens of the features of `net` and of what it is to give.
pub(super) fn statistics(net: &Ffn, calibration: &Calibration, resources: &Resources) -> Result<RidgeStatistics> {
    let mut sums = RidgeStatistics::new(net.width(), net.up.inputs(), resources)?;
    for piece in &calibration.pieces {
        let hidden = net.hidden(piece.x(), resources)?;
        sums.add(used(&hidden, piece)?, piece.target().as_ref(), &[], resources)?;
    }
    Ok(sums)
}

/// Covariances of the features: both triangles, where the statistics keep the lower one.
pub(super) fn covariance(sums: &RidgeStatistics) -> Mat<f64> {
    let n = sums.rows() as f64;
    Mat::from_fn(sums.features(), sums.features(), |i, j| sums.scatter()[(i.max(j), i.min(j))] / n)
}

/// Ridge regression of the targets on some of the features.
pub(super) fn solve(sums: &RidgeStatistics, columns: &[usize], resources: &Resources) -> Result<Linear> {
    let (m, outputs) = (columns.len(), sums.outputs());
    let mut a = Mat::from_fn(m, m, |i, j| sums.scatter()[(columns[i], columns[j])]);
    let mean = (0..m).map(|i| a[(i, i)]).sum::<f64>() / m.max(1) as f64;
    for i in 0..m {
        // Features that are all 0 give no information and must not stop the solution.
        a[(i, i)] += LAMBDA * mean + f64::MIN_POSITIVE;
    }
    let b = Mat::from_fn(m, outputs, |i, o| sums.cross()[(columns[i], o)]);
    let x = Cholesky::new(a, "the scatter of features with its ridge", resources)?.solve(b.as_ref(), resources)?;
    let intercept = |o: usize| {
        let own = (0..m).map(|i| x[(i, o)] * sums.mean()[columns[i]]).sum::<f64>();
        (sums.target_mean()[o] - own) as f32
    };
    Linear::new(Mat::from_fn(outputs, m, |o, i| x[(i, o)] as f32), (0..outputs).map(intercept).collect())
}

/// The neurons of the largest deviation times length of their column, each coordinate of it in units of the target's deviation.
fn strongest(net: &Ffn, sums: &RidgeStatistics, weights: &[f64], count: usize) -> Vec<usize> {
    let score = |i: usize| {
        let column = weights.iter().enumerate().map(|(o, w)| (f64::from(net.down.weight[(o, i)]) * w).powi(2));
        sums.scatter()[(i, i)] * column.sum::<f64>()
    };
    let mut order: Vec<(f64, usize)> = (0..net.width()).map(|i| (score(i), i)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut chosen: Vec<usize> = order[..count].iter().map(|(_, i)| *i).collect();
    chosen.sort_unstable();
    chosen
}

/// Some columns of a map; the others count with their means.
fn pruned(down: &Linear, columns: &[usize], means: &[f64]) -> Result<Linear> {
    let dropped: Vec<usize> = (0..down.inputs()).filter(|i| columns.binary_search(i).is_err()).collect();
    let bias = |o: usize| {
        let lost = dropped.iter().map(|i| f64::from(down.weight[(o, *i)]) * means[*i]).sum::<f64>();
        down.bias[o] + lost as f32
    };
    let weight = Mat::from_fn(down.outputs(), columns.len(), |o, i| down.weight[(o, columns[i])]);
    Linear::new(weight, (0..down.outputs()).map(bias).collect())
}

/// Some rows of a map.
fn rows(map: &Linear, rows: &[usize]) -> Result<Linear> {
    Linear::new(map.weight.as_ref().select_rows(rows), rows.iter().map(|i| map.bias[*i]).collect())
}

/// Features max(g x, 0) with normal g.
fn random_features(inputs: usize, count: usize, layer: usize, resources: &Resources) -> Ffn {
    let purpose = Purpose::PROJECTION.at_layer(layer as u32);
    let mut weight = Mat::zeros(count, inputs);
    for i in 0..count {
        let mut draws = Draws::new(resources.seed, purpose, i as u64);
        weight.row_mut(i).iter_mut().for_each(|w| *w = draws.normal() as f32);
    }
    let up = Linear { weight, inner: None, bias: vec![0.0; count] };
    let down = Linear { weight: Mat::zeros(inputs, count), inner: None, bias: vec![0.0; inputs] };
    Ffn { up, activation: Activation::Relu, down }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statistics hold one triangle; a selection on the other, which is zero, would look at single features only.
    #[test]
    fn covariances_are_symmetric_and_those_of_the_features() -> Result<()> {
        let (rows, features) = (40, 5);
        let wave = |i: usize, j: usize| (0.7 * (i * (j + 1)) as f64).sin() + 0.5 * (i as f64).cos();
        let h = Mat::from_fn(rows, features, |i, j| wave(i, j) as f32);
        let y = Mat::from_fn(rows, 1, wave);
        let resources = Resources::new(2)?;
        let mut sums = RidgeStatistics::new(features, 1, &resources)?;
        sums.add(h.as_ref(), y.as_ref(), &[], &resources)?;
        let k = covariance(&sums);
        let mean = |j: usize| (0..rows).map(|i| f64::from(h[(i, j)])).sum::<f64>() / rows as f64;
        for i in 0..features {
            for j in 0..features {
                let product = |r: usize| (f64::from(h[(r, i)]) - mean(i)) * (f64::from(h[(r, j)]) - mean(j));
                let expected = (0..rows).map(product).sum::<f64>() / rows as f64;
                assert!((k[(i, j)] - expected).abs() < 1e-7, "{i} {j}: {} {expected}", k[(i, j)]);
            }
        }
        Ok(())
    }
}
