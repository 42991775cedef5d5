//! One sketch for a whole net of homogeneous activations.

mod series;
mod terms;

pub use series::HomogeneousSeries;

use super::random::same_length;
use super::{FeatureMap, TILE};
use crate::error::{Error, Result};
use crate::kernel::{Float, Get};
use crate::linalg::{MatMut, MatRef};
use crate::net::Net;
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::{Isa, Kernel, Vector};
use crate::transform::PolySketch;
use terms::{Allotment, Polynomial, Square, allot};

/// How a homogeneous net is sketched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomogeneousOptions {
    /// NNGP or NTK, not both.
    pub get: Get,
    /// Degree of the polynomial in the cosine, 2 to 256.
    pub degree: usize,
}

impl Default for HomogeneousOptions {
    /// The NTK, degree 16.
    fn default() -> Self {
        Self { get: Get::Ntk, degree: 16 }
    }
}

/// The highest degree.
const HIGHEST: usize = 256;
/// Fewest and most features of the nodes inside the trees of a sketch.
const INNER: (usize, usize) = (256, 8192);

/// Features of the NNGP or NTK of a whole net of ReLUs or other activations homogeneous of degree 1, without biases, for rows of any norm.
///
/// Such a kernel is |x| |y| kappa(cos), kappa a power series with coefficients c_l >= 0 ([`HomogeneousSeries`]), cut here to a
/// polynomial, so that
///
/// Phi(x) = \[sqrt(c_0) |x|; sqrt(c_1) x; sqrt(c_l) |x| U_l(x / |x|), l = 2, 3, ...\], E Phi(x) . Phi(y) = |x| |y| sum c_l cos^l
///
/// with U_l from a [`PolySketch`] (the one-shot ReluNTKSketch of Zandieh, Han, Avron, Shoham, Kim, Shin 2021, arXiv 2106.07880, which also
/// sketches degrees 0 to 2 and a second time all of them together). Degrees 0 and 1 are exact. Degree 2 is exact, by d (d + 1) / 2
/// products of entries, where that makes the variance smaller. The other degrees share what is left in proportion to c_l.
///
/// The bias is that of the polynomial, at most [`Self::error`] |x| |y| kappa(1), largest at x = y; the standard deviation of
/// an entry is about |x| |y| (sum of the c_l sketched) / sqrt(features they have).
///
/// ```
/// use dualnet::features::{HomogeneousOptions, HomogeneousSketch, transform};
/// use dualnet::{Mat, Resources, net::Net};
/// let (net, resources) = (Net::parse("fc-relu-2")?, Resources::new(1)?);
/// let map = HomogeneousSketch::draw(&net, 3, 1024, HomogeneousOptions::default(), &resources)?;
/// let x = Mat::from_vec(2, 3, vec![2.0, 0.0, 0.0, 0.0, 0.0, 5.0])?;
/// let f = transform(&map, x.as_ref(), &resources)?;
/// let product: f64 = f.row(0).iter().zip(f.row(1)).map(|(a, b)| a * b).sum();
/// // At right angles: 10 kappa(0).
/// assert!((product - map.expected(x.row(0), x.row(1))?).abs() < 0.1);
/// assert!(map.error() < 0.1);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HomogeneousSketch<T> {
    inputs: usize,
    dim: usize,
    polynomial: Polynomial,
    square: Square,
    sketch: PolySketch<T>,
    /// sqrt(c_l).
    roots: Vec<T>,
}

impl<T: Float> HomogeneousSketch<T> {
    /// `dim` features of rows of `inputs` columns for one kernel of `net`, drawn with the seed of `resources`.
    ///
    /// # Errors
    /// A layer that is not homogeneous of degree 1, named with what is wrong; both kernels at once; a degree out of range; fewer
    /// features than 1 + `inputs` and one for each degree; memory.
    pub fn draw(
        net: &Net,
        inputs: usize,
        dim: usize,
        options: HomogeneousOptions,
        resources: &Resources,
    ) -> Result<Self> {
        if !(2..=HIGHEST).contains(&options.degree) {
            return Err(Error::Invalid {
                what: "degree of the sketch of a homogeneous net".into(),
                expected: format!("2 to {HIGHEST}"),
                found: options.degree.to_string(),
                hint: "8 to 32 are usual".into(),
            });
        }
        let polynomial = Polynomial::of(net, inputs, options.get, options.degree, dim)?;
        let Allotment { square, powers } = allot(&polynomial.coefficients, inputs, dim)?;
        let widest = powers.iter().map(|power| power.width).max().unwrap_or(0);
        let inner = (4 * widest.min(INNER.1)).next_power_of_two().clamp(INNER.0, INNER.1);
        let sketch = PolySketch::of_powers(inputs, &powers, inner, Purpose::HOMOGENEOUS, resources)?;
        let roots = polynomial.coefficients.iter().map(|c| T::from_f64(c.sqrt())).collect();
        Ok(Self { inputs, dim, polynomial, square, sketch, roots })
    }

    /// Whether there are such features of `net`: whether it is homogeneous, and `dim` enough.
    pub fn serves(net: &Net, inputs: usize, dim: usize, options: HomogeneousOptions) -> bool {
        let series = HomogeneousSeries::of(net, inputs, options.get, options.degree.min(HIGHEST));
        series.is_ok_and(|series| allot(series.coefficients(), inputs, dim).is_ok())
    }

