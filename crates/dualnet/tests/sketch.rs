//! Sketches: against their definitions, without bias, variance as promised, the same bits everywhere, hostile input.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::conformance::feature_map;
use dualnet::features::{FeatureMap, HomogeneousOptions, HomogeneousSeries, HomogeneousSketch, transform};
use dualnet::gram;
use dualnet::kernel::{Float, Get, InputShape, NetKernel};
use dualnet::linalg::{MatMut, MatRef, SparseRows};
use dualnet::net::Net;
use dualnet::random::{Draws, Purpose};
use dualnet::simd::Isa;
use dualnet::transform::{CountSketch, PolySketch, Power, Srht, TensorSrht};
use dualnet::{Error, Mat, Resources, Result};
use proptest::prelude::*;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Standard normals.
fn normals(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut draws = Draws::new(seed, Purpose::ROWS, 0);
    Mat::from_fn(rows, cols, |_, _| draws.normal())
}

fn resources(seed: u64) -> Resources {
    Resources::new(1).unwrap().with_seed(seed)
}

/// A sketch as a feature map of rows, which a tensor sketch takes apart into its two factors.
#[derive(Debug)]
enum Map<T> {
    Srht(Srht<T>),
    Tensor(TensorSrht<T>),
    Poly(PolySketch<T>),
    Count(CountSketch<T>),
}

impl<T: Float> FeatureMap<T> for Map<T> {
    fn inputs(&self) -> usize {
        match self {
            Map::Srht(map) => map.cols(),
            Map::Tensor(map) => map.cols().0 + map.cols().1,
            Map::Poly(map) => map.cols(),
            Map::Count(map) => map.cols(),
        }
    }
    fn dim(&self) -> usize {
        match self {
            Map::Srht(map) => map.rows(),
            Map::Tensor(map) => map.rows(),
            Map::Poly(map) => map.dim(),
            Map::Count(map) => map.rows(),
        }
    }
    fn scratch(&self) -> usize {
        match self {
            Map::Srht(map) => map.scratch(),
            Map::Tensor(map) => map.scratch(),
            Map::Poly(map) => map.scratch(),
            Map::Count(map) => map.scratch(),
        }
    }
    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        match self {
            Map::Srht(map) => map.tile(x, out, scratch, isa),
            Map::Tensor(map) => {
                let (n, (a, b)) = (x.rows(), map.cols());
                map.tile(x.block(0..n, 0..a)?, x.block(0..n, a..a + b)?, out, scratch, isa)
            }
            Map::Poly(map) => map.tile(x, out, scratch, isa),
            Map::Count(map) => map.tile(x, out, scratch, isa),
        }
    }
}

/// The kinds of sketches, of `m` features (for each power) of `d` columns.
fn sketches<T: Float>(d: usize, m: usize, resources: &Resources) -> Vec<Map<T>> {
    vec![
        Map::Srht(Srht::draw(d, m, Purpose::SRHT, resources).unwrap()),
        Map::Tensor(TensorSrht::draw(d, d + 2, m, Purpose::TENSOR_SRHT, resources).unwrap()),
        Map::Poly(PolySketch::draw(d, 5, m, Purpose::POLY_SKETCH, resources).unwrap()),
        Map::Count(CountSketch::draw(d, m, 3.min(m), Purpose::COUNT_SKETCH, resources).unwrap()),
    ]
}

/// What the products of the first two rows of `x` are on average: one number for each part of the features.
fn expected(map: &Map<f64>, x: &Mat<f64>) -> Vec<(std::ops::Range<usize>, f64)> {
    let (a, b) = (x.row(0), x.row(1));
    match map {
        Map::Srht(_) | Map::Count(_) => vec![(0..map.dim(), dot(a, b))],
        Map::Tensor(map) => {
            let d = map.cols().0;
            vec![(0..map.rows(), dot(&a[..d], &b[..d]) * dot(&a[d..], &b[d..]))]
        }
        Map::Poly(map) => {
            map.powers().map(|(power, at)| (at..at + power.width, dot(a, b).powi(power.degree as i32))).collect()
        }
    }
}

