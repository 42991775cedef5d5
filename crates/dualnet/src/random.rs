//! Random draws that are the same on every platform: an integer generator, and normals from it in plain arithmetic.
//!
//! A stream is named by a seed, a purpose and an index. Row j of a projection draws from stream j, so that the first m rows
//! of a larger projection are the projection of m rows, and rows can be drawn on any thread.

use crate::simd::{F64s, Real};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Version of the draws. What is stored as a seed is stored with this number; other draws for the same seed raise it.
pub const GENERATOR: u32 = 1;

/// What draws are for: streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose(pub u32);

impl Purpose {
    /// Entries of a projection.
    pub const PROJECTION: Purpose = Purpose(1);
    /// Lengths of the rows of an orthogonal or structured projection.
    pub const LENGTHS: Purpose = Purpose(2);
    /// Biases of features.
    pub const BIASES: Purpose = Purpose(3);
    /// Frequencies of universal random features.
    pub const FREQUENCIES: Purpose = Purpose(4);
    /// Rows chosen from data.
    pub const ROWS: Purpose = Purpose(5);
    /// Rows that are held out of a fit to judge it.
    pub const HOLDOUT: Purpose = Purpose(6);
    /// Rows that an approximation of a kernel is measured on.
    pub const PROBE: Purpose = Purpose(7);
    /// Rows proposed as landmarks.
    pub const LANDMARKS: Purpose = Purpose(8);
    /// Whether proposals are accepted.
    pub const ACCEPTANCE: Purpose = Purpose(9);
    /// Nested subsets on which leverage scores are estimated, and who speaks for them.
    pub const LEVERAGE: Purpose = Purpose(10);
    /// Rows that a metric is judged on and learned from.
    pub const METRIC: Purpose = Purpose(11);
    /// Rows that a model is explained on.
    pub const EXPLANATION: Purpose = Purpose(12);

    /// Arguments of the random features of a net.
    pub const NET_ARGUMENTS: Purpose = Purpose(32);
    /// Factors of the features of its tangent kernel.
    pub const NET_FACTORS: Purpose = Purpose(33);
    /// Signs of columns that become fewer.
    pub const NET_SPREAD: Purpose = Purpose(34);
    /// Signs of neighbouring positions.
    pub const NET_NEIGHBOURS: Purpose = Purpose(35);
    /// Projections of finished features to the number asked for.
    pub const NET_OUTPUT: Purpose = Purpose(36);
    /// Sketches of powers of the features of a net.
    pub const NET_POWERS: Purpose = Purpose(37);
    /// Sketches of products of the features of its tangent kernel with those powers.
    pub const NET_PRODUCTS: Purpose = Purpose(38);
    /// Sketches of products of its branches.
    pub const NET_BRANCHES: Purpose = Purpose(39);
    /// Rows and signs of a CountSketch.
    pub const COUNT_SKETCH: Purpose = Purpose(16);
    /// Signs and rows of a subsampled Hadamard transform.
    pub const SRHT: Purpose = Purpose(17);
    /// Signs and rows of a Hadamard transform of tensor products.
    pub const TENSOR_SRHT: Purpose = Purpose(18);
    /// Nodes of a sketch of tensor powers.
    pub const POLY_SKETCH: Purpose = Purpose(19);
    /// Nodes of the sketch of a homogeneous net.
    pub const HOMOGENEOUS: Purpose = Purpose(20);

    /// The same purpose at layer `layer` of a tower.
    pub fn at_layer(self, layer: u32) -> Purpose {
        Purpose(self.0 + 64 * layer)
    }
}

