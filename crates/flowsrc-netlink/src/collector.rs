//! The polls, and what happens between them.

mod destroy;
mod events;
mod messages;
mod namespaces;
mod place;
mod readiness;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime};

use flowcore::collect::{Filled, Limit, SourceInfo, Status};
use flowcore::select::KernelForm;
use flowcore::socket::Family;
use flowcore::{Collector, Error, Features, FlowEvent, Frames, Ledger, Polls, Result, Select, SocketSample, Timestamp};
use netlink_packet_core::{NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN};
use netlink_packet_sock_diag::constants::SOCK_DIAG_BY_FAMILY;

use self::events::{begin_sample, give};
use self::messages::{error_code, next_message};
use self::place::{Place, read_whole};
use self::readiness::Readiness;
use crate::channel::Channel;
use crate::delta::{Increment, Table};
use crate::diag::{self, Read};
use crate::netns::Namespace;
use crate::options::{Dump, Kinds, Options};
use crate::request::TCPDIAG_GETSOCK;
use crate::{capabilities, proc_net, request};

/// How often an answer that the kernel marks as inconsistent is asked for again.
const TRIES: u32 = 3;

/// How long the last poll waits for notices of connections that were opened and not seen yet: they come from a work queue,
/// under load a second late.
const GRACE: Duration = Duration::from_secs(1);

/// What the kernel says of a filter program that it does not take.
const EINVAL: i32 = 22;
/// What it says when it had no room for notices.
const ENOBUFS: i32 = 105;

/// The kernel's sockets as a source: see the [crate](crate).
pub struct Sockets {
    options: Options,
    info: SourceInfo,
    places: Vec<Place>,
    /// Inodes of namespaces that could not be entered.
    closed: HashSet<u64>,
    /// What to ask in each place, in order.
    dumps: Vec<Dump>,
    /// The filter as the kernel's program, if there is one.
    bytecode: Option<Vec<u8>>,
    stage: Stage,
    /// How many polls have begun.
    polls: u64,
    /// When the current or latest poll began: in the events, and for the interval.
    time: Timestamp,
    began: Option<Instant>,
    through: Timestamp,
    /// Since when the last poll has waited for notices.
    lingers_since: Option<Instant>,
    /// Nothing is known to be missing from the answers of the current or latest poll.
    whole: bool,
    answered: Timestamp,
    table: Table,
    ledger: Ledger,
    counts: Polls,
    /// Of place and dump: those without an answer, though there are such sockets.
    refused: Vec<(usize, usize)>,
    /// What the kernel does not have, by its name.
    absent: Vec<&'static str>,
    /// What is still to be given of such a list, the last first.
    listed: Vec<SocketSample>,
    /// Received, of which `read..filled` is still to be read.
    buffer: Vec<u8>,
    read: usize,
    filled: usize,
    /// The second event of a pair that found no room.
    held: Option<FlowEvent>,
    /// Of the events of the latest fill.
    samples: Vec<SocketSample>,
    /// Ready when there are notices, or the next poll is due.
    ready: Readiness,
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets").field("options", &self.options).field("polls", &self.polls).finish_non_exhaustive()
    }
}

/// What comes next.
#[derive(Copy, Clone, Debug)]
enum Stage {
    /// A poll, when its time has come.
    Waiting,
    /// The answer to a dump in a place; the number of times it was asked for.
    Dumping { place: usize, dump: usize, tries: u32, interrupted: bool },
    /// What was read from /proc in place of an answer.
    Listing { place: usize, dump: usize },
    /// Notices of a place, at the end of a poll or between two.
    Noticing { place: usize, ends_poll: bool },
    /// Nothing.
    Ended,
}

