//! Duals by Hermite expansion, for any activation.
//!
//! With a_l(v) = E\[phi(sqrt v z) h_l(z)\], z ~ N(0, 1) and h_l orthonormal (kernels.md, section 4),
//!
//! k = sum_(l <= L) a_l(p) a_l(q) rho^l,  kdot = dk/dc,  variance map p -> sum_(l <= L) a_l(p)^2.
//!
//! Every term is positive semidefinite, and so is k, for any L and whatever the error of the coefficients. The error of k is
//! at most the power left out, sum_(l > L) a_l^2: it falls geometrically in sqrt(L / v) for analytic activations and like
//! L^(-5/2) where phi' has no jump but phi'' has one (elu), L^(-3/2) where phi' has one (selu); that of kdot is L times
//! larger. [`crate::dual::numeric`] has a table.
//!
//! Variances are rounded to 40 significant bits before coefficients are computed (a relative error of 5e-13 at most), so that
//! samples of equal norm share them although the last bits of their norms differ. k itself uses the variances as they are.

mod coefficients;
mod partials;
mod plane;
mod series;
mod source;
#[cfg(test)]
mod tests;
mod tile;

use super::{DynDual, Image, Pair, Partials, PartialsMut, PlaneMut, Samples, TileMut};
use crate::activation::{Activation, Parity};
use crate::error::{Error, Result};
use crate::simd::{Element, Isa};
use coefficients::{Coefficients, Table};
use series::{Even, Full, Odd, Outside, Shape, Sums, excess};
use source::Source;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// Highest degree that may be asked for.
pub const MAX_DEGREE: usize = 512;

// Constants of a sample.
const MEAN: usize = 0;
const TURN: usize = 1;
const SNAPPED: usize = 2;
const INVERSE: usize = 3;
const LINEAR: usize = 4;
const SERIES: usize = 5;

/// The dual of an activation by Hermite expansion up to a degree. See the [module](self).
///
/// ```
/// use dualnet::activation::Activation;
/// use dualnet::dual::{DynDual, hermite::HermiteDual};
/// let dual = HermiteDual::new(&Activation::Tanh, 60)?;
/// assert!((dual.variance(1.0) - 0.394_294_490_4).abs() < 1e-9); // E[tanh(z)^2]
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HermiteDual {
    source: Source,
    table: Table,
    degree: usize,
    terms: usize,
    homogeneity: Option<u32>,
}

impl HermiteDual {
    /// Of a named activation, up to `degree` (at most 512).
    ///
    /// Errors: a kernel without activation (`hermite`, `exp_normalized`); a jump (`sign`, `rectified_monomial` of degree 0),
    /// whose kdot is infinite at rho = 1.
    pub fn new(activation: &Activation, degree: usize) -> Result<Self> {
        let refuse = |why: &str| Error::Unsupported {
            at: activation.name().into(),
            what: format!("a Hermite expansion of {why}"),
            hint: "use its closed form (leave out \"dual\")".into(),
        };
        if activation.phi(0.0).is_none() {
            return Err(refuse("a kernel without activation"));
        }
        if !activation.is_continuous() {
            return Err(refuse("a function with a jump"));
        }
        Self::build(Source::Builtin(activation.clone()), degree, activation.homogeneity())
    }

    /// Of any continuous function that grows slower than e^(x^2/8), up to `degree`; `kinks` are the points where one of its
    /// derivatives jumps.
    ///
    /// Cost: one quadrature a sample, about 20 microseconds, 10 times that with kinks away from 0. Slopes come from differences
    /// of values: at variance v their error is about 1e-16 max|phi| / sqrt(v), and below v = 1e-10 those at v = 1e-10 serve.
    ///
    /// Errors: a degree above 512; a kink that is not finite or where `phi` jumps; a value near 0 that is not finite.
    ///
    /// ```
    /// use dualnet::dual::{DynDual, hermite::HermiteDual};
    /// let dual = HermiteDual::from_phi(|x| x.clamp(-1.0, 1.0), &[-1.0, 1.0], 40)?;
    /// assert!((dual.variance(1.0) - 0.516).abs() < 1e-3); // E[min(z^2, 1)], less what the degree leaves out
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn from_phi(phi: impl Fn(f64) -> f64 + Send + Sync + 'static, kinks: &[f64], degree: usize) -> Result<Self> {
        let invalid = |what: &str, found: f64| Error::Invalid {
            what: what.into(),
            expected: "finite values and no jump".into(),
            found: found.to_string(),
            hint: "give a continuous function and finite kinks".into(),
        };
        for &x in kinks.iter().chain(&[0.0]) {
            if !x.is_finite() {
                return Err(invalid("kink of phi", x));
            }
            let h = 1e-9 * (1.0 + x.abs());
            let jump = phi(x + h) - phi(x - h);
            let continuous = jump.abs() <= 1e-3 * (1.0 + phi(x).abs());
            if !continuous {
                return Err(invalid(&format!("phi near {x}, its change"), jump));
            }
        }
        Self::build(Source::Given { phi: Arc::new(phi), kinks: kinks.to_vec() }, degree, None)
    }

