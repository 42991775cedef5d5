//! What every dual activation must satisfy.

use crate::dual::{DynDual, Image, Pair, Side, TileMut};
use crate::simd::{Element, Isa};

/// Moderate variances, where all is compared.
const VARIANCES: [f64; 5] = [0.04, 0.3, 1.0, 1.7, 2.5];
/// Variances at the ends.
const HOSTILE: [f64; 5] = [0.0, 1e-30, 1e-12, 1.0, 1e30];
/// 1 - |rho|.
const DELTAS: [f64; 7] = [0.0, 1e-300, 1e-16, 1e-5, 0.1, 0.5, 1.0];

/// Checks a dual on a grid of pairs:
///
/// - k and kdot symmetric in the two samples; |k| <= sqrt(k(p,p,p) k(q,q,q)); k(p,p,p) the variance map;
/// - kdot the derivative of k, except for duals homogeneous of degree 0, whose kdot may be 0 by convention;
/// - the new 1 - |rho| in \[0, 1\] and in accord with k;
/// - homogeneity of the degree stated;
/// - no NaN and no infinity for variances from 0 to 1e30 and |rho| up to 1, where the variance map is finite;
/// - tiles of `f32` within 3e-5 and tiles of `f64` within 1e-11 of single pairs, on every instruction set of the machine.
///
/// Errors are counted against sqrt(k(p,p,p) k(q,q,q)), which a correlation of 1 would give. Cost: milliseconds.
///
/// ```
/// use dualnet::conformance::dual::check;
/// use dualnet::dual::abrelu::AbRelu;
/// assert_eq!(check(&AbRelu::relu()), Ok(()));
/// ```
///
/// # Errors
/// The first property found violated, with the pair and the numbers.
pub fn check(dual: &dyn DynDual) -> Result<(), String> {
    for p in VARIANCES {
        diagonal(dual, p)?;
        for q in VARIANCES {
            for delta in DELTAS {
                for sign in [1.0, -1.0] {
                    let x = pair_of(p, q, delta, sign);
                    moderate(dual, x).map_err(|e| format!("{e} at {x:?}"))?;
                }
            }
        }
    }
    hostile(dual)?;
    for isa in Isa::available() {
        tile::<f64>(dual, isa, 1e-11)?;
        tile::<f32>(dual, isa, 3e-5)?;
        hostile_tile::<f64>(dual, isa)?;
        hostile_tile::<f32>(dual, isa)?;
    }
    Ok(())
}

/// A valid pair: at zero variance the angle is right.
fn pair_of(p: f64, q: f64, delta: f64, sign: f64) -> Pair<f64> {
    let (sp, sq) = (p.sqrt(), q.sqrt());
    let delta = if sp * sq > 0.0 { delta } else { 1.0 };
    Pair { c: sign * sp * sq * (1.0 - delta), p, q, sp, sq, delta }
}

/// sqrt(k(p,p,p) k(q,q,q)).
fn scale(dual: &dyn DynDual, x: &Pair<f64>) -> f64 {
    dual.variance(x.p).sqrt() * dual.variance(x.q).sqrt()
}

/// The same for kdot.
fn scale_dot(dual: &dyn DynDual, x: &Pair<f64>) -> f64 {
    let own = |p: f64| dual.pair(pair_of(p, p, 0.0, 1.0)).kdot.abs().sqrt();
    own(x.p) * own(x.q)
}

/// 1 - |k| / size, and 1 where the image has no variance.
fn plain_delta(k: f64, size: f64) -> f64 {
    if size > 0.0 { 1.0 - (k.abs() / size).min(1.0) } else { 1.0 }
}

/// `found` is `expected` up to `tolerance`, or what is said about it.
fn near(what: &str, found: f64, expected: f64, tolerance: f64) -> Result<(), String> {
    let equal = found == expected || (found - expected).abs() <= tolerance;
    if equal { Ok(()) } else { Err(format!("{what}: {found:e}, expected {expected:e} within {tolerance:e}")) }
}

fn diagonal(dual: &dyn DynDual, p: f64) -> Result<(), String> {
    let (v, image) = (dual.variance(p), dual.pair(pair_of(p, p, 0.0, 1.0)));
    near(&format!("k(p,p,p) for p = {p}"), image.k, v, 1e-13 * v.abs())?;
    near(&format!("1 - |rho| of a sample with itself for p = {p}"), image.delta, plain_delta(v, v), 1e-14)
}

fn moderate(dual: &dyn DynDual, x: Pair<f64>) -> Result<(), String> {
    let image = dual.pair(x);
    let (size, size_dot) = (scale(dual, &x), scale_dot(dual, &x));
    let turned = dual.pair(Pair { p: x.q, q: x.p, sp: x.sq, sq: x.sp, ..x });
    near("k with samples exchanged", turned.k, image.k, 1e-12 * size)?;
    near("kdot with samples exchanged", turned.kdot, image.kdot, 1e-12 * size_dot.max(image.kdot.abs()))?;
    near("1 - |rho| with samples exchanged", turned.delta, image.delta, 1e-12)?;
    bounds(&image, size)?;
    near("1 - |rho| against k", image.delta, plain_delta(image.k, size), 2e-13)?;
    slope(dual, x, &image, size, size_dot)?;
    homogeneous(dual, x, &image, size)
}

