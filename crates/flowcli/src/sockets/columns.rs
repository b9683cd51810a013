//! What can be printed of a socket.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use flowcore::report::{Column, Meaning, Quality, Unit, Value};
use flowcore::socket::{CongestionInfo, Family, SocketOptions, SocketType, TcpInfoOptions, Tls, UnixSocket};
use flowcore::{Addr, Nanos, Protocol, SocketSample, SocketState, TcpInfo};
use flowsrc_netlink::process::{Details, Evidence, Owner};

use crate::args::SocketsArgs;
use crate::edge::Need;
use crate::fields::{Field, Subject};

/// One row: a socket, and what the command knows beside what the kernel says.
pub struct Socket {
    pub sample: SocketSample,
    /// Name of its network namespace, if there are several.
    pub netns: Option<Arc<str>>,
    /// Name of the interface.
    pub interface: Option<Arc<str>>,
    /// Who holds it, the oldest first; `None` if not asked, or it has no inode.
    pub processes: Option<(Evidence, Vec<Owner>)>,
    /// More of the oldest, if asked.
    pub details: Option<Arc<Details>>,
    /// Packets and data bytes sent and received since the poll before; `None` if it was asked only once.
    pub since: Option<Since>,
    /// It was destroyed; this is the last of it.
    pub ended: bool,
    /// Whether it was closed by us.
    pub killed: Option<bool>,
    /// In the order in which they came.
    pub serial: u64,
}

/// Increments.
#[derive(Copy, Clone, Default)]
pub struct Since {
    pub sent_packets: u64,
    pub sent_bytes: u64,
    pub received_packets: u64,
    pub received_bytes: u64,
}

/// Which columns go together.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Group {
    /// In tables, always.
    Always,
    /// With several namespaces.
    Netns,
    /// With --every.
    Every,
    /// With --kill.
    Kill,
    Extended,
    Info,
    Memory,
    Timers,
    Processes,
    /// Only if named.
    Named,
}

/// A column: name, title, meaning.
type Words = [&'static str; 3];

fn field(
    group: Group,
    words: Words,
    unit: Unit,
    meaning: Meaning,
    value: fn(&Socket) -> Value,
) -> (Group, Field<Socket>) {
    let [name, title, about] = words.map(Cow::Borrowed);
    let column = Column { name, title, unit, meaning, about, bound: Default::default() };
    (group, Field::own(column, value))
}

fn key(group: Group, words: Words, value: fn(&Socket) -> Value) -> (Group, Field<Socket>) {
    field(group, words, Unit::None, Meaning::Key, value)
}

fn gauge(group: Group, words: Words, unit: Unit, value: fn(&Socket) -> Value) -> (Group, Field<Socket>) {
    field(group, words, unit, Meaning::Gauge, value)
}

fn counter(group: Group, words: Words, unit: Unit, value: fn(&Socket) -> Value) -> (Group, Field<Socket>) {
    field(group, words, unit, Meaning::Counter, value)
}

fn number(number: Option<impl Into<u64>>) -> Value {
    number.map_or(Value::Missing, |number| Value::U64(number.into()))
}

fn yes(yes: Option<bool>) -> Value {
    yes.map_or(Value::Missing, Value::Bool)
}

fn word(word: Option<&'static str>) -> Value {
    word.map_or(Value::Missing, Value::Word)
}

fn text(text: Option<String>) -> Value {
    text.map_or(Value::Missing, |text| Value::Text(text.into()))
}

fn micros(micros: Option<impl Into<u64>>) -> Value {
    let span = |micros: u64| Value::Span(Nanos::new(i64::try_from(micros.saturating_mul(1000)).unwrap_or(i64::MAX)));
    micros.map_or(Value::Missing, |micros| span(micros.into()))
}

fn millis(millis: Option<u32>) -> Value {
    micros(millis.map(|millis| u64::from(millis) * 1000))
}

/// An address of a socket that has any; that of nobody is shown.
fn addr(sample: &SocketSample, addr: Addr) -> Value {
    if matches!(sample.family, Family::INET | Family::INET6) { Value::Addr(addr) } else { Value::Missing }
}

fn port(sample: &SocketSample, port: u16) -> Value {
    if sample.key().protocol.has_ports() { Value::U64(port.into()) } else { Value::Missing }
}

/// The state's name. What sends without a connection is not closed but, as `ss` has it, unconnected.
pub fn state(sample: &SocketSample) -> &'static str {
    let is_datagram = match sample.socket_type {
        Some(kind) => kind != SocketType::STREAM && kind != SocketType::SEQPACKET,
        None => matches!(sample.key().protocol, Protocol::UDP | Protocol::UDP_LITE),
    };
    if sample.state == SocketState::CLOSE && is_datagram { "unconn" } else { sample.state.name() }
}

