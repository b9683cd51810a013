//! The durations of connections that last, in little room: two cache lines each, and further ones from a common store
//! for those that have many.
//!
//! Why a common store: a box for each kind of duration took a kilobyte a connection, and allocating, touching and
//! freeing it was a third of all that following connections cost.

use std::collections::HashMap;

use flowcore::flows::Slots;
use flowcore::{Direction, FlowId, Nanos};

use super::figures::{Extent, Figures, KINDS, Kind};
use super::spread::merged;
use super::{RttSample, Turn, Witness};
use crate::histogram::bucket;

/// Codes held in place.
const FEW: usize = 13;

/// With so many codes in place a segment may ask for a page: it tells a round trip and both times of a response at most.
const FULL: usize = FEW - 2;

/// Pages of one connection before they are counted.
const MOST_PAGES: u16 = 64;

/// No page.
const NONE: u32 = u32::MAX;

/// One connection's durations: sums and extremes exactly, of each a code that tells it to 0.4 %.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Spans {
    /// Shortest and longest, indexed by [`Kind`]; the first beyond the second if there is none.
    ends: [[i64; 2]; KINDS],
    sums: [i64; KINDS],
    /// The newest of its pages, or [`NONE`].
    page: u32,
    /// In 0..=FEW.
    len: u16,
    codes: [u16; FEW],
}

const _: () = assert!(size_of::<Spans>() == 128);

impl Default for Spans {
    fn default() -> Self {
        Self { ends: [[i64::MAX, i64::MIN]; KINDS], sums: [0; KINDS], page: NONE, len: 0, codes: [0; FEW] }
    }
}

impl Spans {
    /// Takes in one duration, which is not negative.
    #[inline]
    fn add(&mut self, kind: Kind, span: Nanos, pages: &mut Pages) {
        let nanos = span.get();
        let [least, most] = &mut self.ends[kind as usize];
        (*least, *most) = (nanos.min(*least), nanos.max(*most));
        let sum = &mut self.sums[kind as usize];
        *sum = sum.saturating_add(nanos);
        if usize::from(self.len) == FEW {
            self.page = pages.put(self.page, &self.codes);
            self.len = 0;
        }
        self.codes[usize::from(self.len) % FEW] = kind.mark(bucket(nanos as u64) as u16);
        self.len += 1;
    }

    /// Asks the processor to bring closer the page that takes the codes held in place, if they may find no room any
    /// more, or if all is `over`.
    #[inline]
    pub(crate) fn prefetch_page(&self, over: bool, pages: &Pages) {
        if usize::from(self.len) >= FULL || over {
            pages.prefetch(self.page);
        }
    }

    /// All of them; nothing is left.
    pub(crate) fn take(&mut self, pages: &mut Pages) -> Figures {
        let Self { ends, sums, page, len, codes } = std::mem::take(self);
        let mut extents = [Extent::default(); KINDS];
        for (extent, (sum, [least, most])) in extents.iter_mut().zip(sums.into_iter().zip(ends)) {
            *extent = Extent { sum, ends: [least, most] };
        }
        let (more, counted) = pages.take(page);
        Figures::new(extents, [&codes[..usize::from(len)], &more], counted)
    }
}

/// Two fillings of a connection's own place.
#[derive(Debug)]
#[repr(C, align(64))]
struct Page {
    codes: [[u16; FEW]; 2],
    /// The page before it of the same connection, or the next one that is free; or [`NONE`].
    before: u32,
    /// How many pages it is the last of.
    pages: u16,
    /// In 0..=2.
    halves: u8,
    /// What the pages before it held is among the counted.
    counted: bool,
}

const _: () = assert!(size_of::<Page>() == 64);

impl Default for Page {
    fn default() -> Self {
        Self { codes: [[0; FEW]; 2], before: NONE, pages: 0, halves: 0, counted: false }
    }
}

/// The pages of all connections.
#[derive(Debug)]
pub(crate) struct Pages {
    pages: Slots<Page>,
    /// How many were ever made.
    made: u32,
    free: u32,
    /// Codes and how often each came, of connections that have had more pages than there may be; by their first page.
    counted: HashMap<u32, Vec<(u16, u32)>, foldhash::fast::RandomState>,
}

impl Default for Pages {
    fn default() -> Self {
        Self { pages: Slots::new(), made: 0, free: NONE, counted: HashMap::default() }
    }
}

impl Pages {
    /// Asks for what the next codes behind those of `newest` will be put into.
    #[inline(never)]
    fn prefetch(&self, newest: u32) {
        self.pages.prefetch(FlowId(newest));
        self.pages.prefetch(FlowId(self.free));
    }

    /// Keeps codes behind those of `newest`; the newest page now.
    #[inline(never)]
    fn put(&mut self, newest: u32, codes: &[u16; FEW]) -> u32 {
        let mut behind = 0;
        if newest != NONE {
            let page = self.pages.entry(FlowId(newest));
            if page.halves < 2 {
                page.codes[usize::from(page.halves)] = *codes;
                page.halves += 1;
                return newest;
            }
            behind = page.pages;
        }
        if behind == MOST_PAGES {
            return self.count(newest, codes);
        }
        self.begin(newest, behind + 1, codes)
    }

