//! Kernels of nets over positions: random nets against the slow oracle, and what must not change a bit.
#![allow(clippy::unwrap_used, clippy::panic)]

mod nets;

use dualnet::gram::{cross, symmetric};
use dualnet::kernel::{Float, Get, Grams, InputShape, NetKernel};
use dualnet::linalg::eigh;
use dualnet::net::Net;
use dualnet::oracle::conv::{Same, kernel as oracle};
use dualnet::{Error, Mat, Resources};
use nets::{Case, Family, GENERIC, cases, images};
use proptest::prelude::*;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

fn engine(case: &Case) -> NetKernel {
    NetKernel::new(&case.net, &case.shape).unwrap_or_else(|error| panic!("{error} in {}", case.net))
}

/// NNGP and NTK of all rows.
fn grams<T: Float>(case: &Case, x: &Mat<T>, resources: &Resources) -> [Mat<T>; 2] {
    both(symmetric(&engine(case), x.as_ref(), Get::Both, resources).unwrap())
}

fn crosses<T: Float>(case: &Case, x: &Mat<T>, y: &Mat<T>, resources: &Resources) -> [Mat<T>; 2] {
    both(cross(&engine(case), x.as_ref(), y.as_ref(), Get::Both, resources).unwrap())
}

fn both<T>(grams: Grams<T>) -> [Mat<T>; 2] {
    [grams.nngp.unwrap(), grams.ntk.unwrap()]
}

fn one_thread() -> Resources {
    Resources::new(1).unwrap()
}

fn selected<T: Float>(x: &Mat<T>, rows: &[usize]) -> Mat<T> {
    x.as_ref().select_rows(rows)
}

/// What the oracle says of the pairs on and above the diagonal.
fn expected(case: &Case, x: &Mat<f64>) -> [Mat<f64>; 2] {
    let n = x.rows();
    let mut all = [Mat::zeros(n, n), Mat::zeros(n, n)];
    for i in 0..n {
        for j in i..n {
            let same = if i == j { Same::Yes } else { Same::No };
            let (k, t) = oracle(&case.net, &case.shape, x.row(i), x.row(j), same).unwrap();
            (all[0][(i, j)], all[1][(i, j)]) = (k, t);
        }
    }
    all
}

/// Compares on and above the diagonal, by the scale max(|t|, sqrt(t_ii t_jj)); `limit` is that of a pair.
fn agree<T: Float>(
    case: &Case,
    ours: &[Mat<T>; 2],
    truth: &[Mat<f64>; 2],
    limit: impl Fn(usize, usize) -> f64,
) -> Result<(), TestCaseError> {
    for (name, ours, truth) in [("nngp", &ours[0], &truth[0]), ("ntk", &ours[1], &truth[1])] {
        for i in 0..truth.rows() {
            for j in i..truth.cols() {
                let (a, b) = (ours[(i, j)].to_f64(), truth[(i, j)]);
                let scale = (truth[(i, i)] * truth[(j, j)]).abs().sqrt().max(b.abs()).max(1e-30);
                let error = (a - b).abs() / scale;
                prop_assert!(
                    error <= limit(i, j),
                    "{name} ({i},{j}): {a:e}, expected {b:e}, off by {error:.1e} in {} of {}",
                    case.net,
                    case.shape
                );
            }
        }
    }
    Ok(())
}

