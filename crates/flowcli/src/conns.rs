//! `flow conns`: one row per connection.
//!
//! The only module that knows sources and analyzers; it puts them together and hands finished connections on.

use flowcore::report::Ending;
use flowcore::{Error, ErrorKind};

use crate::args::ConnsArgs;
use crate::exit::{Exit, complain};
use crate::fields::{Field, Subject};
use crate::inputs;
use crate::output::{self, Output, Wishes};
use crate::progress::Progress;
use crate::signals::Signals;

use engine::{Connection, Settings};

/// Runs the command.
pub fn run(args: &ConnsArgs) -> anyhow::Result<Exit> {
    let subject = subject();
    if args.list_columns {
        return crate::documents::print(&subject.describe());
    }
    let wishes = Wishes::from(args);
    if !wishes.format.is_text() && (args.time.is_some() || args.tcpdump_time > 0) && !args.quiet {
        complain("note: this format always has nanoseconds since 1970; the style of time is for tables");
    }
    let mut output = Output::new(&subject, wishes)?;
    let paths = inputs::expand(&args.read)?;
    let signals = Signals::listen()?;
    let piped = paths.iter().any(|path| inputs::is_standard_input(path));
    let settings = Settings::new(args, paths, &signals);
    // Somebody may look at rows while they come: then they are not kept in blocks.
    let waiting = piped || output::is_watched();
    let rows_in_the_way = output.streams() && output::is_watched();
    let mut progress = Progress::new(!args.quiet && !rows_in_the_way);

    let outcome = engine::drive(&settings, |step| {
        if !step.finished.is_empty() {
            output.take(step.finished)?;
            output.settle(waiting)?;
        }
        progress.tick(|| step.position);
        if signals.wants_totals() {
            progress.clear();
            complain(&format!("{} packets, {} connections open", step.packets, step.open));
        }
        Ok(signals.stop().is_none())
    });
    progress.clear();
    let outcome = outcome?;

    let ledger = &outcome.ledger;
    let stop = signals.stop().filter(|_| outcome.stopped);
    let mut fault = outcome.fault.clone();
    if fault.is_none() && outcome.stopped {
        fault = Some(match stop {
            Some(_) => "interrupted by the user".into(),
            None => format!("stopped after {} packets, as asked", ledger.delivered()),
        });
    }
    if let (Some(signal), 0) = (stop, ledger.seen()) {
        return Ok(Exit::signalled(signal));
    }
    let ending = Ending {
        from: outcome.from,
        through: outcome.through,
        complete: true,
        rows: 0,
        ledger,
        fault: fault.as_deref(),
    };
    let rows = output.finish(&ending)?;

    if let Some(fault) = &outcome.fault {
        complain(fault);
    }
    if args.verbose > 0 {
        complain(&format!("{} packets, {} delivered, {rows} rows", ledger.seen(), ledger.delivered()));
    }
    Ok(if outcome.fault.is_some() || ledger.incomplete || stop.is_some() {
        Exit::PARTIAL
    } else if args.max_loss.is_some_and(|allowed| allowed.is_exceeded(ledger)) {
        complain(&format!(
            "{} of {} packets were lost, more than --max-loss allows",
            ledger.lost_total(),
            ledger.seen()
        ));
        Exit::LOSS
    } else if rows == 0 && args.fail_empty {
        Exit::EMPTY
    } else {
        Exit::DONE
    })
}

/// What can be printed of a connection.
fn subject() -> Subject<Connection> {
    Subject {
        table: "conns",
        fields: engine::fields(),
        quality: |connection| connection.quality(),
        weight: |connection| connection.bytes(),
        order: "start_ns",
    }
}

/// Stands in for the engine: reads text lines `fake N` as N connections, so that everything around can be tried.
mod engine {
    use super::*;
    use flowcore::report::{Column, Meaning, Quality, Unit, Value};
    use flowcore::{Addr, Ledger, Nanos, Timestamp};
    use std::io::Read;
    use std::path::PathBuf;

    pub struct Connection {
        n: u64,
    }

    impl Connection {
        pub fn quality(&self) -> Quality {
            Quality { at_least: if self.n % 5 == 3 { vec!["truncated"] } else { vec![] } }
        }
        pub fn bytes(&self) -> u64 {
            self.n * 7919 % 100_000
        }
    }

    pub struct Settings {
        paths: Vec<PathBuf>,
        signals: Signals,
        count: Option<u64>,
    }

    impl Settings {
        pub fn new(args: &ConnsArgs, paths: Vec<PathBuf>, signals: &Signals) -> Self {
            let _ = (args.no_decap, &args.timeouts, args.max_flows);
            let _ = (&args.timeouts.tcp, &args.timeouts.tcp_attempt, &args.timeouts.tcp_close);
            let _ = (&args.timeouts.tcp_reset, &args.timeouts.udp, &args.timeouts.icmp, &args.timeouts.other);
            Self { paths, signals: signals.clone(), count: args.count.map(std::num::NonZeroU64::get) }
        }
    }

