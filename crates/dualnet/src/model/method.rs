//! Which way to solve a fit: what each takes, and the first that time and memory allow.

use super::bundled::{BundledOptions, plan_bundled};
use super::embedded::{EmbeddedOptions, KernelMap, plan_embedded};
use super::falkon::{FalkonOptions, plan_falkon};
use super::features::FeaturePrecision;
use super::fit::{FitOptions, pair_flops, plan};
use super::invalid;
use super::metric::MetricChoice;
use super::pcg::{KernelTiles, PcgOptions, plan_pcg};
use crate::error::Result;
use crate::model::candidates;

/// A way to solve a fit, with what it is told.
#[derive(Clone, Debug)]
pub enum Method {
    /// By a decomposition of the kernel matrix.
    Exact(FitOptions),
    /// By conjugate gradients on it.
    Pcg(PcgOptions),
    /// By conjugate gradients on landmarks.
    Falkon(FalkonOptions),
    /// By features of the kernel: random ones or Nystrom.
    Embedded(EmbeddedOptions),
    /// By a bundled net.
    Bundled(BundledOptions),
}

/// What a method will take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MethodPlan {
    /// Most bytes at a time.
    pub bytes: u64,
    /// Floating-point operations in double precision that take as long.
    pub flops: f64,
    /// Whether a product with the kernel matrix computes it anew: hours, where everything else takes minutes.
    pub tiles: Option<KernelTiles>,
}

/// What a fit may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Seconds.
    pub seconds: Option<f64>,
    /// Speed of the machine, in operations a second.
    pub flops_per_second: f64,
}

/// Why a method was passed over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Obstacle {
    /// It needs so many bytes.
    Memory(u64),
    /// It would take so many seconds.
    Seconds(f64),
}

/// A method that the limits allow.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Its place in the list.
    pub at: usize,
    /// What it will take.
    pub plan: MethodPlan,
    /// Why those before it in the list were not chosen.
    pub passed: Vec<Obstacle>,
}

impl Method {
    /// `exact`, `pcg`, `falkon`, `nystrom` or `features`: the method as reports call it.
    pub fn name(&self) -> &'static str {
        match self {
            Method::Exact(_) => "exact",
            Method::Pcg(_) => "pcg",
            Method::Falkon(_) => "falkon",
            Method::Embedded(options) => options.map.method(),
            Method::Bundled(_) => "features",
        }
    }

    /// With other encodings to compare.
    pub fn with_encodings(mut self, encodings: Vec<super::Encoding>) -> Self {
        match &mut self {
            Method::Exact(options) => options.encodings = encodings,
            Method::Pcg(options) => options.choice.encodings = encodings,
            Method::Falkon(options) => options.choice.encodings = encodings,
            Method::Embedded(options) => options.choice.encodings = encodings,
            Method::Bundled(options) => options.encodings = encodings,
        }
        self
    }

    /// Whether it looks for a metric.
    pub fn metric(&self) -> MetricChoice {
        match self {
            Method::Exact(options) => options.metric,
            Method::Pcg(options) => options.choice.metric,
            Method::Falkon(options) => options.choice.metric,
            Method::Embedded(options) => options.choice.metric,
            Method::Bundled(_) => MetricChoice::None,
        }
    }

    /// With another choice of a metric; bundled nets have none.
    pub fn with_metric(mut self, metric: MetricChoice) -> Self {
        match &mut self {
            Method::Exact(options) => options.metric = metric,
            Method::Pcg(options) => options.choice.metric = metric,
            Method::Falkon(options) => options.choice.metric = metric,
            Method::Embedded(options) => options.choice.metric = metric,
            Method::Bundled(_) => {}
        }
        self
    }

    /// What fitting `rows` rows of `columns` columns to `outputs` outputs will take; conjugate gradients keep the kernel matrix where that fits
    /// `memory`.
    ///
    /// # Errors
    /// A net that no table fits.
    pub fn plan(&self, (rows, columns, outputs): (usize, usize, usize), memory: Option<u64>) -> Result<MethodPlan> {
        // Products in single precision are twice as fast; those of features reach more of the peak than a decomposition.
        let features = |precision: FeaturePrecision, flops: f64| match precision {
            FeaturePrecision::F32 => flops / 3.0,
            FeaturePrecision::F64 => flops / 1.5,
        };
        Ok(match self {
            Method::Exact(options) => {
                let found = plan(rows, columns, outputs, options)?;
                let list = candidates(&options.net, options.kernel, &options.encodings)?;
                let values = (rows as f64).powi(2) / 2.0 * pair_flops(&list, columns);
                MethodPlan { bytes: found.bytes, flops: found.flops + values, tiles: None }
            }
            Method::Pcg(options) => {
                let found = plan_pcg((rows, columns, outputs), options, memory)?;
                MethodPlan { bytes: found.bytes, flops: found.flops, tiles: Some(found.tiles) }
            }
            Method::Falkon(options) => {
                let found = plan_falkon((rows, columns, outputs), options, memory)?;
                MethodPlan { bytes: found.bytes, flops: found.flops, tiles: None }
            }
            Method::Embedded(options) => {
                let (bytes, flops) = plan_embedded(rows, columns, outputs, options)?;
                MethodPlan { bytes, flops: features(options.precision(rows), flops), tiles: None }
            }
            Method::Bundled(options) => {
                let (bytes, flops) = plan_bundled(rows, columns, outputs, options);
                MethodPlan { bytes, flops: features(options.precision(rows), flops), tiles: None }
            }
        })
    }
}

