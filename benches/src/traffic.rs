//! Synthetic traffic: whole connections, thousands alive at once, in the order of time, with the truth about them.
//!
//! Every flow owns a short plan of steps ("a request after 3 ms", "its acknowledgment"); a heap holds which flow acts
//! next. When a plan runs out, the next exchange is planned; when the flow is over, its place goes to a new one. So
//! memory depends on how many flows are alive, not on how long the capture gets.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, Write};

use crate::capture::Writer;
use crate::frame::{Builder, LONGEST_PAYLOAD, Path, Transport, flag};
use crate::random::{Random, mix};

/// When captures begin: 2025-06-15 15:06:40 UTC.
pub const BEGIN: u64 = 1_750_000_000_000_000_000;

const SECOND: f64 = 1e9;

/// What kind of load a capture shows. One shape alone would hide where the cost is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Keep-alive connections of many small packets: 146 thousand flows in 20 million packets.
    Small,
    /// Short connections: 1.3 million flows in 15 million packets, about 11 packets each.
    Flows,
    /// Bulk transfers of full-size packets.
    Full,
    /// Every packet a 5-tuple of its own, evenly over an hour: nothing but the table's upkeep.
    Random,
}

impl Shape {
    /// The shape of a name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "small" => Some(Self::Small),
            "flows" => Some(Self::Flows),
            "full" => Some(Self::Full),
            "random" => Some(Self::Random),
            _ => None,
        }
    }

    fn mix(self) -> Mix {
        match self {
            Self::Small => Mix {
                alive: 20_000,
                dns: 0.08,
                unanswered: 0.02,
                echo: 0.02,
                stream: 0.03,
                exchanges: 51.5,
                request: (20, 300),
                segments: (1, 2),
                segment: (40, 900),
                think_seconds: 1.5,
            },
            Self::Flows => Mix {
                alive: 50_000,
                dns: 0.20,
                unanswered: 0.06,
                echo: 0.02,
                stream: 0.03,
                exchanges: 2.8,
                request: (60, 500),
                segments: (1, 2),
                segment: (60, 1200),
                think_seconds: 1.0,
            },
            Self::Full | Self::Random => Mix {
                alive: 300,
                dns: 0.05,
                unanswered: 0.01,
                echo: 0.02,
                stream: 0.02,
                exchanges: 3.0,
                request: (60, 500),
                segments: (20, 100),
                segment: (1428, 1428),
                think_seconds: 0.5,
            },
        }
    }
}

/// The proportions of a shape. Probabilities are per flow; what is left is answered TCP.
struct Mix {
    alive: usize,
    dns: f64,
    unanswered: f64,
    echo: f64,
    stream: f64,
    /// Mean number of request/response exchanges of a TCP connection; geometric, at least one.
    exchanges: f64,
    /// Bytes of a request.
    request: (u64, u64),
    /// Segments of a response.
    segments: (u64, u64),
    /// Payload bytes of each.
    segment: (u64, u64),
    think_seconds: f64,
}

/// What a capture holds, known because it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Packets written.
    pub packets: u64,
    /// Bytes they had on the wire.
    pub wire_bytes: u64,
    /// Flows with at least one packet: distinct 5-tuples, both directions one; ICMP by its addresses.
    pub flows: u64,
    /// Of these TCP, UDP and ICMP.
    pub tcp_flows: u64,
    /// See `tcp_flows`.
    pub udp_flows: u64,
    /// See `tcp_flows`.
    pub icmp_flows: u64,
    /// TCP handshakes of which all three packets were written.
    pub handshakes: u64,
    /// TCP connections whose SYN was never answered.
    pub unanswered: u64,
    /// Requests written, on answered TCP connections.
    pub requests: u64,
    /// Segments written a second time.
    pub retransmissions: u64,
    /// Connections closed by FIN in both directions.
    pub fin_ends: u64,
    /// Connections closed by RST.
    pub rst_ends: u64,
    /// DNS queries written.
    pub dns_queries: u64,
    /// Packets over IPv6.
    pub v6_packets: u64,
    /// Packets with a VLAN tag.
    pub vlan_packets: u64,
    /// Nanoseconds since the Unix epoch of the first packet.
    pub first: u64,
    /// And of the last one.
    pub last: u64,
}

