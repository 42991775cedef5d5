//! The kernel of a net over positions, one pair of samples at a time, in `f64`: every covariance of two positions is kept and every
//! layer is the loop that its formula says (kernels.md section 5). It knows nothing of the layout of [`crate::kernel::conv`].
//!
//! A pair of samples with n positions each holds four n x n arrays: c and t of the pair, and the covariances p and q of each sample
//! with itself, with which all layers deal alike. Cost of a pair: n^2 |kernel| for a convolution, n^2 for an activation, n^2 |window|^2 for
//! pooling, n^3 for attention.

mod activation;
mod attention;
mod layers;
mod state;
mod window;

use crate::error::{Error, Result};
use crate::kernel::InputShape;
use crate::net::Net;
use state::State;

pub use super::dense::Same;

/// Positions that a sample may have: the arrays grow with their square, to 128 MiB each here.
pub const MAX_POSITIONS: usize = 4096;

/// Kernels of every position of one sample with every position of another, without readout.
#[derive(Clone, Debug, PartialEq)]
pub struct Spatial {
    /// Positions along each axis behind the net, as [`Net::output_positions`] gives them; empty: one vector.
    pub positions: Vec<usize>,
    /// NNGP. With n the product of `positions`, the entry of position P of the first sample and P' of the second is at n P + P'.
    pub nngp: Vec<f64>,
    /// NTK, likewise.
    pub ntk: Vec<f64>,
}

/// Kernels of all positions of two samples of the given shape, each a row in the order (position, ..., channel).
///
/// ```
/// use dualnet::{kernel::InputShape, net::Net, oracle::conv::{Same, spatial}};
/// let net = Net::from_json(r#"{"w_std": 1, "layers": [{"conv": {"kernel": [3]}}]}"#)?;
/// let found = spatial(&net, &InputShape::sequence(2, 1), &[1.0, 2.0], &[3.0, 5.0], Same::No)?;
/// // Positions (0, 0): two products are inside, 1 * 3 and 2 * 5, and the divisor is 3 all the same.
/// assert!((found.nngp[0] - 13.0 / 3.0).abs() < 1e-15);
/// // (0, 1): shifted alike, only 1 * 5 stays inside.
/// assert!((found.nngp[1] - 5.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// [`Error::Net`]: the net does not fit the shape. [`Error::Shape`], [`Error::NonFinite`]: a sample of another length, or with values that
/// are not finite (x counts as row 0, y as row 1). [`Error::Invalid`]: more than two axes, or more than [`MAX_POSITIONS`].
/// [`Error::Overflow`]: a covariance beyond `f64` behind some layer; row and column are positions.
pub fn spatial(net: &Net, shape: &InputShape, x: &[f64], y: &[f64], same: Same) -> Result<Spatial> {
    let size = size(shape)?;
    let positions = net.output_positions(&shape.positions)?;
    let ops = net.ops(shape.channels)?;
    for (row, sample) in [x, y].into_iter().enumerate() {
        check(sample, shape, row)?;
    }
    let start = State::input(size, shape.channels, x, y).finite()?;
    let end = layers::chain(&ops, start, same)?;
    Ok(Spatial { positions, nngp: end.c, ntk: end.t })
}

/// (NNGP, NTK) of two samples of the given shape, for nets that end with one vector.
///
/// ```
/// use dualnet::{kernel::InputShape, net::Net, oracle::conv::{Same, kernel}};
/// let net = Net::from_json(r#"{"w_std": 1, "layers": [{"conv": {"kernel": [1, 1]}}, "relu", "global_avg_pool"]}"#)?;
/// // The mean over all pairs of positions: two of four pairs agree (1/2), two are orthogonal (1 / 2 pi).
/// let (x, y) = ([2f64.sqrt(), 0.0, 0.0, 2f64.sqrt()], [0.0, 2f64.sqrt(), 2f64.sqrt(), 0.0]);
/// let (nngp, _) = kernel(&net, &InputShape::image(1, 2, 2), &x, &y, Same::No)?;
/// assert!((nngp - (0.5 + 0.5 / std::f64::consts::PI) / 2.0).abs() < 1e-15);
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// Those of [`spatial`]; [`Error::Net`] with the last layer if the output still has positions.
pub fn kernel(net: &Net, shape: &InputShape, x: &[f64], y: &[f64], same: Same) -> Result<(f64, f64)> {
    let left = net.output_positions(&shape.positions)?;
    if !left.is_empty() {
        return Err(Error::Net {
            at: net.last_layer(),
            problem: format!("the output still has {left:?} positions"),
            hint: "end with flatten or global_avg_pool".into(),
        });
    }
    let end = spatial(net, shape, x, y, same)?;
    Ok((end.nngp[0], end.ntk[0]))
}

/// Height and width; a sequence has width 1, a vector is one position.
fn size(shape: &InputShape) -> Result<[usize; 2]> {
    let refuse = |expected: &str, hint: &str| Error::Invalid {
        what: "positions of a sample".into(),
        expected: expected.into(),
        found: shape.to_string(),
        hint: hint.into(),
    };
    let size = match shape.positions[..] {
        [] => [1, 1],
        [length] => [length, 1],
        [height, width] => [height, width],
        _ => return Err(refuse("at most two axes", "cut the samples into images")),
    };
    match size[0].checked_mul(size[1]) {
        Some(n) if n <= MAX_POSITIONS => Ok(size),
        _ => Err(refuse(&format!("at most {MAX_POSITIONS}"), "use smaller images, or NetKernel")),
    }
}

fn check(sample: &[f64], shape: &InputShape, row: usize) -> Result<()> {
    let what = ["x", "y"][row].to_string();
    if sample.len() != shape.width() {
        let (expected, found) = (format!("{} values ({shape})", shape.width()), sample.len().to_string());
        return Err(Error::Shape { what, expected, found });
    }
    match sample.iter().position(|v| !v.is_finite()) {
        Some(column) => Err(Error::NonFinite { what, row, column, value: sample[column] }),
        None => Ok(()),
    }
}
