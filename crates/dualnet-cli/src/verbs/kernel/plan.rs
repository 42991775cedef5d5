//! What a kernel will take: memory by its peak, time from pairs that were measured.

use crate::error::Result;
use crate::output;
use dualnet::Resources;
use dualnet::gram::{Job, Plan};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the matrices are while they are computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In memory.
    Memory,
    /// In a job's folder.
    Folder,
}

/// Bytes of everything, at its largest.
#[derive(Clone, Copy)]
pub struct Bytes {
    /// The parts that the library knows.
    pub plan: Plan,
    /// Samples as they were read, and in the precision of the computation.
    pub read: [u64; 2],
    /// The index of the tiles of a job.
    index: u64,
    /// Rows of the matrices at the time they are written to the file.
    band: u64,
    kept: Kept,
}

impl Bytes {
    /// Of a job.
    pub fn new(job: &Job, plan: Plan, read: [u64; 2], kept: Kept, limit: Option<u64>) -> Self {
        let index = if kept == Kept::Folder { 8 * job.grid.tiles() } else { 0 };
        let mut bytes = Self { plan, read, index, band: 0, kept };
        if kept == Kept::Folder {
            bytes.band = bytes.band_blocks(job, limit) as u64 * bytes.block(job);
        }
        bytes
    }

    /// The rows of one matrix that a row of tiles has.
    fn block(&self, job: &Job) -> u64 {
        let rows = job.grid.rows().max(1) as u64;
        let row = self.plan.matrices / job.get.matrices() as u64 / rows;
        row * job.grid.side().min(job.grid.rows()) as u64
    }

    /// Row blocks that are assembled at a time: many read fewer tiles twice, and should be few beside the rest.
    pub fn band_blocks(&self, job: &Job, limit: Option<u64>) -> usize {
        const ENOUGH: u64 = 64 << 20;
        let free = limit.map_or(ENOUGH, |limit| limit.saturating_sub(self.index) / 2).min(ENOUGH);
        let blocks = free / self.block(job).max(1);
        (blocks as usize).clamp(1, job.grid.blocks().0.max(1))
    }

    /// The samples at their largest: as they are read, or while they are prepared.
    fn samples(&self) -> u64 {
        let [raw, converted] = self.read;
        (raw + converted).max(converted + self.plan.samples)
    }

    /// At the peak: samples being read or prepared, pairs being computed, the file being written.
    pub fn peak(&self) -> u64 {
        let matrices = if self.kept == Kept::Memory { self.plan.matrices } else { 0 };
        let computing = self.plan.samples + self.plan.workspaces + matrices;
        self.index + self.samples().max(computing).max(self.band)
    }

    /// Refuses what does not fit.
    pub fn check(&self, job: &Job, resources: &Resources) -> Result<()> {
        let (n, m) = (job.grid.rows(), job.grid.columns());
        let (what, hint) = match self.kept {
            Kept::Memory => (
                format!("a kernel matrix of {n} x {m}, with samples and workspaces,"),
                "raise --memory, take f32, fewer rows, or only one of nngp and ntk; with --job the matrix stays on disk",
            ),
            Kept::Folder => (
                format!("the job of a kernel matrix of {n} x {m}"),
                "raise --memory, or take fewer --threads, f32 or fewer rows",
            ),
        };
        Ok(resources.reserve(&what, self.peak(), hint)?)
    }

    /// For the report.
    pub fn json(&self) -> Value {
        json!({
            "matrices": self.plan.matrices, "samples": self.samples(), "workspaces": self.plan.workspaces,
            "index": self.index, "band": self.band, "peak": self.peak(),
        })
    }
}

/// When work of so many seconds that begins now will end, in UTC: `2026-11-21 21:30 UTC`.
pub fn end(seconds: f64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    clock((now + seconds) as u64)
}

/// Seconds since 1970 as date and time of day (the days of the civil calendar by eras of 400 years, as Howard Hinnant counts them).
fn clock(unix: u64) -> String {
    let (days, minutes) = (unix / 86_400 + 719_468, unix % 86_400 / 60);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + 400 * era + u64::from(month <= 2);
    format!("{year}-{month:02}-{date:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// What a plan says to people: sizes, memory, time.
pub fn sentence(size: &str, bytes: &Bytes, per_pair: f64, left: u64, limit: Option<u64>) -> String {
    let seconds = per_pair * left as f64;
    let (needed, matrices) = (bytes.peak(), output::bytes(bytes.plan.matrices));
    let place = if bytes.kept == Kept::Folder { "on disk" } else { "in memory" };
    format!(
        "{size}: matrices {matrices} {place}; {} of memory{}; {} a pair: about {}, until {}",
        output::bytes(needed),
        output::over_limit(needed, limit),
        output::short_duration(per_pair),
        output::duration(seconds),
        end(seconds),
    )
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn days_of_the_calendar() {
        assert_eq!(clock(0), "1970-01-01 00:00 UTC");
        assert_eq!(clock(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(clock(1_709_251_199), "2024-02-29 23:59 UTC");
        assert_eq!(clock(4_107_542_400), "2100-03-01 00:00 UTC");
    }
}
