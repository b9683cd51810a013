//! Which network announces an address: AS numbers from tables in files.
//!
//! Four kinds of table are told apart by their content, whatever their names:
//!
//! - **Text**, one prefix or range a line, as the lines below: CAIDA's pfx2as, prefix and AS as pyasn writes it, and
//!   ranges as IPtoASN has them; separated by tabs, blanks or commas. `#` and `;` begin comments.
//! - **MRT** dumps of routing tables (RFC 6396, `TABLE_DUMP` and `TABLE_DUMP_V2`, unicast), with the feature `mrt`.
//! - **MaxMind DB** files that have AS numbers, with the feature `maxmind`.
//! - Either of them compressed with gzip, xz or zstd, with the feature `compressed`.
//!
//! ```text
//! 1.0.0.0      24          13335                        # pfx2as
//! 1.0.0.0/24               13335
//! 1.0.0.0      1.0.0.255   13335   US   CLOUDFLARENET   # IPtoASN
//! 1.0.0.0,1.0.0.255,13335,"Cloudflare, Inc."
//! ```
//!
//! The narrowest prefix or range that holds an address answers; of equal ones the first, in the order in which files were
//! read. AS 0 means that nobody announces a range, and it is passed over.
//!
//! A prefix may have **several origins**: `64500_64501` in pfx2as (announced by both), `64500,64501` (an AS set, the
//! origins of an aggregate), or routes in a dump that end in different networks. All are kept,
//! [`origins`](Networks::origins): filters and rules ask whether any of them is meant, columns show the first one. First
//! is, in text, the first that stands outside a set; in a dump, the one in which the most routes end, and of equals the
//! one seen first.
//!
//! **Damage** costs the line or record that has it, nothing else: it is counted and named in [`Source`], and what was
//! readable is kept. A file of which nothing can be read is an error.
//!
//! ```
//! use flowcore::Resolver;
//! use flowresolve::asn::{Loader, Options};
//!
//! let table = "192.0.2.0\t24\t64500\n198.51.100.0\t24\t64501_64502\n";
//! let mut loader = Loader::new(Options::default());
//! loader.stream("table", table.as_bytes())?;
//! let networks = loader.finish();
//! let network = networks.network("192.0.2.7".parse().unwrap()).known().unwrap();
//! assert_eq!((network.asn, network.prefix.to_string()), (64_500, "192.0.2.0/24".to_owned()));
//! assert_eq!(networks.origins("198.51.100.1".parse().unwrap()), [64_501, 64_502]);
//! // Predefined, unless the options say otherwise.
//! assert_eq!(networks.asn("10.0.0.1".parse().unwrap()), Some(65_535));
//! # Ok::<_, flowcore::Error>(())
//! ```

#[cfg(feature = "maxmind")]
mod maxmind;
#[cfg(feature = "mrt")]
mod mrt;
mod open;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use flowcore::resolve::Network;
use flowcore::{Addr, Error, ErrorKind, Features, Lookup, Prefix, Resolver, Result};

use crate::prefix;

/// The AS number of private addresses, where no table says otherwise. Nobody may announce it (RFC 7300).
pub const PRIVATE: u32 = 65_535;

/// RFC 1918 section 3.
const PRIVATE_SPACE: [([u8; 4], u8); 3] = [([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];

/// Damage told of each file; more is counted.
pub const MOST_COMPLAINTS: usize = 10;

/// What a [`Loader`] does besides reading files.
#[derive(Copy, Clone, Debug)]
pub struct Options {
    /// Whether 10/8, 172.16/12 and 192.168/16 belong to [`PRIVATE`] where no table says otherwise.
    pub private: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { private: true }
    }
}

/// What a file turned out to be.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Lines.
    Text,
    /// A dump of a routing table.
    Mrt,
    /// A MaxMind DB.
    MaxMind,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Mrt => "MRT dump",
            Self::MaxMind => "MaxMind DB",
        })
    }
}

/// What was found in one file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Source {
    /// The file's name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Prefixes and ranges with an origin.
    pub networks: u64,
    /// Those that nobody announces, or by routes that name no network.
    pub without_origin: u64,
    /// Lines or records that could not be understood.
    pub damaged: u64,
    /// The first of them, each with file, line and remedy; at most [`MOST_COMPLAINTS`].
    pub complaints: Vec<String>,
}

impl Source {
    fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.into(), kind, networks: 0, without_origin: 0, damaged: 0, complaints: Vec::new() }
    }

    /// Counts damage at `place`, a line's number for instance.
    fn complain(&mut self, place: impl fmt::Display, what: impl fmt::Display) {
        self.damaged += 1;
        if self.complaints.len() < MOST_COMPLAINTS {
            self.complaints.push(format!("{}:{place}: {what}", self.name));
        }
    }
}

/// Reads tables, and makes [`Networks`] of them.
#[derive(Debug)]
pub struct Loader {
    gathered: Gathered,
    sources: Vec<Source>,
    options: Options,
}

