//! What a filter takes out, and time: behind the table, and before it.

use super::*;
use crate::event::{EndReason, FragmentPlace, TcpFlags, TcpSegment, UdpHeader};
use crate::ledger::Loss;

/// Selects source ports from one on, behind the table; packets of the first flow only from one time on.
struct FromPort(u16, Timestamp);
impl Select for FromPort {
    fn select(&self, events: &[FlowEvent], _: &Frames<'_>) -> u64 {
        events.iter().enumerate().fold(0, |mask, (place, event)| {
            mask | u64::from(event.key.src_port >= self.0 && event.time >= self.1) << place
        })
    }
    fn needs(&self) -> Features {
        Features::FLOWS
    }
}

/// Keeps what happens, as analyzers do that reset their state when a flow begins.
#[derive(Default)]
struct Heard {
    open: std::collections::HashMap<FlowId, u64>,
    ended: Vec<(u64, EndReason)>,
    span: Option<(Timestamp, Timestamp)>,
}
impl Analyzer for Heard {
    fn name(&self) -> &str {
        "heard"
    }
    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        self.span = Some((batch.from, batch.through));
        for event in batch.events {
            if event.marks.contains(Marks::BEGIN) {
                assert_eq!(self.open.insert(event.flow, 0), None, "the one before has ended");
            }
            let packets = self.open.get_mut(&event.flow).expect("a flow that has begun");
            *packets += u64::from(event.packets);
            if let Detail::End(reason) = event.detail {
                self.ended.extend(self.open.remove(&event.flow).map(|packets| (packets, reason)));
            }
        }
        Ok(())
    }
    fn snapshot(&self, _: &mut Tables) {}
}

/// One packet a second of each of `count` flows, one after the other, and then silence of an hour.
fn flows_and_silence(count: u16) -> Vec<FlowEvent> {
    let mut events: Vec<FlowEvent> = (0..count).flat_map(|_| events(10)).collect();
    for (second, event) in (0..).zip(&mut events) {
        event.time = Timestamp::from_parts(second, 0);
    }
    let late = FlowEvent { time: Timestamp::from_parts(7200, 0), ..events[0] };
    events.push(late);
    events
}

fn heard(filter: impl Select + 'static, events: &[FlowEvent], size: usize) -> (Vec<(u64, EndReason)>, Heard) {
    let mut builder = Pipeline::builder().filter(filter);
    let handle = builder.add(Heard::default());
    let mut pipeline = builder.build(&source()).unwrap();
    for chunk in events.chunks(size) {
        pipeline.push(&mut chunk.to_vec(), Frames::EMPTY, Timestamp::MIN).unwrap();
    }
    while pipeline.close().unwrap() {}
    let mut heard = std::mem::take(pipeline.get_mut(&handle));
    heard.ended.sort_by_key(|&(packets, reason)| (packets, reason as u8));
    (heard.ended.clone(), heard)
}

#[test]
fn behind_a_late_filter_a_flow_begins_with_what_passes_and_one_of_which_nothing_does_has_no_end() {
    let events = flows_and_silence(5);
    for size in [1, 7, 1000] {
        // Two of the flows, from the third packet of each on.
        let (ended, heard) = heard(FromPort(50_008, Timestamp::from_parts(20, 0)), &events, size);
        assert_eq!(ended, [(3, EndReason::Idle); 2], "{size} at once");
        assert!(heard.open.is_empty());
    }
}

struct Above(u16);
impl Select for Above {
    fn select(&self, events: &[FlowEvent], _: &Frames<'_>) -> u64 {
        events.iter().enumerate().fold(0, |mask, (place, event)| mask | u64::from(event.key.src_port > self.0) << place)
    }
}

#[test]
fn time_goes_on_with_what_a_filter_takes_out() {
    let events = flows_and_silence(3);
    for size in [1, 7, 1000] {
        // The packet after the silence is of the first flow, which is not selected: the others end by it all the same.
        let (ended, heard) = heard(Above(50_000), &events, size);
        assert_eq!(ended, [(3, EndReason::Idle); 9], "{size} at once");
        assert_eq!(heard.span, Some((Timestamp::EPOCH, Timestamp::from_parts(7200, 0))));
        // As without a filter, where the first flow has another after the silence.
        let (all, _) = self::heard(Above(0), &events, size);
        assert_eq!(all.iter().filter(|&&end| end == (3, EndReason::Idle)).count(), 10);
    }
}

