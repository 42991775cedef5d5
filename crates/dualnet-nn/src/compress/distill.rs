//! Steps of Adam on all changed layers together, towards the last hidden states and the embeddings of the original.

use super::{Method, Plan, Teacher};
use crate::adam::{Adam, Rate};
use crate::batch::{Batch, Inputs};
use crate::encoder::Encoder;
use crate::error::Result;
use crate::pool::{Pooling, cosine};
use dualnet::{Mat, Resources};
use std::sync::Arc;

/// Tokens of a step, about.
const TOKENS: usize = 1024;
/// Decay of the moments.
const BETAS: (f64, f64) = (0.9, 0.999);
/// Steps up to the largest rate, and the share of it at the end.
const SHAPE: (usize, f64) = (20, 0.05);

/// The largest rate: either factor of a product scales the other, so products take smaller steps; with the rate of the others some diverged.
fn peak(method: Method) -> f64 {
    if method == Method::Svd { 2e-4 } else { 8e-4 }
}

/// How often the same tokens are seen, or more often where there are too few: what the original makes of them is computed once, and that is
/// nearly half of the work of a step. More steps on fewer texts do better than fewer on more.
const PASSES: usize = 3;

/// Takes `steps` steps on the nets of changed layers, or on these `whole` layers, going several times through the first of the texts.
pub(super) fn distill(
    original: &Teacher<'_>,
    encoder: &mut Encoder,
    plan: &Plan,
    inputs: &Inputs,
    steps: usize,
    whole: bool,
    resources: &Resources,
) -> Result<()> {
    let layers = learning(encoder, plan);
    let lowest = layers.first().copied().unwrap_or(0);
    let groups = inputs.groups(TOKENS);
    let different = steps.div_ceil(PASSES).min(groups.len());
    let room = resources.memory.map_or(usize::MAX, |limit| limit as usize / 4);
    let mut targets = Targets { kept: vec![None; different], room };
    let rate = Rate { peak: peak(plan.method), warm_up: SHAPE.0.min(steps / 4), steps, end: SHAPE.1 };
    let mut adam = Adam::new(rate, BETAS);
    for (step, (at, group)) in groups[..different].iter().enumerate().cycle().take(steps).enumerate() {
        resources.check("distillation")?;
        resources.progress.update("distillation", step as u64, steps as u64);
        let batch = inputs.batch(group.clone())?;
        let target = targets.get(at, || original.encoder.forward(&batch, resources))?;
        let (own, traces) = encoder.trace(&batch, lowest, resources)?;
        encoder.check_finite(&own, &batch)?;
        let (_, gradient) = loss(&own, &target, &batch, original.pooling);
        let gradients = encoder.gradients(&traces, gradient, &batch, whole, resources)?;
        let learns = |layer: &usize| layers.contains(layer);
        let gradients = (lowest..).zip(&gradients).filter(|(layer, _)| learns(layer));
        let tensors = encoder.layers.iter_mut().enumerate().filter(|(layer, _)| learns(layer));
        adam.step(
            tensors.flat_map(|(_, layer)| layer.tensors_mut(whole)),
            gradients.flat_map(|(_, gradient)| gradient.tensors()),
        );
    }
    resources.progress.update("distillation", 1, 1);
    Ok(())
}

/// What the original makes of each group of inputs, kept while there is room.
struct Targets {
    kept: Vec<Option<Arc<Mat<f32>>>>,
    /// Bytes left.
    room: usize,
}

impl Targets {
    fn get(&mut self, at: usize, compute: impl FnOnce() -> Result<Mat<f32>>) -> Result<Arc<Mat<f32>>> {
        if let Some(target) = &self.kept[at] {
            return Ok(target.clone());
        }
        let target = Arc::new(compute()?);
        if let Some(room) = self.room.checked_sub(size_of_val(target.as_slice())) {
            self.room = room;
            self.kept[at] = Some(target.clone());
        }
        Ok(target)
    }
}

