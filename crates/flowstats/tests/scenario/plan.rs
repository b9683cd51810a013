//! What a scenario is: everything that the seed decides before the first segment is sent.

use crate::manner::{Idents, Listening, Manner};
use crate::random::Random;
use crate::segment::{CLIENT, MICROS, MILLIS, SECONDS, SERVER, Side, Time};

/// What one part of the path does to segments that go one way.
#[derive(Clone, Debug, Default)]
pub struct Link {
    pub delay: Time,
    /// At most so much more, without overtaking.
    pub jitter: Time,
    /// Of a thousand segments.
    pub loss: u32,
    pub duplication: u32,
    /// Held back by `late`, so that others overtake.
    pub reordering: u32,
    pub late: Time,
}

/// What the capture itself does wrong.
#[derive(Clone, Debug, Default)]
pub struct Flaws {
    /// Of a thousand packets.
    pub loss: u32,
    /// How many in a row.
    pub burst: u64,
    pub duplication: u32,
    /// It begins after so many packets.
    pub skips: u64,
}

impl Flaws {
    pub fn is_lossless(&self) -> bool {
        self.loss == 0 && self.skips == 0
    }
}

/// What an application does next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Write(u64),
    Close,
    Abort,
}

/// Once so many bytes have come from the peer (its FIN counts as one), after `pause`.
#[derive(Copy, Clone, Debug)]
pub struct Step {
    pub after_got: u64,
    pub pause: Time,
    pub act: Act,
}

/// A message of the application: `bytes` from position `from` of its direction's stream.
#[derive(Copy, Clone, Debug)]
pub struct Message {
    pub side: Side,
    pub from: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub hosts: [Manner; 2],
    /// `links[side][0]` from the sender to the capture point, `[1]` from there on.
    pub links: [[Link; 2]; 2],
    pub scripts: [Vec<Step>; 2],
    /// In the order of the dialogue.
    pub messages: Vec<Message>,
    /// Each message waited for the one before.
    pub alternating: bool,
    pub simultaneous: bool,
    /// The ends send several segments as one, and the capture point sees them so.
    pub sends_merged: [bool; 2],
    /// What comes within this time is merged before the capture point sees it; by direction.
    pub receives_merged: [Option<Time>; 2],
    pub flaws: Flaws,
    /// The capture file has microseconds only.
    pub coarse: bool,
}

/// How rough the way is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing lost, doubled or overtaken.
    Fair,
    /// All of it.
    Rough,
}

impl Plan {
    /// Whether the dialogue and the ending are of the kind that every connection goes through.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let r = &mut random;
        let weather = if r.permille(300) { Weather::Fair } else { Weather::Rough };
        let (links, at_end) = path(r, weather);
        let mut hosts = [manner(r), manner(r)];
        hosts[SERVER].listening = match r.below(40) {
            0 => Listening::Refuses,
            1 => Listening::Silent,
            2 | 3 => Listening::Splits,
            _ => Listening::Accepts,
        };
        if hosts[SERVER].listening == Listening::Refuses {
            hosts[SERVER].isn = 0;
        }
        let simultaneous = hosts[SERVER].listening == Listening::Accepts && r.permille(30);
        for host in &mut hosts {
            if !simultaneous && r.permille(100) {
                host.stall = Some((r.within(1, 2000), r.within(1, 3000) * MILLIS));
                host.buffer = r.within(2, 6) * host.mss;
            }
        }
        let (scripts, messages, alternating) = dialogue(r, &mut hosts, simultaneous);
        let mut sends_merged = [false; 2];
        let mut receives_merged = [None; 2];
        for side in [CLIENT, SERVER] {
            if at_end == Some(side) {
                if r.permille(400) {
                    hosts[side].offload = r.within(2, 30);
                    sends_merged[side] = true;
                }
                if r.permille(400) {
                    receives_merged[1 - side] = Some(r.within(5, 500) * MICROS);
                }
            }
        }
        let flaws = flaws(r);
        let coarse = r.permille(500);
        Self {
            hosts,
            links,
            scripts,
            messages,
            alternating,
            simultaneous,
            sends_merged,
            receives_merged,
            flaws,
            coarse,
        }
    }
}

/// The links, and the end at which the capture point is, if at one.
fn path(r: &mut Random, weather: Weather) -> ([[Link; 2]; 2], Option<Side>) {
    let at_end = r.pick(&[Some(CLIENT), Some(SERVER), None]);
    let mut links: [[Link; 2]; 2] = Default::default();
    let scale = r.pick(&[20 * MICROS, MILLIS, 20 * MILLIS, 150 * MILLIS]);
    for part in [CLIENT, SERVER] {
        // The two ways between an end and the capture point.
        let at = at_end == Some(part);
        let delay = if at { r.below(3) * MICROS } else { r.within(scale / 4, scale) };
        let jitter = if at { 0 } else { r.pick(&[0, delay / 20, delay / 2, 3 * delay]) };
        for side in [CLIENT, SERVER] {
            let link = &mut links[side][usize::from(side != part)];
            link.delay = delay + if at { 0 } else { r.below(delay / 2 + 1) };
            link.jitter = jitter;
            if weather == Weather::Rough && !at {
                link.loss = r.pick(&[0, 0, 10, 50, 150]);
                link.duplication = r.pick(&[0, 0, 0, 10, 50]);
                link.reordering = r.pick(&[0, 0, 0, 10, 100]);
                link.late = r.within(scale / 10, 2 * scale);
            }
        }
    }
    (links, at_end)
}

