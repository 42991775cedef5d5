//! What dense layers and random features have in common: a product with a matrix, then a function of each entry.
//!
//! A tile is computed in panels of [`PANEL`] bytes, which stay in the second-level cache between the product and the
//! function: beside the product the function then costs its arithmetic alone.

use super::apply::Apply;
use super::scaling::Scaling;
use super::{FeatureMap, TILE};
use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef, Update, gemm_nt};
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use crate::simd::Isa;
use crate::transform::{Projection, ProjectionKind};
use std::sync::Arc;

/// Bytes of the panel between the product and the function.
const PANEL: usize = 256 << 10;
/// Layers of a tower that have draws of their own.
const LAYERS: u32 = 1 << 20;

/// f of one entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Function {
    /// An activation that has a phi.
    Activation(Activation),
    /// max(z, c).
    Floor(f64),
}

impl Function {
    /// An activation, unless it is one of the kernels without a function behind them.
    pub(crate) fn of(activation: Activation) -> Result<Self> {
        match activation.phi(0.0f64) {
            Some(_) => Ok(Self::Activation(activation)),
            None => Err(Error::Unsupported {
                at: activation.name().into(),
                what: "a kernel without an activation function".into(),
                hint: "choose an activation with a formula, such as relu".into(),
            }),
        }
    }

    /// max(z, c).
    pub(crate) fn floor(threshold: f64) -> Result<Self> {
        finite("threshold", threshold)?;
        Ok(Self::Floor(threshold))
    }
}

/// The matrix of the product.
#[derive(Clone, Debug)]
enum Rows<T> {
    /// Stored, (m, d).
    Matrix(Arc<Mat<T>>),
    /// Applied without being stored.
    Implicit(Projection<T>),
}

/// x -> factor f(scale (G S x)_j + t bias_j) for j = 1..m, S the diagonal scaling, t = 1 or a number of each row.
#[derive(Clone, Debug)]
pub(crate) struct Pointwise<T> {
    rows: Rows<T>,
    scaling: Scaling,
    scale: T,
    /// One for each row of G: zeros where there are none.
    biases: Vec<T>,
    function: Function,
    factor: T,
}

impl<T: Float> Pointwise<T> {
    /// With a matrix that is there already. `biases` are m or none.
    pub(crate) fn new(rows: Mat<T>, biases: Vec<T>, function: Function) -> Result<Self> {
        Self::shared(Arc::new(rows), biases, function)
    }

    /// [`Self::new`], with a matrix that others hold too.
    pub(crate) fn shared(rows: Arc<Mat<T>>, biases: Vec<T>, function: Function) -> Result<Self> {
        if rows.rows() == 0 || rows.cols() == 0 {
            return Err(empty(rows.rows(), rows.cols()));
        }
        Mat::as_ref(&rows).check_finite("weights")?;
        MatRef::new(&biases, 1, biases.len(), biases.len())?.check_finite("biases")?;
        let biases = if biases.is_empty() { vec![T::default(); rows.rows()] } else { biases };
        if biases.len() != rows.rows() {
            return Err(Error::Shape {
                what: "biases".into(),
                expected: format!("{} (one a row of the weights), or none", rows.rows()),
                found: biases.len().to_string(),
            });
        }
        let one = T::from_f64(1.0);
        let (rows, scaling) = (Rows::Matrix(rows), Scaling::None);
        Ok(Self { rows, scaling, scale: one, biases, function, factor: one })
    }

    /// With a projection applied without being stored, `scale` times its rows, and `biases`, one for each of them.
    pub(crate) fn implicit(projection: Projection<T>, scale: f64, biases: Vec<T>, function: Function) -> Result<Self> {
        if projection.rows() != biases.len() {
            return Err(Error::Shape {
                what: "biases".into(),
                expected: format!("{} (one a row of the projection)", projection.rows()),
                found: biases.len().to_string(),
            });
        }
        let (rows, one) = (Rows::Implicit(projection), T::from_f64(1.0));
        Self { rows, scaling: Scaling::None, scale: one, biases, function, factor: one }.scaled(scale)
    }

