//! What a fit will take, before it is done.

use super::{Fit, Way};
use crate::error::Result;
use crate::output;
use crate::store;
use dualnet::model::{FeaturePrecision, Target, plan, plan_bundled};
use serde_json::json;

impl Fit {
    pub(super) fn print_plan(&self, (rows, columns): (usize, usize), target: &Target, way: &Way) -> Result<()> {
        let outputs = target.outputs();
        let speed = store::flops_per_second(self.common.resources()?)?;
        let limit = self.common.memory();
        let (bytes, flops, mut value, what) = match way {
            Way::Exact(options) => {
                let plan = plan(rows, columns, outputs, options)?;
                let what = match plan.candidates {
                    1 => "one candidate".to_string(),
                    n => format!("{n} candidates compared on {}", output::count(plan.compared_rows, "row")),
                };
                (plan.bytes, plan.flops, json!(plan), what)
            }
            Way::Features(options) => {
                let (bytes, flops) = plan_bundled(rows, columns, outputs, options);
                // Products in single precision are twice as fast, and these reach more of the peak.
                let flops = match options.precision(rows) {
                    FeaturePrecision::F32 => flops / 3.0,
                    FeaturePrecision::F64 => flops / 1.5,
                };
                let value = json!({"rows": rows, "net": options.net, "bytes": bytes, "flops": flops});
                (bytes, flops, value, options.net.to_string())
            }
        };
        let seconds = flops / speed;
        if self.common.json {
            value["memory"] = json!(limit);
            value["seconds_expected"] = json!(seconds);
            return output::print_json(&value);
        }
        output::print(&format!(
            "{}, {what}, {} of memory{}, about {}",
            output::count(rows, "row"),
            output::bytes(bytes),
            output::over_limit(bytes, limit),
            output::duration(seconds),
        ))
    }
}