fn manner(r: &mut Random) -> Manner {
    let scale = r.pick(&[0, 0, 2, 7]);
    let mss = r.pick(&[100, 536, 1220, 1460]);
    Manner {
        isn: if r.permille(400) { 0u32.wrapping_sub(r.below(20_000) as u32) } else { r.next() as u32 },
        mss,
        buffer: r.pick(&[4 * mss, 16 * mss, 60_000, 200_000]),
        scale,
        congestion: r.pick(&[1, 2, 4, 10, 40]),
        offload: 1,
        timestamps: r.permille(600),
        tick: r.pick(&[MILLIS, MILLIS, 4 * MILLIS, 10 * MILLIS]),
        sack: r.permille(700),
        ecn: r.permille(200),
        delayed_ack: r.pick(&[0, 40 * MILLIS, 200 * MILLIS]),
        least_timeout: r.pick(&[10 * MILLIS, 200 * MILLIS, 200 * MILLIS, SECONDS]),
        keep_alive: r.permille(150).then(|| (r.within(200, 2000) * MILLIS, r.permille(500))),
        probe_byte: r.permille(400),
        fin_with_data: r.permille(300),
        stall: None,
        listening: Listening::Accepts,
        idents: r.pick(&[Idents::Counted, Idents::Counted, Idents::Random, Idents::Zero]),
        fast_open: 0,
    }
}

fn size(r: &mut Random) -> u64 {
    match r.below(10) {
        0 => 1,
        1..=5 => r.within(2, 700),
        6..=8 => r.within(700, 8000),
        _ => r.within(8000, 60_000),
    }
}

fn pause(r: &mut Random) -> Time {
    match r.below(10) {
        0..=3 => 0,
        4..=6 => r.within(1, 2000) * MICROS,
        7..=8 => r.within(1, 300) * MILLIS,
        _ => r.within(1, 4000) * MILLIS,
    }
}

struct Writer {
    scripts: [Vec<Step>; 2],
    messages: Vec<Message>,
    written: [u64; 2],
}

impl Writer {
    /// A message in one or several pieces, begun when `after_got` bytes have come.
    fn say(&mut self, r: &mut Random, side: Side, bytes: u64, after_got: u64, pause: Time) {
        self.messages.push(Message { side, from: 1 + self.written[side], bytes });
        let pieces = if r.permille(300) { r.within(2, 4).min(bytes) } else { 1 };
        let mut left = bytes;
        for piece in 0..pieces {
            let part = if piece + 1 == pieces { left } else { r.within(1, left - (pieces - piece - 1)) };
            left -= part;
            let pause = if piece == 0 { pause } else { r.within(0, 50) * MILLIS };
            self.scripts[side].push(Step { after_got, pause, act: Act::Write(part) });
        }
        self.written[side] += bytes;
    }
}

type Dialogue = ([Vec<Step>; 2], Vec<Message>, bool);

fn dialogue(r: &mut Random, hosts: &mut [Manner; 2], simultaneous: bool) -> Dialogue {
    let mut writer = Writer { scripts: Default::default(), messages: Vec::new(), written: [0; 2] };
    let mut alternating = true;
    let fast_open = !simultaneous && hosts[SERVER].listening == Listening::Accepts && r.permille(60);
    if fast_open {
        let bytes = r.within(1, 90);
        hosts[CLIENT].fast_open = bytes;
        writer.written[CLIENT] = bytes;
        writer.messages.push(Message { side: CLIENT, from: 1, bytes });
        let (bytes, pause) = (size(r), pause(r));
        writer.say(r, SERVER, bytes, writer.written[CLIENT], pause);
    } else if r.permille(150) {
        let (bytes, pause) = (size(r), pause(r));
        writer.say(r, SERVER, bytes, 0, pause);
    }
    let exchanges = r.pick(&[0, 1, 1, 2, 3, 6]);
    let pipelined = r.permille(150);
    for _ in 0..exchanges {
        let before = if pipelined { 0 } else { writer.written[SERVER] };
        let (request, think) = (size(r), pause(r));
        let ahead = pipelined && !writer.messages.is_empty();
        alternating &= !ahead;
        writer.say(r, CLIENT, request, before, think);
        let (response, think) = (size(r), pause(r));
        writer.say(r, SERVER, response, writer.written[CLIENT], think);
    }
    if r.permille(80) {
        // A request that nobody answers.
        let (request, think) = (size(r), pause(r));
        writer.say(r, CLIENT, request, writer.written[SERVER], think);
    }
    let [to_server, to_client] = writer.written;
    let Writer { mut scripts, messages, .. } = writer;
    let pause = pause(r);
    let mut end = |side: Side, after_got: u64, act: Act| scripts[side].push(Step { after_got, pause, act });
    match r.below(10) {
        0..=3 => {
            end(CLIENT, to_client, Act::Close);
            end(SERVER, to_server + 1, Act::Close);
        }
        4 | 5 => {
            end(SERVER, to_server, Act::Close);
            end(CLIENT, to_client + 1, Act::Close);
        }
        // Half close: the client has said everything, the server has not.
        6 => {
            end(CLIENT, 0, Act::Close);
            end(SERVER, to_server + 1, Act::Close);
        }
        7 => end(CLIENT, to_client, Act::Abort),
        8 => end(SERVER, to_server, Act::Abort),
        _ => {}
    }
    (scripts, messages, alternating)
}

fn flaws(r: &mut Random) -> Flaws {
    if r.permille(500) {
        return Flaws::default();
    }
    Flaws {
        loss: r.pick(&[0, 10, 50, 200]),
        burst: r.pick(&[1, 1, 3, 10]),
        duplication: r.pick(&[0, 0, 20, 200]),
        skips: r.pick(&[0, 0, 0, 1, 2, 3, 8]),
    }
}
