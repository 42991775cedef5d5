//! Randomly pivoted Cholesky, accelerated: the same law as one pivot after the other, at the speed of matrix products.
//!
//! A pivot is drawn with probability in proportion to what is left of the diagonal (Chen, Epperly, Tropp and Webber, "Randomly pivoted Cholesky",
//! arXiv 2207.06503, algorithm 1). Here many are proposed at once, from the same diagonal, and each is accepted with probability what is left of it
//! after those accepted before, over what it was proposed with: rejection sampling from the diagonal that one pivot after the other would have
//! seen (Epperly, Tropp and Webber, "Embrace rejection", arXiv 2410.03969, algorithms 3.1 and 3.2). Only the small matrix of the proposals is
//! needed for that; the columns of those accepted follow as a block.
//!
//! Beside the published code: a round ends when a tile of columns is full, which changes no law since it depends on the past alone; a
//! row proposed twice stands once in the small matrix; how many are proposed follows the share accepted in the round before and never a
//! clock, so that a seed gives the same pivots on every machine with the same instruction set.

use super::partial::{Elimination, PartialCholesky};
use super::wheel::Wheel;
use super::{Proposals, invalid};
use crate::error::Result;
use crate::kernel::{Float, Kernel, KernelKind};
use crate::linalg::MatRef;
use crate::random::{Draws, Purpose};
use crate::resources::Resources;

/// Pivots accepted in a round, at most: a tile of a dense kernel.
const ROUND: usize = 128;
/// Proposals of a round, at least (unless fewer pivots are left to be found) and at most.
const FEWEST: usize = 16;
const MOST: usize = 2048;
/// Proposals of a round that may be asked for: their own matrix has 2 GiB then.
const MOST_FIXED: usize = 16_384;

/// Chooses `k` rows of `x`, fewer if what is left vanishes before.
pub(super) fn choose<T: Float, K: Kernel<T>>(
    kernel: &K,
    x: MatRef<'_, T>,
    kind: KernelKind,
    k: usize,
    proposals: Proposals,
    resources: &Resources,
) -> Result<PartialCholesky<T>> {
    if let Proposals::Fixed(count) = proposals
        && !(1..=MOST_FIXED).contains(&count)
    {
        let expected = format!("1 ..= {MOST_FIXED}");
        return Err(invalid("proposals of a round", &expected, &count.to_string(), "1 is the plain algorithm"));
    }
    let samples = kernel.prepare(x, "x", resources)?;
    let mut elimination = Elimination::new(kernel, (x, &samples), kind, k, resources)?;
    let k = k.min(x.rows());
    // The share of proposals accepted in the round before.
    let mut rate = 1.0;
    for round in 0.. {
        resources.check("landmarks")?;
        let missing = k - elimination.found();
        let wheel = if missing > 0 { Wheel::new(elimination.residual()) } else { None };
        let Some(wheel) = wheel else { break };
        let (count, most) = match proposals {
            Proposals::Fixed(count) => (count, missing),
            Proposals::Automatic => (automatic(x.rows(), missing, rate), missing.min(ROUND)),
        };
        let mut draws = Draws::new(resources.seed, Purpose::LANDMARKS, round);
        let drawn: Vec<usize> = (0..count).map(|_| wheel.draw(&mut draws)).collect();
        rate = accept(&mut elimination, &drawn, most, &mut Draws::new(resources.seed, Purpose::ACCEPTANCE, round))?;
    }
    Ok(elimination.finish())
}

/// How many to propose: enough for a full round at the last rate, but not so many that their own matrix (its square) costs more than a quarter of
/// the columns of those accepted.
fn automatic(n: usize, missing: usize, rate: f64) -> usize {
    let wanted = missing.min(ROUND) as f64;
    let affordable = (n as f64 * wanted / 4.0).sqrt();
    ((1.1 * wanted / rate.max(1e-3)).min(affordable) as usize).clamp(FEWEST, MOST)
}

/// Goes through the proposals until `most` are accepted; the share accepted of those looked at.
fn accept<T: Float, K: Kernel<T>>(
    elimination: &mut Elimination<'_, T, K>,
    drawn: &[usize],
    most: usize,
    draws: &mut Draws,
) -> Result<f64> {
    let mut rows = drawn.to_vec();
    rows.sort_unstable();
    rows.dedup();
    let mut block = elimination.block(&rows)?;
    let (mut taken, mut seen) = (Vec::new(), 0);
    for row in drawn {
        if taken.len() == most {
            break;
        }
        seen += 1;
        let i = rows.partition_point(|r| r < row);
        if block.exhausted(i) {
            // Rounding: the diagonal that was followed says otherwise than the matrix itself.
            elimination.exhaust(*row);
        } else if draws.uniform() < block.share(i) && block.take(i) {
            taken.push(i);
        }
    }
    let chosen: Vec<usize> = taken.iter().map(|i| rows[*i]).collect();
    elimination.eliminate(&chosen, &block.lower(&taken)?)?;
    Ok(chosen.len() as f64 / f64::from(seen.max(1u32)))
}
