//! `dualnet fit`: a model from a table of data, in closed form.

use crate::data::{self, Labelled, Wanted};
use crate::error::{Error, Result};
use crate::options::{Common, MissingOption, check_output};
use crate::output;
use crate::store;
use crate::verbs::kernel::read_net;
use clap::{Args, ValueEnum};
use dualnet::model::{
    Column, FitOptions, Frame, KernelChoice, KernelKind, Metrics, Model, NetChoice, Report, Target, Task, fit, plan,
};
use dualnet_io::Options;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Fit a network of infinite width to data, in closed form, with an honest estimate of its error
///
/// Reads CSV, TSV, Parquet, .npy, .npz (arrays x and y), IDX. Standardises numbers, encodes words, chooses net, kernel and
/// lambda by exact leave-one-out, and reports how good the model is on rows it has not seen.
///
/// Cost: 8/3 n^3 flops for the solution and as much for each candidate compared (on 800 rows beyond 1,200); memory 28 n^2
/// bytes. 2,400 rows take about 2 s on two cores, 20,000 need 11 GB and some ten minutes.
#[derive(Args)]
pub struct Fit {
    /// The data
    data: PathBuf,
    /// Column to predict; several for several numbers. Default: the last column
    #[arg(long, value_name = "COL", value_delimiter = ',')]
    target: Vec<String>,
    /// What to predict; auto takes words and few different integers as classes
    #[arg(long, default_value = "auto")]
    task: TaskOption,
    /// Labels of an array file (.npy or IDX)
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Data to test on
    #[arg(long, value_name = "DATA", conflicts_with = "holdout")]
    test: Option<PathBuf>,
    /// Labels of the test data
    #[arg(long, value_name = "FILE", requires = "test")]
    test_labels: Option<PathBuf>,
    /// Share of rows to keep out of the fit and test on
    #[arg(long, value_name = "SHARE")]
    holdout: Option<f64>,
    /// A net file, a preset such as fc-relu-3, or auto: the best of a few by leave-one-out
    #[arg(long, default_value = "auto")]
    net: String,
    /// Which kernel of the net
    #[arg(long, default_value = "auto")]
    kernel: KernelOption,
    /// How to solve; exact is the one way of this version
    #[arg(long, default_value = "auto")]
    method: MethodOption,
    /// What to do with missing values
    #[arg(long, default_value = "refuse")]
    missing: MissingOption,
    /// Print the plan (rows, candidates, bytes, expected time) and stop
    #[arg(long)]
    dry_run: bool,
    /// Folder to save the model in
    #[arg(short, long, value_name = "MODEL")]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum TaskOption {
    Auto,
    Classification,
    Regression,
}

#[derive(Clone, Copy, ValueEnum)]
enum KernelOption {
    Auto,
    Nngp,
    Ntk,
}

#[derive(Clone, Copy, ValueEnum)]
enum MethodOption {
    Auto,
    Exact,
}

impl Fit {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        if let Some(path) = &self.output {
            check_output(path)?;
        }
        let start = Instant::now();
        let options = self.options()?;
        let resources = self.common.resources()?;
        let (train, test) = self.load()?;
        if self.dry_run {
            return self.print_plan(&train.0, &train.1, &options);
        }
        let model = fit(&train.0, &train.1, &options, &resources).map_err(Error::within(&self.data))?;
        let tested = match &test {
            Some((frame, target)) => Some((frame.rows(), model.evaluate(frame, target, &resources)?)),
            None => None,
        };
        if let Some(path) = &self.output {
            store::save(path, &model)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        if self.common.json {
            let mut value = report_json(model.report());
            value["threads"] = json!(resources.threads());
            value["seconds"] = json!(seconds);
            if let Some((rows, (metrics, coverage))) = &tested {
                value["test"] = metrics_json(metrics, *coverage, *rows);
            }
            return output::print_json(&value);
        }
        self.print(&model, tested, seconds)
    }

    fn options(&self) -> Result<FitOptions> {
        let (MethodOption::Auto | MethodOption::Exact) = self.method;
        Ok(FitOptions {
            net: if self.net == "auto" { NetChoice::Auto } else { NetChoice::Net(read_net(&self.net)?) },
            kernel: match self.kernel {
                KernelOption::Auto => KernelChoice::Auto,
                KernelOption::Nngp => KernelChoice::Kind(KernelKind::Nngp),
                KernelOption::Ntk => KernelChoice::Kind(KernelKind::Ntk),
            },
            ..FitOptions::default()
        })
    }

    fn task(&self) -> Option<Task> {
        match self.task {
            TaskOption::Auto => None,
            TaskOption::Classification => Some(Task::Classification),
            TaskOption::Regression => Some(Task::Regression),
        }
    }

