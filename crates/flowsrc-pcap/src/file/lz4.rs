//! LZ4 frames one after the other, of all three kinds: today's, the first format's (`lz4 -l`), and those to be skipped.
//!
//! The library reads today's frames. It knows no end of a legacy one but that of the input, and refuses skippable ones;
//! both are walked here, by LZ4 Frame Format Description 1.6.4.

use std::io::{self, BufRead, Read};

use lz4_flex::frame::FrameDecoder;

use super::kind::{LZ4_FRAME, LZ4_LEGACY_FRAME, is_skippable};
use super::unpack::skip_frame;

/// Frames to be decompressed.
pub(super) struct Lz4<R: BufRead> {
    frames: FrameDecoder<Beginning<R>>,
    within: Within,
    /// A legacy block, compressed and decompressed.
    packed: Vec<u8>,
    block: Vec<u8>,
    /// Bytes of `block` that were given.
    given: usize,
}

/// Where reading is.
enum Within {
    /// Between two frames.
    None,
    /// In a frame that the library reads.
    Frame,
    Legacy,
}

impl<R: BufRead> Lz4<R> {
    pub(super) fn new(stored: R) -> Self {
        let frames = FrameDecoder::new(Beginning { before: [0; 4], shown: 4, stored, starved: false });
        Self { frames, within: Within::None, packed: Vec::new(), block: Vec::new(), given: 0 }
    }

    /// The next four bytes; `None` if the input ends before them.
    fn word(&mut self) -> io::Result<Option<[u8; 4]>> {
        let stored = self.frames.get_mut();
        if stored.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut word = [0; 4];
        stored.read_exact(&mut word)?;
        Ok(Some(word))
    }

    /// Goes into the frame that begins with `magic`.
    fn begin(&mut self, magic: [u8; 4]) -> io::Result<()> {
        self.within = Within::None;
        if is_skippable(magic) {
            skip_frame(self.frames.get_mut())?;
        } else if magic == LZ4_LEGACY_FRAME {
            self.within = Within::Legacy;
        } else {
            // What begins no frame at all is the library's to refuse.
            self.within = Within::Frame;
            let stored = self.frames.get_mut();
            (stored.before, stored.shown) = (magic, 0);
        }
        Ok(())
    }

    /// Decompresses the next block of a legacy frame, or goes on to what stands behind it.
    fn legacy_block(&mut self) -> io::Result<()> {
        /// Of a block that is not the frame's last.
        const DECOMPRESSED: usize = 8 << 20;
        /// What that many bytes take at most.
        const COMPRESSED: usize = DECOMPRESSED + DECOMPRESSED / 255 + 16;
        let Some(word) = self.word()? else {
            self.within = Within::None;
            return Ok(());
        };
        // The frame ends where no length stands but another magic number.
        if is_skippable(word) || [LZ4_FRAME, LZ4_LEGACY_FRAME].contains(&word) {
            return self.begin(word);
        }
        let invalid = |words: String| io::Error::new(io::ErrorKind::InvalidData, words);
        let length = u32::from_le_bytes(word) as usize;
        if length > COMPRESSED {
            return Err(invalid(format!(
                "a block claims {length} bytes, more than the {COMPRESSED} that any may have"
            )));
        }
        self.packed.clear();
        // A claim alone takes no memory.
        if self.frames.get_mut().take(length as u64).read_to_end(&mut self.packed)? < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.block.resize(DECOMPRESSED, 0);
        let count = lz4_flex::block::decompress_into(&self.packed, &mut self.block);
        self.block.truncate(count.as_ref().map_or(0, |&count| count));
        self.given = 0;
        count.map(|_| ()).map_err(|error| invalid(error.to_string()))
    }
}

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        while !space.is_empty() {
            match self.within {
                Within::None => match self.word()? {
                    Some(magic) => self.begin(magic)?,
                    None => break,
                },
                Within::Frame => {
                    let count = self.frames.read(space)?;
                    if count > 0 {
                        return Ok(count);
                    }
                    // The library gives nothing at the end of a frame, and also if the input ends where a block should
                    // begin: only then it has asked in vain.
                    if self.frames.get_ref().starved {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.within = Within::None;
                }
                Within::Legacy => {
                    let left = self.block.get(self.given..).unwrap_or(&[]);
                    let count = left.len().min(space.len());
                    if let (Some(space), Some(left), 1..) = (space.get_mut(..count), left.get(..count), count) {
                        space.copy_from_slice(left);
                        self.given += count;
                        return Ok(count);
                    }
                    self.legacy_block()?;
                }
            }
        }
        Ok(0)
    }
}

/// A stream whose first four bytes were read already and are put in front again.
struct Beginning<R> {
    before: [u8; 4],
    /// Bytes of `before` that were shown again.
    shown: usize,
    stored: R,
    /// Something was wanted behind the end.
    starved: bool,
}

impl<R: BufRead> Read for Beginning<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if let Some(mut before) = self.before.get(self.shown..).filter(|before| !before.is_empty()) {
            let count = before.read(space)?;
            self.shown += count;
            return Ok(count);
        }
        let count = self.stored.read(space)?;
        self.starved |= count == 0 && !space.is_empty();
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Beginning<R> {
    /// Of the stream behind the first bytes.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stored.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.stored.consume(count);
    }
}
