//! Preprocessing of images, learned on the training images.

use super::{Augment, Images, Whiten};
use crate::error::{Error, Result};
use crate::kernel::InputShape;
use crate::linalg::gemm::ROW_BLOCK;
use crate::linalg::{Mat, MatRef, Update, eigh, gemm_nn_parallel, gemm_tn_parallel};
use crate::model::invalid;
use crate::resources::Resources;

/// What is added to the covariance, in units of its mean eigenvalue: the value of Han et al. 2022, "Fast neural kernel embeddings for general
/// activations" (code supplement), for Myrtle kernels of CIFAR-10.
pub const ZCA_REGULARISATION: f64 = 0.1;

/// Images at a time.
const BATCH: usize = 8 * ROW_BLOCK;

/// How images of one shape become rows that a kernel sees.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Whitening {
    pub shape: InputShape,
    pub step: Step,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    None,
    /// (x - mean) * factor, for each channel.
    Channels {
        mean: Vec<f64>,
        factor: Vec<f64>,
    },
    /// (x - mean) roots.
    Zca {
        mean: Vec<f64>,
        roots: Mat<f64>,
    },
}

impl Whitening {
    /// Learns from the training images. With flips, from them and their flips, so that flipping before and after is the same.
    pub fn learn(images: &Images, whiten: Whiten, augment: Augment, resources: &Resources) -> Result<Self> {
        let shape = images.shape().clone();
        let step = match whiten {
            Whiten::None => Step::None,
            Whiten::Mean => channels(images),
            Whiten::Zca => zca(images, augment, resources)?,
        };
        Ok(Self { shape, step })
    }

    /// The rows (n x values) of new images.
    pub fn apply(&self, images: &Images, resources: &Resources) -> Result<Mat<f32>> {
        self.check(images)?;
        let out = match &self.step {
            Step::None => return Ok(images.values().clone()),
            Step::Channels { mean, factor } => standardised(images, mean, factor),
            Step::Zca { mean, roots } => decorrelated(images, mean, roots, resources)?,
        };
        out.as_ref().check_finite("the preprocessed images")?;
        Ok(out)
    }

    /// Refuses images of another shape.
    pub fn check(&self, images: &Images) -> Result<()> {
        if images.shape() == &self.shape {
            return Ok(());
        }
        let expected = format!("{} (height x width x channels), as in training", self.shape);
        Err(Error::Shape { what: "new images".into(), expected, found: images.shape().to_string() })
    }
}

/// (x - mean) * factor, for each channel.
fn standardised(images: &Images, mean: &[f64], factor: &[f64]) -> Mat<f32> {
    let mut out = images.values().clone();
    for pixel in out.as_mut_slice().chunks_exact_mut(mean.len()) {
        for ((x, mean), factor) in pixel.iter_mut().zip(mean).zip(factor) {
            *x = ((f64::from(*x) - mean) * factor) as f32;
        }
    }
    out
}

/// (x - mean) roots.
fn decorrelated(images: &Images, mean: &[f64], roots: &Mat<f64>, resources: &Resources) -> Result<Mat<f32>> {
    let (n, d) = (images.len(), mean.len());
    let mut out = Mat::zeros(n, d);
    for start in (0..n).step_by(BATCH) {
        resources.check("whitening")?;
        let end = n.min(start + BATCH);
        let rows = centred(images, start..end, mean);
        let mut part = Mat::zeros(rows.rows(), d);
        gemm_nn_parallel(resources, part.as_mut(), Update::Replace, 1.0, rows.as_ref(), roots.as_ref())?;
        for i in start..end {
            let from = part.row(i - start);
            out.row_mut(i).iter_mut().zip(from).for_each(|(out, x)| *out = *x as f32);
        }
    }
    Ok(out)
}

