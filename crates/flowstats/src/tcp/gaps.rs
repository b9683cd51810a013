//! Stretches of a stream that were jumped over, and which of them the receiver had nevertheless got.

/// At most this many open gaps are told apart; the lowest is forgotten first: the result stays a lower bound.
const MOST: usize = 32;

/// Of those that were acknowledged so many, the latest, are remembered in case they are captured after all.
const MOST_MISSED: usize = 32;

/// Stretches of one direction's stream that no captured segment covered.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    /// Sorted, disjoint, not empty: `from..to` by position.
    open: Vec<(i64, i64)>,
    /// The same of those that were acknowledged.
    acknowledged: Vec<(i64, i64)>,
    missed: u64,
}

impl Gaps {
    /// Bytes that were acknowledged though never seen.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The most bytes that the lists take, half of each in reserve.
    pub(super) const MOST_BYTES: usize = 2 * (MOST + 1 + MOST_MISSED + 1) * size_of::<(i64, i64)>();

    /// Bytes that the list takes.
    pub(super) fn list_bytes(&self) -> usize {
        (self.open.capacity() + self.acknowledged.capacity()) * size_of::<(i64, i64)>()
    }

    /// Whether nothing is open.
    pub(super) fn are_closed(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether nothing is open, and nothing that was missed lies beyond `last`, where the stream goes on: a SYN that is
    /// captured late sets it back, and what was missed may come yet.
    pub(super) fn are_behind(&self, last: i64) -> bool {
        self.are_closed() && self.acknowledged.iter().all(|stretch| stretch.1 <= last)
    }

    /// Whether the lowest of those that are open begins at `position`.
    pub(super) fn begin_at(&self, position: i64) -> bool {
        self.open.first().is_some_and(|stretch| stretch.0 == position)
    }

    /// What is open is no stretch of the stream: it ends before.
    pub(super) fn close(&mut self) {
        self.open.clear();
    }

    /// How many bytes of `from..to` are open.
    pub(super) fn open_within(&self, from: i64, to: i64) -> i64 {
        self.open.iter().map(|&(start, end)| (end.min(to) - start.max(from)).max(0)).sum()
    }

    /// The stream's positions begin anew: what was open can no longer be told.
    pub(super) fn restart(&mut self) {
        self.open.clear();
        self.acknowledged.clear();
    }

    /// The stream begins so much earlier than was thought.
    pub(super) fn shift(&mut self, by: i64) {
        for (start, end) in self.open.iter_mut().chain(&mut self.acknowledged) {
            (*start, *end) = (*start + by, *end + by);
        }
    }

    /// Whether nothing was seen behind the latest that was missed, the stream being known up to `last`.
    pub(super) fn end_missed(&self, last: i64) -> bool {
        self.acknowledged.last().is_some_and(|stretch| stretch.1 == last)
    }

    /// The stream jumped from `from` to `to`. What of it was missed already is not missed twice: a SYN that is captured
    /// late sets the stream back.
    pub(super) fn skip(&mut self, from: i64, to: i64) {
        if from >= to {
            return;
        }
        if self.acknowledged.iter().all(|stretch| stretch.1 <= from) {
            self.open.push((from, to));
        } else {
            let mut fresh = vec![(from, to)];
            for &(start, end) in &self.acknowledged {
                cut(&mut fresh, start, end);
            }
            self.open.append(&mut fresh);
        }
        self.forget();
    }

    /// A segment brought `from..to` after all: what was missed of it is not.
    pub(super) fn fill(&mut self, from: i64, to: i64) {
        cut(&mut self.open, from, to);
        self.missed -= cut(&mut self.acknowledged, from, to);
        self.forget();
    }

    /// Lets go of the lowest ones beyond [`MOST`]. A beginning that is known late stands before what was open.
    fn forget(&mut self) {
        if !self.open.is_sorted() {
            self.open.sort_unstable();
        }
        self.open.drain(..self.open.len().saturating_sub(MOST));
        self.acknowledged.drain(..self.acknowledged.len().saturating_sub(MOST_MISSED));
    }

    /// The receiver has everything up to `acked`: what is still open before it was never captured. Whether there was
    /// such a stretch.
    pub(super) fn acknowledge(&mut self, acked: i64) -> bool {
        let before = self.missed;
        let Self { open, acknowledged, missed } = self;
        open.retain_mut(|(start, end)| {
            let known = acked.min(*end);
            if known > *start {
                *missed += (known - *start) as u64;
                match acknowledged.last_mut() {
                    Some(latest) if latest.1 == *start => latest.1 = known,
                    _ => {
                        if acknowledged.len() == MOST_MISSED {
                            acknowledged.remove(0);
                        }
                        acknowledged.push((*start, known));
                    }
                }
                *start = known;
            }
            start < end
        });
        if !acknowledged.is_sorted() {
            acknowledged.sort_unstable();
        }
        self.missed > before
    }
}

/// Takes `from..to` out of some stretches; how much that was.
fn cut(stretches: &mut Vec<(i64, i64)>, from: i64, to: i64) -> u64 {
    let within = |&(start, end): &(i64, i64)| (end.min(to) - start.max(from)).max(0) as u64;
    let taken = stretches.iter().map(within).sum();
    if taken > 0 {
        let mut left = Vec::with_capacity(stretches.len() + 1);
        for &(start, end) in stretches.iter() {
            left.extend([(start, end.min(from)), (start.max(to), end)].into_iter().filter(|piece| piece.0 < piece.1));
        }
        *stretches = left;
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_gap_filled_in_many_places_stays_a_few() {
        let mut gaps = Gaps::default();
        gaps.skip(0, 100_000);
        for at in 1..1000 {
            gaps.fill(at * 100, at * 100 + 50);
        }
        assert_eq!(gaps.open.len(), MOST);
        gaps.skip(200_000, 300_000);
        assert_eq!((gaps.open.len(), gaps.list_bytes() <= Gaps::MOST_BYTES), (MOST, true));
        assert!(gaps.acknowledge(300_000));
        assert_eq!(gaps.missed(), 100_000 + 30 * 50 + 50, "a lower bound: the lowest are forgotten");
    }

    #[test]
    fn a_beginning_that_is_known_late_comes_first() {
        let mut gaps = Gaps::default();
        gaps.skip(31, 41);
        gaps.skip(1, 11);
        assert!(gaps.begin_at(1) && !gaps.begin_at(31));
    }

    #[test]
    fn what_is_filled_before_the_acknowledgment_is_not_missing() {
        let mut gaps = Gaps::default();
        gaps.skip(100, 400);
        gaps.fill(200, 300);
        assert!(!gaps.acknowledge(100));
        assert!(gaps.acknowledge(350));
        assert_eq!(gaps.missed(), 150);
        assert!(gaps.acknowledge(1000));
        assert_eq!(gaps.missed(), 200);
        assert!(!gaps.acknowledge(1000));
    }

    #[test]
    fn what_is_seen_after_its_acknowledgment_is_not_missing() {
        let mut gaps = Gaps::default();
        gaps.skip(100, 500);
        gaps.acknowledge(300);
        assert!(gaps.end_missed(300) && !gaps.end_missed(500));
        gaps.fill(150, 250);
        assert_eq!(gaps.missed(), 100);
        gaps.fill(150, 350);
        assert_eq!((gaps.missed(), gaps.open_within(100, 500)), (50, 150), "once only");
        for at in 0..MOST_MISSED as i64 + 9 {
            gaps.skip(1000 * at + 1000, 1000 * at + 1100);
            gaps.acknowledge(1000 * at + 1100);
        }
        let missed = gaps.missed();
        gaps.fill(0, 100_000);
        assert_eq!(missed - gaps.missed(), MOST_MISSED as u64 * 100, "the latest are remembered");
        for at in 0..MOST as i64 {
            gaps.skip(200_000 + 1000 * at, 200_100 + 1000 * at);
        }
        gaps.acknowledge(300_000);
        assert!(gaps.list_bytes() <= Gaps::MOST_BYTES);
    }
}
