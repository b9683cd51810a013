//! The collector: capture files as events.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;

use flowcore::wire::DecodeOptions;
use flowcore::{
    Collector, Error, ErrorKind, Features, Filled, FlowEvent, Frames, Ledger, Limit, Result, SourceInfo, Status,
    Timestamp,
};

use super::input::{Position, STANDARD_INPUT, is_standard_input};
use super::merge::{MOST_NAMED, Merge};
use super::numbers::{Interfaces, Named, holds_others};
use super::reader::Reader;
use super::record::{Interface, RawPacket, Sink};
use crate::decode::Decoder;

/// One or several captures as a source of events, in time order.
///
/// A single input keeps its own order; several are merged by time. The answer is the same whether a capture is stored
/// plain or compressed, comes from a file or a pipe, or was cut into a rotated set. Only as much is held in memory as a
/// batch needs, whatever the size of the files.
///
/// # Loss
/// Damaged, cut or empty inputs give everything readable, then end: [`fault`](Collector::fault) says where and why, and
/// the ledger is marked incomplete. So does one of several inputs that cannot be opened or is no capture: the others
/// are read.
#[derive(Debug)]
pub struct Files {
    info: SourceInfo,
    inputs: Inputs,
    decoder: Decoder,
    named: Named,
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
    One(Box<Reader>, Sections),
    Several(Box<Merge>),
}

/// The interfaces of one input with more than one section; empty otherwise.
#[derive(Debug, Default)]
struct Sections {
    interfaces: Interfaces,
    /// By the reader's own numbers.
    numbers: Vec<u16>,
}

impl Sections {
    fn renumber(&mut self, packets: &mut [RawPacket], described: &[Interface]) {
        if described.last().is_some_and(|interface| interface.section > 0) {
            for packet in packets {
                packet.interface = self.interfaces.of(packet.interface, described, &mut self.numbers);
            }
        }
    }
}

/// Whether every packet has the number that the capture gives it, whatever comes.
fn is_of_one_interface(reader: &Reader) -> bool {
    !reader.is_pcapng() && !reader.interfaces().iter().any(holds_others)
}

