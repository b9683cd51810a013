//! How many packets each filter selects, beside libpcap and tshark, on every public capture.
//!
//! Where the two agree, ours is to be the same; where it is not, or where they do not agree, the cause is one of those
//! below or a line of `oracles/causes.tsv`. A cause is only believed if it gives the other tool's number: the packets
//! are counted again as that tool reads them. `FLOW_CAPTURES` names the captures' folder, by default
//! `../shared/captures` beside the workspace; without it the test says so and does nothing. `FLOW_FILTERS_WRITE=1`
//! writes `docs/filters-agreement.md`; otherwise the run is held against it.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../../flowcore/tests/support/captures.rs"]
mod captures;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowcore::resolve::Numeric;
use flowcore::wire::{DecodeOptions, Layers, TunnelKind};
use flowcore::{Collector, Detail, FlowEvent, FlowKey, Frames, Layer, Limit, Notes, Protocol, Resolver, Status};
use flowfilter::ast::Expr;
use flowfilter::{Filter, Predicate};
use flowsrc_pcap::Files;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Events of a whole capture with their side column.
#[derive(Default)]
struct Reading {
    events: Vec<FlowEvent>,
    layers: Vec<Layers>,
}

impl Reading {
    fn of(path: &Path, decapsulate: bool) -> Option<Self> {
        let mut source =
            Files::builder().path(path).decode(DecodeOptions { decapsulate, headers: true }).open().ok()?;
        let mut whole = Self::default();
        loop {
            let mut events = Vec::new();
            let filled = source.fill(&mut events, Limit::default()).ok()?;
            for mut event in events {
                if let Some(layers) = filled.frames.layers(&event) {
                    whole.layers.push(layers.clone());
                    event.layers = u16::try_from(whole.layers.len()).expect("public captures are small");
                }
                whole.events.push(event);
            }
            if filled.status == Status::End {
                return Some(whole);
            }
        }
    }

    fn frames(&self) -> Frames<'_> {
        Frames::new(&[], &self.layers)
    }
}

/// One capture, its tunnels opened and not.
struct Capture {
    inner: Reading,
    outer: Reading,
    /// libpcap finds neither IPv4, IPv6 nor ARP in it.
    is_strange: bool,
}

/// A filter as a tree whose leaves can be asked alone.
enum Tree {
    All,
    None,
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Not(Box<Tree>),
    Test(Predicate<FlowEvent>),
}

impl Tree {
    fn of(expr: &Expr, names: &Arc<dyn Resolver>) -> Self {
        let each = |all: &[Expr]| all.iter().map(|one| Self::of(one, names)).collect();
        match expr {
            Expr::All => Self::All,
            Expr::None => Self::None,
            Expr::And(all) => Self::And(each(all)),
            Expr::Or(all) => Self::Or(each(all)),
            Expr::Not(inner) => Self::Not(Box::new(Self::of(inner, names))),
            Expr::Test(_) => Self::Test(Filter::from_expr(expr.clone()).bind(names).unwrap()),
        }
    }

    /// A test is true if it is true of any of these views of one packet.
    fn holds(&self, views: &[(FlowEvent, Frames<'_>)]) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::And(all) => all.iter().all(|one| one.holds(views)),
            Self::Or(all) => all.iter().any(|one| one.holds(views)),
            Self::Not(inner) => !inner.holds(views),
            Self::Test(test) => views.iter().any(|(event, frames)| test.matches(event, frames)),
        }
    }
}

/// Another tool's way to read packets.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Only the outermost IP header is looked at.
    Outermost,
    /// Nothing is seen behind VLAN tags, MPLS labels, PPPoE and the like.
    NoShims,
    /// The bits of TCP are looked at behind IPv4 only.
    FlagsOfIpv4,
    /// DCCP and UDP-Lite have no ports.
    FewPorts,
    /// A packet whose headers are cut or malformed matches nothing, negated or not.
    WholeHeaders,
    /// The link type is not read at all.
    NoLink,
    /// Outer headers, and those between, are looked at as well as the innermost.
    AnyLayer,
    /// The packet that an ICMP error quotes is looked at too.
    Quoted,
    /// Later fragments have no transport protocol.
    NoLaterFragments,
    /// A transport header that is cut or malformed is no such header.
    NoBrokenTransport,
    /// Lengths that segmentation offload left out are not believed.
    NoOffload,
}

