//! Names for the addresses and ports of flows, and which flows are expected.
//!
//! Numbers stay numbers until they are shown; who shows them asks a [`Resolver`](flowcore::Resolver). This crate has
//! five, which a [`Chain`](flowcore::resolve::Chain) puts together, and a whitelist that reads rules:
//!
//! | type | answers |
//! |---|---|
//! | [`Dns`] | reverse names from name servers, looked up by threads of its own |
//! | [`Hosts`] | names from a file such as `/etc/hosts` |
//! | [`Services`] | the names that ports are registered for |
//! | [`Cached`] | names from any source that takes its time, as [`Dns`] is one |
//! | [`Networks`] | AS numbers and their prefixes, from tables in files |
//! | [`Rules`] | which flows are allowed: addresses, prefixes, names and ports, from code or a file |
//!
//! Tables of networks are read by [`asn`]: text always, dumps of routing tables with the feature `mrt`, MaxMind DB
//! files with `maxmind`, and all of them compressed with `compressed`. Under it [`prefix`] keeps a value for every
//! prefix.
//!
//! Nothing here ever waits except [`settle`](flowcore::Resolver::settle), and that as long as it is told. How long a
//! name holds is told by the clock of this machine, not by the time in the data: a capture of last year is shown with
//! the names of today, and a report says so nowhere else.
//!
//! ```
//! use std::sync::Arc;
//! use flowcore::{Lookup, Resolver, resolve::Chain};
//! use flowresolve::{Hosts, Services};
//!
//! let hosts = Hosts::parse("192.0.2.1  web.example www\n", "example")?;
//! let names = Chain(vec![Arc::new(hosts), Arc::new(Services::builtin())]);
//! assert_eq!(names.name("192.0.2.1".parse().unwrap(), 0), Lookup::Known("web.example".into()));
//! assert_eq!(names.service(443, flowcore::Protocol::TCP), Lookup::Known("https".into()));
//! # Ok::<_, flowcore::Error>(())
//! ```

pub mod allow;
pub mod asn;
pub mod cached;
pub mod dns;
mod hosts;
mod lines;
mod name;
pub mod prefix;
mod services;

pub use allow::Rules;
pub use asn::Networks;
pub use cached::Cached;
pub use dns::Dns;
pub use hosts::Hosts;
pub use services::Services;