    pub struct Step<'a> {
        pub finished: &'a mut Vec<Connection>,
        pub position: (u64, Option<u64>),
        pub packets: u64,
        pub open: usize,
    }

    pub struct Outcome {
        pub ledger: Ledger,
        pub fault: Option<String>,
        pub from: Option<Timestamp>,
        pub through: Option<Timestamp>,
        /// Reading was ended by us, not by the input.
        pub stopped: bool,
    }

    pub fn drive(
        settings: &Settings,
        mut step: impl FnMut(Step<'_>) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Outcome> {
        let mut ledger = Ledger::new();
        let mut finished = Vec::new();
        let mut stopped = false;
        for path in &settings.paths {
            let name = path.display().to_string();
            let mut text = String::new();
            if inputs::is_standard_input(path) {
                let mut input = crate::signals::StoppableInput::new(settings.signals.clone());
                input.read_to_string(&mut text).map_err(|error| Error::io("standard input", error))?;
            } else {
                let bytes = std::fs::read(path).map_err(|error| Error::io(&*name, error))?;
                text = String::from_utf8_lossy(&bytes).into_owned();
            }
            let Some(count) = text.strip_prefix("fake ").and_then(|n| n.trim().parse().ok()) else {
                return Err(Error::new(ErrorKind::Unsupported, format!("{name}: not a capture file")).into());
            };
            for n in 0..count {
                if settings.count.is_some_and(|count| ledger.delivered() >= count) {
                    stopped = true;
                    break;
                }
                ledger.deliver(1);
                finished.push(Connection { n });
                let packets = ledger.delivered();
                if !step(Step { finished: &mut finished, position: (n, Some(count)), packets, open: 0 })? {
                    stopped = true;
                    break;
                }
            }
        }
        stopped |= settings.signals.stop().is_some();
        let from = Some(Timestamp::from_parts(1_795_226_383, 0));
        Ok(Outcome { ledger, fault: None, from, through: from, stopped })
    }

    pub fn fields() -> Vec<Field<Connection>> {
        let field = |name: &'static str, title: &'static str, unit, meaning, value, default, rank| Field {
            column: Column {
                name: name.into(),
                title: title.into(),
                unit,
                meaning,
                about: "Something of a connection.".into(),
                bounded: matches!(unit, Unit::Packets | Unit::Bytes),
            },
            value,
            default,
            rank,
        };
        vec![
            field(
                "start_ns",
                "start",
                Unit::EpochNanos,
                Meaning::Key,
                |c: &Connection| Value::Time(Timestamp::from_parts(1_795_226_383, c.n as i64 * 1_001_001)),
                true,
                4,
            ),
            field("flow_id", "flow", Unit::None, Meaning::Key, |c| Value::U64(c.n), false, 9),
            field("transport", "proto", Unit::None, Meaning::Key, |_| Value::Word("tcp"), true, 1),
            field(
                "src_ip",
                "source",
                Unit::None,
                Meaning::Key,
                |c| Value::Addr(Addr::v4([10, 0, (c.n >> 8) as u8, c.n as u8])),
                true,
                0,
            ),
            field("src_port", "port", Unit::None, Meaning::Key, |c| Value::U64(40_000 + c.n % 20_000), true, 1),
            field(
                "dst_ip",
                "destination",
                Unit::None,
                Meaning::Key,
                |c| match c.n % 3 {
                    0 => Value::Addr(Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])),
                    _ => Value::Addr(Addr::v4([192, 168, 1, c.n as u8])),
                },
                true,
                0,
            ),
            field("dst_port", "port", Unit::None, Meaning::Key, |_| Value::U64(443), true, 1),
            field("state", "state", Unit::None, Meaning::Gauge, |_| Value::Word("SF"), true, 2),
            field("history", "history", Unit::None, Meaning::Gauge, |_| Value::Text("ShADadFf".into()), false, 6),
            field(
                "duration_ns",
                "duration",
                Unit::Nanos,
                Meaning::Gauge,
                |c| match c.n {
                    0 => Value::Missing,
                    n => Value::Span(Nanos::new(n as i64 * 77_777_777)),
                },
                true,
                3,
            ),
            field("fwd_packets", "pkts→", Unit::Packets, Meaning::Counter, |c| Value::U64(c.n), true, 3),
            field("rev_packets", "←pkts", Unit::Packets, Meaning::Counter, |c| Value::U64(c.n), true, 3),
            field("fwd_l3_bytes", "bytes→", Unit::Bytes, Meaning::Counter, |c| Value::U64(c.bytes()), true, 2),
            field("rev_l3_bytes", "←bytes", Unit::Bytes, Meaning::Counter, |c| Value::U64(c.bytes() * 3), true, 2),
            field("vlan", "vlan", Unit::None, Meaning::Key, |_| Value::Missing, false, 8),
        ]
    }
}
