//! From the kernel's totals to increments: what each socket had counted when it was last seen.

use std::collections::{HashMap, HashSet};

use flowcore::event::Opened;
use flowcore::socket::{Family, SocketState};
use flowcore::{FlowKey, Nanos, Protocol, SocketSample, Timestamp};
use foldhash::fast::RandomState;

/// How long the notice of an end may take: the kernel sends it from a work queue, under load a second later.
const PATIENCE: Nanos = Nanos::from_secs(2);

/// What a socket counts by itself: packets and data bytes, each sent and received.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Indexed by sent, received. The kernel's counters are 32 bits wide and start again at 0.
    pub packets: [u32; 2],
    pub bytes: [u64; 2],
}

impl Totals {
    /// Those of a TCP socket; `None` if the kernel says nothing of them.
    ///
    /// `bytes_acked` stands for what was sent before Linux 4.19.
    pub fn of(sample: &SocketSample) -> Option<Self> {
        let tcp = sample.tcp.as_ref().filter(|_| sample.counts_itself())?;
        Some(Self {
            packets: [tcp.segs_out()?, tcp.segs_in()?],
            bytes: [tcp.bytes_sent().or_else(|| tcp.bytes_acked())?, tcp.bytes_received()?],
        })
    }

    fn since(self, before: Self) -> Self {
        let Self { packets: [sent, received], bytes: [sent_bytes, received_bytes] } = self;
        Self {
            packets: [sent.wrapping_sub(before.packets[0]), received.wrapping_sub(before.packets[1])],
            bytes: [sent_bytes.saturating_sub(before.bytes[0]), received_bytes.saturating_sub(before.bytes[1])],
        }
    }
}

/// What is kept of a socket between two polls.
#[derive(Copy, Clone, Debug)]
struct Known {
    key: FlowKey,
    totals: Totals,
    inode: Option<u32>,
    uid: Option<u32>,
    opened: Opened,
    /// The poll and the generation in which it was last seen.
    poll: u64,
    generation: u64,
    /// It has been a connection, and was looked at as one.
    judged: bool,
    /// The other end is a socket of this host too, and counts the same packets.
    mirrored: bool,
}

/// What one sample adds.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Increment {
    pub totals: Totals,
    pub opened: Opened,
    pub first: bool,
    pub mirrored: bool,
}

/// All sockets that are known, by their cookies.
#[derive(Default)]
pub(crate) struct Table {
    known: HashMap<u64, Known, RandomState>,
    /// Of those, the ones whose packets are counted, as they send.
    counted: HashMap<FlowKey, u64, RandomState>,
    /// Counted sockets that ended in this generation and in the one before: their other ends may follow.
    ended: [HashSet<FlowKey, RandomState>; 2],
    /// Zones and ports on which something listened in this poll and in the one before.
    listening: [HashSet<(u16, u16), RandomState>; 2],
    poll: u64,
    /// Polls belong to a generation until it is [`PATIENCE`] old.
    generation: u64,
    began: Option<Timestamp>,
    /// TCP connections first seen, by zone.
    connections: HashMap<u16, u64, RandomState>,
    /// Every end comes with a notice: what has been a connection is kept until then.
    hears_all: bool,
    /// The generation in which notices were lost: not of what ended then.
    lost_notices: Option<u64>,
    /// Cookies, if that is all that is kept.
    once: Option<HashSet<u64, RandomState>>,
}

impl Table {
    /// One for a single poll whose totals are of no interest: a fifth of the memory.
    pub fn once() -> Self {
        Self { once: Some(HashSet::default()), ..Self::default() }
    }

    /// An empty one. `hears_all`: every end of a socket will come with a notice.
    pub fn new(hears_all: bool) -> Self {
        Self { hears_all, ..Self::default() }
    }

    /// Some notices will never come.
    pub fn lose_notices(&mut self) {
        self.lost_notices = Some(self.generation);
    }

    /// Begins a poll.
    pub fn begin(&mut self, time: Timestamp) {
        self.poll += 1;
        self.listening.swap(0, 1);
        self.listening[0].clear();
        if self.began.is_none_or(|began| time - began >= PATIENCE) {
            self.began = Some(time);
            self.generation += 1;
            self.ended.swap(0, 1);
            self.ended[0].clear();
        }
    }

    /// Forgets what was seen neither in this poll or generation nor in the one before: an answer may miss a socket that is
    /// still there, and the notice of an end comes late. How late is up to the application where a connection was reset: it
    /// is listed no more, and ends when the descriptor is closed.
    pub fn finish(&mut self) {
        let Self { known, counted, poll, generation, .. } = self;
        let awaits_notices = self.hears_all && self.lost_notices.is_none_or(|lost| lost + 2 < *generation);
        known.retain(|cookie, socket| {
            let recent = socket.poll + 1 >= *poll || socket.generation + 1 >= *generation;
            let keep = recent || (awaits_notices && socket.judged);
            if !keep && counted.get(&socket.key) == Some(cookie) {
                counted.remove(&socket.key);
            }
            keep
        });
    }

