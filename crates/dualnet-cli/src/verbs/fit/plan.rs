//! What a fit will take, before it is done.

use super::Fit;
use super::image_method::{ImageFeatureTime, ImageTask};
use super::job::{self, Found};
use crate::error::{Error, Result};
use crate::output;
use crate::store;
use dualnet::Resources;
use dualnet::model::{
    ImageFeatureOptions, ImageOptions, Images, KernelTiles, Method, MethodPlan, Target, pair_seconds, plan,
    plan_falkon, plan_images, plan_pcg,
};
use serde_json::json;

impl Fit {
    /// What a fit of (rows, columns, outputs) will take.
    pub(super) fn print_plan(&self, shape: (usize, usize, usize), method: &Method) -> Result<()> {
        let (rows, columns, outputs) = shape;
        let limit = self.common.memory();
        let MethodPlan { bytes, flops, .. } = method.plan(shape, limit)?;
        // Measured once: two measurements on a busy machine need not agree, and parts must stay below the whole.
        let speed = store::flops_per_second(self.common.resources()?)?;
        let seconds = flops / speed;
        let mut search = String::new();
        let (mut value, what) = match method {
            Method::Exact(options) => {
                let plan = plan(rows, columns, outputs, options)?;
                let what = match plan.candidates {
                    1 => "one candidate".to_string(),
                    n => format!("{n} candidates compared on {}", output::count(plan.compared_rows, "row")),
                };
                let metric = plan.metric_flops / speed;
                let mut value = json!(plan);
                value["metric"] = json!({"choice": options.metric, "seconds_expected": metric});
                if plan.metric_flops > 0.0 {
                    search = format!(", of which at most {} for a metric", output::duration(metric));
                }
                (value, what)
            }
            Method::Pcg(options) => {
                let plan = plan_pcg(shape, options, limit)?;
                let tiles = match plan.tiles {
                    KernelTiles::Kept => "the kernel kept in memory",
                    KernelTiles::Computed => "the kernel computed anew in each step",
                };
                let landmarks = output::count(plan.landmarks, "landmark");
                (json!(plan), format!("conjugate gradients with {landmarks}, {tiles}"))
            }
            Method::Falkon(options) => {
                let plan = plan_falkon(shape, options, limit)?;
                let tiles = match plan.tiles {
                    KernelTiles::Kept => "their kernel values kept in memory",
                    KernelTiles::Computed => {
                        "their kernel values computed anew in each step, as far as there is no room for them"
                    }
                };
                let landmarks = output::count(plan.landmarks, "landmark");
                (json!(plan), format!("conjugate gradients on {landmarks}, {tiles}"))
            }
            Method::Embedded(options) => {
                let dim = options.dim(rows);
                let value = json!({"rows": rows, "features": dim, "bytes": bytes, "flops": flops});
                (value, format!("{dim} {}", options.map.name()))
            }
            Method::Bundled(options) => {
                let value = json!({"rows": rows, "net": options.net, "bytes": bytes, "flops": flops});
                (value, options.net.to_string())
            }
        };
        if self.common.json {
            value["method"] = json!(method.name());
            value["memory"] = json!(limit);
            value["seconds_expected"] = json!(seconds);
            return output::print_json(&value);
        }
        output::print(&format!(
            "{}, {what}, {} of memory{}, about {}{search}",
            output::count(rows, "row"),
            output::bytes(bytes),
            output::over_limit(bytes, limit),
            output::duration(seconds),
        ))
    }

    /// What a fit of features to images will take.
    pub(super) fn print_image_feature_plan(&self, task: &ImageTask<'_>, options: &ImageFeatureOptions) -> Result<()> {
        let ImageFeatureTime { plan, image, seconds } = self.feature_time(task, options)?;
        let limit = self.common.memory();
        if self.common.json {
            let mut value = json!(plan);
            value["method"] = json!("features");
            value["seconds_per_image"] = json!(image);
            value["seconds_expected"] = json!(seconds);
            value["memory"] = json!(limit);
            return output::print_json(&value);
        }
        output::print(&format!(
            "{}, {} random features, {} ms for one, {} of memory{}, about {}",
            output::count(plan.rows, "image"),
            plan.features,
            output::number(1e3 * image),
            output::bytes(plan.bytes),
            output::over_limit(plan.bytes, limit),
            output::duration(seconds),
        ))
    }

    /// What a fit to images will take, with `tested` test images; of a job, what is left of it.
    pub(super) fn print_image_plan(
        &self,
        (images, tested): (&Images, usize),
        target: &Target,
        options: &ImageOptions,
        resources: &Resources,
    ) -> Result<()> {
        let within = || Error::within(&self.data);
        let mut plan = plan_images(images.len(), images.shape(), target.outputs(), options, resources.threads())
            .map_err(within())?;
        plan.pairs += images.len() as u64 * tested as u64;
        let found = self.job.as_ref().map(|path| job::find(path, images, options, resources)).transpose()?;
        let left = plan.pairs - found.as_ref().map_or(0, |found| found.pairs);
        let pair = pair_seconds(images, options, resources).map_err(within())?;
        let seconds = pair * left as f64 + plan.flops / store::flops_per_second(self.common.resources()?)?;
        let limit = self.common.memory();
        if self.common.json {
            let mut value = json!(plan);
            value["seconds_per_pair"] = json!(pair);
            value["seconds_expected"] = json!(seconds);
            value["memory"] = json!(limit);
            if let Some(Found { total, done, .. }) = found {
                value["tiles"] = json!({"total": total, "done": done});
                value["left"] = json!({"tiles": total - done, "pairs": left});
            }
            return output::print_json(&value);
        }
        let all = output::count(plan.pairs as usize, "pair");
        let (pairs, again) = (output::count(left as usize, "pair"), found.is_some_and(|found| found.done > 0));
        output::print(&format!(
            "{}, {pairs}{} of {} ms each, {} of memory{}, about {}",
            output::count(plan.rows, "image"),
            if again { format!(" left of {all}") } else { String::new() },
            output::number(1e3 * pair),
            output::bytes(plan.bytes),
            output::over_limit(plan.bytes, limit),
            output::duration(seconds),
        ))
    }
}
