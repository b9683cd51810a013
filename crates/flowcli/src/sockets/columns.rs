//! What can be printed of a socket.

mod kinds;
mod tcp;

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use flowcore::report::{Column, Meaning, Quality, Unit, Value};
use flowcore::resolve::Process;
use flowcore::socket::{Family, SocketOptions, SocketType, UnixSocket};
use flowcore::{Addr, Nanos, Protocol, SocketSample, SocketState};
use flowsrc_netlink::Parts;
use flowsrc_netlink::process::{Details, Evidence, Holder, Owner};

use crate::args::SocketsArgs;
use crate::edge::{Edge, Need};
use crate::fields::{Field, Subject};

/// One row: a socket, and what the command knows beside what the kernel says.
pub struct Socket {
    pub sample: SocketSample,
    /// Name of its network namespace, if there are several.
    pub netns: Option<Arc<str>>,
    /// Name of the interface.
    pub interface: Option<Arc<str>>,
    /// Every descriptor of it, those of the oldest process first; `None` if not asked, or nobody can hold it.
    pub processes: Option<(Evidence, Vec<Holder>)>,
    /// Path of its control group, if asked.
    pub cgroup: Option<Arc<str>>,
    /// More of the oldest, if asked.
    pub details: Option<Arc<Details>>,
    /// Packets and data bytes sent and received since the poll before; `None` if there was none, or it does not count.
    pub since: Option<Since>,
    /// It is asked again and again.
    pub watched: bool,
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
    /// Of all formats for programs; in tables only if named.
    Programs,
    /// With --listening.
    Listening,
    /// With --extended, and not otherwise in formats for programs: costs to find out or to write.
    ExtendedOnly,
    /// With local sockets.
    Unix,
    /// With raw and packet sockets.
    Raw,
    /// With --bpf.
    Bpf,
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
    (group, Field::own(Column::new(words, unit, meaning), value))
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

/// What people see instead of some addresses: of an IPv6 socket an IPv4 address is mapped, and a link-local one means
/// something on one link only.
fn shown_addr(socket: &Socket, addr: Addr, edge: &Edge) -> Value {
    let Socket { sample, interface, .. } = socket;
    match (sample.family, interface) {
        _ if edge.offers(Need::Names) => Value::Missing,
        (Family::INET6, _) if addr.is_v4() => Value::Text(format!("::ffff:{addr}").into()),
        (Family::INET6, Some(link)) if matches!(addr.octets(), [0xfe, second, ..] if second & 0xc0 == 0x80) => {
            Value::Text(format!("{addr}%{link}").into())
        }
        _ => Value::Missing,
    }
}

fn port(sample: &SocketSample, port: u16) -> Value {
    if sample.key().protocol.has_ports() { Value::U64(port.into()) } else { Value::Missing }
}

/// What one of its ports is registered for.
fn service(sample: &SocketSample, port: u16, edge: &Edge) -> Value {
    edge.service(port, sample.key().protocol)
}

/// The state's name. What sends without a connection is not closed but, as `ss` has it, unconnected.
pub fn state(sample: &SocketSample) -> &'static str {
    let is_datagram = match sample.socket_type {
        Some(kind) => kind != SocketType::STREAM && kind != SocketType::SEQPACKET,
        None => matches!(sample.key().protocol, Protocol::UDP | Protocol::UDP_LITE),
    };
    if sample.state == SocketState::CLOSE && is_datagram { "unconn" } else { sample.state.name() }
}

/// A row for filters: each process that holds it once.
pub fn found_out(row: &Socket) -> flowfilter::Socket {
    let mut holders: Vec<Process> = Vec::new();
    for Holder { owner, .. } in self::holders(row) {
        if holders.last().is_none_or(|last| last.pid != owner.pid) {
            holders.push(Process { pid: owner.pid, name: owner.name.clone() });
        }
    }
    flowfilter::Socket { sample: row.sample, holders, cgroup: row.cgroup.clone(), device: row.interface.clone() }
}

fn holders(socket: &Socket) -> &[Holder] {
    socket.processes.as_ref().map_or(&[], |(_, holders)| holders)
}

/// The process that a row speaks of: the oldest.
fn owner(socket: &Socket) -> Option<&Owner> {
    holders(socket).first().map(|holder| &holder.owner)
}

/// The other processes, each once.
fn others(socket: &Socket) -> Option<String> {
    let (first, rest) = holders(socket).split_first()?;
    let mut text = String::new();
    let mut last = first.owner.pid;
    for Holder { owner, .. } in rest {
        if std::mem::replace(&mut last, owner.pid) != owner.pid {
            let gap = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{gap}{}/{}", owner.pid, quoted(&owner.name));
        }
    }
    Some(text).filter(|text| !text.is_empty())
}

/// A process chooses its name: one that could be read as more than a name is in quotes.
fn quoted(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | '"' | '\\');
    if !name.is_empty() && name.chars().all(is_plain) { Cow::Borrowed(name) } else { Cow::Owned(format!("{name:?}")) }
}

