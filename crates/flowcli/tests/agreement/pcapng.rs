//! A walk over a pcapng file's blocks, to prove what depends on its sections.

use std::fs;
use std::path::Path;

/// For every packet, in order: how many interfaces the sections before its own describe. `None` if it is no pcapng.
pub fn interfaces_before(path: &Path) -> Option<Vec<u64>> {
    let bytes = fs::read(path).ok()?;
    let mut rest = bytes.as_slice();
    let (mut before, mut here, mut big) = (0, 0, false);
    let mut packets = Vec::new();
    if rest.get(..4)? != [0x0a, 0x0d, 0x0d, 0x0a] {
        return None;
    }
    while let Some(head) = rest.get(..12) {
        let section = head[..4] == [0x0a, 0x0d, 0x0d, 0x0a];
        if section {
            big = head[8..12] == [0x1a, 0x2b, 0x3c, 0x4d];
            before += here;
            here = 0;
        }
        let word = |at: usize| {
            let word = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        };
        match word(0) {
            1 => here += 1,
            2 | 3 | 6 => packets.push(before),
            _ => {}
        }
        rest = rest.get(word(4) as usize..).filter(|_| word(4) >= 12)?;
    }
    Some(packets)
}