impl Loader {
    /// Nothing read yet.
    pub fn new(options: Options) -> Self {
        Self { gathered: Gathered::default(), sources: Vec::new(), options }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or nothing in it is a table of networks.
    pub fn file(&mut self, path: &Path) -> Result<&Source> {
        let name = path.display().to_string();
        let file = open::open(path, &name)?;
        self.stream(&name, file)
    }

    /// Reads a stream, called `name` in messages, to its end.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn stream(&mut self, name: &str, stream: impl Read) -> Result<&Source> {
        let (kind, mut stream) = open::recognise(name, Box::new(stream))?;
        let mut source = Source::new(name, kind);
        match kind {
            Kind::Text => text::read(&mut *stream, &mut self.gathered, &mut source)?,
            #[cfg(feature = "mrt")]
            Kind::Mrt => mrt::read(&mut *stream, &mut self.gathered, &mut source)?,
            #[cfg(feature = "maxmind")]
            Kind::MaxMind => maxmind::read(&mut *stream, &mut self.gathered, &mut source)?,
            #[allow(unreachable_patterns)]
            other => return Err(unbuilt(name, other)),
        }
        if source.networks + source.without_origin == 0 {
            let why = source.complaints.first().map_or(String::new(), |first| format!("; {first}"));
            let message = format!("{name}: no network is in this {kind}{why}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        self.sources.push(source);
        Ok(&self.sources[self.sources.len() - 1])
    }

    /// The networks of all that was read.
    pub fn finish(mut self) -> Networks {
        if self.options.private {
            let id = self.gathered.origin(&[PRIVATE], "private addresses");
            for (bytes, bits) in PRIVATE_SPACE {
                self.gathered.builder.prefix(Addr::v4(bytes), bits, id);
            }
        }
        let Gathered { builder, origins, .. } = self.gathered;
        Networks { table: builder.build(), origins: origins.into(), sources: self.sources }
    }
}

/// The error of a kind whose feature is not there.
fn unbuilt(name: &str, kind: Kind) -> Error {
    let what = match kind {
        Kind::Text => "this is text, which is always read",
        Kind::Mrt => "this is an MRT dump, which this program was built without (feature `mrt` of flowresolve)",
        // Whatever is nothing else may be one.
        Kind::MaxMind => {
            "this is neither text nor an MRT dump, and MaxMind DB files this program was built without (feature \
             `maxmind` of flowresolve)"
        }
    };
    Error::new(ErrorKind::Unsupported, format!("{name}: {what}"))
}

/// Which network announces which addresses.
#[derive(Clone, Debug)]
pub struct Networks {
    /// Its values are places in `origins`.
    table: prefix::Table,
    origins: Box<[Origin]>,
    sources: Vec<Source>,
}

impl Networks {
    /// The AS that announces `addr`; of several the first, see the [module](self).
    #[inline]
    pub fn asn(&self, addr: Addr) -> Option<u32> {
        Some(self.origins[self.table.value(addr)? as usize].asns[0])
    }

    /// All origins of the narrowest prefix that holds `addr`.
    pub fn origins(&self, addr: Addr) -> &[u32] {
        self.table.value(addr).map_or(&[], |place| &self.origins[place as usize].asns)
    }

    /// What was read, in the order in which it was.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Memory that it takes, about.
    pub fn memory_bytes(&self) -> usize {
        let text = |origin: &Origin| origin.holder.as_ref().map_or(0, |name| name.len() + 16);
        let origins = self.origins.iter().map(|origin| size_of::<Origin>() + size_of_val(&*origin.asns) + text(origin));
        self.table.memory_bytes() + origins.sum::<usize>()
    }
}

impl Resolver for Networks {
    fn network(&self, addr: Addr) -> Lookup<Network> {
        let Some((place, prefix)) = self.table.get(addr) else { return Lookup::Absent };
        let Origin { asns, holder } = &self.origins[place as usize];
        let several = (asns.len() > 1).then(|| asns.clone());
        Lookup::Known(Network { asn: asns[0], prefix, holder: holder.clone(), several })
    }

    fn announced(&self, wanted: &dyn Fn(&[u32]) -> bool) -> Option<Vec<(Addr, Addr)>> {
        let wanted: Vec<bool> = self.origins.iter().map(|origin| wanted(&origin.asns)).collect();
        Some(self.table.addresses(|place| wanted[place as usize]))
    }

    fn offers(&self) -> Features {
        Features::NETWORKS
    }
}

/// Who announces a prefix.
#[derive(Clone, Debug)]
struct Origin {
    /// At least one; the one that is said first.
    asns: Arc<[u32]>,
    holder: Option<Arc<str>>,
}

/// What was read so far.
#[derive(Debug, Default)]
struct Gathered {
    builder: prefix::Builder,
    origins: Vec<Origin>,
    /// Places in `origins` by what [`key`](Self::key) makes of one.
    known: HashMap<Box<str>, u32>,
    key: String,
}

impl Gathered {
    /// The number of an origin; `asns` has at least one, and an empty `holder` is none.
    fn origin(&mut self, asns: &[u32], holder: &str) -> u32 {
        self.key.clear();
        for asn in asns {
            // Writing to a string cannot fail.
            let _ = write!(self.key, "{asn},");
        }
        self.key.push_str(holder);
        if let Some(&id) = self.known.get(&*self.key) {
            return id;
        }
        let id = u32::try_from(self.origins.len()).unwrap_or(u32::MAX);
        let holder = (!holder.is_empty()).then(|| holder.into());
        self.origins.push(Origin { asns: asns.into(), holder });
        self.known.insert(self.key.as_str().into(), id);
        id
    }

    /// Adds a prefix. `None` if it is none; IPv4 may be written as mapped into IPv6.
    fn prefix(&mut self, ip: IpAddr, bits: u8, origin: u32) -> Option<()> {
        let prefix = Prefix::written(ip, bits)?;
        self.builder.prefix(prefix.network(), prefix.bits(), origin)
    }
}
