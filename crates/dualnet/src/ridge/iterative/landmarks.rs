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

use super::columns::{dots, update};
use super::landmark_pass::{Landmarks, Passed, Right, chunk_bytes};
use super::options::better;
use super::predict::cross_times;
use super::solve::HoldoutScore;
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
    /// Lambdas in units of the mean diagonal of K_mm: n lambda s is the weight of the penalty. Solved from the largest to the smallest,
    /// each from the solution of the one before.
    pub lambdas: Vec<f64>,
    /// A column has converged when the norm of its residual, as the preconditioner measures it, has fallen to this share of that of
    /// the right-hand side.
    pub tolerance: f64,
    /// Steps for each lambda, at most; one pass over the rows each.
    pub steps: usize,
    /// Rows that are left out to choose lambda by, counted from 0 and ascending; empty: none. The model is fitted to all rows afterwards.
    pub holdout: Vec<usize>,
    /// A smaller lambda must lower the error of the rows held out by this share, or the path ends with the one before it. 0: all are solved,
    /// and the least error wins.
    pub gain: f64,
    /// Bytes that kernels between rows and landmarks may take; what has no room is computed anew in each pass, to the same bits.
    pub room: u64,
}

impl Default for LandmarkOptions {
    fn default() -> Self {
        Self { lambdas: vec![1e-6], tolerance: 1e-4, steps: 50, holdout: Vec::new(), gain: 0.0, room: 1 << 30 }
    }
}

/// A model on landmarks: `f(x) = intercept + sum_j k(x, z_j) coefficients_j`.
#[derive(Clone, Debug, PartialEq)]
pub struct LandmarkFit {
    /// Lambda as it was asked for.
    pub lambda: f64,
    /// What a fit to the rows themselves would add to the diagonal of their kernel.
    pub lambda_absolute: f64,
    /// (m, outputs).
    pub coefficients: Mat<f64>,
    /// Means of the targets.
    pub intercept: Vec<f64>,
    /// Steps taken.
    pub steps: usize,
    /// Largest true residual of a column, relative to its right-hand side, in the norm of the preconditioner.
    pub residual: f64,
    /// The rows held out, if any.
    pub holdout: Option<HoldoutScore>,
}

/// Models along a path of lambdas.
#[derive(Clone, Debug, PartialEq)]
pub struct LandmarkPath {
    /// One for each lambda that was solved, falling.
    pub points: Vec<LandmarkFit>,
    /// Index of the one with the least error of the rows held out; without any, of the last.
    pub best: usize,
    /// That lambda again, fitted to all rows.
    pub refit: Option<LandmarkFit>,
}

impl LandmarkPath {
    /// The model that was chosen, fitted to all rows.
    pub fn chosen(&self) -> &LandmarkFit {
        self.refit.as_ref().unwrap_or(&self.points[self.best])
    }
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

/// Fits the rows of a source on landmarks along a path of lambdas.
///
/// `inner` is K_mm in f64, exact. Kernels between rows and landmarks are kept (n m numbers of `T`) as far as there is
/// [`room`](LandmarkOptions::room), and computed anew in each pass otherwise. With them kept a step costs 4 n m outputs operations, bound by
/// memory; computed anew, n m pairs of the kernel.
///
/// Rows held out are rows of K_nm as all others: the pass that checks the solution of a lambda predicts them.
///
/// The direct way is to [`accumulate`](crate::ridge::accumulate) a Nystrom map once, 3 n m^2 operations, and to solve every lambda exactly. At
/// n = 20,000, one output and one lambda it takes 1.5 times as long as this with 500 landmarks, twice with 1,000 and five times with 2,000,
/// kernels being kept (`examples/landmark_fit_speed.rs`); for a path of many lambdas it is the better one up to some thousands.
///
/// # Errors
/// Shapes; numbers that are not finite; weights of rows; lambdas that are not positive; rows held out that do not ascend or do not exist, or all
/// rows; memory; interruption.
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
/// let options = LandmarkOptions { lambdas: vec![1e-1, 1e-6], holdout: vec![3, 40], ..Default::default() };
/// let path = fit_landmarks((&kernel, Get::Ntk), &landmarks, &inner, &mut source, &options, &resources)?;
/// assert_eq!(path.chosen().lambda, 1e-6);
/// assert!((path.chosen().intercept[0] - 1.5).abs() < 1e-12 && path.chosen().steps <= 3);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn fit_landmarks<T: Float, K: Kernel<T>>(
    (kernel, get): (&K, Get),
    landmarks: &K::Samples,
    inner: &Mat<f64>,
    source: &mut dyn Source<T>,
    options: &LandmarkOptions,
    resources: &Resources,
) -> Result<LandmarkPath> {
    let m = kernel.len(landmarks);
    check(m, inner, source.outputs(), options)?;
    let unit = super::operator::positive((0..m).map(|i| inner[(i, i)] / m as f64).sum())?;
    let held = 16 * (m as u64).pow(2) + chunk_bytes::<T>(m, kernel.side());
    resources.reserve("a fit on landmarks", held, "use fewer landmarks, or raise the memory limit")?;
    let rows = Landmarks::new(kernel, landmarks, get, options.room);
    let path = Path { rows, source, inner, unit, options, first: decomposed(inner, unit, resources)? };
    path.solve(resources)
}

