//! Decompressing, such that everything decoded before damage comes out before the error does; of lz4, every whole block.
//!
//! The libraries' own readers report an error instead of what the same call has decoded. So each decoder here is asked
//! what it has written, or given no more at a time than it takes for one block.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use zstd::stream::raw::{self, InBuffer, Operation, OutBuffer};

use super::gzip::Gzip;
use super::input::Failed;
use super::kind::{Compression, LZ4_FRAME, LZ4_LEGACY_FRAME, is_skippable};
use super::lz4::Lz4;
use super::window::BUFFER;

/// Memory that an xz stream may ask for; `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 256 * 1024 * 1024;

/// The decompressed stream, and its compression where frames to be skipped hid which one it is.
pub(super) fn unpack(
    compression: Compression,
    stored: Box<dyn Read + Send>,
) -> io::Result<(Compression, Box<dyn Read + Send>)> {
    let mut buffered = BufReader::with_capacity(BUFFER, stored);
    let (mut compression, mut before) = (compression, Vec::new());
    if compression == Compression::Zstd {
        match pass_skippable(&mut buffered) {
            Ok(magic) => {
                let is_lz4 = [LZ4_FRAME, LZ4_LEGACY_FRAME].contains(&magic);
                compression = if is_lz4 { Compression::Lz4 } else { Compression::Zstd };
                before.extend(magic);
            }
            Err(error) => return Ok((compression, Box::new(Failed(Some(error))))),
        }
    }
    let stored = Cursor::new(before).chain(buffered);
    let unpacked: Box<dyn Read + Send> = match compression {
        Compression::Gzip => Box::new(Gzip::new(stored)),
        Compression::Zstd => Box::new(Zstd { stored, decoder: raw::Decoder::new()?, wanted: 0 }),
        Compression::Xz => Box::new(Xz::new(stored)?),
        Compression::Lz4 => Box::new(Lz4::new(stored)),
    };
    Ok((compression, unpacked))
}

/// Reads over the skippable frames that a stream begins with, and the magic number behind them. Frames of zstd and lz4
/// are told apart only there.
fn pass_skippable(stored: &mut impl BufRead) -> io::Result<[u8; 4]> {
    loop {
        let mut magic = [0; 4];
        stored.read_exact(&mut magic)?;
        if !is_skippable(magic) {
            return Ok(magic);
        }
        skip_frame(stored)?;
    }
}

/// Reads over what stands behind the magic number of a skippable frame: its length, then as many bytes.
pub(super) fn skip_frame(stored: &mut impl Read) -> io::Result<()> {
    let mut length = [0; 4];
    stored.read_exact(&mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    let passed = io::copy(&mut stored.by_ref().take(length), &mut io::sink())?;
    if passed < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// What to say of a sound stream that asks for more memory than it gets; `remedy` unpacks it beforehand.
fn too_large(limit: u64, remedy: &str) -> io::Error {
    let words = format!(
        "its window is beyond the limit of {} MiB: unpack it beforehand, as in `{remedy} FILE | flow conns -r -`",
        limit >> 20
    );
    io::Error::new(io::ErrorKind::OutOfMemory, words)
}

/// Xz streams one after the other.
struct Xz<R> {
    decoder: liblzma::bufread::XzDecoder<R>,
    /// What the decoder met behind the bytes that it gave last.
    failed: Option<io::Error>,
}

impl<R: BufRead> Xz<R> {
    fn new(stored: R) -> io::Result<Self> {
        let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
            .map_err(io::Error::other)?;
        Ok(Self { decoder: liblzma::bufread::XzDecoder::new_stream(stored, stream), failed: None })
    }
}

impl<R: BufRead> Read for Xz<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let before = self.decoder.total_out();
        self.decoder.read(space).or_else(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<liblzma::stream::Error>());
            let error = match inner {
                Some(liblzma::stream::Error::MemLimit) => too_large(XZ_MEMORY, "xz -dc"),
                _ => error,
            };
            // The decoder has written as many bytes and then found what is wrong.
            match (self.decoder.total_out() - before) as usize {
                0 => Err(error),
                written => {
                    self.failed = Some(error);
                    Ok(written.min(space.len()))
                }
            }
        })
    }
}

/// Zstandard frames one after the other.
struct Zstd<R> {
    stored: R,
    decoder: raw::Decoder<'static>,
    /// Bytes that the decoder would like to have next; 0 between two frames.
    wanted: usize,
}

impl<R> Zstd<R> {
    /// The largest window that the library takes unless told otherwise: 2^27 bytes.
    const WINDOW: u64 = 1 << 27;
    /// A block's header, which the decoder wants together with the block before it.
    const BLOCK_HEADER: usize = 3;
    /// What the decoder wants at the beginning of a frame.
    const BEGINNING: usize = 5;
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        while !space.is_empty() {
            let stored = self.stored.fill_buf()?;
            // A block at a time, its successor's header apart: what is wrong with one is met in a call that has written
            // nothing of those before it.
            let most = match self.wanted {
                0 => Self::BEGINNING,
                wanted if wanted > Self::BLOCK_HEADER => wanted - Self::BLOCK_HEADER,
                wanted => wanted,
            };
            let ended = stored.is_empty();
            if ended && self.wanted == 0 {
                break;
            }
            let mut input = InBuffer::around(stored.get(..most).unwrap_or(stored));
            let mut output = OutBuffer::around(space);
            let outcome = self.decoder.run(&mut input, &mut output);
            let (taken, written) = (input.pos(), output.pos());
            self.stored.consume(taken);
            self.wanted = outcome.map_err(|error| match error.to_string() {
                words if words.contains("too much memory") => too_large(Self::WINDOW, "zstd -dc --long=31"),
                _ => error,
            })?;
            match written {
                0 if ended => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 => {}
                written => return Ok(written),
            }
        }
        Ok(0)
    }
}
