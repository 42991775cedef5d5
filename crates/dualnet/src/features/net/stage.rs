//! What is done to a sample: stages that read the positions of the stage before, a chunk of rows at a time, and leave positions behind.

use super::activate::Activate;
use super::lanes::{Axpy, Multiply, Scale, Weigh};
use super::product::Product;
use super::rows::{Memory, Room, Rows};
use super::sketch::Sketched;
use super::spread::{Signed, Spread, Windows};
use crate::error::Result;
use crate::kernel::Float;
use crate::linalg::{MatMut, MatRef};
use crate::simd::Isa;
use crate::transform::Projection;

/// Rows that go through the layers of a stage together: few enough for the second-level cache.
const CHUNK: usize = 16;

/// A step on each row by itself.
#[derive(Clone, Debug)]
pub(super) enum Local<T> {
    /// Appends a column of ones.
    Ones,
    Activate(Box<Activate<T>>),
    Sketch(Box<Sketched<T>>),
    /// Divides by sqrt(|u Phi|^2 + eps).
    Normalise {
        nngp: Vec<T>,
        eps: f64,
    },
    /// Columns of branches.
    Join {
        branches: Vec<Vec<Local<T>>>,
        combine: Combine<T>,
    },
}

/// What becomes of the columns of branches.
#[derive(Clone, Debug)]
pub(super) enum Combine<T> {
    /// They stand one beside the other.
    Beside,
    Product(Box<Product<T>>),
}

/// Where the rows of a stage come from.
#[derive(Clone, Debug)]
pub(super) enum From<T> {
    /// Those of the stage before.
    Same,
    /// The neighbours of a position, one beside the other.
    Patches { windows: Windows, factor: T },
    /// The neighbours of a position, added up.
    Signed(Signed<T>),
}

