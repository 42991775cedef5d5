//! A pair of images through a program: segment by segment, each plane through all layers of its segment while it is in the first-level
//! cache.

use super::attention;
use super::buffer::Buffer;
use super::convolve::{self, Masks, Sums};
use super::image::{Image, Rotated};
use super::own;
use super::planes::{Plane, State, Sum};
use super::pointwise::{self, Normalize, Products};
use super::program::{Chain, End, Grid, Join, Local, Offsets, Program, Segment};
use super::scatter::{Parts, scatter};
use crate::dual::{PlaneMut, Points};
use crate::error::Result;
use crate::kernel::{Float, Get};
use crate::simd::Isa;

/// How the images of a pair belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// Not at all.
    No,
    /// Two samples with the same values: rho is 1 at equal positions.
    Copies,
    /// One sample: dropout keeps the same entries.
    Yes,
}

/// Whose kernel is computed.
#[derive(Debug)]
pub enum Pair<'a, T> {
    /// That of two images.
    Of(&'a Image<T>, &'a Image<T>, Same),
    /// That of an image with itself, filling its tables on the way; `.1` names it in errors: row and name of the samples.
    Record(&'a mut Image<T>, (usize, &'a str)),
}

impl<'a, T: Float> Pair<'a, T> {
    /// Two samples of a set or of two.
    pub fn between(program: &Program, first: &'a Image<T>, second: &'a Image<T>) -> Self {
        let copies = !program.has_dropout && first.channels == second.channels;
        Pair::Of(first, second, if copies { Same::Copies } else { Same::No })
    }
    fn images(&self) -> (&Image<T>, &Image<T>) {
        match self {
            Pair::Of(a, b, _) => (a, b),
            Pair::Record(image, _) => (image, image),
        }
    }
    fn same(&self) -> Same {
        match self {
            Pair::Of(_, _, same) => *same,
            Pair::Record(..) => Same::Yes,
        }
    }
}

/// Where the planes of a segment come from.
enum Source<'a, T> {
    Input,
    State(&'a State<T>),
}

/// Scratch memory of one thread.
#[derive(Debug)]
pub struct ConvWorkspace<T> {
    get: Get,
    plane: Plane<T>,
    scratch: Scratch<T>,
    spare: Vec<Buffer<T>>,
}

#[derive(Debug)]
struct Scratch<T> {
    sums: Sums<T>,
    /// By number of the convolution, at the present column offset.
    masks: Vec<Masks<T>>,
    /// By number of the table, at the present column offset.
    rotated: Vec<Rotated<T>>,
    channels: Rotated<T>,
    parts: Parts<T>,
    copies: Vec<Plane<T>>,
}

impl<T: Float> ConvWorkspace<T> {
    /// For any pair of a program.
    pub fn new(program: &Program, get: Get) -> Self {
        let largest = program.grid.positions();
        let scratch = Scratch {
            sums: Sums::new(program.sums, get.ntk()),
            masks: (0..program.convs).map(|_| Masks::default()).collect(),
            rotated: program.tables.iter().map(|_| Rotated::default()).collect(),
            channels: Rotated::default(),
            parts: Parts::default(),
            copies: Vec::new(),
        };
        Self { get, plane: Plane::new(largest, program.margin, get), scratch, spare: Vec::new() }
    }

    /// Takes the buffers of a state for the next pair.
    pub fn take_back(&mut self, state: State<T>) {
        state.release(&mut self.spare);
    }
}

/// A place in a net: which plane is at work.
struct Place<'a, T> {
    isa: Isa,
    first: &'a Image<T>,
    grid: Grid,
    /// Offset along the rows.
    u: usize,
}

/// One run of a pair.
pub struct Run<'p> {
    /// The net.
    pub program: &'p Program,
    /// Instruction set.
    pub isa: Isa,
}

