//! The rows a fit starts from.

use super::Fit;
use crate::data::{self, Data, Reading, Wanted};
use crate::error::{Error, Result};
use crate::options::MissingOption;
use crate::output;
use crate::samples::Samples;
use dualnet::model::{Target, Values};
use std::path::Path;

/// What a fit starts from.
pub(super) struct Loaded {
    pub(super) train: Samples,
    pub(super) target: Target,
    pub(super) test: Option<(Samples, Target)>,
}

impl Fit {
    /// Training rows, and test rows where there are any, checked as far as that is possible before the work.
    pub(super) fn load(&self) -> Result<Loaded> {
        let reading = Reading { labels: self.labels.as_deref(), missing: self.missing, common: &self.common };
        let Data { samples: mut train, test: included, format } =
            data::load(&self.data, Wanted::Named(&self.target), &reading)?;
        self.say_data(&format, train.len(), train.inputs.len());
        if train.target.is_empty() {
            return Err(data::no_target(&train, &self.target, ""));
        }
        let mut target = train.target(self.task())?;
        self.say_classes(&target);
        let test = match (&self.test, self.holdout) {
            (Some(path), _) => Some(self.load_test(path, &train, &target)?),
            (None, Some(share)) => {
                let (kept, out) = split(train.len(), share, self.common.seed)?;
                let held = (train.select(&out), target.select(&out));
                (train, target) = (train.select(&kept), target.select(&kept));
                Some(held)
            }
            (None, None) => match included {
                Some(test) => Some(with_target(test, &target)?),
                None => None,
            },
        };
        if let MissingOption::Mean = self.missing {
            train.fill_with_means()?;
        }
        Ok(Loaded { train, target, test })
    }

    pub(super) fn say_data(&self, format: &str, rows: usize, columns: usize) {
        let (rows, columns) = (output::count(rows, "row"), output::count(columns, "column"));
        self.common.say(&format!("{}: {format}, {rows}, {columns} of input", self.data.display()));
    }

    /// Says so where integers are taken as classes, which may not be what was meant.
    pub(super) fn say_classes(&self, target: &Target) {
        if let (None, Target::Classes { name, labels, .. }) = (self.task(), target)
            && labels.iter().all(|l| l.parse::<f64>().is_ok())
        {
            let count = labels.len();
            self.common.say(&format!(
                "{name} holds {count} different integers, taken as classes; for numbers give --task regression"
            ));
        }
    }

    fn load_test(&self, path: &Path, train: &Samples, target: &Target) -> Result<(Samples, Target)> {
        let reading = Reading { labels: self.test_labels.as_deref(), missing: self.missing, common: &self.common };
        let names = target_names(target);
        let mut test = data::load(path, Wanted::IfPresent(&names), &reading)?.samples;
        if test.target.is_empty() {
            return Err(data::no_target(&test, &names, "; to predict without it, save the model and use predict"));
        }
        let inputs = train.inputs.iter().map(|c| (c.name.as_str(), matches!(c.values, Values::Numbers(_))));
        test.check_inputs(inputs, train.inputs.len())?;
        test.retain(&train.inputs.iter().map(|c| c.name.clone()).collect::<Vec<_>>());
        with_target(data::settle(test, &reading)?, target)
    }
}

/// Test rows with their targets, read like those of the training rows.
fn with_target(test: Samples, like: &Target) -> Result<(Samples, Target)> {
    let target = test.target(Some(like.task()))?;
    if let Target::Classes { labels, .. } = like {
        test.check_classes(&target, labels)?;
    }
    Ok((test, target))
}

fn target_names(target: &Target) -> Vec<String> {
    match target {
        Target::Classes { name, .. } => vec![name.clone()],
        Target::Numbers { names, .. } => names.clone(),
    }
}

/// Rows kept and rows left out, in ascending order.
pub(super) fn split(rows: usize, share: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
    let out = (rows as f64 * share).round() as usize;
    if !(share > 0.0 && share < 1.0) || out == 0 || out + 2 > rows {
        let expected = "a share between 0 and 1 that leaves at least two rows to fit and one to test";
        return Err(Error::argument("--holdout", expected, &share.to_string(), "try .2"));
    }
    let mut order = dualnet::model::shuffled(rows, seed);
    let mut test = order.split_off(rows - out);
    order.sort_unstable();
    test.sort_unstable();
    Ok((order, test))
}
