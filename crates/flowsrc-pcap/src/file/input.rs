//! Opening inputs: files, standard input, streams; decompressed by their first bytes.

use std::fs;
use std::io::{self, BufRead, BufReader, Cursor, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;
use flowcore::{Error, ErrorKind, Result};

use super::kind::{ARCHIVE_HEADER, Compression, Kind, PREFIX, is_archive, unknown_words};
use super::window::BUFFER;

/// The path that means standard input.
pub(super) const STANDARD_INPUT: &str = "-";

/// Memory that an xz stream may ask for; `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 256 * 1024 * 1024;

/// How far reading has come, in bytes as stored (compressed, if they are).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Bytes taken from the input.
    pub read: u64,
    /// Bytes there are; `None` for pipes and streams.
    pub total: Option<u64>,
}

/// An opened input, decompressed, its format known.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) bytes: Box<dyn Read + Send>,
    pub(super) kind: Kind,
    pub(super) compression: Option<Compression>,
    /// Bytes in the file; `None` unless it is a regular one.
    pub(super) total: Option<u64>,
    pub(super) read: Arc<AtomicU64>,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if path.as_os_str() == STANDARD_INPUT {
            return Self::standard_input();
        }
        let name = path.display().to_string();
        let file = fs::File::open(path).map_err(|error| refused(&name, error))?;
        let facts = file.metadata().map_err(|error| refused(&name, error))?;
        if facts.is_dir() {
            return Err(directory(&name));
        }
        Self::from_file(name, file, facts.is_file().then_some(facts.len()))
    }

    fn standard_input() -> Result<Self> {
        let name = "standard input".to_owned();
        let stdin = io::stdin();
        if stdin.is_terminal() {
            return Err(Error::new(ErrorKind::Usage, "standard input is a terminal: pipe a capture into it"));
        }
        // The descriptor itself: the standard library's own buffer would copy every byte once more.
        let owned = stdin.as_fd().try_clone_to_owned().map_err(|error| refused(&name, error))?;
        let file = fs::File::from(owned);
        let facts = file.metadata().map_err(|error| refused(&name, error))?;
        if facts.is_dir() {
            return Err(directory(&name));
        }
        Self::from_file(name, file, facts.is_file().then_some(facts.len()))
    }

    fn from_file(name: String, file: fs::File, total: Option<u64>) -> Result<Self> {
        Self::from_read(name, Box::new(file), total)
    }

    /// Takes a stream; `name` is for messages.
    pub(super) fn from_read(name: String, stream: Box<dyn Read + Send>, total: Option<u64>) -> Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let counted: Box<dyn Read + Send> = Box::new(Counted { stream, read: Arc::clone(&read) });
        let (kind, mut prefix, stored) = look(counted).map_err(|error| refused(&name, error))?;
        let mut input = Self { name, bytes: stored, kind, compression: None, total, read };
        if let Kind::Packed(compression) = input.kind {
            let unpacked = unpack(compression, input.bytes).map_err(|error| refused(&input.name, error))?;
            input.compression = Some(compression);
            (input.kind, prefix, input.bytes) = look(unpacked).unwrap_or_else(|error| {
                // Damaged before the first byte came out: an empty stream that ends with that error.
                (Kind::Short, Vec::new(), Box::new(Failed(Some(error))) as Box<dyn Read + Send>)
            });
        }
        let within = input.compression.map(|compression| format!("{} of ", compression.name())).unwrap_or_default();
        let words = match input.kind {
            Kind::Foreign(words) => format!("this is {within}{words}"),
            Kind::Packed(again) => format!("this is {within}{} once more: decompress it first", again.name()),
            Kind::Unknown if within.is_empty() => unknown_words(&prefix),
            Kind::Unknown => format!("this is {within}something that is {}", unknown_words(&prefix)),
            Kind::Classic(_) | Kind::Ng | Kind::Short => return Ok(input),
        };
        Err(Error::new(ErrorKind::Unsupported, format!("{}: {words}", input.name)))
    }
}

/// `EMFILE`, on every Linux.
const TOO_MANY_OPEN: i32 = 24;

/// What to say when an input cannot be opened or its first bytes not be read.
fn refused(name: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, format!("{name}: there is no such file")),
        io::ErrorKind::PermissionDenied => {
            Error::new(ErrorKind::Permission, format!("{name}: no permission to read it; its owner can grant that"))
        }
        io::ErrorKind::IsADirectory => directory(name),
        _ if error.raw_os_error() == Some(TOO_MANY_OPEN) => {
            let words =
                "too many files are open, since those that overlap in time are read together: `ulimit -n` allows more";
            Error::io(format!("{name}: {words}"), error)
        }
        _ => Error::io(format!("{name}: cannot be read"), error),
    }
}

fn directory(name: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{name}: this is a directory; name the capture files in it"))
}