    /// How many TCP connections of a zone have been seen so far.
    pub fn connections(&self, zone: u16) -> u64 {
        self.connections.get(&zone).copied().unwrap_or(0)
    }

    /// Takes in a sample of this poll; `None` if this poll has had it already. `baseline`: what it has counted so far is
    /// no increment.
    pub fn see(&mut self, sample: &SocketSample, baseline: bool) -> Option<Increment> {
        if sample.state == SocketState::LISTEN {
            self.listening[0].insert((sample.netns, sample.local_port));
        }
        let Some(cookie) = sample.cookie else { return Some(self.unknown(sample)) };
        if let Some(once) = &mut self.once {
            return once.insert(cookie).then(|| Increment { first: true, ..self.unknown(sample) });
        }
        let totals = Totals::of(sample);
        if let Some(known) = self.known.get_mut(&cookie) {
            if std::mem::replace(&mut known.poll, self.poll) == self.poll {
                return None;
            }
            known.generation = self.generation;
            let now = totals.unwrap_or(known.totals);
            let before = std::mem::replace(&mut known.totals, now);
            (known.inode, known.uid) = (sample.inode.or(known.inode), sample.uid.or(known.uid));
            let mut known = *known;
            if !known.judged && is_connection(sample) {
                known = self.judge(known, sample, cookie);
                self.known.insert(cookie, known);
            }
            let (opened, mirrored) = (known.opened, known.mirrored);
            return Some(Increment { totals: now.since(before), opened, first: false, mirrored });
        }
        let increment = self.meet(sample, totals);
        let known = Known {
            key: sample.key(),
            totals: totals.unwrap_or_default(),
            inode: sample.inode,
            uid: sample.uid,
            opened: increment.opened,
            poll: self.poll,
            generation: self.generation,
            judged: is_connection(sample),
            mirrored: increment.mirrored,
        };
        if is_connection(sample) && !increment.mirrored {
            self.counted.insert(known.key, cookie);
        }
        self.known.insert(cookie, known);
        Some(if baseline { Increment { totals: Totals::default(), ..increment } } else { increment })
    }

    /// Takes in the last of a socket and completes it with what was known: its inode and owner.
    pub fn end(&mut self, sample: &mut SocketSample) -> Increment {
        let known = sample.cookie.and_then(|cookie| self.known.remove(&cookie));
        if let Some(known) = known.as_ref().filter(|known| known.judged && sample.remote_port == 0) {
            restore(sample, known);
        }
        let totals = Totals::of(sample);
        let (increment, counts) = match known {
            Some(mut known) => {
                if let Some(cookie) = sample.cookie.filter(|_| !known.judged && is_connection(sample)) {
                    known = self.judge(known, sample, cookie);
                }
                (sample.inode, sample.uid) = (known.inode, known.uid);
                let now = totals.unwrap_or(known.totals);
                let (opened, mirrored) = (known.opened, known.mirrored);
                let increment = Increment { totals: now.since(known.totals), opened, first: false, mirrored };
                let counts = self.counted.get(&known.key).copied() == sample.cookie;
                if counts {
                    self.counted.remove(&known.key);
                }
                (increment, counts)
            }
            None => {
                let increment = self.meet(sample, totals);
                (increment, is_connection(sample) && !increment.mirrored)
            }
        };
        if counts {
            self.ended[0].insert(sample.key());
        }
        increment
    }

    /// A socket that was seen before it was a connection, bound to nothing or not yet accepted, and is one now.
    fn judge(&mut self, known: Known, sample: &SocketSample, cookie: u64) -> Known {
        let Increment { opened, mirrored, .. } = self.meet(sample, None);
        let known = Known { key: sample.key(), judged: true, opened, mirrored, ..known };
        if !mirrored {
            self.counted.insert(known.key, cookie);
        }
        known
    }

    /// A socket that is seen for the first time.
    fn meet(&mut self, sample: &SocketSample, totals: Option<Totals>) -> Increment {
        let mut mirrored = false;
        if is_connection(sample) {
            *self.connections.entry(sample.netns).or_default() += 1;
            let other = sample.key().reversed();
            mirrored = self.counted.contains_key(&other) || self.ended.iter_mut().any(|ended| ended.remove(&other));
        }
        Increment { totals: totals.unwrap_or_default(), mirrored, first: true, ..self.unknown(sample) }
    }