impl Sockets {
    /// Opens the way to the kernel in every namespace asked for. Nothing is asked yet; notices are heard from now on.
    ///
    /// # Errors
    /// If a namespace does not exist or may not be entered, or the kernel has no `sock_diag`. Of all namespaces, those that
    /// may not be entered are named in [`SourceInfo::degraded`].
    pub fn open(options: Options) -> Result<Self> {
        let (namespaces, hidden) = options.netns.list()?;
        let mut degraded = Vec::new();
        // What is not shown for want of a capability: one line, whatever it is.
        let mut forbidden = Vec::new();
        if options.marks && !capabilities::has(capabilities::NET_ADMIN) {
            forbidden.push("marks, traffic classes, MD5 keys and packet filters (CAP_NET_ADMIN)".to_owned());
        }
        if options.holders && !capabilities::has(capabilities::SYS_PTRACE) {
            forbidden.push("who holds the sockets of other users' processes (CAP_SYS_PTRACE)".to_owned());
        }
        // Namespaces that nothing is asked of; where it is not known how many, at least one.
        let mut left_out = u64::from(hidden.is_some());
        forbidden.extend(hidden);
        let (mut closed, mut not_entered) = (Vec::new(), HashSet::new());
        let ready = Readiness::new().map_err(|error| Error::io("sock_diag: no descriptor to wait with", error))?;
        let mut places = Vec::new();
        for namespace in namespaces {
            let subject = match namespace.name.as_str() {
                "" => "sock_diag".to_owned(),
                name => format!("network namespace {name}"),
            };
            let (name, inode) = (namespace.name.clone(), namespace.inode);
            match Place::open(namespace, &options) {
                Ok(place) => places.push(place),
                Err(error)
                    if options.netns == crate::Netns::All
                        && !places.is_empty()
                        && error.kind() == io::ErrorKind::PermissionDenied =>
                {
                    closed.push(name);
                    not_entered.insert(inode);
                }
                Err(error) if options.netns == crate::Netns::All && !places.is_empty() => {
                    degraded.push(format!("{subject} is left out: {error}{}", remedy(&error)));
                    left_out += 1;
                    not_entered.insert(inode);
                }
                Err(error) => {
                    let remedy = remedy(&error);
                    return Err(Error::io(format!("{subject}{remedy}"), error));
                }
            }
        }
        for place in &places {
            if let Some(notices) = &place.notices {
                ready.watch(notices).map_err(|error| Error::io("sock_diag: cannot wait for notices", error))?;
            } else if options.notices {
                degraded.push(
                    "no notices of destroyed sockets: sockets that live shorter than the interval are missed".into(),
                );
            }
        }
        left_out += closed.len() as u64;
        if !closed.is_empty() {
            forbidden.push(format!("what is in network namespaces {} (CAP_SYS_ADMIN)", closed.join(", ")));
        }
        if !forbidden.is_empty() {
            let (what, remedy) = (forbidden.join("; "), capabilities::remedy());
            degraded.push(format!("not shown, as it is not permitted: {what}{remedy}"));
        }
        degraded.dedup();
        let name = match places.as_slice() {
            [only] if only.namespace.name.is_empty() => "sockets".to_owned(),
            [only] => format!("sockets of {}", only.namespace.name),
            several => format!("sockets of {} network namespaces", several.len()),
        };
        let info = SourceInfo { name, offers: Features::SOCKETS, live: true, degraded, ..SourceInfo::default() };
        let dumps = options.kinds.dumps(options.ipv4, options.ipv6);
        let refused = left_out * dumps.len() as u64;
        let missed = if options.kinds.contains(Kinds::TCP) && options.every.is_some() { Some(0) } else { None };
        let hears_all = options.notices && places.iter().all(|place| place.notices.is_some());
        // Then nothing is compared with what was before.
        let is_once = options.polls.unwrap_or(1 + u64::from(options.every.is_some())) == 1
            && !options.notices
            && !options.history;
        Ok(Self {
            options,
            info,
            places,
            closed: not_entered,
            dumps,
            bytecode: None,
            stage: Stage::Waiting,
            polls: 0,
            time: Timestamp::EPOCH,
            began: None,
            through: Timestamp::MIN,
            lingers_since: None,
            whole: false,
            answered: Timestamp::MIN,
            table: match (is_once, hears_all) {
                (true, _) => Table::once(),
                (false, hears_all) => Table::new(hears_all),
            },
            ledger: Ledger::new(),
            counts: Polls { missed, filtered: Some(0), refused, ..Polls::default() },
            absent: Vec::new(),
            refused: Vec::new(),
            listed: Vec::new(),
            buffer: Vec::new(),
            read: 0,
            filled: 0,
            held: None,
            samples: Vec::new(),
            ready,
        })
    }

