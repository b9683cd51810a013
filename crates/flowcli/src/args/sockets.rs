//! The options of `flow sockets`.

use std::num::NonZeroU64;

use clap::Args;
use flowcore::Nanos;
use flowcore::socket::SocketState;
use flowsrc_netlink::{Kinds, Netns, Options, Parts};

use super::asn::AsnArgs;
use super::filter::FilterArgs;
use super::names::NameArgs;
use super::shared::{EndingArgs, StyleArgs};
use super::values::{Format, SortKey, not_zeek, parse_count, parse_span};

const EXAMPLES: &str = "Examples:
  flow sockets                                  what is connected
  flow sockets -lt                              what listens for TCP connections
  flow sockets -at 'port 443'                   also listeners and TIME-WAIT
  flow sockets -ti --sort rtt_ns                with TCP's own account
  flow sockets -t --every 2s 'dst 192.0.2.0/24' what changed, every two seconds
  flow sockets --netns all -s                   how many of what, in every namespace
  flow sockets -t -o jsonl 'src port 22'
  flow sockets -t --kill --yes 'dst 198.51.100.7'";

/// The kernel's own view of this host's sockets: what `ss` shows, as one row each.
///
/// Without options: sockets of every kind that have a peer. In a filter `src` is this host's end and `dst` the other,
/// whoever asked for the connection. A socket that the kernel says nothing of is not there; what it leaves unsaid of one is
/// `-`, never 0. docs/from-ss.md has the usual `ss` lines beside these.
///
/// With --every a row says what was sent and received since the poll before, and sockets that were closed meanwhile have a
/// last row (column `ended`), however short they lived.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{}", super::exit_codes()))]
pub struct SocketsArgs {
    #[command(flatten)]
    pub kinds: KindArgs,

    #[command(flatten)]
    pub filter: FilterArgs,

    #[command(flatten)]
    pub asn: AsnArgs,

    /// Only what listens, or takes datagrams from anybody
    #[arg(short, long, conflicts_with_all = ["all", "state"], help_heading = "States")]
    pub listening: bool,

    /// In any state
    #[arg(short, long, conflicts_with = "state", help_heading = "States")]
    pub all: bool,

