//! Landmarks all alike.

use crate::random::{Draws, Purpose};
use crate::resources::Resources;

/// `k` different rows of `n`, all sets alike, in random order; all of them if `k` is larger. Cost: n numbers, k draws.
pub(super) fn choose(n: usize, k: usize, resources: &Resources) -> Vec<usize> {
    let mut draws = Draws::new(resources.seed, Purpose::LANDMARKS, 0);
    shuffled(n, k.min(n), &mut draws)
}

/// The first `k` <= `n` of 0 .. `n` in random order (Fisher and Yates).
pub(super) fn shuffled(n: usize, k: usize, draws: &mut Draws) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..n).collect();
    for i in 0..k {
        rows.swap(i, i + draws.below(n - i));
    }
    rows.truncate(k);
    rows
}
