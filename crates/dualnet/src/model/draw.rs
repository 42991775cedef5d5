//! Rows drawn at random, the same for a seed on every platform.

use super::target::Target;
use crate::random::Draws;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The numbers below `rows` in random order, the same for a seed on every platform.
pub fn shuffled(rows: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for i in (1..rows).rev() {
        // The bias of the remainder is below 2^-32 for any number of rows that fits in memory.
        order.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
    }
    order
}

/// `wanted` of the rows, all where there are fewer, in the order they were drawn.
pub(super) fn some_of(mut rows: Vec<usize>, wanted: usize, mut draws: Draws) -> Vec<usize> {
    let (count, wanted) = (rows.len(), wanted.min(rows.len()));
    for i in 0..wanted {
        rows.swap(i, i + draws.below(count - i));
    }
    rows.truncate(wanted);
    rows
}

/// A random part of the rows in ascending order; `None`: all. Classes keep at least two members where they have them.
pub(super) fn draw(rows: usize, wanted: usize, target: &Target, seed: u64) -> Option<Vec<usize>> {
    if wanted >= rows {
        return None;
    }
    let mut order = shuffled(rows, seed);
    if let Target::Classes { codes, labels, .. } = target {
        // Two of each class first, so that no class is missing from the comparison.
        let mut seen = vec![0u8; labels.len()];
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for i in order {
            let count = &mut seen[codes[i]];
            if *count < 2 && first.len() < wanted {
                *count += 1;
                first.push(i);
            } else {
                rest.push(i);
            }
        }
        first.extend(rest);
        order = first;
    }
    order.truncate(wanted);
    order.sort_unstable();
    Some(order)
}
