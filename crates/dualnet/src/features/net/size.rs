//! How many columns steps make, and which of them need no other position.

use super::{Rest, activate, sketch};
use crate::activation::Activation;
use crate::net::Op;

/// Columns behind some steps: a number of them, and features by weight.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub columns: usize,
    pub weights: usize,
    pub activations: usize,
    pub ntk: bool,
    pub rest: Rest,
}

impl Size {
    /// False where the step cannot be counted; what follows then has what is left.
    pub(super) fn add(&mut self, op: &Op) -> bool {
        match op {
            Op::Affine { b2, tangent, .. } => self.columns += usize::from(*b2 > 0.0 || tangent.constant > 0.0),
            Op::Activation { activation: Activation::Identity, .. } => {}
            Op::Activation { activation, .. } => {
                let replaces = match self.rest {
                    Rest::Random => activate::replaces(activation),
                    Rest::Sketch { .. } => sketch::replaces(activation),
                };
                if replaces {
                    (self.columns, self.weights) = (0, 0);
                }
                self.activations += 1;
                self.columns += 1;
                self.weights += 1 + if self.ntk && activation.is_continuous() { self.activations } else { 0 };
            }
            Op::LayerNorm { .. } | Op::Pool { .. } | Op::GlobalPool(_) => {}
            Op::Sum(_) | Op::Concat(_) | Op::Product(_) => {
                let mut total = Size { columns: 0, weights: 0, ..*self };
                for ops in parts(op).1 {
                    let mut branch = *self;
                    if !ops.iter().all(|op| branch.add(op)) {
                        return false;
                    }
                    total.columns += branch.columns;
                    total.weights += branch.weights;
                    total.activations = total.activations.max(branch.activations);
                }
                if matches!(op, Op::Product(_)) {
                    (total.columns, total.weights) = (0, if self.ntk { 3 } else { 1 });
                }
                *self = total;
            }
            _ => return false,
        }
        true
    }
}

/// Weights of branches, and the branches.
pub(super) fn parts(op: &Op) -> (Vec<f64>, Vec<&[Op]>) {
    match op {
        Op::Concat(branches) => branches.iter().map(|(share, ops)| (*share, ops.as_slice())).unzip(),
        Op::Sum(branches) | Op::Product(branches) => branches.iter().map(|ops| (1.0, ops.as_slice())).unzip(),
        _ => (Vec::new(), Vec::new()),
    }
}

/// Whether a step takes each position by itself.
pub(super) fn is_local(op: &Op) -> bool {
    match op {
        Op::Affine { .. } | Op::Activation { .. } | Op::LayerNorm { .. } => true,
        Op::Sum(_) | Op::Concat(_) | Op::Product(_) => parts(op).1.iter().all(|ops| ops.iter().all(is_local)),
        _ => false,
    }
}
