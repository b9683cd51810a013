//! Our side of what happens within a TCP connection: the facts and turns that following its segments gives.

use std::path::Path;

use flowcore::flows::Slots;
use flowcore::pipeline::Pipeline;
use flowcore::{Analyzer, Batch, Detail, FlowRecord, Marks, Result, Tables, Timestamp};
use flowstats::tcp::{self, Followed, Turn, Witness};

/// One connection as followed.
pub struct Course {
    pub flow: FlowRecord,
    pub facts: tcp::Course,
    /// First bytes of requests.
    pub requests: Vec<Timestamp>,
    pub turns: Vec<Turn>,
}

impl Course {
    pub fn start(&self) -> i64 {
        self.flow.start.as_nanos()
    }
}

#[derive(Default)]
struct Heard {
    requests: Vec<Timestamp>,
    turns: Vec<Turn>,
}

impl Witness for Heard {
    fn request(&mut self, time: Timestamp) {
        self.requests.push(time);
    }
    fn response(&mut self, turn: Turn) {
        self.turns.push(turn);
    }
}

#[derive(Default)]
struct Listener {
    open: Slots<(Followed, Heard)>,
    courses: Vec<Course>,
}

impl Analyzer for Listener {
    fn name(&self) -> &str {
        "listener"
    }

    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        for event in batch.events {
            if !event.flow.is_some() || event.marks.contains(Marks::DUPLICATE) {
                continue;
            }
            match event.detail {
                Detail::Tcp(segment) => {
                    let (followed, heard) = self.open.entry(event.flow);
                    followed.observe(event, &segment, heard);
                }
                Detail::End(reason) => {
                    let (mut followed, mut heard) = std::mem::take(self.open.entry(event.flow));
                    let Some(flow) = batch.flows.record(event.flow) else { continue };
                    followed.finish(reason, &mut heard);
                    let Heard { requests, turns } = heard;
                    self.courses.push(Course { flow, facts: followed.course(), requests, turns });
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
