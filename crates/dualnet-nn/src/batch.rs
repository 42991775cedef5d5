//! Several texts at once, their tokens one after the other without padding between them.

use crate::TILE;
use crate::error::{Error, Result};
use std::ops::Range;

/// The tokens of some texts. Only the last tile of rows is filled up, so that short texts cost what they hold.
///
/// ```
/// use dualnet_nn::Batch;
/// let batch = Batch::new([&[5, 6, 7][..], &[8]])?;
/// assert_eq!((batch.texts(), batch.tokens(), batch.rows()), (2, 4, 128));
/// assert_eq!(batch.span(1), 3..4);
/// # Ok::<(), dualnet_nn::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    ids: Vec<u32>,
    /// Where each text begins, and where the last one ends.
    starts: Vec<usize>,
}

impl Batch {
    /// A batch of texts given by the numbers of their tokens.
    ///
    /// # Errors
    /// A text without tokens.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a [u32]>) -> Result<Self> {
        let (mut ids, mut starts) = (Vec::new(), vec![0]);
        for (i, text) in texts.into_iter().enumerate() {
            if text.is_empty() {
                return Err(Error::invalid(format!("text {i}"), "at least one token", "none", "leave it out"));
            }
            ids.extend_from_slice(text);
            starts.push(ids.len());
        }
        Ok(Self { ids, starts })
    }

    /// The tokens of all texts.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Number of texts.
    pub fn texts(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Rows of the matrices that hold a row for each token: whole tiles.
    pub fn rows(&self) -> usize {
        self.ids.len().next_multiple_of(TILE)
    }

    /// The rows of text `i`.
    pub fn span(&self, i: usize) -> Range<usize> {
        self.starts[i]..self.starts[i + 1]
    }

    /// The rows of each text.
    pub fn spans(&self) -> impl Iterator<Item = Range<usize>> {
        self.starts.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// Cuts a matrix of `cols` columns, stored row by row, at the texts.
    pub(crate) fn cut<'a>(&self, mut rows: &'a mut [f32], cols: usize) -> Vec<(Range<usize>, &'a mut [f32])> {
        let mut parts = Vec::with_capacity(self.texts());
        for span in self.spans() {
            let (own, rest) = rows.split_at_mut(span.len() * cols);
            parts.push((span, own));
            rows = rest;
        }
        parts
    }
}

/// Groups texts, in their order, so that none has more than `tokens` tokens, but for texts that are longer themselves.
pub(crate) fn groups(lengths: impl IntoIterator<Item = usize>, tokens: usize) -> Vec<Range<usize>> {
    let (mut groups, mut first, mut sum, mut count) = (Vec::new(), 0, 0, 0);
    for (i, length) in lengths.into_iter().enumerate() {
        if i > first && sum + length > tokens {
            groups.push(first..i);
            (first, sum) = (i, 0);
        }
        sum += length;
        count = i + 1;
    }
    if first < count {
        groups.push(first..count);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_all_texts_once() {
        assert_eq!(groups([3, 3, 3, 10, 1], 6), [0..2, 2..3, 3..4, 4..5]);
        assert!(groups([], 6).is_empty());
        assert_eq!(groups([7, 7], 6), [0..1, 1..2]);
    }
}