impl Inputs {
    fn readers(&self) -> Box<dyn Iterator<Item = &Reader> + '_> {
        match self {
            Self::One(reader, _) => Box::new(std::iter::once(&**reader)),
            Self::Several(merge) => Box::new(merge.readers()),
        }
    }

    fn interfaces(&self) -> &[Interface] {
        match self {
            Self::One(reader, sections) if sections.numbers.is_empty() => reader.interfaces(),
            Self::One(_, sections) => sections.interfaces.known(),
            Self::Several(merge) => merge.interfaces(),
        }
    }

    fn window(&self) -> &[u8] {
        match self {
            Self::One(reader, _) => reader.window(),
            Self::Several(merge) => merge.window(),
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

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("inputs", &self.inputs.len())
            .field("options", &self.options)
            .field("packet_limit", &self.packet_limit)
            .finish_non_exhaustive()
    }
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

    /// Adds files, merged with the others in time order. Packets of equal times keep the order of the inputs,
    /// but for the first of an input, which come behind those of the others.
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
    /// If none can be opened and is a capture, with what is wrong with each; if there is none, or standard input is
    /// named twice.
    pub fn open(self) -> Result<Files> {
        let Self { inputs, options, packet_limit } = self;
        let standard = |input: &&Source| matches!(input, Source::Path(path) if is_standard_input(path));
        if inputs.iter().filter(standard).count() > 1 {
            return Err(Error::new(ErrorKind::Usage, "standard input can be read only once"));
        }
        let several = inputs.len() > 1;
        // Each is looked at and closed before the next is opened: there may be more of them than may be open.
        let (mut merge, mut single) = (Merge::default(), None);
        let mut opened = false;
        let mut refused = Vec::new();
        for input in inputs {
            let (path, reader) = match input {
                Source::Path(path) => {
                    // One name for it: it is read where it stands, never opened again.
                    let path = if is_standard_input(&path) { STANDARD_INPUT.into() } else { path };
                    let reader = Reader::open(&path);
                    (Some(path), reader)
                }
                Source::Stream(stream, name) => (None, Reader::from_read(stream, name)),
            };
            match reader {
                Ok(reader) => {
                    opened = true;
                    if several { merge.add(path, reader) } else { single = Some(reader) }
                }
                // Asked for something that cannot be, not met something that is not there.
                Err(error) if error.kind() == ErrorKind::Usage => return Err(error),
                Err(error) => refused.push(error),
            }
        }
        if !opened {
            return Err(all_refused(refused));
        }
        refused.into_iter().for_each(|error| merge.refuse(error));
        let inputs = match single {
            Some(reader) => Inputs::One(Box::new(reader), Sections::default()),
            None => Inputs::Several(Box::new(merge)),
        };
        let mut files = Files {
            info: info(&inputs, options),
            inputs,
            decoder: Decoder::new(options),
            named: Named::default(),
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

/// One error for all inputs, of the kind of the first.
fn all_refused(refused: Vec<Error>) -> Error {
    let count = refused.len();
    let mut refused = refused.into_iter();
    let Some(first) = refused.next() else { return Error::new(ErrorKind::Usage, "no capture file named") };
    if count == 1 {
        return first;
    }
    let mut words = first.to_string();
    for error in refused.take(MOST_NAMED - 1) {
        words = format!("{words}; {error}");
    }
    if count > MOST_NAMED {
        words = format!("{words}; and {} more", count - MOST_NAMED);
    }
    Error::new(first.kind(), words)
}

fn info(inputs: &Inputs, options: DecodeOptions) -> SourceInfo {
    let mut names = inputs.readers().map(Reader::name);
    let first = names.next().unwrap_or_default().to_owned();
    let name = match names.count() {
        0 => first,
        others => format!("{first} and {others} more"),
    };
    let of_several = |reader: &Reader| reader.is_pcapng() || reader.interfaces().iter().any(holds_others);
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
            Inputs::One(reader, _) => reader.position(),
            Inputs::Several(merge) => merge.position(),
        }
    }

    /// The interfaces of the captures met so far, by [`FlowEvent::interface`]. Frames of Linux cooked captures (version
    /// 2) name an interface themselves: they have the system's index, or another free number if an interface of the
    /// captures has that one. Statistics are filled for a single input of one section only; otherwise they are in the
    /// [`ledger`](Collector::ledger).
    pub fn interfaces(&self) -> &[Interface] {
        self.inputs.interfaces()
    }

    /// Says again what is wrong, if there is something new.
    fn renew_fault(&mut self) {
        let troubles = match &self.inputs {
            Inputs::One(reader, _) => reader.troubles(),
            Inputs::Several(merge) => merge.troubles(),
        };
        if troubles != self.troubles {
            self.troubles = troubles;
            self.fault = match &self.inputs {
                Inputs::One(reader, _) => reader.fault(),
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
        let before = events.len();
        events.reserve(most);
        let mut decoding = self.decoder.begin(events);
        let mut renumber = false;
        let status = match &mut self.inputs {
            _ if most == 0 => Ok(Status::End),
            // One interface that keeps its number: each packet is decoded where the walk finds it.
            Inputs::One(reader, _) if is_of_one_interface(reader) => {
                let status = reader.read_into(most, &mut decoding);
                self.through = self.through.max(reader.latest().unwrap_or(Timestamp::MIN));
                status
            }
            inputs => {
                self.raw.clear();
                let status = match inputs {
                    Inputs::One(reader, sections) => {
                        let status = reader.read_batch(most, &mut self.raw);
                        sections.renumber(&mut self.raw, reader.interfaces());
                        status
                    }
                    Inputs::Several(merge) => merge.read_batch(most, &mut self.raw),
                };
                let window = inputs.window();
                for packet in &self.raw {
                    if !packet.untimed {
                        self.through = self.through.max(packet.time);
                    }
                    decoding.take(*packet, packet.bytes(window));
                }
                renumber = true;
                status
            }
        };
        let count = decoding.finish();
        self.left -= count as u64;
        let status = status?;
        self.renew_fault();
        if renumber {
            self.named.assign(&self.raw, events.get_mut(before..).unwrap_or_default(), self.inputs.interfaces());
        }
        let window = self.inputs.window();
        Ok(Filled::new(Frames::new(window, self.decoder.layers()), self.through, status))
    }

    fn ledger(&mut self) -> Result<Ledger> {
        let before = match &self.inputs {
            Inputs::One(reader, _) => reader.ledger(),
            Inputs::Several(merge) => merge.ledger(),
        };
        Ok(self.decoder.ledger().stacked(&before))
    }

    fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}
