//! One vector for a text from those of its tokens.

use crate::batch::Batch;
use crate::config::read_object;
use crate::error::{Error, Result};
use dualnet::Mat;
use serde_json::Value;
use std::path::Path;

/// The description of pooling in a folder of sentence-transformers.
const POOLING: &str = "1_Pooling/config.json";

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens.
    Mean,
    /// The first token.
    Cls,
    /// The encoder's pooler, of the first token.
    Pooler,
}

impl Pooling {
    /// What the folder of the model asks for; the mean if it says nothing.
    ///
    /// # Errors
    /// A description that is damaged, or asks for another pooling.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let path = folder.join(POOLING);
        if !path.is_file() {
            return Ok(Self::Mean);
        }
        let json = read_object(&path)?;
        let on: Vec<&str> = json
            .iter()
            .filter(|(key, value)| key.starts_with("pooling_mode_") && value.as_bool() == Some(true))
            .map(|(key, _)| key.as_str())
            .collect();
        match (&on[..], json.get("pooling_mode").and_then(Value::as_str)) {
            (["pooling_mode_mean_tokens"], _) | ([], Some("mean")) => Ok(Self::Mean),
            (["pooling_mode_cls_token"], _) | ([], Some("cls")) => Ok(Self::Cls),
            (other, _) => {
                let hint = "name the pooling yourself: --pooling mean or --pooling cls";
                Err(Error::model(&path, "the pooling", "mean_tokens or cls_token", other.join(", "), hint))
            }
        }
    }

    /// A row for each text, not normalised, from the hidden states; the pooler itself is not in it ([`crate::Encoder::pooled`]).
    pub(crate) fn pool(self, x: &Mat<f32>, batch: &Batch) -> Mat<f32> {
        let mut pooled = Mat::zeros(batch.texts(), x.cols());
        for (text, span) in batch.spans().enumerate() {
            let (rows, factor) = self.rows(span);
            let to = pooled.row_mut(text);
            for row in rows {
                to.iter_mut().zip(x.row(row)).for_each(|(to, x)| *to += x);
            }
            to.iter_mut().for_each(|to| *to *= factor);
        }
        pooled
    }

    /// Adds to the gradient by the hidden states what comes from that by [`Self::pool`].
    pub(crate) fn back(self, pooled: &Mat<f32>, batch: &Batch, gradient: &mut Mat<f32>) {
        for (text, span) in batch.spans().enumerate() {
            let (rows, factor) = self.rows(span);
            for row in rows {
                let to = gradient.row_mut(row).iter_mut();
                to.zip(pooled.row(text)).for_each(|(to, g)| *to += factor * g);
            }
        }
    }

    /// Whose sum, times which factor.
    fn rows(self, span: std::ops::Range<usize>) -> (std::ops::Range<usize>, f32) {
        match self {
            Self::Mean => (span.clone(), 1.0 / span.len() as f32),
            Self::Cls | Self::Pooler => (span.start..span.start + 1, 1.0),
        }
    }
}

/// Divides each row by its length; rows of zeros stay.
pub(crate) fn normalise(rows: &mut Mat<f32>) {
    let cols = rows.cols().max(1);
    for row in rows.as_mut_slice().chunks_exact_mut(cols) {
        let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
        if length > 0.0 {
            row.iter_mut().for_each(|x| *x /= length);
        }
    }
}

/// Cosine of the angle between two vectors; 0 if one of them is zero.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}