impl Way {
    fn cause(self) -> &'static str {
        match self {
            Self::Outermost => "looks at the outermost IP header only; ours at the innermost, the flow's",
            Self::NoShims => "sees nothing behind VLAN tags, MPLS labels, PPPoE, LLC",
            Self::FlagsOfIpv4 => "tests TCP flags behind IPv4 only",
            Self::FewPorts => "this expression knows no ports of DCCP and UDP-Lite",
            Self::WholeHeaders => "a packet whose headers are cut or malformed matches nothing, not even a negation",
            Self::NoLink => "does not read this link type",
            Self::AnyLayer => "looks at every IP header of a packet; ours at the innermost, the flow's",
            Self::Quoted => "looks also at the packet that an ICMP error quotes",
            Self::NoLaterFragments => "a later fragment has no transport protocol",
            Self::NoBrokenTransport => "a transport header that is cut or malformed is none",
            Self::NoOffload => "does not read packets whose length offloading left out",
        }
    }
}

/// Ways of libpcap and of tshark, each alone and together: the first that gives the tool's number is the cause.
const LIBPCAP: &[&[Way]] = &[
    &[Way::Outermost],
    &[Way::NoShims],
    &[Way::FlagsOfIpv4],
    &[Way::FewPorts],
    &[Way::WholeHeaders],
    &[Way::NoLink],
    &[Way::Outermost, Way::NoShims],
    &[Way::Outermost, Way::WholeHeaders],
    &[Way::Outermost, Way::FlagsOfIpv4],
    &[Way::NoShims, Way::WholeHeaders],
    &[Way::NoShims, Way::FlagsOfIpv4],
    &[Way::Outermost, Way::NoShims, Way::FlagsOfIpv4],
    &[Way::Outermost, Way::NoShims, Way::FlagsOfIpv4, Way::FewPorts, Way::WholeHeaders],
];
const TSHARK: &[&[Way]] = &[
    &[Way::AnyLayer],
    &[Way::Quoted],
    &[Way::NoLaterFragments],
    &[Way::NoBrokenTransport],
    &[Way::FewPorts],
    &[Way::WholeHeaders],
    &[Way::NoOffload],
    &[Way::AnyLayer, Way::Quoted],
    &[Way::AnyLayer, Way::NoLaterFragments],
    &[Way::Quoted, Way::NoLaterFragments],
    &[Way::Quoted, Way::NoBrokenTransport],
    &[Way::AnyLayer, Way::Quoted, Way::NoLaterFragments, Way::NoBrokenTransport],
];

/// A packet of which nothing is known but its length.
fn blank(event: &FlowEvent, ethertype: u16) -> FlowEvent {
    FlowEvent { bytes: event.bytes, packets: event.packets, ethertype, layers: event.layers, ..FlowEvent::default() }
}

fn with_key(event: &FlowEvent, key: FlowKey) -> FlowEvent {
    let ethertype = if key.src.is_v4() { 0x0800 } else { 0x86dd };
    FlowEvent { key, ..blank(event, ethertype) }
}

