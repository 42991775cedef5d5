//! Features of whole nets against the exact kernels.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::features::{NetFeatureOptions, NetFeatures, transform};
use dualnet::kernel::{Get, InputShape, NetKernel};
use dualnet::net::Net;
use dualnet::random::{Draws, Purpose};
use dualnet::{Mat, Resources, gram};

fn rows(n: usize, d: usize, norms: impl Fn(usize) -> f64) -> Mat<f64> {
    let mut draws = Draws::new(3, Purpose::ROWS, 0);
    let mut x = Mat::from_fn(n, d, |_, _| draws.normal());
    for i in 0..n {
        let norm = x.row(i).iter().map(|x| x * x).sum::<f64>().sqrt();
        x.row_mut(i).iter_mut().for_each(|x| *x *= norms(i) / norm);
    }
    x
}

fn relative_error(net: &Net, shape: &InputShape, x: &Mat<f64>, get: Get, dim: usize, seed: u64) -> f64 {
    let resources = Resources::new(2).unwrap().with_seed(seed);
    let exact = gram::symmetric(&NetKernel::new(net, shape).unwrap(), x.as_ref(), get, &resources).unwrap();
    let exact = exact.nngp.or(exact.ntk).unwrap();
    let map = NetFeatures::<f64>::draw(net, shape, &NetFeatureOptions::new(get, dim), &resources).unwrap();
    let f = transform(&map, x.as_ref(), &resources).unwrap();
    let (mut error, mut size) = (0.0, 0.0);
    for i in 0..x.rows() {
        for j in 0..x.rows() {
            let k: f64 = f.row(i).iter().zip(f.row(j)).map(|(a, b)| a * b).sum();
            error += (k - exact[(i, j)]).powi(2);
            size += exact[(i, j)].powi(2);
        }
    }
    (error / size).sqrt()
}

#[test]
fn tries() {
    let x = rows(40, 12, |_| 3.0);
    for net in ["fc-relu-1", "fc-relu-2", "fc-erf-2", "fc-gelu-3", "fc-sin-2", "fc-gaussian-2", "fc-abs-2", "fc-sign-2"]
    {
        let net = Net::parse(net).unwrap();
        for get in [Get::Nngp, Get::Ntk] {
            for dim in [512, 4096] {
                let e = relative_error(&net, &InputShape::vector(12), &x, get, dim, 1);
                println!("{} {get:?} {dim} {e:.4}", net.spec().layers.len());
            }
        }
    }
    let x = rows(12, 8 * 8 * 3, |_| 13.0);
    for dim in [512, 2048, 8192] {
        for get in [Get::Nngp, Get::Ntk] {
            let e = relative_error(&Net::parse("myrtle-5").unwrap(), &InputShape::image(8, 8, 3), &x, get, dim, 1);
            println!("myrtle {get:?} {dim} {e:.4}");
        }
    }
}
