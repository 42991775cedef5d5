//! The best lambda between those of a path.

use super::dual::{DualPath, internal};
use super::path::PathPoint;
use crate::error::{Error, Result};
use crate::resources::Resources;

impl DualPath {
    /// Lambda nearest the least leave-one-out error: golden section over log lambda between the neighbours of the best
    /// point of the path, `steps` evaluations (6 to 12 are plenty: the error is flat there).
    pub fn refine(&self, points: &[PathPoint], steps: usize, resources: &Resources) -> Result<PathPoint> {
        let Some(at) = super::path::best(points) else { return Err(internal("a path without points")) };
        let mut found = points[at].clone();
        let neighbour = |cmp: fn(f64, f64) -> bool| {
            let others = points.iter().map(|p| p.lambda).filter(|&l| l > 0.0 && cmp(l, points[at].lambda));
            others.min_by(|a, b| (a / points[at].lambda).ln().abs().total_cmp(&(b / points[at].lambda).ln().abs()))
        };
        let (Some(low), Some(high)) = (neighbour(|l, b| l < b), neighbour(|l, b| l > b)) else { return Ok(found) };
        let (mut low, mut high) = (low.ln(), high.ln());
        let ratio = (5f64.sqrt() - 1.0) / 2.0;
        let at = |x: f64| Ok::<_, Error>(self.evaluate(&[x.exp()], resources)?.swap_remove(0));
        let (mut x, mut y) = (high - ratio * (high - low), low + ratio * (high - low));
        let (mut fx, mut fy) = (at(x)?, at(y)?);
        for _ in 2..steps.max(2) {
            if fx.mse < fy.mse {
                (high, y, fy) = (y, x, fx);
                x = high - ratio * (high - low);
                fx = at(x)?;
            } else {
                (low, x, fx) = (x, y, fy);
                y = low + ratio * (high - low);
                fy = at(y)?;
            }
        }
        for candidate in [fx, fy] {
            if candidate.jitter.is_none() && candidate.mse < found.mse {
                found = candidate;
            }
        }
        Ok(found)
    }
}