/// The system of one lambda after another.
struct Path<'a, 'b, T: Float, K: Kernel<T>> {
    rows: Landmarks<'a, T, K>,
    source: &'b mut dyn Source<T>,
    inner: &'b Mat<f64>,
    unit: f64,
    options: &'b LandmarkOptions,
    /// K_mm with its jitter.
    first: ShiftedCholesky,
}

/// The rows that are fitted, and what they want.
struct Side<'a> {
    left_out: &'a [usize],
    /// Rows fitted.
    n: f64,
    /// Means of their targets.
    intercept: Vec<f64>,
    /// `K_nm^T (y - intercept)`.
    right: Mat<f64>,
    /// Targets of the rows left out.
    held: Mat<f64>,
}

/// A, and `K_nm^T K_nm A` over the rows fitted.
#[derive(Clone)]
struct State {
    a: Mat<f64>,
    image: Mat<f64>,
}

impl<T: Float, K: Kernel<T>> Path<'_, '_, T, K> {
    fn solve(mut self, resources: &Resources) -> Result<LandmarkPath> {
        let mut lambdas = self.options.lambdas.clone();
        lambdas.sort_by(|a, b| b.total_cmp(a));
        lambdas.dedup();
        let mut second = ShiftedCholesky::new(self.inner.clone(), resources);
        let side = self.side(&self.options.holdout, resources)?;
        let zeros = Mat::zeros(self.inner.rows(), side.intercept.len());
        let mut state = State { a: zeros.clone(), image: zeros };
        let (mut points, mut best): (Vec<LandmarkFit>, Option<(usize, Mat<f64>)>) = (Vec::new(), None);
        for lambda in lambdas {
            let point = self.one(lambda, &side, &mut state, &mut second, resources)?;
            let error = |p: &LandmarkFit| p.holdout.as_ref().map(|h| h.mse);
            let known = best.as_ref().and_then(|(best, _): &(usize, _)| error(&points[*best]));
            let taken = better(error(&point), known, self.options.gain);
            if taken {
                best = Some((points.len(), state.a.clone()));
            }
            points.push(point);
            if !taken && self.options.gain > 0.0 {
                break;
            }
        }
        let Some((best, a)) = best else { return Err(rowless()) };
        let mut refit = None;
        if !side.left_out.is_empty() {
            let side = self.side(&[], resources)?;
            let Passed { products: image, .. } =
                self.rows.pass(self.source, Right::Image(a.as_ref()), &[], resources)?;
            let lambda = points[best].lambda;
            refit = Some(self.one(lambda, &side, &mut State { a, image }, &mut second, resources)?);
        }
        Ok(LandmarkPath { points, best, refit })
    }

