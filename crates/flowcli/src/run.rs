//! What every command that reads packets does: opening what the user named, and saying how it went.

use std::io::{self, IsTerminal};
use std::num::NonZeroU64;
use std::path::PathBuf;

use flowcore::flows::Limits;
use flowcore::wire::{DecodeOptions, LinkType};
use flowcore::{Flows, Ledger, Result, Snapshot, SourceInfo};
use flowsrc_pcap::Files;

use crate::args::{EndingArgs, Format, InputArgs, Timeouts};
use crate::exit::{Exit, complain};
use crate::signals::{Signals, StoppableInput};
use crate::{inputs, output};

/// One thing to read.
pub struct Input {
    path: PathBuf,
    /// Set if it may have nothing to give for long.
    pipe: Option<StoppableInput>,
}

impl Input {
    /// Whether packets may come slowly.
    pub fn may_wait(&self) -> bool {
        self.pipe.is_some()
    }
}

/// What the user named.
///
/// # Errors
/// If that is nothing, a pattern without files, or what standard output goes to.
pub fn inputs(read: &[PathBuf], signals: &Signals) -> Result<Vec<Input>> {
    let (paths, again) = inputs::expand(read)?;
    for path in again {
        complain(&format!("note: {} is named more than once, and read once", inputs::name(&path)));
    }
    inputs::refuse_output(&paths)?;
    let inputs: Vec<Input> =
        paths.into_iter().map(|path| Input { pipe: StoppableInput::at(&path, signals), path }).collect();
    if let [Input { pipe: Some(pipe), .. }] = inputs.as_slice() {
        pipe.is_alone();
    }
    Ok(inputs)
}

/// How frames are decoded.
pub fn decoding(no_decap: bool, headers: bool) -> DecodeOptions {
    DecodeOptions { decapsulate: !no_decap, headers }
}

/// Asks for as many open files as the system grants without more rights: of several inputs, those that overlap in time
/// are open together. Where it does not, what cannot be opened is said by name.
fn allow_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}

/// Opens it; `count` packets at most are read.
///
/// # Errors
/// If something cannot be read as a capture.
pub fn open(inputs: Vec<Input>, options: DecodeOptions, count: Option<NonZeroU64>) -> Result<Files> {
    if inputs.len() > 1 {
        allow_open_files();
    }
    let mut builder = Files::builder().decode(options);
    for Input { path, pipe } in inputs {
        builder = match pipe {
            Some(pipe) => builder.stream(Box::new(pipe), inputs::name(&path)),
            None => builder.path(path),
        };
    }
    if let Some(count) = count {
        builder = builder.packet_limit(count.get());
    }
    builder.open()
}

/// How long flows live and how many there may be.
pub fn limits(args: &InputArgs) -> Limits {
    let mut limits = Limits::default();
    if let Some(flows) = args.max_flows {
        limits.flows = usize::try_from(flows.get()).unwrap_or(usize::MAX);
    }
    let Timeouts { tcp, tcp_attempt, tcp_close, tcp_reset, udp, icmp, other } = args.timeouts;
    for (limit, asked) in [
        (&mut limits.tcp, tcp),
        (&mut limits.tcp_attempt, tcp_attempt),
        (&mut limits.tcp_close, tcp_close),
        (&mut limits.tcp_reset, tcp_reset),
        (&mut limits.udp, udp),
        (&mut limits.icmp, icmp),
        (&mut limits.other, other),
    ] {
        *limit = asked.unwrap_or(*limit);
    }
    limits
}

/// Ended by a signal before there was anything to show.
pub fn interrupted(signals: &Signals) -> Exit {
    signals.stop().map_or(Exit::DONE, Exit::signalled)
}

/// Whether `--count` ended it; there may be more behind.
pub fn is_limited(count: Option<NonZeroU64>, delivered: u64) -> bool {
    count.is_some_and(|count| delivered >= count.get())
}

/// Packets that came from the input, whatever a filter did with them: what `--count` counts.
pub fn packets_read(ledger: &Ledger) -> u64 {
    ledger.delivered().saturating_add(ledger.filtered())
}

const INTERRUPTED: &str = "interrupted by the user";

/// Why the input ended before its own end, for the trust line.
pub fn why(count: Option<NonZeroU64>, read: u64, fault: Option<&str>, stopped: bool) -> Option<&str> {
    match fault {
        _ if stopped => Some(INTERRUPTED),
        None if is_limited(count, read) => Some("stopped by --count"),
        fault => fault,
    }
}

/// How a run over the kernel's sockets ends that a signal has stopped: what was to go on until then (`endless`) is complete,
/// and its exit code is the signal's; of any other it is said why it ended before its own end.
pub fn polls_stopped(stopped: Option<i32>, endless: bool) -> (Option<&'static str>, Option<Exit>) {
    match stopped {
        Some(signal) if endless => (None, Some(Exit::signalled(signal))),
        Some(_) => (Some(INTERRUPTED), None),
        None => (None, None),
    }
}

