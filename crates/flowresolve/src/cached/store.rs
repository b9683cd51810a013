//! Answers with the time until which they hold; a bounded number of them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowcore::{Addr, Lookup};

use super::Answer;

/// How long answers hold.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// At least, whatever the source says: a report that takes longer would ask for the same names again.
    pub shortest: Duration,
    /// At most, whatever the source says.
    pub longest: Duration,
    /// A name whose source does not say.
    pub named: Duration,
    /// That there is no name, if the source does not say.
    pub absent: Duration,
    /// That the source could not tell.
    pub failed: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            shortest: Duration::from_secs(10),
            longest: Duration::from_secs(86_400),
            named: Duration::from_secs(3_600),
            // RFC 2308 section 5 would have a negative answer last for as long as the zone says, one to three hours
            // at most; where the zone says nothing, a minute is soon enough to see a name that was just given.
            absent: Duration::from_secs(60),
            failed: Duration::from_secs(30),
        }
    }
}

/// What is known of one address.
struct Kept {
    name: Option<Arc<str>>,
    /// There is no name because the source could not tell.
    failed: bool,
    /// `None`: never answered.
    until: Option<Instant>,
    /// A question is under way.
    asking: bool,
}

/// What is known when somebody asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This, and there is nothing to do.
    Fresh(Lookup<Arc<str>>),
    /// This, but it is to be asked for again.
    Stale(Lookup<Arc<str>>),
    /// It is to be asked for.
    Nothing,
}

/// The answers.
pub(super) struct Store {
    kept: HashMap<Addr, Kept>,
    /// Every address in `kept`, the oldest first.
    ages: VecDeque<Addr>,
    most: usize,
    lifetimes: Lifetimes,
    forgotten: u64,
}

impl Store {
    pub(super) fn new(most: usize, lifetimes: Lifetimes) -> Self {
        Self { kept: HashMap::new(), ages: VecDeque::new(), most, lifetimes, forgotten: 0 }
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn find(&self, addr: Addr, now: Instant) -> Found {
        let Some(kept) = self.kept.get(&addr) else { return Found::Nothing };
        let answer = match (&kept.name, kept.until) {
            (_, None) => Lookup::Pending,
            (Some(name), _) => Lookup::Known(Arc::clone(name)),
            (None, Some(_)) if kept.failed => Lookup::Failed,
            (None, Some(_)) => Lookup::Absent,
        };
        match kept.until {
            Some(until) if until <= now && !kept.asking => Found::Stale(answer),
            _ => Found::Fresh(answer),
        }
    }

    /// A question about `addr` is under way.
    pub(super) fn asking(&mut self, addr: Addr) {
        match self.kept.entry(addr) {
            Entry::Occupied(mut kept) => kept.get_mut().asking = true,
            Entry::Vacant(place) => {
                place.insert(Kept { name: None, failed: false, until: None, asking: true });
                self.ages.push_back(addr);
                self.make_room();
            }
        }
    }

    /// Forgets the oldest of those that nobody is asking for, if there are too many. As more may be kept than can be
    /// asked for at a time, there is one.
    fn make_room(&mut self) {
        for _ in 0..self.ages.len() {
            if self.kept.len() <= self.most {
                return;
            }
            let Some(oldest) = self.ages.pop_front() else { return };
            if self.kept.get(&oldest).is_some_and(|kept| kept.asking) {
                self.ages.push_back(oldest);
            } else {
                self.kept.remove(&oldest);
                self.forgotten += 1;
            }
        }
    }

    /// A question about `addr` has been answered at `now`.
    pub(super) fn answer(&mut self, addr: Addr, answer: Answer, now: Instant) {
        let Some(kept) = self.kept.get_mut(&addr) else { return };
        let Lifetimes { shortest, longest, named, absent, failed } = self.lifetimes;
        let is_failure = answer == Answer::Failed;
        let (name, lifetime) = match answer {
            Answer::Name(name, lifetime) => (Some(name), lifetime.unwrap_or(named).min(longest).max(shortest)),
            Answer::Absent(lifetime) => (None, lifetime.unwrap_or(absent).min(longest).max(shortest)),
            Answer::Failed => (None, failed),
        };
        // A lifetime beyond the end of the clock is as none.
        *kept = Kept { name, failed: is_failure, until: Some(now.checked_add(lifetime).unwrap_or(now)), asking: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes {
        shortest: Duration::from_secs(10),
        longest: Duration::from_secs(100),
        named: Duration::from_secs(50),
        absent: Duration::from_secs(20),
        failed: Duration::from_secs(5),
    };

    fn addr(last: u8) -> Addr {
        Addr::v4([192, 0, 2, last])
    }

    fn known(name: &str) -> Lookup<Arc<str>> {
        Lookup::Known(name.into())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// How many seconds an answer is fresh.
    fn lifetime(answer: Answer) -> u64 {
        let (mut store, start) = (Store::new(10, LIFETIMES), Instant::now());
        store.asking(addr(1));
        store.answer(addr(1), answer, start);
        let fresh = |second: &u64| matches!(store.find(addr(1), start + seconds(*second)), Found::Fresh(_));
        (0..1000).take_while(fresh).count() as u64
    }

    #[test]
    fn answers_hold_as_long_as_their_source_says_within_bounds() {
        assert_eq!(lifetime(Answer::Name("a".into(), Some(seconds(30)))), 30);
        assert_eq!(lifetime(Answer::Name("a".into(), Some(seconds(0)))), 10);
        assert_eq!(lifetime(Answer::Name("a".into(), Some(seconds(u64::MAX)))), 100);
        assert_eq!(lifetime(Answer::Name("a".into(), None)), 50);
        assert_eq!(lifetime(Answer::Absent(Some(seconds(40)))), 40);
        assert_eq!(lifetime(Answer::Absent(None)), 20);
        assert_eq!(lifetime(Answer::Failed), 5);
    }

    #[test]
    fn an_old_name_is_given_until_the_new_one_is_there() {
        let (mut store, start) = (Store::new(10, LIFETIMES), Instant::now());
        assert_eq!(store.find(addr(1), start), Found::Nothing);
        store.asking(addr(1));
        assert_eq!(store.find(addr(1), start), Found::Fresh(Lookup::Pending));
        store.answer(addr(1), Answer::Name("a".into(), None), start);
        assert_eq!(store.find(addr(1), start), Found::Fresh(known("a")));
        let late = start + seconds(50);
        assert_eq!(store.find(addr(1), late), Found::Stale(known("a")));
        store.asking(addr(1));
        assert_eq!(store.find(addr(1), late), Found::Fresh(known("a")));
        store.answer(addr(1), Answer::Absent(None), late);
        assert_eq!(store.find(addr(1), late), Found::Fresh(Lookup::Absent));
    }

    #[test]
    fn the_oldest_that_nobody_asks_for_is_forgotten_first() {
        let (mut store, start) = (Store::new(2, LIFETIMES), Instant::now());
        store.asking(addr(1));
        store.asking(addr(2));
        store.answer(addr(2), Answer::Name("b".into(), None), start);
        store.asking(addr(3));
        assert_eq!(store.find(addr(1), start), Found::Fresh(Lookup::Pending));
        assert_eq!(store.find(addr(2), start), Found::Nothing);
        assert_eq!((store.forgotten(), store.kept.len(), store.ages.len()), (1, 2, 2));
    }
}