/// How a tool that reads in these ways sees packet `index`.
fn views<'c>(capture: &'c Capture, index: usize, ways: &[Way]) -> Vec<(FlowEvent, Frames<'c>)> {
    let has = |way: Way| ways.contains(&way);
    let (inner, outer) = (&capture.inner.events[index], &capture.outer.events[index]);
    let (inner_frames, outer_frames) = (capture.inner.frames(), capture.outer.frames());
    let (mut event, frames) = if has(Way::Outermost) { (*outer, outer_frames) } else { (*inner, inner_frames) };
    if has(Way::WholeHeaders) && event.stopped != Layer::None {
        return Vec::new();
    }
    let layers = frames.layers(&event).cloned().unwrap_or_default();
    let is_shimmed = !layers.vlans.is_empty() || !layers.mpls.is_empty() || layers.pppoe_session.is_some();
    if has(Way::NoShims) && is_shimmed {
        event = blank(&event, 0x8100);
    }
    if has(Way::NoLink) {
        event = blank(&event, 0);
    }
    if has(Way::FlagsOfIpv4) && event.ethertype == 0x86dd && matches!(event.detail, Detail::Tcp(_)) {
        event.detail = Detail::None;
    }
    if has(Way::FewPorts) && matches!(event.key.protocol, Protocol::DCCP | Protocol::UDP_LITE) {
        event.notes |= Notes::LATER_FRAGMENT;
        (event.key.src_port, event.key.dst_port) = (0, 0);
    }
    let has_no_transport = (has(Way::NoLaterFragments) && event.notes.contains(Notes::LATER_FRAGMENT))
        || (has(Way::NoBrokenTransport) && event.stopped == Layer::Transport);
    if has_no_transport {
        event.key.protocol = Protocol(254);
        event.detail = Detail::None;
    }
    if has(Way::NoOffload) && event.notes.contains(Notes::OFFLOADED) {
        event.key.protocol = Protocol(254);
        event.detail = Detail::None;
    }
    let mut views = vec![(event, frames)];
    if has(Way::AnyLayer) {
        for tunnel in layers.tunnels.as_slice() {
            let protocol = match tunnel.kind {
                TunnelKind::Gre | TunnelKind::Erspan => Protocol::GRE,
                TunnelKind::IpInIp => Protocol::IPIP,
                _ => Protocol::UDP,
            };
            let (src_port, dst_port) = tunnel.ports;
            let key = FlowKey { src: tunnel.src, dst: tunnel.dst, src_port, dst_port, protocol, ..FlowKey::NONE };
            views.push((with_key(&event, key), frames));
        }
    }
    if let (true, Some(key)) = (has(Way::Quoted), layers.quoted) {
        views.push((with_key(&event, key), frames));
    }
    views
}

fn count(capture: &Capture, tree: &Tree, ways: &[Way]) -> u64 {
    let packets = 0..capture.inner.events.len();
    let selected = packets.filter(|&index| {
        let views = views(capture, index, ways);
        !views.is_empty() && tree.holds(&views)
    });
    selected.count() as u64
}

fn table(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// Our filter for those of the list that CoMo could not say.
fn ours<'t>(id: &str, written: &'t str) -> &'t str {
    match id {
        "F40" => "vlan",
        "F41" => "syn",
        "F42" => "syn and not ack",
        "F43" => "syn and ack",
        "F44" => "rst",
        "F45" => "fin",
        "F46" => "ip and fragment",
        "F47" => "len >= 1000",
        "F48" => "len <= 64",
        "F49" => "gre",
        "F50" => "esp",
        "F51" => "igmp",
        _ => written,
    }
}

/// A cause found by reading bytes: file, filters, tool, words.
struct Line {
    file: String,
    filters: Vec<String>,
    tool: String,
    cause: String,
    used: bool,
}

fn lines() -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/causes.tsv");
    let rows = table(&path).into_iter().filter(|row| row.len() == 4);
    rows.map(|row| Line {
        file: row[0].clone(),
        filters: row[1].split(',').map(str::to_owned).collect(),
        tool: row[2].clone(),
        cause: row[3].clone(),
        used: false,
    })
    .collect()
}

/// Counts by cause, and the cells that have none.
#[derive(Default)]
struct Sheet {
    cells: u64,
    equal: BTreeMap<&'static str, u64>,
    causes: BTreeMap<(String, String), (u64, BTreeSet<String>)>,
    /// Filters of captures that both tools count alike, whatever ours is.
    alike: u64,
    /// Of those, the ones where ours is another number: by libpcap's cause and tshark's, how many and of which captures.
    against: BTreeMap<[String; 2], (u64, BTreeSet<String>)>,
    unexplained: Vec<String>,
}

