//! Minimisation by L-BFGS with the line search of More and Thuente, as `argmin` has them; nothing of it shows outside.
//!
//! The library asks for values and gradients apart and forgets where it was when a line search fails. What is minimised therefore
//! keeps its last evaluation, and the best point it has seen.

use crate::error::{Error, Result};
use crate::resources::Resources;
use argmin::core::{CostFunction, Error as Foreign, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use argmin_math::{
    ArgminAdd, ArgminDot, ArgminL1Norm, ArgminL2Norm, ArgminMinMax, ArgminMul, ArgminScaledAdd, ArgminSignum,
    ArgminSub, ArgminZeroLike,
};
use std::sync::{Mutex, PoisonError};

/// Pairs of steps and changes of gradient that are kept.
const MEMORY: usize = 20;

/// Evaluations without a better point after which nothing better is to be expected: the last digits decide, and a line search
/// may go on in them for ever.
const PATIENCE: u64 = 40;

/// A smooth function.
pub(super) trait Smooth: Sync {
    /// Value and gradient.
    fn evaluate(&self, at: &[f64]) -> Result<(f64, Vec<f64>)>;
}

/// Where a minimisation ended.
#[derive(Clone, Debug)]
pub(super) struct Minimum {
    pub(super) at: Vec<f64>,
    pub(super) value: f64,
    pub(super) gradient: Vec<f64>,
    pub(super) evaluations: u64,
}

impl Minimum {
    /// Largest entry of the gradient.
    pub(super) fn residual(&self) -> f64 {
        self.gradient.iter().fold(0.0, |most, g| g.abs().max(most))
    }
}

/// Minimises from `start` until no entry of the gradient exceeds `tolerance`, or no step is left that lowers the value, or after
/// `steps` steps.
pub(super) fn minimise(
    f: &dyn Smooth,
    start: Vec<f64>,
    tolerance: f64,
    steps: u64,
    resources: &Resources,
) -> Result<Minimum> {
    let (value, gradient) = f.evaluate(&start)?;
    let first = Minimum { at: start, value, gradient, evaluations: 1 };
    let begin = (first.at.clone(), first.value, first.gradient.clone());
    let watched = Watched {
        f,
        resources,
        tolerance,
        seen: Mutex::new(Seen { last: first.clone(), best: first, waited: 0, error: None }),
    };
    let search = MoreThuenteLineSearch::new().with_c(1e-4, 0.9).map_err(refused)?;
    let solver = LBFGS::new(search, MEMORY).with_tolerance_grad(0.0).map_err(refused)?;
    let solver = solver.with_tolerance_cost(0.0).map_err(refused)?;
    if watched.residual() > tolerance && steps > 0 {
        // It ends by the error that `Watched` gives once the gradient is small: the outcome stands in `seen`.
        let run = Executor::new(&watched, solver)
            .configure(|state| state.param(Vector(begin.0)).cost(begin.1).gradient(Vector(begin.2)).max_iters(steps))
            .timer(false)
            .run();
        drop(run.map(|outcome| outcome.state().get_iter()));
    }
    let seen = watched.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    match seen.error {
        Some(error) => Err(error),
        None => Ok(Minimum { evaluations: seen.last.evaluations, ..seen.best }),
    }
}

fn refused(error: Foreign) -> Error {
    Error::Invalid {
        what: "minimiser".into(),
        expected: "parameters it accepts".into(),
        found: error.to_string(),
        hint: "report this".into(),
    }
}

/// A function that is being minimised, and what it has seen.
struct Watched<'a> {
    f: &'a dyn Smooth,
    resources: &'a Resources,
    tolerance: f64,
    seen: Mutex<Seen>,
}

struct Seen {
    last: Minimum,
    best: Minimum,
    /// Questions since the best point was found.
    waited: u64,
    error: Option<Error>,
}

impl Watched<'_> {
    fn residual(&self) -> f64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).best.residual()
    }

    /// The evaluation at `at`, which may be the last one.
    fn evaluated(&self, at: &Vector) -> std::result::Result<Minimum, Foreign> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.waited += 1;
        if seen.error.is_some() || seen.best.residual() <= self.tolerance || seen.waited > 2 * PATIENCE {
            return Err(Foreign::msg("done"));
        }
        if seen.last.at == at.0 {
            return Ok(seen.last.clone());
        }
        let evaluation = self.resources.check("minimisation").and_then(|()| self.f.evaluate(&at.0));
        match evaluation {
            Ok((value, gradient)) => {
                let evaluations = seen.last.evaluations + 1;
                seen.last = Minimum { at: at.0.clone(), value, gradient, evaluations };
                let (new, best) = (&seen.last, &seen.best);
                // Near the end values agree to the last bit, and the gradient tells.
                if new.value < best.value || (new.value == best.value && new.residual() < best.residual()) {
                    seen.best = seen.last.clone();
                    seen.waited = 0;
                }
                Ok(seen.last.clone())
            }
            Err(error) => {
                seen.error = Some(error);
                Err(Foreign::msg("failed"))
            }
        }
    }
}

