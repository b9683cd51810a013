//! What must hold of every scenario.

use flowcore::pipeline::{Handle, Pipeline};
use flowcore::{Collector, FlowEvent, Frames, Limit, Status, Timestamp};
use flowsrc_pcap::Files;
use flowstats::conns::{Connection, Conns, Doubts, row};
use flowstats::tcp::{ConnState, HandshakeDoubts};

use crate::frames::{BEGINNING, Captured, Writer};
use crate::heard::{Heard, Listener};
use crate::manner::Listening;
use crate::plan::Plan;
use crate::random::Random;
use crate::segment::{CLIENT, MICROS, SERVER, Side, Time};
use crate::strays::{self, Stray};
use crate::truth::{self, Truth};
use crate::world::{self, History, Sighting};

/// What breaks a law, if anything.
pub type Verdict = Result<(), String>;

/// Fails with a sentence unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err(format!($($words)+));
        }
    };
}

/// One scenario: what was planned, what happened, what was captured, what is true, what we say.
pub struct Case {
    pub seed: u64,
    pub plan: Plan,
    pub history: History,
    pub captured: Vec<Captured>,
    pub strays: Vec<Stray>,
    pub truth: Truth,
    pub file: Vec<u8>,
    /// Our connections, in the order of their ends.
    pub ours: Vec<Connection>,
    /// What following them brought to light.
    pub heard: Vec<Heard>,
}

impl Case {
    pub fn of(seed: u64) -> Self {
        let plan = Plan::of(seed);
        let history = world::happen(&plan, seed);
        let captured = truth::capture(&plan, &history, seed);
        let strays = strays::of(&plan, &history, &captured, seed);
        let truth = truth::of(&history, &captured);
        let file = Writer { plan: &plan, history: &history }.file(&captured, &strays);
        let (ours, heard) = run(&file);
        Self { seed, plan, history, captured, strays, truth, file, ours, heard }
    }

    /// The one connection that it is, if the flow table left it in one piece; and whether the server counts as its
    /// originator.
    fn whole(&self) -> Option<(&Connection, bool)> {
        let [connection] = &self.ours[..] else { return None };
        Some((connection, connection.flow.key.src_port == 80))
    }

    /// What stands alone behind a gap of the capture counts as invalid; then the row says that it may lack something.
    fn stands_alone(&self) -> bool {
        let invalid = self.heard.iter().any(|heard| heard.facts.invalid > 0);
        invalid && self.ours.iter().any(|one| one.doubts.contains(Doubts::HOLE))
    }

    fn packets(&self, side: Side) -> impl Iterator<Item = (&Captured, &Sighting)> {
        let with = self.captured.iter().map(|packet| (packet, &self.history.sightings[packet.sighting]));
        with.filter(move |(_, sighting)| sighting.segment.side == side)
    }

    /// The most pieces of one stream that `captured` has not shown yet, at any time, though it showed what stands behind
    /// them or acknowledges them.
    fn most_pieces(&self, captured: &[Captured]) -> usize {
        let mut shown: [Vec<(u64, u64)>; 2] = Default::default();
        let mut told = [0; 2];
        let mut most = 0;
        for packet in captured {
            let segment = &self.history.sightings[packet.sighting].segment;
            shown[segment.side].push((segment.seq, segment.end()));
            told[segment.side] = segment.end().max(told[segment.side]);
            told[1 - segment.side] = segment.ack.unwrap_or(0).max(told[1 - segment.side]);
            for (shown, told) in shown.iter_mut().zip(told) {
                shown.sort_unstable();
                let (mut pieces, mut to) = (0, 0);
                for &(from, end) in shown.iter() {
                    pieces += usize::from(from > to);
                    to = end.max(to);
                }
                most = most.max(pieces + usize::from(told > to));
            }
        }
        most
    }

    /// Both streams are known from their beginning.
    fn has_both_syns(&self) -> bool {
        [CLIENT, SERVER].into_iter().all(|side| self.packets(side).any(|(_, one)| one.segment.syn))
    }

    /// 1 if of the last position of `side`'s stream only what acknowledges it or stands behind it was captured: as far as the
    /// capture tells, it may be a FIN's. 0 otherwise.
    fn last_unseen(&self, side: Side) -> u64 {
        let seen = self.packets(side).map(|(_, one)| &one.segment).filter(|one| one.len > 0 || one.syn || one.fin);
        let seen = seen.map(|one| one.end()).max().unwrap_or(0);
        let own = self.packets(side).map(|(_, one)| one.segment.end());
        let acked = self.packets(1 - side).filter_map(|(_, one)| one.segment.ack);
        u64::from(own.chain(acked).max().unwrap_or(0) > seen)
    }