/// The layers that learn: those that were narrowed, or all that are left.
fn learning(encoder: &Encoder, plan: &Plan) -> Vec<usize> {
    match plan.method {
        Method::DropLayers => (0..encoder.layers.len()).collect(),
        _ => plan.layers.clone(),
    }
}

/// |own - target|^2 / |target|^2 over all tokens, plus the mean of 1 - cosine over pooled texts; and its gradient by `own`.
pub(super) fn loss(own: &Mat<f32>, target: &Mat<f32>, batch: &Batch, pooling: Pooling) -> (f64, Mat<f32>) {
    let mut gradient = Mat::zeros(own.rows(), own.cols());
    let used = batch.tokens() * own.cols();
    let (a, b) = (&own.as_slice()[..used], &target.as_slice()[..used]);
    let size = b.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>().max(f64::MIN_POSITIVE);
    let mut error = 0.0;
    for ((g, a), b) in gradient.as_mut_slice().iter_mut().zip(a).zip(b) {
        let difference = f64::from(*a) - f64::from(*b);
        error += difference * difference;
        *g = (2.0 * difference / size) as f32;
    }
    let [own, target] = [own, target].map(|x| pooling.pool(x, batch));
    let mut pooled = Mat::zeros(batch.texts(), own.cols());
    let texts = batch.texts().max(1) as f64;
    let mut angles = 0.0;
    for text in 0..batch.texts() {
        let (a, b) = (own.row(text), target.row(text));
        let length = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        let (cosine, size, other) = (cosine(a, b), length(a), length(b));
        angles += (1.0 - cosine) / texts;
        for ((g, a), b) in pooled.row_mut(text).iter_mut().zip(a).zip(b) {
            *g = ((cosine * f64::from(*a) / size - f64::from(*b) / other) / (size * texts)) as f32;
        }
    }
    pooling.back(&pooled, batch, &mut gradient);
    (error / size + angles, gradient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use crate::encoder::Embeddings;
    use crate::ffn::Ffn;
    use crate::picture::{Filter, Processor, Resize};
    use dualnet::random::{Draws, Purpose};
    use std::path::Path;

    fn tiny(name: &str) -> Result<Encoder> {
        Ok(Encoder::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tiny").join(name))?.0)
    }

    /// Three texts of different lengths, or three images.
    fn inputs(encoder: &Encoder) -> Result<Batch> {
        let Embeddings::Patches(patches) = &encoder.embeddings else {
            return Batch::new([&[2, 5, 7, 8, 9, 3][..], &[2, 12, 6, 18, 22, 11, 10, 14, 19, 3], &[2, 3]]);
        };
        let (mean, deviation) = ([0.5; 3], [0.5; 3]);
        let processor = Processor { resize: Resize::Both(12), filter: Filter::Bilinear, size: 12, mean, deviation };
        let mut pictures = processor.pictures();
        for image in 1..4 {
            let rgb: Vec<u8> = (0..12 * 12 * 3).map(|i| (i * (i % 7 + image) % 256) as u8).collect();
            processor.add(&mut pictures, &rgb, 12, 12)?;
        }
        Ok(Batch::images(&pictures, 0..3, patches.patch, patches.prefix.rows()))
    }

    /// Along random directions through the parameters of all layers, and of their nets alone: attention, norms, pooling and loss all take part.
    #[test]
    fn gradients_are_differences() -> Result<()> {
        let resources = Resources::new(2)?;
        for (name, adapted, pooling, lowest, whole) in [
            ("bert", false, Pooling::Mean, 0, false),
            ("bert", false, Pooling::Mean, 0, true),
            ("bert", true, Pooling::Mean, 0, false),
            ("bert", true, Pooling::Mean, 0, true),
            ("mpnet", false, Pooling::Cls, 0, false),
            ("mpnet", false, Pooling::Cls, 0, true),
            ("roberta", false, Pooling::Mean, 1, false),
            ("roberta", false, Pooling::Mean, 1, true),
            ("vit", false, Pooling::Cls, 0, false),
            ("vit", false, Pooling::Cls, 0, true),
            ("vit", true, Pooling::Cls, 0, false),
            ("vit", true, Pooling::Cls, 0, true),
            ("dinov2", false, Pooling::Mean, 1, false),
            ("dinov2", false, Pooling::Mean, 1, true),
        ] {
            let mut original = tiny(name)?;
            if adapted {
                adapt(&mut original, &resources)?;
            }
            let batch = inputs(&original)?;
            let target = original.forward(&batch, &resources)?;
            let mut draws = Draws::new(1, Purpose::PROBE, 0);
            let mut encoder = original.clone();
            shift(&mut encoder, &direction(&original, (0, whole), &mut draws), (0, whole), 0.05);
            let (own, traces) = encoder.trace(&batch, lowest, &resources)?;
            assert_eq!(
                own.as_slice(),
                encoder.forward(&batch, &resources)?.as_slice(),
                "one description, the same bits"
            );
            let (_, gradient) = loss(&own, &target, &batch, pooling);
            let gradients = encoder.gradients(&traces, gradient, &batch, whole, &resources)?;
            for _ in 0..4 {
                let along = direction(&encoder, (lowest, whole), &mut draws);
                let expected: f64 = gradients
                    .iter()
                    .flat_map(|g| g.tensors())
                    .zip(&along)
                    .flat_map(|(g, a)| g.iter().zip(a))
                    .map(|(g, a)| f64::from(g * a))
                    .sum();
                assert_eq!(gradients.iter().map(|g| g.tensors().count()).sum::<usize>(), along.len());
                let at = |by: f32| -> Result<f64> {
                    let mut moved = encoder.clone();
                    shift(&mut moved, &along, (lowest, whole), by);
                    Ok(loss(&moved.forward(&batch, &resources)?, &target, &batch, pooling).0)
                };
                // Of fourth order: norms and softmax bend much along all parameters at once.
                let h = 1e-3;
                let difference = (8.0 * (at(h)? - at(-h)?) - (at(2.0 * h)? - at(-2.0 * h)?)) / f64::from(12.0 * h);
                assert!(
                    (difference - expected).abs() < 0.01 * expected.abs() + 2e-3,
                    "{name}, whole {whole}, adapted {adapted}: {difference} {expected}"
                );
            }
        }
        Ok(())
    }

    /// Both adapters in each layer, bottlenecks with a smooth activation and large enough to matter.
    fn adapt(encoder: &mut Encoder, resources: &Resources) -> Result<()> {
        for (layer, draw) in encoder.layers.iter_mut().zip((0..).step_by(2)) {
            let adapter = |draw| {
                let adapter = Ffn::snnk_adapter(&[10.0; 20], 6, draw, resources)?;
                Ffn::new(adapter.up, Activation::Gelu, adapter.down)
            };
            layer.attention_adapter = Some(adapter(draw)?);
            layer.ffn_adapter = Some(adapter(draw + 1)?);
        }
        Ok(())
    }

    /// Normal numbers for each parameter from layer `lowest` on, of nets or whole layers.
    fn direction(encoder: &Encoder, which: (usize, bool), draws: &mut Draws) -> Vec<Vec<f32>> {
        let mut encoder = encoder.clone();
        tensors(&mut encoder, which).map(|tensor| tensor.iter().map(|_| draws.normal() as f32).collect()).collect()
    }

    fn tensors(encoder: &mut Encoder, (lowest, whole): (usize, bool)) -> impl Iterator<Item = &mut [f32]> {
        encoder.layers[lowest..].iter_mut().flat_map(move |layer| layer.tensors_mut(whole))
    }

    fn shift(encoder: &mut Encoder, along: &[Vec<f32>], which: (usize, bool), by: f32) {
        for (tensor, along) in tensors(encoder, which).zip(along) {
            tensor.iter_mut().zip(along).for_each(|(x, a)| *x += by * a);
        }
    }
}
