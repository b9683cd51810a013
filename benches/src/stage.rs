//! One stage of the job over a whole file, each containing the one before it: the difference is what a stage costs.

use std::fs::File;
use std::hint::black_box;

use flowcore::collect::{Limit, Status};
use flowcore::pipeline::Pipeline;
use flowcore::{Collector, Error, ErrorKind, Result};
use flowsrc_pcap::{Files, Reader};
use flowstats::Hosts;
use flowstats::conns::{Conns, Depth};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};

use crate::walk::walk;

/// How far the work goes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Every record found, by [`walk`]: the limit.
    Walk,
    /// The same records by pcap-file's own reader.
    PcapFile,
    /// Our reader: every rule of the formats, no decoding.
    Read,
    /// And every frame decoded into an event.
    Decode,
    /// And every event given its flow.
    Table,
    /// And every connection followed: the whole command but for its output.
    Conns,
    /// And their round trips, retransmissions, requests.
    Course,
    /// The table, and every remote host's tally: the other command.
    Hosts,
}

impl Stage {
    /// All of them, cheapest first.
    pub const ALL: [Self; 8] =
        [Self::Walk, Self::PcapFile, Self::Read, Self::Decode, Self::Table, Self::Conns, Self::Course, Self::Hosts];

    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Walk => "walk",
            Self::PcapFile => "pcap-file",
            Self::Read => "read",
            Self::Decode => "decode",
            Self::Table => "table",
            Self::Conns => "conns",
            Self::Course => "course",
            Self::Hosts => "hosts",
        }
    }

    /// The stage of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// Runs the stage over the file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read by this stage.
    pub fn run(self, path: &str) -> Result<Seen> {
        match self {
            Self::Walk => walk_file(path),
            Self::PcapFile => pcap_file(path),
            Self::Read => read(path),
            Self::Decode => decode(path),
            Self::Table => table(path),
            Self::Conns => conns(path, Depth::Plain),
            Self::Course => conns(path, Depth::Course),
            Self::Hosts => hosts(path),
        }
    }
}

/// What a stage has seen; 0 where it does not look that far.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Packets.
    pub packets: u64,
    /// Flows opened.
    pub flows: u64,
}

fn failed(path: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Damaged, path).because(error)
}

fn walk_file(path: &str) -> Result<Seen> {
    let file = File::open(path).map_err(|error| failed(path, error))?;
    let mut sum = 0;
    let walked = walk(file, |record| sum += u64::from(record.time.1)).map_err(|error| failed(path, error))?;
    black_box(sum);
    Ok(Seen { packets: walked.packets, flows: 0 })
}

fn pcap_file(path: &str) -> Result<Seen> {
    let open = || File::open(path).map_err(|error| failed(path, error));
    let (mut packets, mut sum) = (0, 0);
    if let Ok(mut reader) = PcapReader::new(open()?) {
        while let Some(Ok(packet)) = reader.next_packet() {
            packets += 1;
            sum += u64::from(packet.orig_len());
        }
    } else {
        let mut reader = PcapNgReader::new(open()?).map_err(|error| failed(path, error))?;
        while let Some(Ok((block, _))) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block {
                packets += 1;
                sum += u64::from(packet.original_len);
            }
        }
    }
    black_box(sum);
    Ok(Seen { packets, flows: 0 })
}

fn read(path: &str) -> Result<Seen> {
    let mut reader = Reader::open(path)?;
    let mut packets = Vec::with_capacity(Limit::default().events);
    loop {
        packets.clear();
        let status = reader.read_batch(Limit::default().events, &mut packets)?;
        black_box(&packets);
        if status == Status::End {
            return Ok(Seen { packets: reader.packets(), flows: 0 });
        }
    }
}

fn decode(path: &str) -> Result<Seen> {
    let mut source = Files::open(path)?;
    let mut events = Vec::with_capacity(Limit::default().events);
    loop {
        events.clear();
        let status = source.fill(&mut events, Limit::default())?.status;
        black_box(&events);
        if status == Status::End {
            return Ok(Seen { packets: source.ledger()?.seen(), flows: 0 });
        }
    }
}

fn table(path: &str) -> Result<Seen> {
    let mut source = Files::open(path)?;
    let mut pipeline = Pipeline::builder().build(source.info())?;
    let snapshot = pipeline.run(&mut source)?;
    Ok(Seen { packets: snapshot.ledger.seen(), flows: pipeline.flows().opened() })
}

fn conns(path: &str, depth: Depth) -> Result<Seen> {
    let mut source = Files::open(path)?;
    let mut builder = Pipeline::builder();
    let conns = builder.add(Conns::with(depth));
    let mut pipeline = builder.build(source.info())?;
    let mut finished = Vec::new();
    let snapshot = pipeline.run_with(&mut source, |pipeline, _, _| {
        pipeline.get_mut(&conns).take_finished(&mut finished);
        black_box(&finished);
        finished.clear();
        Ok::<_, Error>(true)
    })?;
    Ok(Seen { packets: snapshot.ledger.seen(), flows: pipeline.flows().opened() })
}

fn hosts(path: &str) -> Result<Seen> {
    let mut source = Files::open(path)?;
    let mut builder = Pipeline::builder();
    let hosts = builder.add(Hosts::default());
    let mut pipeline = builder.build(source.info())?;
    let snapshot = pipeline.run(&mut source)?;
    black_box(pipeline.get(&hosts).remotes().len());
    Ok(Seen { packets: snapshot.ledger.seen(), flows: pipeline.flows().opened() })
}