#[derive(Clone, Default)]
struct Ledgers(Arc<Mutex<Vec<Ledger>>>);
impl Reporter for Ledgers {
    fn report(&mut self, snapshot: &Snapshot, _: &dyn Resolver) -> Result<()> {
        self.0.lock().unwrap().push(snapshot.ledger.clone());
        Ok(())
    }
}

/// Loses three packets with each that it gives.
struct Losing(Vec<FlowEvent>, SourceInfo, u64);
impl Collector for Losing {
    fn info(&self) -> &SourceInfo {
        &self.1
    }
    fn fill<'s>(&'s mut self, events: &mut Vec<FlowEvent>, _: Limit) -> Result<Filled<'s>> {
        let status = if self.0.is_empty() { Status::End } else { Status::More };
        events.extend(self.0.pop());
        self.2 += 3 * u64::from(status == Status::More);
        Ok(Filled { frames: Frames::EMPTY, through: Timestamp::MIN, status })
    }
    fn ledger(&mut self) -> Result<Ledger> {
        let mut ledger = Ledger::new();
        ledger.lose(Loss::Kernel, self.2);
        Ok(ledger)
    }
}

#[test]
fn reports_at_intervals_tell_what_the_source_has_lost_by_then() {
    let ledgers = Ledgers::default();
    let builder = Pipeline::builder().report(Some(Duration::from_millis(100)), ledgers.clone());
    let mut pipeline = builder.build(&source()).unwrap();
    let mut given = events(25);
    given.reverse();
    let mut losing = Losing(given, source(), 0);
    pipeline.run(&mut losing).unwrap();
    let lost: Vec<_> = ledgers.0.lock().unwrap().iter().map(|ledger| ledger.lost(Loss::Kernel)).collect();
    // What was lost with the packet that begins the next interval is of that one.
    assert_eq!(lost, [Some(30), Some(60), Some(75)]);
    let again = pipeline.run(&mut losing).err().unwrap();
    assert!(again.to_string().contains("build another"), "{again}");
    // Whoever pushes says it.
    let ledgers = Ledgers::default();
    let builder = Pipeline::builder().report(Some(Duration::from_millis(100)), ledgers.clone());
    let mut pipeline = builder.build(&source()).unwrap();
    pipeline.account(losing.ledger().unwrap());
    pipeline.push(&mut events(25), Frames::EMPTY, Timestamp::MIN).unwrap();
    assert!(ledgers.0.lock().unwrap().iter().all(|ledger| ledger.lost(Loss::Kernel) == Some(75)));
}

#[test]
fn what_events_say_counts_for_each_of_their_packets_and_no_time_begins_nothing() {
    let mut pipeline = Pipeline::builder().build(&source()).unwrap();
    let mut some = events(3);
    some[0] = FlowEvent { time: Timestamp::EPOCH, notes: Notes::UNTIMED, packets: 2, ..some[0] };
    some[1] = FlowEvent { stopped: Layer::Transport, notes: Notes::MALFORMED, packets: 10, ..some[1] };
    for (place, event) in some.iter_mut().enumerate().skip(1) {
        event.time = Timestamp::from_parts(1000 + place as i64, 0);
    }
    pipeline.push(&mut some, Frames::EMPTY, Timestamp::MIN).unwrap();
    let snapshot = pipeline.snapshot(None, false);
    assert_eq!((snapshot.ledger.untimed, snapshot.ledger.malformed_total()), (2, 10));
    assert_eq!((snapshot.ledger.delivered(), snapshot.ledger.backwards), (13, 0));
    // Nor an interval.
    let ledgers = Ledgers::default();
    let builder = Pipeline::builder().report(Some(Duration::from_secs(60)), ledgers.clone());
    let mut untimed = events(2);
    untimed[0].notes = Notes::UNTIMED;
    untimed[1].time = Timestamp::from_parts(1000, 0);
    builder.build(&source()).unwrap().push(&mut untimed, Frames::EMPTY, Timestamp::MIN).unwrap();
    assert_eq!(ledgers.0.lock().unwrap().len(), 0);
    let times = [1001, 1002].map(|second| Some(Timestamp::from_parts(second, 0)));
    assert_eq!([snapshot.from, snapshot.through], times);
}