impl Truth {
    /// Writes one `name<TAB>value` line for each number.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { packets, wire_bytes, flows, tcp_flows, udp_flows, icmp_flows, handshakes, .. } = self;
        let Self { unanswered, requests, retransmissions, fin_ends, rst_ends, dns_queries, .. } = self;
        let Self { v6_packets, vlan_packets, first, last, .. } = self;
        for (name, value) in [
            ("packets", packets),
            ("wire_bytes", wire_bytes),
            ("flows", flows),
            ("tcp_flows", tcp_flows),
            ("udp_flows", udp_flows),
            ("icmp_flows", icmp_flows),
            ("handshakes", handshakes),
            ("unanswered", unanswered),
            ("requests", requests),
            ("retransmissions", retransmissions),
            ("fin_ends", fin_ends),
            ("rst_ends", rst_ends),
            ("dns_queries", dns_queries),
            ("v6_packets", v6_packets),
            ("vlan_packets", vlan_packets),
            ("first_ns", first),
            ("last_ns", last),
        ] {
            writeln!(out, "{name}\t{value}")?;
        }
        Ok(())
    }
}

/// What to generate.
#[derive(Copy, Clone, Debug)]
pub struct Plan {
    /// Which load.
    pub shape: Shape,
    /// How many packets; flows alive at the end are cut there, as in a real capture.
    pub packets: u64,
    /// Chooses one capture of the shape.
    pub seed: u64,
    /// For [`Shape::Random`]: over how many seconds the packets are spread.
    pub seconds: u64,
}

/// Generates `plan` into `out`.
///
/// # Errors
/// If `out` cannot be written.
pub fn generate<W: Write>(plan: Plan, out: &mut Writer<W>) -> io::Result<Truth> {
    let mut sink = Sink { out, builder: Builder::default(), truth: Truth::default() };
    if plan.shape == Shape::Random {
        scatter(plan, &mut sink)?;
    } else {
        converse(plan, &mut sink)?;
    }
    Ok(sink.truth)
}

/// Writes packets and keeps the truth that is the same for all shapes.
struct Sink<'a, W> {
    out: &'a mut Writer<W>,
    builder: Builder,
    truth: Truth,
}

impl<W: Write> Sink<'_, W> {
    fn write(&mut self, time: u64, path: &Path, transport: Transport<'_>) -> io::Result<()> {
        let frame = self.builder.build(path, transport);
        let truth = &mut self.truth;
        if truth.packets == 0 {
            truth.first = time;
        }
        truth.last = time;
        truth.packets += 1;
        truth.wire_bytes += frame.wire_bytes() as u64;
        truth.v6_packets += u64::from(path.v6);
        truth.vlan_packets += u64::from(path.vlan.is_some());
        self.out.write(time, frame)
    }
}

fn converse<W: Write>(plan: Plan, sink: &mut Sink<'_, W>) -> io::Result<()> {
    let mix = plan.shape.mix();
    let mut random = Random::seeded(plan.seed);
    let mut born = 0u64;
    let mut flows = Vec::with_capacity(mix.alive);
    let mut turns = BinaryHeap::with_capacity(mix.alive);
    for slot in 0..mix.alive {
        flows.push(Flow::new(born, &mix, &mut random));
        born += 1;
        // Staggered over a mean think time, so that a capture does not begin with one wave of SYNs.
        let start = random.below((mix.think_seconds * SECOND) as u64);
        turns.push(Reverse((BEGIN + start, slot)));
    }
    while sink.truth.packets < plan.packets {
        let Some(Reverse((time, slot))) = turns.pop() else { break };
        let Some(flow) = flows.get_mut(slot) else { break };
        flow.act(time, sink)?;
        if flow.steps.is_empty() {
            flow.plan(&mix, &mut random);
        }
        let next = match flow.steps.front() {
            Some(step) => time + step.after,
            None => {
                *flow = Flow::new(born, &mix, &mut random);
                born += 1;
                time + random.exponential(0.05 * SECOND) as u64
            }
        };
        turns.push(Reverse((next, slot)));
    }
    Ok(())
}

