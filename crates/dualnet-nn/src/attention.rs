//! Attention of several heads: softmax(Q K^T / sqrt(d / heads) + bias) V for each head and each text.

use crate::batch::Batch;
use crate::error::Result;
use crate::linear::Linear;
use crate::norm::dot;
use crate::relative::RelativeBias;
use dualnet::linalg::{MatMut, MatRef, Update, gemm_nn, gemm_nt, gemm_tn};
use dualnet::simd::{Element, Isa, Kernel, Lanes, Real, Vector};
use dualnet::{Mat, Resources};
use rayon::prelude::*;

/// Scores are kept in rows of a multiple of this many: the registers of every instruction set divide it.
const LANES: usize = 16;

/// Attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Queries, keys and values in one map (3 d, d): its rows are those of the queries, head by head, then of the keys, then of the values.
    pub qkv: Linear,
    /// What the heads give, to the output (d, d).
    pub out: Linear,
    /// Heads; they divide d.
    pub heads: usize,
}

/// Room for the scores of a head.
#[derive(Default)]
struct Work {
    scores: Vec<f32>,
    gradient: Vec<f32>,
}

/// A head of a text.
struct Head<'a> {
    query: MatRef<'a, f32>,
    key: MatRef<'a, f32>,
    value: MatRef<'a, f32>,
    index: usize,
    /// 1 / sqrt(d / heads).
    scale: f32,
}

impl Attention {
    /// What the heads give for each token, before the map `out`: (rows, d).
    pub(crate) fn context(
        &self,
        qkv: &Mat<f32>,
        batch: &Batch,
        bias: Option<&RelativeBias>,
        resources: &Resources,
    ) -> Result<Mat<f32>> {
        let d = self.out.inputs();
        let mut context = Mat::zeros(qkv.rows(), d);
        resources
            .install(|| {
                let texts = batch.cut(context.as_mut_slice(), d);
                texts.into_par_iter().with_max_len(1).try_for_each_init(Work::default, |work, (span, context)| {
                    for head in 0..self.heads {
                        let head = self.head(qkv, span.clone(), head)?;
                        head.weights(&mut work.scores, bias, resources.isa)?;
                        let weights = square(&work.scores, span.len())?;
                        let context = head.columns(context, 0, d)?;
                        gemm_nn(context, Update::Replace, 1.0, weights, head.value)?;
                    }
                    Ok(())
                })
            })
            .map(|()| context)
    }

    /// The gradient by queries, keys and values (rows, 3 d) from that by [`Self::context`].
    pub(crate) fn context_back(
        &self,
        qkv: &Mat<f32>,
        gradient: &Mat<f32>,
        batch: &Batch,
        bias: Option<&RelativeBias>,
        resources: &Resources,
    ) -> Result<Mat<f32>> {
        let d = self.out.inputs();
        let mut back = Mat::zeros(qkv.rows(), 3 * d);
        resources
            .install(|| {
                let texts = batch.cut(back.as_mut_slice(), 3 * d);
                texts.into_par_iter().with_max_len(1).try_for_each_init(Work::default, |work, (span, back)| {
                    for head in 0..self.heads {
                        let head = self.head(qkv, span.clone(), head)?;
                        let gradient = gradient.as_ref().block(span.clone(), head.range(0))?;
                        head.back(gradient, back, work, bias, resources.isa)?;
                    }
                    Ok(())
                })
            })
            .map(|()| back)
    }

    fn head<'a>(&self, qkv: &'a Mat<f32>, span: std::ops::Range<usize>, index: usize) -> Result<Head<'a>> {
        let d = self.out.inputs();
        let width = d / self.heads;
        let part = |which: usize| {
            let first = which * d + index * width;
            qkv.as_ref().block(span.clone(), first..first + width)
        };
        let scale = 1.0 / (width as f32).sqrt();
        Ok(Head { query: part(0)?, key: part(1)?, value: part(2)?, index, scale })
    }
}

