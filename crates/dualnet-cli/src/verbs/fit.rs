//! `dualnet fit`: a model from a table of data, in closed form.

use crate::data::{self, Data, Reading, Wanted};
use crate::error::{Error, Result};
use crate::options::{Common, MissingOption, Output, check_output};
use crate::output;
use crate::samples::{Samples, listed};
use crate::store;
use crate::streamed::Streamed;
use crate::verbs::kernel::read_dense_net;
use clap::{Args, ValueEnum};
use dualnet::Resources;
use dualnet::activation::Activation;
use dualnet::model::{
    BundledOptions, Encoding, FeaturePrecision, FitOptions, Frame, InMemory, KernelChoice, KernelKind, Metrics, Model,
    NetChoice, Report, Target, Task, Values, fit, fit_bundled, plan, plan_bundled,
};
use dualnet::snnk::{BundledNet, Directions};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Fit a network of infinite width to data
///
/// DATA is CSV, TSV, Parquet, .npy, .npz (arrays x and y), IDX, or a folder with the four IDX files of a training and a test
/// set. Numbers are standardised and words become 0/1 columns; net, kernel and strength of regularisation are the best of a
/// few by exact leave-one-out, which also tells how good the model is on rows it has not seen.
///
/// Cost: for n rows, 8/3 n^3 operations for the solution and as much for each candidate compared (beyond 1,200 rows on 800 of
/// them); memory 28 n^2 bytes. On two cores 2,400 rows take some seconds; 20,000 need 11 GB and about ten minutes.
/// A bundled net of m features takes about n m^2 operations and 24 m^2 bytes instead, whatever n: 60,000 rows and 4,096
/// features take some ten seconds. --dry-run tells before.
#[derive(Args)]
pub struct Fit {
    /// File or folder with the training data
    data: PathBuf,
    /// Column of a table to predict, or several with commas between; default: the last column
    #[arg(long, value_name = "COL", value_delimiter = ',')]
    target: Vec<String>,
    /// Whether the target is a class or a number; auto takes words, and at most 20 different integers, as classes
    #[arg(long, default_value = "auto")]
    task: TaskOption,
    /// Labels of an array file (.npy or IDX)
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Data of the same kind, with the target, to test the model on
    #[arg(long, value_name = "DATA", conflicts_with = "holdout")]
    test: Option<PathBuf>,
    /// Labels of the test data
    #[arg(long, value_name = "FILE", requires = "test")]
    test_labels: Option<PathBuf>,
    /// Share of the rows to keep out of the fit and test on, such as .2
    #[arg(long, value_name = "SHARE")]
    holdout: Option<f64>,
    /// A net file, a preset such as fc-relu-3, bundled:ACTIVATION-DEPTH-M (DEPTH layers of M random features each and one matrix
    /// on top, solved in closed form), or auto: the best of a few by leave-one-out
    #[arg(long, default_value = "auto")]
    net: String,
    /// Which kernel of the net
    #[arg(long, default_value = "auto")]
    kernel: KernelOption,
    /// How to solve: exact by the kernel of the net, features by those of a bundled net; auto: as the net says, and features where
    /// an exact fit does not fit the memory
    #[arg(long, default_value = "auto")]
    method: MethodOption,
    /// Where the directions of a bundled net come from: differences of training rows, or random draws; auto: pairs or orthogonal, by
    /// leave-one-out
    #[arg(long, value_name = "KIND", default_value = "auto")]
    directions: DirectionsOption,
    /// Precision of the features of a bundled net; auto: f64 where that takes seconds, else f32
    #[arg(long, default_value = "auto")]
    precision: PrecisionOption,
    /// What to do with missing values
    #[arg(long, default_value = "refuse")]
    missing: MissingOption,
    /// Whether a bundled net reads its rows from memory or from the file, several times; auto: from the file where that is larger than
    /// an eighth of the memory
    #[arg(long, value_name = "FROM", default_value = "auto")]
    read: ReadOption,
    /// Print the plan (rows, candidates, bytes, expected time) and stop
    #[arg(long)]
    dry_run: bool,
    /// Folder to save the model in, for predict and evaluate
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
    Features,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum DirectionsOption {
    Auto,
    Pairs,
    Gaussian,
    Orthogonal,
    Structured,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum PrecisionOption {
    Auto,
    F32,
    F64,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum ReadOption {
    Auto,
    Memory,
    File,
}

/// How the model will be solved, with what that needs.
enum Way {
    Exact(FitOptions),
    Features(BundledOptions),
}

impl Fit {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        if let Some(path) = &self.output {
            check_output(path, Output::Model)?;
        }
        let start = Instant::now();
        let way = self.way()?;
        let resources = self.common.resources()?;
        if let (Way::Features(options), true) = (&way, self.reads_file()?) {
            return self.run_from_file(options.clone(), &resources, start);
        }
        let Loaded { train, target, test } = self.load()?;
        let encodings = encodings(train.is_array());
        let frame = train.into_frame()?;
        let way = self.settle(way, &frame, &target)?.with_encodings(encodings);
        if self.dry_run {
            return self.print_plan((frame.rows(), frame.columns().len()), &target, &way);
        }
        let model = match &way {
            Way::Exact(options) => fit(&frame, &target, options, &resources),
            Way::Features(options) => {
                InMemory::new(&frame, &target).and_then(|mut rows| fit_bundled(&mut rows, options, &resources))
            }
        }
        .map_err(Error::within(&self.data))?;
        let tested = match test {
            Some((mut test, target)) => {
                let file = test.file.clone();
                model.fill_missing(&mut test.inputs);
                let frame = test.into_frame()?;
                let result = model.evaluate(&frame, &target, &resources).map_err(Error::within(&file))?;
                Some((frame.rows(), result))
            }
            None => None,
        };
        self.finish(&model, tested, start, &resources)
    }

    /// Saves the model and prints its report.
    fn finish(&self, model: &Model, tested: Option<Tested>, start: Instant, resources: &Resources) -> Result<()> {
        if let Some(path) = &self.output {
            store::save(path, model)?;
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
        self.print(model, tested, seconds)
    }

    /// Whether the rows stay in the file.
    fn reads_file(&self) -> Result<bool> {
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

    /// Fits a bundled net to rows that stay in the file.
    fn run_from_file(&self, mut options: BundledOptions, resources: &Resources, start: Instant) -> Result<()> {
        let reading = Reading { labels: self.labels.as_deref(), missing: self.missing, common: &self.common };
        let mut rows = Streamed::open(&self.data, &self.target, self.task(), &reading)?;
        let count = rows.targets().rows();
        self.say_data(&rows.format, count, rows.columns);
        self.say_classes(&rows.targets());
        options.encodings = encodings(rows.is_array());
        if self.dry_run {
            return self.print_plan((count, rows.columns), &rows.targets(), &Way::Features(options));
        }
        let held = match self.holdout {
            None => None,
            Some(share) => {
                let (kept, out) = split(count, share, self.common.seed)?;
                rows.restrict(kept);
                Some(out)
            }
        };
        let fitted = fit_bundled(&mut rows, &options, resources);
        let model = self.judged(fitted, &mut rows)?;
        let tested = match (&self.test, held) {
            (Some(path), _) => {
                let reading = Reading { labels: self.test_labels.as_deref(), ..reading };
                let samples = data::load_for(&model, path, &model.targets(), &reading)?;
                if samples.target.is_empty() {
                    return Err(data::no_target(&samples, &model.targets(), ""));
                }
                let target = samples.target(Some(model.task()))?;
                samples.check_classes(&target, model.classes())?;
                let frame = samples.into_frame()?;
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
        self.finish(&model, tested, start, resources)
    }

    /// A result, or the error of reading that ended it.
    fn judged<T>(&self, result: dualnet::Result<T>, rows: &mut Streamed) -> Result<T> {
        match (result, rows.failure()) {
            (Ok(value), _) => Ok(value),
            (Err(_), Some(failure)) => Err(failure),
            (Err(error), None) => Err(Error::within(&self.data)(error)),
        }
    }

    /// What was asked for, as far as it can be told without the data.
    fn way(&self) -> Result<Way> {
        if BundledNet::is_meant_by(&self.net) {
            let net = BundledNet::parse(&self.net)?;
            if let MethodOption::Exact = self.method {
                let hint = "take --method features, or a net such as fc-relu-2";
                return Err(Error::argument("--method", "features for a bundled net", "exact", hint));
            }
            return self.features(net).map(Way::Features);
        }
        let other = self.net != "auto";
        if let (MethodOption::Features, true) = (self.method, other) {
            let hint = "write for example --net bundled:relu-2-4096, or leave --net out";
            return Err(Error::argument("--net", "a bundled net for --method features", &self.net, hint));
        }
        if self.precision != PrecisionOption::Auto && !matches!(self.method, MethodOption::Features) {
            let hint = "exact fits are always in f64";
            return Err(Error::argument("--precision", "a bundled net beside it", "none", hint));
        }
        Ok(Way::Exact(FitOptions {
            net: if other { NetChoice::Net(read_dense_net(&self.net)?) } else { NetChoice::Auto },
            kernel: match self.kernel {
                KernelOption::Auto => KernelChoice::Auto,
                KernelOption::Nngp => KernelChoice::Kind(KernelKind::Nngp),
                KernelOption::Ntk => KernelChoice::Kind(KernelKind::Ntk),
            },
            ..FitOptions::default()
        }))
    }

    fn features(&self, net: BundledNet) -> Result<BundledOptions> {
        if let KernelOption::Ntk = self.kernel {
            let hint = "leave --kernel out: features whose top layer alone is solved for are those of the NNGP";
            return Err(Error::argument("--kernel", "nngp for a bundled net", "ntk", hint));
        }
        let mut options = BundledOptions::new(net);
        match self.directions {
            DirectionsOption::Auto => {}
            DirectionsOption::Pairs => options.directions = vec![Directions::Pairs],
            DirectionsOption::Gaussian => options.directions = vec![Directions::Gaussian],
            DirectionsOption::Orthogonal => options.directions = vec![Directions::Orthogonal],
            DirectionsOption::Structured => options.directions = vec![Directions::Structured],
        }
        options.precision = match self.precision {
            PrecisionOption::Auto => None,
            PrecisionOption::F32 => Some(FeaturePrecision::F32),
            PrecisionOption::F64 => Some(FeaturePrecision::F64),
        };
        Ok(options)
    }

    /// Decides what was left to the data: features where they were asked for without a net, or where an exact fit has no room.
    fn settle(&self, way: Way, frame: &Frame, target: &Target) -> Result<Way> {
        let Way::Exact(options) = way else { return Ok(way) };
        let rows = frame.rows();
        let bytes = plan(rows, frame.columns().len(), target.outputs(), &options)?.bytes;
        let auto = matches!(self.method, MethodOption::Auto) && self.net == "auto";
        let no_room = auto && self.common.memory().is_some_and(|limit| bytes > limit);
        if !no_room && !matches!(self.method, MethodOption::Features) {
            return Ok(Way::Exact(options));
        }
        let net = BundledNet { activation: Activation::Relu, depth: 1, features: default_features(rows) };
        if no_room {
            let needed = output::bytes(bytes);
            self.common.say(&format!("an exact fit of {rows} rows needs {needed}: fitting {net} instead"));
        }
        self.features(net).map(Way::Features)
    }

    fn task(&self) -> Option<Task> {
        match self.task {
            TaskOption::Auto => None,
            TaskOption::Classification => Some(Task::Classification),
            TaskOption::Regression => Some(Task::Regression),
        }
    }

    /// Training rows, and test rows where there are any, checked as far as that is possible before the work.
    fn load(&self) -> Result<Loaded> {
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

    fn say_data(&self, format: &str, rows: usize, columns: usize) {
        let (rows, columns) = (output::count(rows, "row"), output::count(columns, "column"));
        self.common.say(&format!("{}: {format}, {rows}, {columns} of input", self.data.display()));
    }

    /// Says so where integers are taken as classes, which may not be what was meant.
    fn say_classes(&self, target: &Target) {
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

    fn print_plan(&self, (rows, columns): (usize, usize), target: &Target, way: &Way) -> Result<()> {
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

    fn print(&self, model: &Model, tested: Option<Tested>, seconds: f64) -> Result<()> {
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
            Some(features) => {
                format!("{} directions, {}", features.directions.name(), json_word(&json!(features.precision)))
            }
        };
        text += &format!("model        {} ({kind}, {encoding} encoding), lambda {lambda}\n", report.net);
        if report.candidates.len() > 1 {
            let (tried, rows) = (report.candidates.len(), report.compared_rows);
            text += &format!("chosen       among {tried} models by leave-one-out on {rows} rows\n");
        }
        if let Some(jitter) = report.jitter {
            let condition = report.condition.map_or(String::new(), |c| format!(" (condition {})", output::number(c)));
            text += &format!(
                "note         {} was added to lambda for a stable solution{condition}\n",
                output::number(jitter)
            );
        }
        text += &left_out(&report.dropped);
        let mut rows = vec![metric_names(report.task, &report.loo)];
        rows.push(metric_row("leave-one-out", report.loo_rows, &report.loo));
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
        text += &format!("\n{}\n", output::duration(seconds));
        output::print(&text)
    }
}

/// Rows of a test, and what came of it.
type Tested = (usize, (Metrics, Option<f64>));

/// How columns may be shown: pixels and the like share a unit, which standardising each column would undo; ranks are for tables.
fn encodings(is_array: bool) -> Vec<Encoding> {
    vec![Encoding::Plain, if is_array { Encoding::Shared } else { Encoding::Binned }]
}

impl Way {
    fn with_encodings(mut self, encodings: Vec<Encoding>) -> Self {
        match &mut self {
            Way::Exact(options) => options.encodings = encodings,
            Way::Features(options) => options.encodings = encodings,
        }
        self
    }
}

/// Features of a bundled net that nobody chose: more rows pay for more of them.
fn default_features(rows: usize) -> usize {
    rows.div_ceil(4).next_power_of_two().clamp(512, 4096)
}

/// What a fit starts from.
struct Loaded {
    train: Samples,
    target: Target,
    test: Option<(Samples, Target)>,
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
    value["loo"] = metrics_json(&report.loo, None, report.loo_rows);
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
