//! Activations without a transform that could be sampled: harmonics of a [`Series`] as universal random features, its linear part as
//! columns of its own.
//!
//! How draws are shared out: every harmonic that is not 0 gets a fixed number m_j >= 1 of them, in proportion to what
//! [`Allocation`] says, and the weight c_j m / m_j. Against an index drawn at random with p_j = m_j / m this has the same mean and
//! lacks the variance between harmonics.

use super::atoms::Atoms;
use super::map::{UrfMap, UrfOptions, norm};
use super::moment::log_second_moment;
use super::parameters::join;
use super::series::Series;
use super::split::Estimator;
use super::transform::Spectrum;
use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::features::{FeatureMap, TILE};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef, Update, gemm_nt};
use crate::resources::Resources;
use crate::simd::Isa;
use crate::snnk::Snnk;

/// How many draws a harmonic gets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Allocation {
    /// In proportion to |c_j|.
    #[default]
    Coefficients,
    /// In proportion to |c_j| times the root of its second moment at these norms: the least variance there.
    Norms {
        /// |x|.
        input: f64,
        /// |w|.
        weight: f64,
    },
}

/// Features of an activation on a window.
///
/// [`FeatureMap::dim`] is 2m + d + 1: the folded features of [`UrfMap`] for the harmonics, then x and 1, which meet beta w and
/// beta b + alpha. Estimates are valid for |w.x + b| <= P/2; what the series leaves out there is [`Series::truncation`].
///
/// ```
/// use dualnet::{Mat, Resources, activation::Activation, features::{FeatureMap, transform}};
/// use dualnet::snnk::{Snnk, urf::{Allocation, Series, UrfOptions, WindowedMap}};
/// let resources = Resources::new(1)?.with_seed(1);
/// let series = Series::of(&Activation::Tanh, 4.0, 5)?;
/// let map = WindowedMap::<f64>::draw(series, 4096, 2, Allocation::Coefficients, UrfOptions::default(), &resources)?;
/// assert_eq!(map.dim(), 2 * 4096 + 3);
/// let x = Mat::from_vec(1, 2, vec![0.3, -0.2])?;
/// let w = Mat::from_vec(1, 2, vec![0.5, 0.4])?;
/// let phi = transform(&map, x.as_ref(), &resources)?;
/// let psi = map.psi(w.as_ref(), &[0.6], &resources)?;
/// let estimate: f64 = phi.row(0).iter().zip(psi.row(0)).map(|(a, b)| a * b).sum();
/// assert!((estimate - 0.67f64.tanh()).abs() < 0.02);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WindowedMap<T> {
    series: Series,
    map: UrfMap<T>,
}

impl<T: Float> WindowedMap<T> {
    /// The map of the waves alone.
    pub(in crate::snnk) fn waves(&self) -> &UrfMap<T> {
        &self.map
    }

    /// Draws `features` (m) complex features for the harmonics of `series`, inputs of `inputs` (d) columns.
    ///
    /// # Errors
    /// Fewer features than harmonics that are not 0; what [`UrfMap::draw`] refuses.
    pub fn draw(
        series: Series,
        features: usize,
        inputs: usize,
        allocation: Allocation,
        options: UrfOptions,
        resources: &Resources,
    ) -> Result<Self> {
        resources.reserve("harmonics", (features as u64).saturating_mul(128), "use fewer features")?;
        let needs = needs(&series, inputs, allocation, options.estimator);
        let counts = share(features, &needs)?;
        let (mut t, mut weight) = (Vec::with_capacity(features), Vec::with_capacity(features));
        for (index, &count) in counts.iter().enumerate() {
            let (re, im) = series.coefficients()[index];
            let each = features as f64 / count as f64;
            t.extend(std::iter::repeat_n(series.frequency(index), count));
            weight.extend(std::iter::repeat_n((re * each, im * each), count));
        }
        // A linear activation has no harmonics.
        t.resize(features, 0.0);
        weight.resize(features, (0.0, 0.0));
        let map = UrfMap::fixed(Atoms { t, weight }, inputs, options, resources)?;
        Ok(Self { series, map })
    }

