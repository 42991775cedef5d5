//! Dense arrays of numbers as files hold them.

use crate::error::Result;

/// The numbers of an [`Array`] in C order. Files with other number types are widened to the narrowest of these that holds
/// them exactly.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// bool and u8.
    U8(Vec<u8>),
    /// i8, i16, u16, f16, f32.
    F32(Vec<f32>),
    /// i32, u32, i64, u64, f64.
    F64(Vec<f64>),
}

impl Data {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one value in memory.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::U8(_) => 1,
            Self::F32(_) => 4,
            Self::F64(_) => 8,
        }
    }
}

/// An array: a shape and its values in C order. A reader returns only arrays whose shape and data agree.
///
/// ```
/// use dualnet_io::{Array, Data};
/// let a = Array { shape: vec![2, 3], data: Data::U8(vec![0, 1, 2, 3, 4, 5]) };
/// assert_eq!((a.rows(), a.row_len()), (2, 3));
/// assert_eq!(a.to_f64()[4], 4.0);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Length of each axis; the first counts samples.
    pub shape: Vec<usize>,
    /// The values in C order.
    pub data: Data,
}

impl Array {
    /// Samples: the length of the first axis (1 for an array without axes).
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Values of one sample.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// A copy of the values as f64, exact.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::U8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::F64(v) => v.clone(),
        }
    }

    /// The values as f64, without a copy if they are f64 already.
    pub fn into_f64(self) -> Vec<f64> {
        match self.data {
            Data::F64(v) => v,
            _ => self.to_f64(),
        }
    }

    /// Reorders values that were stored in Fortran order (first axis fastest) to C order.
    pub(crate) fn from_fortran(shape: Vec<usize>, data: Data) -> Self {
        let data = match data {
            Data::U8(v) => Data::U8(fortran_to_c(&shape, &v)),
            Data::F32(v) => Data::F32(fortran_to_c(&shape, &v)),
            Data::F64(v) => Data::F64(fortran_to_c(&shape, &v)),
        };
        Self { shape, data }
    }
}

/// `values` with the first axis fastest -> the last axis fastest.
fn fortran_to_c<T: Copy>(shape: &[usize], values: &[T]) -> Vec<T> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &length in shape {
        strides.push(stride);
        stride *= length;
    }
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    let mut result = Vec::with_capacity(values.len());
    while result.len() < values.len() {
        result.push(values[at]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    result
}

/// What is written: borrowed values of one type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Elements<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 64-bit floats.
    F64(&'a [f64]),
}

/// The type of what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatKind {
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
}

impl Elements<'_> {
    /// Their type.
    pub fn kind(&self) -> FloatKind {
        match self {
            Self::F32(_) => FloatKind::F32,
            Self::F64(_) => FloatKind::F64,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all values.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::F32(v) => size_of_val(*v),
            Self::F64(v) => size_of_val(*v),
        }
    }

    /// Writes the values as little-endian bytes through a small buffer, so that no second copy of them is made.
    pub(crate) fn write_to(&self, writer: &mut dyn std::io::Write) -> std::io::Result<()> {
        match self {
            Self::F32(v) => write_chunks(writer, v, |x, bytes| bytes.extend_from_slice(&x.to_le_bytes())),
            Self::F64(v) => write_chunks(writer, v, |x, bytes| bytes.extend_from_slice(&x.to_le_bytes())),
        }
    }
}

/// What is read into: borrowed places for values of one type.
#[derive(Debug, PartialEq)]
pub enum ElementsMut<'a> {
    /// 32-bit floats.
    F32(&'a mut [f32]),
    /// 64-bit floats.
    F64(&'a mut [f64]),
}

impl ElementsMut<'_> {
    fn bytes(&self) -> usize {
        match self {
            Self::F32(v) => size_of_val(*v),
            Self::F64(v) => size_of_val(*v),
        }
    }

    /// Takes values from little-endian bytes; false, and nothing taken, if they are not as many.
    pub(crate) fn fill(self, bytes: &[u8]) -> bool {
        if bytes.len() != self.bytes() {
            return false;
        }
        match self {
            Self::F32(v) => v.iter_mut().zip(bytes.as_chunks().0).for_each(|(x, b)| *x = f32::from_le_bytes(*b)),
            Self::F64(v) => v.iter_mut().zip(bytes.as_chunks().0).for_each(|(x, b)| *x = f64::from_le_bytes(*b)),
        }
        true
    }
}

fn write_chunks<T: Copy>(
    writer: &mut dyn std::io::Write,
    values: &[T],
    append: impl Fn(T, &mut Vec<u8>),
) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(1 << 16);
    for chunk in values.chunks((1 << 16) / size_of::<T>()) {
        bytes.clear();
        for &value in chunk {
            append(value, &mut bytes);
        }
        writer.write_all(&bytes)?;
    }
    Ok(())
}

/// The number of values of `shape`, if it can be counted at all.
pub(crate) fn count(shape: &[usize], too_many: impl FnOnce() -> crate::error::Error) -> Result<usize> {
    shape.iter().try_fold(1usize, |n, &length| n.checked_mul(length)).ok_or_else(too_many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fortran_order_becomes_c_order() {
        // a[i][j][k] = 100 i + 10 j + k, first axis fastest.
        let shape = vec![2, 3, 4];
        let mut stored = Vec::new();
        for k in 0..4u8 {
            for j in 0..3u8 {
                for i in 0..2u8 {
                    stored.push(100 * i + 10 * j + k);
                }
            }
        }
        let array = Array::from_fortran(shape, Data::U8(stored));
        let expected: Vec<u8> =
            (0..2).flat_map(|i| (0..3).flat_map(move |j| (0..4).map(move |k| 100 * i + 10 * j + k))).collect();
        assert_eq!(array.data, Data::U8(expected));
    }

    #[test]
    fn fortran_order_of_one_axis_and_of_none() {
        assert_eq!(fortran_to_c(&[3], &[1, 2, 3]), vec![1, 2, 3]);
        assert_eq!(fortran_to_c(&[], &[7]), vec![7]);
        assert_eq!(fortran_to_c(&[0, 3], &[] as &[u8]), Vec::<u8>::new());
    }
}
