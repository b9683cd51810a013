//! One lookup: asks servers until one answers or the time is over.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flowcore::Addr;

use super::Options;
use super::message::{Question, Reading};
use crate::cached::Answer;

/// Asks, and waits for the answer.
pub(super) struct Client {
    options: Options,
    /// Seeded by the operating system; what it makes of a number cannot be foretold.
    random: RandomState,
    asked: AtomicU64,
}

impl Client {
    pub(super) fn new(options: Options) -> Self {
        Self { options, random: RandomState::new(), asked: AtomicU64::new(0) }
    }

    /// The name of `addr`. Takes at most [`Options::limit`].
    pub(super) fn ask(&self, addr: Addr) -> Answer {
        let end = Instant::now() + self.options.limit;
        let Some(question) = Question::name_of(addr, self.id()) else { return Answer::Failed };
        let Some(answer) = self.exchange(&question, end, |bytes| question.read_name(bytes)) else {
            return Answer::Failed;
        };
        match answer {
            Answer::Name(name, lifetime) if self.options.confirm => {
                let Some(question) = Question::addresses_of(&name, addr, self.id()) else {
                    return Answer::Absent(lifetime);
                };
                match self.exchange(&question, end, |bytes| question.read_address(bytes, addr)) {
                    Some(true) => Answer::Name(name, lifetime),
                    Some(false) => Answer::Absent(lifetime),
                    None => Answer::Failed,
                }
            }
            answer => answer,
        }
    }

    /// A number that an impostor would have to guess (RFC 5452), beside the port that the system chooses.
    fn id(&self) -> u16 {
        self.random.hash_one(self.asked.fetch_add(1, Ordering::Relaxed)) as u16
    }

    /// Asks every server in turn, as often as allowed, until one answers.
    fn exchange<T>(&self, question: &Question, end: Instant, read: impl Fn(&[u8]) -> Reading<T>) -> Option<T> {
        for _ in 0..self.options.attempts {
            for &server in &self.options.servers {
                let until = (Instant::now() + self.options.attempt).min(end);
                let heard = match by_datagram(server, question, until, &read) {
                    Ok(Reading::Truncated) => by_stream(server, question, until).map(|bytes| read(&bytes)),
                    heard => heard,
                };
                if let Ok(Reading::Answer(answer)) = heard {
                    return Some(answer);
                }
                if Instant::now() >= end {
                    return None;
                }
            }
        }
        None
    }
}

/// The time left, as an error if there is none: sockets take no timeout of zero.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Asks over UDP, from a port of its own, and listens to nobody but the server.
fn by_datagram<T>(
    server: SocketAddr,
    question: &Question,
    until: Instant,
    read: impl Fn(&[u8]) -> Reading<T>,
) -> io::Result<Reading<T>> {
    let any = if server.is_ipv4() {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.send(question.as_bytes())?;
    let mut buffer = [0; 4096];
    loop {
        socket.set_read_timeout(Some(left(until)?))?;
        match socket.recv(&mut buffer) {
            Ok(length) => match read(&buffer[..length]) {
                Reading::Foreign => {}
                heard => return Ok(heard),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Asks over TCP, where a message stands behind its length (RFC 1035 section 4.2.2).
fn by_stream(server: SocketAddr, question: &Question, until: Instant) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
    stream.set_write_timeout(Some(left(until)?))?;
    let bytes = question.as_bytes();
    let mut framed = Vec::with_capacity(bytes.len() + 2);
    framed.extend_from_slice(&u16::try_from(bytes.len()).map_err(io::Error::other)?.to_be_bytes());
    framed.extend_from_slice(bytes);
    stream.write_all(&framed)?;
    let mut length = [0; 2];
    read_exactly(&mut stream, &mut length, until)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    read_exactly(&mut stream, &mut message, until)?;
    Ok(message)
}

/// `read_exact` whose end does not move with every byte that drips in.
fn read_exactly(stream: &mut TcpStream, mut buffer: &mut [u8], until: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => buffer = &mut buffer[read..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
