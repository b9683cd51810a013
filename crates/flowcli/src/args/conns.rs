//! The options of `flow conns`.

use std::num::NonZeroU64;

use clap::{ArgAction, Args};

use super::asn::AsnArgs;
use super::filter::FilterArgs;
use super::names::{NameArgs, WhitelistArgs};
use super::shared::{EndingArgs, InputArgs, StyleArgs};
use super::values::{Format, SortKey, TimeStyle, parse_count};

const EXAMPLES: &str = "Examples:
  flow conns -r capture.pcapng.zst
  flow conns -r 'ring/*.pcap' --top 10 --sort duration_ns
  flow conns -r capture.pcap --columns +vlan,+community_id,-history
  flow conns -r capture.pcap -o csv > conns.csv
  flow conns -r capture.pcap 'tcp and port 443'         whole connections; `dport 443` would follow one direction only
  flow conns -r capture.pcap 'state S0 or bytes > 1MB'  connections, when they are over
  flow conns -r capture.pcap start 2026-11-20T10:03     connections that began in that minute, UTC
  tcpdump -i any -w - tcp | flow conns -r - -o jsonl | jq 'select(.type == \"conn\") | .src_ip'";

/// Options after tcpdump's habits where it has one for the same thing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{}", super::exit_codes()))]
pub struct ConnsArgs {
    #[command(flatten)]
    pub input: InputArgs,

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

    /// Order rows by column: times, names and identifiers upwards, quantities downwards; COL:asc, COL:desc or -COL
    /// say otherwise
    ///
    /// Several columns may be given, separated by commas. Without it, tables are ordered by start, and jsonl, csv,
    /// tsv and zeek rows come as connections end.
    #[arg(long, value_name = "COL", value_delimiter = ',', allow_hyphen_values = true, help_heading = "Output")]
    pub sort: Vec<SortKey>,

    /// Only the first N rows in the order of --sort (by default the N with the most bytes)
    #[arg(long, value_name = "N", value_parser = parse_count, allow_hyphen_values = true, help_heading = "Output")]
    pub top: Option<NonZeroU64>,

    /// Times in tables; other formats always have nanoseconds since 1970
    #[arg(long, value_enum, value_name = "STYLE", conflicts_with = "tcpdump_time", help_heading = "Output")]
    pub time: Option<TimeStyle>,

    /// Times as tcpdump's: -t none, -tt epoch, -ttt delta, -tttt local date, -ttttt relative
    #[arg(short = 't', action = ArgAction::Count, help_heading = "Output")]
    pub tcpdump_time: u8,

    #[command(flatten)]
    pub style: StyleArgs,

    /// Hand on every row at once instead of in blocks
    #[arg(short = 'l', long, help_heading = "Output")]
    pub line_buffered: bool,

    #[command(flatten)]
    pub ending: EndingArgs,

    #[command(flatten)]
    pub names: NameArgs,

    #[command(flatten)]
    pub whitelist: WhitelistArgs,

    #[command(flatten)]
    pub asn: AsnArgs,
}