fn holders(socket: &Socket) -> &[Owner] {
    socket.processes.as_ref().map_or(&[], |(_, owners)| owners)
}

fn wants(args: &SocketsArgs, named: impl Fn(&str) -> bool) -> bool {
    let columns = args.columns.as_deref().unwrap_or_default().split(',');
    let columns = columns.map(|name| name.trim().trim_start_matches('+'));
    let keys = args.sort.iter().map(|key| key.column.as_str());
    columns.chain(keys).any(|name| name == "all" || named(name))
}

/// Whether a column is asked for that needs to know who holds a socket.
pub fn wants_processes(args: &SocketsArgs) -> bool {
    args.processes || wants(args, |name| matches!(name, "pid" | "shared_with") || name.starts_with("process"))
}

/// Whether a column is asked for that needs to know more of a process.
pub fn wants_details(args: &SocketsArgs) -> bool {
    wants(args, |name| matches!(name, "process_command" | "process_exe" | "process_threads"))
}

fn tcp<T>(socket: &Socket, field: fn(&TcpInfo) -> Option<T>) -> Option<T> {
    // Of a listener the kernel fills only what the columns about its backlog have.
    socket.sample.tcp.as_ref().filter(|_| socket.sample.state != SocketState::LISTEN).and_then(field)
}

/// A path, or an abstract name with `@` in front, zero bytes within it as `@` too: as `ss` has it.
fn unix_name(unix: &UnixSocket) -> Option<String> {
    let name = unix.name?;
    match name.as_bytes().split_first() {
        Some((0, _)) => Some(name.to_text().replace('\0', "@")),
        Some(_) => Some(name.to_text().into_owned()),
        None => None,
    }
}

fn names(bits: impl Iterator<Item = &'static str>) -> String {
    bits.map(str::to_ascii_lowercase).collect::<Vec<_>>().join(" ")
}

fn congestion(info: &CongestionInfo) -> String {
    match *info {
        CongestionInfo::Vegas { enabled, rtt_count, rtt_us, min_rtt_us } => {
            format!("vegas enabled={} rtt_count={rtt_count} rtt_us={rtt_us} min_rtt_us={min_rtt_us}", u8::from(enabled))
        }
        CongestionInfo::Dctcp { enabled, ce_state, alpha, ecn_bytes, total_bytes } => format!(
            "dctcp enabled={} ce_state={ce_state} alpha={alpha} ecn_bytes={ecn_bytes} total_bytes={total_bytes}",
            u8::from(enabled)
        ),
        CongestionInfo::Bbr { bandwidth, min_rtt_us, pacing_gain, cwnd_gain } => format!(
            "bbr bandwidth={bandwidth} min_rtt_us={min_rtt_us} pacing_gain={} cwnd_gain={}",
            f64::from(pacing_gain) / 256.0,
            f64::from(cwnd_gain) / 256.0
        ),
        _ => String::new(),
    }
}

fn ulp(ulp: &flowcore::socket::Ulp) -> String {
    let mut text = ulp.name.map_or(String::new(), |name| name.to_text().into_owned());
    if let Some(Tls { version, cipher, send, receive, zerocopy_send, receive_no_pad }) = ulp.tls {
        let mut say = |name: &str, value: Option<u16>| {
            if let Some(value) = value {
                let _ = write!(text, " {name}={value}");
            }
        };
        say("version", version.map(|version| version.wrapping_sub(0x0301) + 10));
        say("cipher", cipher);
        say("tx", send);
        say("rx", receive);
        text.push_str(if zerocopy_send { " zerocopy" } else { "" });
        text.push_str(if receive_no_pad { " no_pad" } else { "" });
    }
    if let Some(subflow) = ulp.subflow {
        for (name, value) in [("token_local", subflow.token_local), ("token_remote", subflow.token_remote)] {
            if let Some(value) = value {
                let _ = write!(text, " {name}={value:x}");
            }
        }
        for (name, value) in [("id_local", subflow.id_local), ("id_remote", subflow.id_remote)] {
            if let Some(value) = value {
                let _ = write!(text, " {name}={value}");
            }
        }
    }
    text.trim_start().to_owned()
}