    /// In these states: all, established, syn_sent, syn_recv, fin_wait1, fin_wait2, time_wait, close, close_wait, last_ack,
    /// listen, closing, new_syn_recv, bound_inactive; connected, synchronized, bucket, big as ss has them
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = parse_state, help_heading = "States")]
    pub state: Vec<u32>,

    /// In which network namespace: a name of `ip netns`, a process id, a path, or `all`
    #[arg(long, value_name = "WHICH", value_parser = parse_netns, help_heading = "Input")]
    pub netns: Option<Netns>,

    /// Ask again and again, in this interval
    #[arg(long, value_name = "TIME", value_parser = parse_span, help_heading = "Input")]
    pub every: Option<Nanos>,

    /// Stop after N polls
    #[arg(short = 'c', long = "count", value_name = "N", value_parser = parse_count, help_heading = "Input")]
    pub count: Option<NonZeroU64>,

    /// How many of each kind in each state
    #[arg(short, long, conflicts_with = "kill", help_heading = "Rows")]
    pub summary: bool,

    /// Only sockets that are destroyed, as it happens (TCP and UDP); --every says how often to look, else each second
    #[arg(short = 'E', long, conflicts_with_all = ["kill", "summary", "listening"], help_heading = "Rows")]
    pub events: bool,

    /// Close the sockets that the filter selects, for whoever holds them; without --yes only show them
    #[arg(short = 'K', long, conflicts_with = "every", help_heading = "Rows")]
    pub kill: bool,

    /// Really close them
    #[arg(long, requires = "kill", help_heading = "Rows")]
    pub yes: bool,

    /// Also owner, inode, cookie, control group, mark, options
    #[arg(short = 'e', long, help_heading = "Output")]
    pub extended: bool,

    /// Also TCP's own account: round trips, windows, rates, retransmissions, what limits it
    #[arg(short = 'i', long, help_heading = "Output")]
    pub info: bool,

    /// Also memory
    #[arg(short = 'm', long, help_heading = "Output")]
    pub memory: bool,

    /// Also the timer that runs (ss -o)
    #[arg(long, help_heading = "Output")]
    pub timers: bool,

    /// Also the length of a packet socket's filter
    #[arg(short = 'b', long, help_heading = "Output")]
    pub bpf: bool,

    /// Also the process that holds it
    #[arg(short = 'p', long, help_heading = "Output")]
    pub processes: bool,

    /// Form of the output
    #[arg(short, long, value_parser = not_zeek(), value_name = "FORMAT", default_value = "table", help_heading = "Output")]
    pub output: Format,

    /// Columns by name: a,b,c (or `all`); +a,-b adds to or takes from the default
    #[arg(long, value_name = "NAMES", allow_hyphen_values = true, help_heading = "Output")]
    pub columns: Option<String>,

    /// Print names, units and meanings of all columns, and end
    #[arg(long, help_heading = "Output")]
    pub list_columns: bool,

    /// Order rows by column: times, names and identifiers upwards, quantities downwards; COL:asc, COL:desc or -COL
    /// say otherwise
    #[arg(long, value_name = "COL", value_delimiter = ',', allow_hyphen_values = true, help_heading = "Output")]
    pub sort: Vec<SortKey>,

    /// Only the first N rows in the order of --sort (by default the N with the longest queues)
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "Output")]
    pub top: Option<NonZeroU64>,

    #[command(flatten)]
    pub style: StyleArgs,

    /// A row is one line, always; accepted for habit
    #[arg(short = 'O', long, hide = true)]
    pub oneline: bool,

    #[command(flatten)]
    pub ending: EndingArgs,

    #[command(flatten)]
    pub names: NameArgs,
}

/// Which kinds of socket; all of them if none is named.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kinds")]
pub struct KindArgs {
    /// TCP
    #[arg(short, long)]
    pub tcp: bool,
    /// UDP
    #[arg(short, long)]
    pub udp: bool,
    /// UDP-Lite
    #[arg(long)]
    pub udplite: bool,
    /// Raw IP
    #[arg(short = 'w', long)]
    pub raw: bool,
    /// SCTP
    #[arg(short = 'S', long)]
    pub sctp: bool,
    /// Multipath TCP; its subflows are TCP
    #[arg(short = 'M', long)]
    pub mptcp: bool,
    /// DCCP
    #[arg(short = 'd', long)]
    pub dccp: bool,
    /// Local (UNIX)
    #[arg(short = 'x', long)]
    pub unix: bool,
    /// Packet
    #[arg(short = '0', long)]
    pub packet: bool,
    /// Only IPv4
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Only IPv6, also when it is connected over IPv4
    #[arg(short = '6', long)]
    pub ipv6: bool,
}

impl KindArgs {
    /// Whether any is: then that there are none is an answer.
    pub fn are_named(&self) -> bool {
        let Self { tcp, udp, udplite, raw, sctp, mptcp, dccp, unix, packet, ipv4: _, ipv6: _ } = *self;
        tcp || udp || udplite || raw || sctp || mptcp || dccp || unix || packet
    }
}

/// How often -E looks, unless --every says so.
const EVENTS_EVERY: Nanos = Nanos::from_secs(1);

impl SocketsArgs {
    /// Time between two polls, if there are several.
    pub fn interval(&self) -> Option<Nanos> {
        self.every.or(self.events.then_some(EVENTS_EVERY))
    }

    /// Whether no option says which states are meant.
    pub fn takes_any_state(&self) -> bool {
        !self.listening && self.state.is_empty()
    }

