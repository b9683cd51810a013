//! Which name servers this machine asks: resolv.conf(5).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::path::Path;
use std::time::Duration;

use flowcore::{Error, ErrorKind, Result};

use super::Options;

/// Where name servers listen.
const PORT: u16 = 53;

/// How many servers of a file are asked, as resolv.conf(5) has it.
const MOST_SERVERS: usize = 3;

/// The longest attempt and the most attempts that a file may ask for; those of resolv.conf(5) would be 30 and 5.
const LONGEST_ATTEMPT: u64 = 5;
const MOST_ATTEMPTS: u32 = 3;

/// Name servers of a machine.
#[derive(Debug)]
pub struct Servers;

impl Servers {
    /// Those of this machine, by `/etc/resolv.conf`.
    ///
    /// # Errors
    /// If the file is there but cannot be read.
    pub fn system() -> Result<Options> {
        Self::read(Path::new("/etc/resolv.conf"))
    }

    /// Those of a file like it. Without a file, or without servers in it, there is one on this machine.
    ///
    /// # Errors
    /// If the file is there but cannot be read.
    pub fn read(path: &Path) -> Result<Options> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Self::parse(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::parse("")),
            Err(error) => Err(Error::io(path.display().to_string(), error)),
        }
    }

    /// Those in `text`. As everywhere, lines that are not understood are passed over.
    pub fn parse(text: &str) -> Options {
        let mut options = Options::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if options.servers.len() < MOST_SERVERS => {
                    options.servers.extend(words.next().and_then(scoped));
                }
                Some("options") => {
                    for (name, number) in words.filter_map(|word| word.split_once(':')) {
                        match (name, number.parse::<u32>()) {
                            ("timeout", Ok(seconds @ 1..)) => {
                                options.attempt = Duration::from_secs(u64::from(seconds).min(LONGEST_ATTEMPT));
                            }
                            ("attempts", Ok(attempts @ 1..)) => options.attempts = attempts.min(MOST_ATTEMPTS),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if options.servers.is_empty() {
            options.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        }
        options
    }
}

/// A server as a user writes it: `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]:PORT`.
///
/// # Errors
/// [`ErrorKind::Usage`] if it is none of these.
pub fn parse_server(text: &str) -> Result<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    scoped(bare).or_else(|| text.parse().ok()).ok_or_else(|| {
        let message =
            format!("`{text}` is no name server; expected its address, as in 192.0.2.53 or [2001:db8::53]:5353");
        Error::new(ErrorKind::Usage, message)
    })
}

/// An address, for a link-local one perhaps with its interface, as in `fe80::1%eth0`.
fn scoped(text: &str) -> Option<SocketAddr> {
    match text.split_once('%') {
        None => Some(SocketAddr::from((text.parse::<IpAddr>().ok()?, PORT))),
        Some((address, interface)) => {
            let number = interface.parse().ok().or_else(|| interface_number(interface))?;
            Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, number).into())
        }
    }
}

fn interface_number(name: &str) -> Option<u32> {
    if name.contains('/') {
        return None;
    }
    std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_servers_and_times() {
        let text = "# c\nsearch example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\nnameserver nonsense\n\
                    options ndots:2 timeout:1 attempts:99\nnameserver fe80::1%7\nnameserver 192.0.2.54\n";
        let options = Servers::parse(text);
        let expected = ["192.0.2.53:53", "[2001:db8::53]:53", "[fe80::1%7]:53"];
        assert_eq!(options.servers.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        assert_eq!((options.attempt, options.attempts), (Duration::from_secs(1), MOST_ATTEMPTS));
    }

    #[test]
    fn without_a_file_there_is_one_on_this_machine() {
        let options = Servers::read(Path::new("/nonexistent/resolv.conf")).unwrap();
        assert_eq!(options.servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn a_server_is_written_with_or_without_its_port() {
        let server = |text: &str| parse_server(text).map(|server| server.to_string());
        assert_eq!(server("192.0.2.53").unwrap(), "192.0.2.53:53");
        assert_eq!(server("192.0.2.53:5353").unwrap(), "192.0.2.53:5353");
        assert_eq!(server("2001:db8::53").unwrap(), "[2001:db8::53]:53");
        assert_eq!(server("[2001:db8::53]").unwrap(), "[2001:db8::53]:53");
        assert_eq!(server("[2001:db8::53]:5353").unwrap(), "[2001:db8::53]:5353");
        assert_eq!(server("fe80::1%lo").unwrap(), "[fe80::1%1]:53");
        assert!(server("dns.example").unwrap_err().to_string().starts_with("`dns.example` is no name server"));
    }
}