/// Two rows of length 1 with a cosine of 0.6 (0.6 in each half of the columns, where the halves are factors).
fn pair(d: usize, seed: u64) -> Mat<f64> {
    let x = normals(2, d, seed);
    let mut out = Mat::zeros(2, d);
    let unit = |row: Vec<f64>| {
        let length = dot(&row, &row).sqrt();
        row.into_iter().map(|x| x / length).collect::<Vec<f64>>()
    };
    let a = unit(x.row(0).to_vec());
    let other = if d == 1 {
        vec![0.6 * a[0].signum()]
    } else {
        let product = dot(x.row(1), &a);
        let b = unit(x.row(1).iter().zip(&a).map(|(b, a)| b - product * a).collect());
        a.iter().zip(&b).map(|(a, b)| 0.6 * a + 0.8 * b).collect()
    };
    out.row_mut(0).copy_from_slice(&a);
    out.row_mut(1).copy_from_slice(&other);
    out
}

fn rows_for(map: &Map<f64>, seed: u64) -> Mat<f64> {
    match map {
        Map::Tensor(map) => {
            let (a, b) = (pair(map.cols().0, seed), pair(map.cols().1, seed + 1));
            Mat::from_fn(2, a.cols() + b.cols(), |i, j| if j < a.cols() { a[(i, j)] } else { b[(i, j - a.cols())] })
        }
        other => pair(other.inputs(), seed),
    }
}

/// Errors of the products of two rows over seeds, part by part.
fn errors(draw: &dyn Fn(&Resources) -> Map<f64>, seeds: u64) -> Vec<Vec<f64>> {
    let base = resources(0);
    let mut found: Vec<Vec<f64>> = Vec::new();
    for seed in 0..seeds {
        let resources = base.clone().with_seed(seed);
        let map = draw(&resources);
        let x = rows_for(&map, 5);
        let (mut out, mut scratch) = (Mat::zeros(2, map.dim()), vec![f64::NAN; map.scratch()]);
        map.tile(x.as_ref(), out.as_mut(), &mut scratch, Isa::best()).unwrap();
        let parts = expected(&map, &x);
        found.resize(parts.len(), Vec::new());
        for (errors, (range, truth)) in found.iter_mut().zip(parts) {
            errors.push(dot(&out.row(0)[range.clone()], &out.row(1)[range]) - truth);
        }
    }
    found
}

/// Means within four standard errors of what is expected. Where whole blocks make a sketch exact, only rounding is left.
fn unbiased(name: &str, seeds: u64, draw: &dyn Fn(&Resources) -> Map<f64>) {
    for (part, errors) in errors(draw, seeds).into_iter().enumerate() {
        let (n, mean) = (errors.len() as f64, errors.iter().sum::<f64>() / errors.len() as f64);
        let variance = errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let error = (variance / n).sqrt();
        assert!(mean.abs() <= 4.0 * error + 1e-13, "{name}, part {part}: {mean} +- {error}");
    }
}

#[test]
fn sketches_are_without_bias() {
    let cases = [(1, 7), (3, 1), (5, 64), (13, 200), (70, 96), (100, 300)];
    for (d, m) in cases {
        for kind in [0, 1, 3] {
            unbiased(&format!("kind {kind}, {d} to {m}"), 250, &|r| sketches(d, m, r).swap_remove(kind));
        }
    }
    for (nonzeros, m) in [(1, 5), (1, 64), (4, 5), (7, 64)] {
        unbiased(&format!("{nonzeros} non-zeros of {m}"), 250, &|r| {
            Map::Count(CountSketch::draw(33, m, nonzeros, Purpose::COUNT_SKETCH, r).unwrap())
        });
    }
}

#[test]
fn powers_of_every_degree_are_without_bias() {
    for (d, degree, width) in [(1, 9, 3), (5, 9, 128), (17, 8, 100), (70, 5, 64), (3, 2, 64)] {
        unbiased(&format!("{d} columns to degree {degree}"), 250, &|r| {
            Map::Poly(PolySketch::draw(d, degree, width, Purpose::POLY_SKETCH, r).unwrap())
        });
    }
    // Some degrees alone, of widths of their own.
    let powers = [(3, 50), (6, 128), (7, 1), (11, 200)].map(|(degree, width)| Power { degree, width });
    unbiased("some powers", 250, &|r| {
        Map::Poly(PolySketch::of_powers(9, &powers, 128, Purpose::POLY_SKETCH, r).unwrap())
    });
}