    /// Training rows, and test rows where there are any.
    #[allow(clippy::type_complexity)]
    fn load(&self) -> Result<((Frame, Target), Option<(Frame, Target)>)> {
        let options = |labels: &Option<PathBuf>| Options {
            max_bytes: self.common.memory().unwrap_or(u64::MAX),
            labels: labels.clone(),
            missing: self.missing.into(),
            target: self.target.first().cloned(),
        };
        let Labelled { frame, target, test, format } =
            data::load(&self.data, Wanted::Named(&self.target), &options(&self.labels))?;
        let (rows, columns) = (frame.rows(), frame.columns().len());
        self.common.say(&format!("{}: {format}, {rows} rows, {columns} columns", self.data.display()));
        let target = data::target(&self.data, &target, self.task())?;
        if let (None, Target::Classes { name, labels, .. }) = (self.task(), &target)
            && labels.iter().all(|l| l.parse::<f64>().is_ok())
        {
            let count = labels.len();
            self.common.say(&format!(
                "{name} holds {count} different integers, taken as classes; for numbers give --task regression"
            ));
        }
        let task = Some(target.task());
        if let Some(path) = &self.test {
            let names = if self.target.is_empty() { target_names(&target) } else { self.target.clone() };
            let test = data::load(path, Wanted::IfPresent(&names), &options(&self.test_labels))?;
            let theirs = data::target(path, &test.target, task)?;
            return Ok(((frame, target), Some((test.frame, theirs))));
        }
        if let Some(share) = self.holdout {
            let (kept, out) = split(frame.rows(), share, self.common.seed)?;
            let part = |rows: &[usize]| (frame.select(rows), target.select(rows));
            return Ok((part(&kept), Some(part(&out))));
        }
        let test = match test {
            Some((frame, columns)) => Some((frame, data::target(&self.data, &columns, task)?)),
            None => None,
        };
        Ok(((frame, target), test))
    }

    fn print_plan(&self, frame: &Frame, target: &Target, options: &FitOptions) -> Result<()> {
        let plan = plan(frame.rows(), frame.columns().len(), target.outputs(), options)?;
        let seconds = plan.flops / store::flops_per_second(self.common.resources()?)?;
        if self.common.json {
            let mut value = json!(plan);
            value["seconds_expected"] = json!(seconds);
            return output::print_json(&value);
        }
        output::print(&format!(
            "{} rows, {} candidates compared on {} rows, {} of memory, about {} s",
            plan.rows,
            plan.candidates,
            plan.compared_rows,
            output::bytes(plan.bytes),
            output::number(seconds),
        ))
    }

    fn print(&self, model: &Model, tested: Option<(usize, (Metrics, Option<f64>))>, seconds: f64) -> Result<()> {
        let report = model.report();
        let mut text = String::new();
        let what = match report.task {
            Task::Classification => format!("{} classes of {}", model.classes().len(), model.targets().join(", ")),
            Task::Regression => model.targets().join(", "),
        };
        let lambda = output::number(report.lambda);
        text += &format!("predicting   {what}\n");
        text += &format!(
            "model        {} ({}, {} encoding), lambda {lambda}\n",
            report.net,
            report.kernel.name(),
            json_word(&json!(report.encoding))
        );
        if report.candidates.len() > 1 {
            let (tried, rows) = (report.candidates.len(), report.compared_rows);
            text += &format!("chosen       among {tried} models by leave-one-out on {rows} rows\n");
        }
        if let Some(jitter) = report.jitter {
            let condition = output::number(report.condition);
            text += &format!(
                "note         {} was added to lambda for a stable solution (condition {condition})\n",
                output::number(jitter)
            );
        }
        for (name, reason) in &report.dropped {
            text += &format!("left out     column {name:?}: {reason}\n");
        }
        let mut rows = vec![metric_names(report.task, &report.loo)];
        rows.push(metric_row("leave-one-out", report.n_train, &report.loo));
        if let Some((n, (metrics, _))) = &tested {
            rows.push(metric_row("test", *n, metrics));
        }
        text += &format!("\n{}", output::table(&rows));
        if let Some((_, (_, Some(coverage)))) = &tested {
            text += &format!("\n90 % intervals held {:.1} % of the test values\n", 100.0 * coverage);
        }
        if let Some(path) = &self.output {
            text += &format!("\nsaved in {}\n", path.display());
        }
        text += &format!("\n{} s\n", output::number(seconds));
        output::print(&text)
    }
}

fn target_names(target: &Target) -> Vec<String> {
    match target {
        Target::Classes { name, .. } => vec![name.clone()],
        Target::Numbers { names, .. } => names.clone(),
    }
}

/// Rows kept and rows left out, in ascending order.
fn split(rows: usize, share: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
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

/// What the contract names, flat.
fn report_json(report: &Report) -> Value {
    let mut value = json!(report);
    value["loo"] = metrics_json(&report.loo, None, report.n_train);
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

/// Reads data for a model that was fitted before.
pub fn load_for(
    model: &Model,
    path: &Path,
    labels: Option<&Path>,
    common: &Common,
    missing: MissingOption,
) -> Result<(Frame, Vec<Column>)> {
    let names = model.targets();
    let options = Options {
        max_bytes: common.memory().unwrap_or(u64::MAX),
        labels: labels.map(Path::to_path_buf),
        missing: missing.into(),
        target: names.first().cloned(),
    };
    let loaded = data::load(path, Wanted::IfPresent(&names), &options)?;
    Ok((loaded.frame, loaded.target))
}
