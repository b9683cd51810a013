//! Which connections does no rule of ours allow?
//!
//! A whitelist in code: it judges each flow once, when it begins, by anything that is known of it then. Lists of
//! addresses, names and ports need no code: `flowresolve::Rules` reads them from a file.

use std::io::Write;
use std::sync::Arc;

use flowcore::pipeline::Pipeline;
use flowcore::{Addr, Collector, Error, FlowRecord, Prefix, Protocol, Resolver, Result, RuleId, Verdict, Whitelist};
use flowstats::Conns;

/// Our clients may ask our servers for web pages and names, and anybody for an echo.
struct Policy {
    clients: Prefix,
    servers: Vec<Addr>,
}

impl Whitelist for Policy {
    fn judge(&self, flow: &FlowRecord, _names: &dyn Resolver) -> Verdict {
        let key = &flow.key;
        if !self.clients.contains(key.src) {
            return Verdict::Unlisted;
        }
        match (key.protocol, key.dst_port) {
            (Protocol::ICMP, _) => Verdict::Allowed(RuleId(2)),
            _ if !self.servers.contains(&key.dst) => Verdict::Unlisted,
            (Protocol::TCP, 80 | 443) => Verdict::Allowed(RuleId(0)),
            (Protocol::UDP, 53) => Verdict::Allowed(RuleId(1)),
            _ => Verdict::Unlisted,
        }
    }

    fn rule(&self, id: RuleId) -> &str {
        ["web", "names", "echo"].get(id.0 as usize).unwrap_or(&"?")
    }
}

fn policy() -> Policy {
    let clients = "192.0.2.0/29".parse().expect("a prefix");
    Policy { clients, servers: vec!["192.0.2.1".parse().expect("an address")] }
}

pub(crate) fn run(mut out: impl Write + Send + 'static) -> Result<()> {
    let policy = Arc::new(policy());
    let mut source = flowsrc_pcap::Files::open("captures/web.pcapng.zst")?;
    let mut builder = Pipeline::builder().whitelist(Arc::clone(&policy));
    let conns = builder.add(Conns::new());
    let mut pipeline = builder.build(source.info())?;

    let mut finished = Vec::new();
    pipeline.run_with(&mut source, |pipeline, _, _| {
        pipeline.get_mut(&conns).take_finished(&mut finished);
        Ok::<_, Error>(true)
    })?;
    finished.sort_by_key(|connection| connection.flow.start);

    for connection in finished {
        let key = connection.flow.key;
        let said = match connection.flow.verdict {
            Some(Verdict::Allowed(rule)) => format!("allowed by {}", policy.rule(rule)),
            _ => "not allowed".to_owned(),
        };
        let flow = format!("{} > {} {} {}", key.src, key.dst, key.protocol, key.dst_port);
        writeln!(out, "{flow:34} {said}").map_err(|error| Error::io("output", error))?;
    }
    Ok(())
}

fn main() -> Result<()> {
    run(std::io::stdout())
}
