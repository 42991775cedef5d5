//! Speed and error of sketches, in single precision on one thread: `cargo run --release --example sketch_speed`.
//!
//! First the time of a row against the additions of its Hadamard transforms at the full speed of this machine's registers; then the
//! one-shot sketch of homogeneous nets on 1,000 digits: relative Frobenius error of the NTK, mean of 10 seeds, and seconds.
#![allow(clippy::print_stdout)]

use dualnet::features::{HomogeneousOptions, HomogeneousSketch, transform};
use dualnet::kernel::{DenseKernel, Get};
use dualnet::linalg::{Mat, MatRef};
use dualnet::net::Net;
use dualnet::random::Purpose;
use dualnet::simd::{Element, Isa, Kernel, Lanes, Vector};
use dualnet::transform::{PolySketch, Srht, TensorSrht};
use dualnet::{Error, Resources, Result};
use std::hint::black_box;
use std::time::Instant;

const ROWS: usize = 128;

/// Least seconds of some repeats.
fn least(repeats: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut seconds = f64::INFINITY;
    for _ in 0..repeats {
        let start = Instant::now();
        work()?;
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

/// Additions of independent registers; gives back the lanes.
struct Additions(usize);

impl Kernel for Additions {
    type Output = usize;
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> usize {
        type Register<V> = <f32 as Element>::Lanes<V>;
        let step = Register::<V>::splat(simd, black_box(1e-3));
        let mut sums = [step; 12];
        for sum in &mut sums {
            *sum = Register::<V>::splat(simd, black_box(1e-3));
        }
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = *sum + step;
            }
        }
        black_box(sums);
        Register::<V>::LANES
    }
}

/// Additions of single precision a nanosecond.
fn peak() -> Result<f64> {
    let rounds = 100_000;
    let lanes = Isa::best().run(Additions(1));
    let seconds = least(20, || {
        black_box(Isa::best().run(Additions(rounds)));
        Ok(())
    })?;
    Ok((rounds * 12 * lanes) as f64 / (seconds * 1e9))
}

fn rows(d: usize) -> Mat<f32> {
    Mat::from_fn(ROWS, d, |i, j| (((i * 31 + j * 17) % 101) as f32 / 101.0 - 0.5) / (d as f32).sqrt())
}

/// Additions of the transforms of d columns to m features.
fn additions(d: usize, m: usize) -> f64 {
    let p = d.next_power_of_two().max(64);
    (m.div_ceil(p) * p) as f64 * f64::from(p.ilog2())
}

fn line(name: &str, seconds: f64, additions: f64, peak: f64) {
    let (ns, limit) = (seconds * 1e9 / ROWS as f64, additions / peak);
    println!("{name:<44} {ns:>9.0} ns a row, additions alone {limit:>8.0}: {:>5.1} x", ns / limit);
}

fn speed() -> Result<()> {
    let (resources, isa, peak) = (Resources::new(1)?, Isa::best(), peak()?);
    println!("{isa:?}, {peak:.0} additions a ns at most");
    for (d, m) in [(64, 1024), (784, 1024), (1024, 512), (1024, 1024), (4096, 4096)] {
        let (x, mut out) = (rows(d), Mat::zeros(ROWS, m));
        let map = Srht::<f32>::draw(d, m, Purpose::SRHT, &resources)?;
        let mut scratch = vec![0.0; map.scratch()];
        let seconds = least(200, || map.tile(x.as_ref(), out.as_mut(), &mut scratch, isa))?;
        line(&format!("SRHT {d} to {m}"), seconds, additions(d, m), peak);
    }
    for (d1, d2, m) in [(64, 64, 1024), (1024, 64, 1024), (1024, 1024, 512), (1024, 1024, 1024), (4096, 4096, 4096)] {
        let (x, y, mut out) = (rows(d1), rows(d2), Mat::zeros(ROWS, m));
        let map = TensorSrht::<f32>::draw(d1, d2, m, Purpose::TENSOR_SRHT, &resources)?;
        let mut scratch = vec![0.0; map.scratch()];
        let seconds = least(200, || map.tile(x.as_ref(), y.as_ref(), out.as_mut(), &mut scratch, isa))?;
        line(&format!("TensorSRHT {d1} x {d2} to {m}"), seconds, additions(d1, m) + additions(d2, m), peak);
    }
    for (d, degree, m) in [(64, 4, 1024), (64, 8, 1024), (784, 8, 1024), (784, 9, 1024), (784, 16, 1024)] {
        let x = rows(d);
        let map = PolySketch::<f32>::draw(d, degree, m, Purpose::POLY_SKETCH, &resources)?;
        let (mut out, mut scratch) = (Mat::zeros(ROWS, map.dim()), vec![0.0; map.scratch()]);
        let seconds = least(50, || map.tile(x.as_ref(), out.as_mut(), &mut scratch, isa))?;
        let (leaves, nodes) = map.factors();
        let work = leaves as f64 * additions(d, m) + nodes as f64 * additions(m, m);
        line(&format!("PolySketch {d}, degrees 2 to {degree} of {m}: {} nodes", map.nodes()), seconds, work, peak);
    }
    Ok(())
}

