//! Layers that hold branches: sums, concatenations, products.

use super::flow::{Branches, Flow, Law, Width};
use super::limits::refuse;
use super::op::Op;
use super::spec::Layer;
use super::walk::Walk;
use crate::error::Result;

/// One branch before the walk.
pub(super) struct Branch<'a> {
    /// For messages: "branch 1".
    name: String,
    /// Position of its list of layers.
    at: String,
    layers: &'a [Layer],
}

impl<'a> Branch<'a> {
    pub(super) fn new(name: &str, at: &str, layers: &'a [Layer]) -> Self {
        Self { name: name.to_owned(), at: at.to_owned(), layers }
    }

    /// Branches of a list.
    pub(super) fn all(at: &str, branches: &'a [Vec<Layer>]) -> Result<Vec<Self>> {
        if branches.is_empty() {
            return Err(refuse(at, "no branches", "the smallest is [[]], one branch that is the identity"));
        }
        let branch = |(i, layers)| Self::new(&format!("branch {i}"), &format!("{at}[{i}]"), layers);
        Ok(branches.iter().map(Vec::as_slice).enumerate().map(branch).collect())
    }
}

impl Walk<'_> {
    /// Residual layers and sums: covariances add up.
    pub(super) fn sum(&mut self, at: &str, branches: &[Branch], flow: &mut Flow, depth: usize) -> Result<Op> {
        let (ops, ends) = self.branches(branches, flow, depth)?;
        let all = join(at, branches, &ends, flow)?;
        all.need_uncorrelated()?;
        let law = ends.iter().map(|end| end.law).max().unwrap_or(Law::Any);
        if law == Law::Gaussian {
            (flow.law, flow.from) = (law, at.to_owned());
        } else {
            mix(flow, at, &ends, law);
        }
        flow.width = all.equal_width(self.input_width)?;
        Ok(Op::Sum(ops))
    }

    /// Covariances multiply.
    pub(super) fn product(&mut self, at: &str, branches: &[Branch], flow: &mut Flow, depth: usize) -> Result<Op> {
        let (ops, ends) = self.branches(branches, flow, depth)?;
        let all = join(at, branches, &ends, flow)?;
        all.need_independent()?;
        // A product of independent factors is centred if one of them is.
        mix(flow, at, &ends, ends.iter().map(|end| end.law).min().unwrap_or(Law::Any));
        flow.width = all.equal_width(self.input_width)?;
        Ok(Op::Product(ops))
    }

    /// Branches side by side: each counts by its width.
    pub(super) fn concat(&mut self, at: &str, branches: &[Branch], flow: &mut Flow, depth: usize) -> Result<Op> {
        let (ops, ends) = self.branches(branches, flow, depth)?;
        join(at, branches, &ends, flow)?;
        let mut widths = Vec::with_capacity(ends.len());
        let mut total = Width { per_input: 0.0, fixed: 0.0 };
        for end in &ends {
            widths.push(self.known_width(end, || at.to_owned())?);
            if let Ok(width) = end.width {
                total.per_input += width.per_input;
                total.fixed += width.fixed;
            }
        }
        mix(flow, at, &ends, ends.iter().map(|end| end.law).max().unwrap_or(Law::Any));
        flow.width = Ok(total);
        let sum: f64 = widths.iter().sum();
        Ok(Op::Concat(widths.into_iter().map(|width| width / sum).zip(ops).collect()))
    }

    /// Walks each branch from the same start.
    fn branches(&mut self, branches: &[Branch], flow: &Flow, depth: usize) -> Result<(Vec<Vec<Op>>, Vec<Flow>)> {
        let (mut ops, mut ends) = (Vec::new(), Vec::new());
        for branch in branches {
            let mut end = Flow { own: false, ..flow.clone() };
            ops.push(self.layers(&branch.at, branch.layers, &mut end, depth + 1)?);
            ends.push(end);
        }
        Ok((ops, ends))
    }
}

/// What holds behind branches of every kind.
fn join<'a>(at: &'a str, branches: &'a [Branch], ends: &'a [Flow], flow: &mut Flow) -> Result<Branches<'a>> {
    let all = Branches { at, names: branches.iter().map(|branch| branch.name.as_str()).collect(), flows: ends };
    flow.positions = all.positions()?;
    flow.own |= ends.iter().all(|end| end.own);
    Ok(all)
}

/// The law behind branches whose channels differ: one branch keeps its own, several are no longer Gaussian.
fn mix(flow: &mut Flow, at: &str, flows: &[Flow], law: Law) {
    match flows {
        [only] => (flow.law, flow.from) = (only.law, only.from.clone()),
        _ => (flow.law, flow.from) = (law.max(Law::Centred), at.to_owned()),
    }
}
