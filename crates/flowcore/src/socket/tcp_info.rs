//! `struct tcp_info` as the kernel sends it: a prefix of some length, read by field.

use std::fmt;

use super::SocketState;

/// What the kernel says of one TCP connection: `struct tcp_info` (include/uapi/linux/tcp.h), as much of it as was sent.
///
/// The structure only ever grew at its end, from 104 bytes (Linux 2.6) over 144 (4.4) and 232 (5.4) to 280 (6.18). A field
/// that the kernel did not send is `None`, as is one whose value is the kernel's own mark for "not measured yet"; each
/// such mark is named with its field. Times are in the unit that the name says.
#[derive(Copy, Clone)]
#[repr(C, align(8))]
pub struct TcpInfo {
    /// Zero from `len` on.
    bytes: [u8; TcpInfo::LARGEST],
    /// At most [`TcpInfo::LARGEST`].
    len: u16,
}

impl TcpInfo {
    /// The longest that is known: Linux 6.18. What a later kernel sends behind it is not kept.
    pub const LARGEST: usize = 280;

    /// Takes what was sent, of any length.
    #[inline]
    pub fn from_bytes(sent: &[u8]) -> Self {
        // The usual case, as a copy of known length.
        if let Some(&bytes) = sent.first_chunk() {
            return Self { bytes, len: Self::LARGEST as u16 };
        }
        let mut bytes = [0; Self::LARGEST];
        let len = sent.len();
        bytes[..len].copy_from_slice(&sent[..len]);
        Self { bytes, len: len as u16 }
    }

