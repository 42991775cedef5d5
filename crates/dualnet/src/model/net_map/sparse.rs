//! Maps of sparse rows: sketched to a dense row of few columns each, which the map of a dense net takes.

use super::{MapMethod, MapOptions, NetMap, spread};
use crate::error::{Error, Result};
use crate::features::{SparseInput, compressed, transform};
use crate::gram;
use crate::kernel::{Float, InputShape, NetKernel};
use crate::linalg::{Mat, MatRef, SparseRows};
use crate::model::relative_error;
use crate::net::Net;
use crate::resources::Resources;

/// Fewest columns of a sketch of sparse rows.
const LEAST: usize = 16;

/// Relative errors in the Frobenius norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SparseError {
    /// Of the features against the exact kernel of the rows as they are.
    pub kernel: f64,
    /// Of the products of the rows themselves, by the sketch of the input; 0 where it has as many columns as the rows.
    pub input: f64,
}

impl<T: Float> NetMap<T> {
    /// Draws a map of sparse rows of `columns` columns: an OSNAP sketch to a power of two of columns, at most half as many as features
    /// ([`SparseInput`]), and the map of a dense net of these. Nothing depends on rows.
    ///
    /// # Errors
    /// A method that chooses landmarks, a net over positions, one whose kernel depends on the number of columns (the standard parameterization);
    /// those of the method; memory.
    pub fn make_sparse(net: &Net, columns: usize, options: MapOptions, resources: &Resources) -> Result<Self> {
        let refuse = |what: &str, hint: &str| {
            Err(Error::Unsupported { at: "features of sparse rows".into(), what: what.into(), hint: hint.into() })
        };
        if matches!(options.method, MapMethod::Nystrom | MapMethod::RpCholesky) {
            return refuse("a method that chooses landmarks among the rows", "take random or sketch");
        }
        if net.is_spatial() {
            return refuse("a net over images or sequences", "take a dense net");
        }
        let half = (options.dim / 2).max(LEAST);
        let width = if half.is_power_of_two() { half } else { half.next_power_of_two() / 2 };
        let input = SparseInput::draw(columns, width, resources)?;
        if input.is_sketched() && net.ops(columns)? != net.ops(input.width())? {
            let hint = "use the ntk parameterization";
            return refuse("a net whose kernel depends on the number of columns (the standard parameterization)", hint);
        }
        let shape = InputShape::vector(input.width());
        let none = MatRef::new(&[], 0, input.width(), input.width())?;
        let map = Self::make(net, &shape, options, none, resources)?;
        Ok(Self { input: Some(input), ..map })
    }

    /// What makes sparse rows dense, if the map is one of sparse rows.
    pub fn input(&self) -> Option<&SparseInput<T>> {
        self.input.as_ref()
    }

    /// Features of `count` rows of `x` from row `first` on.
    ///
    /// # Errors
    /// A map of dense rows; another number of columns; those of [`transform`].
    pub fn transform_sparse(
        &self,
        x: &SparseRows<T>,
        first: usize,
        count: usize,
        resources: &Resources,
    ) -> Result<Mat<T>> {
        let rows = self.sparse_input()?.dense(x, first, count, resources)?;
        transform(self, rows.as_ref(), resources)
    }

    /// Errors among up to `most` rows of `x`, spread evenly, against the exact kernel of the rows as they are. Memory: those rows with the
    /// columns that any of them has.
    ///
    /// # Errors
    /// As [`Self::transform_sparse`], and those of the kernel.
    pub fn sparse_error(&self, x: &SparseRows<T>, most: usize, resources: &Resources) -> Result<SparseError> {
        let input = self.sparse_input()?;
        let rows = spread(x.rows(), most);
        let mut dense = Mat::zeros(rows.len(), input.width());
        for (i, &row) in rows.iter().enumerate() {
            dense.row_mut(i).copy_from_slice(input.dense(x, row, 1, resources)?.row(0));
        }
        let some = if input.is_sketched() { compressed(x, &rows) } else { dense.clone() };
        let products = |x: &Mat<T>| {
            let dot =
                |i: usize, j: usize| x.row(i).iter().zip(x.row(j)).map(|(a, b)| a.to_f64() * b.to_f64()).sum::<f64>();
            Mat::from_fn(x.rows(), x.rows(), |i, j| T::from_f64(dot(i, j) / x.cols() as f64))
        };
        let factor = T::from_f64((input.width() as f64).powf(-0.5));
        let scaled = Mat::from_fn(dense.rows(), dense.cols(), |i, j| dense[(i, j)] * factor);
        let error = if input.is_sketched() { relative_error(&scaled, &products(&some)) } else { 0.0 };
        let kernel = NetKernel::new(&self.net, &InputShape::vector(some.cols()))?;
        let kind = self.options.kind;
        let exact = kind.matrix(gram::symmetric(&kernel, some.as_ref(), kind.get(), resources)?)?;
        let features = transform(self, dense.as_ref(), resources)?;
        Ok(SparseError { kernel: relative_error(&features, &exact), input: error })
    }

    fn sparse_input(&self) -> Result<&SparseInput<T>> {
        self.input.as_ref().ok_or_else(|| Error::Invalid {
            what: "rows of a feature map".into(),
            expected: format!("dense rows of {} columns, as it was made for", self.shape.width()),
            found: "sparse rows".into(),
            hint: "make a map of sparse rows".into(),
        })
    }
}
