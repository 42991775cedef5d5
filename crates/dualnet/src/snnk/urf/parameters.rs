//! Psi: the side of the parameters.

use super::map::{Limit, UrfMap, norm};
use super::passes::PsiPass;
use crate::error::{Error, Result};
use crate::features::{FeatureMap, TILE, transform};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef};
use crate::resources::Resources;
use crate::simd::Isa;
use crate::snnk::Snnk;

impl<T: Float> Snnk<T> for UrfMap<T> {
    /// Also refused: rows beyond the [`Limit`] of the options, and rows whose features all vanish in `T` though the function does not.
    fn psi(&self, weights: MatRef<'_, T>, biases: &[T], resources: &Resources) -> Result<Mat<T>> {
        let joined = join(weights, biases, self.inputs())?;
        if let Limit::Error { error, input_norm } = self.options().limit {
            for i in 0..weights.rows() {
                self.allow(input_norm, norm(weights.row(i)), error).map_err(|e| at_row(e, i))?;
            }
        }
        let psi = transform(&Parameters(self), joined.as_ref(), resources).map_err(of_parameters)?;
        let silent = self.atoms.weight.iter().all(|&w| w == (0.0, 0.0));
        if let Some(row) = (0..psi.rows()).find(|&i| !silent && psi.row(i).iter().all(|x| *x == T::default())) {
            return Err(Error::Invalid {
                what: format!("weights of a layer, row {row}"),
                expected: format!("a norm whose features are within the range of {}", T::NAME),
                found: format!("norm {:.3e}, for which every feature is 0", norm(weights.row(row))),
                hint: "scale the weights down, or use ReLU features".into(),
            });
        }
        Ok(psi)
    }
}

/// Psi as a map of rows (w, b), so that it is computed by the same tiles as Phi.
#[derive(Debug)]
struct Parameters<'a, T>(&'a UrfMap<T>);

impl<T: Float> FeatureMap<T> for Parameters<'_, T> {
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
        let (stride, out) = (out.stride(), out.into_data());
        self.0.project(x.block(0..TILE, 0..self.0.inputs())?, out, stride, scratch, isa)?;
        isa.run(PsiPass { columns: &self.0.columns, x, out, stride, m: self.0.features() });
        Ok(())
    }
}

/// Rows (w, b), all finite.
pub(super) fn join<T: Float>(weights: MatRef<'_, T>, biases: &[T], inputs: usize) -> Result<Mat<T>> {
    let l = weights.rows();
    if weights.cols() != inputs || !(biases.is_empty() || biases.len() == l) {
        return Err(Error::Shape {
            what: "parameters of a layer".into(),
            expected: format!("weights {l} x {inputs}, with no biases or {l}"),
            found: format!("weights {l} x {}, with {} biases", weights.cols(), biases.len()),
        });
    }
    weights.check_finite("weights of a layer")?;
    MatRef::new(biases, biases.len(), 1, 1)?.check_finite("biases of a layer")?;
    let bias = |i: usize| biases.get(i).copied().unwrap_or_default();
    Ok(Mat::from_fn(l, inputs + 1, |i, j| if j < inputs { weights.row(i)[j] } else { bias(i) }))
}

/// The error of a tile, of parameters.
fn of_parameters(error: Error) -> Error {
    match error {
        Error::Overflow { precision, row, column, .. } => Error::Overflow {
            at: "Psi of universal random features".into(),
            what: "a feature of the parameters".into(),
            precision,
            row,
            column,
            hint: "scale the weights down, take a larger constant s or A < 0, or use ReLU features".into(),
        },
        other => other,
    }
}

/// An error about norms, with the row that has them.
fn at_row(error: Error, row: usize) -> Error {
    match error {
        Error::Invalid { what, expected, found, hint } => {
            Error::Invalid { what: format!("row {row} of the weights: {what}"), expected, found, hint }
        }
        other => other,
    }
}
