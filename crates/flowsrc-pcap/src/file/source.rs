//! The collector: capture files as events.

use std::io::Read;
use std::path::PathBuf;

use flowcore::wire::DecodeOptions;
use flowcore::{
    Collector, Error, ErrorKind, Features, Filled, FlowEvent, Frames, Ledger, Limit, Result, SourceInfo, Status,
    Timestamp,
};

use super::input::{Position, STANDARD_INPUT};
use super::merge::Merge;
use super::reader::Reader;
use super::record::{Interface, RawPacket};
use crate::decode::Decoder;

/// One capture file; the same collector as for several.
pub type File = Files;

/// Link type whose frames name an interface each (LINKTYPE_LINUX_SLL2).
const LINUX_SLL2: u16 = 276;

/// One or several captures as a source of events, in time order.
///
/// A single input keeps its own order; several are merged by time. The answer is the same whether a capture is stored
/// plain or compressed, comes from a file or a pipe, or was cut into a rotated set. Only as much is held in memory as a
/// batch needs, whatever the size of the files.
///
/// # Loss
/// Damaged, cut or empty inputs give everything readable, then end: [`fault`](Collector::fault) says where and why, and
/// the ledger is marked incomplete.
#[derive(Debug)]
pub struct Files {
    info: SourceInfo,
    inputs: Inputs,
    decoder: Decoder,
    raw: Vec<RawPacket>,
    /// Packets still allowed.
    left: u64,
    through: Timestamp,
    fault: Option<String>,
    /// Troubles that `fault` speaks of.
    troubles: u64,
}

#[derive(Debug)]
enum Inputs {
    One(Box<Reader>),
    Several(Box<Merge>),
}

impl Inputs {
    fn readers(&self) -> Box<dyn Iterator<Item = &Reader> + '_> {
        match self {
            Self::One(reader) => Box::new(std::iter::once(&**reader)),
            Self::Several(merge) => Box::new(merge.readers()),
        }
    }
}

/// What to read and how; made by [`Files::builder`].
#[derive(Default)]
pub struct Builder {
    inputs: Vec<Source>,
    options: DecodeOptions,
    packet_limit: Option<u64>,
}

enum Source {
    Path(PathBuf),
    Stream(Box<dyn Read + Send>, String),
}

impl Builder {
    /// Adds a file; `-` is standard input.
    #[must_use]
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.inputs.push(Source::Path(path.into()));
        self
    }

    /// Adds files, merged with the others in time order; packets of equal times keep the order of the inputs.
    #[must_use]
    pub fn paths(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.inputs.extend(paths.into_iter().map(|path| Source::Path(path.into())));
        self
    }

    /// Adds a stream; `name` is for messages.
    #[must_use]
    pub fn stream(mut self, stream: Box<dyn Read + Send>, name: impl Into<String>) -> Self {
        self.inputs.push(Source::Stream(stream, name.into()));
        self
    }

    /// How frames are decoded.
    #[must_use]
    pub fn decode(mut self, options: DecodeOptions) -> Self {
        self.options = options;
        self
    }

    /// Ends after this many packets; what lies behind them is not read.
    #[must_use]
    pub fn packet_limit(mut self, packets: u64) -> Self {
        self.packet_limit = Some(packets);
        self
    }

    /// Opens all inputs.
    ///
    /// # Errors
    /// If one cannot be opened or is no capture; if there is none, or standard input is named twice.
    pub fn open(self) -> Result<Files> {
        let Self { inputs, options, packet_limit } = self;
        let standard = |input: &&Source| matches!(input, Source::Path(path) if path.as_os_str() == STANDARD_INPUT);
        if inputs.iter().filter(standard).count() > 1 {
            return Err(Error::new(ErrorKind::Usage, "standard input can be read only once"));
        }
        let mut readers = Vec::with_capacity(inputs.len().min(64));
        let several = inputs.len() > 1;
        let mut merged = Vec::new();
        for input in inputs {
            let (path, reader) = match input {
                Source::Path(path) => {
                    let reader = Reader::open(&path)?;
                    (Some(path), reader)
                }
                Source::Stream(stream, name) => (None, Reader::from_read(stream, name)?),
            };
            if several { merged.push((path, reader)) } else { readers.push(reader) }
        }
        let inputs = match readers.pop() {
            Some(reader) => Inputs::One(Box::new(reader)),
            None if several => Inputs::Several(Box::new(Merge::new(merged)?)),
            None => return Err(Error::new(ErrorKind::Usage, "no capture file named")),
        };
        let mut files = Files {
            info: info(&inputs, options),
            inputs,
            decoder: Decoder::new(options),
            raw: Vec::new(),
            left: packet_limit.unwrap_or(u64::MAX),
            through: Timestamp::MIN,
            fault: None,
            troubles: 0,
        };
        files.renew_fault();
        Ok(files)
    }
}

