//! Dense kernels: against the plain oracle and finite networks, and what must not change a bit.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::kernel::{DenseKernel, Get, Grams, TILE};
use dualnet::linalg::eigh;
use dualnet::net::Net;
use dualnet::oracle::dense::{Same, kernel as oracle};
use dualnet::simd::Isa;
use dualnet::{Error, Mat, Resources};
use nets::{nets, samples};
use proptest::prelude::*;

#[path = "common/nets.rs"]
mod nets;

fn grams(net: &Net, x: &Mat<f64>, resources: &Resources) -> Grams<f64> {
    DenseKernel::new(net, x.cols()).unwrap().gram(x.as_ref(), Get::Both, resources).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn tiles_agree_with_the_oracle(net in nets(), seed: u64) {
        let x = samples(23, 5, seed);
        let Grams { nngp, ntk } = grams(&net, &x, &Resources::new(2).unwrap());
        let (nngp, ntk) = (nngp.unwrap(), ntk.unwrap());
        for i in 0..x.rows() {
            for j in 0..x.rows() {
                let same = if i == j { Same::Yes } else { Same::No };
                let (k, t) = oracle(&net, x.row(i), x.row(j), same).unwrap();
                for (ours, theirs, all) in [(nngp[(i, j)], k, &nngp), (ntk[(i, j)], t, &ntk)] {
                    let scale = (all[(i, i)].abs() * all[(j, j)].abs()).sqrt().max(theirs.abs()).max(1e-30);
                    prop_assert!((ours - theirs).abs() <= 1e-10 * scale, "({i},{j}): {ours} {theirs} in {net}");
                }
            }
        }
    }

    #[test]
    fn matrices_are_symmetric_and_positive_semidefinite(net in nets(), seed: u64) {
        let x = samples(40, 4, seed);
        let n = x.rows() as f64;
        let resources = Resources::new(2).unwrap();
        // Dropout adds to the diagonal alone, which only helps.
        let Grams { nngp, ntk } = grams(&net, &x, &resources);
        for k in [nngp.unwrap(), ntk.unwrap()] {
            for i in 0..x.rows() {
                for j in 0..i {
                    prop_assert_eq!(k[(i, j)].to_bits(), k[(j, i)].to_bits());
                }
            }
            let values = eigh(k.as_ref(), &resources).unwrap().values;
            let (least, most) = (values[0], values[values.len() - 1]);
            prop_assert!(least >= -8.0 * n * f64::EPSILON * most, "{least:e} of {most:e} in {net}");
        }
    }

    #[test]
    fn neither_batch_nor_threads_change_a_bit(net in nets(), seed: u64) {
        let x = samples(2 * TILE + 9, 3, seed);
        let kernel = DenseKernel::new(&net, 3).unwrap();
        let whole = grams(&net, &x, &Resources::new(1).unwrap());
        for threads in [2, 3, 8] {
            prop_assert!(grams(&net, &x, &Resources::new(threads).unwrap()) == whole);
        }
        let (ntk, resources) = (whole.ntk.unwrap(), Resources::new(2).unwrap());
        for i in [0, 5, TILE, 2 * TILE + 8] {
            let one = x.as_ref().select_rows(&[i]);
            let row = kernel.cross(one.as_ref(), x.as_ref(), Get::Ntk, &resources).unwrap().ntk.unwrap();
            let column = kernel.cross(x.as_ref(), one.as_ref(), Get::Ntk, &resources).unwrap().ntk.unwrap();
            for j in (0..x.rows()).filter(|&j| j != i) {
                prop_assert_eq!(row[(0, j)].to_bits(), ntk[(i, j)].to_bits(), "row {}, {} in {}", i, j, &net);
                prop_assert_eq!(column[(j, 0)].to_bits(), ntk[(j, i)].to_bits(), "column {}, {} in {}", i, j, &net);
            }
        }
    }

    #[test]
    fn instruction_sets_and_precisions_agree(net in nets(), seed: u64) {
        let x = samples(20, 6, seed);
        let best = grams(&net, &x, &Resources::new(1).unwrap()).ntk.unwrap();
        let largest = (0..x.rows()).map(|i| best[(i, i)].abs()).fold(0.0, f64::max);
        for isa in Isa::available() {
            let other = grams(&net, &x, &Resources::new(1).unwrap().with_isa(isa)).ntk.unwrap();
            for (a, b) in best.as_slice().iter().zip(other.as_slice()) {
                prop_assert!((a - b).abs() <= 1e-11 * largest, "{a} {b} on {isa:?} in {net}");
            }
        }
        // In f32 the angle of near-duplicates behind erf and gelu is good to 3e-4, which signs, one behind the other, show in full;
        // products grow beyond what a sine can be given in f32.
        if ["sign", "product"].iter().any(|layer| net.to_json().contains(layer)) {
            return Ok(());
        }
        let single = Mat::from_fn(x.rows(), x.cols(), |i, j| x[(i, j)] as f32);
        let kernel = DenseKernel::new(&net, x.cols()).unwrap();
        if let Ok(k) = kernel.gram(single.as_ref(), Get::Ntk, &Resources::new(1).unwrap()) {
            // Expansions are shorter, which shows at the norms of these samples: dual/numeric.rs says how much.
            let limit = if net.to_json().contains("tanh") { 0.5 } else { 2e-3 };
            for (a, b) in best.as_slice().iter().zip(k.ntk.unwrap().as_slice()) {
                prop_assert!((a - f64::from(*b)).abs() <= limit * largest, "{a} {b} in f32 in {net}");
            }
        }
    }
}

