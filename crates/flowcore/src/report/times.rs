//! How tables for people show points in time; machine formats always write nanoseconds since the epoch.

use crate::report::cell::{push_epoch, push_rfc3339, push_seconds};
use crate::time::Timestamp;

/// Writes points in time for people.
///
/// flowcore knows no time zones and reads no clock: local time is an implementation that somebody else brings.
pub trait TimeFormat: Send {
    /// Writes `time`, which stands in column number `column` of a row.
    fn write(&mut self, out: &mut Vec<u8>, column: usize, time: Timestamp);

    /// The same rows will be written once more from the first one (they are written twice: measured, then printed).
    fn restart(&mut self) {}

    /// What the numbers are, for the column's heading; empty if they speak for themselves.
    fn unit(&self) -> &'static str {
        ""
    }
}

/// RFC 3339 in UTC with microseconds: `2026-11-21T01:59:43.121324Z`.
#[derive(Copy, Clone, Debug, Default)]
pub struct Utc;

impl TimeFormat for Utc {
    fn write(&mut self, out: &mut Vec<u8>, _column: usize, time: Timestamp) {
        push_rfc3339(out, time, 6);
    }
}

/// Seconds since the epoch with microseconds: `1795226383.121324`.
#[derive(Copy, Clone, Debug, Default)]
pub struct Epoch;

impl TimeFormat for Epoch {
    fn write(&mut self, out: &mut Vec<u8>, _column: usize, time: Timestamp) {
        push_epoch(out, time);
    }
    fn unit(&self) -> &'static str {
        "s"
    }
}

/// Seconds since a beginning: that of the input, or else the first time shown.
#[derive(Copy, Clone, Debug, Default)]
pub struct Relative {
    /// Shown as 0.
    pub origin: Option<Timestamp>,
}

impl TimeFormat for Relative {
    fn write(&mut self, out: &mut Vec<u8>, _column: usize, time: Timestamp) {
        let origin = *self.origin.get_or_insert(time);
        push_seconds(out, (time - origin).get(), 6);
    }
    fn unit(&self) -> &'static str {
        "s"
    }
}

/// Seconds since the same column's time in the row above; 0 in the first row.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// By column number.
    above: Vec<Option<Timestamp>>,
}

impl TimeFormat for Delta {
    fn write(&mut self, out: &mut Vec<u8>, column: usize, time: Timestamp) {
        if self.above.len() <= column {
            self.above.resize(column + 1, None);
        }
        let above = self.above[column].replace(time).unwrap_or(time);
        push_seconds(out, (time - above).get(), 6);
    }
    fn restart(&mut self) {
        self.above.clear();
    }
    fn unit(&self) -> &'static str {
        "s"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: &mut dyn TimeFormat, times: &[i64]) -> Vec<String> {
        let mut written = Vec::new();
        for &millis in times {
            let mut out = Vec::new();
            format.write(&mut out, 0, Timestamp::from_nanos(millis * 1_000_000));
            written.push(String::from_utf8(out).unwrap());
        }
        written
    }

    #[test]
    fn relative_counts_from_the_beginning_and_delta_from_the_row_above() {
        assert_eq!(shown(&mut Relative::default(), &[1500, 2500, 1000]), ["0.000000", "1.000000", "-0.500000"]);
        assert_eq!(shown(&mut Delta::default(), &[1500, 2500, 2600]), ["0.000000", "1.000000", "0.100000"]);
        assert_eq!(shown(&mut Epoch, &[1500]), ["1.500000"]);
    }

    #[test]
    fn delta_forgets_when_the_rows_start_again() {
        let mut delta = Delta::default();
        shown(&mut delta, &[1500, 2500]);
        delta.restart();
        assert_eq!(shown(&mut delta, &[1500]), ["0.000000"]);
    }
}
