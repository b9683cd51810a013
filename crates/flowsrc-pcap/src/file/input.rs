//! Opening inputs: files, standard input, streams; decompressed by their first bytes.

use std::fs;
use std::io::{self, Cursor, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowcore::{Error, ErrorKind, Result};

use super::kind::{ARCHIVE_HEADER, Compression, Kind, PREFIX, is_archive, unknown_words};
use super::unpack::unpack;

/// The path that means standard input.
pub(super) const STANDARD_INPUT: &str = "-";

/// Whether `path` is standard input: `-`, or what the system calls it.
pub fn is_standard_input(path: &Path) -> bool {
    path.to_str().is_some_and(|path| matches!(path, STANDARD_INPUT | "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0"))
}

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
        if is_standard_input(path) {
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
            input.compression = Some(unpacked.0);
            (input.kind, prefix, input.bytes) = match look(unpacked.1) {
                Ok(beginning) => beginning,
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                    let words = format!("{}: this is {}, and {error}", input.name, unpacked.0.name());
                    return Err(Error::new(ErrorKind::Unsupported, words));
                }
                // Damaged before the first byte came out: an empty stream that ends with that error.
                Err(error) => (Kind::Short, Vec::new(), Box::new(Failed(Some(error))) as Box<dyn Read + Send>),
            };
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
pub(super) struct Failed(pub(super) Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
