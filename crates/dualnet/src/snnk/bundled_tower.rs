//! The tower of a fully bundled network, drawn from a seed and some rows of the data.

use super::bundled::{BundledNet, Directions};
use super::count::{Count, Counted, CountedMap};
use super::tower::Tower;
use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::features::pointwise::{Function, Pointwise};
use crate::features::{FeatureMap, transform};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef, Update, gemm_nt_parallel};
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use crate::simd::Isa;
use crate::transform::{Projection, ProjectionKind};
use rayon::prelude::*;
use std::f64::consts::TAU;
use std::sync::Arc;

/// Rows that the spread of a projection is measured on.
const MEASURED: usize = 512;
/// Draws of a pair before its rows are taken to be equal.
const TRIES: usize = 16;

/// Bytes of directions that no machine has, whatever a damaged description says.
const MOST_BYTES: u64 = 1 << 40;

/// What a tower is drawn with, beside its net and seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TowerOptions {
    /// Where directions come from.
    pub directions: Directions,
    /// Standard deviation of a projection before the activation; biases have standard deviation 1, or, for sin, cos and rbf, are
    /// phases uniform in a whole turn.
    pub scale: f64,
}

impl Default for TowerOptions {
    fn default() -> Self {
        Self { directions: Directions::default(), scale: 1.0 }
    }
}

/// Draws the tower of `net` for inputs of which `anchors` (a, d) are some: every layer is centred on their mean, and scaled by
/// their spread, there.
///
/// The same net, options, anchors, seed and instruction set give the same bits.
///
/// ```
/// use dualnet::{Mat, Resources, features::transform, snnk::{BundledNet, TowerOptions, bundled_tower}};
/// let resources = Resources::new(1)?;
/// let x = Mat::from_fn(50, 2, |i, j| (i * (j + 1)) as f64 / 50.0);
/// let net = BundledNet::parse("bundled:tanh-2-300")?;
/// let tower = bundled_tower::<f64>(&net, TowerOptions::default(), x.as_ref(), &resources)?;
/// let phi = transform(&tower, x.as_ref(), &resources)?;
/// assert_eq!((phi.rows(), phi.cols()), (50, 300));
/// let square = phi.row(0).iter().map(|x| x * x).sum::<f64>();
/// assert!(0.1 < square && square < 1.0); // a mean of tanh^2
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// Fewer than two anchors or none of their columns; an entry that is not finite; a scale that is not positive; memory.
///
/// Cost: 2 d m operations for each of 512 anchors and layer, and what the directions cost to draw.
pub fn bundled_tower<T: Float>(
    net: &BundledNet,
    options: TowerOptions,
    anchors: MatRef<'_, f64>,
    resources: &Resources,
) -> Result<Tower<T>> {
    if anchors.rows() < 2 || anchors.cols() == 0 {
        return Err(Error::Shape {
            what: "anchors of a tower".into(),
            expected: "at least two rows of at least one column".into(),
            found: format!("{} x {}", anchors.rows(), anchors.cols()),
        });
    }
    anchors.check_finite("anchors of a tower")?;
    if !(options.scale.is_finite() && options.scale > 0.0) {
        return Err(Error::Invalid {
            what: "scale of a tower".into(),
            expected: "a positive number".into(),
            found: options.scale.to_string(),
            hint: "leave it at 1".into(),
        });
    }
    let bytes = net.parameters(anchors.cols(), 0).0.saturating_mul(size_of::<T>() as u64 + 8);
    let hint = "use fewer features or layers";
    resources.reserve("the directions of a tower", bytes, hint)?;
    if bytes > MOST_BYTES {
        return Err(Error::Memory { what: "a tower".into(), needed: bytes, limit: MOST_BYTES, hint: hint.into() });
    }
    let mut layers: Vec<Arc<dyn CountedMap<T>>> = Vec::with_capacity(net.depth);
    let mut below = anchors.to_mat();
    for layer in 0..net.depth {
        let drawn = draw_layer::<T>(net, options, &below, layer as u32, resources)?;
        if layer + 1 < net.depth {
            below = transform(&drawn, below.as_ref().cast::<T>().as_ref(), resources)?.as_ref().cast::<f64>();
        }
        layers.push(Arc::new(drawn));
    }
    Tower::new(layers)
}

/// One layer for inputs such as `anchors`.
fn draw_layer<T: Float>(
    net: &BundledNet,
    options: TowerOptions,
    anchors: &Mat<f64>,
    layer: u32,
    resources: &Resources,
) -> Result<Pointwise<T>> {
    let (m, d, purpose) = (net.features, anchors.cols(), Purpose::PROJECTION.at_layer(layer));
    let function = Function::of(net.activation.clone())?;
    let draw = |kind| Projection::<f64>::draw(kind, m, d, purpose, resources);
    let centre = mean(anchors);
    let (mut rows, structured) = match options.directions {
        Directions::Pairs => (pairs(anchors, m, purpose, resources), None),
        Directions::Gaussian => (draw(ProjectionKind::Gaussian)?.to_mat(), None),
        Directions::Orthogonal => (draw(ProjectionKind::Orthogonal)?.to_mat(), None),
        Directions::Structured => {
            let projection = Projection::<T>::draw(ProjectionKind::Structured, m, d, purpose, resources)?;
            (projection.to_mat().as_ref().cast::<f64>(), Some(projection))
        }
    };
    let mut factors = factors(anchors, &centre, &rows, options.directions, &net.activation, layer, resources)?;
    factors.iter_mut().for_each(|f| *f *= options.scale);
    let mut draws = Draws::new(resources.seed, Purpose::BIASES.at_layer(layer), 0);
    let biases = (0..m).map(|j| {
        let bias = if is_periodic(&net.activation) { TAU * draws.uniform() } else { draws.normal() };
        let at_centre: f64 = rows.row(j).iter().zip(&centre).map(|(g, c)| g * c).sum();
        T::from_f64(bias - factors[j] * at_centre)
    });
    let biases: Vec<T> = biases.collect();
    let map = match structured {
        Some(projection) => Pointwise::implicit(projection, factors[0], biases, function)?,
        None => {
            for (j, factor) in factors.iter().enumerate() {
                rows.row_mut(j).iter_mut().for_each(|g| *g *= factor);
            }
            Pointwise::new(rows.as_ref().cast::<T>(), biases, function)?
        }
    };
    Ok(map.averaged())
}

