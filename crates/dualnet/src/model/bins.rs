//! Ranks of a column: a thermometer code, and the value itself where there are few.
//!
//! The thermometer has one entry for each edge, +1 above and -1 below, centred, the block scaled to mean squared norm 1 like a
//! standardised column. Inner products then fall with the number of edges between two values: an L1 distance of ranks,
//! which is what trees see and a standardised column hides when it is skewed or holds codes.

use serde::{Deserialize, Serialize};

/// Edges at most.
const EDGES: usize = 16;
/// Up to this many different values each has a 0/1 column of its own as well.
const MAX_VALUES: usize = 30;

/// The code of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bins {
    /// Ascending.
    edges: Vec<f64>,
    /// Mean of each thermometer entry over the training rows.
    means: Vec<f64>,
    /// Scales the thermometer.
    factor: f64,
    /// Different values with a column each; ascending; empty where there are many.
    values: Vec<f64>,
}

impl Bins {
    /// Learns edges and values; `None` for a column with at most two different values, of which the standardised column says all.
    ///
    /// ```
    /// use dualnet::model::Bins;
    /// let bins = Bins::learn(&[1.0, 2.0, 3.0, 3.0]).unwrap();
    /// assert_eq!(bins.width(), 2 + 3);
    /// let mut code = [0.0; 5];
    /// bins.encode(3.0, &mut code);
    /// assert_eq!(code[2..], [0.0, 0.0, 1.0]);
    /// assert!(Bins::learn(&[0.0, 1.0, 1.0]).is_none());
    /// ```
    pub fn learn(column: &[f64]) -> Option<Self> {
        let mut sorted = column.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mut distinct = sorted.clone();
        distinct.dedup();
        if distinct.len() <= 2 {
            return None;
        }
        let mut edges: Vec<f64> = if distinct.len() <= EDGES {
            distinct.windows(2).map(|w| w[0] / 2.0 + w[1] / 2.0).collect()
        } else {
            (0..EDGES).map(|b| quantile(&sorted, (b as f64 + 0.5) / EDGES as f64)).collect()
        };
        edges.dedup();
        let n = column.len() as f64;
        let mean = |edge: &f64| column.iter().map(|x| if x > edge { 1.0 } else { -1.0 }).sum::<f64>() / n;
        let means: Vec<f64> = edges.iter().map(mean).collect();
        // E (T - m)^2 = 1 - m^2 for entries of +-1.
        let square: f64 = means.iter().map(|m| 1.0 - m * m).sum();
        let factor = if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
        let values = if distinct.len() <= MAX_VALUES { distinct } else { Vec::new() };
        Some(Self { edges, means, factor, values })
    }

    /// Columns of the code.
    pub fn width(&self) -> usize {
        self.edges.len() + self.values.len()
    }

    /// What is wrong with bins that were read from somewhere.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        let ascending = |v: &[f64]| v.iter().all(|x| x.is_finite()) && v.windows(2).all(|w| w[0] < w[1]);
        if self.edges.len() != self.means.len() {
            return Err(format!("{} edges, {} means", self.edges.len(), self.means.len()));
        }
        if !ascending(&self.edges) || !ascending(&self.values) {
            return Err("edges or values out of order".into());
        }
        let fine = self.means.iter().all(|m| m.abs() <= 1.0) && self.factor.is_finite();
        if fine { Ok(()) } else { Err(format!("means beyond 1, or factor {}", self.factor)) }
    }

    /// Writes the code of `x` over `out`, which has [`Bins::width`] entries. A value never seen has no column of its own.
    pub fn encode(&self, x: f64, out: &mut [f64]) {
        let (thermometer, values) = out.split_at_mut(self.edges.len());
        for ((entry, edge), mean) in thermometer.iter_mut().zip(&self.edges).zip(&self.means) {
            *entry = (if x > *edge { 1.0 } else { -1.0 } - mean) * self.factor;
        }
        for (entry, value) in values.iter_mut().zip(&self.values) {
            *entry = f64::from(u8::from(x == *value));
        }
    }
}

/// The quantile of ascending numbers, linear between neighbours. Between two equal numbers it is that number to the bit: an edge
/// a hair below would put all rows of that value on its other side.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    // Halves, so that the difference stays in range.
    let (a, b) = (sorted[low] / 2.0, sorted[(low + 1).min(sorted.len() - 1)] / 2.0);
    2.0 * if part < 0.5 { a + (b - a) * part } else { b - (b - a) * (1.0 - part) }
}