/// Every packet a flow of its own, in the mix of a scan and its noise: half of them SYNs, the rest UDP, lone segments
/// and echo requests.
fn scatter<W: Write>(plan: Plan, sink: &mut Sink<'_, W>) -> io::Result<()> {
    let mut random = Random::seeded(plan.seed);
    let span = plan.seconds.saturating_mul(1_000_000_000);
    for number in 0..plan.packets {
        let time = BEGIN + (u128::from(span) * u128::from(number) / u128::from(plan.packets)) as u64;
        let v6 = random.chance(0.1);
        // The number through a bijection gives the source address and port: no 5-tuple comes twice by accident.
        let unique = mix(number ^ plan.seed << 40);
        let source = address(v6, 0x2001_0db8_0000_0001, (unique >> 32) as u32 & 0x7fff_ffff | 0x0100_0000);
        let destination = address(v6, 0x2001_0db8_0000_0002, random.bits() as u32 & 0x7fff_ffff | 0x0100_0000);
        let vlan = random.chance(0.05).then(|| 10 + random.below(10) as u16);
        let path = Path { source, destination, v6, vlan, datagram_id: unique as u16 };
        let ports = (1 + (unique % 65_535) as u16, 1 + random.below(65_535) as u16);
        let timestamp = ((time / 1_000_000) as u32, 0);
        let seq = random.bits() as u32;
        let truth = &mut sink.truth;
        truth.flows += 1;
        let transport = match random.below(20) {
            0..10 => {
                truth.tcp_flows += 1;
                truth.unanswered += 1;
                Transport::Tcp { ports, seq, ack: 0, flags: flag::SYN, timestamp, payload: 0 }
            }
            10..13 => {
                truth.tcp_flows += 1;
                Transport::Tcp { ports, seq, ack: seq ^ 0x5555, flags: flag::ACK, timestamp, payload: 20 }
            }
            13..19 => {
                truth.udp_flows += 1;
                Transport::Udp { ports, payload: 30 }
            }
            _ => {
                truth.icmp_flows += 1;
                Transport::Echo { reply: false, identifier: ports.0, sequence: 1, payload: 32 }
            }
        };
        sink.write(time, &path, transport)?;
    }
    Ok(())
}

fn address(v6: bool, prefix: u64, host: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    if v6 {
        bytes[..8].copy_from_slice(&prefix.to_be_bytes());
    }
    bytes[12..].copy_from_slice(&host.to_be_bytes());
    bytes
}

#[derive(Copy, Clone, PartialEq)]
enum Kind {
    Tcp,
    Unanswered,
    Dns,
    Echo,
    Stream,
}

/// Which end acts: an index into the flow's arrays of two.
const CLIENT: usize = 0;
const SERVER: usize = 1;

/// One packet to come.
#[derive(Copy, Clone)]
struct Step {
    /// Nanoseconds after the flow's previous packet.
    after: u64,
    from: usize,
    what: What,
}

#[derive(Copy, Clone)]
enum What {
    Segment { flags: u8, payload: usize, counts: Counts },
    Dns,
    Datagram { payload: usize },
    Echo { sequence: u16 },
}

/// Which number of the truth a segment raises when it is written.
#[derive(Copy, Clone, PartialEq)]
enum Counts {
    Nothing,
    Handshake,
    Request,
    /// The same bytes again: the sequence number steps back first.
    Repeat,
    FinEnd,
    RstEnd,
}

#[derive(Copy, Clone, PartialEq)]
enum Stage {
    New,
    Open,
    Over,
}

/// One live flow.
struct Flow {
    kind: Kind,
    stage: Stage,
    addresses: [[u8; 16]; 2],
    ports: [u16; 2],
    v6: bool,
    vlan: Option<u16>,
    /// Next sequence number of each end.
    seq: [u32; 2],
    /// Last timestamp value that each end sent.
    stamped: [u32; 2],
    /// Next IPv4 identification of each end.
    datagram_id: [u16; 2],
    /// From the point of capture to the client and back, and to the server and back, in ns.
    round_trip: [f64; 2],
    /// Median time the server thinks, in ns.
    service: f64,
    exchanges_left: u64,
    packets: u64,
    steps: VecDeque<Step>,
}

/// How many clients there are. A prime, so that client and port run through all pairs before one returns.
const CLIENTS: u64 = 4_093;

