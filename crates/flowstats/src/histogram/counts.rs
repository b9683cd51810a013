//! How often each bucket was hit: as a sorted list while they are few, as a dense window later.

use super::buckets::PER_OCTAVE;

/// A list is kept at least up to this many entries (512 bytes).
const ALWAYS_LISTED: usize = 64;

/// Beyond this many an insertion costs more than the memory is worth.
const NEVER_LISTED: usize = 256;

/// A window is this much more costly than a list before the list may grow further.
const SAVING: usize = 4;

/// One structure for both forms, so that the frequent case of the hot path is one comparison: a bucket within the
/// window.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// A count for every bucket of some consecutive octaves; empty as long as `list` has the counts.
    window: Vec<u32>,
    /// The bucket of `window[0]`; a multiple of [`PER_OCTAVE`].
    base: usize,
    /// Without a window: bucket and count, sorted by bucket, no count is 0. With one: where counts have gone beyond 32
    /// bits, the bucket and how many times 2³² it is more; hardly ever there is one.
    list: Vec<(u16, u32)>,
}

impl Counts {
    pub const EMPTY: Self = Self { window: Vec::new(), base: 0, list: Vec::new() };

    #[inline]
    pub fn add_one(&mut self, bucket: usize) {
        if let Some(count) = self.window.get_mut(bucket.wrapping_sub(self.base))
            && *count != u32::MAX
        {
            *count += 1;
        } else {
            self.add(bucket, 1);
        }
    }

    #[inline(never)]
    pub fn add(&mut self, bucket: usize, times: u64) {
        if !self.window.is_empty() || !self.add_to_list(bucket, times) {
            self.add_to_window(bucket, times);
        }
    }

    /// Whether the list had room.
    fn add_to_list(&mut self, bucket: usize, times: u64) -> bool {
        let found = find(&self.list, bucket);
        let before = found.map_or(0, |at| self.list[at].1);
        let Ok(sum) = u32::try_from(u64::from(before).saturating_add(times)) else { return false };
        match found {
            Ok(at) => self.list[at].1 = sum,
            Err(at) if self.list.len() < ALWAYS_LISTED || self.is_worth_listing(bucket) => {
                self.list.insert(at, (bucket as u16, sum));
            }
            Err(_) => return false,
        }
        true
    }

    fn add_to_window(&mut self, bucket: usize, times: u64) {
        self.cover(bucket, bucket);
        let count = &mut self.window[bucket - self.base];
        let sum = u64::from(*count).saturating_add(times);
        *count = sum as u32;
        self.carry(bucket, (sum >> 32) as u32);
    }

    fn carry(&mut self, bucket: usize, times: u32) {
        match find(&self.list, bucket) {
            _ if times == 0 => {}
            Ok(at) => self.list[at].1 = self.list[at].1.saturating_add(times),
            Err(at) => self.list.insert(at, (bucket as u16, times)),
        }
    }

    /// Whether the list with one more entry is still much smaller than the window that would replace it.
    fn is_worth_listing(&self, bucket: usize) -> bool {
        let (first, last) = self.ends().unwrap_or((bucket, bucket));
        let octaves = last.max(bucket) / PER_OCTAVE - first.min(bucket) / PER_OCTAVE + 1;
        let listed = (self.list.len() + 1) * size_of::<(u16, u32)>();
        self.list.len() < NEVER_LISTED && listed * SAVING <= octaves * PER_OCTAVE * size_of::<u32>()
    }

    /// The first and the last bucket of the list.
    fn ends(&self) -> Option<(usize, usize)> {
        Some((usize::from(self.list.first()?.0), usize::from(self.list.last()?.0)))
    }