/// What becomes of the rows of a stage.
#[derive(Clone, Debug)]
pub(super) enum End<T> {
    Keep,
    Spread(Spread<T>),
    /// Sums into the positions behind: for each row where it goes and with which weight.
    Pool {
        goes: Vec<Vec<(usize, f64)>>,
        positions: usize,
    },
    /// The features themselves: Phi and Psi times weights, then zeros.
    Features {
        weights: Vec<T>,
    },
    /// The same, projected.
    Project {
        weights: Vec<T>,
        projection: Projection<T>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Stage<T> {
    pub from: From<T>,
    pub local: Vec<Local<T>>,
    pub end: End<T>,
    /// Positions of this stage, and the room of a row while it is worked on.
    pub positions: usize,
    pub room: Room,
    /// Columns as they come from `from`, and as they are left behind.
    pub before: (usize, usize),
    pub behind: (usize, usize),
}

/// Parts of a program.
#[derive(Clone, Debug)]
pub(super) enum Node<T> {
    Stage(Box<Stage<T>>),
    /// Branches over positions.
    Branches {
        branches: Vec<Vec<Node<T>>>,
        combine: Combine<T>,
    },
}

/// Positions in memory.
#[derive(Debug)]
pub(super) struct Stored<T> {
    pub data: Vec<T>,
    pub phi: usize,
    pub psi: usize,
}

impl<T: Float> Stored<T> {
    pub(super) fn room(&self) -> Room {
        Room::of(self.phi, self.psi)
    }
    fn positions(&self) -> usize {
        self.data.len() / self.room().width()
    }
}

/// Runs `nodes` on `input`.
pub(super) fn run<T: Float>(
    nodes: &[Node<T>],
    input: Stored<T>,
    memory: &mut Memory<T>,
    isa: Isa,
) -> Result<Stored<T>> {
    let mut now = input;
    for node in nodes {
        let next = match node {
            Node::Stage(stage) => stage.run(&mut now, memory, isa)?,
            Node::Branches { branches, combine } => branch(branches, combine, &now, memory, isa)?,
        };
        memory.reuse(std::mem::replace(&mut now, next).data);
    }
    Ok(now)
}

fn branch<T: Float>(
    branches: &[Vec<Node<T>>],
    combine: &Combine<T>,
    input: &Stored<T>,
    memory: &mut Memory<T>,
    isa: Isa,
) -> Result<Stored<T>> {
    let mut ends = Vec::with_capacity(branches.len());
    for nodes in branches {
        let mut data = memory.zeros(input.data.len());
        data.copy_from_slice(&input.data);
        ends.push(run(nodes, Stored { data, ..*input }, memory, isa)?);
    }
    let positions = ends.first().map_or(0, Stored::positions);
    let (phi, psi) = match combine {
        Combine::Beside => ends.iter().fold((0, 0), |(phi, psi), end| (phi + end.phi, psi + end.psi)),
        Combine::Product(product) => product.columns(),
    };
    let room = Room::of(phi, psi);
    let mut data = memory.zeros(positions * room.width());
    for (chunk, data) in data.chunks_mut(CHUNK * room.width()).enumerate() {
        let (first, count) = (chunk * CHUNK, data.len() / room.width());
        let mut rows = Rows::new(data, room, 0, 0);
        let parts = ends.iter_mut().map(|end| {
            let (room, phi, psi) = (end.room(), end.phi, end.psi);
            Rows::new(&mut end.data[first * room.width()..(first + count) * room.width()], room, phi, psi)
        });
        combine.apply(parts.collect(), &mut rows, isa)?;
    }
    ends.into_iter().for_each(|end| memory.reuse(end.data));
    Ok(Stored { data, phi, psi })
}

impl<T: Float> Combine<T> {
    /// The rows of branches into `out`, which has no columns yet.
    fn apply(&self, branches: Vec<Rows<'_, T>>, out: &mut Rows<'_, T>, isa: Isa) -> Result<()> {
        match self {
            Combine::Beside => branches.iter().for_each(|branch| out.append(branch)),
            Combine::Product(product) => product.apply(&branches, out, isa)?,
        }
        Ok(())
    }
}

impl<T: Float> Stage<T> {
    fn run(&self, stored: &mut Stored<T>, memory: &mut Memory<T>, isa: Isa) -> Result<Stored<T>> {
        let (phi, psi) = self.behind;
        let room = Room::of(phi, psi);
        let positions = match &self.end {
            End::Pool { positions, .. } => *positions,
            _ => self.positions,
        };
        let mut behind = Stored { data: memory.zeros(positions * room.width()), phi, psi };
        let mut chunk = memory.zeros(CHUNK * self.room.width());
        let mut scratch = memory.zeros(self.scratch());
        for first in (0..self.positions).step_by(CHUNK) {
            let count = CHUNK.min(self.positions - first);
            let chunk = &mut chunk[..count * self.room.width()];
            chunk.fill(T::default());
            let mut rows = Rows::new(chunk, self.room, self.before.0, self.before.1);
            self.read(stored, first, &mut rows, isa);
            for step in &self.local {
                step.apply(&mut rows, &mut scratch, isa)?;
            }
            self.leave(&mut rows, first, &mut behind.data, &mut scratch, isa)?;
        }
        memory.reuse(chunk);
        memory.reuse(scratch);
        Ok(behind)
    }

    /// Numbers of scratch memory.
    fn scratch(&self) -> usize {
        let local = self.local.iter().map(|step| step.scratch(CHUNK)).max().unwrap_or(0);
        let end = match &self.end {
            End::Keep | End::Spread(_) | End::Pool { .. } => 0,
            End::Features { weights } => weights.len(),
            End::Project { weights, projection } => CHUNK * weights.len() + projection.scratch(),
        };
        local.max(end)
    }

    /// Fills the rows of a chunk.
    fn read(&self, stored: &mut Stored<T>, first: usize, rows: &mut Rows<'_, T>, isa: Isa) {
        let (room, phi, psi) = (stored.room(), stored.phi, stored.psi);
        match &self.from {
            From::Same => {
                let from = &mut stored.data[first * room.width()..(first + rows.len()) * room.width()];
                (rows.phi, rows.psi) = (0, 0);
                rows.append(&Rows::new(from, room, phi, psi));
            }
            From::Patches { windows, factor } => {
                let from = Rows::new(&mut stored.data, room, phi, psi);
                for i in 0..rows.len() {
                    let (to_phi, to_psi) = rows.row(i);
                    for (d, at) in windows[first + i].iter().enumerate() {
                        let Some(at) = at else { continue };
                        let (own, tangent) = from.columns(*at);
                        let scaled = |x: &T| T::from_f64(x.to_f64() * factor.to_f64());
                        to_phi[d * phi..].iter_mut().zip(own).for_each(|(to, x)| *to = scaled(x));
                        if psi > 0 {
                            to_psi[d * psi..].iter_mut().zip(tangent).for_each(|(to, x)| *to = scaled(x));
                        }
                    }
                }
            }
            From::Signed(signed) => {
                for i in 0..rows.len() {
                    let (to_phi, to_psi) = rows.row(i);
                    signed.gather(&stored.data, first + i, to_phi, to_psi, isa);
                }
            }
        }
    }

    /// Hands on the rows of a chunk.
    fn leave(&self, rows: &mut Rows<'_, T>, first: usize, behind: &mut [T], scratch: &mut [T], isa: Isa) -> Result<()> {
        let (n, room) = (rows.len(), Room::of(self.behind.0, self.behind.1));
        let width = room.width();
        match &self.end {
            End::Keep => {
                let part = &mut behind[first * width..(first + n) * width];
                Rows::new(part, room, 0, 0).append(rows);
            }
            End::Spread(spread) => {
                for i in 0..n {
                    spread.apply(rows, i, &mut behind[(first + i) * width..(first + i + 1) * width], isa)?;
                }
            }
            End::Pool { goes, .. } => {
                for i in 0..n {
                    let (phi, psi) = rows.row(i);
                    for &(to, factor) in &goes[first + i] {
                        let factor = T::from_f64(factor);
                        let (to_phi, to_psi) = behind[to * width..(to + 1) * width].split_at_mut(room.phi);
                        isa.run(Axpy { x: phi, factor, out: to_phi });
                        isa.run(Axpy { x: psi, factor, out: to_psi });
                    }
                }
            }
            End::Features { weights } => {
                for i in 0..n {
                    let out = &mut scratch[..weights.len()];
                    self.weigh(rows, i, weights, out, isa);
                    behind[(first + i) * width..][..self.behind.0].copy_from_slice(&out[..self.behind.0]);
                }
            }
            End::Project { weights, projection } => {
                let (joined, scratch) = scratch.split_at_mut(CHUNK * weights.len());
                for (i, out) in joined.chunks_exact_mut(weights.len()).take(n).enumerate() {
                    self.weigh(rows, i, weights, out, isa);
                }
                let x = MatRef::new(joined, n, projection.cols(), weights.len())?;
                let out = MatMut::new(&mut behind[first * width..], n, self.behind.0, width)?;
                projection.tile(x, out, scratch, isa)?;
            }
        }
        Ok(())
    }

    /// Columns times weights, without a gap.
    fn weigh(&self, rows: &Rows<'_, T>, i: usize, weights: &[T], out: &mut [T], isa: Isa) {
        out.fill(T::default());
        rows.joined(i, out);
        isa.run(Multiply { x: out, weights });
    }
}

impl<T: Float> Local<T> {
    /// Numbers of scratch memory for a chunk of `rows` rows.
    fn scratch(&self, rows: usize) -> usize {
        match self {
            Local::Ones => 0,
            Local::Activate(activate) => activate.scratch(rows),
            Local::Sketch(sketch) => sketch.scratch(rows),
            Local::Normalise { nngp, .. } => nngp.len(),
            Local::Join { .. } => 0,
        }
    }

    fn apply(&self, rows: &mut Rows<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        match self {
            Local::Ones => {
                let at = rows.phi;
                for i in 0..rows.len() {
                    rows.row(i).0[at] = T::from_f64(1.0);
                }
                rows.phi += 1;
            }
            Local::Activate(activate) => activate.apply(rows, scratch, isa)?,
            Local::Sketch(sketch) => sketch.apply(rows, scratch, isa)?,
            Local::Normalise { nngp, eps } => {
                for i in 0..rows.len() {
                    let (phi, psi) = rows.row(i);
                    let p = isa.run(Weigh { x: &phi[..nngp.len()], weights: nngp, out: &mut scratch[..nngp.len()] });
                    let factor = T::from_f64(1.0 / (p + eps).sqrt());
                    isa.run(Scale { x: phi, factor });
                    isa.run(Scale { x: psi, factor });
                }
            }
            Local::Join { branches, combine } => join(branches, combine, rows, isa)?,
        }
        Ok(())
    }
}

fn join<T: Float>(branches: &[Vec<Local<T>>], combine: &Combine<T>, rows: &mut Rows<'_, T>, isa: Isa) -> Result<()> {
    let (room, phi, psi) = (rows.room(), rows.phi, rows.psi);
    let mut input = vec![T::default(); rows.len() * room.width()];
    Rows::new(&mut input, room, 0, 0).append(rows);
    rows.clear();
    let mut all = vec![input; branches.len()];
    let mut ends = Vec::with_capacity(branches.len());
    for (steps, data) in branches.iter().zip(&mut all) {
        let mut branch = Rows::new(data, room, phi, psi);
        for step in steps {
            let mut scratch = vec![T::default(); step.scratch(branch.len())];
            step.apply(&mut branch, &mut scratch, isa)?;
        }
        ends.push(branch);
    }
    combine.apply(ends, rows, isa)
}
