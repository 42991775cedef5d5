//! The features: complex Phi and Psi, folded into twice as many real ones.

use super::atoms::{Atoms, Columns};
use super::moment::{allow, log_second_moment};
use super::passes::PhiPass;
use super::split::Estimator;
use super::transform::Spectrum;
use crate::error::{Error, Result};
use crate::features::{FeatureMap, TILE, transform};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef, Update, gemm_nt};
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use crate::simd::Isa;
use crate::snnk::Snnk;
use crate::transform::{Projection, ProjectionKind};
use serde::{Deserialize, Serialize};

/// What becomes of the factor e^(rho^2 |x|^2 / 2) of Phi, which grows without bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// It stays: Phi(x) . Psi(w, b) estimates f(w.x + b) without bias.
    #[default]
    Unbiased,
    /// It is left out: |Phi| <= sqrt((1-4A)^(d/2) / m) in every entry whatever x is, and for A = 0 Phi is that of random Fourier features, cosine
    /// and sine of rho g.x. For models whose parameters are trained freely; Psi then is a start, whose products estimate the mean over
    /// xi of each frequency's part of f(w.x + b) times e^(-rho^2 |x|^2 / 2).
    Bounded,
}

/// Which parameters [`Snnk::psi`] takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// All whose features are numbers.
    #[default]
    Range,
    /// Those for which the predicted root mean square error (an upper bound, by the second moment) is within `error` for all
    /// inputs up to the length `input_norm`.
    Error {
        /// Root mean square error allowed.
        error: f64,
        /// Largest |x| that will come.
        input_norm: f64,
    },
}

/// How a [`UrfMap`] is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UrfOptions {
    /// Scale and damping.
    pub estimator: Estimator,
    /// Unbiased or bounded.
    pub form: Form,
    /// Rows of G. Features of a structured projection are not exactly normal, so their mean is not exactly f.
    pub projection: ProjectionKind,
    /// Which parameters are refused.
    pub limit: Limit,
    /// Layer of a tower: other layers have other draws.
    pub layer: u32,
}

/// Universal random features of one function, m complex ones folded into 2m real ones: columns 0..m hold real parts, m..2m
/// imaginary ones (of Psi with a minus sign), so that the plain dot product is the real part of the complex one.
///
/// [`FeatureMap::dim`] is 2m. Cost of a row: the projection (2dm operations for a stored G) and m exponentials, sines and cosines;
/// the bounded form has no exponentials.
///
/// ```
/// use dualnet::{Mat, Resources, features::{FeatureMap, transform}, snnk::{Snnk, urf::{Spectrum, UrfMap, UrfOptions}}};
/// let resources = Resources::new(1)?.with_seed(1);
/// let bell = Spectrum::Gaussian { a: 1.0, b: -0.5 };
/// let map = UrfMap::<f64>::draw(bell, 20_000, 2, UrfOptions::default(), &resources)?;
/// let x = Mat::from_vec(1, 2, vec![0.3, -0.2])?;
/// let w = Mat::from_vec(1, 2, vec![0.5, 0.4])?;
/// let phi = transform(&map, x.as_ref(), &resources)?;
/// let psi = map.psi(w.as_ref(), &[0.6], &resources)?;
/// let estimate: f64 = phi.row(0).iter().zip(psi.row(0)).map(|(a, b)| a * b).sum();
/// let exact = (-0.5 * 0.67f64.powi(2)).exp();
/// assert!((estimate - exact).abs() < 0.02);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct UrfMap<T> {
    rows: Rows<T>,
    law: Law,
    pub(super) atoms: Atoms,
    pub(super) columns: Columns<T>,
    inputs: usize,
    options: UrfOptions,
}

/// G.
#[derive(Clone, Debug)]
enum Rows<T> {
    Given(Mat<T>),
    Drawn(Projection<T>),
}

/// What moments are taken over.
#[derive(Clone, Copy, Debug)]
enum Law {
    /// Over draws of frequencies.
    Spectrum(Spectrum),
    /// The frequencies are fixed.
    Fixed,
}

/// Complex features: one row a sample, one column a feature.
#[derive(Clone, Debug, PartialEq)]
pub struct ComplexFeatures<T> {
    /// Real parts.
    pub re: Mat<T>,
    /// Imaginary parts.
    pub im: Mat<T>,
}

