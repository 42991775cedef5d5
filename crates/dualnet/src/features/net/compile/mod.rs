//! From the steps of a net to stages, with everything random drawn.

mod chain;
mod local;

use super::activate::padded;
use super::series_table::SeriesTable;
use super::size::{Size, is_local, parts};
use super::spread::{Signed, Spread, Windows, power_of_two};
use super::stage::{End, From, Node};
use super::weights::Weights;
use super::windows::{pooled, positions, windows};
use super::{NetFeatureOptions, refuse};
use crate::activation::Activation;
use crate::error::Result;
use crate::kernel::{Float, KernelKind};
use crate::net::{DualChoice, Op, Padding, Pooling};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::transform::{Projection, ProjectionKind};
use chain::Chain;
use std::sync::Arc;

/// Least features of an activation: fewer are not worth their overhead.
const LEAST: usize = 16;

pub(super) struct Compiler<'a> {
    pub options: &'a NetFeatureOptions,
    pub resources: &'a Resources,
    /// Layers drawn so far.
    pub layer: u32,
    /// Series of activations, which layers share.
    pub series: Vec<(Activation, DualChoice, Arc<SeriesTable>)>,
    /// Activations sketched, and the degrees of their series.
    pub degrees: Vec<(String, usize)>,
}

impl Compiler<'_> {
    /// The whole map: from rows of `channels` values at the positions of `grid` to features.
    pub(super) fn program<T: Float>(&mut self, ops: &[Op], grid: &[usize], channels: usize) -> Result<Vec<Node<T>>> {
        let dim = self.options.dim;
        let mut chain = Chain::new(Weights::input(channels, channels), grid.to_vec(), 1.0);
        if channels > dim / 2 {
            self.spread(&mut chain, power_of_two(dim / 2), Vec::new());
        }
        self.chain(&mut chain, ops, dim)?;
        let weights = match self.options.kind {
            KernelKind::Nngp => chain.weights.u.clone(),
            KernelKind::Ntk => chain.weights.v.iter().chain(&chain.weights.w).copied().collect(),
        };
        let columns = weights.len();
        let end = if columns <= dim {
            let mut weights: Vec<T> = padded(weights.into_iter());
            weights.resize(weights.len().max(dim.next_multiple_of(super::lanes::PAD)), T::default());
            End::Features { weights }
        } else {
            let factor = 1.0 / (dim as f64).sqrt();
            let purpose = Purpose::NET_OUTPUT;
            let projection = Projection::draw(ProjectionKind::Structured, dim, columns, purpose, self.resources)?;
            End::Project { weights: padded(weights.into_iter().map(|w| w * factor)), projection }
        };
        chain.close_with(end, (dim, 0));
        Ok(chain.nodes)
    }

    fn chain<T: Float>(&mut self, chain: &mut Chain<T>, ops: &[Op], budget: usize) -> Result<()> {
        self.share_out(chain, ops, budget);
        for (i, op) in ops.iter().enumerate() {
            if is_local(op) {
                self.local_of_chain(chain, op)?;
                continue;
            }
            match op {
                Op::Conv { kernel, stride, padding, w2, b2, tangent, .. } => {
                    let (behind, windows) = windows(&chain.grid, kernel, stride, *padding);
                    let area: usize = kernel.iter().product();
                    self.meet(chain, windows, behind, 1.0 / (area as f64).sqrt(), budget);
                    self.share_out(chain, &ops[i + 1..], budget);
                    self.local_of_chain(chain, &Op::Affine { w2: *w2, b2: *b2, tangent: *tangent })?;
                }
                Op::Flatten => {
                    let all = positions(&chain.grid);
                    let windows = vec![(0..all).map(Some).collect()];
                    self.meet(chain, windows, Vec::new(), 1.0 / (all as f64).sqrt(), budget);
                    self.share_out(chain, &ops[i + 1..], budget);
                }
                Op::Pool { pooling, window, stride, padding, normalize_edges, .. } => {
                    let (behind, windows) = windows(&chain.grid, window, stride, *padding);
                    let goes = pooled(&windows, positions(&chain.grid), *pooling, *normalize_edges);
                    self.pool(chain, goes, behind, summed(*pooling, window.iter().product()));
                }
                Op::GlobalPool(pooling) => {
                    let all = positions(&chain.grid);
                    let (_, windows) = windows(&chain.grid, &chain.grid, &chain.grid, Padding::Valid);
                    let factor = summed(*pooling, all);
                    self.pool(chain, pooled(&windows, all, *pooling, false), Vec::new(), factor);
                }
                Op::Sum(_) | Op::Concat(_) | Op::Product(_) => {
                    self.branches(chain, op, budget)?;
                    self.share_out(chain, &ops[i + 1..], budget);
                }
                other => return Err(unsupported(other)),
            }
        }
        Ok(())
    }

    /// Decides how many features a weight of 1 is worth up to the next place where columns become fewer.
    fn share_out<T: Float>(&self, chain: &mut Chain<T>, ops: &[Op], budget: usize) {
        let mut size = Size {
            columns: chain.weights.columns(),
            weights: 0,
            activations: 0,
            ntk: self.tangent(),
            rest: self.options.rest,
        };
        for op in ops {
            if matches!(op, Op::Conv { .. } | Op::Flatten) || !size.add(op) {
                break;
            }
        }
        chain.unit = (budget.saturating_sub(size.columns) / size.weights.max(1)).max(LEAST);
        chain.activations = 0;
    }

    fn tangent(&self) -> bool {
        self.options.kind == KernelKind::Ntk
    }

    fn next_layer(&mut self) -> u32 {
        self.layer += 1;
        self.layer
    }

    /// Windows of positions become rows: one beside the other where they are few, else added up.
    fn meet<T: Float>(
        &mut self,
        chain: &mut Chain<T>,
        windows: Windows,
        behind: Vec<usize>,
        factor: f64,
        budget: usize,
    ) {
        let neighbours = windows.iter().map(Vec::len).max().unwrap_or(1);
        if neighbours == 1 && chain.weights.columns() <= budget / 2
            || neighbours.saturating_mul(chain.weights.columns()) <= (budget / 4).max(64)
        {
            chain.close(End::Keep);
            chain.weights.repeat(neighbours);
            chain.begin(From::Patches { windows, factor: T::from_f64(factor) });
        } else {
            let most = if self.tangent() { budget / 4 } else { budget / 2 };
            let kept = chain.weights.first(budget / 8 / neighbours);
            let columns = self.spread(chain, power_of_two(most), kept);
            let layer = self.next_layer();
            let signed = Signed::draw(windows, factor, columns, layer, &mut chain.weights, self.resources);
            chain.begin(From::Signed(signed));
        }
        chain.grid = behind;
    }

    /// Gives the columns that there are behind: of Phi, of Psi, and of Phi kept as they are.
    fn spread<T: Float>(&mut self, chain: &mut Chain<T>, most: usize, kept: Vec<usize>) -> (usize, usize, usize) {
        let fit = |columns: usize| most.min(power_of_two(columns.next_power_of_two()));
        let others = chain.weights.u.len() - kept.len();
        let widths = (fit(others), fit(others + chain.weights.w.len()));
        let layer = self.next_layer();
        let spread = Spread::draw(widths, kept, layer, &mut chain.weights, self.resources);
        let columns = (spread.phi, spread.psi, spread.kept.len());
        chain.close(End::Spread(spread));
        columns
    }

    fn pool<T: Float>(&self, chain: &mut Chain<T>, goes: Vec<Vec<(usize, f64)>>, behind: Vec<usize>, factor: f64) {
        chain.variance *= factor;
        chain.close(End::Pool { goes, positions: positions(&behind) });
        chain.grid = behind;
    }

    fn branches<T: Float>(&mut self, chain: &mut Chain<T>, op: &Op, budget: usize) -> Result<()> {
        chain.close(End::Keep);
        let (shares, branches) = parts(op);
        let budget = (budget / branches.len().max(1)).max(LEAST);
        let (mut all, mut variances, mut nodes, mut grid) = (Vec::new(), Vec::new(), Vec::new(), chain.grid.clone());
        for (share, ops) in shares.iter().zip(branches) {
            let mut branch = Chain::new(chain.weights.clone(), chain.grid.clone(), chain.variance);
            self.chain(&mut branch, ops, budget)?;
            branch.close(End::Keep);
            grid.clone_from(&branch.grid);
            branch.weights.scale(*share);
            all.push(branch.weights);
            variances.push(branch.variance);
            nodes.push(branch.nodes);
        }
        chain.variance = together(op, &shares, &variances);
        let (combine, weights) = self.combine(op, &all, budget)?;
        chain.nodes.push(Node::Branches { branches: nodes, combine });
        (chain.weights, chain.grid) = (weights, grid);
        chain.begin(From::Same);
        Ok(())
    }
}

/// Variance behind branches.
fn together(op: &Op, shares: &[f64], variances: &[f64]) -> f64 {
    match op {
        Op::Product(_) => variances.iter().product(),
        _ => shares.iter().zip(variances).map(|(share, variance)| share * variance).sum(),
    }
}

/// What a pool makes of the variance of equal values.
fn summed(pooling: Pooling, positions: usize) -> f64 {
    match pooling {
        Pooling::Average => 1.0,
        Pooling::Sum => (positions * positions) as f64,
    }
}

fn unsupported(op: &Op) -> crate::error::Error {
    let exact = "compute the exact kernel, or take nystrom or rpcholesky";
    match op {
        Op::Dropout { .. } => {
            refuse("dropout", "it changes the kernel of a sample with itself alone, which no features do", exact)
        }
        Op::SelfAttention { at, .. } => {
            refuse(at, "features of attention would need the fourth power of their number", exact)
        }
        other => refuse("a net", &format!("no features are known for the step {other:?}"), exact),
    }
}