    /// All sightings of the sending that this one is of, itself included.
    pub fn copies(&self, sighting: usize) -> impl Iterator<Item = usize> {
        let one = &self.history.sightings[sighting].segment;
        let same = move |(_, other): &(usize, &Sighting)| {
            (other.segment.side, other.segment.emission, other.segment.seq) == (one.side, one.emission, one.seq)
        };
        self.history.sightings.iter().enumerate().filter(same).map(|(place, _)| place)
    }

    /// A time as the capture file tells it.
    pub fn told(&self, time: Time) -> Timestamp {
        let unit = if self.plan.coarse { 1000 } else { 1 };
        Timestamp::from_nanos(((BEGINNING + time) / unit * unit) as i64)
    }
}

fn open(file: &[u8]) -> Files {
    Files::builder()
        .stream(Box::new(std::io::Cursor::new(file.to_vec())), "scenario")
        .open()
        .expect("the file was written here")
}

fn pipeline(source: &dyn Collector) -> (Pipeline, Handle<Conns>) {
    let mut builder = Pipeline::builder();
    let conns = builder.add(Conns::new());
    (builder.build(source.info()).expect("files give packets"), conns)
}

fn finished(pipeline: &mut Pipeline, conns: &Handle<Conns>) -> Vec<Connection> {
    let mut finished = Vec::new();
    pipeline.get_mut(conns).take_finished(&mut finished);
    finished
}

fn run(file: &[u8]) -> (Vec<Connection>, Vec<Heard>) {
    let mut source = open(file);
    let mut builder = Pipeline::builder();
    let conns = builder.add(Conns::new());
    let listener = builder.add(Listener::default());
    let mut pipeline = builder.build(source.info()).expect("files give packets");
    pipeline.run(&mut source).expect("nothing is damaged");
    let heard = std::mem::take(&mut pipeline.get_mut(&listener).heard);
    (finished(&mut pipeline, &conns), heard)
}

fn pushed(file: &[u8], size: usize) -> Vec<Connection> {
    let mut source = open(file);
    let (mut pipeline, conns) = pipeline(&source);
    let mut events: Vec<FlowEvent> = Vec::new();
    while source.fill(&mut events, Limit::default()).expect("nothing is damaged").status != Status::End {}
    for chunk in events.chunks(size) {
        pipeline.push(&mut chunk.to_vec(), Frames::EMPTY, Timestamp::MIN).expect("analyzers do not fail");
    }
    while pipeline.close().expect("analyzers do not fail") {}
    finished(&mut pipeline, &conns)
}

/// Packets and payload are exactly those of the file.
pub fn counts(case: &Case) -> Verdict {
    let mut packets = [0; 2];
    let mut payload = [0; 2];
    for connection in &case.ours {
        let server_first = usize::from(connection.flow.key.src_port == 80);
        for (index, counts) in connection.counts.iter().enumerate() {
            packets[index ^ server_first] += counts.packets;
            payload[index ^ server_first] += counts.payload_bytes;
        }
    }
    let mut truth = (case.truth.packets, case.truth.payload);
    for Stray { segment, .. } in &case.strays {
        truth.0[segment.side] += 1;
        truth.1[segment.side] += segment.len;
    }
    ensure!((packets, payload) == truth, "{packets:?} {payload:?}, true {truth:?}");
    Ok(())
}

