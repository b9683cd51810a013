//! Ethernet frames with right lengths and checksums, built without a heap allocation.

/// Longest payload of one frame: an Ethernet MTU of 1500 less IPv4 and TCP with timestamps.
pub const LONGEST_PAYLOAD: usize = 1448;

/// Room for the longest headers: Ethernet, one VLAN tag, IPv6, TCP with 40 bytes of options is 118.
const HEADERS: usize = 128;

/// TCP control bits, as numbered on the wire (RFC 9293 section 3.1).
pub mod flag {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment number counts.
    pub const ACK: u8 = 0x10;
}

/// Both ends of a packet and the tag it carries.
#[derive(Copy, Clone, Debug)]
pub struct Path {
    /// IP addresses as 16 bytes; IPv4 ones in the last four.
    pub source: [u8; 16],
    /// See `source`.
    pub destination: [u8; 16],
    /// Whether the addresses are IPv6.
    pub v6: bool,
    /// VLAN identifier of the 802.1Q tag, if there is one.
    pub vlan: Option<u16>,
    /// IPv4 identification; unused with IPv6.
    pub datagram_id: u16,
}

/// What follows the IP header.
#[derive(Copy, Clone, Debug)]
pub enum Transport<'a> {
    /// A TCP segment with `payload` bytes of the fixed pattern.
    Tcp {
        /// Source and destination port.
        ports: (u16, u16),
        /// Sequence number.
        seq: u32,
        /// Acknowledgment number.
        ack: u32,
        /// Control bits.
        flags: u8,
        /// Timestamp option: value and echo reply (RFC 7323).
        timestamp: (u32, u32),
        /// Payload bytes, at most [`LONGEST_PAYLOAD`].
        payload: usize,
    },
    /// A UDP datagram with `payload` bytes of the fixed pattern.
    Udp {
        /// Source and destination port.
        ports: (u16, u16),
        /// Payload bytes, at most [`LONGEST_PAYLOAD`].
        payload: usize,
    },
    /// A UDP datagram with this content.
    Datagram {
        /// Source and destination port.
        ports: (u16, u16),
        /// Its payload.
        content: &'a [u8],
    },
    /// An ICMP or ICMPv6 echo message with `payload` bytes of the fixed pattern.
    Echo {
        /// A reply, not a request.
        reply: bool,
        /// Identifier.
        identifier: u16,
        /// Sequence number.
        sequence: u16,
        /// Payload bytes, at most [`LONGEST_PAYLOAD`].
        payload: usize,
    },
}

/// One frame: its headers and payload, lent by the [`Builder`] until the next one.
#[derive(Copy, Clone, Debug)]
pub struct Frame<'a> {
    /// Link, network and transport headers.
    pub headers: &'a [u8],
    /// What they carry.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Length on the wire. Frames below Ethernet's minimum are not padded: that is how a sending host captures them.
    pub fn wire_bytes(&self) -> usize {
        self.headers.len() + self.payload.len()
    }
}

/// Builds one frame after the other.
#[derive(Debug)]
pub struct Builder {
    headers: [u8; HEADERS],
    pattern: Vec<u8>,
    /// `sums[n]` is the unfolded Internet checksum over the pattern's first `n` bytes, so that no payload is summed twice.
    sums: Vec<u32>,
}

impl Default for Builder {
    fn default() -> Self {
        let pattern: Vec<u8> = (0..LONGEST_PAYLOAD).map(|index| b'!' + (index * 31 % 89) as u8).collect();
        let sums = (0..=LONGEST_PAYLOAD).map(|length| sum(&pattern[..length])).collect();
        Self { headers: [0; HEADERS], pattern, sums }
    }
}

impl Builder {
    /// Builds one frame.
    pub fn build<'a>(&'a mut self, path: &Path, transport: Transport<'a>) -> Frame<'a> {
        let pattern_bytes = match transport {
            Transport::Tcp { payload, .. } | Transport::Udp { payload, .. } | Transport::Echo { payload, .. } => {
                payload.min(LONGEST_PAYLOAD)
            }
            Transport::Datagram { .. } => 0,
        };
        let (payload, payload_sum) = match transport {
            Transport::Datagram { content, .. } => (content, sum(content)),
            _ => (&self.pattern[..pattern_bytes], self.sums[pattern_bytes]),
        };
        let mut cursor = Cursor { bytes: &mut self.headers, used: 0 };

        // Locally administered addresses: 02:00 and the host's last four bytes.
        cursor.put(&[2, 0]);
        cursor.put(&path.destination[12..]);
        cursor.put(&[2, 0]);
        cursor.put(&path.source[12..]);
        if let Some(vlan) = path.vlan {
            cursor.put(&0x8100u16.to_be_bytes());
            cursor.put(&vlan.to_be_bytes());
        }
        cursor.put(&if path.v6 { 0x86ddu16 } else { 0x0800 }.to_be_bytes());

        let protocol: u8 = match transport {
            Transport::Tcp { .. } => 6,
            Transport::Udp { .. } | Transport::Datagram { .. } => 17,
            Transport::Echo { .. } => [1, 58][usize::from(path.v6)],
        };
        let network = cursor.used;
        let network_bytes = if path.v6 { 40 } else { 20 };
        let begin = network + network_bytes;
        cursor.used = begin;
        let checksum_at = begin + cursor.transport(&transport, path.v6, payload.len());
        let end = cursor.used;
        let transport_bytes = end - begin + payload.len();

        cursor.used = network;
        if path.v6 {
            cursor.put(&[0x60, 0, 0, 0]);
            cursor.put(&(transport_bytes as u16).to_be_bytes());
            cursor.put(&[protocol, 64]);
            cursor.put(&path.source);
            cursor.put(&path.destination);
        } else {
            cursor.put(&[0x45, 0]);
            cursor.put(&((transport_bytes + 20) as u16).to_be_bytes());
            cursor.put(&path.datagram_id.to_be_bytes());
            cursor.put(&[0x40, 0, 64, protocol, 0, 0]);
            cursor.put(&path.source[12..]);
            cursor.put(&path.destination[12..]);
            let checksum = fold(sum(&self.headers[network..begin]));
            self.headers[network + 10..network + 12].copy_from_slice(&checksum.to_be_bytes());
        }

        // The pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1); ICMP for IPv4 has none (RFC 792).
        let addresses = if path.v6 { &self.headers[network + 8..begin] } else { &self.headers[network + 12..begin] };
        let pseudo = match (path.v6, protocol) {
            (false, 1) => 0,
            _ => sum(addresses) + u32::from(protocol) + transport_bytes as u32,
        };
        let mut checksum = fold(pseudo + sum(&self.headers[begin..end]) + payload_sum);
        if protocol == 17 && checksum == 0 {
            checksum = 0xffff; // RFC 768: 0 would say that there is none
        }
        self.headers[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
        Frame { headers: &self.headers[..end], payload }
    }
}

struct Cursor<'a> {
    bytes: &'a mut [u8; HEADERS],
    used: usize,
}