    fn unknown(&self, sample: &SocketSample) -> Increment {
        let mut opened = Opened::Unknown;
        if sample.key().protocol == Protocol::TCP && sample.state.is_connected() && sample.remote_port != 0 {
            let end = (sample.netns, sample.local_port);
            let listening = self.listening.iter().any(|ports| ports.contains(&end));
            let knows = self.listening.iter().any(|ports| !ports.is_empty());
            opened = match (listening, knows) {
                (true, _) => Opened::Remotely,
                (false, true) => Opened::Locally,
                (false, false) => Opened::Unknown,
            };
        }
        Increment { totals: Totals::default(), opened, first: false, mirrored: false }
    }
}

/// A connection that this end has reset is taken apart before the kernel says that it is gone (`tcp_disconnect`): its ends
/// are those that were known, and what it had counted since is not known.
fn restore(sample: &mut SocketSample, known: &Known) {
    let FlowKey { src, dst, src_port, dst_port, .. } = known.key;
    (sample.local, sample.local_port, sample.remote, sample.remote_port) = (src, src_port, dst, dst_port);
    sample.tcp = None;
    (sample.receive_queue, sample.send_queue) = (None, None);
}

/// Whether this is a TCP connection with a socket of its own, as the kernel counts them when they are opened: not a
/// listener, not a request nobody has accepted, not what remains in TIME-WAIT.
fn is_connection(sample: &SocketSample) -> bool {
    matches!(sample.family, Family::INET | Family::INET6)
        && sample.protocol == u16::from(Protocol::TCP.0)
        && sample.remote_port != 0
        && sample.tcp.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowcore::{Addr, TcpInfo};

    #[test]
    fn a_single_poll_gives_each_socket_once() {
        let mut table = Table::once();
        table.begin(Timestamp::EPOCH);
        let first = table.see(&sample(1, 80, 50_000, 700, 3), true).expect("new");
        assert_eq!((first.totals, first.first), (Totals::default(), true));
        assert!(table.see(&sample(1, 80, 50_000, 700, 3), true).is_none(), "the answer was asked for again");
        assert!(table.see(&sample(2, 50_000, 80, 0, 2), true).is_some());
    }

    fn sample(cookie: u64, local: u16, remote: u16, sent: u64, segments: u32) -> SocketSample {
        let mut info = [0; 232];
        info[136..140].copy_from_slice(&segments.to_ne_bytes());
        info[200..208].copy_from_slice(&sent.to_ne_bytes());
        SocketSample {
            family: Family::INET,
            protocol: 6,
            state: SocketState::ESTABLISHED,
            local: "192.0.2.1".parse().unwrap(),
            remote: "192.0.2.1".parse().unwrap(),
            local_port: local,
            remote_port: remote,
            cookie: Some(cookie),
            tcp: Some(TcpInfo::from_bytes(&info)),
            ..SocketSample::default()
        }
    }

    fn sent(increment: Option<Increment>) -> Option<(u32, u64)> {
        increment.map(|increment| (increment.totals.packets[0], increment.totals.bytes[0]))
    }

    #[test]
    fn totals_become_increments_and_counters_may_start_again() {
        let mut table = Table::default();
        table.begin(Timestamp::EPOCH);
        assert_eq!(sent(table.see(&sample(1, 10, 20, 500, u32::MAX), true)), Some((0, 0)));
        table.finish();
        table.begin(Timestamp::EPOCH);
        assert_eq!(sent(table.see(&sample(1, 10, 20, 700, 2), false)), Some((3, 200)));
        assert_eq!(table.see(&sample(1, 10, 20, 700, 2), false), None, "an answer may have a socket twice");
        let last = table.end(&mut sample(1, 10, 20, 701, 3));
        assert_eq!((last.totals.packets[0], last.totals.bytes[0]), (1, 1));
    }

    #[test]
    fn a_connection_that_was_reset_here_keeps_its_ends_and_counts_nothing_twice() {
        let mut table = Table::default();
        table.begin(Timestamp::EPOCH);
        table.see(&sample(1, 10, 20, 500, 7), true);
        // As the kernel leaves it: no peer, and its counters begin again.
        let mut last = SocketSample { state: SocketState::CLOSE, ..sample(1, 10, 0, 0, 0) };
        last.remote = Addr::v4([0; 4]);
        let increment = table.end(&mut last);
        assert_eq!((last.remote_port, last.remote), (20, "192.0.2.1".parse().unwrap()));
        assert_eq!((increment.totals, increment.first), (Totals::default(), false));
        assert!(last.tcp.is_none(), "unknown is not 0");
    }

    #[test]
    fn a_connection_whose_end_is_awaited_is_known_until_its_notice_comes() {
        let mut times = (0..).map(|poll| Timestamp::from_parts(10 * poll, 0));
        for (lost, expected) in [(false, (1, 1)), (true, (6, 501))] {
            let mut table = Table::new(true);
            table.begin(times.next().unwrap());
            table.see(&sample(1, 10, 20, 500, 5), true);
            // It was reset and is listed no more, while its descriptor is open.
            for poll in 0..9 {
                table.begin(times.next().unwrap());
                if lost && poll == 5 {
                    table.lose_notices();
                }
                table.finish();
            }
            let last = table.end(&mut sample(1, 10, 20, 501, 6));
            assert_eq!((last.totals.packets[0], last.totals.bytes[0]), expected, "notices lost: {lost}");
        }
    }

    #[test]
    fn a_connection_within_the_host_is_counted_at_one_end() {
        let mut table = Table::default();
        table.begin(Timestamp::EPOCH);
        assert!(!table.see(&sample(1, 10, 20, 5, 1), false).unwrap().mirrored);
        assert!(table.see(&sample(2, 20, 10, 0, 1), false).unwrap().mirrored);
        // Both ends came and went between two polls.
        assert!(!table.end(&mut sample(3, 11, 20, 5, 1)).mirrored);
        assert!(table.end(&mut sample(4, 20, 11, 0, 1)).mirrored);
        assert!(!table.end(&mut sample(5, 11, 20, 5, 1)).mirrored, "the same ports again");
        assert_eq!(table.connections(0), 5);
    }

    #[test]
    fn who_listens_was_asked() {
        let mut table = Table::default();
        table.begin(Timestamp::EPOCH);
        assert_eq!(table.see(&sample(1, 10, 20, 0, 0), false).unwrap().opened, Opened::Unknown);
        let listener = SocketSample { state: SocketState::LISTEN, remote_port: 0, ..sample(9, 20, 0, 0, 0) };
        table.see(&listener, false);
        assert_eq!(table.see(&sample(2, 20, 10, 0, 0), false).unwrap().opened, Opened::Remotely);
        assert_eq!(table.see(&sample(3, 30, 20, 0, 0), false).unwrap().opened, Opened::Locally);
    }

    #[test]
    fn what_an_answer_missed_once_is_still_known() {
        let mut table = Table::default();
        let mut times = (0..).map(|poll| Timestamp::from_parts(2 * poll, 0));
        let mut begin = |table: &mut Table| table.begin(times.next().unwrap());
        for _ in 0..2 {
            begin(&mut table);
            table.see(&sample(1, 10, 20, 500, 5), false);
            table.finish();
        }
        begin(&mut table);
        table.finish();
        begin(&mut table);
        assert_eq!(sent(table.see(&sample(1, 10, 20, 501, 6), false)), Some((1, 1)));
        for _ in 0..2 {
            begin(&mut table);
            table.finish();
        }
        assert!(table.known.is_empty() && table.counted.is_empty());
    }

    #[test]
    fn a_notice_that_comes_polls_later_still_belongs_to_its_connection() {
        let mut table = Table::default();
        let at = |poll: i64| Timestamp::from_nanos(poll * 300_000_000);
        table.begin(at(0));
        table.see(&sample(1, 10, 20, 500, 5), false);
        assert!(!table.end(&mut sample(3, 11, 20, 5, 1)).mirrored);
        for poll in 1..5 {
            table.finish();
            table.begin(at(poll));
        }
        let late = table.end(&mut sample(1, 10, 20, 501, 6));
        assert_eq!((late.totals.packets[0], late.totals.bytes[0], late.first), (1, 1, false));
        assert!(table.end(&mut sample(4, 20, 11, 0, 1)).mirrored, "its other end came 1.2 s before");
    }

    #[test]
    fn what_was_seen_before_it_was_a_connection_is_one_when_it_is() {
        for ends_at_once in [false, true] {
            let mut table = Table::default();
            table.begin(Timestamp::EPOCH);
            let request = SocketSample { state: SocketState::SYN_RECV, tcp: None, ..sample(2, 20, 10, 0, 0) };
            table.see(&request, false);
            let unbound = SocketSample { remote_port: 0, tcp: None, ..sample(5, 30, 0, 0, 0) };
            table.see(&unbound, false);
            assert!(!table.see(&sample(1, 10, 20, 5, 1), false).unwrap().mirrored);
            table.begin(Timestamp::EPOCH);
            let mut accepted = sample(2, 20, 10, 100, 2);
            let increment = if ends_at_once { table.end(&mut accepted) } else { table.see(&accepted, false).unwrap() };
            assert!(increment.mirrored, "the client's end counts");
            assert!(!table.see(&sample(5, 30, 40, 1, 1), false).unwrap().mirrored);
            assert!(table.see(&sample(6, 40, 30, 1, 1), false).unwrap().mirrored);
            assert_eq!(table.connections(0), 4);
        }
    }
}
