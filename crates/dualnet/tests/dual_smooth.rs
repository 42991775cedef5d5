//! The smooth closed-form duals against 60-digit values, and their invariants.
#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(clippy::neg_cmp_op_on_partial_ord)] // A NaN must fail, too.

mod smooth;

use dualnet::dual::exp::Exp;
use dualnet::dual::gaussian::Gaussian;
use dualnet::dual::polynomial::Polynomial;
use dualnet::dual::sin::Sin;
use dualnet::dual::{DynDual, Pair, Side, TileMut};
use dualnet::simd::{Element, Isa};
use proptest::prelude::*;
use smooth::{duals, golden};

/// A pair with rho = +-(1 - delta).
fn pair(p: f64, q: f64, sign: f64, delta: f64) -> Pair<f64> {
    let (sp, sq) = (p.sqrt(), q.sqrt());
    let delta = if p * q == 0.0 { 1.0 } else { delta };
    Pair { c: sign * sp * sq * (1.0 - delta), p, q, sp, sq, delta }
}

/// The dual of (u, u), its scale of errors.
fn diagonal(dual: &dyn DynDual, p: f64) -> (f64, f64) {
    let image = dual.pair(pair(p, p, 1.0, 0.0));
    (image.k, image.kdot)
}

/// A pair of given covariance and variances; p q - c^2 by fused multiply-add (Kahan).
fn from_triple(c: f64, p: f64, q: f64) -> Pair<f64> {
    let (sp, sq) = (p.sqrt(), q.sqrt());
    let r = sp * sq;
    let square = c * c;
    let det = p.mul_add(q, -square) - c.mul_add(c, -square);
    let delta = if r > 0.0 { (det / (r * (r + c.abs()))).clamp(0.0, 1.0) } else { 1.0 };
    Pair { c, p, q, sp, sq, delta }
}

/// |got - expected| over max(|expected|, scale), 0 below the absolute floor; an expected infinity is met or missed.
fn error(got: f64, expected: f64, scale: f64) -> f64 {
    if got == expected || (got - expected).abs() < 1e-30 {
        return 0.0;
    }
    let scale = if scale.is_finite() { scale } else { 0.0 };
    let error = (got - expected).abs() / expected.abs().max(scale);
    if error.is_nan() { f64::INFINITY } else { error }
}

#[test]
fn agree_with_sixty_digits() {
    let triples = golden("dual.npz", "c11_c22_c12");
    for (name, dual) in duals() {
        let expected = golden("dual.npz", &format!("dual.{name}"));
        let (mut worst, mut at) = ([0.0f64; 2], [0; 2]);
        for (i, (t, e)) in triples.chunks(3).zip(expected.chunks(2)).enumerate() {
            let image = dual.pair(from_triple(t[2], t[0], t[1]));
            let (pp, qq) = (diagonal(&*dual, t[0]), diagonal(&*dual, t[1]));
            let errors =
                [error(image.k, e[0], pp.0.sqrt() * qq.0.sqrt()), error(image.kdot, e[1], pp.1.sqrt() * qq.1.sqrt())];
            for j in 0..2 {
                if errors[j] > worst[j] {
                    (worst[j], at[j]) = (errors[j], i);
                }
            }
        }
        println!("{name}: k {:.1e}, kdot {:.1e}", worst[0], worst[1]);
        for j in 0..2 {
            let t = &triples[3 * at[j]..3 * at[j] + 3];
            assert!(worst[j] < 1e-10, "{name} column {j} at {t:?}: {} off", worst[j]);
        }
    }
}

#[test]
fn monomials_of_high_degree_follow_the_sum() {
    // k = sum_j (n! / (j! 2^j))^2 / (n - 2j)! (pq)^j c^(n-2j), by the ratio of neighbouring terms.
    for n in [9u32, 10, 30] {
        let x = from_triple(-0.3, 0.8, 0.5);
        let (mut term, mut sum) = ((1..=n).map(f64::from).product::<f64>() * x.c.powi(n as i32), 0.0);
        for j in 0..=n / 2 {
            sum += term;
            let (left, next) = (f64::from(n - 2 * j), f64::from(j + 1));
            term *= left * (left - 1.0) / (4.0 * next * next) * x.p * x.q / (x.c * x.c);
        }
        let dual = Polynomial::monomial(n);
        let got = DynDual::pair(&dual, x).k;
        assert!((got / sum - 1.0).abs() < 1e-11, "degree {n}: {got} is not {sum}");
    }
}