/// Whether the trust line stands before the user's eyes, and with it why the input ended.
pub fn has_said(format: Format, no_trailer: bool) -> bool {
    (format.is_json() || !no_trailer) && output::is_watched() && io::stderr().is_terminal()
}

/// What a source has to say of itself.
pub fn introduce(args: &EndingArgs, source: &SourceInfo) {
    if args.verbose > 0 {
        complain(&format!("reading {}", source.name));
    }
    if !args.quiet {
        source.degraded.iter().for_each(|what| complain(&format!("note: {what}")));
    }
}

/// How a run ended, beside what its snapshot says.
pub struct Finish {
    /// Rows written.
    pub rows: u64,
    /// The user had enough before the input ended.
    pub stopped: bool,
    /// The user has the trust line before his eyes.
    pub said: bool,
}

/// Names the link types of which nothing was read: their packets are in no flow.
pub fn name_unread(args: &EndingArgs, source: &Files) {
    if args.quiet {
        return;
    }
    let mut unread: Vec<LinkType> = source.interfaces().iter().map(|interface| interface.link).collect();
    unread.sort_unstable();
    unread.dedup();
    unread.retain(|&link| !is_read(link));
    for link in unread {
        let name = name_of_link(link).map_or_else(String::new, |name| format!(" ({name})"));
        complain(&format!("note: packets of link type {}{name} are not read here and are in no flow", link.0));
    }
}

/// Whether packets of this link type may hold flows.
fn is_read(link: LinkType) -> bool {
    /// Netlink messages, as nlmon captures them: read to tell what they are, and none of them is IP.
    const NETLINK: LinkType = LinkType(253);
    link != NETLINK && flowcore::wire::knows(link)
}

/// What the registry of tcpdump.org calls a link type, of those that people capture and that are not read.
fn name_of_link(link: LinkType) -> Option<&'static str> {
    Some(match link.0 {
        143 => "DOCSIS",
        147..=162 => "private use",
        177 => "LINUX_LAPD",
        187 => "BLUETOOTH_HCI_H4",
        189 => "USB_LINUX",
        195 => "IEEE802_15_4_WITHFCS",
        197 => "ERF",
        201 => "BLUETOOTH_HCI_H4_WITH_PHDR",
        220 => "USB_LINUX_MMAPPED",
        224 => "FC_2",
        227 => "CAN_SOCKETCAN",
        230 => "IEEE802_15_4_NOFCS",
        235 => "DVB_CI",
        240 => "NETANALYZER",
        242 => "IPNET",
        247 => "INFINIBAND",
        248 => "SCTP",
        249 => "USBPCAP",
        250 => "RTAC_SERIAL",
        251 => "BLUETOOTH_LE_LL",
        252 => "WIRESHARK_UPPER_PDU",
        253 => "NETLINK",
        254 => "BLUETOOTH_LINUX_MONITOR",
        256 => "BLUETOOTH_LE_LL_WITH_PHDR",
        266 => "USB_DARWIN",
        270 => "LORATAP",
        271 => "VSOCK",
        272 => "NORDIC_BLE",
        283 => "IEEE802_15_4_TAP",
        288 => "USB_2_0",
        _ => return None,
    })
}

/// Says what there is to say at the end, and gives the exit code.
pub fn conclude(args: &EndingArgs, snapshot: &Snapshot, flows: &Flows, finish: &Finish) -> Exit {
    if args.verbose > 0 {
        let (seen, rows, kibibytes) = (snapshot.ledger.seen(), finish.rows, flows.memory_bytes() / 1024);
        complain(&format!("{seen} packets, {rows} rows, {kibibytes} KiB in the flow table"));
    }
    conclude_ledger(args, &snapshot.ledger, snapshot.fault.as_deref(), finish)
}

/// The same where there is no flow table.
pub fn conclude_ledger(args: &EndingArgs, ledger: &Ledger, fault: Option<&str>, finish: &Finish) -> Exit {
    let &Finish { rows, stopped, said } = finish;
    if let (Some(fault), false) = (fault, stopped || said) {
        complain(fault);
    }
    if args.max_loss.is_some() && !args.quiet && ledger.sockets.is_some() {
        complain("note: --max-loss is for packets of captures; no packets are read here, and none can be lost");
    } else if args.max_loss.is_some() && !args.quiet && !ledger.knows_losses() && ledger.lost_total() == 0 {
        complain(
            "note: whether packets were lost is not known, the source does not tell: --max-loss says nothing here",
        );
    }
    let has_lost = args.max_loss.is_some_and(|allowed| allowed.is_exceeded(ledger));
    if has_lost {
        let (lost, seen) = (ledger.lost_total(), ledger.seen());
        complain(&format!("{lost} of {seen} packets were lost, more than --max-loss allows"));
    }
    if stopped || fault.is_some() || ledger.incomplete {
        Exit::PARTIAL
    } else if has_lost {
        Exit::LOSS
    } else if rows == 0 && args.fail_empty {
        Exit::EMPTY
    } else {
        Exit::DONE
    }
}
