//! Which way to solve a fit: as asked for, or as time and memory allow.

use super::{DirectionsOption, Fit, KernelOption, MethodOption, MetricOption, PrecisionOption};
use crate::error::{Error, Result};
use crate::output;
use crate::store;
use crate::verbs::kernel::read_dense_net;
use dualnet::model::{
    BundledOptions, Chosen, EmbeddedOptions, FalkonOptions, FeaturePrecision, FitOptions, KernelChoice, KernelKind,
    KernelMap, Limits, Method, MetricChoice, NetChoice, Obstacle, PcgOptions, auto_methods, choose_method,
};
use dualnet::snnk::{BundledNet, Directions};

/// Least number of features that a limit on time or memory may lead to.
const LEAST_FEATURES: usize = 256;

/// Ways to solve a fit, before the data are known.
pub(super) enum Ways {
    /// This one, whatever it takes.
    One(Method),
    /// These features, as many of them as there is time and memory for; `None`: as suit the rows.
    Features(KernelMap, FitOptions, Option<FeaturePrecision>),
    /// The best that time and memory allow.
    Auto(FitOptions),
}

impl Ways {
    /// Whether the rows may stay in their file.
    pub(super) fn reads_batches(&self) -> bool {
        matches!(self, Ways::One(Method::Embedded(_) | Method::Bundled(_)) | Ways::Features(..))
    }
}

impl Fit {
    /// What was asked for, as far as it can be told without the data.
    pub(super) fn ways(&self) -> Result<Ways> {
        if BundledNet::is_meant_by(&self.net) {
            self.refuse_metric("a bundled net")?;
            let net = BundledNet::parse(&self.net)?;
            if !matches!(self.method, MethodOption::Auto | MethodOption::Features) {
                let hint = "take --method features, or a net such as fc-relu-2";
                return Err(Error::argument("--method", "features for a bundled net", self.method.name(), hint));
            }
            if let Some(features) = self.features {
                let hint = "write the number into the net, as in bundled:relu-1-4096";
                let found = format!("--features {features}");
                return Err(Error::argument("--net", "the net of a kernel beside --features", &found, hint));
            }
            return self.bundled(net).map(|options| Ways::One(Method::Bundled(options)));
        }
        self.check_options()?;
        let choice = FitOptions {
            net: match self.net.as_str() {
                "auto" => NetChoice::Auto,
                net => NetChoice::Net(read_dense_net(net)?),
            },
            kernel: self.kernel_choice(),
            metric: self.metric.into(),
            ..FitOptions::default()
        };
        let features = |map, choice| match self.features {
            None => Ways::Features(map, choice, self.precision()),
            Some(dim) => {
                let options = EmbeddedOptions { choice, precision: self.precision(), ..EmbeddedOptions::new(map, dim) };
                Ways::One(Method::Embedded(options))
            }
        };
        Ok(match self.method {
            MethodOption::Auto => Ways::Auto(choice),
            MethodOption::Exact => Ways::One(Method::Exact(choice)),
            MethodOption::Features => features(KernelMap::Random, choice),
            MethodOption::Nystrom => features(KernelMap::Nystrom, choice),
            MethodOption::Falkon => {
                let (landmarks, precision) = (self.features, self.precision());
                Ways::One(Method::Falkon(FalkonOptions { choice, landmarks, precision, ..FalkonOptions::default() }))
            }
            MethodOption::Pcg => {
                let options = PcgOptions { choice, precision: self.precision(), ..PcgOptions::default() };
                Ways::One(Method::Pcg(options))
            }
        })
    }

    /// Refuses a metric that was asked for by name, where there is no kernel of a net on rows to learn it for.
    pub(super) fn refuse_metric(&self, of: &str) -> Result<()> {
        let found = match self.metric {
            MetricOption::Auto | MetricOption::None => return Ok(()),
            MetricOption::Full => "full",
            MetricOption::Diagonal => "diagonal",
            MetricOption::Sharp => "sharp",
        };
        Err(Error::argument("--metric", &format!("auto or none for {of}"), found, "leave it out"))
    }

    /// Refuses options of other methods.
    fn check_options(&self) -> Result<()> {
        let method = format!("--method {}", self.method.name());
        if self.precision != PrecisionOption::Auto && matches!(self.method, MethodOption::Auto | MethodOption::Exact) {
            let hint = "exact fits are always in f64";
            return Err(Error::argument(
                "--precision",
                "features, nystrom, falkon, pcg or a bundled net beside it",
                &method,
                hint,
            ));
        }
        let counted = matches!(self.method, MethodOption::Features | MethodOption::Nystrom | MethodOption::Falkon);
        if self.features.is_some() && !counted {
            let hint = "leave it out, or add --method nystrom";
            return Err(Error::argument("--features", "--method features, nystrom or falkon beside it", &method, hint));
        }
        if self.directions != DirectionsOption::Auto {
            let found = format!("--net {}", self.net);
            let hint = "write for example --net bundled:relu-2-4096";
            return Err(Error::argument("--directions", "a bundled net beside it", &found, hint));
        }
        Ok(())
    }

    pub(super) fn kernel_choice(&self) -> KernelChoice {
        match self.kernel {
            KernelOption::Auto => KernelChoice::Auto,
            KernelOption::Nngp => KernelChoice::Kind(KernelKind::Nngp),
            KernelOption::Ntk => KernelChoice::Kind(KernelKind::Ntk),
        }
    }