    /// What the rows that are not left out want.
    fn side<'s>(&mut self, left_out: &'s [usize], resources: &Resources) -> Result<Side<'s>> {
        let outputs = self.source.outputs();
        let Passed { products, .. } = self.rows.pass(self.source, Right::Targets(outputs), left_out, resources)?;
        let Targets { n, means: intercept, held } = targets(self.source, left_out, resources)?;
        if n == 0.0 || held.rows() < left_out.len() {
            return Err(rowless());
        }
        let right =
            Mat::from_fn(products.rows(), outputs, |i, j| products[(i, j)] - intercept[j] * products[(i, outputs)]);
        Ok(Side { left_out, n, intercept, right, held })
    }

    /// Adds `weight K_mm p`.
    fn penalise(&self, q: &mut Mat<f64>, weight: f64, p: &Mat<f64>, resources: &Resources) -> Result<()> {
        gemm_nn_parallel(resources, q.as_mut(), Update::Add, weight, self.inner.as_ref(), p.as_ref())
    }

    fn one(
        &mut self,
        lambda: f64,
        side: &Side<'_>,
        state: &mut State,
        second: &mut ShiftedCholesky,
        resources: &Resources,
    ) -> Result<LandmarkFit> {
        decompose(second, lambda * self.unit * self.inner.rows() as f64, resources)?;
        let weight = lambda * side.n * self.unit;
        let sizes = {
            let z = self.precondition(second, &side.right, resources)?;
            dots(&side.right, &z, resources)
        };
        let mut r = self.residual(side, state, weight, resources)?;
        let mut z = self.precondition(second, &r, resources)?;
        let mut rho = dots(&r, &z, resources);
        let mut p = z.clone();
        let mut steps = 0;
        while worst(&rho, &sizes) > self.options.tolerance && steps < self.options.steps {
            resources.check("conjugate gradients on landmarks")?;
            let Passed { products: mut q, .. } =
                self.rows.pass(self.source, Right::Image(p.as_ref()), side.left_out, resources)?;
            self.penalise(&mut q, weight, &p, resources)?;
            let curvature = dots(&p, &q, resources);
            let alpha =
                rho.iter().zip(&curvature).map(|(rho, c)| length(*rho, *c, steps)).collect::<Result<Vec<_>>>()?;
            update(&mut state.a, &p, &alpha, resources, |a, p, alpha| *a += alpha * p);
            update(&mut r, &q, &alpha, resources, |r, q, alpha| *r -= alpha * q);
            z = self.precondition(second, &r, resources)?;
            let next = dots(&r, &z, resources);
            let beta: Vec<f64> = next.iter().zip(&rho).map(|(n, o)| if *o > 0.0 { n / o } else { 0.0 }).collect();
            update(&mut p, &z, &beta, resources, |p, z, beta| *p = z + beta * *p);
            rho = next;
            steps += 1;
        }
        let Passed { products, images } =
            self.rows.pass(self.source, Right::Image(state.a.as_ref()), side.left_out, resources)?;
        state.image = products;
        let r = self.residual(side, state, weight, resources)?;
        let z = self.precondition(second, &r, resources)?;
        let residual = worst(&dots(&r, &z, resources), &sizes);
        Ok(LandmarkFit {
            lambda,
            lambda_absolute: weight,
            coefficients: in_range(state.a.clone(), "coefficients of a fit on landmarks")?,
            intercept: side.intercept.clone(),
            steps,
            residual,
            holdout: (!side.left_out.is_empty()).then(|| side.score(images)),
        })
    }

    /// `K_nm^T (y - K_nm a) - weight K_mm a`.
    fn residual(&self, side: &Side<'_>, state: &State, weight: f64, resources: &Resources) -> Result<Mat<f64>> {
        let mut r = side.right.clone();
        r.as_mut_slice().iter_mut().zip(state.image.as_slice()).for_each(|(r, q)| *r -= q);
        self.penalise(&mut r, -weight, &state.a, resources)?;
        Ok(r)
    }

    fn precondition(&self, second: &ShiftedCholesky, r: &Mat<f64>, resources: &Resources) -> Result<Mat<f64>> {
        second.solve(self.first.solve(r.as_ref(), resources)?.as_ref(), resources)
    }
}

