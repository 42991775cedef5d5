//! What every feature map has to pass.

use dualnet::features::{FeatureMap, transform};
use dualnet::kernel::Float;
use dualnet::random::{Draws, Purpose};
use dualnet::{Error, Mat, MatRef, Resources};

/// Standard normals.
pub fn normals(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut draws = Draws::new(seed, Purpose(40), 0);
    Mat::from_fn(rows, cols, |_, _| draws.normal())
}

fn normals_of<T: Float>(rows: usize, cols: usize) -> Mat<T> {
    let x = normals(rows, cols, 77);
    Mat::from_fn(rows, cols, |i, j| T::from_f64(0.3 * x[(i, j)]))
}

/// The same bits for a row alone, in any batch, at any place and stride, on any number of threads; errors that name
/// rows.
pub fn conforms<T: Float>(map: &dyn FeatureMap<T>) {
    let (n, d) = (300, map.inputs());
    let x = normals_of::<T>(n, d);
    let (one, two) = (Resources::new(1).unwrap(), Resources::new(2).unwrap());
    let whole = transform(map, x.as_ref(), &one).unwrap();
    assert_eq!((whole.rows(), whole.cols()), (n, map.dim()));
    assert!(whole == transform(map, x.as_ref(), &two).unwrap(), "threads");
    for i in [0, 5, 127, 128, 299] {
        let alone = transform(map, x.as_ref().select_rows(&[i]).as_ref(), &one).unwrap();
        assert!(alone.row(0) == whole.row(i), "row {i} alone");
    }
    let order: Vec<usize> = (0..n).map(|i| (i * 37 + 11) % n).collect();
    let shuffled = transform(map, x.as_ref().select_rows(&order).as_ref(), &two).unwrap();
    for (i, &from) in order.iter().enumerate() {
        assert!(shuffled.row(i) == whole.row(from), "row {from} as row {i}");
    }
    let mut apart = vec![T::default(); n * (d + 3) + 1];
    (0..n).for_each(|i| apart[1 + i * (d + 3)..1 + i * (d + 3) + d].copy_from_slice(x.row(i)));
    let strided = transform(map, MatRef::new(&apart[1..], n, d, d + 3).unwrap(), &one).unwrap();
    assert!(strided == whole, "stride");
    assert_eq!(transform(map, Mat::zeros(0, d).as_ref(), &one).unwrap().rows(), 0);
    hostile(map, x, &two);
}

fn hostile<T: Float>(map: &dyn FeatureMap<T>, x: Mat<T>, resources: &Resources) {
    let d = map.inputs();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut x = x.clone();
        x[(200, d - 1)] = T::from_f64(bad);
        match transform(map, x.as_ref(), resources) {
            Err(Error::NonFinite { row: 200, column, .. }) => assert_eq!(column, d - 1),
            other => panic!("{bad}: {:?}", other.map(drop)),
        }
    }
    let wrong = transform(map, Mat::zeros(3, d + 1).as_ref(), resources);
    assert!(matches!(wrong, Err(Error::Shape { .. })));
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
