//! What was jumped over and may come yet: until it has, a turn is not known whole.

use flowcore::{Direction, FlowEvent};

use super::{Dynamics, Seen};
use crate::tcp::{Tcp, Witness};

impl Dynamics {
    /// Whether bytes of the turn that ends with new payload, if one does, were jumped over.
    #[inline]
    pub(super) fn is_holed(&mut self, tcp: &Tcp, event: &FlowEvent, begin: u32) -> bool {
        self.seen.contains(Seen::HOLES) && self.is_turn_holed(tcp, event, begin)
    }

    #[cold]
    #[inline(never)]
    fn is_turn_holed(&mut self, tcp: &Tcp, event: &FlowEvent, begin: u32) -> bool {
        match event.direction {
            // The hole that begins now is of the next.
            Direction::Forward => self.has_holes(tcp, Some(event)),
            Direction::Reverse => {
                // What fills a hole tells of what came before it all the same.
                let fills = tcp.ends()[1].end_seq() != begin.wrapping_add(event.payload_bytes);
                self.talk.crosses() && (fills || self.has_holes(tcp, None))
            }
        }
    }

    /// Whether there are holes, but for one that begins `now`.
    fn has_holes(&mut self, tcp: &Tcp, now: Option<&FlowEvent>) -> bool {
        let Some(trouble) = &mut self.trouble else { return false };
        let mut found = [false; 2];
        for (direction, side) in [Direction::Forward, Direction::Reverse].into_iter().zip(&mut trouble.sides) {
            let forgotten = tcp.has_open_below(direction, side.forgotten_to);
            found[0] |= forgotten || !side.holes.is_empty();
            found[1] |= forgotten || side.holes.iter_mut().any(|hole| now.is_none_or(|now| hole.time != now.time));
        }
        self.seen.set(Seen::HOLES, found[0]);
        found[1]
    }

    /// Where something was jumped over, a turn that ends now is not known whole.
    pub(super) fn tear_by_holes(&mut self, tcp: &Tcp) {
        if self.seen.contains(Seen::HOLES) && self.has_holes(tcp, None) {
            self.talk.tear();
        }
    }

    /// The response is complete with a FIN, unless some of it may still come.
    pub(super) fn complete_turn<W: Witness>(&mut self, tcp: &Tcp, witness: &mut W) {
        if self.trouble.is_some() && tcp.has_forgotten_open(Direction::Reverse) {
            // Or has come, in any order.
            self.talk.tear();
        } else if let Some(trouble) = &self.trouble {
            let side = &trouble.sides[1];
            if !side.holes.is_empty() || tcp.has_open_below(Direction::Reverse, side.forgotten_to) {
                let acked = tcp.ends()[0].acked_seq();
                return self.talk.end_with_holes(acked, self.sent[1].time, witness);
            }
        }
        self.talk.complete(self.speaker, self.sent[1].time, witness);
    }
}
