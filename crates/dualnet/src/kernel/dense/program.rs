//! A net compiled for the tile engine: layers with the numbers of the stages between which they stand.
//!
//! A *stage* is a point of the net where variances are kept for each sample; stage 0 is the input.

use super::prepare::PAD;
use crate::dual::{DynDual, Precision, dual_of};
use crate::error::{Error, Result};
use crate::kernel::TILE;
use crate::net::{Op, Tangent};
use std::sync::Arc;

/// c' = w2 c + b2; t' = carry t + from_input c + from_output c' + constant.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// Variance of the weights.
    pub w2: f64,
    /// Variance of the biases.
    pub b2: f64,
    /// What happens to the tangent kernel.
    pub tangent: Tangent,
}

/// How branches become one.
#[derive(Clone, Debug)]
pub enum Join {
    /// Sum with weights (1: sum; shares of width: concatenation).
    Sum(Vec<f64>),
    /// Product.
    Product,
}

/// A layer between two stages.
#[derive(Clone, Debug)]
pub enum Node {
    /// Dense layer.
    Affine {
        /// Its maps.
        affine: Affine,
        /// Stage behind it.
        after: usize,
    },
    /// Activation.
    Dual {
        /// Its dual.
        dual: Arc<dyn DynDual>,
        /// Number of its constants' table.
        constants: usize,
        /// Stage behind it.
        after: usize,
        /// Position in the net file.
        at: String,
    },
    /// c / sqrt((p + eps)(q + eps)).
    LayerNorm {
        /// Added to variances.
        eps: f64,
        /// Number of the table of 1 / sqrt(p + eps).
        scale: usize,
        /// Stage behind it.
        after: usize,
    },
    /// Variances grow by 1 / keep.
    Dropout {
        /// Probability of keeping.
        keep: f64,
        /// Stage behind it.
        after: usize,
    },
    /// Parallel branches.
    Join {
        /// How they become one.
        join: Join,
        /// Each from the same input.
        branches: Vec<Vec<Node>>,
        /// Stage behind it.
        after: usize,
    },
}

/// A compiled net.
#[derive(Clone, Debug)]
pub struct Program {
    /// From input to output.
    pub nodes: Vec<Node>,
    /// Number of stages, the input's included.
    pub stages: usize,
    /// Number of tables of constants.
    pub tables: usize,
    /// Most constants a sample has at one layer.
    pub max_constants: usize,
    /// Constants a sample has at all layers together.
    pub constants: usize,
    /// Strips that branches need at the same time.
    pub branch_strips: usize,
    /// Precision its expansions suit.
    precision: Precision,
}

impl Program {
    /// Compiles the steps of a net without spatial layers.
    pub fn compile(ops: &[Op], precision: Precision) -> Result<Self> {
        let mut p = Program {
            nodes: Vec::new(),
            stages: 1,
            tables: 0,
            max_constants: 0,
            constants: 0,
            branch_strips: 0,
            precision,
        };
        p.nodes = p.chain(ops, 0)?;
        Ok(p)
    }

    /// Bytes of `n` prepared samples of `width` columns: rows, columns, 1/|x|, two numbers a stage, constants; all in whole tiles.
    pub fn samples_bytes<T>(&self, n: usize, width: usize) -> u64 {
        let each = width.next_multiple_of(PAD) + width + 1 + 2 * self.stages + self.constants;
        let own = 2 * n * size_of::<f64>();
        (n.next_multiple_of(TILE) as u64).saturating_mul((each * size_of::<T>()) as u64).saturating_add(own as u64)
    }

    fn stage(&mut self) -> usize {
        self.stages += 1;
        self.stages - 1
    }

    fn table(&mut self, constants: usize) -> usize {
        self.max_constants = self.max_constants.max(constants);
        self.constants += constants;
        self.tables += 1;
        self.tables - 1
    }

    fn chain(&mut self, ops: &[Op], depth: usize) -> Result<Vec<Node>> {
        ops.iter().map(|op| self.node(op, depth)).collect()
    }

    fn node(&mut self, op: &Op, depth: usize) -> Result<Node> {
        Ok(match op {
            Op::Affine { w2, b2, tangent } => {
                Node::Affine { affine: Affine { w2: *w2, b2: *b2, tangent: *tangent }, after: self.stage() }
            }
            Op::Activation { activation, choice, at } => {
                let dual = dual_of(activation, *choice, self.precision)?;
                let constants = self.table(dual.constants_len());
                Node::Dual { dual, constants, after: self.stage(), at: at.clone() }
            }
            Op::LayerNorm { eps } => Node::LayerNorm { eps: *eps, scale: self.table(1), after: self.stage() },
            Op::Dropout { keep } => Node::Dropout { keep: *keep, after: self.stage() },
            Op::Sum(branches) => self.join(Join::Sum(vec![1.0; branches.len()]), branches.iter(), depth)?,
            Op::Concat(branches) => {
                let weights = branches.iter().map(|(weight, _)| *weight).collect();
                self.join(Join::Sum(weights), branches.iter().map(|(_, ops)| ops), depth)?
            }
            Op::Product(branches) => self.join(Join::Product, branches.iter(), depth)?,
            spatial => {
                return Err(Error::Unsupported {
                    at: "a dense kernel".into(),
                    what: format!("the step {spatial:?}"),
                    hint: "use a net of dense layers".into(),
                });
            }
        })
    }

    fn join<'a>(
        &mut self,
        join: Join,
        branches: impl ExactSizeIterator<Item = &'a Vec<Op>>,
        depth: usize,
    ) -> Result<Node> {
        let depth = depth + branches.len();
        self.branch_strips = self.branch_strips.max(depth);
        let branches = branches.map(|ops| self.chain(ops, depth)).collect::<Result<_>>()?;
        Ok(Node::Join { join, branches, after: self.stage() })
    }
}

impl Node {
    /// Stage behind it.
    pub fn after(&self) -> usize {
        match self {
            Node::Affine { after, .. }
            | Node::Dual { after, .. }
            | Node::LayerNorm { after, .. }
            | Node::Dropout { after, .. }
            | Node::Join { after, .. } => *after,
        }
    }
}
