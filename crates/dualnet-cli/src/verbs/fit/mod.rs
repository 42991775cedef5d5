//! `dualnet fit`: a model from a table of data, in closed form.

mod images;
mod job;
mod load;
mod plan;
mod report;
mod streamed;

use crate::error::{Error, Result};
use crate::options::{Common, MissingOption, Output, check_output};
use crate::output;
use crate::verbs::kernel::read_dense_net;
use clap::{Args, ValueEnum};
use dualnet::activation::Activation;
use dualnet::model::{
    Augment, BundledOptions, Encoding, FeaturePrecision, FitOptions, Frame, InMemory, KernelChoice, KernelKind,
    NetChoice, Target, Task, Whiten, fit, fit_bundled, plan,
};
use dualnet::snnk::{BundledNet, Directions};
use std::path::PathBuf;
use std::time::Instant;

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
/// A bundled net of m features takes about n m^2 operations and 24 m^2 bytes instead, whatever n: 60,000 rows and 4,096
/// features take some ten seconds. --dry-run tells before.
///
/// Images keep their shape for nets over positions, such as --net myrtle-5, and with --augment or --whiten; other nets see them
/// flattened. Cost: n^2/2 pairs of images, about 1.5 ms each for 32 x 32 pixels and myrtle-5, and twice that with flips; --dry-run measures.
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
    /// Take an image and its horizontal flip for the same
    #[arg(long, value_name = "WHAT", default_value = "none")]
    augment: AugmentOption,
    /// Standardise the channels of images (mean), or decorrelate all their values (zca)
    #[arg(long, value_name = "HOW", default_value = "none")]
    whiten: WhitenOption,
    /// What to do with missing values
    #[arg(long, default_value = "refuse")]
    missing: MissingOption,
    /// Whether a bundled net reads its rows from memory or from the file, several times; auto: from the file where that is larger than
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
        if let Some(options) = self.image_options()? {
            return self.run_images(&options, &self.common.resources()?, start);
        }
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
            kernel: self.kernel_choice(),
            ..FitOptions::default()
        }))
    }

    fn kernel_choice(&self) -> KernelChoice {
        match self.kernel {
            KernelOption::Auto => KernelChoice::Auto,
            KernelOption::Nngp => KernelChoice::Kind(KernelKind::Nngp),
            KernelOption::Ntk => KernelChoice::Kind(KernelKind::Ntk),
        }
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
}

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