/// Columns for what every socket has.
fn common() -> Vec<(Group, Field<Socket>)> {
    use Group::{Always, Every, Extended, Kill, Named, Netns, Processes, Timers};
    vec![
        gauge(Every, ["time_ns", "TIME", "When the kernel was asked."], Unit::EpochNanos, |s| {
            Value::Time(s.sample.time)
        }),
        key(Netns, ["netns", "NETNS", "Network namespace."], |s| s.netns.clone().map_or(Value::Missing, Value::Text)),
        key(Always, ["kind", "KIND", "Protocol; of local and packet sockets family and type."], |s| {
            word(s.sample.kind())
        }),
        key(Named, ["protocol", "PROTO", "IP protocol number; of packet sockets the ethertype."], |s| {
            Value::U64(s.sample.packet.map_or(s.sample.protocol, |packet| packet.ethertype.swap_bytes()).into())
        }),
        key(Named, ["family", "FAMILY", "Address family of the socket."], |s| word(s.sample.family.name())),
        gauge(
            Always,
            ["state", "STATE", "State, by the kernel's name; unconn: close, of what needs no connection."],
            Unit::None,
            |s| if s.sample.packet.is_some() { Value::Missing } else { Value::Word(state(&s.sample)) },
        ),
        gauge(Always, ["recv_q", "RECV-Q", "Received and not read; of a listener see backlog."], Unit::Bytes, |s| {
            number(s.sample.receive_queue.filter(|_| s.sample.state != SocketState::LISTEN))
        }),
        gauge(Always, ["send_q", "SEND-Q", "Not acknowledged, or not sent."], Unit::Bytes, |s| {
            number(s.sample.send_queue.filter(|_| s.sample.state != SocketState::LISTEN))
        }),
        gauge(
            Always,
            ["backlog", "BACKLOG", "Of a listener: connections that wait to be accepted."],
            Unit::None,
            |s| number(s.sample.backlog().map(|(now, _)| now)),
        ),
        gauge(Named, ["backlog_max", "MAX-BACKLOG", "Of a listener: the most that may wait."], Unit::None, |s| {
            number(s.sample.backlog().map(|(_, most)| most))
        }),
        key(Always, ["local_ip", "LOCAL", "This end's address; nobody's: any of this host's."], |s| {
            addr(&s.sample, s.sample.local)
        }),
        key(Always, ["local_port", "LPORT", "This end's port."], |s| port(&s.sample, s.sample.local_port)),
        key(Always, ["remote_ip", "REMOTE", "The other end's address."], |s| addr(&s.sample, s.sample.remote)),
        key(Always, ["remote_port", "RPORT", "The other end's port."], |s| port(&s.sample, s.sample.remote_port)),
        key(
            Always,
            ["interface", "IF", "The interface that it is bound to, or that its link-local address is of."],
            |s| s.interface.clone().map_or(Value::Missing, Value::Text),
        ),
        key(Always, ["path", "PATH", "Of local sockets: path, or abstract name behind @."], |s| {
            text(s.sample.unix.as_ref().and_then(unix_name))
        }),
        key(Named, ["peer_inode", "PEER", "Of local sockets: inode of the other end."], |s| {
            number(s.sample.unix.and_then(|unix| unix.peer))
        }),
        gauge(Processes, ["pid", "PID", "Process that holds it; the oldest of several."], Unit::None, |s| {
            number(holders(s).first().map(|owner| owner.pid))
        }),
        gauge(Processes, ["process", "PROCESS", "Name of that process."], Unit::None, |s| {
            holders(s).first().map_or(Value::Missing, |owner| Value::Text(owner.name.clone()))
        }),
        gauge(Processes, ["shared_with", "SHARED-WITH", "Other processes that hold it: pid/name."], Unit::None, |s| {
            let others = holders(s).iter().skip(1).map(|owner| format!("{}/{}", owner.pid, owner.name));
            text(Some(others.collect::<Vec<_>>().join(" ")).filter(|others| !others.is_empty()))
        }),
        gauge(
            Named,
            ["process_evidence", "EVIDENCE", "Who holds it: exact, shared, gone, not permitted."],
            Unit::None,
            |s| word(s.processes.as_ref().map(|(evidence, _)| evidence.name())),
        ),
        gauge(Named, ["process_uid", "PROCESS-UID", "Effective user id of that process."], Unit::None, |s| {
            number(holders(s).first().and_then(|owner| owner.uid))
        }),
        gauge(Named, ["process_cgroup", "PROCESS-CGROUP", "Control group of that process."], Unit::None, |s| {
            let cgroup = holders(s).first().and_then(|owner| owner.cgroup.clone());
            cgroup.map_or(Value::Missing, Value::Text)
        }),
        gauge(
            Named,
            ["process_container", "CONTAINER", "Container of that process, by its control group."],
            Unit::None,
            |s| text(holders(s).first().and_then(|owner| owner.container().map(str::to_owned))),
        ),
        gauge(Named, ["process_command", "COMMAND", "Command line of that process."], Unit::None, |s| {
            let line = s.details.as_ref().and_then(|details| details.command_line.clone());
            line.map_or(Value::Missing, Value::Text)
        }),
        gauge(Named, ["process_exe", "EXE", "File that it runs."], Unit::None, |s| {
            let file = s.details.as_ref().and_then(|details| details.executable.clone());
            file.map_or(Value::Missing, Value::Text)
        }),
        gauge(Named, ["process_threads", "THREADS", "How many threads it has."], Unit::None, |s| {
            number(s.details.as_ref().and_then(|details| details.threads))
        }),
        gauge(Extended, ["uid", "UID", "User id of the owner."], Unit::None, |s| number(s.sample.uid)),
        gauge(Extended, ["inode", "INODE", "Inode, by which processes hold it."], Unit::None, |s| {
            number(s.sample.inode)
        }),
        key(Extended, ["cookie", "COOKIE", "The kernel's number of it, never given again."], |s| {
            number(s.sample.cookie)
        }),
        gauge(Extended, ["cgroup_id", "CGROUP", "Id of its control group."], Unit::None, |s| {
            number(s.sample.cgroup_id)
        }),
        gauge(Extended, ["mark", "MARK", "SO_MARK."], Unit::None, |s| number(s.sample.mark)),
        gauge(Named, ["class_id", "CLASS", "Traffic class or priority."], Unit::None, |s| number(s.sample.class_id)),
        gauge(Named, ["tos", "TOS", "IPv4 type of service."], Unit::None, |s| number(s.sample.tos)),
        gauge(Named, ["tclass", "TCLASS", "IPv6 traffic class."], Unit::None, |s| number(s.sample.tclass)),
        gauge(Extended, ["v6only", "V6ONLY", "Takes IPv6 only."], Unit::None, |s| yes(s.sample.v6only)),
        gauge(Extended, ["shutdown", "SHUTDOWN", "Directions that were shut down: receive, send."], Unit::None, |s| {
            let bits = s.sample.shutdown.filter(|bits| !bits.is_empty());
            text(bits.map(|bits| names(bits.iter_names().map(|(name, _)| name))))
        }),
        gauge(Named, ["options", "OPTIONS", "Socket options that are set."], Unit::None, |s| {
            let bits = s.sample.options.filter(|bits| !bits.is_empty());
            text(bits.map(|bits| names(SocketOptions::iter_names(&bits).map(|(name, _)| name))))
        }),
        gauge(Named, ["md5_keys", "MD5", "TCP-MD5 keys."], Unit::None, |s| number(s.sample.md5_keys)),
        gauge(Timers, ["timer", "TIMER", "The timer that runs."], Unit::None, |s| {
            word(s.sample.timer.map(|timer| timer.kind.name()))
        }),
        gauge(Timers, ["timer_ns", "EXPIRES", "Until it expires."], Unit::Nanos, |s| {
            millis(s.sample.timer.map(|timer| timer.expires_ms))
        }),
        gauge(Timers, ["timer_retrans", "TRIES", "Retransmissions or probes without an answer."], Unit::None, |s| {
            number(s.sample.timer.map(|timer| timer.retransmits))
        }),
        counter(Every, ["sent_packets", "PKTS>", "Sent since the poll before."], Unit::Packets, |s| {
            number(s.since.map(|since| since.sent_packets))
        }),
        counter(Every, ["received_packets", "PKTS<", "Received since the poll before."], Unit::Packets, |s| {
            number(s.since.map(|since| since.received_packets))
        }),
        counter(Every, ["sent_data_bytes", "DATA>", "Data sent since the poll before."], Unit::Bytes, |s| {
            number(s.since.map(|since| since.sent_bytes))
        }),
        counter(Every, ["received_data_bytes", "DATA<", "Data received since the poll before."], Unit::Bytes, |s| {
            number(s.since.map(|since| since.received_bytes))
        }),
        gauge(Every, ["ended", "ENDED", "It was closed; this is the last of it."], Unit::None, |s| {
            yes(s.since.map(|_| s.ended))
        }),
        gauge(Kill, ["killed", "KILLED", "Whether it was closed."], Unit::None, |s| yes(s.killed)),
    ]
}

