//! Options that several commands have.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::values::{AllowedLoss, Color, Format, Timeouts, parse_count};

/// What is read, and how flows are made of it.
#[derive(Clone, Debug, Args)]
pub struct InputArgs {
    /// Read packets from FILE: pcap or pcapng, also compressed (gzip, zstd, lz4, xz); `-` is standard input
    ///
    /// May be given several times; the packets of all files are merged in the order of their times. A pattern in
    /// quotes (`'ring/*.pcap'`) stands for all files that match it.
    #[arg(short = 'r', long = "read", value_name = "FILE", help_heading = "Input")]
    pub read: Vec<PathBuf>,

    /// Stop after N packets, selected by a filter or not
    #[arg(short = 'c', long = "count", value_name = "N", value_parser = parse_count, allow_hyphen_values = true, help_heading = "Input")]
    pub count: Option<NonZeroU64>,

    /// Take the outermost headers for a flow's ends, not the innermost of a tunnel
    #[arg(long, help_heading = "Input")]
    pub no_decap: bool,

    /// How long a flow lives without packets, as in tcp=5m,udp=1m,icmp=30s
    ///
    /// Kinds: tcp, tcp-attempt (a SYN without answer), tcp-close, tcp-reset, udp, icmp, other. Units: ms, s, m, h, d;
    /// without one seconds.
    #[arg(long, value_name = "KIND=TIME,…", default_value = "", hide_default_value = true, help_heading = "Input")]
    pub timeouts: Timeouts,

    /// Most flows to follow at the same time; the packets of more are counted as untracked
    #[arg(long, value_name = "N", value_parser = parse_count, allow_hyphen_values = true, help_heading = "Input")]
    pub max_flows: Option<NonZeroU64>,
}

/// What output looks like.
#[derive(Copy, Clone, Debug, Args)]
pub struct StyleArgs {
    /// Packets and bytes in tables as 1.2k, 3.4M
    #[arg(long, help_heading = "Output")]
    pub human: bool,

    /// Colours in tables, charts and messages
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto, help_heading = "Output")]
    pub color: Color,

    /// Leave out column names (of tables, csv and tsv)
    #[arg(short = 'H', long, help_heading = "Output")]
    pub no_header: bool,

    /// Leave out the trust line (all formats but jsonl and json)
    #[arg(long, help_heading = "Output")]
    pub no_trailer: bool,

    /// Integers beyond 2^53 as strings in jsonl and json
    #[arg(long, help_heading = "Output")]
    pub json_safe_int: bool,
}

impl StyleArgs {
    /// What was asked for and means nothing to this format.
    pub fn without_effect(self, format: Format) -> impl Iterator<Item = &'static str> {
        let has_header = !format.is_json() && format != Format::Zeek;
        [
            (self.human && !format.is_text(), "--human is for tables; other formats have plain numbers"),
            (self.no_header && !has_header, "--no-header is for tables, csv and tsv; this format keeps its names"),
            (self.no_trailer && format.is_json(), "--no-trailer is not for jsonl and json; they keep their trailer"),
            (self.json_safe_int && !format.is_json(), "--json-safe-int is for jsonl and json"),
        ]
        .into_iter()
        .filter_map(|(is_idle, why)| is_idle.then_some(why))
    }
}

/// How a run ends, and what is said on the way.
#[derive(Debug, Args)]
pub struct EndingArgs {
    /// Exit with 5 if more packets than this were lost: a number, or a part of those seen as in 0.1%
    ///
    /// What counts is what the source tells: a classic pcap file tells nothing, which a note says. Packets that found no
    /// room in the flow table are not lost but untracked.
    #[arg(long, value_name = "LOSS", allow_hyphen_values = true, help_heading = "Exit code")]
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
}
