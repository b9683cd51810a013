//! The options of `flow lat`, `flow vol` and `flow cpu`: views over the kernel's sockets.

use std::num::NonZeroU64;
use std::str::FromStr;

use clap::{Arg, Args, ValueEnum};
use flowcore::Nanos;
use flowsrc_netlink::Netns;
use flowstats::chart::{MOST_BINS, Thresholds};
use flowstats::hosts::Levels;
use flowstats::latency::Bins;

use super::asn::AsnArgs;
use super::filter::FilterArgs;
use super::hosts::Percentiles;
use super::shared::{EndingArgs, InputArgs, StyleArgs};
use super::sockets::parse_netns;
use super::values::{Format, SortKey, not_zeek, parse_count, parse_span};

const LAT_EXAMPLES: &str = "Examples:
  flow lat                                   every TCP connection of this host, now
  flow lat -g proc --percentiles 50,95,99.9  by process
  flow lat --every 5s -o jsonl               again and again, for a program
  flow lat -r capture.pcap --bins log        the same of a capture
  flow lat --sort -rtt_ns --top 10 'port 443'";

const VOL_EXAMPLES: &str = "Examples:
  flow vol                                   what TCP connections carried in two seconds
  flow vol -i 10s --sort -retrans --top 10   who sent again most in ten
  flow vol --every 5s -o csv
  flow vol -o wide 'port 443'                every column";

const CPU_EXAMPLES: &str = "Examples:
  flow cpu -i 5                              on which CPUs the processes of TCP connections ran
  flow cpu --general                         what each CPU had to do for connections
  flow cpu --every 10s -o jsonl";

/// What the views have in common.
#[derive(Debug, Args)]
pub struct ViewArgs {
    #[command(flatten)]
    pub filter: FilterArgs,

    #[command(flatten)]
    pub asn: AsnArgs,

    /// Sockets of another network namespace: a name below /run/netns, a process id or a path; `all` = of every one
    #[arg(long, value_name = "NETNS", value_parser = parse_netns, help_heading = "Sockets")]
    pub netns: Option<Netns>,

    /// Report again and again, at this interval, until interrupted or -c is reached; what is counted is what came since the report before
    #[arg(long, value_name = "TIME", value_parser = parse_span, help_heading = "Sockets")]
    pub every: Option<Nanos>,

    /// Columns by name: a,b,c (or `all`); +a,-b adds to or takes from the default
    #[arg(long, value_name = "NAMES", allow_hyphen_values = true, help_heading = "Columns")]
    pub columns: Option<String>,

    /// Print names, units and meanings of all columns, and end
    #[arg(long, help_heading = "Columns")]
    pub list_columns: bool,

    /// Form of the output
    #[arg(short, long, value_parser = not_zeek(), value_name = "FORMAT", default_value = "table", help_heading = "Output")]
    pub output: Format,

    /// Fleutan's own layout, 100 characters wide
    #[arg(long, conflicts_with_all = ["output", "columns"], help_heading = "Output")]
    pub classic: bool,

    /// Order rows by column: names and ports upwards, quantities downwards; COL:asc, COL:desc or -COL say otherwise
    #[arg(long, value_name = "COL", value_delimiter = ',', allow_hyphen_values = true, help_heading = "Output")]
    pub sort: Vec<SortKey>,

    /// Only the first N rows in the order of --sort, of tables and machine formats: charts have all
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "Output")]
    pub top: Option<NonZeroU64>,

    #[command(flatten)]
    pub style: StyleArgs,

    #[command(flatten)]
    pub ending: EndingArgs,
}

/// What flows are put together by.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// The other end's address
    Peer,
    /// The process that holds the socket
    Proc,
}

/// Round-trip times of all TCP connections: their distribution, and a bar for each.
///
/// Of the kernel's sockets, as they are now; with -r of a capture. There a connection's row is that of the end whose peer
/// is farther from the capture point: what a socket of the captured host would say. Fleutan's `flows --lat`.
#[derive(Debug, Args)]
#[command(after_help = LAT_EXAMPLES)]
#[command(after_long_help = format!("{LAT_EXAMPLES}\n\n{}", super::exit_codes()))]
#[command(mut_arg("count", |count| count.help("Stop after N packets of a capture (-r), or after N reports (--every)")))]
#[command(mut_arg("top", |top| top.help("Only the first N rows in the order of --sort (by default the N slowest); what is said of all is of all")))]
#[command(mut_args(of_captures))]
pub struct LatArgs {
    #[command(flatten)]
    pub input: InputArgs,

    /// A chart for each peer, or for each process
    #[arg(short, long, value_enum, value_name = "BY", help_heading = "Rows")]
    pub group: Option<Group>,

    /// Where colours change, in milliseconds: green up to the first, yellow up to the second, red above
    #[arg(short, long, value_name = "T1,T2,T3", default_value = "10,20,100", help_heading = "Output")]
    pub thresh: ThresholdsArg,

    /// How the distribution is counted: in so many equal bins from the least to the greatest, or `log` for round edges
    #[arg(long, value_name = "N|log", default_value = "10", value_parser = parse_bins, help_heading = "Output")]
    pub bins: Bins,

