//! Steps at each position alone.

use super::chain::Chain;
use super::{Compiler, together, unsupported};
use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::features::HermiteSeries;
use crate::features::net::activate::{Activate, Counts, padded};
use crate::features::net::product::Product;
use crate::features::net::series_table::SeriesTable;
use crate::features::net::size::parts;
use crate::features::net::sketch::{Sketched, Sketching};
use crate::features::net::stage::{Combine, Local};
use crate::features::net::weights::Weights;
use crate::features::net::{Rest, refuse};
use crate::kernel::Float;
use crate::net::{DualChoice, Op};
use std::sync::Arc;

/// Where a local step is compiled.
struct Place<'a> {
    weights: &'a mut Weights,
    peak: &'a mut (usize, usize),
    activations: &'a mut usize,
    variance: &'a mut f64,
}

impl Place<'_> {
    fn note(&mut self) {
        self.peak.0 = self.peak.0.max(self.weights.u.len());
        self.peak.1 = self.peak.1.max(self.weights.w.len());
    }
}

impl Compiler<'_> {
    fn affine_weights(&self, weights: &mut Weights, w2: f64, b2: f64, tangent: &crate::net::Tangent) -> bool {
        let appended = weights.affine(w2, b2, tangent);
        if !self.tangent() {
            weights.v.fill(0.0);
        }
        appended
    }

    pub(super) fn local_of_chain<T: Float>(&mut self, chain: &mut Chain<T>, op: &Op) -> Result<()> {
        let mut place = Place {
            weights: &mut chain.weights,
            peak: &mut chain.peak,
            activations: &mut chain.activations,
            variance: &mut chain.variance,
        };
        let steps = self.local(op, &mut place, chain.unit)?;
        chain.local.extend(steps);
        Ok(())
    }

    fn local<T: Float>(&mut self, op: &Op, place: &mut Place<'_>, unit: usize) -> Result<Vec<Local<T>>> {
        let step = match op {
            Op::Affine { w2, b2, tangent } => {
                *place.variance = w2 * *place.variance + b2;
                match self.affine_weights(place.weights, *w2, *b2, tangent) {
                    true => Local::Ones,
                    false => return Ok(Vec::new()),
                }
            }
            Op::Activation { activation: Activation::Identity, .. } => return Ok(Vec::new()),
            Op::Activation { activation, choice, at } => {
                *place.activations += 1;
                let tangent = if self.tangent() && activation.is_continuous() { unit * *place.activations } else { 0 };
                match self.options.rest {
                    Rest::Random => self.random(activation, at, Counts { rest: unit, tangent }, place)?,
                    Rest::Sketch { degree } => {
                        let series = self.series(activation, *choice, at, degree, *place.variance)?;
                        self.degrees.push((at.clone(), series.series().degree()));
                        let (layer, variance, dim) = (self.next_layer(), *place.variance, self.options.dim);
                        *place.variance = series.series().variance(variance);
                        let how = Sketching { activation, series, at, layer, variance, rest: unit, tangent, dim };
                        Local::Sketch(Box::new(Sketched::draw(&how, place.weights, self.resources)?))
                    }
                }
            }
            Op::LayerNorm { eps } => {
                *place.variance = 1.0;
                Local::Normalise { nngp: padded(place.weights.u.iter().copied()), eps: *eps }
            }
            Op::Sum(_) | Op::Concat(_) | Op::Product(_) => {
                let (shares, branches) = parts(op);
                let (mut all, mut steps, mut variances) = (Vec::new(), Vec::new(), Vec::new());
                let first = *place.activations;
                for (share, ops) in shares.iter().zip(branches) {
                    let (mut weights, mut activations, mut variance) = (place.weights.clone(), first, *place.variance);
                    let mut inner = Place {
                        weights: &mut weights,
                        peak: &mut *place.peak,
                        activations: &mut activations,
                        variance: &mut variance,
                    };
                    let mut branch = Vec::new();
                    for op in ops {
                        branch.extend(self.local(op, &mut inner, unit)?);
                    }
                    steps.push(branch);
                    *place.activations = (*place.activations).max(activations);
                    weights.scale(*share);
                    all.push(weights);
                    variances.push(variance);
                }
                *place.variance = together(op, &shares, &variances);
                let (combine, weights) = self.combine(op, &all, unit)?;
                *place.weights = weights;
                Local::Join { branches: steps, combine }
            }
            other => return Err(unsupported(other)),
        };
        place.note();
        Ok(vec![step])
    }

    /// Random features of what degrees 0 and 1 leave of an activation.
    fn random<T: Float>(
        &mut self,
        activation: &Activation,
        at: &str,
        counts: Counts,
        place: &mut Place<'_>,
    ) -> Result<Local<T>> {
        if activation.phi(0.0f64).is_none() {
            let hint = "take a sketch, nystrom or rpcholesky, or an activation with a formula";
            return Err(refuse(at, "a kernel without an activation function has no random features", hint));
        }
        let drawn = (self.options.projection, self.next_layer());
        let step = Activate::draw(activation, counts, drawn, place.weights, self.resources)?;
        Ok(Local::Activate(Box::new(step)))
    }

    /// The series of an activation, and the degree that was asked for or that suffices at the variance expected.
    fn series(
        &mut self,
        activation: &Activation,
        choice: DualChoice,
        at: &str,
        degree: Option<usize>,
        variance: f64,
    ) -> Result<Arc<SeriesTable>> {
        let named = |error: Error| match error {
            Error::Invalid { what, expected, found, hint } => {
                Error::Invalid { what: format!("{at}: {what}"), expected, found, hint }
            }
            other => other,
        };
        let degree = match degree {
            Some(degree) => degree,
            None => HermiteSeries::chosen_degree(activation, choice, variance).map_err(named)?,
        };
        let known =
            self.series.iter().find(|(a, c, table)| (a, *c, table.series().degree()) == (activation, choice, degree));
        if let Some((.., table)) = known {
            return Ok(table.clone());
        }
        let table = Arc::new(SeriesTable::new(HermiteSeries::new(activation, choice, degree).map_err(named)?));
        self.series.push((activation.clone(), choice, table.clone()));
        Ok(table)
    }

    /// What becomes of branches with these weights, and the weights behind them.
    pub(super) fn combine<T: Float>(
        &mut self,
        op: &Op,
        branches: &[Weights],
        unit: usize,
    ) -> Result<(Combine<T>, Weights)> {
        if !matches!(op, Op::Product(_)) || branches.len() < 2 {
            let mut joined = Weights::default();
            branches.iter().for_each(|weights| joined.append(weights));
            return Ok((Combine::Beside, joined));
        }
        let counts = (unit, if self.tangent() { unit } else { 0 });
        let resources = self.resources;
        let (product, weights) = Product::draw(branches, counts, &mut || self.next_layer(), resources)?;
        Ok((Combine::Product(Box::new(product)), weights))
    }
}
