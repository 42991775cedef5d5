//! Ridge regression on landmarks by preconditioned conjugate gradients (Falkon: Rudi, Carratino, Rosasco 2017, arXiv 1705.10958).
//!
//! ```text
//! minimise |K_nm a - y|^2 + lambda n s a^T K_mm a:    (K_nm^T K_nm + lambda n s K_mm) a = K_nm^T y
//! ```
//!
//! The preconditioner puts (n / m) K_mm^2 in the place of K_nm^T K_nm. It is the product of two functions of one matrix, which commute, so
//! that two Cholesky decompositions apply its inverse:
//!
//! ```text
//! P^-1 = (m / n) (K_mm + lambda m s I)^-1 (K_mm + jitter)^-1
//! ```

use super::columns::{dots, norms, update};
use super::landmark_pass::{Landmarks, Right, chunk_bytes};
use super::predict::cross_times;
use crate::error::{Error, Result};
use crate::kernel::{Float, Get, Kernel};
use crate::linalg::{Mat, ShiftedCholesky, Update, gemm_nn_parallel, in_range};
use crate::resources::Resources;
use crate::ridge::options::check_lambdas;
use crate::ridge::source::Source;

/// Added to the diagonal of K_mm, as a share of its trace: eigenvalues below are rounding.
const JITTER: f64 = 1e-10;

/// Options of [`fit_landmarks`].
#[derive(Clone, Debug, PartialEq)]
pub struct LandmarkOptions {
    /// Lambdas in units of the mean diagonal of K_mm: n lambda s is the weight of the penalty. Solved from the largest to the smallest.
    pub lambdas: Vec<f64>,
    /// A column has converged when the norm of its residual, as the preconditioner measures it, has fallen to this share of that of
    /// the right-hand side.
    pub tolerance: f64,
    /// Steps for each lambda, at most; one pass over the rows each.
    pub steps: usize,
}

impl Default for LandmarkOptions {
    fn default() -> Self {
        Self { lambdas: vec![1e-6], tolerance: 1e-4, steps: 50 }
    }
}

/// A model on landmarks: `f(x) = intercept + sum_j k(x, z_j) coefficients_j`.
#[derive(Clone, Debug, PartialEq)]
pub struct LandmarkFit {
    /// Lambda as it was asked for.
    pub lambda: f64,
    /// (m, outputs).
    pub coefficients: Mat<f64>,
    /// Means of the targets.
    pub intercept: Vec<f64>,
    /// Steps taken.
    pub steps: usize,
    /// Largest residual of a column, relative to its right-hand side, in the norm of the preconditioner.
    pub residual: f64,
}

impl LandmarkFit {
    /// Predictions (rows, outputs) for samples prepared by the kernel of the fit.
    ///
    /// # Errors
    /// Another number of landmarks; what the kernel reports; interruption.
    pub fn predict<T: Float, K: Kernel<T>>(
        &self,
        kernel: &K,
        get: Get,
        landmarks: &K::Samples,
        new: &K::Samples,
        resources: &Resources,
    ) -> Result<Mat<f64>> {
        let mut out = cross_times(kernel, get, new, landmarks, self.coefficients.as_ref(), resources)?;
        for row in out.as_mut_slice().chunks_exact_mut(self.intercept.len().max(1)) {
            row.iter_mut().zip(&self.intercept).for_each(|(f, b)| *f += b);
        }
        Ok(out)
    }
}

