//! Columns from TCP's own account.

use std::fmt::Write;
use std::sync::OnceLock;

use flowcore::TcpInfo;
use flowcore::report::{Unit, Value};
use flowcore::socket::{CongestionInfo, Short, SocketState, TcpInfoOptions, Tls, Ulp};

use super::{Group, Socket, counter, gauge, micros, millis, names, number, text, word, yes};
use crate::fields::Field;

fn tcp<T>(socket: &Socket, field: fn(&TcpInfo) -> Option<T>) -> Option<T> {
    // Of a listener the kernel fills the backlog, which has columns of its own, and what `always` is for.
    socket.sample.tcp.as_ref().filter(|_| socket.sample.state != SocketState::LISTEN).and_then(field)
}

/// The same of what `tcp_get_info` fills in every state: rates, reordering, congestion window.
fn always<T>(socket: &Socket, field: fn(&TcpInfo) -> Option<T>) -> Option<T> {
    socket.sample.tcp.as_ref().and_then(field)
}

/// Those in daily use are words, which cost no allocation.
fn congestion_name(name: Short<16>) -> Value {
    match name.as_bytes() {
        b"" => Value::Missing,
        b"cubic" => Value::Word("cubic"),
        b"bbr" => Value::Word("bbr"),
        b"reno" => Value::Word("reno"),
        b"dctcp" => Value::Word("dctcp"),
        _ => text(Some(name.to_text().into_owned())),
    }
}

/// The names of options, made once for each set of them.
fn option_names(options: TcpInfoOptions) -> Value {
    static SETS: [OnceLock<String>; 256] = [const { OnceLock::new() }; 256];
    let set = SETS.get(usize::from(options.bits())).filter(|_| !options.is_empty());
    let name = || names(options.iter_names().map(|(name, _)| name));
    set.map(|set| set.get_or_init(name).as_str()).filter(|set| !set.is_empty()).map_or(Value::Missing, Value::Word)
}

fn congestion(info: &CongestionInfo) -> String {
    match *info {
        CongestionInfo::Vegas { enabled, rtt_count, rtt_us, min_rtt_us } => {
            format!("vegas enabled={} rtt_count={rtt_count} rtt_us={rtt_us} min_rtt_us={min_rtt_us}", u8::from(enabled))
        }
        CongestionInfo::Dctcp { enabled, ce_state, alpha, ecn_bytes, total_bytes } => format!(
            "dctcp enabled={} ce_state={ce_state} alpha={alpha} ecn_bytes={ecn_bytes} total_bytes={total_bytes}",
            u8::from(enabled)
        ),
        CongestionInfo::Bbr { bandwidth, min_rtt_us, pacing_gain, cwnd_gain } => format!(
            "bbr bandwidth={bandwidth} min_rtt_us={min_rtt_us} pacing_gain={} cwnd_gain={}",
            f64::from(pacing_gain) / 256.0,
            f64::from(cwnd_gain) / 256.0
        ),
        _ => String::new(),
    }
}

fn ulp(ulp: &Ulp) -> String {
    let mut text = ulp.name.map_or(String::new(), |name| name.to_text().into_owned());
    if let Some(Tls { version, cipher, send, receive, zerocopy_send, receive_no_pad }) = ulp.tls {
        let mut say = |name: &str, value: Option<u16>| {
            if let Some(value) = value {
                let _ = write!(text, " {name}={value}");
            }
        };
        say("version", version.map(|version| version.wrapping_sub(0x0301) + 10));
        say("cipher", cipher);
        say("tx", send);
        say("rx", receive);
        text.push_str(if zerocopy_send { " zerocopy" } else { "" });
        text.push_str(if receive_no_pad { " no_pad" } else { "" });
    }
    if let Some(subflow) = ulp.subflow {
        for (name, value) in [("token_local", subflow.token_local), ("token_remote", subflow.token_remote)] {
            if let Some(value) = value {
                let _ = write!(text, " {name}={value:x}");
            }
        }
        for (name, value) in [
            ("id_local", subflow.id_local.map(u64::from)),
            ("id_remote", subflow.id_remote.map(u64::from)),
            ("map_seq", subflow.map_seq),
            ("map_subflow_seq", subflow.map_subflow_seq.map(u64::from)),
            ("subflow_seq_offset", subflow.subflow_seq_offset.map(u64::from)),
            ("map_len", subflow.map_len.map(u64::from)),
            ("flags", subflow.flags.map(u64::from)),
        ] {
            if let Some(value) = value {
                let _ = write!(text, " {name}={value}");
            }
        }
    }
    text.trim_start().to_owned()
}

