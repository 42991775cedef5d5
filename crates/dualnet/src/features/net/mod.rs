//! Feature maps of whole nets: NNGP and NTK as dot products, layer by layer.
//!
//! - `weights`: what dense layers do: nothing but constants.
//! - `activate`, `moments`, `factor`: an activation: terms of degree 0 and 1 exactly, the rest by random features.
//! - `sketch`, `series_table`: the same with the rest by sketches of powers.
//! - `product`: products of branches.
//! - `spread`, `windows`: convolutions and pooling on the features of each position.
//! - `stage`, `rows`, `lanes`: running it, a chunk of rows at a time.
//! - `compile`, `size`: from the steps of a net to stages.

mod activate;
mod compile;
mod factor;
mod lanes;
mod moments;
mod product;
mod rows;
mod series_table;
mod size;
mod sketch;
mod spread;
mod stage;
mod weights;
mod windows;

use super::{FeatureMap, TILE};
use crate::error::{Error, Result};
use crate::kernel::{Float, InputShape, KernelKind};
use crate::linalg::{MatMut, MatRef};
use crate::net::Net;
use crate::resources::Resources;
use crate::simd::Isa;
use crate::transform::ProjectionKind;
use compile::Compiler;
use rows::{Memory, Room, Rows};
use stage::{Node, Stored};

/// Which features of a net, and how many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetFeatureOptions {
    /// Of which kernel.
    pub kind: KernelKind,
    /// Number of features, M.
    pub dim: usize,
    /// How directions of random features are drawn.
    pub projection: ProjectionKind,
    /// How activations beyond degree 1 are estimated.
    pub rest: Rest,
}

/// How the part of an activation beyond degrees 0 and 1, which are exact, is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// By random features of it: without bias, for whatever has a formula phi(x).
    Random,
    /// By sketches of the powers of its Hermite expansion ([`HermiteSeries`](super::HermiteSeries)), cut at a degree: for whatever has a kernel.
    Sketch {
        /// 2 to 64. `None` is for each activation the least degree whose largest error of k and of kdot is at most 1 % of their value at
        /// rho = 1, at the variance that an input of mean square 1 has there; at most 16.
        degree: Option<usize>,
    },
}

impl NetFeatureOptions {
    /// `dim` features of a kernel, by structured projections.
    pub fn new(kind: KernelKind, dim: usize) -> Self {
        Self { kind, dim, projection: ProjectionKind::Structured, rest: Rest::Random }
    }

    /// The same by sketches, of the degree that is chosen for each activation unless one is given.
    pub fn sketched(self, degree: Option<usize>) -> Self {
        Self { rest: Rest::Sketch { degree }, ..self }
    }
}

/// Features of a net: E Phi(x) . Phi(y) is its NNGP or NTK, up to a bias of the order 1/M from the second activation on.
///
/// Each activation is expanded about its input's own variance: the terms of degree 0 and 1 are columns that are there already, so that only
/// the rest of the function is estimated by random features, and of the tangent kernel only what its constant part does not carry on.
/// Given the features of the layer before, those of each layer are unbiased; the error of an entry goes as M^-1/2, at a fraction
/// of that of plain random features. Inputs of any norm, biases, residual, sum and concat branches, layer_norm, convolutions, pooling.
///
/// Or each activation's Hermite series, cut at a degree ([`Rest::Sketch`]): the powers of the correlation beyond the first are estimated by
/// [`PolySketch`](crate::transform::PolySketch), whatever the norm, and products of the tangent kernel with them by a
/// [`TensorSrht`](crate::transform::TensorSrht). That has the bias of the series ([`HermiteSeries`](super::HermiteSeries)), and serves kernels that no
/// activation stands behind too. Products of branches are sketched by a `TensorSrht` in either case.
///
/// A convolution adds up the neighbours of a position with random signs, behind a transform that makes entries equal in size, and so
/// costs an addition a feature and neighbour; neighbours of few columns are put beside each other.
///
/// Cost of a row: 3 p log2 p additions for every p features of a projection of p columns, one or two values of each activation a feature;
/// for images that for every position, with p about M/4.
///
/// ```
/// use dualnet::features::{NetFeatureOptions, NetFeatures, transform};
/// use dualnet::kernel::{InputShape, KernelKind};
/// use dualnet::{Mat, Resources, net::Net};
/// let (net, resources) = (Net::parse("fc-relu-2")?, Resources::new(1)?);
/// let options = NetFeatureOptions::new(KernelKind::Ntk, 2048);
/// let map = NetFeatures::draw(&net, &InputShape::vector(2), &options, &resources)?;
/// let x = Mat::from_vec(2, 2, vec![1.0, 0.0, 0.0, 1.0])?;
/// let f = transform(&map, x.as_ref(), &resources)?;
/// let ntk: f64 = f.row(0).iter().zip(f.row(0)).map(|(a, b)| a * b).sum();
/// // Three layers, each adding |x|^2 w_std^2 / d = 1.
/// assert!((ntk - 3.0).abs() < 0.2);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NetFeatures<T> {
    nodes: Vec<Node<T>>,
    positions: usize,
    channels: usize,
    /// Samples that go through together: a tile of vectors, an image.
    together: usize,
    options: NetFeatureOptions,
    degrees: Vec<(String, usize)>,
}

