//! Gzip members one after the other, by RFC 1952.
//!
//! The library's reader reports damage instead of what the same call has inflated, up to a whole buffer. So only its
//! inflating is used, a window at a time.

use std::io::{self, BufRead, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// How far back a member refers, and what the decoder inflates at once.
const WINDOW: usize = 32 * 1024;

/// What a member begins with.
const MAGIC: u8 = 0x1f;

/// Members to be inflated, and zeros between and behind them: tapes and block devices are padded so, and `gzip` passes
/// over them.
pub(super) struct Gzip<R> {
    stored: R,
    inflate: Decompress,
    /// Of the current member.
    sum: Crc,
    within: Within,
    block: Vec<u8>,
    /// Bytes of `block` that were given.
    given: usize,
}

/// Where reading is.
enum Within {
    First,
    Member,
    /// Behind a member's data.
    Trailer,
    /// Behind a member.
    Between,
    /// The data cannot be inflated further.
    Damage,
    End,
}

fn invalid(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, words)
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(stored: R) -> Self {
        let (inflate, sum) = (Decompress::new(false), Crc::new());
        Self { stored, inflate, sum, within: Within::First, block: Vec::new(), given: 0 }
    }

    /// Reads a member's header.
    fn header(&mut self) -> io::Result<()> {
        const CRC: u8 = 2;
        const EXTRA: u8 = 4;
        const NAME: u8 = 8;
        const COMMENT: u8 = 16;
        let mut sum = Crc::new();
        let mut byte = || {
            let mut byte = [0];
            self.stored.read_exact(&mut byte)?;
            sum.update(&byte);
            Ok::<u8, io::Error>(byte[0])
        };
        // Magic, method (deflate), flags; then time, what the compressor did, and its system.
        if (byte()?, byte()?, byte()?) != (MAGIC, 0x8b, 8) {
            return Err(invalid("invalid gzip header"));
        }
        let flags = byte()?;
        for _ in 0..6 {
            byte()?;
        }
        if flags & EXTRA != 0 {
            for _ in 0..u16::from_le_bytes([byte()?, byte()?]) {
                byte()?;
            }
        }
        for text in [NAME, COMMENT] {
            while flags & text != 0 && byte()? != 0 {}
        }
        if flags & CRC != 0 {
            let wanted = (sum.sum() as u16).to_le_bytes();
            let mut there = [0; 2];
            self.stored.read_exact(&mut there)?;
            if there != wanted {
                return Err(invalid("corrupt gzip header"));
            }
        }
        self.inflate.reset(false);
        self.sum.reset();
        self.within = Within::Member;
        Ok(())
    }

    fn inflate(&mut self) -> io::Result<()> {
        let stored = self.stored.fill_buf()?;
        let (taken, given) = (self.inflate.total_in(), self.inflate.total_out());
        // Up to where the decoder's own window wraps: nothing that it has inflated stays in there when it fails.
        self.block.resize(WINDOW - (given % WINDOW as u64) as usize, 0);
        let outcome = self.inflate.decompress(stored, &mut self.block, FlushDecompress::None);
        let taken = (self.inflate.total_in() - taken) as usize;
        let ended = stored.is_empty();
        self.stored.consume(taken);
        self.block.truncate((self.inflate.total_out() - given) as usize);
        self.given = 0;
        self.sum.update(&self.block);
        match outcome {
            Ok(Status::StreamEnd) => self.within = Within::Trailer,
            Ok(_) if ended && self.block.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(_) => self.within = Within::Damage,
        }
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<()> {
        let mut trailer = [0; 8];
        self.stored.read_exact(&mut trailer)?;
        let wanted = u64::from(self.sum.sum()) | u64::from(self.sum.amount()) << 32;
        if u64::from_le_bytes(trailer) != wanted {
            return Err(invalid("corrupt gzip stream does not have a matching checksum"));
        }
        self.within = Within::Between;
        Ok(())
    }

    /// Goes on to the next member, if there is one.
    fn next_member(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.stored.fill_buf()?;
            let zeros = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
            match bytes.get(zeros) {
                None if bytes.is_empty() => {
                    self.within = Within::End;
                    return Ok(());
                }
                None => self.stored.consume(zeros),
                Some(&MAGIC) => {
                    self.stored.consume(zeros);
                    return self.header();
                }
                Some(_) => return Err(invalid("it is followed by something else")),
            }
        }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        while !space.is_empty() {
            let left = self.block.get(self.given..).unwrap_or(&[]);
            let count = left.len().min(space.len());
            if let (1.., Some(space), Some(left)) = (count, space.get_mut(..count), left.get(..count)) {
                space.copy_from_slice(left);
                self.given += count;
                return Ok(count);
            }
            match self.within {
                Within::First => self.header()?,
                Within::Member => self.inflate()?,
                Within::Trailer => self.trailer()?,
                Within::Between => self.next_member()?,
                Within::Damage => return Err(invalid("corrupt deflate stream")),
                Within::End => break,
            }
        }
        Ok(0)
    }
}
