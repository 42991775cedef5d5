//! What `fit` prints: for people, and as JSON.

use super::Fit;
use super::page::Page;
use crate::error::{Error, Result};
use crate::output;
use crate::samples::listed;
use crate::store;
use dualnet::Resources;
use dualnet::model::{Encoding, Explanation, FeatureReport, Frame, Metrics, Model, Report, Target, Task};
use serde_json::{Value, json};
use std::time::Instant;

/// Rows of a test, and what came of it.
pub(super) type Tested = (usize, (Metrics, Option<f64>));

impl Fit {
    /// Saves the model and prints its report.
    pub(super) fn finish(
        &self,
        model: &Model,
        training: Option<(&Frame, &Target)>,
        tested: Option<Tested>,
        start: Instant,
        resources: &Resources,
    ) -> Result<()> {
        if let Some(path) = &self.output {
            store::save(path, model.to_parts()?)?;
        }
        let explanation = training.and_then(|(frame, _)| self.explain(model, frame, resources));
        let seconds = start.elapsed().as_secs_f64();
        if let (Some(path), Some((_, target))) = (&self.report, training) {
            let (data, own, tested) = (self.data.as_path(), judged_by(model.report()), tested.as_ref());
            Page { data, model, target, explanation: explanation.as_ref(), own, tested, seconds }.write(path)?;
        } else if self.report.is_some() {
            let hint = "leave it out, or read the rows into memory with --read memory";
            return Err(Error::argument("--report", "rows in memory", "rows that stay in their file", hint));
        }
        if self.common.json {
            let mut value = report_json(model.report());
            if let Some(explanation) = &explanation {
                value["explanation"] = json!(explanation);
            }
            value["threads"] = json!(resources.threads());
            value["seconds"] = json!(seconds);
            if let Some((rows, (metrics, coverage))) = &tested {
                value["test"] = metrics_json(metrics, *coverage, *rows);
            }
            return output::print_json(&value);
        }
        self.print(model, explanation.as_ref(), tested, seconds)
    }

    /// What the model makes of its inputs; nothing where it has no gradients.
    fn explain(&self, model: &Model, frame: &Frame, resources: &Resources) -> Option<Explanation> {
        match model.explain(frame, resources) {
            Ok(explanation) => Some(explanation),
            Err(dualnet::Error::Unsupported { .. }) => None,
            Err(error) => {
                self.common.say(&format!("no explanation of the inputs: {error}"));
                None
            }
        }
    }

    fn print(
        &self,
        model: &Model,
        explanation: Option<&Explanation>,
        tested: Option<Tested>,
        seconds: f64,
    ) -> Result<()> {
        let report = model.report();
        let mut text = String::new();
        let what = match report.task {
            Task::Classification => format!("{} classes of {}", model.classes().len(), model.targets().join(", ")),
            Task::Regression => model.targets().join(", "),
        };
        let lambda = output::number(report.lambda);
        text += &format!("predicting   {what}\n");
        let encoding = json_word(&json!(report.encoding));
        let kind = match &report.features {
            None => report.kernel.name().to_string(),
            Some(FeatureReport { tower: Some(tower), precision, .. }) => {
                format!("{} directions, {}", tower.directions.name(), json_word(&json!(precision)))
            }
            Some(features) => {
                let (kernel, precision) = (report.kernel.name(), json_word(&json!(features.precision)));
                let kind = if features.landmarks.is_some() { "Nystrom" } else { "random" };
                format!("{kernel} by {} {kind} features, {precision}", features.dim)
            }
        };
        text += &format!("model        {} ({kind}, {encoding} encoding), lambda {lambda}\n", report.net);
        if report.candidates.len() > 1 {
            let (tried, rows) = (report.candidates.len(), report.compared_rows);
            let first = report.candidates.first().map(|c| (&c.net, c.kernel, c.encoding));
            let other = first != Some((&report.net, report.kernel, report.encoding)) && report.metric.is_some();
            let other = if other { "; in the metric another is better" } else { "" };
            text += &format!("chosen       among {tried} models by leave-one-out on {rows} rows{other}\n");
        }
        if report.metric.is_some() {
            text += &format!("metric       {}\n", metric_words(report));
        }
        text += &approximation(report);
        if let Some(jitter) = report.jitter {
            let condition = report.condition.map_or(String::new(), |c| format!(" (condition {})", output::number(c)));
            text += &format!(
                "note         {} was added to lambda for a stable solution{condition}\n",
                output::number(jitter)
            );
        }
        text += &left_out(&report.dropped);
        text += &explanation.map_or(String::new(), inputs);
        if let Some(path) = &self.report {
            text += &format!("\nreport in {}\n", path.display());
        }
        text += &self.closing(report.task, judged_by(report), tested, seconds);
        output::print(&text)
    }

