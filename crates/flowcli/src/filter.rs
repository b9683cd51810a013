//! Filters from the command line: texts, files, lists, names, and what is said about them.

mod explain;
mod sockets;

use std::fs;
use std::io::{self, Read};
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowcore::report::Value;
use flowcore::resolve::Numeric;
use flowcore::{Addr, Error, ErrorKind, Features, FlowEvent, Frames, Resolver, Select};
use flowfilter::field::FIELDS;
use flowfilter::sql::{Dialect, Schema};
use flowfilter::{Compat, Field, FieldSet, Filter, FilterError, Flow, MAX_TEXT, Options, Predicate, Record, Socket};
use flowresolve::Networks;
use flowstats::conns::{Connection, column};

use crate::args::{Color, CompatArg, DialectArg, FilterArgs, FilterCommand};
use crate::exit::{Exit, complain};
use crate::{documents, inputs, terminal};

pub use sockets::{LookUps, OfSockets};

/// Bytes of a list's file at most.
const LARGEST_LIST: u64 = 64 << 20;

/// The filter that the user gave of packets, if any; what there is to know about it goes to standard error unless `quiet`.
///
/// # Errors
/// If it is wrong, or its file or a list cannot be read.
pub fn read(args: &FilterArgs, quiet: bool, color: Color) -> anyhow::Result<Option<Filter>> {
    read_as(args, quiet, color, Asked::Packets)
}

/// The same of sockets or packets.
///
/// # Errors
/// As [`read`].
pub fn read_as(args: &FilterArgs, quiet: bool, color: Color, asked: Asked) -> anyhow::Result<Option<Filter>> {
    let Some(written) = Written::of(args)? else { return Ok(None) };
    let filter = written.parse(asked).inspect_err(|_| {
        // A capture without its option is read as the beginning of a filter.
        if let Some(file) = args.words.iter().find(|word| may_be_file(word)) {
            complain(&format!("files are named with -r: did you mean `-r {file}`?"));
        }
    })?;
    if !quiet {
        warn(&filter, color);
    }
    Ok(Some(filter))
}

/// Refuses to read filter and capture from one standard input.
///
/// # Errors
/// If both are named so.
pub fn refuse_one_input(args: &FilterArgs, read: &[PathBuf]) -> Result<(), Error> {
    let is_both =
        [args.file.as_deref(), read.iter().map(PathBuf::as_path).find(|path| inputs::is_standard_input(path))]
            .iter()
            .all(|path| path.is_some_and(inputs::is_standard_input));
    if is_both {
        let message =
            "standard input cannot be both filter (-F) and capture (-r): put the filter into a file, or behind -f";
        return Err(Error::new(ErrorKind::Usage, message));
    }
    Ok(())
}

/// What a filter is asked of.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Asked {
    /// What captures hold.
    Packets,
    /// The kernel's sockets, by people who may know `ss`.
    Sockets,
}

/// A filter's text, and what is needed to read it.
pub struct Written {
    /// As the user wrote it.
    pub text: String,
    /// The file it stood in, if it did.
    origin: String,
    compat: Compat,
}

impl Written {
    /// From the command line or its file, if there is one.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn of(args: &FilterArgs) -> anyhow::Result<Option<Self>> {
        let (text, origin) = match (&args.text, &args.file) {
            (Some(text), _) => (text.clone(), String::new()),
            (None, Some(file)) => {
                let name = inputs::name(file);
                let most = MAX_TEXT as u64;
                let text =
                    if inputs::is_standard_input(file) { text_of(io::stdin(), most) } else { contents(&name, most) };
                let text = text.map_err(|why| {
                    let kind = if why == too_large(most) { ErrorKind::Usage } else { ErrorKind::NotFound };
                    Error::new(kind, format!("{name}: {why}"))
                })?;
                (text, name)
            }
            (None, None) if args.words.is_empty() => return Ok(None),
            (None, None) => (args.words.join(" "), String::new()),
        };
        let compat = match args.filter_compat {
            None => Compat::None,
            Some(CompatArg::Como) => Compat::Como,
            Some(CompatArg::Libpcap) => Compat::Libpcap,
        };
        Ok(Some(Self { text, origin, compat }))
    }

    /// Understands it.
    ///
    /// # Errors
    /// If it is wrong, or a list cannot be read.
    pub fn parse(&self, asked: Asked) -> Result<Filter, FilterError> {
        let list = |name: &str| contents(name, LARGEST_LIST);
        let options = Options {
            compat: self.compat,
            lists: Some(&list),
            hosts: Some(&addresses),
            origin: &self.origin,
            beside_ss: asked == Asked::Sockets,
        };
        Filter::parse_with(&self.text, &options)
    }
}

