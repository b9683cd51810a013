//! How often each bucket was hit: as the buckets themselves while they are few, as a dense window of counts later.
//!
//! Why not as a sorted list first: of many histograms, each with a few values, every record was a search through several
//! lines that are in no cache, 90 ns. One that is only appended to is touched in one place.

use super::buckets::{BUCKETS, CODE_OF_FIRST, PER_OCTAVE};

/// Buckets that there is room for at first (16 bytes).
const FIRST: usize = 8;

/// They are always kept one by one up to this many (128 bytes).
const ALWAYS_LISTED: usize = 64;

/// Beyond this many, to sort them for every question costs more than the memory is worth.
const NEVER_LISTED: usize = 1024;

/// A window is this much larger than they are before there may be twice as many.
const SAVING: usize = 2;

/// Bits of a count that are in the window.
const BITS: u32 = u16::BITS;

/// [`Counts::first_code`] without a window: no bucket lies in a window that begins here.
const LISTED: usize = BUCKETS + CODE_OF_FIRST;

/// One structure for both forms, so that the frequent case of the hot path is one comparison: a bucket within the
/// window.
#[derive(Clone)]
pub(super) struct Counts {
    /// The lower bits of a count for every bucket of some consecutive octaves; without a window the buckets that were
    /// hit, in the order in which they were.
    cells: Vec<u16>,
    /// The code of the bucket of `cells[0]`, which is a multiple of [`PER_OCTAVE`]; or [`LISTED`].
    first_code: usize,
    /// Hardly ever there are any.
    carried: Option<Box<Carried>>,
}

/// Where counts have gone beyond the window's bits: the bucket and how many times 2¹⁶ it is more, in order.
#[derive(Clone, Default)]
struct Carried(Vec<(u16, u64)>);

