//! Several texts or images at once, their tokens one after the other without padding between them.

use crate::TILE;
use crate::error::{Error, Result};
use crate::picture::{CHANNELS, Pictures};
use dualnet::Mat;
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
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub(crate) content: Content,
    /// Where each text begins, and where the last one ends.
    starts: Vec<usize>,
}

/// What tokens are made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// Their numbers.
    Ids(Vec<u32>),
    /// The patches of all images, in whole tiles of rows.
    Patches(Mat<f32>),
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
        Ok(Self { content: Content::Ids(ids), starts })
    }

    /// A batch of images, cut into patches of `side` pixels, with `prefix` tokens before those of the patches of each.
    pub(crate) fn images(pictures: &Pictures, which: Range<usize>, side: usize, prefix: usize) -> Self {
        let (each, length) = ((pictures.size() / side).pow(2), CHANNELS * side * side);
        let mut patches = Mat::zeros((which.len() * each).next_multiple_of(TILE), length);
        for (i, to) in which.clone().zip(patches.as_mut_slice().chunks_exact_mut((each * length).max(1))) {
            pictures.patches(i, side, to);
        }
        let starts = (0..=which.len()).map(|i| i * (prefix + each)).collect();
        Self { content: Content::Patches(patches), starts }
    }

    /// Number of texts or images.
    pub fn texts(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Rows of the matrices that hold a row for each token: whole tiles.
    pub fn rows(&self) -> usize {
        self.tokens().next_multiple_of(TILE)
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

/// What an encoder is given.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Texts, as the numbers of their tokens.
    Texts(Vec<Vec<u32>>),
    /// Images.
    Images {
        /// The images.
        pictures: Pictures,
        /// Height and width of a patch.
        patch: usize,
        /// Tokens before those of the patches.
        prefix: usize,
    },
}

impl Inputs {
    /// Number of texts or images.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Images { pictures, .. } => pictures.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of each.
    fn lengths(&self) -> Vec<usize> {
        match self {
            Self::Texts(texts) => texts.iter().map(Vec::len).collect(),
            Self::Images { pictures, patch, prefix } => {
                vec![prefix + (pictures.size() / patch).pow(2); pictures.len()]
            }
        }
    }

    /// Tokens of all.
    pub fn tokens(&self) -> usize {
        self.lengths().iter().sum()
    }

    /// Groups of about so many tokens, in order.
    pub(crate) fn groups(&self, tokens: usize) -> Vec<Range<usize>> {
        groups(self.lengths(), tokens)
    }

    /// Some, one after the other.
    ///
    /// # Errors
    /// A text without tokens.
    pub fn batch(&self, which: Range<usize>) -> Result<Batch> {
        match self {
            Self::Texts(texts) => Batch::new(texts[which].iter().map(Vec::as_slice)),
            Self::Images { pictures, patch, prefix } => Ok(Batch::images(pictures, which, *patch, *prefix)),
        }
    }

    /// Those named, in that order.
    pub(crate) fn select(&self, which: &[usize]) -> Self {
        match self {
            Self::Texts(texts) => Self::Texts(which.iter().map(|i| texts[*i].clone()).collect()),
            Self::Images { pictures, patch, prefix } => {
                Self::Images { pictures: pictures.select(which), patch: *patch, prefix: *prefix }
            }
        }
    }
}

/// Groups texts, in their order, so that none has more than `tokens` tokens, but for texts that are longer themselves.
fn groups(lengths: impl IntoIterator<Item = usize>, tokens: usize) -> Vec<Range<usize>> {
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
