//! Nanoseconds a number takes in each vector function, by precision and instruction set, beside the standard library.
//!
//! `cargo run --release --example simd_speed`

use dualnet::simd::{Element, Isa, Kernel, Lanes, Real, Vector};
use std::hint::black_box;
use std::time::Instant;

/// Small enough for the first cache.
const COUNT: usize = 1024;
const ROUNDS: usize = 20;
const REPEATS: usize = 200;

/// On a cache line: a 512-bit register that crosses two of them costs more than the cheaper functions.
#[derive(Clone)]
#[repr(align(64))]
struct Aligned<T>([T; COUNT]);

/// A function of two numbers, the second of which most ignore.
trait Formula: Copy {
    fn call<R: Real>(self, x: R, y: R) -> R;
}

struct Sweep<'a, F, T> {
    formula: F,
    x: &'a [T],
    y: &'a [T],
    out: &'a mut [T],
}

impl<F: Formula, T: Element> Kernel for Sweep<'_, F, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let lanes = T::Lanes::<V>::LANES;
        let inputs = self.x.chunks_exact(lanes).zip(self.y.chunks_exact(lanes));
        for ((x, y), out) in inputs.zip(self.out.chunks_exact_mut(lanes)) {
            let (x, y) = (T::Lanes::<V>::load(simd, x), T::Lanes::<V>::load(simd, y));
            self.formula.call(x, y).store(out);
        }
    }
}

/// Nanoseconds a number: the least of all repeats, for what else runs on the machine only adds.
fn time(mut sweep: impl FnMut()) -> f64 {
    (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                sweep();
            }
            start.elapsed().as_secs_f64() * 1e9 / (ROUNDS * COUNT) as f64
        })
        .fold(f64::INFINITY, f64::min)
}

/// Numbers spread evenly over an interval, in an order without pattern.
fn spread<T: Element>(low: f64, high: f64) -> Aligned<T> {
    let at = |i: usize| low + (high - low) * ((i * 619 % COUNT) as f64 + 0.5) / COUNT as f64;
    Aligned(std::array::from_fn(|i| T::from_f64(at(i))))
}

fn row<T: Element>(name: &str, formula: impl Formula, low: f64, high: f64, std: Option<fn(T, T) -> T>) {
    let x = spread::<T>(low, high);
    let mut y = x.clone();
    y.0.reverse();
    let mut out = x.clone();
    print!("{name:<16} {:<4}", std::any::type_name::<T>());
    for isa in [Isa::Avx512, Isa::Avx2, Isa::Portable] {
        if Isa::available().contains(&isa) {
            let ns = time(|| {
                let (x, y, out) = (&black_box(&x).0, &black_box(&y).0, &mut black_box(&mut out).0);
                isa.run(Sweep { formula, x, y, out });
            });
            print!(" {ns:>9.3}");
        } else {
            print!(" {:>9}", "-");
        }
    }
    match std {
        Some(f) => {
            let ns = time(|| {
                for ((out, &x), &y) in out.0.iter_mut().zip(&black_box(&x).0).zip(&black_box(&y).0) {
                    *out = f(x, y);
                }
                black_box(&mut out);
            });
            println!(" {ns:>9.3}");
        }
        None => println!(" {:>9}", "-"),
    }
}

macro_rules! rows {
    ($($name:ident: $low:expr, $high:expr, $x:ident $y:ident $call:expr, $std:expr;)*) => {$(
        #[derive(Clone, Copy)]
        #[allow(non_camel_case_types)]
        struct $name;
        impl Formula for $name {
            #[inline(always)]
            fn call<R: Real>(self, $x: R, $y: R) -> R {
                $call
            }
        }
        row::<f32>(stringify!($name), $name, $low, $high, $std);
        row::<f64>(stringify!($name), $name, $low, $high, $std);
    )*};
}

fn main() {
    println!("{:<21} {:>9} {:>9} {:>9} {:>9}", "ns / number", "avx512", "avx2", "portable", "std");
    rows! {
        exp: -20.0, 20.0, x _y x.exp(), Some(|x, _| x.exp());
        exp_m1: -5.0, 5.0, x _y x.exp_m1(), Some(|x, _| x.exp_m1());
        ln: 0.01, 100.0, x _y x.ln(), Some(|x, _| x.ln());
        sin_cos: -20.0, 20.0, x _y { let (s, c) = x.sin_cos(); s + c }, Some(|x, _| { let (s, c) = x.sin_cos(); s + c });
        tanh: -3.0, 3.0, x _y x.tanh(), Some(|x, _| x.tanh());
        erf: -3.0, 3.0, x _y x.erf(), None;
        atan2: -2.0, 2.0, x y y.atan2(x), Some(|x, y| y.atan2(x));
        acos_one_minus: 0.0, 1.0, x _y x.acos_one_minus(), Some(|x, _| (1.0 - x).acos());
        sqrt: 0.0, 1.0, x _y x.sqrt(), Some(|x, _| x.sqrt());
    }
}
