//! What depends on one sample alone: its packed row, its variances at every stage, the constants of its duals, and its
//! kernel with itself.

use super::program::{Join, Node, Program};
use crate::dual::DynDual;
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::kernel::TILE;
use crate::linalg::MatRef;
use crate::resources::Resources;

use rayon::prelude::*;

/// Rows are padded to a multiple of this many columns, the widest register of `f32`.
pub const PAD: usize = 16;

/// Variances at one stage, padded with zeros to whole tiles.
#[derive(Clone, Debug)]
pub struct Stage<T> {
    /// Variances.
    pub p: Vec<T>,
    /// Standard deviations.
    pub sp: Vec<T>,
}

/// Samples prepared for a [`DenseKernel`](super::DenseKernel).
#[derive(Clone, Debug)]
pub struct DenseSamples<T> {
    /// Number of samples.
    pub len: usize,
    /// Columns of the input.
    pub width: usize,
    /// `width` rounded up to a multiple of [`PAD`].
    pub padded_width: usize,
    /// The rows, padded with zeros to `padded_width` columns and to whole tiles.
    pub x: Vec<T>,
    /// The same by columns, tile by tile: entry k of sample j of tile b at `(b * width + k) * TILE + j`.
    pub columns: Vec<T>,
    /// 1 / |x|, 0 where x = 0.
    pub inverse_norm: Vec<T>,
    /// One a stage.
    pub stages: Vec<Stage<T>>,
    /// One a layer with constants: constant i of sample j of tile b at `(b * len + i) * TILE + j`.
    pub tables: Vec<Vec<T>>,
    /// NNGP of each sample with itself.
    pub nngp: Vec<f64>,
    /// NTK of each sample with itself.
    pub ntk: Vec<f64>,
}

/// Variance and tangent kernel of every sample with itself at some stage, in `f64`.
#[derive(Clone)]
struct Own {
    p: Vec<f64>,
    t: Vec<f64>,
}

/// Reads `x` and follows every sample through the net.
pub fn prepare<T: Float>(
    program: &Program,
    width: usize,
    x: MatRef<'_, T>,
    what: &str,
    resources: &Resources,
) -> Result<DenseSamples<T>> {
    if x.cols() != width {
        return Err(Error::Shape {
            what: what.into(),
            expected: format!("{width} columns"),
            found: format!("{} columns", x.cols()),
        });
    }
    x.check_finite(what)?;
    let (len, padded_width) = (x.rows(), width.next_multiple_of(PAD));
    let padded = len.next_multiple_of(TILE);
    let mut packed = vec![T::default(); padded * padded_width];
    let mut columns = vec![T::default(); padded * width];
    let mut squares = vec![0.0; len];
    let tiles = (
        packed.par_chunks_exact_mut(TILE * padded_width),
        columns.par_chunks_exact_mut(TILE * width),
        squares.par_chunks_mut(TILE),
    );
    resources.install(|| {
        tiles.into_par_iter().enumerate().for_each(|(tile, (packed, columns, squares))| {
            for (j, square) in squares.iter_mut().enumerate() {
                let row = x.row(tile * TILE + j);
                packed[j * padded_width..][..width].copy_from_slice(row);
                row.iter().enumerate().for_each(|(k, &v)| columns[k * TILE + j] = v);
                *square = row.iter().map(|v| v.to_f64() * v.to_f64()).sum();
            }
        });
    });
    let inverse = |&s: &f64| T::from_f64(if s > 0.0 { 1.0 / s.sqrt() } else { 0.0 });
    let mut inverse_norm: Vec<T> = squares.iter().map(inverse).collect();
    inverse_norm.resize(padded, T::default());

    let mut walk = Walk { stages: Vec::new(), tables: Vec::new(), what };
    walk.stages.resize_with(program.stages, || Stage { p: Vec::new(), sp: Vec::new() });
    walk.tables.resize_with(program.tables, Vec::new);
    let input = Own { p: squares.iter().map(|s| s / width as f64).collect(), t: vec![0.0; len] };
    walk.enter(0, &input, "the input")?;
    let own = resources.install(|| walk.chain(&program.nodes, input))?;
    Ok(DenseSamples {
        len,
        width,
        padded_width,
        x: packed,
        columns,
        inverse_norm,
        stages: walk.stages,
        tables: walk.tables,
        nngp: own.p,
        ntk: own.t,
    })
}

struct Walk<'a, T> {
    stages: Vec<Stage<T>>,
    tables: Vec<Vec<T>>,
    what: &'a str,
}