/// Columns from TCP's own account.
fn tcp_columns() -> Vec<(Group, Field<Socket>)> {
    use Group::{Info, Named};
    vec![
        gauge(Info, ["rtt_ns", "RTT", "Smoothed round-trip time."], Unit::Nanos, |s| micros(tcp(s, TcpInfo::rtt_us))),
        gauge(Info, ["rttvar_ns", "RTTVAR", "Its mean deviation."], Unit::Nanos, |s| {
            micros(tcp(s, TcpInfo::rttvar_us))
        }),
        gauge(Info, ["min_rtt_ns", "MIN-RTT", "Smallest round-trip time in five minutes."], Unit::Nanos, |s| {
            micros(tcp(s, TcpInfo::min_rtt_us))
        }),
        gauge(Named, ["rcv_rtt_ns", "RCV-RTT", "Round-trip time as the receiver sees it."], Unit::Nanos, |s| {
            micros(tcp(s, TcpInfo::rcv_rtt_us))
        }),
        gauge(Info, ["rto_ns", "RTO", "Retransmission timeout."], Unit::Nanos, |s| micros(tcp(s, TcpInfo::rto_us))),
        gauge(Named, ["ato_ns", "ATO", "Delayed-ACK timeout."], Unit::Nanos, |s| micros(tcp(s, TcpInfo::ato_us))),
        gauge(Info, ["congestion", "CC", "Congestion control."], Unit::None, |s| {
            text(s.sample.congestion.filter(|name| !name.as_bytes().is_empty()).map(|name| name.to_text().into_owned()))
        }),
        gauge(Named, ["congestion_info", "CC-INFO", "What the congestion control says of itself."], Unit::None, |s| {
            text(s.sample.congestion_info.as_ref().map(congestion))
        }),
        gauge(Named, ["recovery", "RECOVERY", "open, disorder, cwr, recovery or loss."], Unit::None, |s| {
            word(tcp(s, TcpInfo::recovery))
        }),
        gauge(Named, ["tcp_options", "TCP-OPTIONS", "What both ends agreed on."], Unit::None, |s| {
            let bits = tcp(s, TcpInfo::options).filter(|bits| !bits.is_empty());
            text(bits.map(|bits| names(TcpInfoOptions::iter_names(&bits).map(|(name, _)| name))))
        }),
        gauge(Named, ["snd_wscale", "SND-WSCALE", "Window scale of the other end."], Unit::None, |s| {
            number(tcp(s, TcpInfo::snd_wscale))
        }),
        gauge(Named, ["rcv_wscale", "RCV-WSCALE", "Window scale of this end."], Unit::None, |s| {
            number(tcp(s, TcpInfo::rcv_wscale))
        }),
        gauge(Info, ["mss", "MSS", "Data of a segment sent, at most."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::snd_mss))
        }),
        gauge(Named, ["pmtu", "PMTU", "Path MTU."], Unit::Bytes, |s| number(tcp(s, TcpInfo::pmtu))),
        gauge(Named, ["rcv_mss", "RCV-MSS", "Data of a segment received, about."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::rcv_mss))
        }),
        gauge(Named, ["advmss", "ADVMSS", "MSS advertised."], Unit::Bytes, |s| number(tcp(s, TcpInfo::advmss))),
        gauge(Info, ["cwnd", "CWND", "Congestion window, segments."], Unit::None, |s| {
            number(tcp(s, TcpInfo::snd_cwnd))
        }),
        gauge(
            Named,
            ["ssthresh", "SSTHRESH", "Slow-start threshold, segments; missing while there is none."],
            Unit::None,
            |s| number(tcp(s, TcpInfo::snd_ssthresh).filter(|&segments| segments != 0x7fff_ffff)),
        ),
        gauge(Info, ["unacked", "UNACKED", "Segments on their way."], Unit::None, |s| number(tcp(s, TcpInfo::unacked))),
        counter(Info, ["bytes_sent", "BYTES>", "Data sent, repetitions included."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::bytes_sent))
        }),
        counter(Info, ["bytes_acked", "ACKED", "Data acknowledged."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::bytes_acked))
        }),
        counter(Info, ["bytes_received", "BYTES<", "Data received."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::bytes_received))
        }),
        counter(Info, ["bytes_retrans", "BYTES-RETRANS", "Data sent again."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::bytes_retrans))
        }),
        counter(Info, ["segs_out", "SEGS>", "Segments sent."], Unit::Packets, |s| number(tcp(s, TcpInfo::segs_out))),
        counter(Info, ["segs_in", "SEGS<", "Segments received."], Unit::Packets, |s| number(tcp(s, TcpInfo::segs_in))),
        counter(Named, ["data_segs_out", "DATA-SEGS>", "Segments with data sent."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::data_segs_out))
        }),
        counter(Named, ["data_segs_in", "DATA-SEGS<", "Segments with data received."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::data_segs_in))
        }),
        gauge(Info, ["retrans", "RETRANS", "Segments sent again and not acknowledged yet."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::retrans))
        }),
        counter(Info, ["total_retrans", "ALL-RETRANS", "Segments sent again."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::total_retrans))
        }),
        gauge(Info, ["lost", "LOST", "Segments thought lost."], Unit::Packets, |s| number(tcp(s, TcpInfo::lost))),
        gauge(Named, ["sacked", "SACKED", "Segments that SACK reports."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::sacked))
        }),
        gauge(Named, ["retransmits", "TIMEOUTS", "Timeouts in a row."], Unit::None, |s| {
            number(tcp(s, TcpInfo::retransmits))
        }),
        gauge(Named, ["probes", "PROBES", "Window probes without an answer."], Unit::None, |s| {
            number(tcp(s, TcpInfo::probes))
        }),
        gauge(Named, ["backoff", "BACKOFF", "How often the timeout has been doubled."], Unit::None, |s| {
            number(tcp(s, TcpInfo::backoff))
        }),
        gauge(
            Named,
            ["reordering", "REORDERING", "Segments out of order before one counts as lost."],
            Unit::None,
            |s| number(tcp(s, TcpInfo::reordering)),
        ),
        counter(Named, ["reord_seen", "REORDERED", "Times that reordering was seen."], Unit::None, |s| {
            number(tcp(s, TcpInfo::reord_seen))
        }),
        counter(Named, ["dsack_dups", "DSACK", "Duplicates that the other end reported."], Unit::None, |s| {
            number(tcp(s, TcpInfo::dsack_dups))
        }),
        counter(Named, ["rcv_ooopack", "OUT-OF-ORDER", "Segments received out of order."], Unit::None, |s| {
            number(tcp(s, TcpInfo::rcv_ooopack))
        }),
        counter(Named, ["delivered", "DELIVERED", "Segments delivered."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::delivered))
        }),
        counter(
            Named,
            ["delivered_ce", "DELIVERED-CE", "Of those, with congestion experienced."],
            Unit::Packets,
            |s| number(tcp(s, TcpInfo::delivered_ce)),
        ),
        gauge(Info, ["pacing_rate", "PACING", "Rate at which it sends, bytes per second."], Unit::PerSecond, |s| {
            number(tcp(s, TcpInfo::pacing_rate))
        }),
        gauge(Named, ["max_pacing_rate", "MAX-PACING", "The application's limit for it."], Unit::PerSecond, |s| {
            number(tcp(s, TcpInfo::max_pacing_rate))
        }),
        gauge(
            Info,
            ["delivery_rate", "DELIVERY", "Rate at which data was last delivered, bytes per second."],
            Unit::PerSecond,
            |s| number(tcp(s, TcpInfo::delivery_rate)),
        ),
        gauge(Named, ["app_limited", "APP-LIMITED", "The application limited that rate."], Unit::None, |s| {
            yes(tcp(s, TcpInfo::delivery_rate_app_limited))
        }),
        counter(Info, ["busy_ns", "BUSY", "Time with data to send."], Unit::Nanos, |s| {
            micros(tcp(s, TcpInfo::busy_time_us))
        }),
        counter(
            Info,
            ["rwnd_limited_ns", "RWND-LIMITED", "Of that, held up by the other end's window."],
            Unit::Nanos,
            |s| micros(tcp(s, TcpInfo::rwnd_limited_us)),
        ),
        counter(
            Info,
            ["sndbuf_limited_ns", "SNDBUF-LIMITED", "Of that, held up by the send buffer."],
            Unit::Nanos,
            |s| micros(tcp(s, TcpInfo::sndbuf_limited_us)),
        ),
        gauge(Named, ["notsent_bytes", "NOT-SENT", "In the send queue and not sent once."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::notsent_bytes))
        }),
        gauge(Named, ["rcv_space", "RCV-SPACE", "Space for the receive queue."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::rcv_space))
        }),
        gauge(
            Named,
            ["rcv_ssthresh", "RCV-SSTHRESH", "Slow-start threshold of the receive window."],
            Unit::Bytes,
            |s| number(tcp(s, TcpInfo::rcv_ssthresh)),
        ),
        gauge(Named, ["snd_wnd", "SND-WND", "The other end's receive window."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::snd_wnd))
        }),
        gauge(Named, ["rcv_wnd", "RCV-WND", "This end's receive window."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::rcv_wnd))
        }),
        gauge(Named, ["last_sent_ns", "LAST-SENT", "Since data was sent."], Unit::Nanos, |s| {
            millis(tcp(s, TcpInfo::last_data_sent_ms))
        }),
        gauge(Named, ["last_received_ns", "LAST-RCV", "Since data was received."], Unit::Nanos, |s| {
            millis(tcp(s, TcpInfo::last_data_recv_ms))
        }),
        gauge(Named, ["last_ack_ns", "LAST-ACK", "Since an ACK was received."], Unit::Nanos, |s| {
            millis(tcp(s, TcpInfo::last_ack_recv_ms))
        }),
        counter(Named, ["rehash", "REHASH", "Times that a new path was tried."], Unit::None, |s| {
            number(tcp(s, TcpInfo::rehash))
        }),
        counter(Named, ["total_rto", "RTOS", "Retransmission timeouts."], Unit::None, |s| {
            number(tcp(s, TcpInfo::total_rto))
        }),
        counter(Named, ["total_rto_recoveries", "RTO-RECOVERIES", "Recoveries from timeouts."], Unit::None, |s| {
            number(tcp(s, TcpInfo::total_rto_recoveries))
        }),
        counter(Named, ["total_rto_time_ns", "RTO-TIME", "Time in such recoveries."], Unit::Nanos, |s| {
            millis(tcp(s, TcpInfo::total_rto_time_ms))
        }),
        gauge(
            Named,
            ["fastopen_fail", "FASTOPEN-FAIL", "Why TCP Fast Open did not work; 0 = it did, or was not asked for."],
            Unit::None,
            |s| number(tcp(s, TcpInfo::fastopen_client_fail)),
        ),
        counter(
            Named,
            ["received_ce", "RECEIVED-CE", "Segments received with congestion experienced."],
            Unit::Packets,
            |s| number(tcp(s, TcpInfo::received_ce)),
        ),
        gauge(Named, ["ulp", "ULP", "Protocol within TCP (tls, mptcp) and what it says of itself."], Unit::None, |s| {
            text(s.sample.ulp.as_ref().map(ulp))
        }),
        gauge(Named, ["subflows", "SUBFLOWS", "Of MPTCP: subflows beside the first."], Unit::None, |s| {
            number(s.sample.mptcp.and_then(|mptcp| mptcp.subflows))
        }),
        gauge(Named, ["token", "TOKEN", "Of MPTCP: the connection's token."], Unit::None, |s| {
            number(s.sample.mptcp.and_then(|mptcp| mptcp.token))
        }),
    ]
}

