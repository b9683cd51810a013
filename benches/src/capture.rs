//! Writing capture files: classic pcap with microseconds, pcapng with nanoseconds.

use std::io::{self, Write};

use crate::frame::Frame;

/// Which file format to write.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The classic format, little-endian, microseconds: what `tcpdump -w` writes.
    #[default]
    Pcap,
    /// pcapng with one section, one Ethernet interface and nanoseconds.
    PcapNg,
}

/// LINKTYPE_ETHERNET.
const ETHERNET: u16 = 1;

/// A capture file that is being written.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    format: Format,
    snap_length: usize,
    file_bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Starts a file of Ethernet frames cut at `snap_length` bytes.
    ///
    /// # Errors
    /// If the header cannot be written.
    pub fn new(mut out: W, format: Format, snap_length: u32) -> io::Result<Self> {
        let mut head = Vec::new();
        match format {
            Format::Pcap => {
                head.extend(0xa1b2_c3d4u32.to_le_bytes());
                head.extend([2, 0, 4, 0]);
                head.extend([0; 8]);
                head.extend(snap_length.to_le_bytes());
                head.extend(u32::from(ETHERNET).to_le_bytes());
            }
            Format::PcapNg => {
                // Section header, length unknown.
                for word in [0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28u32] {
                    head.extend(word.to_le_bytes());
                }
                // Interface description with if_tsresol (9) = 10^-9 s.
                for word in [1, 32, u32::from(ETHERNET), snap_length] {
                    head.extend(word.to_le_bytes());
                }
                head.extend([9, 0, 1, 0, 9, 0, 0, 0]);
                head.extend([0; 4]);
                head.extend(32u32.to_le_bytes());
            }
        }
        out.write_all(&head)?;
        Ok(Self { out, format, snap_length: snap_length as usize, file_bytes: head.len() as u64 })
    }

    /// Appends one frame at `time`, in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, time: u64, frame: Frame<'_>) -> io::Result<()> {
        let wire_bytes = frame.wire_bytes() as u32;
        let headers = &frame.headers[..frame.headers.len().min(self.snap_length)];
        let payload = &frame.payload[..frame.payload.len().min(self.snap_length - headers.len())];
        let captured = (headers.len() + payload.len()) as u32;
        let mut head = [0; 28];
        match self.format {
            Format::Pcap => {
                let words = [(time / 1_000_000_000) as u32, (time % 1_000_000_000 / 1000) as u32, captured, wire_bytes];
                self.out.write_all(words_to_bytes(&mut head, &words))?;
                self.out.write_all(headers)?;
                self.out.write_all(payload)?;
                self.file_bytes += u64::from(16 + captured);
            }
            Format::PcapNg => {
                let padding = captured.next_multiple_of(4) - captured;
                let block = 32 + captured + padding;
                let words = [6, block, 0, (time >> 32) as u32, time as u32, captured, wire_bytes];
                self.out.write_all(words_to_bytes(&mut head, &words))?;
                self.out.write_all(headers)?;
                self.out.write_all(payload)?;
                self.out.write_all(&[0; 3][..padding as usize])?;
                self.out.write_all(&block.to_le_bytes())?;
                self.file_bytes += u64::from(block);
            }
        }
        Ok(())
    }

    /// Flushes, and returns how many bytes the file has.
    ///
    /// # Errors
    /// If what is buffered cannot be written.
    pub fn finish(mut self) -> io::Result<u64> {
        self.out.flush()?;
        Ok(self.file_bytes)
    }
}

fn words_to_bytes<'a>(room: &'a mut [u8; 28], words: &[u32]) -> &'a [u8] {
    for (place, word) in room.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    &room[..words.len() * 4]
}
