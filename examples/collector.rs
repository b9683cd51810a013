//! Can rows that were stored be a source again? A collector that reads lines as `flow conns` writes them:
//!
//!     flow conns -r captures/redis.pcap.gz -o tsv --no-header --no-trailer --sort start_ns \
//!       --columns start_ns,src_ip,src_port,dst_ip,dst_port,ip_proto,fwd_packets,fwd_wire_bytes \
//!       | cargo run --example collector

use std::io::{BufRead, Write};

use flowcore::pipeline::Pipeline;
use flowcore::{
    Collector, Error, Features, Filled, FlowEvent, FlowKey, Frames, Ledger, Limit, Loss, Protocol, Result, SourceInfo,
    Status, Timestamp,
};

struct Rows<R> {
    info: SourceInfo,
    input: R,
    ledger: Ledger,
}

/// One row as an event: as many packets at once as it says.
fn event(line: &str) -> Option<FlowEvent> {
    let cells: Vec<&str> = line.split_whitespace().collect();
    let [time, src, src_port, dst, dst_port, protocol, packets, bytes, ..] = cells[..] else { return None };
    let key = FlowKey {
        src: src.parse().ok()?,
        dst: dst.parse().ok()?,
        src_port: src_port.parse().ok()?,
        dst_port: dst_port.parse().ok()?,
        protocol: Protocol(protocol.parse().ok()?),
        ..FlowKey::NONE
    };
    let time = Timestamp::from_nanos(time.parse().ok()?);
    Some(FlowEvent { time, key, packets: packets.parse().ok()?, bytes: bytes.parse().ok()?, ..FlowEvent::default() })
}

impl<R: BufRead + Send> Collector for Rows<R> {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn fill<'s>(&'s mut self, events: &mut Vec<FlowEvent>, limit: Limit) -> Result<Filled<'s>> {
        let mut through = Timestamp::MIN;
        for _ in 0..limit.events {
            let mut line = String::new();
            if self.input.read_line(&mut line).map_err(|error| Error::io(&*self.info.name, error))? == 0 {
                return Ok(Filled::new(Frames::EMPTY, through, Status::End));
            }
            // What cannot be read is lost, not passed over: the ledger knows.
            let Some(event) = event(&line) else {
                self.ledger.lose(Loss::Damaged, 1);
                continue;
            };
            self.ledger.deliver(u64::from(event.packets));
            through = through.max(event.time);
            events.push(event);
        }
        Ok(Filled::new(Frames::EMPTY, through, Status::More))
    }

    fn ledger(&mut self) -> Result<Ledger> {
        Ok(self.ledger.clone())
    }
}

pub(crate) fn run(input: impl BufRead + Send, mut out: impl Write) -> Result<()> {
    // An analyzer that needs single packets or TCP headers is refused: rows offer neither.
    let info = SourceInfo { name: "rows".into(), offers: Features::empty(), ..SourceInfo::default() };
    let mut rows = Rows { info, input, ledger: Ledger::new() };
    let mut pipeline = Pipeline::builder().build(rows.info())?;
    let ledger = pipeline.run(&mut rows)?.ledger;
    let (flows, packets, lost) = (pipeline.flows().opened(), ledger.delivered(), ledger.lost_total());
    writeln!(out, "{flows} flows, {packets} packets, {lost} lines lost").map_err(|error| Error::io("output", error))
}

fn main() -> Result<()> {
    run(std::io::BufReader::new(std::io::stdin()), std::io::stdout())
}