    /// What to ask the kernel for.
    pub fn options(&self) -> Options {
        let KindArgs { tcp, udp, udplite, raw, sctp, mptcp, dccp, unix, packet, ipv4, ipv6 } = self.kinds;
        let mut kinds = Kinds::empty();
        for (wanted, kind) in [
            (tcp, Kinds::TCP),
            (udp, Kinds::UDP),
            (udplite, Kinds::UDP_LITE),
            (raw, Kinds::RAW),
            (sctp, Kinds::SCTP),
            (mptcp, Kinds::MPTCP),
            (dccp, Kinds::DCCP),
            (unix, Kinds::UNIX),
            (packet, Kinds::PACKET),
        ] {
            kinds.set(kind, wanted);
        }
        if self.events && kinds.is_empty() {
            kinds = Kinds::TCP | Kinds::UDP;
        }
        if kinds.is_empty() {
            kinds = if ipv4 || ipv6 { Kinds::INET } else { Kinds::all() };
        }
        let states = if self.all || self.events || (self.summary && !self.listening && self.state.is_empty()) {
            Options::ALL_STATES
        } else if self.listening {
            SocketState::LISTEN.bit() | SocketState::CLOSE.bit()
        } else if self.state.is_empty() {
            Options::CONNECTED
        } else {
            self.state.iter().fold(0, |sum, state| sum | state)
        };
        // They have no state, which is shown as what it comes next to.
        if states & SocketState::CLOSE.bit() == 0 {
            kinds.remove(Kinds::PACKET);
        }
        Options {
            kinds,
            ipv4: !ipv6,
            ipv6: !ipv4,
            states,
            parts: Parts::all(),
            netns: self.netns.clone().unwrap_or_default(),
            every: self.interval().map(|every| std::time::Duration::from_nanos(every.get().unsigned_abs())),
            polls: self.count.map(NonZeroU64::get),
            notices: self.interval().is_some() && !self.summary,
            holders: false,
            marks: true,
            history: false,
        }
    }
}

/// Which network namespace a word means.
pub fn parse_netns(text: &str) -> Result<Netns, String> {
    Ok(match text {
        "all" => Netns::All,
        "" => return Err("a name is missing".to_owned()),
        name => Netns::One(name.to_owned()),
    })
}

/// A state's bits. `-` and `_` are the same, as are capitals.
pub fn parse_state(text: &str) -> Result<u32, String> {
    let name = text.to_ascii_lowercase().replace('-', "_");
    // As man ss defines them.
    let (listen, close) = (SocketState::LISTEN.bit(), SocketState::CLOSE.bit());
    let (time_wait, syn_recv) = (SocketState::TIME_WAIT.bit(), SocketState::SYN_RECV.bit());
    Ok(match name.as_str() {
        "all" => Options::ALL_STATES,
        "connected" => Options::ALL_STATES & !(listen | close),
        "synchronized" => Options::ALL_STATES & !(listen | close | SocketState::SYN_SENT.bit()),
        "bucket" => syn_recv | time_wait,
        "big" => Options::ALL_STATES & !(syn_recv | time_wait),
        "estab" => SocketState::ESTABLISHED.bit(),
        "listening" => listen,
        "closed" | "unconn" | "unconnected" => close,
        "fin_wait_1" => SocketState::FIN_WAIT1.bit(),
        "fin_wait_2" => SocketState::FIN_WAIT2.bit(),
        _ => match SocketState::ALL.iter().find(|state| state.name() == name) {
            Some(state) => state.bit(),
            None => {
                let known: Vec<&str> = SocketState::ALL.iter().map(|state| state.name()).collect();
                return Err(format!("it is one of {}, all, connected, synchronized, bucket, big", known.join(", ")));
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_named_as_in_the_kernel_and_as_ss_does() {
        assert_eq!(parse_state("established"), parse_state("ESTAB"));
        assert_eq!(parse_state("time-wait"), Ok(1 << 6));
        assert_eq!(parse_state("all"), Ok(u32::MAX));
        assert_eq!(parse_state("bucket"), Ok(1 << 3 | 1 << 6));
        assert!(parse_state("open").unwrap_err().contains("established"));
    }
}
