//! The iteration itself: landmarks, preconditioner, kernel matrix, path of lambdas.

use super::options::{KernelTiles, PcgOptions, PcgPlan};
use crate::error::Result;
use crate::features::landmarks::{LandmarkMethod, Landmarks};
use crate::kernel::{DenseKernel, Float, Kernel};
use crate::linalg::Mat;
use crate::model::candidates::Candidate;
use crate::model::features::FeaturePrecision;
use crate::model::invalid;
use crate::resources::Resources;
use crate::ridge::iterative::{
    IterativeFit, IterativeOptions, KeptTriangle, KernelOperator, NystromPreconditioner, OnTheFly, Plain,
    Preconditioner, fit,
};

/// What is solved.
pub(super) struct Task<'a> {
    pub candidate: &'a Candidate,
    /// Preprocessed rows.
    pub x: &'a Mat<f64>,
    /// Targets in their units.
    pub y: &'a Mat<f64>,
    /// Rows held out.
    pub held: &'a [usize],
    pub plan: &'a PcgPlan,
}

/// What came of it.
pub(super) struct Solved {
    pub fit: IterativeFit,
    /// Columns of the preconditioner; 0: there was none.
    pub rank: usize,
}

impl Task<'_> {
    /// Falling `lambdas`, chosen by the rows held out, and the fit to all rows.
    pub fn solve(&self, lambdas: &[f64], options: &PcgOptions, resources: &Resources) -> Result<Solved> {
        match self.plan.precision {
            FeaturePrecision::F32 => self.run::<f32>(lambdas, options, resources),
            FeaturePrecision::F64 => self.run::<f64>(lambdas, options, resources),
        }
    }

    fn run<T: Float>(&self, lambdas: &[f64], options: &PcgOptions, resources: &Resources) -> Result<Solved> {
        let kernel = DenseKernel::new(&self.candidate.net, self.x.cols())?;
        let get = self.candidate.kernel.get();
        let x = self.x.as_ref().cast::<T>();
        let samples = kernel.prepare(x.as_ref(), "training rows", resources)?;
        let own = kernel.own(&samples, 0..x.rows(), resources)?;
        let unit = own.into_iter().map(|pair| self.candidate.kernel.of(pair)).sum::<f64>() / x.rows() as f64;
        // Every lambda sets its own shift; the first is that of the largest.
        let shift = lambdas.first().map_or(unit, |lambda| lambda * unit);
        let (mut preconditioner, rank) = self.preconditioner(&kernel, &x, shift, resources)?;
        drop(x);
        let mut solve = |operator: &dyn KernelOperator| {
            let told = IterativeOptions {
                lambdas: lambdas.to_vec(),
                tolerance: options.tolerance,
                early_stop: options.early_stop,
                gain: options.gain,
                holdout: self.held.to_vec(),
                ..IterativeOptions::default()
            };
            fit(operator, self.y.as_ref(), preconditioner.as_mut(), &told, resources)
        };
        let fit = match self.plan.tiles {
            KernelTiles::Kept => solve(&KeptTriangle::new(&kernel, &samples, get, resources)?)?,
            KernelTiles::Computed => solve(&OnTheFly::new(&kernel, &samples, get, resources)?)?,
        };
        Ok(Solved { fit, rank })
    }

    /// Of the columns of landmarks; none where the kernel has nothing but zeros, which the iteration will refuse.
    fn preconditioner<T: Float>(
        &self,
        kernel: &DenseKernel,
        x: &Mat<T>,
        shift: f64,
        resources: &Resources,
    ) -> Result<(Box<dyn Preconditioner>, usize)> {
        let (kind, method) = (self.candidate.kernel, LandmarkMethod::rp_cholesky());
        let chosen = Landmarks::choose(kernel, x.as_ref(), kind, self.plan.landmarks, method, resources)?;
        let nothing = || invalid("the landmarks", "their decomposition", "none", "report this as a defect");
        let factor = chosen.into_partial().ok_or_else(nothing)?.into_factor();
        if factor.cols() == 0 {
            return Ok((Box::new(Plain), 0));
        }
        let rank = factor.cols();
        Ok((Box::new(NystromPreconditioner::from_factor(factor.as_ref(), shift, resources)?), rank))
    }
}
