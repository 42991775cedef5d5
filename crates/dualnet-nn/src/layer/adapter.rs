//! The way of what a part of a layer gives into the residual sum: through an adapter, where there is one.

use super::Layer;
use crate::error::{Error, Result};
use crate::ffn::Ffn;
use crate::linear::Linear;
use dualnet::simd::Isa;
use dualnet::{Mat, Resources};
use std::borrow::Cow;

/// The last map of a part, and what stands between it and the sum.
pub(super) struct Exit<'a> {
    map: &'a Linear,
    adapter: Option<&'a Ffn>,
}

impl Layer {
    /// Of attention.
    pub(super) fn attention_exit(&self) -> Exit<'_> {
        Exit { map: &self.attention.out, adapter: self.attention_adapter.as_ref() }
    }

    /// Of the feed-forward net.
    pub(super) fn ffn_exit(&self) -> Exit<'_> {
        Exit { map: &self.ffn.down, adapter: self.ffn_adapter.as_ref() }
    }
}

impl Exit<'_> {
    /// `sum = base + a + adapter(a)` of some rows, `a = x W^T + b`. `scratch` grows only where there is an adapter.
    pub(super) fn tile(
        &self,
        base: &[f32],
        x: &[f32],
        scratch: &mut Vec<f32>,
        sum: &mut [f32],
        isa: Isa,
    ) -> Result<()> {
        let Some(adapter) = self.adapter else { return self.map.tile_onto(base, x, sum) };
        let (d, m) = (self.map.outputs(), adapter.width());
        check(adapter, d)?;
        let rows = x.len() / self.map.inputs();
        scratch.resize(rows * (d + 2 * m), 0.0);
        let (a, hidden) = scratch.split_at_mut(rows * d);
        let (pre, act) = hidden.split_at_mut(rows * m);
        self.map.tile(x, a)?;
        adapter.tile(a, a, [pre, act], sum, isa)?;
        sum.iter_mut().zip(base).for_each(|(sum, base)| *sum += base);
        Ok(())
    }

    /// The gradient by what the map gives for `x`, from that by the sum. The adapter's numbers are computed again: they are few, and kept nowhere.
    pub(super) fn back<'g>(
        &self,
        x: &Mat<f32>,
        gradient: &'g Mat<f32>,
        resources: &Resources,
    ) -> Result<Cow<'g, Mat<f32>>> {
        let Some(adapter) = self.adapter else { return Ok(Cow::Borrowed(gradient)) };
        let pre = adapter.up.apply(&self.map.apply(x, resources)?, resources)?;
        let mut by_map = gradient.clone();
        adapter.input_back(&pre, gradient, Some(&mut by_map), resources)?;
        Ok(Cow::Owned(by_map))
    }
}

/// The fields are public: what does not fit would be computed on wrong rows.
fn check(adapter: &Ffn, d: usize) -> Result<()> {
    let found = [adapter.up.inputs(), adapter.down.outputs(), adapter.width(), adapter.down.inputs()];
    if found[..2] == [d, d] && found[2] > 0 && found[2] == found[3] {
        return Ok(());
    }
    let [inputs, outputs, width, _] = found;
    let found = format!("{inputs} -> {width} -> {outputs}");
    Err(Error::invalid(
        "adapter of a layer",
        format!("a net of {d} -> m -> {d}, m from 1 on"),
        found,
        "make one with Ffn::new",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use crate::{Batch, Encoder};
    use std::path::Path;

    /// c a = c max(a, 0) - c max(-a, 0).
    fn multiple(d: usize, c: f32) -> Result<Ffn> {
        let sign = |i: usize, j: usize| {
            if i % d != j {
                0.0
            } else if i < d {
                1.0
            } else {
                -1.0
            }
        };
        let up = Linear::new(Mat::from_fn(2 * d, d, sign), vec![0.0; 2 * d])?;
        let down = Linear::new(Mat::from_fn(d, 2 * d, |j, i| c * sign(i, j)), vec![0.0; d])?;
        Ffn::new(up, Activation::Relu, down)
    }

    fn scaled(map: &mut Linear, by: f32) {
        map.weight.as_mut_slice().iter_mut().chain(&mut map.bias).for_each(|w| *w *= by);
    }

    /// An adapter that gives c a makes (1 + c) a of a: what a layer does whose last maps are that much larger.
    #[test]
    fn adapters_act_before_the_sum() -> Result<()> {
        let resources = Resources::new(2)?;
        for name in ["bert", "deit"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tiny").join(name);
            let layer = Encoder::load(&folder)?.0.layers.swap_remove(1);
            let d = layer.attention.out.outputs();
            // Rows of three texts; what they hold is of no importance here.
            let batch = Batch::new([&[1; 70][..], &[1; 90], &[1; 3]])?;
            let x = Mat::from_fn(batch.rows(), d, |i, j| (0.3 * (i * d + j) as f32).sin());
            let (mut adapted, mut larger) = (layer.clone(), layer);
            adapted.attention_adapter = Some(multiple(d, 0.75)?);
            adapted.ffn_adapter = Some(multiple(d, -0.5)?);
            scaled(&mut larger.attention.out, 1.75);
            scaled(&mut larger.ffn.down, 0.5);
            let far = |a: &Mat<f32>, b: &Mat<f32>| {
                let used = batch.tokens() * d;
                let pairs = a.as_slice()[..used].iter().zip(b.as_slice());
                pairs.fold(0.0f32, |e, (a, b)| e.max((a - b).abs()))
            };
            let forward = |layer: &Layer| layer.forward(&x, &batch, None, &resources);
            let error = far(&forward(&adapted)?, &forward(&larger)?);
            assert!(error < 2e-5, "{name}: {error}");
            let [a, b] = [&adapted, &larger].map(|layer| layer.attended(&x, &batch, None, &resources));
            let (a, b) = (a?, b?);
            let error = far(&a.x, &b.x).max(far(a.base(), b.base()));
            assert!(error < 2e-5, "{name}, up to the net: {error}");

            let alone = adapted.forward(&x, &batch, None, &Resources::new(1)?)?;
            assert_eq!(alone.as_slice(), forward(&adapted)?.as_slice(), "{name}: threads");
            let mut wrong = adapted;
            wrong.ffn_adapter = Some(multiple(d + 1, 1.0)?);
            let error = forward(&wrong).map(|_| ()).map_err(|e| e.to_string());
            let (expected, found) = (format!("{d} -> m -> {d}"), format!("{0} -> {1} -> {0}", d + 1, 2 * d + 2));
            assert!(error.as_ref().is_err_and(|e| e.contains(&expected) && e.contains(&found)), "{error:?}");
        }
        Ok(())
    }
}
