//! What several test files need: reading everything, bytes of captures, the corpus.
#![allow(dead_code, reason = "each test file uses its part")]

#[path = "../../../flowcore/tests/support/captures.rs"]
mod captures;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use flowcore::{Result, Status};
use flowsrc_pcap::{RawPacket, Reader};

/// A packet with its bytes, as tests compare them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub nanos: i64,
    pub wire: u32,
    pub link: u16,
    pub interface: u16,
    pub bytes: Vec<u8>,
}

/// Everything a reader gives, `batch` packets at a time.
pub fn drain(reader: &mut Reader, batch: usize) -> Result<Vec<Packet>> {
    let mut packets = Vec::new();
    let mut raw: Vec<RawPacket> = Vec::new();
    while reader.read_batch(batch, &mut raw)? != Status::End {
        assert!(!raw.is_empty() && raw.len() <= batch, "a batch of {}", raw.len());
        for packet in raw.drain(..) {
            let bytes = packet.bytes(reader.window()).to_vec();
            assert_eq!(bytes.len(), packet.captured as usize, "the window holds every packet of its batch");
            packets.push(Packet {
                nanos: packet.time.as_nanos(),
                wire: packet.wire,
                link: packet.link.0,
                interface: packet.interface,
                bytes,
            });
        }
    }
    assert_eq!(packets.len() as u64, reader.packets());
    Ok(packets)
}

/// A reader over bytes in memory.
pub fn over(bytes: &[u8]) -> Result<Reader> {
    Reader::from_read(Box::new(Cursor::new(bytes.to_vec())), "test")
}

/// All packets of bytes in memory and the fault.
pub fn read(bytes: &[u8]) -> (Vec<Packet>, Option<String>) {
    let mut reader = over(bytes).expect("a capture");
    let packets = drain(&mut reader, 100).expect("memory can be read");
    (packets, reader.fault())
}

/// The public captures' folder, if it is there.
pub fn public() -> Option<PathBuf> {
    captures::captures("MANIFEST.tsv")
}

/// Rows of a tab-separated table, comment lines and its header left out.
pub fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).expect("a table");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1)
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// Numbers and bytes put together in a byte order.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    pub big: bool,
    pub out: Vec<u8>,
}

impl Bytes {
    pub fn new(big: bool) -> Self {
        Self { big, out: Vec::new() }
    }

    pub fn u16(mut self, number: u16) -> Self {
        self.out.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
        self
    }

    pub fn u32(mut self, number: u32) -> Self {
        self.out.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
        self
    }

    pub fn u64(mut self, number: u64) -> Self {
        self.out.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
        self
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.out.extend(bytes);
        self
    }

    pub fn padded(self, bytes: &[u8]) -> Self {
        let padding = bytes.len().next_multiple_of(4) - bytes.len();
        self.raw(bytes).raw(&[0; 3][..padding])
    }

    /// A classic file header.
    pub fn pcap(self, magic: u32, version: (u16, u16), snap_length: u32, link: u32) -> Self {
        self.u32(magic).u16(version.0).u16(version.1).u32(0).u32(0).u32(snap_length).u32(link)
    }

    /// A classic record whose lengths are true.
    pub fn record(self, seconds: u32, fraction: u32, bytes: &[u8]) -> Self {
        let length = bytes.len() as u32;
        self.u32(seconds).u32(fraction).u32(length).u32(length).raw(bytes)
    }

    /// A pcapng block around `body`, which must be padded.
    pub fn block(self, kind: u32, body: &[u8]) -> Self {
        let total = body.len() as u32 + 12;
        self.u32(kind).u32(total).raw(body).u32(total)
    }

    pub fn section(self) -> Self {
        let body = Self::new(self.big).u32(0x1a2b_3c4d).u16(1).u16(0).u64(u64::MAX).out;
        self.block(0x0a0d_0d0a, &body)
    }

    pub fn interface(self, link: u16, snap_length: u32, options: &[u8]) -> Self {
        let body = Self::new(self.big).u16(link).u16(0).u32(snap_length).raw(options).out;
        self.block(1, &body)
    }

    pub fn option(self, code: u16, value: &[u8]) -> Self {
        self.u16(code).u16(value.len() as u16).padded(value)
    }

    pub fn enhanced(self, interface: u32, ticks: u64, bytes: &[u8], options: &[u8]) -> Self {
        let length = bytes.len() as u32;
        let body = Self::new(self.big)
            .u32(interface)
            .u32((ticks >> 32) as u32)
            .u32(ticks as u32)
            .u32(length)
            .u32(length)
            .padded(bytes)
            .raw(options)
            .out;
        self.block(6, &body)
    }
}