impl Flow {
    fn new(number: u64, mix: &Mix, random: &mut Random) -> Self {
        let mut roll = random.unit();
        let mut within = |share: f64| {
            roll -= share;
            roll < 0.0
        };
        let kind = if within(mix.dns) {
            Kind::Dns
        } else if within(mix.unanswered) {
            Kind::Unanswered
        } else if within(mix.echo) {
            Kind::Echo
        } else if within(mix.stream) {
            Kind::Stream
        } else {
            Kind::Tcp
        };
        let v6 = random.chance(0.10);
        // Client and source port tell all flows apart. ICMP has no ports: there the client's address alone does.
        let client = match kind {
            Kind::Echo => 0x0b00_0000 | (number as u32 & 0x00ff_ffff),
            _ => 0x0a00_0001 + (number % CLIENTS) as u32,
        };
        // Few servers have most of the flows: the square of a uniform number.
        let popular = (random.unit().powi(3) * 2_000.0) as u32;
        let server = match kind {
            Kind::Dns => 0xc000_0201 + popular % 4,
            _ => 0xc612_0001 + popular,
        };
        let service_port = match kind {
            Kind::Dns => 53,
            Kind::Stream => 5_004,
            _ => [443, 80, 443, 8_080, 6_379, 5_432, 443, 22][(popular % 8) as usize],
        };
        let exchanges_left = match kind {
            Kind::Tcp => 1 + random.exponential((mix.exchanges - 1.0).max(0.0) + 0.5) as u64,
            Kind::Echo => random.between(1, 10),
            Kind::Stream => 1 + random.exponential(mix.exchanges.min(40.0)) as u64,
            Kind::Dns | Kind::Unanswered => 1,
        };
        let client_port = 1_024 + ((number / CLIENTS) % 64_000) as u16;
        let mut flow = Self {
            kind,
            stage: Stage::New,
            addresses: [address(v6, 0x2001_0db8_0000_0001, client), address(v6, 0x2001_0db8_0000_0002, server)],
            ports: [client_port, service_port],
            v6,
            vlan: random.chance(0.05).then(|| 10 + random.below(10) as u16),
            seq: [random.bits() as u32, random.bits() as u32],
            stamped: [0; 2],
            datagram_id: [random.bits() as u16, random.bits() as u16],
            round_trip: [random.log_normal(0.4e6, 0.6), random.log_normal(8e6, 1.0).min(0.5 * SECOND)],
            service: random.log_normal(2e6, 1.0).min(0.2 * SECOND),
            exchanges_left,
            packets: 0,
            steps: VecDeque::new(),
        };
        flow.plan(mix, random);
        // The heap holds the first packet's time already.
        if let Some(first) = flow.steps.front_mut() {
            first.after = 0;
        }
        flow
    }

    fn step(&mut self, after: f64, from: usize, what: What) {
        // At least 2 us apart, so that microsecond files keep the order of one flow's packets.
        self.steps.push_back(Step { after: after.max(2_000.0) as u64, from, what });
    }

    fn segment(&mut self, after: f64, from: usize, flags: u8, payload: usize, counts: Counts) {
        self.step(after, from, What::Segment { flags, payload, counts });
    }

    /// Plans the next exchange; nothing if the flow is over.
    fn plan(&mut self, mix: &Mix, random: &mut Random) {
        let first = self.stage == Stage::New;
        if self.stage == Stage::Over {
            return;
        }
        self.stage = Stage::Open;
        let [near, far] = self.round_trip;
        let think = random.exponential(mix.think_seconds * SECOND).min(20.0 * SECOND);
        match self.kind {
            Kind::Tcp if first => {
                self.segment(0.0, CLIENT, flag::SYN, 0, Counts::Nothing);
                self.segment(far, SERVER, flag::SYN | flag::ACK, 0, Counts::Nothing);
                self.segment(near, CLIENT, flag::ACK, 0, Counts::Handshake);
            }
            Kind::Tcp if self.exchanges_left == 0 => self.plan_end(random),
            Kind::Tcp => self.plan_exchange(think, mix, random),
            Kind::Unanswered => {
                self.stage = Stage::Over;
                for wait in [0.0, SECOND, 2.0 * SECOND] {
                    // The same SYN again (RFC 6298 section 5.5: the timer doubles).
                    let counts = if wait > 0.0 { Counts::Repeat } else { Counts::Nothing };
                    self.segment(wait, CLIENT, flag::SYN, 0, counts);
                }
            }
            Kind::Dns => {
                self.stage = Stage::Over;
                self.step(0.0, CLIENT, What::Dns);
                let service = random.log_normal(self.service, 0.5);
                self.step(far + service, SERVER, What::Dns);
            }
            Kind::Echo => {
                let sequence = self.packets as u16 / 2 + 1;
                self.step(SECOND, CLIENT, What::Echo { sequence });
                self.step(far, SERVER, What::Echo { sequence });
                self.one_less();
            }
            Kind::Stream => {
                let payload = random.between(100, 400) as usize;
                self.step(0.02 * SECOND, CLIENT, What::Datagram { payload });
                self.one_less();
            }
        }
    }

