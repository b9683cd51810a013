use flowcore::resolve::Network;
use flowcore::{Addr, ErrorKind, Resolver};

use super::*;

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn read(table: impl AsRef<[u8]>) -> Networks {
    let mut loader = Loader::new(Options { private: false });
    loader.stream("table", table.as_ref()).unwrap();
    loader.finish()
}

fn refused(table: impl AsRef<[u8]>) -> String {
    let error = Loader::new(Options::default()).stream("table", table.as_ref()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    error.to_string()
}

/// AS, prefix and holder.
fn found(networks: &Networks, text: &str) -> Option<(u32, String, Option<String>)> {
    let Network { asn, prefix, holder, .. } = networks.network(addr(text)).known()?;
    Some((asn, prefix.to_string(), holder.map(|holder| holder.to_string())))
}

fn held(asn: u32, prefix: &str, holder: &str) -> Option<(u32, String, Option<String>)> {
    Some((asn, prefix.into(), (!holder.is_empty()).then(|| holder.into())))
}

#[test]
fn every_form_of_a_line_is_read() {
    let networks = read(
        "# a comment\n; another\n\n\
         192.0.2.0\t24\t64500\n\
         198.51.100.0/24\tAS64501\n\
         203.0.113.0\t203.0.113.127\t64502\tZZ\tEXAMPLE - An example\r\n\
         203.0.113.128 203.0.113.255 64503 ZZ EXAMPLE two\n\
         2001:db8::,2001:db8::ff,64504,\"Example, \"\"quoted\"\"\"\n\
         2001:db8:1::/48,1.10\n\
         ::ffff:10.0.0.0/104 64505\n",
    );
    assert_eq!(found(&networks, "192.0.2.1"), held(64_500, "192.0.2.0/24", ""));
    assert_eq!(found(&networks, "198.51.100.1"), held(64_501, "198.51.100.0/24", ""));
    assert_eq!(found(&networks, "203.0.113.1"), held(64_502, "203.0.113.0/25", "EXAMPLE - An example"));
    assert_eq!(found(&networks, "203.0.113.200"), held(64_503, "203.0.113.128/25", "ZZ EXAMPLE two"));
    assert_eq!(found(&networks, "2001:db8::1"), held(64_504, "2001:db8::/120", "Example, \"quoted\""));
    assert_eq!(found(&networks, "2001:db8:1::1"), held(65_546, "2001:db8:1::/48", ""));
    assert_eq!(found(&networks, "10.1.2.3"), held(64_505, "10.0.0.0/8", ""));
    assert_eq!(found(&networks, "8.8.8.8"), None);
    let source = &networks.sources()[0];
    assert_eq!((source.kind, source.networks, source.damaged), (Kind::Text, 7, 0));
}

#[test]
fn comments_stand_behind_blanks_and_outside_quotes() {
    let networks = read(
        "192.0.2.0      24          64500                        # pfx2as\n\
         198.51.100.0/24               64501 ; mine\n\
         203.0.113.0\t24\t64502 # no number\n\
         2001:db8::/48,64503,\"Example # 1, Inc.\" # a comment, \"quoted\"\n\
         2001:db8:1::/48 64504 ZZ EXAMPLE#1 Nr.;2\n\t# nothing\n\
         192.0.3.0\t192.0.3.255\t64505\tUS\t#1 NETWORKS\n\
         192.0.4.0\t192.0.4.255\t64506\tUS\tFOO ; BAR Inc\n\
         192.0.5.0/24,64507,Bob\"s Net # note\n",
    );
    let holder = |text: &str| found(&networks, text).unwrap().2.unwrap();
    assert_eq!(["192.0.3.1", "192.0.4.1", "192.0.5.1"].map(holder), ["#1 NETWORKS", "FOO ; BAR Inc", "Bob\"s Net"]);
    assert_eq!(found(&networks, "192.0.2.1"), held(64_500, "192.0.2.0/24", ""));
    assert_eq!(found(&networks, "198.51.100.1"), held(64_501, "198.51.100.0/24", ""));
    assert_eq!(found(&networks, "203.0.113.1"), held(64_502, "203.0.113.0/24", ""));
    assert_eq!(found(&networks, "2001:db8::1"), held(64_503, "2001:db8::/48", "Example # 1, Inc."));
    assert_eq!(found(&networks, "2001:db8:1::1"), held(64_504, "2001:db8:1::/48", "EXAMPLE#1 Nr.;2"));
    assert_eq!((networks.sources()[0].networks, networks.sources()[0].damaged), (8, 0));
}

#[test]
fn several_origins_are_kept_and_those_of_sets_come_last() {
    let networks = read("192.0.2.0\t24\t64501,64502_64500\n198.51.100.0 24 {64503,64504}\n");
    assert_eq!(networks.origins(addr("192.0.2.1")), [64_500, 64_501, 64_502]);
    assert_eq!(networks.asn(addr("192.0.2.1")), Some(64_500));
    assert_eq!(networks.origins(addr("198.51.100.1")), [64_503, 64_504]);
    assert_eq!(networks.origins(addr("203.0.113.1")), [0u32; 0]);
}

#[test]
fn what_an_as_announces_is_told_as_ranges_without_what_lies_within_and_is_anothers() {
    let networks = read("192.0.2.0/24 64500_64501\n192.0.2.64/26 64502\n192.0.3.0/24 64501\n2001:db8::/32 64501\n");
    let announced = |asn: u32| {
        let ranges = networks.announced(&|origins| origins.contains(&asn)).unwrap();
        ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>()
    };
    assert_eq!(announced(64_500), ["192.0.2.0-192.0.2.63", "192.0.2.128-192.0.2.255"]);
    let v6 = "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff";
    assert_eq!(announced(64_501), ["192.0.2.0-192.0.2.63", "192.0.2.128-192.0.3.255", v6]);
    assert_eq!(announced(64_502), ["192.0.2.64-192.0.2.127"]);
    assert!(announced(1).is_empty());
}

#[test]
fn damaged_lines_are_named_and_the_others_kept() {
    let lines = "192.0.2.0\t24\t64500\n\
         192.0.2.0/33 1\n\
         192.0.2\t24\t1\n\
         192.0.2.0\t24\n\
         192.0.2.0 24 -1\n\
         192.0.2.9 192.0.2.8 1\n\
         192.0.2.0 x24 1\n\
         192.0.2.0 2001:db8::1 1\n\
         198.51.100.0 24 4294967296\n\
         198.51.100.0 24 64501\n";
    let networks = read(lines);
    assert_eq!(networks.asn(addr("198.51.100.1")), Some(64_501));
    let source = &networks.sources()[0];
    assert_eq!((source.networks, source.damaged), (2, 8));
    let forms = "expected `PREFIX AS`, `ADDRESS LENGTH AS` or `FIRST LAST AS`";
    assert_eq!(
        source.complaints,
        [
            "table:2: 192.0.2.0/33: prefixes end at /32".to_owned(),
            format!("table:3: `192.0.2` is no address; {forms}"),
            format!("table:4: nothing stands behind `24`; {forms}"),
            format!("table:5: `-1` is no AS number, 1 to 4294967295; {forms}"),
            "table:6: no range leads from 192.0.2.9 to 192.0.2.8: expected the lowest first".to_owned(),
            "table:7: `x24` is no prefix length, 0 to 128".to_owned(),
            "table:8: no range leads from 192.0.2.0 to 2001:db8::1: expected the lowest first".to_owned(),
            format!("table:9: `4294967296` is no AS number, 1 to 4294967295; {forms}"),
        ]
    );
    let many = read(format!("{lines}{}", "wrong 1 2\n".repeat(50)));
    let source = &many.sources()[0];
    assert_eq!((source.damaged, source.complaints.len()), (58, MOST_COMPLAINTS));
}

#[test]
fn a_line_without_end_takes_no_memory_and_the_next_is_read() {
    let networks = read(format!("192.0.2.0 24 64500\n{}\n198.51.100.0 24 64501\n", "7".repeat(1 << 20)));
    assert_eq!(networks.asn(addr("198.51.100.1")), Some(64_501));
    assert_eq!(networks.sources()[0].complaints.len(), 1);
}

#[test]
fn headings_are_no_damage_and_as_0_is_nobody() {
    let networks =
        read("start_ip,end_ip,asn,name\n192.0.2.0,192.0.2.255,0,Not routed\n198.51.100.0,198.51.100.9,1,A\n");
    let source = &networks.sources()[0];
    assert_eq!((source.networks, source.without_origin, source.damaged), (1, 1, 0));
    assert_eq!(networks.asn(addr("192.0.2.1")), None);
}

#[test]
fn private_space_is_predefined_and_a_table_knows_better() {
    let table = "10.9.0.0/16 64500\n192.168.0.0/16 64501\n";
    let load = |options| {
        let mut loader = Loader::new(options);
        loader.stream("table", table.as_bytes()).unwrap();
        loader.finish()
    };
    let networks = load(Options::default());
    let asns = ["10.8.0.1", "10.9.0.1", "172.31.0.1", "172.32.0.1", "192.168.0.1"].map(|text| networks.asn(addr(text)));
    assert_eq!(asns, [Some(PRIVATE), Some(64_500), Some(PRIVATE), None, Some(64_501)]);
    assert_eq!(load(Options { private: false }).asn(addr("10.8.0.1")), None);
}

#[test]
fn of_two_files_the_longest_match_counts_and_then_the_first_file() {
    let mut loader = Loader::new(Options { private: false });
    for table in ["192.0.2.0/24 1\n198.51.100.0/24 1\n", "192.0.2.0/25 2\n198.51.100.0/24 2\n"] {
        loader.stream("table", table.as_bytes()).unwrap();
    }
    let networks = loader.finish();
    assert_eq!(["192.0.2.1", "192.0.2.200", "198.51.100.1"].map(|text| networks.asn(addr(text)).unwrap()), [2, 1, 1]);
}

#[test]
fn what_is_no_table_is_said() {
    assert_eq!(refused(""), "table: this is empty; a table of networks was expected");
    assert!(refused("BZh91AY&SY").contains("bunzip2"));
    assert!(refused("PK\x03\x04").contains("zip"));
    let hosts = refused("127.0.0.1 localhost\n::1 ip6-localhost\n");
    assert_eq!(
        hosts,
        "table: no network is in this text; \
         table:1: nothing stands behind `localhost`; expected `PREFIX AS`, `ADDRESS LENGTH AS` or `FIRST LAST AS`"
    );
    assert!(
        refused("one two three four5\n".repeat(5000)).starts_with("table: this is no table of networks; table:1: ")
    );
    let missing = Loader::new(Options::default()).file(Path::new("/nonexistent/table")).unwrap_err();
    assert_eq!(missing.to_string(), "/nonexistent/table: there is no such file");
}

#[cfg(feature = "compressed")]
#[test]
fn compressed_tables_are_read_and_a_cut_one_keeps_what_came() {
    use std::io::Write;

    let text: String =
        (0..2000).map(|i| format!("10.{}.{}.0/24 {}\n", i / 256, i % 256, i * 7919 % 65_000 + 1)).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(text.as_bytes()).unwrap();
    let zstd = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
    for packed in [&gzip, &xz.finish().unwrap(), &zstd] {
        assert_eq!(read(packed).sources()[0].networks, 2000);
    }
    let cut = read(&gzip[..gzip.len() / 2]);
    let source = &cut.sources()[0];
    assert!((1..2000).contains(&source.networks), "{source:?}");
    assert!(source.complaints[0].ends_with("nothing behind this was read; fetch the file again"), "{source:?}");
}

#[cfg(feature = "mrt")]
mod dumps {
    use bgpkit_parser::encoder::MrtRibEncoder;
    use bgpkit_parser::models::{AsPath, AsPathSegment, BgpElem};

    use super::*;

    fn dump(routes: &[(&str, u8, AsPath)]) -> Vec<u8> {
        let mut encoder = MrtRibEncoder::new();
        for (prefix, peer, path) in routes {
            encoder
                .process_elem(&BgpElem {
                    timestamp: 1_700_000_000.0,
                    prefix: prefix.parse().unwrap(),
                    peer_ip: [192, 0, 2, *peer].into(),
                    peer_asn: u32::from(*peer).into(),
                    as_path: Some(path.clone()),
                    ..BgpElem::default()
                })
                .unwrap();
        }
        encoder.export_bytes().unwrap().to_vec()
    }

    fn path(asns: &[u32]) -> AsPath {
        AsPath::from_sequence(asns)
    }

    #[test]
    fn the_origin_of_most_routes_comes_first() {
        let aggregate = AsPath::from_segments(vec![AsPathSegment::sequence([1]), AsPathSegment::set([64_510, 64_511])]);
        let bytes = dump(&[
            ("198.51.100.0/24", 1, path(&[1, 64_500])),
            ("198.51.100.0/24", 2, path(&[2, 4_200_000_001])),
            ("198.51.100.0/24", 3, path(&[3, 2, 4_200_000_001])),
            ("2001:db8::/32", 1, aggregate),
        ]);
        let networks = read(&bytes);
        assert_eq!(networks.sources()[0].kind, Kind::Mrt);
        assert_eq!(networks.origins(addr("198.51.100.1")), [4_200_000_001, 64_500]);
        assert_eq!(networks.origins(addr("2001:db8::1")), [64_510, 64_511]);
    }

    #[test]
    fn a_cut_dump_keeps_what_came_before() {
        let bytes = dump(&[("198.51.100.0/24", 1, path(&[1, 64_500])), ("203.0.113.0/24", 1, path(&[1, 64_501]))]);
        let networks = read(&bytes[..bytes.len() - 3]);
        let source = &networks.sources()[0];
        assert_eq!((source.networks, source.damaged), (1, 1));
        assert!(source.complaints[0].starts_with("table:record 3: "), "{source:?}");
    }
}

#[cfg(feature = "maxmind")]
mod databases {
    use super::*;

    /// Its name, and a number or a text.
    type Field = (&'static str, Result<u32, &'static str>);

    /// A database by the format's description, version 2.0: a tree of 24-bit records over 128 bits, in which IPv4 lies
    /// below `::/96`, then data, then facts about it.
    fn database(kind: &str, entries: &[(&str, u8, &[Field])]) -> Vec<u8> {
        #[derive(Copy, Clone)]
        enum End {
            Node(usize),
            Data(usize),
            Empty,
        }
        let text = |text: &str| {
            let mut bytes = vec![];
            match text.len() {
                length @ 0..29 => bytes.push(0x40 | length as u8),
                length => bytes.extend([0x40 | 29, (length - 29) as u8]),
            }
            bytes.extend(text.as_bytes());
            bytes
        };
        let number = |number: u32| [&[0xc4][..], &number.to_be_bytes()].concat();
        let (mut nodes, mut data) = (vec![[End::Empty; 2]], Vec::new());
        for &(network, bits, fields) in entries {
            let (path, bits) = match network.parse().unwrap() {
                IpAddr::V4(v4) => (u128::from(u32::from(v4)), bits + 96),
                IpAddr::V6(v6) => (u128::from(v6), bits),
            };
            let mut at = 0;
            for depth in 0..bits {
                let side = (path >> (127 - depth) & 1) as usize;
                if depth + 1 == bits {
                    nodes[at][side] = End::Data(data.len());
                } else {
                    at = match nodes[at][side] {
                        End::Node(next) => next,
                        _ => {
                            nodes.push([End::Empty; 2]);
                            let next = nodes.len() - 1;
                            nodes[at][side] = End::Node(next);
                            next
                        }
                    };
                }
            }
            data.push(0xe0 | fields.len() as u8);
            for (key, value) in fields {
                data.extend(text(key));
                data.extend(value.map_or_else(text, number));
            }
        }
        let mut bytes = Vec::new();
        for end in nodes.iter().flatten() {
            let record = match end {
                End::Node(node) => *node,
                End::Empty => nodes.len(),
                End::Data(offset) => nodes.len() + 16 + offset,
            };
            bytes.extend(&(record as u32).to_be_bytes()[1..]);
        }
        bytes.extend([0; 16]);
        bytes.extend(data);
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        let short = |number: u16| [&[0xa2][..], &number.to_be_bytes()].concat();
        bytes.push(0xe0 | 9);
        for (key, value) in [
            ("node_count", number(nodes.len() as u32)),
            ("record_size", short(24)),
            ("ip_version", short(6)),
            ("database_type", text(kind)),
            // Arrays and long numbers have their type in a second byte.
            ("description", vec![0xe0]),
            ("languages", vec![0x00, 0x04]),
            ("binary_format_major_version", short(2)),
            ("binary_format_minor_version", short(0)),
            ("build_epoch", vec![0x01, 0x02, 1]),
        ] {
            bytes.extend(text(key));
            bytes.extend(value);
        }
        bytes
    }

    #[test]
    fn numbers_and_holders_are_read_of_both_families() {
        let lite = |asn, holder| -> [Field; 2] {
            [("autonomous_system_number", Ok(asn)), ("autonomous_system_organization", Err(holder))]
        };
        let (one, two) = (lite(64_500, "EXAMPLE"), lite(4_200_000_001, "Example six"));
        let info = [("asn", Err("AS64502")), ("as_name", Err("Example info"))];
        let networks = read(database(
            "GeoLite2-ASN",
            &[("198.51.100.0", 24, &one), ("2001:db8::", 32, &two), ("203.0.113.0", 25, &info)],
        ));
        let source = &networks.sources()[0];
        assert_eq!((source.kind, source.networks, source.damaged), (Kind::MaxMind, 3, 0));
        assert_eq!(found(&networks, "198.51.100.7"), held(64_500, "198.51.100.0/24", "EXAMPLE"));
        assert_eq!(found(&networks, "2001:db8::7"), held(4_200_000_001, "2001:db8::/32", "Example six"));
        assert_eq!(found(&networks, "203.0.113.7"), held(64_502, "203.0.113.0/25", "Example info"));
        assert_eq!(found(&networks, "203.0.113.200"), None);
    }

    #[test]
    fn one_about_countries_is_refused_and_a_cut_one_too() {
        let bytes = database("GeoLite2-Country", &[("198.51.100.0", 24, &[("iso_code", Err("ZZ"))])]);
        assert_eq!(
            refused(&bytes),
            "table: a MaxMind DB of type `GeoLite2-Country`, which has no AS numbers; GeoLite2-ASN has"
        );
        assert!(refused(&bytes[..200]).contains("neither text, nor an MRT dump, nor a MaxMind DB"));
    }
}

#[test]
fn a_kind_that_is_not_built_in_is_told_with_its_feature() {
    let said = |kind| unbuilt("table", kind).to_string();
    let dump = "table: this is an MRT dump, which this program was built without (feature `mrt` of flowresolve)";
    assert_eq!(said(Kind::Mrt), dump);
    // It was recognised by nothing.
    let rest = "table: this is neither text nor an MRT dump, and MaxMind DB files this program was built without \
                (feature `maxmind` of flowresolve)";
    assert_eq!(said(Kind::MaxMind), rest);
    #[cfg(not(feature = "maxmind"))]
    assert_eq!(refused(b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00, a capture"), rest);
    #[cfg(not(feature = "compressed"))]
    assert!(refused(b"\x1f\x8b\x08\x00").contains("(feature `compressed` of flowresolve): unpack it first"));
}

#[test]
fn nothing_that_is_read_makes_it_panic() {
    // Small changes of real forms, each once: a byte replaced, or the end cut off.
    let text = "192.0.2.0\t24\t64500_1,2\n198.51.100.0,198.51.100.9,7,\"a\"\n2001:db8::/32 1.10 name\n";
    for place in 0..text.len() {
        for byte in [0, b'\t', b'"', b',', b'/', b'_', b'.', b':', 0xff, b'9'] {
            let mut bytes = text.as_bytes().to_vec();
            bytes[place] = byte;
            let _ = Loader::new(Options::default()).stream("table", &bytes[..]);
        }
        let _ = Loader::new(Options::default()).stream("table", &text.as_bytes()[..place]);
    }
}
