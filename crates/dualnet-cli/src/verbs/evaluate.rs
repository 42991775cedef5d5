//! `dualnet evaluate`: how good a saved model is on data of known target.

use crate::data::{self, Reading};
use crate::error::{Error, Result};
use crate::images;
use crate::options::{Common, MissingOption};
use crate::output;
use crate::store;
use crate::verbs::fit::{metric_names, metric_row, metrics_json};
use clap::Args;
use dualnet::model::SavedModel;
use std::path::PathBuf;

/// Measure a saved model on data whose target is known
///
/// Cost: for m rows and a model of n rows of d columns, about n m (2 d + 50 a layer) operations, and n^3/3 + 2 n^2 m for
/// models of numbers, whose 90 % intervals are checked too.
#[derive(Args)]
pub struct Evaluate {
    /// Folder of a saved model
    model: PathBuf,
    /// Data with the target; of a folder with a training and a test set, the test set is used
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
        let resources = self.common.resources()?;
        let model = store::load(&self.model, &resources)?;
        let reading = Reading { labels: self.labels.as_deref(), missing: self.missing, common: &self.common };
        let within = || Error::within(&self.data);
        let (task, rows, (metrics, coverage)) = match &model {
            SavedModel::Rows(model) => {
                let (frame, target) = data::load_judging(model, &self.data, &reading, ", or use predict")?;
                (model.task(), frame.rows(), model.evaluate(&frame, &target, &resources).map_err(within())?)
            }
            SavedModel::Images(model) => {
                let (images, target) = images::load_judging(model, &self.data, &reading)?;
                (model.task(), images.len(), model.evaluate(&images, &target, &resources).map_err(within())?)
            }
        };
        if self.common.json {
            return output::print_json(&metrics_json(&metrics, coverage, rows));
        }
        let name = self.data.display().to_string();
        let lines = [metric_names(task, &metrics), metric_row(&name, rows, &metrics)];
        output::print(&output::table(&lines))?;
        match coverage {
            Some(share) => output::print(&format!("90 % intervals held {:.1} % of the values", 100.0 * share)),
            None => Ok(()),
        }
    }
}
