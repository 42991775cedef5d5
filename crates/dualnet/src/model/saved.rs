//! A model as a description and named arrays, for whoever stores them.

use super::candidates::KernelKind;
use super::exact::{Model, Outputs};
use super::fit::Report;
use super::invalid;
use super::preprocess::Preprocess;
use crate::error::{Error, Result};
use crate::linalg::Mat;
use crate::net::Net;
use crate::ridge::{Calibration, IntervalCalibration, Width};
use serde::{Deserialize, Serialize};

/// Version of the description.
const FORMAT: u32 = 1;

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
#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    version: String,
    net: serde_json::Value,
    kernel: KernelKind,
    preprocess: Preprocess,
    target: TargetDescription,
    lambda_absolute: f64,
    report: Report,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum TargetDescription {
    Numbers { names: Vec<String>, width: Width, noise: f64 },
    Classes { name: String, labels: Vec<String>, scale: f64 },
}

impl Model {
    /// Takes the model apart. Putting the parts together gives the same bits.
    pub fn to_parts(&self) -> Result<Parts> {
        let (target, extra) = match &self.outputs {
            Outputs::Numbers { names, intervals } => (
                TargetDescription::Numbers { names: names.clone(), width: intervals.width(), noise: intervals.noise() },
                tensor("residuals", matrix(intervals.residuals())?),
            ),
            Outputs::Classes { name, labels, calibration } => (
                TargetDescription::Classes { name: name.clone(), labels: labels.clone(), scale: calibration.scale },
                Tensor { name: "bias".into(), shape: vec![labels.len()], data: calibration.bias.clone() },
            ),
        };
        let net = serde_json::from_str(&self.net.to_json()).map_err(|e| damaged("net", &e.to_string()))?;
        let description = Description {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            net,
            kernel: self.kernel,
            preprocess: self.preprocess.clone(),
            target,
            lambda_absolute: self.lambda_absolute,
            report: self.report.clone(),
        };
        let intercept =
            Tensor { name: "intercept".into(), shape: vec![self.intercept.len()], data: self.intercept.clone() };
        let tensors =
            vec![tensor("x", self.x.clone()), tensor("coefficients", self.coefficients.clone()), intercept, extra];
        let json = serde_json::to_value(&description).map_err(|e| damaged("description", &e.to_string()))?;
        Ok(Parts { json, tensors })
    }

    /// Puts a model together. Errors: another format, missing or extra arrays, shapes that do not fit.
    pub fn from_parts(parts: Parts) -> Result<Self> {
        let format = parts.json.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(u64::from(FORMAT)) {
            let found = format.map_or("none".into(), |f| f.to_string());
            return Err(invalid(
                "model.json: format",
                &format!("{FORMAT}"),
                &found,
                "use the version of dualnet that wrote it",
            ));
        }
        let description: Description =
            serde_json::from_value(parts.json).map_err(|e| damaged("model.json", &e.to_string()))?;
        let mut tensors = parts.tensors;
        let x = take(&mut tensors, "x", &[None, Some(description.preprocess.width())])?;
        let n = x.rows();
        let intercept = take(&mut tensors, "intercept", &[None])?.into_vec();
        let k = intercept.len();
        let coefficients = take(&mut tensors, "coefficients", &[Some(n), Some(k)])?;
        let outputs = match description.target {
            TargetDescription::Numbers { names, width, noise } => {
                let residuals = take(&mut tensors, "residuals", &[Some(k), Some(n)])?;
                let residuals = (0..k).map(|j| residuals.row(j).to_vec()).collect();
                expect(names.len() == k, "target names", k, names.len())?;
                Outputs::Numbers { names, intervals: IntervalCalibration::from_parts(width, residuals, noise)? }
            }
            TargetDescription::Classes { name, labels, scale } => {
                let bias = take(&mut tensors, "bias", &[Some(k)])?.into_vec();
                expect(labels.len() == k, "class labels", k, labels.len())?;
                Outputs::Classes { name, labels, calibration: Calibration { scale, bias } }
            }
        };
        let net = Net::from_json(&description.net.to_string())?;
        Ok(Self {
            net,
            kernel: description.kernel,
            preprocess: description.preprocess,
            outputs,
            x,
            coefficients,
            intercept,
            lambda_absolute: description.lambda_absolute,
            report: description.report,
        })
    }
}

fn tensor(name: &str, matrix: Mat<f64>) -> Tensor {
    Tensor { name: name.into(), shape: vec![matrix.rows(), matrix.cols()], data: matrix.into_vec() }
}

fn matrix(rows: &[Vec<f64>]) -> Result<Mat<f64>> {
    Mat::from_vec(rows.len(), rows.first().map_or(0, Vec::len), rows.concat())
}

/// Takes the array of that name out, checking its shape (`None`: any length) and that it is finite. One axis gives one row.
fn take(tensors: &mut Vec<Tensor>, name: &str, shape: &[Option<usize>]) -> Result<Mat<f64>> {
    let at = tensors.iter().position(|t| t.name == name).ok_or_else(|| damaged(name, "the array is missing"))?;
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
    let matrix = Mat::from_vec(rows, cols, tensor.data)?;
    matrix.as_ref().check_finite(&format!("array {name} of the model"))?;
    Ok(matrix)
}

fn expect(fits: bool, what: &str, expected: usize, found: usize) -> Result<()> {
    if fits { Ok(()) } else { Err(damaged(what, &format!("{found} where {expected} are expected"))) }
}

fn damaged(what: &str, found: &str) -> Error {
    invalid(what, "what dualnet writes", found, "save the model again")
}
