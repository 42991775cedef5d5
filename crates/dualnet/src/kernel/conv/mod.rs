//! Exact kernels of nets over positions: convolutions, pooling, attention.
//!
//! Behind each layer a pair of images has a covariance for every pair of positions (P, P'). They are kept by circular offset
//! (P' - P) mod (H, W): a convolution shifts both positions alike and so stays in the plane of its offset, an activation takes each entry by
//! itself. Only what changes the number of positions mixes planes. So a plane of H W entries goes through all layers between two such
//! points while it lies in the first-level cache. Which planes are needed follows from the end of the net: one for `flatten`, all for
//! global pooling. docs/conv.md explains the layout with a picture.
//!
//! - `compile`, `program`, `axis`: from the steps of a net to what runs.
//! - `image`, `own`: what is kept of one image, and its variances.
//! - `run`: a pair of images; `convolve`, `pointwise`, `scatter`, `attention`: the layers.
//! - `spatial`: the kernel with all its positions.

mod attention;
mod axis;
mod buffer;
mod bytes;
mod compile;
mod convolve;
mod image;
mod own;
mod planes;
mod pointwise;
mod program;
mod run;
mod scatter;
mod spatial;

use super::{Float, Get, InputShape, Kernel, Region, TileOut};
use crate::dual::Precision;
use crate::error::{Error, Result};
use crate::linalg::MatRef;
use crate::net::Net;
use crate::resources::Resources;
use image::Image;
use program::{Grid, Program};
use rayon::prelude::*;
use run::{Pair, Run, Same};
use std::ops::Range;

pub use run::ConvWorkspace;
pub use spatial::SpatialKernel;

/// Samples along each side of a tile: 64 pairs, a tenth of a second for images of 32 x 32.
const SIDE: usize = 8;

/// The exact NNGP and NTK of a net over positions, for images or sequences of one shape.
///
/// Computing in `f64` agrees with a plain evaluation to 1e-10 of the largest entry (1e-7 where different samples are nearly equal: the
/// angle between them is taken from their covariance), in `f32` to about 1e-5 (2e-4 likewise). K(x, x) and equal samples are exact in this
/// respect.
///
/// Cost: for n images of N positions n^2/2 pairs with N^2 entries a layer (N where the net ends with `flatten` and does not pool), about
/// 45 vector instructions for 16 (f32) or 8 (f64) entries and a convolution with ReLU.
///
/// ```
/// use dualnet::kernel::{ConvKernel, Get, InputShape};
/// use dualnet::{Mat, Resources, gram, net::Net};
/// let net = Net::parse("layers = ['conv', 'relu', 'global_avg_pool', 'dense']")?;
/// let kernel = ConvKernel::new(&net, &InputShape::image(1, 1, 1))?;
/// let x = Mat::from_vec(1, 1, vec![1.0f64])?;
/// let k = gram::symmetric(&kernel, x.as_ref(), Get::Both, &Resources::new(1)?)?;
/// // One position: of the nine weights of a 3 x 3 kernel only the middle one meets anything, w_std^2 = 2.
/// assert!((k.nngp.unwrap()[(0, 0)] - 2.0 / 9.0).abs() < 1e-15);
/// assert!((k.ntk.unwrap()[(0, 0)] - 4.0 / 9.0).abs() < 1e-15);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConvKernel {
    /// For `f32`: expansions are shorter there.
    single: Program,
    /// For `f64`.
    double: Program,
    shape: InputShape,
}

/// Samples prepared for a [`ConvKernel`].
#[derive(Debug)]
pub struct ConvSamples<T> {
    images: Vec<Image<T>>,
}

impl ConvKernel {
    /// Compiles `net` for samples of that shape: images (height, width, channels) or sequences (length, channels).
    ///
    /// # Errors
    /// A net for another number of axes, or for larger images; positions left at the end (see [`ConvKernel::open`]).
    pub fn new(net: &Net, shape: &InputShape) -> Result<Self> {
        if net.output_is_spatial() {
            return Err(Error::Unsupported {
                at: net.last_layer(),
                what: "an output that still has positions".into(),
                hint: "end the net with flatten or global_avg_pool, and dense".into(),
            });
        }
        Self::open(net, shape)
    }

    /// [`ConvKernel::new`] that allows positions at the end, for [`ConvKernel::spatial`] alone.
    pub fn open(net: &Net, shape: &InputShape) -> Result<Self> {
        let axes = shape.positions.len();
        let fits = (1..=2).contains(&axes) && net.axes().is_none_or(|n| n == axes);
        if !fits || shape.width() == 0 || shape.width() > u32::MAX as usize {
            return Err(Error::Shape {
                what: "samples of a net over positions".into(),
                expected: match net.axes() {
                    Some(1) => "sequences: (length, channels), neither of them 0".into(),
                    Some(_) => "images: (height, width, channels), none of them 0".into(),
                    None => "sequences or images without an axis of length 0".into(),
                },
                found: format!("samples of shape {shape}"),
            });
        }
        net.output_positions(&shape.positions)?;
        let ops = net.ops(shape.channels)?;
        let grid = Grid { rows: shape.positions[0], cols: shape.positions.get(1).copied().unwrap_or(1) };
        let program = |precision| compile::compile(&ops, grid, shape.channels, precision);
        Ok(Self { single: program(Precision::F32)?, double: program(Precision::F64)?, shape: shape.clone() })
    }

    /// What one sample looks like.
    pub fn shape(&self) -> &InputShape {
        &self.shape
    }

