//! The two precisions, as the library and as files know them.

use crate::error::Result;
use dualnet::Mat;
use dualnet::kernel::{Float, Grams};
use dualnet_io::{Elements, ElementsMut, FloatKind};
use std::path::Path;

/// A number that is computed with and written.
pub trait Value: Float {
    /// Its type in files.
    const KIND: FloatKind;
    /// Values for a writer.
    fn elements(values: &[Self]) -> Elements<'_>;
    /// Places for a reader.
    fn elements_mut(values: &mut [Self]) -> ElementsMut<'_>;
}

impl Value for f32 {
    const KIND: FloatKind = FloatKind::F32;
    fn elements(values: &[f32]) -> Elements<'_> {
        Elements::F32(values)
    }
    fn elements_mut(values: &mut [f32]) -> ElementsMut<'_> {
        ElementsMut::F32(values)
    }
}

impl Value for f64 {
    const KIND: FloatKind = FloatKind::F64;
    fn elements(values: &[f64]) -> Elements<'_> {
        Elements::F64(values)
    }
    fn elements_mut(values: &mut [f64]) -> ElementsMut<'_> {
        ElementsMut::F64(values)
    }
}

/// Writes the matrices that are there.
pub fn save<T: Value>(path: &Path, grams: &Grams<T>) -> Result<()> {
    let named = [("nngp", &grams.nngp), ("ntk", &grams.ntk)];
    let there: Vec<(&str, [usize; 2], &Mat<T>)> =
        named.iter().filter_map(|(name, m)| m.as_ref().map(|m| (*name, [m.rows(), m.cols()], m))).collect();
    let arrays: Vec<(&str, &[usize], Elements<'_>)> =
        there.iter().map(|(name, shape, m)| (*name, &shape[..], T::elements(m.as_slice()))).collect();
    Ok(dualnet_io::npz::write(path, &arrays)?)
}
