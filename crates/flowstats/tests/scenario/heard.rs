//! What a connection's followers hear: every note of the witness, and the facts at its end.

use flowcore::event::EndReason;
use flowcore::flows::Slots;
use flowcore::{Analyzer, Batch, Detail, Direction, Evidence, Features, FlowRecord, Marks, Result, Tables, Timestamp};
use flowstats::tcp::{Course, Followed, Retransmission, RttSample, Turn, Witness};

/// One thing that was said, and by which packet's side.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Note {
    Rtt(RttSample),
    Ambiguous(Direction, Timestamp),
    Retransmission(Retransmission, Direction, Timestamp),
    Needless(Retransmission, Direction, Timestamp),
    Reordering(Direction, Timestamp),
    Duplicate(Direction, Timestamp),
    Missing(Direction, u64, Timestamp),
    Request(Timestamp),
    Response(Turn),
}

#[derive(Clone, Debug, Default)]
pub struct Notes(pub Vec<Note>);

impl Witness for Notes {
    fn rtt(&mut self, sample: RttSample) {
        self.0.push(Note::Rtt(sample));
    }
    fn ambiguous(&mut self, of: Direction, time: Timestamp) {
        self.0.push(Note::Ambiguous(of, time));
    }
    fn request(&mut self, time: Timestamp) {
        self.0.push(Note::Request(time));
    }
    fn response(&mut self, turn: Turn) {
        self.0.push(Note::Response(turn));
    }
    fn retransmission(&mut self, kind: Retransmission, by: Direction, _bytes: u32, time: Timestamp) {
        self.0.push(Note::Retransmission(kind, by, time));
    }
    fn needless(&mut self, kind: Retransmission, by: Direction, time: Timestamp) {
        self.0.push(Note::Needless(kind, by, time));
    }
    fn reordering(&mut self, by: Direction, time: Timestamp) {
        self.0.push(Note::Reordering(by, time));
    }
    fn duplicate(&mut self, by: Direction, time: Timestamp) {
        self.0.push(Note::Duplicate(by, time));
    }
    fn missing(&mut self, by: Direction, bytes: u64, time: Timestamp) {
        self.0.push(Note::Missing(by, bytes, time));
    }
}

/// One connection as it was heard.
#[derive(Clone, Debug)]
pub struct Heard {
    pub flow: FlowRecord,
    pub notes: Vec<Note>,
    pub facts: Course,
}

impl Heard {
    /// The server counts as the originator.
    pub fn is_turned(&self) -> bool {
        self.flow.key.src_port == 80
    }

    pub fn has_syn(&self) -> bool {
        self.flow.evidence == Evidence::Syn
    }
}

/// The analyzer that listens.
#[derive(Default)]
pub struct Listener {
    open: Slots<(Followed, Notes)>,
    pub heard: Vec<Heard>,
}

impl Analyzer for Listener {
    fn name(&self) -> &str {
        "listener"
    }

    fn needs(&self) -> Features {
        Features::PACKETS
    }

    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        for event in batch.events {
            if !event.flow.is_some() || event.marks.contains(Marks::DUPLICATE) {
                continue;
            }
            let (followed, notes) = self.open.entry(event.flow);
            match event.detail {
                Detail::Tcp(segment) => followed.observe(event, &segment, notes),
                Detail::End(reason) => {
                    let (mut followed, mut notes) = std::mem::take(self.open.entry(event.flow));
                    end(&mut followed, reason, &mut notes);
                    if let Some(flow) = batch.flows.record(event.flow) {
                        self.heard.push(Heard { flow, notes: notes.0, facts: followed.course() });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn snapshot(&self, _: &mut Tables) {}
}

fn end(followed: &mut Followed, reason: EndReason, notes: &mut Notes) {
    followed.finish(reason, notes);
}