fn bounds(image: &Image<f64>, size: f64) -> Result<(), String> {
    if image.k.abs() > size * (1.0 + 1e-12) {
        return Err(format!("|k| = {:e} exceeds sqrt(k(p,p,p) k(q,q,q)) = {size:e}", image.k.abs()));
    }
    if !(0.0..=1.0).contains(&image.delta) {
        return Err(format!("1 - |rho| = {} is not in [0, 1]", image.delta));
    }
    Ok(())
}

/// kdot against a central difference of fourth order, away from the ends.
fn slope(dual: &dyn DynDual, x: Pair<f64>, image: &Image<f64>, size: f64, size_dot: f64) -> Result<(), String> {
    let r = x.sp * x.sq;
    if dual.homogeneity() == Some(0) || x.c.abs() > 0.91 * r {
        return Ok(());
    }
    let step = 1e-3 * r;
    let k = |i: f64| {
        let c = x.c + i * step;
        dual.pair(Pair { c, delta: 1.0 - c.abs() / r, ..x }).k
    };
    let slope = (8.0 * (k(1.0) - k(-1.0)) - (k(2.0) - k(-2.0))) / (12.0 * step);
    near("kdot against dk/dc", image.kdot, slope, 1e-7 * (size_dot + size / r))
}

fn homogeneous(dual: &dyn DynDual, x: Pair<f64>, image: &Image<f64>, size: f64) -> Result<(), String> {
    let Some(degree) = dual.homogeneity() else { return Ok(()) };
    let grown = dual.pair(Pair { c: 4.0 * x.c, p: 4.0 * x.p, q: 4.0 * x.q, sp: 2.0 * x.sp, sq: 2.0 * x.sq, ..x });
    let factor = 4f64.powf(f64::from(degree));
    near("k of samples twice as large", grown.k, factor * image.k, 1e-12 * factor * size)?;
    near("1 - |rho| of samples twice as large", grown.delta, image.delta, 1e-12)
}

fn hostile(dual: &dyn DynDual) -> Result<(), String> {
    for p in HOSTILE {
        for q in HOSTILE {
            if !(dual.variance(p).is_finite() && dual.variance(q).is_finite()) {
                continue;
            }
            for (delta, sign) in DELTAS.iter().flat_map(|&d| [(d, 1.0), (d, -1.0)]) {
                let x = pair_of(p, q, delta, sign);
                let image = dual.pair(x);
                if !(image.k.is_finite() && image.kdot.is_finite()) {
                    return Err(format!("{image:?} at {x:?}"));
                }
                bounds(&image, scale(dual, &x)).map_err(|e| format!("{e} at {x:?}"))?;
            }
        }
    }
    Ok(())
}

/// Samples along one side of a tile.
struct Samples<T> {
    p: Vec<T>,
    sp: Vec<T>,
    out_sp: Vec<T>,
    constants: Vec<T>,
}

/// Columns of the tile; a multiple of every register's width.
const COLS: usize = 16;

impl<T: Tile> Samples<T> {
    /// `n` samples that go through `variances` in turn.
    fn new(dual: &dyn DynDual, variances: &[f64], n: usize) -> Self {
        let p: Vec<T> = (0..n).map(|i| T::from_f64(variances[i % variances.len()])).collect();
        let each = |f: &dyn Fn(f64) -> f64| p.iter().map(|p| T::from_f64(f(p.widen()))).collect::<Vec<T>>();
        let mut constants = vec![T::default(); n * dual.constants_len()];
        let mut own = vec![0.0; dual.constants_len()];
        for (j, p) in p.iter().enumerate() {
            dual.constants(p.widen(), &mut own);
            for (i, &value) in own.iter().enumerate() {
                constants[i * n + j] = T::from_f64(value);
            }
        }
        let (sp, out_sp) = (each(&f64::sqrt), each(&|p| dual.variance(p).sqrt()));
        Self { p, sp, out_sp, constants }
    }
    fn side(&self) -> Side<'_, T> {
        Side { p: &self.p, sp: &self.sp, out_sp: &self.out_sp, constants: &self.constants }
    }
}

/// The precision of a tile.
trait Tile: Element {
    fn widen(self) -> f64;
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, Self>);
}

impl Tile for f32 {
    fn widen(self) -> f64 {
        f64::from(self)
    }
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, f32>) {
        dual.tile_f32(isa, tile);
    }
}

impl Tile for f64 {
    fn widen(self) -> f64 {
        self
    }
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, f64>) {
        dual.tile_f64(isa, tile);
    }
}

/// Rows of the tile.
const ROWS: usize = 6;

/// What a tile was given and what it became.
struct Applied<T> {
    pairs: Vec<Pair<f64>>,
    k: Vec<T>,
    delta: Vec<T>,
    kdot: Vec<T>,
}

