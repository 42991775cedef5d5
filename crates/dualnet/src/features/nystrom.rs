//! Nystrom features: a map whose products are the Nystrom approximation of a kernel.

use super::landmarks::columns::Tiles;
use super::landmarks::{PartialCholesky, invalid, quiet};
use super::{FeatureMap, TILE};
use crate::error::{Error, Result};
use crate::gram;
use crate::kernel::{Float, Kernel, KernelKind};
use crate::linalg::{Mat, MatMut, MatRef, Update, eigh, gemm_nn, inverse_transpose};
use crate::resources::{Resources, Silent};
use crate::simd::Isa;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Eigenvalues of K_LL below this many units of roundoff, times the root of its size and its largest entry, are rounding.
const ROUNDING: f64 = 16.0;

/// Which root W of K_LL^-1 = W W^T makes features of kernel values. The approximation is the same; the features are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// W = U S^-1/2 by the eigendecomposition K_LL = U S U^T, largest eigenvalues first; those within rounding are left out. Fewer features than
    /// landmarks are the leading directions. Cost 9 k^3 operations on one thread: for up to some thousand landmarks.
    Spectral,
    /// W = C^-T by the Cholesky decomposition K_LL = C C^T; landmarks that those before explain are left out. The first j features are the
    /// approximation by the first j landmarks, and those of RPCholesky's landmarks are its factor. Cost k^3 operations on all threads. In `f32`
    /// the spectral root amplifies the rounding of kernel values less.
    Triangular,
}

impl Root {
    /// The spectral root for up to 1,024 landmarks, since it is better in single precision; beyond, its time on one thread is too long.
    pub fn suited_to(landmarks: usize) -> Self {
        if landmarks <= 1024 { Root::Spectral } else { Root::Triangular }
    }
}

/// Phi(x) = K(x, L) W with W W^T = K_LL^+: Phi(x) . Phi(y) = K_xL K_LL^+ K_Ly, the Nystrom approximation of the kernel by the landmarks L (Williams
/// and Seeger 2001, "Using the Nystrom method to speed up kernel machines"). Exact where x or y is a landmark; never larger than K: K - Phi Phi^T is
/// positive semi-definite. It is not random once L is chosen, and not unbiased.
///
/// There are always as many features as were asked for, m: those beyond the numerical rank of K_LL ([`NystromFeatures::rank`]) are 0, so that the
/// shape of what is computed from them does not depend on the data.
///
/// With dropout K_LL has the diagonal of a fit's kernel matrix, larger than the kernel of equal samples, which shrinks the features.
///
/// A row costs k kernel values and 2 k m operations. Tiles are computed with the kernel's own threads and memory apart from the trait's
/// scratch, hence the [`Resources`] at the beginning; bits do not depend on them.
///
/// ```
/// use dualnet::features::{NystromFeatures, Root, transform};
/// use dualnet::kernel::{DenseKernel, Get, KernelKind};
/// use dualnet::{Mat, Resources, net::Net};
/// let resources = Resources::new(1)?;
/// let kernel = DenseKernel::new(&Net::parse("fc-relu-2")?, 3)?;
/// let x = Mat::from_fn(40, 3, |i, j| ((i * (j + 3)) % 7) as f64 - 3.5);
/// let landmarks = x.as_ref().select_rows(&[0, 1, 2, 3, 5, 8, 13, 21]);
/// let map = NystromFeatures::new(kernel.clone(), KernelKind::Ntk, landmarks.as_ref(), 8, Root::Spectral, &resources)?;
/// let f = transform(&map, x.as_ref(), &resources)?;
/// let k = kernel.gram(x.as_ref(), Get::Ntk, &resources)?.ntk.unwrap();
/// let product = |i, j| f.row(i).iter().zip(f.row(j)).map(|(a, b)| a * b).sum::<f64>();
/// // Row 13 is a landmark.
/// assert!(f64::abs(product(13, 30) - k[(13, 30)]) < 1e-12 * k[(13, 13)]);
/// assert!(product(30, 30) < k[(30, 30)] + 1e-12);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub struct NystromFeatures<T: Float, K: Kernel<T>> {
    kernel: K,
    kind: KernelKind,
    landmarks: Mat<T>,
    samples: K::Samples,
    /// (landmarks, features).
    weights: Mat<T>,
    rank: usize,
    resources: Resources,
    /// Scratch memory of the kernel, taken and given back by tiles.
    spare: Mutex<Vec<Tiles<T, K::Workspace>>>,
}

