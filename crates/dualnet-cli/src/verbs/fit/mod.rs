//! `dualnet fit`: a model from a table of data, in closed form.

mod image_method;
mod images;
mod job;
mod load;
mod method;
mod page;
mod plan;
mod report;
mod streamed;

use crate::error::{Error, Result};
use crate::options::{Common, MissingOption, Output, check_output, parse_duration};
use crate::output;
use clap::{Args, ValueEnum};
use dualnet::Resources;
use dualnet::model::{
    Augment, Batches, EmbeddedFit, Encoding, InMemory, Method, MetricChoice, Model, Task, Whiten, fit, fit_bundled,
    fit_falkon, fit_pcg,
};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use load::Loaded;
pub use report::{metric_names, metric_row, metrics_json};

/// Fit a network of infinite width to data
///
/// DATA is CSV, TSV, Parquet, .npy, .npz (arrays x and y), IDX, a folder with the four IDX files of a training and a test
/// set or with the binary batches of CIFAR-10 or 100, or a folder with a folder of PNG or JPEG images for each class. Numbers are standardised and words become 0/1 columns; net, kernel and strength of regularisation are the best of a
/// few by exact leave-one-out, which also tells how good the model is on rows it has not seen.
///
/// Cost: for n rows, 8/3 n^3 operations for the solution and as much for each candidate compared (beyond 1,200 rows on 800 of
/// them); memory 28 n^2 bytes. On two cores 2,400 rows take some seconds; 20,000 need 11 GB and about ten minutes.
///
/// More rows than that: --method pcg solves for the same kernel by conjugate gradients, with 2 n^2 bytes (60,000 images: 8 GB and some minutes);
/// it is judged by rows held out, not by leave-one-out. --method nystrom and features take m features of the kernel, those of m chosen
/// training rows or random ones: about n m^2 operations and 24 m^2 bytes, whatever n, and so does a bundled net of m features. falkon fits the kernel on m
/// rows drawn at random, by conjugate gradients: about 40 passes over n m numbers, of which those are kept that --memory has room for. auto takes the
/// first of exact, pcg, nystrom and features that --memory and --time allow, and says why. --dry-run tells before.
///
/// Images keep their shape for nets over positions, such as --net myrtle-5, and with --augment or --whiten; other nets see them
/// flattened. Cost: n^2/2 pairs of images, about 1.5 ms each for 32 x 32 pixels and myrtle-5, and twice that with flips; --dry-run measures.
/// With --method features every image goes once through random features instead, some ten milliseconds for 4,096 of myrtle-5; auto takes
/// them where the exact kernel needs more than --memory, or than --time (an hour where that is not given).
///
/// With --job DIR the kernel of the training images is written to DIR tile by tile. Killed at any time, even by kill -9, the same command takes
/// up the work where it was, and the model has the same bits; at most one tile of each thread is lost. Fits to the same images with
/// other targets find their kernel in DIR too. Remove it when no more are wanted.
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
    /// How to solve: exact by a decomposition of the kernel matrix; pcg: the same kernel by conjugate gradients; falkon: on landmarks, by conjugate
    /// gradients; nystrom and features: by features of the kernel (of a bundled net: its own); auto: the first of these that --memory and --time allow
    #[arg(long, default_value = "auto")]
    method: MethodOption,
    /// Learn which inputs matter: a metric on the inputs from the gradients of the fitted function, full (directions), diagonal (one number an
    /// input) or sharp (the same, inputs of little influence almost taken away); auto: where 3-fold cross-validation finds that it lowers the error by more than 2 %, and where --time allows
    #[arg(long, default_value = "auto")]
    metric: MetricOption,
    /// Time that the fit may be expected to take, such as 90s, 5m or 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    time: Option<Duration>,
    /// Number of features of --method features or nystrom, of landmarks of falkon; default: a quarter of the rows, 512 to 4096, fewer where time or memory end
    #[arg(long, value_name = "M")]
    features: Option<usize>,
    /// Where the directions of a bundled net come from: differences of training rows, or random draws; auto: pairs or orthogonal, by
    /// leave-one-out
    #[arg(long, value_name = "KIND", default_value = "auto")]
    directions: DirectionsOption,
    /// Precision of features and of the kernel of pcg; auto: f64 where that takes seconds, else f32
    #[arg(long, default_value = "auto")]
    precision: PrecisionOption,
    /// Take an image and its horizontal flip for the same
    #[arg(long, value_name = "WHAT", default_value = "none")]
    augment: AugmentOption,
    /// Standardise the channels of images (mean), or decorrelate all their values (zca)
    #[arg(long, value_name = "HOW", default_value = "none")]
    whiten: WhitenOption,
    /// What to do with missing values
    #[arg(long, default_value = "refuse")]
    missing: MissingOption,
    /// Whether fits by features read their rows from memory or from the file, several times; auto: from the file where that is larger than
    /// an eighth of the memory
    #[arg(long, value_name = "FROM", default_value = "auto")]
    read: ReadOption,
    /// Fit to N of the images, drawn by --seed, and test on at most as many
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// A folder for the kernel of images, as far as it is done: the work is begun there, or taken up
    #[arg(long, value_name = "DIR")]
    job: Option<PathBuf>,
    /// Print the plan (rows, candidates, bytes, expected time) and stop
    #[arg(long)]
    dry_run: bool,
    /// Write a page about the fit: what was chosen, how good it is, which inputs matter (one HTML file that stands by itself)
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
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
    Falkon,
    Features,
    Nystrom,
    Pcg,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum MetricOption {
    Auto,
    None,
    Full,
    Diagonal,
    Sharp,
}

