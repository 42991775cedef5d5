//! The pooler: one vector for a text or image from the last hidden state of its first token.

use crate::TILE;
use crate::batch::Batch;
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::ffn::Ffn;
use crate::linear::Linear;
use crate::pool::Pooling;
use dualnet::{Mat, Resources};

/// A pooler, of rows of length d to rows of length d.
#[derive(Debug, Clone, PartialEq)]
pub enum Pooler {
    /// tanh(W h + b): that of BERT, RoBERTa, MPNet, ViT and DeiT.
    Tanh(Linear),
    /// T max(G h + g, 0) + c, G and g random ("Scalable Neural Network Kernels"): what [`crate::compress`] makes of it.
    Snnk(Ffn),
}

impl Pooler {
    /// Numbers in it, random ones included.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Tanh(map) => map.parameters(),
            Self::Snnk(net) => net.parameters(),
        }
    }

    /// Of each row of `states`, any number of them. A row gets the same bits whatever the others are.
    pub(crate) fn apply(&self, states: &Mat<f32>, resources: &Resources) -> Result<Mat<f32>> {
        let (rows, d) = (states.rows(), states.cols());
        self.check(d)?;
        let whole = whole_tiles(states)?;
        let mut y = match self {
            Self::Tanh(map) => map.apply(&whole, resources)?.into_vec(),
            Self::Snnk(net) => net.down.apply(&net.hidden(&whole, resources)?, resources)?.into_vec(),
        };
        y.truncate(rows * d);
        if matches!(self, Self::Tanh(_)) {
            y.iter_mut().for_each(|y| *y = f64::from(*y).tanh() as f32);
        }
        let y = Mat::from_vec(rows, d, y)?;
        y.as_ref().check_finite("the pooler's output (its numbers leave the range of f32)")?;
        Ok(y)
    }

    /// The fields are public.
    fn check(&self, d: usize) -> Result<()> {
        let found = match self {
            Self::Tanh(map) => [map.inputs(), d, d, map.outputs()],
            Self::Snnk(net) => [net.up.inputs(), net.up.outputs(), net.down.inputs(), net.down.outputs()],
        };
        if found[0] == d && found[1] > 0 && found[1] == found[2] && found[3] == d {
            return Ok(());
        }
        let (expected, found) = (format!("maps of rows of {d} to rows of {d}"), format!("sizes {found:?}"));
        Err(Error::invalid("pooler", expected, found, "give it the sizes of the encoder"))
    }
}

/// Filled up with rows of zeros.
pub(crate) fn whole_tiles(rows: &Mat<f32>) -> Result<Mat<f32>> {
    let (count, cols) = (rows.rows().next_multiple_of(TILE), rows.cols());
    let mut values = rows.as_slice().to_vec();
    values.resize(count * cols, 0.0);
    Ok(Mat::from_vec(count, cols, values)?)
}

impl Encoder {
    /// The pooler, where it is needed.
    pub(crate) fn needed_pooler(&self) -> Result<&Pooler> {
        let hint = "choose another pooling: --pooling mean or --pooling cls";
        let none = || Error::invalid("pooler", "an encoder that has one (tensors pooler.dense.*)", "none", hint);
        self.pooler.as_ref().ok_or_else(none)
    }

    /// A row for each text or image, not normalised, from the last hidden states that [`Self::forward`] gives for `batch`. It has the same bits alone as
    /// among others.
    ///
    /// # Errors
    /// Another matrix than that of `batch`; a pooling that needs a pooler, where there is none or one of other sizes; numbers that leave the range.
    pub fn pooled(
        &self,
        states: &Mat<f32>,
        batch: &Batch,
        pooling: Pooling,
        resources: &Resources,
    ) -> Result<Mat<f32>> {
        let (found, d) = ((states.rows(), states.cols()), self.hidden());
        if found.0 < batch.tokens() || found.1 != d {
            let (expected, found) = (format!("{} rows of {d}", batch.rows()), format!("{} of {}", found.0, found.1));
            return Err(Error::invalid(
                "last hidden states",
                expected,
                found,
                "take what forward gives for this batch",
            ));
        }
        let rows = pooling.pool(states, batch);
        match pooling {
            Pooling::Mean | Pooling::Cls => Ok(rows),
            Pooling::Pooler => self.needed_pooler()?.apply(&rows, resources),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;

    fn wave(rows: usize, cols: usize, k: f32) -> Mat<f32> {
        Mat::from_fn(rows, cols, |i, j| (k * (i * cols + j) as f32).sin())
    }

    #[test]
    fn both_kinds_are_their_formulas() -> Result<()> {
        let (d, m, resources) = (6, 9, Resources::new(2)?);
        let map = |outputs: usize, inputs: usize, k: f32| {
            Linear::new(wave(outputs, inputs, k), (0..outputs).map(|i| i as f32 / 8.0).collect())
        };
        let (tanh, up, down) = (map(d, d, 0.7)?, map(m, d, 1.1)?, map(d, m, 0.3)?);
        let net = Ffn::new(up.clone(), Activation::Relu, down.clone())?;
        let poolers = [Pooler::Tanh(tanh.clone()), Pooler::Snnk(net)];
        assert_eq!(poolers.each_ref().map(Pooler::parameters), [d * d + d, m * d + m + d * m + d]);
        let linear = |map: &Linear, x: &[f64]| -> Vec<f64> {
            let one = |i: usize| map.weight.row(i).iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
            (0..map.outputs()).map(|i| one(i) + f64::from(map.bias[i])).collect()
        };
        let states = wave(200, d, 0.9);
        for pooler in &poolers {
            let y = pooler.apply(&states, &resources)?;
            assert_eq!((y.rows(), y.cols()), (200, d));
            for row in [0, 131, 199] {
                let x: Vec<f64> = states.row(row).iter().map(|x| f64::from(*x)).collect();
                let expected: Vec<f64> = match pooler {
                    Pooler::Tanh(_) => linear(&tanh, &x).into_iter().map(f64::tanh).collect(),
                    Pooler::Snnk(_) => {
                        let hidden: Vec<f64> = linear(&up, &x).into_iter().map(|x| x.max(0.0)).collect();
                        linear(&down, &hidden)
                    }
                };
                for (y, expected) in y.row(row).iter().zip(expected) {
                    assert!((f64::from(*y) - expected).abs() < 3e-6, "{y} {expected}");
                }
                let alone = Mat::from_vec(1, d, states.row(row).to_vec())?;
                assert_eq!(pooler.apply(&alone, &Resources::new(1)?)?.row(0), y.row(row), "alone");
            }
            let error = pooler.apply(&wave(3, d + 1, 1.0), &resources).map_err(|e| e.to_string());
            assert!(error.as_ref().is_err_and(|e| e.contains("maps of rows of 7 to rows of 7")), "{error:?}");
        }
        Ok(())
    }
}
