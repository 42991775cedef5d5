//! From the steps of a net to a [`Program`]: sizes forward, needed offsets backward.

use super::axis::{Blend, Entry, Taps};
use super::program::{
    Affine, Attention, Chain, Conv, End, Grid, Half, Halves, Join, Local, Move, Offsets, PAD, Program, Rows, Scatter,
    Segment, Table,
};
use crate::activation::Activation;
use crate::dual::{Precision, dual_of};
use crate::error::{Error, Result};
use crate::net::{self, Op, Padding, Pooling};

/// Compiles `ops` for images of `grid` positions, all of which may be left at the end.
pub fn compile(ops: &[Op], grid: Grid, channels: usize, precision: Precision) -> Result<Program> {
    let mut c = Compiler {
        precision,
        tables: Vec::new(),
        convs: Vec::new(),
        margin: 0,
        sums: 0,
        fresh: true,
        has_dropout: false,
    };
    let mut pair = c.chain(ops, grid)?;
    let mut own = trimmed(&pair);
    let end = pair.segments.last().map_or(grid, |s| s.behind);
    need(&mut pair, &Offsets::all(end));
    need(&mut own, &Offsets::zero());
    Ok(Program {
        pair,
        own,
        grid,
        channels,
        tables: c.tables,
        convs: c.convs.len(),
        margin: c.margin.next_multiple_of(PAD) + PAD,
        sums: c.sums,
        has_dropout: c.has_dropout,
    })
}

struct Compiler {
    precision: Precision,
    tables: Vec<(Table, Grid)>,
    /// Neighbours along the rows and positions of the convolutions, each once.
    convs: Vec<(Taps, Grid)>,
    margin: usize,
    sums: usize,
    /// No weight layer yet: the tangent kernel is 0.
    fresh: bool,
    has_dropout: bool,
}

impl Compiler {
    fn chain(&mut self, ops: &[Op], grid: Grid) -> Result<Chain> {
        let mut segments = vec![segment(grid)];
        for op in ops {
            self.op(op, &mut segments)?;
        }
        Ok(Chain { segments })
    }

    /// Appends a step, which may end the last segment and begin another.
    fn op(&mut self, op: &Op, segments: &mut Vec<Segment>) -> Result<()> {
        let Some(last) = segments.last_mut() else { return Ok(()) };
        if self.is_local(op, last.grid) {
            let grid = last.grid;
            if let Some(node) = self.local(op, grid, &mut last.tables)? {
                last.local.push(node);
            }
            return Ok(());
        }
        let (end, behind) = match op {
            Op::Conv { kernel, stride, padding, .. } => {
                let grid = last.grid;
                if let Some(node) = self.local(op, grid, &mut last.tables)? {
                    last.local.push(node);
                }
                let behind = behind(grid, kernel, stride, *padding);
                let step = both(stride);
                let rows = Blend::pick(grid.rows, step.0, behind.rows);
                (scatter(rows, Blend::pick(grid.cols, step.1, behind.cols)), behind)
            }
            Op::Pool { pooling, window, stride, padding, normalize_edges, .. } => {
                let (size, step, grid) = (both(window), both(stride), last.grid);
                let behind = behind(grid, window, stride, *padding);
                let weight = |size: usize| {
                    move |inside: usize| match pooling {
                        Pooling::Sum => 1.0,
                        Pooling::Average if *normalize_edges => 1.0 / inside.max(1) as f64,
                        Pooling::Average => 1.0 / size as f64,
                    }
                };
                let rows = Blend::windows(grid.rows, (size.0, step.0), behind.rows, *padding, weight(size.0));
                let cols = Blend::windows(grid.cols, (size.1, step.1), behind.cols, *padding, weight(size.1));
                (scatter(rows, cols), behind)
            }
            Op::Flatten => (End::Flatten { factor: 1.0 / last.grid.positions() as f64 }, Grid::ONE),
            Op::GlobalPool(pooling) => {
                let n = last.grid.positions() as f64;
                let factor = if *pooling == Pooling::Average { 1.0 / (n * n) } else { 1.0 };
                (End::Global { factor }, Grid::ONE)
            }
            Op::SelfAttention { scaling, normalization, score, w2, b2, .. } => {
                self.tables.push((Table::Attention, last.grid));
                self.fresh = false;
                let attention = Attention {
                    scaling: *scaling,
                    normalization: *normalization,
                    score: *score,
                    w2: *w2,
                    b2: *b2,
                    table: self.tables.len() - 1,
                };
                (End::Attention(attention), last.grid)
            }
            Op::Sum(_) | Op::Concat(_) | Op::Product(_) => {
                let (join, branches) = parts(op);
                let grid = last.grid;
                let fresh = self.fresh;
                let mut chains = Vec::new();
                for ops in branches {
                    // Whether weights came before is the same question in every branch; t is written as soon as one branch has some.
                    self.fresh = fresh;
                    chains.push(self.chain(ops, grid)?);
                }
                self.fresh = false;
                let behind = chains.first().and_then(|c| c.segments.last()).map_or(grid, |s| s.grid);
                (End::Branches { join, branches: chains }, behind)
            }
            other => {
                return Err(Error::Unsupported {
                    at: "a convolutional kernel".into(),
                    what: format!("the step {other:?}"),
                    hint: "use layers of the net file".into(),
                });
            }
        };
        (last.end, last.behind) = (end, behind);
        segments.push(segment(behind));
        Ok(())
    }