fn applied<T: Tile>(dual: &dyn DynDual, isa: Isa, variances: &[f64], delta: f64) -> Applied<T> {
    let (rows, cols) = (Samples::<T>::new(dual, variances, ROWS), Samples::<T>::new(dual, variances, COLS));
    let at = |n: usize| {
        let (i, j) = (n / COLS, n % COLS);
        let sign = if (i + j) % 2 == 0 { 1.0 } else { -1.0 };
        pair_of(rows.p[i].widen(), cols.p[j].widen(), T::from_f64(delta).widen(), sign)
    };
    let pairs: Vec<Pair<f64>> = (0..ROWS * COLS).map(at).collect();
    let take = |f: &dyn Fn(&Pair<f64>) -> f64| pairs.iter().map(|x| T::from_f64(f(x))).collect::<Vec<T>>();
    let (mut k, mut delta, mut kdot) = (take(&|x| x.c), take(&|x| x.delta), take(&|_| 1.0));
    let tile = TileMut { c: &mut k, delta: &mut delta, t: &mut kdot, rows: rows.side(), cols: cols.side() };
    T::apply(dual, isa, tile);
    Applied { pairs, k, delta, kdot }
}

/// A tile against single pairs.
fn tile<T: Tile>(dual: &dyn DynDual, isa: Isa, tolerance: f64) -> Result<(), String> {
    let variances: Vec<f64> = std::iter::once(0.0).chain(VARIANCES).collect();
    for delta in DELTAS {
        let found = applied::<T>(dual, isa, &variances, delta);
        for (i, x) in found.pairs.iter().enumerate() {
            let image = dual.pair(*x);
            let (size, size_dot) = (scale(dual, x), scale_dot(dual, x).max(image.kdot.abs()));
            let what = |name: &str| format!("{name} of a {} tile on {isa:?} at {x:?}", std::any::type_name::<T>());
            near(&what("k"), found.k[i].widen(), image.k, tolerance * size)?;
            near(&what("kdot"), found.kdot[i].widen(), image.kdot, tolerance * size_dot)?;
            near(&what("1 - |rho|"), found.delta[i].widen(), image.delta, tolerance)?;
        }
    }
    Ok(())
}

/// Tiles of extreme variances, as far as their images are in range, hold no NaN and no infinity.
fn hostile_tile<T: Tile>(dual: &dyn DynDual, isa: Isa) -> Result<(), String> {
    let in_range = |&p: &f64| T::from_f64(dual.variance(p)).widen().is_finite();
    let variances: Vec<f64> = HOSTILE.into_iter().filter(in_range).collect();
    for delta in DELTAS {
        let found = applied::<T>(dual, isa, &variances, delta);
        for (i, x) in found.pairs.iter().enumerate() {
            let (k, delta, kdot) = (found.k[i].widen(), found.delta[i].widen(), found.kdot[i].widen());
            if !(k.is_finite() && kdot.is_finite() && (0.0..=1.0).contains(&delta)) {
                let name = std::any::type_name::<T>();
                return Err(format!(
                    "k = {k}, kdot = {kdot}, 1 - |rho| = {delta} in a {name} tile on {isa:?} at {x:?}"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dual::abrelu::AbRelu;
    use crate::dual::{Constants, Dual};
    use crate::simd::Real;

    /// ReLU with one property broken.
    #[derive(Clone, Copy, Debug)]
    enum Broken {
        Asymmetric,
        Slope,
        Variance,
        Angle,
        Degree,
        ZeroVariance,
        SinglePrecision,
    }

    impl Dual for Broken {
        #[inline(always)]
        fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, of: &C) -> Image<V> {
            let mut image = Dual::pair(&AbRelu::relu(), x, r, of);
            let small = x.c.lit(1e-9);
            match self {
                Broken::Asymmetric => image.k = image.k - image.k * (x.p - x.q) * small,
                Broken::Slope => image.kdot = image.kdot * 1.001,
                Broken::Angle => image.delta = image.delta * 0.5,
                Broken::ZeroVariance => image.kdot = image.kdot * (x.sp * x.sp / x.p),
                Broken::SinglePrecision if V::EPS > 1e-10 => image.k = image.k * 1.001,
                _ => {}
            }
            image
        }
        fn variance(&self, p: f64) -> f64 {
            let off = if matches!(self, Broken::Variance) { 1.0 + 1e-12 } else { 1.0 };
            Dual::variance(&AbRelu::relu(), p) * off
        }
        fn homogeneity(&self) -> Option<u32> {
            Some(if matches!(self, Broken::Degree) { 2 } else { 1 })
        }
    }

    #[test]
    fn every_fault_is_found() {
        let faults = [
            (Broken::Asymmetric, "exchanged"),
            (Broken::Slope, "kdot against dk/dc"),
            (Broken::Variance, "k(p,p,p)"),
            (Broken::Angle, "1 - |rho| against k"),
            (Broken::Degree, "twice as large"),
            (Broken::ZeroVariance, "NaN"),
            (Broken::SinglePrecision, "f32 tile"),
        ];
        for (dual, complaint) in faults {
            let found = check(&dual);
            assert!(found.as_ref().is_err_and(|e| e.contains(complaint)), "{dual:?}: {found:?}");
        }
    }
}