    /// c_0, c_1, ... of the polynomial.
    pub fn coefficients(&self) -> &[f64] {
        &self.polynomial.coefficients
    }
    /// Largest difference between the polynomial and kappa over all cosines, in parts of kappa(1): the bias.
    pub fn error(&self) -> f64 {
        self.polynomial.error
    }
    /// What Phi(x) . Phi(y) estimates: |x| |y| times the polynomial in their cosine.
    ///
    /// # Errors
    /// Other lengths than the map's inputs.
    pub fn expected(&self, x: &[T], y: &[T]) -> Result<f64> {
        same_length(self.inputs, x, y)?;
        let (a, b) = (norm(x), norm(y));
        if a == 0.0 || b == 0.0 {
            return Ok(0.0);
        }
        let cosine: f64 = x.iter().zip(y).map(|(x, y)| x.to_f64() / a * (y.to_f64() / b)).sum();
        Ok(a * b * self.polynomial.at(cosine))
    }
}

/// |x|, without overflow on the way.
#[inline(always)]
fn norm<T: Float>(x: &[T]) -> f64 {
    let largest = x.iter().fold(0.0f64, |largest, x| largest.max(x.to_f64().abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let sum: f64 = x.iter().map(|x| (x.to_f64() / largest) * (x.to_f64() / largest)).sum();
    largest * sum.sqrt()
}

impl<T: Float> FeatureMap<T> for HomogeneousSketch<T> {
    fn inputs(&self) -> usize {
        self.inputs
    }
    fn dim(&self) -> usize {
        self.dim
    }
    fn scratch(&self) -> usize {
        self.sketch.scratch() + self.inputs
    }
    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let needed = self.scratch();
        let shapes = (x.rows(), x.cols(), out.rows(), out.cols());
        if shapes != (TILE, self.inputs, TILE, self.dim) || scratch.len() < needed {
            return Err(Error::Shape {
                what: "tile of the sketch of a homogeneous net".into(),
                expected: format!("({TILE}, {}) to ({TILE}, {}), scratch of {needed}", self.inputs, self.dim),
                found: format!(
                    "({}, {}) to ({}, {}), scratch of {}",
                    shapes.0,
                    shapes.1,
                    shapes.2,
                    shapes.3,
                    scratch.len()
                ),
            });
        }
        let (unit, scratch) = scratch.split_at_mut(self.inputs);
        isa.run(Tile { map: self, x, out, unit, scratch });
        Ok(())
    }
}

struct Tile<'a, T> {
    map: &'a HomogeneousSketch<T>,
    x: MatRef<'a, T>,
    out: MatMut<'a, T>,
    unit: &'a mut [T],
    scratch: &'a mut [T],
}

impl<T: Float> Kernel for Tile<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(mut self, simd: V) {
        let scratch = self.map.sketch.aligned(self.scratch);
        for i in 0..self.x.rows() {
            row(simd, self.map, self.x.row(i), self.out.row_mut(i), self.unit, scratch);
        }
    }
}

/// Features of one row.
#[inline(always)]
fn row<T: Float, V: Vector>(
    simd: V,
    map: &HomogeneousSketch<T>,
    x: &[T],
    out: &mut [T],
    unit: &mut [T],
    scratch: &mut [T],
) {
    let norm = norm(x);
    if norm == 0.0 {
        out.fill(T::default());
        return;
    }
    unit.iter_mut().zip(x).for_each(|(unit, x)| *unit = T::from_f64(x.to_f64() / norm));
    let length = T::from_f64(norm);
    let mut out = Writer { out };
    if map.roots[0] > T::default() {
        out.next(1).fill(map.roots[0] * length);
    }
    if map.roots[1] > T::default() {
        out.next(x.len()).iter_mut().zip(x).for_each(|(out, &x)| *out = map.roots[1] * x);
    }
    if map.square == Square::Exact {
        square(unit, map.roots[2] * length, &mut out);
    }
    map.sketch.row(simd, unit, scratch);
    for (power, features) in map.sketch.features(scratch) {
        let factor = map.roots[power.degree] * length;
        out.next(power.width).iter_mut().zip(features).for_each(|(out, &u)| *out = factor * u);
    }
    out.out.fill(T::default());
}

/// `factor` u_i u_j for i <= j, times sqrt 2 where i < j: products are those of u (x) u.
#[inline(always)]
fn square<T: Float>(u: &[T], factor: T, out: &mut Writer<'_, T>) {
    let both = factor * T::from_f64(std::f64::consts::SQRT_2);
    for (i, &first) in u.iter().enumerate() {
        let (own, others) = out.next(u.len() - i).split_at_mut(1);
        own.fill(factor * first * first);
        let scaled = both * first;
        others.iter_mut().zip(&u[i + 1..]).for_each(|(out, &u)| *out = scaled * u);
    }
}

/// Parts of a row, one after another.
struct Writer<'a, T> {
    out: &'a mut [T],
}

impl<'a, T> Writer<'a, T> {
    /// The next `count` entries.
    #[inline(always)]
    fn next(&mut self, count: usize) -> &'a mut [T] {
        let (part, rest) = std::mem::take(&mut self.out).split_at_mut(count);
        self.out = rest;
        part
    }
}
