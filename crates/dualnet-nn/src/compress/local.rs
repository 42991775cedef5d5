//! Steps of Adam on one net by itself: cheap, since nothing but this net is computed.

use super::calibrate::Calibration;
use crate::adam::{Adam, Rate};
use crate::error::Result;
use crate::ffn::Ffn;
use dualnet::random::{Draws, Purpose};
use dualnet::{Mat, Resources};

/// Tokens of a step.
const TOKENS: usize = 1024;
/// Decay of the moments.
const BETAS: (f64, f64) = (0.9, 0.99);
/// The largest rate, and the steps up to it.
const PEAK: (f64, usize) = (1e-3, 20);

/// Lowers the mean of ((f(X) - Y) S)^2 over random tokens, S = diag(`weights`).
pub(super) fn improve(
    net: &mut Ffn,
    layer: usize,
    calibration: &Calibration,
    weights: &[f64],
    steps: usize,
    resources: &Resources,
) -> Result<()> {
    let d = net.up.inputs();
    let mut adam = Adam::new(Rate { peak: PEAK.0, warm_up: PEAK.1, steps, end: 0.0 }, BETAS);
    let mut draws = Draws::new(resources.seed, Purpose::ROWS.at_layer(1 + layer as u32), 0);
    let [mut x, mut base, mut z] = std::array::from_fn(|_| Mat::zeros(TOKENS, d));
    let factors: Vec<f32> = weights.iter().map(|w| (2.0 * w * w / (TOKENS * d) as f64) as f32).collect();
    let ends: Vec<usize> = calibration
        .pieces
        .iter()
        .scan(0, |end, piece| {
            *end += piece.tokens();
            Some(*end)
        })
        .collect();
    for step in 0..steps {
        resources.check("steps on a layer")?;
        resources.progress.update("steps on this layer", step as u64, steps as u64);
        for row in 0..TOKENS {
            let token = draws.below(calibration.tokens());
            let index = ends.partition_point(|end| *end <= token);
            let piece = &calibration.pieces[index];
            let at = token + piece.tokens() - ends[index];
            x.row_mut(row).copy_from_slice(piece.x().row(at));
            base.row_mut(row).copy_from_slice(piece.base().row(at));
            z.row_mut(row).copy_from_slice(piece.z.row(at));
        }
        let [pre, act, mut gradient] = net.traced(&x, &base, resources)?;
        for (row, target) in gradient.as_mut_slice().chunks_exact_mut(d).zip(z.as_slice().chunks_exact(d)) {
            row.iter_mut().zip(target).zip(&factors).for_each(|((g, z), factor)| *g = factor * (*g - z));
        }
        let gradient = net.back(&x, &pre, &act, &gradient, None, resources)?;
        adam.step(net.tensors_mut(), gradient.tensors());
    }
    resources.progress.update("steps on this layer", 1, 1);
    Ok(())
}