impl CostFunction for &Watched<'_> {
    type Param = Vector;
    type Output = f64;
    fn cost(&self, at: &Vector) -> std::result::Result<f64, Foreign> {
        Ok(self.evaluated(at)?.value)
    }
}

impl Gradient for &Watched<'_> {
    type Param = Vector;
    type Gradient = Vector;
    fn gradient(&self, at: &Vector) -> std::result::Result<Vector, Foreign> {
        Ok(Vector(self.evaluated(at)?.gradient))
    }
}

/// What the library does vector arithmetic on.
#[derive(Clone, Debug)]
struct Vector(Vec<f64>);

impl Vector {
    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().map(|x| f(*x)).collect())
    }
    fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(x, y)| f(*x, *y)).collect())
    }
}

impl ArgminAdd<Vector, Vector> for Vector {
    fn add(&self, other: &Vector) -> Vector {
        self.zip(other, |x, y| x + y)
    }
}
impl ArgminAdd<f64, Vector> for Vector {
    fn add(&self, other: &f64) -> Vector {
        self.map(|x| x + other)
    }
}
impl ArgminSub<Vector, Vector> for Vector {
    fn sub(&self, other: &Vector) -> Vector {
        self.zip(other, |x, y| x - y)
    }
}
impl ArgminSub<f64, Vector> for Vector {
    fn sub(&self, other: &f64) -> Vector {
        self.map(|x| x - other)
    }
}
impl ArgminMul<f64, Vector> for Vector {
    fn mul(&self, other: &f64) -> Vector {
        self.map(|x| x * other)
    }
}
impl ArgminMul<Vector, Vector> for Vector {
    fn mul(&self, other: &Vector) -> Vector {
        self.zip(other, |x, y| x * y)
    }
}
impl ArgminDot<Vector, f64> for Vector {
    fn dot(&self, other: &Vector) -> f64 {
        crate::linalg::dot(&self.0, &other.0)
    }
}
impl ArgminScaledAdd<Vector, f64, Vector> for Vector {
    fn scaled_add(&self, factor: &f64, other: &Vector) -> Vector {
        self.zip(other, |x, y| x + factor * y)
    }
}
impl ArgminL1Norm<f64> for Vector {
    fn l1_norm(&self) -> f64 {
        self.0.iter().map(|x| x.abs()).sum()
    }
}
impl ArgminL2Norm<f64> for Vector {
    fn l2_norm(&self) -> f64 {
        self.dot(self).sqrt()
    }
}
impl ArgminSignum for Vector {
    fn signum(self) -> Self {
        self.map(f64::signum)
    }
}
impl ArgminZeroLike for Vector {
    fn zero_like(&self) -> Self {
        self.map(|_| 0.0)
    }
}
impl ArgminMinMax for Vector {
    fn min(x: &Self, y: &Self) -> Self {
        x.zip(y, f64::min)
    }
    fn max(x: &Self, y: &Self) -> Self {
        x.zip(y, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quartic valley with its minimum at (1, 1).
    struct Rosenbrock;

    impl Smooth for Rosenbrock {
        fn evaluate(&self, at: &[f64]) -> Result<(f64, Vec<f64>)> {
            let (x, y) = (at[0], at[1]);
            let (a, b) = (1.0 - x, y - x * x);
            Ok((a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x * b, 200.0 * b]))
        }
    }

    #[test]
    fn finds_the_end_of_a_curved_valley() -> Result<()> {
        let resources = Resources::new(1)?;
        let found = minimise(&Rosenbrock, vec![-1.2, 1.0], 1e-9, 200, &resources)?;
        assert!((found.at[0] - 1.0).abs() < 1e-8 && (found.at[1] - 1.0).abs() < 1e-8, "{found:?}");
        assert!(found.residual() <= 1e-9 && found.evaluations < 80);
        let there = minimise(&Rosenbrock, vec![1.0, 1.0], 1e-9, 200, &resources)?;
        assert_eq!(there.evaluations, 1);
        Ok(())
    }
}
