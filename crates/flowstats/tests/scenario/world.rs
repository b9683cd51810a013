//! Two ends, the path between them, and the point where they are watched.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use crate::host::{Advance, Delivery, Host};
use crate::manner::Idents;
use crate::plan::{Act, Plan, Step};
use crate::random::Random;
use crate::segment::{CLIENT, Emission, MICROS, SECONDS, SERVER, Segment, Side, Time};

/// No scenario goes on longer.
const LONGEST: Time = 100 * SECONDS;

/// A packet that passed the capture point.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub time: Time,
    pub segment: Segment,
}

/// All that happened.
pub struct History {
    pub sightings: Vec<Sighting>,
    pub emissions: Vec<Emission>,
    /// By the side that received.
    pub deliveries: [Vec<Delivery>; 2],
    pub advances: [Vec<Advance>; 2],
    pub established: [bool; 2],
    /// Sightings that reached the other end.
    pub arrived: BTreeSet<usize>,
    /// Window scale in force, by the sender of the window.
    pub scales: [u8; 2],
}

#[derive(Debug)]
enum Event {
    /// Reaches the capture point.
    Passes(Segment),
    Arrives(Segment),
    /// Whatever was being merged goes on.
    Flush(Side),
}

struct World<'a> {
    plan: &'a Plan,
    random: Random,
    now: Time,
    hosts: [Host; 2],
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    events: BTreeMap<u64, Event>,
    order: u64,
    /// Latest arrival of each part of the path, by sender and part.
    latest: [[Time; 2]; 2],
    merging: [Option<Segment>; 2],
    scripts: [VecDeque<Step>; 2],
    /// When the next step's condition was met.
    met: [Option<Time>; 2],
    idents: [u16; 2],
    sightings: Vec<Sighting>,
    arrived: BTreeSet<usize>,
    emissions: Vec<Emission>,
}

/// Lets a plan happen.
pub fn happen(plan: &Plan, seed: u64) -> History {
    let hosts = [CLIENT, SERVER].map(|side| Host::new(side, plan.hosts[side].clone()));
    let mut world = World {
        plan,
        random: Random::new(seed ^ 0x5eed),
        now: 0,
        hosts,
        queue: BinaryHeap::new(),
        events: BTreeMap::new(),
        order: 0,
        latest: [[0; 2]; 2],
        merging: [None, None],
        scripts: plan.scripts.clone().map(VecDeque::from),
        met: [None; 2],
        idents: [plan.hosts[CLIENT].isn as u16, plan.hosts[SERVER].isn as u16],
        sightings: Vec::new(),
        arrived: BTreeSet::new(),
        emissions: Vec::new(),
    };
    world.hosts[CLIENT].connect(0);
    world.collect(CLIENT);
    if plan.simultaneous {
        world.hosts[SERVER].connect(0);
        world.collect(SERVER);
    }
    while world.step() {}
    let World { hosts, sightings, arrived, emissions, .. } = world;
    let established = [hosts[0].is_established(), hosts[1].is_established()];
    let scales = [hosts[0].scale(), hosts[1].scale()];
    let [client, server] = hosts;
    History {
        sightings,
        emissions,
        deliveries: [client.deliveries, server.deliveries],
        advances: [client.advances, server.advances],
        established,
        arrived,
        scales,
    }
}

