//! Walsh-Hadamard transforms against plain loops, and projections against what their distributions promise.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::conformance::feature_map;
use dualnet::features::FeatureMap;
use dualnet::kernel::Float;
use dualnet::linalg::{MatMut, MatRef};
use dualnet::random::{Draws, Purpose};
use dualnet::simd::{Element, Isa};
use dualnet::transform::{Projection, ProjectionKind, fwht, fwht_rows};
use dualnet::{Error, Mat, Resources, Result};
use proptest::prelude::*;

const KINDS: [ProjectionKind; 3] = [ProjectionKind::Gaussian, ProjectionKind::Orthogonal, ProjectionKind::Structured];

fn draw<T: Float>(kind: ProjectionKind, rows: usize, cols: usize, seed: u64) -> Projection<T> {
    let resources = Resources::new(1).unwrap().with_seed(seed);
    Projection::draw(kind, rows, cols, Purpose::PROJECTION, &resources).unwrap()
}

fn normals(n: usize, seed: u64) -> Vec<f64> {
    let mut draws = Draws::new(seed, Purpose::ROWS, 0);
    (0..n).map(|_| draws.normal()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

// ---- The Walsh-Hadamard transform ----

/// The product with Sylvester's matrix, whose entry (j, k) is -1 to the number of ones that j and k share.
fn sylvester(x: &[f64]) -> Vec<f64> {
    let sign = |j: usize, k: usize| if (j & k).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
    (0..x.len()).map(|j| (0..x.len()).map(|k| sign(j, k) * x[k]).sum()).collect()
}

/// Level after level, entry after entry, in single or double precision.
fn levels<T: Element>(x: &mut [T], add: impl Fn(T, T) -> T, subtract: impl Fn(T, T) -> T) {
    let mut h = 1;
    while h < x.len() {
        for i in (0..x.len()).filter(|i| i & h == 0) {
            (x[i], x[i + h]) = (add(x[i], x[i + h]), subtract(x[i], x[i + h]));
        }
        h *= 2;
    }
}

#[test]
fn transforms_are_products_with_sylvesters_matrix() -> Result<()> {
    for isa in Isa::available() {
        for level in 0..=12 {
            let x = normals(1 << level, level);
            let (expected, mut found) = (sylvester(&x), x.clone());
            let mut single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            fwht(&mut found, isa)?;
            fwht(&mut single, isa)?;
            let size = dot(&x, &x).sqrt();
            for i in 0..x.len() {
                assert!(
                    (found[i] - expected[i]).abs() <= 1e-14 * size * f64::from(level as u32 + 1),
                    "{isa:?} 2^{level}"
                );
                let off = (f64::from(single[i]) - expected[i]).abs();
                assert!(off <= 1e-6 * size * f64::from(level as u32 + 1), "f32, {isa:?} 2^{level}: {off}");
            }
        }
    }
    Ok(())
}

/// Lengths beyond the first cache, where passes over blocks interleave, included.
#[test]
fn every_instruction_set_and_length_adds_in_the_order_of_the_levels() -> Result<()> {
    for level in 0..=18 {
        let x = normals(1 << level, 100 + level);
        let single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let (mut expected, mut expected_single) = (x.clone(), single.clone());
        levels(&mut expected, |a, b| a + b, |a, b| a - b);
        levels(&mut expected_single, |a, b| a + b, |a, b| a - b);
        for isa in Isa::available() {
            let (mut found, mut found_single) = (x.clone(), single.clone());
            fwht(&mut found, isa)?;
            fwht(&mut found_single, isa)?;
            assert!(found == expected && found_single == expected_single, "2^{level} on {isa:?}");
        }
    }
    Ok(())
}

#[test]
fn rows_are_transformed_as_alone_and_gaps_are_left() -> Result<()> {
    for (n, length, stride) in [(5, 1, 1), (3, 8, 8), (4, 16, 19), (7, 256, 300), (2, 2048, 2048)] {
        let data: Vec<f32> = normals(n * stride, 3).iter().map(|&x| x as f32).collect();
        let mut found = data.clone();
        fwht_rows(MatMut::new(&mut found, n, length, stride)?, Isa::best())?;
        for i in 0..n {
            let mut alone = data[i * stride..i * stride + length].to_vec();
            fwht(&mut alone, Isa::best())?;
            assert_eq!(found[i * stride..i * stride + length], alone);
            assert_eq!(found[i * stride + length..(i + 1) * stride], data[i * stride + length..(i + 1) * stride]);
        }
    }
    fwht_rows(MatMut::<f64>::new(&mut [], 0, 4, 4)?, Isa::best())
}

#[test]
fn lengths_that_are_no_powers_of_two_are_refused() -> Result<()> {
    for n in [0, 3, 6, 100, 1023] {
        let mut x = vec![1.0; n];
        let refused = fwht(&mut x, Isa::best());
        assert!(matches!(&refused, Err(Error::Shape { found, .. }) if *found == n.to_string()), "{refused:?}");
        assert!(x.iter().all(|&x| x == 1.0));
        assert!(fwht_rows(MatMut::new(&mut x, 1, n, n)?, Isa::best()).is_err());
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_transform_is_its_own_inverse_times_n(level in 0u32..15, seed: u64) {
        let x = normals(1 << level, seed);
        let mut twice = x.clone();
        fwht(&mut twice, Isa::best()).unwrap();
        let energy = dot(&twice, &twice) / x.len() as f64;
        prop_assert!((energy - dot(&x, &x)).abs() < 1e-12 * energy, "Parseval");
        fwht(&mut twice, Isa::best()).unwrap();
        for (a, b) in twice.iter().zip(&x) {
            prop_assert!((a / x.len() as f64 - b).abs() < 1e-13);
        }
    }

    #[test]
    fn transforms_are_linear(level in 0u32..12, seed: u64, a in -3.0..3.0, b in -3.0..3.0) {
        let (mut x, mut y) = (normals(1 << level, seed), normals(1 << level, seed ^ 1));
        let mut sum: Vec<f64> = x.iter().zip(&y).map(|(x, y)| a * x + b * y).collect();
        for v in [&mut x, &mut y, &mut sum] {
            fwht(v, Isa::best()).unwrap();
        }
        for i in 0..x.len() {
            prop_assert!(f64::abs(sum[i] - a * x[i] - b * y[i]) < 1e-12 * (1.0 + x.len() as f64));
        }
    }
}

// ---- Projections ----

/// Means of g_k and of g_k g_l over the rows of a projection, over many seeds: 0, 1 for k = l and 0 otherwise, within 4.5 standard errors,
/// which one of these 252 figures exceeds once in 600 runs. Rows of a block are dependent, so the spread is that between seeds.
#[test]
fn rows_have_mean_zero_and_covariance_one() {
    let seeds = 1500;
    for (kind, d) in KINDS.into_iter().flat_map(|kind| [(kind, 3), (kind, 8)]) {
        let m = 2 * d + 1;
        let (mut sums, mut squares) = (vec![0.0; d * (d + 1)], vec![0.0; d * (d + 1)]);
        for seed in 0..seeds {
            let g = draw::<f64>(kind, m, d, seed).to_mat();
            for i in 0..sums.len() {
                let (k, l) = (i / (d + 1), i % (d + 1));
                let product = |j| g[(j, k)] * if l == d { 1.0 } else { g[(j, l)] };
                let mean = (0..m).map(product).sum::<f64>() / m as f64;
                sums[i] += mean;
                squares[i] += mean * mean;
            }
        }
        for (i, (sum, square)) in sums.iter().zip(&squares).enumerate() {
            let (k, l) = (i / (d + 1), i % (d + 1));
            let (mean, expected) = (sum / seeds as f64, if k == l { 1.0 } else { 0.0 });
            let error = ((square / seeds as f64 - mean * mean) / seeds as f64).sqrt();
            assert!((mean - expected).abs() < 4.5 * error, "{kind:?} d = {d} ({k}, {l}): {mean} +- {error}");
        }
    }
}

/// Rows of a block: at right angles, and of squared lengths that have the moments of chi-squared with d degrees of freedom.
#[test]
fn blocks_are_orthogonal_and_lengths_are_chi() {
    for (kind, d) in [(ProjectionKind::Orthogonal, 24), (ProjectionKind::Structured, 64)] {
        let (m, mut lengths) = (2 * d + 5, Vec::new());
        for seed in 0..40 {
            let g = draw::<f64>(kind, m, d, seed).to_mat();
            for i in 0..m {
                let own = dot(g.row(i), g.row(i));
                lengths.push(own);
                for j in i / d * d..i {
                    let cosine = dot(g.row(i), g.row(j)) / (own * dot(g.row(j), g.row(j))).sqrt();
                    assert!(cosine.abs() < 1e-13, "{kind:?}: rows {i} and {j}, {cosine}");
                }
            }
            let across = dot(g.row(0), g.row(d)) / (dot(g.row(0), g.row(0)) * dot(g.row(d), g.row(d))).sqrt();
            assert!((1e-9..0.95).contains(&across.abs()), "{kind:?}: blocks are not independent, {across}");
        }
        let (n, d) = (lengths.len() as f64, d as f64);
        let mean = lengths.iter().sum::<f64>() / n;
        let variance = lengths.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        assert!((mean - d).abs() < 4.0 * (2.0 * d / n).sqrt(), "{kind:?}: {mean}");
        // Variance 2 d; fourth central moment 12 d (d + 4).
        let error = ((12.0 * d * (d + 4.0) - 4.0 * d * d) / n).sqrt();
        assert!((variance - 2.0 * d).abs() < 4.0 * error, "{kind:?}: {variance} +- {error}");
    }
}

/// Haar: the first entry of the first row of Q has E q^4 = 3 / (d (d + 2)), and the trace of Q mean 0 and variance 1. Without the sign of
/// the diagonal of R the trace is far off (Mezzadri 2007).
#[test]
fn orthogonal_blocks_are_haar() {
    let (d, seeds) = (4, 4000);
    let mut traces = Vec::new();
    let mut fourth = Vec::new();
    for seed in 0..seeds {
        let g = draw::<f64>(ProjectionKind::Orthogonal, d, d, seed).to_mat();
        let length = |i: usize| dot(g.row(i), g.row(i)).sqrt();
        traces.push((0..d).map(|i| g[(i, i)] / length(i)).sum::<f64>());
        fourth.push((g[(d - 1, 0)] / length(d - 1)).powi(4));
    }
    let moments = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        (mean, variance, (variance / x.len() as f64).sqrt())
    };
    let (mean, variance, error) = moments(&traces);
    assert!(mean.abs() < 4.0 * error, "trace {mean} +- {error}");
    // The fourth moment of the trace is 3, that of a normal variable, so the variance is off by sqrt(2 / seeds).
    assert!((variance - 1.0).abs() < 4.0 * (2.0 / seeds as f64).sqrt(), "variance of the trace {variance}");
    let (mean, _, error) = moments(&fourth);
    assert!((mean - 3.0 / (d * (d + 2)) as f64).abs() < 4.0 * error, "fourth power {mean} +- {error}");
}

/// |x| = 1.1, |y| = 0.8 at `angle`, dense or along two axes.
fn pair(d: usize, angle: f64, dense: bool) -> (Vec<f64>, Vec<f64>) {
    let unit = |v: Vec<f64>| {
        let norm = dot(&v, &v).sqrt();
        v.iter().map(|v| v / norm).collect::<Vec<f64>>()
    };
    let axis = |k: usize| (0..d).map(|j| if j == k { 1.0 } else { 0.0 }).collect::<Vec<f64>>();
    let (x, z) = if dense { (unit(normals(d, 7)), normals(d, 8)) } else { (axis(0), axis(1)) };
    let product = dot(&x, &z);
    let z = unit(z.iter().zip(&x).map(|(z, x)| z - product * x).collect());
    let y = x.iter().zip(&z).map(|(x, z)| 0.8 * (angle.cos() * x + angle.sin() * z)).collect();
    (x.iter().map(|x| 1.1 * x).collect(), y)
}

/// Estimates of the arc-cosine kernel of order 1 and of the Gaussian kernel from m = d rows, one a seed.
fn estimates(kind: ProjectionKind, (x, y): &(Vec<f64>, Vec<f64>), seeds: u64) -> [Vec<f64>; 2] {
    let d = x.len();
    let mut resources = Resources::new(1).unwrap();
    let both = Mat::from_vec(2, d, [x.as_slice(), y].concat()).unwrap();
    let (mut out, mut found) = (Mat::zeros(2, d), [Vec::new(), Vec::new()]);
    for seed in 0..seeds {
        resources.seed = seed;
        let g = Projection::draw(kind, d, d, Purpose::PROJECTION, &resources).unwrap();
        let mut scratch = vec![0.0; g.scratch()];
        g.tile(both.as_ref(), out.as_mut(), &mut scratch, Isa::best()).unwrap();
        let pairs = || out.row(0).iter().zip(out.row(1));
        found[0].push(pairs().map(|(x, y)| x.max(0.0) * y.max(0.0)).sum::<f64>() / d as f64);
        found[1].push(pairs().map(|(x, y)| (x - y).cos()).sum::<f64>() / d as f64);
    }
    found
}

fn mean_and_variance(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (x.len() - 1) as f64)
}

#[test]
fn kernels_are_estimated_without_bias() {
    use std::f64::consts::PI;
    let seeds = 1000;
    for (d, degrees, dense) in [(3, 60.0, true), (16, 30.0, true), (16, 120.0, false), (64, 90.0, true)] {
        let angle = f64::to_radians(degrees);
        let (x, y) = pair(d, angle, dense);
        let arc_cosine = 1.1 * 0.8 * (angle.sin() + (PI - angle) * angle.cos()) / (2.0 * PI);
        let distance: f64 = x.iter().zip(&y).map(|(x, y)| (x - y).powi(2)).sum();
        for kind in KINDS {
            let found = estimates(kind, &(x.clone(), y.clone()), seeds);
            for (values, exact) in found.iter().zip([arc_cosine, (-0.5 * distance).exp()]) {
                let (mean, variance) = mean_and_variance(values);
                let error = (variance / seeds as f64).sqrt();
                assert!((mean - exact).abs() < 4.0 * error, "{kind:?}, d = {d}, {degrees}: {mean}, {exact} +- {error}");
            }
        }
    }
}

/// With m = d rows the ratio of variances was measured 0.63 for the arc-cosine kernel at d = 16, and 0.14 to 0.3 for the Gaussian.
#[test]
fn orthogonal_rows_estimate_with_less_variance() {
    for degrees in [30.0, 60.0, 90.0] {
        let vectors = pair(16, f64::to_radians(degrees), true);
        let of = |kind| estimates(kind, &vectors, 3000).map(|x| mean_and_variance(&x).1);
        let (gaussian, orthogonal) = (of(ProjectionKind::Gaussian), of(ProjectionKind::Orthogonal));
        let (arc_cosine, cosine) = (orthogonal[0] / gaussian[0], orthogonal[1] / gaussian[1]);
        assert!(arc_cosine < 0.8, "{degrees}: {arc_cosine}");
        assert!(cosine < 0.5, "{degrees}: {cosine}");
    }
    let vectors = pair(64, 1.0, true);
    let of = |kind| estimates(kind, &vectors, 1000).map(|x| mean_and_variance(&x).1);
    let (gaussian, structured) = (of(ProjectionKind::Gaussian), of(ProjectionKind::Structured));
    assert!(structured[0] < 0.8 * gaussian[0], "{structured:?} {gaussian:?}");
}

#[test]
fn structured_rows_are_the_matrix_they_stand_for() -> Result<()> {
    for (m, d) in [(1, 1), (70, 3), (64, 64), (300, 100), (129, 128)] {
        let g = draw::<f64>(ProjectionKind::Structured, m, d, 4);
        let (matrix, x) = (g.to_mat(), Mat::from_vec(2, d, normals(2 * d, 9))?);
        let (mut out, mut scratch) = (Mat::zeros(2, m), vec![f64::NAN; g.scratch()]);
        for isa in Isa::available() {
            g.tile(x.as_ref(), out.as_mut(), &mut scratch, isa)?;
            for i in 0..2 {
                for j in 0..m {
                    let expected = dot(x.row(i), matrix.row(j));
                    assert!(
                        (out[(i, j)] - expected).abs() < 1e-12 * d as f64,
                        "{m} x {d} ({i}, {j}): {} {expected}",
                        out[(i, j)]
                    );
                }
            }
        }
    }
    Ok(())
}

/// The definition, from the signs up: r p^{-3/2} H D1 H D2 H D3, with signs from bits of the stream of the block.
#[test]
fn structured_rows_are_those_of_the_definition() {
    let (p, seed) = (64, 21);
    let mut draws = Draws::new(seed, Purpose::PROJECTION, 1);
    let signs: Vec<Vec<f64>> = (0..3)
        .map(|_| {
            let bits = draws.bits();
            (0..p).map(|i| if bits >> i & 1 == 0 { 1.0 } else { -1.0 }).collect()
        })
        .collect();
    let matrix = draw::<f64>(ProjectionKind::Structured, 2 * p, p, seed).to_mat();
    for k in 0..p {
        let mut column: Vec<f64> = (0..p).map(|i| if i == k { 1.0 } else { 0.0 }).collect();
        for signs in &signs {
            column.iter_mut().zip(signs).for_each(|(x, s)| *x *= s);
            column = sylvester(&column);
        }
        for (j, direction) in column.iter().enumerate() {
            let row = matrix.row(p + j);
            let expected = dot(row, row).sqrt() * direction / (p as f64).powf(1.5);
            assert!((row[k] - expected).abs() < 1e-13, "({j}, {k}): {} {expected}", row[k]);
        }
    }
}

#[test]
fn first_rows_of_a_larger_projection_are_the_smaller_one() {
    for kind in KINDS {
        for (m, d) in [(5, 7), (14, 7), (15, 7), (64, 40), (100, 64), (130, 33)] {
            let (small, large) = (draw::<f64>(kind, m, d, 2).to_mat(), draw::<f64>(kind, m + 3 * d, d, 2).to_mat());
            for j in 0..m {
                let whole = kind != ProjectionKind::Orthogonal || j < m / d * d;
                for (a, b) in small.row(j).iter().zip(large.row(j)) {
                    assert!(if whole { a == b } else { (a - b).abs() < 1e-10 }, "{kind:?} {m} x {d}, row {j}: {a} {b}");
                }
            }
        }
    }
}

#[test]
fn draws_differ_by_seed_and_purpose_and_not_by_threads() -> Result<()> {
    for kind in KINDS {
        let of = |threads, seed, purpose| {
            let resources = Resources::new(threads)?.with_seed(seed);
            Ok::<_, Error>(Projection::<f32>::draw(kind, 200, 30, purpose, &resources)?.to_mat())
        };
        let one = of(1, 5, Purpose::PROJECTION)?;
        assert!(one == of(2, 5, Purpose::PROJECTION)? && one == of(3, 5, Purpose::PROJECTION)?, "{kind:?}");
        for other in
            [of(1, 6, Purpose::PROJECTION)?, of(1, 5, Purpose::PROJECTION.at_layer(1))?, of(1, 5, Purpose(40))?]
        {
            // Some entries of structured rows are 0.
            let equal = one.as_slice().iter().zip(other.as_slice()).filter(|(a, b)| a == b && **a != 0.0).count();
            assert!(equal < 10, "{kind:?}: {equal} equal entries");
        }
    }
    Ok(())
}

/// A projection as a feature map.
#[derive(Debug)]
struct Linear<T>(Projection<T>);

impl<T: Float> FeatureMap<T> for Linear<T> {
    fn inputs(&self) -> usize {
        self.0.cols()
    }
    fn dim(&self) -> usize {
        self.0.rows()
    }
    fn scratch(&self) -> usize {
        self.0.scratch()
    }
    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        self.0.tile(x, out, scratch, isa)
    }
}

