//! How often each bucket was hit: as a sorted list while they are few, as a dense window later.
//!
//! What comes in while there is a list waits in one cache line until that is full. Of many histograms, each with a few
//! values, every record would otherwise be a search through several lines that are in no cache: it was 90 ns.

use super::buckets::PER_OCTAVE;

/// A list is kept at least up to this many entries (512 bytes).
const ALWAYS_LISTED: usize = 64;

/// Beyond this many an insertion costs more than the memory is worth.
const NEVER_LISTED: usize = 256;

/// A window is this much more costly than a list before the list may grow further.
const SAVING: usize = 4;

/// Buckets that were hit, in the order in which they were: one cache line.
#[derive(Clone, Default)]
#[repr(align(64))]
struct Recent {
    count: u16,
    buckets: [u16; MOST_RECENT],
}

const MOST_RECENT: usize = 31;

const _: () = assert!(size_of::<Recent>() == 64);

/// What was counted, whatever form it is kept in.
impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Recent {
    fn buckets(&self) -> &[u16] {
        &self.buckets[..usize::from(self.count).min(MOST_RECENT)]
    }
}

/// One structure for both forms, so that the frequent case of the hot path is one comparison: a bucket within the
/// window.
#[derive(Clone)]
pub(super) struct Counts {
    /// A count for every bucket of some consecutive octaves; empty as long as `list` has the counts.
    window: Vec<u32>,
    /// The bucket of `window[0]`; a multiple of [`PER_OCTAVE`].
    base: usize,
    /// What is not in the list yet. None with a window.
    recent: Option<Box<Recent>>,
    /// Without a window: bucket and count, sorted by bucket, no count is 0. With one: where counts have gone beyond 32
    /// bits, the bucket and how many times 2³² it is more; hardly ever there is one.
    list: Vec<(u16, u32)>,
}

impl Counts {
    pub const EMPTY: Self = Self { window: Vec::new(), base: 0, recent: None, list: Vec::new() };

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

    #[inline]
    pub fn prefetch(&self, bucket: usize) {
        if let Some(count) = self.window.get(bucket.wrapping_sub(self.base)) {
            flowcore::prefetch(count);
        } else if let Some(recent) = &self.recent {
            flowcore::prefetch(&**recent);
        }
    }

    #[inline(never)]
    pub fn add(&mut self, bucket: usize, times: u64) {
        if !self.window.is_empty() {
            return self.add_to_window(bucket, times);
        }
        if times == 1 {
            let recent = self.recent.get_or_insert_default();
            if let Some(place) = recent.buckets.get_mut(usize::from(recent.count)) {
                *place = bucket as u16;
                recent.count += 1;
                return;
            }
        }
        self.catch_up();
        if !self.window.is_empty() || !self.add_to_list(bucket, times) {
            self.add_to_window(bucket, times);
        }
    }

    /// Takes what waits into the list, or into a window.
    fn catch_up(&mut self) {
        let Some(mut recent) = self.recent.take() else { return };
        let count = usize::from(recent.count).min(MOST_RECENT);
        recent.buckets[..count].sort_unstable();
        for run in recent.buckets().chunk_by(|a, b| a == b) {
            let bucket = usize::from(run[0]);
            if !self.window.is_empty() || !self.add_to_list(bucket, run.len() as u64) {
                self.add_to_window(bucket, run.len() as u64);
            }
        }
        if self.window.is_empty() {
            // It is here already, and will be needed again.
            recent.count = 0;
            self.recent = Some(recent);
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
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        let Self { window, base, recent, list } = other;
        if window.is_empty() {
            for &(bucket, count) in list {
                self.add(usize::from(bucket), u64::from(count));
            }
            for &bucket in recent.iter().flat_map(|recent| recent.buckets()) {
                self.add_one(usize::from(bucket));
            }
            return;
        }
        self.catch_up();
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
        self.window.is_empty() && self.list.is_empty() && self.recent.as_ref().is_none_or(|recent| recent.count == 0)
    }

    /// Buckets that were hit, ascending, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let listed = if self.window.is_empty() { self.listed() } else { Vec::new() };
        let carried: &[(u16, u32)] = if self.window.is_empty() { &[] } else { &self.list };
        let more = |bucket: usize| {
            let found = find(carried, bucket);
            found.map_or(0, |at| u64::from(carried[at].1) << 32)
        };
        let windowed = self.window.iter().enumerate().map(move |(place, &count)| {
            let bucket = self.base + place;
            (bucket, u64::from(count) + if carried.is_empty() { 0 } else { more(bucket) })
        });
        listed.into_iter().chain(windowed.filter(|&(_, count)| count > 0))
    }

    /// The list with what waits for it.
    fn listed(&self) -> Vec<(usize, u64)> {
        let known = self.list.iter().map(|&(bucket, count)| (usize::from(bucket), u64::from(count)));
        let recent = self.recent.iter().flat_map(|recent| recent.buckets());
        let mut all: Vec<(usize, u64)> = known.chain(recent.map(|&bucket| (usize::from(bucket), 1))).collect();
        all.sort_unstable_by_key(|&(bucket, _)| bucket);
        all.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
        all
    }

    pub fn memory_bytes(&self) -> usize {
        let recent = if self.recent.is_some() { size_of::<Recent>() } else { 0 };
        self.window.capacity() * size_of::<u32>() + self.list.capacity() * size_of::<(u16, u32)>() + recent
    }
}

fn find(list: &[(u16, u32)], bucket: usize) -> Result<usize, usize> {
    list.binary_search_by_key(&bucket, |&(bucket, _)| usize::from(bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_counted() {
        let mut counts = Counts::EMPTY;
        let mut truth = std::collections::BTreeMap::new();
        for step in 0..500usize {
            let bucket = 3000 + step * step % 41;
            counts.add_one(bucket);
            *truth.entry(bucket).or_insert(0u64) += 1;
            assert!(counts.iter().eq(truth.iter().map(|(&bucket, &count)| (bucket, count))), "step {step}");
        }
        assert!(counts.window.is_empty());
    }

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