impl Cursor<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    /// Writes the transport header with a checksum of 0, and says where in it the checksum stands.
    fn transport(&mut self, transport: &Transport<'_>, v6: bool, payload_bytes: usize) -> usize {
        match *transport {
            Transport::Tcp { ports, seq, ack, flags, timestamp, .. } => {
                let syn = flags & flag::SYN != 0;
                self.put(&ports.0.to_be_bytes());
                self.put(&ports.1.to_be_bytes());
                self.put(&seq.to_be_bytes());
                self.put(&ack.to_be_bytes());
                let words: u8 = if syn { 10 } else { 8 };
                self.put(&[words << 4, flags]);
                self.put(&if syn { 64_240u16 } else { 501 }.to_be_bytes());
                self.put(&[0, 0, 0, 0]);
                if syn {
                    let mss: u16 = if v6 { 1440 } else { 1460 };
                    self.put(&[2, 4]);
                    self.put(&mss.to_be_bytes());
                    self.put(&[4, 2]);
                } else {
                    self.put(&[1, 1]);
                }
                self.put(&[8, 10]);
                self.put(&timestamp.0.to_be_bytes());
                self.put(&timestamp.1.to_be_bytes());
                if syn {
                    self.put(&[1, 3, 3, 7]);
                }
                16
            }
            Transport::Udp { ports, .. } | Transport::Datagram { ports, .. } => {
                self.put(&ports.0.to_be_bytes());
                self.put(&ports.1.to_be_bytes());
                self.put(&((payload_bytes + 8) as u16).to_be_bytes());
                self.put(&[0, 0]);
                6
            }
            Transport::Echo { reply, identifier, sequence, .. } => {
                let kind = match (v6, reply) {
                    (false, false) => 8,
                    (false, true) => 0,
                    (true, false) => 128,
                    (true, true) => 129,
                };
                self.put(&[kind, 0, 0, 0]);
                self.put(&identifier.to_be_bytes());
                self.put(&sequence.to_be_bytes());
                2
            }
        }
    }
}

/// The sum of 16-bit words of RFC 1071, not folded; an odd last byte counts as the high half of a word.
fn sum(bytes: &[u8]) -> u32 {
    let mut words = bytes.chunks_exact(2);
    let whole: u32 = words.by_ref().map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    whole + words.remainder().first().map_or(0, |byte| u32::from(*byte) << 8)
}

/// Folds a sum into the complemented 16-bit checksum.
fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    !((once & 0xffff) + (once >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_the_rfc_example_is_right() {
        // RFC 1071 section 3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2.
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), !0xddf2);
    }

    #[test]
    fn a_segment_verifies_over_its_pseudo_header() {
        let mut builder = Builder::default();
        let mut source = [0; 16];
        source[12..].copy_from_slice(&[10, 0, 0, 1]);
        let mut destination = [0; 16];
        destination[12..].copy_from_slice(&[192, 0, 2, 1]);
        let path = Path { source, destination, v6: false, vlan: Some(12), datagram_id: 7 };
        let tcp = Transport::Tcp {
            ports: (4000, 443),
            seq: 1,
            ack: 2,
            flags: flag::ACK | flag::PSH,
            timestamp: (3, 4),
            payload: 101,
        };
        let frame = builder.build(&path, tcp);
        assert_eq!(frame.wire_bytes(), 14 + 4 + 20 + 32 + 101);
        let ip = &frame.headers[18..38];
        assert_eq!(fold(sum(ip)), 0);
        let pseudo = sum(&ip[12..20]) + 6 + 133;
        assert_eq!(fold(pseudo + sum(&frame.headers[38..]) + sum(frame.payload)), 0);
    }
}