    /// The namespaces looked into; a sample's `netns` is an index into them. Of [all](crate::Netns::All) those that are made
    /// later are added when the next poll begins, and the ones that are gone keep their indices.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.places.iter().map(|place| &place.namespace)
    }

    /// What an interface is called in a namespace, by the index that a sample has.
    pub fn interface_name(&self, netns: u16, index: u32) -> Option<String> {
        let place = self.places.get(usize::from(netns))?;
        rustix::net::netdevice::index_to_name(place.channel.as_ref()?, index).ok()
    }

    /// How many polls have ended; the events of one are all delivered when this has grown. It grows by one at most with each
    /// [`fill`](Collector::fill), which then gives no event of the next poll, however late that is.
    pub fn finished_polls(&self) -> u64 {
        match self.stage {
            Stage::Dumping { .. } | Stage::Listing { .. } | Stage::Noticing { ends_poll: true, .. } => self.polls - 1,
            _ => self.polls,
        }
    }

    /// When the latest poll began whose answers were whole: a socket whose latest sample is older was in none of them. It is
    /// gone, or is selected no more where a filter was given to the kernel. [`Timestamp::MIN`] before there was one.
    pub fn answered(&self) -> Timestamp {
        self.answered
    }

    /// The kinds of socket of which the kernel has some and would not list them: each with its family, as `RAW inet6`.
    pub fn refused(&self) -> impl Iterator<Item = String> {
        let dumps = self.refused.iter().filter_map(|&(_, dump)| self.dumps.get(dump));
        dumps.map(|dump| format!("{} {}", dump.registered, dump.family.name().unwrap_or("?")))
    }

    /// The protocols that were asked for and that the kernel does not have, or has not loaded.
    pub fn absent(&self) -> impl Iterator<Item = &'static str> {
        self.absent.iter().copied()
    }

    fn refuse(&mut self, place: usize, dump: usize) {
        self.whole = false;
        if !self.refused.contains(&(place, dump)) {
            self.refused.push((place, dump));
            self.counts.refused += 1;
        }
    }

    /// Has one more poll begin with the next [`fill`](Collector::fill), whatever the interval, and ends after it. One that is
    /// under way goes on, and is the last.
    pub fn conclude(&mut self) {
        self.options.polls = Some(self.finished_polls() + 1);
        self.began = None;
    }

    /// Begins a poll: takes the time, and what the kernel has counted so far.
    fn begin(&mut self) -> Result<()> {
        self.began = Some(Instant::now());
        self.time = now().max(self.through);
        self.polls += 1;
        self.whole = true;
        if self.polls > 1 && self.options.netns == crate::Netns::All {
            self.look_for_namespaces()?;
        }
        self.table.begin(self.time);
        for place in &mut self.places {
            let opened = place.connections_opened();
            place.judged = if place.notices.is_some() { place.opened } else { opened };
            place.opened = opened;
            if self.polls == 1 {
                place.opened_before = place.opened;
            }
        }
        self.counts.polls += 1;
        self.ask(0, 0, 1)
    }

    /// Asks for a dump, or goes on to what follows the last one.
    fn ask(&mut self, place: usize, dump: usize, tries: u32) -> Result<()> {
        (self.read, self.filled) = (0, 0);
        let (mut place, mut dump) = (place, dump);
        loop {
            let Some(here) = self.places.get_mut(place) else {
                self.stage = Stage::Noticing { place: 0, ends_poll: true };
                return Ok(());
            };
            let Some(what) = self.dumps.get(dump) else {
                (place, dump) = (place + 1, 0);
                continue;
            };
            let Some(channel) = &mut here.channel else {
                (place, dump) = (place + 1, 0);
                continue;
            };
            let sequence = channel.next_sequence();
            let bytecode = self.bytecode.as_deref();
            channel.send(&request::dump(what, &self.options, bytecode, sequence))?;
            self.stage = Stage::Dumping { place, dump, tries, interrupted: false };
            return Ok(());
        }
    }

    /// Takes the next messages of a dump; whether it is to be gone on with.
    fn dump(&mut self, events: &mut Vec<FlowEvent>, room: usize) -> Result<()> {
        let Stage::Dumping { place, dump, tries, mut interrupted } = self.stage else { return Ok(()) };
        if self.read == self.filled {
            self.receive(place)?;
        }
        let (Some(here), Some(what)) = (self.places.get(place), self.dumps.get(dump)) else { return Ok(()) };
        let sequence = here.channel.as_ref().map_or(0, Channel::sequence);
        let protocol = what.protocol;
        let start = events.len();
        let mut ended = None;
        while events.len() - start < room {
            let Some(message) = next_message(&self.buffer, &mut self.read, self.filled) else { break };
            if message.sequence_number() != sequence {
                continue;
            }
            interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
            match message.message_type() {
                SOCK_DIAG_BY_FAMILY | TCPDIAG_GETSOCK => {
                    let sample = begin_sample(&mut self.samples, self.time, place);
                    match diag::read(message.payload(), protocol, sample) {
                        Read::Whole => {}
                        Read::Part => self.counts.malformed += 1,
                        Read::Nothing => {
                            (self.counts.malformed, self.whole) = (self.counts.malformed + 1, false);
                            self.samples.pop();
                            continue;
                        }
                    }
                    // What is asked about the first poll is whether it counts the past.
                    let baseline = self.polls == 1 && !self.options.history;
                    let Some(increment) = self.table.see(sample, baseline) else {
                        self.samples.pop();
                        continue;
                    };
                    self.counts.seen += 1;
                    give(&self.samples, increment, false, events, &mut self.ledger);
                }
                NLMSG_DONE | NLMSG_ERROR => ended = Some(error_code(message.payload())),
                NLMSG_OVERRUN => interrupted = true,
                _ => {}
            }
            if ended.is_some() {
                break;
            }
        }
        // The last pair may have one too many.
        if events.len() - start > room {
            self.held = events.pop();
        }
        match ended {
            None => self.stage = Stage::Dumping { place, dump, tries, interrupted },
            Some(_) if interrupted && tries < TRIES => return self.ask(place, dump, tries + 1),
            Some(code) => {
                self.counts.interrupted += u64::from(interrupted);
                self.whole &= !interrupted;
                if let Some(two) = what.split().filter(|_| code != 0) {
                    self.dumps.splice(dump..=dump, two);
                    let later = self.refused.iter_mut().filter(|(_, refused)| *refused > dump);
                    later.for_each(|(_, refused)| *refused += 1);
                    return self.ask(place, dump, tries);
                }
                if code == -EINVAL && what.has_ports() && self.bytecode.take().is_some() {
                    self.info.degraded.push("the kernel refused the filter; it is applied here instead".into());
                    return self.ask(place, dump, tries);
                }
                if code != 0 {
                    if self.places.get(place).is_some_and(|place| place.has(what.registered)) {
                        return self.replace(place, dump);
                    }
                    if !self.absent.contains(&what.registered) {
                        self.absent.push(what.registered);
                    }
                }
                return self.ask(place, dump + 1, 1);
            }
        }
        Ok(())
    }

    /// Looks elsewhere for sockets that the kernel would not list.
    fn replace(&mut self, place: usize, dump: usize) -> Result<()> {
        let (Some(here), Some(what)) = (self.places.get(place), self.dumps.get(dump)) else { return Ok(()) };
        let file = here.raw.get(usize::from(what.family == Family::INET6)).and_then(Option::as_ref);
        match file.filter(|_| what.registered == "RAW").and_then(read_whole) {
            Some(text) => {
                let (listed, faulty) = proc_net::raw_sockets(&text, what.family);
                self.listed = listed;
                let states = self.options.states;
                self.listed.retain(|sample| states & sample.state.bit() != 0);
                self.listed.reverse();
                self.counts.malformed += faulty;
                self.stage = Stage::Listing { place, dump };
                Ok(())
            }
            None => {
                self.refuse(place, dump);
                self.ask(place, dump + 1, 1)
            }
        }
    }

    fn list(&mut self, place: usize, dump: usize, events: &mut Vec<FlowEvent>, room: usize) -> Result<()> {
        let start = events.len();
        while events.len() - start < room {
            let Some(listed) = self.listed.pop() else { return self.ask(place, dump + 1, 1) };
            *begin_sample(&mut self.samples, self.time, place) =
                SocketSample { time: self.time, netns: place as u16, ..listed };
            self.counts.seen += 1;
            give(&self.samples, Increment::default(), false, events, &mut self.ledger);
        }
        if events.len() - start > room {
            self.held = events.pop();
        }
        Ok(())
    }

    fn receive(&mut self, place: usize) -> Result<()> {
        let Some(channel) = self.places.get(place).and_then(|place| place.channel.as_ref()) else { return Ok(()) };
        let received = channel.receive(&mut self.buffer);
        let received = received.map_err(|error| Error::io("sock_diag: no answer from the kernel", error))?;
        (self.read, self.filled) = (0, received.length);
        self.counts.malformed += u64::from(received.cut);
        self.whole &= !received.cut;
        Ok(())
    }

    /// Takes notices of a place as far as there are any; whether there were none left.
    fn notice(&mut self, place: usize, events: &mut Vec<FlowEvent>, room: usize) -> Result<bool> {
        let Some(here) = self.places.get(place) else { return Ok(true) };
        let Some(notices) = &here.notices else { return Ok(true) };
        if self.read == self.filled {
            match notices.receive_now(&mut self.buffer) {
                Ok(received) => {
                    (self.read, self.filled) = (0, received.length);
                    self.counts.malformed += u64::from(received.cut);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => {
                    self.counts.overruns += 1;
                    self.table.lose_notices();
                    return Ok(false);
                }
                Err(error) => return Err(Error::io("sock_diag: notices of destroyed sockets", error)),
            }
        }
        let start = events.len();
        while events.len() - start < room {
            let Some(message) = next_message(&self.buffer, &mut self.read, self.filled) else { break };
            if message.message_type() != SOCK_DIAG_BY_FAMILY {
                continue;
            }
            let sample = begin_sample(&mut self.samples, self.time, place);
            if diag::read(message.payload(), 0, sample) == Read::Nothing {
                self.counts.malformed += 1;
                self.samples.pop();
                continue;
            }
            let increment = self.table.end(sample);
            if sample.remote_port == 0 && increment.first {
                // It was made and closed without ever being of use to anybody.
                self.samples.pop();
                continue;
            }
            self.counts.seen += 1;
            give(&self.samples, increment, true, events, &mut self.ledger);
        }
        if events.len() - start > room {
            self.held = events.pop();
        }
        Ok(false)
    }

    /// Whether this poll is the last.
    fn is_last(&self) -> bool {
        match (self.options.polls, self.options.every) {
            (Some(polls), _) => self.polls >= polls,
            (None, every) => every.is_none(),
        }
    }

    /// Of the last poll how long notices may still come of connections that were opened before it and have not been seen:
    /// nothing after it would tell of them.
    fn lingers(&mut self) -> Option<Duration> {
        let awaited = |(zone, place): (usize, &Place)| {
            let (before, opened) = place.opened_before.zip(place.opened).unwrap_or_default();
            let unseen = place.unseen(before, opened, self.table.connections(zone as u16));
            place.notices.is_some() && unseen > place.missed.unwrap_or(0)
        };
        if !self.is_last() || self.polls == 1 || !self.sees_all() || !self.places.iter().enumerate().any(awaited) {
            return None;
        }
        let since = *self.lingers_since.get_or_insert_with(Instant::now);
        Some(GRACE.saturating_sub(since.elapsed())).filter(|left| !left.is_zero())
    }

    /// With a filter in the kernel, or fewer states, nobody knows what else there was.
    fn sees_all(&self) -> bool {
        let all_states = self.options.states & Options::CONNECTED == Options::CONNECTED;
        self.bytecode.is_none() && all_states && self.options.ipv4 && self.options.ipv6
    }

    /// Ends a poll: forgets what is gone, and compares with what the kernel has counted.
    fn finish(&mut self) -> Result<()> {
        self.table.finish();
        self.through = self.time;
        if self.whole {
            self.answered = self.time;
        }
        let (mut missed, whole, is_last) = (Some(0), self.sees_all(), self.is_last());
        for (zone, place) in self.places.iter_mut().enumerate() {
            if place.channel.is_none() {
                // What was known of it when it went stands.
                missed = missed.zip(place.missed).map(|(sum, here)| sum + here);
                continue;
            }
            let seen = self.table.connections(zone as u16);
            // What a notice may still tell of is judged with the next poll.
            let judged = place.judged.filter(|_| !is_last).or(place.opened);
            place.missed = match (place.opened_before, judged) {
                (Some(before), Some(opened)) if self.polls > 1 && whole => {
                    let unseen = place.unseen(before, opened, seen);
                    // A late notice may still tell of one; without notices nothing will.
                    let before = place.missed.filter(|_| place.notices.is_none()).unwrap_or(0);
                    Some(unseen.max(before))
                }
                (Some(_), Some(_)) if whole => {
                    place.known_before = seen;
                    Some(0)
                }
                _ => None,
            };
            missed = missed.zip(place.missed).map(|(sum, here)| sum + here);
        }
        self.counts.missed = self.counts.missed.and(missed);
        self.stage = if is_last { Stage::Ended } else { Stage::Waiting };
        let due = self.due();
        self.ready.set(due).map_err(|error| Error::io("sock_diag: cannot wait for the next poll", error))
    }

    /// How long until the next poll, if there is one.
    pub fn due(&self) -> Duration {
        match (self.began, self.options.every) {
            (Some(began), Some(every)) => every.saturating_sub(began.elapsed()),
            _ => Duration::ZERO,
        }
    }
}

