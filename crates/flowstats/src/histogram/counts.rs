//! How often each bucket was hit: as a sorted list while they are few, as a dense window later.

use super::buckets::PER_OCTAVE;

/// A list is kept at least up to this many entries (512 bytes).
const ALWAYS_LISTED: usize = 64;

/// Beyond this many an insertion costs more than the memory is worth.
const NEVER_LISTED: usize = 256;

/// A window is this much more costly than a list before the list may grow further.
const SAVING: usize = 4;

#[derive(Clone, Debug)]
pub(super) enum Counts {
    /// Bucket and count; sorted by bucket, no count is 0.
    Listed(Vec<(u16, u32)>),
    Dense(Dense),
}

/// A count for every bucket of some consecutive octaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Dense {
    /// The bucket of `counts[0]`; a multiple of [`PER_OCTAVE`].
    base: usize,
    /// Whole octaves.
    counts: Vec<u32>,
    /// Where a count has gone beyond 32 bits: bucket, and how many times 2³² it is more. Hardly ever there is one.
    carried: Vec<(usize, u32)>,
}

impl Default for Counts {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Counts {
    pub const EMPTY: Self = Self::Listed(Vec::new());

    #[inline]
    pub fn add_one(&mut self, bucket: usize) {
        if let Self::Dense(dense) = self
            && let Some(count) = dense.counts.get_mut(bucket.wrapping_sub(dense.base))
            && *count != u32::MAX
        {
            *count += 1;
        } else {
            self.add(bucket, 1);
        }
    }

    #[inline(never)]
    pub fn add(&mut self, bucket: usize, times: u64) {
        match self {
            Self::Dense(dense) => dense.add(bucket, times),
            Self::Listed(list) => {
                let found = list.binary_search_by_key(&bucket, |&(bucket, _)| usize::from(bucket));
                let before = found.map_or(0, |at| list[at].1);
                let sum = u64::from(before).saturating_add(times);
                match (found, u32::try_from(sum)) {
                    (Ok(at), Ok(sum)) => list[at].1 = sum,
                    (Err(at), Ok(sum)) if list.len() < ALWAYS_LISTED || is_worth_it(list, bucket) => {
                        list.insert(at, (bucket as u16, sum));
                    }
                    _ => self.condense().add(bucket, times),
                }
            }
        }
    }

    /// Makes it dense.
    fn condense(&mut self) -> &mut Dense {
        if let Self::Listed(list) = self {
            let mut dense = Dense::default();
            if let (Some(&(first, _)), Some(&(last, _))) = (list.first(), list.last()) {
                dense.cover(usize::from(first), usize::from(last));
            }
            for &(bucket, count) in list.iter() {
                dense.add(usize::from(bucket), u64::from(count));
            }
            *self = Self::Dense(dense);
        }
        match self {
            Self::Dense(dense) => dense,
            Self::Listed(_) => unreachable!("it was made dense just now"),
        }
    }

    pub fn merge(&mut self, other: &Self) {
        if let (Self::Listed(_), Self::Dense(_)) = (&self, other) {
            self.condense();
        }
        if let (Self::Dense(mine), Self::Dense(theirs)) = (&mut *self, other) {
            return mine.merge(theirs);
        }
        for (bucket, count) in other.iter() {
            self.add(bucket, count);
        }
    }

    pub fn is_empty(&self) -> bool {
        // A window is made for something that was counted.
        matches!(self, Self::Listed(list) if list.is_empty())
    }

    /// Buckets that were hit, ascending, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let (list, dense) = match self {
            Self::Listed(list) => (list.as_slice(), None),
            Self::Dense(dense) => (&[][..], Some(dense)),
        };
        let listed = list.iter().map(|&(bucket, count)| (usize::from(bucket), u64::from(count)));
        listed.chain(dense.into_iter().flat_map(Dense::iter))
    }

    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Listed(list) => list.capacity() * size_of::<(u16, u32)>(),
            Self::Dense(dense) => {
                dense.counts.capacity() * size_of::<u32>() + dense.carried.capacity() * size_of::<(usize, u32)>()
            }
        }
    }
}

