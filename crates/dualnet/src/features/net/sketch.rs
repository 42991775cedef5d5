//! An activation: terms of degree 0 and 1 as they are, the others by sketches of powers.
//!
//! With F the features of the NNGP before it, v = |F|^2 and u = F / |F|, the NNGP behind is sum a_l(v) a_l(v') (u . u')^l, so its features are
//! a_l(v) U_l(u), U_l the sketch of the l-th power; the first two need none. The tangent kernel is t times sum b_l(v) b_l(v') (u . u')^l: its
//! columns go on times b_0, and a sketch of products of all of them with \[b_l U_l, l = 1, 2, ...\] is added.

use super::activate::padded;
use super::lanes::{Copy, Multiply, PAD, Scale, Weigh};
use super::rows::Rows;
use super::series_table::{Coefficients, SeriesTable};
use super::weights::{Origin, Weights};
use crate::activation::{Activation, Parity};
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::{MatMut, MatRef};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::Isa;
use crate::transform::{PolySketch, Power, TensorSrht};
use std::sync::Arc;

/// Shares below this of the coefficients' mass count as none.
const NONE: f64 = 1e-9;
/// Variances around the one that is expected at which shares are looked at, as factors.
const AROUND: [f64; 5] = [0.0625, 0.25, 1.0, 4.0, 16.0];
/// Fewest and most features of the nodes inside the trees of powers: their errors add up over the levels, so that they need some times as many
/// as the roots.
const INNER: (usize, usize) = (256, 4096);
/// The most of the variance that may belong to degrees beyond the series.
const MOST_BEYOND: f64 = 0.5;

/// What remains of the columns before the activation, times its slope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linear {
    /// All of them.
    Both,
    /// Those of the NNGP, for the slope at a jump is none.
    Nngp,
    /// None: there is no degree 1.
    None,
}

/// One power in the features: U_l has `width` columns from `from` on; the first `own` of them are features of the NNGP.
#[derive(Clone, Copy, Debug)]
struct Part {
    degree: usize,
    from: usize,
    width: usize,
    own: usize,
    /// Whether kdot has this degree.
    slope: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Sketched<T> {
    series: Arc<SeriesTable>,
    at: String,
    nngp: Vec<T>,
    ntk: Vec<T>,
    powers: Option<PolySketch<T>>,
    parts: Vec<Part>,
    tangent: Option<Factors<T>>,
    linear: Linear,
}

/// The sketch of products with the powers of kdot.
#[derive(Clone, Debug)]
struct Factors<T> {
    product: TensorSrht<T>,
    /// Whether degree 1, u itself, is one of them.
    first: bool,
}

/// Where and with how many features an activation is sketched.
pub(super) struct Sketching<'a> {
    pub activation: &'a Activation,
    pub series: Arc<SeriesTable>,
    /// Position in the net, and number of the layer.
    pub at: &'a str,
    pub layer: u32,
    /// Variance that is expected there.
    pub variance: f64,
    /// Features of the NNGP, and of the NTK beside them.
    pub rest: usize,
    pub tangent: usize,
    /// Features of the whole map.
    pub dim: usize,
}

/// Whether no column of before remains.
pub(super) fn replaces(activation: &Activation) -> bool {
    match *activation {
        Activation::Hermite { degree } => degree != 1,
        _ => activation.parity() == Parity::Even,
    }
}

