//! Gradients of functions in the span of a kernel, f_k(x) = sum_j K(x, y_j) a_jk, with respect to x.
//!
//! The kernel is a function of c = x.y/d, p = |x|^2/d and q = |y|^2/d, so
//!
//! grad f_k(x_i) = (sum_j dK/dc_ij a_jk y_j + 2 x_i sum_j dK/dp_ij a_jk) / d:
//!
//! two numbers a pair, carried through the layers in the tiles of the kernel itself, and one matrix product an output. Nothing of
//! size n x n or n x d x d is kept.

use super::prepare::DenseSamples;
use super::slopes::{self, SampleSlopes, Scratch, Sides, StripSlopes};
use super::{DenseKernel, input, passes, strip_rows};
use crate::error::{Error, Result};
use crate::kernel::{Get, Kernel, KernelKind, TILE};
use crate::linalg::{Mat, MatMut, MatRef, Update, gemm_nn, gemm_tn_parallel};
use crate::resources::Resources;
use rayon::prelude::*;

/// The gradient of f_k(x) = sum_j K(x, y_j) a_jk, for all outputs k at any x.
///
/// Where x coincides with y_j or opposes it, or is 0, a kink makes K a cone in x: its part without a derivative counts as 0 (see
/// [`crate::dual::partials`]), and everything is finite.
///
/// ```
/// use dualnet::kernel::{DenseKernel, KernelGradient, KernelKind};
/// use dualnet::{Mat, Resources, net::Net};
/// let net = Net::parse("fc-relu-1")?;
/// let resources = Resources::new(1)?;
/// let kernel = DenseKernel::new(&net, 2)?;
/// let y = Mat::from_vec(1, 2, vec![1.0, 0.0])?;
/// let one = Mat::from_vec(1, 1, vec![1.0])?;
/// let gradient = KernelGradient::new(&kernel, KernelKind::Nngp, y.as_ref(), one.as_ref(), &resources)?;
/// // K(x, y) = (s + c (pi - theta)) 2/pi with c = x.y/2, s^2 = pq - c^2: at a right angle dK/dx = (pi/2 y + x) / pi.
/// let x = Mat::from_vec(1, 2, vec![0.0, 1.0])?;
/// let at = &gradient.at(x.as_ref(), &resources)?[0];
/// assert!((at[(0, 0)] - 0.5).abs() < 1e-15);
/// assert!((at[(0, 1)] - std::f64::consts::FRAC_1_PI).abs() < 1e-15);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Debug)]
pub struct KernelGradient<'a> {
    kernel: &'a DenseKernel,
    kind: KernelKind,
    y: DenseSamples<f64>,
    slopes: SampleSlopes,
    /// One row an output, padded with zeros to whole tiles.
    coefficients: Mat<f64>,
}

impl<'a> KernelGradient<'a> {
    /// Of the kernel `kind` with the rows of `y` (n x d) and `coefficients` (n x outputs).
    ///
    /// # Errors
    /// Shapes; numbers that are not finite; an activation whose dual has no derivatives: quadrature.
    pub fn new(
        kernel: &'a DenseKernel,
        kind: KernelKind,
        y: MatRef<'_, f64>,
        coefficients: MatRef<'_, f64>,
        resources: &Resources,
    ) -> Result<Self> {
        if coefficients.rows() != y.rows() || coefficients.cols() == 0 {
            return Err(Error::Shape {
                what: "coefficients of a gradient".into(),
                expected: format!("{} rows, as the samples, and one or more columns", y.rows()),
                found: format!("{} x {}", coefficients.rows(), coefficients.cols()),
            });
        }
        coefficients.check_finite("coefficients of a gradient")?;
        let y = Kernel::<f64>::prepare(kernel, y, "y", resources)?;
        let slopes = SampleSlopes::new(&kernel.double, &y, resources)?;
        let padded = y.len.next_multiple_of(TILE);
        let entry = |k: usize, j: usize| if j < coefficients.rows() { coefficients.row(j)[k] } else { 0.0 };
        let coefficients = Mat::from_fn(coefficients.cols(), padded, entry);
        Ok(Self { kernel, kind, y, slopes, coefficients })
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.coefficients.rows()
    }