    /// Whether a step stays in its plane and keeps all positions.
    fn is_local(&self, op: &Op, grid: Grid) -> bool {
        match op {
            Op::Affine { .. } | Op::Activation { .. } | Op::LayerNorm { .. } | Op::Dropout { .. } => true,
            Op::Conv { kernel, stride, padding, .. } => {
                both(stride) == (1, 1) && behind(grid, kernel, stride, *padding) == grid
            }
            Op::Sum(_) | Op::Concat(_) | Op::Product(_) => {
                parts(op).1.iter().all(|ops| ops.iter().all(|op| self.is_local(op, grid)))
            }
            _ => false,
        }
    }

    fn locals(&mut self, ops: &[Op], grid: Grid, tables: &mut Vec<usize>) -> Result<Vec<Local>> {
        let mut nodes = Vec::new();
        for op in ops {
            nodes.extend(self.local(op, grid, tables)?);
        }
        Ok(nodes)
    }

    fn affine(&mut self, w2: f64, b2: f64, tangent: crate::net::Tangent) -> Affine {
        Affine { w2, b2, tangent, first: std::mem::replace(&mut self.fresh, false) }
    }

    fn table(&mut self, table: Table, grid: Grid, used: &mut Vec<usize>) -> usize {
        self.tables.push((table, grid));
        used.push(self.tables.len() - 1);
        self.tables.len() - 1
    }

    fn local(&mut self, op: &Op, grid: Grid, tables: &mut Vec<usize>) -> Result<Option<Local>> {
        Ok(Some(match op {
            Op::Affine { w2, b2, tangent } => Local::Affine(self.affine(*w2, *b2, *tangent)),
            Op::Conv { kernel, stride, padding, w2, b2, tangent, .. } => {
                let (size, step, behind) = (both(kernel), both(stride), behind(grid, kernel, stride, *padding));
                let rows = Taps::new(grid.rows, size.0, step.0, behind.rows, *padding);
                let cols = Taps::new(grid.cols, size.1, step.1, behind.cols, *padding);
                self.margin = self.margin.max(grid.cols.min(size.1)).max(if *padding == Padding::Circular {
                    grid.cols
                } else {
                    0
                });
                let gaps = 2 * (rows.low + rows.high);
                self.sums = self.sums.max((grid.rows + gaps) * grid.cols + 2 * PAD);
                let affine = self.affine(*w2, *b2, *tangent);
                let key = (cols, grid);
                let id = self.convs.iter().position(|c| *c == key).unwrap_or(self.convs.len());
                if id == self.convs.len() {
                    self.convs.push(key);
                }
                Local::Conv(Conv { rows, cols, id, affine })
            }
            Op::Activation { activation: Activation::Identity, .. } => return Ok(None),
            Op::Activation { activation, choice, at } => {
                let dual = dual_of(activation, *choice, self.precision)?;
                let table = self.table(Table::Dual(dual.constants_len()), grid, tables);
                Local::Dual { dual, table, at: at.clone() }
            }
            Op::LayerNorm { eps } => Local::LayerNorm { eps: *eps, table: self.table(Table::Norm, grid, tables) },
            Op::Dropout { keep } => {
                self.has_dropout = true;
                Local::Dropout { keep: *keep }
            }
            _ => {
                let (join, branches) = parts(op);
                let fresh = self.fresh;
                let mut nodes = Vec::new();
                for ops in branches {
                    self.fresh = fresh;
                    nodes.push(self.locals(ops, grid, tables)?);
                }
                self.fresh = false;
                Local::Join { join, branches: nodes }
            }
        }))
    }
}

fn segment(grid: Grid) -> Segment {
    let (local, tables) = (Vec::new(), Vec::new());
    Segment { grid, offsets: Offsets::default(), local, tables, end: End::Finish, behind: grid }
}

/// Along both axes; sequences have one column.
fn both(sizes: &[usize]) -> (usize, usize) {
    (sizes.first().copied().unwrap_or(1), sizes.get(1).copied().unwrap_or(1))
}

/// Positions behind a window. [`Net::output_positions`](crate::net::Net::output_positions) has found that it fits.
fn behind(grid: Grid, window: &[usize], stride: &[usize], padding: Padding) -> Grid {
    let (size, step) = (both(window), both(stride));
    let axis = |n, size, step| net::behind(n, size, step, padding);
    Grid { rows: axis(grid.rows, size.0, step.0), cols: axis(grid.cols, size.1, step.1) }
}

/// How branches join, and their steps.
fn parts(op: &Op) -> (Join, Vec<&Vec<Op>>) {
    match op {
        Op::Concat(branches) => {
            (Join::Sum(branches.iter().map(|(w, _)| *w).collect()), branches.iter().map(|(_, ops)| ops).collect())
        }
        Op::Product(branches) => (Join::Product, branches.iter().collect()),
        Op::Sum(branches) => (Join::Sum(vec![1.0; branches.len()]), branches.iter().collect()),
        _ => (Join::Product, Vec::new()),
    }
}