    fn begin(&mut self, before: u32, pages: u16, codes: &[u16; FEW]) -> u32 {
        let id = if self.free == NONE { self.made } else { self.free };
        let page = self.pages.entry(FlowId(id));
        if self.free == NONE {
            self.made += 1;
        } else {
            self.free = page.before;
        }
        page.codes[0] = *codes;
        (page.before, page.pages, page.halves, page.counted) = (before, pages, 1, false);
        id
    }

    /// Counts what all pages hold; the first of new ones.
    #[cold]
    fn count(&mut self, newest: u32, codes: &[u16; FEW]) -> u32 {
        let (mut single, counted) = self.take(newest);
        let counted = merged(&counted, &mut single);
        let first = self.begin(NONE, 1, codes);
        self.pages.entry(FlowId(first)).counted = true;
        self.counted.insert(first, counted);
        first
    }

    /// Everything that `newest` and the pages before it hold, one by one and counted; they are free then.
    fn take(&mut self, newest: u32) -> (Vec<u16>, Vec<(u16, u32)>) {
        let mut single = Vec::new();
        let mut counted = Vec::new();
        let mut next = newest;
        while next != NONE {
            let page = self.pages.entry(FlowId(next));
            if single.is_empty() {
                single.reserve_exact(usize::from(page.pages) * 2 * FEW);
            }
            single.extend_from_slice(page.codes[..usize::from(page.halves)].as_flattened());
            if page.counted {
                counted = self.counted.remove(&next).unwrap_or_default();
            }
            let before = std::mem::replace(&mut page.before, self.free);
            self.free = next;
            next = before;
        }
        (single, counted)
    }
}

/// Keeps the durations that a connection shows.
pub(crate) struct Keeper<'a> {
    pub spans: &'a mut Spans,
    pub pages: &'a mut Pages,
}

impl Witness for Keeper<'_> {
    #[inline]
    fn rtt(&mut self, sample: RttSample) {
        let kind = if sample.of == Direction::Forward { Kind::ToResponder } else { Kind::ToOriginator };
        self.spans.add(kind, sample.rtt, self.pages);
    }

    #[inline]
    fn response(&mut self, turn: Turn) {
        for (kind, span) in [(Kind::FirstByte, turn.first_byte), (Kind::LastByte, turn.last_byte)] {
            if let Some(span) = span {
                self.spans.add(kind, span, self.pages);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(nanos: i64, of: Direction) -> RttSample {
        let time = flowcore::Timestamp::EPOCH;
        RttSample { time, rtt: Nanos::new(nanos), of, method: crate::tcp::RttMethod::Acknowledgment }
    }

    #[test]
    fn pages_are_used_again_and_hold_what_their_connection_gave() {
        let mut pages = Pages::default();
        for round in 0..3 {
            let mut all: Vec<Spans> = (0..50).map(|_| Spans::default()).collect();
            for step in 0..400i64 {
                for (number, spans) in (0..).zip(&mut all) {
                    let of = if step % 3 == 0 { Direction::Forward } else { Direction::Reverse };
                    Keeper { spans, pages: &mut pages }.rtt(round_trip(number * 1_000_000 + step, of));
                }
            }
            for (number, spans) in (0..).zip(&mut all) {
                let figures = spans.take(&mut pages);
                let [to_responder, to_originator] = [Direction::Forward, Direction::Reverse].map(|of| figures.rtt(of));
                assert_eq!((to_responder.count(), to_originator.count()), (134, 266));
                assert_eq!(to_responder.max().unwrap().get(), number * 1_000_000 + 399);
                let (median, said) = (number * 1_000_000 + 199, to_originator.quantile(0.5).unwrap().get());
                assert!((said - median).abs() <= median / 250 + 1, "{round} {number}: {said}");
                assert_eq!(figures.first_byte().count(), 0);
            }
        }
        assert_eq!(pages.made, 50 * (400 / FEW as u32).div_ceil(2));
    }

    #[test]
    fn the_room_is_bounded_and_nothing_lost() {
        let (mut spans, mut pages) = (Spans::default(), Pages::default());
        for step in 0..100_000i64 {
            let rtt = step * step * 1000;
            Keeper { spans: &mut spans, pages: &mut pages }.rtt(round_trip(rtt, Direction::Forward));
        }
        assert!(pages.made <= 2 * u32::from(MOST_PAGES));
        let figures = spans.take(&mut pages);
        let rtt = figures.rtt(Direction::Forward);
        assert_eq!(rtt.count(), 100_000);
        let expected = 94_999i64 * 94_999 * 1000;
        assert!((rtt.quantile(0.95).unwrap().get() - expected).abs() <= expected / 250);
        assert!(pages.counted.is_empty());
    }
}