    /// Makes a window that reaches from the octave of `first` to that of `last` at least, of the list if there was none.
    fn cover(&mut self, first: usize, last: usize) {
        let octaves =
            |first: usize, last: usize| (first / PER_OCTAVE * PER_OCTAVE, (last / PER_OCTAVE + 1) * PER_OCTAVE);
        let (mut from, mut to) = octaves(first, last);
        if self.window.is_empty() {
            if let Some((first, last)) = self.ends() {
                let listed = octaves(first, last);
                (from, to) = (from.min(listed.0), to.max(listed.1));
            }
            (self.base, self.window) = (from, vec![0; to - from]);
            for (bucket, count) in std::mem::take(&mut self.list) {
                self.window[usize::from(bucket) - from] = count;
            }
            return;
        }
        (from, to) = (from.min(self.base), to.max(self.base + self.window.len()));
        if to - from > self.window.len() {
            let mut wider = vec![0; to - from];
            wider[self.base - from..][..self.window.len()].copy_from_slice(&self.window);
            (self.base, self.window) = (from, wider);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        let Self { window, base, list } = other;
        if window.is_empty() {
            for &(bucket, count) in list {
                self.add(usize::from(bucket), u64::from(count));
            }
            return;
        }
        self.cover(*base, base + window.len() - 1);
        let shift = base - self.base;
        for (place, &count) in window.iter().enumerate().filter(|(_, count)| **count > 0) {
            let mine = &mut self.window[shift + place];
            let (sum, over) = mine.overflowing_add(count);
            *mine = sum;
            self.carry(base + place, u32::from(over));
        }
        for &(bucket, times) in list {
            self.carry(usize::from(bucket), times);
        }
    }

    pub fn is_empty(&self) -> bool {
        // A window is made for something that was counted.
        self.window.is_empty() && self.list.is_empty()
    }

    /// Buckets that were hit, ascending, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let (listed, carried) = if self.window.is_empty() { (&*self.list, &[][..]) } else { (&[][..], &*self.list) };
        let more = |bucket: usize| {
            let found = find(carried, bucket);
            found.map_or(0, |at| u64::from(carried[at].1) << 32)
        };
        let windowed = self.window.iter().enumerate().map(move |(place, &count)| {
            let bucket = self.base + place;
            (bucket, u64::from(count) + if carried.is_empty() { 0 } else { more(bucket) })
        });
        let listed = listed.iter().map(|&(bucket, count)| (usize::from(bucket), u64::from(count)));
        listed.chain(windowed.filter(|&(_, count)| count > 0))
    }

    pub fn memory_bytes(&self) -> usize {
        self.window.capacity() * size_of::<u32>() + self.list.capacity() * size_of::<(u16, u32)>()
    }
}

fn find(list: &[(u16, u32)], bucket: usize) -> Result<usize, usize> {
    list.binary_search_by_key(&bucket, |&(bucket, _)| usize::from(bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_beyond_32_bits_are_carried() {
        let mut counts = Counts::EMPTY;
        counts.add(7, u64::from(u32::MAX));
        counts.add_one(7);
        counts.add_one(7);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(7, (1 << 32) + 1)]);
        let mut dense = counts.clone();
        dense.merge(&counts);
        dense.add(7, u64::from(u32::MAX) - 2);
        assert_eq!(dense.iter().collect::<Vec<_>>(), [(7, (3 << 32) - 1)]);
        dense.add_one(7);
        assert_eq!(dense.iter().collect::<Vec<_>>(), [(7, 3 << 32)]);
    }

    #[test]
    fn a_wide_list_stays_a_list_until_a_window_is_worth_it() {
        let mut wide = Counts::EMPTY;
        let mut narrow = Counts::EMPTY;
        for step in 0..200 {
            wide.add(step * 37, 1);
            narrow.add(4000 + step, 1);
        }
        assert!(wide.window.is_empty());
        assert!(!narrow.window.is_empty());
        assert_eq!((wide.iter().count(), narrow.iter().count()), (200, 200));
        assert!(narrow.memory_bytes() <= 3 * PER_OCTAVE * 4);
    }
}
