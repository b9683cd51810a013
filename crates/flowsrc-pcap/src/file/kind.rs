//! What a stream is, by its first bytes. Names and endings are never asked: they lie.

/// How many bytes tell every kind apart.
pub(super) const PREFIX: usize = 16;

/// What a stream is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// pcap, in one of its variants.
    Classic(Variant),
    /// pcapng.
    Ng,
    /// Compressed; what is inside comes out.
    Packed(Compression),
    /// Something else that we know by name; the words complete "this is …".
    Foreign(&'static str),
    /// Nothing we know.
    Unknown,
    /// Too short to be told.
    Short,
}

/// What the magic number of a pcap file says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    /// Written most significant byte first.
    pub(super) big_endian: bool,
    /// Fractions of a second are nanoseconds, not microseconds.
    pub(super) nanoseconds: bool,
    /// Kuznetzov's patch: eight more bytes in each record header.
    pub(super) extended: bool,
}

/// How a stream is compressed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Lz4,
    Xz,
}

impl Compression {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
        }
    }
}

/// The section header block's type; the same in both byte orders.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// What an lz4 frame begins with.
pub(super) const LZ4_FRAME: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// The same of lz4's first format, which `lz4 -l` still writes.
pub(super) const LZ4_LEGACY_FRAME: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

const XZ_STREAM: &[u8] = b"\xfd7zXZ\0";

/// Whether a frame begins with `magic` that decoders pass over; zstd and lz4 have it in common.
pub(super) fn is_skippable(magic: [u8; 4]) -> bool {
    matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18])
}

