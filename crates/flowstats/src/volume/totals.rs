//! The counters of a TCP socket, and their differences.

use flowcore::socket::TcpInfo;

/// One of the counters.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Total {
    /// Segments sent, without data and sent again included.
    SegmentsOut = 0,
    /// Segments received.
    SegmentsIn = 1,
    /// Data bytes that the peer has acknowledged. Its own SYN counts as one.
    BytesOut = 2,
    /// Data bytes received in order. The peer's FIN counts as one.
    BytesIn = 3,
    /// Data bytes sent, those sent again included. Since Linux 4.19.
    BytesSent = 4,
    /// Data bytes sent again. Since Linux 4.19.
    BytesAgain = 5,
    /// Segments sent again.
    Retransmissions = 6,
    /// Time with data to send or to be acknowledged, microseconds. Since Linux 4.10, as the following.
    BusyMicros = 7,
    /// Time in which the peer's receive window held sending up, microseconds.
    WindowMicros = 8,
    /// Time in which the own send buffer held sending up, microseconds.
    BufferMicros = 9,
}

impl Total {
    const ALL: [Self; 10] = [
        Self::SegmentsOut,
        Self::SegmentsIn,
        Self::BytesOut,
        Self::BytesIn,
        Self::BytesSent,
        Self::BytesAgain,
        Self::Retransmissions,
        Self::BusyMicros,
        Self::WindowMicros,
        Self::BufferMicros,
    ];

    fn of(self, tcp: &TcpInfo) -> Option<u64> {
        match self {
            Self::SegmentsOut => tcp.segs_out().map(u64::from),
            Self::SegmentsIn => tcp.segs_in().map(u64::from),
            Self::BytesOut => tcp.bytes_acked(),
            Self::BytesIn => tcp.bytes_received(),
            Self::BytesSent => tcp.bytes_sent(),
            Self::BytesAgain => tcp.bytes_retrans(),
            Self::Retransmissions => tcp.total_retrans().map(u64::from),
            Self::BusyMicros => tcp.busy_time_us(),
            Self::WindowMicros => tcp.rwnd_limited_us(),
            Self::BufferMicros => tcp.sndbuf_limited_us(),
        }
    }

    /// The kernel counts it in 32 bits, beyond which it begins anew.
    const fn wraps(self) -> bool {
        matches!(self, Self::SegmentsOut | Self::SegmentsIn | Self::Retransmissions)
    }
}

/// All counters of a socket, as far as its kernel has them.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// 0 for what is not known.
    values: [u64; Total::ALL.len()],
    /// Bit `Total as u8` is set if that is known.
    known: u16,
}

impl Totals {
    /// What the kernel says.
    pub fn of(tcp: &TcpInfo) -> Self {
        let mut totals = Self::default();
        for total in Total::ALL {
            if let Some(value) = total.of(tcp) {
                totals.values[total as usize] = value;
                totals.known |= 1 << total as u8;
            }
        }
        totals
    }

    /// One of them; `None` if it is not known.
    pub fn get(&self, total: Total) -> Option<u64> {
        (self.known >> total as u8 & 1 == 1).then(|| self.values[total as usize])
    }

    /// What was counted after `earlier`, of which 0 stands for what was not known then.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = *self;
        for total in Total::ALL {
            let (now, then) = (self.values[total as usize], earlier.values[total as usize]);
            since.values[total as usize] = match total.wraps() {
                true => u64::from((now as u32).wrapping_sub(then as u32)),
                // Times are measured anew at every look and may step back a little.
                false => now.saturating_sub(then),
            };
        }
        since
    }
}