impl From<MetricOption> for MetricChoice {
    fn from(option: MetricOption) -> Self {
        match option {
            MetricOption::Auto => MetricChoice::Auto,
            MetricOption::None => MetricChoice::None,
            MetricOption::Full => MetricChoice::Full,
            MetricOption::Diagonal => MetricChoice::Diagonal,
            MetricOption::Sharp => MetricChoice::Sharp,
        }
    }
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

#[derive(Clone, Copy, ValueEnum)]
enum AugmentOption {
    None,
    Flip,
}

impl From<AugmentOption> for Augment {
    fn from(option: AugmentOption) -> Self {
        match option {
            AugmentOption::None => Augment::None,
            AugmentOption::Flip => Augment::Flip,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum WhitenOption {
    None,
    Mean,
    Zca,
}

impl From<WhitenOption> for Whiten {
    fn from(option: WhitenOption) -> Self {
        match option {
            WhitenOption::None => Whiten::None,
            WhitenOption::Mean => Whiten::Mean,
            WhitenOption::Zca => Whiten::Zca,
        }
    }
}

impl Fit {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        if let Some(path) = &self.output {
            check_output(path, Output::Model)?;
        }
        if let Some(path) = &self.report {
            check_output(path, Output::File)?;
        }
        let start = Instant::now();
        if let Some(options) = self.image_options()? {
            return self.run_images(&options, &self.common.resources()?, start);
        }
        let ways = self.ways()?;
        let resources = self.common.resources()?;
        if ways.reads_batches() && self.reads_file()? {
            return self.run_from_file(ways, &resources, start);
        }
        let Loaded { train, target, test } = self.load()?;
        let encodings = encodings(train.is_array());
        let frame = train.into_frame()?;
        let shape = (frame.rows(), frame.columns().len(), target.outputs());
        let (method, why) = self.settle(ways, shape)?;
        let method = method.with_encodings(encodings);
        if self.dry_run {
            self.say_choice(&method, why.as_deref(), None);
            return self.print_plan(shape, &method);
        }
        let model = match &method {
            Method::Exact(options) => fit(&frame, &target, options, &resources),
            Method::Pcg(options) => {
                let expected = format!("residuals will be at most {}", output::number(options.tolerance));
                self.say_choice(&method, why.as_deref(), Some(&expected));
                fit_pcg(&frame, &target, options, &resources)
            }
            Method::Falkon(options) => fit_falkon(&frame, &target, options, &resources),
            Method::Embedded(_) | Method::Bundled(_) => InMemory::new(&frame, &target)
                .and_then(|mut rows| self.fit_batches(&method, why.as_deref(), &mut rows, &resources)),
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
        self.finish(&model, Some((&frame, &target)), tested, start, &resources)
    }

    /// Fits to rows that come in batches.
    fn fit_batches(
        &self,
        method: &Method,
        why: Option<&str>,
        rows: &mut dyn Batches,
        resources: &Resources,
    ) -> dualnet::Result<Model> {
        match method {
            Method::Embedded(options) => {
                let drawn = EmbeddedFit::new(rows, options, resources)?;
                let error = output::number(drawn.kernel_error());
                let expected = format!("relative error of its kernel {error} on pairs of training rows");
                self.say_choice(method, why, Some(&expected));
                drawn.solve(rows, resources)
            }
            Method::Bundled(options) => fit_bundled(rows, options, resources),
            // These need all rows at once, and are told so before.
            Method::Exact(_) | Method::Pcg(_) | Method::Falkon(_) => Err(dualnet::Error::Unsupported {
                at: format!("--method {}", method.name()),
                what: "rows in batches".into(),
                hint: "read them into memory".into(),
            }),
        }
    }

    /// One line about what `auto` has chosen, why, and which error to expect.
    fn say_choice(&self, method: &Method, why: Option<&str>, expected: Option<&str>) {
        let Some(why) = why else { return };
        let what = match method {
            Method::Embedded(options) => format!("{} ({} features)", method.name(), options.dim),
            _ => method.name().to_string(),
        };
        let expected = expected.map_or(String::new(), |e| format!("; {e}"));
        self.common.say(&format!("method {what}: {why}{expected}"));
    }

    fn task(&self) -> Option<Task> {
        match self.task {
            TaskOption::Auto => None,
            TaskOption::Classification => Some(Task::Classification),
            TaskOption::Regression => Some(Task::Regression),
        }
    }
}

/// How columns may be shown: pixels and the like share a unit, which standardising each column would undo; ranks are for tables.
fn encodings(is_array: bool) -> Vec<Encoding> {
    vec![Encoding::Plain, if is_array { Encoding::Shared } else { Encoding::Binned }]
}
