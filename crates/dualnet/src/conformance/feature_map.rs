//! What every feature map must satisfy.

use crate::error::Error;
use crate::features::{FeatureMap, TILE, transform, transform_into};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef};
use crate::resources::Resources;
use crate::simd::Isa;

/// Rows of the batch that others are compared with: two whole tiles and a part of one.
const ROWS: usize = 2 * TILE + 5;
/// First row and number of rows of smaller batches.
const BATCHES: [(usize, usize); 8] =
    [(0, 1), (TILE - 1, 1), (ROWS - 1, 1), (1, 2), (5, 7), (3, TILE - 1), (2, TILE), (TILE - 1, TILE + 1)];

/// Checks a feature map on rows it is meant for, `x` (n, d) with at least one row, repeated to 261 rows:
///
/// - features of a row have the same bits alone, in batches of any size and place, and from rows that lie apart, on every instruction set
///   of the machine;
/// - the same bits from one, two and three threads;
/// - what memory held before changes nothing, and nothing is written between rows that lie apart;
/// - NaN and infinities are refused with their row and column;
/// - other shapes are refused; no rows give no rows.
///
/// Cost: some 3,000 rows mapped for each instruction set.
///
/// ```
/// use dualnet::conformance::feature_map::check;
/// use dualnet::features::FeatureMap;
/// use dualnet::linalg::{Mat, MatMut, MatRef};
/// use dualnet::simd::Isa;
///
/// /// Squares.
/// #[derive(Debug)]
/// struct Square;
///
/// impl FeatureMap<f64> for Square {
///     fn inputs(&self) -> usize { 2 }
///     fn dim(&self) -> usize { 2 }
///     fn scratch(&self) -> usize { 0 }
///     fn tile(&self, x: MatRef<'_, f64>, mut out: MatMut<'_, f64>, _: &mut [f64], _: Isa) -> dualnet::Result<()> {
///         for i in 0..x.rows() {
///             out.row_mut(i).iter_mut().zip(x.row(i)).for_each(|(out, x)| *out = x * x);
///         }
///         Ok(())
///     }
/// }
///
/// let x = Mat::from_fn(10, 2, |i, j| (i + j) as f64);
/// assert_eq!(check(&Square, x.as_ref()), Ok(()));
/// ```
///
/// # Errors
/// The first property found violated, with where.
pub fn check<T: Float, F: FeatureMap<T> + ?Sized>(map: &F, x: MatRef<'_, T>) -> Result<(), String> {
    if x.rows() == 0 || x.cols() != map.inputs() {
        return Err(format!("rows to check with: expected (n, {}), found ({}, {})", map.inputs(), x.rows(), x.cols()));
    }
    let rows: Vec<usize> = (0..ROWS).map(|i| i % x.rows()).collect();
    let x = x.select_rows(&rows);
    for isa in Isa::available() {
        let resources = said(Resources::new(1))?.with_isa(isa);
        let whole = said(transform(map, x.as_ref(), &resources))?;
        if (whole.rows(), whole.cols()) != (ROWS, map.dim()) {
            return Err(format!("shape: expected ({ROWS}, {}), found ({}, {})", map.dim(), whole.rows(), whole.cols()));
        }
        batches(map, &x, &whole, &resources)?;
        threads(map, &x, &whole, isa)?;
        memory(map, &x, &whole, isa)?;
    }
    let resources = said(Resources::new(2))?;
    not_finite(map, &x, &resources)?;
    shapes(map, &x, &resources)
}

/// An error, in words.
fn said<R>(result: crate::error::Result<R>) -> Result<R, String> {
    result.map_err(|e| e.to_string())
}

/// The first entry whose bits differ, in words.
fn same<T: Float>(what: &str, found: MatRef<'_, T>, expected: MatRef<'_, T>) -> Result<(), String> {
    let bits = |x: &T| x.to_f64().to_bits();
    for i in 0..expected.rows() {
        let pairs = found.row(i).iter().zip(expected.row(i));
        if let Some((j, (a, b))) = pairs.enumerate().find(|(_, (a, b))| bits(a) != bits(b)) {
            return Err(format!("{what}: feature {j} of row {i} is {a:?}, expected the bits of {b:?}"));
        }
    }
    Ok(())
}

fn batches<T: Float, F: FeatureMap<T> + ?Sized>(
    map: &F,
    x: &Mat<T>,
    whole: &Mat<T>,
    resources: &Resources,
) -> Result<(), String> {
    let (d, m, isa) = (map.inputs(), map.dim(), resources.isa);
    for (first, n) in BATCHES {
        let part = said(x.as_ref().block(first..first + n, 0..d))?;
        let found = said(transform(map, part, resources))?;
        let expected = said(whole.as_ref().block(first..first + n, 0..m))?;
        same(&format!("{n} rows from row {first} on, {isa:?}"), found.as_ref(), expected)?;
    }
    let apart = Mat::from_fn(ROWS, d + 3, |i, j| if j < d { x[(i, j)] } else { T::from_f64(f64::NAN) });
    let apart = said(apart.as_ref().block(0..ROWS, 0..d).map(|x| transform(map, x, resources)))?;
    same(&format!("rows that lie apart, {isa:?}"), said(apart)?.as_ref(), whole.as_ref())
}

fn threads<T: Float, F: FeatureMap<T> + ?Sized>(map: &F, x: &Mat<T>, whole: &Mat<T>, isa: Isa) -> Result<(), String> {
    for threads in [2, 3] {
        let resources = said(Resources::new(threads))?.with_isa(isa);
        let found = said(transform(map, x.as_ref(), &resources))?;
        same(&format!("{threads} threads, {isa:?}"), found.as_ref(), whole.as_ref())?;
    }
    Ok(())
}

