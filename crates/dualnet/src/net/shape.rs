//! Sizes of an image on its way through a net.

use super::limits::refuse;
use super::spec::{Layer, Padding};
use crate::error::Result;

/// Positions behind a window of `size` and `step` along an axis with `n`; 0: the window does not fit.
///
/// `Same` and `Circular` give ceil(n / step), `Valid` floor((n - size) / step) + 1.
pub(crate) fn behind(n: usize, size: usize, step: usize, padding: Padding) -> usize {
    match padding {
        Padding::Same | Padding::Circular => n.div_ceil(step),
        Padding::Valid => n.checked_sub(size).map_or(0, |room| room / step + 1),
    }
}

/// Positions in front of the first that the first of `behind` windows reaches, at least one of them: half of what is missing, rounded down
/// (kernels.md, section 5).
pub(crate) fn in_front(n: usize, size: usize, step: usize, behind: usize, padding: Padding) -> usize {
    match padding {
        Padding::Valid => 0,
        Padding::Same | Padding::Circular => ((behind - 1) * step + size).saturating_sub(n) / 2,
    }
}

/// Positions along each axis behind `layers` of a checked net; empty: one vector.
pub(super) fn through(at: &str, layers: &[Layer], mut sizes: Vec<usize>) -> Result<Vec<usize>> {
    for (i, layer) in layers.iter().enumerate() {
        let at = || format!("{at}[{i}].{}", layer.name());
        sizes = match layer {
            Layer::Conv { kernel: window, stride, padding, .. } | Layer::Pool { window, stride, padding, .. } => {
                slide(&at(), &sizes, window, stride, *padding)?
            }
            Layer::Flatten | Layer::GlobalPool(_) => Vec::new(),
            Layer::Residual(inner) => {
                let end = through(&at(), inner, sizes.clone())?;
                agree(&at(), &sizes, &end)?;
                end
            }
            Layer::Sum(branches) | Layer::Concat(branches) | Layer::Product(branches) => {
                let mut first: Option<Vec<usize>> = None;
                for (j, branch) in branches.iter().enumerate() {
                    let end = through(&format!("{}[{j}]", at()), branch, sizes.clone())?;
                    agree(&at(), first.get_or_insert_with(|| end.clone()), &end)?;
                }
                first.unwrap_or(sizes)
            }
            _ => sizes,
        };
    }
    Ok(sizes)
}

fn slide(at: &str, sizes: &[usize], window: &[usize], stride: &[usize], padding: Padding) -> Result<Vec<usize>> {
    if sizes.len() != window.len() {
        let problem = format!("a {}-D layer on data with {} axes of positions", window.len(), sizes.len());
        return Err(refuse(at, problem, "sequences take [3], images take [3, 3]"));
    }
    let behind: Vec<usize> =
        sizes.iter().zip(window).zip(stride).map(|((n, size), step)| behind(*n, *size, *step, padding)).collect();
    if behind.contains(&0) {
        let problem = format!("{window:?} positions do not fit into the {sizes:?} that are left");
        return Err(refuse(at, problem, "use larger images, or \"padding\": \"same\""));
    }
    Ok(behind)
}

fn agree(at: &str, first: &[usize], other: &[usize]) -> Result<()> {
    if first == other {
        return Ok(());
    }
    let problem = format!("one branch ends with {first:?} positions, another with {other:?}");
    Err(refuse(at, problem, "use the same padding in every branch, or images of another size"))
}
