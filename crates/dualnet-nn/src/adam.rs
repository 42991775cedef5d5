//! Adam (Kingma and Ba 2015), and its rates.

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

/// The moments of some parameters.
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

    /// One step of all tensors along their gradients; the same tensors in the same order each time.
    pub(crate) fn step<'a>(
        &mut self,
        tensors: impl Iterator<Item = &'a mut [f32]>,
        gradients: impl Iterator<Item = &'a [f32]>,
    ) {
        let rate = self.rate.at(self.taken);
        self.taken += 1;
        let (b1, b2) = (self.betas.0 as f32, self.betas.1 as f32);
        let power = i32::try_from(self.taken).unwrap_or(i32::MAX);
        // The moments begin at zero; these undo it.
        let size = (rate / (1.0 - self.betas.0.powi(power))) as f32;
        let second = (1.0 / (1.0 - self.betas.1.powi(power))) as f32;
        for (index, (values, gradient)) in tensors.zip(gradients).enumerate() {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_and_fall() {
        let rate = Rate { peak: 1.0, warm_up: 2, steps: 12, end: 0.1 };
        assert_eq!([rate.at(0), rate.at(1), rate.at(2)], [0.5, 1.0, 1.0]);
        assert!((rate.at(7) - 0.55).abs() < 1e-12 && (rate.at(12) - 0.1).abs() < 1e-12);
    }

    /// The first step of Adam is the rate in the direction of the gradient's sign, whatever its size.
    #[test]
    fn the_first_step_has_the_size_of_the_rate() {
        let mut values = [vec![1.0, 1.0], vec![1.0]];
        let mut adam = Adam::new(Rate { peak: 0.25, warm_up: 0, steps: 10, end: 0.0 }, (0.9, 0.99));
        adam.step(values.iter_mut().map(Vec::as_mut_slice), [&[1e-3, -40.0][..], &[7.0]].into_iter());
        assert!(values.concat().iter().zip([0.75, 1.25, 0.75]).all(|(a, b)| (a - b).abs() < 1e-4), "{values:?}");
    }
}
