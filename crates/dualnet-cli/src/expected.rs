//! What work on pairs of samples will take, said before it begins.

use crate::output;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of the program before it does anything: code, tables, stacks. Those of `--memory` are for the work.
pub const PROGRAM: u64 = 15 << 20;

/// What is expected of pairs of samples whose time was measured.
pub struct Expected {
    /// Bytes at the peak.
    pub memory: u64,
    /// Bytes that may be used.
    pub limit: Option<u64>,
    /// Pairs to compute.
    pub pairs: u64,
    /// Seconds for each of them.
    pub per_pair: f64,
}

impl Expected {
    /// Seconds for all.
    pub fn seconds(&self) -> f64 {
        self.per_pair * self.pairs as f64
    }

    /// When it would end if it began now, in UTC: `2026-11-21 21:30 UTC`.
    pub fn end(&self) -> String {
        end(self.seconds())
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, over) = (output::bytes(self.memory), output::over_limit(self.memory, self.limit));
        let (pair, all) = (output::short_duration(self.per_pair), output::duration(self.seconds()));
        write!(f, "{memory} of memory{over}; {pair} a pair: about {all}, until {}", self.end())
    }
}

/// When work of so many seconds that begins now will end, in UTC: `2026-11-21 21:30 UTC`.
fn end(seconds: f64) -> String {
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