    /// With a projection drawn for layer `layer`, standard normal biases times `bias_std`, and the factor 1/sqrt(m).
    pub(crate) fn draw(
        (inputs, features): (usize, usize),
        (kind, layer): (ProjectionKind, u32),
        bias_std: f64,
        function: Function,
        resources: &Resources,
    ) -> Result<Self> {
        if inputs == 0 || features == 0 {
            return Err(empty(features, inputs));
        }
        if layer >= LAYERS {
            return Err(Error::Invalid {
                what: "layer of random features".into(),
                expected: format!("less than {LAYERS}"),
                found: layer.to_string(),
                hint: "number the layers of a tower 0, 1, 2, ...".into(),
            });
        }
        finite("standard deviation of the biases", bias_std)?;
        let projection = Projection::draw(kind, features, inputs, Purpose::PROJECTION.at_layer(layer), resources)?;
        let rows = match kind {
            // A matrix is multiplied panel by panel, which a whole projection does not offer.
            ProjectionKind::Gaussian | ProjectionKind::Orthogonal => Rows::Matrix(Arc::new(projection.to_mat())),
            ProjectionKind::Structured => Rows::Implicit(projection),
        };
        let mut draws = Draws::new(resources.seed, Purpose::BIASES.at_layer(layer), 0);
        let biases = (0..features).map(|_| T::from_f64(bias_std * draws.normal())).collect();
        let one = T::from_f64(1.0);
        let map = Self { rows, scaling: Scaling::None, scale: one, biases, function, factor: one };
        Ok(map.averaged())
    }

    /// With the factor 1/sqrt(m), so that a product of features is a mean.
    pub(crate) fn averaged(mut self) -> Self {
        self.factor = T::from_f64(1.0 / (self.dim() as f64).sqrt());
        self
    }

    /// With another number before the product.
    pub(crate) fn scaled(mut self, scale: f64) -> Result<Self> {
        self.scale = T::from_f64(finite("scale", scale)?);
        if self.scale.is_finite() { Ok(self) } else { Err(invalid("scale", T::NAME, scale)) }
    }

    /// With factors of the inputs.
    pub(crate) fn with_scaling(mut self, scaling: Scaling) -> Result<Self> {
        scaling.check::<T>(self.inputs())?;
        match scaling {
            Scaling::Number(factor) => self.scaled(factor),
            other => {
                self.scaling = other;
                Ok(self)
            }
        }
    }

    /// Is G applied without being stored?
    pub(crate) fn is_implicit(&self) -> bool {
        matches!(self.rows, Rows::Implicit(_))
    }
    pub(crate) fn biases(&self) -> &[T] {
        &self.biases
    }
    pub(crate) fn inputs(&self) -> usize {
        match &self.rows {
            Rows::Matrix(rows) => rows.cols(),
            Rows::Implicit(projection) => projection.cols(),
        }
    }
    pub(crate) fn dim(&self) -> usize {
        match &self.rows {
            Rows::Matrix(rows) => rows.rows(),
            Rows::Implicit(projection) => projection.rows(),
        }
    }
    pub(crate) fn scratch(&self) -> usize {
        let copy = if matches!(self.scaling, Scaling::Columns(_)) { TILE * self.inputs() } else { 0 };
        match &self.rows {
            Rows::Matrix(_) => copy,
            Rows::Implicit(projection) => copy + projection.scratch(),
        }
    }

    /// Maps one tile; row i has its biases multiplied by `multipliers[i]`, where there are any.
    pub(crate) fn tile(
        &self,
        x: MatRef<'_, T>,
        mut out: MatMut<'_, T>,
        scratch: &mut [T],
        isa: Isa,
        multipliers: Option<&[T]>,
    ) -> Result<()> {
        let inputs = self.inputs();
        let copied = if matches!(self.scaling, Scaling::Columns(_)) { TILE * inputs } else { 0 };
        let (copy, scratch) = scratch.split_at_mut(copied);
        let x = if copied > 0 {
            self.scaling.tile(x, copy);
            MatRef::new(copy, TILE, inputs, inputs)?
        } else {
            x
        };
        let width = match self.rows {
            Rows::Matrix(_) => PANEL / (TILE * size_of::<T>()),
            Rows::Implicit(_) => self.dim(),
        };
        let stride = out.stride();
        for first in (0..self.dim()).step_by(width) {
            let width = width.min(self.dim() - first);
            let panel = &mut out.data_mut()[first..];
            self.product(x, MatMut::new(panel, TILE, width, stride)?, first, scratch, isa)?;
            let biases = &self.biases[first..first + width];
            let (function, scale, factor) = (&self.function, self.scale, self.factor);
            let finite = isa.run(Apply { function, scale, factor, panel, stride, width, biases, multipliers });
            if !finite {
                self.product(x, MatMut::new(panel, TILE, width, stride)?, first, scratch, isa)?;
                return Err(self.overflow(MatRef::new(panel, TILE, width, stride)?, first));
            }
        }
        Ok(())
    }