fn wants(args: &SocketsArgs, named: impl Fn(&str) -> bool) -> bool {
    let columns = args.columns.as_deref().unwrap_or_default().split(',');
    let columns = columns.map(|name| name.trim().trim_start_matches('+'));
    let keys = args.sort.iter().map(|key| key.column.as_str());
    let subject = subject(args, true);
    columns.chain(keys).any(|name| name == "all" || subject.field(name).is_ok_and(|field| named(&field.column.name)))
}

/// Whether a column is asked for that needs to know who holds a socket.
pub fn wants_processes(args: &SocketsArgs) -> bool {
    args.processes
        || wants(args, |name| matches!(name, "pid" | "fd" | "holders" | "shared_with") || name.starts_with("process"))
}

/// Whether the paths of control groups are asked for.
pub fn wants_cgroups(args: &SocketsArgs) -> bool {
    args.extended || wants(args, |name| name == "cgroup")
}

/// Whether a column is asked for that needs to know more of a process.
pub fn wants_details(args: &SocketsArgs) -> bool {
    wants(args, |name| matches!(name, "process_command" | "process_exe" | "process_threads"))
}

/// What is asked for of that which the kernel says only when asked. No filter asks for it.
pub fn parts(args: &SocketsArgs) -> Parts {
    if args.summary {
        return Parts::empty();
    }
    let has_memory = |name: &str| kinds::memory().iter().any(|(_, field)| field.column.name == name);
    let any = |columns: &[&str]| wants(args, |name| columns.contains(&name));
    let mut parts = Parts::empty();
    parts.set(Parts::MEMORY, args.memory || wants(args, has_memory));
    parts.set(Parts::CONGESTION_INFO, any(&["congestion_info"]));
    parts.set(Parts::TRAFFIC_CLASS, any(&["tos", "tclass", "class_id"]));
    parts
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

/// Columns for what every socket has.
fn common() -> Vec<(Group, Field<Socket>)> {
    use Group::{
        Always, Every, Extended, ExtendedOnly, Kill, Listening, Named, Netns, Processes, Programs, Raw, Timers,
    };
    vec![
        gauge(Every, ["time_ns", "TIME", "When the kernel was asked."], Unit::EpochNanos, |s| {
            Value::Time(s.sample.time)
        }),
        key(Netns, ["netns", "NETNS", "Network namespace."], |s| s.netns.clone().map_or(Value::Missing, Value::Text)),
        key(Always, ["kind", "KIND", "Protocol; of local and packet sockets family and type."], |s| {
            word(s.sample.kind())
        }),
        key(Raw, ["protocol", "PROTO", "IP protocol number; of packet sockets the ethertype."], |s| {
            Value::U64(s.sample.packet.map_or(s.sample.protocol, |packet| packet.ethertype).into())
        }),
        key(Programs, ["family", "FAMILY", "Address family of the socket."], |s| word(s.sample.family.name())),
        gauge(
            Always,
            ["state", "STATE", "State, by the kernel's name; unconn: close, of what needs no connection."],
            Unit::None,
            |s| Value::Word(state(&s.sample)),
        ),
        gauge(
            Always,
            ["recv_q", "RECV-Q", "Received and not read, the peer's FIN as one byte; of a listener see backlog."],
            Unit::Bytes,
            |s| number(s.sample.receive_queue.filter(|_| s.sample.state != SocketState::LISTEN)),
        ),
        gauge(Always, ["send_q", "SEND-Q", "Not acknowledged, or not sent."], Unit::Bytes, |s| {
            number(s.sample.send_queue.filter(|_| s.sample.state != SocketState::LISTEN))
        }),
        gauge(
            Always,
            ["backlog", "BACKLOG", "Of a listener: connections that wait to be accepted."],
            Unit::None,
            |s| number(s.sample.backlog().map(|(now, _)| now)),
        ),
        gauge(Listening, ["backlog_max", "MAX-BACKLOG", "Of a listener: the most that may wait."], Unit::None, |s| {
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
        gauge(Processes, ["pid", "PID", "Process that holds it; the oldest of several."], Unit::None, |s| {
            number(owner(s).map(|owner| owner.pid))
        }),
        gauge(Processes, ["process", "PROCESS", "Name of that process."], Unit::None, |s| {
            owner(s).map_or(Value::Missing, |owner| Value::Text(owner.name.clone()))
        }),
        gauge(Processes, ["shared_with", "SHARED-WITH", "Other processes that hold it: pid/name."], Unit::None, |s| {
            text(others(s))
        }),
        gauge(Processes, ["fd", "FD", "Its descriptor in that process, the lowest of several."], Unit::None, |s| {
            number(holders(s).first().map(|holder| holder.descriptor))
        }),
        gauge(
            Named,
            ["holders", "HOLDERS", "Every descriptor of it in any process: pid/descriptor/name."],
            Unit::None,
            |s| {
                let all = holders(s).iter();
                let all = all.map(|Holder { owner, descriptor, .. }| {
                    format!("{}/{descriptor}/{}", owner.pid, quoted(&owner.name))
                });
                text(Some(all.collect::<Vec<_>>().join(" ")).filter(|all| !all.is_empty()))
            },
        ),
        gauge(
            Named,
            [
                "process_evidence",
                "EVIDENCE",
                "Who holds it: exact, inherited, shared, listener (it waits to be accepted by them), gone, not permitted.",
            ],
            Unit::None,
            |s| word(s.processes.as_ref().map(|(evidence, _)| evidence.name())),
        ),
        gauge(Named, ["process_uid", "PROCESS-UID", "Effective user id of that process."], Unit::None, |s| {
            number(owner(s).and_then(|owner| owner.uid))
        }),
        gauge(Named, ["process_cgroup", "PROCESS-CGROUP", "Control group of that process."], Unit::None, |s| {
            let cgroup = owner(s).and_then(|owner| owner.cgroup.clone());
            cgroup.map_or(Value::Missing, Value::Text)
        }),
        gauge(
            Named,
            ["process_container", "CONTAINER", "Container of that process, by its control group."],
            Unit::None,
            |s| text(owner(s).and_then(|owner| owner.container().map(str::to_owned))),
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
        gauge(ExtendedOnly, ["cgroup", "CGROUP-PATH", "Path of its control group."], Unit::None, |s| {
            s.cgroup.clone().map_or(Value::Missing, Value::Text)
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
        gauge(ExtendedOnly, ["options", "OPTIONS", "Socket options that are set."], Unit::None, |s| {
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
        counter(
            Every,
            ["received_data_bytes", "DATA<", "Data received since the poll before; the kernel counts a FIN as a byte."],
            Unit::Bytes,
            |s| number(s.since.map(|since| since.received_bytes)),
        ),
        gauge(Every, ["ended", "ENDED", "It was closed; this is the last of it."], Unit::None, |s| {
            yes(s.watched.then_some(s.ended))
        }),
        gauge(Kill, ["killed", "KILLED", "Whether it was closed."], Unit::None, |s| yes(s.killed)),
    ]
}

/// What can be printed of a socket, and of that what is unless the user chooses.
pub fn subject(args: &SocketsArgs, several_namespaces: bool) -> Subject<Socket> {
    let mut fields = Vec::new();
    for (group, mut field) in common().into_iter().chain(tcp::columns()).chain(kinds::memory()).chain(kinds::columns())
    {
        field.default = match group {
            Group::Always => true,
            Group::Netns => several_namespaces,
            Group::Every => args.interval().is_some(),
            Group::Kill => args.yes,
            Group::Extended | Group::ExtendedOnly => args.extended,
            Group::Info => args.info,
            Group::Memory => args.memory,
            Group::Timers => args.timers,
            Group::Processes => args.processes,
            Group::Listening => args.listening,
            Group::Unix => args.kinds.unix,
            Group::Raw => args.kinds.raw || args.kinds.packet,
            Group::Bpf => args.bpf,
            Group::Programs | Group::Named => false,
        };
        // `ss` has the inodes of local sockets where others have their ports.
        field.default |= args.kinds.unix && field.column.name == "inode";
        field.shown = match &*field.column.name {
            "local_ip" => Some(|s, edge| shown_addr(s, s.sample.local, edge)),
            "remote_ip" => Some(|s, edge| shown_addr(s, s.sample.remote, edge)),
            "local_port" => Some(|s, edge| service(&s.sample, s.sample.local_port, edge)),
            "remote_port" => Some(|s, edge| service(&s.sample, s.sample.remote_port, edge)),
            _ => None,
        };
        // Machine formats have what ss shows with -i, and the rest if it is asked for.
        field.costly =
            !field.default && !matches!(group, Group::Info | Group::Extended | Group::Timers | Group::Programs);
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
    fields.push(Field::at_the_edge(
        ["local_service", "LOCAL-SERVICE", "What this end's port is registered for."],
        Need::Services,
        |s, edge| service(&s.sample, s.sample.local_port, edge),
    ));
    fields.push(Field::at_the_edge(
        ["remote_service", "REMOTE-SERVICE", "What the other end's port is registered for."],
        Need::Services,
        |s, edge| service(&s.sample, s.sample.remote_port, edge),
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
        order: if args.interval().is_some() { "time_ns" } else { "kind" },
        ask: |s, edge| {
            let is_one = |addr: Addr| addr != Addr::UNSPECIFIED && addr != Addr::v4([0; 4]);
            // Both, so that both are on their way.
            [s.sample.local, s.sample.remote].map(|addr| !is_one(addr) || edge.knows(addr)) == [true; 2]
        },
        verdict: |_, _| None,
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn no_name_of_a_process_reads_as_more_than_a_name() {
        for plain in ["nginx", "kworker:0", "(sd-pam)", "é"] {
            assert_eq!(quoted(plain), plain);
        }
        assert_eq!(quoted("a 1/0/systemd"), "\"a 1/0/systemd\"");
        assert_eq!(quoted("\" 1/0/x"), "\"\\\" 1/0/x\"");
        assert_eq!(quoted(""), "\"\"");
    }
}