fn scatter(rows: Blend, cols: Blend) -> End {
    let behind = Grid { rows: rows.sources.len(), cols: cols.sources.len() };
    let part = |blend: &Blend| blend.uniform_weight().map_or(1.0, |w| w * w);
    let scale = part(&rows) * part(&cols);
    End::Scatter(Box::new(Scatter {
        rows,
        cols,
        behind,
        row_moves: Vec::new(),
        col_moves: Vec::new(),
        weighted: true,
        wanted: Offsets::default(),
        scale,
        halves: None,
    }))
}

/// The chain up to the last layer that keeps a table of each image.
fn trimmed(chain: &Chain) -> Chain {
    let keeps = |s: &Segment| !s.tables.is_empty() || matches!(s.end, End::Attention(_) | End::Branches { .. });
    let count = chain.segments.iter().rposition(keeps).map_or(1, |i| i + 1);
    let mut own = Chain { segments: chain.segments[..count].to_vec() };
    if let Some(last) = own.segments.last_mut() {
        match last.end {
            // Their tables come after the segment's own.
            End::Attention(_) | End::Branches { .. } => {
                let behind = last.behind;
                own.segments.push(segment(behind));
            }
            _ => (last.end, last.behind) = (End::Finish, last.grid),
        }
    }
    own
}

/// Fills in which planes are needed, from the end to the beginning; returns those of the input.
fn need(chain: &mut Chain, wanted: &Offsets) -> Offsets {
    let mut wanted = wanted.clone();
    for segment in chain.segments.iter_mut().rev() {
        let grid = segment.grid;
        let needed = match &mut segment.end {
            End::Finish => wanted,
            End::Flatten { .. } => Offsets::zero(),
            End::Global { .. } | End::Attention(_) => Offsets::all(grid),
            End::Scatter(scatter) => need_scatter(scatter, &wanted),
            End::Branches { branches, .. } => {
                let mut all = Offsets::default();
                for branch in branches {
                    all.join(&need(branch, &wanted));
                }
                all
            }
        };
        segment.offsets = needed.clone();
        wanted = needed;
    }
    wanted
}

fn need_scatter(scatter: &mut Scatter, wanted: &Offsets) -> Offsets {
    let needed = Offsets { rows: scatter.rows.needed(&wanted.rows), cols: scatter.cols.needed(&wanted.cols) };
    scatter.wanted = wanted.clone();
    let (stride, width) = (scatter.behind.stride(), scatter.behind.cols);
    // Planes of one column offset lie one behind the other.
    let column = stride * wanted.rows.len();
    let rows = scatter.rows.entries(&needed.rows, &wanted.rows);
    let cols = scatter.cols.entries(&needed.cols, &wanted.cols);
    scatter.row_moves = moves(&rows, |entry| entry.plane * stride + entry.to * width);
    scatter.col_moves = moves(&cols, |entry| entry.plane * column + entry.to);
    let uniform = |blend: &Blend| blend.uniform_weight().is_some();
    scatter.weighted = !(uniform(&scatter.rows) && uniform(&scatter.cols));
    scatter.halves = (!scatter.weighted && scatter.cols.halves()).then(|| Halves {
        cols: cols.iter().map(|entries| halves(entries, column, width)).collect(),
        rows: scatter.row_moves.iter().map(|moves| grouped(moves)).collect(),
    });
    needed
}

/// Columns of windows of two by where they go: to one plane or two, by whether they are even, and to others behind the cut where the
/// number of columns is odd.
fn halves(entries: &[Entry], column: usize, width: usize) -> Vec<Half> {
    let mut halves: Vec<Half> = Vec::new();
    for entry in entries {
        let to = entry.plane * column;
        let at = halves.iter().position(|half| half.to == to).unwrap_or(halves.len());
        if at == halves.len() {
            halves.push(Half { to, even: vec![false; width], odd: vec![false; width] });
        }
        let side = if entry.from % 2 == 0 { &mut halves[at].even } else { &mut halves[at].odd };
        side[entry.to] = true;
    }
    halves
}

/// Where entries go, by number of the offset.
fn moves(entries: &[Vec<Entry>], to: impl Fn(&Entry) -> usize) -> Vec<Vec<Move>> {
    let one = |entry: &Entry| Move { from: entry.from, to: to(entry), weight: entry.weight };
    entries.iter().map(|entries| entries.iter().map(one).collect()).collect()
}

/// Rows by where they go, two at a time.
fn grouped(moves: &[Move]) -> Vec<Rows> {
    let mut groups: Vec<Rows> = Vec::new();
    for row in moves {
        match groups.iter_mut().find(|group| group.to == row.to && group.second.is_none()) {
            Some(group) => group.second = Some(row.from),
            None => groups.push(Rows { to: row.to, first: row.from, second: None }),
        }
    }
    groups
}
