//! Our side of what happens within a TCP connection: the facts and turns that following its segments gives.

use std::path::Path;

use crate::capture::Packet;
use flowcore::flows::Slots;
use flowcore::pipeline::Pipeline;
use flowcore::{
    Analyzer, Batch, Detail, Direction, FlowEvent, FlowRecord, Marks, Result, Tables, TcpFlags, TcpSegment, Timestamp,
};
use flowstats::tcp::{self, Followed, Retransmission, RttSample, SideFacts, State, Turn, Witness};

/// One connection as followed.
pub struct Course {
    pub flow: FlowRecord,
    pub facts: tcp::Course,
    /// First bytes of requests.
    pub requests: Vec<Timestamp>,
    pub turns: Vec<Turn>,
    /// Round trips, each with the number of the packet that ended it.
    pub rtts: Vec<(usize, RttSample)>,
    /// What single packets brought to light, by their number.
    pub told: Vec<(usize, Told)>,
    /// The number of each end's first packet; 0 without one.
    pub firsts: [usize; 2],
    /// SYNs without ACK, with ACK, FINs and RSTs of each end.
    pub controls: [[u64; 4]; 2],
}

/// What one packet brought to light.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Again(Retransmission),
    Reordered,
    Copy,
    DuplicateAck,
    ZeroWindow,
    /// It begins so many bytes behind the newest byte of its sender.
    Jump(u64),
    /// It acknowledges so many bytes behind the newest byte of its receiver.
    Beyond(u64),
    /// So many bytes count as missing from now on.
    Missing(u64),
    /// An acknowledgment of more that tells no round trip.
    Ambiguous,
}

impl Course {
    /// Whether the packet is the first that its sender has in this connection, though not the first in `packets`.
    pub fn begins_at(&self, number: usize, packets: &[&Packet]) -> bool {
        let sender = packets.iter().find(|packet| packet.number == number).map(|packet| packet.event.key);
        self.firsts.contains(&number)
            && packets.iter().any(|packet| packet.number < number && Some(packet.event.key) == sender)
    }

    pub fn start(&self) -> i64 {
        self.flow.start.as_nanos()
    }
}

#[derive(Default)]
struct Heard {
    /// Number of the packet at hand.
    packet: usize,
    requests: Vec<Timestamp>,
    turns: Vec<Turn>,
    rtts: Vec<(usize, RttSample)>,
    told: Vec<(usize, Told)>,
    firsts: [usize; 2],
    controls: [[u64; 4]; 2],
    /// The segment at hand and its payload in bytes.
    payload: u32,
    segment: TcpSegment,
    /// Sequence numbers that retransmissions by each end cover, and where in `told` they are.
    again: [Vec<(u32, u32, usize)>; 2],
}

impl Witness for Heard {
    fn request(&mut self, time: Timestamp) {
        self.requests.push(time);
    }
    fn response(&mut self, turn: Turn) {
        self.turns.push(turn);
    }
    fn rtt(&mut self, sample: RttSample) {
        self.rtts.push((self.packet, sample));
    }
    fn ambiguous(&mut self, _: Direction, _: Timestamp) {
        self.told.push((self.packet, Told::Ambiguous));
    }
    fn retransmission(&mut self, kind: Retransmission, by: Direction, _: u32, _: Timestamp) {
        let end = self.segment.seq.wrapping_add(self.payload + u32::from(self.segment.flags.contains(TcpFlags::FIN)));
        self.again[by.index()].push((self.segment.seq, end, self.told.len()));
        self.told.push((self.packet, Told::Again(kind)));
    }
    fn needless(&mut self, kind: Retransmission, by: Direction, _: Timestamp) {
        // The latest of that kind that the report, or else the acknowledgment, covers.
        let TcpSegment { ack, duplicate, .. } = self.segment;
        let reported = ack.wrapping_add(duplicate as u32);
        let covers = |&&(from, to, _): &&(u32, u32, usize)| match duplicate {
            0 => ack.wrapping_sub(to) as i32 >= 0,
            _ => reported.wrapping_sub(from) as i32 >= 0 && to.wrapping_sub(reported) as i32 > 0,
        };
        let of_kind = |&&(_, _, at): &&(u32, u32, usize)| self.told[at].1 == Told::Again(kind);
        if let Some(&(_, _, at)) = self.again[by.index()].iter().rev().filter(of_kind).find(covers) {
            self.told[at].1 = Told::Again(Retransmission::Spurious);
        }
    }
    fn reordering(&mut self, _: Direction, _: Timestamp) {
        self.told.push((self.packet, Told::Reordered));
    }
    fn duplicate(&mut self, _: Direction, _: Timestamp) {
        self.told.push((self.packet, Told::Copy));
    }
    fn missing(&mut self, _: Direction, bytes: u64, _: Timestamp) {
        self.told.push((self.packet, Told::Missing(bytes)));
    }
}

