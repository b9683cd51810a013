//! MaxMind DB files with AS numbers: GeoLite2 ASN, and others that name their fields alike or as IPinfo does.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use flowcore::{Error, ErrorKind, Result};
use maxminddb::{LookupResult, PathElement, Reader};

use super::{Gathered, Source};

/// Bytes of the largest file; those of whole cities take a tenth of it.
const LARGEST: u64 = 1 << 30;

/// Stands before the facts about a file, near its end.
const MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";

pub(super) fn read(stream: &mut dyn BufRead, gathered: &mut Gathered, source: &mut Source) -> Result<()> {
    let name = source.name.clone();
    let unsupported = |what: String| Error::new(ErrorKind::Unsupported, format!("{name}: {what}"));
    let mut bytes = Vec::new();
    stream.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| Error::io(&*name, error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unsupported(format!("this is larger than {} MiB", LARGEST >> 20)));
    }
    if !bytes.windows(MARK.len()).any(|window| window == MARK) {
        let what =
            "this is no table of networks: neither text, nor an MRT dump, nor a MaxMind DB (or one that was cut)";
        return Err(unsupported(what.into()));
    }
    let reader = Reader::from_source(bytes).map_err(|error| unsupported(format!("a damaged MaxMind DB: {error}")))?;
    // Every node has two ends; a damaged tree that leads back into itself has more.
    let mut most = 2 * u64::from(reader.metadata().node_count);
    // Many networks share one record.
    let mut known: HashMap<usize, Option<u32>> = HashMap::new();
    let networks =
        reader.networks(maxminddb::WithinOptions::default()).map_err(|error| unsupported(error.to_string()))?;
    for found in networks {
        let Some(left) = most.checked_sub(1) else {
            source.complain("tree", "it leads back into itself: fetch the file again");
            break;
        };
        most = left;
        let network = match found.and_then(|found| Ok((found.network()?, found))) {
            Ok(network) => network,
            Err(error) => {
                source.complain("tree", format_args!("{error}; fetch the file again"));
                continue;
            }
        };
        let (network, found) = network;
        let origin = match found.offset().and_then(|offset| known.get(&offset)) {
            Some(&origin) => origin,
            None => match record(&found) {
                Ok(origin) => {
                    let origin = origin.map(|(asn, holder)| gathered.origin(&[asn], holder.trim()));
                    found.offset().map(|offset| known.insert(offset, origin));
                    origin
                }
                Err(error) => {
                    source.complain(network, format_args!("{error}; fetch the file again"));
                    continue;
                }
            },
        };
        let Some(origin) = origin else {
            source.without_origin += 1;
            continue;
        };
        match gathered.prefix(network.ip(), network.prefix(), origin) {
            Some(()) => source.networks += 1,
            None => source.complain(network, "this is no prefix; it is left out"),
        }
    }
    if source.networks == 0 {
        let kind = &reader.metadata().database_type;
        let what = format!("a MaxMind DB of type `{kind}`, which has no AS numbers; GeoLite2-ASN has");
        return Err(unsupported(what));
    }
    Ok(())
}

/// Number and holder in one record, if it has them.
fn record<'r>(found: &LookupResult<'r, Vec<u8>>) -> Result<Option<(u32, &'r str)>, maxminddb::MaxMindDbError> {
    let text = |key| found.decode_path::<&str>(&[PathElement::Key(key)]);
    if let Some(asn) = found.decode_path::<u32>(&[PathElement::Key("autonomous_system_number")])? {
        let holder = text("autonomous_system_organization")?;
        return Ok((asn != 0).then(|| (asn, holder.unwrap_or_default())));
    }
    let Some(asn) = text("asn")?.and_then(|asn| asn.strip_prefix("AS")?.parse().ok()) else { return Ok(None) };
    let holder = text("as_name")?.or(text("name")?);
    Ok((asn != 0).then(|| (asn, holder.unwrap_or_default())))
}