/// k and kdot by the textbook sum over c^l / l! R_l(p) R_l(q), R_l(v) = sum_j a_(l+2j) (l+2j)! / (j! 2^j) v^j.
fn plain_polynomial(a: &[f64], x: Pair<f64>) -> (f64, f64) {
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    let (mut k, mut kdot) = (0.0, 0.0);
    for l in 0..a.len() {
        let r = |v: f64| -> f64 {
            (l..a.len())
                .step_by(2)
                .enumerate()
                .map(|(j, i)| a[i] * factorial(i) / factorial(j) / 2f64.powi(j as i32) * v.powi(j as i32))
                .sum()
        };
        let weight = r(x.p) * r(x.q) / factorial(l);
        k += weight * x.c.powi(l as i32);
        if l > 0 {
            kdot += weight * l as f64 * x.c.powi(l as i32 - 1);
        }
    }
    (k, kdot)
}

#[test]
fn what_is_homogeneous_says_so() {
    for (name, dual) in duals() {
        let x = pair(0.7, 1.9, -1.0, 0.4);
        let scaled = pair(4.0 * x.p, 4.0 * x.q, -1.0, 0.4);
        let (k, other) = (dual.pair(x).k, dual.pair(scaled).k);
        let found = (0..8).find(|n| (other / k / 4f64.powi(*n) - 1.0).abs() < 1e-12);
        assert_eq!(found.map(|n| n as u32), dual.homogeneity(), "{name}");
    }
}

#[test]
fn one_minus_rho_keeps_its_digits_near_equality() {
    // To first order 1 - rho' = delta p kdot / k at equal variances; |rho'| is the same at -rho if k is even or odd.
    let delta = 1e-13;
    for (name, dual) in duals().into_iter().filter(|(name, _)| name != "gabor") {
        for p in [0.01, 1.0, 7.0] {
            let (k, kdot) = diagonal(&*dual, p);
            let expected = delta * p * kdot / k;
            let tolerance = 1e-11 * (expected + delta);
            let near = dual.pair(pair(p, p, 1.0, delta)).delta;
            assert!((near - expected).abs() < tolerance, "{name} at {p}: {near} is not {expected}");
            assert_eq!(dual.pair(pair(p, p, 1.0, 0.0)).delta, 0.0, "{name} at {p}");
            if ["sin", "cos", "gaussian", "monomial_2", "monomial_5", "hermite_3"].contains(&name.as_str()) {
                let far = dual.pair(pair(p, p, -1.0, delta)).delta;
                assert!((far - expected).abs() < tolerance, "{name} at {p}, -rho: {far} is not {expected}");
            }
        }
    }
}

