//! The score: cells compared, cells equal, and every cell that is not, with its cause.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// What is compared with what. The order is that of the report.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Statistic {
    Readability,
    Bounds,
    PacketFields,
    IpConversations,
    IpEndpoints,
    UdpConversations,
    SctpConversations,
    TcpConversations,
    TcpSplits,
    TcpStreams,
    Handshakes,
    Completeness,
    ControlSegments,
    Repetitions,
    FileSums,
    TcptraceRtts,
    TcptraceClasses,
    HttpTurns,
    HttpTimes,
    CommunityIds,
    ArgusFlows,
    ArgusSplits,
    ArgusHandshakes,
    NfdumpFlows,
    ZeekStates,
    ZeekCounts,
    NdpiFlows,
    ArkimeSessions,
    LabTimes,
    LabLogs,
    LabCounters,
}

impl Statistic {
    pub const ALL: [Self; 31] = [
        Self::Readability,
        Self::Bounds,
        Self::PacketFields,
        Self::IpConversations,
        Self::IpEndpoints,
        Self::UdpConversations,
        Self::SctpConversations,
        Self::TcpConversations,
        Self::TcpSplits,
        Self::TcpStreams,
        Self::Handshakes,
        Self::Completeness,
        Self::ControlSegments,
        Self::Repetitions,
        Self::FileSums,
        Self::TcptraceRtts,
        Self::TcptraceClasses,
        Self::HttpTurns,
        Self::HttpTimes,
        Self::CommunityIds,
        Self::ArgusFlows,
        Self::ArgusSplits,
        Self::ArgusHandshakes,
        Self::NfdumpFlows,
        Self::ZeekStates,
        Self::ZeekCounts,
        Self::NdpiFlows,
        Self::ArkimeSessions,
        Self::LabTimes,
        Self::LabLogs,
        Self::LabCounters,
    ];

    /// The name in the report and in `causes.tsv`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Readability => "readability",
            Self::Bounds => "capture bounds",
            Self::PacketFields => "packet fields",
            Self::IpConversations => "ip conversations",
            Self::IpEndpoints => "ip endpoints",
            Self::UdpConversations => "udp conversations",
            Self::SctpConversations => "sctp conversations",
            Self::TcpConversations => "tcp conversations",
            Self::TcpSplits => "tcp splits",
            Self::TcpStreams => "tcp streams",
            Self::Handshakes => "handshake times",
            Self::Completeness => "completeness",
            Self::ControlSegments => "control segments",
            Self::Repetitions => "repetitions",
            Self::FileSums => "file sums",
            Self::TcptraceRtts => "tcptrace rtts",
            Self::TcptraceClasses => "tcptrace classes",
            Self::HttpTurns => "http turns",
            Self::HttpTimes => "http times",
            Self::CommunityIds => "community ids",
            Self::ArgusFlows => "argus flows",
            Self::ArgusSplits => "argus splits",
            Self::ArgusHandshakes => "argus handshakes",
            Self::NfdumpFlows => "nfdump flows",
            Self::ZeekStates => "zeek states",
            Self::ZeekCounts => "zeek counts",
            Self::NdpiFlows => "ndpi flows",
            Self::ArkimeSessions => "arkime sessions",
            Self::LabTimes => "lab times",
            Self::LabLogs => "lab logs",
            Self::LabCounters => "lab counters",
        }
    }

    /// What one cell is, and who says the other value.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Readability => "whether a file opens, its exit code and its packets; tcpdump (libpcap) and tshark",
            Self::Bounds => "packets, first and last time of a file; capinfos",
            Self::PacketFields => "one header field of one packet; tshark",
            Self::IpConversations => "packets and bytes each way between two addresses; tshark conv,ip and conv,ipv6",
            Self::IpEndpoints => "packets and bytes that an address sent and received; tshark endpoints",
            Self::UdpConversations => "packets and bytes each way of a UDP 5-tuple; tshark conv,udp",
            Self::SctpConversations => "packets and bytes each way of an SCTP 5-tuple; tshark conv,sctp",
            Self::TcpConversations => "packets and bytes each way of a TCP 5-tuple; tshark conv,tcp",
            Self::TcpSplits => "connections of a TCP 5-tuple; tshark tcp.stream",
            Self::TcpStreams => {
                "client, first and last time, packets, bytes and payload each way of a TCP connection; tshark"
            }
            Self::Handshakes => "handshake time of a TCP connection, within 1 µs; tshark tcp.analysis.initial_rtt",
            Self::Completeness => "completeness bits of a TCP connection; tshark tcp.completeness",
            Self::Repetitions => {
                "retransmissions, fast and spurious ones, segments out of order, duplicate ACKs, zero windows, probes, keep-alives, gaps \
                 and ACKs of missing data of a TCP connection, packet by packet; tshark tcp.analysis"
            }
            Self::FileSums => "the same, and SYNs, SYN-ACKs, FINs and RSTs, summed over a file; tshark",
            Self::TcptraceRtts => {
                "samples (packet by packet), shortest, longest and mean RTT of one direction of a TCP connection, within 0.05 ms; tcptrace"
            }
            Self::TcptraceClasses => {
                "retransmissions, segments out of order, zero windows (packet by packet), retransmitted and missing bytes of one direction \
                 of a TCP connection; tcptrace"
            }
            Self::HttpTurns => "requests and responses of a TCP connection; tshark http",
            Self::HttpTimes => "when a request began, when its response ended; tshark http",
            Self::ControlSegments => {
                "SYNs and SYN-ACKs of a TCP connection, FINs and RSTs of each of its ends, counted; tshark"
            }
            Self::CommunityIds => "packets of a Community ID; tshark",
            Self::ArgusFlows => "packets and bytes each way of a 5-tuple; argus",
            Self::ArgusSplits => "records of a 5-tuple; argus",
            Self::ArgusHandshakes => {
                "time of the handshake and of its two halves, within 1 µs; argus tcprtt, synack, ackdat"
            }
            Self::NfdumpFlows => "packets and IP bytes of a one-way 5-tuple; nfpcapd and nfdump",
            Self::ZeekStates => "originator, conn_state and history of a connection; Zeek's own baselines",
            Self::ZeekCounts => {
                "duration, payload bytes, packets, IP bytes and missed bytes of a connection; Zeek's own baselines"
            }
            Self::NdpiFlows => "packets and bytes each way of a 5-tuple; nDPI's own baselines",
            Self::ArkimeSessions => {
                "packets, bytes and payload each way, and Community ID of a 5-tuple; Arkime's own baselines"
            }
            Self::LabTimes => "handshake of a connection, first and last byte of a response, within 1 ms; curl",
            Self::LabLogs => "requests and bytes of the responses of a connection; nginx's log",
            Self::LabCounters => {
                "connections opened, segments sent, received and sent again, RSTs of one end of the link; the kernel's counters"
            }
        }
    }
}

