//! Ridge leverage scores, approximately, and landmarks by them.
//!
//! l_i = \[K (K + r I)^-1\]_ii is how much row i matters to a ridge of r; their sum is the statistical dimension. Exact ones cost n^3. Here they
//! are estimated as by Musco and Musco, "Recursive sampling for the Nystrom method" (arXiv 1605.07583, algorithm 2 and lemma 6): on nested random
//! subsets, each twice as large as the one before, with those rows J of the subset before that its own scores drew, each with a probability p_j,
//! to speak for it:
//!
//! l_i ~ (K_ii - K_iJ (K_JJ + r diag(p))^-1 K_Ji) / r, at most 1.
//!
//! The ridge is fixed here and the number of rows that speak is the number of landmarks; the paper fixes the error and lets that number follow.
//! Where it is large beside the statistical dimension the scores are right up to a small factor; where it is small they are too large, at last all
//! 1, and the choice becomes a uniform one: then give a larger lambda.

use super::columns::{Shrink, Tiles, panel_rows};
use super::invalid;
use super::partial::{own, quiet};
use super::uniform::shuffled;
use super::wheel::without_replacement;
use crate::error::Result;
use crate::gram;
use crate::kernel::{Float, Kernel, KernelKind};
use crate::linalg::{Cholesky, MatMut, MatRef, substitute_rows};
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use rayon::prelude::*;

/// Smallest lambda, in units of roundoff: below it scores in that precision are noise.
const ROUNDING: f64 = 256.0;

/// `k` rows of `x`, one after the other among those left with probabilities in proportion to their scores.
pub(super) fn choose<T: Float, K: Kernel<T>>(
    kernel: &K,
    x: MatRef<'_, T>,
    kind: KernelKind,
    k: usize,
    lambda: f64,
    resources: &Resources,
) -> Result<Vec<usize>> {
    let scores = leverage_scores(kernel, x, kind, lambda, k, resources)?;
    let mut draws = Draws::new(resources.seed, Purpose::LANDMARKS, 0);
    Ok(without_replacement(&scores, k, &mut draws))
}

/// Approximate leverage scores, in \[0, 1\], of the rows of `x` (n, d) for the ridge `lambda` times the mean of K(x, x), from about `k` rows.
/// Exact, up to rounding, where `k` is at least n.
///
/// Cost: 2 n k kernel values, 2 n k^2 operations; k^2 numbers of memory.
///
/// ```
/// use dualnet::features::landmarks::leverage_scores;
/// use dualnet::kernel::{DenseKernel, KernelKind};
/// use dualnet::{Mat, Resources, net::Net};
/// let kernel = DenseKernel::new(&Net::parse("w_std = 1.0\nlayers = ['dense']")?, 1)?;
/// // K = x x^T, of one non-zero eigenvalue |x|^2 = 14: scores x_i^2 / (14 + r), r = 0.3 * 14 / 3.
/// let x = Mat::from_vec(3, 1, vec![1.0, 2.0, 3.0])?;
/// let scores = leverage_scores(&kernel, x.as_ref(), KernelKind::Nngp, 0.3, 3, &Resources::new(1)?)?;
/// assert!(f64::abs(scores[1] - 4.0 / 15.4) < 1e-14);
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// A lambda that is not a number above 3e-5 (`f32`) or 3e-14 (`f64`), below which scores would be rounding; what the kernel refuses.
pub fn leverage_scores<T: Float, K: Kernel<T>>(
    kernel: &K,
    x: MatRef<'_, T>,
    kind: KernelKind,
    lambda: f64,
    k: usize,
    resources: &Resources,
) -> Result<Vec<f64>> {
    let least = ROUNDING * T::EPS;
    if !(lambda >= least && lambda.is_finite()) {
        let expected = format!("a number of at least {least:.0e} in {}", T::NAME);
        return Err(invalid("lambda of leverage scores", &expected, &lambda.to_string(), "give the lambda of the fit"));
    }
    let n = x.rows();
    let samples = kernel.prepare(x, "x", resources)?;
    let own_of_all = own(kernel, &samples, kind, resources)?;
    // The mean of what is divided first cannot leave the range.
    let ridge = lambda * own_of_all.iter().map(|own| own / n as f64).sum::<f64>();
    if ridge == 0.0 {
        return Ok(vec![0.0; n]);
    }
    let problem = Problem { kernel, x, kind, ridge, resources };
    let mut draws = Draws::new(resources.seed, Purpose::LEVERAGE, 0);
    let order = shuffled(n, n, &mut draws);
    let mut size = k.clamp(1, n);
    let mut spoken: Vec<(usize, f64)> = order[..size].iter().map(|row| (*row, 1.0)).collect();
    while 2 * size < n {
        size *= 2;
        let rows = &order[..size];
        let some = kernel.prepare(x.select_rows(rows).as_ref(), "x", &quiet(resources))?;
        let own: Vec<f64> = rows.iter().map(|row| own_of_all[*row]).collect();
        spoken = speakers(rows, &problem.scores(&some, own, &spoken)?, k, &mut draws);
    }
    problem.scores(&samples, own_of_all, &spoken)
}

