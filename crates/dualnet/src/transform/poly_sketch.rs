//! Sketches of tensor powers x^{(x) l} of every degree l at once, from trees of [`TensorSrht`] (the PolySketch of Ahle, Kapralov, Knudsen,
//! Pagh, Velingkar, Woodruff, Zandieh 2020, arXiv 1909.01410, section 3; with lower degrees from the same tree as in Zandieh, Han,
//! Avron, Shoham, Kim, Shin 2021, arXiv 2106.07880).
//!
//! A tree of degree l is a node T over a tree of degree ceil(l/2) and one of degree floor(l/2), so that every degree is as balanced as it
//! can be, and a leaf is x itself, which needs no sketch. All degrees share their lower parts:
//!
//! - the *left* family holds the left parts ceil(l/2) of all degrees wanted, the *right* family the right parts floor(l/2);
//! - both are families of the same kind, of half the degree, with nodes of their own: what a node multiplies is independent, so each
//!   degree is without bias. (Degrees are not independent of one another.)
//! - a degree that the left family has already, of the width wanted, is taken from there.
//!
//! All degrees up to q, a power of two, take (q/2) log2 q nodes. Degrees that nothing asks for have none.

use super::signs::{self, Streams, aligned};
use super::tensor_srht::TensorSrht;
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::{MatMut, MatRef};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::{Isa, Kernel, Vector};

/// The highest degree: beyond it, nodes and their memory would not be worth their terms.
const HIGHEST: usize = 1024;

/// One degree of a [`PolySketch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    /// l, from 2 on.
    pub degree: usize,
    /// Features of U_l.
    pub width: usize,
}

/// U_l with E U_l(x) . U_l(y) = (x . y)^l, for some degrees l >= 2 (degrees 0 and 1, a constant and x itself, need no sketch), side by
/// side.
///
/// The variance is of the order of (|x| |y|)^{2l} (1/width + l/inner): nodes inside the trees have `inner` features each, and their errors
/// shrink with the powers of the cosine that follow. Powers of two as widths waste nothing. Norms far from 1 go out of range at
/// high degrees: sketch x / |x|.
///
/// Cost of a row: for each node two Hadamard transforms of `inner` numbers or the like (half as many where x itself is multiplied).
///
/// ```
/// use dualnet::{Mat, Resources, random::Purpose, simd::Isa, transform::PolySketch};
/// let resources = Resources::new(1)?.with_seed(1);
/// let sketch = PolySketch::<f64>::draw(3, 5, 4096, Purpose::POLY_SKETCH, &resources)?;
/// let x = Mat::from_vec(2, 3, vec![0.6, 0.8, 0.0, 0.8, 0.6, 0.0])?;
/// let (mut out, mut scratch) = (Mat::zeros(2, sketch.dim()), vec![0.0; sketch.scratch()]);
/// sketch.tile(x.as_ref(), out.as_mut(), &mut scratch, Isa::best())?;
/// for (power, at) in sketch.powers() {
///     let product: f64 = (at..at + power.width).map(|j| out[(0, j)] * out[(1, j)]).sum();
///     assert!((product - 0.96f64.powi(power.degree as i32)).abs() < 0.15);
/// }
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PolySketch<T> {
    cols: usize,
    powers: Vec<Power>,
    /// Where each power's features lie.
    places: Vec<Place>,
    /// From the leaves to the roots.
    nodes: Vec<Node<T>>,
    /// Numbers that all nodes together write.
    slots: usize,
    /// Numbers that a node needs beside them.
    buffer: usize,
}

/// A node of a tree.
#[derive(Clone, Debug, PartialEq)]
struct Node<T> {
    map: TensorSrht<T>,
    left: Place,
    right: Place,
    /// Where its features begin.
    to: usize,
}

/// Where a factor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// x.
    Input,
    /// Features of a node: first and number.
    Slot(usize, usize),
}

impl<T: Float> PolySketch<T> {
    /// U_2 to U_`degree` of rows of `cols` columns, each of `width` features, as are the nodes inside.
    ///
    /// # Errors
    /// As [`Self::of_powers`].
    pub fn draw(cols: usize, degree: usize, width: usize, purpose: Purpose, resources: &Resources) -> Result<Self> {
        if !(2..=HIGHEST).contains(&degree) {
            return Err(wrong_degree(degree));
        }
        let powers: Vec<Power> = (2..=degree).map(|degree| Power { degree, width }).collect();
        Self::of_powers(cols, &powers, width, purpose, resources)
    }