    fn build(source: Source, degree: usize, homogeneity: Option<u32>) -> Result<Self> {
        if degree > MAX_DEGREE {
            return Err(Error::Invalid {
                what: "degree of a Hermite expansion".into(),
                expected: format!("at most {MAX_DEGREE}"),
                found: degree.to_string(),
                hint: "what a smooth activation needs is below 100".into(),
            });
        }
        let terms = match source.parity() {
            Parity::Odd => degree.div_ceil(2),
            Parity::Even => degree / 2,
            Parity::Neither => degree,
        };
        let table = Table::new(degree + 2, source.reach(), &[]);
        Ok(Self { source, table, degree, terms, homogeneity })
    }

    /// Highest degree in k.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// a_0(v) .. a_L(v).
    pub fn coefficients(&self, variance: f64) -> Vec<f64> {
        let found = self.at(variance);
        let s = variance.max(0.0).sqrt();
        std::iter::once(found.mean).chain(found.slopes[..self.degree].iter().map(|a| a * s)).collect()
    }

    fn at(&self, p: f64) -> Coefficients {
        let mut found = Coefficients::new(&self.source, &self.table, self.degree, snap(p));
        // Terms that the shape of the series leaves out are 0 but for rounding.
        for (i, a) in found.slopes.iter_mut().enumerate() {
            let degree = i + 1;
            let absent = match self.source.parity() {
                Parity::Odd => degree % 2 == 0,
                Parity::Even => degree % 2 == 1 && degree > 1,
                Parity::Neither => false,
            };
            if absent {
                *a = 0.0;
            }
        }
        found
    }

    fn variance_of(&self, found: &Coefficients, p: f64) -> f64 {
        let variance = found.mean * found.mean + p.max(0.0) * found.power(self.degree);
        if variance.is_nan() { f64::INFINITY } else { variance }
    }

    fn fill(&self, found: &Coefficients, p: f64, out: &mut [f64]) {
        let p = snap(p).max(0.0);
        let s = p.sqrt();
        out[MEAN] = found.mean;
        out[TURN] = found.turn(self.degree, s);
        out[SNAPPED] = s;
        out[INVERSE] = 1.0 / self.variance_of(found, p).sqrt();
        out[LINEAR] = match self.source.parity() {
            Parity::Even if self.degree > 0 => found.slopes[0],
            _ => 0.0,
        };
        for (i, x) in out[SERIES..].iter_mut().take(self.terms).enumerate() {
            *x = found.slopes[self.degree_of(i) - 1];
        }
    }

    fn degree_of(&self, term: usize) -> usize {
        match self.source.parity() {
            Parity::Odd => Odd::degree(term),
            Parity::Even => Even::degree(term),
            Parity::Neither => Full::degree(term),
        }
    }

    fn run<T: Element>(&self, isa: Isa, tile: TileMut<'_, T>) {
        let terms = self.terms;
        match self.source.parity() {
            Parity::Odd => isa.run(tile::Apply { tile, terms, shape: PhantomData::<Odd> }),
            Parity::Even => isa.run(tile::Apply { tile, terms, shape: PhantomData::<Even> }),
            Parity::Neither => isa.run(tile::Apply { tile, terms, shape: PhantomData::<Full> }),
        }
    }

