//! What replacing the net of one layer alone does to the embeddings.

use super::{Options, Plan, Steps, Teacher, fit, report, take};
use crate::batch::Inputs;
use crate::error::Result;
use dualnet::Resources;

/// Most tokens that a single net is fitted on for this.
const TOKENS: usize = 8192;

/// 1 - cosine to the original, on `apart`, for each layer replaced alone, without steps of Adam; leaves the `count` layers of the least in `plan`.
pub(super) fn measure(
    original: &Teacher<'_>,
    inputs: &Inputs,
    apart: &Inputs,
    plan: &mut Plan,
    (count, options): (usize, &Options),
    resources: &Resources,
) -> Result<Vec<f64>> {
    let some = take(inputs, options.tokens.min(TOKENS));
    let plain = Options { steps: Steps { local: 0, distill: 0 }, ..options.clone() };
    let mut damage = Vec::with_capacity(plan.layers.len());
    for (layer, width) in plan.layers.iter().zip(&plan.widths) {
        resources.progress.update("layers tried alone", *layer as u64, plan.layers.len() as u64);
        let alone = Plan { layers: vec![*layer], widths: vec![*width], method: plan.method };
        let fitted = fit::fit(original.encoder, &some, &alone, &plain, resources)?;
        damage.push(1.0 - report::quality(original, &fitted.encoder, apart, resources)?.cosine);
    }
    let mut order: Vec<usize> = (0..damage.len()).collect();
    order.sort_by(|a, b| damage[*a].total_cmp(&damage[*b]));
    order.truncate(count);
    order.sort_unstable();
    plan.widths = order.iter().map(|at| plan.widths[*at]).collect();
    plan.layers = order.iter().map(|at| plan.layers[*at]).collect();
    Ok(damage)
}
