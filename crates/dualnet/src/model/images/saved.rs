//! A model of images as a description and named arrays.

use super::features::draw_map;
use super::kernel::ImageKernel;
use super::predict::{ImageModel, ImageSolution};
use super::report::ImageReport;
use super::whiten::{Step, Whitening};
use super::{Augment, Whiten};
use crate::error::Result;
use crate::kernel::InputShape;
use crate::linalg::Mat;
use crate::model::KernelKind;
use crate::model::embedding::{Embedding, NetDraw};
use crate::model::features::Features;
use crate::model::saved::{
    FORMAT, Fields, Parts, TargetDescription, Tensor, check_format, damaged, expect, no_more, outputs, place, take,
    target_parts, tensor, vector,
};
use crate::net::Net;
use crate::resources::Resources;
use serde::{Deserialize, Serialize};

/// The description in `model.json`.
#[derive(Serialize)]
struct Description {
    format: u32,
    version: String,
    net: serde_json::Value,
    kernel: KernelKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    net_features: Option<NetDraw>,
    images: ImagesDescription,
    target: TargetDescription,
    lambda_absolute: f64,
    report: ImageReport,
}

/// What tells a model of images from others: the shape, and what is done to them.
#[derive(Serialize, Deserialize)]
struct ImagesDescription {
    positions: Vec<usize>,
    channels: usize,
    whiten: Whiten,
    augment: Augment,
}

/// Whether a description is that of a model of images.
pub(in crate::model) fn is_meant_by(json: &serde_json::Value) -> bool {
    json.get("images").is_some()
}

/// Values of an image of a model: a description is not trusted with more, before any array has shown that there are as many.
const MOST_VALUES: usize = 1 << 24;

impl ImageModel {
    /// Takes the model apart. Putting the parts together gives the same bits.
    pub fn to_parts(&self) -> Result<Parts> {
        let (target, extra) = target_parts(&self.outputs)?;
        let mut tensors = vec![vector("intercept", &self.intercept), extra];
        let net_features = match &self.solution {
            ImageSolution::Exact { x, coefficients } => {
                tensors.extend([tensor("x", x.as_ref().cast()), tensor("coefficients", coefficients.clone())]);
                None
            }
            ImageSolution::Features(features) => {
                tensors.push(tensor("theta", features.theta.clone()));
                match &features.embedding {
                    Embedding::Net { drawn, .. } => Some(drawn.clone()),
                    Embedding::Tower { .. } | Embedding::Nystrom { .. } => {
                        return Err(damaged("the features", "features that models of images do not have"));
                    }
                }
            }
        };
        let whiten = match &self.whitening.step {
            Step::None => Whiten::None,
            Step::Channels { mean, factor } => {
                tensors.extend([vector("whiten_mean", mean), vector("whiten_factor", factor)]);
                Whiten::Mean
            }
            Step::Zca { mean, roots } => {
                tensors.extend([vector("whiten_mean", mean), tensor("whiten_roots", roots.clone())]);
                Whiten::Zca
            }
        };
        let InputShape { positions, channels } = self.whitening.shape.clone();
        let description = Description {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            net: serde_json::from_str(&self.net.to_json()).map_err(|e| damaged("net", &e.to_string()))?,
            kernel: self.kind,
            net_features,
            images: ImagesDescription { positions, channels, whiten, augment: self.augment },
            target,
            lambda_absolute: self.lambda_absolute,
            report: self.report.clone(),
        };
        let json = serde_json::to_value(&description).map_err(|e| damaged("description", &e.to_string()))?;
        Ok(Parts { json, tensors })
    }

    /// Puts a model together.
    ///
    /// # Errors
    /// Another format; a field of the description that is missing or not what dualnet writes; arrays missing, left over, of shapes that do
    /// not fit, or with entries that are not finite; a net that cannot read the images.
    pub fn from_parts(parts: Parts, resources: &Resources) -> Result<Self> {
        check_format(&parts.json)?;
        let fields = Fields(&parts.json);
        let ImagesDescription { positions, channels, whiten, augment } = fields.get("images")?;
        let shape = InputShape { positions, channels };
        let lambda_absolute: f64 = fields.get("lambda_absolute")?;
        expect(lambda_absolute >= 0.0, &place("lambda_absolute"), "a number from 0", &lambda_absolute.to_string())?;
        let mut tensors = parts.tensors;
        let intercept = take(&mut tensors, "intercept", &[None])?.into_vec();
        let (width, k) = (shape.width(), intercept.len());
        let expected = format!("images of 1 to {MOST_VALUES} values");
        expect((1..=MOST_VALUES).contains(&width), &place("images"), &expected, &shape.to_string())?;
        let kind: KernelKind = fields.get("kernel")?;
        let net = Net::from_json(&fields.get::<serde_json::Value>("net")?.to_string())?;
        ImageKernel::new(&net, &shape, augment)?;
        let (solution, rows) = match fields.has("net_features") {
            false => exact(width, k, &mut tensors)?,
            true => {
                let embedding = Embedding::Net { net: net.clone(), kernel: kind, drawn: fields.get("net_features")? };
                // Before anything is drawn: what the description asks for has the size of an array that is there.
                let theta = take(&mut tensors, "theta", &[Some(embedding.dim()), Some(k)])?;
                let map = draw_map(&embedding, &shape, augment, resources)?;
                (ImageSolution::Features(Box::new(Features { embedding, map, theta, lambda_absolute })), None)
            }
        };
        let step = step(whiten, &shape, &mut tensors)?;
        let outputs = outputs(fields.get("target")?, (rows, k), lambda_absolute, &mut tensors)?;
        no_more(&tensors)?;
        let mut report: ImageReport = fields.get("report")?;
        if report.loo_rows == 0 {
            // All were, before features, and it was not said.
            (report.loo_rows, report.compared_rows) = (report.n_train, report.n_train);
        }
        let whitening = Whitening { shape, step };
        Ok(Self { net, augment, kind, whitening, solution, intercept, lambda_absolute, outputs, report })
    }
}

/// A solution in the dual for images of `width` values and k outputs, with the number of its images.
fn exact(width: usize, k: usize, tensors: &mut Vec<Tensor>) -> Result<(ImageSolution, Option<usize>)> {
    let x = take(tensors, "x", &[None, Some(width)])?;
    let n = x.rows();
    expect(n >= 2, "array x of the model", "at least two images", &n.to_string())?;
    let coefficients = take(tensors, "coefficients", &[Some(n), Some(k)])?;
    let x: Mat<f32> = x.as_ref().cast();
    x.as_ref().check_finite("array x of the model")?;
    Ok((ImageSolution::Exact { x, coefficients }, Some(n)))
}

fn step(whiten: Whiten, shape: &InputShape, tensors: &mut Vec<Tensor>) -> Result<Step> {
    let (channels, width) = (shape.channels, shape.width());
    Ok(match whiten {
        Whiten::None => Step::None,
        Whiten::Mean => Step::Channels {
            mean: take(tensors, "whiten_mean", &[Some(channels)])?.into_vec(),
            factor: take(tensors, "whiten_factor", &[Some(channels)])?.into_vec(),
        },
        Whiten::Zca => Step::Zca {
            mean: take(tensors, "whiten_mean", &[Some(width)])?.into_vec(),
            roots: take(tensors, "whiten_roots", &[Some(width), Some(width)])?,
        },
    })
}