impl World<'_> {
    fn schedule(&mut self, time: Time, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((time, self.order)));
        self.events.insert(self.order, event);
    }

    /// The next thing that happens; `false` if nothing does.
    fn step(&mut self) -> bool {
        let arrival = self.queue.peek().map(|Reverse((time, _))| *time);
        let timers = self.hosts.iter().filter_map(Host::deadline).min();
        let acts = [CLIENT, SERVER].into_iter().filter_map(|side| self.act_time(side)).min();
        let Some(next) = [arrival, timers, acts].into_iter().flatten().min() else { return false };
        self.now = self.now.max(next);
        if self.now > LONGEST {
            return false;
        }
        if arrival == Some(next) {
            if let Some(Reverse((_, order))) = self.queue.pop()
                && let Some(event) = self.events.remove(&order)
            {
                self.meet(event);
            }
        } else if timers == Some(next) {
            for side in [CLIENT, SERVER] {
                if self.hosts[side].deadline().is_some_and(|deadline| deadline <= self.now) {
                    self.hosts[side].wake(self.now);
                    self.collect(side);
                }
            }
        } else {
            for side in [CLIENT, SERVER] {
                if self.act_time(side).is_some_and(|time| time <= self.now) {
                    self.act(side);
                    self.collect(side);
                }
            }
        }
        for side in [CLIENT, SERVER] {
            self.look(side);
        }
        true
    }

    fn look(&mut self, side: Side) {
        if self.met[side].is_none()
            && let Some(step) = self.scripts[side].front()
            && self.hosts[side].is_established()
            && self.hosts[side].got() >= step.after_got
        {
            self.met[side] = Some(self.now);
        }
    }

    fn act_time(&self, side: Side) -> Option<Time> {
        Some(self.met[side]? + self.scripts[side].front()?.pause)
    }

    fn act(&mut self, side: Side) {
        self.met[side] = None;
        let Some(step) = self.scripts[side].pop_front() else { return };
        match step.act {
            Act::Write(bytes) => self.hosts[side].write(self.now, bytes),
            Act::Close => self.hosts[side].close(self.now),
            Act::Abort => self.hosts[side].abort(self.now),
        }
    }

    /// Puts what an end has sent on its way.
    fn collect(&mut self, side: Side) {
        for (mut segment, kind) in std::mem::take(&mut self.hosts[side].out) {
            let emission = self.emissions.len();
            let needless = segment.len > 0 && self.hosts[1 - side].has(&segment.payload());
            self.emissions.push(Emission::of(&segment, kind, needless));
            segment.parts = if segment.len > 0 { vec![(segment.payload(), emission)] } else { Vec::new() };
            segment.emission = emission;
            let pieces = segment.len.div_ceil(self.plan.hosts[side].mss).max(1) as u16;
            segment.ident = self.ident(side, pieces);
            let most = self.plan.hosts[side].mss;
            if self.plan.sends_merged[side] {
                self.travel(segment, 0);
            } else {
                for piece in segment.pieces(most) {
                    self.travel(piece, 0);
                }
            }
        }
    }

    /// The number of the first of so many datagrams.
    fn ident(&mut self, side: Side, pieces: u16) -> u16 {
        match self.plan.hosts[side].idents {
            Idents::Counted => {
                let ident = self.idents[side];
                self.idents[side] = ident.wrapping_add(pieces);
                ident
            }
            Idents::Random => self.random.next() as u16,
            Idents::Zero => 0,
        }
    }

    /// Through the part of the path before (0) or behind (1) the capture point.
    fn travel(&mut self, segment: Segment, part: usize) {
        let side = segment.side;
        let link = self.plan.links[side][part].clone();
        let copies = 1 + u64::from(self.random.permille(link.duplication));
        for _ in 0..copies {
            if self.random.permille(link.loss) {
                continue;
            }
            let mut at = self.now + link.delay + self.random.below(link.jitter + 1);
            if self.random.permille(link.reordering) {
                at += link.late;
            } else {
                at = at.max(self.latest[side][part]);
                self.latest[side][part] = at;
            }
            let event = if part == 0 { Event::Passes(segment.clone()) } else { Event::Arrives(segment.clone()) };
            self.schedule(at, event);
        }
    }

    fn meet(&mut self, event: Event) {
        match event {
            Event::Passes(segment) => match self.plan.receives_merged[segment.side] {
                Some(wait) => self.merge(segment, wait),
                None => self.pass(segment),
            },
            Event::Flush(side) => {
                if let Some(merged) = self.merging[side].take() {
                    self.pass(merged);
                }
            }
            Event::Arrives(segment) => {
                let side = 1 - segment.side;
                self.arrived.extend(segment.sighting);
                self.hosts[side].receive(self.now, &segment);
                self.collect(side);
            }
        }
    }

    /// Receive offload: data in order with the same header becomes one segment.
    fn merge(&mut self, segment: Segment, wait: Time) {
        let side = segment.side;
        let plain = !segment.syn && !segment.rst && !segment.fin && segment.len > 0 && segment.sacks.is_empty();
        if let Some(held) = &mut self.merging[side] {
            let fits = held.payload().end == segment.seq
                && held.ack == segment.ack
                && held.window == segment.window
                && held.stamp == segment.stamp
                && held.len + segment.len < 60_000;
            if plain && fits && !held.push {
                held.len += segment.len;
                held.push = segment.push;
                held.parts.extend(segment.parts);
                held.emission = segment.emission;
                return;
            }
            if let Some(held) = self.merging[side].take() {
                self.pass(held);
            }
        }
        if plain && !segment.push {
            self.merging[side] = Some(segment);
            self.schedule(self.now + wait, Event::Flush(side));
        } else {
            self.pass(segment);
        }
    }

    fn pass(&mut self, mut segment: Segment) {
        segment.sighting = Some(self.sightings.len());
        self.sightings.push(Sighting { time: self.now, segment: segment.clone() });
        // Nothing is seen in no time.
        self.now += MICROS / 10;
        let most = if self.plan.receives_merged[segment.side].is_some() {
            u64::MAX
        } else {
            self.plan.hosts[segment.side].mss
        };
        for piece in segment.pieces(most) {
            self.travel(piece, 1);
        }
    }
}
