//! Columns of some rows: Phi and Psi side by side.

use super::lanes::PAD;

/// Room for columns: Phi, then Psi, each padded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Room {
    pub phi: usize,
    pub psi: usize,
}

impl Room {
    /// For so many columns, with what may be written beyond the last.
    pub(super) fn of(phi: usize, psi: usize) -> Self {
        let padded = |columns: usize| if columns == 0 { 0 } else { columns.next_multiple_of(PAD) + PAD };
        Self { phi: padded(phi), psi: padded(psi) }
    }
    /// Entries of a row.
    pub(super) fn width(&self) -> usize {
        self.phi + self.psi
    }
}

/// Rows in memory of their own or of a chunk. What lies beyond the columns is finite.
#[derive(Debug)]
pub(super) struct Rows<'a, T> {
    data: &'a mut [T],
    room: Room,
    /// Columns in use.
    pub phi: usize,
    pub psi: usize,
}

impl<'a, T: Copy + Default> Rows<'a, T> {
    /// Over `data`, whole rows of `room`, with so many columns in use.
    pub(super) fn new(data: &'a mut [T], room: Room, phi: usize, psi: usize) -> Self {
        Self { data, room, phi, psi }
    }
    pub(super) fn room(&self) -> Room {
        self.room
    }
    /// Zeros, no column in use.
    pub(super) fn clear(&mut self) {
        self.data.fill(T::default());
        (self.phi, self.psi) = (0, 0);
    }
    pub(super) fn len(&self) -> usize {
        self.data.len() / self.room.width()
    }
    /// Phi and Psi of row `i`, with their room.
    pub(super) fn row(&mut self, i: usize) -> (&mut [T], &mut [T]) {
        let width = self.room.width();
        self.data[i * width..(i + 1) * width].split_at_mut(self.room.phi)
    }
    /// Phi and Psi of row `i`, the columns alone.
    pub(super) fn columns(&self, i: usize) -> (&[T], &[T]) {
        let row = &self.data[i * self.room.width()..];
        (&row[..self.phi], &row[self.room.phi..][..self.psi])
    }
    /// Phi and Psi of row `i` without a gap.
    pub(super) fn joined(&self, i: usize, out: &mut [T]) {
        let (phi, psi) = self.columns(i);
        out[..phi.len()].copy_from_slice(phi);
        out[phi.len()..][..psi.len()].copy_from_slice(psi);
    }
    /// Appends the columns of `other`, row by row.
    pub(super) fn append(&mut self, other: &Rows<'_, T>) {
        let (phi, psi) = (self.phi, self.psi);
        for i in 0..self.len() {
            let (from_phi, from_psi) = other.columns(i);
            let (to_phi, to_psi) = self.row(i);
            to_phi[phi..][..from_phi.len()].copy_from_slice(from_phi);
            to_psi[psi..][..from_psi.len()].copy_from_slice(from_psi);
        }
        self.phi += other.phi;
        self.psi += other.psi;
    }
}

/// Memory that is used again: pages fresh from the system cost as much as the work on them.
#[derive(Debug, Default)]
pub(super) struct Memory<T> {
    spare: Vec<Vec<T>>,
}

impl<T: Copy + Default> Memory<T> {
    /// `len` zeros.
    pub(super) fn zeros(&mut self, len: usize) -> Vec<T> {
        let mut data = self.spare.pop().unwrap_or_default();
        data.clear();
        data.resize(len, T::default());
        data
    }
    /// Takes memory back.
    pub(super) fn reuse(&mut self, data: Vec<T>) {
        self.spare.push(data);
    }
}
