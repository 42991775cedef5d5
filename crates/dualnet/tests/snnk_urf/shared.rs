//! What the files share: reading of golden arrays, and estimates from features.

use dualnet::features::transform;
use dualnet::kernel::Float;
use dualnet::linalg::{Mat, MatRef, Update, gemm_nt};
use dualnet::resources::Resources;
use dualnet::snnk::Snnk;
use npyz::npz::NpzArchive;
use std::fs::File;
use std::io::{BufReader, Read};

pub type Archive = NpzArchive<BufReader<File>>;

pub fn archive() -> Archive {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/snnk.npz");
    NpzArchive::new(BufReader::new(File::open(path).unwrap())).unwrap()
}

/// A complex number as numpy stores it.
pub struct Complex(pub f64, pub f64);

pub struct ComplexReader;

impl npyz::TypeRead for ComplexReader {
    type Value = Complex;
    fn read_one<R: Read>(&self, mut bytes: R) -> std::io::Result<Complex> {
        let mut parts = [[0; 8]; 2];
        bytes.read_exact(&mut parts[0])?;
        bytes.read_exact(&mut parts[1])?;
        Ok(Complex(f64::from_le_bytes(parts[0]), f64::from_le_bytes(parts[1])))
    }
}

impl npyz::Deserialize for Complex {
    type TypeReader = ComplexReader;
    fn reader(dtype: &npyz::DType) -> Result<ComplexReader, npyz::DTypeError> {
        assert!(matches!(dtype, npyz::DType::Plain(plain) if plain.to_string() == "<c16"));
        Ok(ComplexReader)
    }
}

fn array<T: npyz::Deserialize>(archive: &mut Archive, name: &str) -> (Vec<usize>, Vec<T>) {
    let array = archive.by_name(name).unwrap().unwrap_or_else(|| panic!("no array {name}"));
    assert_eq!(array.order(), npyz::Order::C, "{name}");
    let shape = array.shape().iter().map(|&s| s as usize).collect();
    (shape, array.into_vec().unwrap())
}

pub fn vector(archive: &mut Archive, name: &str) -> Vec<f64> {
    array(archive, name).1
}

pub fn matrix(archive: &mut Archive, name: &str) -> Mat<f64> {
    let (shape, data) = array(archive, name);
    Mat::from_vec(shape[0], shape[1], data).unwrap()
}

/// Real and imaginary parts.
pub fn complex(archive: &mut Archive, name: &str) -> [Mat<f64>; 2] {
    let (shape, data) = array::<Complex>(archive, name);
    let part = |f: fn(&Complex) -> f64| Mat::from_vec(shape[0], shape[1], data.iter().map(f).collect()).unwrap();
    [part(|z| z.0), part(|z| z.1)]
}

/// Phi(x) . Psi(w, b) for all rows of both: (n, l).
pub fn estimate<T: Float, M: Snnk<T>>(
    map: &M,
    x: MatRef<'_, T>,
    w: MatRef<'_, T>,
    b: &[T],
    resources: &Resources,
) -> Mat<T> {
    let phi = transform(map, x, resources).unwrap();
    let psi = map.psi(w, b, resources).unwrap();
    let mut out = Mat::zeros(x.rows(), w.rows());
    gemm_nt(out.as_mut(), Update::Replace, T::from_f64(1.0), phi.as_ref(), psi.as_ref()).unwrap();
    out
}

/// Largest difference, relative to the largest entry of `expected`.
pub fn difference(found: &Mat<f64>, expected: &Mat<f64>) -> f64 {
    assert_eq!((found.rows(), found.cols()), (expected.rows(), expected.cols()));
    let size = expected.as_slice().iter().fold(0.0, |l, x| f64::max(l, x.abs()));
    let gap = found.as_slice().iter().zip(expected.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    gap / size
}

/// Rows of independent normals times `scale`.
pub fn normals(rows: usize, cols: usize, scale: f64, seed: u64) -> Mat<f64> {
    let mut draws = dualnet::random::Draws::new(seed, dualnet::random::Purpose(1000), 0);
    Mat::from_fn(rows, cols, |_, _| scale * draws.normal())
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