/// What is counted of a connection and told to no witness.
struct Counts {
    sides: [SideFacts; 2],
    /// Bytes of both streams by sequence numbers.
    streams: [u64; 2],
    begun: [bool; 2],
}

impl Counts {
    fn of(followed: &Followed) -> Self {
        let ends = followed.tcp.ends();
        Self {
            sides: followed.course().sides,
            streams: [ends[0].stream_bytes(), ends[1].stream_bytes()],
            begun: [ends[0].state() != State::Inactive, ends[1].state() != State::Inactive],
        }
    }

    /// What `event` changed.
    fn tell(&self, after: &Self, event: &FlowEvent, heard: &mut Heard) {
        let (by, of) = (event.direction.index(), event.direction.opposite().index());
        let mut tell = |told| heard.told.push((heard.packet, told));
        if after.sides[of].duplicate_acks > self.sides[of].duplicate_acks {
            tell(Told::DuplicateAck);
        }
        if after.sides[by].zero_windows > self.sides[by].zero_windows {
            tell(Told::ZeroWindow);
        }
        let fresh = after.streams[by].saturating_sub(self.streams[by]);
        if self.begun[by] && fresh > u64::from(event.payload_bytes) {
            tell(Told::Jump(fresh - u64::from(event.payload_bytes)));
        }
        if self.begun[of] && after.streams[of] > self.streams[of] {
            tell(Told::Beyond(after.streams[of] - self.streams[of]));
        }
    }
}

#[derive(Default)]
struct Listener {
    open: Slots<(Followed, Heard)>,
    courses: Vec<Course>,
    /// Packets so far: the number of the one at hand.
    packets: usize,
}

impl Analyzer for Listener {
    fn name(&self) -> &str {
        "listener"
    }

    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        for event in batch.events {
            self.packets += usize::from(!matches!(event.detail, Detail::End(_)));
            if !event.flow.is_some() || event.marks.contains(Marks::DUPLICATE) {
                continue;
            }
            match event.detail {
                Detail::Tcp(segment) => {
                    let (followed, heard) = self.open.entry(event.flow);
                    (heard.packet, heard.segment, heard.payload) = (self.packets, segment, event.payload_bytes);
                    let first = &mut heard.firsts[event.direction.index()];
                    *first = if *first == 0 { self.packets } else { *first };
                    let flags = segment.flags;
                    let [syns, answers, fins, resets] = &mut heard.controls[event.direction.index()];
                    let (syn, ack) = (flags.contains(TcpFlags::SYN), flags.contains(TcpFlags::ACK));
                    *syns += u64::from(syn && !ack);
                    *answers += u64::from(syn && ack);
                    *fins += u64::from(flags.contains(TcpFlags::FIN));
                    *resets += u64::from(flags.contains(TcpFlags::RST));
                    let before = Counts::of(followed);
                    followed.observe(event, &segment, heard);
                    before.tell(&Counts::of(followed), event, heard);
                }
                Detail::End(reason) => {
                    let (mut followed, mut heard) = std::mem::take(self.open.entry(event.flow));
                    let Some(flow) = batch.flows.record(event.flow) else { continue };
                    followed.finish(reason, &mut heard);
                    let Heard { requests, turns, rtts, told, firsts, controls, .. } = heard;
                    self.courses.push(Course {
                        flow,
                        facts: followed.course(),
                        requests,
                        turns,
                        rtts,
                        told,
                        firsts,
                        controls,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn snapshot(&self, _: &mut Tables) {}
}

/// Follows every TCP connection of a capture.
pub fn follow(path: &Path) -> Vec<Course> {
    let Ok(mut files) = flowsrc_pcap::Files::open(path) else { return Vec::new() };
    let mut builder = Pipeline::builder();
    let listener = builder.add(Listener::default());
    let Ok(mut pipeline) = builder.build(flowcore::Collector::info(&files)) else { return Vec::new() };
    let _ = pipeline.run(&mut files);
    let mut courses = std::mem::take(&mut pipeline.get_mut(&listener).courses);
    courses.retain(|course| course.flow.key.protocol == flowcore::Protocol::TCP);
    courses
}