    /// The map for a layer and samples of its input: window from [`window`], as many harmonics (at most 64) as make the root of
    /// squared truncation error plus predicted variance least at the mean square norms, and draws shared out for these.
    ///
    /// ```
    /// use dualnet::{Mat, Resources, activation::Activation, snnk::urf::{UrfOptions, WindowedMap}};
    /// let x = Mat::from_fn(50, 3, |i, j| ((7 * i + 3 * j) % 11) as f64 / 22.0 - 0.25);
    /// let w = Mat::from_fn(4, 3, |i, j| ((5 * i + 2 * j) % 7) as f64 / 14.0 - 0.25);
    /// let resources = Resources::new(1)?;
    /// let (options, margin) = (UrfOptions::default(), 1.25);
    /// let map = WindowedMap::fit(&Activation::Gelu, x.as_ref(), w.as_ref(), &[], 1024, margin, options, &resources)?;
    /// assert!(map.predicted_error(0.5, 0.4) < 0.05);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    ///
    /// # Errors
    /// Shapes; entries that are not finite; a window out of range; what [`UrfMap::draw`] refuses.
    #[allow(clippy::too_many_arguments)]
    pub fn fit(
        activation: &Activation,
        x: MatRef<'_, T>,
        weights: MatRef<'_, T>,
        biases: &[T],
        features: usize,
        margin: f64,
        options: UrfOptions,
        resources: &Resources,
    ) -> Result<Self> {
        let period = window(x, weights, biases, margin, resources)?;
        let mean = |a: MatRef<'_, T>| {
            let squares = (0..a.rows()).map(|i| norm(a.row(i)).powi(2)).sum::<f64>();
            (squares / a.rows().max(1) as f64).sqrt()
        };
        let allocation = Allocation::Norms { input: mean(x), weight: mean(weights) };
        let whole = Series::of(activation, period, 64)?;
        let needs = needs(&whole, x.cols(), allocation, options.estimator);
        let (mut best, mut least, mut need, mut terms) = (whole.first(0)?, f64::INFINITY, 0.0, 0);
        for harmonics in 0..=64 {
            if harmonics > 0 {
                need += needs[harmonics - 1];
                terms += usize::from(needs[harmonics - 1] > 0.0);
            }
            let series = whole.first(harmonics)?;
            // With draws in proportion to the needs the variance is their sum squared, over m.
            let error = series.truncation().rms.hypot(need / (features as f64).sqrt());
            if error < least && terms <= features {
                (best, least) = (series, error);
            }
        }
        Self::draw(best, features, x.cols(), allocation, options, resources)
    }

    /// The series.
    pub fn series(&self) -> &Series {
        &self.series
    }
    /// The features of the harmonics.
    pub fn harmonics(&self) -> &UrfMap<T> {
        &self.map
    }
    /// Predicted root mean square error at |x| = `x`, |w| = `w`, an upper bound: that of the truncation over the window, and the
    /// root of the second moment over m. Infinite where the second moment leaves the range of f64.
    pub fn predicted_error(&self, x: f64, w: f64) -> f64 {
        let log = self.map.log_second_moment(x, w) - (self.map.features() as f64).ln();
        self.series.truncation().rms.hypot((0.5 * log).exp())
    }
}

impl<T: Float> FeatureMap<T> for WindowedMap<T> {
    fn inputs(&self) -> usize {
        self.map.inputs()
    }
    fn dim(&self) -> usize {
        self.map.dim() + self.map.inputs() + 1
    }
    fn scratch(&self) -> usize {
        self.map.scratch()
    }
    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let (stride, waves, d) = (out.stride(), self.map.dim(), x.cols());
        let out = out.into_data();
        self.map.tile(x, MatMut::new(out, TILE, waves, stride)?, scratch, isa)?;
        for (i, row) in out.chunks_mut(stride).take(TILE).enumerate() {
            row[waves..waves + d].copy_from_slice(x.row(i));
            row[waves + d] = T::from_f64(1.0);
        }
        Ok(())
    }
}

impl<T: Float> Snnk<T> for WindowedMap<T> {
    fn psi(&self, weights: MatRef<'_, T>, biases: &[T], resources: &Resources) -> Result<Mat<T>> {
        let waves = self.map.psi(weights, biases, resources)?;
        let linear = join(weights, biases, self.map.inputs())?;
        let (m, d) = (self.map.dim(), self.map.inputs());
        let bytes = (waves.rows() as u64).saturating_mul(self.dim() as u64).saturating_mul(size_of::<T>() as u64);
        resources.reserve("features of parameters", bytes, "map fewer rows at a time")?;
        let mut out = Mat::zeros(waves.rows(), self.dim());
        for i in 0..waves.rows() {
            let row = out.row_mut(i);
            row[..m].copy_from_slice(waves.row(i));
            for (out, x) in row[m..].iter_mut().zip(linear.row(i)) {
                *out = T::from_f64(self.series.slope() * x.to_f64());
            }
            row[m + d] = T::from_f64(row[m + d].to_f64() + self.series.constant());
        }
        Ok(out)
    }
}

