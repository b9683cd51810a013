//! The options of `flow count`.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::asn::AsnArgs;
use super::filter::FilterArgs;
use super::shared::{EndingArgs, StyleArgs};
use super::values::{Format, not_zeek, parse_count};

const EXAMPLES: &str = "Examples:
  flow count -r capture.pcap 'tcp and port 443'
  flow count -r 'ring/*.pcap' syn and not ack
  flow count -r capture.pcap time 2026-11-20T10:03  one minute, UTC
  flow count -r capture.pcap -o jsonl 'src 10.0.0.0/8 or vlan 5' | jq 'select(.type == \"count\") | .packets'";

/// Options as those of `flow conns`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{}", super::exit_codes()))]
pub struct CountArgs {
    /// Read packets from FILE: pcap or pcapng, also compressed (gzip, zstd, lz4, xz); `-` is standard input
    ///
    /// May be given several times. A pattern in quotes (`'ring/*.pcap'`) stands for all files that match it.
    #[arg(short = 'r', long = "read", value_name = "FILE", help_heading = "Input")]
    pub read: Vec<PathBuf>,

    /// Stop after N packets, selected or not
    #[arg(short = 'c', long = "count", value_name = "N", value_parser = parse_count, allow_hyphen_values = true, help_heading = "Input")]
    pub count: Option<NonZeroU64>,

    /// Look at the outermost headers, not the innermost of a tunnel
    #[arg(long, help_heading = "Input")]
    pub no_decap: bool,

    #[command(flatten)]
    pub filter: FilterArgs,

    /// Form of the output
    #[arg(short, long, value_parser = not_zeek(), value_name = "FORMAT", default_value = "table")]
    #[arg(help_heading = "Output")]
    pub output: Format,

    /// Columns by name: packets, bytes
    #[arg(long, value_name = "NAMES", allow_hyphen_values = true, help_heading = "Output")]
    pub columns: Option<String>,

    /// Print names, units and meanings of all columns, and end
    #[arg(long, help_heading = "Output")]
    pub list_columns: bool,

    #[command(flatten)]
    pub style: StyleArgs,

    #[command(flatten)]
    pub ending: EndingArgs,

    #[command(flatten)]
    pub asn: AsnArgs,

    /// Addresses as numbers; always so, accepted for habit
    #[arg(short = 'n', action = ArgAction::Count, help_heading = "Messages")]
    pub numeric: u8,
}