    fn program<T: Float>(&self) -> &Program {
        match T::PRECISION {
            Precision::F32 => &self.single,
            Precision::F64 => &self.double,
        }
    }

    /// An image with its tables, computed in `f64`; `row` and `what` name it in errors.
    fn image(
        &self,
        program: &Program,
        values: impl Iterator<Item = f64>,
        (row, what): (usize, &str),
        resources: &Resources,
    ) -> Result<Image<f64>> {
        let mut image = Image::new(program, values);
        let mut ws = ConvWorkspace::new(program, Get::Nngp);
        let run = Run { program, isa: resources.isa };
        run.run(&program.own, &mut Pair::Record(&mut image, (row, what)), &mut ws)?;
        Ok(image)
    }
}

impl<T: Float> Kernel<T> for ConvKernel {
    type Samples = ConvSamples<T>;
    type Workspace = ConvWorkspace<T>;

    fn side(&self) -> usize {
        SIDE
    }

    fn prepare(&self, x: MatRef<'_, T>, what: &str, resources: &Resources) -> Result<ConvSamples<T>> {
        if x.cols() != self.shape.width() {
            return Err(Error::Shape {
                what: what.into(),
                expected: format!("{} values a sample ({})", self.shape.width(), self.shape),
                found: format!("{} values", x.cols()),
            });
        }
        x.check_finite(what)?;
        let program = self.program::<T>();
        let needed = bytes::samples::<T>(program, x.rows());
        resources.reserve(
            &format!("{} images with their tables", x.rows()),
            needed,
            "raise --memory, or take fewer",
        )?;
        let one = |row: usize| {
            resources.check("reading the images")?;
            let image = self.image(program, x.row(row).iter().map(|v| v.to_f64()), (row, what), resources)?;
            let image = image.cast::<T>();
            if image.tables.iter().any(|table| table.iter().any(|v| v.to_f64().is_nan())) {
                return Err(out_of_range::<T>(what, row));
            }
            Ok(image)
        };
        let images = resources.install(|| (0..x.rows()).into_par_iter().map(one).collect::<Result<Vec<_>>>())?;
        Ok(ConvSamples { images })
    }

    fn len(&self, samples: &ConvSamples<T>) -> usize {
        samples.images.len()
    }

    fn own(&self, samples: &ConvSamples<T>, range: Range<usize>, resources: &Resources) -> Result<Vec<(f64, f64)>> {
        let (program, stride) = (&self.double, self.double.grid.stride());
        let one = |row: usize| {
            let channels = &samples.images[row].channels;
            let entry = |k: usize| channels[k % program.channels * stride + k / program.channels].to_f64();
            let values = (0..self.shape.width()).map(entry);
            let image = self.image(program, values, (row, "the samples"), resources)?;
            let mut ws = ConvWorkspace::new(program, Get::Both);
            let run = Run { program, isa: resources.isa };
            let end = run.run(&program.pair, &mut Pair::Of(&image, &image, Same::Yes), &mut ws)?;
            Ok((end.scale * end.c[0], end.scale * end.t[0]))
        };
        range.map(one).collect()
    }

    fn workspace(&self, get: Get) -> ConvWorkspace<T> {
        ConvWorkspace::new(self.program::<T>(), get)
    }

    fn workspace_bytes(&self, get: Get) -> u64 {
        bytes::workspace::<T>(self.program::<T>(), get)
    }

    fn samples_bytes(&self, n: usize) -> u64 {
        bytes::samples::<T>(self.program::<T>(), n)
    }

    fn tile(
        &self,
        workspace: &mut ConvWorkspace<T>,
        rows: (&ConvSamples<T>, usize),
        cols: (&ConvSamples<T>, usize),
        out: TileOut<'_, T>,
        resources: &Resources,
    ) -> Result<()> {
        let program = self.program::<T>();
        let run = Run { program, isa: resources.isa };
        let images = |of: (&ConvSamples<T>, usize)| of.1 * SIDE..of.0.images.len().min((of.1 + 1) * SIDE);
        for (r, i) in images(rows).enumerate() {
            resources.check("a tile of the kernel")?;
            for (s, j) in images(cols).enumerate() {
                let at = r * SIDE + s;
                let (nngp, ntk) = match (out.region, r.cmp(&s)) {
                    (Region::Upper, std::cmp::Ordering::Greater) => continue,
                    (Region::Upper, std::cmp::Ordering::Equal) => {
                        let own = self.own(rows.0, i..i + 1, resources)?;
                        own.first().map_or((T::default(), T::default()), |(c, t)| (T::from_f64(*c), T::from_f64(*t)))
                    }
                    _ => {
                        let mut pair = Pair::between(program, &rows.0.images[i], &cols.0.images[j]);
                        let end = run.run(&program.pair, &mut pair, workspace)?;
                        let value = |v: &[T]| v.first().map_or(T::default(), |v| T::from_f64(end.scale * v.to_f64()));
                        let values = (value(&end.c), value(&end.t));
                        workspace.take_back(end);
                        values
                    }
                };
                out.nngp[at] = nngp;
                if let Some(t) = out.ntk.get_mut(at) {
                    *t = ntk;
                }
            }
        }
        Ok(())
    }
}

fn out_of_range<T: Float>(what: &str, row: usize) -> Error {
    Error::Overflow {
        at: what.into(),
        what: "a variance".into(),
        precision: T::NAME,
        row,
        column: row,
        hint: "scale the images, or compute in f64".into(),
    }
}