/// Asks something of each event.
struct Asked(fn(&FlowEvent) -> bool);
impl Select for Asked {
    fn select(&self, events: &[FlowEvent], _: &Frames<'_>) -> u64 {
        events.iter().enumerate().fold(0, |mask, (place, event)| mask | u64::from((self.0)(event)) << place)
    }
}

/// A datagram's first fragment to port 53 and two later ones, a millisecond apart.
fn fragments() -> [FlowEvent; 3] {
    let mut first = FlowEvent { notes: Notes::FRAGMENT, datagram_id: 7, bytes: 1500, ..events(1)[0] };
    first.detail = Detail::Udp(UdpHeader::default());
    let later = |place: u16| {
        let mut event = FlowEvent { notes: Notes::FRAGMENT | Notes::LATER_FRAGMENT, bytes: 700, ..first };
        event.detail = Detail::Fragment(FragmentPlace { begin: 1480 * place, last: place == 2 });
        (event.key.src_port, event.key.dst_port) = (0, 0);
        event.time = Timestamp::from_nanos(i64::from(place) * 1_000_000);
        event
    };
    [first, later(1), later(2)]
}

#[test]
fn a_filter_of_ports_selects_the_later_fragments_with_the_first() {
    let [first, second, third] = fragments();
    let kept = |filter, events: &[FlowEvent], size| {
        let mut builder = Pipeline::builder().filter(Asked(filter));
        let tape = builder.add(shortfalls::Tape::default());
        let mut pipeline = builder.build(&source()).unwrap();
        for chunk in events.chunks(size) {
            pipeline.push(&mut chunk.to_vec(), Frames::EMPTY, Timestamp::MIN).unwrap();
        }
        let tape = &pipeline.get(&tape).0;
        let apart = tape.iter().filter(|event| event.notes.contains(Notes::APART)).count();
        (tape.len(), pipeline.flows().opened(), apart)
    };
    for size in [1, 2, 1000] {
        let port = |event: &FlowEvent| event.key.dst_port == 53;
        assert_eq!(kept(port, &[first, second, third], size), (3, 1, 0), "{size} at once");
        // One that came too early has no ports. It is taken out, and the first one says so.
        assert_eq!(kept(port, &[third, first, second], size), (2, 1, 1), "{size} at once");
        // What is taken out itself tells of those that are not.
        let small = |event: &FlowEvent| event.bytes < 1000 && event.key.dst_port == 53;
        assert_eq!(kept(small, &[first, second, third], size), (2, 1, 0), "{size} at once");
    }
}

#[test]
fn a_filter_sees_the_fin_of_a_segment_in_fragments_where_it_was_sent() {
    let [mut first, mut second, _] = fragments();
    let flags = TcpFlags::FIN | TcpFlags::ACK;
    first.detail = Detail::Tcp(TcpSegment { flags, ..TcpSegment::default() });
    (first.key.protocol, second.key.protocol) = (Protocol::TCP, Protocol::TCP);
    (first.network_bytes, first.payload_bytes, second.payload_bytes) = (1500, 1460, 500);
    second.detail = Detail::Fragment(FragmentPlace { begin: 1480, last: true });
    let flags = |event: &FlowEvent| match event.detail {
        Detail::Tcp(segment) => segment.flags,
        _ => TcpFlags::empty(),
    };
    let is_fin = |event: &FlowEvent| match event.detail {
        Detail::Tcp(segment) => segment.flags.contains(TcpFlags::FIN),
        _ => false,
    };
    let mut builder = Pipeline::builder().filter(Asked(is_fin));
    let tape = builder.add(shortfalls::Tape::default());
    let mut pipeline = builder.build(&source()).unwrap();
    pipeline.push(&mut vec![first, second], Frames::EMPTY, Timestamp::MIN).unwrap();
    // The analyzers hear of it behind the last.
    let told: Vec<TcpFlags> = pipeline.get(&tape).0.iter().map(flags).collect();
    assert_eq!(told, [TcpFlags::ACK, TcpFlags::ACK | TcpFlags::FIN]);
}
