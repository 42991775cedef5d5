//! A net compiled for images of one size: segments of layers that work plane by plane, and what comes between them.

use super::axis::{Blend, Taps};
use crate::dual::DynDual;
use crate::net::{AttentionNormalization, AttentionScaling, Tangent};
use std::sync::Arc;

/// Entries by which buffers are longer than what they hold: the widest register.
pub const PAD: usize = 16;

/// Positions along both axes; sequences have one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Height.
    pub rows: usize,
    /// Width.
    pub cols: usize,
}

impl Grid {
    /// One position.
    pub const ONE: Self = Self { rows: 1, cols: 1 };

    /// Positions.
    pub fn positions(self) -> usize {
        self.rows * self.cols
    }

    /// Entries from one map or plane to the next.
    pub fn stride(self) -> usize {
        self.positions().next_multiple_of(PAD) + PAD
    }
}

/// Circular offsets along both axes, ascending; a state has a plane for each pair of them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Offsets {
    /// Along the rows.
    pub rows: Vec<usize>,
    /// Along the columns.
    pub cols: Vec<usize>,
}

impl Offsets {
    /// Every offset.
    pub fn all(grid: Grid) -> Self {
        Self { rows: (0..grid.rows).collect(), cols: (0..grid.cols).collect() }
    }

    /// Equal positions alone.
    pub fn zero() -> Self {
        Self { rows: vec![0], cols: vec![0] }
    }

    /// Planes.
    pub fn planes(&self) -> usize {
        self.rows.len() * self.cols.len()
    }

    /// Number of the plane of an offset.
    pub fn plane(&self, (u, v): (usize, usize)) -> Option<usize> {
        Some(self.cols.binary_search(&v).ok()? * self.rows.len() + self.rows.binary_search(&u).ok()?)
    }

    /// The offsets of both.
    pub fn join(&mut self, other: &Self) {
        for (mine, others) in [(&mut self.rows, &other.rows), (&mut self.cols, &other.cols)] {
            mine.extend(others);
            mine.sort_unstable();
            mine.dedup();
        }
    }
}

/// c' = w2 mean + b2 and the tangent kernel's rule, over the neighbours of `rows` and `cols`.
#[derive(Clone, Debug)]
pub struct Conv {
    /// Along the rows.
    pub rows: Taps,
    /// Along the columns.
    pub cols: Taps,
    /// Number of its masks, shared by convolutions that need the same.
    pub id: usize,
    /// What is done to the mean.
    pub affine: Affine,
}

/// c' = w2 c + b2; t' = carry t + from_input c + from_output c' + constant.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// Variance of the weights.
    pub w2: f64,
    /// Variance of the biases.
    pub b2: f64,
    /// Rule of the tangent kernel.
    pub tangent: Tangent,
    /// Whether t is 0 before this layer, and not even written.
    pub first: bool,
}

/// How branches become one.
#[derive(Clone, Debug)]
pub enum Join {
    /// Sum with weights.
    Sum(Vec<f64>),
    /// Product.
    Product,
}

/// A layer that stays in its plane.
#[derive(Clone, Debug)]
pub enum Local {
    /// Convolution, of stride 1 or before a [`Scatter`] that takes the rest.
    Conv(Conv),
    /// Dense layer at each position.
    Affine(Affine),
    /// Activation.
    Dual {
        /// Its dual.
        dual: Arc<dyn DynDual>,
        /// Number of its table.
        table: usize,
        /// Position in the net file.
        at: String,
    },
    /// c / sqrt((p + eps)(q + eps)).
    LayerNorm {
        /// Added to variances.
        eps: f64,
        /// Number of its table.
        table: usize,
    },
    /// Divides entries of the same sample and position.
    Dropout {
        /// Probability of keeping.
        keep: f64,
    },
    /// Parallel branches.
    Join {
        /// How they become one.
        join: Join,
        /// Each from the same input.
        branches: Vec<Vec<Local>>,
    },
}

/// Entries that change their planes: pooling, strides, missing padding.
#[derive(Clone, Debug)]
pub struct Scatter {
    /// Along the rows.
    pub rows: Blend,
    /// Along the columns.
    pub cols: Blend,
    /// Positions behind.
    pub behind: Grid,
    /// By number of the offset along the rows.
    pub row_moves: Vec<Vec<Move>>,
    /// By number of the offset along the columns.
    pub col_moves: Vec<Vec<Move>>,
    /// Whether the weights are not all 1.
    pub weighted: bool,
    /// Planes that are needed behind.
    pub wanted: Offsets,
    /// For the next segment to multiply by.
    pub scale: f64,
    /// Where it halves the columns.
    pub halves: Option<Halves>,
}