    /// The gradient of each output at the rows of `x` (m x d): one matrix (m x d) an output. A row has the same bits alone as in any
    /// batch.
    ///
    /// Cost: per pair of rows about three times that of the kernel, and 2d operations an output.
    pub fn at(&self, x: MatRef<'_, f64>, resources: &Resources) -> Result<Vec<Mat<f64>>> {
        let (m, d) = (x.rows(), self.kernel.width);
        let mut all = vec![Mat::zeros(m, d); self.outputs()];
        self.blocks(x, resources, |first, used, block| {
            for (k, out) in all.iter_mut().enumerate() {
                for i in 0..used {
                    out.row_mut(first + i).copy_from_slice(block.row(k * TILE + i));
                }
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// G = (1/m) sum_i sum_k grad f_k(x_i) grad f_k(x_i)^T over the rows of `x` (m x d): the average gradient outer product, d x d.
    ///
    /// Memory d^2 numbers, and 128 rows a thread; cost as [`Self::at`], and 2 d^2 operations a row and output.
    pub fn outer_product(&self, x: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        let d = self.kernel.width;
        resources.reserve("a gradient outer product", 8 * (d as u64).pow(2), "use its diagonal, or raise --memory")?;
        let mut all = Mat::zeros(d, d);
        let share = 1.0 / x.rows().max(1) as f64;
        self.blocks(x, resources, |_, _, block| {
            gemm_tn_parallel(resources, all.as_mut(), Update::Add, share, block.as_ref(), block.as_ref())
        })?;
        Ok(all)
    }

    /// The diagonal of [`Self::outer_product`], without the rest of it.
    pub fn squares(&self, x: MatRef<'_, f64>, resources: &Resources) -> Result<Vec<f64>> {
        let each = self.squares_each(x, resources)?;
        Ok((0..each.cols()).map(|j| (0..each.rows()).map(|k| each[(k, j)]).sum()).collect())
    }

    /// The same for each output by itself (outputs x d): (1/m) sum_i (df_k/dx_j)^2 at the rows x_i of `x`.
    pub fn squares_each(&self, x: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
        let mut all = Mat::zeros(self.outputs(), self.kernel.width);
        let share = 1.0 / x.rows().max(1) as f64;
        self.blocks(x, resources, |_, _, block| {
            for row in 0..block.rows() {
                let sums = all.row_mut(row / TILE).iter_mut();
                sums.zip(block.row(row)).for_each(|(sum, g)| *sum += share * g * g);
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Hands the gradients of blocks of rows to `each`, in order: first row, rows used, and (outputs * 128) x d with output k from row
    /// 128 k on, zeros beyond the rows used.
    fn blocks(
        &self,
        x: MatRef<'_, f64>,
        resources: &Resources,
        mut each: impl FnMut(usize, usize, &Mat<f64>) -> Result<()>,
    ) -> Result<()> {
        let (d, m) = (self.kernel.width, x.rows());
        let threads = resources.threads();
        let block = (self.outputs() * d + 4 * TILE) * TILE * size_of::<f64>();
        resources.reserve("gradients", (threads * block) as u64, "use fewer threads, or raise --memory")?;
        let rows = Kernel::<f64>::prepare(self.kernel, x, "x", resources)?;
        let slopes = SampleSlopes::new(&self.kernel.double, &rows, resources)?;
        let count = m.div_ceil(TILE);
        for start in (0..count).step_by(threads.max(1)) {
            resources.check("gradients")?;
            resources.progress.update("gradients", start as u64, count as u64);
            let wave = start..count.min(start + threads.max(1));
            let done: Vec<Mat<f64>> = resources.install(|| {
                wave.clone().into_par_iter().map(|i| self.block(&rows, &slopes, i, resources)).collect::<Result<_>>()
            })?;
            for (i, block) in wave.zip(&done) {
                let used = TILE.min(m - i * TILE);
                block.as_ref().check_finite("gradients").map_err(|_| overflow(i * TILE))?;
                each(i * TILE, used, block)?;
            }
        }
        resources.progress.update("gradients", count as u64, count as u64);
        Ok(())
    }

    /// Row block `i`.
    fn block(
        &self,
        rows: &DenseSamples<f64>,
        of_rows: &SampleSlopes,
        i: usize,
        resources: &Resources,
    ) -> Result<Mat<f64>> {
        let (d, outputs, stride) = (self.kernel.width, self.outputs(), rows.padded_width);
        let used = TILE.min(rows.len - i * TILE);
        let mut out = Mat::zeros(outputs * TILE, d);
        let mut along = vec![0.0; outputs * TILE];
        let mut tile = Tile::new(self.kernel, self.kind);
        let mut weighted = vec![0.0; TILE * TILE];
        for j in 0..self.y.len.div_ceil(TILE) {
            tile.fill(self, (rows, of_rows, i, used), j, resources)?;
            let y = MatRef::new(&self.y.x[j * TILE * stride..(j + 1) * TILE * stride], TILE, d, stride)?;
            for k in 0..outputs {
                // Columns beyond the samples are zeros of y, and what the layers make of them may be anything.
                let a = &self.coefficients.row(k)[j * TILE..(j + 1) * TILE][..TILE.min(self.y.len - j * TILE)];
                for r in 0..used {
                    let span = r * TILE..(r + 1) * TILE;
                    let pairs = weighted[span.clone()].iter_mut().zip(&tile.in_c[span.clone()]);
                    pairs.zip(a).for_each(|((w, c), a)| *w = c * a);
                    along[k * TILE + r] += tile.in_p[span].iter().zip(a).map(|(p, a)| p * a).sum::<f64>();
                }
                let to = &mut out.as_mut_slice()[k * TILE * d..(k + 1) * TILE * d];
                let weights = MatRef::new(&weighted, TILE, TILE, TILE)?;
                gemm_nn(MatMut::new(to, TILE, d, d)?, Update::Add, 1.0 / d as f64, weights, y)?;
            }
        }
        for k in 0..outputs {
            for r in 0..TILE {
                let own = &rows.x[(i * TILE + r) * stride..][..d];
                let scale = 2.0 * along[k * TILE + r] / d as f64;
                let row = out.row_mut(k * TILE + r);
                match r < used {
                    true => row.iter_mut().zip(own).for_each(|(g, x)| *g += scale * x),
                    false => row.fill(0.0),
                }
            }
        }
        Ok(out)
    }
}

/// dK/dc and dK/dp of a tile, and what computes them.
struct Tile {
    in_c: Vec<f64>,
    in_p: Vec<f64>,
    values: Vec<f64>,
    tangent: Vec<f64>,
    delta: Vec<f64>,
    scratch: Scratch,
    get: Get,
}

impl Tile {
    fn new(kernel: &DenseKernel, kind: KernelKind) -> Self {
        let (len, get) = (strip_rows::<f64>() * TILE, kind.get());
        let t = if get.ntk() { len } else { 0 };
        let zeros = || vec![0.0; TILE * TILE];
        Self {
            in_c: zeros(),
            in_p: zeros(),
            values: zeros(),
            tangent: vec![0.0; t],
            delta: vec![0.0; len],
            scratch: Scratch::new(&kernel.double, strip_rows::<f64>(), t),
            get,
        }
    }

    /// Row block i of which `used` rows count, against column block `j`.
    fn fill(
        &mut self,
        of: &KernelGradient<'_>,
        (rows, of_rows, i, used): (&DenseSamples<f64>, &SampleSlopes, usize, usize),
        j: usize,
        resources: &Resources,
    ) -> Result<()> {
        input::inner_products(rows, i, &of.y, j, &mut self.values)?;
        let sides = Sides { rows: of_rows, cols: &of.slopes };
        let step = strip_rows::<f64>();
        for first in (0..used).step_by(step) {
            let count = step.min(used - first);
            let (span, len) = (first * TILE..(first + count) * TILE, count * TILE);
            let t = len.min(self.tangent.len());
            let at =
                passes::Place { isa: resources.isa, rows, row: i * TILE + first, count, cols: &of.y, col: j * TILE };
            let (c, delta) = (&mut self.values[span.clone()], &mut self.delta[..len]);
            let mut strip = passes::StripMut { c, delta, t: &mut self.tangent[..t] };
            input::angles(&at, &mut strip);
            let mut slopes = StripSlopes::input(len, t);
            slopes::run(&of.kernel.double.nodes, 0, &at, sides, (&mut strip, &mut slopes), &mut self.scratch);
            let StripSlopes { c_c, c_p, t_c, t_p } = slopes;
            let (in_c, in_p) = if self.get.ntk() { (t_c, t_p) } else { (c_c, c_p) };
            self.in_c[span.clone()].copy_from_slice(&in_c);
            self.in_p[span].copy_from_slice(&in_p);
        }
        Ok(())
    }
}

fn overflow(row: usize) -> Error {
    Error::Overflow {
        at: "the gradient of a kernel".into(),
        what: "an entry".into(),
        precision: "f64",
        row,
        column: 0,
        hint: "scale the input, or use an activation that does not grow as fast".into(),
    }
}
