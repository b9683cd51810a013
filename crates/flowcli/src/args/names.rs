//! The options about names, which every command that shows addresses has, and about flows that are expected.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args};
use flowcore::Nanos;
use flowresolve::dns::parse_server;

use super::values::parse_span;

/// Who gives names.
#[derive(Debug, Args)]
#[command(next_help_heading = "Names")]
pub struct NameArgs {
    /// Show names for addresses and ports: hosts, dns, services; none is -n
    ///
    /// dns asks the name servers of /etc/resolv.conf, dns:ADDR or dns:ADDR:PORT another one; fcrdns takes only names
    /// that lead back to the address. hosts reads /etc/hosts, hosts:FILE a file like it. services knows the ports in
    /// daily use, services:FILE those of a file like /etc/services. Several may be given, separated by commas; the
    /// first that knows a name gives it. Tables show names instead of numbers. In other formats conns and sockets
    /// have both, names in columns of their own (--list-columns); rows of hosts are those of names, in every format.
    #[arg(long, value_name = "HOW", value_delimiter = ',')]
    pub resolve: Vec<Resolve>,

    /// How long the end of a run waits for names that are being looked up
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_wait)]
    pub resolve_wait: Nanos,

    /// Numbers only, whatever --resolve and -N say before or behind it; the default
    #[arg(short = 'n', action = ArgAction::Count)]
    pub numeric: u8,

    /// All names there are: --resolve hosts,dns,services
    #[arg(short = 'N', long)]
    pub names: bool,
}

/// Which flows are expected.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Names")]
pub struct WhitelistArgs {
    /// Compare flows with the rules in FILE: conns says which are allowed (columns `allowed`, `rule`), hosts shows these
    ///
    /// A rule is an address, a prefix, a name or `*`, each perhaps with a port: `192.0.2.0/24`,
    /// `www.example.com:443`, `[2001:db8::1]:8000-8100/tcp`, `*:53/udp`. It means the end that was called; `from
    /// 10.0.0.0/8 to *:443` means both. One a line or separated by commas; `#` begins a comment. Names are compared
    /// as --resolve gives them.
    #[arg(long, value_name = "FILE")]
    pub whitelist: Option<PathBuf>,

    /// Only rows of flows that no rule of --whitelist allows
    #[arg(long, requires = "whitelist")]
    pub unlisted: bool,
}

impl NameArgs {
    /// Who gives names, in order; empty: nobody.
    pub fn resolvers(&self) -> Vec<Resolve> {
        // Either takes back what an alias says, wherever it stands.
        if self.numeric > 0 || self.resolve.contains(&Resolve::None) {
            return Vec::new();
        }
        let all = [Resolve::Hosts(None), Resolve::Dns { server: None, confirm: false }, Resolve::Services(None)];
        let mut chosen: Vec<Resolve> = self.resolve.clone();
        chosen.extend(all.into_iter().filter(|_| self.names));
        chosen
    }
}

/// One source of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// Numbers stay numbers.
    None,
    /// A file; `None`: `/etc/hosts`.
    Hosts(Option<PathBuf>),
    /// Name servers.
    Dns {
        /// `None`: those of the system.
        server: Option<SocketAddr>,
        /// Names must lead back.
        confirm: bool,
    },
    /// A file; `None`: the list that is built in.
    Services(Option<PathBuf>),
}

impl FromStr for Resolve {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, value) = match text.split_once(':') {
            Some((kind, value)) if !value.is_empty() => (kind, Some(value)),
            Some((kind, _)) => return Err(format!("something is missing behind `{kind}:`")),
            None => (text, None),
        };
        let server = || value.map(|value| parse_server(value).map_err(|error| error.to_string())).transpose();
        Ok(match kind {
            "none" if value.is_none() => Self::None,
            "hosts" => Self::Hosts(value.map(PathBuf::from)),
            "dns" => Self::Dns { server: server()?, confirm: false },
            "fcrdns" => Self::Dns { server: server()?, confirm: true },
            "services" => Self::Services(value.map(PathBuf::from)),
            "none" => return Err("`none` stands alone".to_owned()),
            _ => {
                return Err(
                    "it is one of none, hosts, hosts:FILE, dns, dns:SERVER, fcrdns, services, services:FILE".to_owned()
                );
            }
        })
    }
}

/// A span of time, which may be none.
fn parse_wait(text: &str) -> Result<Nanos, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.parse() == Ok(0.0) && parse_span(&format!("1{unit}")).is_ok() {
        return Ok(Nanos::ZERO);
    }
    parse_span(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(resolve: &[&str], numeric: u8, names: bool) -> NameArgs {
        NameArgs {
            resolve: resolve.iter().map(|text| text.parse().unwrap()).collect(),
            resolve_wait: Nanos::ZERO,
            numeric,
            names,
        }
    }

    #[test]
    fn a_source_of_names_is_a_kind_and_perhaps_where() {
        let read = |text: &str| text.parse::<Resolve>();
        assert_eq!(read("hosts"), Ok(Resolve::Hosts(None)));
        assert_eq!(read("hosts:/a:b"), Ok(Resolve::Hosts(Some("/a:b".into()))));
        let server = Some("192.0.2.53:53".parse().unwrap());
        assert_eq!(read("dns:192.0.2.53"), Ok(Resolve::Dns { server, confirm: false }));
        assert_eq!(read("fcrdns"), Ok(Resolve::Dns { server: None, confirm: true }));
        for wrong in ["", "dn", "dns:", "dns:example", "none:1", "hosts:"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_and_none_stand_above_names_wherever_they_stand() {
        assert_eq!(args(&[], 0, false).resolvers(), []);
        assert_eq!(args(&["hosts", "dns"], 0, false).resolvers().len(), 2);
        for lists in [["services", "none"], ["none", "services"]] {
            assert_eq!(args(&lists, 0, false).resolvers(), []);
        }
        assert_eq!(args(&["none"], 0, true).resolvers(), []);
        assert_eq!(args(&[], 1, true).resolvers(), []);
        assert_eq!(args(&["dns"], 1, false).resolvers(), []);
        assert_eq!(args(&[], 0, true).resolvers().len(), 3);
    }

    #[test]
    fn waiting_may_take_no_time() {
        assert_eq!(parse_wait("0"), Ok(Nanos::ZERO));
        assert_eq!(parse_wait("0s"), Ok(Nanos::ZERO));
        assert_eq!(parse_wait("1.5s"), Ok(Nanos::new(1_500_000_000)));
        assert_eq!(parse_wait("0.0ms"), Ok(Nanos::ZERO));
        for wrong in ["soon", "0foo", "00parsecs", "s", ""] {
            assert!(parse_wait(wrong).is_err(), "{wrong}");
        }
    }
}
