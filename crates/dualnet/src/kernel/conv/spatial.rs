//! The kernel with all positions of both samples, for nets without a readout.

use super::ConvKernel;
use super::attention::matrix;
use super::run::{ConvWorkspace, Pair, Run};
use crate::error::Result;
use crate::kernel::{Float, Get, Kernel};
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;

/// NNGP and NTK of the samples `i` of one set and `j` of another at every pair of positions.
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialKernel<T> {
    /// Positions of the output along each axis, one axis of length 1 for sequences.
    pub positions: [usize; 2],
    /// Samples of the second set.
    pub columns: usize,
    /// (i, j) at `i * columns + j`: positions x positions, position (h, w) at h * width + w.
    pub nngp: Vec<Mat<T>>,
    /// Likewise.
    pub ntk: Vec<Mat<T>>,
}

impl ConvKernel {
    /// The kernel between the rows of `x` and of `y` without collapsing positions. Memory: n m N^2 values for each of the two kernels,
    /// with N positions at the end.
    ///
    /// ```
    /// use dualnet::kernel::{ConvKernel, InputShape};
    /// use dualnet::{Mat, Resources, net::Net};
    /// let net = Net::parse("layers = [{conv = {kernel = [1, 1], w_std = 1}}]")?;
    /// let kernel = ConvKernel::open(&net, &InputShape::image(1, 2, 1))?;
    /// let x = Mat::from_vec(1, 2, vec![2.0f64, 3.0])?;
    /// let k = kernel.spatial(x.as_ref(), x.as_ref(), &Resources::new(1)?)?;
    /// assert_eq!(k.nngp[0].as_slice(), [4.0, 6.0, 6.0, 9.0]);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    ///
    /// # Errors
    /// Samples of another shape or that are not finite; more memory than allowed.
    pub fn spatial<T: Float>(
        &self,
        x: MatRef<'_, T>,
        y: MatRef<'_, T>,
        resources: &Resources,
    ) -> Result<SpatialKernel<T>> {
        let program = self.program::<T>();
        let behind = program.pair.segments.last().map_or(program.grid, |s| s.behind);
        let pairs = x.rows() as u64 * y.rows() as u64;
        let needed = pairs * (behind.positions() as u64).pow(2) * 2 * size_of::<T>() as u64;
        resources.reserve("the kernel of all positions", needed, "raise --memory, or take fewer samples")?;
        let (rows, cols) = (self.prepare(x, "x", resources)?, self.prepare(y, "y", resources)?);
        let mut out = SpatialKernel {
            positions: [behind.rows, behind.cols],
            columns: cols.images.len(),
            nngp: Vec::new(),
            ntk: Vec::new(),
        };
        let mut ws = ConvWorkspace::new(program, Get::Both);
        for first in &rows.images {
            for second in &cols.images {
                let run = Run { program, isa: resources.isa };
                let end = run.run(&program.pair, &mut Pair::between(program, first, second), &mut ws)?;
                out.nngp.push(matrix(&end.c, &end));
                out.ntk.push(matrix(&end.t, &end));
                ws.take_back(end);
            }
        }
        Ok(out)
    }
}