    /// Only what all have in common: percentiles and bins, a row each, in any format
    #[arg(long, conflicts_with_all = ["group", "classic"], help_heading = "Rows")]
    pub distribution: bool,

    /// Which percentiles to show
    #[arg(long, value_name = "P,…", default_value = "50,90,99", help_heading = "Output")]
    pub percentiles: Percentiles,

    #[command(flatten)]
    pub view: ViewArgs,
}

/// What means nothing to sockets needs a capture.
fn of_captures(option: Arg) -> Arg {
    match option.get_id().as_str() {
        "no_decap" | "timeouts" | "max_flows" => option.requires("read"),
        _ => option,
    }
}

impl LatArgs {
    /// In per cent.
    pub fn levels(&self) -> &Levels {
        &self.percentiles.0
    }
}

/// What TCP connections carry and what holds them up, over an interval.
///
/// Segments and bytes in both directions, retransmissions, the window in bytes (cwnd × mss, about the path's
/// bandwidth-delay product), pacing and delivery rate; and whether a sender waited for its application, the peer's receive
/// window, its own send buffer, or the network. Fleutan's `flows --vol`.
#[derive(Debug, Args)]
#[command(after_help = VOL_EXAMPLES)]
#[command(after_long_help = format!("{VOL_EXAMPLES}\n\n{}", super::exit_codes()))]
#[command(mut_arg("top", |top| top.help("Only the first N rows in the order of --sort (by default the N with the most bytes)")))]
pub struct VolArgs {
    /// How long to count
    #[arg(short, long, value_name = "TIME", default_value = "2s", value_parser = parse_span, help_heading = "Sockets")]
    #[arg(conflicts_with = "every")]
    pub interval: Nanos,

    /// Stop after N reports
    #[arg(short = 'c', long, value_name = "N", value_parser = parse_count, requires = "every", help_heading = "Sockets")]
    pub count: Option<NonZeroU64>,

    /// A table for each peer, or for each process
    #[arg(short, long, value_enum, value_name = "BY", help_heading = "Rows")]
    pub group: Option<Group>,

    #[command(flatten)]
    pub view: ViewArgs,
}

/// On which CPUs the processes behind TCP connections run.
///
/// Looks every --period at all threads of every such process. A process counts once each time, however many connections
/// and threads it has, where its threads ran. With --general, the loads of all connections by CPU: of each process, what
/// its connections carry, by the share of its time on that CPU. Fleutan's `flows --cpu`.
#[derive(Debug, Args)]
#[command(after_help = CPU_EXAMPLES)]
#[command(after_long_help = format!("{CPU_EXAMPLES}\n\n{}", super::exit_codes()))]
pub struct CpuArgs {
    /// How long to look
    #[arg(short, long, value_name = "TIME", default_value = "2s", value_parser = parse_span, help_heading = "Sockets")]
    #[arg(conflicts_with = "every")]
    pub interval: Nanos,

    /// Stop after N reports
    #[arg(short = 'c', long, value_name = "N", value_parser = parse_count, requires = "every", help_heading = "Sockets")]
    pub count: Option<NonZeroU64>,

    /// Time between two looks
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_span, help_heading = "Sockets")]
    pub period: Nanos,

    /// Loads by CPU instead of processes
    #[arg(long, help_heading = "Rows")]
    pub general: bool,

    #[command(flatten)]
    pub view: ViewArgs,
}

/// Thresholds as the user writes them.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct ThresholdsArg(pub Thresholds);

impl FromStr for ThresholdsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let limits: Result<Vec<f64>, _> = text.split(',').map(|limit| limit.trim().parse()).collect();
        let limits: Option<[f64; 3]> = limits.ok().and_then(|limits| limits.try_into().ok());
        limits
            .and_then(Thresholds::new)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not three rising numbers of milliseconds, as in 10,20,100 or 0.5,1,5"))
    }
}

fn parse_bins(text: &str) -> Result<Bins, String> {
    match (text, text.parse()) {
        ("log", _) => Ok(Bins::Log),
        (_, Ok(number)) if (1..=MOST_BINS).contains(&number) => Ok(Bins::Equal(number)),
        _ => Err(format!("`{text}` is neither a number of bins, 1 to {MOST_BINS}, nor `log`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bug_13_thresholds_may_have_fractions() {
        assert_eq!("0.5,1,2.5".parse::<ThresholdsArg>().unwrap().0.limits(), [0.5, 1.0, 2.5]);
        for wrong in ["", "1,2", "1,2,3,4", "3,2,1", "a,b,c"] {
            assert!(wrong.parse::<ThresholdsArg>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn bins_are_a_number_or_round() {
        assert_eq!(parse_bins("10"), Ok(Bins::Equal(10)));
        assert_eq!(parse_bins("log"), Ok(Bins::Log));
        for wrong in ["0", "65", "-1", "lin"] {
            assert!(parse_bins(wrong).is_err(), "{wrong}");
        }
    }
}
