//! The reused buffer between an input and the formats that walk it.

use std::io::{self, Read};

/// Bytes asked of the input at once.
///
/// Measured: large enough that the system call vanishes, small enough that what was just copied is still in the second
/// level cache when it is walked; faster than a mapping, whose next record address hangs on a missed line.
pub const BUFFER: usize = 256 * 1024;

/// The largest record or block that is held in memory; one that claims more is taken for damage.
pub const LARGEST_RECORD: usize = 16 * 1024 * 1024;

/// Room before the place where reads land, for what is left of the bytes before them.
const HEADROOM: usize = 64 * 1024;

const PAGE: usize = 4096;

/// Where within a page reads land.
///
/// A copy whose destination lies a few bytes further into its page than the source does into its own makes the processor
/// take loads for dependent on the stores before them. A buffer as the allocator gives it begins 16 bytes into a page,
/// and the file is read from byte 16 on, once its kind is known: measured 45 ns for 100 bytes at such a distance, and 12
/// ns anywhere else. Half a page apart is as far as it gets.
const LANDING_IN_PAGE: usize = PAGE / 2;

/// A buffer over an input: what was read and not yet consumed is one slice.
pub(super) struct Window {
    input: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    /// Where reads go as long as what is left before them fits in front; at least [`HEADROOM`].
    landing: usize,
    /// First byte not consumed. `start <= end <= bytes.len()`.
    start: usize,
    /// End of what was read.
    end: usize,
    /// Where in the stream the first byte not consumed is.
    offset: u64,
    /// Bytes of the stream still to be thrown away before anything is kept; only with `start == end`.
    skip: u64,
    /// Where in the stream the last skip began.
    skip_from: u64,
    /// What the input answered when it was asked for more than had to be there.
    failed: Option<io::Error>,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").field("offset", &self.offset).field("buffered", &(self.end - self.start)).finish()
    }
}

