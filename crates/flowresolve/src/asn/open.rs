//! Opening tables: what they are, and decompressing them, by their content.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flowcore::{Error, ErrorKind, Result};

use super::Kind;

/// Bytes that are asked for at a time.
const BUFFER: usize = 256 * 1024;

/// Bytes that tell what a file is.
const PREFIX: usize = 512;

/// Memory that an xz stream may ask for; `xz -9` needs 65 MiB.
#[cfg(feature = "compressed")]
const XZ_MEMORY: u64 = 256 * 1024 * 1024;

pub(super) fn open(path: &Path, name: &str) -> Result<fs::File> {
    let file = fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, format!("{name}: there is no such file")),
        _ => Error::io(name, error),
    })?;
    if file.metadata().is_ok_and(|facts| facts.is_dir()) {
        let message = format!("{name}: this is a directory; name the tables in it");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(file)
}

/// What a stream is, and the same stream decompressed.
pub(super) fn recognise<'r>(name: &str, stream: Box<dyn Read + 'r>) -> Result<(Kind, Box<dyn BufRead + 'r>)> {
    let refused = |what: &str| Error::new(ErrorKind::Unsupported, format!("{name}: {what}"));
    let mut stream: Box<dyn BufRead + 'r> = Box::new(BufReader::with_capacity(BUFFER, stream));
    let mut unpacked = false;
    loop {
        let first = peek(&mut stream).map_err(|error| Error::io(name, error))?;
        let bzip2 = "this is compressed with bzip2, which is not read here: unpack it first (`bunzip2 -k`), or give it \
                     as `<(bzcat FILE)`";
        match *first.as_slice() {
            [] => return Err(refused("this is empty; a table of networks was expected")),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => return Err(refused(bzip2)),
            [0x1f, 0x8b, ..] | [0xfd, b'7', b'z', b'X', b'Z', ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] if !unpacked => {
                stream = unpack(name, &first, stream)?;
                unpacked = true;
            }
            [b'P', b'K', 3, 4, ..] => return Err(refused("this is a zip archive: unpack it first")),
            _ if first.get(257..262) == Some(b"ustar") => {
                return Err(refused("this is a tar archive: unpack it first (`tar xf`), and name the table in it"));
            }
            _ if is_text(&first) => return Ok((Kind::Text, stream)),
            _ if is_mrt(&first) => return Ok((Kind::Mrt, stream)),
            // Its mark is at the other end.
            _ => return Ok((Kind::MaxMind, stream)),
        }
    }
}

/// The first bytes, which stay in the stream.
fn peek(stream: &mut Box<dyn BufRead + '_>) -> std::io::Result<Vec<u8>> {
    let mut first = Vec::with_capacity(PREFIX);
    stream.by_ref().take(PREFIX as u64).read_to_end(&mut first)?;
    let rest = std::mem::replace(stream, Box::new(std::io::empty()));
    *stream = Box::new(std::io::Cursor::new(first.clone()).chain(rest));
    Ok(first)
}

#[cfg(feature = "compressed")]
fn unpack<'r>(name: &str, first: &[u8], stored: Box<dyn BufRead + 'r>) -> Result<Box<dyn BufRead + 'r>> {
    let wrong = |error: std::io::Error| Error::io(name, error);
    let unpacked: Box<dyn Read + 'r> = match first {
        [0x1f, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(stored)),
        [0x28, ..] => Box::new(zstd::stream::read::Decoder::with_buffer(stored).map_err(wrong)?),
        _ => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                .map_err(|error| wrong(std::io::Error::other(error)))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(stored, stream))
        }
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, unpacked)))
}

#[cfg(not(feature = "compressed"))]
fn unpack<'r>(name: &str, _: &[u8], _: Box<dyn BufRead + 'r>) -> Result<Box<dyn BufRead + 'r>> {
    let message = format!(
        "{name}: this is compressed, which this program was built without (feature `compressed` of flowresolve): \
         unpack it first"
    );
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// No control character but blanks.
fn is_text(first: &[u8]) -> bool {
    !first.iter().any(|&byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r'))
}

/// Whether a record begins here: time, type, subtype and length of the rest (RFC 6396 section 2), all of them likely.
fn is_mrt(first: &[u8]) -> bool {
    let &[_, _, _, _, 0, kind, 0, subtype, 0, ..] = first else { return false };
    matches!((kind, subtype), (12, 1..=2) | (13, 1..=12) | (16..=17, 0..=11) | (11 | 32 | 48, _))
}
