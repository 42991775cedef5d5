//! Towers: maps one after the other, Phi_n(... Phi_1(x)).

use super::count::{Count, Counted, CountedMap};
use super::relu::{ReluOptions, ReluSnnk};
use crate::error::{Error, Result};
use crate::features::{FeatureMap, TILE};
use crate::kernel::Float;
use crate::linalg::{MatMut, MatRef};
use crate::resources::Resources;
use crate::simd::Isa;
use std::sync::Arc;

/// Maps one after the other: the input tower of a bundled network, without anything to learn. Also a dense network,
/// whose maps are layers. A tile goes through all maps before the next one comes, so that nothing between them leaves
/// the cache.
///
/// ```
/// use dualnet::snnk::{ReluOptions, Tower};
/// use dualnet::{Resources, features::FeatureMap};
/// let tower = Tower::<f32>::relu(10, &[64, 32], ReluOptions::default(), &Resources::new(1)?)?;
/// assert_eq!((tower.inputs(), tower.depth(), tower.dim()), (10, 2, 32));
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tower<T> {
    maps: Vec<Arc<dyn CountedMap<T>>>,
    inputs: usize,
    dim: usize,
}

impl<T: Float> Tower<T> {
    /// These maps, the first of the input.
    ///
    /// # Errors
    /// No maps; one whose inputs are not the features of the one before, with its number.
    pub fn new(maps: Vec<Arc<dyn CountedMap<T>>>) -> Result<Self> {
        let (Some(first), Some(last)) = (maps.first(), maps.last()) else {
            return Err(Error::Invalid {
                what: "maps of a tower".into(),
                expected: "at least one".into(),
                found: "0".into(),
                hint: "give a map for each layer with an activation".into(),
            });
        };
        for (k, pair) in maps.windows(2).enumerate() {
            if pair[0].dim() != pair[1].inputs() {
                return Err(Error::Shape {
                    what: format!("inputs of map {} of a tower", k + 1),
                    expected: format!("{}, the features of map {k}", pair[0].dim()),
                    found: pair[1].inputs().to_string(),
                });
            }
        }
        Ok(Self { inputs: first.inputs(), dim: last.dim(), maps })
    }

    /// ReLU maps of these widths, drawn as `options` say with layers counted on from `options.layer`.
    ///
    /// # Errors
    /// No widths, or one of 0; memory.
    pub fn relu(inputs: usize, widths: &[usize], options: ReluOptions, resources: &Resources) -> Result<Self> {
        let mut maps: Vec<Arc<dyn CountedMap<T>>> = Vec::new();
        let mut columns = inputs;
        for (layer, &width) in (options.layer..).zip(widths) {
            maps.push(Arc::new(ReluSnnk::draw(columns, width, ReluOptions { layer, ..options }, resources)?));
            columns = width;
        }
        Self::new(maps)
    }

    /// With one more map on top.
    ///
    /// # Errors
    /// A map whose inputs are not the features of this tower.
    pub fn then(&self, map: Arc<dyn CountedMap<T>>) -> Result<Self> {
        Self::new(self.maps.iter().cloned().chain([map]).collect())
    }

    /// The maps, from the input on.
    pub fn maps(&self) -> &[Arc<dyn CountedMap<T>>] {
        &self.maps
    }
    /// Number of maps.
    pub fn depth(&self) -> usize {
        self.maps.len()
    }

    /// Columns of the widest tile between two maps.
    fn widest(&self) -> usize {
        self.maps[..self.maps.len() - 1].iter().map(|map| map.dim()).max().unwrap_or(0)
    }
}

impl<T: Float> FeatureMap<T> for Tower<T> {
    fn inputs(&self) -> usize {
        self.inputs
    }
    fn dim(&self) -> usize {
        self.dim
    }
    fn scratch(&self) -> usize {
        2 * TILE * self.widest() + self.maps.iter().map(|map| map.scratch()).max().unwrap_or(0)
    }
    fn tile(&self, x: MatRef<'_, T>, mut out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let (from, rest) = scratch.split_at_mut(TILE * self.widest());
        let (to, scratch) = rest.split_at_mut(TILE * self.widest());
        let (mut from, mut to) = (from, to);
        for (k, map) in self.maps.iter().enumerate() {
            let (d, m, last) = (map.inputs(), map.dim(), k + 1 == self.maps.len());
            let input = if k == 0 { x } else { MatRef::new(from, TILE, d, d)? };
            if last {
                let stride = out.stride();
                map.tile(input, MatMut::new(out.data_mut(), TILE, m, stride)?, scratch, isa)?;
            } else {
                map.tile(input, MatMut::new(to, TILE, m, m)?, scratch, isa)?;
                std::mem::swap(&mut from, &mut to);
            }
        }
        Ok(())
    }
}

impl<T: Float> Counted for Tower<T> {
    fn count(&self) -> Count {
        self.maps.iter().map(|map| map.count()).sum()
    }
}