/// Says what there is to know about a filter.
pub fn warn(filter: &Filter, color: Color) {
    let warnings = filter.warnings();
    for warning in warnings.iter().take(MOST_WARNINGS) {
        complain_whole(&warning.render(terminal::error_color(color)));
    }
    if let Some(more @ 1..) = warnings.len().checked_sub(MOST_WARNINGS) {
        complain(&format!("warning: and {more} more of this filter"));
    }
}

/// Warnings of one filter that are shown.
const MOST_WARNINGS: usize = 8;

/// Whether a word that stands where no option does is a file or looks like a capture.
pub fn may_be_file(word: &str) -> bool {
    let kinds = [".pcap", ".pcapng", ".cap", ".gz", ".zst", ".lz4", ".xz"];
    !word.starts_with('-') && (Path::new(word).is_file() || kinds.iter().any(|kind| word.ends_with(kind)))
}

/// A file's text, or why there is none.
fn contents(name: &str, most: u64) -> Result<String, String> {
    text_of(fs::File::open(name).map_err(why)?, most)
}

fn text_of(input: impl Read, most: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    input.take(most + 1).read_to_end(&mut bytes).map_err(why)?;
    if bytes.len() as u64 > most {
        return Err(too_large(most));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    // Some editors begin every text with a byte order mark.
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

fn too_large(most: u64) -> String {
    format!(
        "it has more than {most} bytes, the most there may be; long lists have files of their own: `src in @servers.txt`"
    )
}

/// Why something cannot be read.
fn why(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => {
            let words = error.to_string();
            words.split(" (os error ").next().unwrap_or(&words).to_owned()
        }
    }
}

/// Asks the system for a host's addresses: only where the filter says `name:`.
fn addresses(host: &str) -> Result<Vec<Addr>, String> {
    let found = (host, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut addrs: Vec<Addr> = found.map(|socket| socket.ip().into()).collect();
    addrs.sort_unstable();
    addrs.dedup();
    Ok(addrs)
}

/// Several lines to standard error, as they are.
pub fn complain_whole(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Who knows networks, if anybody does.
fn names(networks: Option<&Arc<Networks>>) -> Arc<dyn Resolver> {
    match networks {
        Some(networks) => networks.clone(),
        None => Arc::new(Numeric),
    }
}

/// Refuses AS numbers if nobody knows networks.
fn have_networks(filter: &Filter, networks: Option<&Arc<Networks>>) -> Result<(), FilterError> {
    let asked = filter.fields().common(FieldSet::of([Field::SrcAsn, Field::DstAsn]));
    match asked.iter().next() {
        Some(field) if networks.is_none() => Err(filter.refuse(
            field,
            "AS numbers need a table of networks: name one with --asn FILE",
            Some("pfx2as, IPtoASN, MRT dumps and MaxMind DB files are such tables"),
        )),
        _ => Ok(()),
    }
}

/// Of which process a packet is, captures never say.
const NOT_CAPTURED: FieldSet = FieldSet::EMPTY.with(Field::Process).with(Field::Pid);

/// The fields that a command's filter may ask for, of packets or of what they come to.
pub fn asked_by(command: &str) -> FieldSet {
    let both = |one: FieldSet, other: FieldSet| FieldSet::of(one.iter().chain(other.iter()));
    let packets = FlowEvent::fields().without(NOT_CAPTURED);
    // `dev` is looked up by `flow sockets` alone.
    let ends = Socket::fields().without(FieldSet::of([Field::Device]));
    match command {
        "conns" => both(packets, Flow::fields().without(NOT_CAPTURED)),
        "count" | "hosts" => packets,
        "sockets" => Socket::fields(),
        "vol" | "cpu" => ends,
        "lat" => both(packets, ends),
        _ => FieldSet::of(FIELDS.iter().map(|def| def.field)),
    }
}

/// Refuses what no capture can answer, at its place in the filter.
fn answerable(filter: &Filter, networks: Option<&Arc<Networks>>) -> Result<(), FilterError> {
    have_networks(filter, networks)?;
    match filter.fields().common(NOT_CAPTURED).iter().next() {
        Some(field) => Err(filter.refuse(
            field,
            "a capture does not say which process a packet belongs to",
            Some("`flow sockets` selects this host's sockets by it"),
        )),
        None => Ok(()),
    }
}

/// A filter over single packets.
///
/// # Errors
/// If packets of captures do not have what it asks for.
pub fn of_packets(filter: &Filter, networks: Option<&Arc<Networks>>) -> Result<Predicate<FlowEvent>, FilterError> {
    let bound = filter.bind::<FlowEvent>(&names(networks))?;
    answerable(filter, networks)?;
    Ok(bound)
}

/// What a filter selects for a table of connections.
pub enum Selection {
    /// Packets, before they become connections.
    Packets(Predicate<FlowEvent>),
    /// Connections that are over.
    Connections(Predicate<Flow>),
}

impl Selection {
    /// Packets if packets have all that it asks for, else connections.
    ///
    /// # Errors
    /// If neither have, or captures have not.
    pub fn of(filter: &Filter, networks: Option<&Arc<Networks>>) -> Result<Self, FilterError> {
        answerable(filter, networks)?;
        let names = names(networks);
        let (packets, connections) = (FlowEvent::fields(), Flow::fields());
        let only_connections = filter.fields().without(packets);
        let only_packets = filter.fields().without(connections);
        let first = |fields: FieldSet| fields.common(packets).iter().chain(fields.common(connections).iter()).next();
        if let (Some(of_connection), Some(of_packet)) = (first(only_connections), first(only_packets)) {
            let title = format!(
                "`{}` is asked of whole connections, `{}` of single packets",
                of_connection.name(),
                of_packet.name()
            );
            let help = Flow::instead(of_packet).unwrap_or("one filter asks either packets or connections");
            return Err(filter.refuse(of_packet, &title, Some(help)));
        }
        // What neither have is said of packets, which have more; of a socket's state connections, which have one too.
        if only_connections.is_empty() || !only_packets.without(FieldSet::of([Field::SocketState])).is_empty() {
            filter.bind(&names).map(Self::Packets)
        } else {
            filter.bind(&names).map(Self::Connections)
        }
    }

    /// Whether connections must be followed more closely than their table needs.
    pub fn needs_course(&self) -> bool {
        let of_course = FieldSet::of([Field::Retrans, Field::Rtt]);
        matches!(self, Self::Connections(connections) if !connections.fields().common(of_course).is_empty())
    }

    /// Whether frames must be read for fields that events do not carry.
    pub fn needs_headers(&self) -> bool {
        matches!(self, Self::Packets(packets) if packets.needs().contains(Features::HEADERS))
    }
}

/// Says of a filter of packets that it selects some of a connection's and not others, if it may.
pub fn note_if_torn(packets: &Predicate<FlowEvent>) {
    if packets.keeps_flows_whole() {
        return;
    }
    let whole = if packets.fields().contains(Field::Time) {
        "`flow conns` selects whole connections by `start` and `end`"
    } else {
        "`addr` and `port` select both directions, whole connections"
    };
    complain(&format!(
        "note: only the packets that the filter selects are followed: states, counts and times are theirs, and rows are \
         marked `filtered`; {whole}"
    ));
}

/// Whether a finished connection is selected.
pub fn selects(filter: &Predicate<Flow>, connection: &Connection) -> bool {
    let sum = |of: fn(&flowstats::conns::Counts) -> u64| connection.counts.iter().map(of).sum();
    let cell = |name: &str| column(name).map(|column| (column.value)(connection));
    let span = |name: &str| cell(name).and_then(|cell| if let Value::Span(span) = cell { Some(span) } else { None });
    let time = |name: &str| cell(name).and_then(|cell| if let Value::Time(time) = cell { Some(time) } else { None });
    let flow = Flow {
        key: Some(connection.flow.key),
        start: time("start_ns"),
        end: time("end_ns"),
        duration: span("duration_ns"),
        packets: Some(sum(|side| side.packets)),
        wire_bytes: Some(sum(|side| side.wire_bytes)),
        state: Some(connection.state.name()),
        rtt: span("rtt_min"),
        handshake: span("handshake_ns"),
        retransmissions: cell("retrans").and_then(|cell| if let Value::U64(count) = cell { Some(count) } else { None }),
        layers: connection.layers.clone(),
    };
    filter.matches(&flow, &Frames::EMPTY)
}

/// Runs `flow filter`.
pub fn run(command: &FilterCommand) -> anyhow::Result<Exit> {
    let args = match command {
        FilterCommand::Check(args) | FilterCommand::Explain(args) | FilterCommand::Normal(args) => args,
        FilterCommand::Sql(args) => &args.filter,
    };
    let Some(written) = Written::of(args)? else {
        let message = "no filter: write one, as in `flow filter check 'tcp and port 443'`";
        return Err(Error::new(ErrorKind::Usage, message).into());
    };
    let filter = written.parse(Asked::Packets)?;
    warn(&filter, Color::Auto);
    let text = match command {
        FilterCommand::Check(_) => format!("{filter}\n"),
        FilterCommand::Normal(_) => format!("{}\n", filter.normal()),
        FilterCommand::Explain(_) => explain::explain(&filter),
        FilterCommand::Sql(args) => format!("{}\n", filter.to_sql(&Schema::flows(dialect(args.dialect)))?),
    };
    documents::print(&text)
}

fn dialect(named: DialectArg) -> Dialect {
    match named {
        DialectArg::Duckdb => Dialect::DuckDb,
        DialectArg::Spark => Dialect::Spark,
        DialectArg::Clickhouse => Dialect::ClickHouse,
        DialectArg::Sqlite => Dialect::Sqlite,
    }
}
