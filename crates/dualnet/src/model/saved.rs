//! A model as a description and named arrays, for whoever stores them.

use super::candidates::KernelKind;
use super::embedding::{Embedding, NetDraw};
use super::exact::Exact;
use super::features::{FeaturePrecision, Features, TowerDescription};
use super::fitted::{Model, Solution};
use super::images::ImageModel;
use super::invalid;
use super::metric::Metric;
use super::outputs::Outputs;
use super::preprocess::Preprocess;
use super::report::Report;
use crate::error::{Error, Result};
use crate::kernel::{DenseKernel, InputShape};
use crate::linalg::Mat;
use crate::net::Net;
use crate::resources::Resources;
use crate::ridge::{Calibration, IntervalCalibration, Width};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of the description: 1 had exact models alone, 2 no models of images, 3 no features of kernels and no conjugate gradients,
/// 4 no sketches by layer, no maps of sparse rows and no metric.
pub(super) const FORMAT: u32 = 5;

/// A named array.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// Entries, row by row.
    pub data: Vec<f64>,
}

/// All of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// What it is.
    pub json: serde_json::Value,
    /// Its arrays.
    pub tensors: Vec<Tensor>,
}

/// The description in `model.json`.
#[derive(Serialize)]
struct Description {
    format: u32,
    version: String,
    #[serde(flatten)]
    solution: SolutionDescription,
    preprocess: Preprocess,
    target: TargetDescription,
    lambda_absolute: f64,
    report: Report,
}

/// Its fields stand beside the others; which of them it is follows from the fields, as in format 1. A model by conjugate gradients is
/// one of the first.
#[derive(Serialize)]
#[serde(untagged)]
enum SolutionDescription {
    Exact { net: serde_json::Value, kernel: KernelKind },
    Tower { tower: TowerDescription },
    Net { net: serde_json::Value, kernel: KernelKind, net_features: NetDraw },
    Nystrom { net: serde_json::Value, kernel: KernelKind, nystrom: NystromDescription },
}

/// What is told of Nystrom features beside their arrays.
#[derive(Serialize, Deserialize)]
struct NystromDescription {
    precision: FeaturePrecision,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum TargetDescription {
    Numbers { names: Vec<String>, width: Width, noise: f64 },
    Classes { name: String, labels: Vec<String>, scale: f64 },
}

impl Model {
    /// Takes the model apart. Putting the parts together gives the same bits.
    pub fn to_parts(&self) -> Result<Parts> {
        let (target, extra) = target_parts(&self.outputs)?;
        let (solution, lambda_absolute, mut tensors) = match &self.solution {
            Solution::Exact(exact) => {
                let arrays = vec![tensor("x", exact.x.clone()), tensor("coefficients", exact.coefficients.clone())];
                let (net, kernel) = (net_value(&exact.net)?, exact.kernel);
                (SolutionDescription::Exact { net, kernel }, exact.lambda_absolute, arrays)
            }
            Solution::Features(features) => {
                let (description, mut arrays) = embedding_parts(&features.embedding)?;
                arrays.push(tensor("theta", features.theta.clone()));
                (description, features.lambda_absolute, arrays)
            }
        };
        let description = Description {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            solution,
            preprocess: self.preprocess.clone(),
            target,
            lambda_absolute,
            report: self.report.clone(),
        };
        tensors.extend([vector("intercept", &self.intercept), extra]);
        tensors.extend(self.preprocess.metric().map(|metric| {
            let (shape, data) = metric.values();
            Tensor { name: METRIC.into(), shape, data }
        }));
        let json = serde_json::to_value(&description).map_err(|e| damaged("description", &e.to_string()))?;
        Ok(Parts { json, tensors })
    }