/// Mean and spread of each channel over all images and positions.
fn channels(images: &Images) -> Step {
    let channels = images.shape().channels;
    let values = images.values().as_slice();
    let count = (values.len() / channels) as f64;
    let sum = |f: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        let mut sums = vec![0.0; channels];
        for pixel in values.chunks_exact(channels) {
            for (c, x) in pixel.iter().enumerate() {
                sums[c] += f(c, f64::from(*x));
            }
        }
        sums.into_iter().map(|s| s / count).collect()
    };
    let mean = sum(&|_, x| x);
    let variance = sum(&|c, x| (x - mean[c]).powi(2));
    // A channel that never varies is 0 throughout.
    let factor = variance.iter().map(|v| if *v > 0.0 { 1.0 / v.sqrt() } else { 1.0 }).collect();
    Step::Channels { mean, factor }
}

fn zca(images: &Images, augment: Augment, resources: &Resources) -> Result<Step> {
    let (n, d) = (images.len(), images.shape().width());
    // Covariance, eigenvectors twice, roots, workspace.
    let needed = 56 * (d as u64).saturating_pow(2);
    resources.reserve("ZCA", needed, "use --whiten mean, smaller images, or raise --memory")?;
    let mut mean = vec![0.0; d];
    for i in 0..n {
        let row = images.values().row(i);
        mean.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x) / n as f64);
    }
    let mirror = mirrored_places(images.shape());
    if augment == Augment::Flip {
        mean = (0..d).map(|j| 0.5 * (mean[j] + mean[mirror[j]])).collect();
    }
    let mut covariance = Mat::zeros(d, d);
    for start in (0..n).step_by(BATCH) {
        resources.check("whitening")?;
        resources.progress.update("whitening", start as u64, n as u64);
        let rows = centred(images, start..n.min(start + BATCH), &mean);
        let scale = 1.0 / n as f64;
        gemm_tn_parallel(resources, covariance.as_mut(), Update::Add, scale, rows.as_ref(), rows.as_ref())?;
    }
    resources.progress.update("whitening", n as u64, n as u64);
    if augment == Augment::Flip {
        let of_flips = |i, j| 0.5 * (covariance[(i, j)] + covariance[(mirror[i], mirror[j])]);
        covariance = Mat::from_fn(d, d, of_flips);
    }
    Ok(Step::Zca { mean, roots: inverse_root(covariance.as_ref(), resources)? })
}

/// (C + r I)^(-1/2), r a part of the mean eigenvalue.
fn inverse_root(covariance: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
    let d = covariance.rows();
    let mean = (0..d).map(|i| covariance.row(i)[i]).sum::<f64>() / d as f64;
    if !(mean.is_finite() && mean > f64::MIN_POSITIVE) {
        let hint = "check the images: all may be the same";
        return Err(invalid("the images for ZCA", "values that vary", &format!("variance {mean:e}"), hint));
    }
    let e = eigh(covariance, resources)?;
    // Rounding may take an eigenvalue of 0 below it.
    let root = |i: usize| (e.values[i].max(0.0) + ZCA_REGULARISATION * mean).sqrt();
    let scaled = Mat::from_fn(d, d, |i, j| e.vectors[(i, j)] / root(i));
    let mut roots = Mat::zeros(d, d);
    gemm_tn_parallel(resources, roots.as_mut(), Update::Replace, 1.0, e.vectors.as_ref(), scaled.as_ref())?;
    Ok(roots)
}

/// Some images less the mean, with rows of zeros up to whole blocks of a product: an image alone then gives the same bits.
fn centred(images: &Images, range: std::ops::Range<usize>, mean: &[f64]) -> Mat<f64> {
    let mut rows = Mat::zeros(range.len().next_multiple_of(ROW_BLOCK), mean.len());
    for (at, i) in range.enumerate() {
        let values = images.values().row(i).iter().zip(mean);
        rows.row_mut(at).iter_mut().zip(values).for_each(|(out, (x, m))| *out = f64::from(*x) - m);
    }
    rows
}

