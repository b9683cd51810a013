//! The options of `flow hosts`.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use flowcore::{Addr, Nanos, Prefix};
use flowstats::hosts::{Levels, MOST_LEVELS};

use super::asn::AsnArgs;
use super::filter::FilterArgs;
use super::names::{NameArgs, WhitelistArgs};
use super::shared::{EndingArgs, InputArgs, StyleArgs};
use super::values::{Format, SortKey, not_zeek, parse_count, parse_span};

const EXAMPLES: &str = "Examples:
  flow hosts -r capture.pcapng.zst
  flow hosts -r capture.pcap --percentiles 50,95,99 --sort rtt_p99_ns
  flow hosts -r server.pcap --incoming --local 192.0.2.0/24
  flow hosts -r capture.pcap --by-port --columns +gaps,invalid,midstream
  flow hosts -r capture.pcap -o jsonl | jq 'select(.kind == \"host\") | .lat_p95_ns'
  flow hosts -r capture.pcap --classic";

/// TRTOP's table of remotes, put right.
///
/// Only TCP is judged; `flow conns` has the other flows. A row is a remote: whoever was asked for a connection, or with
/// --incoming whoever asked. RTT is the response time: from a request's first byte to its answer's last; OUT and IN are
/// changes of direction, which for TLS are records, not requests of the application. Percentages are of the
/// connections that began with a SYN, rates are in capture time, percentiles within 0.4 % of a value that occurred.
/// What is not known is `-`, never 0; `≥` marks a lower bound, `~` what may be too small or too large, because the capture
/// misses something.
///
/// With --resolve rows are those of names: several addresses of one name are one row. With --whitelist only remotes
/// that it allows have rows, with --unlisted only those that it does not; the others are counted together in one.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{}", super::exit_codes()))]
pub struct HostsArgs {
    #[command(flatten)]
    pub input: InputArgs,

    #[command(flatten)]
    pub filter: FilterArgs,

    /// The same as -r for a file, as TRTOP had it; interfaces cannot be read yet
    #[arg(short = 'i', value_name = "FILE", hide_short_help = true, help_heading = "Input")]
    pub interface: Vec<PathBuf>,

    /// Take the server's side: the remotes are those who asked
    #[arg(long, help_heading = "Rows")]
    pub incoming: bool,

    /// This host's own networks, where nothing better says who asked whom
    ///
    /// Of connections that were under way when the capture began and use no well-known port. Without it the dynamic
    /// port (32768 and up) is taken for the client's, and if both or neither are, the first sender for the client.
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', value_parser = parse_prefix, help_heading = "Rows")]
    pub local: Vec<Prefix>,

    /// A row per remote and service port
    #[arg(long, help_heading = "Rows")]
    pub by_port: bool,

    /// A row per AS that announces remotes, by the tables of --asn; remotes that none announces keep their own
    #[arg(long, requires = "tables", help_heading = "Rows")]
    pub by_asn: bool,

    /// Most rows; the connections of further remotes are counted together in the row `(others)`
    #[arg(long, value_name = "N", value_parser = parse_count, allow_hyphen_values = true, help_heading = "Rows")]
    pub max_hosts: Option<NonZeroU64>,

    /// Which percentiles to show of times and of responses per connection
    #[arg(long, value_name = "P,…", allow_hyphen_values = true, default_value = "95", help_heading = "Columns")]
    pub percentiles: Percentiles,

    /// Columns by name: a,b,c (or `all`); +a,-b adds to or takes from the default
    #[arg(long, value_name = "NAMES", allow_hyphen_values = true, help_heading = "Columns")]
    pub columns: Option<String>,

    /// Print names, units and meanings of all columns, and end
    #[arg(long, help_heading = "Columns")]
    pub list_columns: bool,

    /// Form of the output
    #[arg(short, long, value_parser = not_zeek(), value_name = "FORMAT", default_value = "table")]
    #[arg(help_heading = "Output")]
    pub output: Format,

    /// TRTOP's own layout: 18 equal cells, in the order of its columns, by established connections upwards
    #[arg(long, conflicts_with_all = ["output", "columns"], help_heading = "Output")]
    pub classic: bool,

    /// Order rows by column: names and ports upwards, quantities downwards; COL:asc, COL:desc or -COL say otherwise
    ///
    /// Several columns may be given, separated by commas. Without it, the remotes with the most connections are first.
    #[arg(long, value_name = "COL", value_delimiter = ',', allow_hyphen_values = true, help_heading = "Output")]
    pub sort: Vec<SortKey>,

    /// Only the first N remotes in the order of --sort; the total is of all
    ///
    /// With --classic and without --sort the greatest, which come last there.
    #[arg(long, value_name = "N", value_parser = parse_count, allow_hyphen_values = true, help_heading = "Output")]
    pub top: Option<NonZeroU64>,

    /// Leave out the row with the total
    #[arg(long, help_heading = "Output")]
    pub no_total: bool,

    /// What to show in red: KEY=VALUE,… with VALUE `off` for what not to
    ///
    /// Keys: syn_ack, est (below this part in per cent of the SYNs), rst (above it), lat, rtt (above this time), qos
    /// (below this number). Times without a unit are seconds: lat=20ms. Only where there are colours.
    #[arg(long, value_name = "KEY=VALUE,…", default_value = "", hide_default_value = true, help_heading = "Output")]
    pub highlight: Highlights,

