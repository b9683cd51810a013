//! Reverse names from name servers.

mod client;
mod message;
mod servers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flowcore::{Addr, Lookup, Resolver};

use crate::cached::{self, Cached, Counts};
use client::Client;

pub use servers::{Servers, parse_server};

/// The name of an address as the domain name system has it: its PTR record (RFC 1035 section 3.5, RFC 3596 section
/// 2.5), asked of a recursive name server.
///
/// Answers hold as long as their records say, those that there is none as long as their zone says (RFC 2308), within
/// [`Lifetimes`](cached::Lifetimes). Of several names the alphabetically first is given, as servers turn their order
/// round; in lower case, without the dot of the root. A name that no host can have, or that reads as an address, is none.
/// Aliases are followed (RFC 2317), truncated answers asked for again over TCP.
///
/// Whoever holds an address chooses its name: without [`confirm`](Options::confirm) a name proves nothing.
#[derive(Debug)]
pub struct Dns(Cached);

/// How to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Name servers, asked one after the other until one answers.
    pub servers: Vec<SocketAddr>,
    /// How long one server has for one answer.
    pub attempt: Duration,
    /// How often each server is asked.
    pub attempts: u32,
    /// How long one address may take, all servers and attempts together.
    pub limit: Duration,
    /// Give a name only if it has the address among its own (A and AAAA records). Takes a second question.
    pub confirm: bool,
}

impl Default for Options {
    /// For no server; the times are those of resolv.conf(5) where it has them, shortened: who looks at flows has
    /// thousands of addresses to ask for and can do without any of their names.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            attempt: Duration::from_secs(2),
            attempts: 2,
            limit: Duration::from_secs(5),
            confirm: false,
        }
    }
}

impl Dns {
    /// Names from these servers, nothing asked yet.
    pub fn new(options: Options) -> Self {
        Self::with(options, cached::Options::default())
    }

    /// The same with other bounds.
    pub fn with(options: Options, bounds: cached::Options) -> Self {
        let client = Client::new(options);
        Self(Cached::new(move |addr: Addr| client.ask(addr), bounds))
    }

    /// What became of the questions so far.
    pub fn counts(&self) -> Counts {
        self.0.counts()
    }
}

impl Resolver for Dns {
    fn name(&self, addr: Addr, port: u16) -> Lookup<Arc<str>> {
        if may_have_a_name(addr) { self.0.name(addr, port) } else { Lookup::Absent }
    }
    fn settle(&self, within: Duration) -> Duration {
        self.0.settle(within)
    }
}

/// Groups, everybody and nobody are not asked for.
fn may_have_a_name(addr: Addr) -> bool {
    let ip = addr.to_ip();
    let everybody = matches!(ip, std::net::IpAddr::V4(v4) if v4.is_broadcast());
    !(ip.is_multicast() || ip.is_unspecified() || everybody)
}
