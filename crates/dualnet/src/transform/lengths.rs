//! Lengths of the rows of a projection whose directions are drawn otherwise.

use crate::random::{Draws, Purpose};
use crate::simd::{F64s, Real};

/// Lengths of rows: row j has a stream of its own, for each purpose and layer.
#[derive(Clone, Copy)]
pub(super) struct Lengths {
    seed: u64,
    purpose: Purpose,
    /// Index of the stream of row 0: purposes within a layer start 2^48 apart.
    first: u64,
}

impl Lengths {
    /// Of the projection with this seed and purpose.
    pub(super) fn new(seed: u64, purpose: Purpose) -> Self {
        let (layer, kind) = (purpose.0 / 64, purpose.0 % 64);
        Self { seed, purpose: Purpose::LENGTHS.at_layer(layer), first: u64::from(kind) << 48 }
    }

    /// The length of row `j`: chi-distributed with `d` degrees of freedom, as of a vector of `d` standard normals.
    pub(super) fn chi(&self, d: usize, j: usize) -> f64 {
        chi(d, &mut Draws::new(self.seed, self.purpose, self.first.wrapping_add(j as u64)))
    }
}

/// chi with `d` >= 1 degrees of freedom is sqrt(2 gamma) for a gamma variate of shape d / 2, drawn by the rejection of Marsaglia and
/// Tsang (2000, "A simple method for generating gamma variables", ACM TOMS 26): about one normal and one uniform, whatever d.
fn chi(d: usize, draws: &mut Draws) -> f64 {
    if d == 1 {
        return draws.normal().abs();
    }
    let shift = 0.5 * d as f64 - 1.0 / 3.0;
    let spread = 1.0 / (9.0 * shift).sqrt();
    loop {
        let x = draws.normal();
        let v = (1.0 + spread * x).powi(3);
        if v > 0.0 && ln(draws.uniform()) < 0.5 * x * x + shift * (1.0 - v + ln(v)) {
            return (2.0 * shift * v).sqrt();
        }
    }
}

/// The logarithm of this library, so that a platform's own does not change which draws are taken.
fn ln(x: f64) -> f64 {
    F64s(pulp::Scalar, x).ln().1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments of the square: d, d (d + 2), d (d + 2) (d + 4); and of the length itself, sqrt(2) gamma((d+1)/2) / gamma(d/2).
    #[test]
    fn lengths_have_the_moments_of_chi() {
        let n = 100_000;
        for (d, mean) in [(1, 0.797_884_560_8), (2, 1.253_314_137_3), (5, 2.127_692_162_4), (64, 7.968_872_701_6)] {
            let lengths = Lengths::new(5, Purpose::PROJECTION);
            let drawn: Vec<f64> = (0..n).map(|j| lengths.chi(d, j)).collect();
            let moment = |k: i32| drawn.iter().map(|x| x.powi(k)).sum::<f64>() / n as f64;
            let power = |k: usize| (0..k).map(|i| (d + 2 * i) as f64).product::<f64>();
            let near = |what: &str, found: f64, expected: f64, variance: f64| {
                let error = 4.0 * (variance / n as f64).sqrt();
                assert!(
                    (found - expected).abs() < error,
                    "d = {d}, {what}: {found}, expected {expected} within {error}"
                );
            };
            near("mean", moment(1), mean, d as f64 - mean * mean);
            near("square", moment(2), power(1), power(2) - power(1).powi(2));
            near("fourth power", moment(4), power(2), power(4) - power(2).powi(2));
            near("sixth power", moment(6), power(3), power(6) - power(3).powi(2));
        }
    }

    /// The distribution function of chi with 2 degrees of freedom is 1 - exp(-x^2 / 2): its largest deviation on 100,000 draws.
    #[test]
    fn lengths_of_two_degrees_are_rayleigh() {
        let n = 100_000;
        let lengths = Lengths::new(6, Purpose::PROJECTION);
        let mut u: Vec<f64> = (0..n).map(|j| 1.0 - (-0.5 * lengths.chi(2, j).powi(2)).exp()).collect();
        u.sort_by(f64::total_cmp);
        let deviation = u.iter().enumerate().map(|(i, u)| (u - (i as f64 + 0.5) / n as f64).abs()).fold(0.0, f64::max);
        // Kolmogorov's 1.95 / sqrt(n) is exceeded once in a thousand.
        assert!(deviation < 1.95 / (n as f64).sqrt(), "{deviation}");
    }

    #[test]
    fn lengths_differ_by_row_purpose_and_layer() {
        let of = |purpose: Purpose, j| Lengths::new(1, purpose).chi(9, j);
        let drawn = [
            of(Purpose::PROJECTION, 0),
            of(Purpose::PROJECTION, 1),
            of(Purpose::FREQUENCIES, 0),
            of(Purpose::PROJECTION.at_layer(1), 0),
        ];
        for i in 0..drawn.len() {
            assert!(drawn[..i].iter().all(|&x| x != drawn[i]), "{drawn:?}");
        }
        assert!(of(Purpose(u32::MAX), usize::MAX).is_finite());
    }
}