impl<T: Float> Sketched<T> {
    /// Draws the sketches, and changes the weights to those behind the activation.
    pub(super) fn draw(how: &Sketching<'_>, weights: &mut Weights, resources: &Resources) -> Result<Self> {
        let series = how.series.clone();
        let (own, slopes) = shares(&series, how.variance);
        let has_tangent = how.tangent > 0;
        let mut parts = Vec::new();
        let mut from = 0;
        let mine = allotted(&own, how.rest);
        let sloped = if has_tangent { allotted(&slopes, how.rest.max(how.tangent)) } else { vec![0; own.len()] };
        for degree in 2..own.len() {
            let (mine, slope) = (mine[degree], sloped[degree]);
            let width = mine.max(slope);
            if width > 0 {
                parts.push(Part { degree, from, width, own: mine, slope: slope > 0 });
                from += width;
            }
        }
        let least = 1 + parts.iter().filter(|part| part.own > 0).count();
        if how.dim < least {
            return Err(Error::Invalid {
                what: format!("{}: dimension of a sketch of degree {}", how.at, series.series().degree()),
                expected: format!("at least {least} features: a constant and one for each power"),
                found: how.dim.to_string(),
                hint: "ask for more features, or a lower degree".into(),
            });
        }
        let phi = weights.u.len();
        let all: Vec<Power> = parts.iter().map(|part| Power { degree: part.degree, width: part.width }).collect();
        let widest = all.iter().map(|power| power.width).max().unwrap_or(0);
        let inner = (4 * widest.min(INNER.1)).next_power_of_two().clamp(INNER.0, INNER.1);
        let powers = match all.is_empty() {
            true => None,
            false => {
                let purpose = Purpose::NET_POWERS.at_layer(how.layer);
                Some(PolySketch::of_powers(phi, &all, inner, purpose, resources)?)
            }
        };
        let first = slopes[1] > 0.0;
        let factors = parts.iter().filter(|part| part.slope).map(|part| part.width).sum::<usize>();
        let factors = factors + if first { phi } else { 0 };
        let tangent = match has_tangent && factors > 0 {
            true => {
                let purpose = Purpose::NET_PRODUCTS.at_layer(how.layer);
                let product = TensorSrht::draw(weights.columns(), factors, how.tangent, purpose, resources)?;
                Some(Factors { product, first })
            }
            false => None,
        };
        let linear = match (replaces(how.activation), how.activation.is_continuous()) {
            (true, _) => Linear::None,
            (false, true) => Linear::Both,
            (false, false) => Linear::Nngp,
        };
        let step = Self {
            series,
            at: how.at.into(),
            nngp: padded(weights.u.iter().copied()),
            ntk: padded(weights.v.iter().chain(&weights.w).copied()),
            powers,
            parts,
            tangent,
            linear,
        };
        step.behind(weights);
        Ok(step)
    }

    /// The weights behind the activation.
    fn behind(&self, weights: &mut Weights) {
        match self.linear {
            Linear::Both => {}
            Linear::Nngp => {
                weights.v.fill(0.0);
                weights.w.clear();
            }
            Linear::None => *weights = Weights::default(),
        }
        weights.push(1, 1.0, 0.0, Origin::Mean);
        weights.push(self.own(), 1.0, 0.0, Origin::Rest);
        weights.push_tangent(self.tangent.as_ref().map_or(0, |factors| factors.product.rows()), 1.0);
    }

    /// Features of the NNGP.
    fn own(&self) -> usize {
        self.parts.iter().map(|part| part.own).sum()
    }

    /// Numbers of scratch memory for a chunk of `rows` rows.
    pub(super) fn scratch(&self, rows: usize) -> usize {
        let powers = self.powers.as_ref().map_or((0, 0), |powers| (powers.dim(), powers.scratch()));
        let products = self.tangent.as_ref().map_or((0, 0), |factors| {
            let product = &factors.product;
            (self.ntk.len() + product.cols().1 + product.rows(), product.scratch())
        });
        rows * (self.nngp.len() + powers.0 + products.0) + powers.1.max(products.1)
    }