    /// What was sent, at most [`LARGEST`](Self::LARGEST) bytes of it.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    #[inline]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.as_bytes().get(offset..offset + N)?.try_into().ok()
    }

    #[inline]
    fn u8_at(&self, offset: usize) -> Option<u8> {
        self.read(offset).map(u8::from_ne_bytes)
    }

    #[inline]
    fn u16_at(&self, offset: usize) -> Option<u16> {
        self.read(offset).map(u16::from_ne_bytes)
    }

    #[inline]
    fn u32_at(&self, offset: usize) -> Option<u32> {
        self.read(offset).map(u32::from_ne_bytes)
    }

    /// A time since something, milliseconds; `None` before there is a connection. The kernel has stored no moment then, and
    /// its number counts from five minutes after the machine's start.
    #[inline]
    fn since_ms(&self, offset: usize) -> Option<u32> {
        let was_connected = match SocketState(self.state_number()?) {
            SocketState::SYN_SENT | SocketState::LISTEN => false,
            // What has ended: the SYN of a connection counts as delivered. Since Linux 4.18.
            SocketState::CLOSE => self.delivered() != Some(0),
            _ => true,
        };
        self.u32_at(offset).filter(|_| was_connected)
    }

    #[inline]
    fn u64_at(&self, offset: usize) -> Option<u64> {
        self.read(offset).map(u64::from_ne_bytes)
    }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $read:ident($offset:literal);)*) => {
        impl TcpInfo {
            $($(#[$doc])* #[inline] pub fn $name(&self) -> Option<$kind> { self.$read($offset) })*
        }
    };
}

fields! {
    /// State of the connection, by the kernel's number.
    state_number: u8 = u8_at(0);
    /// State of congestion control: 0 open, 1 disorder, 2 cwnd reduced, 3 recovery, 4 loss; see
    /// [`recovery`](Self::recovery).
    ca_state: u8 = u8_at(1);
    /// Retransmission timeouts in a row for the segment that is now unacknowledged.
    retransmits: u8 = u8_at(2);
    /// Zero-window probes sent that nothing answered.
    probes: u8 = u8_at(3);
    /// How often the timeout has been doubled.
    backoff: u8 = u8_at(4);
    /// The first bytes of the options, as [`TcpInfo::options`] names them.
    options_bits: u8 = u8_at(5);
    /// Retransmission timeout, microseconds.
    rto_us: u32 = u32_at(8);
    /// Delayed-ACK timeout, microseconds; 0 = none is running.
    ato_us: u32 = u32_at(12);
    /// Segments sent are at most this long, payload bytes.
    snd_mss: u32 = u32_at(16);
    /// Segments received are about this long, payload bytes.
    rcv_mss: u32 = u32_at(20);
    /// Segments on their way, not acknowledged. Of a listener: connections that wait to be accepted.
    unacked: u32 = u32_at(24);
    /// Segments that SACK reports. Of a listener: the most that may wait.
    sacked: u32 = u32_at(28);
    /// Segments thought lost.
    lost: u32 = u32_at(32);
    /// Segments sent again and not acknowledged yet; all that ever were are [`total_retrans`](Self::total_retrans).
    retrans: u32 = u32_at(36);
    /// Forward acknowledgments; 0 since Linux 4.15.
    fackets: u32 = u32_at(40);
    /// Since data was last sent, milliseconds; at first since the connection was made.
    last_data_sent_ms: u32 = since_ms(44);
    /// Since data was last received, milliseconds; at first since the connection was made.
    last_data_recv_ms: u32 = since_ms(52);
    /// Since an ACK was last received, milliseconds.
    last_ack_recv_ms: u32 = since_ms(56);
    /// Path MTU, bytes.
    pmtu: u32 = u32_at(60);
    /// Slow-start threshold of the receive window, bytes.
    rcv_ssthresh: u32 = u32_at(64);
    /// Mean deviation of the round-trip time, microseconds. 250,000 before the first sample.
    rttvar_us: u32 = u32_at(72);
    /// Slow-start threshold, segments; 0x7fffffff = none yet.
    snd_ssthresh: u32 = u32_at(76);
    /// Congestion window, segments.
    snd_cwnd: u32 = u32_at(80);
    /// MSS advertised to the other end, bytes.
    advmss: u32 = u32_at(84);
    /// Segments that may arrive out of order before one counts as lost.
    reordering: u32 = u32_at(88);
    /// Space for the receive queue as auto-tuning sees it, bytes.
    rcv_space: u32 = u32_at(96);
    /// Segments sent again since the connection began.
    total_retrans: u32 = u32_at(100);
    /// Data bytes acknowledged since the connection began, as by RFC 4898. The SYN counts as one.
    bytes_acked: u64 = u64_at(120);
    /// Data bytes received in order since the connection began. A FIN counts as one.
    bytes_received: u64 = u64_at(128);
    /// Segments sent since the connection began, those without data and those sent again included.
    segs_out: u32 = u32_at(136);
    /// Segments received since the connection began.
    segs_in: u32 = u32_at(140);
    /// Bytes in the send queue that have not been sent once.
    notsent_bytes: u32 = u32_at(144);
    /// Segments with data received.
    data_segs_in: u32 = u32_at(152);
    /// Segments with data sent, those sent again included.
    data_segs_out: u32 = u32_at(156);
    /// Time with data to send, microseconds.
    busy_time_us: u64 = u64_at(168);
    /// Time in which the peer's receive window was what held sending up, microseconds.
    rwnd_limited_us: u64 = u64_at(176);
    /// Time in which the send buffer was what held sending up, microseconds.
    sndbuf_limited_us: u64 = u64_at(184);
    /// Segments delivered, by ACK or SACK.
    delivered: u32 = u32_at(192);
    /// Of those, the ones whose ACK said "congestion experienced".
    delivered_ce: u32 = u32_at(196);
    /// Data bytes sent, those sent again included.
    bytes_sent: u64 = u64_at(200);
    /// Data bytes sent again.
    bytes_retrans: u64 = u64_at(208);
    /// Duplicates that the receiver reported by DSACK (RFC 2883).
    dsack_dups: u32 = u32_at(216);
    /// Times that reordering was seen.
    reord_seen: u32 = u32_at(220);
    /// Segments received out of order.
    rcv_ooopack: u32 = u32_at(224);
    /// The peer's receive window, scaled, bytes.
    snd_wnd: u32 = u32_at(228);
    /// The receive window told to the peer, scaled, bytes. Since Linux 6.2.
    rcv_wnd: u32 = u32_at(232);
    /// Times that a new path was tried (after timeouts, or by PLB). Since Linux 6.2.
    rehash: u32 = u32_at(236);
    /// Retransmission timeouts since the connection began, of SYNs too. Since Linux 6.7.
    total_rto: u16 = u16_at(240);
    /// Recoveries from timeouts, unfinished ones included. Since Linux 6.7.
    total_rto_recoveries: u16 = u16_at(242);
    /// Time in such recoveries, milliseconds. Since Linux 6.7.
    total_rto_time_ms: u32 = u32_at(244);
    /// Segments received with "congestion experienced" (Accurate ECN, RFC 9768). Since Linux 6.18.
    received_ce: u32 = u32_at(248);
    /// Bytes delivered with ECT(1). Since Linux 6.18.
    delivered_e1_bytes: u32 = u32_at(252);
    /// Bytes delivered with ECT(0). Since Linux 6.18.
    delivered_e0_bytes: u32 = u32_at(256);
    /// Bytes delivered with "congestion experienced". Since Linux 6.18.
    delivered_ce_bytes: u32 = u32_at(260);
    /// Bytes received with ECT(1). Since Linux 6.18.
    received_e1_bytes: u32 = u32_at(264);
    /// Bytes received with ECT(0). Since Linux 6.18.
    received_e0_bytes: u32 = u32_at(268);
    /// Bytes received with "congestion experienced". Since Linux 6.18.
    received_ce_bytes: u32 = u32_at(272);
}

// The last four of the 280 bytes (Accurate-ECN failure mode and option counters) are not read: later kernels keep bit
// fields in the same place, and the length does not tell which of the two it is.

bitflags::bitflags! {
    /// What both ends agreed on, `TCPI_OPT_*`.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct TcpInfoOptions: u8 {
        /// Timestamps (RFC 7323).
        const TIMESTAMPS = 1;
        /// Selective acknowledgments (RFC 2018).
        const SACK = 2;
        /// Window scaling.
        const WINDOW_SCALE = 4;
        /// ECN was negotiated (RFC 3168).
        const ECN = 8;
        /// A packet with an ECT codepoint was received.
        const ECN_SEEN = 16;
        /// Data in the SYN was acknowledged (TCP Fast Open).
        const SYN_DATA = 32;
        /// Timestamps in microseconds. Since Linux 6.7.
        const TIMESTAMPS_US = 64;
    }
}

