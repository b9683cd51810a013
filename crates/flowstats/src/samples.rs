//! Socket samples for tests, written by hand.

use flowcore::event::SocketRef;
use flowcore::pipeline::{Handle, Pipeline};
use flowcore::socket::{Family, SocketSample, SocketState, TcpInfo};
use flowcore::{Analyzer, Detail, Features, FlowEvent, Frames, Protocol, SourceInfo, Timestamp};

/// Fields of `struct tcp_info` by their offsets; the others are 0.
pub(crate) fn tcp_info(u32s: &[(usize, u32)], u64s: &[(usize, u64)]) -> TcpInfo {
    let mut bytes = [0; 232];
    for &(offset, value) in u32s {
        bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    }
    for &(offset, value) in u64s {
        bytes[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
    }
    TcpInfo::from_bytes(&bytes)
}

/// Offsets in `struct tcp_info`, include/uapi/linux/tcp.h.
pub(crate) mod at {
    pub const SND_MSS: usize = 16;
    pub const RTT: usize = 68;
    pub const RTTVAR: usize = 72;
    pub const SND_CWND: usize = 80;
    pub const PACING_RATE: usize = 104;
    pub const BYTES_ACKED: usize = 120;
    pub const BYTES_RECEIVED: usize = 128;
    pub const SEGS_OUT: usize = 136;
    pub const SEGS_IN: usize = 140;
    pub const MIN_RTT: usize = 148;
    pub const DELIVERY_RATE: usize = 160;
    pub const BUSY: usize = 168;
    pub const RWND_LIMITED: usize = 176;
    pub const SNDBUF_LIMITED: usize = 184;
}

/// An established socket between two ends, `address port address port` apart by blanks, at a second.
pub(crate) fn socket(ends: &str, second: i64, tcp: TcpInfo) -> SocketSample {
    let words: Vec<&str> = ends.split(' ').collect();
    SocketSample {
        time: Timestamp::from_parts(second, 0),
        family: if ends.contains(':') { Family::INET6 } else { Family::INET },
        protocol: Protocol::TCP.0.into(),
        state: SocketState::ESTABLISHED,
        local: words[0].parse().unwrap(),
        local_port: words[1].parse().unwrap(),
        remote: words[2].parse().unwrap(),
        remote_port: words[3].parse().unwrap(),
        tcp: Some(tcp),
        ..SocketSample::default()
    }
}

/// A pipeline with one analyzer, to which polls are pushed.
pub(crate) struct Polled<A> {
    pub pipeline: Pipeline,
    pub handle: Handle<A>,
}

impl<A: Analyzer> Polled<A> {
    pub fn new(analyzer: A) -> Self {
        let mut builder = Pipeline::builder();
        let handle = builder.add(analyzer);
        let source =
            SourceInfo { name: "sockets".into(), offers: Features::SOCKETS, live: true, ..SourceInfo::default() };
        Self { pipeline: builder.build(&source).unwrap(), handle }
    }

    /// One poll, as the collector tells it: `first` of sockets that were not there before, `last` of destroyed ones.
    pub fn poll(&mut self, samples: &[SocketSample], first: bool, last: bool) -> &mut Self {
        let mut events = Vec::new();
        for (place, sample) in samples.iter().enumerate() {
            let detail = Detail::Socket(SocketRef { sample: place as u32, first, last, ..SocketRef::default() });
            events.push(FlowEvent { time: sample.time, key: sample.key(), detail, ..FlowEvent::default() });
            let key = sample.key().reversed();
            events.push(FlowEvent { time: sample.time, key, ..FlowEvent::default() });
        }
        let through = samples.last().map_or(Timestamp::EPOCH, |sample| sample.time);
        self.pipeline.push(&mut events, Frames::EMPTY.with_sockets(samples), through).unwrap();
        self
    }

    pub fn get(&self) -> &A {
        self.pipeline.get(&self.handle)
    }

    pub fn get_mut(&mut self) -> &mut A {
        self.pipeline.get_mut(&self.handle)
    }
}
