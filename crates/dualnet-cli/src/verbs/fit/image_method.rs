//! Which way to fit images: the exact kernel, or features of it, as asked for or as time and memory allow.

use super::method::feature_counts;
use super::{Fit, MethodOption};
use crate::error::{Error, Result};
use crate::output;
use crate::store;
use dualnet::Resources;
use dualnet::model::{
    ImageFeatureOptions, ImageFeaturePlan, ImageOptions, Images, Target, image_seconds, pair_seconds,
    plan_image_features, plan_images,
};

/// Seconds that `auto` lets an exact kernel take where nobody named a limit.
const PATIENCE: f64 = 3600.0;
/// Pairs that are begun without measuring how long one takes.
const FEW_PAIRS: u64 = 100_000;

/// A way to fit images.
pub(super) enum ImageWay {
    /// The kernel of every pair.
    Exact,
    /// Features.
    Features(ImageFeatureOptions),
}

/// What is to be fitted.
pub(super) struct ImageTask<'a> {
    pub images: &'a Images,
    pub target: &'a Target,
    /// Test images.
    pub tested: usize,
    pub options: &'a ImageOptions,
    pub resources: &'a Resources,
}

/// What features will take.
pub(super) struct ImageFeatureTime {
    pub plan: ImageFeaturePlan,
    /// Of one image, on all threads.
    pub image: f64,
    pub seconds: f64,
}

impl Fit {
    /// Decides, and says why where it was left open.
    pub(super) fn settle_images(&self, task: &ImageTask<'_>) -> Result<(ImageWay, Option<String>)> {
        match self.method {
            MethodOption::Features => Ok((ImageWay::Features(self.some_features(task)?), None)),
            MethodOption::Auto if self.job.is_none() => match self.against_exact(task)? {
                None => Ok((ImageWay::Exact, None)),
                Some(why) => {
                    let options = self.some_features(task)?;
                    Ok((ImageWay::Features(options), Some(format!("exact needs {why}"))))
                }
            },
            _ => {
                let needed = self.time.map(|_| self.exact_seconds(task)).transpose()?;
                self.check_image_time(needed, "exact", "raise it, or take --method features")?;
                Ok((ImageWay::Exact, None))
            }
        }
    }

    /// What the exact kernel needs more of than there is.
    fn against_exact(&self, task: &ImageTask<'_>) -> Result<Option<String>> {
        let plan = self.exact_plan(task)?;
        if let Some(limit) = self.common.memory().filter(|limit| plan.0 > *limit) {
            let (bytes, limit) = (output::bytes(plan.0), output::bytes(limit));
            return Ok(Some(format!("{bytes} of memory, of which there are {limit}")));
        }
        if self.time.is_none() && plan.1 <= FEW_PAIRS {
            return Ok(None);
        }
        let (seconds, limit) = (self.exact_seconds(task)?, self.time.map_or(PATIENCE, |time| time.as_secs_f64()));
        let for_it = match self.time {
            Some(_) => "",
            None => " (for it, say --method exact)",
        };
        Ok((seconds > limit).then(|| format!("about {}{for_it}", output::duration(seconds))))
    }

    /// Bytes, and pairs.
    fn exact_plan(&self, task: &ImageTask<'_>) -> Result<(u64, u64)> {
        let (rows, outputs) = (task.images.len(), task.target.outputs());
        let plan = plan_images(rows, task.images.shape(), outputs, task.options, task.resources.threads());
        let plan = plan.map_err(Error::within(&self.data))?;
        Ok((plan.bytes, plan.pairs + (rows * task.tested) as u64))
    }

    fn exact_seconds(&self, task: &ImageTask<'_>) -> Result<f64> {
        let (rows, outputs) = (task.images.len(), task.target.outputs());
        let plan = plan_images(rows, task.images.shape(), outputs, task.options, task.resources.threads());
        let flops = plan.map_err(Error::within(&self.data))?.flops;
        let pair = pair_seconds(task.images, task.options, task.resources).map_err(Error::within(&self.data))?;
        Ok(pair * self.exact_plan(task)?.1 as f64 + flops / store::flops_per_second(self.common.resources()?)?)
    }

    /// As many features as were asked for, or as time and memory allow.
    fn some_features(&self, task: &ImageTask<'_>) -> Result<ImageFeatureOptions> {
        let options = |dim| {
            let options = ImageFeatureOptions::new(task.options.clone(), dim);
            match self.precision() {
                Some(precision) => ImageFeatureOptions { precision, ..options },
                None => options,
            }
        };
        if let Some(dim) = self.features {
            let needed = self.time.map(|_| self.feature_time(task, &options(dim))).transpose()?;
            let hint = "raise it, or take fewer features";
            self.check_image_time(needed.map(|needed| needed.seconds), &format!("{dim} features"), hint)?;
            return Ok(options(dim));
        }
        let mut last = None;
        for dim in feature_counts(task.images.len()) {
            let options = options(dim);
            let found = match self.time {
                None => (self.feature_plan(task, &options)?.bytes, 0.0),
                Some(_) => {
                    let time = self.feature_time(task, &options)?;
                    (time.plan.bytes, time.seconds)
                }
            };
            let enough = |limit: Option<f64>, needed: f64| limit.is_none_or(|limit| needed <= limit);
            let memory = self.common.memory().map(|bytes| bytes as f64);
            if enough(memory, found.0 as f64) && enough(self.time.map(|t| t.as_secs_f64()), found.1) {
                return Ok(options);
            }
            last = Some((dim, found));
        }
        let (dim, (bytes, seconds)) = last.unwrap_or_default();
        let time =
            if self.time.is_some() { format!(" and about {}", output::duration(seconds)) } else { String::new() };
        let expected = format!("{}{time} for {dim} features of {} images", output::bytes(bytes), task.images.len());
        let found = self.common.memory().map_or("no limit".into(), output::bytes);
        let hint = "raise --memory or --time, or fit to fewer images (--images)";
        Err(Error::argument("--memory and --time", &expected, &found, hint))
    }

    fn feature_plan(&self, task: &ImageTask<'_>, options: &ImageFeatureOptions) -> Result<ImageFeaturePlan> {
        let (rows, outputs) = (task.images.len(), task.target.outputs());
        plan_image_features(rows, task.images.shape(), outputs, options, task.resources)
            .map_err(Error::within(&self.data))
    }

    /// Measured on some images.
    pub(super) fn feature_time(&self, task: &ImageTask<'_>, options: &ImageFeatureOptions) -> Result<ImageFeatureTime> {
        let plan = self.feature_plan(task, options)?;
        let image = image_seconds(task.images, options, task.resources).map_err(Error::within(&self.data))?;
        let solving = plan.flops / store::flops_per_second(self.common.resources()?)?;
        let seconds = image * (plan.mapped + task.tested as f64) + solving;
        Ok(ImageFeatureTime { plan, image, seconds })
    }

    fn check_image_time(&self, needed: Option<f64>, what: &str, hint: &str) -> Result<()> {
        let (Some(needed), Some(limit)) = (needed, self.time.map(|time| time.as_secs_f64())) else { return Ok(()) };
        if needed <= limit {
            return Ok(());
        }
        let expected = format!("about {} for {what}", output::duration(needed));
        Err(Error::argument("--time", &expected, &output::short_duration(limit), hint))
    }
}
