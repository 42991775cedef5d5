//! Accuracy of the vector functions against values of 60 digits, on every instruction set of this machine.

use super::{Element, Isa, Kernel, Lanes, Real, Vector};
use std::collections::BTreeMap;

/// Largest error allowed, in units in the last place; the same on all instruction sets.
const BOUNDS: [(&str, f64, f64); 9] = [
    ("acos_one_minus", 2.0, 2.0),
    ("atan2", 2.0, 2.0),
    ("cos", 2.0, 2.0),
    ("erf", 2.0, 2.0),
    ("exp", 2.0, 2.0),
    ("exp_m1", 2.0, 2.0),
    ("ln", 2.0, 2.0),
    ("sin", 2.0, 2.0),
    ("tanh", 2.0, 2.0),
];

#[inline(always)]
fn evaluate<R: Real>(name: &str, x: R, y: R) -> R {
    match name {
        "acos_one_minus" => x.acos_one_minus(),
        "atan2" => y.atan2(x),
        "cos" => x.sin_cos().1,
        "erf" => x.erf(),
        "exp" => x.exp(),
        "exp_m1" => x.exp_m1(),
        "ln" => x.ln(),
        "sin" => x.sin_cos().0,
        "tanh" => x.tanh(),
        _ => panic!("no such function: {name}"),
    }
}

/// A function of a whole slice; y is 0 but for atan2.
struct Apply<'a, T> {
    name: &'a str,
    x: &'a [T],
    y: &'a [T],
}

impl<T: Element> Kernel for Apply<'_, T> {
    type Output = Vec<T>;
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> Vec<T> {
        let lanes = T::Lanes::<V>::LANES;
        let mut out = vec![T::default(); self.x.len().next_multiple_of(lanes)];
        let (mut x, mut y) = (self.x.to_vec(), self.y.to_vec());
        x.resize(out.len(), T::from_f64(0.5));
        y.resize(out.len(), T::from_f64(0.5));
        for i in (0..out.len()).step_by(lanes) {
            let (a, b) = (T::Lanes::<V>::load(simd, &x[i..]), T::Lanes::<V>::load(simd, &y[i..]));
            evaluate(self.name, a, b).store(&mut out[i..]);
        }
        out.truncate(self.x.len());
        out
    }
}

fn apply<T: Element>(isa: Isa, name: &str, x: &[T]) -> Vec<T> {
    isa.run(Apply { name, x, y: &vec![T::default(); x.len()] })
}

/// Distance of neighbours at `x`.
trait Ulp: Element {
    const SINGLE: bool;
    fn from_hex(text: &str) -> Self;
    fn ulp(self) -> f64;
    fn same_bits(self, other: Self) -> bool;
}

macro_rules! ulp {
    ($t:ident, $u:ident, $single:expr) => {
        impl Ulp for $t {
            const SINGLE: bool = $single;
            fn from_hex(text: &str) -> Self {
                $t::from_bits($u::from_str_radix(text, 16).unwrap())
            }
            fn ulp(self) -> f64 {
                let a = self.abs();
                f64::from($t::from_bits(a.to_bits() + 1) - a)
            }
            fn same_bits(self, other: Self) -> bool {
                self.to_bits() == other.to_bits()
            }
        }
    };
}
ulp!(f32, u32, true);
ulp!(f64, u64, false);

/// Error in units in the last place of the reference, which is `value + rest` such units.
fn error<T: Ulp>(got: T, value: T, rest: f64) -> f64 {
    let (g, v) = (got.to_f64(), value.to_f64());
    // The negation catches NaN.
    if g == v {
        rest.abs()
    } else if !(g.is_finite() && v.is_finite()) {
        f64::INFINITY
    } else if v.abs() < least_normal::<T>() {
        // Subnormal results may be flushed to 0.
        if g.abs() <= least_normal::<T>() { 0.0 } else { f64::INFINITY }
    } else {
        ((g - v) / value.ulp() - rest).abs()
    }
}

fn least_normal<T: Ulp>() -> f64 {
    if T::SINGLE { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE }
}

struct Point<T> {
    x: T,
    y: T,
    value: T,
    rest: f64,
}

fn golden<T: Ulp>() -> BTreeMap<&'static str, Vec<Point<T>>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let wanted = if T::SINGLE { "f32" } else { "f64" };
    for line in include_str!("../../tests/golden/simd.csv").lines().skip(1) {
        let cells: Vec<_> = line.split(',').collect();
        if cells[1] == wanted {
            let [x, y, value] = [2, 3, 4].map(|i| T::from_hex(cells[i]));
            found.entry(cells[0]).or_default().push(Point { x, y, value, rest: cells[5].parse().unwrap() });
        }
    }
    found
}

fn check_golden<T: Ulp>() {
    for (name, points) in golden::<T>() {
        let bound = BOUNDS.iter().find(|b| b.0 == name).map(|b| if T::SINGLE { b.2 } else { b.1 }).unwrap();
        let column = |f: fn(&Point<T>) -> T| points.iter().map(f).collect::<Vec<_>>();
        let (x, y) = (column(|p| p.x), column(|p| p.y));
        for isa in Isa::available() {
            let got = isa.run(Apply { name, x: &x, y: &y });
            let errors = got.iter().zip(&points).map(|(&g, p)| error(g, p.value, p.rest));
            let (worst, at) = errors.zip(0..).fold((0.0, 0), |a, b| if b.0 > a.0 { b } else { a });
            let p = &points[at];
            println!("{name} {:?} single {}: {worst:.3} ulp at {:?}", isa, T::SINGLE, p.x);
            assert!(
                worst <= bound,
                "{name} {isa:?}: {worst} ulp at ({:?}, {:?}): {:?} not {:?}",
                p.x,
                p.y,
                got[at],
                p.value
            );
        }
    }
}

#[test]
fn golden_values_in_double_precision() {
    check_golden::<f64>();
}

#[test]
fn golden_values_in_single_precision() {
    check_golden::<f32>();
}