/// Whether a list with one more entry is still much smaller than the window that would replace it.
fn is_worth_it(list: &[(u16, u32)], bucket: usize) -> bool {
    let ends = [list.first(), list.last()].map(|entry| entry.map_or(bucket, |&(bucket, _)| usize::from(bucket)));
    let octave = |bucket: usize| bucket / PER_OCTAVE;
    let octaves = octave(ends[1].max(bucket)) - octave(ends[0].min(bucket)) + 1;
    let listed = (list.len() + 1) * size_of::<(u16, u32)>();
    list.len() < NEVER_LISTED && listed * SAVING <= octaves * PER_OCTAVE * size_of::<u32>()
}

impl Dense {
    #[inline(never)]
    fn add(&mut self, bucket: usize, times: u64) {
        self.cover(bucket, bucket);
        let count = &mut self.counts[bucket - self.base];
        let sum = u64::from(*count).saturating_add(times);
        *count = sum as u32;
        self.carry(bucket, sum >> 32);
    }

    #[inline]
    fn carry(&mut self, bucket: usize, times: u64) {
        if times > 0 {
            self.carry_there(bucket, times as u32);
        }
    }

    #[cold]
    fn carry_there(&mut self, bucket: usize, times: u32) {
        match self.carried.iter_mut().find(|(at, _)| *at == bucket) {
            Some((_, carried)) => *carried = carried.saturating_add(times),
            None => self.carried.push((bucket, times)),
        }
    }

    /// Makes the window reach from the octave of `first` to that of `last`.
    fn cover(&mut self, first: usize, last: usize) {
        let first = first / PER_OCTAVE * PER_OCTAVE;
        let end = (last / PER_OCTAVE + 1) * PER_OCTAVE;
        if self.counts.is_empty() {
            self.base = first;
        }
        let (from, to) = (self.base.min(first), (self.base + self.counts.len()).max(end));
        if (from, to) == (self.base, self.base + self.counts.len()) {
            return;
        }
        let mut wider = vec![0; to - from];
        wider[self.base - from..][..self.counts.len()].copy_from_slice(&self.counts);
        (self.base, self.counts) = (from, wider);
    }

    fn merge(&mut self, other: &Self) {
        let Self { base, counts, carried } = other;
        if counts.is_empty() {
            return;
        }
        self.cover(*base, base + counts.len() - 1);
        let shift = base - self.base;
        for (place, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let mine = &mut self.counts[shift + place];
            let (sum, over) = mine.overflowing_add(count);
            *mine = sum;
            if over {
                self.carry_there(base + place, 1);
            }
        }
        for &(bucket, times) in carried {
            self.carry_there(bucket, times);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let carried = |bucket: usize| {
            let found = self.carried.iter().find(|(at, _)| *at == bucket);
            found.map_or(0, |&(_, times)| u64::from(times) << 32)
        };
        let all = self.counts.iter().enumerate().map(move |(place, &count)| {
            let bucket = self.base + place;
            (bucket, u64::from(count) + if self.carried.is_empty() { 0 } else { carried(bucket) })
        });
        all.filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_beyond_32_bits_are_carried() {
        let mut counts = Counts::default();
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
        let mut wide = Counts::default();
        let mut narrow = Counts::default();
        for step in 0..200 {
            wide.add(step * 37, 1);
            narrow.add(4000 + step, 1);
        }
        assert!(matches!(wide, Counts::Listed(_)));
        assert!(matches!(narrow, Counts::Dense(_)));
        assert_eq!((wide.iter().count(), narrow.iter().count()), (200, 200));
        assert!(narrow.memory_bytes() <= 3 * PER_OCTAVE * 4);
    }
}