    fn run_plane<T: Element>(&self, isa: Isa, plane: &mut PlaneMut<'_, T>) {
        let terms = self.terms;
        match self.source.parity() {
            Parity::Odd => isa.run(plane::Apply { plane, terms, shape: PhantomData::<Odd> }),
            Parity::Even => isa.run(plane::Apply { plane, terms, shape: PhantomData::<Even> }),
            Parity::Neither => isa.run(plane::Apply { plane, terms, shape: PhantomData::<Full> }),
        }
    }

    fn single<S: Shape>(&self, x: Pair<f64>) -> Image<f64> {
        let of = |p: f64| {
            let found = self.at(p);
            let mut out = vec![0.0; self.constants_len()];
            self.fill(&found, p, &mut out);
            (out, self.variance_of(&found, p).sqrt())
        };
        let ((row, out_sp), (col, out_sq)) = (of(x.p), of(x.q));
        let y = S::argument(x.rho());
        let mut sums = Sums::zero(y);
        for i in (0..self.terms).rev() {
            sums.total += row[SERIES + i] * col[SERIES + i];
            if i >= S::FIRST {
                sums.descend(y, sums.total);
            }
        }
        let (mean, linear) = (row[MEAN] * col[MEAN], row[LINEAR] * col[LINEAR]);
        let at_one = S::at_one(x.r(), mean, linear, sums.total);
        let excess = excess(out_sp * out_sq, at_one, row[TURN] + col[TURN], row[SNAPPED] - col[SNAPPED]);
        S::image(&x, Outside { mean, linear, inverse: row[INVERSE] * col[INVERSE], excess }, sums)
    }
}

impl DynDual for HermiteDual {
    fn variance(&self, p: f64) -> f64 {
        self.variance_of(&self.at(p), p)
    }
    fn constants_len(&self) -> usize {
        SERIES + self.terms
    }
    fn constants(&self, p: f64, out: &mut [f64]) {
        self.fill(&self.at(p), p, out);
    }
    fn homogeneity(&self) -> Option<u32> {
        self.homogeneity
    }
    /// Each distinct variance is computed once.
    fn samples(&self, p: &[f64]) -> Samples {
        let (n, len) = (p.len(), self.constants_len());
        let mut known: HashMap<u64, (Vec<f64>, Coefficients)> = HashMap::new();
        let mut all = Samples { constants: vec![0.0; n * len], variances: Vec::new(), slopes: Vec::new() };
        for (j, &p) in p.iter().enumerate() {
            let (one, found) = known.entry(snap(p).to_bits()).or_insert_with(|| {
                let found = self.at(p);
                let mut one = vec![0.0; len];
                self.fill(&found, p, &mut one);
                (one, found)
            });
            for (i, x) in one.iter().enumerate() {
                all.constants[i * n + j] = *x;
            }
            all.variances.push(self.variance_of(found, p));
            all.slopes.push(found.slope(self.degree));
        }
        all
    }
    fn pair(&self, x: Pair<f64>) -> Image<f64> {
        match self.source.parity() {
            Parity::Odd => self.single::<Odd>(x),
            Parity::Even => self.single::<Even>(x),
            Parity::Neither => self.single::<Full>(x),
        }
    }
    fn tile_f32(&self, isa: Isa, tile: TileMut<'_, f32>) {
        self.run(isa, tile);
    }
    fn tile_f64(&self, isa: Isa, tile: TileMut<'_, f64>) {
        self.run(isa, tile);
    }
    fn slope_constants_len(&self) -> usize {
        self.degree + 3
    }
    fn slope_constants(&self, p: f64, out: &mut [f64]) {
        self.slope_terms(p, out);
    }
    fn partials(&self, x: Pair<f64>) -> Option<Partials<f64>> {
        Some(self.partials_of(x))
    }
    fn partials_tile(&self, _: Isa, tile: PartialsMut<'_>) {
        self.partials_tile_of(tile);
    }
    fn plane_f32(&self, isa: Isa, plane: &mut PlaneMut<'_, f32>) {
        self.run_plane(isa, plane);
    }
    fn plane_f64(&self, isa: Isa, plane: &mut PlaneMut<'_, f64>) {
        self.run_plane(isa, plane);
    }
}

/// `p` to 40 significant bits.
fn snap(p: f64) -> f64 {
    const DROPPED: u32 = 13;
    let rounded = f64::from_bits(p.to_bits().wrapping_add(1 << (DROPPED - 1)) >> DROPPED << DROPPED);
    if rounded.is_finite() { rounded } else { p }
}