impl Sheet {
    #[allow(clippy::too_many_arguments, reason = "one cell is that much")]
    fn compare(
        &mut self,
        file: &str,
        id: &str,
        filter: &Filter,
        theirs: [&str; 2],
        capture: &Capture,
        names: &Arc<dyn Resolver>,
        lines: &mut [Line],
    ) {
        let bound: Predicate<FlowEvent> = filter.bind(names).unwrap();
        let frames = capture.inner.frames();
        let masks = capture.inner.events.chunks(64).map(|chunk| u64::from(bound.mask(chunk, &frames).count_ones()));
        let our_count: u64 = masks.sum();
        let tree = Tree::of(filter.expr(), names);
        let mut reasons = Vec::new();
        for (tool, theirs, ways) in [("libpcap", theirs[0], LIBPCAP), ("tshark", theirs[1], TSHARK)] {
            // n/a: the tool refuses the file or the filter; -: not asked.
            let Ok(theirs) = theirs.parse::<u64>() else { continue };
            self.cells += 1;
            if theirs == our_count {
                *self.equal.entry(tool).or_default() += 1;
                continue;
            }
            // `tshark -z io,stat,0` counts nothing in a capture that has no duration.
            let first = capture.inner.events.first().map(|event| event.time);
            let is_moment = capture.inner.events.iter().all(|event| Some(event.time) == first);
            if tool == "tshark" && theirs == 0 && is_moment {
                let cause = "all packets have one time: io,stat counts none of them".to_owned();
                reasons.push(cause.clone());
                self.explain(tool, cause, file);
                continue;
            }
            let way = ways
                .iter()
                .filter(|ways| capture.is_strange || !ways.contains(&Way::NoLink))
                .find(|ways| count(capture, &tree, ways) == theirs);
            let cause = match way {
                Some(ways) => Some(ways.iter().map(|way| way.cause()).collect::<Vec<_>>().join("; ")),
                None => lines
                    .iter_mut()
                    .find(|line| {
                        let is_file = match line.file.strip_suffix('*') {
                            Some(start) => file.starts_with(start),
                            None => line.file == file,
                        };
                        // `tshark=0`: only where it counts nothing.
                        let is_tool = line.tool == tool || (theirs == 0 && line.tool.strip_suffix("=0") == Some(tool));
                        is_file && is_tool && line.filters.iter().any(|known| known == "*" || known == id)
                    })
                    .map(|line| {
                        line.used = true;
                        line.cause.clone()
                    }),
            };
            match cause {
                Some(cause) => {
                    reasons.push(cause.clone());
                    self.explain(tool, cause, file);
                }
                None => self.unexplained.push(format!("{file}\t{id}\t{tool}\t{our_count}\t{theirs}\t{filter}")),
            }
        }
        if let [Ok(libpcap), Ok(tshark)] = theirs.map(str::parse::<u64>)
            && libpcap == tshark
        {
            self.alike += 1;
            if let Ok(reasons) = <[String; 2]>::try_from(reasons) {
                let (cells, files) = self.against.entry(reasons).or_default();
                *cells += 1;
                files.insert(file.to_owned());
            }
        }
    }

    fn explain(&mut self, tool: &str, cause: String, file: &str) {
        let (cells, files) = self.causes.entry((tool.to_owned(), cause)).or_default();
        *cells += 1;
        files.insert(file.to_owned());
    }

    fn render(&self) -> String {
        let mut text = String::from(
            "# Filters beside libpcap and tshark\n\n\
             Written by `crates/flowfilter/tests/oracles.rs` (`FLOW_FILTERS_WRITE=1`), read by it. A cell is the number\n\
             of packets that one filter selects of one capture, by one tool. Where a number differs, the packets were\n\
             counted again as the cause says that the tool reads them, and that gave its number; the causes found by\n\
             reading bytes are those of `crates/flowfilter/tests/oracles/causes.tsv`.\n\n",
        );
        let explained: u64 = self.causes.values().map(|(cells, _)| cells).sum();
        let equal: u64 = self.equal.values().sum();
        writeln!(text, "| cells | equal | explained | unexplained |\n| ---: | ---: | ---: | ---: |").unwrap();
        writeln!(text, "| {} | {equal} | {explained} | {} |\n", self.cells, self.unexplained.len()).unwrap();
        writeln!(text, "| tool | cells | captures | why its number is another |\n| --- | ---: | ---: | --- |").unwrap();
        let mut causes: Vec<_> = self.causes.iter().collect();
        causes.sort_by_key(|((tool, _), (cells, _))| (tool.clone(), std::cmp::Reverse(*cells)));
        for ((tool, cause), (cells, files)) in causes {
            writeln!(text, "| {tool} | {cells} | {} | {cause} |", files.len()).unwrap();
        }
        let against: u64 = self.against.values().map(|(cells, _)| cells).sum();
        writeln!(
            text,
            "\n## Where both are against us\n\n\
             Of {} filters of captures both tools count the same, and of {} of these ours is another number: each tool has its\n\
             reason, which its own column in the table above counts too.\n\n\
             | filters of captures | captures | libpcap | tshark |\n| ---: | --- | --- | --- |",
            self.alike, against
        )
        .unwrap();
        let mut against: Vec<_> = self.against.iter().collect();
        against.sort_by_key(|(reasons, (cells, _))| (std::cmp::Reverse(*cells), *reasons));
        for ([libpcap, tshark], (cells, files)) in against {
            // A folder says enough where it has most of them.
            let named: BTreeSet<&str> = match files.len() {
                0..=3 => files.iter().map(String::as_str).collect(),
                _ => files.iter().filter_map(|file| file.split('/').next()).collect(),
            };
            let named: Vec<String> = named.into_iter().map(|name| format!("`{name}`")).collect();
            writeln!(text, "| {cells} | {}: {} | {libpcap} | {tshark} |", files.len(), named.join(", ")).unwrap();
        }
        text
    }
}