/// A tile into memory full of NaN, with rows that lie apart.
fn memory<T: Float, F: FeatureMap<T> + ?Sized>(map: &F, x: &Mat<T>, whole: &Mat<T>, isa: Isa) -> Result<(), String> {
    let (d, m, nan) = (map.inputs(), map.dim(), T::from_f64(f64::NAN));
    let stride = m + 3;
    let (mut out, mut scratch) = (vec![nan; TILE * stride], vec![nan; map.scratch()]);
    let tile = said(x.as_ref().block(0..TILE, 0..d))?;
    let view = said(MatMut::new(&mut out, TILE, m, stride))?;
    said(map.tile(tile, view, &mut scratch, isa))?;
    let (found, expected) = (said(MatRef::new(&out, TILE, m, stride))?, said(whole.as_ref().block(0..TILE, 0..m))?);
    same(&format!("a tile into memory full of NaN, {isa:?}"), found, expected)?;
    match out.chunks(stride).position(|row| row[m..].iter().any(|x| x.is_finite())) {
        Some(row) => Err(format!("something is written behind row {row} of a tile, {isa:?}")),
        None => Ok(()),
    }
}

fn not_finite<T: Float, F: FeatureMap<T> + ?Sized>(map: &F, x: &Mat<T>, resources: &Resources) -> Result<(), String> {
    let last = map.inputs().saturating_sub(1);
    let places = [(0, 0), (1, last), (TILE, 0), (ROWS - 1, last)];
    for (at, value) in places.into_iter().zip([f64::NAN, f64::INFINITY, f64::NAN, f64::NEG_INFINITY]) {
        if map.inputs() == 0 {
            continue;
        }
        let mut x = x.clone();
        x[at] = T::from_f64(value);
        match transform(map, x.as_ref(), resources) {
            Err(Error::NonFinite { row, column, .. }) if (row, column) == at => {}
            other => {
                return Err(format!("{value} at {at:?}: expected an error that says where, found {}", brief(other)));
            }
        }
    }
    Ok(())
}

fn shapes<T: Float, F: FeatureMap<T> + ?Sized>(map: &F, x: &Mat<T>, resources: &Resources) -> Result<(), String> {
    let (d, m) = (map.inputs(), map.dim());
    for cols in [d + 1, d.saturating_sub(1), 0] {
        let found = transform(map, Mat::zeros(3, cols).as_ref(), resources);
        if cols != d && !matches!(found, Err(Error::Shape { .. })) {
            return Err(format!("input of {cols} columns: expected an error of shape, found {}", brief(found)));
        }
    }
    for (rows, cols) in [(ROWS, m + 1), (ROWS - 1, m)] {
        let mut out = Mat::zeros(rows, cols);
        if !matches!(transform_into(map, x.as_ref(), out.as_mut(), resources), Err(Error::Shape { .. })) {
            return Err(format!("output of ({rows}, {cols}): expected an error of shape"));
        }
    }
    let none = said(transform(map, Mat::zeros(0, d).as_ref(), resources))?;
    if (none.rows(), none.cols()) == (0, m) {
        return Ok(());
    }
    Err(format!("no rows: expected (0, {m}), found ({}, {})", none.rows(), none.cols()))
}

fn brief<T>(result: crate::error::Result<Mat<T>>) -> String {
    match result {
        Ok(x) => format!("({}, {}) features", x.rows(), x.cols()),
        Err(e) => e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Twice the input, with one property broken.
    #[derive(Debug)]
    enum Broken {
        Nothing,
        Place,
        Calls(AtomicUsize),
        Adds,
        Scratch,
        Gaps,
        Fails,
    }

    impl FeatureMap<f32> for Broken {
        fn inputs(&self) -> usize {
            3
        }
        fn dim(&self) -> usize {
            3
        }
        fn scratch(&self) -> usize {
            1
        }
        fn tile(
            &self,
            x: MatRef<'_, f32>,
            mut out: MatMut<'_, f32>,
            scratch: &mut [f32],
            _: Isa,
        ) -> crate::error::Result<()> {
            for i in 0..x.rows() {
                for j in 0..3 {
                    let held = out.row_mut(i)[j];
                    out.row_mut(i)[j] = 2.0 * x.row(i)[j]
                        + match self {
                            Broken::Place => 1e-3 * i as f32,
                            Broken::Calls(calls) => calls.fetch_add(1, Ordering::Relaxed) as f32,
                            Broken::Adds => held,
                            Broken::Scratch => scratch[0],
                            _ => 0.0,
                        };
                }
            }
            if let (Broken::Gaps, true) = (self, out.stride() > 3) {
                out.data_mut()[3] = 0.0;
            }
            match self {
                Broken::Fails => Err(Error::Interrupted { what: "a map".into() }),
                _ => Ok(()),
            }
        }
    }

    #[test]
    fn every_fault_is_found() {
        let faults = [
            (Broken::Place, "rows from row"),
            (Broken::Calls(AtomicUsize::new(0)), "rows from row"),
            (Broken::Adds, "memory full of NaN"),
            (Broken::Scratch, "memory full of NaN"),
            (Broken::Gaps, "written behind row 0"),
            (Broken::Fails, "interrupted"),
        ];
        let x = Mat::from_fn(7, 3, |i, j| (3 * i + j) as f32 + 0.5);
        assert_eq!(check(&Broken::Nothing, x.as_ref()), Ok(()));
        for (map, complaint) in faults {
            let found = check(&map, x.as_ref());
            assert!(found.as_ref().is_err_and(|e| e.contains(complaint)), "{map:?}: {found:?}");
        }
        assert!(check(&Broken::Nothing, Mat::zeros(2, 4).as_ref()).is_err());
        assert!(check(&Broken::Nothing, Mat::zeros(0, 3).as_ref()).is_err());
    }
}