/// What was counted, whatever form it is kept in.
impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Counts {
    pub const EMPTY: Self = Self { cells: Vec::new(), first_code: LISTED, carried: None };

    /// Counts one hit of the bucket that has this [`code`](super::buckets::code).
    #[inline]
    pub fn add_one(&mut self, code: usize) {
        let Some(count) = self.cells.get_mut(code.wrapping_sub(self.first_code)) else {
            return self.add(code.wrapping_sub(CODE_OF_FIRST), 1);
        };
        let (sum, over) = count.overflowing_add(1);
        *count = sum;
        if over {
            self.carry(code.wrapping_sub(CODE_OF_FIRST), 1);
        }
    }

    /// Asks the processor to bring the place closer where `bucket` will be counted.
    #[inline]
    pub fn prefetch(&self, bucket: usize) {
        // A choice of numbers rather than a branch: whether a remote has many values is nothing that the one before
        // tells.
        let (last, windowed) =
            (self.cells.len().wrapping_sub(1), (bucket + CODE_OF_FIRST).wrapping_sub(self.first_code));
        let place = if self.is_listed() { last } else { windowed };
        if let Some(cell) = self.cells.get(place) {
            flowcore::prefetch(cell);
        }
    }

    #[inline]
    fn is_listed(&self) -> bool {
        self.first_code == LISTED
    }

    /// The bucket of the window's first cell.
    #[inline]
    fn base(&self) -> usize {
        self.first_code - CODE_OF_FIRST
    }

    #[inline(never)]
    pub fn add(&mut self, bucket: usize, times: u64) {
        if times == 1 && self.is_listed() && (self.cells.len() < self.cells.capacity() || self.make_room()) {
            self.cells.push(bucket as u16);
            return;
        }
        self.cover(bucket, bucket);
        let base = self.base();
        let count = &mut self.cells[bucket - base];
        let sum = u64::from(*count).saturating_add(times);
        *count = sum as u16;
        self.carry(bucket, sum >> BITS);
    }

    /// Makes room for twice as many buckets; not if a window is worth its memory.
    fn make_room(&mut self) -> bool {
        let room = self.cells.capacity();
        if room >= NEVER_LISTED {
            return false;
        }
        if room >= ALWAYS_LISTED {
            let (first, last) = self.ends();
            let window = (last / PER_OCTAVE - first / PER_OCTAVE + 1) * PER_OCTAVE;
            if 2 * room * SAVING > window {
                return false;
            }
        }
        self.cells.reserve_exact(room.max(FIRST));
        true
    }

    fn carry(&mut self, bucket: usize, times: u64) {
        if times == 0 {
            return;
        }
        let Carried(carried) = &mut **self.carried.get_or_insert_default();
        match find(carried, bucket) {
            Ok(at) => carried[at].1 = carried[at].1.saturating_add(times),
            Err(at) => carried.insert(at, (bucket as u16, times)),
        }
    }

    fn carried(&self) -> &[(u16, u64)] {
        self.carried.as_ref().map_or(&[], |carried| &carried.0)
    }

    /// The least and the greatest of the buckets that were hit, while they are kept one by one.
    fn ends(&self) -> (usize, usize) {
        let ends =
            self.cells.iter().fold((u16::MAX, 0), |(least, most), &bucket| (least.min(bucket), most.max(bucket)));
        (usize::from(ends.0), usize::from(ends.1))
    }

    /// Makes a window that reaches from the octave of `first` to that of `last` at least, of the buckets if there was
    /// none.
    fn cover(&mut self, first: usize, last: usize) {
        let (mut from, mut to) = (first / PER_OCTAVE * PER_OCTAVE, (last / PER_OCTAVE + 1) * PER_OCTAVE);
        if self.is_listed() {
            if !self.cells.is_empty() {
                let (first, last) = self.ends();
                (from, to) = (from.min(first / PER_OCTAVE * PER_OCTAVE), to.max((last / PER_OCTAVE + 1) * PER_OCTAVE));
            }
            // Not more than `NEVER_LISTED` of them: no count goes beyond its bits.
            let listed = std::mem::replace(&mut self.cells, vec![0; to - from]);
            listed.iter().for_each(|&bucket| self.cells[usize::from(bucket) - from] += 1);
            self.first_code = from + CODE_OF_FIRST;
            return;
        }
        let base = self.base();
        (from, to) = (from.min(base), to.max(base + self.cells.len()));
        if to - from > self.cells.len() {
            let mut wider = vec![0; to - from];
            wider[base - from..][..self.cells.len()].copy_from_slice(&self.cells);
            (self.first_code, self.cells) = (from + CODE_OF_FIRST, wider);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        let Self { cells, first_code: _, carried: _ } = other;
        if other.is_listed() {
            cells.iter().for_each(|&bucket| self.add_one(usize::from(bucket) + CODE_OF_FIRST));
            return;
        }
        let base = other.base();
        self.cover(base, base + cells.len() - 1);
        let shift = base - self.base();
        for (place, &count) in cells.iter().enumerate().filter(|(_, count)| **count > 0) {
            let mine = &mut self.cells[shift + place];
            let (sum, over) = mine.overflowing_add(count);
            *mine = sum;
            self.carry(base + place, u64::from(over));
        }
        for &(bucket, times) in other.carried() {
            self.carry(usize::from(bucket), times);
        }
    }

    pub fn is_empty(&self) -> bool {
        // A window is made for something that was counted.
        self.cells.is_empty()
    }

    /// The least bucket that was hit.
    pub fn first(&self) -> Option<usize> {
        self.iter().next().map(|(bucket, _)| bucket)
    }

    /// How often any was hit; saturates.
    pub fn total(&self) -> u64 {
        if self.is_listed() {
            return self.cells.len() as u64;
        }
        let carried = self.carried().iter().fold(0u64, |sum, &(_, times)| sum.saturating_add(more(times)));
        carried.saturating_add(self.cells.chunks(PER_OCTAVE).map(sum).sum())
    }

    /// Tells the bucket that has the hit of a place in ascending order, below [`total`](Self::total).
    pub fn in_order(&self) -> impl Fn(u64) -> usize + '_ {
        let sorted = self.is_listed().then(|| self.sorted());
        move |place| match &sorted {
            Some(sorted) => usize::from(sorted[place as usize]),
            None => self.find(place),
        }
    }

    /// The same with a window: octave by octave first.
    fn find(&self, place: u64) -> usize {
        let mut before = 0u64;
        let carried = self.carried();
        for (octave, cells) in self.cells.chunks(PER_OCTAVE).enumerate() {
            let from = self.base() + octave * PER_OCTAVE;
            let within = from..from + PER_OCTAVE;
            let [first, end] = [within.start, within.end].map(|end| find(carried, end).unwrap_or_else(|at| at));
            let all = carried[first..end].iter().fold(sum(cells), |sum, &(_, times)| sum.saturating_add(more(times)));
            if before.saturating_add(all) <= place {
                before = before.saturating_add(all);
                continue;
            }
            for (bucket, &count) in within.zip(cells) {
                before = before.saturating_add(self.whole(bucket, count));
                if place < before {
                    return bucket;
                }
            }
        }
        self.base() + self.cells.len() - 1
    }

    /// A count of which the window has these lower bits.
    fn whole(&self, bucket: usize, count: u16) -> u64 {
        let carried = self.carried();
        if carried.is_empty() {
            return u64::from(count);
        }
        find(carried, bucket).map_or(0, |at| more(carried[at].1)).saturating_add(u64::from(count))
    }

    /// The buckets in order, while they are kept one by one.
    fn sorted(&self) -> Vec<u16> {
        let mut sorted = self.cells.clone();
        sorted.sort_unstable();
        sorted
    }

    /// Buckets that were hit, ascending, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let listed: Vec<(usize, u64)> = if self.is_listed() {
            let sorted = self.sorted();
            sorted.chunk_by(|a, b| a == b).map(|run| (usize::from(run[0]), run.len() as u64)).collect()
        } else {
            Vec::new()
        };
        let window = if self.is_listed() { &[][..] } else { &self.cells };
        let windowed = (self.base()..).zip(window).map(|(bucket, &count)| (bucket, self.whole(bucket, count)));
        listed.into_iter().chain(windowed.filter(|&(_, count)| count > 0))
    }

    pub fn memory_bytes(&self) -> usize {
        let carried =
            self.carried.as_ref().map_or(0, |it| size_of::<Carried>() + it.0.capacity() * size_of::<(u16, u64)>());
        self.cells.capacity() * size_of::<u16>() + carried
    }
}

