//! The segments that open and close nearly every connection, the short way.
//!
//! Why beside [`Dynamics::accept`], which is right for every segment: nothing was jumped over, sent again or reset, so
//! that most of what it asks has one answer. A property test holds that both come to the same.

use flowcore::event::Notes;
use flowcore::{FlowEvent, TcpFlags, TcpSegment};

use super::{Before, Dynamics, Seen, State};
use crate::tcp::{Tcp, Witness};

impl Dynamics {
    /// Takes in a segment that [`Tcp::textbook`] takes, where nothing unusual came before; `false`, with nothing
    /// changed, for any other.
    #[inline]
    pub(super) fn by_the_book<W: Witness>(
        &mut self,
        tcp: &mut Tcp,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) -> bool {
        let flags = segment.flags;
        let syn = flags.contains(TcpFlags::SYN);
        let marked = event.notes.contains(Notes::CONGESTED)
            || (flags.intersects(TcpFlags::ECE | TcpFlags::CWR) && !syn)
            || segment.duplicate != 0;
        if self.trouble.is_some() || marked {
            return false;
        }
        let (by, payload) = (event.direction, event.payload_bytes);
        let before = Before::untroubled(tcp, payload);
        if !tcp.textbook(segment, payload, by, event.time) {
            return false;
        }
        self.seen |= Seen::SOMETHING;
        if syn {
            self.note_syn(&before, tcp, event, segment, witness);
        }
        self.note_established(&before, tcp, event, segment, witness);
        let of = by.opposite();
        let fin = flags.contains(TcpFlags::FIN);
        if flags.contains(TcpFlags::ACK) {
            let (acked, end) = (before.ends[of.index()].acked(), &tcp.ends()[of.index()]);
            if end.acked() > acked {
                self.acknowledged(of, acked, end, event, segment, witness);
            } else if payload == 0 && !fin {
                if self.is_copy(event, witness) {
                    return true;
                }
                self.acknowledged_again(end, event, segment);
            }
        }
        self.note_pause(before.fresh, event);
        if fin {
            self.note_parting(before.fresh, event);
        }
        if !syn && (payload > 0 || fin) {
            self.advance(before.fresh, fin, event, segment, witness);
        }
        if payload > 0 {
            let closer = &before.ends[of.index()];
            if closer.state() == State::Closed && closer.acked() == closer.last() {
                self.seen |= Seen::HALF_CLOSED;
            }
            self.payload(tcp, event, segment, segment.seq, witness);
        }
        if fin {
            self.note_end(&before, tcp, event, flags, witness);
        }
        self.note_sent_with_number(syn || fin || !before.established, event, segment);
        true
    }
}