/// Fits the rows of a source on landmarks, one model a lambda, in the order they were solved: falling.
///
/// `inner` is K_mm in f64, exact. Kernels between rows and landmarks are kept (n m numbers of `T`) where the memory limit leaves room and the
/// source knows its rows, and computed anew in each pass otherwise. With them kept a step costs 4 n m outputs operations, bound by
/// memory; computed anew, n m pairs of the kernel.
///
/// The direct way is to [`accumulate`](crate::ridge::accumulate) a Nystrom map once, 3 n m^2 operations, and to solve every lambda exactly. At
/// n = 20,000, one output and one lambda it takes 1.5 times as long as this with 500 landmarks, twice with 1,000 and five times with 2,000,
/// kernels being kept (`examples/landmark_speed.rs`); for a path of many lambdas it is the better one up to some thousands.
///
/// # Errors
/// Shapes; numbers that are not finite; weights of rows; lambdas that are not positive; memory; interruption.
///
/// ```
/// use dualnet::kernel::{DenseKernel, Get, Kernel};
/// use dualnet::ridge::{ArraySource, iterative::{LandmarkOptions, fit_landmarks}};
/// use dualnet::{Mat, Resources, gram, net::Net};
/// let (kernel, resources) = (DenseKernel::new(&Net::parse("fc-relu-1")?, 1)?, Resources::new(1)?);
/// let x = Mat::from_fn(50, 1, |i, _| i as f64 / 25.0 - 1.0);
/// let y = Mat::from_fn(50, 1, |i, _| 1.0 + x[(i, 0)].abs());
/// // Without biases the kernel is homogeneous: two landmarks span all of it.
/// let z = Mat::from_vec(2, 1, vec![-1.0, 1.0])?;
/// let landmarks = Kernel::<f64>::prepare(&kernel, z.as_ref(), "landmarks", &resources)?;
/// let inner = gram::symmetric(&kernel, z.as_ref(), Get::Ntk, &resources)?.ntk.unwrap();
/// let mut source = ArraySource::new(x.as_ref(), y.as_ref(), &[], 16)?;
/// let fits = fit_landmarks((&kernel, Get::Ntk), &landmarks, &inner, &mut source, &LandmarkOptions::default(), &resources)?;
/// assert!((fits[0].intercept[0] - 1.5).abs() < 1e-12 && fits[0].steps <= 3);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn fit_landmarks<T: Float, K: Kernel<T>>(
    (kernel, get): (&K, Get),
    landmarks: &K::Samples,
    inner: &Mat<f64>,
    source: &mut dyn Source<T>,
    options: &LandmarkOptions,
    resources: &Resources,
) -> Result<Vec<LandmarkFit>> {
    let m = kernel.len(landmarks);
    check(m, inner, source.outputs(), options)?;
    let unit = super::operator::positive((0..m).map(|i| inner[(i, i)] / m as f64).sum())?;
    let each = chunk_bytes::<T>(m, kernel.side());
    let held = 16 * (m as u64).pow(2) + each;
    resources.reserve("a fit on landmarks", held, "use fewer landmarks, or raise the memory limit")?;
    let chunks = source.rows().map(|n| n.div_ceil(crate::ridge::statistics::CHUNK as u64));
    let fits = |chunks: u64| {
        resources.memory.is_some_and(|limit| chunks.saturating_mul(each) <= limit.saturating_sub(2 * held))
    };
    let kept = chunks.filter(|chunks| fits(*chunks)).map(|_| Vec::new());
    let mut rows = Landmarks { kernel, samples: landmarks, get, kept, filled: false };
    let outputs = source.outputs();
    let (right, n) = rows.pass(source, Right::Targets(outputs), resources)?;
    if n == 0 {
        return Err(Error::Invalid {
            what: "rows of a fit on landmarks".into(),
            expected: "at least one".into(),
            found: "none".into(),
            hint: "check the source".into(),
        });
    }
    let intercept = means(source, resources)?;
    let right = Mat::from_fn(m, outputs, |i, j| right[(i, j)] - intercept[j] * right[(i, outputs)]);
    let mut path = Path { rows, source, inner, unit, n: n as f64, right, options };
    path.solve(intercept, resources)
}

/// The system of one lambda after another.
struct Path<'a, 'b, T: Float, K: Kernel<T>> {
    rows: Landmarks<'a, T, K>,
    source: &'b mut dyn Source<T>,
    inner: &'b Mat<f64>,
    unit: f64,
    n: f64,
    right: Mat<f64>,
    options: &'b LandmarkOptions,
}

impl<T: Float, K: Kernel<T>> Path<'_, '_, T, K> {
    fn solve(&mut self, intercept: Vec<f64>, resources: &Resources) -> Result<Vec<LandmarkFit>> {
        let mut lambdas = self.options.lambdas.clone();
        lambdas.sort_by(|a, b| b.total_cmp(a));
        lambdas.dedup();
        let mut first = ShiftedCholesky::new(self.inner.clone(), resources);
        decompose(&mut first, JITTER * self.unit * self.inner.rows() as f64, resources)?;
        let mut second = ShiftedCholesky::new(self.inner.clone(), resources);
        let mut a = Mat::zeros(self.right.rows(), self.right.cols());
        let mut out = Vec::new();
        for lambda in lambdas {
            decompose(&mut second, lambda * self.unit * self.inner.rows() as f64, resources)?;
            let (steps, residual) = self.one(lambda, &mut a, &first, &second, resources)?;
            let coefficients = in_range(a.clone(), "coefficients of a fit on landmarks")?;
            out.push(LandmarkFit { lambda, coefficients, intercept: intercept.clone(), steps, residual });
        }
        Ok(out)
    }

    /// `(K_nm^T K_nm + lambda n s K_mm) p`.
    fn product(&mut self, lambda: f64, p: &Mat<f64>, resources: &Resources) -> Result<Mat<f64>> {
        let (mut q, _) = self.rows.pass(self.source, Right::Image(p.as_ref()), resources)?;
        let weight = lambda * self.n * self.unit;
        gemm_nn_parallel(resources, q.as_mut(), Update::Add, weight, self.inner.as_ref(), p.as_ref())?;
        Ok(q)
    }

