//! Accuracy of the vector functions against values of 60 digits, on every instruction set of this machine.

use super::{Element, Isa, Kernel, Lanes, Real, Vector};
use std::collections::BTreeMap;

/// Largest error allowed in double and in single precision, in units in the last place, on every instruction set:
/// a little above the worst that was seen among 9 000 to 14 000 random points a function and precision (250 000 for
/// atan2) of the kind that the golden file holds fewer of, and in the sweep below. Measured, not proven.
const BOUNDS: [(&str, f64, f64); 9] = [
    ("acos_one_minus", 1.25, 1.5),
    ("atan2", 1.75, 1.5),
    ("cos", 0.85, 1.5),
    ("erf", 1.25, 1.2),
    ("exp", 1.0, 1.0),
    ("exp_m1", 1.3, 1.35),
    ("ln", 0.85, 0.85),
    ("sin", 0.85, 1.5),
    ("tanh", 1.3, 1.4),
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
    if g == v {
        rest.abs()
    } else if !(g.is_finite() && v.is_finite()) {
        f64::INFINITY
    } else {
        ((g - v) / value.ulp() - rest).abs()
    }
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

/// What double precision says of a single-precision result: the standard library's functions, and for erf this
/// module's own, which the golden values cover.
fn in_double(name: &str, x: f64) -> f64 {
    match name {
        // 1 - x would round where x is small.
        "acos_one_minus" => 2.0 * (x / 2.0).sqrt().asin(),
        _ => evaluate(name, x, 0.0),
    }
}

#[test]
fn single_precision_over_its_whole_range() {
    // Every 9973rd number of the format: about 430 000, in all binades.
    let all: Vec<f32> = (0..u32::MAX / 9973).map(|i| f32::from_bits(i * 9973)).filter(|x| x.is_finite()).collect();
    for (name, _, bound) in BOUNDS {
        let x: Vec<f32> = match name {
            "acos_one_minus" => all.iter().copied().filter(|x| (0.0..=1.0).contains(x)).collect(),
            "ln" => all.iter().copied().filter(|&x| x > 0.0).collect(),
            "atan2" => continue,
            _ => all.clone(),
        };
        for isa in Isa::available() {
            let (mut worst, mut at) = (0.0, 0.0);
            for (&x, got) in x.iter().zip(apply(isa, name, &x)) {
                let exact = in_double(name, f64::from(x));
                let value = exact as f32;
                let rest = if value.is_finite() { (exact - f64::from(value)) / value.ulp() } else { 0.0 };
                let error = error(got, value, rest);
                if error > worst {
                    (worst, at) = (error, x);
                }
            }
            println!("{name} {isa:?} f32 sweep: {worst:.3} ulp at {at:?}");
            assert!(worst <= bound, "{name} {isa:?}: {worst} ulp at {at:?}");
        }
    }
}

#[test]
fn angles_in_single_precision_on_a_grid() {
    let side: Vec<f32> = (-150..=150).map(|i| (i as f32 * 0.07).sinh()).collect();
    let x: Vec<f32> = side.iter().flat_map(|&x| side.iter().map(move |_| x)).collect();
    let y: Vec<f32> = side.iter().flat_map(|_| side.iter().copied()).collect();
    for isa in Isa::available() {
        let got = isa.run(Apply { name: "atan2", x: &x, y: &y });
        for ((&x, &y), got) in x.iter().zip(&y).zip(got) {
            let exact = f64::from(y).atan2(f64::from(x));
            let value = exact as f32;
            let error = error(got, value, (exact - f64::from(value)) / value.ulp());
            assert!(error <= 1.5, "{isa:?}: angle of ({x}, {y}): {got}, {error} ulp");
        }
    }
}

/// Exact results: `(function, x, y, value)`.
const EXACT: [(&str, f64, f64, f64); 36] = {
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};
    const INF: f64 = f64::INFINITY;
    [
        ("exp", 0.0, 0.0, 1.0),
        ("exp", INF, 0.0, INF),
        ("exp", -INF, 0.0, 0.0),
        ("exp", 1e4, 0.0, INF),
        ("exp", -1e4, 0.0, 0.0),
        ("exp_m1", 0.0, 0.0, 0.0),
        ("exp_m1", INF, 0.0, INF),
        ("exp_m1", -INF, 0.0, -1.0),
        ("exp_m1", -1e4, 0.0, -1.0),
        ("ln", 1.0, 0.0, 0.0),
        ("ln", 0.0, 0.0, -INF),
        ("ln", INF, 0.0, INF),
        ("sin", 0.0, 0.0, 0.0),
        ("cos", 0.0, 0.0, 1.0),
        ("tanh", 0.0, 0.0, 0.0),
        ("tanh", -0.0, 0.0, -0.0),
        ("tanh", INF, 0.0, 1.0),
        ("tanh", -INF, 0.0, -1.0),
        ("erf", -0.0, 0.0, -0.0),
        ("erf", 6.0, 0.0, 1.0),
        ("erf", -6.0, 0.0, -1.0),
        ("erf", INF, 0.0, 1.0),
        ("erf", -INF, 0.0, -1.0),
        ("acos_one_minus", 0.0, 0.0, 0.0),
        ("acos_one_minus", 1.0, 0.0, FRAC_PI_2),
        ("atan2", 0.0, 0.0, 0.0),
        ("atan2", 0.0, -0.0, -0.0),
        ("atan2", -0.0, 0.0, PI),
        ("atan2", -0.0, -0.0, -PI),
        ("atan2", 0.0, 3.0, FRAC_PI_2),
        ("atan2", 0.0, -3.0, -FRAC_PI_2),
        ("atan2", -3.0, 0.0, PI),
        ("atan2", 1.0, 1.0, FRAC_PI_4),
        ("atan2", INF, INF, FRAC_PI_4),
        ("atan2", INF, 1.0, 0.0),
        ("atan2", -INF, -1.0, -PI),
    ]
};

