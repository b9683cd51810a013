//! Which services do clients use, whatever addresses and ports they have?
//!
//! A resolver whose answers are what rows are grouped by: it merges addresses that are one site, and tells the ports
//! of an address apart.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use flowcore::pipeline::Pipeline;
use flowcore::{Addr, Collector, Error, Lookup, Resolver, Result};
use flowstats::Conns;

/// One machine with two addresses; a site is what runs on one of its ports.
struct Sites {
    machines: Vec<(&'static str, Vec<Addr>)>,
}

impl Resolver for Sites {
    fn name(&self, addr: Addr, port: u16) -> Lookup<Arc<str>> {
        let machine = self.machines.iter().find(|(_, addresses)| addresses.contains(&addr));
        let Some((machine, _)) = machine else { return Lookup::Absent };
        let site = match port {
            0 => (*machine).to_owned(),
            80 | 443 => format!("{machine}/web"),
            53 => format!("{machine}/names"),
            _ => format!("{machine}/other"),
        };
        Lookup::Known(site.into())
    }
}

pub(crate) fn run(mut out: impl Write + Send + 'static) -> Result<()> {
    let addresses = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().expect("an address"));
    let sites = Sites { machines: vec![("www", addresses.to_vec())] };

    let mut source = flowsrc_pcap::Files::open("captures/web.pcapng.zst")?;
    let mut builder = Pipeline::builder();
    let conns = builder.add(Conns::new());
    let mut pipeline = builder.build(source.info())?;

    // Connections and payload bytes by site; the resolver is asked where the row is made.
    let mut rows: BTreeMap<Arc<str>, (u64, u64)> = BTreeMap::new();
    let mut finished = Vec::new();
    pipeline.run_with(&mut source, |pipeline, _, _| {
        pipeline.get_mut(&conns).take_finished(&mut finished);
        for connection in finished.drain(..) {
            let key = connection.flow.key;
            let site = sites.name(key.dst, key.dst_port).known().unwrap_or_else(|| key.dst.to_string().into());
            let (count, bytes) = rows.entry(site).or_default();
            *count += 1;
            *bytes += connection.counts.iter().map(|side| side.payload_bytes).sum::<u64>();
        }
        Ok::<_, Error>(true)
    })?;
    for (site, (count, bytes)) in rows {
        writeln!(out, "{site:10} {count:3} connections {bytes:7} bytes").map_err(|error| Error::io("output", error))?;
    }
    Ok(())
}

fn main() -> Result<()> {
    run(std::io::stdout())
}
