//! When to look at a flow again: a wheel of one-second buckets over event time.

use super::FlowId;
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// Buckets; deadlines further away are put into the last one and looked at again.
const BUCKETS: usize = 512;

/// A flow to look at, valid only while the flow's generation is still this one.
pub(super) type Visit = (FlowId, u32);

/// Visits by the second in which they are due. A visit is a reminder, not a promise: whoever is reminded looks at the
/// flow's own deadline, and asks again if it has moved.
#[derive(Debug)]
pub(super) struct Wheel {
    buckets: Vec<Vec<Visit>>,
    /// The second that is not yet over; all earlier ones have been handed out. `None` before the first event.
    second: Option<i64>,
}

impl Default for Wheel {
    fn default() -> Self {
        Self { buckets: vec![Vec::new(); BUCKETS], second: None }
    }
}

impl Wheel {
    /// Asks for a visit when `deadline` has passed.
    pub(super) fn remind(&mut self, deadline: Timestamp, visit: Visit) {
        let due = deadline.as_nanos().div_euclid(NANOS_PER_SECOND);
        let second = self.second.unwrap_or(due);
        // A deadline already past goes into the current second's bucket, which is handed out when that second is over.
        let ahead = due.saturating_sub(second).clamp(0, BUCKETS as i64 - 1);
        self.buckets[second.wrapping_add(ahead).rem_euclid(BUCKETS as i64) as usize].push(visit);
    }

    /// Drops all visits.
    pub(super) fn forget(&mut self) {
        self.buckets.fill_with(Vec::new);
    }

    /// Moves to `now_second` and appends every visit due before it, in the order of their seconds.
    ///
    /// A step back by more than the wheel's span (a clock that was set, a damaged time before) restarts the wheel
    /// there; smaller steps back wait. A step forward visits each bucket at most once.
    pub(super) fn advance(&mut self, now_second: i64, due: &mut Vec<Visit>) {
        let Some(second) = self.second else {
            self.second = Some(now_second);
            return;
        };
        if now_second < second {
            if second.saturating_sub(now_second) > BUCKETS as i64 {
                for bucket in &mut self.buckets {
                    due.append(bucket);
                }
                self.second = Some(now_second);
            }
            return;
        }
        for step in 0..now_second.saturating_sub(second).min(BUCKETS as i64) {
            let place = second.wrapping_add(step).rem_euclid(BUCKETS as i64) as usize;
            if due.is_empty() {
                // A large bucket is not copied.
                std::mem::swap(due, &mut self.buckets[place]);
            }
            due.append(&mut self.buckets[place]);
            if self.buckets[place].capacity() > 4096 {
                self.buckets[place] = Vec::new();
            }
        }
        self.second = Some(now_second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_parts(second, 0)
    }

    #[test]
    fn a_visit_comes_when_its_second_is_over() {
        let mut wheel = Wheel::default();
        let mut due = Vec::new();
        wheel.advance(100, &mut due);
        wheel.remind(at(105), (FlowId(1), 0));
        wheel.advance(105, &mut due);
        assert!(due.is_empty());
        wheel.advance(106, &mut due);
        assert_eq!(due, [(FlowId(1), 0)]);
    }

    #[test]
    fn a_far_deadline_is_visited_early_rather_than_lost() {
        let mut wheel = Wheel::default();
        let mut due = Vec::new();
        wheel.advance(0, &mut due);
        wheel.remind(at(1_000_000), (FlowId(1), 0));
        wheel.advance(BUCKETS as i64, &mut due);
        assert_eq!(due, [(FlowId(1), 0)]);
    }

    #[test]
    fn a_leap_of_years_visits_each_bucket_once() {
        let mut wheel = Wheel::default();
        let mut due = Vec::new();
        wheel.advance(0, &mut due);
        for second in 0..400 {
            wheel.remind(at(second), (FlowId(second as u32), 0));
        }
        wheel.advance(i64::MAX / NANOS_PER_SECOND, &mut due);
        assert_eq!(due.len(), 400);
        wheel.advance(i64::MIN / NANOS_PER_SECOND, &mut due);
        assert_eq!(due.len(), 400);
    }
}