    /// Puts a model together.
    ///
    /// # Errors
    /// Another format; a field of the description that is missing or not what dualnet writes; arrays missing, left over, of shapes
    /// that do not fit, or with entries that are not finite; a net that cannot read the inputs.
    pub fn from_parts(parts: Parts, resources: &Resources) -> Result<Self> {
        check_format(&parts.json)?;
        if super::images::is_meant_by(&parts.json) {
            let hint = "load it as a model of images";
            return Err(invalid("the model", "one of rows of a table or array", "one of images", hint));
        }
        let fields = Fields(&parts.json);
        let preprocess: Preprocess = fields.get("preprocess")?;
        preprocess.check().map_err(|found| damaged(&place("preprocess"), &found))?;
        let lambda_absolute: f64 = fields.get("lambda_absolute")?;
        expect(lambda_absolute >= 0.0, &place("lambda_absolute"), "a number from 0", &lambda_absolute.to_string())?;
        let mut tensors = parts.tensors;
        let intercept = take(&mut tensors, "intercept", &[None])?.into_vec();
        let width = preprocess.width();
        let preprocess = preprocess.with_metric(metric(width, &mut tensors)?);
        let has = |name| parts.json.get(name).is_some();
        let solution = match ["tower", "net_features", "nystrom"].into_iter().any(has) {
            false => exact(&fields, (width, intercept.len()), lambda_absolute, &mut tensors)?,
            true => features(&fields, (width, intercept.len()), lambda_absolute, &mut tensors, resources)?,
        };
        let outputs =
            outputs(fields.get("target")?, (rows(&solution), intercept.len()), lambda_absolute, &mut tensors)?;
        no_more(&tensors)?;
        let mut report: Report = fields.get("report")?;
        if report.loo_rows == 0 && report.loo.is_some() {
            // Format 1 left all rows out and did not say so.
            report.loo_rows = report.n_train;
        }
        Ok(Self { preprocess, outputs, solution, intercept, report, left_out: None })
    }
}

/// Name of the array of a metric.
const METRIC: &str = "metric";

/// The metric on inputs of that many columns, where there is one.
fn metric(width: usize, tensors: &mut Vec<Tensor>) -> Result<Option<Metric>> {
    let axes = tensors.iter().find(|t| t.name == METRIC).map(|t| t.shape.len());
    Ok(match axes {
        None => None,
        Some(1) => {
            let values = take(tensors, METRIC, &[Some(width)])?;
            Some(Metric::diagonal(values.into_vec()))
        }
        Some(_) => {
            let values = take(tensors, METRIC, &[Some(width), Some(width)])?;
            Some(Metric::full(values))
        }
    })
}

/// What the outputs are, and their array.
pub(super) fn target_parts(outputs: &Outputs) -> Result<(TargetDescription, Tensor)> {
    Ok(match outputs {
        Outputs::Numbers { names, intervals } => (
            TargetDescription::Numbers { names: names.clone(), width: intervals.width(), noise: intervals.noise() },
            tensor("residuals", matrix(intervals.residuals())?),
        ),
        Outputs::Classes { name, labels, calibration } => (
            TargetDescription::Classes { name: name.clone(), labels: labels.clone(), scale: calibration.scale },
            vector("bias", &calibration.bias),
        ),
    })
}

/// A model of either kind, from its parts.
#[derive(Clone, Debug)]
pub enum SavedModel {
    /// Of rows of a table or array.
    Rows(Box<Model>),
    /// Of images.
    Images(Box<ImageModel>),
}

impl SavedModel {
    /// Puts a model together, of whichever kind the description is.
    ///
    /// # Errors
    /// Those of [`Model::from_parts`] and [`ImageModel::from_parts`].
    pub fn from_parts(parts: Parts, resources: &Resources) -> Result<Self> {
        Ok(match super::images::is_meant_by(&parts.json) {
            true => Self::Images(Box::new(ImageModel::from_parts(parts, resources)?)),
            false => Self::Rows(Box::new(Model::from_parts(parts, resources)?)),
        })
    }
}

/// Rows that were left out, where the solution says how many.
fn rows(solution: &Solution) -> Option<usize> {
    match solution {
        Solution::Exact(exact) => Some(exact.x.rows()),
        Solution::Features(_) => None,
    }
}

/// An exact solution for inputs of `width` columns and k outputs.
fn exact(
    fields: &Fields<'_>,
    (width, k): (usize, usize),
    lambda_absolute: f64,
    tensors: &mut Vec<Tensor>,
) -> Result<Solution> {
    let x = take(tensors, "x", &[None, Some(width)])?;
    let n = x.rows();
    expect(n >= 2, "array x of the model", "at least two rows", &n.to_string())?;
    let coefficients = take(tensors, "coefficients", &[Some(n), Some(k)])?;
    let (net, kernel) = (net(fields, width)?, fields.get("kernel")?);
    Ok(Solution::Exact(Box::new(Exact { net, kernel, x, coefficients, lambda_absolute })))
}

/// A feature map's description, and its arrays.
fn embedding_parts(embedding: &Embedding) -> Result<(SolutionDescription, Vec<Tensor>)> {
    Ok(match embedding {
        Embedding::Tower { tower, anchors } => {
            (SolutionDescription::Tower { tower: tower.clone() }, vec![tensor("anchors", anchors.clone())])
        }
        Embedding::Net { net, kernel, drawn } => {
            let net = net_value(net)?;
            (SolutionDescription::Net { net, kernel: *kernel, net_features: drawn.clone() }, Vec::new())
        }
        Embedding::Nystrom { net, kernel, precision, landmarks, weights } => {
            let (net, nystrom) = (net_value(net)?, NystromDescription { precision: *precision });
            let arrays = vec![tensor("landmarks", landmarks.clone()), tensor("weights", weights.clone())];
            (SolutionDescription::Nystrom { net, kernel: *kernel, nystrom }, arrays)
        }
    })
}

/// A solution in features, which are drawn again.
fn features(
    fields: &Fields<'_>,
    (width, k): (usize, usize),
    lambda_absolute: f64,
    tensors: &mut Vec<Tensor>,
    resources: &Resources,
) -> Result<Solution> {
    let embedding = if fields.has("tower") {
        let tower: TowerDescription = fields.get("tower")?;
        let anchors = take(tensors, "anchors", &[None, Some(width)])?;
        expect(anchors.rows() >= 2, "array anchors of the model", "at least two rows", &anchors.rows().to_string())?;
        Embedding::Tower { tower, anchors }
    } else {
        let (net, kernel) = (net(fields, width)?, fields.get("kernel")?);
        if fields.has("net_features") {
            Embedding::Net { net, kernel, drawn: fields.get("net_features")? }
        } else {
            let NystromDescription { precision } = fields.get("nystrom")?;
            let landmarks = take(tensors, "landmarks", &[None, Some(width)])?;
            let weights = take(tensors, "weights", &[Some(landmarks.rows()), None])?;
            for (name, array) in [("landmarks", &landmarks), ("weights", &weights)] {
                let fits = array.rows() > 0 && array.cols() > 0;
                expect(fits, &format!("array {name} of the model"), "at least one row and column", "none")?;
            }
            Embedding::Nystrom { net, kernel, precision, landmarks, weights }
        }
    };
    // Before anything is drawn: what the description asks for has the size of an array that is there.
    let theta = take(tensors, "theta", &[Some(embedding.dim()), Some(k)])?;
    let map = embedding.draw(&InputShape::vector(width), resources)?;
    Ok(Solution::Features(Box::new(Features { embedding, map, theta, lambda_absolute })))
}

/// The net of a description, as its file has it.
fn net_value(net: &Net) -> Result<serde_json::Value> {
    serde_json::from_str(&net.to_json()).map_err(|e| damaged("net", &e.to_string()))
}

/// The net of a description, which must read rows of that many columns.
fn net(fields: &Fields<'_>, width: usize) -> Result<Net> {
    let net = Net::from_json(&fields.get::<serde_json::Value>("net")?.to_string())?;
    DenseKernel::new(&net, width)?;
    Ok(net)
}

pub(super) fn check_format(json: &serde_json::Value) -> Result<()> {
    let found = json.get("format");
    if found.and_then(serde_json::Value::as_u64).is_some_and(|f| (1..=u64::from(FORMAT)).contains(&f)) {
        return Ok(());
    }
    let found = found.map_or("none".into(), |f| f.to_string());
    Err(invalid(&place("format"), &format!("1 to {FORMAT}"), &found, "use the version of dualnet that wrote it"))
}

/// What the outputs are of a model of k outputs, of which n rows were left out (`None`: some).
pub(super) fn outputs(
    target: TargetDescription,
    (n, k): (Option<usize>, usize),
    lambda_absolute: f64,
    tensors: &mut Vec<Tensor>,
) -> Result<Outputs> {
    match target {
        TargetDescription::Numbers { names, width, noise } => {
            expect(names.len() == k, &place("target names"), &k.to_string(), &names.len().to_string())?;
            let (lambda, found) = (lambda_absolute.to_string(), noise.to_string());
            expect(noise == lambda_absolute, &place("target noise"), &lambda, &found)?;
            // Of rows held out there are fewer than of training rows.
            let n = n.filter(|_| width == Width::Posterior);
            let residuals = take(tensors, "residuals", &[Some(k), n])?;
            let residuals = (0..k).map(|j| residuals.row(j).to_vec()).collect();
            Ok(Outputs::Numbers { names, intervals: IntervalCalibration::from_parts(width, residuals, noise)? })
        }
        TargetDescription::Classes { name, labels, scale } => {
            expect(labels.len() == k, &place("target labels"), &k.to_string(), &labels.len().to_string())?;
            expect(k >= 2, &place("target labels"), "at least two classes", &k.to_string())?;
            expect(scale >= 0.0, &place("target scale"), "a number from 0", &scale.to_string())?;
            let bias = take(tensors, "bias", &[Some(k)])?.into_vec();
            Ok(Outputs::Classes { name, labels, calibration: Calibration { scale, bias } })
        }
    }
}

/// The description, read field by field so that an error says which.
pub(super) struct Fields<'a>(pub(super) &'a serde_json::Value);

