//! How many connections are in a capture, and how many packets do they have?
#![allow(clippy::print_stdout, reason = "an example prints")]

use flowcore::pipeline::Pipeline;
use flowcore::{Collector, Error, Result};
use flowstats::Conns;

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "captures/web.pcapng.zst".into());
    let mut source = flowsrc_pcap::Files::open(path)?;
    let mut builder = Pipeline::builder();
    let conns = builder.add(Conns::new());
    let mut pipeline = builder.build(source.info())?;
    let (mut connections, mut packets) = (0u64, 0u64);
    let mut finished = Vec::new();
    let snapshot = pipeline.run_with(&mut source, |pipeline, _, _| {
        pipeline.get_mut(&conns).take_finished(&mut finished);
        for connection in finished.drain(..) {
            connections += 1;
            packets += connection.counts.iter().map(|side| side.packets).sum::<u64>();
        }
        Ok::<_, Error>(true)
    })?;
    println!("{connections} connections, {packets} packets, {} delivered", snapshot.ledger.delivered());
    Ok(())
}
