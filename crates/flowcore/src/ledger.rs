//! The law of conservation: seen = delivered + filtered + lost, and what was delivered in a lesser form.

use crate::event::{Layer, Notes};

/// Why packets that existed did not become events.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(usize)]
pub enum Loss {
    /// The interface or its driver dropped them (pcapng `isb_ifdrop`).
    Interface = 0,
    /// The operating system dropped them for lack of buffers (pcapng `isb_osdrop`, `PACKET_STATISTICS`).
    Kernel = 1,
    /// The capturing program noted drops beside single packets (pcapng `epb_dropcount`).
    Capture = 2,
    /// They are in the file, but damaged so that no packet could be made of them.
    Damaged = 3,
    /// A stage of ours had no room (a fault-injecting wrapper, a ring).
    Ring = 4,
}

impl Loss {
    /// How many reasons there are.
    pub const COUNT: usize = 5;
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [Self::Interface, Self::Kernel, Self::Capture, Self::Damaged, Self::Ring];

    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interface => "interface",
            Self::Kernel => "kernel",
            Self::Capture => "capture",
            Self::Damaged => "damaged",
            Self::Ring => "ring",
        }
    }
}

/// What became of every packet. Counts are packets unless their name says otherwise.
///
/// The balance `seen = delivered + filtered + Σ lost` holds by construction: there is no other way in. A loss that
/// the source cannot know is `None`, which is not 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    delivered: u64,
    filtered: u64,
    /// Indexed by [`Loss`]; what is known of it.
    lost: [Option<u64>; Loss::COUNT],
    /// Indexed by [`Loss`]; a part of the source does not know it, so what is known is a lower bound.
    partly: [bool; Loss::COUNT],
    /// Indexed by [`Layer`]; delivered, but reading stopped there because the headers contradict themselves.
    malformed: [u64; Layer::COUNT],
    /// Indexed by [`Layer`]; delivered, but the snap length ended within that layer.
    cut: [u64; Layer::COUNT],
    /// Indexed by [`Layer`]; delivered, but what stands there is of a kind that is not read here.
    unknown: [u64; Layer::COUNT],
    /// Delivered; the capture holds less of them than was on the wire.
    pub truncated: u64,
    /// Delivered without a flow id because the flow table was full.
    pub untracked: u64,
    /// Delivered; they have no flow (ARP, LLDP, …) or none that could be read.
    pub flowless: u64,
    /// Delivered, but already seen on another interface, so counted in no flow.
    pub duplicates: u64,
    /// Delivered with a time earlier than that of a packet before them.
    pub backwards: u64,
    /// Delivered with a time that is not their own, because the source notes none (pcapng simple packets): that of the
    /// latest packet before them, or the epoch if there was none.
    pub untimed: u64,
    /// Bytes of input that could not be read as packets (after damage); how many packets they were is unknown.
    pub unread_bytes: u64,
    /// Input ended before its own end: cut, damaged or interrupted.
    pub incomplete: bool,
    /// Result rows that were finished but not kept, because a report's own limit was reached.
    pub unreported_rows: u64,
    /// Of sources that ask for sockets; `None` for others.
    pub sockets: Option<Polls>,
}

/// What became of the sockets that a kernel was asked for. What it filters itself is not counted anywhere: it does not
/// say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polls {
    /// How often it was asked.
    pub polls: u64,
    /// Samples that came: a socket counts once for each poll, and once more for its end.
    pub seen: u64,
    /// Of those, the ones that were read and not selected. `None`: a filter ran where it can, mostly in the kernel, which
    /// does not say how many it left out; then `seen` are those that passed.
    pub filtered: Option<u64>,
    /// Answers that the kernel marked as inconsistent, also when asked again: sockets may be missing or twice.
    pub interrupted: u64,
    /// Kinds of socket for which the kernel gave no or only part of an answer, in each network namespace that was to be
    /// asked. Of one that may not be entered these are all kinds, of those that may not even be counted once all kinds.
    pub refused: u64,
    /// Messages of which nothing, or only the beginning, could be read.
    pub malformed: u64,
    /// Times that the kernel had no room for notices of destroyed sockets; how many were lost is not known.
    pub overruns: u64,
    /// TCP connections that the kernel counted as opened and that were never seen: they lived between two polls. `None`:
    /// not known.
    pub missed: Option<u64>,
}

impl Polls {
    /// Counts samples that a filter took out behind the source.
    pub fn filter(&mut self, samples: u64) {
        match &mut self.filtered {
            Some(filtered) => *filtered += samples,
            // Those that the kernel left out are not counted; nor are these, the same whether it knew the filter or not.
            None => self.seen = self.seen.saturating_sub(samples),
        }
    }

    /// The sum of two; what one does not know of missed connections is not known of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let Self { polls, seen, filtered, interrupted, refused, malformed, overruns, missed } = *other;
        Self {
            polls: self.polls + polls,
            seen: self.seen + seen,
            filtered: self.filtered.zip(filtered).map(|(mine, theirs)| mine + theirs),
            interrupted: self.interrupted + interrupted,
            refused: self.refused + refused,
            malformed: self.malformed + malformed,
            overruns: self.overruns + overruns,
            missed: self.missed.zip(missed).map(|(mine, theirs)| mine + theirs),
        }
    }
}

