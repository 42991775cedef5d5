//! From the steps of a net to stages, with everything random drawn.

use super::activate::{Activate, Counts, padded};
use super::product::Product;
use super::rows::Room;
use super::series_table::SeriesTable;
use super::sketch::{self, Sketched, Sketching};
use super::spread::{Signed, Spread, Windows, power_of_two};
use super::stage::{Combine, End, From, Local, Node, Stage};
use super::weights::Weights;
use super::windows::{pooled, positions, windows};
use super::{NetFeatureOptions, Rest, refuse};
use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::features::HermiteSeries;
use crate::kernel::{Float, KernelKind};
use crate::net::{DualChoice, Op, Padding, Pooling};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::transform::{Projection, ProjectionKind};
use std::sync::Arc;

/// Least features of an activation: fewer are not worth their overhead.
const LEAST: usize = 16;

/// A stage that is still growing, and the chain of which it is the end.
struct Chain<T> {
    nodes: Vec<Node<T>>,
    weights: Weights,
    grid: Vec<usize>,
    from: From<T>,
    local: Vec<Local<T>>,
    before: (usize, usize),
    peak: (usize, usize),
    /// Features for a weight of 1 in this part of the chain, and activations so far in it.
    unit: usize,
    activations: usize,
    /// Variance here of an input of variance 1.
    variance: f64,
}

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

