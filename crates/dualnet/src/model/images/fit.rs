//! Fitting: one pass for both kernels, the path of each, the better one.

use super::kernel::ImageKernel;
use super::plan::{plan_of, wanted};
use super::predict::{ImageModel, ImageSolution};
use super::report::{ImageReport, TriedKernel};
use super::source::GramSource;
use super::whiten::Whitening;
use super::{ImageOptions, Images};
use crate::error::Result;
use crate::kernel::Grams;
use crate::linalg::Mat;
use crate::model::fit::{Solution, check, restore, solve_kernel};
use crate::model::outputs::Outputs;
use crate::model::units::{standardised, units};
use crate::model::{KernelKind, Metrics, Target, invalid};
use crate::resources::Resources;
use crate::ridge::Width;

/// Fits a model to images and their `target`; `source` computes the kernel matrices ([`super::Direct`]: here and now).
///
/// Cost: n (n + 1) / 2 pairs of images, twice with flips, for both kernels together; for each kernel 8/3 n^3 operations to solve; memory
/// 28 n^2 bytes and 4 n^2 for each matrix ([`super::plan_images`]).
///
/// # Errors
/// Fewer than two images; different numbers of images and targets; one class only; a net that does not fit the images, or with flips tells
/// left from right; more memory than allowed.
pub fn fit_images<S: GramSource>(
    images: &Images,
    target: &Target,
    options: &ImageOptions,
    source: &mut S,
    resources: &Resources,
) -> Result<ImageModel> {
    let (rows, shape) = (images.len(), images.shape());
    check(rows, target)?;
    let kernel = ImageKernel::new(&options.net, shape, options.augment)?;
    let plan = plan_of(&kernel, (rows, shape.width()), target.outputs(), options, resources.threads());
    let hint = "raise --memory, or fit fewer images";
    resources.reserve(&format!("an exact fit of {rows} images"), plan.bytes, hint)?;
    let units = units(target)?;
    let y = standardised(target, &units)?;
    let whitening = Whitening::learn(images, options.whiten, options.augment, resources)?;
    let x = whitening.apply(images, resources)?;
    let grams = kernel.train(source, options, x.as_ref(), wanted(options.kernel), resources)?;
    let Some((kind, solution, tried)) = better(grams, &y, options, resources)? else {
        return Err(invalid("the kernel", "NNGP or NTK", "neither", "report this as a defect"));
    };
    let mut fitted = solution.path.fit(solution.point().lambda, resources)?;
    restore(&mut fitted, &units);
    // Of constant width: those of the posterior would compute the whole kernel again for every prediction.
    let (outputs, loo) = Outputs::of_fit(target, &fitted, Width::Constant, resources)?;
    let report = ImageReport {
        loo,
        kernel: kind,
        candidates: tried,
        lambda: fitted.point.lambda,
        degrees_of_freedom: fitted.point.degrees_of_freedom,
        condition: Some(fitted.point.condition),
        compared_rows: images.len(),
        jitter: fitted.point.jitter.map(|j| j.added),
        ..describe(images, target, options)
    };
    Ok(ImageModel {
        net: options.net.clone(),
        augment: options.augment,
        kind,
        whitening,
        solution: ImageSolution::Exact { x, coefficients: fitted.coefficients },
        intercept: fitted.intercept,
        lambda_absolute: fitted.point.lambda_absolute,
        outputs,
        report,
    })
}

/// The report as far as it is known before the fit.
pub(super) fn describe(images: &Images, target: &Target, options: &ImageOptions) -> ImageReport {
    let shape = images.shape();
    ImageReport {
        task: target.task(),
        n_train: images.len(),
        shape: shape.positions.iter().copied().chain([shape.channels]).collect(),
        n_features: shape.width(),
        n_classes: target.classes_len(),
        net: options.net.to_string(),
        kernel: KernelKind::Ntk,
        whiten: options.whiten,
        augment: options.augment,
        method: "exact".into(),
        precision: "f32".into(),
        lambda: 0.0,
        loo: Metrics::default(),
        loo_rows: images.len(),
        degrees_of_freedom: 0.0,
        condition: None,
        jitter: None,
        candidates: Vec::new(),
        compared_rows: 0,
        features: None,
    }
}

/// The kernel of least leave-one-out error with its solution, and all that were tried, best first.
fn better(
    grams: Grams<f32>,
    y: &Mat<f64>,
    options: &ImageOptions,
    resources: &Resources,
) -> Result<Option<(KernelKind, Solution, Vec<TriedKernel>)>> {
    let matrices = [(KernelKind::Nngp, grams.nngp), (KernelKind::Ntk, grams.ntk)];
    let total = matrices.iter().filter(|(_, m)| m.is_some()).count() as u64;
    let (mut tried, mut best): (Vec<TriedKernel>, Option<(KernelKind, Solution)>) = (Vec::new(), None);
    for (kernel, matrix) in matrices {
        let Some(matrix) = matrix else { continue };
        resources.progress.update("solving", tried.len() as u64, total);
        // Dropped as soon as it is copied: two of them and a solution would not fit the plan.
        let wide = matrix.as_ref().cast::<f64>();
        drop(matrix);
        let solution = solve_kernel(wide, y.as_ref(), &options.lambdas, resources)?;
        let point = solution.point();
        tried.push(TriedKernel { kernel, lambda: point.lambda, loo_mse: point.mse });
        if best.as_ref().is_none_or(|(_, other)| point.mse < other.point().mse) {
            best = Some((kernel, solution));
        }
    }
    resources.progress.update("solving", total, total);
    tried.sort_by(|a, b| a.loo_mse.total_cmp(&b.loo_mse));
    Ok(best.map(|(kernel, solution)| (kernel, solution, tried)))
}