impl Ledger {
    /// A ledger that knows nothing yet: every loss unknown.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that existed, as far as is known.
    pub fn seen(&self) -> u64 {
        self.accounted()
    }

    /// Delivered + filtered + every known loss.
    pub fn accounted(&self) -> u64 {
        self.delivered.saturating_add(self.filtered).saturating_add(self.lost_total())
    }

    /// Became events and reached the analyzers.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Were read and not selected.
    pub fn filtered(&self) -> u64 {
        self.filtered
    }

    /// Lost for `reason`; `None` if the source, or one of several, cannot know.
    pub fn lost(&self, reason: Loss) -> Option<u64> {
        if self.partly[reason as usize] { None } else { self.lost[reason as usize] }
    }

    /// Known to be lost for `reason`, by those parts of the source that know; `None` if none does.
    pub fn lost_at_least(&self, reason: Loss) -> Option<u64> {
        self.lost[reason as usize]
    }

    /// Some part of the source knows what was lost for `reason`, and another does not.
    pub fn is_partly_known(&self, reason: Loss) -> bool {
        self.partly[reason as usize]
    }

    /// The sum of all known losses; a lower bound if any reason is `None`.
    pub fn lost_total(&self) -> u64 {
        // A file may claim any number: the sum stops at the largest rather than start again.
        self.lost.iter().flatten().fold(0, |sum: u64, &packets| sum.saturating_add(packets))
    }

    /// Whether the source, or a part of it, says anything about losses before it (interface, kernel or capture).
    pub fn knows_losses(&self) -> bool {
        [Loss::Interface, Loss::Kernel, Loss::Capture].iter().any(|&reason| self.lost_at_least(reason).is_some())
    }

    /// Delivered packets whose headers contradict themselves at `layer`.
    pub fn malformed(&self, layer: Layer) -> u64 {
        self.malformed[layer as usize]
    }

    /// Delivered packets whose captured bytes ended within `layer`'s header.
    pub fn cut(&self, layer: Layer) -> u64 {
        self.cut[layer as usize]
    }

    /// Counts packets that became events.
    pub fn deliver(&mut self, packets: u64) {
        self.delivered = self.delivered.saturating_add(packets);
    }

    /// Counts packets that a filter took out, which were counted as delivered before.
    pub fn filter(&mut self, packets: u64) {
        let packets = packets.min(self.delivered);
        self.delivered -= packets;
        self.filtered += packets;
    }

    /// Adds to the packets lost for `reason`; 0 says that the source would know and there were none.
    pub fn lose(&mut self, reason: Loss, packets: u64) {
        let lost = self.lost[reason as usize].get_or_insert(0);
        *lost = lost.saturating_add(packets);
    }

    /// Says that a part of the source does not know what it lost for `reason`.
    pub fn lose_unknown(&mut self, reason: Loss) {
        self.partly[reason as usize] = true;
    }

    /// Takes delivered packets back as lost for `reason`: a stage behind the source dropped them.
    pub fn lose_delivered(&mut self, reason: Loss, packets: u64) {
        let packets = packets.min(self.delivered);
        self.delivered -= packets;
        self.lose(reason, packets);
    }

    /// Delivered packets of which `layer` is of a kind that is not read here (an unknown link type).
    pub fn unknown(&self, layer: Layer) -> u64 {
        self.unknown[layer as usize]
    }

    /// Counts one delivered packet in which reading stopped at `layer`; `notes` say why.
    pub fn stop(&mut self, layer: Layer, notes: Notes) {
        self.stop_packets(layer, notes, 1);
    }

    /// The same of several packets.
    pub(crate) fn stop_packets(&mut self, layer: Layer, notes: Notes, packets: u64) {
        let counts = if notes.contains(Notes::MALFORMED) {
            &mut self.malformed
        } else if notes.contains(Notes::UNKNOWN) {
            &mut self.unknown
        } else {
            &mut self.cut
        };
        counts[layer as usize] += packets;
    }