impl<T: Float> UrfMap<T> {
    /// Draws `features` (m) pairs of a frequency and a row of G for inputs of `inputs` (d) columns.
    ///
    /// # Errors
    /// No features or no inputs; an estimator or parameters of the function out of range; memory.
    pub fn draw(
        spectrum: Spectrum,
        features: usize,
        inputs: usize,
        options: UrfOptions,
        resources: &Resources,
    ) -> Result<Self> {
        spectrum.check()?;
        let purpose = Purpose::FREQUENCIES.at_layer(options.layer);
        let draw = |j: usize| spectrum.draw(&mut Draws::new(resources.seed, purpose, j as u64));
        resources.reserve("frequencies", (features as u64).saturating_mul(8 + COLUMN_BYTES), "use fewer features")?;
        let atoms = Atoms::of(&spectrum, (0..features).map(draw));
        Self::with_atoms(Law::Spectrum(spectrum), atoms, inputs, options, resources)
    }

    /// The map of given frequencies `xi` (m) and rows `g` (m, d), which moments are still taken over.
    ///
    /// # Errors
    /// Shapes; entries that are not finite; an estimator or parameters of the function out of range.
    pub fn given(spectrum: Spectrum, xi: &[f64], g: Mat<T>, options: UrfOptions) -> Result<Self> {
        spectrum.check()?;
        if xi.len() != g.rows() {
            return Err(Error::Shape {
                what: "frequencies of universal random features".into(),
                expected: format!("one for each of the {} rows of G", g.rows()),
                found: xi.len().to_string(),
            });
        }
        g.as_ref().check_finite("G of universal random features")?;
        if let Some(row) = xi.iter().position(|xi| !xi.is_finite()) {
            let what = "frequencies of universal random features".into();
            return Err(Error::NonFinite { what, row, column: 0, value: xi[row] });
        }
        let atoms = Atoms::of(&spectrum, xi.iter().copied());
        let inputs = g.cols();
        Self::assemble(Rows::Given(g), Law::Spectrum(spectrum), atoms, inputs, options)
    }

    /// Rows of G drawn for frequencies that are fixed.
    pub(super) fn fixed(atoms: Atoms, inputs: usize, options: UrfOptions, resources: &Resources) -> Result<Self> {
        Self::with_atoms(Law::Fixed, atoms, inputs, options, resources)
    }

    fn with_atoms(law: Law, atoms: Atoms, inputs: usize, options: UrfOptions, resources: &Resources) -> Result<Self> {
        options.estimator.check()?;
        let purpose = Purpose::PROJECTION.at_layer(options.layer);
        let projection = Projection::draw(options.projection, atoms.t.len(), inputs, purpose, resources)?;
        Self::assemble(Rows::Drawn(projection), law, atoms, inputs, options)
    }

    fn assemble(rows: Rows<T>, law: Law, atoms: Atoms, inputs: usize, options: UrfOptions) -> Result<Self> {
        options.estimator.check()?;
        if atoms.t.is_empty() || inputs == 0 {
            return Err(Error::Invalid {
                what: "universal random features".into(),
                expected: "at least one feature and one input".into(),
                found: format!("{} features of {inputs} inputs", atoms.t.len()),
                hint: "ask for more features".into(),
            });
        }
        // Structured projections are written out for this and dropped again; without damping no length is needed.
        let squares = match (&rows, options.estimator.damping < 0.0) {
            (_, false) => Vec::new(),
            (Rows::Given(g), true) => square_lengths(g),
            (Rows::Drawn(projection), true) => square_lengths(&projection.to_mat()),
        };
        let columns = Columns::new(&atoms, &squares, inputs, options.estimator, options.form);
        if !columns.are_finite() {
            return Err(Error::Invalid {
                what: "scale of universal random features".into(),
                expected: format!("constants within the range of {}", T::NAME),
                found: format!("{:?}", options.estimator),
                hint: "take the balanced split, a smaller frequency, or f64".into(),
            });
        }
        Ok(Self { rows, law, atoms, columns, inputs, options })
    }

    /// m, the number of complex features.
    pub fn features(&self) -> usize {
        self.atoms.t.len()
    }
    /// How it was made.
    pub fn options(&self) -> &UrfOptions {
        &self.options
    }
    /// Angular frequencies t = 2 pi xi, one for each complex feature.
    pub fn frequencies(&self) -> &[f64] {
        &self.atoms.t
    }

    /// Complex Phi of the rows of `x` (n, d), with its factor 1/sqrt(m): (n, m).
    ///
    /// # Errors
    /// Those of [`transform`].
    pub fn phi_complex(&self, x: MatRef<'_, T>, resources: &Resources) -> Result<ComplexFeatures<T>> {
        Ok(unfold(&transform(self, x, resources)?, T::from_f64(1.0)))
    }

    /// Complex Psi of parameters, with weights tau/q, e^(itb) and the factor 1/sqrt(m): (l, m). The estimate is the real part of
    /// Phi Psi^T, without conjugation.
    ///
    /// # Errors
    /// Those of [`Snnk::psi`].
    pub fn psi_complex(
        &self,
        weights: MatRef<'_, T>,
        biases: &[T],
        resources: &Resources,
    ) -> Result<ComplexFeatures<T>> {
        Ok(unfold(&self.psi(weights, biases, resources)?, T::from_f64(-1.0)))
    }