impl Run<'_> {
    /// The planes at the end of a chain that begins with the images.
    pub fn run<T: Float>(&self, chain: &Chain, pair: &mut Pair<'_, T>, ws: &mut ConvWorkspace<T>) -> Result<State<T>> {
        self.chain(chain, Source::Input, pair, ws)
    }

    fn chain<T: Float>(
        &self,
        chain: &Chain,
        source: Source<'_, T>,
        pair: &mut Pair<'_, T>,
        ws: &mut ConvWorkspace<T>,
    ) -> Result<State<T>> {
        let mut state: Option<State<T>> = None;
        for segment in &chain.segments {
            let from = match &state {
                Some(state) => Source::State(state),
                None => match &source {
                    Source::Input => Source::Input,
                    Source::State(state) => Source::State(state),
                },
            };
            let next = self.segment(segment, &from, pair, ws)?;
            if let Some(old) = state.replace(next) {
                old.release(&mut ws.spare);
            }
        }
        // A chain has at least one segment.
        Ok(state.unwrap_or_else(|| State::zeros(Grid::ONE, Offsets::zero(), 1.0, ws.get, &mut ws.spare)))
    }

    fn segment<T: Float>(
        &self,
        segment: &Segment,
        source: &Source<'_, T>,
        pair: &mut Pair<'_, T>,
        ws: &mut ConvWorkspace<T>,
    ) -> Result<State<T>> {
        let (grid, offsets, scale) = segment.next();
        let mut next = State::zeros(grid, offsets, scale, ws.get, &mut ws.spare);
        let mut sums = (0.0, 0.0);
        let own = own::At { isa: self.isa, grid: segment.grid, same: pair.same() };
        if pair.same() != Same::No {
            // Equal positions first: they tell the variances, which all other planes need.
            self.load((segment, (0, 0)), source, pair.images(), ws);
            let mut record = match pair {
                Pair::Record(image, name) => own::Record::Into(&mut image.tables, *name),
                Pair::Of(..) => own::Record::No,
            };
            own::through(&own, &segment.local, &mut ws.plane, &mut ws.scratch.sums, &mut record)?;
            self.close(segment, (0, 0), (&mut ws.plane, &parts(segment, 0)), &mut next, &mut sums);
        }
        for &v in &segment.offsets.cols {
            self.turn(segment, v, source, pair, &mut ws.scratch);
            for &u in &segment.offsets.rows {
                if (u, v) == (0, 0) && pair.same() != Same::No {
                    continue;
                }
                self.load((segment, (u, v)), source, pair.images(), ws);
                let at = Place { isa: self.isa, first: pair.images().0, grid: segment.grid, u };
                through(&at, &segment.local, &mut ws.plane, &mut ws.scratch);
                self.close(segment, (u, v), (&mut ws.plane, &ws.scratch.parts), &mut next, &mut sums);
            }
        }
        self.finish(segment, next, sums, pair, ws)
    }

    /// Makes ready what depends on the column offset alone.
    fn turn<T: Float>(
        &self,
        segment: &Segment,
        v: usize,
        source: &Source<'_, T>,
        pair: &Pair<'_, T>,
        scratch: &mut Scratch<T>,
    ) {
        let second = pair.images().1;
        for &table in &segment.tables {
            let (kind, grid) = self.program.tables[table];
            scratch.rotated[table].fill(&second.tables[table], kind.maps(), grid, v);
        }
        if let Source::Input = source {
            scratch.channels.fill(&second.channels, self.program.channels, self.program.grid, v);
        }
        masks(&segment.local, segment.grid, v, &mut scratch.masks);
        scratch.parts = parts(segment, v);
    }

    /// The plane of an offset at the beginning of a segment.
    fn load<T: Float>(
        &self,
        (segment, (u, v)): (&Segment, (usize, usize)),
        source: &Source<'_, T>,
        (first, second): (&Image<T>, &Image<T>),
        ws: &mut ConvWorkspace<T>,
    ) {
        let grid = segment.grid;
        match source {
            Source::State(state) => state.load(self.isa, (u, v), &mut ws.plane),
            Source::Input => {
                let stride = grid.stride();
                let x = Points { maps: &first.channels, stride, at: 0 };
                // The plane of equal positions may be wanted before anything is rotated.
                let y = match (u, v) {
                    (0, 0) => Points { maps: &second.channels, stride, at: 0 },
                    _ => {
                        let rotated = &ws.scratch.channels;
                        Points { maps: &rotated.maps, stride: rotated.stride, at: u * grid.cols }
                    }
                };
                let (c, t) = ws.plane.both();
                let channels = self.program.channels;
                self.isa.run(&mut Products { first: x, second: y, channels, len: grid.positions(), c });
                let writes_t = |node: &Local| match node {
                    Local::Affine(affine) => affine.first,
                    Local::Conv(conv) => conv.affine.first,
                    _ => false,
                };
                if !segment.local.first().is_some_and(writes_t) {
                    let len = grid.positions().min(t.len());
                    t[..len].fill(T::default());
                }
            }
        }
    }

    /// Hands a plane on that is through all layers of its segment.
    fn close<T: Float>(
        &self,
        segment: &Segment,
        (u, v): (usize, usize),
        (plane, parts): (&mut Plane<T>, &Parts<T>),
        next: &mut State<T>,
        sums: &mut (f64, f64),
    ) {
        match &segment.end {
            End::Scatter(plan) => {
                let numbers = (segment.offsets.rows.binary_search(&u), segment.offsets.cols.binary_search(&v));
                if let (Ok(u), Ok(v)) = numbers {
                    scatter(self.isa, plan, (u, v), segment.grid.cols, parts, plane, next);
                }
            }
            End::Flatten { .. } | End::Global { .. } => {
                let (len, (c, t)) = (segment.grid.positions(), plane.both());
                sums.0 += self.isa.run(Sum { from: c, len });
                if !t.is_empty() {
                    sums.1 += self.isa.run(Sum { from: t, len });
                }
            }
            End::Finish | End::Attention(_) | End::Branches { .. } => next.store((u, v), plane),
        }
    }

    /// What follows when all planes are there.
    fn finish<T: Float>(
        &self,
        segment: &Segment,
        mut next: State<T>,
        sums: (f64, f64),
        pair: &mut Pair<'_, T>,
        ws: &mut ConvWorkspace<T>,
    ) -> Result<State<T>> {
        match &segment.end {
            End::Finish | End::Scatter(_) => Ok(next),
            End::Flatten { factor } | End::Global { factor } => {
                next.c[0] = T::from_f64(factor * sums.0);
                if let Some(t) = next.t.first_mut() {
                    *t = T::from_f64(factor * sums.1);
                }
                Ok(next)
            }
            End::Attention(plan) => {
                if let Pair::Record(image, _) = pair {
                    image.tables[plan.table] = attention::weights(plan, &attention::matrix(&next.c, &next));
                }
                let (first, second) = pair.images();
                attention::attend(plan, &mut next, &first.tables[plan.table], &second.tables[plan.table])?;
                Ok(next)
            }
            End::Branches { join, branches } => {
                let mut ends = Vec::with_capacity(branches.len());
                for branch in branches {
                    ends.push(self.chain(branch, Source::State(&next), pair, ws)?);
                }
                next.release(&mut ws.spare);
                Ok(self.joined(join, ends, ws))
            }
        }
    }

    /// The states of branches as one.
    fn joined<T: Float>(&self, join: &Join, ends: Vec<State<T>>, ws: &mut ConvWorkspace<T>) -> State<T> {
        let mut ends = ends.into_iter();
        let Some(mut into) = ends.next() else {
            return State::zeros(Grid::ONE, Offsets::zero(), 1.0, ws.get, &mut ws.spare);
        };
        let others: Vec<State<T>> = ends.collect();
        let parts: Vec<(&[T], &[T])> = others.iter().map(|s| (&s.c[..], &s.t[..])).collect();
        let len = into.c.len();
        pointwise::join(self.isa, join, len, (&mut into.c, &mut into.t), &parts);
        for other in others {
            other.release(&mut ws.spare);
        }
        into
    }
}

