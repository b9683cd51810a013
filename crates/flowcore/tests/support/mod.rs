#![allow(dead_code, reason = "each test uses a part")]
//! Just enough of a capture walker to test decoding without depending on a source crate, and where captures are.

mod captures;
pub mod frames;

use std::path::PathBuf;

use flowcore::wire::LinkType;

/// The public captures' folder, if it is there.
pub fn captures() -> Option<PathBuf> {
    captures::captures("truth/packets")
}

/// One record of a capture; `link` is `None` for records that hold no frame.
pub struct Record {
    pub link: Option<LinkType>,
    pub frame: Vec<u8>,
    pub wire_len: u32,
}

/// All records of a classic capture or a pcapng file, up to the first damage; empty for other formats.
pub fn records(bytes: &[u8]) -> Vec<Record> {
    let mut out = Vec::new();
    match bytes.first_chunk::<4>() {
        Some([0x0a, 0x0d, 0x0d, 0x0a]) => pcapng(bytes, &mut out),
        Some([0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1]) => classic(bytes, false, &mut out),
        Some([0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d]) => classic(bytes, true, &mut out),
        _ => None,
    };
    out
}

fn u32_at(bytes: &[u8], at: usize, big: bool) -> Option<u32> {
    let four = *bytes.get(at..)?.first_chunk()?;
    Some(if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
}

fn u16_at(bytes: &[u8], at: usize, big: bool) -> Option<u16> {
    let two = *bytes.get(at..)?.first_chunk()?;
    Some(if big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
}

fn classic(bytes: &[u8], big: bool, out: &mut Vec<Record>) -> Option<()> {
    let link = LinkType((u32_at(bytes, 20, big)? & 0xffff) as u16);
    // Until version 2.3 the two lengths stood the other way round.
    let swapped = u16_at(bytes, 6, big)? < 3;
    let mut at = 24;
    loop {
        let (first, second) = (u32_at(bytes, at + 8, big)?, u32_at(bytes, at + 12, big)?);
        let (captured, wire_len) = if swapped { (second as usize, first) } else { (first as usize, second) };
        let frame = bytes.get(at + 16..at + 16 + captured)?.to_vec();
        out.push(Record { link: Some(link), frame, wire_len });
        at += 16 + captured;
    }
}

fn pcapng(bytes: &[u8], out: &mut Vec<Record>) -> Option<()> {
    let mut at = 0;
    let mut big = false;
    let mut interfaces: Vec<(LinkType, u32)> = Vec::new();
    loop {
        let kind = u32_at(bytes, at, big)?;
        if kind == 0x0a0d_0d0a {
            big = u32_at(bytes, at + 8, true)? == 0x1a2b_3c4d;
            interfaces.clear();
        }
        let length = u32_at(bytes, at + 4, big)? as usize;
        let block = bytes.get(at..at + length).filter(|block| block.len() >= 12)?;
        let mut record = |interface: usize, captured: u32, wire_len: u32, start: usize| {
            let link = interfaces.get(interface).map(|&(link, _)| link);
            let frame = block.get(start..start + captured as usize)?.to_vec();
            out.push(Record { link, frame, wire_len });
            Some(())
        };
        match kind {
            1 => interfaces.push((LinkType(u16_at(block, 8, big)?), u32_at(block, 12, big)?)),
            2 => record(usize::from(u16_at(block, 8, big)?), u32_at(block, 20, big)?, u32_at(block, 24, big)?, 28)?,
            3 => {
                let wire_len = u32_at(block, 8, big)?;
                let limit = interfaces.first().map_or(0, |&(_, limit)| if limit == 0 { u32::MAX } else { limit });
                record(0, wire_len.min(limit).min(length as u32 - 16), wire_len, 12)?;
            }
            6 => record(u32_at(block, 8, big)? as usize, u32_at(block, 20, big)?, u32_at(block, 24, big)?, 28)?,
            // Blocks that tshark 4.0 counts as records of their own: custom blocks and systemd journal entries.
            0xbad | 0x4000_0bad | 9 => out.push(Record { link: None, frame: Vec::new(), wire_len: 0 }),
            _ => {}
        }
        at += length;
    }
}
