//! Landmarks: the law of randomly pivoted Cholesky, its factor against dense matrices, leverage scores against exact ones, duplicates, ranks,
//! threads, images, hostile input.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::features::landmarks::{LandmarkMethod, Landmarks, PartialCholesky, Proposals, leverage_scores};
use dualnet::gram;
use dualnet::kernel::{ConvKernel, DenseKernel, FlipKernel, Float, InputShape, Kernel, KernelKind, NetKernel};
use dualnet::linalg::eigh;
use dualnet::net::Net;
use dualnet::random::{Draws, Purpose};
use dualnet::{Error, Mat, Resources};
use proptest::prelude::*;

const KIND: KernelKind = KernelKind::Ntk;

fn normals(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut draws = Draws::new(seed, Purpose(60), 0);
    Mat::from_fn(rows, cols, |_, _| draws.normal())
}

fn one() -> Resources {
    Resources::new(1).unwrap()
}

fn dense(net: &str, width: usize) -> DenseKernel {
    DenseKernel::new(&Net::parse(net).unwrap(), width).unwrap()
}

fn linear(width: usize) -> DenseKernel {
    dense("w_std = 1.0\nlayers = ['dense']", width)
}

fn matrix<T: Float, K: Kernel<T>>(kernel: &K, x: &Mat<T>, kind: KernelKind) -> Mat<f64> {
    let grams = gram::symmetric(kernel, x.as_ref(), kind.get(), &one()).unwrap();
    let k = kind.of((grams.nngp, grams.ntk)).unwrap();
    Mat::from_fn(k.rows(), k.cols(), |i, j| k[(i, j)].to_f64())
}

fn choose(kernel: &DenseKernel, x: &Mat<f64>, k: usize, method: LandmarkMethod, seed: u64) -> Landmarks<f64> {
    Landmarks::choose(kernel, x.as_ref(), KIND, k, method, &one().with_seed(seed)).unwrap()
}

fn fixed(proposals: usize) -> LandmarkMethod {
    LandmarkMethod::RpCholesky { proposals: Proposals::Fixed(proposals) }
}

/// K - F F^T.
fn rest<T: Float>(k: &Mat<f64>, partial: &PartialCholesky<T>) -> Mat<f64> {
    let f = partial.factor();
    let dot = |i, j| f.row(i).iter().zip(f.row(j)).map(|(a, b): (&T, &T)| a.to_f64() * b.to_f64()).sum::<f64>();
    Mat::from_fn(k.rows(), k.rows(), |i, j| k[(i, j)] - dot(i, j))
}

fn largest(a: &Mat<f64>) -> f64 {
    a.as_slice().iter().fold(0.0, |m, v| f64::max(m, v.abs()))
}

/// One pivot after the other on the whole matrix: what is left of it after `pivots`.
fn eliminated(k: &Mat<f64>, pivots: &[usize]) -> Mat<f64> {
    let mut k = k.clone();
    for &s in pivots {
        let (row, pivot) = (k.row(s).to_vec(), k[(s, s)]);
        for i in 0..k.rows() {
            for j in 0..k.rows() {
                k[(i, j)] -= row[i] * row[j] / pivot;
            }
        }
    }
    k
}

/// The factor leaves what plain elimination leaves, nothing in the rows of the pivots, and a positive semi-definite matrix.
fn decomposes<T: Float>(k: &Mat<f64>, partial: &PartialCholesky<T>, tolerance: f64) {
    let scale = (0..k.rows()).map(|i| k[(i, i)]).fold(0.0, f64::max);
    let (left, plain) = (rest(k, partial), eliminated(k, partial.pivots()));
    for i in 0..k.rows() {
        for j in 0..k.rows() {
            assert!(
                (left[(i, j)] - plain[(i, j)]).abs() <= tolerance * scale,
                "{i} {j}: {} {}",
                left[(i, j)],
                plain[(i, j)]
            );
        }
        assert!((partial.residual()[i] - left[(i, i)]).abs() <= 1024.0 * T::EPS * scale + tolerance * scale);
    }
    for (order, &s) in partial.pivots().iter().enumerate() {
        assert_eq!(partial.residual()[s], 0.0);
        assert!(left.row(s).iter().all(|v| v.abs() <= tolerance * scale));
        assert!(partial.factor().row(s)[order + 1..].iter().all(|f| f.to_f64() == 0.0));
    }
    let values = eigh(left.as_ref(), &one()).unwrap().values;
    assert!(values[0] >= -tolerance * scale * k.rows() as f64, "{}", values[0]);
}

