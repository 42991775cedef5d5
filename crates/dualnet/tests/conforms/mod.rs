//! What every feature map has to pass.

use dualnet::conformance::feature_map::check;
use dualnet::features::{FeatureMap, transform};
use dualnet::kernel::Float;
use dualnet::random::{Draws, Purpose};
use dualnet::{Error, Mat, Resources};

/// Standard normals.
pub fn normals(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut draws = Draws::new(seed, Purpose(40), 0);
    Mat::from_fn(rows, cols, |_, _| draws.normal())
}

fn normals_of<T: Float>(rows: usize, cols: usize) -> Mat<T> {
    let x = normals(rows, cols, 77);
    Mat::from_fn(rows, cols, |i, j| T::from_f64(0.3 * x[(i, j)]))
}

/// The public suite, the largest numbers, and a limit of memory.
pub fn conforms<T: Float>(map: &dyn FeatureMap<T>) {
    let (n, d) = (300, map.inputs());
    let x = normals_of::<T>(n, d);
    check(map, x.as_ref()).unwrap();
    let resources = &Resources::new(2).unwrap();
    // The largest numbers: a finite result or an error, not NaN and not a silent 0 for an argument that overflowed.
    let mut x = x;
    let largest = if T::EPS > 1e-10 { f64::from(f32::MAX) } else { f64::MAX };
    (0..d).for_each(|j| x[(150, j)] = T::from_f64(if j % 2 == 0 { largest } else { -largest }));
    match transform(map, x.as_ref(), resources) {
        Err(Error::Overflow { row: 150, .. }) => {}
        Ok(f) => assert!(d == 1 && f.row(150).iter().all(|f| f.is_finite())),
        Err(other) => panic!("{other}"),
    }
    let little = resources.clone().with_memory(10);
    assert!(matches!(transform(map, Mat::zeros(3, d).as_ref(), &little), Err(Error::Memory { .. })));
}
