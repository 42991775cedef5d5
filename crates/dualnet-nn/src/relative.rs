//! The bias of attention by relative position, as T5 and MPNet have it: offsets fall into buckets, exact for small ones, then by logarithm.

use dualnet::Mat;

/// Offsets from here on share the last bucket.
const FARTHEST: f64 = 128.0;

/// What is added to scores: a number for each head and each bucket of offsets.
#[derive(Debug, Clone, PartialEq)]
pub struct RelativeBias {
    /// (buckets, heads).
    pub table: Mat<f32>,
}

impl RelativeBias {
    /// The bucket of a key that stands `offset` tokens after the query.
    ///
    /// ```
    /// use dualnet_nn::RelativeBias;
    /// let bias = RelativeBias { table: dualnet::Mat::zeros(32, 1) };
    /// let buckets = [0, -3, 3, -9, 20, 500].map(|offset| bias.bucket(offset));
    /// assert_eq!(buckets, [0, 3, 19, 8, 26, 31]);
    /// ```
    pub fn bucket(&self, offset: isize) -> usize {
        let half = (self.table.rows() / 2).max(1);
        let (side, distance) = (if offset > 0 { half } else { 0 }, offset.unsigned_abs());
        let exact = (half / 2).max(1);
        let bucket = if distance < exact {
            distance
        } else {
            // In single precision, as the model was trained: at the edges of buckets the rounding decides.
            let share = ((distance as f32 / exact as f32).ln() / (FARTHEST / exact as f64).ln() as f32).max(0.0);
            (exact + (share * (half - exact) as f32) as usize).min(half - 1)
        };
        (side + bucket).min(self.table.rows().saturating_sub(1))
    }

    /// Writes the biases of a head for a text of `length` tokens to rows of `padded` numbers.
    pub(crate) fn fill(&self, head: usize, scores: &mut [f32], length: usize, padded: usize) {
        let last = length as isize - 1;
        let by_offset: Vec<f32> = (-last..=last).map(|offset| self.table[(self.bucket(offset), head)]).collect();
        for (i, row) in scores.chunks_exact_mut(padded).enumerate() {
            row[..length].copy_from_slice(&by_offset[length - 1 - i..2 * length - 1 - i]);
        }
    }
}