#[test]
fn factor_is_that_of_plain_elimination() {
    // More rows than a panel has, more pivots than a round.
    let x = normals(600, 5, 1);
    let kernel = dense("fc-relu-2", 5);
    let k = matrix(&kernel, &x, KIND);
    for method in [LandmarkMethod::rp_cholesky(), fixed(1), fixed(40)] {
        let chosen = choose(&kernel, &x, 150, method, 3);
        let partial = chosen.partial().unwrap();
        assert_eq!((partial.rank(), partial.pivots()), (150, chosen.rows()));
        decomposes(&k, partial, 1e-11);
    }
    let single = Mat::from_fn(600, 5, |i, j| x[(i, j)] as f32);
    let chosen = Landmarks::choose(&kernel, single.as_ref(), KIND, 40, LandmarkMethod::rp_cholesky(), &one()).unwrap();
    decomposes(&matrix(&kernel, &single, KIND), chosen.partial().unwrap(), 2e-4);
}

#[test]
fn given_rows_are_pivots_in_their_order() {
    let x = normals(300, 4, 2);
    let kernel = dense("fc-erf-1", 4);
    let k = matrix(&kernel, &x, KIND);
    let rows: Vec<usize> = (0..140).map(|i| (i * 37) % 300).collect();
    let partial = PartialCholesky::of_rows(&kernel, x.as_ref(), KIND, &rows, &one()).unwrap();
    assert!(partial.rank() > 100 && partial.pivots()[..20] == rows[..20]);
    let plain = eliminated(&k, &rows[..20]);
    let first = PartialCholesky::of_rows(&kernel, x.as_ref(), KIND, &rows[..20], &one()).unwrap();
    decomposes(&k, &first, 1e-10);
    assert!((first.residual()[5] - plain[(5, 5)]).abs() < 1e-11);
    // The first columns of a longer factor are the factor of fewer pivots.
    for i in 0..300 {
        for j in 0..20 {
            assert!((partial.factor()[(i, j)] - first.factor()[(i, j)]).abs() < 1e-12);
        }
    }
}

/// Probabilities of the ordered pairs of first pivots, by the definition: each in proportion to what is left of the diagonal.
fn pairs(k: &Mat<f64>) -> Vec<f64> {
    let n = k.rows();
    let shares = |k: &Mat<f64>| {
        let left: Vec<f64> = (0..n).map(|i| if k[(i, i)] > 1e-13 { k[(i, i)] } else { 0.0 }).collect();
        let sum: f64 = left.iter().sum();
        left.into_iter().map(|v| v / sum).collect::<Vec<f64>>()
    };
    let first = shares(k);
    let second = |i| if first[i] > 0.0 { shares(&eliminated(k, &[i])) } else { vec![0.0; n] };
    (0..n)
        .flat_map(|i| second(i).into_iter().map(move |p| (i, p)).collect::<Vec<_>>())
        .map(|(i, p)| first[i] * p)
        .collect()
}

#[test]
fn pivots_follow_the_law_for_any_number_of_proposals() {
    // Two near duplicates, a zero row, lengths that differ: the second pivot depends much on the first.
    let x = Mat::from_vec(6, 2, vec![2.0, 0.0, 2.0, 0.1, 0.0, 0.0, -0.3, 1.0, 1.0, 1.0, 0.2, -0.5]).unwrap();
    let kernel = dense("fc-relu-1", 2);
    let expected = pairs(&matrix(&kernel, &x, KIND));
    let draws = 6000;
    for method in [fixed(1), fixed(2), fixed(5), LandmarkMethod::rp_cholesky()] {
        let mut counts = vec![0usize; 36];
        for seed in 0..draws {
            let chosen = choose(&kernel, &x, 2, method, seed);
            counts[chosen.rows()[0] * 6 + chosen.rows()[1]] += 1;
        }
        let (mut chi2, mut cells) = (0.0, 0);
        for (count, p) in counts.iter().zip(&expected) {
            let mean = p * draws as f64;
            if mean >= 5.0 {
                (chi2, cells) = (chi2 + (*count as f64 - mean).powi(2) / mean, cells + 1);
            } else {
                assert!((*count as f64) < mean + 12.0, "{count} where {mean} are expected");
            }
        }
        // Mean + 4.5 standard deviations.
        let limit = f64::from(cells) + 4.5 * (2.0 * f64::from(cells)).sqrt();
        assert!(cells > 12 && chi2 < limit, "{method:?}: chi^2 = {chi2} on {cells} cells");
    }
}