/// Columns about memory, and what packet sockets have.
fn memory_columns() -> Vec<(Group, Field<Socket>)> {
    use Group::{Memory, Named};
    macro_rules! memory {
        ($($words:expr, $value:ident;)*) => {
            vec![$(gauge(Memory, $words, Unit::Bytes, |s| number(s.sample.memory.and_then(|memory| memory.$value())))),*]
        };
    }
    let mut columns = memory![
        ["rmem_bytes", "RMEM", "Held for received data."], receive_allocated;
        ["rcvbuf_bytes", "RCVBUF", "Limit of the receive buffer."], receive_buffer;
        ["wmem_bytes", "WMEM", "Held for data on its way out."], send_allocated;
        ["sndbuf_bytes", "SNDBUF", "Limit of the send buffer."], send_buffer;
        ["fwd_bytes", "FWD", "Reserved and free."], forward_allocated;
        ["wqueue_bytes", "WQUEUE", "In the send queue, with overhead."], send_queued;
        ["optmem_bytes", "OPTMEM", "Held for options and filters."], options;
        ["backlog_bytes", "BACKLOG-MEM", "Received while the socket was in use by a call."], backlog;
    ];
    columns.push(counter(Memory, ["drops", "DROPS", "Packets dropped for want of room."], Unit::Packets, |s| {
        number(s.sample.memory.and_then(|memory| memory.drops()))
    }));
    columns.push(gauge(
        Named,
        ["ring_version", "TPACKET", "Of packet sockets: version of the ring, 1 to 3."],
        Unit::None,
        |s| number(s.sample.packet.and_then(|packet| packet.version).map(|version| version + 1)),
    ));
    columns.push(gauge(Named, ["fanout", "FANOUT", "Of packet sockets: fanout group."], Unit::None, |s| {
        number(s.sample.packet.and_then(|packet| packet.fanout))
    }));
    columns
}

