//! The options of `flow conns`.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::filter::FilterArgs;
use super::values::{AllowedLoss, Color, Format, SortKey, TimeStyle, Timeouts, parse_count};

const EXAMPLES: &str = "Examples:
  flow conns -r capture.pcapng.zst
  flow conns -r 'ring/*.pcap' --top 10 --sort duration_ns
  flow conns -r capture.pcap --columns +vlan,+community_id,-history
  flow conns -r capture.pcap -o csv > conns.csv
  flow conns -r capture.pcap 'tcp and dport 443'        packets, then their connections
  flow conns -r capture.pcap 'state S0 or bytes > 1MB'  connections
  tcpdump -i any -w - tcp | flow conns -r - -o jsonl | jq .src_ip";

/// Options after tcpdump's habits where it has one for the same thing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{}", super::exit_codes()))]
pub struct ConnsArgs {
    /// Read packets from FILE: pcap or pcapng, also compressed (gzip, zstd, lz4, xz); `-` is standard input
    ///
    /// May be given several times; the packets of all files are merged in the order of their times. A pattern in
    /// quotes (`'ring/*.pcap'`) stands for all files that match it.
    #[arg(short = 'r', long = "read", value_name = "FILE", help_heading = "Input")]
    pub read: Vec<PathBuf>,

    /// Stop after N packets
    #[arg(short = 'c', long = "count", value_name = "N", value_parser = parse_count, help_heading = "Input")]
    pub count: Option<NonZeroU64>,

    /// Take the outermost headers for a flow's ends, not the innermost of a tunnel
    #[arg(long, help_heading = "Input")]
    pub no_decap: bool,

    /// How long a flow lives without packets, as in tcp=5m,udp=1m,icmp=30s
    ///
    /// Kinds: tcp, tcp-attempt (a SYN without answer), tcp-close, tcp-reset, udp, icmp, other. Units: ms, s, m, h, d.
    #[arg(long, value_name = "KIND=TIME,…", default_value = "", hide_default_value = true, help_heading = "Input")]
    pub timeouts: Timeouts,

    /// Most flows to follow at the same time; the packets of more are counted as untracked
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "Input")]
    pub max_flows: Option<NonZeroU64>,

    #[command(flatten)]
    pub filter: FilterArgs,

    /// Form of the output
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table, help_heading = "Output")]
    pub output: Format,

    /// Columns by name: a,b,c (or `all`); +a,-b adds to or takes from the default
    #[arg(long, value_name = "NAMES", allow_hyphen_values = true, help_heading = "Output")]
    pub columns: Option<String>,

    /// Print names, units and meanings of all columns, and end
    #[arg(long, help_heading = "Output")]
    pub list_columns: bool,

    /// Order rows by column: times and names upwards, numbers downwards; COL:asc, COL:desc or -COL say otherwise
    ///
    /// Several columns may be given, separated by commas. Without it, tables are ordered by start, and jsonl, csv,
    /// tsv and zeek rows come as connections end.
    #[arg(long, value_name = "COL", value_delimiter = ',', allow_hyphen_values = true, help_heading = "Output")]
    pub sort: Vec<SortKey>,

    /// Only the first N rows in the order of --sort (by default the N with the most bytes)
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "Output")]
    pub top: Option<NonZeroU64>,

    /// Times in tables; other formats always have nanoseconds since 1970
    #[arg(long, value_enum, value_name = "STYLE", conflicts_with = "tcpdump_time", help_heading = "Output")]
    pub time: Option<TimeStyle>,

    /// Times as tcpdump's: -t none, -tt epoch, -ttt delta, -tttt local date, -ttttt relative
    #[arg(short = 't', action = ArgAction::Count, help_heading = "Output")]
    pub tcpdump_time: u8,

    /// Packets and bytes in tables as 1.2k, 3.4M
    #[arg(long, help_heading = "Output")]
    pub human: bool,

    /// Colours in tables
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto, help_heading = "Output")]
    pub color: Color,

    /// Leave out column names (table, wide, csv, tsv)
    #[arg(long, help_heading = "Output")]
    pub no_header: bool,

    /// Leave out the trust line (table, wide, csv, tsv, zeek)
    #[arg(long, help_heading = "Output")]
    pub no_trailer: bool,

    /// Integers beyond 2^53 as strings in jsonl and json
    #[arg(long, help_heading = "Output")]
    pub json_safe_int: bool,

    /// Hand on every row at once instead of in blocks
    #[arg(short = 'l', long, help_heading = "Output")]
    pub line_buffered: bool,

    /// Exit with 5 if more packets than this were lost: a number, or a part of those seen as in 0.1%
    #[arg(long, value_name = "LOSS", help_heading = "Exit code")]
    pub max_loss: Option<AllowedLoss>,

    /// Exit with 6 if there are no rows
    #[arg(long, help_heading = "Exit code")]
    pub fail_empty: bool,

    /// No progress bar and no notes; errors and the trust line remain
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,

    /// More notes about what is read, and totals at the end
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet", help_heading = "Messages")]
    pub verbose: u8,

    /// Addresses as numbers; always so, accepted for habit
    #[arg(short = 'n', action = ArgAction::Count, help_heading = "Messages")]
    pub numeric: u8,
}
