//! Random ReLU features max(G x + b, 0) as the first map of a net, and the adapter that is made of them.

use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::ffn::Ffn;
use crate::linear::Linear;
use dualnet::random::{Draws, Purpose};
use dualnet::transform::{Projection, ProjectionKind};
use dualnet::{Mat, Resources};

/// Numbers of draws are below this.
pub(crate) const MOST_DRAWS: u32 = 1 << 20;
/// Deviation of the entries of T.
const DEVIATION: f64 = 0.02;

/// G (m, d) with orthogonal rows, each of the length of a normal vector, and no biases; draw number `draw` of the seed.
pub(crate) fn features(d: usize, m: usize, draw: u32, resources: &Resources) -> Result<Linear> {
    if draw >= MOST_DRAWS {
        let (expected, hint) = (format!("below {MOST_DRAWS}"), "number adapters from 0 on");
        return Err(Error::invalid("number of a draw", expected, draw.to_string(), hint));
    }
    if m == 0 {
        return Err(Error::invalid("random features", "at least one", "0", "16 serve well in adapters"));
    }
    let purpose = Purpose::PROJECTION.at_layer(draw);
    let g = Projection::draw(ProjectionKind::Orthogonal, m, d, purpose, resources)?;
    Linear::new(g.to_mat(), vec![0.0; m])
}

impl Ffn {
    /// The adapter of "Scalable Neural Network Kernels": v * (T max(G a, 0) / sqrt(m)), for rows of the length d of `scale`, which is v, with
    /// `features` features, m. G (m, d) has orthogonal rows, T (d, m) normal entries of deviation 0.02; both are draw number `draw` of the seed.
    ///
    /// The second map is diag(v) T / sqrt(m), multiplied out, and the bias is 0: with v = 0 the layer is as without the adapter.
    ///
    /// # Errors
    /// No features, an empty `scale`, a `draw` of 2^20 or more; memory.
    ///
    /// ```
    /// use dualnet_nn::Ffn;
    /// let adapter = Ffn::snnk_adapter(&[0.0; 20], 16, 3, &dualnet::Resources::new(1)?)?;
    /// assert_eq!((adapter.up.inputs(), adapter.width(), adapter.down.outputs()), (20, 16, 20));
    /// assert!(adapter.down.weight.as_slice().iter().all(|w| *w == 0.0));
    /// # Ok::<(), dualnet_nn::Error>(())
    /// ```
    pub fn snnk_adapter(scale: &[f32], features: usize, draw: u32, resources: &Resources) -> Result<Self> {
        let d = scale.len();
        let up = self::features(d, features, draw, resources)?;
        let factor = DEVIATION / (features as f64).sqrt();
        let mut down = Mat::zeros(d, features);
        for (row, v) in scale.iter().enumerate() {
            let mut draws = Draws::new(resources.seed, Purpose::NET_OUTPUT.at_layer(draw), row as u64);
            let factor = factor * f64::from(*v);
            down.row_mut(row).iter_mut().for_each(|w| *w = (factor * draws.normal()) as f32);
        }
        Self::new(up, Activation::Relu, Linear::new(down, vec![0.0; d])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_drawn_as_they_say() -> Result<()> {
        let resources = Resources::new(2)?.with_seed(5);
        let (d, m) = (40, 30);
        let v: Vec<f32> = (0..d).map(|i| i as f32 / 10.0).collect();
        let adapter = Ffn::snnk_adapter(&v, m, 2, &resources)?;
        let g = &adapter.up.weight;
        let dot = |i: usize, j: usize| g.row(i).iter().zip(g.row(j)).map(|(a, b)| a * b).sum::<f32>();
        let lengths = (0..m).map(|i| dot(i, i)).sum::<f32>() / (m * d) as f32;
        assert!((lengths - 1.0).abs() < 0.15 && dot(3, 4).abs() < 1e-3 && dot(0, 29).abs() < 1e-3, "{lengths}");
        // T / sqrt(m), each row by itself scaled.
        let deviation = |row: usize| adapter.down.weight.row(row).iter().map(|w| w * w).sum::<f32>().sqrt();
        let mean = (1..d).map(|i| deviation(i) / v[i]).sum::<f32>() / (d - 1) as f32;
        assert!(deviation(0) == 0.0 && (mean - 0.02).abs() < 0.002, "{mean}");
        assert_eq!((adapter.activation, adapter.down.bias.iter().sum::<f32>()), (Activation::Relu, 0.0));
        assert_eq!(adapter, Ffn::snnk_adapter(&v, m, 2, &resources)?, "the same draw");
        assert_ne!(adapter.up, Ffn::snnk_adapter(&v, m, 3, &resources)?.up, "another draw");
        for (v, m, draw, word) in [(&v[..], 0, 0, "at least one"), (&[], 3, 0, "columns"), (&v, 3, 1 << 20, "below")] {
            let error = Ffn::snnk_adapter(v, m, draw, &resources).map_err(|e| e.to_string());
            assert!(error.as_ref().is_err_and(|e| e.contains(word)), "{error:?}");
        }
        Ok(())
    }
}
