//! Which features to keep: forward selection with the exact gain of a refit.
//!
//! With features H and targets Y, centred, K = H'H/N and P = H'Y S/N: adding feature i to those kept lowers the refitted error by
//! |Q_i|^2 / d_i, where d and Q are the diagonal of K and P after projecting the kept features out. Each choice is a step of a pivoted
//! Cholesky decomposition of K, and Q follows along: orthogonal matching pursuit with the gain of orthogonal least squares (Chen, Billings and
//! Luo 1989), for all outputs at once.

use crate::error::Result;
use dualnet::{Mat, Resources};
use rayon::prelude::*;

/// Added to what is left of a variance, as a share of the mean variance: what is only rounding is not chosen.
const FLOOR: f64 = 1e-6;
/// Sums run in so many chains.
const CHAINS: usize = 8;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Until {
    /// So many features are chosen.
    Count(usize),
    /// The features explain this much of the targets' squares, in the units of P; their number becomes a multiple of [`STEP`].
    Explained(f64),
}

/// Whole registers.
pub(super) const STEP: usize = 16;

/// The features that lower the refitted error most, one after the other. `k` (f, f) is symmetric; `p` (f, outputs).
///
/// Cost for m features m f (m / 2 + 2 outputs) operations.
pub(super) fn forward_selection(k: &Mat<f64>, p: Mat<f64>, until: Until, resources: &Resources) -> Result<Vec<usize>> {
    let features = k.rows();
    let count = match until {
        Until::Count(count) => count.min(features),
        Until::Explained(_) => features,
    };
    let mut explained = 0.0;
    let eps = FLOOR * (0..features).map(|i| k[(i, i)]).sum::<f64>() / features.max(1) as f64 + f64::MIN_POSITIVE;
    let mut rows: Vec<Row> = (0..features)
        .zip(p.as_slice().chunks_exact(p.cols().max(1)))
        .map(|(i, q)| Row {
            left: k[(i, i)],
            q: q.to_vec(),
            r: Vec::with_capacity(count),
            gain: dot(q, q),
            used: false,
        })
        .collect();
    let mut chosen = Vec::with_capacity(count);
    for _ in 0..count {
        resources.check("selection of neurons")?;
        let gain = |row: &Row| if row.used { -1.0 } else { row.gain / (row.left + eps) };
        let best = (0..features).fold(0, |best, i| if gain(&rows[i]) > gain(&rows[best]) { i } else { best });
        explained += gain(&rows[best]);
        let s = (rows[best].left + eps).sqrt();
        let (r, q): (Vec<f64>, Vec<f64>) = (rows[best].r.clone(), rows[best].q.iter().map(|q| q / s).collect());
        rows[best].used = true;
        let column = k.row(best);
        resources.install(|| {
            rows.par_iter_mut().with_min_len(64).zip(column.par_iter().with_min_len(64)).for_each(|(row, k)| {
                let v = (k - dot(&row.r, &r)) / s;
                row.q.iter_mut().zip(&q).for_each(|(to, q)| *to -= v * q);
                row.gain = dot(&row.q, &row.q);
                row.left = (row.left - v * v).max(0.0);
                row.r.push(v);
            });
        });
        chosen.push(best);
        if matches!(until, Until::Explained(enough) if explained >= enough) && chosen.len().is_multiple_of(STEP) {
            break;
        }
    }
    Ok(chosen)
}

/// A feature: what is left of its variance and of its products with the targets, and its row of the Cholesky factor.
struct Row {
    left: f64,
    q: Vec<f64>,
    r: Vec<f64>,
    /// |q|^2.
    gain: f64,
    used: bool,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut chains = [0.0; CHAINS];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<CHAINS>(), b.as_chunks::<CHAINS>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..CHAINS {
            chains[i] += a[i] * b[i];
        }
    }
    chains.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against refits of every candidate by normal equations, on features that are strongly correlated.
    #[test]
    fn each_choice_is_the_best_refit() -> Result<()> {
        let (n, f, outputs) = (60, 9, 3);
        let wave = |i: usize, j: usize| (0.37 * (i * (j + 2)) as f64 + j as f64).sin();
        let h = Mat::from_fn(n, f, |i, j| wave(i, j) + 0.8 * wave(i, (j + 1) % f));
        let y = Mat::from_fn(n, outputs, |i, o| wave(i, o) - 0.5 * wave(i, 5) + 0.3 * wave(i, 7 + o));
        let product = |a: &Mat<f64>, b: &Mat<f64>| {
            Mat::from_fn(a.cols(), b.cols(), |i, j| (0..n).map(|r| a[(r, i)] * b[(r, j)]).sum::<f64>())
        };
        let (k, p) = (product(&h, &h), product(&h, &y));
        let resources = Resources::new(2)?;
        let chosen = forward_selection(&k, p.clone(), Until::Count(4), &resources)?;
        for t in 0..4 {
            let explained = |next: usize| {
                let kept: Vec<usize> = chosen[..t].iter().copied().chain([next]).collect();
                let a = Mat::from_fn(t + 1, t + 1, |i, j| k[(kept[i], kept[j])]);
                let b = Mat::from_fn(t + 1, outputs, |i, o| p[(kept[i], o)]);
                let x =
                    dualnet::linalg::Cholesky::new(a, "test", &resources).and_then(|c| c.solve(b.as_ref(), &resources));
                x.map(|x| x.as_slice().iter().zip(b.as_slice()).map(|(x, b)| x * b).sum::<f64>()).unwrap_or(f64::NAN)
            };
            let others = (0..f).filter(|i| !chosen[..t].contains(i));
            let best = others.max_by(|a, b| explained(*a).total_cmp(&explained(*b)));
            assert_eq!(Some(chosen[t]), best, "choice {t}");
        }
        Ok(())
    }

    #[test]
    fn copies_of_a_feature_come_last() -> Result<()> {
        let k = Mat::from_fn(3, 3, |i, j| if (i < 2) == (j < 2) { 1.0 } else { 0.0 });
        let p = Mat::from_vec(3, 1, vec![1.0, 1.0, 0.1])?;
        assert_eq!(forward_selection(&k, p, Until::Count(3), &Resources::new(1)?)?, [0, 2, 1]);
        Ok(())
    }
}