    fn one(
        &mut self,
        lambda: f64,
        a: &mut Mat<f64>,
        first: &ShiftedCholesky,
        second: &ShiftedCholesky,
        resources: &Resources,
    ) -> Result<(usize, f64)> {
        let precondition = |r: &Mat<f64>| -> Result<Mat<f64>> {
            second.solve(first.solve(r.as_ref(), resources)?.as_ref(), resources)
        };
        let sizes = dots(&self.right, &precondition(&self.right)?, resources);
        let mut r = self.right.clone();
        if norms(a, resources).iter().any(|x| *x > 0.0) {
            let image = self.product(lambda, a, resources)?;
            r.as_mut_slice().iter_mut().zip(image.as_slice()).for_each(|(r, q)| *r -= q);
        }
        let mut z = precondition(&r)?;
        let mut rho = dots(&r, &z, resources);
        let mut p = z.clone();
        for step in 0..=self.options.steps {
            // What has no right-hand side has nothing to do.
            let share = |(rho, size): (&f64, &f64)| if *size > 0.0 { (rho.max(0.0) / size).sqrt() } else { 0.0 };
            let worst = rho.iter().zip(&sizes).map(share).fold(0.0, f64::max);
            if worst <= self.options.tolerance || step == self.options.steps {
                return Ok((step, worst));
            }
            resources.check("conjugate gradients on landmarks")?;
            let q = self.product(lambda, &p, resources)?;
            let curvature = dots(&p, &q, resources);
            let alpha =
                rho.iter().zip(&curvature).map(|(rho, c)| length(*rho, *c, step)).collect::<Result<Vec<_>>>()?;
            update(a, &p, &alpha, resources, |a, p, alpha| *a += alpha * p);
            update(&mut r, &q, &alpha, resources, |r, q, alpha| *r -= alpha * q);
            z = precondition(&r)?;
            let next = dots(&r, &z, resources);
            let beta: Vec<f64> = next.iter().zip(&rho).map(|(n, o)| if *o > 0.0 { n / o } else { 0.0 }).collect();
            update(&mut p, &z, &beta, resources, |p, z, beta| *p = z + beta * *p);
            rho = next;
        }
        Ok((self.options.steps, f64::INFINITY))
    }
}

/// The length of a step; 0 for a column that is done.
fn length(rho: f64, curvature: f64, step: usize) -> Result<f64> {
    if rho == 0.0 && curvature == 0.0 {
        return Ok(0.0);
    }
    let length = rho / curvature;
    if rho > 0.0 && curvature > 0.0 && length.is_finite() {
        return Ok(length);
    }
    Err(Error::NotPositiveDefinite {
        what: format!("the system on landmarks, met at step {step} (r.z = {rho:e}, p.Hp = {curvature:e}),"),
        pivot: step,
        hint: "raise lambda, use fewer landmarks, or compute the kernel in f64".into(),
    })
}

fn decompose(matrix: &mut ShiftedCholesky, shift: f64, resources: &Resources) -> Result<()> {
    matrix.factor(shift, resources)?.map_err(|pivot| Error::NotPositiveDefinite {
        what: "kernel of the landmarks".into(),
        pivot,
        hint: "compute it in f64, or drop landmarks that are nearly equal".into(),
    })
}

/// Means of the targets.
fn means<T: Float>(source: &mut dyn Source<T>, resources: &Resources) -> Result<Vec<f64>> {
    let (mut sums, mut rows) = (vec![0.0; source.outputs()], 0.0);
    source.restart()?;
    while let Some(batch) = source.next()? {
        resources.check("means of the targets")?;
        for i in 0..batch.y.rows() {
            sums.iter_mut().zip(batch.y.row(i)).for_each(|(s, y)| *s += y);
            rows += 1.0;
        }
    }
    Ok(sums.into_iter().map(|s| s / f64::max(rows, 1.0)).collect())
}

fn check(m: usize, inner: &Mat<f64>, outputs: usize, options: &LandmarkOptions) -> Result<()> {
    if m == 0 || outputs == 0 || (inner.rows(), inner.cols()) != (m, m) {
        return Err(Error::Shape {
            what: "fit on landmarks".into(),
            expected: format!("landmarks, outputs, and a kernel of {m} x {m}"),
            found: format!("{m} landmarks, {outputs} outputs, {} x {}", inner.rows(), inner.cols()),
        });
    }
    inner.as_ref().check_finite("kernel of the landmarks")?;
    check_lambdas(&options.lambdas)?;
    let bad = options.lambdas.iter().any(|l| *l <= 0.0) || options.steps == 0;
    if bad || !(options.tolerance > 0.0 && options.tolerance < 1.0) {
        return Err(Error::Invalid {
            what: "options of a fit on landmarks".into(),
            expected: "positive lambdas, a tolerance between 0 and 1, at least one step".into(),
            found: format!("{options:?}"),
            hint: "leave them at their defaults".into(),
        });
    }
    Ok(())
}