impl<T: Float> NetFeatures<T> {
    /// Draws the features of `net` for samples of that shape, with the seed of `resources`.
    ///
    /// # Errors
    /// No features or columns; a net that does not fit the shape, or whose output has positions; layers without features: dropout, attention,
    /// kernels without an activation function where features are random; of a sketch a degree out of range, or fewer features than powers;
    /// memory. While it maps: of a sketch, a row at whose variance more than half of an activation's mean square belongs to degrees beyond
    /// its series.
    pub fn draw(net: &Net, shape: &InputShape, options: &NetFeatureOptions, resources: &Resources) -> Result<Self> {
        let spatial = net.is_spatial();
        let (grid, channels) = match spatial {
            true => (shape.positions.clone(), shape.channels),
            false => (Vec::new(), shape.width()),
        };
        if options.dim == 0 || shape.width() == 0 {
            return Err(Error::Invalid {
                what: "features of a net".into(),
                expected: "at least one feature of samples with values".into(),
                found: format!("{} of {shape}", options.dim),
                hint: "ask for more features, or give inputs with columns".into(),
            });
        }
        if net.output_is_spatial() {
            let hint = "end the net with flatten or global_avg_pool";
            return Err(refuse(&net.last_layer(), "the output still has positions", hint));
        }
        if spatial {
            net.output_positions(&grid)?;
        }
        let mut compiler = Compiler { options, resources, layer: 0, series: Vec::new(), degrees: Vec::new() };
        let positions = windows::positions(&grid);
        // No layer of a dense net asks for positions: the rows of a tile stand for them.
        let (together, grid) = if spatial { (1, grid) } else { (TILE, vec![TILE]) };
        let nodes = compiler.program(&net.ops(channels)?, &grid, channels)?;
        Ok(Self { nodes, positions, channels, together, options: *options, degrees: compiler.degrees })
    }

    /// What was asked for.
    pub fn options(&self) -> &NetFeatureOptions {
        &self.options
    }

    /// Activations that are sketched, by their position in the net, each with the degree of its series; none of random features.
    pub fn degrees(&self) -> &[(String, usize)] {
        &self.degrees
    }
}

impl<T: Float> FeatureMap<T> for NetFeatures<T> {
    fn inputs(&self) -> usize {
        self.positions * self.channels
    }
    fn dim(&self) -> usize {
        self.options.dim
    }
    /// None: what it needs depends on the stage, and is used again from stage to stage.
    fn scratch(&self) -> usize {
        0
    }
    fn work_bytes(&self) -> u64 {
        let input = self.together * self.positions * Room::of(self.channels, 0).width();
        let (vectors, longest) = stage::work(&self.nodes);
        (vectors as u64).saturating_mul((longest.max(input) * size_of::<T>()) as u64)
    }
    fn tile(&self, x: MatRef<'_, T>, mut out: MatMut<'_, T>, _: &mut [T], isa: Isa) -> Result<()> {
        let mut memory = Memory::default();
        let mut of_zeros: Option<usize> = None;
        for first in (0..TILE).step_by(self.together) {
            // Padding: equal images have equal features, and an image takes milliseconds.
            let zeros = self.together == 1 && x.row(first).iter().all(|value| *value == T::default());
            match of_zeros.filter(|_| zeros) {
                Some(known) => {
                    let row = out.rb().row(known).to_vec();
                    out.row_mut(first).copy_from_slice(&row);
                }
                None => self.samples(x, first, &mut out, &mut memory, isa)?,
            }
            if zeros {
                of_zeros.get_or_insert(first);
            }
        }
        Ok(())
    }
}

impl<T: Float> NetFeatures<T> {
    /// Maps the samples from row `first` on that go through together.
    fn samples(
        &self,
        x: MatRef<'_, T>,
        first: usize,
        out: &mut MatMut<'_, T>,
        memory: &mut Memory<T>,
        isa: Isa,
    ) -> Result<()> {
        let room = Room::of(self.channels, 0);
        let mut data = memory.zeros(self.together * self.positions * room.width());
        let mut rows = Rows::new(&mut data, room, self.channels, 0);
        let values = (first..first + self.together).flat_map(|i| x.row(i).chunks_exact(self.channels));
        for (i, values) in values.enumerate() {
            rows.row(i).0[..self.channels].copy_from_slice(values);
        }
        let end = stage::run(&self.nodes, Stored { data, phi: self.channels, psi: 0 }, memory, isa)?;
        let width = end.room().width();
        for (i, row) in end.data.chunks_exact(width).enumerate() {
            out.row_mut(first + i).copy_from_slice(&row[..self.options.dim]);
        }
        memory.reuse(end.data);
        Ok(())
    }
}

fn refuse(at: &str, what: &str, hint: &str) -> Error {
    Error::Unsupported { at: at.into(), what: what.into(), hint: hint.into() }
}
