//! Buffers that begin on a cache line: a register that spans two lines costs two loads, and most would.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
const LINE: usize = 64;

/// Values that begin on a cache line.
#[derive(Debug)]
pub struct Buffer<T> {
    values: Vec<T>,
    first: usize,
    len: usize,
}

impl<T: Copy + Default> Buffer<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self { values: Vec::new(), first: 0, len: 0 };
        buffer.reset(len);
        buffer
    }

    /// Becomes `len` zeros, in the same memory where that is large enough.
    pub fn reset(&mut self, len: usize) {
        self.values.clear();
        self.grow(len);
    }

    /// Has at least `len` values from now on; which, is not said.
    pub fn reserve(&mut self, len: usize) {
        if len > self.len {
            self.grow(len);
        }
    }

    fn grow(&mut self, len: usize) {
        let spare = LINE / size_of::<T>().max(1);
        self.values.resize(len + if len > 0 { spare } else { 0 }, T::default());
        // An allocator that cannot tell gives a number beyond: then the beginning has to do.
        let first = self.values.as_ptr().align_offset(LINE);
        self.first = if first < spare && len > 0 { first } else { 0 };
        self.len = len;
    }

    /// A copy of values.
    pub fn copied(values: &[T]) -> Self {
        let mut buffer = Self::zeros(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self { values: Vec::new(), first: 0, len: 0 }
    }
}

impl<T: Copy + Default> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self::copied(self)
    }
}

impl<T: PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.values[self.first..self.first + self.len]
    }
}

impl<T> DerefMut for Buffer<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[self.first..self.first + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::Buffer;

    #[test]
    fn begins_on_a_line_and_keeps_its_values() {
        for len in [0, 1, 15, 16, 1000] {
            let mut buffer = Buffer::<f32>::zeros(len);
            buffer.iter_mut().enumerate().for_each(|(i, x)| *x = i as f32);
            assert!(len == 0 || buffer.as_ptr().align_offset(64) == 0);
            let copy = buffer.clone();
            assert_eq!((copy.len(), &copy[..]), (len, &buffer[..]));
            buffer.reset(len / 2);
            assert!(buffer.len() == len / 2 && buffer.iter().all(|x| *x == 0.0));
        }
    }
}
