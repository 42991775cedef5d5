//! Random features in place of the pooler, and the map from them solved for.

use super::fit::solve;
use crate::BATCH;
use crate::activation::Activation;
use crate::batch::Inputs;
use crate::encoder::Encoder;
use crate::error::Result;
use crate::ffn::Ffn;
use crate::linear::Linear;
use crate::pool::Pooling;
use crate::pooler::{Pooler, whole_tiles};
use crate::snnk::{self, MOST_DRAWS};
use dualnet::random::{Draws, Purpose};
use dualnet::ridge::RidgeStatistics;
use dualnet::{Mat, Resources};
use serde::Serialize;
use std::time::Instant;

/// A pooler of m features is fitted on so many times m texts or images, if there are as many: each is one row of the regression.
pub const POOLER_INPUTS: usize = 16;
/// Layers have the draws from 0 on.
const DRAW: u32 = MOST_DRAWS - 1;

/// A pooler that was replaced. Of pairs, the first is the original's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PoolerReport {
    /// Random features.
    pub features: usize,
    /// Numbers in it, random ones included.
    pub parameters: [usize; 2],
    /// Texts or images that it was fitted on.
    pub inputs: usize,
    /// On inputs kept apart: squared error to what the original encoder's pooler gives, relative to the variance of that, about its mean
    /// over the inputs of the fit.
    pub variance_left: f64,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Some texts or images.
struct Piece {
    /// Last hidden states of first tokens in the smaller encoder.
    own: Mat<f32>,
    /// What the original encoder's pooler gives.
    target: Mat<f32>,
}

/// The pooler of `original` as `features` random features max(G h + g, 0) and a map from them, by ridge regression of what the pooler gives in
/// the original on the features of what `encoder` has there, so that the drift of its layers is corrected.
pub(super) fn fit(
    [original, encoder]: [&Encoder; 2],
    features: usize,
    [inputs, apart]: [&Inputs; 2],
    resources: &Resources,
) -> Result<(Pooler, PoolerReport)> {
    let start = Instant::now();
    let count = inputs.len().min(features.saturating_mul(POOLER_INPUTS));
    let some = inputs.select(&Vec::from_iter(0..count));
    let fitted = pieces([original, encoder], &some, resources)?;
    let (net, means) = solved(&fitted, features, resources)?;
    let (d, pooler) = (encoder.hidden(), Pooler::Snnk(net));
    let (mut error, mut size) = (0.0, 0.0);
    for piece in pieces([original, encoder], apart, resources)? {
        let own = pooler.apply(&piece.own, resources)?;
        for (own, target) in own.as_slice().chunks_exact(d).zip(piece.target.as_slice().chunks_exact(d)) {
            for ((own, target), mean) in own.iter().zip(target).zip(&means) {
                error += f64::from(own - target).powi(2);
                size += (f64::from(*target) - mean).powi(2);
            }
        }
    }
    let report = PoolerReport {
        features,
        parameters: [original.needed_pooler()?.parameters(), pooler.parameters()],
        inputs: count,
        variance_left: error / size.max(f64::MIN_POSITIVE),
        seconds: start.elapsed().as_secs_f64(),
    };
    resources.progress.update("pooler", 1, 1);
    Ok((pooler, report))
}

/// Random features for these states, with the map from them to the targets; and the means of the targets.
fn solved(pieces: &[Piece], features: usize, resources: &Resources) -> Result<(Ffn, Vec<f64>)> {
    let d = pieces.first().map_or(0, |piece| piece.own.cols());
    let up = biased(snnk::features(d, features, DRAW, resources)?, pieces, resources);
    let down = Linear::new(Mat::zeros(d, features), vec![0.0; d])?;
    let mut net = Ffn::new(up, Activation::Relu, down)?;
    let mut sums = RidgeStatistics::new(features, d, resources)?;
    for piece in pieces {
        let hidden = net.hidden(&whole_tiles(&piece.own)?, resources)?;
        let hidden = hidden.as_ref().block(0..piece.own.rows(), 0..features)?;
        let target = piece.target.as_slice();
        let target = Mat::from_fn(piece.own.rows(), d, |i, j| f64::from(target[i * d + j]));
        sums.add(hidden, target.as_ref(), &[], resources)?;
    }
    net.down = solve(&sums, &Vec::from_iter(0..features), resources)?;
    Ok((net, sums.target_mean().to_vec()))
}

