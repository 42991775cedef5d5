use super::*;
use crate::dual::Side;
use crate::dual::quadrature_rule::Rule;
use Activation::*;

const SMOOTH: [Activation; 8] = [Tanh, Sigmoid, Silu, Softplus, Mish, GeluTanh, Gelu, SigmoidLike];

fn every() -> Vec<Activation> {
    let kinked = [Elu { alpha: 1.0 }, Selu, Relu, Erf { a: 0.7, b: 1.3, c: 0.2 }, Gaussian { a: 1.0, b: -1.0 }];
    SMOOTH.into_iter().chain(kinked).collect()
}

/// A pair of variances p, q at 1 - |rho| = delta, rho of the sign of `sign`.
fn pair(p: f64, q: f64, delta: f64, sign: f64) -> Pair<f64> {
    let (sp, sq) = (p.sqrt(), q.sqrt());
    Pair { c: ((1.0 - delta) * sp * sq).copysign(sign), p, q, sp, sq, delta }
}

/// E[f(u) f(v)] by the product of two Gauss-Hermite rules.
fn plain(f: impl Fn(f64) -> f64, x: &Pair<f64>, rule: &Rule) -> f64 {
    let (rho, root) = (x.rho(), x.sin2().sqrt());
    let scale = std::f64::consts::SQRT_2;
    let mut sum = 0.0;
    for (z, w) in rule.nodes.iter().zip(&rule.weights) {
        for (y, v) in rule.nodes.iter().zip(&rule.weights) {
            sum += w * v * f(scale * x.sp * z) * f(scale * x.sq * (rho * z + root * y));
        }
    }
    sum / std::f64::consts::PI
}

#[test]
fn agrees_with_a_product_rule() {
    let rule = Rule::gauss_hermite(120).unwrap();
    for activation in SMOOTH {
        let dual = HermiteDual::new(&activation, 200).unwrap();
        for x in
            [pair(0.5, 0.5, 0.1, 1.0), pair(0.5, 1.2, 0.6, -1.0), pair(1e-4, 0.8, 0.01, -1.0), pair(1.0, 0.3, 0.0, 1.0)]
        {
            let image = DynDual::pair(&dual, x);
            let k = plain(|x| activation.phi(x).unwrap(), &x, &rule);
            let kdot = plain(|x| activation.derivative(x).unwrap(), &x, &rule);
            assert!((image.k - k).abs() < 2e-12, "{activation:?} {x:?}: k {} not {k}", image.k);
            assert!((image.kdot - kdot).abs() < 2e-11, "{activation:?} {x:?}: kdot {} not {kdot}", image.kdot);
        }
    }
}

#[test]
fn coefficients_of_relu_are_the_known_ones() {
    // a_0 = 1/sqrt(2 pi), a_1 = 1/2, a_l = (-1)^(l/2-1) sqrt(l!) / (sqrt(2 pi) l (l-1) (l-2)!!).
    let dual = HermiteDual::new(&Relu, 80).unwrap();
    // Variances of few bits, which are not rounded.
    for v in [2f64.powi(-40), 0.75, 300.0] {
        let found = dual.coefficients(v);
        let mut size = (4.0 * std::f64::consts::PI).sqrt().recip();
        assert!((found[0] / v.sqrt() - (2.0 * std::f64::consts::PI).sqrt().recip()).abs() < 1e-13);
        assert!((found[1] / v.sqrt() - 0.5).abs() < 1e-13);
        for l in (2..=80).step_by(2) {
            let x = l as f64;
            assert!((found[l] / v.sqrt() - size).abs() < 1e-13, "{l}: {} {size}", found[l] / v.sqrt());
            // a_(l+2) / a_l = -(l - 1) / sqrt((l + 1)(l + 2)).
            size *= -(x - 1.0) / ((x + 1.0) * (x + 2.0)).sqrt();
        }
    }
}

#[test]
fn kinks_reach_the_power_their_order_allows() {
    // E[phi(z)^2] by the same panels, with the bounds of the module's documentation.
    let square = |activation: &Activation| {
        let table = Table::new(4, 20.0, &[]);
        let source = Source::Given {
            phi: {
                let a = activation.clone();
                Arc::new(move |x| a.phi(x).unwrap().powi(2))
            },
            kinks: vec![],
        };
        Coefficients::new(&source, &table, 2, 1.0).mean
    };
    for (activation, bound) in [(Elu { alpha: 1.0 }, 0.04), (Selu, 0.2)] {
        let exact = square(&activation);
        for degree in [20, 60, 200] {
            let missing = exact - HermiteDual::new(&activation, degree).unwrap().variance(1.0);
            let order = if activation == Selu { -1.5 } else { -2.5 };
            assert!(
                missing > 0.0 && missing < bound * (degree as f64).powf(order),
                "{activation:?} {degree}: {missing:e}"
            );
        }
    }
}