#[test]
fn we_select_what_libpcap_and_tshark_select_or_say_why_not() {
    let Some(folder) = captures::captures("truth/filters") else { return };
    let truth = folder.join("truth/filters");
    let names: Arc<dyn Resolver> = Arc::new(Numeric);
    let mut lines = lines();
    let mut sheet = Sheet::default();
    let mut captures: BTreeMap<String, Option<Capture>> = BTreeMap::new();

    let filters: Vec<(String, Filter)> = table(&truth.join("expressions.tsv"))[1..]
        .iter()
        .map(|row| (row[0].clone(), Filter::parse(ours(&row[0], &row[1])).unwrap()))
        .collect();
    let by_file = |name: &str| -> BTreeMap<String, Vec<String>> {
        table(&truth.join(name)).into_iter().skip(1).map(|row| (row[0].clone(), row[1..].to_vec())).collect()
    };
    let (libpcap, tshark) = (by_file("generic_libpcap.tsv"), by_file("generic_tshark.tsv"));
    let open = |file: &str| {
        let path = folder.join(file);
        let counts = libpcap.get(file)?;
        // F01, F02 and F08 of the list.
        let is_strange = [0, 1, 7].iter().all(|&index| counts[index] == "0");
        Some(Capture { inner: Reading::of(&path, true)?, outer: Reading::of(&path, false)?, is_strange })
    };
    let mut refused = Vec::new();
    for (file, counts) in &libpcap {
        let Some(capture) = captures.entry(file.clone()).or_insert_with(|| open(file)) else {
            refused.push(file.clone());
            continue;
        };
        for (index, (id, filter)) in filters.iter().enumerate() {
            let other = tshark.get(file).map_or("n/a", |row| row[index].as_str());
            sheet.compare(file, id, filter, [&counts[index], other], capture, &names, &mut lines);
        }
    }
    for row in table(&truth.join("specific.tsv")).iter().skip(1) {
        let Some(capture) = captures.entry(row[0].clone()).or_insert_with(|| open(&row[0])) else { continue };
        let filter = Filter::parse(&row[2]).unwrap();
        sheet.compare(&row[0], &row[1], &filter, [&row[5], &row[6]], capture, &names, &mut lines);
    }
    // What is no capture, or has a header that nobody should believe: `docs/agreement.md` says why each is refused.
    assert_eq!(refused.len(), 4, "{refused:?}");

    let text = sheet.render();
    let path = workspace().join("docs/filters-agreement.md");
    let before = fs::read_to_string(&path).unwrap_or_default();
    // What follows is compared elsewhere, with tables of networks.
    let rest = before.find("\n## AS numbers").map_or("", |at| &before[at..]);
    let whole = text + rest;
    if std::env::var_os("FLOW_FILTERS_WRITE").is_some() {
        fs::write(&path, &whole).unwrap();
    }
    for cell in &sheet.unexplained {
        eprintln!("{cell}");
    }
    let idle: Vec<&str> = lines.iter().filter(|line| !line.used).map(|line| line.cause.as_str()).collect();
    assert!(sheet.unexplained.is_empty(), "{} cells have no cause", sheet.unexplained.len());
    assert!(idle.is_empty(), "causes.tsv explains nothing with {idle:#?}");
    assert!(fs::read_to_string(&path).unwrap_or_default() == whole, "the table has changed; write it anew and read it");
}