impl Collector for Sockets {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn fill<'s>(&'s mut self, events: &mut Vec<FlowEvent>, limit: Limit) -> Result<Filled<'s>> {
        let start = events.len();
        let most = limit.events.max(1);
        self.samples.clear();
        // Its sample went with the first of the two.
        events.extend(self.held.take());
        // Whether notices were looked for in this call, and whether it has waited.
        let (mut heard, mut waited) = (false, false);
        let finished = self.finished_polls();
        let status = loop {
            let room = most.saturating_sub(events.len() - start);
            if room == 0 {
                break Status::More;
            }
            match self.stage {
                Stage::Dumping { .. } => self.dump(events, room)?,
                Stage::Listing { place, dump } => self.list(place, dump, events, room)?,
                Stage::Noticing { place, ends_poll } if place == self.places.len() => {
                    if let Some(left) = self.lingers().filter(|_| ends_poll) {
                        if events.len() > start {
                            break Status::More;
                        }
                        if waited || limit.wait.is_zero() {
                            break Status::Idle;
                        }
                        let ready = self.ready.set(left).and_then(|()| self.ready.wait(limit.wait.min(left)));
                        ready.map_err(|error| Error::io("sock_diag: waiting for notices", error))?;
                        (waited, self.stage) = (true, Stage::Noticing { place: 0, ends_poll });
                    } else if ends_poll {
                        self.finish()?;
                    } else {
                        (heard, self.stage) = (true, Stage::Waiting);
                    }
                }
                Stage::Noticing { place, ends_poll } => {
                    if self.notice(place, events, room)? {
                        self.stage = Stage::Noticing { place: place + 1, ends_poll };
                    }
                }
                Stage::Ended => break Status::End,
                Stage::Waiting if self.finished_polls() > finished => break Status::More,
                Stage::Waiting if self.began.is_none() || self.due().is_zero() => self.begin()?,
                Stage::Waiting if !heard => {
                    // These are of now: they belong to no poll.
                    self.time = now().max(self.through);
                    self.stage = Stage::Noticing { place: 0, ends_poll: false };
                }
                Stage::Waiting if events.len() > start => {
                    self.through = self.time;
                    break Status::More;
                }
                Stage::Waiting if waited || limit.wait.is_zero() => break Status::Idle,
                Stage::Waiting => {
                    let wait = limit.wait.min(self.due());
                    self.ready.wait(wait).map_err(|error| Error::io("sock_diag: waiting", error))?;
                    (waited, heard) = (true, false);
                }
            }
        };
        Ok(Filled::new(Frames::EMPTY.with_sockets(&self.samples), self.through, status))
    }

    fn ledger(&mut self) -> Result<Ledger> {
        let mut ledger = self.ledger.clone();
        ledger.sockets = Some(self.counts.clone());
        Ok(ledger)
    }

    fn narrow(&mut self, filter: &dyn Select) -> Result<bool> {
        self.bytecode = filter.kernel(KernelForm::InetDiag).filter(|program| !program.is_empty());
        // Also where the kernel takes no program: a count that depends on that would say nothing.
        self.counts.filtered = None;
        Ok(self.bytecode.is_some())
    }
}

impl AsFd for Sockets {
    /// Readable when there are notices or the next poll is due. Level-triggered: `fill` makes it unreadable.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.epoll.as_fd()
    }
}

fn remedy(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!(" (that needs CAP_NET_ADMIN, for other namespaces CAP_SYS_ADMIN{})", capabilities::advice())
        }
        io::ErrorKind::NotFound => " (it is gone)".to_owned(),
        _ => String::new(),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
