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
//! assert!(fitted.report().loo.as_ref().and_then(|m| m.r2).unwrap() > 0.999);
//! # Ok::<(), dualnet::Error>(())
//! ```

pub mod batches;
pub mod bins;
pub mod bundled;
pub mod candidates;
mod compare;
pub mod dates;
mod draw;
pub mod embedded;
mod embedding;
mod exact;
mod explain;
pub mod falkon;
mod features;
pub mod fit;
pub mod fitted;
pub mod frame;
pub mod images;
mod judged;
pub mod method;
pub mod metric;
pub mod metrics;
mod net_map;
mod outputs;
pub mod pcg;
pub mod preprocess;
pub mod primal;
mod report;
pub mod saved;
pub mod target;
mod units;

pub use batches::{Batches, InMemory};
pub use bins::Bins;
pub use bundled::{BundledOptions, fit_bundled, plan_bundled};
pub use candidates::{Candidate, KernelChoice, KernelKind, NetChoice, candidates};
pub use dates::looks_like_dates;
pub use draw::shuffled;
pub use embedded::{EmbeddedFit, EmbeddedOptions, KernelMap, fit_embedded, plan_embedded};
pub use explain::{Curve, CurveAt, CurvePoint, Direction, Explanation, Importance, Weight};
pub use falkon::{FalkonOptions, fit_falkon, plan_falkon};
pub use features::FeaturePrecision;
pub use fit::{FitOptions, Plan, fit, plan};
pub use fitted::{Intervals, Model, Prediction};
pub use frame::{Column, Frame, Values};
pub use images::{
    Augment, Direct, GramSource, ImageFeatureOptions, ImageFeaturePlan, ImageModel, ImageOptions, ImagePlan,
    ImageReport, Images, Whiten, fit_image_features, fit_images, image_job, image_seconds, pair_seconds,
    plan_image_features, plan_images,
};
pub use method::{Chosen, Limits, Method, MethodPlan, Obstacle, auto_methods, choose_method};
pub use metric::{Metric, MetricChoice, MetricKind, MetricReport, MetricTried};
pub use metrics::Metrics;
pub use net_map::{MapMethod, MapOptions, NetMap, SparseError};
pub use pcg::{IterativeReport, KernelTiles, LambdaReport, PcgOptions, PcgPlan, fit_pcg, plan_pcg};
pub use preprocess::{Encoding, InputKind, Preprocess};
pub use primal::{FeatureReport, TowerReport};
pub use report::{LambdaError, Report, Tried};
pub use saved::{Parts, SavedModel, Tensor};
pub use target::{Target, Task};

use crate::error::Error;
use crate::kernel::Float;
use crate::linalg::Mat;

fn invalid(what: &str, expected: &str, found: &str, hint: &str) -> Error {
    Error::Invalid { what: what.into(), expected: expected.into(), found: found.into(), hint: hint.into() }
}

/// |F F^T - K| / |K| in the Frobenius norm, for the kernel K of n samples and their features F, rows from n on apart; 0 for K = 0.
fn relative_error<T: Float>(features: &Mat<T>, exact: &Mat<T>) -> f64 {
    let (mut error, mut size) = (0.0, 0.0);
    for i in 0..exact.rows() {
        for j in 0..=i {
            let pairs = features.row(i).iter().zip(features.row(j));
            let product: f64 = pairs.map(|(a, b)| a.to_f64() * b.to_f64()).sum();
            // Pairs of different rows stand in both triangles.
            let (weight, k) = (if i == j { 1.0 } else { 2.0 }, exact[(i, j)].to_f64());
            error += weight * (product - k).powi(2);
            size += weight * k * k;
        }
    }
    if size > 0.0 { (error / size).sqrt() } else { 0.0 }
}
