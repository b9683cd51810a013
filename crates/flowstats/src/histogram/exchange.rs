//! HdrHistogram's exchange format, version 2: what other tools and languages read and write.
//!
//! A histogram is a header and its counts as ZigZag LEB128 numbers (at most 9 bytes each, the ninth whole), runs of
//! empty buckets as one negative number; usually within zlib, and in logs in base64 (`HISTFAAA…`). The Java
//! implementation of HdrHistogram (`encodeIntoByteBuffer`) is the specification.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::{ZlibDecoder, ZlibEncoder};

use super::Histogram;
use super::buckets::{BUCKETS, bucket};

const COOKIE: u32 = 0x1c84_9313;
const COMPRESSED_COOKIE: u32 = 0x1c84_9314;

/// A header has seven numbers.
const HEADER_BYTES: usize = 40;

/// Our buckets are those of two digits: HdrHistogram has the power of two above 2 · 10² of them up to the first octave.
const DIGITS: u32 = 2;

/// More than a histogram of five digits over all of `u64` could take.
const LARGEST_PAYLOAD: u64 = 64 << 20;

/// Why a text or bytes are no histogram.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not base64.
    #[error("not a histogram: the text is not base64")]
    Base64,
    /// The first four bytes are those of another format or version.
    #[error("not a histogram in HdrHistogram's format, version 2 (its base64 begins with HISTFAAA or HISTEwAA)")]
    Cookie,
    /// It ends before its own length, or its zlib stream is damaged.
    #[error("a histogram that is cut or damaged")]
    Damaged,
    /// A header with numbers that cannot be, or counts beyond the range it names.
    #[error("a histogram with impossible {0}")]
    Impossible(&'static str),
}

impl Histogram {
    /// HdrHistogram's format V2, compressed, in base64: as in its logs.
    ///
    /// All counts are there; of the smallest, the largest and the mean a reader has what buckets tell.
    pub fn encode(&self) -> String {
        let plain = self.encode_plain();
        let mut out = COMPRESSED_COOKIE.to_be_bytes().to_vec();
        out.extend_from_slice(&[0; 4]);
        let mut zlib = ZlibEncoder::new(plain.as_slice(), Compression::default());
        let written = zlib.read_to_end(&mut out);
        debug_assert!(written.is_ok(), "memory is read without errors");
        let length = (out.len() - 8) as u32;
        out[4..8].copy_from_slice(&length.to_be_bytes());
        STANDARD.encode(out)
    }

    /// HdrHistogram's format V2, neither compressed nor in base64.
    pub fn encode_plain(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + 64);
        for word in [COOKIE, 0, 0, DIGITS] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        // From 1 to what there is; a range is at least one octave.
        let highest = self.max().unwrap_or(0).max(2);
        out.extend_from_slice(&1u64.to_be_bytes());
        out.extend_from_slice(&highest.to_be_bytes());
        out.extend_from_slice(&1f64.to_be_bytes());
        let mut next = 0;
        for (bucket, count) in self.counts.iter() {
            match bucket - next {
                0 => {}
                // One empty bucket is a count of nothing, several are a negative number.
                1 => push_number(&mut out, 0),
                empty => push_number(&mut out, -(empty as i64)),
            }
            push_number(&mut out, i64::try_from(count).unwrap_or(i64::MAX));
            next = bucket + 1;
        }
        if next == 0 {
            push_number(&mut out, 0);
        }
        let length = (out.len() - HEADER_BYTES) as u32;
        out[4..8].copy_from_slice(&length.to_be_bytes());
        out
    }

    /// Reads what [`encode`](Self::encode), or any other HdrHistogram of version 2, has written; of a line of an
    /// interval log, its last field.
    ///
    /// A foreign histogram of more digits than two adds its own error to ours. Values are taken at the middle of their
    /// buckets; so are the smallest, the largest and the mean.
    ///
    /// # Errors
    /// If it is no such histogram, or a damaged one.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| DecodeError::Base64)?;
        Self::decode_bytes(&bytes)
    }

    /// The same from bytes, compressed or not.
    ///
    /// # Errors
    /// If it is no such histogram, or a damaged one.
    pub fn decode_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (cookie, rest) = bytes.split_first_chunk().ok_or(DecodeError::Damaged)?;
        match u32::from_be_bytes(*cookie) {
            COOKIE => decode_plain(bytes),
            COMPRESSED_COOKIE => {
                let (length, rest) = rest.split_first_chunk().ok_or(DecodeError::Damaged)?;
                let packed = rest.get(..u32::from_be_bytes(*length) as usize).ok_or(DecodeError::Damaged)?;
                let mut plain = Vec::new();
                let read = ZlibDecoder::new(packed).take(LARGEST_PAYLOAD).read_to_end(&mut plain);
                read.map_err(|_| DecodeError::Damaged)?;
                decode_plain(&plain)
            }
            _ => Err(DecodeError::Cookie),
        }
    }
}

/// Walks over numbers of fixed width.
struct Header<'a>(&'a [u8]);

impl Header<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(DecodeError::Damaged)?;
        self.0 = rest;
        Ok(*first)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.take().map(u64::from_be_bytes)
    }
}

