//! Questions and answers on the wire, by NLnet Labs' `domain`.

use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype, ToName, Ttl};
use domain::rdata::{A, Aaaa, Ptr, Soa};
use flowcore::Addr;

use crate::cached::Answer;
use crate::name::{is_of_a_host, normal};

/// A question, ready to be sent.
pub(super) struct Question(Message<Vec<u8>>);

/// What a datagram turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading<T> {
    /// The answer.
    Answer(T),
    /// The answer did not fit: ask over TCP.
    Truncated,
    /// The server cannot or will not tell.
    Refused,
    /// Not an answer to this question.
    Foreign,
}

impl Question {
    /// What is `addr` called?
    pub(super) fn name_of(addr: Addr, id: u16) -> Option<Self> {
        Self::new(&Name::<Vec<u8>>::reverse_from_addr(addr.to_ip()).ok()?, Rtype::PTR, id)
    }

    /// Which addresses of `addr`'s family has `name`?
    pub(super) fn addresses_of(name: &str, addr: Addr, id: u16) -> Option<Self> {
        let kind = if addr.is_v4() { Rtype::A } else { Rtype::AAAA };
        Self::new(&Name::<Vec<u8>>::vec_from_str(name).ok()?, kind, id)
    }

    fn new(name: &Name<Vec<u8>>, kind: Rtype, id: u16) -> Option<Self> {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(id);
        builder.header_mut().set_rd(true);
        let mut builder = builder.question();
        builder.push((name, kind)).ok()?;
        Some(Self(builder.into_message()))
    }

    /// The bytes to send.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Reads a name out of what came back.
    pub(super) fn read_name(&self, bytes: &[u8]) -> Reading<Answer> {
        self.read(bytes, |message| {
            let canonical = message.canonical_name()?;
            let mut name: Option<String> = None;
            let mut points = false;
            let mut lifetime = Ttl::MAX;
            for record in message.answer().ok()? {
                let record = record.ok()?;
                lifetime = lifetime.min(record.ttl());
                if let Some(pointer) = record.to_record::<Ptr<_>>().ok()?
                    && pointer.owner().name_eq(&canonical)
                {
                    points = true;
                    let text = normal(&pointer.data().ptrdname().to_string());
                    if is_of_a_host(&text) {
                        name = Some(name.map_or(text.clone(), |before| before.min(text)));
                    }
                }
            }
            Some(match name {
                Some(name) => Answer::Name(Arc::from(name), Some(duration(lifetime))),
                // It points to nothing that is a name, as long as it does.
                None if points => Answer::Absent(Some(duration(lifetime))),
                None => Answer::Absent(negative(message)),
            })
        })
    }

    /// Whether `addr` is among the addresses that came back.
    pub(super) fn read_address(&self, bytes: &[u8], addr: Addr) -> Reading<bool> {
        self.read(bytes, |message| {
            let canonical = message.canonical_name()?;
            let mut found = false;
            for record in message.answer().ok()? {
                let record = record.ok()?;
                if record.owner().name_eq(&canonical) {
                    let is_v4 =
                        matches!(record.to_record::<A>(), Ok(Some(a)) if Addr::v4(a.data().addr().octets()) == addr);
                    let is_v6 =
                        matches!(record.to_record::<Aaaa>(), Ok(Some(a)) if Addr::v6(a.data().addr().octets()) == addr);
                    found |= is_v4 || is_v6;
                }
            }
            Some(found)
        })
    }

    /// Reads what came back with `take`, which says `None` if it makes no sense.
    fn read<T>(&self, bytes: &[u8], take: impl FnOnce(&Message<&[u8]>) -> Option<T>) -> Reading<T> {
        let Ok(message) = Message::from_octets(bytes) else { return Reading::Foreign };
        if !message.is_answer(&self.0) {
            return Reading::Foreign;
        }
        if message.header().tc() {
            return Reading::Truncated;
        }
        match message.header().rcode() {
            Rcode::NOERROR | Rcode::NXDOMAIN => take(&message).map_or(Reading::Refused, Reading::Answer),
            _ => Reading::Refused,
        }
    }
}

fn duration(ttl: Ttl) -> Duration {
    Duration::from_secs(u64::from(ttl.as_secs()))
}

/// How long it holds that there is no name: the smaller of the SOA record's own lifetime and its last field (RFC 2308
/// section 5).
fn negative(message: &Message<&[u8]>) -> Option<Duration> {
    let mut authority = message.authority().ok()?.limit_to::<Soa<_>>();
    let soa = authority.next()?.ok()?;
    Some(duration(soa.ttl().min(soa.data().minimum())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 192.0.2.7 is `web.example` for an hour; asked and answered as RFC 1035 section 4 writes it.
    fn exchange() -> (Question, Vec<u8>) {
        let question = Question::name_of(Addr::v4([192, 0, 2, 7]), 0xbeef).unwrap();
        let mut answer = question.as_bytes().to_vec();
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[7] = 1;
        answer.extend_from_slice(b"\xc0\x0c\x00\x0c\x00\x01\x00\x00\x0e\x10\x00\x0d\x03web\x07example\x00");
        (question, answer)
    }

    #[test]
    fn a_question_is_what_the_standard_says() {
        let question = Question::name_of(Addr::v4([192, 0, 2, 7]), 0xbeef).unwrap();
        let expected = b"\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x017\x012\x010\x03192\x07in-addr\x04arpa\x00\x00\x0c\x00\x01";
        assert_eq!(question.as_bytes(), expected);
    }

    #[test]
    fn an_answer_has_a_name_and_a_lifetime() {
        let (question, answer) = exchange();
        let expected = Answer::Name("web.example".into(), Some(Duration::from_secs(3600)));
        assert_eq!(question.read_name(&answer), Reading::Answer(expected));
    }

    #[test]
    fn what_is_no_name_holds_as_long_as_its_record() {
        let (question, mut answer) = exchange();
        let place = answer.len() - 12;
        answer[place..place + 3].copy_from_slice(b"(b)");
        assert_eq!(question.read_name(&answer), Reading::Answer(Answer::Absent(Some(Duration::from_secs(3600)))));
    }

    #[test]
    fn what_answers_another_question_is_foreign() {
        let (question, answer) = exchange();
        for (place, what) in [(0, "number"), (2, "query"), (13, "name")] {
            let mut other = answer.clone();
            other[place] ^= if place == 2 { 0x80 } else { 1 };
            assert_eq!(question.read_name(&other), Reading::Foreign, "{what}");
        }
        assert_eq!(question.read_name(&[]), Reading::Foreign);
    }

    proptest! {
        #[test]
        fn mutated_answers_end_in_some_reading(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            length in any::<prop::sample::Index>(),
        ) {
            let (question, mut answer) = exchange();
            for (place, byte) in changes {
                let place = place.index(answer.len());
                answer[place] = byte;
            }
            answer.truncate(length.index(answer.len() + 1));
            let _ = question.read_name(&answer);
            let _ = question.read_address(&answer, Addr::v4([192, 0, 2, 7]));
        }
    }
}
