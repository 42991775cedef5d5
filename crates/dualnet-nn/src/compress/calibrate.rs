//! The states of calibration texts in the original and in the smaller encoder, layer by layer side by side.

use crate::BATCH;
use crate::batch::{Batch, Inputs};
use crate::encoder::Encoder;
use crate::error::Result;
use crate::ffn::Ffn;
use crate::layer::Attended;
use dualnet::{Mat, MatRef, Resources};

/// Some texts between two layers.
pub(super) struct Piece {
    batch: Batch,
    /// The input of the next layer in the original.
    original: Mat<f32>,
    /// The same in the smaller encoder.
    own: Mat<f32>,
    /// The input of its net, X, and what the net is added to.
    next: Attended,
    /// What the sum after that net is in the original, Z: the net is to give the difference to what it is added to.
    pub(super) z: Mat<f32>,
}

/// All calibration texts.
pub(super) struct Calibration {
    pub(super) pieces: Vec<Piece>,
    /// From some layer on the two encoders differ.
    apart: bool,
}

impl Calibration {
    pub(super) fn new(encoder: &Encoder, inputs: &Inputs, resources: &Resources) -> Result<Self> {
        let groups = inputs.groups(BATCH);
        let bytes = 4 * 4 * (encoder.hidden() * inputs.tokens()) as u64;
        resources.reserve("calibration", bytes, "calibrate on fewer tokens, or raise the memory limit")?;
        let piece = |group: std::ops::Range<usize>| {
            let batch = inputs.batch(group)?;
            let original = encoder.embed(&batch, resources)?;
            let next = Attended { x: Mat::zeros(0, 0), base: None };
            Ok(Piece { own: original.clone(), original, batch, next, z: Mat::zeros(0, 0) })
        };
        Ok(Self { pieces: groups.into_iter().map(piece).collect::<Result<_>>()?, apart: false })
    }

    pub(super) fn tokens(&self) -> usize {
        self.pieces.iter().map(|piece| piece.batch.tokens()).sum()
    }

    /// Goes up to the net of layer `layer`: sets X and Z of all pieces.
    pub(super) fn reach(&mut self, encoder: &Encoder, layer: usize, resources: &Resources) -> Result<()> {
        let (layer, bias) = (&encoder.layers[layer], encoder.relative.as_ref());
        for piece in &mut self.pieces {
            resources.check("calibration")?;
            let original = layer.attended(&piece.original, &piece.batch, bias, resources)?;
            piece.z = layer.ffn.residual(&original.x, original.base(), resources)?;
            piece.next = match self.apart {
                true => layer.attended(&piece.own, &piece.batch, bias, resources)?,
                false => original,
            };
            piece.original = layer.finish(piece.z.clone(), resources);
        }
        Ok(())
    }

    /// Goes through `net` in place of the one of layer `layer`; returns its error, each coordinate in units of the target's variance.
    pub(super) fn pass(
        &mut self,
        encoder: &Encoder,
        layer: usize,
        net: &Ffn,
        weights: &[f64],
        resources: &Resources,
    ) -> Result<f64> {
        let mut sums = vec![0.0; net.up.inputs()];
        for piece in &mut self.pieces {
            let z = net.residual(piece.x(), piece.base(), resources)?;
            for row in 0..piece.batch.tokens() {
                for ((sum, a), b) in sums.iter_mut().zip(z.row(row)).zip(piece.z.row(row)) {
                    *sum += f64::from(a - b).powi(2);
                }
            }
            piece.own = encoder.layers[layer].finish(z, resources);
        }
        self.apart = true;
        let scaled = sums.iter().zip(weights).map(|(sum, w)| sum * w * w).sum::<f64>();
        Ok(scaled / (self.tokens() * sums.len()).max(1) as f64)
    }

    /// Goes through layer `layer` as it is.
    pub(super) fn keep(&mut self, encoder: &Encoder, layer: usize, resources: &Resources) -> Result<()> {
        let layer = &encoder.layers[layer];
        for piece in &mut self.pieces {
            piece.own = match self.apart {
                true => layer.finish(layer.ffn.residual(piece.x(), piece.base(), resources)?, resources),
                false => piece.original.clone(),
            };
        }
        Ok(())
    }
}

impl Piece {
    pub(super) fn tokens(&self) -> usize {
        self.batch.tokens()
    }

    /// The input of the net, X.
    pub(super) fn x(&self) -> &Mat<f32> {
        &self.next.x
    }

    /// What the net is added to.
    pub(super) fn base(&self) -> &Mat<f32> {
        self.next.base()
    }

    /// What the net is to give for each token.
    pub(super) fn target(&self) -> Mat<f64> {
        let (z, x) = (self.z.as_slice(), self.base().as_slice());
        let cols = self.z.cols();
        Mat::from_fn(self.tokens(), cols, |i, j| f64::from(z[i * cols + j]) - f64::from(x[i * cols + j]))
    }
}

/// The rows of `rows` that hold tokens.
pub(super) fn used<'a>(rows: &'a Mat<f32>, piece: &Piece) -> Result<MatRef<'a, f32>> {
    Ok(rows.as_ref().block(0..piece.tokens(), 0..rows.cols())?)
}