impl<T: Float> Chain<T> {
    fn new(weights: Weights, grid: Vec<usize>, variance: f64) -> Self {
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

    fn columns(&self) -> (usize, usize) {
        (self.weights.u.len(), self.weights.w.len())
    }

    /// Ends the stage; `self.weights` are those behind it already.
    fn close(&mut self, end: End<T>, positions: usize) {
        let behind = match &end {
            End::Features { .. } | End::Project { .. } => (0, 0),
            _ => self.columns(),
        };
        self.close_with(end, positions, behind);
    }

    fn close_with(&mut self, end: End<T>, positions: usize, behind: (usize, usize)) {
        let local = std::mem::take(&mut self.local);
        let from = std::mem::replace(&mut self.from, From::Same);
        let nothing = local.is_empty() && matches!((&from, &end), (From::Same, End::Keep));
        if !nothing {
            let room = Room::of(self.peak.0, self.peak.1);
            let stage = Stage { from, local, end, positions, room, before: self.before, behind };
            self.nodes.push(Node::Stage(Box::new(stage)));
        }
        (self.before, self.peak) = (behind, behind);
    }

    /// Begins a stage of the present columns.
    fn begin(&mut self, from: From<T>) {
        self.from = from;
        (self.before, self.peak) = (self.columns(), self.columns());
    }
}

impl Compiler<'_> {
    /// The whole map: from rows of `channels` values at the positions of `grid` to features.
    pub(super) fn program<T: Float>(&mut self, ops: &[Op], grid: &[usize], channels: usize) -> Result<Vec<Node<T>>> {
        let dim = self.options.dim;
        let mut chain = Chain::new(Weights::input(channels, channels), grid.to_vec(), 1.0);
        if channels > dim / 2 {
            let at = positions(&chain.grid);
            self.spread(&mut chain, power_of_two(dim / 2), Vec::new(), at);
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
        let at = positions(&chain.grid);
        chain.close_with(end, at, (dim, 0));
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
                    self.affine(chain, *w2, *b2, tangent);
                    chain.variance = w2 * chain.variance + b2;
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

    fn affine<T: Float>(&self, chain: &mut Chain<T>, w2: f64, b2: f64, tangent: &crate::net::Tangent) {
        if self.affine_weights(&mut chain.weights, w2, b2, tangent) {
            chain.local.push(Local::Ones);
            chain.peak.0 = chain.peak.0.max(chain.weights.u.len());
        }
    }

    fn affine_weights(&self, weights: &mut Weights, w2: f64, b2: f64, tangent: &crate::net::Tangent) -> bool {
        let appended = weights.affine(w2, b2, tangent);
        if !self.tangent() {
            weights.v.fill(0.0);
        }
        appended
    }

    fn local_of_chain<T: Float>(&mut self, chain: &mut Chain<T>, op: &Op) -> Result<()> {
        let mut place = Place {
            weights: &mut chain.weights,
            peak: &mut chain.peak,
            activations: &mut chain.activations,
            variance: &mut chain.variance,
        };
        let steps = self.local(op, &mut place, chain.unit)?;
        chain.local.extend(steps);
        Ok(())
    }

    fn local<T: Float>(&mut self, op: &Op, place: &mut Place<'_>, unit: usize) -> Result<Vec<Local<T>>> {
        let step = match op {
            Op::Affine { w2, b2, tangent } => {
                *place.variance = w2 * *place.variance + b2;
                match self.affine_weights(place.weights, *w2, *b2, tangent) {
                    true => Local::Ones,
                    false => return Ok(Vec::new()),
                }
            }
            Op::Activation { activation: Activation::Identity, .. } => return Ok(Vec::new()),
            Op::Activation { activation, choice, at } => {
                *place.activations += 1;
                let tangent = if self.tangent() && activation.is_continuous() { unit * *place.activations } else { 0 };
                match self.options.rest {
                    Rest::Random => self.random(activation, at, Counts { rest: unit, tangent }, place)?,
                    Rest::Sketch { degree } => {
                        let series = self.series(activation, *choice, at, degree, *place.variance)?;
                        self.degrees.push((at.clone(), series.series().degree()));
                        let (layer, variance, dim) = (self.next_layer(), *place.variance, self.options.dim);
                        *place.variance = series.series().variance(variance);
                        let how = Sketching { activation, series, at, layer, variance, rest: unit, tangent, dim };
                        Local::Sketch(Box::new(Sketched::draw(&how, place.weights, self.resources)?))
                    }
                }
            }
            Op::LayerNorm { eps } => {
                *place.variance = 1.0;
                Local::Normalise { nngp: padded(place.weights.u.iter().copied()), eps: *eps }
            }
            Op::Sum(_) | Op::Concat(_) | Op::Product(_) => {
                let (shares, branches) = parts(op);
                let (mut all, mut steps, mut variances) = (Vec::new(), Vec::new(), Vec::new());
                let first = *place.activations;
                for (share, ops) in shares.iter().zip(branches) {
                    let (mut weights, mut activations, mut variance) = (place.weights.clone(), first, *place.variance);
                    let mut inner = Place {
                        weights: &mut weights,
                        peak: &mut *place.peak,
                        activations: &mut activations,
                        variance: &mut variance,
                    };
                    let mut branch = Vec::new();
                    for op in ops {
                        branch.extend(self.local(op, &mut inner, unit)?);
                        inner.note();
                    }
                    steps.push(branch);
                    *place.activations = (*place.activations).max(activations);
                    weights.scale(*share);
                    all.push(weights);
                    variances.push(variance);
                }
                *place.variance = together(op, &shares, &variances);
                let (combine, weights) = self.combine(op, &all, unit)?;
                *place.weights = weights;
                Local::Join { branches: steps, combine }
            }
            other => return Err(unsupported(other)),
        };
        place.note();
        Ok(vec![step])
    }

    /// Random features of what degrees 0 and 1 leave of an activation.
    fn random<T: Float>(
        &mut self,
        activation: &Activation,
        at: &str,
        counts: Counts,
        place: &mut Place<'_>,
    ) -> Result<Local<T>> {
        if activation.phi(0.0f64).is_none() {
            let hint = "take a sketch, nystrom or rpcholesky, or an activation with a formula";
            return Err(refuse(at, "a kernel without an activation function has no random features", hint));
        }
        let drawn = (self.options.projection, self.next_layer());
        let step = Activate::draw(activation, counts, drawn, place.weights, self.resources)?;
        Ok(Local::Activate(Box::new(step)))
    }

    /// The series of an activation, and the degree that was asked for or that suffices at the variance expected.
    fn series(
        &mut self,
        activation: &Activation,
        choice: DualChoice,
        at: &str,
        degree: Option<usize>,
        variance: f64,
    ) -> Result<Arc<SeriesTable>> {
        let named = |error: Error| match error {
            Error::Invalid { what, expected, found, hint } => {
                Error::Invalid { what: format!("{at}: {what}"), expected, found, hint }
            }
            other => other,
        };
        let degree = match degree {
            Some(degree) => degree,
            None => HermiteSeries::chosen_degree(activation, choice, variance).map_err(named)?,
        };
        let known =
            self.series.iter().find(|(a, c, table)| (a, *c, table.series().degree()) == (activation, choice, degree));
        if let Some((.., table)) = known {
            return Ok(table.clone());
        }
        let table = Arc::new(SeriesTable::new(HermiteSeries::new(activation, choice, degree).map_err(named)?));
        self.series.push((activation.clone(), choice, table.clone()));
        Ok(table)
    }

    /// What becomes of branches with these weights, and the weights behind them.
    fn combine<T: Float>(&mut self, op: &Op, branches: &[Weights], unit: usize) -> Result<(Combine<T>, Weights)> {
        if !matches!(op, Op::Product(_)) || branches.len() < 2 {
            let mut joined = Weights::default();
            branches.iter().for_each(|weights| joined.append(weights));
            return Ok((Combine::Beside, joined));
        }
        let counts = (unit, if self.tangent() { unit } else { 0 });
        let resources = self.resources;
        let (product, weights) = Product::draw(branches, counts, &mut || self.next_layer(), resources)?;
        Ok((Combine::Product(Box::new(product)), weights))
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
        let at = positions(&chain.grid);
        if neighbours == 1 && chain.weights.columns() <= budget / 2
            || neighbours.saturating_mul(chain.weights.columns()) <= (budget / 4).max(64)
        {
            chain.close(End::Keep, at);
            chain.weights.repeat(neighbours);
            chain.begin(From::Patches { windows, factor: T::from_f64(factor) });
        } else {
            let most = if self.tangent() { budget / 4 } else { budget / 2 };
            let kept = chain.weights.first(budget / 8 / neighbours);
            let columns = self.spread(chain, power_of_two(most), kept, at);
            let layer = self.next_layer();
            let signed = Signed::draw(windows, factor, columns, layer, &mut chain.weights, self.resources);
            chain.begin(From::Signed(signed));
        }
        chain.grid = behind;
    }

    /// Gives the columns that there are behind: of Phi, of Psi, and of Phi kept as they are.
    fn spread<T: Float>(
        &mut self,
        chain: &mut Chain<T>,
        most: usize,
        kept: Vec<usize>,
        positions: usize,
    ) -> (usize, usize, usize) {
        let fit = |columns: usize| most.min(power_of_two(columns.next_power_of_two()));
        let others = chain.weights.u.len() - kept.len();
        let widths = (fit(others), fit(others + chain.weights.w.len()));
        let layer = self.next_layer();
        let spread = Spread::draw(widths, kept, layer, &mut chain.weights, self.resources);
        let columns = (spread.phi, spread.psi, spread.kept.len());
        chain.close(End::Spread(spread), positions);
        columns
    }

    fn pool<T: Float>(&self, chain: &mut Chain<T>, goes: Vec<Vec<(usize, f64)>>, behind: Vec<usize>, factor: f64) {
        chain.variance *= factor;
        let (from, to) = (positions(&chain.grid), positions(&behind));
        chain.close(End::Pool { goes, positions: to }, from);
        chain.grid = behind;
    }

    fn branches<T: Float>(&mut self, chain: &mut Chain<T>, op: &Op, budget: usize) -> Result<()> {
        let at = positions(&chain.grid);
        chain.close(End::Keep, at);
        let (shares, branches) = parts(op);
        let budget = (budget / branches.len().max(1)).max(LEAST);
        let (mut all, mut variances, mut nodes, mut grid) = (Vec::new(), Vec::new(), Vec::new(), chain.grid.clone());
        for (share, ops) in shares.iter().zip(branches) {
            let mut branch = Chain::new(chain.weights.clone(), chain.grid.clone(), chain.variance);
            self.chain(&mut branch, ops, budget)?;
            let at = positions(&branch.grid);
            branch.close(End::Keep, at);
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

/// Where a local step is compiled.
struct Place<'a> {
    weights: &'a mut Weights,
    peak: &'a mut (usize, usize),
    activations: &'a mut usize,
    variance: &'a mut f64,
}

impl Place<'_> {
    fn note(&mut self) {
        self.peak.0 = self.peak.0.max(self.weights.u.len());
        self.peak.1 = self.peak.1.max(self.weights.w.len());
    }
}

/// Columns behind some steps: a number of them, and features by weight.
#[derive(Clone, Copy)]
struct Size {
    columns: usize,
    weights: usize,
    activations: usize,
    ntk: bool,
    rest: Rest,
}

impl Size {
    /// False where the step cannot be counted; what follows then has what is left.
    fn add(&mut self, op: &Op) -> bool {
        match op {
            Op::Affine { b2, tangent, .. } => self.columns += usize::from(*b2 > 0.0 || tangent.constant > 0.0),
            Op::Activation { activation: Activation::Identity, .. } => {}
            Op::Activation { activation, .. } => {
                let replaces = match self.rest {
                    Rest::Random => Activate::<f64>::replaces(activation),
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
fn parts(op: &Op) -> (Vec<f64>, Vec<&[Op]>) {
    match op {
        Op::Concat(branches) => branches.iter().map(|(share, ops)| (*share, ops.as_slice())).unzip(),
        Op::Sum(branches) | Op::Product(branches) => branches.iter().map(|ops| (1.0, ops.as_slice())).unzip(),
        _ => (Vec::new(), Vec::new()),
    }
}

/// Whether a step takes each position by itself.
fn is_local(op: &Op) -> bool {
    match op {
        Op::Affine { .. } | Op::Activation { .. } | Op::LayerNorm { .. } => true,
        Op::Sum(_) | Op::Concat(_) | Op::Product(_) => parts(op).1.iter().all(|ops| ops.iter().all(is_local)),
        _ => false,
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
