//! Dumps of routing tables in MRT (RFC 6396).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::net::IpAddr;

use bgpkit_parser::models::{Attributes, MrtMessage, NetworkPrefix, TableDumpV2Message, TableDumpV2Type};
use bgpkit_parser::{ParserError, chunk_mrt_record};
use flowcore::Result;

use super::{Gathered, Source};

/// Reads records to the end, or to the first whose length cannot be right.
pub(super) fn read(stream: &mut dyn BufRead, gathered: &mut Gathered, source: &mut Source) -> Result<()> {
    let mut stream = stream;
    let mut routes = Routes::default();
    let mut others = 0u64;
    for number in 1u64.. {
        let record = match chunk_mrt_record(&mut stream) {
            Ok(record) => record,
            Err(wrong) if matches!(wrong.error, ParserError::EofExpected) => break,
            Err(wrong) => {
                let what = format_args!("{}: nothing behind this was read; fetch the file again", wrong.error);
                source.complain(format_args!("record {number}"), what);
                break;
            }
        };
        match record.parse().map(|record| record.message) {
            Ok(MrtMessage::TableDumpMessage(route)) => {
                routes.count(route.prefix, [&route.attributes]);
            }
            Ok(MrtMessage::TableDumpMessageBatch(batch)) => {
                for route in &batch {
                    routes.count(route.prefix, [&route.attributes]);
                }
            }
            Ok(MrtMessage::TableDumpV2Message(TableDumpV2Message::RibAfi(rib))) if is_unicast(rib.rib_type) => {
                routes.count(rib.prefix, rib.rib_entries.iter().map(|entry| &entry.attributes));
            }
            // The list of peers says nothing about prefixes.
            Ok(MrtMessage::TableDumpV2Message(TableDumpV2Message::PeerIndexTable(_))) => {}
            // No damage: routes of other families, and updates.
            Ok(_) | Err(ParserError::Unsupported(_)) => others += 1,
            Err(error) => source.complain(format_args!("record {number}"), format_args!("{error}; it is left out")),
        }
    }
    routes.finish(gathered, source);
    if others > 0 && source.networks == 0 {
        let what =
            format_args!("{others} records are of other kinds, none is of a unicast routing table: use a RIB dump");
        source.complain("all", what);
    }
    Ok(())
}

fn is_unicast(kind: TableDumpV2Type) -> bool {
    matches!(
        kind,
        TableDumpV2Type::RibIpv4Unicast
            | TableDumpV2Type::RibIpv6Unicast
            | TableDumpV2Type::RibIpv4UnicastAddPath
            | TableDumpV2Type::RibIpv6UnicastAddPath
    )
}

/// The routes to each prefix. Those to one need not follow each other: some routers dump one neighbour after the other.
#[derive(Default)]
struct Routes {
    /// Where they end, and how many do, in the order in which they were seen.
    origins: BTreeMap<(IpAddr, u8), Vec<(u32, u32)>>,
}

impl Routes {
    fn count<'a>(&mut self, prefix: NetworkPrefix, routes: impl IntoIterator<Item = &'a Attributes>) {
        let origins = self.origins.entry((prefix.prefix.addr(), prefix.prefix.prefix_len())).or_default();
        for attributes in routes {
            // Behind two-byte speakers the four-byte path stands beside (RFC 6793 section 4.2.3).
            let Some(path) = attributes.effective_as_path() else { continue };
            for origin in path.iter_origins().map(u32::from).filter(|&asn| asn != 0) {
                match origins.iter_mut().find(|(asn, _)| *asn == origin) {
                    Some((_, routes)) => *routes = routes.saturating_add(1),
                    None => {
                        // Most prefixes have one origin for ever.
                        origins.reserve_exact(1);
                        origins.push((origin, 1));
                    }
                }
            }
        }
    }

    /// Hands all prefixes on.
    fn finish(self, gathered: &mut Gathered, source: &mut Source) {
        for ((ip, bits), mut origins) in self.origins {
            if origins.is_empty() {
                source.without_origin += 1;
                continue;
            }
            // Stable: equals stay in the order in which they were seen.
            origins.sort_by_key(|&(_, routes)| Reverse(routes));
            let asns: Vec<u32> = origins.iter().map(|&(asn, _)| asn).collect();
            let origin = gathered.origin(&asns, "");
            match gathered.prefix(ip, bits, origin) {
                Some(()) => source.networks += 1,
                None => source.complain(format_args!("{ip}/{bits}"), "this is no prefix; it is left out"),
            }
        }
    }
}