impl Window {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        Self { input, bytes: Vec::new(), landing: 0, start: 0, end: 0, offset: 0, skip: 0, skip_from: 0, failed: None }
    }

    /// Everything in the buffer up to the end of what was read, consumed or not; offsets of packets refer to it.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or(&[])
    }

    /// Index into [`bytes`](Self::bytes) of the first byte not consumed.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// What was read and not consumed.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or(&[])
    }

    /// Where in the stream the first byte not consumed is. Within a skip: where the skipped bytes go on.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where in the stream a skip began that waits for bytes not read yet.
    pub(super) fn skipping_from(&self) -> Option<u64> {
        (self.skip > 0).then_some(self.skip_from)
    }

    /// Consumes up to `start`, an index into [`bytes`](Self::bytes).
    pub(super) fn consume_to(&mut self, start: usize) {
        debug_assert!(self.start <= start && start <= self.end);
        let start = start.clamp(self.start, self.end);
        self.offset += (start - self.start) as u64;
        self.start = start;
    }

    /// Consumes `count` bytes, whether they were read yet or not; moves nothing.
    pub(super) fn skip(&mut self, count: u64) {
        self.skip_from = self.offset;
        let now = count.min((self.end - self.start) as u64);
        self.start += now as usize;
        self.offset += now;
        self.skip = count - now;
    }

    /// Reads once, behind what is there; room for `need` bytes not consumed is made first, so what was lent from
    /// [`bytes`](Self::bytes) is void. Waits as the input waits, and is content with less than was asked.
    ///
    /// `false` = the input has ended.
    pub(super) fn refill(&mut self, need: usize) -> io::Result<bool> {
        debug_assert!(need <= LARGEST_RECORD + HEADROOM);
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.bytes.is_empty() {
            self.bytes.resize(HEADROOM + PAGE + BUFFER, 0);
            self.land();
        }
        self.make_room(need);
        loop {
            let room = self.bytes.len().min(self.end + BUFFER);
            let Some(space) = self.bytes.get_mut(self.end..room) else { return Ok(false) };
            let count = match self.input.read(space) {
                Ok(0) => return Ok(false),
                Ok(count) => count.min(space.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if self.skip == 0 {
                self.end += count;
                return Ok(true);
            }
            let thrown = self.skip.min(count as u64);
            self.skip -= thrown;
            self.offset += thrown;
            if (thrown as usize) < count {
                self.start = self.end + thrown as usize;
                self.end += count;
                return Ok(true);
            }
        }
    }

    /// The same for what need not be there: an error waits for whoever needs it.
    pub(super) fn refill_if_sound(&mut self, need: usize) -> bool {
        self.failed.is_none()
            && self.refill(need).unwrap_or_else(|error| {
                self.failed = Some(error);
                false
            })
    }

    /// Finds the place where reads land; again after each move of the memory.
    fn land(&mut self) {
        let page = self.bytes.as_ptr().addr() % PAGE;
        self.landing = HEADROOM + (PAGE + LANDING_IN_PAGE - page) % PAGE;
    }

    /// Moves what is left to where the next read goes behind it, and grows the buffer for a record larger than it.
    fn make_room(&mut self, need: usize) {
        let left = self.end - self.start;
        if left <= HEADROOM {
            self.bytes.copy_within(self.start..self.end, self.landing - left);
            (self.start, self.end) = (self.landing - left, self.landing);
            return;
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, left);
        // Twice the size each time, and only when what is there is full: a claim alone costs no memory.
        if need > self.bytes.len() && left + HEADROOM > self.bytes.len() {
            let grown = need.min(self.bytes.len() * 2).max(left + BUFFER);
            self.bytes.resize(grown, 0);
            self.land();
        }
    }

    /// Reads to the end of the input and throws it away; how many bytes that were, those in the buffer included.
    pub(super) fn drain(&mut self) -> u64 {
        let begin = self.offset;
        self.consume_to(self.end);
        while let Ok(true) = self.refill(0) {
            self.consume_to(self.end);
        }
        self.offset - begin
    }

    /// Gives the memory back; the window is empty afterwards and its input ended.
    pub(super) fn close(&mut self) {
        *self = Self { offset: self.offset, ..Self::new(Box::new(io::empty())) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, with an interruption before each.
    struct Drip(Vec<u8>, bool);

    impl Read for Drip {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if self.0.is_empty() {
                return Ok(0);
            }
            buf[0] = self.0.remove(0);
            Ok(1)
        }
    }

    #[test]
    fn an_interrupted_read_is_tried_again() {
        let mut window = Window::new(Box::new(Drip(b"abc".to_vec(), false)));
        while window.refill(3).unwrap() {}
        assert_eq!(window.rest(), b"abc");
    }

    #[test]
    fn a_skip_goes_over_bytes_not_read_yet() {
        let mut window = Window::new(Box::new(Drip(b"abcdefgh".to_vec(), false)));
        assert!(window.refill(1).unwrap());
        window.skip(6);
        assert_eq!(window.skipping_from(), Some(0));
        assert!(window.refill(1).unwrap());
        assert_eq!((window.rest(), window.offset()), (&b"g"[..], 6));
        assert!(window.refill(2).unwrap());
        assert_eq!((window.rest(), window.offset()), (&b"gh"[..], 6));
    }

    #[test]
    fn a_skip_beyond_the_end_stays_unfinished() {
        let mut window = Window::new(Box::new(&b"abc"[..]));
        assert!(window.refill(1).unwrap());
        window.skip(1 << 40);
        assert!(!window.refill(1).unwrap());
        assert_eq!(window.skipping_from(), Some(0));
        assert_eq!(window.offset(), 3);
    }

    #[test]
    fn the_buffer_grows_for_a_large_record_and_reads_stay_whole() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        let mut window = Window::new(Box::new(io::Cursor::new(bytes.clone())));
        while window.rest().len() < bytes.len() {
            assert!(window.refill(bytes.len()).unwrap());
        }
        assert_eq!(window.rest(), bytes);
    }
}