/// A row or column on its way. Where an entry goes is the sum of what its row and its column say.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// Its number.
    pub from: usize,
    /// Entries from the beginning of the state behind.
    pub to: usize,
    /// Factor.
    pub weight: f64,
}

/// Windows of two columns.
#[derive(Clone, Debug)]
pub struct Halves {
    /// By number of the offset along the columns: the planes that its entries go to.
    pub cols: Vec<Vec<Half>>,
    /// By number of the offset along the rows: where rows go.
    pub rows: Vec<Vec<Rows>>,
}

/// One row or two that are added up in a new row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rows {
    /// Entries from the beginning of the plane of the first offset to the new row.
    pub to: usize,
    /// An old row.
    pub first: usize,
    /// Another one.
    pub second: Option<usize>,
}

/// Which entries of a row go to one plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Half {
    /// Where the plane of the first offset along the rows begins.
    pub to: usize,
    /// Of the even columns, those in windows with `true`.
    pub even: Vec<bool>,
    /// Of the odd columns.
    pub odd: Vec<bool>,
}

/// Global self-attention.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Of the scores.
    pub scaling: AttentionScaling,
    /// zeta.
    pub normalization: AttentionNormalization,
    /// w_query w_key.
    pub score: f64,
    /// (w_value w_out)^2.
    pub w2: f64,
    /// Variance of the biases.
    pub b2: f64,
    /// Number of its table.
    pub table: usize,
}

/// What follows the layers of a segment.
#[derive(Clone, Debug)]
pub enum End {
    /// Nothing: the end of a chain.
    Finish,
    /// Entries change their planes.
    Scatter(Box<Scatter>),
    /// `factor` times the sum over equal positions: flatten.
    Flatten {
        /// 1 / positions.
        factor: f64,
    },
    /// `factor` times the sum over all pairs of positions.
    Global {
        /// 1 / positions^2, or 1.
        factor: f64,
    },
    /// Attention over all positions.
    Attention(Attention),
    /// Branches with segments of their own.
    Branches {
        /// How they become one.
        join: Join,
        /// Each from the same input.
        branches: Vec<Chain>,
    },
}

/// Layers that work plane by plane, and what follows.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Positions.
    pub grid: Grid,
    /// Planes that are needed.
    pub offsets: Offsets,
    /// The layers.
    pub local: Vec<Local>,
    /// Tables that they use.
    pub tables: Vec<usize>,
    /// What follows.
    pub end: End,
    /// Positions behind the end.
    pub behind: Grid,
}

impl Segment {
    /// Positions and planes of the state that its planes go to, and the factor of that state.
    pub fn next(&self) -> (Grid, Offsets, f64) {
        match &self.end {
            End::Scatter(scatter) => (self.behind, scatter.wanted.clone(), scatter.scale),
            End::Flatten { .. } | End::Global { .. } => (Grid::ONE, Offsets::zero(), 1.0),
            End::Finish | End::Attention(_) | End::Branches { .. } => (self.grid, self.offsets.clone(), 1.0),
        }
    }
}

/// Segments one after the other; the last ends with [`End::Finish`].
#[derive(Clone, Debug)]
pub struct Chain {
    /// In order.
    pub segments: Vec<Segment>,
}

/// What is kept of each image for a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Maps as in [`Points`](crate::dual::Points), with that many constants.
    Dual(usize),
    /// One map: 1 / sqrt(p + eps).
    Norm,
    /// The matrix G of attention weights, positions x positions.
    Attention,
}

impl Table {
    /// Maps of a table that are read at both images' positions.
    pub fn maps(self) -> usize {
        match self {
            Table::Dual(constants) => crate::dual::Points::<f64>::FIXED + constants,
            Table::Norm => 1,
            Table::Attention => 0,
        }
    }
}

/// A compiled net.
#[derive(Clone, Debug)]
pub struct Program {
    /// For pairs of images.
    pub pair: Chain,
    /// For an image with itself, as far as its tables need it.
    pub own: Chain,
    /// Positions of the input.
    pub grid: Grid,
    /// Channels of the input.
    pub channels: usize,
    /// Kinds of the tables and their positions.
    pub tables: Vec<(Table, Grid)>,
    /// Sets of masks.
    pub convs: usize,
    /// Entries that must be readable on either side of a plane.
    pub margin: usize,
    /// Entries of a buffer of sums along rows.
    pub sums: usize,
    /// Whether there is dropout.
    pub has_dropout: bool,
}
