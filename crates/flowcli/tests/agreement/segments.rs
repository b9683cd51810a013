//! A connection's segments as they stand in the capture: what was known before one of them, computed from the packets
//! alone, so that a cause is proven without the code under test.

use std::collections::BTreeSet;

use flowcore::event::{Detail, TcpOptions};
use flowcore::{FlowKey, TcpFlags, TcpSegment};

use crate::capture::Packet;

/// One segment, and those of its connection before and behind it.
pub struct Moment<'a> {
    pub packet: &'a Packet,
    pub tcp: TcpSegment,
    before: &'a [&'a Packet],
    behind: &'a [&'a Packet],
}

/// Segments that are looked back at.
const RECENT: usize = 200;

/// A later number than another, in serial arithmetic.
fn later(this: u32, other: u32) -> bool {
    this.wrapping_sub(other) as i32 > 0
}

fn tcp(packet: &Packet) -> Option<TcpSegment> {
    if let Detail::Tcp(tcp) = packet.event.detail { Some(tcp) } else { None }
}

/// One beyond the last number that a segment takes.
fn end(packet: &Packet, tcp: &TcpSegment) -> u32 {
    let control = u32::from(tcp.flags.contains(TcpFlags::SYN)) + u32::from(tcp.flags.contains(TcpFlags::FIN));
    tcp.seq.wrapping_add(packet.event.payload_bytes + control)
}

fn stamp(tcp: &TcpSegment) -> Option<u32> {
    tcp.options.contains(TcpOptions::TIMESTAMP).then_some(tcp.timestamp.0)
}