#[test]
fn error_falls_and_is_reported() {
    let x = normals(200, 6, 5);
    let kernel = dense("fc-gelu-2", 6);
    let trace: f64 = (0..200).map(|i| matrix(&kernel, &x, KIND)[(i, i)]).sum();
    let mut before = 1.0;
    for k in [1, 5, 20, 60, 120] {
        let chosen = choose(&kernel, &x, k, LandmarkMethod::rp_cholesky(), 1);
        let partial = chosen.partial().unwrap();
        let left: f64 = partial.residual().iter().sum();
        assert!(partial.relative_residual() < before);
        assert!((partial.relative_residual() - left / trace).abs() < 1e-12);
        before = partial.relative_residual();
    }
    assert!(before < 0.05);
}

#[test]
fn rank_is_found_and_duplicates_count_once() {
    let rank = |x: &Mat<f64>, k| choose(&linear(x.cols()), x, k, LandmarkMethod::rp_cholesky(), 7).rows().len();
    for d in [1, 3, 17] {
        // Rows, some of them 0, each twice; more landmarks than rank, and than rows.
        let base = normals(60, d, 3);
        let x = Mat::from_fn(130, d, |i, j| if i >= 120 { 0.0 } else { base[(i % 60, j)] });
        for k in [d, d + 1, 60, 130, 500] {
            assert_eq!(rank(&x, k), d, "{d} columns, {k} asked for");
        }
        let single = Mat::from_fn(130, d, |i, j| x[(i, j)] as f32);
        let kernel = linear(d);
        let method = LandmarkMethod::rp_cholesky();
        let chosen = Landmarks::choose(&kernel, single.as_ref(), KernelKind::Nngp, 130, method, &one()).unwrap();
        assert_eq!(chosen.rows().len(), d);
        let all: Vec<usize> = (0..130).rev().collect();
        let partial = PartialCholesky::of_rows(&kernel, x.as_ref(), KIND, &all, &one()).unwrap();
        assert_eq!((partial.rank(), partial.relative_residual()), (d, 0.0));
        assert!(partial.pivots().iter().all(|row| *row < 120));
        let repeated = PartialCholesky::of_rows(&kernel, x.as_ref(), KIND, &[5, 5, 65, 5], &one()).unwrap();
        assert_eq!(repeated.pivots(), [5]);
    }
    let zeros = Mat::zeros(9, 2);
    let none = choose(&dense("fc-relu-1", 2), &zeros, 4, LandmarkMethod::rp_cholesky(), 0);
    assert!(none.rows().is_empty());
    let partial = none.partial().unwrap();
    assert_eq!((partial.rank(), partial.relative_residual()), (0, 0.0));
    assert_eq!((partial.factor().rows(), partial.factor().cols()), (9, 0));
    assert!(choose(&dense("fc-relu-1", 2), &zeros, 4, LandmarkMethod::Leverage { lambda: 0.1 }, 0).rows().is_empty());
}

#[test]
fn all_rows_are_chosen_where_more_are_asked_for() {
    let x = normals(40, 8, 1);
    let kernel = dense("fc-relu-1", 8);
    for method in [LandmarkMethod::Uniform, LandmarkMethod::Leverage { lambda: 0.01 }, LandmarkMethod::rp_cholesky()] {
        let mut rows = choose(&kernel, &x, 100, method, 1).rows().to_vec();
        rows.sort_unstable();
        assert_eq!(rows, (0..40).collect::<Vec<_>>(), "{method:?}");
    }
}