    fn one_less(&mut self) {
        self.exchanges_left = self.exchanges_left.saturating_sub(1);
        if self.exchanges_left == 0 && self.kind != Kind::Tcp {
            self.stage = Stage::Over;
        }
    }

    /// A request, its response, and the acknowledgments between them; 0.3 % of the data segments come twice.
    fn plan_exchange(&mut self, think: f64, mix: &Mix, random: &mut Random) {
        const DATA: u8 = flag::PSH | flag::ACK;
        let [near, far] = self.round_trip;
        let timeout = 0.2 * SECOND + far;
        let request = random.between(mix.request.0, mix.request.1) as usize;
        self.segment(think, CLIENT, DATA, request, Counts::Request);
        if random.chance(0.003) {
            self.segment(timeout, CLIENT, DATA, request, Counts::Repeat);
        }
        let service = random.log_normal(self.service, 0.7);
        let mut until = far + service;
        if service > 0.04 * SECOND {
            // The server's delayed acknowledgment is due before its answer is (RFC 1122: 40 ms on Linux).
            self.segment(far + 0.04 * SECOND, SERVER, flag::ACK, 0, Counts::Nothing);
            until = service - 0.04 * SECOND;
        }
        let segments = random.between(mix.segments.0, mix.segments.1);
        for index in 1..=segments {
            let longest = LONGEST_PAYLOAD - if self.v6 { 20 } else { 0 };
            let payload = (random.between(mix.segment.0, mix.segment.1) as usize).min(longest);
            let flags = if index == segments { DATA } else { flag::ACK };
            self.segment(until, SERVER, flags, payload, Counts::Nothing);
            until = 12_000.0;
            if random.chance(0.003) {
                self.segment(timeout, SERVER, flags, payload, Counts::Repeat);
            }
            if index % 2 == 0 || index == segments {
                self.segment(near, CLIENT, flag::ACK, 0, Counts::Nothing);
            }
        }
        self.one_less();
    }

    /// Either end closes first; one in eight is reset by the client.
    fn plan_end(&mut self, random: &mut Random) {
        self.stage = Stage::Over;
        if random.chance(0.125) {
            self.segment(0.01 * SECOND, CLIENT, flag::RST | flag::ACK, 0, Counts::RstEnd);
            return;
        }
        let first = if random.chance(0.7) { CLIENT } else { SERVER };
        let second = 1 - first;
        self.segment(0.01 * SECOND, first, flag::FIN | flag::ACK, 0, Counts::Nothing);
        self.segment(self.round_trip[second], second, flag::FIN | flag::ACK, 0, Counts::FinEnd);
        self.segment(self.round_trip[first], first, flag::ACK, 0, Counts::Nothing);
    }