/// What a stream is by its first bytes, those bytes, and the stream as if nothing had been read of it.
fn look(stream: Box<dyn Read + Send>) -> io::Result<(Kind, Vec<u8>, Box<dyn Read + Send>)> {
    let (prefix, stream) = peek(stream, PREFIX)?;
    let kind = Kind::of(&prefix);
    if !kind.may_be_archive() {
        return Ok((kind, prefix, stream));
    }
    // No capture, so nobody waits for its next packet.
    let (block, stream) = peek(stream, ARCHIVE_HEADER)?;
    Ok((if is_archive(&block) { Kind::ARCHIVE } else { kind }, prefix, stream))
}

/// Reads the first `most` bytes, or all there are, and puts them back in front.
fn peek(mut stream: Box<dyn Read + Send>, most: usize) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut prefix = vec![0; most];
    let mut filled = 0;
    let mut failed = None;
    while let Some(space) = prefix.get_mut(filled..)
        && !space.is_empty()
    {
        match stream.read(space) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if filled == 0 => return Err(error),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    prefix.truncate(filled);
    let front = Cursor::new(prefix.clone());
    let whole: Box<dyn Read + Send> = match failed {
        // The bytes first, then the error that followed them.
        Some(error) => Box::new(front.chain(Failed(Some(error)))),
        None => Box::new(front.chain(stream)),
    };
    Ok((prefix, whole))
}

fn unpack(compression: Compression, stored: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let stored = BufReader::with_capacity(BUFFER, stored);
    Ok(match compression {
        Compression::Gzip => Box::new(Gzip { member: Some(GzDecoder::new(stored)) }),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stored)?),
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                .map_err(io::Error::other)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(stored, stream))
        }
        Compression::Lz4 => Box::new(Lz4 { frames: lz4_flex::frame::FrameDecoder::new(Probed::new(stored)) }),
    })
}

/// Counts what passes and tries again when a signal interrupts.
struct Counted {
    stream: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(space) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => {
                    let count = other?;
                    self.read.fetch_add(count as u64, Ordering::Relaxed);
                    return Ok(count);
                }
            }
        }
    }
}

/// An input that ends with an error.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Gzip members one after the other, and zeros between and behind them: tapes and block devices are padded so, and
/// `gzip` passes over them.
struct Gzip<R: BufRead> {
    /// `None` behind the last one.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        /// What a member begins with.
        const MAGIC: u8 = 0x1f;
        while let Some(member) = &mut self.member {
            let count = member.read(space)?;
            if count > 0 || space.is_empty() {
                return Ok(count);
            }
            let stored = member.get_mut();
            let next = loop {
                let bytes = stored.fill_buf()?;
                match bytes.iter().position(|&byte| byte != 0) {
                    Some(zeros) => {
                        let next = bytes.get(zeros).copied();
                        stored.consume(zeros);
                        break next;
                    }
                    None if bytes.is_empty() => break None,
                    None => {
                        let zeros = bytes.len();
                        stored.consume(zeros);
                    }
                }
            };
            match next {
                None => self.member = None,
                Some(MAGIC) => self.member = self.member.take().map(|member| GzDecoder::new(member.into_inner())),
                Some(_) => {
                    self.member = None;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "it is followed by something else"));
                }
            }
        }
        Ok(0)
    }
}

/// LZ4 frames one after the other, with a cut between two blocks told from the end.
///
/// The frame decoder gives 0 bytes at the end of every frame and also when the input ends where a block should begin.
/// So at the end of the input it is shown zeros: an open frame takes four of them for its end mark (and four more for
/// a checksum), while a closed one reads seven for the header of a next frame.
struct Lz4<R: BufRead> {
    frames: lz4_flex::frame::FrameDecoder<Probed<R>>,
}

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        /// What a closed frame reads of the zeros.
        const NEXT_HEADER: usize = 7;
        loop {
            if space.is_empty() {
                return Ok(0);
            }
            if self.frames.get_ref().shown > 0 {
                return Ok(0);
            }
            let count = self.frames.read(space)?;
            if count > 0 {
                return Ok(count);
            }
            if !self.frames.get_mut().stream.fill_buf()?.is_empty() {
                continue;
            }
            self.frames.get_mut().zeros = 16;
            let probe = self.frames.read(space);
            let probed = self.frames.get_mut();
            probed.zeros = 0;
            return match probe {
                Ok(count) if count > 0 => Err(io::ErrorKind::InvalidData.into()),
                _ if probed.shown == NEXT_HEADER => Ok(0),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
}

/// A stream followed by as many zeros as it is told to show.
struct Probed<R> {
    stream: R,
    zeros: usize,
    shown: usize,
}

impl<R> Probed<R> {
    fn new(stream: R) -> Self {
        Self { stream, zeros: 0, shown: 0 }
    }
}

impl<R: BufRead> Read for Probed<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if self.zeros == 0 {
            return self.stream.read(space);
        }
        let count = self.zeros.min(space.len());
        if let Some(space) = space.get_mut(..count) {
            space.fill(0);
        }
        self.zeros -= count;
        self.shown += count;
        Ok(count)
    }
}