#[test]
fn kdot_is_the_derivative_of_k() {
    for activation in every() {
        let dual = HermiteDual::new(&activation, 24).unwrap();
        for (p, q, rho) in [(0.5, 0.5, 0.3), (1.1, 0.2, -0.7), (2.0, 3.0, 0.9)] {
            let at = |rho: f64| DynDual::pair(&dual, pair(p, q, 1.0 - rho.abs(), rho));
            let h = 1e-5;
            let slope = (at(rho + h).k - at(rho - h).k) / (2.0 * h * (p * q).sqrt());
            let kdot = at(rho).kdot;
            assert!((slope - kdot).abs() < 1e-8 * (1.0 + kdot.abs()), "{activation:?}: {kdot} {slope}");
        }
    }
}

#[test]
fn distance_from_one_keeps_its_digits() {
    for activation in every() {
        let dual = HermiteDual::new(&activation, 40).unwrap();
        for (p, q) in [(0.5, 0.5), (0.5, 0.5 * (1.0 + 1e-9)), (0.5, 0.5 * (1.0 + 1e-5)), (0.4, 1.4)] {
            for delta in [0.0, 1e-14, 1e-9, 1e-3, 0.4] {
                for sign in [1.0, -1.0] {
                    let x = pair(p, q, delta, sign);
                    let image = DynDual::pair(&dual, x);
                    let (a, b) = (dual.coefficients(p), dual.coefficients(q));
                    let exact = distance(&a, &b, delta, sign);
                    let error = (image.delta - exact).abs();
                    assert!(error <= 1e-6 * exact + 1e-19, "{activation:?} {x:?}: {:e} not {exact:e}", image.delta);
                }
            }
        }
        let same = DynDual::pair(&dual, pair(0.9, 0.9, 0.0, 1.0));
        assert_eq!(same.delta, 0.0, "{activation:?}: duplicates stay duplicates");
    }
}

/// 1 - |k| / norms as half the squared distance of the normalised vectors a_l and b_l rho^l, completed by the defect of
/// |b_l rho^l|: every summand is positive.
fn distance(a: &[f64], b: &[f64], delta: f64, sign: f64) -> f64 {
    let norm = |a: &[f64]| a.iter().map(|x| x * x).sum::<f64>().sqrt();
    let (na, nb) = (norm(a), norm(b));
    let signed = |l: usize| if l % 2 == 1 { sign } else { 1.0 };
    let k: f64 = a.iter().zip(b).enumerate().map(|(l, (a, b))| a * b * signed(l) * (1.0 - delta).powi(l as i32)).sum();
    let turn = 1f64.copysign(k);
    let mut sum = 0.0;
    for (l, (a, b)) in a.iter().zip(b).enumerate() {
        let lost = -(l as f64 * (-delta).ln_1p()).exp_m1();
        let gap = a / na - turn * signed(l) * b / nb;
        sum += 0.5 * gap * gap + a * b * turn * signed(l) * lost / (na * nb);
    }
    sum
}

struct Samples<T> {
    p: Vec<T>,
    sp: Vec<T>,
    out_sp: Vec<T>,
    constants: Vec<T>,
}

impl<T: Element> Samples<T> {
    fn new(dual: &HermiteDual, p: &[f64]) -> Self {
        let of = |x: &[f64]| x.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
        let found = dual.samples(p);
        let root = |x: &[f64]| x.iter().map(|x| x.sqrt()).collect::<Vec<_>>();
        Self { p: of(p), sp: of(&root(p)), out_sp: of(&root(&found.variances)), constants: of(&found.constants) }
    }
    fn side(&self) -> Side<'_, T> {
        Side { p: &self.p, sp: &self.sp, out_sp: &self.out_sp, constants: &self.constants }
    }
}