impl<T: Float> Walk<'_, T> {
    /// Records the variances of a stage, or says which sample is out of range behind which layer.
    fn enter(&mut self, stage: usize, own: &Own, layer: &str) -> Result<()> {
        let in_range = |v: f64| v.is_finite() && T::from_f64(v).to_f64().is_finite();
        if let Some(row) = (0..own.p.len()).find(|&i| !in_range(own.p[i]) || !in_range(own.t[i])) {
            return Err(Error::Overflow {
                at: format!("{} of {}", layer, self.what),
                what: "the variance".into(),
                precision: T::NAME,
                row,
                column: row,
                hint: "scale the input down, or use an activation that does not grow as fast".into(),
            });
        }
        let padded = own.p.len().next_multiple_of(TILE);
        let fill = |f: fn(f64) -> f64| {
            let mut v: Vec<T> = own.p.iter().map(|&p| T::from_f64(f(p))).collect();
            v.resize(padded, T::default());
            v
        };
        self.stages[stage] = Stage { p: fill(|p| p), sp: fill(f64::sqrt) };
        Ok(())
    }

    fn chain(&mut self, nodes: &[Node], mut own: Own) -> Result<Own> {
        for node in nodes {
            own = self.node(node, own)?;
        }
        Ok(own)
    }

    fn node(&mut self, node: &Node, mut own: Own) -> Result<Own> {
        let (after, name) = match node {
            Node::Affine { affine, after } => {
                let g = affine.tangent;
                for (p, t) in own.p.iter_mut().zip(&mut own.t) {
                    let out = affine.w2 * *p + affine.b2;
                    *t = g.carry * *t + g.from_input * *p + g.from_output * out + g.constant;
                    *p = out;
                }
                (*after, "a dense layer")
            }
            Node::Dual { dual, constants, after, at } => {
                self.tables[*constants] = activate(dual.as_ref(), &mut own);
                (*after, at.as_str())
            }
            Node::LayerNorm { eps, scale, after } => {
                let scales: Vec<f64> =
                    own.p.iter().map(|p| if p + eps > 0.0 { 1.0 / (p + eps).sqrt() } else { 0.0 }).collect();
                for ((p, t), s) in own.p.iter_mut().zip(&mut own.t).zip(&scales) {
                    *p *= s * s;
                    *t *= s * s;
                }
                let mut table: Vec<T> = scales.into_iter().map(T::from_f64).collect();
                table.resize(own.p.len().next_multiple_of(TILE), T::default());
                self.tables[*scale] = table;
                (*after, "layer_norm")
            }
            Node::Dropout { keep, after } => {
                own.p.iter_mut().chain(&mut own.t).for_each(|v| *v /= keep);
                (*after, "dropout")
            }
            Node::Join { join, branches, after } => {
                let ends: Vec<Own> = branches.iter().map(|b| self.chain(b, own.clone())).collect::<Result<_>>()?;
                own = join_own(join, &ends, own.p.len());
                (*after, "a junction of branches")
            }
        };
        self.enter(after, &own, name)?;
        Ok(own)
    }
}

/// Takes samples through a dual; their constants, tile by tile.
fn activate<T: Float>(dual: &dyn DynDual, own: &mut Own) -> Vec<T> {
    let len = dual.constants_len();
    let blocks: Vec<Vec<T>> = (own.p.par_chunks_mut(TILE), own.t.par_chunks_mut(TILE))
        .into_par_iter()
        .map(|(p, t)| {
            let found = dual.samples(p);
            let mut block = vec![T::default(); len * TILE];
            for (to, from) in block.chunks_exact_mut(TILE).zip(found.constants.chunks(p.len())) {
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = T::from_f64(from));
            }
            t.iter_mut().zip(&found.slopes).for_each(|(t, slope)| *t *= slope);
            p.copy_from_slice(&found.variances);
            block
        })
        .collect();
    blocks.concat()
}

fn join_own(join: &Join, ends: &[Own], len: usize) -> Own {
    match join {
        Join::Sum(weights) => {
            let mut sum = Own { p: vec![0.0; len], t: vec![0.0; len] };
            for (end, w) in ends.iter().zip(weights) {
                for i in 0..len {
                    sum.p[i] += w * end.p[i];
                    sum.t[i] += w * end.t[i];
                }
            }
            sum
        }
        Join::Product => {
            let mut product = Own { p: vec![1.0; len], t: vec![0.0; len] };
            for end in ends {
                for i in 0..len {
                    product.t[i] = product.t[i] * end.p[i] + end.t[i] * product.p[i];
                    product.p[i] *= end.p[i];
                }
            }
            product
        }
    }
}
