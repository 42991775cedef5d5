//! Layers that gather neighbours: convolution and pooling.

use super::state::Square;
use crate::net::Padding;

/// Windows along one axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    n: usize,
    out: usize,
    /// Positions before the first that the first window covers.
    low: usize,
    window: usize,
    stride: usize,
    padding: Padding,
}

impl Axis {
    /// Same and circular: out = ceil(n / s), and (out - 1) s + f - n positions are missing, half of them, rounded down, in front.
    fn new(n: usize, window: usize, stride: usize, padding: Padding) -> Self {
        let out = match padding {
            Padding::Valid => (n - window.min(n)) / stride + 1,
            Padding::Same | Padding::Circular => n.div_ceil(stride),
        };
        let low = match padding {
            Padding::Valid => 0,
            Padding::Same | Padding::Circular => ((out - 1) * stride + window).saturating_sub(n) / 2,
        };
        Self { n, out, low, window, stride, padding }
    }

    /// The position that offset `d` of window `o` meets; `None`: outside.
    fn tap(&self, o: usize, d: usize) -> Option<usize> {
        let shifted = o * self.stride + d;
        match self.padding {
            // A window may go round several times.
            Padding::Circular => Some((shifted + self.low.div_ceil(self.n) * self.n - self.low) % self.n),
            _ => shifted.checked_sub(self.low).filter(|at| *at < self.n),
        }
    }

    /// Positions of window `o` that are inside.
    fn inside(&self, o: usize) -> usize {
        (0..self.window).filter(|d| self.tap(o, *d).is_some()).count()
    }
}

/// Windows over one or two axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    rows: Axis,
    cols: Axis,
}

impl Windows {
    /// `window` and `stride` have an entry for each axis that the net's layers have; a missing second one stands for width 1.
    pub(super) fn new(size: [usize; 2], window: &[usize], stride: &[usize], padding: Padding) -> Self {
        let axis = |i: usize| {
            let entry = |of: &[usize]| of.get(i).copied().unwrap_or(1);
            Axis::new(size[i], entry(window), entry(stride), padding)
        };
        Self { rows: axis(0), cols: axis(1) }
    }

    /// Height and width of the output.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.rows.out, self.cols.out]
    }

    /// Positions of a whole window.
    fn area(&self) -> usize {
        self.rows.window * self.cols.window
    }

    /// The position that offset `d` of window `o` meets, both counted row by row.
    fn tap(&self, o: usize, d: usize) -> Option<usize> {
        let row = self.rows.tap(o / self.cols.out, d / self.cols.window)?;
        let col = self.cols.tap(o % self.cols.out, d % self.cols.window)?;
        Some(row * self.cols.n + col)
    }

    /// Positions of window `o` that are inside.
    fn inside(&self, o: usize) -> usize {
        self.rows.inside(o / self.cols.out) * self.cols.inside(o % self.cols.out)
    }

    /// sum_d k(sP + d, sP' + d) / |F|: the weights are shared, so both positions shift alike.
    pub(super) fn convolve(&self, k: &Square) -> Square {
        let (n, out) = (self.rows.n * self.cols.n, self.rows.out * self.cols.out);
        let mut all = Vec::with_capacity(out * out);
        for a in 0..out {
            for b in 0..out {
                let taps = (0..self.area()).filter_map(|d| Some((self.tap(a, d)?, self.tap(b, d)?)));
                all.push(taps.map(|(u, v)| k[n * u + v]).sum::<f64>() / self.area() as f64);
            }
        }
        all
    }

    /// sum_d sum_d' k(sP + d, sP' + d').
    pub(super) fn sum(&self, k: &Square) -> Square {
        let (n, out) = (self.rows.n * self.cols.n, self.rows.out * self.cols.out);
        let taps = |o: usize| (0..self.area()).filter_map(move |d| self.tap(o, d));
        let mut all = Vec::with_capacity(out * out);
        for a in 0..out {
            for b in 0..out {
                all.push(taps(a).map(|u| taps(b).map(|v| k[n * u + v]).sum::<f64>()).sum());
            }
        }
        all
    }

    /// The divisors of a mean: the whole window, or what is inside of it.
    pub(super) fn counts(&self, normalize_edges: bool) -> Vec<f64> {
        let count = |o| if normalize_edges { self.inside(o) } else { self.area() };
        (0..self.rows.out * self.cols.out).map(|o| count(o) as f64).collect()
    }
}