    /// Writes the next planned packet.
    fn act<W: Write>(&mut self, time: u64, sink: &mut Sink<'_, W>) -> io::Result<()> {
        let Some(Step { from, what, .. }) = self.steps.pop_front() else { return Ok(()) };
        let to = 1 - from;
        let path = Path {
            source: self.addresses[from],
            destination: self.addresses[to],
            v6: self.v6,
            vlan: self.vlan,
            datagram_id: self.datagram_id[from],
        };
        self.datagram_id[from] = self.datagram_id[from].wrapping_add(1);
        let ports = (self.ports[from], self.ports[to]);
        self.count(&what, from, &mut sink.truth);
        self.packets += 1;
        match what {
            What::Segment { flags, payload, counts } => {
                let sequence_space = payload as u32 + u32::from(flags & (flag::SYN | flag::FIN) != 0);
                if counts == Counts::Repeat {
                    self.seq[from] = self.seq[from].wrapping_sub(sequence_space);
                }
                self.stamped[from] = (time / 1_000_000) as u32;
                let acks = flags & flag::ACK != 0;
                let transport = Transport::Tcp {
                    ports,
                    seq: self.seq[from],
                    ack: if acks { self.seq[to] } else { 0 },
                    flags,
                    timestamp: (self.stamped[from], if acks { self.stamped[to] } else { 0 }),
                    payload,
                };
                self.seq[from] = self.seq[from].wrapping_add(sequence_space);
                sink.write(time, &path, transport)
            }
            What::Dns => {
                let mut room = [0; 64];
                let used = dns_message(&mut room, self.seq[CLIENT], from == SERVER);
                sink.write(time, &path, Transport::Datagram { ports, content: &room[..used] })
            }
            What::Datagram { payload } => sink.write(time, &path, Transport::Udp { ports, payload }),
            What::Echo { sequence } => {
                let identifier = self.seq[CLIENT] as u16;
                sink.write(time, &path, Transport::Echo { reply: from == SERVER, identifier, sequence, payload: 56 })
            }
        }
    }

    fn count(&self, what: &What, from: usize, truth: &mut Truth) {
        if self.packets == 0 {
            truth.flows += 1;
            match self.kind {
                Kind::Tcp | Kind::Unanswered => truth.tcp_flows += 1,
                Kind::Dns | Kind::Stream => truth.udp_flows += 1,
                Kind::Echo => truth.icmp_flows += 1,
            }
            truth.unanswered += u64::from(self.kind == Kind::Unanswered);
        }
        match what {
            What::Segment { counts, .. } => match counts {
                Counts::Nothing => {}
                Counts::Handshake => truth.handshakes += 1,
                Counts::Request => truth.requests += 1,
                Counts::Repeat => truth.retransmissions += 1,
                Counts::FinEnd => truth.fin_ends += 1,
                Counts::RstEnd => truth.rst_ends += 1,
            },
            What::Dns => truth.dns_queries += u64::from(from == CLIENT),
            What::Datagram { .. } | What::Echo { .. } => {}
        }
    }
}

/// A query for, or an answer with, the address of one of 4096 hosts (RFC 1035 section 4). Returns the bytes used.
fn dns_message(room: &mut [u8; 64], number: u32, answer: bool) -> usize {
    let mut used = 0;
    let mut put = |bytes: &[u8]| {
        room[used..used + bytes.len()].copy_from_slice(bytes);
        used += bytes.len();
    };
    put(&((number >> 12) as u16).to_be_bytes());
    put(if answer { &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0] } else { &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0] });
    let digits: [u8; 3] = std::array::from_fn(|place| b'a' + ((number >> (4 * place)) & 15) as u8);
    put(&[4, b'h']);
    put(&digits);
    put(b"\x07example\0\0\x01\0\x01");
    if answer {
        put(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, digits[0], digits[1]]);
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Format;

    fn made(shape: Shape, packets: u64, seed: u64) -> (Vec<u8>, Truth) {
        let mut file = Vec::new();
        let mut out = Writer::new(&mut file, Format::Pcap, 100).unwrap();
        let truth = generate(Plan { shape, packets, seed, seconds: 60 }, &mut out).unwrap();
        out.finish().unwrap();
        (file, truth)
    }

    #[test]
    fn the_same_seed_gives_the_same_file() {
        assert_eq!(made(Shape::Flows, 5_000, 3), made(Shape::Flows, 5_000, 3));
        assert_ne!(made(Shape::Flows, 5_000, 3).0, made(Shape::Flows, 5_000, 4).0);
    }

    #[test]
    fn the_truth_adds_up() {
        for shape in [Shape::Small, Shape::Flows, Shape::Full, Shape::Random] {
            let (_, truth) = made(shape, 20_000, 1);
            assert_eq!(truth.packets, 20_000);
            assert_eq!(truth.flows, truth.tcp_flows + truth.udp_flows + truth.icmp_flows);
            assert!(truth.first <= truth.last);
            assert!(truth.fin_ends + truth.rst_ends <= truth.handshakes);
        }
    }
}