impl Fields<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    pub(super) fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self.0.get(name).ok_or_else(|| damaged(&place(name), "the field is missing"))?;
        T::deserialize(value).map_err(|e| damaged(&place(name), &e.to_string()))
    }
}

pub(super) fn place(field: &str) -> String {
    format!("model.json: {field}")
}

/// Refuses arrays that nobody has taken.
pub(super) fn no_more(tensors: &[Tensor]) -> Result<()> {
    match tensors.first() {
        None => Ok(()),
        Some(extra) => Err(damaged(&format!("array {}", extra.name), "an array that no part of the model asks for")),
    }
}

pub(super) fn vector(name: &str, values: &[f64]) -> Tensor {
    Tensor { name: name.into(), shape: vec![values.len()], data: values.to_vec() }
}

pub(super) fn tensor(name: &str, matrix: Mat<f64>) -> Tensor {
    Tensor { name: name.into(), shape: vec![matrix.rows(), matrix.cols()], data: matrix.into_vec() }
}

fn matrix(rows: &[Vec<f64>]) -> Result<Mat<f64>> {
    Mat::from_vec(rows.len(), rows.first().map_or(0, Vec::len), rows.concat())
}

/// Takes the array of that name out, checking its shape (`None`: any length) and that it is finite. One axis gives one row.
pub(super) fn take(tensors: &mut Vec<Tensor>, name: &str, shape: &[Option<usize>]) -> Result<Mat<f64>> {
    let at = tensors.iter().position(|t| t.name == name);
    let at = at.ok_or_else(|| damaged(&format!("array {name} of the model"), "none"))?;
    let tensor = tensors.swap_remove(at);
    let fits =
        tensor.shape.len() == shape.len() && tensor.shape.iter().zip(shape).all(|(a, b)| b.is_none_or(|b| *a == b));
    if !fits {
        return Err(Error::Shape {
            what: format!("array {name} of the model"),
            expected: format!("{shape:?}"),
            found: format!("{:?}", tensor.shape),
        });
    }
    let (rows, cols) = if shape.len() == 1 { (1, tensor.shape[0]) } else { (tensor.shape[0], tensor.shape[1]) };
    if rows.checked_mul(cols) != Some(tensor.data.len()) {
        let found = format!("{} entries", tensor.data.len());
        let what = format!("array {name} of the model");
        return Err(Error::Shape { what, expected: format!("{rows} x {cols} entries"), found });
    }
    let matrix = Mat::from_vec(rows, cols, tensor.data)?;
    matrix.as_ref().check_finite(&format!("array {name} of the model"))?;
    Ok(matrix)
}

pub(super) fn expect(fits: bool, what: &str, expected: &str, found: &str) -> Result<()> {
    if fits { Ok(()) } else { Err(invalid(what, expected, found, "save the model again")) }
}

pub(super) fn damaged(what: &str, found: &str) -> Error {
    invalid(what, "what dualnet writes", found, "save the model again")
}