impl TcpInfo {
    /// What both ends agreed on.
    pub fn options(&self) -> Option<TcpInfoOptions> {
        self.options_bits().map(TcpInfoOptions::from_bits_retain)
    }

    /// Shift of the window that the peer advertises (RFC 7323); meaningful with [`TcpInfoOptions::WINDOW_SCALE`].
    pub fn snd_wscale(&self) -> Option<u8> {
        self.bit_field(6, 0, 4)
    }

    /// Shift of the window that this end advertises.
    pub fn rcv_wscale(&self) -> Option<u8> {
        self.bit_field(6, 4, 4)
    }

    /// The delivery rate was limited by the application, so it says nothing of the path. Since Linux 4.9.
    pub fn delivery_rate_app_limited(&self) -> Option<bool> {
        // Older kernels send the byte as padding; the rate came with it.
        self.delivery_rate_bytes()?;
        self.bit_field(7, 0, 1).map(|bit| bit != 0)
    }

    /// Why TCP Fast Open did not work: 0 not asked for, or no failure; 1 cookie unavailable; 2 data not acknowledged; 3 the
    /// SYN was sent again. Since Linux 5.5.
    pub fn fastopen_client_fail(&self) -> Option<u8> {
        self.snd_wnd()?;
        self.bit_field(7, 1, 2)
    }

    /// Bits of a C bit field, which begins at the other end of the byte on big-endian machines.
    fn bit_field(&self, offset: usize, first: u32, width: u32) -> Option<u8> {
        let byte = self.u8_at(offset)?;
        let shift = if cfg!(target_endian = "little") { first } else { 8 - first - width };
        Some(byte >> shift & ((1 << width) - 1))
    }

    /// Smoothed round-trip time (RFC 6298), microseconds; `None` before the first sample (the kernel's 0).
    pub fn rtt_us(&self) -> Option<u32> {
        self.u32_at(68).filter(|&rtt| rtt != 0)
    }

    /// Round-trip time seen by the receiver, microseconds; `None` before the first sample (the kernel's 0).
    pub fn rcv_rtt_us(&self) -> Option<u32> {
        self.u32_at(92).filter(|&rtt| rtt != 0)
    }

    /// Smallest round-trip time in the kernel's window (five minutes), microseconds; `None` before the first sample (the
    /// kernel's `~0`).
    pub fn min_rtt_us(&self) -> Option<u32> {
        self.u32_at(148).filter(|&rtt| rtt != u32::MAX && rtt != 0)
    }

