//! One conversation of a client and a server, written down step by step.

use super::packets::{Packet, flags};

/// A client, a server, and what they have sent. Sequence numbers count from each end's SYN.
#[derive(Clone, Debug)]
pub struct Tape {
    pub packets: Vec<Packet>,
    client: &'static str,
    client_port: u16,
    server: &'static str,
    server_port: u16,
}

/// Initial sequence numbers, the client's near the wrap.
const STARTS: [u32; 2] = [u32::MAX - 50, 7000];

impl Tape {
    /// 10.0.0.1:40000 and 10.0.0.2:80, as in TRTOP's sequences.
    pub fn new() -> Self {
        Self::between(("10.0.0.1", 40_000), ("10.0.0.2", 80))
    }

    pub fn between((client, client_port): (&'static str, u16), (server, server_port): (&'static str, u16)) -> Self {
        Self { packets: Vec::new(), client, client_port, server, server_port }
    }

    /// The same with a SYN at 1.000, a SYN-ACK at 1.010 and the ACK at 1.0101 seconds.
    pub fn opened() -> Self {
        Self::new().handshake()
    }

    pub fn handshake(self) -> Self {
        self.c(1000.0, "S", 0, 0, 0).s(1010.0, "S.", 0, 1, 0).c(1010.1, ".", 1, 1, 0)
    }

    /// The client sends, at a time in milliseconds: flags, sequence number, acknowledgment number, length.
    pub fn c(self, millis: f64, letters: &str, seq: u32, ack: u32, length: u32) -> Self {
        self.push(0, millis, letters, [seq, ack], length)
    }

    /// The server sends.
    pub fn s(self, millis: f64, letters: &str, seq: u32, ack: u32, length: u32) -> Self {
        self.push(1, millis, letters, [seq, ack], length)
    }

    fn push(mut self, who: usize, millis: f64, letters: &str, [seq, ack]: [u32; 2], length: u32) -> Self {
        let ends = [(self.client.parse().unwrap(), self.client_port), (self.server.parse().unwrap(), self.server_port)];
        let flags = flags(letters);
        self.packets.push(Packet {
            nanos: 1_700_000_000_000_000_000 + (millis * 1e6).round() as u64,
            src: ends[who],
            dst: ends[1 - who],
            flags,
            seq: STARTS[who].wrapping_add(seq),
            ack: if flags & 16 == 0 { 0 } else { STARTS[1 - who].wrapping_add(ack) },
            window: 512,
            timestamp: None,
            length,
        });
        self
    }
}