/// Beginnings of files that people take for captures.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"snoop\0\0\0", "a Solaris snoop capture; `editcap -F pcapng` converts it"),
    (b"btsnoop\0", "a Bluetooth btsnoop log"),
    (b"GMBU", "a Microsoft Network Monitor 2 capture; `editcap -F pcapng` converts it"),
    (b"RTSS", "a Microsoft Network Monitor 1 capture; `editcap -F pcapng` converts it"),
    (b"TRSNIFF data", "a Sniffer capture; `editcap -F pcapng` converts it"),
    (b"XCP\0", "a NetXray or Windows Sniffer capture; `editcap -F pcapng` converts it"),
    (b"\x7fver", "an EtherPeek or AiroPeek capture; `editcap -F pcapng` converts it"),
    (b"iptrace ", "an AIX iptrace capture; `editcap -F pcapng` converts it"),
    (b"ObserverPktBuffe", "an Observer capture; `editcap -F pcapng` converts it"),
    (b"\x54\x52\x00\x64\x00", "an HP-UX nettl trace"),
    (b"\x7fELF", "a program (ELF)"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"BZh", "bzip2-compressed; pipe it through `bzip2 -dc`"),
    (b"\x1f\x9d", "compressed with compress; pipe it through `uncompress -c`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"LZIP", "lzip-compressed; pipe it through `lzip -dc`"),
    (b"\x5d\x00\x00", "lzma-compressed; pipe it through `lzma -dc`"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"SQLite format 3", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x0c\xa5", "an nfdump file; `nfdump -r` reads it"),
    (b"\xa5\x0c", "an nfdump file; `nfdump -r` reads it"),
    (b"\xde\xad\xbe\xef", "a SiLK flow file; `rwcut` reads it"),
    (b"#separator", "a Zeek log"),
];

/// Bytes of a tar archive up to behind its magic.
pub(super) const ARCHIVE_HEADER: usize = 262;

/// Whether a stream that begins with `block` is a tar archive (POSIX 1003.1 `ustar`, GNU tar's form of it).
pub(super) fn is_archive(block: &[u8]) -> bool {
    block.get(257..).is_some_and(|magic| magic.starts_with(b"ustar"))
}

impl Kind {
    /// Files packed together.
    pub(super) const ARCHIVE: Self =
        Self::Foreign("a tar archive; unpack it, or pipe one capture out of it: `tar -xOf ARCHIVE CAPTURE`");

    /// Whether more bytes could show that it is an archive: those begin with the name of their first file.
    pub(super) fn may_be_archive(self) -> bool {
        matches!(self, Self::Unknown | Self::Foreign(_))
    }

    /// The kind of a stream that begins with `prefix`: at least [`PREFIX`] bytes of it, or all there are.
    pub(super) fn of(prefix: &[u8]) -> Self {
        let Some(&magic) = prefix.first_chunk::<4>() else {
            return match prefix {
                [0x1f, 0x8b, ..] => Self::Packed(Compression::Gzip),
                _ => Self::Short,
            };
        };
        if magic == SECTION_HEADER {
            return Self::Ng;
        }
        for big_endian in [false, true] {
            let number = if big_endian { u32::from_be_bytes(magic) } else { u32::from_le_bytes(magic) };
            let variant = Variant { big_endian, nanoseconds: false, extended: false };
            return match number {
                0xa1b2_c3d4 => Self::Classic(variant),
                // The second is NAVTEL's, which differs in nothing else.
                0xa1b2_3c4d | 0xa12b_3c4d => Self::Classic(Variant { nanoseconds: true, ..variant }),
                0xa1b2_cd34 => Self::Classic(Variant { extended: true, ..variant }),
                0xa1b2_34cd => Self::Foreign("a pcap variant (magic a1b234cd) whose layout was never published"),
                0x1c00_01ac => {
                    Self::Foreign("an IXIA lcap capture (hardware timestamps); `editcap -F pcapng` converts it")
                }
                0x1c00_01ab => {
                    Self::Foreign("an IXIA lcap capture (software timestamps); `editcap -F pcapng` converts it")
                }
                0xa1b2_c3cb => Self::Foreign("a BPF program saved by libpcap, not packets"),
                _ => continue,
            };
        }
        match magic {
            [0x1f, 0x8b, ..] => return Self::Packed(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd] => return Self::Packed(Compression::Zstd),
            // Mostly of zstd (pzstd writes one first); what stands behind it tells.
            _ if is_skippable(magic) => return Self::Packed(Compression::Zstd),
            LZ4_FRAME | LZ4_LEGACY_FRAME => return Self::Packed(Compression::Lz4),
            _ => {}
        }
        // Cut within it, too, no capture begins so.
        if prefix.starts_with(XZ_STREAM) || XZ_STREAM.starts_with(prefix) {
            return Self::Packed(Compression::Xz);
        }
        if let Some((_, words)) = FOREIGN.iter().find(|(beginning, _)| prefix.starts_with(beginning)) {
            return Self::Foreign(words);
        }
        if prefix.iter().all(|&byte| byte == 0) {
            return Self::Foreign("zeros, as a file that was never written leaves behind");
        }
        if prefix.iter().all(|&byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
            return Self::Foreign("text; packets printed as text cannot be read back");
        }
        Self::Unknown
    }
}

/// What [`Kind::Unknown`] is answered with.
pub(super) fn unknown_words(prefix: &[u8]) -> String {
    let bytes: Vec<String> = prefix.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("not a capture file: it begins with the bytes {}, neither pcap nor pcapng", bytes.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(beginning: &[u8]) -> Kind {
        let mut prefix = beginning.to_vec();
        prefix.resize(PREFIX, 1);
        Kind::of(&prefix)
    }

    #[test]
    fn every_magic_is_known_in_both_byte_orders() {
        let plain = Variant { big_endian: false, nanoseconds: false, extended: false };
        for (number, variant) in [
            (0xa1b2_c3d4_u32, plain),
            (0xa1b2_3c4d, Variant { nanoseconds: true, ..plain }),
            (0xa12b_3c4d, Variant { nanoseconds: true, ..plain }),
            (0xa1b2_cd34, Variant { extended: true, ..plain }),
        ] {
            assert_eq!(kind(&number.to_le_bytes()), Kind::Classic(variant));
            assert_eq!(kind(&number.to_be_bytes()), Kind::Classic(Variant { big_endian: true, ..variant }));
        }
        assert_eq!(kind(&[0x0a, 0x0d, 0x0d, 0x0a]), Kind::Ng);
    }

    #[test]
    fn what_is_not_packets_is_named() {
        for (beginning, word) in [
            (&0xa1b2_34cd_u32.to_le_bytes()[..], "never published"),
            (&0x1c00_01ac_u32.to_be_bytes(), "IXIA"),
            (&0x1c00_01ab_u32.to_le_bytes(), "IXIA"),
            (&0xa1b2_c3cb_u32.to_le_bytes(), "BPF program"),
            (b"snoop\0\0\0", "snoop"),
            (b"\x7fELF", "ELF"),
            (b"BZh9", "bzip2"),
            (b"{\"ts\": 1, \"id\": \"x\"}", "text"),
            (&[0; 16], "zeros"),
        ] {
            let found = Kind::of(beginning);
            let padded = kind(beginning);
            assert!(
                [found, padded].iter().any(|kind| matches!(kind, Kind::Foreign(words) if words.contains(word))),
                "{word}: {found:?}"
            );
        }
        assert_eq!(kind(&[1, 2, 3, 4]), Kind::Unknown);
        assert!(unknown_words(&[1, 2, 3, 4]).contains("01 02 03 04"));
    }

    #[test]
    fn compressions_are_known_by_their_beginning() {
        for (beginning, compression) in [
            (&b"\x1f\x8b\x08\x00"[..], Compression::Gzip),
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
            (b"\x50\x2a\x4d\x18", Compression::Zstd),
            (b"\x04\x22\x4d\x18", Compression::Lz4),
            (b"\xfd7zXZ\0", Compression::Xz),
        ] {
            assert_eq!(kind(beginning), Kind::Packed(compression));
        }
    }
}