    pub(super) fn precision(&self) -> Option<FeaturePrecision> {
        match self.precision {
            PrecisionOption::Auto => None,
            PrecisionOption::F32 => Some(FeaturePrecision::F32),
            PrecisionOption::F64 => Some(FeaturePrecision::F64),
        }
    }

    fn bundled(&self, net: BundledNet) -> Result<BundledOptions> {
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
        options.precision = self.precision();
        Ok(options)
    }

    /// What a fit may take on this machine, which is measured only where there is a limit on time.
    fn limits(&self) -> Result<Limits> {
        let seconds = self.time.map(|t| t.as_secs_f64());
        let flops_per_second = match seconds {
            None => f64::INFINITY,
            Some(_) => store::flops_per_second(self.common.resources()?)?,
        };
        Ok(Limits { memory: self.common.memory(), seconds, flops_per_second })
    }

    /// Decides for data of (rows, columns, outputs): a method, and for `auto` why, in words.
    pub(super) fn settle(&self, ways: Ways, shape: (usize, usize, usize)) -> Result<(Method, Option<String>)> {
        let limits = self.limits()?;
        let rows = shape.0;
        match ways {
            Ways::One(mut method) => {
                if self.metric == MetricOption::Auto
                    && method.plan(shape, limits.memory).map_err(Error::within(&self.data))?.obstacle(&limits).is_some()
                {
                    method = method.with_metric(MetricChoice::None);
                }
                self.check_time(&method, shape, &limits)?;
                Ok((method, None))
            }
            Ways::Features(map, choice, precision) => {
                let options =
                    |dim| EmbeddedOptions { choice: choice.clone(), precision, ..EmbeddedOptions::new(map, dim) };
                let methods: Vec<Method> = feature_counts(rows).map(|dim| Method::Embedded(options(dim))).collect();
                let mut methods = with_and_without_metric(methods);
                match choose_method(&methods, shape, &limits) {
                    Ok(chosen) => Ok((methods.swap_remove(chosen.at), None)),
                    Err(error) => Err(Error::within(&self.data)(error)),
                }
            }
            Ways::Auto(choice) => {
                let mut methods = with_and_without_metric(auto_methods(&choice, default_features(rows)));
                let chosen = choose_method(&methods, shape, &limits).map_err(Error::within(&self.data))?;
                let why = why(&methods, &chosen);
                Ok((methods.swap_remove(chosen.at), why))
            }
        }
    }

    fn check_time(&self, method: &Method, shape: (usize, usize, usize), limits: &Limits) -> Result<()> {
        let Some(limit) = limits.seconds else { return Ok(()) };
        let plan = method.plan(shape, limits.memory).map_err(Error::within(&self.data))?;
        let needed = plan.flops / limits.flops_per_second;
        if needed <= limit {
            return Ok(());
        }
        let expected = format!("about {} for --method {}", output::duration(needed), method.name());
        let found = output::short_duration(limit);
        Err(Error::argument("--time", &expected, &found, "raise it, or take --method auto"))
    }
}

/// Each method as it is, then without the search for a metric, where it has one that nobody insists on.
fn with_and_without_metric(methods: Vec<Method>) -> Vec<Method> {
    let both = |method: Method| match method.metric() {
        MetricChoice::Auto => vec![method.clone(), method.with_metric(MetricChoice::None)],
        _ => vec![method],
    };
    methods.into_iter().flat_map(both).collect()
}

/// Why a method was chosen, unless it is the first that was thought of. Of each kind the largest that was passed over stands for all.
fn why(methods: &[Method], chosen: &Chosen) -> Option<String> {
    if chosen.at == 0 {
        return None;
    }
    let mut reasons: Vec<String> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (method, obstacle) in methods.iter().zip(&chosen.passed) {
        let name = method.name();
        // A method that goes on without a metric was not passed over for its own sake.
        let same = name == methods[chosen.at].name() && !matches!(method, Method::Embedded(_));
        if seen.contains(&name) && !same {
            continue;
        }
        seen.push(name);
        let needs = match obstacle {
            Obstacle::Memory(bytes) => output::bytes(*bytes),
            Obstacle::Seconds(seconds) if seconds.is_finite() && *seconds > 0.0 => {
                format!("about {}", output::duration(*seconds))
            }
            Obstacle::Seconds(_) => "a kernel matrix that does not fit the memory".into(),
        };
        let what = match method {
            Method::Embedded(options) => format!("{name} with {} features", options.dim),
            _ if same => format!("{name} with a metric"),
            _ => name.to_string(),
        };
        reasons.push(format!("{what} needs {needs}"));
    }
    Some(reasons.join(", "))
}

impl MethodOption {
    /// As on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            MethodOption::Auto => "auto",
            MethodOption::Exact => "exact",
            MethodOption::Falkon => "falkon",
            MethodOption::Features => "features",
            MethodOption::Nystrom => "nystrom",
            MethodOption::Pcg => "pcg",
        }
    }
}

/// Numbers of features that nobody chose, the best first.
pub(super) fn feature_counts(rows: usize) -> impl Iterator<Item = usize> {
    let dims = std::iter::successors(Some(default_features(rows)), |dim| Some(dim / 2));
    dims.take_while(|dim| *dim >= LEAST_FEATURES)
}

/// Features that nobody chose: more rows pay for more of them.
fn default_features(rows: usize) -> usize {
    rows.div_ceil(4).next_power_of_two().clamp(512, 4096)
}