/// Runs both encoders, or one where they are equal.
fn pieces([original, encoder]: [&Encoder; 2], inputs: &Inputs, resources: &Resources) -> Result<Vec<Piece>> {
    let pooler = original.needed_pooler()?;
    let bytes = 2 * 4 * (encoder.hidden() * inputs.len()) as u64;
    resources.reserve("states for the pooler", bytes, "use fewer features, or raise the memory limit")?;
    let (same, total) = (original == encoder, inputs.len() as u64);
    let piece = |group: std::ops::Range<usize>| {
        resources.progress.update("pooler", group.start as u64, total);
        let batch = inputs.batch(group)?;
        let first =
            |encoder: &Encoder| Ok::<_, crate::Error>(Pooling::Cls.pool(&encoder.forward(&batch, resources)?, &batch));
        let states = first(original)?;
        let target = pooler.apply(&states, resources)?;
        Ok(Piece { own: if same { states } else { first(encoder)? }, target })
    };
    inputs.groups(BATCH).into_iter().map(piece).collect()
}

/// With biases of the size of G (h - mean), so that features bend everywhere among the states: max(z, 0) is (z + |z|) / 2, so sums of features that all
/// bend at the mean follow of a function that is odd about it, as tanh is, only a linear part.
fn biased(mut up: Linear, pieces: &[Piece], resources: &Resources) -> Linear {
    let rows = || pieces.iter().flat_map(|piece| piece.own.as_slice().chunks_exact(up.inputs()));
    let count = rows().count().max(1) as f64;
    let mut mean = vec![0.0; up.inputs()];
    rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x) / count));
    let square = |row: &[f32]| row.iter().zip(&mean).map(|(x, mean)| (f64::from(*x) - mean).powi(2)).sum::<f64>();
    let spread = (rows().map(square).sum::<f64>() / count).sqrt();
    let bias = |j: usize| {
        let at_mean = up.weight.row(j).iter().zip(&mean).map(|(g, mean)| f64::from(*g) * mean).sum::<f64>();
        (spread * Draws::new(resources.seed, Purpose::BIASES.at_layer(DRAW), j as u64).normal() - at_mean) as f32
    };
    up.bias = (0..up.outputs()).map(bias).collect();
    up
}

#[cfg(test)]
mod tests {
    use super::*;

    /// States around a far mean, the targets odd about it and bent: features without biases leave .23 of the variance.
    #[test]
    fn odd_functions_are_followed() -> Result<()> {
        let (d, resources) = (3, Resources::new(2)?);
        let mut draws = Draws::new(1, Purpose::PROBE, 0);
        let away = Mat::from_fn(2000, d, |_, _| draws.normal());
        let piece = Piece {
            own: Mat::from_fn(2000, d, |i, j| (20.0 + away[(i, j)]) as f32),
            target: Mat::from_fn(2000, d, |i, j| (4.0 * away[(i, j)]).tanh() as f32),
        };
        let (net, _) = solved(std::slice::from_ref(&piece), 512, &resources)?;
        let own = Pooler::Snnk(net).apply(&piece.own, &resources)?;
        let squares = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>();
        let error = squares(&mut own.as_slice().iter().zip(piece.target.as_slice()).map(|(a, b)| a - b));
        let left = error / squares(&mut piece.target.as_slice().iter().copied());
        assert!(left < 0.05, "{left}");
        Ok(())
    }
}
