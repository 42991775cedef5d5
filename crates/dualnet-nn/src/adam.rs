//! Adam (Kingma and Ba 2015) on the parameters of feed-forward nets, and its rates.

use crate::ffn::{Ffn, FfnGradient};
use std::f64::consts::PI;

/// Added to the roots of second moments.
const EPS: f32 = 1e-8;

/// How large steps are: up to `peak` in `warm_up` steps, then down half a cosine to `end` times `peak`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) peak: f64,
    pub(crate) warm_up: usize,
    pub(crate) steps: usize,
    pub(crate) end: f64,
}

impl Rate {
    fn at(&self, step: usize) -> f64 {
        if step < self.warm_up {
            return self.peak * (step + 1) as f64 / self.warm_up as f64;
        }
        let left = (self.steps.saturating_sub(self.warm_up)).max(1) as f64;
        let cosine = 0.5 * (1.0 + (PI * (step - self.warm_up) as f64 / left).cos());
        self.peak * (self.end + (1.0 - self.end) * cosine)
    }
}

/// The moments of the parameters of some nets.
#[derive(Debug)]
pub(crate) struct Adam {
    rate: Rate,
    betas: (f64, f64),
    taken: usize,
    /// First and second moments of each tensor.
    moments: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Adam {
    pub(crate) fn new(rate: Rate, betas: (f64, f64)) -> Self {
        Self { rate, betas, taken: 0, moments: Vec::new() }
    }

    /// One step of all `nets` along `gradients`, in the same order each time.
    pub(crate) fn step<'a>(&mut self, nets: impl Iterator<Item = &'a mut Ffn>, gradients: &[FfnGradient]) {
        let rate = self.rate.at(self.taken);
        self.taken += 1;
        let (b1, b2) = (self.betas.0 as f32, self.betas.1 as f32);
        let power = i32::try_from(self.taken).unwrap_or(i32::MAX);
        // The moments begin at zero; these undo it.
        let size = (rate / (1.0 - self.betas.0.powi(power))) as f32;
        let second = (1.0 / (1.0 - self.betas.1.powi(power))) as f32;
        let mut index = 0;
        for (net, gradient) in nets.zip(gradients) {
            for (values, gradient) in net.tensors_mut().zip(gradient.tensors()) {
                if self.moments.len() == index {
                    self.moments.push((vec![0.0; values.len()], vec![0.0; values.len()]));
                }
                let (first_moments, second_moments) = &mut self.moments[index];
                let moments = first_moments.iter_mut().zip(second_moments);
                for ((x, g), (m, v)) in values.iter_mut().zip(gradient).zip(moments) {
                    *m = b1 * *m + (1.0 - b1) * g;
                    *v = b2 * *v + (1.0 - b2) * g * g;
                    *x -= size * *m / ((*v * second).sqrt() + EPS);
                }
                index += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Linear};
    use dualnet::Mat;

    #[test]
    fn rates_rise_and_fall() {
        let rate = Rate { peak: 1.0, warm_up: 2, steps: 12, end: 0.1 };
        assert_eq!([rate.at(0), rate.at(1), rate.at(2)], [0.5, 1.0, 1.0]);
        assert!((rate.at(7) - 0.55).abs() < 1e-12 && (rate.at(12) - 0.1).abs() < 1e-12);
    }

    /// The first step of Adam is the rate in the direction of the gradient's sign, whatever its size.
    #[test]
    fn the_first_step_has_the_size_of_the_rate() {
        let linear = |x: f32| Linear { weight: Mat::from_fn(1, 1, |_, _| x), inner: None, bias: vec![x] };
        let mut net = Ffn { up: linear(1.0), activation: Activation::Relu, down: linear(1.0) };
        let mut adam = Adam::new(Rate { peak: 0.25, warm_up: 0, steps: 10, end: 0.0 }, (0.9, 0.99));
        adam.step(std::iter::once(&mut net), &[FfnGradient { up: linear(1e-3), down: linear(-40.0) }]);
        let values: Vec<f32> = net.tensors_mut().map(|t| t[0]).collect();
        assert!(values.iter().zip([0.75, 0.75, 1.25, 1.25]).all(|(a, b)| (a - b).abs() < 1e-4), "{values:?}");
    }
}