/// How another HdrHistogram cuts its values.
struct Layout {
    /// Its unit is 2 to this.
    unit_bits: u32,
    /// It has 2 to this many buckets per octave.
    octave_bits: u32,
}

impl Layout {
    /// The smallest and the largest value of its bucket `index`; `None` if they lie beyond `u64`.
    fn bounds(&self, index: u64) -> Option<(u64, u64)> {
        let octave = (index >> self.octave_bits).saturating_sub(1);
        let shift = u32::try_from(octave).ok()?.checked_add(self.unit_bits).filter(|shift| *shift < u64::BITS)?;
        let within = index - (octave << self.octave_bits);
        let low = within.checked_mul(1 << shift)?;
        Some((low, low.checked_add((1 << shift) - 1)?))
    }
}

fn decode_plain(bytes: &[u8]) -> Result<Histogram, DecodeError> {
    let mut header = Header(bytes);
    if header.u32()? != COOKIE {
        return Err(DecodeError::Cookie);
    }
    let length = header.u32()? as usize;
    let offset = header.u32()?;
    let digits = header.u32()?;
    let (lowest, highest) = (header.u64()?, header.u64()?);
    let ratio = f64::from_be_bytes(header.take()?);
    if digits > 5 {
        return Err(DecodeError::Impossible("number of digits"));
    }
    if lowest == 0 || highest / 2 < lowest {
        return Err(DecodeError::Impossible("range"));
    }
    if offset != 0 || ratio != 1.0 {
        return Err(DecodeError::Impossible("scale; only whole numbers are read"));
    }
    // Enough buckets to tell 2 · 10^digits values apart, a power of two; half of them per octave.
    let octave_bits = (2 * 10u64.pow(digits)).next_power_of_two().trailing_zeros() - 1;
    let layout = Layout { unit_bits: lowest.ilog2(), octave_bits };
    let mut counts = header.0.get(..length).ok_or(DecodeError::Damaged)?;
    let mut histogram = Histogram::new();
    let mut index = 0u64;
    while !counts.is_empty() {
        let number = take_number(&mut counts)?;
        if number < 0 {
            index = index.saturating_add(number.unsigned_abs());
            continue;
        }
        if number > 0 {
            let (low, high) = layout.bounds(index).ok_or(DecodeError::Impossible("number of counts"))?;
            histogram.record_many(low + (high - low) / 2, number as u64);
        }
        index = index.saturating_add(1);
    }
    debug_assert!(histogram.counts.iter().all(|(bucket, _)| bucket < BUCKETS));
    debug_assert!(histogram.max().is_none_or(|greatest| bucket(greatest) < BUCKETS));
    Ok(histogram)
}

/// ZigZag: small numbers of either sign are short.
fn push_number(out: &mut Vec<u8>, number: i64) {
    let mut rest = (number << 1 ^ number >> 63) as u64;
    for _ in 0..8 {
        if rest < 0x80 {
            return out.push(rest as u8);
        }
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    // The ninth byte has all its eight bits.
    out.push(rest as u8);
}

fn take_number(bytes: &mut &[u8]) -> Result<i64, DecodeError> {
    let mut number = 0u64;
    for place in 0..9 {
        let (&byte, rest) = bytes.split_first().ok_or(DecodeError::Damaged)?;
        *bytes = rest;
        let last = place == 8;
        number |= u64::from(if last { byte } else { byte & 0x7f }) << (7 * place);
        if last || byte & 0x80 == 0 {
            break;
        }
    }
    Ok((number >> 1) as i64 ^ -((number & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_come_back() {
        for number in [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN, 1 << 55, -(1 << 56)] {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            assert!(bytes.len() <= 9);
            assert_eq!(take_number(&mut bytes.as_slice()), Ok(number));
        }
        assert_eq!(take_number(&mut [0x80u8].as_slice()), Err(DecodeError::Damaged));
    }

    #[test]
    fn what_is_no_histogram_is_refused_by_its_fault() {
        let good = {
            let mut one = Histogram::new();
            one.record(1000);
            one
        };
        assert_eq!(Histogram::decode("%%"), Err(DecodeError::Base64));
        assert_eq!(Histogram::decode("AAAAAAAA"), Err(DecodeError::Cookie));
        assert_eq!(Histogram::decode(""), Err(DecodeError::Damaged));
        let plain = good.encode_plain();
        for end in 0..plain.len() {
            assert!(Histogram::decode_bytes(&plain[..end]).is_err(), "cut at {end}");
        }
        let with = |at: usize, bytes: &[u8]| {
            let mut other = plain.clone();
            other[at..at + bytes.len()].copy_from_slice(bytes);
            Histogram::decode_bytes(&other)
        };
        assert_eq!(with(12, &9u32.to_be_bytes()), Err(DecodeError::Impossible("number of digits")));
        assert_eq!(with(16, &0u64.to_be_bytes()), Err(DecodeError::Impossible("range")));
        let mut beyond = plain;
        let mut far = Vec::new();
        push_number(&mut far, -(1 << 40));
        push_number(&mut far, 1);
        beyond.truncate(HEADER_BYTES);
        beyond[4..8].copy_from_slice(&(far.len() as u32).to_be_bytes());
        beyond.extend_from_slice(&far);
        assert_eq!(Histogram::decode_bytes(&beyond), Err(DecodeError::Impossible("number of counts")));
    }
}
