//! Layers that gather neighbours: convolution and pooling.

use super::state::Square;
use crate::net::Padding;

/// For each window along an axis the positions that it meets, one after the other; `None`: outside.
type Axis = Vec<Vec<Option<usize>>>;

/// Windows along an axis with `n` positions. Same and circular: there are ceil(n / s) windows, so (windows - 1) s + f - n positions are
/// missing, half of them, rounded down, in front.
fn axis(n: usize, window: usize, stride: usize, padding: Padding) -> Axis {
    let (count, low) = match padding {
        Padding::Valid => ((n - window.min(n)) / stride + 1, 0),
        Padding::Same | Padding::Circular => {
            let count = n.div_ceil(stride);
            (count, ((count - 1) * stride + window).saturating_sub(n) / 2)
        }
    };
    let meets = |shifted: usize| match padding {
        // A window may go round several times.
        Padding::Circular => Some((shifted + low.div_ceil(n) * n - low) % n),
        Padding::Same | Padding::Valid => shifted.checked_sub(low).filter(|at| *at < n),
    };
    (0..count).map(|o| (0..window).map(|d| meets(o * stride + d)).collect()).collect()
}

/// Windows over one or two axes; a sequence has width 1 and windows of width 1.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    rows: Axis,
    cols: Axis,
    /// Height and width of the input.
    from: [usize; 2],
    /// Positions of a window.
    area: f64,
}

impl Windows {
    /// `window` and `stride` have an entry for each axis of the net's layers.
    pub(super) fn new(from: [usize; 2], window: &[usize], stride: &[usize], padding: Padding) -> Self {
        let entry = |of: &[usize], i: usize| of.get(i).copied().unwrap_or(1);
        let along = |i: usize| axis(from[i], entry(window, i), entry(stride, i), padding);
        let area = window.iter().map(|size| *size as f64).product();
        Self { rows: along(0), cols: along(1), from, area }
    }

    /// Height and width of the output.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.rows.len(), self.cols.len()]
    }

    /// The windows of all positions of the output, row by row.
    fn all(&self) -> impl Iterator<Item = [&[Option<usize>]; 2]> {
        self.rows.iter().flat_map(|rows| self.cols.iter().map(move |cols| [&rows[..], &cols[..]]))
    }

    /// `entry` of every window on the first sample and every window on the second.
    fn pairs(&self, entry: impl Fn([&[Option<usize>]; 2], [&[Option<usize>]; 2]) -> f64) -> Square {
        self.all().flat_map(|a| self.all().map(move |b| (a, b))).map(|(a, b)| entry(a, b)).collect()
    }

    /// Place of row i and column j of the first sample and (k, l) of the second.
    fn at(&self, [i, j]: [usize; 2], [k, l]: [usize; 2]) -> usize {
        let [height, width] = self.from;
        (i * width + j) * height * width + k * width + l
    }

    /// sum_d k(sP + d, sP' + d) / |F|: the weights are shared, so both positions shift alike, and what leaves its image counts as 0.
    pub(super) fn convolve(&self, square: &Square) -> Square {
        self.pairs(|a, b| {
            let mut sum = 0.0;
            for (i, k) in both(a[0], b[0]) {
                for (j, l) in both(a[1], b[1]) {
                    sum += square[self.at([i, j], [k, l])];
                }
            }
            sum / self.area
        })
    }

    /// sum_d sum_d' k(sP + d, sP' + d').
    pub(super) fn sum(&self, square: &Square) -> Square {
        self.pairs(|a, b| {
            let mut sum = 0.0;
            for i in a[0].iter().flatten() {
                for j in a[1].iter().flatten() {
                    for k in b[0].iter().flatten() {
                        for l in b[1].iter().flatten() {
                            sum += square[self.at([*i, *j], [*k, *l])];
                        }
                    }
                }
            }
            sum
        })
    }

    /// The divisors of a mean: the whole window, or what is inside of it.
    pub(super) fn counts(&self, normalize_edges: bool) -> Vec<f64> {
        let inside = |axis: &[Option<usize>]| axis.iter().flatten().count() as f64;
        self.all().map(|[rows, cols]| if normalize_edges { inside(rows) * inside(cols) } else { self.area }).collect()
    }
}

/// Equal offsets of two windows, where both are inside.
fn both<'a>(a: &'a [Option<usize>], b: &'a [Option<usize>]) -> impl Iterator<Item = (usize, usize)> + 'a {
    a.iter().zip(b).filter_map(|(a, b)| Some(((*a)?, (*b)?)))
}