    /// The `powers` named, of increasing degree, with `inner` features in the nodes inside.
    ///
    /// # Errors
    /// No columns or features; a degree below 2 or above 1024, or out of order; memory.
    pub fn of_powers(
        cols: usize,
        powers: &[Power],
        inner: usize,
        purpose: Purpose,
        resources: &Resources,
    ) -> Result<Self> {
        if let Some(power) = powers.iter().find(|power| !(2..=HIGHEST).contains(&power.degree)) {
            return Err(wrong_degree(power.degree));
        }
        if let Some(pair) = powers.windows(2).find(|pair| pair[0].degree >= pair[1].degree) {
            return Err(Error::Invalid {
                what: "degrees of a sketch of powers".into(),
                expected: "each once, the lowest first".into(),
                found: format!("{} after {}", pair[1].degree, pair[0].degree),
                hint: "sort them".into(),
            });
        }
        let streams = Streams::new(purpose, resources);
        let mut builder = Builder { cols, inner, streams, resources, nodes: Vec::new(), slots: 0, bytes: 0 };
        let places = builder.family(powers)?;
        let Builder { nodes, slots, .. } = builder;
        let buffer = nodes.iter().map(|node| node.map.buffer()).max().unwrap_or(0);
        Ok(Self { cols, powers: powers.to_vec(), places, nodes, slots, buffer })
    }

    /// d, the columns that go in.
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// The columns that come out: all widths together.
    pub fn dim(&self) -> usize {
        self.powers.iter().map(|power| power.width).sum()
    }
    /// The powers, with the first column of each.
    pub fn powers(&self) -> impl Iterator<Item = (Power, usize)> + '_ {
        self.powers.iter().scan(0, |at, &power| {
            let first = *at;
            *at += power.width;
            Some((power, first))
        })
    }
    /// Numbers of scratch memory that [`Self::tile`] needs.
    pub fn scratch(&self) -> usize {
        self.slots + self.buffer + signs::room::<T>()
    }
    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }
    /// What a row costs: how many factors of nodes are the row itself, and how many the features of another node.
    pub fn factors(&self) -> (usize, usize) {
        let places = self.nodes.iter().flat_map(|node| [node.left, node.right]);
        let leaves = places.filter(|&place| place == Place::Input).count();
        (leaves, 2 * self.nodes.len() - leaves)
    }

    /// Sketches of the rows of `x` (n, d) in `out` (n, [`Self::dim`]), U_l after U_l, on the calling thread, each to the same bits as alone.
    ///
    /// # Errors
    /// Shapes that do not fit; too little scratch.
    pub fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let (n, dim, needed) = (x.rows(), self.dim(), self.scratch());
        if x.cols() != self.cols || (out.rows(), out.cols()) != (n, dim) || scratch.len() < needed {
            return Err(Error::Shape {
                what: "sketch of powers".into(),
                expected: format!("{n} x {} to {n} x {dim}, scratch of {needed}", self.cols),
                found: format!("{n} x {} to {} x {}, scratch of {}", x.cols(), out.rows(), out.cols(), scratch.len()),
            });
        }
        isa.run(Tile { map: self, x, out, scratch: aligned(scratch) });
        Ok(())
    }

    /// The part of [`Self::scratch`] numbers that starts on a cache line.
    pub(crate) fn aligned<'a>(&self, scratch: &'a mut [T]) -> &'a mut [T] {
        aligned(scratch)
    }

    /// All powers of one row; [`Self::features`] then finds them in `scratch`, which starts on a cache line.
    #[inline(always)]
    pub(crate) fn row<V: Vector>(&self, simd: V, x: &[T], scratch: &mut [T]) {
        let (slots, buffer) = scratch.split_at_mut(self.slots);
        for node in &self.nodes {
            let (done, to) = slots.split_at_mut(node.to);
            let of = |place| match place {
                Place::Input => x,
                Place::Slot(first, count) => &done[first..first + count],
            };
            node.map.row(simd, of(node.left), of(node.right), &mut to[..node.map.rows()], buffer);
        }
    }

    /// The powers with their features, behind [`Self::row`].
    pub(crate) fn features<'a>(&'a self, scratch: &'a [T]) -> impl Iterator<Item = (Power, &'a [T])> {
        self.powers.iter().zip(&self.places).map(|(&power, &place)| match place {
            Place::Input => (power, &scratch[..0]),
            Place::Slot(first, count) => (power, &scratch[first..first + count]),
        })
    }
}

