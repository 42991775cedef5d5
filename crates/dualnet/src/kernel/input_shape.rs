//! What one sample looks like.

use std::fmt;

/// Positions and channels of a sample; its row of values is in the order (position, ..., channel).
///
/// ```
/// use dualnet::kernel::InputShape;
/// let image = InputShape::image(28, 28, 1);
/// assert_eq!((image.width(), image.to_string()), (784, "28 x 28 x 1".into()));
/// assert_eq!(InputShape::vector(5).width(), 5);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InputShape {
    /// Height and width of images, the length of sequences; empty for vectors.
    pub positions: Vec<usize>,
    /// Values at a position.
    pub channels: usize,
}

impl InputShape {
    /// A row of a table.
    pub fn vector(width: usize) -> Self {
        Self { positions: Vec::new(), channels: width }
    }
    /// A sequence: (length, channels).
    pub fn sequence(length: usize, channels: usize) -> Self {
        Self { positions: vec![length], channels }
    }
    /// An image: (height, width, channels).
    pub fn image(height: usize, width: usize, channels: usize) -> Self {
        Self { positions: vec![height, width], channels }
    }
    /// Values of a sample; saturates where no memory could hold them.
    pub fn width(&self) -> usize {
        self.positions.iter().fold(self.channels, |n, p| n.saturating_mul(*p))
    }
}

impl fmt::Display for InputShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for n in &self.positions {
            write!(f, "{n} x ")?;
        }
        write!(f, "{}", self.channels)
    }
}
