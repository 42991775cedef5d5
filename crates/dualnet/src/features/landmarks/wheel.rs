//! Drawing indices with given weights.

use crate::random::Draws;

/// Sums of the weights up to each index: a wheel of fortune, on which an index takes as much room as it weighs.
pub(super) struct Wheel {
    ends: Vec<f64>,
    last: usize,
}

impl Wheel {
    /// `None` where all weights are 0. Weights are finite and not negative.
    pub(super) fn new(weights: &[f64]) -> Option<Self> {
        // Relative to the largest, so that sums of numbers near the end of the range stay finite.
        let largest = weights.iter().copied().fold(0.0, f64::max);
        let last = weights.iter().rposition(|w| *w > 0.0)?;
        let mut sum = 0.0;
        let ends = weights.iter().map(|w| {
            sum += w / largest;
            sum
        });
        Some(Self { ends: ends.collect(), last })
    }

    /// An index, as often as its share of the whole weight; never one of weight 0. Cost: one draw, a binary search.
    pub(super) fn draw(&self, draws: &mut Draws) -> usize {
        let at = draws.uniform() * self.ends.last().copied().unwrap_or(0.0);
        // The first that ends behind `at`; one of weight 0 ends where the one before it does.
        self.ends.partition_point(|end| *end <= at).min(self.last)
    }
}

/// `k` different indices, drawn one after the other among those that are left, each as often as its share of the weight left; fewer
/// where fewer have a weight.
pub(super) fn without_replacement(weights: &[f64], k: usize, draws: &mut Draws) -> Vec<usize> {
    let mut weights = weights.to_vec();
    let mut chosen = Vec::new();
    // A draw that repeats an index is skipped, which leaves the law of the next one as it should be. Where few have most of the weight,
    // repetitions are frequent, and a new wheel without those drawn soon ends them.
    while let (true, Some(wheel)) = (chosen.len() < k, Wheel::new(&weights)) {
        for _ in 0..k - chosen.len() {
            let index = wheel.draw(draws);
            if weights[index] > 0.0 {
                weights[index] = 0.0;
                chosen.push(index);
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn shares_are_those_of_the_weights() {
        let weights = [0.0, 1e308, 0.0, 1.5e308, 5e307, 0.0];
        let mut draws = Draws::new(1, Purpose::LANDMARKS, 0);
        let mut counts = [0usize; 6];
        let wheel = Wheel::new(&weights);
        (0..30_000).for_each(|_| counts[wheel.as_ref().map_or(0, |w| w.draw(&mut draws))] += 1);
        assert_eq!((counts[0], counts[2], counts[5]), (0, 0, 0));
        for (i, expected) in [(1, 10_000f64), (3, 15_000.0), (4, 5_000.0)] {
            assert!((counts[i] as f64 - expected).abs() < 5.0 * expected.sqrt(), "{counts:?}");
        }
        assert!(Wheel::new(&[0.0, 0.0]).is_none() && Wheel::new(&[]).is_none());
    }

    #[test]
    fn without_replacement_takes_each_once_and_by_its_share() {
        let mut second = [0usize; 3];
        for seed in 0..20_000 {
            let drawn = without_replacement(&[0.0, 3.0, 1.0, 1.0], 2, &mut Draws::new(seed, Purpose::LANDMARKS, 0));
            assert!(drawn.len() == 2 && drawn[0] != drawn[1]);
            second[drawn[1] - 1] += 1;
        }
        // P(second = 1) = 2 (1/5)(3/4); the others share the rest.
        let expected = [0.3, 0.35, 0.35].map(|p| 20_000.0 * p);
        let chi2: f64 = second.iter().zip(expected).map(|(n, e)| (*n as f64 - e).powi(2) / e).sum();
        assert!(chi2 < 15.0, "{second:?}");
        assert_eq!(without_replacement(&[0.0, 1e-300, 1.0], 5, &mut Draws::new(1, Purpose::ROWS, 0)), [2, 1]);
    }
}
