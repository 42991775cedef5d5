//! `dualnet predict`: predictions of a saved model, as CSV.

use crate::data::{self, Reading};
use crate::error::{Error, Result};
use crate::images;
use crate::options::{Common, MissingOption, Output, check_output};
use crate::output;
use crate::store;
use clap::Args;
use dualnet::Mat;
use dualnet::model::{Prediction, SavedModel};
use dualnet::ridge::argmax;
use dualnet_io::write::{write_csv, write_csv_to};
use dualnet_io::{Column, Values};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Predict new rows with a saved model
///
/// Columns of the result: prediction, and with --interval lower and upper (regression), or prediction and p_CLASS for each
/// class. Columns of the data are found by name; others are ignored, and the target may be missing. Of
/// a folder with a training and a test set the test set is predicted. A model of images reads images of the shape it was fitted to, of
/// folders in the order of their names.
///
/// Cost: for m rows and a model of n rows of d columns, about n m (2 d + 50 a layer) operations; --interval needs n^3/3 + 2
/// n^2 m more, and 8 n^2 bytes.
#[derive(Args)]
pub struct Predict {
    /// Folder of a saved model
    model: PathBuf,
    /// File with the rows to predict
    data: PathBuf,
    /// Give the ends of intervals that hold the true value with this probability, such as .9 (numbers only)
    #[arg(long, value_name = "LEVEL")]
    interval: Option<f64>,
    /// What to do with missing values
    #[arg(long, default_value = "refuse")]
    missing: MissingOption,
    /// Where to write the predictions (CSV); default: standard output
    #[arg(short, long, value_name = "FILE.csv")]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

impl Predict {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        if let Some(path) = &self.output {
            check_output(path, Output::File)?;
        }
        let resources = self.common.resources()?;
        let model = store::load(&self.model, &resources)?;
        let (targets, classes) = match &model {
            SavedModel::Rows(model) => (model.targets(), model.classes()),
            SavedModel::Images(model) => (model.targets(), model.classes()),
        };
        if let Some(level) = self.interval {
            if !classes.is_empty() {
                return Err(Error::argument(
                    "--interval",
                    "a model of numbers",
                    "a classifier",
                    "its probabilities are calibrated as they are",
                ));
            }
            if !(level > 0.0 && level < 1.0) {
                return Err(Error::argument(
                    "--interval",
                    "a probability between 0 and 1",
                    &level.to_string(),
                    "try .9",
                ));
            }
        }
        let reading = Reading { labels: None, missing: self.missing, common: &self.common };
        let within = || Error::within(&self.data);
        let (rows, prediction) = match &model {
            SavedModel::Rows(model) => {
                let frame = data::load_for(model, &self.data, &[], &reading)?.into_frame()?;
                (frame.rows(), model.predict(&frame, self.interval, &resources).map_err(within())?)
            }
            SavedModel::Images(model) => {
                let images = images::load_for(model, &self.data, &reading)?.images;
                (images.len(), model.predict(&images, self.interval, &resources).map_err(within())?)
            }
        };
        let columns = table(&prediction, &targets, classes);
        match &self.output {
            Some(path) => {
                write_csv(path, &columns)?;
                let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
                if self.common.json {
                    return output::print_json(&json!({ "rows": rows, "columns": names, "output": path }));
                }
                self.common.say(&format!("{} written to {}", output::count(rows, "row"), path.display()));
                Ok(())
            }
            None if self.common.json => output::print_json(&columns_json(&columns)),
            None => {
                let mut text = Vec::new();
                write_csv_to(&mut text, Path::new("standard output"), &columns)?;
                output::print(&String::from_utf8_lossy(&text))
            }
        }
    }
}

/// The columns of the result.
fn table(prediction: &Prediction, targets: &[String], classes: &[String]) -> Vec<Column> {
    let number = |name: String, m: &Mat<f64>, j: usize| Column {
        name,
        values: Values::Number((0..m.rows()).map(|i| m[(i, j)]).collect()),
    };
    match prediction {
        Prediction::Classes { probabilities, .. } => {
            let best = |i: usize| classes[argmax(probabilities.row(i))].clone();
            let words = Values::Text((0..probabilities.rows()).map(best).collect());
            let mut columns = vec![Column { name: "prediction".into(), values: words }];
            columns.extend(classes.iter().enumerate().map(|(k, class)| number(format!("p_{class}"), probabilities, k)));
            columns
        }
        Prediction::Numbers { values, intervals } => {
            let mut columns = Vec::new();
            for (j, target) in targets.iter().enumerate() {
                let named = |what: &str| if targets.len() == 1 { what.to_string() } else { format!("{what}_{target}") };
                columns.push(number(named("prediction"), values, j));
                if let Some(ends) = intervals {
                    columns.push(number(named("lower"), &ends.lower, j));
                    columns.push(number(named("upper"), &ends.upper, j));
                }
            }
            columns
        }
    }
}

/// As an object of lists.
fn columns_json(columns: &[Column]) -> serde_json::Value {
    let list = |column: &Column| match &column.values {
        Values::Number(v) => json!(v),
        Values::Text(v) => json!(v),
    };
    columns.iter().map(|c| (c.name.clone(), list(c))).collect::<serde_json::Map<_, _>>().into()
}