/// A stream of draws.
///
/// ```
/// use dualnet::random::{Draws, Purpose};
/// let mut draws = Draws::new(7, Purpose::PROJECTION, 0);
/// let x: Vec<f64> = (0..10_000).map(|_| draws.normal()).collect();
/// let mean = x.iter().sum::<f64>() / 1e4;
/// assert!(mean.abs() < 0.04);
/// assert_eq!(x[0], Draws::new(7, Purpose::PROJECTION, 0).normal());
/// ```
#[derive(Clone, Debug)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of this seed, purpose and index.
    pub fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&index.to_le_bytes());
        key[16..20].copy_from_slice(&purpose.0.to_le_bytes());
        key[20..24].copy_from_slice(&GENERATOR.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in the open interval (0, 1), in steps of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) * (0.5f64).powi(53)
    }

    /// Uniform among 0 .. `n`; 0 for `n` = 0. Biased by less than `n` 2^-64.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Standard normal, by inversion: one draw of the generator each.
    pub fn normal(&mut self) -> f64 {
        quantile(self.uniform())
    }

    /// Length of a vector of `d` standard normals: chi distribution with `d` degrees of freedom.
    pub fn chi(&mut self, d: usize) -> f64 {
        (0..d).map(|_| self.normal().powi(2)).sum::<f64>().sqrt()
    }
}

/// The standard normal quantile of p in (0, 1), relative error 1e-15: algorithm AS 241 (Wichura 1988, Applied Statistics 37).
/// Multiplications and additions apart, so that no platform fuses them.
fn quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * horner(&CENTRE.0, r) / horner(&CENTRE.1, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    // The portable logarithm of this library: a platform's own may differ in the last bit.
    let r = (-F64s(pulp::Scalar, tail).ln().1).sqrt();
    let x = if r <= 5.0 {
        horner(&MIDDLE.0, r - 1.6) / horner(&MIDDLE.1, r - 1.6)
    } else {
        horner(&FAR.0, r - 5.0) / horner(&FAR.1, r - 5.0)
    };
    x.copysign(q)
}

fn horner(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// Numerator and denominator, from the constant term on.
type Quotient = ([f64; 8], [f64; 8]);

const CENTRE: Quotient = (
    [
        3.387_132_872_796_366_6,
        133.141_667_891_784_38,
        1_971.590_950_306_551_4,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_855,
    ],
);

const MIDDLE: Quotient = (
    [
        1.423_437_110_749_683_6,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
);

const FAR: Quotient = (
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_94e-15,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of mpmath at 30 digits.
    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        let known = [
            (0.5, 0.0),
            (0.3, -0.524_400_512_708_041),
            (0.95, 1.644_853_626_951_472_7),
            (1e-4, -3.719_016_485_455_680_6),
            (1e-12, -7.034_483_825_301_132),
            (1e-15, -7.941_345_326_170_997),
        ];
        for (p, x) in known {
            assert!((quantile(p) - x).abs() <= 2e-15 * x.abs(), "{p}: {} {x}", quantile(p));
        }
    }

    #[test]
    fn draws_are_those_of_version_1() {
        let mut draws = Draws::new(1, Purpose::PROJECTION, 2);
        let drawn = [draws.bits(), draws.bits()];
        assert_eq!(drawn, EXPECTED, "other draws: raise GENERATOR");
        let normals: Vec<u64> = (0..2).map(|_| draws.normal().to_bits()).collect();
        assert_eq!(normals, NORMALS, "other draws: raise GENERATOR");
    }
    const EXPECTED: [u64; 2] = [686_074_998_097_074_042, 4_221_195_991_109_960_566];
    const NORMALS: [u64; 2] = [4_612_150_507_531_637_715, 4_605_246_909_715_873_817];

    #[test]
    fn normals_have_the_moments_of_the_normal_distribution() {
        let n = 200_000;
        let mut draws = Draws::new(3, Purpose::BIASES, 0);
        let x: Vec<f64> = (0..n).map(|_| draws.normal()).collect();
        let moment = |k: i32| x.iter().map(|x| x.powi(k)).sum::<f64>() / f64::from(n);
        // Five standard errors: sqrt((E x^2k - (E x^k)^2) / n).
        for (k, expected, spread) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let error: f64 = 5.0 * f64::sqrt(spread / f64::from(n));
            assert!((moment(k) - expected).abs() < error, "moment {k}: {}", moment(k));
        }
    }

    #[test]
    fn whole_numbers_are_uniform() {
        let mut draws = Draws::new(3, Purpose::ROWS, 0);
        let mut counts = [0; 7];
        (0..70_000).for_each(|_| counts[draws.below(7)] += 1);
        assert!(counts.iter().all(|c| (9_500..10_500).contains(c)), "{counts:?}");
        assert_eq!(draws.below(0), 0);
    }
}