impl<'a> Moment<'a> {
    pub fn of(packets: &'a [&'a Packet], number: usize) -> Option<Self> {
        let at = packets.iter().position(|packet| packet.number == number)?;
        let packet = packets[at];
        Some(Self { packet, tcp: tcp(packet)?, before: &packets[..at], behind: &packets[at + 1..] })
    }

    /// What one end sent before, in order.
    fn sent(&self, key: FlowKey) -> impl DoubleEndedIterator<Item = (&'a Packet, TcpSegment)> + Clone {
        self.before
            .iter()
            .filter(move |packet| packet.event.key == key)
            .filter_map(|packet| Some((*packet, tcp(packet)?)))
    }

    fn own(&self) -> FlowKey {
        self.packet.event.key
    }

    fn peer(&self) -> FlowKey {
        self.packet.event.key.reversed()
    }

    /// One beyond the newest number that one end had used.
    fn newest(&self, key: FlowKey) -> Option<u32> {
        self.sent(key)
            .map(|(packet, tcp)| end(packet, &tcp))
            .reduce(|newest, end| if later(end, newest) { end } else { newest })
    }

    /// The highest acknowledgment that one end had sent.
    fn acknowledged_by(&self, key: FlowKey) -> Option<u32> {
        let acks = self.sent(key).filter(|(_, tcp)| tcp.flags.contains(TcpFlags::ACK));
        acks.map(|(_, tcp)| tcp.ack).reduce(|newest, ack| if later(ack, newest) { ack } else { newest })
    }

    /// The same segment was there before, and may have been the same packet.
    pub fn is_copy(&self) -> bool {
        const NEAR: i64 = 10_000_000;
        self.sent(self.own()).any(|(packet, tcp)| {
            let same = (tcp.seq, end(packet, &tcp)) == (self.tcp.seq, end(self.packet, &self.tcp))
                && tcp.flags.contains(TcpFlags::ACK) == self.tcp.flags.contains(TcpFlags::ACK);
            let id = packet.event.datagram_id;
            let newest = self.sent(self.own()).filter_map(|(_, tcp)| stamp(&tcp)).next_back();
            let old = stamp(&self.tcp).zip(newest).is_some_and(|(this, newest)| !later(this, newest));
            let near = (self.packet.event.time - packet.event.time).get() < NEAR;
            same && ((id != 0 && id == self.packet.event.datagram_id) || old || near)
        })
    }

    /// The first segment of its sender that came before it and lies behind it in the stream.
    fn jump(&self) -> Option<(&'a Packet, TcpSegment)> {
        self.sent(self.own()).find(|(packet, tcp)| packet.event.payload_bytes > 0 && later(tcp.seq, self.tcp.seq))
    }

    /// Whether it was sent after the segment that jumped over it, by timestamp option or by identification counted upwards.
    pub fn sent_after_jump(&self) -> Option<bool> {
        const NEAR: u16 = 1024;
        let (jump, jumped) = self.jump()?;
        match stamp(&self.tcp).zip(stamp(&jumped)) {
            Some((this, jumped)) if this != jumped => return Some(later(this, jumped)),
            _ => {}
        }
        let ids = [jump.event.datagram_id as u16, self.packet.event.datagram_id as u16];
        let (up, down) = (ids[1].wrapping_sub(ids[0]), ids[0].wrapping_sub(ids[1]));
        if ids.contains(&0) {
            None
        } else if (1..NEAR).contains(&up) {
            Some(true)
        } else if (1..NEAR).contains(&down) {
            Some(false)
        } else {
            None
        }
    }

    /// Bare ACKs of the receiver that asked for this segment or one before it: the same number twice and more.
    pub fn asked(&self) -> usize {
        self.asking().len()
    }

    fn asking(&self) -> Vec<&'a Packet> {
        let mut last: Option<u32> = None;
        let mut asking = Vec::new();
        for (packet, tcp) in self.sent(self.peer()).filter(|(_, tcp)| tcp.flags.contains(TcpFlags::ACK)) {
            if last != Some(tcp.ack) {
                asking.clear();
            } else if packet.event.payload_bytes == 0 {
                asking.push(packet);
            }
            last = Some(tcp.ack);
        }
        asking
    }

    /// An earlier segment was sent again because the receiver had asked, and not all that was on its way then is
    /// acknowledged.
    pub fn in_recovery(&self) -> bool {
        let acked = self.acknowledged_by(self.peer());
        (0..self.before.len()).filter(|at| self.before[*at].event.key == self.own()).any(|at| {
            let Some(then) = self.earlier(at) else { return false };
            let newest = then.newest(self.own());
            newest.is_some_and(|newest| later(newest, then.tcp.seq) && acked.is_none_or(|acked| later(newest, acked)))
                && then.asked() > 0
        })
    }

    /// tshark's rule of a fast retransmission.
    pub fn fast_for_tshark(&self) -> bool {
        const SOON: i64 = 20_000_000;
        let mut asking = self.asking();
        let window = |packet: &Packet| tcp(packet).map(|tcp| tcp.window);
        let same = |asking: &&Packet| {
            let last = self.sent(self.peer()).take_while(|(packet, _)| packet.number < asking.number).last();
            last.map(|(_, tcp)| tcp.window) == window(asking)
        };
        asking.retain(same);
        let at_ack = self.acknowledged_by(self.peer()) == Some(self.tcp.seq);
        let soon = asking.last().is_some_and(|last| (self.packet.event.time - last.event.time).get() < SOON);
        at_ack && asking.len() >= 2 && soon
    }

    /// Everything that it carries was there before.
    pub fn was_seen(&self) -> bool {
        self.covers(self.own(), self.tcp.seq, end(self.packet, &self.tcp))
    }

    /// It carries bytes that were there before and such as were not.
    pub fn is_partly_new(&self) -> bool {
        self.newest(self.own())
            .is_some_and(|newest| later(newest, self.tcp.seq) && later(end(self.packet, &self.tcp), newest))
            && self.covers(self.own(), self.tcp.seq, self.tcp.seq.wrapping_add(1))
    }

    /// Everything that it carries was acknowledged before.
    pub fn was_acknowledged(&self) -> bool {
        self.acknowledged_by(self.peer()).is_some_and(|ack| !later(end(self.packet, &self.tcp), ack))
    }

    /// What comes before it was acknowledged before.
    pub fn begins_acknowledged(&self) -> bool {
        self.acknowledged_by(self.peer()).is_some_and(|ack| !later(self.tcp.seq, ack))
    }

    /// A later ACK reports a duplicate within it.
    pub fn is_reported_later(&self) -> bool {
        self.behind.iter().filter(|packet| packet.event.key == self.peer()).filter_map(|packet| tcp(packet)).any(
            |ack| {
                let begin = ack.ack.wrapping_add(ack.duplicate as u32);
                ack.duplicate != 0 && !later(self.tcp.seq, begin) && later(end(self.packet, &self.tcp), begin)
            },
        )
    }

    /// A later ACK of it echoes the timestamp of a copy that was sent before it (RFC 3522).
    pub fn is_echoed_earlier(&self) -> bool {
        let Some(this) = stamp(&self.tcp) else { return false };
        let same = self.sent(self.own()).filter(|(_, tcp)| tcp.seq == self.tcp.seq).filter_map(|(_, tcp)| stamp(&tcp));
        let copies: Vec<u32> = same.filter(|stamp| *stamp != this).collect();
        let acks = self.behind.iter().filter(|packet| packet.event.key == self.peer()).filter_map(|packet| tcp(packet));
        let mut acks = acks.filter(|ack| !later(end(self.packet, &self.tcp), ack.ack));
        acks.next().is_some_and(|ack| copies.contains(&ack.timestamp.1))
    }

    /// Its sender's first SYN, or its first SYN-ACK.
    pub fn is_first_syn(&self) -> bool {
        const KIND: TcpFlags = TcpFlags::SYN.union(TcpFlags::ACK);
        let kind = self.tcp.flags & KIND;
        kind.contains(TcpFlags::SYN) && !self.sent(self.own()).any(|(_, tcp)| tcp.flags & KIND == kind)
    }

    /// A SYN with another number than its sender's SYN before.
    pub fn is_other_syn(&self) -> bool {
        let mut syns = self.sent(self.own()).filter(|(_, tcp)| tcp.flags.contains(TcpFlags::SYN));
        self.tcp.flags.contains(TcpFlags::SYN) && syns.any(|(_, tcp)| tcp.seq != self.tcp.seq)
    }

    /// Its sender's segment before carried one byte from the same place.
    pub fn follows_probe(&self) -> bool {
        self.sent(self.own())
            .next_back()
            .is_some_and(|(packet, tcp)| packet.event.payload_bytes == 1 && tcp.seq == self.tcp.seq)
    }

    /// At least as long as the handshake took had passed since the segment that jumped over it.
    pub fn came_a_round_trip_after_jump(&self) -> bool {
        let syn = |packet: &&&Packet| tcp(packet).is_some_and(|tcp| tcp.flags.contains(TcpFlags::SYN));
        let Some(opening) = self.before.iter().find(syn) else { return false };
        let syns = self.before.iter().rfind(syn);
        let ack = self.before.iter().find(|packet| Some(packet.number) > syns.map(|syn| syn.number));
        ack.zip(self.jump()).is_some_and(|(ack, (jump, _))| {
            self.packet.event.time - jump.event.time >= ack.event.time - opening.event.time
        })
    }

    /// Its sender's peer had gone back to an older acknowledgment.
    pub fn last_ack_is_old(&self) -> bool {
        let last = self.sent(self.peer()).next_back().map(|(_, tcp)| tcp.ack);
        last.zip(self.acknowledged_by(self.peer())).is_some_and(|(last, highest)| later(highest, last))
    }

    /// The packet before it in the connection was its sender's too.
    pub fn follows_its_sender(&self) -> bool {
        self.before.last().is_some_and(|packet| packet.event.key == self.own())
    }

    /// Captured behind a segment that came after it by the capture's own times.
    pub fn is_earlier_than_jump(&self) -> bool {
        self.jump().is_some_and(|(jump, _)| self.packet.event.time < jump.event.time)
    }

    /// All packets of its sender have the same identification.
    pub fn is_numbered_alike(&self) -> bool {
        let id = self.packet.event.datagram_id;
        id != 0 && self.sent(self.own()).all(|(packet, _)| packet.event.datagram_id == id)
    }

    /// The other end's first segment began behind what was acknowledged to it before.
    pub fn peer_began_behind(&self) -> bool {
        let Some((first, tcp)) = self.sent(self.peer()).next() else { return false };
        let mut acks = self.sent(self.own()).filter(|(packet, _)| packet.number < first.number);
        acks.any(|(_, ack)| ack.flags.contains(TcpFlags::ACK) && later(tcp.seq, ack.ack))
    }

    /// It takes sequence numbers.
    pub fn takes_numbers(&self) -> bool {
        end(self.packet, &self.tcp) != self.tcp.seq
    }

    /// Sequence numbers of SYN and FIN.
    pub fn controls(&self) -> u64 {
        u64::from(self.tcp.flags.contains(TcpFlags::SYN)) + u64::from(self.tcp.flags.contains(TcpFlags::FIN))
    }

    /// What it acknowledges was there twice, as copies of one packet.
    pub fn acknowledges_copy(&self) -> bool {
        (0..self.before.len()).rev().take(RECENT).filter(|at| self.before[*at].event.key == self.peer()).any(|at| {
            self.earlier(at).is_some_and(|then| end(then.packet, &then.tcp) == self.tcp.ack && then.is_copy())
        })
    }

    /// Of the other end's latest segments some began behind what came before them, or brought what was there before.
    pub fn peer_was_in_trouble(&self) -> bool {
        (0..self.before.len()).rev().take(RECENT).filter(|at| self.before[*at].event.key == self.peer()).any(|at| {
            self.earlier(at).is_some_and(|then| {
                let newest = then.newest(self.peer());
                newest.is_none_or(|newest| newest != then.tcp.seq && then.takes_numbers())
                    && !then.tcp.flags.contains(TcpFlags::SYN)
                    || (then.tcp.flags.contains(TcpFlags::SYN) && newest.is_some())
            })
        })
    }

    /// The other end's latest segment that ends where it acknowledges.
    fn acknowledged(&self) -> Option<(&'a Packet, TcpSegment)> {
        let ends = |(packet, tcp): &(&Packet, TcpSegment)| end(packet, tcp) == self.tcp.ack && tcp.seq != self.tcp.ack;
        self.sent(self.peer()).rfind(ends)
    }

    /// It echoes a timestamp, but no option of what it acknowledges was captured.
    pub fn echoes_the_unknown(&self) -> bool {
        let acknowledged = self.acknowledged();
        stamp(&self.tcp).is_some() && acknowledged.is_some_and(|(_, tcp)| stamp(&tcp).is_none())
    }

    /// It acknowledges a SYN, and has none itself.
    pub fn answers_syn_without_one(&self) -> bool {
        let acknowledged = self.acknowledged();
        let syn = |tcp: &TcpSegment| tcp.flags.contains(TcpFlags::SYN) && !tcp.flags.contains(TcpFlags::ACK);
        !self.tcp.flags.contains(TcpFlags::SYN) && acknowledged.is_some_and(|(_, tcp)| syn(&tcp))
    }

    /// An earlier acknowledgment lies within the segment that it acknowledges.
    pub fn acknowledged_within(&self) -> bool {
        let acknowledged = self.acknowledged();
        acknowledged.is_some_and(|(_, tcp)| {
            self.sent(self.own()).any(|(_, ack)| later(ack.ack, tcp.seq) && later(self.tcp.ack, ack.ack))
        })
    }

    /// The other end's first segment was a SYN.
    pub fn peer_began_with_syn(&self) -> bool {
        self.sent(self.peer()).next().is_some_and(|(_, tcp)| tcp.flags.contains(TcpFlags::SYN))
    }

    fn earlier(&self, at: usize) -> Option<Self> {
        Some(Self { packet: self.before[at], tcp: tcp(self.before[at])?, before: &self.before[..at], behind: &[] })
    }

    /// A bare ACK that repeats the number before, with another window and a SACK option.
    pub fn moves_window_with_sack(&self) -> bool {
        self.sent(self.own()).next_back().is_some_and(|(_, last)| {
            last.ack == self.tcp.ack && last.window != self.tcp.window && self.tcp.options.contains(TcpOptions::SACK)
        })
    }

    /// It acknowledges all that the other end had sent.
    pub fn acknowledges_all(&self) -> bool {
        self.newest(self.peer()).is_none_or(|newest| !later(newest, self.tcp.ack))
    }

    pub fn peer_is_unseen(&self) -> bool {
        self.sent(self.peer()).next().is_none()
    }

    /// All that it acknowledges for the first time had been captured.
    pub fn acknowledges_only_seen(&self) -> bool {
        let first = self.sent(self.peer()).next().map(|(_, tcp)| tcp.seq);
        let from = self.acknowledged_by(self.own()).or(first);
        from.is_some_and(|from| self.covers(self.peer(), from, self.tcp.ack))
    }

    /// One of the `gaps` ends behind what was acknowledged before it.
    pub fn acknowledges_gap(&self, gaps: &BTreeSet<usize>) -> bool {
        let from = self.acknowledged_by(self.own());
        self.sent(self.peer())
            .any(|(packet, tcp)| gaps.contains(&packet.number) && from.is_none_or(|from| later(tcp.seq, from)))
    }

    /// Whether one end had sent every number of `from..to`.
    fn covers(&self, key: FlowKey, from: u32, to: u32) -> bool {
        let mut at = from;
        while later(to, at) {
            let next = self.sent(key).filter(|(packet, tcp)| !later(tcp.seq, at) && later(end(packet, tcp), at));
            let Some(next) = next.map(|(packet, tcp)| end(packet, &tcp)).next_back() else { return false };
            at = next;
        }
        true
    }
}