/// \[K (K + r I)^-1\]_ii by the eigendecomposition.
fn exact_scores(k: &Mat<f64>, lambda: f64) -> Vec<f64> {
    let n = k.rows();
    let ridge = lambda * (0..n).map(|i| k[(i, i)]).sum::<f64>() / n as f64;
    let eigen = eigh(k.as_ref(), &one()).unwrap();
    let share = |i: usize, j: usize| eigen.vectors[(j, i)].powi(2) * eigen.values[j] / (eigen.values[j] + ridge);
    (0..n).map(|i| (0..n).map(|j| share(i, j)).sum()).collect()
}

#[test]
fn leverage_scores_are_near_exact_ones() {
    // A crowd, and few rows far away that uniform choice would miss.
    let normal = normals(700, 3, 4);
    let x = Mat::from_fn(700, 3, |i, j| if i % 70 == 0 { 4.0 * normal[(i, j)] } else { 1.0 + 0.1 * normal[(i, j)] });
    let kernel = dense("fc-erf-1", 3);
    let exact = exact_scores(&matrix(&kernel, &x, KIND), 1e-3);
    let scores = |k| leverage_scores(&kernel, x.as_ref(), KIND, 1e-3, k, &one().with_seed(2)).unwrap();
    let all = scores(700);
    assert!(all.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-9));
    let few = scores(150);
    let dimension: f64 = exact.iter().sum();
    assert!(dimension < 40.0, "{dimension}");
    for (i, (a, b)) in few.iter().zip(&exact).enumerate() {
        assert!((0.5 * b..=3.0 * b + 1e-3).contains(a), "row {i}: {a}, exactly {b}");
    }
    // Those far away are few and matter.
    let far = |rows: &[usize]| rows.iter().filter(|row| *row % 70 == 0).count();
    let chosen = |method| far(choose(&kernel, &x, 60, method, 5).rows());
    let (leverage, uniform) = (chosen(LandmarkMethod::Leverage { lambda: 1e-3 }), chosen(LandmarkMethod::Uniform));
    assert!(leverage >= 8 && uniform <= 4, "{leverage} of 10 by leverage, {uniform} by uniform choice");
}

#[test]
fn threads_and_seeds() {
    let x = normals(700, 4, 9);
    let kernel = dense("fc-relu-2", 4);
    for method in [LandmarkMethod::Uniform, LandmarkMethod::Leverage { lambda: 1e-3 }, LandmarkMethod::rp_cholesky()] {
        let run = |threads, seed| {
            let resources = Resources::new(threads).unwrap().with_seed(seed);
            Landmarks::choose(&kernel, x.as_ref(), KIND, 200, method, &resources).unwrap()
        };
        let first = run(1, 0);
        assert!(first == run(2, 0) && first == run(3, 0), "{method:?}: threads");
        assert_ne!(first.rows(), run(1, 1).rows(), "{method:?}: seeds");
        let mut rows = first.rows().to_vec();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 200);
    }
}

#[test]
fn images_and_flips() {
    let shape = InputShape::image(4, 4, 1);
    let net = Net::parse("layers = ['conv', 'relu', 'global_avg_pool', 'dense']").unwrap();
    let x = normals(45, 16, 8);
    let conv = ConvKernel::new(&net, &shape).unwrap();
    let method = LandmarkMethod::rp_cholesky();
    let chosen = Landmarks::choose(&conv, x.as_ref(), KIND, 20, method, &one()).unwrap();
    decomposes(&matrix(&conv, &x, KIND), chosen.partial().unwrap(), 1e-10);
    let either = NetKernel::new(&net, &shape).unwrap();
    assert_eq!(chosen, Landmarks::choose(&either, x.as_ref(), KIND, 20, method, &one()).unwrap());
    let flip = FlipKernel::new(conv, &shape).unwrap();
    let chosen = Landmarks::choose(&flip, x.as_ref(), KernelKind::Nngp, 20, method, &one()).unwrap();
    decomposes(&matrix(&flip, &x, KernelKind::Nngp), chosen.partial().unwrap(), 1e-10);
}

