//! The durations that a connection has shown, when it is over.

use flowcore::Direction;

use super::Durations;

/// How many kinds of durations there are.
pub(super) const KINDS: usize = 4;

/// What a duration is of.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    ToResponder = 0,
    ToOriginator = 1,
    FirstByte = 2,
    LastByte = 3,
}

/// Bits of a code below those that tell its kind.
const CODE: u32 = 13;

impl Kind {
    /// A code of this kind, to be kept among those of others.
    #[inline]
    pub(super) fn mark(self, code: u16) -> u16 {
        (self as u16) << CODE | code
    }

    fn of(marked: u16) -> usize {
        usize::from(marked >> CODE)
    }
}

/// What is known exactly of one kind.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub sum: i64,
    /// Shortest and longest.
    pub ends: [i64; 2],
}

/// Round trips and response times of one connection.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    extents: [Extent; KINDS],
    /// Marked, by kind.
    codes: Vec<u16>,
    /// `ends[i]` is one beyond the last of kind `i` in `codes`.
    ends: [u32; KINDS],
    /// Marked, and how often each came; in order. Only connections with very many durations have any.
    counted: Vec<(u16, u32)>,
}

impl Figures {
    /// Of marked codes in any order and of counted ones in theirs.
    pub(super) fn new(extents: [Extent; KINDS], single: [&[u16]; 2], counted: Vec<(u16, u32)>) -> Self {
        let mut ends = [0u32; KINDS];
        let all = || single.iter().copied().flatten();
        all().for_each(|&marked| ends[Kind::of(marked)] += 1);
        let mut begin = 0;
        let mut places = ends.map(|count| {
            begin += count;
            (begin - count) as usize
        });
        let mut codes = vec![0; begin as usize];
        for &marked in all() {
            let place = &mut places[Kind::of(marked)];
            codes[*place] = marked;
            *place += 1;
        }
        ends = places.map(|end| end as u32);
        Self { extents, codes, ends, counted }
    }

    fn durations(&self, kind: Kind) -> Durations<'_> {
        let kind = kind as usize;
        let begin = if kind == 0 { 0 } else { self.ends[kind - 1] };
        let codes = &self.codes[begin as usize..self.ends[kind] as usize];
        let from = self.counted.partition_point(|&(marked, _)| Kind::of(marked) < kind);
        let to = self.counted.partition_point(|&(marked, _)| Kind::of(marked) <= kind);
        let Extent { sum, ends } = self.extents[kind];
        Durations::new(sum, ends, codes, &self.counted[from..to])
    }

    /// Round trips between the capture point and the end that acknowledged, by whose data was acknowledged: those of
    /// [`Direction::Forward`] go to the responder and back.
    pub fn rtt(&self, of: Direction) -> Durations<'_> {
        self.durations(if of == Direction::Forward { Kind::ToResponder } else { Kind::ToOriginator })
    }

    /// From the first byte of a request to the first byte of its response.
    pub fn first_byte(&self) -> Durations<'_> {
        self.durations(Kind::FirstByte)
    }

    /// From the first byte of a request to the last byte of its response.
    pub fn last_byte(&self) -> Durations<'_> {
        self.durations(Kind::LastByte)
    }
}