/// About `k` of the rows, each by itself with a probability in proportion to its score (1 at most), which stands beside it.
fn speakers(rows: &[usize], scores: &[f64], k: usize, draws: &mut Draws) -> Vec<(usize, f64)> {
    let sum: f64 = scores.iter().sum();
    let probability = |score: &f64| if sum > 0.0 { (k as f64 * score / sum).min(1.0) } else { 0.0 };
    let drawn = rows.iter().zip(scores).map(|(row, score)| (*row, probability(score)));
    drawn.filter(|(_, p)| draws.uniform() < *p).collect()
}

/// Whose scores are estimated.
struct Problem<'a, T, K> {
    kernel: &'a K,
    x: MatRef<'a, T>,
    kind: KernelKind,
    ridge: f64,
    resources: &'a Resources,
}

impl<T: Float, K: Kernel<T>> Problem<'_, T, K> {
    /// Scores of `samples`, whose K(x, x) are `own`, by the rows that speak for all.
    fn scores(&self, samples: &K::Samples, own: Vec<f64>, spoken: &[(usize, f64)]) -> Result<Vec<f64>> {
        let (kernel, resources, quiet) = (self.kernel, self.resources, quiet(self.resources));
        let mut left = own.clone();
        if !spoken.is_empty() {
            let (rows, chances): (Vec<usize>, Vec<f64>) = spoken.iter().copied().unzip();
            let some = kernel.prepare(self.x.select_rows(&rows).as_ref(), "x", &quiet)?;
            let grams = gram::symmetric_prepared(kernel, &some, self.kind.get(), &quiet)?;
            let mut among = self.kind.matrix(grams)?.as_ref().cast::<f64>();
            // Rows that a tiny probability stands for need a ridge above rounding all the same.
            let rounding = T::EPS * own.iter().copied().fold(0.0, f64::max) * (rows.len() as f64);
            chances.iter().enumerate().for_each(|(i, p)| among[(i, i)] += (self.ridge * p).max(rounding));
            let l = Cholesky::new(among, "the kernel matrix of rows for leverage scores", &quiet)?;
            let l = l.lower().as_ref().cast::<T>();
            let (side, width) = (panel_rows(kernel), rows.len());
            resources.install(|| {
                left.par_chunks_mut(side).zip(own.par_chunks(side)).enumerate().try_for_each_init(
                    || (Tiles::new(kernel, self.kind), vec![T::default(); side * width]),
                    |(tiles, panel), (i, (residual, own))| {
                        resources.check("leverage scores")?;
                        let height = residual.len();
                        let panel = &mut panel[..height * width];
                        tiles.panel(kernel, (samples, i * side, height), &some, panel, &quiet)?;
                        substitute_rows(l.as_ref(), MatMut::new(panel, height, width, width)?)?;
                        quiet.isa.run(Shrink { panel, residual, own, units: 0.0 });
                        Ok(())
                    },
                )
            })?;
        }
        Ok(left.into_iter().map(|left| (left / self.ridge).min(1.0)).collect())
    }
}
