//! What a metric is learned for: candidates, in the order of their errors, and the inputs that each sees.

use crate::error::Result;
use crate::kernel::DenseKernel;
use crate::linalg::MatRef;
use crate::model::candidates::Candidate;
use crate::model::fit::{FitOptions, Solution, solve};
use crate::model::preprocess::Encoding;
use crate::resources::Resources;

/// Rows as an encoding shows them.
#[derive(Clone, Copy)]
pub(in crate::model) struct Input<'a> {
    pub encoding: Encoding,
    /// Preprocessed rows.
    pub x: MatRef<'a, f64>,
    /// Which input each column is of; those of an input stand side by side.
    pub of_columns: &'a [usize],
}

/// All that may be fitted in a metric.
#[derive(Clone, Copy)]
pub(in crate::model) struct Search<'a> {
    pub candidates: &'a [Candidate],
    /// Places in `candidates`, the least leave-one-out error first.
    pub order: &'a [usize],
    /// One for each encoding of the candidates.
    pub inputs: &'a [Input<'a>],
    /// Standardised targets, or one-hot classes.
    pub y: MatRef<'a, f64>,
    /// The class of each row; empty for numbers.
    pub codes: &'a [usize],
    pub options: &'a FitOptions,
}

/// One candidate of a search.
#[derive(Clone, Copy)]
pub(in crate::model) struct Task<'a> {
    pub candidate: &'a Candidate,
    pub input: Input<'a>,
    pub y: MatRef<'a, f64>,
    pub codes: &'a [usize],
    pub options: &'a FitOptions,
}

impl<'a> Search<'a> {
    /// Candidate `place`; `None` where its encoding has no inputs.
    pub fn task(&self, place: usize) -> Option<Task<'a>> {
        let candidate = self.candidates.get(place)?;
        let input = *self.inputs.iter().find(|input| input.encoding == candidate.encoding)?;
        let &Self { y, codes, options, .. } = self;
        Some(Task { candidate, input, y, codes, options })
    }

    /// All candidates with their places, the least leave-one-out error first.
    pub fn tasks(&self) -> impl Iterator<Item = (usize, Task<'a>)> {
        let of = *self;
        self.order.iter().filter_map(move |&place| Some((place, of.task(place)?)))
    }

    pub fn rows(&self) -> usize {
        self.y.rows()
    }
}

impl Task<'_> {
    /// The function that is fitted to inputs `z`, at its best lambda.
    pub fn solve(&self, z: MatRef<'_, f64>, y: MatRef<'_, f64>, resources: &Resources) -> Result<Solution> {
        solve(self.candidate, z, y, self.options, resources)
    }

    pub fn width(&self) -> usize {
        self.input.x.cols()
    }

    /// Refuses a net whose kernel has no gradients here.
    pub fn check_gradients(&self) -> Result<()> {
        DenseKernel::new(&self.candidate.net, self.width())?.check_gradients()
    }
}