/// What each row is multiplied by, so that projections of some anchors have mean square 1.
fn factors(
    anchors: &Mat<f64>,
    centre: &[f64],
    rows: &Mat<f64>,
    directions: Directions,
    activation: &Activation,
    layer: u32,
    resources: &Resources,
) -> Result<Vec<f64>> {
    let centred = Mat::from_fn(anchors.rows().min(MEASURED), anchors.cols(), |i, j| anchors[(i, j)] - centre[j]);
    let spreads = spreads(&centred, rows, resources)?;
    let inverse = |s: f64| if s > 0.0 { 1.0 / s } else { 1.0 };
    if directions != Directions::Pairs {
        // Lengths of rows are part of what was drawn: one factor for all.
        let common = (spreads.iter().map(|s| s * s).sum::<f64>() / spreads.len() as f64).sqrt();
        return Ok(vec![inverse(common); spreads.len()]);
    }
    let mut factors: Vec<f64> = spreads.into_iter().map(inverse).collect();
    if is_periodic(activation) {
        // Waves of one length along all directions cannot make up a smooth function: lengths as normal vectors have them in as many
        // dimensions as the rows fill.
        let dimensions = filled_dimensions(&centred, resources)?;
        for (j, factor) in factors.iter_mut().enumerate() {
            let mut draws = Draws::new(resources.seed, Purpose::LENGTHS.at_layer(layer), j as u64);
            *factor *= draws.chi(dimensions) / (dimensions as f64).sqrt();
        }
    }
    Ok(factors)
}

/// The number of equally long axes that would have the ratio of moments of these: (tr C)^2 / tr C^2 of the covariance C.
fn filled_dimensions(centred: &Mat<f64>, resources: &Resources) -> Result<usize> {
    let n = centred.rows();
    let mut gram = Mat::zeros(n, n);
    gemm_nt_parallel(resources, gram.as_mut(), Update::Replace, 1.0, centred.as_ref(), centred.as_ref())?;
    let trace: f64 = (0..n).map(|i| gram[(i, i)]).sum();
    let squares: f64 = gram.as_slice().iter().map(|x| x * x).sum();
    let ratio = if squares > 0.0 { trace * trace / squares } else { 1.0 };
    Ok((ratio.round() as usize).clamp(1, centred.cols()))
}

fn is_periodic(activation: &Activation) -> bool {
    matches!(activation, Activation::Sin { .. } | Activation::Cos { .. } | Activation::Rbf { .. })
}

/// Mean row.
fn mean(x: &Mat<f64>) -> Vec<f64> {
    let (n, mut mean) = (x.rows() as f64, vec![0.0; x.cols()]);
    for i in 0..x.rows() {
        mean.iter_mut().zip(x.row(i)).for_each(|(m, x)| *m += x / n);
    }
    mean
}

/// Differences of two different rows each; a normal vector where [`TRIES`] pairs were equal.
fn pairs(x: &Mat<f64>, m: usize, purpose: Purpose, resources: &Resources) -> Mat<f64> {
    let (n, d) = (x.rows(), x.cols());
    let mut rows = Mat::zeros(m, d);
    resources.install(|| {
        rows.as_mut_slice().par_chunks_mut(d).enumerate().for_each(|(j, row)| {
            let mut draws = Draws::new(resources.seed, purpose, j as u64);
            for _ in 0..TRIES {
                let (a, b) = (draws.below(n), draws.below(n));
                row.iter_mut().zip(x.row(a).iter().zip(x.row(b))).for_each(|(r, (a, b))| *r = a - b);
                if row.iter().any(|r| *r != 0.0) {
                    return;
                }
            }
            row.iter_mut().for_each(|r| *r = draws.normal());
        });
    });
    rows
}

/// Standard deviation of the projection on each of `rows` of centred anchors.
fn spreads(centred: &Mat<f64>, rows: &Mat<f64>, resources: &Resources) -> Result<Vec<f64>> {
    let n = centred.rows();
    let mut projected = Mat::zeros(rows.rows(), n);
    gemm_nt_parallel(resources, projected.as_mut(), Update::Replace, 1.0, rows.as_ref(), centred.as_ref())?;
    let spread = |j: usize| (projected.row(j).iter().map(|z| z * z).sum::<f64>() / n as f64).sqrt();
    Ok((0..rows.rows()).map(spread).collect())
}

impl<T: Float> FeatureMap<T> for Pointwise<T> {
    fn inputs(&self) -> usize {
        Pointwise::inputs(self)
    }
    fn dim(&self) -> usize {
        Pointwise::dim(self)
    }
    fn scratch(&self) -> usize {
        Pointwise::scratch(self)
    }
    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        Pointwise::tile(self, x, out, scratch, isa, None)
    }
}

impl<T: Float> Counted for Pointwise<T> {
    fn count(&self) -> Count {
        Count::of(self)
    }
}