    /// ln of the second moment of one complex draw for |x| = `x`, |w| = `w`, over frequencies and G: divided by m, an upper bound of
    /// the mean square error. See [`log_second_moment`].
    pub fn log_second_moment(&self, x: f64, w: f64) -> f64 {
        let estimator = self.options.estimator;
        match &self.law {
            Law::Spectrum(spectrum) => log_second_moment(spectrum, estimator, self.inputs, x, w),
            Law::Fixed => {
                let each = self.atoms.t.iter().zip(&self.atoms.weight).map(|(&t, &(re, im))| {
                    let unit = Spectrum::Cos { a: re.hypot(im), b: t, c: 0.0 };
                    log_second_moment(&unit, estimator, self.inputs, x, w)
                });
                let largest = each.clone().fold(f64::NEG_INFINITY, f64::max);
                if largest.is_infinite() {
                    return largest;
                }
                largest + (each.map(|log| (log - largest).exp()).sum::<f64>() / self.features() as f64).ln()
            }
        }
    }

    /// Refuses inputs and parameters for whose largest norms the predicted root mean square error is above `error`.
    ///
    /// # Errors
    /// Such norms, with the variance, the number of features needed and ways out; entries that are not finite.
    pub fn check(&self, x: MatRef<'_, T>, weights: MatRef<'_, T>, error: f64) -> Result<()> {
        x.check_finite("input of a feature map")?;
        weights.check_finite("weights of a layer")?;
        let largest = |a: MatRef<'_, T>| (0..a.rows()).map(|i| norm(a.row(i))).fold(0.0, f64::max);
        self.allow(largest(x), largest(weights), error)
    }

    pub(super) fn allow(&self, x: f64, w: f64, error: f64) -> Result<()> {
        allow(
            self.log_second_moment(x, w),
            self.features(),
            (x, w),
            error,
            "take Split::Balanced or scale the norms down",
        )
    }

    /// Left part of a row of products with G.
    pub(super) fn project(
        &self,
        x: MatRef<'_, T>,
        out: &mut [T],
        stride: usize,
        scratch: &mut [T],
        isa: Isa,
    ) -> Result<()> {
        let out = MatMut::new(out, TILE, self.features(), stride)?;
        match &self.rows {
            Rows::Given(g) => gemm_nt(out, Update::Replace, T::from_f64(1.0), x, g.as_ref()),
            Rows::Drawn(projection) => projection.tile(x, out, scratch, isa),
        }
    }
}

impl<T: Float> FeatureMap<T> for UrfMap<T> {
    fn inputs(&self) -> usize {
        self.inputs
    }
    fn dim(&self) -> usize {
        2 * self.features()
    }
    fn scratch(&self) -> usize {
        match &self.rows {
            Rows::Given(_) => 0,
            Rows::Drawn(projection) => projection.scratch(),
        }
    }
    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let (stride, out) = (out.stride(), out.into_data());
        self.project(x, out, stride, scratch, isa)?;
        isa.run(PhiPass { columns: &self.columns, x, out, stride, m: self.features() });
        Ok(())
    }
}

/// Bytes of [`Columns`] and [`Atoms`] for each feature, at most.
const COLUMN_BYTES: u64 = 96;

impl Atoms {
    fn of(spectrum: &Spectrum, xi: impl Iterator<Item = f64>) -> Self {
        let (t, weight) = xi.map(|xi| (2.0 * std::f64::consts::PI * xi, spectrum.weight(xi))).unzip();
        Self { t, weight }
    }
}

/// Both halves of folded features, the second times `sign`.
fn unfold<T: Float>(folded: &Mat<T>, sign: T) -> ComplexFeatures<T> {
    let m = folded.cols() / 2;
    let sign = sign.to_f64();
    ComplexFeatures {
        re: Mat::from_fn(folded.rows(), m, |i, j| folded[(i, j)]),
        im: Mat::from_fn(folded.rows(), m, |i, j| T::from_f64(sign * folded[(i, m + j)].to_f64())),
    }
}

fn square_lengths<T: Float>(g: &Mat<T>) -> Vec<f64> {
    (0..g.rows()).map(|j| norm(g.row(j)).powi(2)).collect()
}

/// |x|, in double precision.
pub(super) fn norm<T: Float>(x: &[T]) -> f64 {
    let largest = x.iter().fold(0.0, |l, x| f64::max(l, x.to_f64().abs()));
    if largest == 0.0 {
        return 0.0;
    }
    largest * x.iter().map(|x| (x.to_f64() / largest).powi(2)).sum::<f64>().sqrt()
}