/// Behind a kink an angle near 0 or pi shows half of the digits.
fn double(case: &Case) -> impl Fn(usize, usize) -> f64 {
    let generic = case.generic;
    move |i, j| if generic && i < j && j < GENERIC { 1e-10 } else { 1e-7 }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn engine_agrees_with_the_oracle(case in cases(Family::Any), seed: u64) {
        let x = images(7, &case.shape, seed);
        agree(&case, &grams(&case, &x, &one_thread()), &expected(&case, &x), double(&case))?;
    }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn engine_in_f32_agrees_with_the_oracle(case in cases(Family::Any), seed: u64) {
        let single = images(7, &case.shape, seed);
        let single = Mat::from_fn(7, single.cols(), |i, j| single[(i, j)] as f32);
        // The same numbers in both precisions.
        let x = Mat::from_fn(7, single.cols(), |i, j| f64::from(single[(i, j)]));
        // Expansions are shorter in f32: dual/numeric.rs says how much that shows.
        let expanded = ["tanh", "softplus"].iter().any(|name| case.net.to_json().contains(name));
        let limits = if expanded { [1e-3, 1e-2] } else { [1e-4, 2e-3] };
        let generic = case.generic;
        let limit = |i, j| limits[usize::from(!(generic && i < j && j < GENERIC))];
        agree(&case, &grams(&case, &single, &one_thread()), &expected(&case, &x), limit)?;
    }

    #[test]
    fn matrices_are_symmetric_and_positive_semidefinite(case in cases(Family::Any), seed: u64) {
        let x = images(11, &case.shape, seed);
        let resources = one_thread();
        for k in grams(&case, &x, &resources) {
            for i in 0..x.rows() {
                for j in 0..i {
                    prop_assert_eq!(k[(i, j)].to_bits(), k[(j, i)].to_bits(), "({}, {}) in {}", i, j, &case.net);
                }
            }
            let values = eigh(k.as_ref(), &resources).unwrap().values;
            let (least, most) = (values[0], values[values.len() - 1]);
            // Duplicates are good to 1e-7 in the slopes of kinks.
            prop_assert!(least >= -1e-8 * x.rows() as f64 * most, "{least:e} of {most:e} in {}", case.net);
        }
    }

    #[test]
    fn neither_batch_nor_threads_change_a_bit(case in cases(Family::Any), seed: u64) {
        // More than two tiles of 8, the last one not full.
        let x = images(19, &case.shape, seed);
        let whole = grams(&case, &x, &one_thread());
        for threads in [2, 3] {
            prop_assert!(grams(&case, &x, &Resources::new(threads).unwrap()) == whole, "{threads} threads, {}", case.net);
        }
        // In this order, with other neighbours and in other tiles.
        let rows = [1, 4, 7, 8, 10, 11, 15, 16, 18];
        let part = grams(&case, &selected(&x, &rows), &one_thread());
        let columns = [18, 2, 9, 0];
        let rectangle = crosses(&case, &selected(&x, &rows), &selected(&x, &columns), &one_thread());
        let one = crosses(&case, &selected(&x, &[4]), &x, &one_thread());
        for (get, whole) in whole.iter().enumerate() {
            for (a, &i) in rows.iter().enumerate() {
                for (b, &j) in rows.iter().enumerate().skip(a) {
                    let (ours, all) = (part[get][(a, b)], whole[(i, j)]);
                    prop_assert_eq!(ours.to_bits(), all.to_bits(), "({}, {}) of a part in {}", i, j, &case.net);
                }
                for (b, &j) in columns.iter().enumerate().filter(|(_, j)| **j > i) {
                    let (ours, all) = (rectangle[get][(a, b)], whole[(i, j)]);
                    prop_assert_eq!(ours.to_bits(), all.to_bits(), "({}, {}) of a rectangle in {}", i, j, &case.net);
                }
            }
            for j in 5..x.rows() {
                prop_assert_eq!(one[get][(0, j)].to_bits(), whole[(4, j)].to_bits(), "(4, {}) alone in {}", j, &case.net);
            }
        }
    }

    #[test]
    fn circular_shifts_change_nothing_behind_global_pooling(
        case in cases(Family::Circular),
        seed: u64,
        by in (0usize..9, 0usize..9),
        other in (0usize..9, 0usize..9),
    ) {
        // Two sets, so that dropout does not tell an image from its shifted copy.
        let (x, y) = (images(4, &case.shape, seed), images(4, &case.shape, !seed));
        let truth = crosses(&case, &x, &y, &one_thread());
        let scale: Vec<[f64; 4]> = [&x, &y].map(|x| own(&case, x)).to_vec();
        // Even where the two images move apart: global pooling takes all pairs of positions.
        for (a, b) in [(by, by), (by, other)] {
            let found = crosses(&case, &shifted(&x, &case.shape, a), &shifted(&y, &case.shape, b), &one_thread());
            for (ours, truth) in found.iter().zip(&truth) {
                for (at, (ours, truth)) in ours.as_slice().iter().zip(truth.as_slice()).enumerate() {
                    let scale = (scale[0][at / 4] * scale[1][at % 4]).sqrt().max(truth.abs()).max(1e-30);
                    prop_assert!((ours - truth).abs() <= 1e-7 * scale, "{ours} {truth} in {}", case.net);
                }
            }
        }
    }
}

/// NTK of each of four samples with itself.
fn own(case: &Case, x: &Mat<f64>) -> [f64; 4] {
    let [_, ntk] = grams(case, x, &one_thread());
    [0, 1, 2, 3].map(|i| ntk[(i, i)])
}

/// Every image moved down and to the right, around the edges.
fn shifted(x: &Mat<f64>, shape: &InputShape, (down, right): (usize, usize)) -> Mat<f64> {
    let (height, width) = (shape.positions[0], shape.positions.get(1).copied().unwrap_or(1));
    Mat::from_fn(x.rows(), x.cols(), |row, to| {
        let (position, channel) = (to / shape.channels, to % shape.channels);
        let (i, j) = (position / width, position % width);
        let from = (i + height * 9 - down) % height * width + (j + width * 9 - right) % width;
        x[(row, from * shape.channels + channel)]
    })
}

#[test]
fn errors_say_where() {
    let resources = one_thread();
    let net = Net::from_json(r#"{"layers":["conv","relu","global_avg_pool","dense"]}"#).unwrap();
    let shape = InputShape::image(4, 3, 2);
    let kernel = NetKernel::new(&net, &shape).unwrap();
    let mut x = Mat::<f64>::zeros(3, 24);
    x[(1, 7)] = f64::NAN;
    let error = symmetric(&kernel, x.as_ref(), Get::Both, &resources).unwrap_err();
    assert!(matches!(error, Error::NonFinite { row: 1, column: 7, .. }), "{error}");

    let narrow = Mat::<f64>::zeros(3, 23);
    let error = symmetric(&kernel, narrow.as_ref(), Get::Both, &resources).unwrap_err().to_string();
    assert!(error.contains("24") && error.contains("23"), "{error}");

    let open = Net::from_json(r#"{"layers":["conv","relu","conv"]}"#).unwrap();
    let error = NetKernel::new(&open, &shape).unwrap_err().to_string();
    assert!(error.starts_with("layers[2].conv"), "{error}");

    let large = Net::from_json(r#"{"layers":[{"conv":{"kernel":[5,5],"padding":"valid"}},"flatten"]}"#).unwrap();
    let error = NetKernel::new(&large, &shape).unwrap_err().to_string();
    assert!(error.starts_with("layers[0].conv"), "{error}");
    assert!(NetKernel::new(&net, &InputShape::sequence(9, 2)).is_err());
    assert!(NetKernel::new(&net, &InputShape::image(0, 3, 2)).is_err());
    assert!(NetKernel::new(&net, &InputShape::image(4, 3, 0)).is_err());
}
