//! The plane of equal positions of an image with itself: variances. Angles are exactly 0 there, where rounding would cost half of all
//! digits.

use super::buffer::Buffer;
use super::convolve::{self, Masks, Sums};
use super::planes::Plane;
use super::pointwise;
use super::program::{Grid, Local};
use super::run::{Same, joined};
use crate::dual::{DynDual, Points};
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::simd::Isa;

/// Where the plane belongs.
pub struct At {
    /// Instruction set.
    pub isa: Isa,
    /// Positions.
    pub grid: Grid,
    /// Of one sample, or of two with the same values.
    pub same: Same,
}

/// Whether tables are filled on the way.
pub enum Record<'a, T> {
    /// No.
    No,
    /// These are, of the sample with this row and name.
    Into(&'a mut [Buffer<T>], (usize, &'a str)),
}

/// The plane through layers.
pub fn through<T: Float>(
    at: &At,
    nodes: &[Local],
    plane: &mut Plane<T>,
    sums: &mut Sums<T>,
    record: &mut Record<'_, T>,
) -> Result<()> {
    let (len, stride) = (at.grid.positions(), at.grid.stride());
    for node in nodes {
        match node {
            Local::Conv(conv) => {
                let mut masks = Masks::default();
                masks.fill(conv, at.grid, 0);
                convolve::convolve(at.isa, (conv, at.grid, 0), &masks, plane, sums);
            }
            Local::Affine(affine) => pointwise::affine(at.isa, affine, len, plane),
            Local::Dual { dual, table, at: layer } => {
                let maps = activate(dual.as_ref(), (len, stride), plane);
                if let Record::Into(tables, name) = record {
                    tables[*table] = in_range(maps, (layer, stride, *name))?;
                }
            }
            Local::LayerNorm { eps, table } => {
                let (c, t) = plane.both();
                let scale = |p: f64| if p + eps > 0.0 { 1.0 / (p + eps).sqrt() } else { 0.0 };
                let mut map: Vec<f64> = c[..len].iter().map(|p| scale(p.to_f64())).collect();
                for values in [c, t].into_iter().filter(|v| !v.is_empty()) {
                    values.iter_mut().zip(&map).for_each(|(v, s)| *v = T::from_f64(v.to_f64() * s * s));
                }
                if let Record::Into(tables, name) = record {
                    map.resize(stride, 0.0);
                    tables[*table] = in_range(map, ("layer_norm", stride, *name))?;
                }
            }
            Local::Dropout { keep } if at.same == Same::Yes => {
                let (c, t) = plane.both();
                for value in c[..len].iter_mut().chain(t.iter_mut().take(len)) {
                    *value = T::from_f64(value.to_f64() / keep);
                }
            }
            Local::Dropout { .. } => {}
            Local::Join { join, branches } => {
                let start = plane.copy();
                let mut others = Vec::with_capacity(branches.len());
                for (i, nodes) in branches.iter().enumerate() {
                    if i == 0 {
                        through(at, nodes, plane, sums, record)?;
                        continue;
                    }
                    let mut copy = start.copy();
                    through(at, nodes, &mut copy, sums, record)?;
                    others.push(copy);
                }
                joined(at.isa, join, len, plane, &others);
            }
        }
    }
    Ok(())
}

/// Takes variances through a dual; the maps of its table, as in [`Points`].
fn activate<T: Float>(dual: &dyn DynDual, (len, stride): (usize, usize), plane: &mut Plane<T>) -> Vec<f64> {
    let (c, t) = plane.both();
    // Rounding may leave a variance of 0 just below it.
    let p: Vec<f64> = c[..len].iter().map(|p| p.to_f64().max(0.0)).collect();
    let found = dual.samples(&p);
    for (c, p) in c.iter_mut().zip(&found.variances) {
        *c = T::from_f64(*p);
    }
    for (t, slope) in t.iter_mut().zip(&found.slopes) {
        *t = T::from_f64(t.to_f64() * slope);
    }
    let mut maps = vec![0.0; (Points::<T>::FIXED + dual.constants_len()) * stride];
    let mut fill = |map: usize, values: &mut dyn Iterator<Item = f64>| {
        maps[map * stride..].iter_mut().zip(values).for_each(|(to, value)| *to = value);
    };
    fill(0, &mut p.iter().map(|p| p.sqrt()));
    fill(1, &mut p.iter().map(|p| inverse(p.sqrt())));
    fill(2, &mut found.variances.iter().map(|p| p.sqrt()));
    for (i, constants) in found.constants.chunks_exact(len).enumerate() {
        fill(Points::<T>::FIXED + i, &mut constants.iter().copied());
    }
    maps
}

/// 1 / s, 0 where that is beyond single precision: such a variance counts as 0.
fn inverse(s: f64) -> f64 {
    if s > 1e-37 { 1.0 / s } else { 0.0 }
}

/// The maps, or which sample is out of range behind which layer.
fn in_range<T: Float>(maps: Vec<f64>, (layer, stride, (row, what)): (&str, usize, (usize, &str))) -> Result<Buffer<T>> {
    // Constants may be infinite by design (the reciprocal of a norm of 0); deviations may not.
    let map = |k: usize| maps.iter().skip(k * stride).take(stride);
    if map(0).chain(map(2)).any(|s| !s.is_finite()) {
        return Err(Error::Overflow {
            at: format!("{layer} of {what}"),
            what: "the variance".into(),
            precision: T::NAME,
            row,
            column: row,
            hint: "scale the images down, or use an activation that does not grow as fast".into(),
        });
    }
    let mut values = Buffer::zeros(maps.len());
    values.iter_mut().zip(maps).for_each(|(to, value)| *to = T::from_f64(value));
    Ok(values)
}