fn sum(octave: &[u16]) -> u64 {
    // As 32 bits they add up several at a time, and an octave's fit.
    u64::from(octave.iter().map(|&count| u32::from(count)).sum::<u32>())
}

/// What was carried so many times.
fn more(times: u64) -> u64 {
    times.saturating_mul(1 << BITS)
}

fn find(carried: &[(u16, u64)], bucket: usize) -> Result<usize, usize> {
    carried.binary_search_by_key(&bucket, |&(bucket, _)| usize::from(bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_counts_the_same() {
        let mut counts = Counts::EMPTY;
        let mut truth = std::collections::BTreeMap::new();
        for step in 0..1500usize {
            let bucket = 3000 + step * step % 741;
            counts.add_one(bucket + CODE_OF_FIRST);
            *truth.entry(bucket).or_insert(0u64) += 1;
            assert!(counts.iter().eq(truth.iter().map(|(&bucket, &count)| (bucket, count))), "step {step}");
            assert_eq!(counts.total(), step as u64 + 1);
        }
        assert!(!counts.is_listed());
        let at = counts.in_order();
        let sorted = truth.iter().flat_map(|(&bucket, &count)| std::iter::repeat_n(bucket, count as usize));
        assert!(sorted.enumerate().all(|(place, bucket)| at(place as u64) == bucket));
    }

    #[test]
    fn counts_beyond_the_windows_bits_are_carried() {
        for full in [u64::from(u16::MAX), u64::from(u32::MAX)] {
            let mut counts = Counts::EMPTY;
            counts.add(7, full);
            counts.add_one(7 + CODE_OF_FIRST);
            counts.add_one(7 + CODE_OF_FIRST);
            assert_eq!(counts.iter().collect::<Vec<_>>(), [(7, full + 2)]);
            let mut sum = counts.clone();
            sum.merge(&counts);
            sum.add(300, 1);
            sum.add(7, full - 3);
            assert_eq!(sum.iter().collect::<Vec<_>>(), [(7, 3 * full + 1), (300, 1)]);
            assert_eq!(sum.total(), 3 * full + 2);
            assert_eq!([3 * full, 3 * full + 1].map(sum.in_order()), [7, 300]);
        }
        let mut counts = Counts::EMPTY;
        counts.add(7, u64::MAX);
        counts.add(7, u64::MAX);
        assert_eq!((counts.total(), counts.iter().next()), (u64::MAX, Some((7, u64::MAX))));
    }

    #[test]
    fn few_stay_few_until_a_window_is_worth_it() {
        let mut wide = Counts::EMPTY;
        let mut narrow = Counts::EMPTY;
        for step in 0..200 {
            wide.add(step * 37, 1);
            narrow.add(4000 + step, 1);
        }
        assert!(wide.is_listed() && wide.memory_bytes() <= 512);
        assert!(!narrow.is_listed());
        assert_eq!((wide.iter().count(), narrow.iter().count()), (200, 200));
        assert!(narrow.memory_bytes() <= 3 * PER_OCTAVE * 2);
    }
}
