//! Activations, one pair of positions at a time.

use super::state::{Square, State, diagonal};
use crate::activation::Activation;
use crate::dual::{DynDual, Image, Pair, Precision, dual_of};
use crate::error::Result;
use crate::net::DualChoice;

/// k and kdot of each pair of positions on its own.
pub(super) fn activate(activation: &Activation, choice: DualChoice, s: &State) -> Result<State> {
    let dual = dual_of(activation, choice, Precision::F64)?;
    let n = s.positions();
    let (p, q) = (diagonal(&s.p, n), diagonal(&s.q, n));
    let images = |k: &Square, p: &[f64], q: &[f64]| -> Vec<Image<f64>> {
        (0..n * n).map(|at| image(&*dual, k[at], p[at / n], q[at % n])).collect()
    };
    let values = |images: Vec<Image<f64>>| -> Square { images.iter().map(|image| image.k).collect() };
    let pair = images(&s.c, &p, &q);
    let t = s.t.iter().zip(&pair).map(|(t, image)| t * image.kdot).collect();
    Ok(State { size: s.size, c: values(pair), p: values(images(&s.p, &p, &p)), q: values(images(&s.q, &q, &q)), t })
}

/// The dual of one pair. What has c = p = q is one and the same pre-activation, and rounding must not part the two: equal positions of
/// equal samples come out with the same bits in c, p and q, since all layers treat these arrays alike.
fn image(dual: &dyn DynDual, c: f64, p: f64, q: f64) -> Image<f64> {
    let (sp, sq) = (p.sqrt(), q.sqrt());
    let r = sp * sq;
    let delta = match () {
        () if r == 0.0 => 1.0,
        () if p == q && c.abs() == p => 0.0,
        () => (1.0 - c.abs() / r).max(0.0),
    };
    let image = dual.pair(Pair { c, p, q, sp, sq, delta });
    if c == p && p == q { Image { k: dual.variance(p), ..image } } else { image }
}
