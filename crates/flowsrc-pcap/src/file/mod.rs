//! Capture files: pcap and pcapng, compressed or not, one or several.
//!
//! | module | holds |
//! |---|---|
//! | `record` | what a reader gives: raw packets, interfaces, their statistics |
//! | `kind` | which format a stream is, by its first bytes; what to say of those that are not ours |
//! | `input` | opening files and standard input |
//! | `unpack`, `gzip`, `lz4` | decompressing |
//! | `window` | the reused buffer between input and formats |
//! | `times`, `fault` | times that cannot be right; the one sentence about what is wrong |
//! | `classic`, `ng`, `options`, `clock` | the formats, walked in place |
//! | `reader` | one input: [`Reader`] |
//! | `merge` | several inputs in time order |
//! | `numbers` | which interface is which |
//! | `source` | the [`Collector`](flowcore::Collector): [`Files`] |
//!
//! The walks are our own because reading is where the time goes: records and enhanced packet blocks are read from the
//! slice without an object per block. The pcap-file crate is their oracle in the tests. It does not serve the colder
//! blocks either: it refuses an interface finer than a nanosecond, and every block that refers to it from there on.

mod classic;
mod clock;
mod fault;
mod gzip;
mod input;
mod kind;
mod lz4;
mod merge;
mod ng;
mod numbers;
mod options;
mod reader;
mod record;
mod source;
mod times;
mod unpack;
mod window;

pub use input::{Position, is_standard_input};
pub use reader::Reader;
pub(crate) use record::Sink;
pub use record::{Interface, RawPacket, Statistics};
pub use source::{Builder, Files};
pub use window::{BUFFER, LARGEST_RECORD};