/// A handshake time is that of the packets that made it; where a SYN was repeated, between the first and the last.
pub fn handshake(case: &Case) -> Verdict {
    let Some((connection, turned)) = case.whole() else { return Ok(()) };
    if turned || case.plan.simultaneous || case.plan.hosts[SERVER].listening == Listening::Splits {
        return Ok(());
    }
    let Some(tcp) = &connection.tcp else { return Ok(()) };
    let ours = tcp.handshake;
    let syns: Vec<Time> = case.packets(CLIENT).filter(|(_, one)| one.segment.syn).map(|(at, _)| at.time).collect();
    let syn_acks: Vec<Time> = case.packets(SERVER).filter(|(_, one)| one.segment.syn).map(|(at, _)| at.time).collect();
    if let Some(syn) = ours.syn {
        ensure!(syns.iter().any(|time| case.told(*time) == syn), "no SYN at {syn}");
    } else {
        ensure!(syns.is_empty() || !syn_acks.is_empty(), "a SYN was captured");
    }
    if !ours.doubts.contains(HandshakeDoubts::SYN_REPEATED) && ours.syn_ack.is_some() {
        let answered: Vec<Time> = syns.iter().copied().filter(|time| Some(case.told(*time)) <= ours.syn_ack).collect();
        let copies = answered.iter().all(|time| time - answered[0] < MICROS * 1000);
        ensure!(copies, "one of several SYNs was answered, which is not known: {answered:?}");
        let first = answered.first().map(|time| case.told(*time));
        ensure!(ours.syn == first, "the SYN at {:?} is a copy of that at {first:?}", ours.syn);
    }
    if let (Some(ack), Some(syn_ack)) = (ours.ack, ours.syn_ack)
        && !ours.doubts.contains(HandshakeDoubts::LATE_ACK)
    {
        // Of a SYN-ACK that the capture has not, and of its ACK, nobody knows. Otherwise: what passed, whatever unit the file has.
        let answered = syn_acks.iter().find(|time| case.told(**time) == syn_ack);
        let passed = case.history.sightings.iter().filter(|one| {
            let segment = &one.segment;
            let acks = segment.ack.is_some_and(|ack| ack >= 1);
            segment.side == CLIENT && !segment.syn && !segment.rst && acks && Some(&one.time) >= answered
        });
        // The first, or the first that was sent: what overtook it may be lost.
        let passed: Vec<_> = passed.map(|one| (one.segment.emission, case.told(one.time))).collect();
        let lost = case.history.sightings.iter().enumerate().any(|(place, one)| {
            one.segment.side == SERVER
                && one.segment.syn
                && Some(&one.time) >= answered
                && case.told(one.time) <= ack
                && !case.captured.iter().any(|packet| packet.sighting == place)
        });
        let truth = [passed.first(), passed.iter().min()].map(|one| one.map(|(_, time)| *time));
        ensure!(lost || truth.contains(&Some(ack)), "ACK at {ack}, exact, but there was one at {truth:?}");
    }
    if case.plan.flaws.is_lossless() {
        let truth = syn_acks.first().map(|time| case.told(*time));
        ensure!(ours.syn_ack == truth, "SYN-ACK at {:?}, true {truth:?}", ours.syn_ack);
        let first = syn_acks.first().copied();
        let acks = case.packets(CLIENT).filter(|(at, one)| {
            Some(at.time) >= first
                && !one.segment.rst
                && !one.segment.syn
                && one.segment.ack.is_some_and(|ack| ack >= 1)
        });
        let acks: Vec<Time> = acks.map(|(at, _)| at.time).collect();
        if first.is_some() {
            // A FIN comes when the application has done: it ends no handshake's time.
            let fin = case.packets(CLIENT).find(|(_, one)| one.segment.fin).map(|(at, _)| at.time);
            let truth = acks.first().filter(|ack| fin.is_none_or(|fin| **ack < fin)).map(|time| case.told(*time));
            ensure!(ours.ack == truth, "ACK at {:?}, true {truth:?}", ours.ack);
        }
    }
    Ok(())
}

/// Whatever the receiver had and the capture had not is missed, or doubted.
pub fn missing(case: &Case) -> Verdict {
    if case.plan.flaws.is_lossless() {
        return Ok(());
    }
    let lost: u64 = case.truth.missing.iter().sum();
    let ours: u64 = case.ours.iter().filter_map(|one| one.tcp.as_ref()).flat_map(|tcp| tcp.missed_bytes).sum();
    let doubts = case.ours.iter().fold(Doubts::empty(), |all, one| all | one.doubts);
    if lost > 0 {
        ensure!(ours > 0 || !doubts.is_empty(), "{lost} bytes are missing without a doubt");
    }
    let Some((connection, turned)) = case.whole() else { return Ok(()) };
    let Some(tcp) = &connection.tcp else { return Ok(()) };
    for side in [CLIENT, SERVER] {
        let ours = tcp.missed_bytes[side ^ usize::from(turned)];
        let unsure = case.last_unseen(side);
        let (mut least, mut most) = (case.truth.missing[side].saturating_sub(unsure), case.truth.missing_then[side]);
        if !case.has_both_syns() {
            // Where its streams begin is known by what came first only, which may be a keep-alive, one byte back.
            (least, most) = (0, most + 1);
        }
        if case.stands_alone() {
            least = 0;
        }
        ensure!((least..=most).contains(&ours), "side {side}: missed {ours}, true {least} to {most}");
    }
    Ok(())
}

