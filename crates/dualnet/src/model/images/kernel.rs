//! The kernel of a net on images, with the symmetry asked for.

use super::source::GramSource;
use super::{Augment, ImageOptions};
use crate::error::Result;
use crate::gram::{self, Grid, Job, Part, Plan};
use crate::kernel::{FlipKernel, Get, Grams, InputShape, Kernel, NetKernel};
use crate::linalg::{Mat, MatRef};
use crate::model::KernelKind;
use crate::net::Net;
use crate::resources::Resources;
use std::ops::Range;

/// New images at a time: bounds the memory of the kernel between them and the training images.
pub(super) const BATCH: usize = 512;

/// Compiled for one shape.
#[derive(Clone, Debug)]
pub(super) enum ImageKernel {
    Plain(NetKernel),
    Flip(FlipKernel<NetKernel>),
}

impl ImageKernel {
    pub fn new(net: &Net, shape: &InputShape, augment: Augment) -> Result<Self> {
        let kernel = NetKernel::new(net, shape)?;
        Ok(match augment {
            Augment::None => Self::Plain(kernel),
            Augment::Flip => Self::Flip(FlipKernel::new(kernel, shape)?),
        })
    }

    /// The matrices of the training images, by whoever computes them.
    pub fn train<S: GramSource>(
        &self,
        source: &mut S,
        options: &ImageOptions,
        x: MatRef<'_, f32>,
        get: Get,
        resources: &Resources,
    ) -> Result<Grams<f32>> {
        let description = options.description();
        match self {
            Self::Plain(kernel) => source.symmetric(kernel, &description, x, get, resources),
            Self::Flip(kernel) => source.symmetric(kernel, &description, x, get, resources),
        }
    }

    /// Calls `each` with some rows of `new` at a time and their kernel with those of `training`.
    pub fn cross(
        &self,
        new: MatRef<'_, f32>,
        training: MatRef<'_, f32>,
        kind: KernelKind,
        resources: &Resources,
        each: impl FnMut(Range<usize>, Mat<f64>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Plain(kernel) => cross(kernel, new, training, kind, resources, each),
            Self::Flip(kernel) => cross(kernel, new, training, kind, resources, each),
        }
    }

    /// The tiles of the kernel matrices of `n` training images.
    pub fn job(&self, n: usize, get: Get) -> Job {
        let side = match self {
            Self::Plain(kernel) => Kernel::<f32>::side(kernel),
            Self::Flip(kernel) => Kernel::<f32>::side(kernel),
        };
        Job { grid: Grid::symmetric(n, side), get, part: Part::WHOLE }
    }

    /// Bytes that they take on `threads` threads.
    pub fn plan(&self, n: usize, get: Get, threads: usize) -> Plan {
        match self {
            Self::Plain(kernel) => self.job(n, get).plan::<f32, _>(kernel, threads),
            Self::Flip(kernel) => self.job(n, get).plan::<f32, _>(kernel, threads),
        }
    }
}

fn cross<K: Kernel<f32>>(
    kernel: &K,
    new: MatRef<'_, f32>,
    training: MatRef<'_, f32>,
    kind: KernelKind,
    resources: &Resources,
    mut each: impl FnMut(Range<usize>, Mat<f64>) -> Result<()>,
) -> Result<()> {
    let (m, n) = (new.rows(), training.rows());
    // In f32 as computed, in f64 as used.
    let needed = (m.min(BATCH) as u64).saturating_mul(n as u64).saturating_mul(12);
    resources.reserve("the kernel of new images", needed, "raise --memory")?;
    let trained = kernel.prepare(training, "training images", resources)?;
    for start in (0..m).step_by(BATCH) {
        let end = m.min(start + BATCH);
        if m > BATCH {
            resources.progress.update("predicting", start as u64, m as u64);
        }
        let part = kernel.prepare(new.block(start..end, 0..new.cols())?, "new images", resources)?;
        let part = gram::cross_prepared(kernel, &part, &trained, kind.get(), resources)?;
        each(start..end, kind.matrix(part)?.as_ref().cast())?;
    }
    resources.progress.update("predicting", m as u64, m as u64);
    Ok(())
}