    /// Applies it to a chunk.
    pub(super) fn apply(&self, rows: &mut Rows<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let n = rows.len();
        let (unit, scratch) = scratch.split_at_mut(n * self.nngp.len());
        let all = self.normalise(rows, unit, isa)?;
        let width = self.powers.as_ref().map_or(0, PolySketch::dim);
        let (powers, scratch) = scratch.split_at_mut(n * width);
        if let Some(sketch) = &self.powers {
            let x = MatRef::new(unit, n, rows.phi, self.nngp.len())?;
            sketch.tile(x, MatMut::new(powers, n, width, width)?, scratch, isa)?;
        }
        if let Some(factors) = &self.tangent {
            self.products(factors, rows, (unit, powers), &all, scratch, isa)?;
        }
        let (phi, psi) = match self.linear {
            Linear::Both => (rows.phi, rows.psi),
            Linear::Nngp => (rows.phi, 0),
            Linear::None => (0, 0),
        };
        let products = self.tangent.as_ref().map_or(0, |factors| factors.product.rows());
        for (i, terms) in all.iter().enumerate() {
            let (own, tangent) = rows.row(i);
            // At a jump the slope of values is not that of kdot; at variance 0 there is nothing to carry.
            let slope = match self.linear {
                Linear::Nngp => terms.linear,
                _ => terms.coefficients.slope(0),
            };
            let factor = T::from_f64(slope);
            isa.run(Scale { x: &mut own[..phi.next_multiple_of(PAD)], factor });
            own[phi] = T::from_f64(terms.coefficients.value(0));
            let mut to = phi + 1;
            for part in self.parts.iter().filter(|part| part.own > 0) {
                let x = &powers[i * width + part.from..][..part.own];
                let factor = terms.coefficients.value(part.degree) * (part.width as f64 / part.own as f64).sqrt();
                isa.run(Copy { x, factor: T::from_f64(factor), out: &mut own[to..to + part.own] });
                to += part.own;
            }
            if products > 0 {
                isa.run(Scale { x: &mut tangent[..psi.next_multiple_of(PAD)], factor });
                tangent[psi..psi + products].copy_from_slice(&scratch[i * products..(i + 1) * products]);
            }
        }
        (rows.phi, rows.psi) = (phi + 1 + self.own(), psi + products);
        Ok(())
    }

    /// F / |F| of every row into `unit`, and the coefficients at its variance.
    fn normalise(&self, rows: &mut Rows<'_, T>, unit: &mut [T], isa: Isa) -> Result<Vec<Terms>> {
        let width = self.nngp.len();
        let mut all = Vec::with_capacity(rows.len());
        for (i, out) in unit.chunks_exact_mut(width).enumerate() {
            let (own, _) = rows.row(i);
            let v = isa.run(Weigh { x: &own[..width], weights: &self.nngp, out });
            let s = v.sqrt();
            let factor = T::from_f64(if v > 0.0 { 1.0 / s } else { 0.0 });
            isa.run(Scale { x: out, factor });
            let coefficients = self.series.at(v);
            if coefficients.beyond() > MOST_BEYOND {
                return Err(self.beyond(v, coefficients.beyond()));
            }
            let linear = if v > 0.0 { coefficients.value(1) / s } else { 0.0 };
            all.push(Terms { coefficients, linear });
        }
        Ok(all)
    }

    /// Products of all columns of the tangent kernel with the powers of kdot, to the beginning of `scratch`.
    fn products(
        &self,
        factors: &Factors<T>,
        rows: &Rows<'_, T>,
        (unit, powers): (&[T], &[T]),
        all: &[Terms],
        scratch: &mut [T],
        isa: Isa,
    ) -> Result<()> {
        let (n, phi, product) = (rows.len(), rows.phi, &factors.product);
        let (left, right, out) = (self.ntk.len(), product.cols().1, product.rows());
        let width = self.powers.as_ref().map_or(0, PolySketch::dim);
        let (sketches, scratch) = scratch.split_at_mut(n * out);
        let (columns, scratch) = scratch.split_at_mut(n * left);
        let (series, scratch) = scratch.split_at_mut(n * right);
        for (i, terms) in all.iter().enumerate() {
            let columns = &mut columns[i * left..(i + 1) * left];
            rows.joined(i, columns);
            isa.run(Multiply { x: columns, weights: &self.ntk });
            let mut to = &mut series[i * right..(i + 1) * right];
            let mut put = |x: &[T], factor: f64| {
                let (out, rest) = std::mem::take(&mut to).split_at_mut(x.len());
                isa.run(Copy { x, factor: T::from_f64(factor), out });
                to = rest;
            };
            if factors.first {
                put(&unit[i * self.nngp.len()..][..phi], terms.coefficients.slope(1));
            }
            for part in self.parts.iter().filter(|part| part.slope) {
                put(&powers[i * width + part.from..][..part.width], terms.coefficients.slope(part.degree));
            }
        }
        let x = MatRef::new(columns, n, product.cols().0, left)?;
        let y = MatRef::new(series, n, right, right)?;
        product.tile(x, y, MatMut::new(sketches, n, out, out)?, scratch, isa)
    }

