//! What a fit is made of and returns: preprocessing, the choice of a kernel, a model that predicts with an honest error.
//!
//! ```
//! use dualnet::model::{Column, FitOptions, Frame, Target, Values, fit};
//! use dualnet::Resources;
//! let x: Vec<f64> = (0..40).map(|i| f64::from(i) / 10.0).collect();
//! let y: Vec<f64> = x.iter().map(|x| x.sin()).collect();
//! let frame = Frame::new(vec![Column { name: "x".into(), values: Values::Numbers(x) }])?;
//! let target = Target::from_columns(&[Column { name: "y".into(), values: Values::Numbers(y) }], None)?;
//! let fitted = fit(&frame, &target, &FitOptions::default(), &Resources::new(1)?)?;
//! assert!(fitted.report().loo.r2.unwrap() > 0.999);
//! # Ok::<(), dualnet::Error>(())
//! ```

pub mod batches;
pub mod bins;
pub mod bundled;
pub mod candidates;
pub mod dates;
mod exact;
mod features;
pub mod fit;
pub mod fitted;
pub mod frame;
pub mod images;
mod kernel_map;
pub mod metrics;
mod outputs;
pub mod preprocess;
pub mod saved;
pub mod target;
mod units;

pub use batches::{Batches, InMemory};
pub use bins::Bins;
pub use bundled::{BundledOptions, FeatureReport, fit_bundled, plan_bundled};
pub use candidates::{Candidate, KernelChoice, KernelKind, NetChoice, candidates};
pub use dates::looks_like_dates;
pub use features::FeaturePrecision;
pub use fit::{FitOptions, Plan, Report, Tried, fit, plan, shuffled};
pub use fitted::{Intervals, Model, Prediction};
pub use frame::{Column, Frame, Values};
pub use images::{
    Augment, Direct, GramSource, ImageModel, ImageOptions, ImagePlan, ImageReport, Images, Whiten, fit_images,
    image_job, pair_seconds, plan_images,
};
pub use kernel_map::{KernelMap, MapMethod, MapOptions};
pub use metrics::Metrics;
pub use preprocess::{Encoding, InputKind, Preprocess};
pub use saved::{Parts, SavedModel, Tensor};
pub use target::{Target, Task};

use crate::error::Error;

fn invalid(what: &str, expected: &str, found: &str, hint: &str) -> Error {
    Error::Invalid { what: what.into(), expected: expected.into(), found: found.into(), hint: hint.into() }
}
