//! Time a pair takes by Hermite expansion, against the closed form of ReLU, on inputs of equal and of any norm.
//!
//! ```text
//! cargo run --release --example hermite_speed
//! ```

#![allow(clippy::excessive_precision)]

use dualnet::activation::Activation;
use dualnet::dual::numeric::{Precision, default_degree};
use dualnet::dual::{Constants, Dual, DynDual, Image, Pair, Side, TileMut, hermite::HermiteDual};
use dualnet::simd::{Element, Isa, Real};
use std::time::Instant;

/// ReLU in closed form, as a kernel would run it: the angle by a polynomial of the precision's length.
#[derive(Debug)]
struct ReluForm;

/// acos(1 - d) / sqrt(2 d) on [0, 1], highest power first: 5e-8 and 1e-16.
const SHORT: [f64; 8] = [
    0.0008568279941,
    -0.001407597136,
    0.002360617307,
    0.001045711809,
    0.005810106183,
    0.0187202861,
    0.08333477336,
    0.9999999887,
];
const LONG: [f64; 19] = [
    3.3923737974695923e-6,
    -2.5016274694365023e-5,
    8.7859204579386883e-5,
    -0.0001901031456115108,
    0.00028332940124443624,
    -0.00030406259919709615,
    0.00024614298463218231,
    -0.00014495631985790158,
    7.6871204658223893e-5,
    -5.081128609960328e-6,
    5.1527353795913686e-5,
    0.00010783942106165609,
    0.00027131689748599263,
    0.00069911202435376103,
    0.0018988727122969893,
    0.0055803570953268754,
    0.01875000000100454,
    0.083333333333324935,
    1.0,
];

impl Dual for ReluForm {
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, _r: V, _constants: &C) -> Image<V> {
        let coefficients: &[f64] = if V::EPS > 1e-10 { &SHORT } else { &LONG };
        let (zero, d) = (x.c.lit(0.0), x.delta);
        let polynomial = coefficients.iter().skip(1).fold(d.lit(coefficients[0]), |sum, &a| sum.mul_add(d, d.lit(a)));
        let acute = (d * 2.0).sqrt() * polynomial;
        let negative = x.c.lt(zero);
        let theta = V::select(negative, acute.lit(std::f64::consts::PI) - acute, acute);
        let sin = x.sin2().sqrt();
        let tail = (sin - theta * x.rho()) * std::f64::consts::FRAC_1_PI;
        let kdot = theta.mul_add(theta.lit(-0.5 * std::f64::consts::FRAC_1_PI), theta.lit(0.5));
        let k = x.c.mul_add(theta.lit(0.5), x.r() * tail * 0.5);
        let far = V::select(negative, d.lit(2.0) - d, d);
        Image { k, kdot, delta: (far - tail).min(d.lit(1.0)).max(zero) }
    }
    fn variance(&self, p: f64) -> f64 {
        p / 2.0
    }
}

#[derive(Clone, Copy)]
enum Norms {
    Equal,
    Any,
}

/// Nanoseconds a pair: the median of many runs over a tile.
fn measure<T: Element>(dual: &dyn DynDual, norms: Norms, run: impl Fn(Isa, TileMut<'_, T>)) -> f64 {
    const N: usize = 64;
    let p: Vec<f64> = (0..N)
        .map(|i| match norms {
            Norms::Equal => 1.3,
            Norms::Any => 0.5 + i as f64 / 40.0,
        })
        .collect();
    let cast = |x: &[f64]| x.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    let mut constants = vec![0.0; N * dual.constants_len()];
    let mut one = vec![0.0; dual.constants_len()];
    for (j, &p) in p.iter().enumerate() {
        dual.constants(p, &mut one);
        for (i, x) in one.iter().enumerate() {
            constants[i * N + j] = *x;
        }
    }
    let sp: Vec<f64> = p.iter().map(|p| p.sqrt()).collect();
    let out_sp: Vec<f64> = p.iter().map(|&p| dual.variance(p).sqrt()).collect();
    let (p, sp_t, out_sp, constants) = (cast(&p), cast(&sp), cast(&out_sp), cast(&constants));
    let side = Side { p: &p, sp: &sp_t, out_sp: &out_sp, constants: &constants };
    let rho: Vec<f64> = (0..N * N).map(|i| ((i as f64) * 0.7).sin()).collect();
    let c0: Vec<f64> = rho.iter().enumerate().map(|(i, rho)| rho * sp[i / N] * sp[i % N]).collect();
    let (c0, delta0) = (cast(&c0), cast(&rho.iter().map(|rho| 1.0 - rho.abs()).collect::<Vec<_>>()));
    let (mut c, mut delta, mut t) = (c0.clone(), delta0.clone(), c0.clone());
    let isa = Isa::best();
    let mut times = Vec::new();
    for _ in 0..400 {
        c.copy_from_slice(&c0);
        delta.copy_from_slice(&delta0);
        t.copy_from_slice(&c0);
        let start = Instant::now();
        run(isa, TileMut { c: &mut c, delta: &mut delta, t: &mut t, rows: side, cols: side });
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    // The lower quartile: other work on the machine only ever adds time.
    times[times.len() / 4] * 1e9 / (N * N) as f64
}

fn main() -> dualnet::Result<()> {
    let relu32 = measure::<f32>(&ReluForm, Norms::Any, |isa, tile| DynDual::tile_f32(&ReluForm, isa, tile));
    let relu64 = measure::<f64>(&ReluForm, Norms::Any, |isa, tile| DynDual::tile_f64(&ReluForm, isa, tile));
    println!("relu: {relu32:.3} ns a pair in f32, {relu64:.3} in f64; below: ns, and relu = 1");
    println!("activation precision degree    equal norms      any norms");
    use Activation::*;
    for activation in [Tanh, Sigmoid, Silu, Softplus, Elu { alpha: 1.0 }, Selu, Mish, GeluTanh] {
        for (name, precision) in [("f32", Precision::F32), ("f64", Precision::F64)] {
            let Some(degree) = default_degree(&activation, precision) else { continue };
            let dual = HermiteDual::new(&activation, degree)?;
            let time = |norms| match precision {
                Precision::F32 => measure::<f32>(&dual, norms, |isa, tile| dual.tile_f32(isa, tile)),
                Precision::F64 => measure::<f64>(&dual, norms, |isa, tile| dual.tile_f64(isa, tile)),
            };
            let (equal, any) = (time(Norms::Equal), time(Norms::Any));
            let relu = if name == "f32" { relu32 } else { relu64 };
            let label = activation.name();
            println!("{label:10} {name:>9} {degree:6} {equal:8.3} {:6.2} {any:8.3} {:6.2}", equal / relu, any / relu);
        }
    }
    Ok(())
}