/// What can be printed of a socket, and of that what is unless the user chooses.
pub fn subject(args: &SocketsArgs, several_namespaces: bool) -> Subject<Socket> {
    let mut fields = Vec::new();
    for (group, mut field) in common().into_iter().chain(tcp_columns()).chain(memory_columns()) {
        field.default = match group {
            Group::Always => true,
            Group::Netns => several_namespaces,
            Group::Every => args.every.is_some(),
            Group::Kill => args.yes,
            Group::Extended => args.extended,
            Group::Info => args.info,
            Group::Memory => args.memory,
            Group::Timers => args.timers,
            Group::Processes => args.processes,
            Group::Named => false,
        };
        // Machine formats have what ss shows with -i, and the rest if it is asked for.
        field.costly = !field.default && !matches!(group, Group::Info | Group::Extended | Group::Timers);
        // What was asked for goes last when the terminal is too narrow.
        field.rank = match (&*field.column.name, group) {
            ("kind" | "state" | "local_ip" | "local_port" | "remote_ip" | "remote_port", _) => 0,
            ("netns" | "pid" | "process" | "killed", _) => 1,
            ("time_ns", _) => 3,
            ("rtt_ns" | "cwnd" | "bytes_acked" | "bytes_received" | "total_retrans", _) | (_, Group::Every) => 2,
            ("recv_q" | "send_q" | "path" | "backlog", _) => 3,
            ("interface", _) => 6,
            _ => 4,
        };
        fields.push(field);
    }
    fields.push(Field::at_the_edge(
        ["local_name", "LOCAL-NAME", "Name of this end's address."],
        Need::Names,
        |s, edge| edge.name(s.sample.local),
    ));
    fields.push(Field::at_the_edge(
        ["remote_name", "REMOTE-NAME", "Name of the other end's address."],
        Need::Names,
        |s, edge| edge.name(s.sample.remote),
    ));
    Subject {
        table: "sockets",
        has_levels: false,
        fields,
        quality: |_| Quality::default(),
        weight: |s| {
            let queues = [s.sample.receive_queue, s.sample.send_queue];
            queues.iter().flatten().map(|&bytes| u64::from(bytes)).sum()
        },
        serial: |s| s.serial,
        order: if args.every.is_some() { "time_ns" } else { "kind" },
        ask: |s, edge| {
            let is_one = |addr: Addr| addr != Addr::UNSPECIFIED && addr != Addr::v4([0; 4]);
            [s.sample.local, s.sample.remote].into_iter().filter(|&addr| is_one(addr)).all(|addr| edge.knows(addr))
        },
        verdict: |_, _| None,
    }
}