#[test]
fn projections_conform_to_feature_maps() {
    for kind in KINDS {
        for (m, d) in [(1, 1), (20, 7), (100, 70)] {
            let x = Mat::from_vec(9, d, normals(9 * d, 1)).unwrap();
            let single = Mat::from_fn(9, d, |i, j| x[(i, j)] as f32);
            assert_eq!(
                feature_map::check(&Linear(draw::<f64>(kind, m, d, 1)), x.as_ref()),
                Ok(()),
                "{kind:?} {m} x {d}"
            );
            assert_eq!(
                feature_map::check(&Linear(draw::<f32>(kind, m, d, 1)), single.as_ref()),
                Ok(()),
                "{kind:?} {m} x {d}"
            );
        }
    }
}

#[test]
fn what_cannot_be_drawn_or_applied_is_refused() -> Result<()> {
    let resources = Resources::new(1)?;
    for kind in KINDS {
        let draw = |m, d, resources: &Resources| Projection::<f64>::draw(kind, m, d, Purpose::PROJECTION, resources);
        assert!(matches!(draw(3, 0, &resources), Err(Error::Invalid { .. })), "{kind:?}");
        assert!(matches!(draw(usize::MAX, 8, &resources), Err(Error::Memory { .. })), "{kind:?}");
        let wide = draw(3, usize::MAX, &resources);
        assert!(matches!(wide, Err(Error::Memory { .. } | Error::Invalid { .. })), "{kind:?}");
        assert!(
            matches!(draw(1000, 1000, &resources.clone().with_memory(1000)), Err(Error::Memory { .. })),
            "{kind:?}"
        );
        let none = draw(0, 4, &resources)?;
        assert_eq!((none.kind(), none.rows(), none.cols(), none.to_mat().rows()), (kind, 0, 4, 0));
        let g = draw(6, 4, &resources)?;
        let (x, mut out, mut scratch) = (Mat::zeros(2, 5), Mat::zeros(2, 6), vec![0.0; g.scratch()]);
        assert!(matches!(g.tile(x.as_ref(), out.as_mut(), &mut scratch, Isa::best()), Err(Error::Shape { .. })));
    }
    let g = Projection::<f64>::draw(ProjectionKind::Structured, 6, 4, Purpose::PROJECTION, &resources)?;
    let mut out = Mat::zeros(2, 6);
    assert!(matches!(g.tile(Mat::zeros(2, 4).as_ref(), out.as_mut(), &mut [], Isa::best()), Err(Error::Shape { .. })));
    Ok(())
}
