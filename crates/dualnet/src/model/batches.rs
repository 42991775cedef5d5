//! Rows with their targets, batch by batch: what a fit by features reads, so that the data need not lie in memory.

use super::frame::Frame;
use super::invalid;
use super::target::Target;
use crate::error::{Error, Result};

/// Rows in order, as often as they are asked for from the beginning.
pub trait Batches {
    /// Number of rows.
    fn rows(&self) -> usize;
    /// The next `most` rows, fewer only at the end; `None` after the last. The classes of the targets are those of
    /// [`Self::target`].
    ///
    /// # Errors
    /// Whatever reading meets, with its place.
    fn next(&mut self, most: usize) -> Result<Option<(Frame, Target)>>;
    /// Goes back to the first row.
    fn restart(&mut self) -> Result<()>;
    /// A target without rows: its names and classes.
    fn target(&self) -> &Target;
}

/// A frame and its targets in memory.
#[derive(Debug)]
pub struct InMemory<'a> {
    frame: &'a Frame,
    target: &'a Target,
    empty: Target,
    at: usize,
}

impl<'a> InMemory<'a> {
    /// Refuses different numbers of rows.
    pub fn new(frame: &'a Frame, target: &'a Target) -> Result<Self> {
        if frame.rows() != target.rows() {
            return Err(Error::Shape {
                what: "target".into(),
                expected: format!("{} rows, as in the data", frame.rows()),
                found: format!("{}", target.rows()),
            });
        }
        target.check()?;
        Ok(Self { frame, target, empty: target.select(&[]), at: 0 })
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
    fn target(&self) -> &Target {
        &self.empty
    }
}