/// k, delta and kdot of all pairs.
fn apply<T: Element>(
    dual: &HermiteDual,
    isa: Isa,
    rows: &[f64],
    cols: &[f64],
    rho: impl Fn(usize, usize) -> f64,
) -> [Vec<T>; 3] {
    let mut out = [vec![], vec![], vec![]];
    for (i, p) in rows.iter().enumerate() {
        for (j, q) in cols.iter().enumerate() {
            out[0].push(T::from_f64(rho(i, j) * p.sqrt() * q.sqrt()));
            out[1].push(T::from_f64(if p * q == 0.0 { 1.0 } else { 1.0 - rho(i, j).abs() }));
            out[2].push(T::from_f64(1.0));
        }
    }
    let (row, col) = (Samples::<T>::new(dual, rows), Samples::<T>::new(dual, cols));
    let [c, delta, t] = &mut out;
    dual.run(isa, TileMut { c, delta, t, rows: row.side(), cols: col.side() });
    out
}

fn mixed(i: usize, j: usize) -> f64 {
    (1.7 * i as f64 + 0.9 * j as f64).sin()
}

#[test]
fn equal_norms_give_the_bits_of_any_norms() {
    fn check<T: Element>() {
        for activation in every() {
            let dual = HermiteDual::new(&activation, 13).unwrap();
            for isa in Isa::available() {
                let equal: Vec<f64> = (0..80).map(|i| 0.9 * (1.0 + f64::from(i % 3) * 2e-16)).collect();
                let fast = apply::<T>(&dual, isa, &equal[..7], &equal, mixed);
                let mut rows = equal[..7].to_vec();
                rows[3] = 2.0;
                let general = apply::<T>(&dual, isa, &rows, &equal, mixed);
                let mut cols = equal.clone();
                cols[50] = 0.1;
                let partly = apply::<T>(&dual, isa, &equal[..7], &cols, mixed);
                let alone = apply::<T>(&dual, isa, &equal[..1], &equal[..16], mixed);
                for ((fast, general), (partly, alone)) in fast.iter().zip(&general).zip(partly.iter().zip(&alone)) {
                    for at in 0..7 * 80 {
                        assert!(at / 80 == 3 || fast[at] == general[at], "{activation:?} {isa:?} {at}");
                        assert!(at % 80 == 50 || fast[at] == partly[at], "{activation:?} {isa:?} {at}");
                    }
                    assert_eq!(&fast[..16], &alone[..]);
                }
            }
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn tiles_agree_with_single_pairs_on_every_instruction_set() {
    fn check<T: Element>(tolerance: f64) {
        let rows = [0.0, 1e-8, 0.3, 0.9, 2.5];
        let cols: Vec<f64> = (0..16).map(|j| if j == 5 { 0.0 } else { 0.15 * f64::from(j) + 1e-3 }).collect();
        for activation in every() {
            let dual = HermiteDual::new(&activation, 15).unwrap();
            let rho = |i: usize, j: usize| if rows[i] * cols[j] == 0.0 { 0.0 } else { mixed(i, j) };
            for isa in Isa::available() {
                let [k, delta, kdot] = apply::<T>(&dual, isa, &rows, &cols, rho);
                for (i, &p) in rows.iter().enumerate() {
                    for (j, &q) in cols.iter().enumerate() {
                        let mut x = pair(p, q, 1.0 - rho(i, j).abs(), rho(i, j));
                        x.delta = if p * q == 0.0 { 1.0 } else { x.delta };
                        let image = DynDual::pair(&dual, x);
                        let scale = (dual.variance(p) * dual.variance(q)).sqrt();
                        let at = i * cols.len() + j;
                        let near = |a: T, b: f64, scale: f64| (a.to_f64() - b).abs() <= tolerance * scale;
                        assert!(
                            near(k[at], image.k, scale),
                            "{activation:?} {isa:?} k {i} {j}: {:?} {}",
                            k[at],
                            image.k
                        );
                        assert!(near(kdot[at], image.kdot, 2.0), "{activation:?} {isa:?} kdot {i} {j}");
                        assert!(
                            near(delta[at], image.delta, 4.0),
                            "{activation:?} {isa:?} delta {i} {j}: {:?} {}",
                            delta[at],
                            image.delta
                        );
                    }
                }
            }
        }
    }
    check::<f64>(2e-14);
    check::<f32>(3e-6);
}

#[test]
fn grams_are_positive_semidefinite() {
    // Points on a circle and their multiples: many nearly parallel.
    let n = 24;
    let norm: Vec<f64> = (0..n).map(|i| 0.1 + 0.3 * f64::from(i % 7)).collect();
    for activation in every() {
        let dual = HermiteDual::new(&activation, 12).unwrap();
        let cols = &norm[..];
        let [k, ..] = apply::<f64>(&dual, Isa::Portable, cols, cols, |i, j| (0.05 * (i as f64 - j as f64)).cos());
        let n = n as usize;
        let mut a = k.clone();
        let jitter = 1e-13 * (0..n).map(|i| k[i * n + i]).sum::<f64>();
        for i in 0..n {
            a[i * n + i] += jitter;
            for j in 0..=i {
                let sum: f64 = (0..j).map(|l| a[i * n + l] * a[j * n + l]).sum();
                let rest = a[i * n + j] - sum;
                assert!(i != j || rest > 0.0, "{activation:?}: pivot {i} is {rest:e}");
                a[i * n + j] = if i == j { rest.sqrt() } else { rest / a[j * n + j] };
            }
        }
    }
}

#[test]
fn vanishing_variance_has_its_limit() {
    for activation in every() {
        let dual = HermiteDual::new(&activation, 21).unwrap();
        let (value, slope) = (activation.phi(0.0).unwrap(), activation.derivative(0.0).unwrap());
        let image = DynDual::pair(&dual, Pair { c: 0.0, p: 0.0, q: 0.0, sp: 0.0, sq: 0.0, delta: 1.0 });
        assert!(
            (image.k - value * value).abs() < 1e-15 && (image.kdot - slope * slope).abs() < 1e-15,
            "{activation:?}"
        );
        assert!((0.0..=1.0).contains(&image.delta));
        let image = DynDual::pair(&dual, Pair { c: 0.0, p: 0.0, q: 1.0, sp: 0.0, sq: 1.0, delta: 1.0 });
        let near = DynDual::pair(&dual, pair(1e-20, 1.0, 1.0, 1.0));
        assert!((image.k - near.k).abs() < 1e-9 && (image.kdot - near.kdot).abs() < 1e-9, "{activation:?}");
    }
}

#[test]
fn a_function_serves_as_well_as_its_name() {
    let named = HermiteDual::new(&Elu { alpha: 1.0 }, 30).unwrap();
    let given = HermiteDual::from_phi(|x| if x > 0.0 { x } else { x.exp_m1() }, &[0.0], 30).unwrap();
    let x = pair(0.8, 1.9, 0.2, -1.0);
    let (a, b) = (DynDual::pair(&named, x), DynDual::pair(&given, x));
    assert!((a.k - b.k).abs() < 1e-12 && (a.kdot - b.kdot).abs() < 1e-12 && (a.delta - b.delta).abs() < 1e-12);
}

#[test]
fn kinks_away_from_zero_are_split() {
    // phi = max(x - 1, 0): a_0(1) = density(1) - (1 - Phi(1)).
    let dual = HermiteDual::from_phi(|x| (x - 1.0).max(0.0), &[1.0], 10).unwrap();
    assert!((dual.coefficients(1.0)[0] - 0.083_315_470_587_686_3).abs() < 1e-14);
    assert!((dual.coefficients(1.0)[1] - 0.158_655_253_931_457_05).abs() < 1e-13);
}

#[test]
fn refuses_what_has_no_expansion() {
    assert!(HermiteDual::new(&Sign, 10).is_err());
    assert!(HermiteDual::new(&RectifiedMonomial { degree: 0 }, 10).is_err());
    assert!(HermiteDual::new(&Activation::Hermite { degree: 2 }, 10).is_err());
    assert!(HermiteDual::new(&Tanh, MAX_DEGREE + 1).is_err());
    assert!(HermiteDual::from_phi(f64::signum, &[], 10).is_err());
    assert!(HermiteDual::from_phi(|x| x, &[f64::NAN], 10).is_err());
    assert!(HermiteDual::from_phi(|_| f64::NAN, &[], 10).is_err());
}

#[test]
fn low_degrees_are_what_they_say() {
    for activation in every() {
        for degree in 0..5 {
            let dual = HermiteDual::new(&activation, degree).unwrap();
            let coefficients = dual.coefficients(0.7);
            assert_eq!(coefficients.len(), degree + 1);
            let x = pair(0.7, 0.7, 0.5, 1.0);
            let plain: f64 = coefficients.iter().enumerate().map(|(l, a)| a * a * 0.5f64.powi(l as i32)).sum();
            assert!((DynDual::pair(&dual, x).k - plain).abs() < 1e-15, "{activation:?} {degree}");
        }
    }
}