impl Side<'_> {
    /// Of `K_nm a` in the rows left out.
    fn score(&self, mut images: Mat<f64>) -> HoldoutScore {
        let mut sum = 0.0;
        for (i, row) in images.as_mut_slice().chunks_exact_mut(self.intercept.len().max(1)).enumerate() {
            for ((f, b), y) in row.iter_mut().zip(&self.intercept).zip(self.held.row(i)) {
                *f += b;
                sum += (*f - y).powi(2);
            }
        }
        HoldoutScore { mse: sum / (images.rows() * images.cols()).max(1) as f64, predictions: images }
    }
}

/// Largest residual of a column; what has no right-hand side has nothing to do.
fn worst(rho: &[f64], sizes: &[f64]) -> f64 {
    let share = |(rho, size): (&f64, &f64)| if *size > 0.0 { (rho.max(0.0) / size).sqrt() } else { 0.0 };
    rho.iter().zip(sizes).map(share).fold(0.0, f64::max)
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

/// K_mm with a jitter.
fn decomposed(inner: &Mat<f64>, unit: f64, resources: &Resources) -> Result<ShiftedCholesky> {
    let mut matrix = ShiftedCholesky::new(inner.clone(), resources);
    decompose(&mut matrix, JITTER * unit * inner.rows() as f64, resources)?;
    Ok(matrix)
}

fn decompose(matrix: &mut ShiftedCholesky, shift: f64, resources: &Resources) -> Result<()> {
    matrix.factor(shift, resources)?.map_err(|pivot| Error::NotPositiveDefinite {
        what: "kernel of the landmarks".into(),
        pivot,
        hint: "compute it in f64, or drop landmarks that are nearly equal".into(),
    })
}

/// Rows fitted, means of their targets, and the targets of the others.
struct Targets {
    n: f64,
    means: Vec<f64>,
    held: Mat<f64>,
}

fn targets<T: Float>(source: &mut dyn Source<T>, left_out: &[usize], resources: &Resources) -> Result<Targets> {
    let outputs = source.outputs();
    let (mut means, mut n, mut at, mut held) = (vec![0.0; outputs], 0.0, 0, Vec::new());
    source.restart()?;
    while let Some(batch) = source.next()? {
        resources.check("means of the targets")?;
        for i in 0..batch.y.rows() {
            match left_out.binary_search(&(at + i)) {
                Ok(_) => held.extend_from_slice(batch.y.row(i)),
                Err(_) => {
                    means.iter_mut().zip(batch.y.row(i)).for_each(|(s, y)| *s += y);
                    n += 1.0;
                }
            }
        }
        at += batch.y.rows();
    }
    means.iter_mut().for_each(|s| *s /= f64::max(n, 1.0));
    Ok(Targets { n, means, held: Mat::from_vec(held.len() / outputs.max(1), outputs, held)? })
}

fn rowless() -> Error {
    Error::Invalid {
        what: "rows of a fit on landmarks".into(),
        expected: "at least one to fit to, and all that are held out".into(),
        found: "fewer".into(),
        hint: "check the source, and count rows from 0".into(),
    }
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
    let ascending = options.holdout.windows(2).all(|pair| pair[0] < pair[1]);
    let bad = options.lambdas.iter().any(|l| *l <= 0.0) || options.steps == 0 || !ascending;
    if bad || !(0.0..1.0).contains(&options.gain) || !(options.tolerance > 0.0 && options.tolerance < 1.0) {
        return Err(Error::Invalid {
            what: "options of a fit on landmarks".into(),
            expected: "positive lambdas, tolerance and gain below 1, at least one step, ascending rows held out".into(),
            found: format!("{options:?}"),
            hint: "leave them at their defaults".into(),
        });
    }
    Ok(())
}