/// From m to 16 m features the error falls as m to the power -0.5, within 0.1.
#[test]
fn errors_fall_with_the_root_of_the_features() {
    let rms = |errors: &[f64]| (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt();
    for (kind, d) in [(0, 1000), (1, 100), (2, 50), (3, 300)] {
        let of = |m| errors(&|r| sketches(d, m, r).swap_remove(kind), 300);
        for (part, (few, many)) in of(32).iter().zip(of(512)).enumerate() {
            let slope = (rms(few) / rms(&many)).ln() / 16f64.ln();
            assert!((slope - 0.5).abs() < 0.1, "kind {kind}, part {part}: {slope}");
        }
    }
}

/// Rows of stacked blocks H D as they are defined, from the draws.
fn blocks(x: &[f64], m: usize, purpose: Purpose, seed: u64, first: u64, shuffled: bool) -> Vec<f64> {
    let p = x.len().max(64).next_power_of_two();
    let mut out = Vec::new();
    for b in 0..m.div_ceil(p) as u64 {
        let mut draws = Draws::new(seed, purpose, first + b);
        let signs: Vec<f64> = (0..p / 64)
            .flat_map(|_| {
                let bits = draws.bits();
                (0..64).map(move |i| if bits >> i & 1 == 0 { 1.0 } else { -1.0 })
            })
            .collect();
        let count = p.min(m - b as usize * p);
        let mut order: Vec<usize> = (0..p).collect();
        if shuffled || count < p {
            let mut draws = Draws::new(seed, purpose, first + (1 << 42) + b);
            (0..count).for_each(|i| order.swap(i, i + draws.below(p - i)));
        }
        for &j in &order[..count] {
            let entry = |k: usize| if (j & k).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
            out.push(x.iter().enumerate().map(|(k, x)| entry(k) * signs[k] * x).sum());
        }
    }
    out
}

#[test]
fn hadamard_sketches_are_their_definitions() -> Result<()> {
    for (d, m) in [(1, 1), (3, 64), (40, 130), (100, 50), (130, 600)] {
        let (x, y) = (normals(2, d, 1), normals(2, d + 2, 2));
        for isa in Isa::available() {
            let single = Srht::draw(d, m, Purpose::SRHT, &resources(9))?;
            let (mut out, mut scratch) = (Mat::zeros(2, m), vec![f64::NAN; single.scratch()]);
            single.tile(x.as_ref(), out.as_mut(), &mut scratch, isa)?;
            let plain = blocks(x.row(1), m, Purpose::SRHT, 9, 0, false);
            for (found, plain) in out.row(1).iter().zip(plain) {
                assert!((found - plain / (m as f64).sqrt()).abs() < 1e-12, "{d} to {m}");
            }
            let both = TensorSrht::draw(d, d + 2, m, Purpose::TENSOR_SRHT, &resources(9))?;
            let mut scratch = vec![f64::NAN; both.scratch()];
            both.tile(x.as_ref(), y.as_ref(), out.as_mut(), &mut scratch, isa)?;
            let left = blocks(x.row(1), m, Purpose::TENSOR_SRHT, 9, 0, false);
            let right = blocks(y.row(1), m, Purpose::TENSOR_SRHT, 9, 1 << 43, true);
            for ((found, a), b) in out.row(1).iter().zip(left).zip(right) {
                assert!((found - a * b / (m as f64).sqrt()).abs() < 1e-11, "{d} to {m}");
            }
        }
    }
    Ok(())
}

/// Whole blocks are orthogonal.
#[test]
fn whole_blocks_keep_products() -> Result<()> {
    for (d, m) in [(64, 64), (50, 192), (200, 512)] {
        let map = Map::Srht(Srht::draw(d, m, Purpose::SRHT, &resources(3))?);
        let x = normals(2, d, 4);
        let f = transform(&map, x.as_ref(), &resources(3))?;
        assert!((dot(f.row(0), f.row(1)) - dot(x.row(0), x.row(1))).abs() < 1e-12);
    }
    Ok(())
}

#[test]
fn sketches_conform_to_feature_maps() {
    for (d, m) in [(1, 1), (7, 20), (100, 70), (65, 300)] {
        for kind in 0..4 {
            let map = sketches::<f64>(d, m, &resources(1)).swap_remove(kind);
            let single = sketches::<f32>(d, m, &resources(1)).swap_remove(kind);
            let x = normals(9, map.inputs(), 1);
            let narrow = Mat::from_fn(9, map.inputs(), |i, j| x[(i, j)] as f32);
            assert_eq!(feature_map::check(&map, x.as_ref()), Ok(()), "{map:?}");
            assert_eq!(feature_map::check(&single, narrow.as_ref()), Ok(()), "{single:?}");
        }
    }
}

#[test]
fn rows_of_zeros_have_sketches_of_zeros() -> Result<()> {
    for map in sketches::<f64>(10, 33, &resources(1)) {
        let f = transform(&map, Mat::zeros(2, map.inputs()).as_ref(), &resources(1))?;
        assert!(f.as_slice().iter().all(|&f| f == 0.0), "{map:?}");
    }
    Ok(())
}

#[test]
fn draws_differ_by_seed_and_purpose_and_not_by_threads() -> Result<()> {
    for kind in 0..4 {
        let features = |threads, seed| {
            let resources = Resources::new(threads)?.with_seed(seed);
            let map = sketches::<f64>(40, 100, &resources).swap_remove(kind);
            transform(&map, normals(3, map.inputs(), 2).as_ref(), &resources)
        };
        assert!(features(1, 5)? == features(2, 5)? && features(1, 5)? != features(1, 6)?, "{kind}");
    }
    let of = |purpose| Srht::<f64>::draw(9, 9, purpose, &resources(1));
    assert_ne!(of(Purpose::SRHT)?, of(Purpose::SRHT.at_layer(1))?);
    Ok(())
}

#[test]
fn what_cannot_be_sketched_is_refused() {
    let r = resources(0);
    let invalid = |found: Result<()>| assert!(matches!(found, Err(Error::Invalid { .. })), "{found:?}");
    for (d, m) in [(0, 5), (5, 0)] {
        invalid(Srht::<f64>::draw(d, m, Purpose::SRHT, &r).map(drop));
        invalid(TensorSrht::<f64>::draw(d, 3, m, Purpose::SRHT, &r).map(drop));
        invalid(TensorSrht::<f64>::draw(3, d, m.min(d), Purpose::SRHT, &r).map(drop));
        invalid(PolySketch::<f64>::draw(d, 3, m, Purpose::SRHT, &r).map(drop));
        invalid(CountSketch::<f64>::draw(d, m, 1, Purpose::SRHT, &r).map(drop));
    }
    for degree in [0, 1, 1025, usize::MAX] {
        invalid(PolySketch::<f64>::draw(3, degree, 4, Purpose::SRHT, &r).map(drop));
    }
    let powers = |degrees: &[usize]| degrees.iter().map(|&degree| Power { degree, width: 3 }).collect::<Vec<_>>();
    for degrees in [&[3, 2][..], &[2, 2], &[1], &[2, 2000]] {
        invalid(PolySketch::<f64>::of_powers(3, &powers(degrees), 4, Purpose::SRHT, &r).map(drop));
    }
    invalid(CountSketch::<f64>::draw(4, 5, 0, Purpose::SRHT, &r).map(drop));
    invalid(CountSketch::<f64>::draw(4, 5, 6, Purpose::SRHT, &r).map(drop));
    let huge = Srht::<f64>::draw(usize::MAX, 5, Purpose::SRHT, &r);
    assert!(matches!(huge, Err(Error::Invalid { .. } | Error::Memory { .. })));
    assert!(matches!(Srht::<f64>::draw(5, usize::MAX, Purpose::SRHT, &r), Err(Error::Memory { .. })));
    let little = r.clone().with_memory(10_000);
    assert!(matches!(PolySketch::<f64>::draw(64, 9, 64, Purpose::SRHT, &little), Err(Error::Memory { .. })));
    for map in sketches::<f64>(6, 8, &r) {
        let (x, mut out, mut scratch) = (Mat::zeros(2, 5), Mat::zeros(2, map.dim()), vec![0.0; map.scratch()]);
        let found = map.tile(x.as_ref(), out.as_mut(), &mut scratch, Isa::best());
        assert!(matches!(found, Err(Error::Shape { .. })), "{map:?}");
        let x = Mat::zeros(2, map.inputs());
        let mut out = Mat::zeros(3, map.dim());
        assert!(matches!(map.tile(x.as_ref(), out.as_mut(), &mut scratch, Isa::best()), Err(Error::Shape { .. })));
        if map.scratch() > 0 {
            let mut out = Mat::zeros(2, map.dim());
            assert!(matches!(map.tile(x.as_ref(), out.as_mut(), &mut [], Isa::best()), Err(Error::Shape { .. })));
        }
    }
}

// ---- Sparse rows ----

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn sparse_and_dense_rows_have_the_same_sketches(
        n in 1usize..300, d in 1usize..40, m in 1usize..40, nonzeros in 1usize..6, seed: u64, share in 0.0..1.0,
    ) {
        let mut draws = Draws::new(seed, Purpose::ROWS, 0);
        let x = Mat::from_fn(n, d, |_, _| if draws.uniform() < share { draws.normal() } else { 0.0 });
        let sparse = SparseRows::from_dense(x.as_ref()).unwrap();
        prop_assert_eq!(sparse.to_mat(), x.clone());
        let (indptr, indices, values) = sparse.parts();
        let again = SparseRows::new(d, indptr.to_vec(), indices.to_vec(), values.to_vec()).unwrap();
        prop_assert_eq!(&again, &sparse);
        let resources = Resources::new(2).unwrap().with_seed(seed);
        let map = CountSketch::draw(d, m, nonzeros.min(m), Purpose::COUNT_SKETCH, &resources).unwrap();
        let found = map.sparse(&sparse, &resources).unwrap();
        let dense = transform(&Map::Count(map), x.as_ref(), &resources).unwrap();
        let bits = |x: &Mat<f64>| x.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&found), bits(&dense));
    }

    #[test]
    fn sparse_rows_of_anything_are_checked_or_refused(
        cols in 0usize..6,
        indptr in prop::collection::vec(0usize..5, 0..5),
        indices in prop::collection::vec(0u32..6, 0..5),
        values in prop::collection::vec(prop_oneof![Just(f64::NAN), -1.0..1.0], 0..5),
    ) {
        if let Ok(x) = SparseRows::new(cols, indptr, indices, values) {
            let dense = x.to_mat();
            prop_assert_eq!((dense.rows(), dense.cols()), (x.rows(), cols));
            prop_assert!(dense.as_slice().iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn sparse_rows_that_cannot_be_are_named() {
    let new = |cols, indptr: &[usize], indices: &[u32], values: &[f64]| {
        SparseRows::new(cols, indptr.to_vec(), indices.to_vec(), values.to_vec()).map(drop).unwrap_err().to_string()
    };
    for (cols, indptr, indices, values, word) in [
        (3, &[][..], &[][..], &[][..], "begin at 0"),
        (3, &[0, 2], &[0], &[1.0], "end at 1"),
        (3, &[1, 1], &[0], &[1.0], "begin at 0"),
        (3, &[0, 1, 0, 1], &[0], &[1.0], "in row 1"),
        (3, &[0, 1], &[0, 1], &[1.0], "a column for each"),
        (3, &[0, 0, 1], &[3], &[1.0], "3 in row 1"),
        (3, &[0, 2], &[1, 1], &[1.0, 1.0], "1 after 1 in row 0"),
        (3, &[0, 0, 2], &[0, 2], &[1.0, f64::NAN], "row 1, column 2"),
    ] {
        let found = new(cols, indptr, indices, values);
        assert!(found.contains(word), "{found}, expected {word}");
    }
}

/// Rows of a larger matrix, into rows that lie apart.
#[test]
fn some_sparse_rows_are_sketched_as_in_the_whole() -> Result<()> {
    let r = resources(2);
    let x = SparseRows::from_dense(normals(300, 8, 1).as_ref())?;
    let map = CountSketch::draw(8, 5, 2, Purpose::COUNT_SKETCH, &r)?;
    let whole = map.sparse(&x, &r)?;
    let mut data = vec![f64::NAN; 150 * 7];
    map.sparse_rows(&x, 140, MatMut::new(&mut data, 150, 5, 7)?, &r)?;
    for i in 0..150 {
        assert_eq!(data[i * 7..i * 7 + 5], *whole.row(140 + i));
        assert!(data[i * 7 + 5..i * 7 + 7].iter().all(|x| x.is_nan()));
    }
    let mut out = Mat::zeros(2, 5);
    assert!(map.sparse_rows(&x, 299, out.as_mut(), &r).is_err());
    assert!(map.sparse_rows(&x, usize::MAX, out.as_mut(), &r).is_err());
    assert!(map.sparse(&SparseRows::from_dense(Mat::zeros(1, 9).as_ref())?, &r).is_err());
    Ok(())
}

// ---- Homogeneous nets ----

const NETS: [&str; 9] = [
    "fc-relu-1",
    "fc-relu-2",
    "fc-relu-4",
    "fc-abs-3",
    "fc-identity-2",
    r#"{"layers": [{"dense": {"w_std": 1.3}}, {"leaky_relu": {"alpha": 0.2}}, "dense", {"abrelu": {"a": 0.5, "b": -2}}, "dense"]}"#,
    r#"{"layers": ["dense", {"residual": ["relu", "dense"]}, {"residual": ["relu", "dense", "abs", "dense"]}]}"#,
    r#"{"layers": [{"concat": [[{"dense": {"width": 3}}, "relu"], [{"dense": {"width": 5}}], []]}, "dense", "relu"]}"#,
    r#"{"parameterization": "standard", "layers": [{"dense": {"width": 8}}, "relu", {"dense": {"width": 4}}, "abs", "dense"]}"#,
];

/// Two unit vectors at each of some cosines, which powers of 1,200 and more leave nothing of.
#[test]
fn series_are_the_kernels_of_the_net() -> Result<()> {
    let cosines: Vec<f64> = (-97..=97).step_by(2).map(|i| 0.01 * f64::from(i)).collect();
    let r = resources(0);
    for text in NETS {
        let net = Net::parse(text)?;
        let x = Mat::from_vec(1, 3, vec![1.0, 0.0, 0.0])?;
        let y =
            Mat::from_fn(cosines.len(), 3, |i, j| [2.0 * cosines[i], 2.0 * (1.0 - cosines[i].powi(2)).sqrt(), 0.0][j]);
        let kernel = NetKernel::new(&net, &InputShape::vector(3))?;
        let exact = gram::cross(&kernel, x.as_ref(), y.as_ref(), Get::Both, &r)?;
        let own = gram::symmetric(&kernel, x.as_ref(), Get::Both, &r)?;
        for (get, exact, own) in [(Get::Nngp, exact.nngp, own.nngp), (Get::Ntk, exact.ntk, own.ntk)] {
            let (exact, own) = (exact.unwrap(), own.unwrap()[(0, 0)]);
            let series = HomogeneousSeries::of(&net, 3, get, 1300)?;
            assert!(series.coefficients().iter().all(|&c| c >= 0.0), "{text}");
            assert!((series.total() - own).abs() < 1e-13 * own, "{text} {get:?}: {} {own}", series.total());
            for (j, &cosine) in cosines.iter().enumerate() {
                let error = (2.0 * series.at(cosine) - exact[(0, j)]).abs();
                assert!(error < 1e-10 * own, "{text} {get:?} at {cosine}: {error:e}");
            }
        }
    }
    Ok(())
}

#[test]
fn coefficients_of_one_hidden_layer_are_known() -> Result<()> {
    // kappa_1 = (sqrt(1 - r^2) + r (pi/2 + asin r)) / pi, kappa_0 = 1/2 + asin(r) / pi; NTK of depth 1: 2 (kappa_1 + r kappa_0) / d.
    let series = HomogeneousSeries::of(&Net::parse("fc-relu-1")?, 1, Get::Ntk, 6)?;
    let pi = std::f64::consts::PI;
    let known = [1.0, pi, 1.5, 0.0, 5.0 / 24.0, 0.0, 1.0 / 80.0 + 3.0 / 40.0];
    for (found, known) in series.coefficients().iter().zip(known) {
        assert!((found - 2.0 * known / pi).abs() < 1e-15, "{series:?}");
    }
    Ok(())
}

/// Averages of estimates over seeds, and the bias that the polynomial states, with the square sketched and exact.
#[test]
fn homogeneous_sketches_average_to_their_polynomials() -> Result<()> {
    let x = normals(3, 6, 3);
    for (text, get, dim) in [
        ("fc-relu-2", Get::Ntk, 40),
        ("fc-relu-2", Get::Nngp, 300),
        (NETS[5], Get::Ntk, 100),
        ("fc-abs-3", Get::Ntk, 64),
    ] {
        let net = Net::parse(text)?;
        let options = HomogeneousOptions { get, degree: 6 };
        let (seeds, mut sums) = (200, vec![(0.0, 0.0); 9]);
        let mut truth = vec![0.0; 9];
        for seed in 0..seeds {
            let r = resources(seed);
            let map = HomogeneousSketch::draw(&net, 6, dim, options, &r)?;
            let f = transform(&map, x.as_ref(), &r)?;
            for (k, sum) in sums.iter_mut().enumerate() {
                let estimate = dot(f.row(k / 3), f.row(k % 3));
                (sum.0, sum.1) = (sum.0 + estimate, sum.1 + estimate * estimate);
                truth[k] = map.expected(x.row(k / 3), x.row(k % 3))?;
            }
            let kernel = NetKernel::new(&net, &InputShape::vector(6))?;
            if seed == 0 {
                let exact = gram::symmetric(&kernel, x.as_ref(), get, &r)?;
                let exact = exact.ntk.or(exact.nngp).unwrap();
                for k in 0..9 {
                    let size = (exact[(k / 3, k / 3)] * exact[(k % 3, k % 3)]).sqrt();
                    let error = (truth[k] - exact[(k / 3, k % 3)]).abs() / size;
                    assert!(error <= map.error() + 1e-9, "{text} {get:?}: {error} {}", map.error());
                }
                assert!(map.error() < 0.25 && map.coefficients().len() == 7, "{}", map.error());
            }
        }
        for ((sum, square), truth) in sums.into_iter().zip(truth) {
            let mean: f64 = sum / seeds as f64;
            let error = ((square / seeds as f64 - mean * mean) / seeds as f64).max(0.0).sqrt();
            assert!((mean - truth).abs() <= 4.0 * error + 1e-12, "{text} {get:?}: {mean} {truth} +- {error}");
        }
    }
    Ok(())
}

/// A net without bends needs no sketch; higher degrees err less.
#[test]
fn linear_nets_are_exact_and_higher_degrees_err_less() -> Result<()> {
    let (r, x) = (resources(0), normals(2, 5, 6));
    let map = HomogeneousSketch::draw(&Net::parse("fc-identity-2")?, 5, 9, HomogeneousOptions::default(), &r)?;
    let f = transform(&map, x.as_ref(), &r)?;
    // Three dense layers of w_std^2 = 2: an NTK of 3 * 8 / d times the product.
    assert!((dot(f.row(0), f.row(1)) - 4.8 * dot(x.row(0), x.row(1))).abs() < 1e-13);
    assert!(f.row(0)[5..].iter().all(|&f| f == 0.0) && map.error() < 1e-12);
    let error = |degree| {
        let options = HomogeneousOptions { get: Get::Ntk, degree };
        Ok::<_, Error>(HomogeneousSketch::<f64>::draw(&Net::parse("fc-relu-2")?, 5, 4096, options, &r)?.error())
    };
    let errors = [4, 8, 16, 32].map(|degree| error(degree).unwrap());
    assert!(errors.windows(2).all(|pair| pair[1] < 0.9 * pair[0]), "{errors:?}");
    Ok(())
}

#[test]
fn homogeneous_sketches_conform() -> Result<()> {
    let r = resources(4);
    for (d, dim) in [(1, 20), (7, 60), (30, 700)] {
        let map = HomogeneousSketch::<f64>::draw(&Net::parse("fc-relu-2")?, d, dim, HomogeneousOptions::default(), &r)?;
        let x = normals(9, d, 1);
        assert_eq!(feature_map::check(&map, x.as_ref()), Ok(()));
        let map = HomogeneousSketch::<f32>::draw(&Net::parse("fc-abs-2")?, d, dim, HomogeneousOptions::default(), &r)?;
        let mut x = Mat::from_fn(9, d, |i, j| x[(i, j)] as f32);
        // A row of zeros, and rows at the ends of the range.
        x.row_mut(3).fill(0.0);
        x.row_mut(4).iter_mut().for_each(|x| *x *= 1e-37);
        x.row_mut(5).iter_mut().for_each(|x| *x *= 1e36);
        assert_eq!(feature_map::check(&map, x.as_ref()), Ok(()));
        let f = transform(&map, x.as_ref(), &r)?;
        assert!(f.row(3).iter().all(|&f| f == 0.0) && f.row(4).iter().any(|&f| f != 0.0));
        x.row_mut(6).fill(f32::MAX);
        match transform(&map, x.as_ref(), &r) {
            Err(Error::Overflow { row: 6, .. }) => {}
            found => assert!(found.is_ok_and(|f| f.as_slice().iter().all(|f| f.is_finite()))),
        }
    }
    Ok(())
}

#[test]
fn layers_that_are_not_homogeneous_are_named() {
    let r = resources(0);
    for (layers, place) in [
        (r#"["dense", "erf", "dense"]"#, "layers[1].erf"),
        (r#"["dense", "relu", {"dense": {"b_std": 0.1}}]"#, "layers[2].dense"),
        (r#"["dense", "layer_norm", "relu"]"#, "layers[1].layer_norm"),
        (r#"["dense", {"dropout": {"keep": 0.5}}]"#, "layers[1].dropout"),
        (r#"["dense", {"residual": ["relu", "dense", "gelu", "dense"]}]"#, "layers[1].residual[2].gelu"),
        (r#"["dense", {"sum": [[], ["sin", "dense"]]}]"#, "layers[1].sum[1][0].sin"),
        (r#"["dense", {"product": [["dense"], ["dense"]]}, "dense"]"#, "layers[1].product"),
        (r#"["dense", {"relu": {"dual": {"hermite": 8}}}]"#, "layers[1].relu"),
        (r#"["conv", "relu", "flatten", "dense"]"#, "layers[0].conv"),
    ] {
        let net = Net::from_json(&format!(r#"{{"layers": {layers}}}"#)).unwrap();
        match HomogeneousSketch::<f32>::draw(&net, 4, 100, HomogeneousOptions::default(), &r) {
            Err(Error::Unsupported { at, .. }) => assert_eq!(at, place),
            other => panic!("{layers}: {:?}", other.map(drop)),
        }
    }
    let net = Net::parse("fc-relu-2").unwrap();
    let draw = |inputs, dim, get, degree| {
        HomogeneousSketch::<f32>::draw(&net, inputs, dim, HomogeneousOptions { get, degree }, &r).map(drop)
    };
    for (inputs, dim, get, degree) in [
        (0, 100, Get::Ntk, 8),
        (4, 0, Get::Ntk, 8),
        (4, 10, Get::Ntk, 8),
        (100, 100, Get::Ntk, 8),
        (4, 100, Get::Both, 8),
        (4, 100, Get::Ntk, 1),
        (4, 100, Get::Ntk, 257),
    ] {
        let found = draw(inputs, dim, get, degree);
        assert!(matches!(found, Err(Error::Invalid { .. })), "{inputs} {dim} {get:?} {degree}: {found:?}");
    }
}
