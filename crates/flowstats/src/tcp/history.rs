//! Zeek's history: one letter for each thing that happened first, upper case for the originator.

use flowcore::Direction;

use super::Endpoint;

/// What a letter stands for; given once per end, some of them again when the sequence number differs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Letter {
    /// `s`: SYN without ACK.
    Syn = 0,
    /// `h`: SYN with ACK.
    SynAck = 1,
    /// `a`: an ACK without payload.
    Ack = 2,
    /// `d`: payload.
    Data = 3,
    /// `f`: FIN.
    Fin = 4,
    /// `r`: RST.
    Rst = 5,
    /// `i`: FIN and RST together.
    Inconsistent = 6,
    /// `q`: several of SYN, FIN, RST together.
    Several = 7,
}

impl Letter {
    pub(super) const fn bit(self) -> u16 {
        // Zeek remembers SYN and SYN-ACK of an end as one thing.
        if matches!(self, Self::SynAck) { 1 } else { 1 << self as u16 }
    }

    /// What a segment with ACK and `payload` bytes earns that neither begins nor ends anything.
    #[inline]
    pub(super) const fn ordinary(payload: u32) -> Self {
        if payload > 0 { Self::Data } else { Self::Ack }
    }

    const fn byte(self) -> u8 {
        b"shadfriq"[self as usize]
    }
}

/// Letters held in place.
const INLINE: usize = 15;

/// At most this many letters; more say nothing new.
const MOST: usize = 255;

/// The letters in their order.
#[derive(Clone)]
pub enum History {
    /// The usual: up to 14.
    Short {
        /// How many of `letters` count.
        len: u8,
        /// ASCII; behind those that count stands anything.
        letters: [u8; INLINE - 1],
    },
    /// More.
    Long(Box<Vec<u8>>),
}

const _: () = assert!(size_of::<History>() == 16);

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "History({})", self.as_str())
    }
}

impl Default for History {
    fn default() -> Self {
        Self::Short { len: 0, letters: [0; INLINE - 1] }
    }
}

impl History {
    /// The most bytes that letters beyond the usual take, half of them in reserve.
    pub(super) const MOST_BYTES: usize = size_of::<Vec<u8>>() + 2 * MOST;

    /// Bytes that letters beyond the usual take.
    pub(super) fn list_bytes(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long(letters) => size_of::<Vec<u8>>() + letters.capacity(),
        }
    }

    /// ASCII.
    #[inline]
    pub fn letters(&self) -> &[u8] {
        match self {
            Self::Short { len, letters } => letters.get(..usize::from(*len)).unwrap_or(&[]),
            Self::Long(letters) => letters,
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.letters()).unwrap_or("")
    }

    /// Adds a letter as it is.
    pub(crate) fn push(&mut self, letter: u8) {
        match self {
            Self::Short { len, letters } => {
                if let Some(place) = letters.get_mut(usize::from(*len)) {
                    *place = letter;
                    *len += 1;
                } else {
                    let mut long = letters.to_vec();
                    long.push(letter);
                    *self = Self::Long(Box::new(long));
                }
            }
            Self::Long(letters) => {
                if letters.len() < MOST {
                    letters.push(letter);
                }
            }
        }
    }

    /// Not in line: an ordinary segment nearly never adds one.
    #[inline(never)]
    fn add(&mut self, letter: u8, direction: Direction) {
        self.push(cased(letter, direction));
    }

    /// Adds the letter if this end has not earned it before.
    ///
    /// Where there is room it is written in any case, and counts only if it is the first: whether it is, no predictor
    /// guesses, several times in the life of a short connection. So this touches the letters' cache line.
    #[inline]
    pub(super) fn once(&mut self, letter: Letter, end: &mut Endpoint, direction: Direction) {
        let first = !end.has(letter);
        end.letters |= letter.bit();
        let byte = cased(letter.byte(), direction);
        if let Self::Short { len, letters } = self
            && let Some(place) = letters.get_mut(usize::from(*len))
        {
            *place = byte;
            *len += u8::from(first);
        } else if first {
            self.push(byte);
        }
    }

    /// Adds the letter if it is this end's first, or `differs` from the one before.
    pub(super) fn again_if(&mut self, letter: Letter, end: &mut Endpoint, direction: Direction, differs: bool) {
        if end.letters & letter.bit() == 0 {
            self.once(letter, end, direction);
        } else if differs {
            self.add(letter.byte(), direction);
        }
    }
}

/// A lower-case letter as `direction` has it: upper case, one bit below, for the originator.
#[inline]
fn cased(letter: u8, direction: Direction) -> u8 {
    letter & !(u8::from(direction == Direction::Forward) << 5)
}

/// Events whose letter comes at the 1st, 10th, 100th, … time.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Rare {
    gaps: u32,
    retransmissions: u32,
    zero_windows: u32,
}

impl Rare {
    fn note(count: &mut u32, letter: u8, history: &mut History, direction: Direction) {
        *count = count.saturating_add(1);
        if is_power_of_ten(*count) {
            history.add(letter, direction);
        }
    }

    pub(super) fn gap(&mut self, history: &mut History, direction: Direction) {
        Self::note(&mut self.gaps, b'g', history, direction);
    }

    pub(super) fn retransmission(&mut self, history: &mut History, direction: Direction) {
        Self::note(&mut self.retransmissions, b't', history, direction);
    }

    pub(super) fn zero_window(&mut self, history: &mut History, direction: Direction) {
        Self::note(&mut self.zero_windows, b'w', history, direction);
    }
}

fn is_power_of_ten(count: u32) -> bool {
    matches!(count, 1 | 10 | 100 | 1_000 | 10_000 | 100_000 | 1_000_000 | 10_000_000 | 100_000_000 | 1_000_000_000)
}