fn wrong_degree(degree: usize) -> Error {
    Error::Invalid {
        what: "degree of a sketch of powers".into(),
        expected: format!("2 to {HIGHEST}"),
        found: degree.to_string(),
        hint: "degrees 0 and 1, a constant and the row itself, need no sketch".into(),
    }
}

struct Builder<'a, T> {
    cols: usize,
    inner: usize,
    streams: Streams,
    resources: &'a Resources,
    nodes: Vec<Node<T>>,
    slots: usize,
    bytes: u64,
}

impl<T: Float> Builder<'_, T> {
    /// Nodes for `powers`, of increasing degree from 2 on, and where their features will lie.
    fn family(&mut self, powers: &[Power]) -> Result<Vec<Place>> {
        let (mut left, mut right, mut roots) = (Vec::new(), Vec::new(), vec![true; powers.len()]);
        // From the highest on: what it needs of the left family may be a lower one that is wanted itself.
        for (power, root) in powers.iter().zip(&mut roots).rev() {
            let there = left.contains(&power.degree);
            *root = !there || power.width != self.inner;
            if *root {
                left.push(power.degree.div_ceil(2));
                right.push(power.degree / 2);
            }
        }
        let (left, right) = (self.parts(left)?, self.parts(right)?);
        let mut places = Vec::with_capacity(powers.len());
        for (power, root) in powers.iter().zip(roots) {
            places.push(match root {
                true => self.node(of(&left, power.degree.div_ceil(2)), of(&right, power.degree / 2), power.width)?,
                false => of(&left, power.degree),
            });
        }
        Ok(places)
    }

    /// A family of the degrees named, of `inner` features each.
    fn parts(&mut self, mut degrees: Vec<usize>) -> Result<Vec<(usize, Place)>> {
        degrees.sort_unstable();
        degrees.dedup();
        degrees.retain(|&degree| degree > 1);
        if degrees.is_empty() {
            return Ok(Vec::new());
        }
        let powers: Vec<Power> = degrees.iter().map(|&degree| Power { degree, width: self.inner }).collect();
        let places = self.family(&powers)?;
        Ok(degrees.into_iter().zip(places).collect())
    }

    fn node(&mut self, left: Place, right: Place, width: usize) -> Result<Place> {
        let cols = |place| match place {
            Place::Input => self.cols,
            Place::Slot(_, count) => count,
        };
        let streams = self.streams.part(self.nodes.len() as u64);
        let map = TensorSrht::from_streams(cols(left), cols(right), width, streams, self.resources)?;
        self.bytes = self.bytes.saturating_add(map.bytes());
        super::reserve(self.bytes, "use a lower degree or fewer features", self.resources)?;
        let to = self.slots;
        self.slots += width.next_multiple_of(signs::room::<T>());
        self.nodes.push(Node { map, left, right, to });
        Ok(Place::Slot(to, width))
    }
}

/// The place of a degree of a family.
fn of(family: &[(usize, Place)], degree: usize) -> Place {
    family.iter().find(|(other, _)| *other == degree).map_or(Place::Input, |&(_, place)| place)
}

struct Tile<'a, T> {
    map: &'a PolySketch<T>,
    x: MatRef<'a, T>,
    out: MatMut<'a, T>,
    scratch: &'a mut [T],
}

impl<T: Float> Kernel for Tile<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(mut self, simd: V) {
        for i in 0..self.x.rows() {
            self.map.row(simd, self.x.row(i), self.scratch);
            let mut out = self.out.row_mut(i);
            for (power, features) in self.map.features(self.scratch) {
                let (to, rest) = out.split_at_mut(power.width);
                to.copy_from_slice(features);
                out = rest;
            }
        }
    }
}