/// What pooling by two needs at column offset `v`.
fn parts<T: Float>(segment: &Segment, v: usize) -> Parts<T> {
    match (&segment.end, segment.offsets.cols.binary_search(&v)) {
        (End::Scatter(plan), Ok(v)) => {
            plan.halves.as_ref().map_or_else(Parts::default, |halves| Parts::new(&halves.cols[v]))
        }
        _ => Parts::default(),
    }
}

/// Masks of all convolutions among `nodes` at column offset `v`.
fn masks<T: Float>(nodes: &[Local], grid: Grid, v: usize, masks_of: &mut [Masks<T>]) {
    for node in nodes {
        match node {
            Local::Conv(conv) => masks_of[conv.id].fill(conv, grid, v),
            Local::Join { branches, .. } => branches.iter().for_each(|nodes| masks(nodes, grid, v, masks_of)),
            _ => {}
        }
    }
}

/// A plane through layers.
fn through<T: Float>(at: &Place<'_, T>, nodes: &[Local], plane: &mut Plane<T>, scratch: &mut Scratch<T>) {
    let len = at.grid.positions();
    let mut nodes = nodes.iter().peekable();
    while let Some(node) = nodes.next() {
        match node {
            Local::Conv(conv) => {
                let masks = &scratch.masks[conv.id];
                let summed = convolve::sum_rows(at.isa, (conv, at.grid, at.u), masks, plane, &mut scratch.sums);
                match nodes.peek() {
                    Some(Local::Dual { dual, table, .. }) if summed.is_three_rows() => {
                        for piece in 0..summed.pieces() {
                            let (from, len, rows) = summed.three_rows(piece);
                            let (first, second) = points(at, *table, &scratch.rotated, from);
                            let (c, t) = plane.both();
                            let (c, t, rows) = (&mut c[from..], &mut t[from..], Some(&rows));
                            T::apply_plane(dual.as_ref(), at.isa, &mut PlaneMut { len, rows, c, t, first, second });
                        }
                        nodes.next();
                    }
                    _ => summed.finish(plane),
                }
            }
            Local::Affine(affine) => pointwise::affine(at.isa, affine, len, plane),
            Local::Dual { dual, table, .. } => {
                let (first, second) = points(at, *table, &scratch.rotated, 0);
                let (c, t) = plane.both();
                T::apply_plane(dual.as_ref(), at.isa, &mut PlaneMut { len, rows: None, c, t, first, second });
            }
            Local::LayerNorm { table, .. } => {
                let (first, second) = points(at, *table, &scratch.rotated, 0);
                let (c, t) = plane.both();
                at.isa.run(&mut Normalize { first, second, len, values: c });
                if !t.is_empty() {
                    at.isa.run(&mut Normalize { first, second, len, values: t });
                }
            }
            // Other samples and positions keep other entries.
            Local::Dropout { .. } => {}
            Local::Join { join, branches } => {
                let start = plane.copy();
                let mut others = Vec::with_capacity(branches.len());
                for (i, nodes) in branches.iter().enumerate() {
                    if i == 0 {
                        through(at, nodes, plane, scratch);
                        continue;
                    }
                    let mut copy = scratch.copies.pop().unwrap_or_else(|| start.copy());
                    copy.copy_from(&start);
                    through(at, nodes, &mut copy, scratch);
                    others.push(copy);
                }
                joined(at.isa, join, len, plane, &others);
                scratch.copies.extend(others);
            }
        }
    }
}

/// Planes of branches into the first of them.
pub fn joined<T: Float>(isa: Isa, join: &Join, len: usize, into: &mut Plane<T>, others: &[Plane<T>]) {
    let parts: Vec<(&[T], &[T])> = others.iter().map(|p| (&p.c[p.margin..], &p.t[p.margin.min(p.t.len())..])).collect();
    pointwise::join(isa, join, len, into.both(), &parts);
}

/// The tables of both images at the positions of a plane, from entry `from` on.
#[inline(always)]
fn points<'a, T: Float>(
    at: &Place<'a, T>,
    table: usize,
    rotated: &'a [Rotated<T>],
    from: usize,
) -> (Points<'a, T>, Points<'a, T>) {
    let rotated = &rotated[table];
    (
        Points { maps: &at.first.tables[table], stride: at.grid.stride(), at: from },
        Points { maps: &rotated.maps, stride: rotated.stride, at: at.u * at.grid.cols + from },
    )
}