/// The first 1,000 digits, pixels / 16, the last column being the label.
fn digits() -> Result<Mat<f64>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/digits.csv");
    let wrong = |problem: String| Error::Source { at: path.into(), problem, hint: "run it in the repository".into() };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let mut x = Vec::new();
    for line in text.lines().skip(1).take(1000) {
        let cells: Vec<&str> = line.split(',').collect();
        for cell in &cells[..64] {
            x.push(cell.parse::<f64>().map_err(|e| wrong(e.to_string()))? / 16.0);
        }
    }
    Mat::from_vec(1000, 64, x)
}

fn frobenius(x: MatRef<'_, f64>) -> f64 {
    (0..x.rows()).flat_map(|i| x.row(i)).map(|x| x * x).sum::<f64>().sqrt()
}

/// |F F' - K| / |K|.
fn relative_error(f: &Mat<f32>, exact: &Mat<f64>) -> Result<f64> {
    let wide = Mat::from_fn(f.rows(), f.cols(), |i, j| f64::from(f[(i, j)]));
    let mut difference = exact.clone();
    let update = dualnet::linalg::Update::Add;
    dualnet::linalg::gemm_nt(difference.as_mut(), update, -1.0, wide.as_ref(), wide.as_ref())?;
    Ok(frobenius(difference.as_ref()) / frobenius(exact.as_ref()))
}

fn one_shot() -> Result<()> {
    let (x, one) = (digits()?, Resources::new(1)?);
    let single = Mat::from_fn(x.rows(), x.cols(), |i, j| x[(i, j)] as f32);
    println!("\n1,000 digits: relative Frobenius error of the NTK, mean and largest of 10 seeds");
    for (name, dim, degree) in [
        ("fc-relu-1", 4096, 16),
        ("fc-relu-2", 1024, 16),
        ("fc-relu-2", 2048, 16),
        ("fc-relu-2", 4096, 6),
        ("fc-relu-2", 4096, 8),
        ("fc-relu-2", 4096, 12),
        ("fc-relu-2", 4096, 16),
        ("fc-relu-2", 4096, 24),
        ("fc-relu-2", 4096, 32),
        ("fc-relu-2", 8192, 16),
        ("fc-relu-2", 8192, 32),
        ("fc-relu-5", 4096, 16),
        ("fc-relu-5", 4096, 32),
        ("fc-abs-2", 4096, 16),
    ] {
        let net = Net::parse(name)?;
        let exact = DenseKernel::new(&net, 64)?.gram(x.as_ref(), Get::Ntk, &one)?.ntk.unwrap_or_default();
        let (mut errors, mut seconds, mut draw, mut bias) = (Vec::new(), f64::INFINITY, 0.0, 0.0);
        for seed in 0..10 {
            let resources = one.clone().with_seed(seed);
            let start = Instant::now();
            let options = HomogeneousOptions { get: Get::Ntk, degree };
            let map = HomogeneousSketch::<f32>::draw(&net, 64, dim, options, &resources)?;
            draw = start.elapsed().as_secs_f64();
            let start = Instant::now();
            let f = transform(&map, single.as_ref(), &resources)?;
            seconds = seconds.min(start.elapsed().as_secs_f64());
            errors.push(relative_error(&f, &exact)?);
            if seed == 0 {
                let mut off = exact.clone();
                for i in 0..x.rows() {
                    for j in 0..x.rows() {
                        off[(i, j)] -= map.expected(single.row(i), single.row(j))?;
                    }
                }
                bias = frobenius(off.as_ref()) / frobenius(exact.as_ref());
            }
        }
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let largest = errors.iter().copied().fold(0.0, f64::max);
        println!(
            "{name} dim {dim} degree {degree:>2}: {mean:.4} {largest:.4} (the polynomial alone {bias:.4}), drawn in {draw:.3} s, 1,000 rows in {seconds:.3} s"
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    speed()?;
    one_shot()
}
