//! Packets and filters for measuring how fast filters are evaluated.

use std::path::Path;
use std::sync::Arc;

use flowcore::resolve::Numeric;
use flowcore::wire::{DecodeOptions, Layers, decode};
use flowcore::{Error, ErrorKind, FlowEvent, Frames, Resolver, Result, Status};
use flowfilter::{Filter, Options, Predicate, STEP};
use flowsrc_pcap::Reader;

/// Filters that libpcap and we read alike, by their number of tests.
pub const FILTERS: [(&str, &str); 4] = [
    ("1 leaf", "tcp"),
    ("2 leaves", "dst port 443 or src port 443"),
    ("5 leaves", "tcp and (dst port 443 or dst port 80) and not src net 10.0.0.0/9 and not dst host 10.9.9.9"),
    (
        "8 leaves",
        "(udp and (dst port 53 or src port 53)) or (tcp and (dst port 80 or src port 80) and src net 10.0.0.0/8 and len < 500)",
    ),
];

/// Fifty tests: networks, as somebody writes them down.
pub fn fifty() -> String {
    let all: Vec<String> = (0..50).map(|at| format!("src net 10.{}.{}.0/24", at * 5 % 256, at * 7 % 256)).collect();
    all.join(" or ")
}

/// A file of so many addresses, which a filter calls `@list`.
fn list(items: u32) -> String {
    let addr = |at: u32| {
        let [_, b, c, d] = at.wrapping_mul(2_654_435_761).to_be_bytes();
        format!("10.{b}.{c}.{d}\n")
    };
    (0..items).map(addr).collect()
}

/// The first packets of a file, decoded.
///
/// # Errors
/// If the file cannot be read.
pub fn packets(path: &str, most: usize) -> Result<Vec<FlowEvent>> {
    let mut reader = Reader::open(Path::new(path))?;
    let (mut raw, mut events) = (Vec::new(), Vec::new());
    while events.len() < most && reader.read_batch(512, &mut raw)? != Status::End {
        for packet in raw.drain(..) {
            let mut event = FlowEvent { bytes: u64::from(packet.wire), packets: 1, ..FlowEvent::default() };
            let mut layers = Layers::default();
            let frame = packet.bytes(reader.window());
            decode(packet.link, frame, packet.wire, DecodeOptions::default(), &mut event, &mut layers);
            events.push(event);
        }
    }
    events.truncate(most);
    Ok(events)
}

/// A filter over packets, in which `@list` are 10,000 addresses.
///
/// # Errors
/// If it is none.
pub fn bound(text: &str) -> Result<Predicate<FlowEvent>> {
    let names: Arc<dyn Resolver> = Arc::new(Numeric);
    let read = |_: &str| -> std::result::Result<String, String> { Ok(list(10_000)) };
    let options = Options { lists: Some(&read), ..Options::default() };
    let filter = Filter::parse_with(text, &options).and_then(|filter| filter.bind(&names));
    filter.map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))
}

/// How many pass.
pub fn count(filter: &Predicate<FlowEvent>, events: &[FlowEvent]) -> u64 {
    events.chunks(STEP).map(|step| u64::from(filter.mask(step, &Frames::EMPTY).count_ones())).sum()
}