/// A cell in which the two sides differ.
#[derive(Clone, Debug)]
pub struct Disagreement {
    pub statistic: Statistic,
    pub file: String,
    /// Which packet, connection or conversation; empty for the file as a whole.
    pub subject: String,
    pub field: &'static str,
    pub ours: String,
    pub theirs: String,
    /// Why, once it is known.
    pub cause: Option<String>,
    /// Numbers of the packets in which the two sides differ, where the cell is about single packets.
    pub packets: Vec<usize>,
}

/// One side's value where it has none.
pub const NOTHING: &str = "none";

/// Cells compared and cells equal.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    pub compared: u64,
    pub equal: u64,
}

/// The score of every statistic and all disagreements, of one capture or of many.
#[derive(Debug, Default)]
pub struct Sheet {
    pub scores: BTreeMap<Statistic, Score>,
    pub disagreements: Vec<Disagreement>,
    /// Truths that could not be compared, each with the reason.
    pub skipped: Vec<String>,
}

/// Where a cell stands: statistic, file, subject.
#[derive(Copy, Clone)]
pub struct At<'a> {
    pub statistic: Statistic,
    pub file: &'a str,
    pub subject: &'a str,
}

impl Sheet {
    /// Compares two values by what they print as. A value absent on both sides is no cell.
    ///
    /// `cause` is asked only if they differ, and must prove what it says from the data; `None` leaves the cell to
    /// `causes.tsv`.
    pub fn compare<A: Display, B: Display>(
        &mut self,
        at: At<'_>,
        field: &'static str,
        ours: Option<A>,
        theirs: Option<B>,
        cause: impl FnOnce() -> Option<String>,
    ) {
        let ours = ours.map_or_else(|| NOTHING.to_owned(), |value| value.to_string());
        let theirs = theirs.map_or_else(|| NOTHING.to_owned(), |value| value.to_string());
        if ours == NOTHING && theirs == NOTHING {
            return;
        }
        let equal = ours == theirs;
        self.judge(at, field, equal, ours, theirs, cause);
    }

    /// Notes a cell whose equality the caller has decided (a tolerance, say).
    pub fn judge(
        &mut self,
        at: At<'_>,
        field: &'static str,
        equal: bool,
        ours: String,
        theirs: String,
        cause: impl FnOnce() -> Option<String>,
    ) {
        let score = self.scores.entry(at.statistic).or_default();
        score.compared += 1;
        if equal {
            score.equal += 1;
            return;
        }
        self.disagreements.push(Disagreement {
            statistic: at.statistic,
            file: at.file.to_owned(),
            subject: at.subject.to_owned(),
            field,
            ours,
            theirs,
            cause: cause(),
            packets: Vec::new(),
        });
    }

    /// Compares two times in nanoseconds of what one packet says.
    pub fn compare_at(
        &mut self,
        at: At<'_>,
        field: &'static str,
        packet: usize,
        (ours, theirs): (Option<i64>, Option<i64>),
        cause: impl FnOnce() -> Option<String>,
    ) {
        self.compare(at, field, ours, theirs, cause);
        if let (false, Some(last)) = (ours == theirs, self.disagreements.last_mut()) {
            last.packets = vec![packet];
        }
    }

    /// Compares two sets of packets, each by its number: equal only if they are the same packets.
    ///
    /// `cause` is asked for each packet of one side only, and whether that is ours; as for [`Self::compare`].
    pub fn compare_packets(
        &mut self,
        at: At<'_>,
        field: &'static str,
        ours: &BTreeSet<usize>,
        theirs: &BTreeSet<usize>,
        mut cause: impl FnMut(usize, bool) -> Option<String>,
    ) {
        let differing: Vec<usize> = ours.symmetric_difference(theirs).copied().collect();
        let (our, their) = (ours.len().to_string(), theirs.len().to_string());
        self.judge(at, field, differing.is_empty(), our, their, || {
            let mut causes = BTreeSet::new();
            for packet in &differing {
                causes.insert(cause(*packet, ours.contains(packet))?);
            }
            Some(causes.into_iter().collect::<Vec<_>>().join("; "))
        });
        if let (false, Some(last)) = (differing.is_empty(), self.disagreements.last_mut()) {
            last.packets = differing;
        }
    }

    /// Takes in another sheet's cells.
    pub fn absorb(&mut self, other: Self) {
        for (statistic, score) in other.scores {
            let sum = self.scores.entry(statistic).or_default();
            sum.compared += score.compared;
            sum.equal += score.equal;
        }
        self.disagreements.extend(other.disagreements);
        self.skipped.extend(other.skipped);
    }
}
