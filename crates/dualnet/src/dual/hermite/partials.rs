//! Partial derivatives of Hermite expansions: of the sum as it is cut off.
//!
//! R_l(v) = E\[phi^(l)(sqrt v z)\] has the slope R_(l+2)/2, and a_l = v^(l/2) R_l / sqrt(l!). So with alpha_l = a_l / sqrt v and
//! e_l = sqrt((l + 1)(l + 2)) alpha_(l+2)(p) / 2 the derivatives in p are those series with e_l in place of alpha_l(p):
//!
//! dk/dp = sum_l e_l a_l(q) rho^l / sqrt p,  d kdot/dp = sum_l l e_l alpha_l(q) rho^(l-1) / p.
//!
//! What is divided by a variance of 0 counts as 0.

use super::HermiteDual;
use crate::dual::{Pair, Partials, PartialsMut};

/// What a series of one row does with `LANES` columns at a time.
const LANES: usize = 8;

impl HermiteDual {
    /// a_0, then alpha_1, ..., alpha_(L+2).
    pub(super) fn slope_terms(&self, p: f64, out: &mut [f64]) {
        let found = self.at(p);
        for (out, x) in out.iter_mut().zip(std::iter::once(&found.mean).chain(&found.slopes)) {
            *out = *x;
        }
    }

    pub(super) fn partials_of(&self, x: Pair<f64>) -> Partials<f64> {
        let [row, col] = [x.p, x.q].map(|p| {
            let mut out = vec![0.0; self.degree + 3];
            self.slope_terms(p, &mut out);
            out
        });
        let at = |terms: &[f64], l: usize| [terms[l]];
        self.series([x.rho()], (x.sp, [x.sq]), |l| row[l], |l| at(&col, l)).map(|p| p[0]).into()
    }

    pub(super) fn partials_tile_of(&self, tile: PartialsMut<'_>) {
        let (n, m) = (tile.rows.p.len(), tile.cols.p.len());
        for i in 0..n {
            for j in (0..m).step_by(LANES) {
                let at = i * m + j;
                let rho = std::array::from_fn(|b| (1.0 - tile.delta[at + b]).copysign(tile.c[at + b]));
                let sq: [f64; LANES] = std::array::from_fn(|b| tile.cols.sp[j + b]);
                let col = |l: usize| std::array::from_fn(|b| tile.col_slopes[l * m + j + b]);
                let found = self.series(rho, (tile.rows.sp[i], sq), |l| tile.row_slopes[l * n + i], col);
                let [k_c, k_p, kdot_c, kdot_p] = found;
                tile.k_c[at..at + LANES].copy_from_slice(&k_c);
                tile.k_p[at..at + LANES].copy_from_slice(&k_p);
                if !tile.kdot.is_empty() {
                    tile.kdot[at..at + LANES].copy_from_slice(&k_c);
                    tile.kdot_c[at..at + LANES].copy_from_slice(&kdot_c);
                    tile.kdot_p[at..at + LANES].copy_from_slice(&kdot_p);
                }
            }
        }
    }

    /// dk/dc, dk/dp, d kdot/dc and d kdot/dp of one row and some columns.
    #[inline(always)]
    fn series<const B: usize>(
        &self,
        rho: [f64; B],
        (sp, sq): (f64, [f64; B]),
        row: impl Fn(usize) -> f64,
        col: impl Fn(usize) -> [f64; B],
    ) -> [[f64; B]; 4] {
        let inverse = |s: f64| if s > 0.0 { 1.0 / s } else { 0.0 };
        let over = inverse(sp);
        let [mut k_c, mut k_p, mut kdot_c, mut kdot_p] = [[0.0; B]; 4];
        // rho^(l-1) and rho^(l-2).
        let (mut below, mut lower) = ([1.0; B], [0.0; B]);
        for l in 1..=self.degree {
            let (own, other, order) = (row(l), col(l), l as f64);
            let ahead = 0.5 * ((order + 1.0) * (order + 2.0)).sqrt() * row(l + 2);
            for b in 0..B {
                k_c[b] += order * own * other[b] * below[b];
                kdot_c[b] += order * (order - 1.0) * own * other[b] * lower[b];
                k_p[b] += ahead * other[b] * sq[b] * below[b] * rho[b];
                kdot_p[b] += order * ahead * other[b] * below[b];
            }
            lower = below;
            below.iter_mut().zip(&rho).for_each(|(power, rho)| *power *= rho);
        }
        let (mean, first) = (col(0), if self.degree > 0 { row(2) * std::f64::consts::FRAC_1_SQRT_2 } else { 0.0 });
        for b in 0..B {
            k_p[b] = (k_p[b] + first * mean[b]) * over;
            kdot_c[b] *= over * inverse(sq[b]);
            kdot_p[b] *= over * over;
        }
        [k_c, k_p, kdot_c, kdot_p]
    }
}

impl From<[f64; 4]> for Partials<f64> {
    fn from([k_c, k_p, kdot_c, kdot_p]: [f64; 4]) -> Self {
        Self { k_c, k_p, kdot: k_c, kdot_c, kdot_p }
    }
}