fn check_ends<T: Ulp>() {
    for isa in Isa::available() {
        for (name, x, y, value) in EXACT {
            let got = isa.run(Apply { name, x: &[T::from_f64(x)], y: &[T::from_f64(y)] })[0];
            assert!(got.same_bits(T::from_f64(value)), "{name} {isa:?} at ({x}, {y}): {got:?}, not {value}");
        }
        let nan = T::from_f64(f64::NAN);
        for (name, _, _) in BOUNDS {
            let got = apply(isa, name, &[nan])[0].to_f64();
            assert!(got.is_nan(), "{name} {isa:?} of NaN: {got}");
        }
        let angle = isa.run(Apply { name: "atan2", x: &[T::from_f64(1.0)], y: &[nan] })[0].to_f64();
        assert!(angle.is_nan(), "atan2 {isa:?} of NaN over 1: {angle}");
        assert!(apply(isa, "ln", &[T::from_f64(-1.0)])[0].to_f64().is_nan());
        assert!(apply(isa, "sin", &[T::from_f64(f64::INFINITY)])[0].to_f64().is_nan());
        assert!(apply(isa, "cos", &[T::from_f64(f64::NEG_INFINITY)])[0].to_f64().is_nan());
    }
}

#[test]
fn ends_of_domains() {
    check_ends::<f64>();
    check_ends::<f32>();
}

fn check_lanes<T: Ulp>() {
    // Neighbours that take every special way, the huge argument of sine among them.
    let others = [1e30, f64::NAN, -0.3, f64::INFINITY, 0.0, 2e6, 5.0].map(T::from_f64);
    for isa in Isa::available() {
        for (name, _, _) in BOUNDS {
            // Enough of them for two ways of computing the same function to differ somewhere.
            for x in (-20..60).map(|i| 0.3712 * f64::from(i)) {
                let alone = apply(isa, name, &[T::from_f64(x); 16]);
                for at in 0..16 {
                    let mut mixed: Vec<T> = others.iter().copied().cycle().take(16).collect();
                    mixed[at] = T::from_f64(x);
                    let got = apply(isa, name, &mixed)[at];
                    let same = got.same_bits(alone[0]) || (got.to_f64().is_nan() && alone[0].to_f64().is_nan());
                    assert!(same, "{name} {isa:?} of {x} in lane {at}: {got:?}, alone {:?}", alone[0]);
                }
            }
        }
    }
}

#[test]
fn no_lane_depends_on_its_place_or_neighbours() {
    check_lanes::<f64>();
    check_lanes::<f32>();
}
