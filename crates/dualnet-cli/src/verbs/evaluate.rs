//! `dualnet evaluate`: how good a saved model is on data of known target.

use crate::data;
use crate::error::{Error, Result};
use crate::options::{Common, MissingOption};
use crate::output;
use crate::store;
use crate::verbs::fit::{load_for, metric_names, metric_row, metrics_json};
use clap::Args;
use std::path::PathBuf;

/// Measure a saved model on data whose target is known
#[derive(Args)]
pub struct Evaluate {
    /// Folder of a saved model
    model: PathBuf,
    /// The data, with the target
    data: PathBuf,
    /// Labels of an array file
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// What to do with missing values
    #[arg(long, default_value = "refuse")]
    missing: MissingOption,
    #[command(flatten)]
    common: Common,
}

impl Evaluate {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let model = store::load(&self.model)?;
        let resources = self.common.resources()?;
        let (frame, columns) = load_for(&model, &self.data, self.labels.as_deref(), &self.common, self.missing)?;
        if columns.is_empty() {
            let expected = format!("the column {}", model.targets().join(", "));
            return Err(Error::argument(&self.data.display().to_string(), &expected, "no such column", "use predict"));
        }
        let target = data::target(&self.data, &columns, Some(model.task()))?;
        let (metrics, coverage) = model.evaluate(&frame, &target, &resources).map_err(Error::within(&self.data))?;
        if self.common.json {
            return output::print_json(&metrics_json(&metrics, coverage, frame.rows()));
        }
        let name = self.data.display().to_string();
        let rows = [metric_names(model.task(), &metrics), metric_row(&name, frame.rows(), &metrics)];
        output::print(&output::table(&rows))?;
        match coverage {
            Some(share) => output::print(&format!("90 % intervals held {:.1} % of the values", 100.0 * share)),
            None => Ok(()),
        }
    }
}
