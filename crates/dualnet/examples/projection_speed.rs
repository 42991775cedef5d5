//! Speed of random projections in single precision: a structured projection against the product with a stored matrix, on one and two
//! threads; and of the Walsh-Hadamard transform, beside the additions this machine can do: `cargo run --release --example projection_speed`.
//! Times are the least of several, since what else runs on the machine only adds.
#![allow(clippy::print_stdout)]

use dualnet::features::{FeatureMap, transform_into};
use dualnet::linalg::{Mat, MatMut, MatRef};
use dualnet::random::Purpose;
use dualnet::simd::{Element, Isa, Kernel, Lanes, Vector};
use dualnet::transform::{Projection, ProjectionKind, fwht};
use dualnet::{Resources, Result};
use std::hint::black_box;
use std::time::Instant;

const ROWS: usize = 1024;

/// A projection as a feature map.
#[derive(Debug)]
struct Linear(Projection<f32>);

impl FeatureMap<f32> for Linear {
    fn inputs(&self) -> usize {
        self.0.cols()
    }
    fn dim(&self) -> usize {
        self.0.rows()
    }
    fn scratch(&self) -> usize {
        self.0.scratch()
    }
    fn tile(&self, x: MatRef<'_, f32>, out: MatMut<'_, f32>, scratch: &mut [f32], isa: Isa) -> Result<()> {
        self.0.tile(x, out, scratch, isa)
    }
}

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

/// Seconds to draw and, on one and on two threads, to apply a projection.
fn seconds(kind: ProjectionKind, d: usize, repeats: usize) -> Result<[f64; 3]> {
    let (one, two) = (Resources::new(1)?, Resources::new(2)?);
    let start = Instant::now();
    let map = Linear(Projection::draw(kind, d, d, Purpose::PROJECTION, &one)?);
    let draw = start.elapsed().as_secs_f64();
    let x = Mat::from_fn(ROWS, d, |i, j| ((i * 31 + j * 17) % 101) as f32 / 101.0 - 0.5);
    let mut out = Mat::zeros(ROWS, d);
    let mut apply = |resources| least(repeats, || transform_into(&map, x.as_ref(), out.as_mut(), resources));
    Ok([draw, apply(&one)?, apply(&two)?])
}

fn projections() -> Result<()> {
    println!("{ROWS} rows, m = d, f32, ms");
    println!(
        "     d   draw: matrix  structured   1 thread: matrix  structured  ratio   2 threads: matrix  structured  ratio"
    );
    for d in [256, 512, 1024, 2048, 4096, 8192] {
        let repeats = (8192 / d).clamp(3, 20);
        let matrix = seconds(ProjectionKind::Gaussian, d, repeats)?.map(|s| 1e3 * s);
        let structured = seconds(ProjectionKind::Structured, d, 20)?.map(|s| 1e3 * s);
        print!("{d:>6} {:>14.2} {:>11.3}", matrix[0], structured[0]);
        for threads in [1, 2] {
            let (a, b) = (matrix[threads], structured[threads]);
            print!(" {a:>18.2} {b:>11.2} {:>6.1}", a / b);
        }
        println!();
    }
    Ok(())
}

/// Additions of independent registers.
struct Additions<T> {
    rounds: usize,
    one: T,
}

impl<T: Element> Kernel for Additions<T> {
    type Output = T;
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> T {
        let step = T::Lanes::<V>::splat(simd, black_box(self.one));
        let mut sums = [step; 12];
        for sum in &mut sums {
            // Opaque, or twelve equal sums would become one.
            *sum = T::Lanes::<V>::splat(simd, black_box(self.one));
        }
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = *sum + step;
            }
        }
        let mut out = [T::default(); 16];
        let [mut total, rest @ ..] = sums;
        for sum in rest {
            total = total + sum;
        }
        total.store(&mut out);
        out[0]
    }
}

struct Width<T>(std::marker::PhantomData<T>);

impl<T: Element> Kernel for Width<T> {
    type Output = usize;
    #[inline(always)]
    fn run<V: Vector>(self, _: V) -> usize {
        T::Lanes::<V>::LANES
    }
}

/// Additions a nanosecond, all lanes counted.
fn peak<T: Element>(isa: Isa) -> Result<f64> {
    let rounds = 100_000;
    let seconds = least(20, || {
        black_box(isa.run(Additions { rounds, one: T::from_f64(1e-3) }));
        Ok(())
    })?;
    Ok((rounds * 12 * isa.run(Width::<T>(std::marker::PhantomData))) as f64 / (seconds * 1e9))
}

/// Nanoseconds of a transform of 2^level numbers that start on a cache line.
fn transform<T: Element>(level: u32, isa: Isa) -> Result<f64> {
    let n = 1usize << level;
    let mut memory = vec![T::from_f64(0.0); n + 64];
    let first = memory.as_ptr().align_offset(64);
    let x = &mut memory[first..first + n];
    let rounds = (1 << 22) / n / level as usize + 1;
    let seconds = least(100, || (0..rounds).try_for_each(|_| fwht(black_box(&mut *x), isa)))?;
    Ok(seconds / rounds as f64 * 1e9)
}

fn transforms<T: Element>() -> Result<()> {
    // The compiler makes vectors of portable loops as it likes: there is no peak to compare with.
    for isa in Isa::available().into_iter().filter(|&isa| isa != Isa::Portable) {
        let peak = peak::<T>(isa)?;
        println!(
            "\nWalsh-Hadamard transform, {}, {isa:?}: {peak:.0} additions a ns at most",
            std::any::type_name::<T>()
        );
        println!("     n         ns   ns / (n log2 n)   share of additions   GB/s read and written");
        for level in 8..=20 {
            let ns = transform::<T>(level, isa)?;
            let work = f64::from(level) * (1u64 << level) as f64;
            // Each number goes to a register and back once for the lowest levels, and once for every three levels above.
            let low = (128 / size_of::<T>() as u32 * 4).ilog2();
            let passes = 1 + level.saturating_sub(low).div_ceil(3);
            let bytes = f64::from(2 * passes) * (size_of::<T>() << level) as f64;
            println!(
                "  2^{level:<3} {ns:>11.1} {:>17.4} {:>18.0} % {:>23.0}",
                ns / work,
                100.0 * work / ns / peak,
                bytes / ns
            );
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    projections()?;
    transforms::<f32>()?;
    transforms::<f64>()
}