    #[command(flatten)]
    pub style: StyleArgs,

    #[command(flatten)]
    pub ending: EndingArgs,

    #[command(flatten)]
    pub names: NameArgs,

    #[command(flatten)]
    pub whitelist: WhitelistArgs,

    #[command(flatten)]
    pub asn: AsnArgs,
}

/// Percentiles as the user writes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Percentiles(pub Levels);

impl FromStr for Percentiles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percents: Result<Vec<f64>, String> = text
            .split(',')
            .map(|part| part.trim().trim_start_matches(['p', 'P']))
            .map(|part| part.parse().map_err(|_| format!("`{part}` is no percentile, as in 95 or 99.9")))
            .collect();
        Levels::new(percents?)
            .map(Self)
            .ok_or_else(|| format!("`{text}`: one to {MOST_LEVELS} percentiles between 0 and 100 are possible"))
    }
}

/// From where on a cell is shown in red; `None` = never.
#[derive(Clone, Debug, PartialEq)]
pub struct Highlights {
    /// SYN-ACKs below this part of the SYNs, in per cent.
    pub syn_ack: Option<f64>,
    /// Established below this part of the SYNs, in per cent.
    pub est: Option<f64>,
    /// Reset above this part of the SYNs, in per cent.
    pub rst: Option<f64>,
    /// Time to connect above this.
    pub lat: Option<Nanos>,
    /// Response time above this.
    pub rtt: Option<Nanos>,
    /// Responses per connection below this.
    pub qos: Option<f64>,
}

impl Default for Highlights {
    /// TRTOP's thresholds. Its one for responses per connection, 100, is off: it made nearly every server red, however
    /// well it did.
    fn default() -> Self {
        let millis = |millis: i64| Some(Nanos::new(millis * 1_000_000));
        Self { syn_ack: Some(90.0), est: Some(90.0), rst: Some(10.0), lat: millis(20), rtt: millis(100), qos: None }
    }
}

impl FromStr for Highlights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut highlights = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(format!("`{part}` is not of the form KEY=VALUE, as in lat=20ms"));
            };
            let off = value == "off";
            let number = || match value.trim_end_matches('%').parse::<f64>() {
                Ok(number) if number >= 0.0 => Ok(number),
                _ => Err(format!("`{value}` is neither a number nor `off`")),
            };
            match key {
                "syn_ack" => highlights.syn_ack = if off { None } else { Some(number()?) },
                "est" => highlights.est = if off { None } else { Some(number()?) },
                "rst" => highlights.rst = if off { None } else { Some(number()?) },
                "qos" => highlights.qos = if off { None } else { Some(number()?) },
                "lat" => highlights.lat = if off { None } else { Some(parse_span(value)?) },
                "rtt" => highlights.rtt = if off { None } else { Some(parse_span(value)?) },
                _ => return Err(format!("no key `{key}`; keys are syn_ack, est, rst, lat, rtt, qos")),
            }
        }
        Ok(highlights)
    }
}

/// A network in CIDR notation, or a single address.
fn parse_prefix(text: &str) -> Result<Prefix, String> {
    let wrong = || format!("`{text}` is neither a network, as in 192.0.2.0/24, nor an address");
    if text.contains('/') {
        return text.parse().map_err(|_| wrong());
    }
    let addr: Addr = text.parse().map_err(|_| wrong())?;
    Prefix::new(addr, if addr.is_v4() { 32 } else { 128 }).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_a_list_of_numbers_each_once() {
        let levels = |text: &str| text.parse::<Percentiles>().map(|levels| levels.0.percents().to_vec());
        assert_eq!(levels("50,95,99.9"), Ok(vec![50.0, 95.0, 99.9]));
        assert_eq!(levels("p99,p99"), Ok(vec![99.0]));
        assert!(levels("0,-0").is_ok_and(|levels| levels.len() == 1 && levels[0].is_sign_positive()));
        for wrong in ["", "101", "-1", "fast", "nan", "1,2,3,4,5,6,7,8,9"] {
            assert!(levels(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn highlights_begin_with_trtops_thresholds() {
        let highlights: Highlights = "lat=1s,est=off,rst=5%".parse().unwrap();
        assert_eq!(
            highlights,
            Highlights { lat: Some(Nanos::from_secs(1)), est: None, rst: Some(5.0), ..Highlights::default() }
        );
        for wrong in ["lat", "lat=20y", "rst=-1", "latency=20ms", "est=few"] {
            assert!(wrong.parse::<Highlights>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_local_network_may_be_one_address() {
        assert_eq!(parse_prefix("192.0.2.7/24").unwrap().to_string(), "192.0.2.0/24");
        assert_eq!(parse_prefix("2001:db8::1").unwrap().to_string(), "2001:db8::1/128");
        assert_eq!(parse_prefix("::ffff:192.0.2.7/120").unwrap().to_string(), "192.0.2.0/24");
        assert!(parse_prefix("192.0.2.0/33").is_err());
        assert!(parse_prefix("::ffff:192.0.2.0/24").is_err());
        assert!(parse_prefix("eth0").is_err());
    }
}