    /// Rate at which segments are paced, bytes per second; `None` if it is not limited (the kernel's `~0`).
    pub fn pacing_rate(&self) -> Option<u64> {
        self.u64_at(104).filter(|&rate| rate != u64::MAX)
    }

    /// Upper limit that the application set for the pacing rate, bytes per second; `None` without one.
    pub fn max_pacing_rate(&self) -> Option<u64> {
        self.u64_at(112).filter(|&rate| rate != u64::MAX)
    }

    fn delivery_rate_bytes(&self) -> Option<u64> {
        self.u64_at(160)
    }

    /// Rate at which data was last delivered, bytes per second; `None` before the first sample (the kernel's 0).
    pub fn delivery_rate(&self) -> Option<u64> {
        self.delivery_rate_bytes().filter(|&rate| rate != 0)
    }

    /// The state of congestion control in words: `open`, `disorder`, `cwr`, `recovery` or `loss`.
    pub fn recovery(&self) -> Option<&'static str> {
        const NAMES: [&str; 5] = ["open", "disorder", "cwr", "recovery", "loss"];
        NAMES.get(usize::from(self.ca_state()?)).copied()
    }
}

impl PartialEq for TcpInfo {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for TcpInfo {}

impl fmt::Debug for TcpInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpInfo")
            .field("bytes", &self.len)
            .field("rtt_us", &self.rtt_us())
            .field("snd_cwnd", &self.snd_cwnd())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte is its own offset, so a field's value tells where it was read.
    fn counted(len: usize) -> TcpInfo {
        let bytes: Vec<u8> = (0..len).map(|offset| offset as u8).collect();
        TcpInfo::from_bytes(&bytes)
    }

    #[test]
    fn a_field_that_was_not_sent_is_none_and_those_before_it_are_there() {
        // 144 bytes, Linux 4.4: up to segs_in.
        let info = counted(144);
        assert_eq!(info.segs_in(), Some(u32::from_ne_bytes([140, 141, 142, 143])));
        assert_eq!(info.notsent_bytes(), None);
        assert_eq!(info.delivery_rate_app_limited(), None);
        assert_eq!(counted(143).segs_in(), None);
        assert_eq!(counted(0).ca_state(), None);
    }

    #[test]
    fn what_a_later_kernel_appends_is_left_out() {
        assert_eq!(counted(400).as_bytes().len(), TcpInfo::LARGEST);
        assert_eq!(counted(280).received_ce_bytes(), Some(u32::from_ne_bytes([16, 17, 18, 19])));
    }

    #[test]
    fn the_kernels_marks_for_not_measured_are_not_values() {
        let info = TcpInfo::from_bytes(&[0; 168]);
        assert_eq!((info.rtt_us(), info.min_rtt_us(), info.delivery_rate()), (None, None, None));
        let info = TcpInfo::from_bytes(&[0xff; 168]);
        assert_eq!((info.min_rtt_us(), info.pacing_rate(), info.max_pacing_rate()), (None, None, None));
        assert_eq!(info.rtt_us(), Some(u32::MAX));
    }

    #[test]
    fn nothing_is_long_ago_before_there_is_a_connection() {
        let times = |state: SocketState, delivered: u8| {
            let mut bytes = [7; 232];
            bytes[0] = state.0;
            bytes[192..196].fill(delivered);
            let info = TcpInfo::from_bytes(&bytes);
            [info.last_data_sent_ms(), info.last_data_recv_ms(), info.last_ack_recv_ms()]
        };
        let seven = [Some(u32::from_ne_bytes([7; 4])); 3];
        assert_eq!((times(SocketState::SYN_SENT, 0), times(SocketState::LISTEN, 0)), ([None; 3], [None; 3]));
        // Destroyed before and after it was answered.
        assert_eq!((times(SocketState::CLOSE, 0), times(SocketState::CLOSE, 1)), ([None; 3], seven));
        assert_eq!((times(SocketState::ESTABLISHED, 1), times(SocketState::SYN_RECV, 0)), (seven, seven));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn window_scales_share_a_byte() {
        let mut bytes = [0; 232];
        bytes[6] = 0x97;
        bytes[7] = 0b101;
        let info = TcpInfo::from_bytes(&bytes);
        assert_eq!((info.snd_wscale(), info.rcv_wscale()), (Some(7), Some(9)));
        assert_eq!((info.delivery_rate_app_limited(), info.fastopen_client_fail()), (Some(true), Some(2)));
    }
}
