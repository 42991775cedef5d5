//! The samples of the verb: rows of a table, images, sequences, as the net takes them.

use crate::error::{Error, Result};
use dualnet::Mat;
use dualnet::kernel::{Float, InputShape};
use dualnet::net::Net;
use dualnet_io::{Array, Data, Loaded, Options};
use std::path::Path;

/// Samples as rows of values in the order (position, channel).
pub struct Samples<T> {
    /// n x (positions * channels).
    pub x: Mat<T>,
    /// What one of them looks like.
    pub shape: InputShape,
    /// Bytes that reading them took besides.
    pub read_bytes: u64,
}

/// Reads samples for `net`.
pub fn read<T: Float>(path: &Path, net: &Net, options: &Options) -> Result<Samples<T>> {
    let array = load(path, options)?;
    let shape = shape_of(path, net, &array.shape)?;
    let (n, width) = (array.rows(), array.row_len());
    let read_bytes = match &array.data {
        Data::U8(v) => size_of_val(v.as_slice()),
        Data::F32(v) => size_of_val(v.as_slice()),
        Data::F64(v) => size_of_val(v.as_slice()),
    } as u64;
    let x = Mat::from_vec(n, width, convert(array.data)).map_err(Error::within(path))?;
    Ok(Samples { x, shape, read_bytes })
}

/// Refuses second samples that do not look like the first.
pub fn check_alike(x: (&Path, &InputShape), x2: (&Path, &InputShape)) -> Result<()> {
    if x.1 == x2.1 {
        return Ok(());
    }
    let (expected, found) = match x.1.positions.is_empty() && x2.1.positions.is_empty() {
        true => (format!("{} values a sample", x.1.channels), x2.1.channels.to_string()),
        false => (format!("samples of {}", x.1), x2.1.to_string()),
    };
    let expected = format!("{expected}, as in {}", x.0.display());
    Err(Error::argument(&x2.0.display().to_string(), &expected, &found, "both files must hold samples of one kind"))
}

fn load(path: &Path, options: &Options) -> Result<Array> {
    let loaded = match dualnet_io::load(path, options) {
        // There is no --missing here, which the reader's own words would suggest.
        Err(dualnet_io::Error::Missing { row, column, found, .. }) => {
            let what = format!("{}: {row}, column {column}", path.display());
            return Err(Error::argument(&what, "a finite number", &found, "fill it in first"));
        }
        other => other?,
    };
    match loaded {
        Loaded::Arrays { x, .. } => Ok(x),
        Loaded::Table(_) => Err(Error::argument(
            &path.display().to_string(),
            "an array of numbers (.npy, .npz, IDX)",
            "a table",
            "save its columns as an array of shape (n, d) with numpy.save",
        )),
    }
}

/// What the samples of an array of shape `array` are to `net`; the contract's shapes are (n, d), (n, h, w, c), (n, h, w) with one channel, and
/// (n, l, c) where the net's kernels are 1-D.
fn shape_of(path: &Path, net: &Net, array: &[usize]) -> Result<InputShape> {
    let shape = match (net.is_spatial(), net.axes(), array) {
        (false, _, [_, d]) => InputShape::vector(*d),
        (true, Some(1), [_, l, c]) => InputShape::sequence(*l, *c),
        (true, Some(2) | None, [_, h, w]) => InputShape::image(*h, *w, 1),
        (true, Some(2) | None, [_, h, w, c]) => InputShape::image(*h, *w, *c),
        (spatial, axes, _) => {
            let (expected, hint) = match (spatial, axes) {
                (false, _) => ("an array of shape (n, d) for a dense net", "flatten the samples to (n, d)"),
                (true, Some(1)) => (
                    "an array of shape (n, l, c) for a net over sequences",
                    "add an axis: x[:, :, None] has one channel",
                ),
                _ => {
                    let expected =
                        "an array of shape (n, h, w, c) for a net over images, or (n, h, w) with one channel";
                    (expected, "reshape the samples to (n, h, w, c)")
                }
            };
            return Err(Error::argument(&path.display().to_string(), expected, &format!("shape {array:?}"), hint));
        }
    };
    if net.is_spatial() {
        net.output_positions(&shape.positions).map_err(Error::within(path))?;
    }
    Ok(shape)
}

/// Values in the precision of the computation, without a copy where they have it.
fn convert<T: Float>(data: Data) -> Vec<T> {
    match data {
        Data::U8(v) => v.into_iter().map(|x| T::from_f64(f64::from(x))).collect(),
        Data::F32(v) => v.into_iter().map(|x| T::from_f64(f64::from(x))).collect(),
        // Collected in place: an iterator over a Vec of items of the same size takes its memory over.
        Data::F64(v) => v.into_iter().map(T::from_f64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(net: &str, array: &[usize]) -> std::result::Result<String, String> {
        shape_of(Path::new("x.npy"), &Net::parse(net).unwrap(), array).map(|s| s.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn arrays_are_what_the_net_takes() {
        let sequence = r#"{"layers": [{"conv": {"kernel": [3]}}, "relu", "global_avg_pool"]}"#;
        let either = r#"{"layers": ["flatten", "dense"]}"#;
        let ok = |text: &str| Ok(text.to_string());
        assert_eq!(shape("fc-relu-1", &[9, 5]), ok("5"));
        assert_eq!(shape("myrtle-5", &[9, 32, 32, 3]), ok("32 x 32 x 3"));
        assert_eq!(shape("myrtle-5", &[9, 32, 32]), ok("32 x 32 x 1"));
        assert_eq!(shape(sequence, &[9, 50, 4]), ok("50 x 4"));
        assert_eq!(shape(either, &[9, 8, 8]), ok("8 x 8 x 1"));
        assert_eq!(shape(either, &[9, 8, 8, 2]), ok("8 x 8 x 2"));
        let error = |net, array: &[usize]| shape(net, array).unwrap_err();
        assert!(error("fc-relu-1", &[9, 5, 5]).starts_with("x.npy: expected an array of shape (n, d) for a dense net"));
        assert!(error("myrtle-5", &[9, 784]).contains("(n, h, w, c) for a net over images"));
        assert!(error("myrtle-5", &[9, 2, 2, 2, 2]).contains("found shape [9, 2, 2, 2, 2]"));
        assert!(error(sequence, &[9, 50]).contains("(n, l, c) for a net over sequences"));
        assert!(error(sequence, &[9, 8, 8, 3]).contains("found shape [9, 8, 8, 3]"));
        let error = error("myrtle-5", &[9, 2, 2]);
        assert!(error.starts_with("x.npy: layers[") && error.contains("use larger images"), "{error}");
    }

    #[test]
    fn values_keep_what_they_are() {
        assert_eq!(convert::<f32>(Data::U8(vec![0, 255])), [0.0, 255.0]);
        assert_eq!(convert::<f64>(Data::F32(vec![0.1])), [f64::from(0.1f32)]);
        assert_eq!(convert::<f32>(Data::F64(vec![0.1])), [0.1f32]);
    }
}
