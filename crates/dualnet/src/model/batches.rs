//! Rows with their targets, batch by batch: what a fit by features reads, so that the data need not lie in memory.

use super::frame::Frame;
use super::invalid;
use super::target::Target;
use crate::error::Result;

/// Rows in order, as often as they are asked for from the beginning.
pub trait Batches {
    /// Number of rows.
    fn rows(&self) -> usize;
    /// The next `most` rows, fewer only at the end; `None` after the last. All targets have the same names and classes.
    ///
    /// # Errors
    /// Whatever reading meets, with its place.
    fn next(&mut self, most: usize) -> Result<Option<(Frame, Target)>>;
    /// Goes back to the first row.
    fn restart(&mut self) -> Result<()>;
}

/// A frame and its targets in memory.
#[derive(Debug)]
pub struct InMemory<'a> {
    frame: &'a Frame,
    target: &'a Target,
    at: usize,
}

impl<'a> InMemory<'a> {
    /// Refuses different numbers of rows.
    pub fn new(frame: &'a Frame, target: &'a Target) -> Result<Self> {
        target.check_rows(frame.rows())?;
        target.check()?;
        Ok(Self { frame, target, at: 0 })
    }
}

impl Batches for InMemory<'_> {
    fn rows(&self) -> usize {
        self.frame.rows()
    }
    fn next(&mut self, most: usize) -> Result<Option<(Frame, Target)>> {
        if most == 0 {
            return Err(invalid("rows of a batch", "at least one", "0", "ask for more"));
        }
        let end = self.frame.rows().min(self.at + most);
        if self.at == end {
            return Ok(None);
        }
        let rows: Vec<usize> = (self.at..end).collect();
        self.at = end;
        Ok(Some((self.frame.select(&rows), self.target.select(&rows))))
    }
    fn restart(&mut self) -> Result<()> {
        self.at = 0;
        Ok(())
    }
}