    fn beyond(&self, v: f64, share: f64) -> Error {
        let degree = self.series.series().degree();
        Error::Unsupported {
            at: self.at.clone(),
            what: format!(
                "a sketch of degree {degree} at variance {v:.3}: {:.0} % of the activation's mean square belongs to higher degrees",
                100.0 * share
            ),
            hint: "ask for a higher degree, scale the inputs down, or take random features".into(),
        }
    }
}

/// Coefficients of a row.
struct Terms {
    coefficients: Coefficients,
    /// a_1 / s.
    linear: f64,
}

/// `all` features among degrees by their shares: one for each at least, and no more in all, which would have to be projected.
fn allotted(shares: &[f64], all: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = shares.iter().map(|share| usize::from(*share > 0.0)).collect();
    let left = all.saturating_sub(counts.iter().sum());
    counts.iter_mut().zip(shares).for_each(|(count, share)| *count += (share * left as f64) as usize);
    let left = all.saturating_sub(counts.iter().sum());
    let largest = (0..shares.len()).max_by(|&a, &b| shares[a].total_cmp(&shares[b]).then(b.cmp(&a)));
    if let Some(largest) = largest.filter(|&l| shares[l] > 0.0) {
        counts[largest] += left;
    }
    counts
}

/// Shares of the degrees in the mass of what is sketched of k (from degree 2 on) and of kdot (from 1 on), on average over variances around
/// the one expected.
fn shares(series: &SeriesTable, variance: f64) -> (Vec<f64>, Vec<f64>) {
    let degrees = series.series().degree() + 1;
    let (mut values, mut slopes) = (vec![0.0; degrees], vec![0.0; degrees]);
    let add = |to: &mut [f64], first: usize, term: &dyn Fn(usize) -> f64| {
        let all: f64 = (0..degrees).map(|l| term(l).powi(2)).sum();
        let sketched: f64 = (first..degrees).map(|l| term(l).powi(2)).sum();
        if !all.is_normal() || sketched <= NONE * all {
            return;
        }
        let of = |l: usize| term(l).powi(2);
        (first..degrees).filter(|&l| of(l) > NONE * all).for_each(|l| to[l] += of(l) / sketched);
    };
    for factor in AROUND {
        let at = series.at(factor * variance);
        add(&mut values, 2, &|l| at.value(l));
        add(&mut slopes, 1, &|l| at.slope(l));
    }
    for shares in [&mut values, &mut slopes] {
        let sum: f64 = shares.iter().sum();
        if sum > 0.0 {
            shares.iter_mut().for_each(|share| *share /= sum);
        }
    }
    (values, slopes)
}

#[cfg(test)]
mod tests {
    use super::allotted;

    #[test]
    fn degrees_get_what_there_is_and_no_more() {
        assert_eq!(allotted(&[0.0, 0.0, 1.0], 255), [0, 0, 255]);
        assert_eq!(allotted(&[0.0, 0.0, 0.7, 0.0, 0.299, 0.001], 100), [0, 0, 69, 0, 30, 1]);
        assert_eq!(allotted(&[0.0, 0.5, 0.5], 1), [0, 1, 1]);
        assert_eq!(allotted(&[0.0, 0.0], 10), [0, 0]);
    }
}