/// Where each value of an image comes to lie when it is flipped.
fn mirrored_places(shape: &InputShape) -> Vec<usize> {
    let (width, channels) = (shape.positions.last().copied().unwrap_or(1), shape.channels);
    let line = width * channels;
    let place = |at: usize| at / line * line + (width - 1 - at % line / channels) * channels + at % channels;
    (0..shape.width()).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(n: usize) -> Images {
        let mut draws = crate::random::Draws::new(3, crate::random::Purpose::ROWS, 0);
        let mut row = [0.0; 12];
        let values = Mat::from_fn(n, 12, |_, j| {
            // Neighbours go together.
            row[j] = draws.normal() as f32 + if j > 0 { 0.8 * row[j - 1] } else { 2.0 };
            row[j]
        });
        Images::new(InputShape::image(2, 3, 2), values).unwrap_or_else(|e| unreachable!("{e}"))
    }

    fn learned(n: usize, whiten: Whiten, augment: Augment) -> (Images, Whitening, Mat<f32>) {
        let (images, resources) = (images(n), Resources::new(1).unwrap_or_else(|e| unreachable!("{e}")));
        let learn = || {
            let whitening = Whitening::learn(&images, whiten, augment, &resources)?;
            let x = whitening.apply(&images, &resources)?;
            Ok::<_, Error>((whitening, x))
        };
        let (whitening, x) = learn().unwrap_or_else(|e| unreachable!("{e}"));
        (images, whitening, x)
    }

    #[test]
    fn channels_are_standardised() {
        let (_, _, x) = learned(200, Whiten::Mean, Augment::None);
        for c in 0..2 {
            let values: Vec<f64> = x.as_slice().iter().skip(c).step_by(2).map(|&v| f64::from(v)).collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
        }
    }

    /// W (C + r I) W = I, with C by its definition.
    #[test]
    fn roots_undo_the_regularised_covariance() {
        for augment in [Augment::None, Augment::Flip] {
            let (images, whitening, _) = learned(1500, Whiten::Zca, augment);
            let Step::Zca { mean, roots } = &whitening.step else { unreachable!() };
            let mirror = mirrored_places(images.shape());
            let mut rows: Vec<Vec<f64>> =
                (0..1500).map(|i| images.values().row(i).iter().map(|&v| f64::from(v)).collect()).collect();
            if augment == Augment::Flip {
                let flips: Vec<Vec<f64>> = rows.iter().map(|r| mirror.iter().map(|&at| r[at]).collect()).collect();
                rows.extend(flips);
            }
            let n = rows.len() as f64;
            let centre: Vec<f64> = (0..12).map(|j| rows.iter().map(|r| r[j]).sum::<f64>() / n).collect();
            assert!(centre.iter().zip(mean).all(|(a, b)| (a - b).abs() < 1e-12));
            let c = |i: usize, j: usize| rows.iter().map(|r| (r[i] - centre[i]) * (r[j] - centre[j])).sum::<f64>() / n;
            let mut c = Mat::from_fn(12, 12, c);
            let r = ZCA_REGULARISATION * (0..12).map(|i| c[(i, i)]).sum::<f64>() / 12.0;
            (0..12).for_each(|i| c[(i, i)] += r);
            for (i, j) in (0..12).flat_map(|i| (0..12).map(move |j| (i, j))) {
                let product = |a: usize, b: usize| roots[(i, a)] * c[(a, b)] * roots[(b, j)];
                let sum: f64 = (0..12).flat_map(|a| (0..12).map(move |b| (a, b))).map(|(a, b)| product(a, b)).sum();
                assert!((sum - f64::from(u8::from(i == j))).abs() < 1e-10, "{i} {j} {sum}");
            }
        }
    }

    #[test]
    fn flips_before_and_after_are_the_same() {
        let (images, whitening, x) = learned(300, Whiten::Zca, Augment::Flip);
        let mirror = mirrored_places(images.shape());
        assert_eq!(&mirror[..6], [4, 5, 2, 3, 0, 1]);
        let turned = Mat::from_fn(300, 12, |i, j| images.values()[(i, mirror[j])]);
        let turned = Images::new(images.shape().clone(), turned);
        let resources = Resources::new(1);
        let (Ok(turned), Ok(resources)) = (turned, resources) else { unreachable!() };
        let Ok(again) = whitening.apply(&turned, &resources) else { unreachable!() };
        assert!((0..300).all(|i| (0..12).all(|j| (again[(i, j)] - x[(i, mirror[j])]).abs() < 1e-5)));
    }
}