/// The period 2 `margin` max |w.x + b| over all rows of `x` (n, d) and of `weights` (l, d) with their `biases` (l; empty: 0), at
/// least 1. Cost 2 n l d operations.
///
/// ```
/// use dualnet::{Mat, Resources, snnk::urf::windowed::window};
/// let x = Mat::from_vec(2, 1, vec![1.0, -3.0])?;
/// let w = Mat::from_vec(1, 1, vec![0.5])?;
/// // |0.5 * -3 + -1| = 2.5
/// assert_eq!(window(x.as_ref(), w.as_ref(), &[-1.0], 1.2, &Resources::new(1)?)?, 6.0);
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// Shapes; entries that are not finite; no rows; a margin below 1.
pub fn window<T: Float>(
    x: MatRef<'_, T>,
    weights: MatRef<'_, T>,
    biases: &[T],
    margin: f64,
    resources: &Resources,
) -> Result<f64> {
    let joined = join(weights, biases, x.cols())?;
    x.check_finite("samples for a window")?;
    let (n, l, d) = (x.rows(), weights.rows(), x.cols());
    if n == 0 || l == 0 || !(1.0..=1e6).contains(&margin) {
        return Err(Error::Invalid {
            what: "samples for a window".into(),
            expected: "at least one row of inputs and of weights, and a margin of 1 to 1e6".into(),
            found: format!("{n} and {l} rows, a margin of {margin}"),
            hint: "give samples of the layer's input, and a margin of 1.25".into(),
        });
    }
    // Blocks of samples against all weights: n l numbers at once may be too many.
    let mut products = Mat::zeros(TILE.min(n), l);
    let mut largest = 0.0;
    for first in (0..n).step_by(TILE) {
        let rows = TILE.min(n - first);
        let x = x.block(first..first + rows, 0..d)?;
        let weights = joined.as_ref().block(0..l, 0..d)?;
        let block = MatMut::new(products.as_mut_slice(), rows, l, l)?;
        gemm_nt(block, Update::Replace, T::from_f64(1.0), x, weights)?;
        in_range::<T>(&products, rows, first)?;
        for i in 0..rows {
            for (w, z) in products.row(i).iter().enumerate() {
                largest = f64::max(largest, (z.to_f64() + joined[(w, d)].to_f64()).abs());
            }
        }
        resources.check("window of a layer")?;
    }
    Ok((2.0 * margin * largest).max(1.0))
}

/// Refuses products beyond the range of `T` in the first `rows` rows.
fn in_range<T: Float>(products: &Mat<T>, rows: usize, first: usize) -> Result<()> {
    let beyond = |i: usize| products.row(i).iter().position(|z| !z.is_finite()).map(|column| (i, column));
    match (0..rows).find_map(beyond) {
        None => Ok(()),
        Some((i, column)) => Err(Error::Overflow {
            at: "the window of a layer".into(),
            what: "a product of input and weights".into(),
            precision: T::NAME,
            row: first + i,
            column,
            hint: "scale the inputs down".into(),
        }),
    }
}

/// |c_j| times the root of the second moment of the harmonic.
fn needs(series: &Series, inputs: usize, allocation: Allocation, estimator: Estimator) -> Vec<f64> {
    let need = |(index, &(re, im)): (usize, &(f64, f64))| match allocation {
        Allocation::Coefficients => f64::hypot(re, im),
        Allocation::Norms { input, weight } => {
            let wave = Spectrum::Cos { a: f64::hypot(re, im), b: series.frequency(index), c: 0.0 };
            (0.5 * log_second_moment(&wave, estimator, inputs, input, weight)).exp()
        }
    };
    series.coefficients().iter().enumerate().map(need).collect()
}

/// Parts of `total` in proportion to `needs`, at least 1 where there is a need: largest remainders first.
fn share(total: usize, needs: &[f64]) -> Result<Vec<usize>> {
    let terms = needs.iter().filter(|&&n| n > 0.0).count();
    let sum: f64 = needs.iter().sum();
    if terms > total || !sum.is_finite() {
        return Err(Error::Invalid {
            what: "features of a windowed series".into(),
            expected: format!("at least one for each of {terms} harmonics, of finite second moment"),
            found: format!("{total}"),
            hint: "ask for more features, or for fewer harmonics of smaller norms".into(),
        });
    }
    let free = (total - terms) as f64;
    let wanted: Vec<f64> = needs.iter().map(|n| if *n > 0.0 { free * (n / sum) } else { 0.0 }).collect();
    let mut counts: Vec<usize> =
        needs.iter().zip(&wanted).map(|(n, w)| usize::from(*n > 0.0) + w.floor() as usize).collect();
    let mut order: Vec<usize> = (0..needs.len()).filter(|&j| needs[j] > 0.0).collect();
    order.sort_by(|&a, &b| f64::total_cmp(&wanted[b].fract(), &wanted[a].fract()).then(a.cmp(&b)));
    let left = total.saturating_sub(counts.iter().sum());
    order.iter().cycle().take(if order.is_empty() { 0 } else { left }).for_each(|&j| counts[j] += 1);
    Ok(counts)
}
