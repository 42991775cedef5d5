//! The chain of stages that is being made.

use crate::features::net::rows::Room;
use crate::features::net::stage::{End, From, Local, Node, Stage};
use crate::features::net::weights::Weights;
use crate::features::net::windows::positions;
use crate::kernel::Float;

/// A stage that is still growing, and the chain of which it is the end.
pub(super) struct Chain<T> {
    pub nodes: Vec<Node<T>>,
    pub weights: Weights,
    pub grid: Vec<usize>,
    pub from: From<T>,
    pub local: Vec<Local<T>>,
    pub before: (usize, usize),
    pub peak: (usize, usize),
    /// Features for a weight of 1 in this part of the chain, and activations so far in it.
    pub unit: usize,
    pub activations: usize,
    /// Variance here of an input of variance 1.
    pub variance: f64,
}

impl<T: Float> Chain<T> {
    pub fn new(weights: Weights, grid: Vec<usize>, variance: f64) -> Self {
        let now = (weights.u.len(), weights.w.len());
        let (nodes, local) = (Vec::new(), Vec::new());
        Self {
            nodes,
            weights,
            grid,
            from: From::Same,
            local,
            before: now,
            peak: now,
            unit: 0,
            activations: 0,
            variance,
        }
    }

    pub fn columns(&self) -> (usize, usize) {
        (self.weights.u.len(), self.weights.w.len())
    }

    /// Ends the stage; `self.weights` are those behind it already, `self.grid` its own positions.
    pub fn close(&mut self, end: End<T>) {
        self.close_with(end, self.columns());
    }

    /// The same, with other columns behind it.
    pub fn close_with(&mut self, end: End<T>, behind: (usize, usize)) {
        let local = std::mem::take(&mut self.local);
        let from = std::mem::replace(&mut self.from, From::Same);
        let nothing = local.is_empty() && matches!((&from, &end), (From::Same, End::Keep));
        if !nothing {
            let (positions, room) = (positions(&self.grid), Room::of(self.peak.0, self.peak.1));
            let stage = Stage { from, local, end, positions, room, before: self.before, behind };
            self.nodes.push(Node::Stage(Box::new(stage)));
        }
        (self.before, self.peak) = (behind, behind);
    }

    /// Begins a stage of the present columns.
    pub fn begin(&mut self, from: From<T>) {
        self.from = from;
        (self.before, self.peak) = (self.columns(), self.columns());
    }
}