#[test]
fn a_wide_network_has_the_covariance_of_its_nngp() {
    // Two hidden layers of width m, averaged over draws: the error falls as 1/sqrt(m * draws).
    let (m, draws) = (256, 60);
    let x = Mat::from_vec(2, 3, vec![1.0, -0.5, 0.3, 0.2, 0.9, -1.1]).unwrap();
    let net = Net::from_json(r#"{"w_std":1.3,"b_std":0.2,"layers":["dense","relu","dense","gelu","dense"]}"#).unwrap();
    let truth = grams(&net, &x, &Resources::new(1).unwrap()).nngp.unwrap();
    let mut state = 7u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    let mut normal = move || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
    let gelu = |v: f64| 0.5 * v * (1.0 + dualnet::simd::Real::erf(v / 2f64.sqrt()));
    let mut sum = [[0.0; 2]; 2];
    for _ in 0..draws {
        let mut h: Vec<Vec<f64>> = (0..2).map(|i| x.row(i).to_vec()).collect();
        for (layer, width) in [m, m].into_iter().enumerate() {
            let scale = 1.3 / (h[0].len() as f64).sqrt();
            let mut next = [Vec::with_capacity(width), Vec::with_capacity(width)];
            for _ in 0..width {
                let w: Vec<f64> = (0..h[0].len()).map(|_| scale * normal()).collect();
                let b = 0.2 * normal();
                for i in 0..2 {
                    let z = b + w.iter().zip(&h[i]).map(|(w, h)| w * h).sum::<f64>();
                    next[i].push(if layer == 0 { z.max(0.0) } else { gelu(z) });
                }
            }
            h = next.to_vec();
        }
        for i in 0..2 {
            for j in 0..2 {
                let mean = h[i].iter().zip(&h[j]).map(|(a, b)| a * b).sum::<f64>() / m as f64;
                sum[i][j] += (1.69 * mean + 0.04) / f64::from(draws);
            }
        }
    }
    for i in 0..2 {
        for j in 0..2 {
            let error = (sum[i][j] - truth[(i, j)]).abs() / truth[(0, 0)].max(truth[(1, 1)]);
            assert!(error < 0.05, "({i},{j}): {} {}", sum[i][j], truth[(i, j)]);
        }
    }
}

#[test]
fn scaling_the_input_of_a_relu_net_scales_its_kernel() {
    let x = samples(30, 4, 3);
    let net = Net::parse("fc-relu-3").unwrap();
    let scaled = Mat::from_fn(30, 4, |i, j| 4.0 * x[(i, j)]);
    let resources = Resources::new(1).unwrap();
    let (a, b) = (grams(&net, &x, &resources).ntk.unwrap(), grams(&net, &scaled, &resources).ntk.unwrap());
    for (a, b) in a.as_slice().iter().zip(b.as_slice()) {
        assert!((16.0 * a - b).abs() <= 1e-12 * b.abs().max(1e-20), "{a} {b}");
    }
}

#[test]
fn errors_say_where() {
    let resources = Resources::new(1).unwrap();
    let net = Net::parse("fc-relu-1").unwrap();
    let kernel = DenseKernel::new(&net, 2).unwrap();
    let x = Mat::from_vec(2, 2, vec![1.0, 2.0, 3.0, f64::NAN]).unwrap();
    let error = kernel.gram(x.as_ref(), Get::Both, &resources).unwrap_err();
    assert!(matches!(error, Error::NonFinite { row: 1, column: 1, .. }), "{error}");

    let x = Mat::<f64>::zeros(3, 5);
    let error = kernel.gram(x.as_ref(), Get::Both, &resources).unwrap_err().to_string();
    assert!(error.contains("expected 2 columns, found 5"), "{error}");

    let small = Resources::new(1).unwrap().with_memory(1000);
    let error = kernel.gram(Mat::<f64>::zeros(100, 2).as_ref(), Get::Both, &small).unwrap_err().to_string();
    assert!(error.contains("160000 bytes") && error.contains("--memory"), "{error}");

    let steep = Net::from_json(r#"{"layers":["dense",{"exp":{}},"dense",{"exp":{}},"dense"]}"#).unwrap();
    let x = Mat::from_vec(1, 2, vec![9.0, 9.0]).unwrap();
    let error = DenseKernel::new(&steep, 2).unwrap().gram(x.as_ref(), Get::Both, &resources).unwrap_err().to_string();
    assert!(error.contains("layers[3].exp") && error.contains("row 0"), "{error}");

    let error = DenseKernel::new(&Net::parse("myrtle-5").unwrap(), 3).unwrap_err().to_string();
    assert!(error.contains("layers[0]") && error.contains("conv"), "{error}");
    assert!(DenseKernel::new(&net, 0).is_err());
}

#[test]
fn nothing_in_gives_nothing_out() {
    let kernel = DenseKernel::new(&Net::parse("fc-relu-1").unwrap(), 2).unwrap();
    let resources = Resources::new(1).unwrap();
    let none = Mat::<f64>::zeros(0, 2);
    let some = Mat::from_fn(3, 2, |i, j| (i + j) as f64);
    let k = kernel.gram(none.as_ref(), Get::Both, &resources).unwrap();
    assert_eq!((k.nngp.unwrap().rows(), k.ntk.unwrap().rows()), (0, 0));
    let k = kernel.cross(none.as_ref(), some.as_ref(), Get::Nngp, &resources).unwrap();
    assert_eq!((k.nngp.as_ref().unwrap().rows(), k.nngp.unwrap().cols(), k.ntk), (0, 3, None));
    let k = kernel.cross(some.as_ref(), none.as_ref(), Get::Ntk, &resources).unwrap().ntk.unwrap();
    assert_eq!((k.rows(), k.cols()), (3, 0));
}