    /// What stands below every report: metrics, where the model is, how long it took.
    pub(super) fn closing(
        &self,
        task: Task,
        own: Option<(&str, usize, &Metrics)>,
        tested: Option<Tested>,
        seconds: f64,
    ) -> String {
        let first = own.map(|(.., metrics)| metrics).or(tested.as_ref().map(|(_, (metrics, _))| metrics));
        let mut rows: Vec<Vec<String>> = first.map(|metrics| metric_names(task, metrics)).into_iter().collect();
        rows.extend(own.map(|(name, n, metrics)| metric_row(name, n, metrics)));
        if let Some((n, (metrics, _))) = &tested {
            rows.push(metric_row("test", *n, metrics));
        }
        let mut text = format!("\n{}", output::table(&rows));
        if let Some((_, (_, Some(coverage)))) = &tested {
            text += &format!("\n90 % intervals held {:.1} % of the test values\n", 100.0 * coverage);
        }
        if let Some(path) = &self.output {
            text += &format!("\nsaved in {}\n", path.display());
        }
        text + &format!("\n{}\n", output::duration(seconds))
    }
}

/// What a fit is judged by: name, rows and metrics.
fn judged_by(report: &Report) -> Option<(&str, usize, &Metrics)> {
    match (&report.loo, &report.iterative) {
        (Some(loo), _) => Some(("leave-one-out", report.loo_rows, loo)),
        (None, Some(iterative)) => Some(("held out", iterative.holdout_rows, &iterative.holdout)),
        (None, None) => None,
    }
}

/// What became of the search for a metric.
pub(super) fn metric_words(report: &Report) -> String {
    let Some(metric) = &report.metric else { return "none".into() };
    let best = metric.tried.iter().min_by(|a, b| a.mse.total_cmp(&b.mse));
    let by = |mse: f64| format!("{:+.1} %", 100.0 * (mse / metric.mse_without.max(f64::MIN_POSITIVE) - 1.0));
    match (metric.kind, best) {
        (Some(kind), _) => {
            let change = metric.mse.map_or(String::new(), |mse| format!(", cross-validated squared error {}", by(mse)));
            // Others are judged by rows of which the metric has seen some at most.
            let raised = match (report.method == "exact", metric.optimism) {
                (true, factor) if factor > 1.0 => {
                    format!("; squared errors of leave-one-out raised by {:.0} %", 100.0 * (factor - 1.0))
                }
                _ => String::new(),
            };
            let less = match metric.left_out {
                0 => String::new(),
                some => format!(", {} left out", output::count(some, "input")),
            };
            format!("{}, {}{less}{change}{raised}", kind.name(), output::count(metric.steps, "step"))
        }
        (None, Some(best)) => {
            let steps = output::count(best.steps, "step");
            let all = match metric.expected {
                Some(quotient) => {
                    format!(", but that of all rows by {:+.1} %, as far as can be told", 100.0 * (quotient - 1.0))
                }
                None => String::new(),
            };
            format!(
                "none: the best, {} in {steps}, changes the cross-validated squared error by {}{all}",
                best.kind.name(),
                by(best.mse)
            )
        }
        (None, None) => "none".into(),
    }
}