/// Columns from TCP's own account.
pub(super) fn columns() -> Vec<(Group, Field<Socket>)> {
    use Group::{Info, Named};
    vec![
        gauge(Info, ["rtt_ns", "RTT", "Smoothed round-trip time."], Unit::Nanos, |s| micros(tcp(s, TcpInfo::rtt_us))),
        gauge(Info, ["rttvar_ns", "RTTVAR", "Its mean deviation."], Unit::Nanos, |s| {
            micros(tcp(s, TcpInfo::rttvar_us))
        }),
        gauge(Info, ["min_rtt_ns", "MIN-RTT", "Smallest round-trip time in five minutes."], Unit::Nanos, |s| {
            micros(tcp(s, TcpInfo::min_rtt_us))
        }),
        gauge(Named, ["rcv_rtt_ns", "RCV-RTT", "Round-trip time as the receiver sees it."], Unit::Nanos, |s| {
            micros(tcp(s, TcpInfo::rcv_rtt_us))
        }),
        gauge(Info, ["rto_ns", "RTO", "Retransmission timeout."], Unit::Nanos, |s| micros(tcp(s, TcpInfo::rto_us))),
        gauge(Named, ["ato_ns", "ATO", "Delayed-ACK timeout."], Unit::Nanos, |s| micros(tcp(s, TcpInfo::ato_us))),
        gauge(Info, ["congestion", "CC", "Congestion control."], Unit::None, |s| {
            s.sample.congestion.map_or(Value::Missing, congestion_name)
        }),
        gauge(Named, ["congestion_info", "CC-INFO", "What the congestion control says of itself."], Unit::None, |s| {
            text(s.sample.congestion_info.as_ref().map(congestion))
        }),
        gauge(Named, ["recovery", "RECOVERY", "open, disorder, cwr, recovery or loss."], Unit::None, |s| {
            word(tcp(s, TcpInfo::recovery))
        }),
        gauge(Info, ["tcp_options", "TCP-OPTIONS", "What both ends agreed on."], Unit::None, |s| {
            tcp(s, TcpInfo::options).map_or(Value::Missing, option_names)
        }),
        gauge(Named, ["snd_wscale", "SND-WSCALE", "Window scale of the other end."], Unit::None, |s| {
            number(tcp(s, TcpInfo::snd_wscale))
        }),
        gauge(Named, ["rcv_wscale", "RCV-WSCALE", "Window scale of this end."], Unit::None, |s| {
            number(tcp(s, TcpInfo::rcv_wscale))
        }),
        gauge(Info, ["mss", "MSS", "Data of a segment sent, at most."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::snd_mss))
        }),
        gauge(Named, ["pmtu", "PMTU", "Path MTU."], Unit::Bytes, |s| number(tcp(s, TcpInfo::pmtu))),
        gauge(Named, ["rcv_mss", "RCV-MSS", "Data of a segment received, about."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::rcv_mss))
        }),
        gauge(Named, ["advmss", "ADVMSS", "MSS advertised."], Unit::Bytes, |s| number(tcp(s, TcpInfo::advmss))),
        gauge(Info, ["cwnd", "CWND", "Congestion window, segments."], Unit::None, |s| {
            number(always(s, TcpInfo::snd_cwnd))
        }),
        gauge(
            Info,
            ["ssthresh", "SSTHRESH", "Slow-start threshold, segments; missing while there is none."],
            Unit::None,
            |s| number(tcp(s, TcpInfo::snd_ssthresh).filter(|&segments| segments != 0x7fff_ffff)),
        ),
        gauge(Info, ["unacked", "UNACKED", "Segments on their way."], Unit::None, |s| number(tcp(s, TcpInfo::unacked))),
        counter(Info, ["bytes_sent", "BYTES>", "Data sent, repetitions included."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::bytes_sent))
        }),
        counter(Info, ["bytes_acked", "ACKED", "Data acknowledged."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::bytes_acked))
        }),
        counter(Info, ["bytes_received", "BYTES<", "Data received."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::bytes_received))
        }),
        counter(Info, ["bytes_retrans", "BYTES-RETRANS", "Data sent again."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::bytes_retrans))
        }),
        counter(Info, ["segs_out", "SEGS>", "Segments sent."], Unit::Packets, |s| number(tcp(s, TcpInfo::segs_out))),
        counter(Info, ["segs_in", "SEGS<", "Segments received."], Unit::Packets, |s| number(tcp(s, TcpInfo::segs_in))),
        counter(Named, ["data_segs_out", "DATA-SEGS>", "Segments with data sent."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::data_segs_out))
        }),
        counter(Named, ["data_segs_in", "DATA-SEGS<", "Segments with data received."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::data_segs_in))
        }),
        gauge(Info, ["retrans", "RETRANS", "Segments sent again and not acknowledged yet."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::retrans))
        }),
        counter(Info, ["total_retrans", "ALL-RETRANS", "Segments sent again."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::total_retrans))
        }),
        gauge(Info, ["lost", "LOST", "Segments thought lost."], Unit::Packets, |s| number(tcp(s, TcpInfo::lost))),
        gauge(Named, ["sacked", "SACKED", "Segments that SACK reports."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::sacked))
        }),
        gauge(
            Named,
            ["fackets", "FACKETS", "Segments up to the last that SACK reports (old kernels)."],
            Unit::Packets,
            |s| number(tcp(s, TcpInfo::fackets)),
        ),
        gauge(Named, ["retransmits", "TIMEOUTS", "Timeouts in a row."], Unit::None, |s| {
            number(tcp(s, TcpInfo::retransmits))
        }),
        gauge(Named, ["probes", "PROBES", "Window probes without an answer."], Unit::None, |s| {
            number(tcp(s, TcpInfo::probes))
        }),
        gauge(Named, ["backoff", "BACKOFF", "How often the timeout has been doubled."], Unit::None, |s| {
            number(tcp(s, TcpInfo::backoff))
        }),
        gauge(
            Named,
            ["reordering", "REORDERING", "Segments out of order before one counts as lost."],
            Unit::None,
            |s| number(always(s, TcpInfo::reordering)),
        ),
        counter(Named, ["reord_seen", "REORDERED", "Times that reordering was seen."], Unit::None, |s| {
            number(tcp(s, TcpInfo::reord_seen))
        }),
        counter(Named, ["dsack_dups", "DSACK", "Duplicates that the other end reported."], Unit::None, |s| {
            number(tcp(s, TcpInfo::dsack_dups))
        }),
        counter(Named, ["rcv_ooopack", "OUT-OF-ORDER", "Segments received out of order."], Unit::None, |s| {
            number(tcp(s, TcpInfo::rcv_ooopack))
        }),
        counter(Named, ["delivered", "DELIVERED", "Segments delivered."], Unit::Packets, |s| {
            number(tcp(s, TcpInfo::delivered))
        }),
        counter(
            Named,
            ["delivered_ce", "DELIVERED-CE", "Of those, with congestion experienced."],
            Unit::Packets,
            |s| number(tcp(s, TcpInfo::delivered_ce)),
        ),
        gauge(Info, ["pacing_rate", "PACING", "Rate at which it sends, bytes per second."], Unit::PerSecond, |s| {
            number(always(s, TcpInfo::pacing_rate))
        }),
        gauge(Named, ["max_pacing_rate", "MAX-PACING", "The application's limit for it."], Unit::PerSecond, |s| {
            number(always(s, TcpInfo::max_pacing_rate))
        }),
        gauge(
            Info,
            ["delivery_rate", "DELIVERY", "Rate at which data was last delivered, bytes per second."],
            Unit::PerSecond,
            |s| number(tcp(s, TcpInfo::delivery_rate)),
        ),
        gauge(
            Named,
            ["send_rate", "SEND", "What the window allows: cwnd × mss / rtt, bytes per second."],
            Unit::PerSecond,
            |s| {
                let rate = |segments: u32, bytes: u32, micros: u32| {
                    f64::from(segments) * f64::from(bytes) * 1e6 / f64::from(micros)
                };
                let parts = (tcp(s, TcpInfo::snd_cwnd), tcp(s, TcpInfo::snd_mss), tcp(s, TcpInfo::rtt_us));
                let (Some(cwnd), Some(mss), Some(rtt)) = parts else { return Value::Missing };
                Value::F64(rate(cwnd, mss, rtt))
            },
        ),
        gauge(Named, ["app_limited", "APP-LIMITED", "The application limited that rate."], Unit::None, |s| {
            yes(tcp(s, TcpInfo::delivery_rate_app_limited))
        }),
        counter(Info, ["busy_ns", "BUSY", "Time with data to send."], Unit::Nanos, |s| {
            micros(tcp(s, TcpInfo::busy_time_us))
        }),
        counter(
            Info,
            ["rwnd_limited_ns", "RWND-LIMITED", "Of that, held up by the other end's window."],
            Unit::Nanos,
            |s| micros(tcp(s, TcpInfo::rwnd_limited_us)),
        ),
        counter(
            Info,
            ["sndbuf_limited_ns", "SNDBUF-LIMITED", "Of that, held up by the send buffer."],
            Unit::Nanos,
            |s| micros(tcp(s, TcpInfo::sndbuf_limited_us)),
        ),
        gauge(Named, ["notsent_bytes", "NOT-SENT", "In the send queue and not sent once."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::notsent_bytes))
        }),
        gauge(Named, ["rcv_space", "RCV-SPACE", "Space for the receive queue."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::rcv_space))
        }),
        gauge(
            Named,
            ["rcv_ssthresh", "RCV-SSTHRESH", "Slow-start threshold of the receive window."],
            Unit::Bytes,
            |s| number(tcp(s, TcpInfo::rcv_ssthresh)),
        ),
        gauge(Named, ["snd_wnd", "SND-WND", "The other end's receive window."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::snd_wnd))
        }),
        gauge(Named, ["rcv_wnd", "RCV-WND", "This end's receive window."], Unit::Bytes, |s| {
            number(tcp(s, TcpInfo::rcv_wnd))
        }),
        gauge(Named, ["last_sent_ns", "LAST-SENT", "Since data was sent."], Unit::Nanos, |s| {
            millis(tcp(s, TcpInfo::last_data_sent_ms))
        }),
        gauge(Named, ["last_received_ns", "LAST-RCV", "Since data was received."], Unit::Nanos, |s| {
            millis(tcp(s, TcpInfo::last_data_recv_ms))
        }),
        gauge(Named, ["last_ack_ns", "LAST-ACK", "Since an ACK was received."], Unit::Nanos, |s| {
            millis(tcp(s, TcpInfo::last_ack_recv_ms))
        }),
        counter(Named, ["rehash", "REHASH", "Times that a new path was tried."], Unit::None, |s| {
            number(tcp(s, TcpInfo::rehash))
        }),
        counter(Named, ["total_rto", "RTOS", "Retransmission timeouts."], Unit::None, |s| {
            number(tcp(s, TcpInfo::total_rto))
        }),
        counter(Named, ["total_rto_recoveries", "RTO-RECOVERIES", "Recoveries from timeouts."], Unit::None, |s| {
            number(tcp(s, TcpInfo::total_rto_recoveries))
        }),
        counter(Named, ["total_rto_time_ns", "RTO-TIME", "Time in such recoveries."], Unit::Nanos, |s| {
            millis(tcp(s, TcpInfo::total_rto_time_ms))
        }),
        gauge(
            Named,
            ["fastopen_fail", "FASTOPEN-FAIL", "Why TCP Fast Open did not work; 0 = it did, or was not asked for."],
            Unit::None,
            |s| number(tcp(s, TcpInfo::fastopen_client_fail)),
        ),
        counter(
            Named,
            ["received_ce", "RECEIVED-CE", "Segments received with congestion experienced."],
            Unit::Packets,
            |s| number(tcp(s, TcpInfo::received_ce)),
        ),
        gauge(Named, ["ulp", "ULP", "Protocol within TCP (tls, mptcp) and what it says of itself."], Unit::None, |s| {
            text(s.sample.ulp.as_ref().map(ulp))
        }),
    ]
}