    /// The sum of two ledgers, as of two sources read together. A loss that only one of them knows is unknown; what is
    /// known of it remains as [`lost_at_least`](Self::lost_at_least).
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let mut sum = self.stacked(other);
        for (partly, (mine, theirs)) in sum.partly.iter_mut().zip(self.lost.iter().zip(&other.lost)) {
            *partly |= mine.is_some() != theirs.is_some();
        }
        sum
    }

    /// This ledger of a stage with that of what feeds it. A loss that only one of the two speaks of is known.
    #[must_use]
    pub fn stacked(&self, source: &Self) -> Self {
        let Self {
            delivered,
            filtered,
            lost,
            malformed,
            cut,
            unknown,
            truncated,
            untracked,
            flowless,
            duplicates,
            backwards,
            untimed,
            unread_bytes,
            incomplete,
            unreported_rows,
            sockets,
            partly,
        } = source;
        let mut sum = self.clone();
        sum.delivered += delivered;
        sum.filtered += filtered;
        for (mine, theirs) in sum.lost.iter_mut().zip(lost) {
            if let Some(packets) = theirs {
                let mine = mine.get_or_insert(0);
                *mine = mine.saturating_add(*packets);
            }
        }
        for (mine, theirs) in sum.partly.iter_mut().zip(partly) {
            *mine |= theirs;
        }
        for (mine, theirs) in sum.malformed.iter_mut().zip(malformed) {
            *mine += theirs;
        }
        for (mine, theirs) in sum.cut.iter_mut().zip(cut) {
            *mine += theirs;
        }
        for (mine, theirs) in sum.unknown.iter_mut().zip(unknown) {
            *mine += theirs;
        }
        sum.truncated += truncated;
        sum.untracked += untracked;
        sum.flowless += flowless;
        sum.duplicates += duplicates;
        sum.backwards += backwards;
        sum.untimed += untimed;
        sum.unread_bytes += unread_bytes;
        sum.incomplete |= incomplete;
        sum.unreported_rows += unreported_rows;
        sum.sockets = match (&sum.sockets, sockets) {
            (Some(mine), Some(theirs)) => Some(mine.plus(theirs)),
            (mine, theirs) => mine.clone().or_else(|| theirs.clone()),
        };
        sum
    }

    /// Of delivered packets, and of what their events say themselves, at least as much as another ledger counts: a
    /// source may have counted it, or leave that to whoever takes its events.
    pub(crate) fn count_at_least(&mut self, counted: &Self) {
        for (mine, theirs) in [
            (&mut self.malformed, &counted.malformed),
            (&mut self.cut, &counted.cut),
            (&mut self.unknown, &counted.unknown),
        ] {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
        }
        if self.sockets.is_none() {
            // What is told of sockets is told by them.
            self.deliver(counted.delivered().saturating_sub(self.delivered()));
        }
        self.truncated = self.truncated.max(counted.truncated);
        self.flowless = self.flowless.max(counted.flowless);
        self.backwards = self.backwards.max(counted.backwards);
        self.untimed = self.untimed.max(counted.untimed);
    }

    /// Malformed packets over all layers.
    pub fn malformed_total(&self) -> u64 {
        self.malformed.iter().sum()
    }

    /// Packets of which some layer is of a kind that is not read here, over all layers.
    pub fn unknown_total(&self) -> u64 {
        self.unknown.iter().sum()
    }

    /// Packets whose captured bytes ended within a header, over all layers.
    pub fn cut_total(&self) -> u64 {
        self.cut.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_balance_holds_whatever_is_counted() {
        let mut ledger = Ledger::new();
        ledger.deliver(10);
        ledger.filter(3);
        ledger.lose(Loss::Kernel, 5);
        ledger.lose_delivered(Loss::Ring, 2);
        assert_eq!(ledger.seen(), 15);
        assert_eq!((ledger.delivered(), ledger.filtered(), ledger.lost_total()), (5, 3, 7));
        assert_eq!(ledger.seen(), ledger.delivered() + ledger.filtered() + ledger.lost_total());
    }

    #[test]
    fn claims_beyond_all_numbers_do_not_start_again_at_zero() {
        let mut ledger = Ledger::new();
        ledger.lose(Loss::Interface, u64::MAX);
        ledger.lose(Loss::Kernel, u64::MAX);
        ledger.lose(Loss::Kernel, 1);
        ledger.deliver(3);
        assert_eq!((ledger.lost_total(), ledger.merged(&ledger).seen()), (u64::MAX, u64::MAX));
    }

    #[test]
    fn an_unknown_loss_is_not_zero() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.lost(Loss::Kernel), None);
        ledger.lose(Loss::Kernel, 0);
        assert_eq!(ledger.lost(Loss::Kernel), Some(0));
        assert!(ledger.knows_losses());
    }

    #[test]
    fn of_two_sources_a_loss_that_one_does_not_know_is_unknown() {
        let mut known = Ledger::new();
        known.lose(Loss::Interface, 4);
        known.lose(Loss::Capture, 0);
        let mut zero = Ledger::new();
        zero.lose(Loss::Capture, 0);
        for sum in [zero.merged(&known), known.merged(&zero), known.merged(&zero).merged(&known)] {
            assert_eq!(sum.lost(Loss::Interface), None);
            assert_eq!(sum.lost_at_least(Loss::Interface).map(|packets| packets % 4), Some(0));
            assert!(sum.lost_total() >= 4 && sum.is_partly_known(Loss::Interface));
            assert_eq!((sum.lost(Loss::Capture), sum.lost(Loss::Kernel)), (Some(0), None));
            assert!(!sum.is_partly_known(Loss::Kernel), "nobody knows it, and it is said so anyway");
        }
    }

    #[test]
    fn a_stage_knows_what_its_source_knows() {
        let mut source = Ledger::new();
        source.lose(Loss::Kernel, 4);
        let mut stage = Ledger::new();
        stage.lose(Loss::Ring, 1);
        let both = stage.stacked(&source);
        assert_eq!((both.lost(Loss::Kernel), both.lost(Loss::Ring)), (Some(4), Some(1)));
    }
}