/// The most important inputs, a line each.
fn inputs(explanation: &Explanation) -> String {
    const MOST: usize = 8;
    let all = &explanation.importances;
    let mut rows = vec![vec!["input".to_string(), "importance".to_string()]];
    rows.extend(all.iter().take(MOST).map(|one| vec![one.input.clone(), format!("{:.1} %", 100.0 * one.share)]));
    if all.len() > MOST {
        let rest: f64 = all.iter().skip(MOST).map(|one| one.share).sum();
        rows.push(vec![format!("{} more", all.len() - MOST), format!("{:.1} %", 100.0 * rest)]);
    }
    format!("\n{}", output::table(&rows))
}

/// How near the solution is to that of the kernel itself.
fn approximation(report: &Report) -> String {
    if let Some(error) = report.features.as_ref().and_then(|f| f.kernel_error) {
        return format!("kernel error {} of the exact kernel, on pairs of training rows\n", output::number(error));
    }
    let Some(iterative) = &report.iterative else { return String::new() };
    let steps: usize = iterative.lambdas.iter().chain(&iterative.refit).map(|l| l.steps).sum();
    let residual = iterative.residual().map_or(String::new(), |r| format!(", residual {}", output::number(r)));
    let (lambdas, steps) = (output::count(iterative.lambdas.len(), "lambda"), output::count(steps, "step"));
    format!("iteration    {lambdas}, {steps}, {} landmarks{residual}\n", iterative.landmarks)
}

/// Columns left out: a line each, or one for all where there are many.
fn left_out(dropped: &[(String, String)]) -> String {
    const MOST: usize = 4;
    if dropped.len() <= MOST {
        return dropped.iter().map(|(name, reason)| format!("left out     column {name:?}: {reason}\n")).collect();
    }
    let names: Vec<String> = dropped.iter().map(|(name, _)| name.clone()).collect();
    let mut reasons: Vec<&str> = dropped.iter().map(|(_, reason)| reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    format!("left out     {} columns ({}): {}\n", names.len(), reasons.join(", "), listed(&names))
}

/// What the contract names, flat.
fn report_json(report: &Report) -> Value {
    let mut value = json!(report);
    value["loo"] = report.loo.as_ref().map_or(Value::Null, |loo| metrics_json(loo, None, report.loo_rows));
    if let Some(iterative) = &report.iterative {
        value["iterative"]["holdout"] = metrics_json(&iterative.holdout, None, iterative.holdout_rows);
    }
    value
}

/// Metrics as an object, with the share of values within 90 % intervals.
pub fn metrics_json(metrics: &Metrics, coverage: Option<f64>, rows: usize) -> Value {
    let mut value = json!(metrics);
    value["rows"] = json!(rows);
    if let Some(coverage) = coverage {
        value["coverage_90"] = json!(coverage);
    }
    value
}

fn json_word(value: &Value) -> String {
    value.as_str().unwrap_or("").to_string()
}

/// An encoding as reports call it.
pub(super) fn words_of(encoding: &Encoding) -> String {
    json_word(&json!(encoding))
}

/// Heads of the columns of [`metric_row`].
pub fn metric_names(task: Task, metrics: &Metrics) -> Vec<String> {
    let names: &[&str] = match task {
        Task::Classification if metrics.rmse.is_some() => &["", "rows", "accuracy", "log loss", "Brier", "RMSE", "R2"],
        Task::Classification => &["", "rows", "accuracy", "log loss", "Brier"],
        Task::Regression => &["", "rows", "RMSE", "R2"],
    };
    names.iter().map(|n| n.to_string()).collect()
}

/// A line of metrics for people.
pub fn metric_row(name: &str, rows: usize, m: &Metrics) -> Vec<String> {
    let values = [m.accuracy, m.log_loss, m.brier, m.rmse, m.r2];
    let mut row = vec![name.to_string(), rows.to_string()];
    row.extend(values.into_iter().flatten().map(output::number));
    row
}
