//! Fitting features to rows that stay in their file.

use super::load::split;
use super::method::Ways;
use super::{Fit, ReadOption, encodings};
use crate::data::{self, Reading};
use crate::error::{Error, Result};
use crate::streamed::Streamed;
use dualnet::Resources;
use std::time::Instant;

impl Fit {
    /// Whether the rows stay in the file.
    pub(super) fn reads_file(&self) -> Result<bool> {
        let refuse = |found: &str, hint: &str| Err(Error::argument("--read file", "a file to read again", found, hint));
        match (self.read, self.data.is_dir()) {
            (ReadOption::Memory, _) | (ReadOption::Auto, true) => Ok(false),
            (ReadOption::File, true) => refuse("a folder", "name the file, and that of the labels with --labels"),
            (ReadOption::File, false) => Ok(true),
            (ReadOption::Auto, false) => {
                let size = std::fs::metadata(&self.data).map_or(0, |m| m.len());
                Ok(self.common.memory().is_some_and(|limit| size > limit / 8))
            }
        }
    }

    /// Fits features to rows that stay in the file.
    pub(super) fn run_from_file(&self, ways: Ways, resources: &Resources, start: Instant) -> Result<()> {
        let reading = Reading { labels: self.labels.as_deref(), missing: self.missing, common: &self.common };
        let mut rows = Streamed::open(&self.data, &self.target, self.task(), &reading)?;
        let count = rows.targets().rows();
        self.say_data(&rows.format, count, rows.columns);
        self.say_classes(&rows.targets());
        let shape = (count, rows.columns, rows.targets().outputs());
        let (method, why) = self.settle(ways, shape)?;
        let method = method.with_encodings(encodings(rows.is_array()));
        if self.dry_run {
            return self.print_plan(shape, &method);
        }
        let held = match self.holdout {
            None => None,
            Some(share) => {
                let (kept, out) = split(count, share, self.common.seed)?;
                rows.restrict(kept);
                Some(out)
            }
        };
        let fitted = self.fit_batches(&method, why.as_deref(), &mut rows, resources);
        let model = self.judged(fitted, &mut rows)?;
        let tested = match (&self.test, held) {
            (Some(path), _) => {
                let reading = Reading { labels: self.test_labels.as_deref(), ..reading };
                let (frame, target) = data::load_judging(&model, path, &reading, "")?;
                let result = model.evaluate(&frame, &target, resources).map_err(Error::within(path))?;
                Some((frame.rows(), result))
            }
            (None, Some(out)) => {
                let count = out.len();
                rows.restrict(out);
                let result = model.evaluate_batches(&mut rows, resources);
                Some((count, self.judged(result, &mut rows)?))
            }
            (None, None) => None,
        };
        self.finish(&model, None, tested, start, resources)
    }

    /// A result, or the error of reading that ended it.
    fn judged<T>(&self, result: dualnet::Result<T>, rows: &mut Streamed) -> Result<T> {
        match (result, rows.failure()) {
            (Ok(value), _) => Ok(value),
            (Err(_), Some(failure)) => Err(failure),
            (Err(error), None) => Err(Error::within(&self.data)(error)),
        }
    }
}