impl<T: Float, K: Kernel<T>> NystromFeatures<T, K> {
    /// `dim` features by the rows of `landmarks` (k, d), of which there may be more than features or fewer; duplicates do no harm.
    ///
    /// Fewer features than landmarks: the leading ones of the root. With the spectral root that is the best of its rank for the landmarks
    /// themselves.
    ///
    /// # Errors
    /// No landmarks, no features; rows that the kernel refuses; K(x, x) = 0 for all landmarks; memory.
    pub fn new(
        kernel: K,
        kind: KernelKind,
        landmarks: MatRef<'_, T>,
        dim: usize,
        root: Root,
        resources: &Resources,
    ) -> Result<Self> {
        if dim == 0 || landmarks.rows() == 0 {
            let found = format!("{} landmarks, {dim} features", landmarks.rows());
            return Err(invalid("Nystrom features", "at least one landmark and one feature", &found, "ask for more"));
        }
        let k = landmarks.rows() as u64;
        let bytes = k.saturating_mul(8 * k + (dim * size_of::<T>()) as u64);
        resources.reserve("weights of Nystrom features", bytes, "take fewer landmarks")?;
        let (rows, narrow) = match root {
            Root::Spectral => (landmarks.to_mat(), spectral(&kernel, kind, landmarks, dim, resources)?),
            Root::Triangular => triangular(&kernel, kind, landmarks, dim, resources)?,
        };
        let rank = narrow.cols();
        if rank == 0 {
            let hint = "choose rows that are not zero, or a net with biases";
            return Err(invalid("landmarks", "some with a kernel value above 0", "none", hint));
        }
        let weights = Mat::from_fn(rows.rows(), dim, |i, j| if j < rank { narrow[(i, j)] } else { T::default() });
        Self::with_parts(kernel, kind, rows, weights, resources)
    }

    /// From what [`Self::landmarks`] (k, d) and [`Self::weights`] (k, m) gave: the same bits again.
    ///
    /// # Errors
    /// Other shapes, or none at all; entries that are not finite; rows that the kernel refuses.
    pub fn with_parts(
        kernel: K,
        kind: KernelKind,
        landmarks: Mat<T>,
        weights: Mat<T>,
        resources: &Resources,
    ) -> Result<Self> {
        let (k, m) = (weights.rows(), weights.cols());
        if k == 0 || m == 0 || landmarks.rows() != k {
            return Err(Error::Shape {
                what: "parts of Nystrom features".into(),
                expected: "landmarks (k, d) and weights (k, m), k and m at least 1".into(),
                found: format!("({}, {}) and ({k}, {m})", landmarks.rows(), landmarks.cols()),
            });
        }
        weights.as_ref().check_finite("weights of Nystrom features")?;
        let used = |j: &usize| (0..k).any(|i| weights[(i, *j)] != T::default());
        let rank = (0..m).rev().find(used).map_or(0, |j| j + 1);
        let samples = kernel.prepare(landmarks.as_ref(), "landmarks", resources)?;
        let resources = resources.clone().with_progress(Arc::new(Silent));
        Ok(Self { kernel, kind, landmarks, samples, weights, rank, resources, spare: Mutex::new(Vec::new()) })
    }

    /// Which kernel.
    pub fn kind(&self) -> KernelKind {
        self.kind
    }
    /// The kernel.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }
    /// The landmarks, (k, d).
    pub fn landmarks(&self) -> &Mat<T> {
        &self.landmarks
    }
    /// W, (k, m).
    pub fn weights(&self) -> &Mat<T> {
        &self.weights
    }
    /// Number of features that are not 0 everywhere: the numerical rank of K_LL, or m if that is smaller.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Scratch memory of the kernel: that of an earlier tile, or new.
    fn tiles(&self) -> Tiles<T, K::Workspace> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Tiles::new(&self.kernel, self.kind))
    }
}

