//! What is known of the values between two layers: their law, their width, their positions. The rules that make a kernel formula
//! true are stated and checked here.

use super::limits::refuse;
use super::spec::Padding;
use crate::error::Result;

/// Law of the values at one position over the random weights. Later variants promise less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Law {
    /// Mean-zero Gaussian with one covariance for all channels: what duals and layer normalisation ask for.
    Gaussian,
    /// Mean zero, but channels differ or are not Gaussian (dropout, concatenation, products, flattened positions).
    Centred,
    /// Anything: the input, and what an activation gives.
    Any,
}

/// Number of channels, linear in that of the input, which is known only with the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Width {
    pub(super) per_input: f64,
    pub(super) fixed: f64,
}

impl Width {
    pub(super) const INPUT: Self = Self { per_input: 1.0, fixed: 0.0 };

    pub(super) fn of(self, input: f64) -> f64 {
        self.per_input * input + self.fixed
    }
}

/// Size along one axis as a function of the image's n: floor((n + offset) / stride). Strided windows compose within this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reduction {
    pub(super) offset: i64,
    pub(super) stride: i64,
}

impl Reduction {
    pub(super) const NONE: Self = Self { offset: 0, stride: 1 };
    const LIMIT: i64 = 1 << 32;

    /// Behind a window of `size` and `step` (both at most [`MAX_SIZE`](super::limits::MAX_SIZE)); `None`: more than any image has.
    pub(super) fn then(self, size: usize, step: usize, padding: Padding) -> Option<Self> {
        let (size, step) = (i64::try_from(size).ok()?, i64::try_from(step).ok()?);
        // ceil(n/s) = floor((n + s - 1)/s); floor((n - f)/s) + 1 = floor((n - f + s)/s).
        let offset = if padding == Padding::Valid { step - size } else { step - 1 };
        let offset = self.offset + self.stride * offset;
        let stride = self.stride * step;
        (stride <= Self::LIMIT && offset.abs() <= Self::LIMIT * 4096).then_some(Self { offset, stride })
    }

    /// True if both give the same size for some images.
    fn meets(self, other: Self) -> bool {
        self.stride == other.stride && (self.offset - other.offset).abs() < self.stride
    }
}

/// Everything known between two layers.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) law: Law,
    /// What decided the law: a layer's position, or "the input".
    pub(super) from: String,
    /// Passed a weight layer of this branch: independent of everything outside the branch.
    pub(super) own: bool,
    /// `Err`: the layer that does not give its width.
    pub(super) width: std::result::Result<Width, String>,
    /// Along both axes (the second unused in 1-D); `Err`: the layer that has made one vector of them.
    pub(super) positions: std::result::Result<[Reduction; 2], String>,
}

impl Flow {
    pub(super) fn input() -> Self {
        Self {
            law: Law::Any,
            from: "the input".into(),
            own: false,
            width: Ok(Width::INPUT),
            positions: Ok([Reduction::NONE; 2]),
        }
    }

    /// Refuses a layer that needs a mean-zero Gaussian input.
    pub(super) fn need_gaussian(&self, at: &str, name: &str) -> Result<()> {
        if self.law == Law::Gaussian {
            return Ok(());
        }
        let problem = format!("{name} needs a mean-zero Gaussian input, and {} does not give one", self.from);
        Err(refuse(at, problem, "insert a dense layer before it"))
    }

    /// Refuses a layer over positions where there are none left.
    pub(super) fn need_positions(&mut self, at: &str, name: &str) -> Result<&mut [Reduction; 2]> {
        match &mut self.positions {
            Ok(reductions) => Ok(reductions),
            Err(by) => {
                let problem = format!("{name} works over positions, and {by} has left none");
                Err(refuse(at, problem, format!("put {name} before {by}")))
            }
        }
    }
}

/// Branches that end in one place.
pub(super) struct Branches<'a> {
    pub(super) at: &'a str,
    /// Position of each branch.
    pub(super) names: Vec<&'a str>,
    pub(super) flows: &'a [Flow],
}

impl Branches<'_> {
    /// E\[(f + g)(f' + g')\] = E\[f f'\] + E\[g g'\] needs E\[f g'\] = 0 for every pair: all branches but one are centred and have
    /// weights of their own.
    pub(super) fn need_uncorrelated(&self) -> Result<()> {
        self.at_most_one(
            |flow| flow.own && flow.law != Law::Any,
            "are correlated, and their covariances do not add up",
            "end one of them with a dense or conv layer",
        )
    }

    /// E\[f g f' g'\] = E\[f f'\] E\[g g'\] needs independence: all branches but one have weights of their own.
    pub(super) fn need_independent(&self) -> Result<()> {
        self.at_most_one(
            |flow| flow.own,
            "are not independent, and their covariances do not multiply",
            "give one of them a dense or conv layer",
        )
    }

    fn at_most_one(&self, good: impl Fn(&Flow) -> bool, problem: &str, hint: &str) -> Result<()> {
        let mut others = self.names.iter().zip(self.flows).filter(|(_, flow)| !good(flow)).map(|(name, _)| name);
        match (others.next(), others.next()) {
            (Some(first), Some(second)) => Err(refuse(self.at, format!("{first} and {second} {problem}"), hint)),
            _ => Ok(()),
        }
    }

    /// Positions behind the branches, which must agree for some images at least.
    pub(super) fn positions(&self) -> Result<std::result::Result<[Reduction; 2], String>> {
        let mut named = self.flows.iter().zip(&self.names);
        let Some((first, first_name)) = named.next() else { return Ok(Ok([Reduction::NONE; 2])) };
        for (flow, name) in named {
            let agree = match (&first.positions, &flow.positions) {
                (Ok(a), Ok(b)) => a.iter().zip(b).all(|(a, b)| a.meets(*b)),
                (Err(_), Err(_)) => true,
                _ => false,
            };
            if !agree {
                let problem = format!("{first_name} and {name} leave different numbers of positions");
                return Err(refuse(self.at, problem, "use the same strides, windows and padding in every branch"));
            }
        }
        Ok(first.positions.clone())
    }

    /// Channels behind a sum or a product: equal wherever known. `input` is the input's width where that is known.
    pub(super) fn equal_width(&self, input: Option<f64>) -> Result<std::result::Result<Width, String>> {
        let mut known: Option<(Width, &str)> = None;
        for (flow, name) in self.flows.iter().zip(self.names.iter().copied()) {
            let Ok(width) = flow.width else { continue };
            let Some((first, first_name)) = known else {
                known = Some((width, name));
                continue;
            };
            let (a, b) = (first.of(input.unwrap_or(1.0)), width.of(input.unwrap_or(1.0)));
            // Without the data, only widths that depend on it in the same way can be compared.
            if (input.is_some() || first.per_input == width.per_input) && (a - b).abs() > 1e-9 * a {
                let problem = format!("{first_name} has {a} channels and {name} has {b}");
                return Err(refuse(self.at, problem, "give the last dense layers of the branches the same width"));
            }
        }
        match (known, self.flows.first()) {
            (Some((width, _)), _) => Ok(Ok(width)),
            (None, Some(flow)) => Ok(flow.width.clone()),
            (None, None) => Ok(Ok(Width::INPUT)),
        }
    }
}