#[test]
fn hostile_pairs_stay_finite() {
    let variances = [0.0f64, 1e-60, 1e-12, 1.0, 1e6, 1e12];
    let degenerate: [(&str, Box<dyn DynDual>); 9] = [
        ("no polynomial", Box::new(Polynomial::new(&[]))),
        ("zero polynomial", Box::new(Polynomial::new(&[0.0, 0.0]))),
        ("odd polynomial", Box::new(Polynomial::new(&[0.0, 1.0, 0.0, -0.2]))),
        ("even polynomial", Box::new(Polynomial::new(&[1.0, 0.0, -0.5]))),
        ("zero sine", Box::new(Sin::new(0.0, 1.0, 0.3))),
        ("sine of zero", Box::new(Sin::new(1.0, 0.0, 0.0))),
        ("zero bump", Box::new(Gaussian::new(0.0, -1.0))),
        ("constant", Box::new(Gaussian::new(1.0, 0.0))),
        ("zero exponential", Box::new(Exp::new(0.0, 3.0))),
    ];
    let degenerate = degenerate.into_iter().map(|(name, dual)| (name.to_string(), dual));
    for (name, dual) in duals().into_iter().chain(degenerate) {
        for (p, q) in variances.iter().flat_map(|p| variances.map(|q| (*p, q))) {
            if name.starts_with("exp_0") && p.max(q) > 1.0 {
                continue;
            }
            for (sign, delta) in [(1.0, 0.0), (-1.0, 0.0), (1.0, 1e-300), (-1.0, 1e-16), (1.0, 1.0), (-1.0, 0.5)] {
                let image = dual.pair(pair(p, q, sign, delta));
                let shown = format!("{name} at {p}, {q}, {sign}, {delta}: {image:?}");
                assert!(image.k.is_finite() && image.kdot.is_finite(), "{shown}");
                assert!((0.0..=1.0).contains(&image.delta), "{shown}");
                let bound = dual.variance(p).sqrt() * dual.variance(q).sqrt();
                assert!(image.k.abs() <= bound * (1.0 + 1e-9) + 1e-300, "{shown} > {bound}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn symmetric_consistent_and_differentiable(
        p in 0.01f64..8.0, q in 0.01f64..8.0, delta in 0.01f64..0.99, negative in any::<bool>(),
    ) {
        let sign = if negative { -1.0 } else { 1.0 };
        let x = pair(p, q, sign, delta);
        for (name, dual) in duals() {
            let (image, swapped) = (dual.pair(x), dual.pair(pair(q, p, sign, delta)));
            let (pp, qq) = (diagonal(&*dual, p), diagonal(&*dual, q));
            let (k_scale, slope_scale) = ((pp.0 * qq.0).sqrt(), (pp.1 * qq.1).sqrt());
            prop_assert!((image.k - swapped.k).abs() <= 1e-14 * k_scale, "{} k", name);
            prop_assert!((image.kdot - swapped.kdot).abs() <= 1e-14 * slope_scale, "{} kdot", name);
            prop_assert!((image.delta - swapped.delta).abs() <= 1e-14, "{} delta", name);
            prop_assert!((pp.0 / dual.variance(p) - 1.0).abs() < 1e-13, "{} diagonal", name);
            let from_k = 1.0 - image.k.abs() / k_scale;
            prop_assert!((image.delta - from_k).abs() < 1e-13, "{} delta {} is not {}", name, image.delta, from_k);
            let step = 1e-4;
            let slope = (dual.pair(pair(p, q, sign, delta - step)).k - dual.pair(pair(p, q, sign, delta + step)).k)
                / (2.0 * step * x.sp * x.sq) * sign;
            let tolerance = 1e-5 * (slope_scale + k_scale / (x.sp * x.sq));
            prop_assert!((image.kdot - slope).abs() < tolerance, "{} kdot {} is not {}", name, image.kdot, slope);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn polynomials_follow_the_sum(
        mut a in prop::collection::vec(-2.0f64..2.0, 0..9),
        keep in prop::sample::select(vec![0b1, 0b10, 0b11, 0b111]),
        p in 0.0f64..5.0, q in 0.0f64..5.0, delta in 0.0f64..=1.0, negative in any::<bool>(),
    ) {
        // Even, odd, mixed, and mixed with gaps.
        let period = if keep == 0b111 { 4 } else { 2 };
        a.iter_mut().enumerate().filter(|(i, _)| keep >> (i % period) & 1 == 0).for_each(|(_, a)| *a = 0.0);
        let x = pair(p, q, if negative { -1.0 } else { 1.0 }, delta);
        let image = DynDual::pair(&Polynomial::new(&a), x);
        let (k, kdot) = plain_polynomial(&a, x);
        let scale = |s: f64| a.iter().enumerate().map(|(i, a)| (a * 3f64.powi(i as i32)).abs() * (1.0 + s).powi(i as i32)).sum::<f64>();
        let tolerance = 1e-12 * scale(x.sp) * scale(x.sq);
        prop_assert!((image.k - k).abs() <= tolerance, "{} is not {}", image.k, k);
        prop_assert!((image.kdot - kdot).abs() <= 10.0 * tolerance, "{} is not {}", image.kdot, kdot);
    }
}

/// Pairs of 5 rows with 16 columns, every rho among them.
fn tile_pairs(largest: f64) -> Vec<Pair<f64>> {
    let rows = [0.0, 1e-6, 0.3, 1.0, largest];
    let deltas = [0.0, 1e-7, 0.01, 0.3, 0.5, 0.9, 1.0, 1e-3];
    let mut all = Vec::new();
    for (i, p) in rows.iter().enumerate() {
        for j in 0..16 {
            let sign = if (i + j) % 3 == 0 { -1.0 } else { 1.0 };
            all.push(pair(*p, rows[j % 5] * 1.5, sign, f64::from(deltas[(3 * i + j) % 8] as f32)));
        }
    }
    all
}

/// The samples along one side of a tile: variances, deviations before and after, constants.
fn side<T: Element>(dual: &dyn DynDual, variances: &[f64]) -> [Vec<T>; 4] {
    let (n, m) = (variances.len(), dual.constants_len());
    let mut constants = vec![T::default(); n * m];
    let mut of_one = vec![0.0; m];
    for (j, p) in variances.iter().enumerate() {
        dual.constants(*p, &mut of_one);
        of_one.iter().enumerate().for_each(|(i, x)| constants[i * n + j] = T::from_f64(*x));
    }
    let each = |f: &dyn Fn(f64) -> f64| variances.iter().map(|p| T::from_f64(f(*p))).collect();
    [each(&|p| p), each(&f64::sqrt), each(&|p| dual.variance(p).sqrt()), constants]
}

fn view<T>([p, sp, out_sp, constants]: &[Vec<T>; 4]) -> Side<'_, T> {
    Side { p, sp, out_sp, constants }
}

/// (k, 1 - |rho|, kdot) of a tile with 16 columns.
fn run<T: Element>(
    dual: &dyn DynDual,
    pairs: &[Pair<f64>],
    apply: impl Fn(&dyn DynDual, TileMut<'_, T>),
) -> [Vec<f64>; 3] {
    let rows = side(dual, &pairs.iter().step_by(16).map(|x| x.p).collect::<Vec<_>>());
    let cols = side(dual, &pairs[..16].iter().map(|x| x.q).collect::<Vec<_>>());
    let mut c: Vec<T> = pairs.iter().map(|x| T::from_f64(x.c)).collect();
    let mut delta: Vec<T> = pairs.iter().map(|x| T::from_f64(x.delta)).collect();
    let mut t = vec![T::from_f64(1.0); pairs.len()];
    apply(dual, TileMut { c: &mut c, delta: &mut delta, t: &mut t, rows: view(&rows), cols: view(&cols) });
    [c, delta, t].map(|x| x.into_iter().map(T::to_f64).collect())
}

#[test]
fn tiles_agree_with_single_pairs_on_every_instruction_set() {
    for (name, dual) in duals() {
        for largest in [6.0, 1e6] {
            if name.starts_with("exp_0") && largest > 100.0 {
                continue;
            }
            let pairs = tile_pairs(largest);
            for isa in Isa::available() {
                let double = run(&*dual, &pairs, |dual, tile| dual.tile_f64(isa, tile));
                let float = run(&*dual, &pairs, |dual, tile| dual.tile_f32(isa, tile));
                for (i, x) in pairs.iter().enumerate() {
                    let image = dual.pair(*x);
                    let (pp, qq) = (diagonal(&*dual, x.p), diagonal(&*dual, x.q));
                    let expected = [image.k, image.delta, image.kdot];
                    let scales = [(pp.0 * qq.0).sqrt(), 1.0, (pp.1 * qq.1).sqrt()];
                    for j in 0..3 {
                        let off = error(double[j][i], expected[j], scales[j]);
                        assert!(
                            off < 1e-12,
                            "{name} {isa:?} output {j} at {x:?}: {} is not {}",
                            double[j][i],
                            expected[j]
                        );
                        let value = float[j][i];
                        let off = error(value, expected[j], scales[j].max(1e-9));
                        assert!(value.is_finite(), "{name} {isa:?} f32 output {j} at {x:?}: {value}");
                        assert!(off < 1e-6, "{name} {isa:?} f32 output {j} at {x:?}: {value} is not {}", expected[j]);
                    }
                }
            }
        }
    }
}
