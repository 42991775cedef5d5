//! Saved models: from the parts of a model to a folder and back.

use crate::error::{Error, Result};
use dualnet::model::{Parts, SavedModel, Tensor};
use dualnet::{Mat, Resources};
use dualnet_io::model_folder;
use std::path::Path;
use std::time::Instant;

/// Saves a model; an older one of that name is replaced.
pub fn save(path: &Path, parts: Parts) -> Result<()> {
    let tensors: Vec<(&str, &[usize], &[f64])> =
        parts.tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), t.data.as_slice())).collect();
    Ok(model_folder::save(path, parts.json, &tensors)?)
}

/// Loads a model of either kind.
pub fn load(path: &Path, resources: &Resources) -> Result<SavedModel> {
    if !path.join(model_folder::JSON).is_file() {
        let found = match (path.is_dir(), path.exists()) {
            (true, _) => format!("a folder without {}", model_folder::JSON),
            (_, true) => "a file".into(),
            _ => "nothing of that name".into(),
        };
        let hint = "make one with dualnet fit DATA -o MODEL";
        return Err(Error::argument(&path.display().to_string(), "the folder of a saved model", &found, hint));
    }
    SavedModel::from_parts(load_parts(path)?, resources).map_err(Error::within(path))
}

/// Loads what a folder holds.
pub fn load_parts(path: &Path) -> Result<Parts> {
    let (json, tensors) = model_folder::load(path)?;
    let tensors = tensors
        .into_iter()
        .map(|(name, array)| Tensor { name, shape: array.shape.clone(), data: array.into_f64() })
        .collect();
    Ok(Parts { json, tensors })
}

/// Speed of this machine in f64 products, at the share of it that a fit reaches: the best of a tenth of a second, so that what another process takes
/// away for a moment does not count.
pub fn flops_per_second(resources: Resources) -> Result<f64> {
    let n = 512;
    let a = Mat::from_fn(n, n, |i, j| ((i * 31 + j * 17) % 13) as f64);
    let mut c = Mat::zeros(n, n);
    let mut best = f64::INFINITY;
    let (began, least) = (Instant::now(), std::time::Duration::from_millis(100));
    for run in 0.. {
        if run >= 3 && began.elapsed() >= least {
            break;
        }
        let start = Instant::now();
        dualnet::linalg::gemm_nt_parallel(
            &resources,
            c.as_mut(),
            dualnet::linalg::Update::Replace,
            1.0,
            a.as_ref(),
            a.as_ref(),
        )?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(0.5 * 2.0 * (n as f64).powi(3) / best)
}