/// U S^-1/2 of K_LL, the largest eigenvalues first; at most `dim` columns.
fn spectral<T: Float, K: Kernel<T>>(
    kernel: &K,
    kind: KernelKind,
    landmarks: MatRef<'_, T>,
    dim: usize,
    resources: &Resources,
) -> Result<Mat<T>> {
    let samples = kernel.prepare(landmarks, "landmarks", resources)?;
    let among = kind.matrix(gram::symmetric_prepared(kernel, &samples, kind.get(), &quiet(resources))?)?;
    let k = among.rows();
    let largest = (0..k).map(|i| among[(i, i)].to_f64()).fold(0.0, f64::max);
    let eigen = eigh(among.as_ref().cast::<f64>().as_ref(), resources)?;
    let least = ROUNDING * T::EPS * (k as f64).sqrt() * largest;
    let rank = eigen.values.iter().rev().take(dim).take_while(|value| **value > least).count();
    let entry = |i: usize, j: usize| eigen.vectors[(k - 1 - j, i)] / eigen.values[k - 1 - j].sqrt();
    Ok(Mat::from_fn(k, rank, |i, j| T::from_f64(entry(i, j))))
}

/// The first `dim` landmarks that those before do not explain, and C^-T of their kernel matrix.
fn triangular<T: Float, K: Kernel<T>>(
    kernel: &K,
    kind: KernelKind,
    landmarks: MatRef<'_, T>,
    dim: usize,
    resources: &Resources,
) -> Result<(Mat<T>, Mat<T>)> {
    let all: Vec<usize> = (0..landmarks.rows()).collect();
    let partial = PartialCholesky::of_rows(kernel, landmarks, kind, &all, &quiet(resources))?;
    let kept = &partial.pivots()[..dim.min(partial.rank())];
    let l = Mat::from_fn(kept.len(), kept.len(), |i, j| partial.factor()[(kept[i], j)].to_f64());
    Ok((landmarks.select_rows(kept), inverse_transpose(l.as_ref(), resources)?.as_ref().cast()))
}

impl<T: Float, K: Kernel<T> + Send> FeatureMap<T> for NystromFeatures<T, K> {
    fn inputs(&self) -> usize {
        self.landmarks.cols()
    }
    fn dim(&self) -> usize {
        self.weights.cols()
    }
    fn scratch(&self) -> usize {
        TILE * self.weights.rows()
    }

    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let resources = self.resources.clone().with_isa(isa);
        let k = self.weights.rows();
        let panel = &mut scratch[..TILE * k];
        // Padding: equal rows have equal features, so one row of zeros is enough. A tile of images would cost minutes more.
        let zero = |row: &usize| x.row(*row).iter().all(|v| *v == T::default());
        let used = TILE - (0..TILE).rev().take_while(zero).count();
        let some = (used + 1).min(TILE);
        let samples = self.kernel.prepare(x.block(0..some, 0..x.cols())?, "x", &resources)?;
        let mut tiles = self.tiles();
        tiles.panel(&self.kernel, (&samples, 0, some), &self.samples, &mut panel[..some * k], &resources)?;
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(tiles);
        for row in some..TILE {
            panel.copy_within(used * k..(used + 1) * k, row * k);
        }
        let panel = MatRef::new(panel, TILE, k, k)?;
        gemm_nn(out, Update::Replace, T::from_f64(1.0), panel, self.weights.as_ref())
    }
}

impl<T: Float, K: Kernel<T>> fmt::Debug for NystromFeatures<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NystromFeatures")
            .field("kind", &self.kind)
            .field("landmarks", &(self.landmarks.rows(), self.landmarks.cols()))
            .field("features", &self.weights.cols())
            .field("rank", &self.rank)
            .finish_non_exhaustive()
    }
}