    /// G x for the columns of one panel.
    fn product(&self, x: MatRef<'_, T>, panel: MatMut<'_, T>, first: usize, scratch: &mut [T], isa: Isa) -> Result<()> {
        match &self.rows {
            Rows::Matrix(rows) => {
                let rows = Mat::as_ref(rows).block(first..first + panel.cols(), 0..rows.cols())?;
                gemm_nt(panel, Update::Replace, T::from_f64(1.0), x, rows)
            }
            Rows::Implicit(projection) => projection.tile(x, panel, scratch, isa),
        }
    }

    /// Where G x, or what the function gets of it, first left the range.
    fn overflow(&self, z: MatRef<'_, T>, first: usize) -> Error {
        let scale = self.scale.to_f64();
        let beyond = |z: T| !z.is_finite() || !T::from_f64(scale * z.to_f64()).is_finite();
        let found = (0..TILE).find_map(|row| Some((row, z.row(row).iter().position(|&z| beyond(z))?)));
        let (row, column) = found.unwrap_or((0, 0));
        Error::Overflow {
            at: "a feature map".into(),
            what: "the argument of a feature".into(),
            precision: T::NAME,
            row,
            column: first + column,
            hint: "scale the inputs down".into(),
        }
    }
}

/// Makes a type the feature map of its field `map`, a [`Pointwise`]: an implementation for all such types is not allowed.
macro_rules! feature_map_of_field {
    ($name:ident) => {
        impl<T: $crate::kernel::Float> $crate::features::FeatureMap<T> for $name<T> {
            fn inputs(&self) -> usize {
                self.map.inputs()
            }
            fn dim(&self) -> usize {
                self.map.dim()
            }
            fn scratch(&self) -> usize {
                self.map.scratch()
            }
            fn tile(
                &self,
                x: $crate::linalg::MatRef<'_, T>,
                out: $crate::linalg::MatMut<'_, T>,
                scratch: &mut [T],
                isa: $crate::simd::Isa,
            ) -> $crate::error::Result<()> {
                self.map.tile(x, out, scratch, isa, None)
            }
        }
    };
}
pub(crate) use feature_map_of_field;

/// A map of x (d) and t (1) as one input of d + 1 columns: what Psi of an [`Snnk`](crate::snnk::Snnk) needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extended<'a, T>(pub(crate) &'a Pointwise<T>);

impl<T: Float> FeatureMap<T> for Extended<'_, T> {
    fn inputs(&self) -> usize {
        self.0.inputs() + 1
    }
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn scratch(&self) -> usize {
        self.0.scratch()
    }
    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let inputs = self.0.inputs();
        let multipliers: Vec<T> = (0..TILE).map(|i| x.row(i)[inputs]).collect();
        self.0.tile(x.block(0..TILE, 0..inputs)?, out, scratch, isa, Some(&multipliers))
    }
}

fn empty(features: usize, inputs: usize) -> Error {
    Error::Invalid {
        what: "a feature map".into(),
        expected: "at least one feature of at least one column".into(),
        found: format!("{features} features of {inputs} columns"),
        hint: "ask for more features, or give inputs with columns".into(),
    }
}

/// The number, if it is one.
pub(crate) fn finite(what: &str, x: f64) -> Result<f64> {
    if x.is_finite() { Ok(x) } else { Err(invalid(what, "f64", x)) }
}

fn invalid(what: &str, precision: &str, x: f64) -> Error {
    Error::Invalid {
        what: what.into(),
        expected: format!("a finite number of {precision}"),
        found: x.to_string(),
        hint: "leave it at its default".into(),
    }
}