impl Head<'_> {
    /// The columns of this head in a matrix whose columns for heads begin at `from`.
    fn range(&self, from: usize) -> std::ops::Range<usize> {
        let first = from + self.index * self.query.cols();
        first..first + self.query.cols()
    }

    /// The columns of this head, beginning at `from`, of a text's rows of `stride` numbers.
    fn columns<'a>(&self, rows: &'a mut [f32], from: usize, stride: usize) -> Result<MatMut<'a, f32>> {
        Ok(MatMut::new(&mut rows[self.range(from).start..], self.query.rows(), self.query.cols(), stride)?)
    }

    /// The weights of attention; each row sums to one.
    fn weights(&self, scores: &mut Vec<f32>, bias: Option<&RelativeBias>, isa: Isa) -> Result<()> {
        let length = self.query.rows();
        let padded = length.next_multiple_of(LANES);
        scores.clear();
        scores.resize(length * padded, 0.0);
        if let Some(bias) = bias {
            bias.fill(self.index, scores, length, padded);
        }
        let view = MatMut::new(scores, length, length, padded)?;
        gemm_nt(view, Update::Add, self.scale, self.query, self.key)?;
        isa.run(Softmax { scores, length, padded });
        Ok(())
    }

    fn back(
        &self,
        gradient: MatRef<'_, f32>,
        back: &mut [f32],
        work: &mut Work,
        bias: Option<&RelativeBias>,
        isa: Isa,
    ) -> Result<()> {
        let length = self.query.rows();
        let padded = length.next_multiple_of(LANES);
        let (d, stride) = (back.len() / length / 3, back.len() / length);
        self.weights(&mut work.scores, bias, isa)?;
        let weights = square(&work.scores, length)?;
        gemm_tn(self.columns(back, 2 * d, stride)?, Update::Replace, 1.0, weights, gradient)?;
        work.gradient.clear();
        work.gradient.resize(length * padded, 0.0);
        let view = MatMut::new(&mut work.gradient, length, length, padded)?;
        gemm_nt(view, Update::Replace, 1.0, gradient, self.value)?;
        isa.run(SoftmaxBack { weights: &work.scores, gradient: &mut work.gradient, padded });
        let scores = square(&work.gradient, length)?;
        gemm_nn(self.columns(back, 0, stride)?, Update::Replace, self.scale, scores, self.key)?;
        gemm_tn(self.columns(back, d, stride)?, Update::Replace, self.scale, scores, self.query)?;
        Ok(())
    }
}

fn square(scores: &[f32], length: usize) -> Result<MatRef<'_, f32>> {
    Ok(MatRef::new(scores, length, length, length.next_multiple_of(LANES))?)
}

struct Softmax<'a> {
    scores: &'a mut [f32],
    length: usize,
    padded: usize,
}

impl Kernel for Softmax<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        type Register<V> = <f32 as Element>::Lanes<V>;
        for row in self.scores.chunks_exact_mut(self.padded) {
            // e^x of these is 0.
            row[self.length..].fill(f32::MIN);
            let mut largest = [f32::MIN; LANES];
            for chunk in row.as_chunks::<LANES>().0 {
                largest.iter_mut().zip(chunk).for_each(|(m, x)| *m = if *x > *m { *x } else { *m });
            }
            let largest = largest.iter().fold(f32::MIN, |m, x| if *x > m { *x } else { m });
            let shift = Register::<V>::splat(simd, largest);
            for chunk in row.chunks_exact_mut(<Register<V> as Lanes<V, f32>>::LANES) {
                (Register::<V>::load(simd, chunk) - shift).exp().store(chunk);
            }
            let mut sums = [0.0f32; LANES];
            for chunk in row.as_chunks::<LANES>().0 {
                sums.iter_mut().zip(chunk).for_each(|(s, x)| *s += x);
            }
            let factor = 1.0 / sums.iter().sum::<f32>();
            row.iter_mut().for_each(|x| *x *= factor);
        }
    }
}

/// With weights p: d score = p (d p - sum of p d p).
struct SoftmaxBack<'a> {
    weights: &'a [f32],
    gradient: &'a mut [f32],
    padded: usize,
}

impl Kernel for SoftmaxBack<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        let rows = self.weights.chunks_exact(self.padded).zip(self.gradient.chunks_exact_mut(self.padded));
        for (p, g) in rows {
            let along = dot(p, g);
            p.iter().zip(g).for_each(|(p, g)| *g = p * (*g - along));
        }
    }
}