#[test]
fn dropout_keeps_its_diagonal() {
    let kernel = dense("layers = ['dense', 'relu', {dropout = {keep = 0.5}}, 'dense']", 3);
    let x = normals(30, 3, 1);
    let chosen = choose(&kernel, &x, 12, LandmarkMethod::rp_cholesky(), 1);
    decomposes(&matrix(&kernel, &x, KIND), chosen.partial().unwrap(), 1e-12);
}

#[test]
fn hostile_input_is_refused() {
    let kernel = dense("fc-relu-1", 2);
    let mut x = normals(20, 2, 1);
    let run = |x: &Mat<f64>, k, method, resources: &Resources| {
        Landmarks::choose(&kernel, x.as_ref(), KIND, k, method, resources).map(|chosen| chosen.rows().len())
    };
    let methods = [LandmarkMethod::Uniform, LandmarkMethod::Leverage { lambda: 0.1 }, LandmarkMethod::rp_cholesky()];
    for method in methods {
        assert!(matches!(run(&x, 0, method, &one()), Err(Error::Invalid { .. })), "{method:?}");
        assert_eq!(run(&Mat::zeros(0, 2), 3, method, &one()).unwrap(), 0, "{method:?}");
    }
    for lambda in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-15] {
        assert!(matches!(run(&x, 3, LandmarkMethod::Leverage { lambda }, &one()), Err(Error::Invalid { .. })));
    }
    for count in [0, usize::MAX] {
        assert!(matches!(run(&x, 3, fixed(count), &one()), Err(Error::Invalid { .. })));
    }
    assert!(matches!(run(&x, 9, methods[2], &one().with_memory(1000)), Err(Error::Memory { .. })));
    let rows = PartialCholesky::of_rows(&kernel, x.as_ref(), KIND, &[3, 20], &one());
    assert!(matches!(rows, Err(Error::Invalid { .. })));
    let chosen = choose(&kernel, &x, 20, LandmarkMethod::Uniform, 1);
    assert!(matches!(chosen.samples(normals(4, 2, 1).as_ref()), Err(Error::Shape { .. })));
    assert_eq!(chosen.samples(x.as_ref()).unwrap().row(0), x.row(chosen.rows()[0]));
    x[(7, 1)] = f64::NAN;
    for method in methods {
        assert!(matches!(run(&x, 3, method, &one()), Err(Error::NonFinite { row: 7, column: 1, .. })), "{method:?}");
    }
    // Kernel values near the end of the range, and beyond.
    x[(7, 1)] = 1e153;
    assert!(run(&x, 20, methods[2], &one()).is_ok_and(|rows| rows >= 1));
    x[(7, 1)] = 1e200;
    assert!(matches!(run(&x, 3, methods[2], &one()), Err(Error::Overflow { row: 7, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever the rows: finite, not more than asked for, K - F F^T of a diagonal that is not negative, nothing left in chosen rows.
    #[test]
    fn any_rows(
        values in proptest::collection::vec(prop_oneof![Just(0.0), -1e3..1e3f64, -1e-3..1e-3f64, Just(1.0)], 2..120),
        k in 1usize..70,
        proposals in 1usize..40,
    ) {
        let rows = values.len() / 2;
        let x = Mat::from_vec(rows, 2, values[..2 * rows].to_vec()).unwrap();
        let kernel = dense("fc-relu-1", 2);
        let chosen = choose(&kernel, &x, k, fixed(proposals), 1);
        let partial = chosen.partial().unwrap();
        prop_assert!(chosen.rows().len() <= k.min(rows));
        prop_assert!(partial.factor().as_slice().iter().all(|f| f.is_finite()));
        let k = matrix(&kernel, &x, KIND);
        let left = rest(&k, partial);
        for i in 0..rows {
            let scale = k[(i, i)];
            prop_assert!(left[(i, i)] >= -1e-11 * scale && left[(i, i)] <= scale * (1.0 + 1e-12));
            prop_assert!(partial.residual()[i] >= 0.0);
        }
        for &s in chosen.rows() {
            for i in 0..rows {
                prop_assert!(left[(s, i)].abs() <= 1e-9 * (k[(s, s)] * k[(i, i)]).sqrt().max(largest(&k) * 1e-9));
            }
        }
    }
}