impl MethodPlan {
    /// What stands against it.
    pub fn obstacle(&self, limits: &Limits) -> Option<Obstacle> {
        let seconds = self.flops / limits.flops_per_second;
        // Without a limit on time nobody expects to wait for kernel values computed a hundred times.
        let endless = self.tiles == Some(KernelTiles::Computed) && limits.seconds.is_none();
        match limits {
            Limits { memory: Some(memory), .. } if self.bytes > *memory => Some(Obstacle::Memory(self.bytes)),
            Limits { seconds: Some(limit), .. } if seconds > *limit => Some(Obstacle::Seconds(seconds)),
            _ if endless => Some(Obstacle::Seconds(seconds)),
            _ => None,
        }
    }
}

/// What `auto` tries, best first: exact, conjugate gradients, then Nystrom and random features, fewer and fewer of them.
pub fn auto_methods(choice: &FitOptions, features: usize) -> Vec<Method> {
    const LEAST: usize = 256;
    let mut all = vec![
        Method::Exact(choice.clone()),
        Method::Pcg(PcgOptions { choice: choice.clone(), ..PcgOptions::default() }),
    ];
    let mut dim = features.max(LEAST);
    while dim >= LEAST {
        for map in [KernelMap::Nystrom, KernelMap::Random] {
            all.push(Method::Embedded(EmbeddedOptions { choice: choice.clone(), ..EmbeddedOptions::new(map, dim) }));
        }
        dim /= 2;
    }
    all
}

/// The first of `methods` that the limits allow, for `rows` rows of `columns` columns and `outputs` outputs.
///
/// ```
/// use dualnet::model::{FitOptions, Limits, auto_methods, choose_method};
/// let methods = auto_methods(&FitOptions::default(), 1024);
/// let limits = Limits { memory: Some(1 << 30), seconds: None, flops_per_second: 5e10 };
/// // 28 n^2 bytes of an exact fit are 0.7 GB for 5,000 rows and 2.8 GB for 10,000, half a matrix in f32 0.2 GB.
/// let names = [5_000, 10_000, 100_000].map(|rows| {
///     choose_method(&methods, (rows, 20, 1), &limits).map(|chosen| methods[chosen.at].name()).unwrap_or("none")
/// });
/// assert_eq!(names, ["exact", "pcg", "nystrom"]);
/// ```
///
/// # Errors
/// None is allowed; a net that no table fits.
pub fn choose_method(methods: &[Method], shape: (usize, usize, usize), limits: &Limits) -> Result<Chosen> {
    let mut passed = Vec::new();
    for (at, method) in methods.iter().enumerate() {
        let plan = method.plan(shape, limits.memory)?;
        match plan.obstacle(limits) {
            None => return Ok(Chosen { at, plan, passed }),
            Some(obstacle) => passed.push(obstacle),
        }
    }
    let least = |f: &dyn Fn(&Obstacle) -> Option<f64>| passed.iter().filter_map(f).fold(f64::INFINITY, f64::min);
    let seconds = least(&|o| if let Obstacle::Seconds(s) = o { Some(*s) } else { None });
    let bytes = least(&|o| if let Obstacle::Memory(b) = o { Some(*b as f64) } else { None });
    let rows = shape.0;
    Err(match (limits.seconds, seconds.is_finite()) {
        (Some(limit), true) => {
            let (expected, found) = (format!("at least {seconds:.1} seconds for {rows} rows"), format!("{limit}"));
            invalid("the time for a fit", &expected, &found, "raise --time, or fit fewer rows")
        }
        _ => {
            let found = limits.memory.map_or("none".into(), |m| m.to_string());
            let expected = format!("at least {bytes} bytes for {rows} rows");
            invalid("the memory for a fit", &expected, &found, "raise --memory, or fit fewer rows")
        }
    })
}