pub fn nothing_missing(case: &Case) -> Verdict {
    if !case.plan.flaws.is_lossless() {
        return Ok(());
    }
    for connection in &case.ours {
        let Some(tcp) = &connection.tcp else { continue };
        let missed = tcp.missed_bytes;
        ensure!(missed == [0; 2], "missed {missed:?}");
        // What was lost on its way leaves a hole all the same.
        let doubts = connection.doubts - Doubts::MIDSTREAM - Doubts::HOLE;
        ensure!(doubts.is_empty(), "doubts {doubts:?}");
    }
    Ok(())
}

/// So many gaps of a stream, open ones or acknowledged ones, are told apart (ARCHITECTURE).
const MOST_PIECES: usize = 32;

/// What was captured is not missing, in whatever order the capture has it: queues of one interface, and captures of two
/// clocks, have it in another than that in which it was sent. No more pieces may be missing at a time than are told apart.
pub fn nothing_missing_in_disorder(case: &Case) -> Verdict {
    if !case.plan.flaws.is_lossless() || !case.strays.is_empty() {
        return Ok(());
    }
    let mut random = Random::new(case.seed);
    for most in [MICROS * 300, MICROS * 5000] {
        let mut shuffled = case.captured.clone();
        shuffled.iter_mut().for_each(|packet| packet.time += random.below(most));
        shuffled.sort_by_key(|packet| packet.time);
        let (ours, heard) = run(&Writer { plan: &case.plan, history: &case.history }.file(&shuffled, &[]));
        if heard.iter().any(|heard| heard.facts.invalid > 0) {
            // Beyond a small window what comes too early is none of the connection.
            continue;
        }
        if case.most_pieces(&shuffled) > MOST_PIECES {
            continue;
        }
        for connection in &ours {
            let missed = connection.tcp.as_ref().map_or([0; 2], |tcp| tcp.missed_bytes);
            let order = || shuffled.iter().map(|packet| packet.sighting).collect::<Vec<_>>();
            ensure!(missed == [0; 2], "missed {missed:?} where they are captured in the order {:?}", order());
        }
    }
    Ok(())
}

/// Each byte once, to the highest that was sent or acknowledged.
pub fn stream(case: &Case) -> Verdict {
    let Some((connection, turned)) = case.whole() else { return Ok(()) };
    let Some(tcp) = &connection.tcp else { return Ok(()) };
    for side in [CLIENT, SERVER] {
        let ours = tcp.stream_bytes[side ^ usize::from(turned)];
        let truth = case.truth.stream[side];
        if !case.has_both_syns() && ours <= truth + 1 {
            continue;
        }
        let least = if case.stands_alone() { 0 } else { truth.saturating_sub(case.last_unseen(side)) };
        ensure!((least..=truth).contains(&ours), "side {side}: {ours}, true {least} to {truth}");
    }
    Ok(())
}

/// Zeek's states, where what happened leaves no choice.
pub fn states(case: &Case) -> Verdict {
    let Some((connection, false)) = case.whole() else { return Ok(()) };
    if !case.plan.flaws.is_lossless() {
        return Ok(());
    }
    let sent = |side, test: fn(&Sighting) -> bool| case.packets(side).any(|(_, one)| test(one));
    let [client_fin, server_fin] = [CLIENT, SERVER].map(|side| sent(side, |one| one.segment.fin));
    let [client_rst, server_rst] = [CLIENT, SERVER].map(|side| sent(side, |one| one.segment.rst));
    let syn_ack = sent(SERVER, |one| one.segment.syn);
    let expected = match (syn_ack, client_fin, server_fin, client_rst, server_rst) {
        (false, false, false, false, false) => ConnState::S0,
        (false, _, _, false, true) => ConnState::REJ,
        (true, true, true, false, false) => ConnState::SF,
        (true, false, false, true, false) => ConnState::RSTO,
        (true, false, false, false, true) => ConnState::RSTR,
        (true, true, false, false, false) => ConnState::S2,
        (true, false, true, false, false) => ConnState::S3,
        _ => return Ok(()),
    };
    let ours = connection.state;
    ensure!(ours == expected, "{ours:?}, true {expected:?}");
    Ok(())
}

/// The law that everything stands on.
pub fn same_rows(case: &Case) -> Verdict {
    let rows = |connections: &[Connection]| connections.iter().map(row).collect::<Vec<_>>();
    let sizes = [1, 1 + case.seed as usize % 40, 512];
    for size in sizes {
        ensure!(rows(&pushed(&case.file, size)) == rows(&case.ours), "batches of {size} give other rows");
    }
    Ok(())
}