fn info(inputs: &Inputs, options: DecodeOptions) -> SourceInfo {
    let mut names = inputs.readers().map(Reader::name);
    let first = names.next().unwrap_or_default().to_owned();
    let name = match names.count() {
        0 => first,
        others => format!("{first} and {others} more"),
    };
    let of_several = |reader: &Reader| {
        reader.is_pcapng() || reader.interfaces().iter().any(|interface| interface.link.0 == LINUX_SLL2)
    };
    let mut offers = Features::PACKETS | Features::FRAMES | Features::TCP_SEGMENTS | Features::LAYERS;
    offers.set(Features::HEADERS, options.headers);
    SourceInfo {
        name,
        offers,
        live: false,
        several_interfaces: matches!(inputs, Inputs::Several(_)) || inputs.readers().any(of_several),
        degraded: Vec::new(),
    }
}

impl Files {
    /// Opens one capture; `-` is standard input.
    ///
    /// # Errors
    /// If it cannot be opened or is no capture. A cut or damaged one opens: see [`fault`](Collector::fault).
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::builder().path(path).open()
    }

    /// For several captures, limits and options.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// How far reading has come, over all inputs.
    pub fn position(&self) -> Position {
        match &self.inputs {
            Inputs::One(reader) => reader.position(),
            Inputs::Several(merge) => merge.position(),
        }
    }

    /// The interfaces met so far, by [`FlowEvent::interface`]. Statistics are filled for a single input only; over
    /// several they are in the [`ledger`](Collector::ledger).
    pub fn interfaces(&self) -> &[Interface] {
        match &self.inputs {
            Inputs::One(reader) => reader.interfaces(),
            Inputs::Several(merge) => merge.interfaces(),
        }
    }

    /// Says again what is wrong, if there is something new.
    fn renew_fault(&mut self) {
        let troubles = match &self.inputs {
            Inputs::One(reader) => reader.troubles(),
            Inputs::Several(merge) => merge.troubles(),
        };
        if troubles != self.troubles {
            self.troubles = troubles;
            self.fault = match &self.inputs {
                Inputs::One(reader) => reader.fault(),
                Inputs::Several(merge) => merge.fault(),
            };
        }
    }
}

impl Collector for Files {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    /// Files never wait, so `limit.wait` does not matter to them; a pipe waits until its writer gives something.
    fn fill<'s>(&'s mut self, events: &mut Vec<FlowEvent>, limit: Limit) -> Result<Filled<'s>> {
        let allowed = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = limit.events.clamp(1, Decoder::BATCH).min(allowed);
        self.raw.clear();
        let status = match &mut self.inputs {
            _ if most == 0 => Status::End,
            Inputs::One(reader) => reader.read_batch(most, &mut self.raw)?,
            Inputs::Several(merge) => merge.read_batch(most, &mut self.raw)?,
        };
        self.left -= self.raw.len() as u64;
        self.renew_fault();
        let window = match &self.inputs {
            Inputs::One(reader) => reader.window(),
            Inputs::Several(merge) => merge.window(),
        };
        self.decoder.decode(&self.raw, window, events);
        self.through = self.raw.iter().fold(self.through, |latest, packet| latest.max(packet.time));
        Ok(Filled { frames: Frames::new(window, self.decoder.layers()), through: self.through, status })
    }

    fn ledger(&mut self) -> Result<Ledger> {
        let before = match &self.inputs {
            Inputs::One(reader) => reader.ledger(),
            Inputs::Several(merge) => merge.ledger(),
        };
        Ok(self.decoder.ledger().merged(&before))
    }

    fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}
