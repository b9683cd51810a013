use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn addr(last: u8) -> Addr {
    Addr::v4([192, 0, 2, last])
}

fn named(addr: Addr) -> Answer {
    Answer::Name(format!("host-{addr}").into(), None)
}

/// Names that come once somebody lets them: each message lets one go.
fn gated(options: Options) -> (Cached, std::sync::mpsc::Sender<()>) {
    let (open, gate) = channel();
    let gate: Mutex<Receiver<()>> = Mutex::new(gate);
    let source = move |addr| match gate.lock().unwrap().recv() {
        Ok(()) => named(addr),
        Err(_) => Answer::Failed,
    };
    (Cached::new(source, options), open)
}

#[test]
fn a_name_is_pending_until_it_is_there_and_asked_for_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let source = move |addr| {
        count.fetch_add(1, Ordering::SeqCst);
        named(addr)
    };
    let names = Cached::new(source, Options::default());
    for _ in 0..3 {
        names.name(addr(1), 0);
        names.name(addr(2), 80);
    }
    names.settle(LONG);
    assert_eq!(names.name(addr(1), 0), Lookup::Known("host-192.0.2.1".into()));
    assert_eq!(names.name(addr(2), 443), Lookup::Known("host-192.0.2.2".into()));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(names.counts(), Counts { asked: 2, named: 2, ..Counts::default() });
}

#[test]
fn nobody_waits_for_a_source_that_hangs_longer_than_asked() {
    let (names, open) = gated(Options { workers: 2, ..Options::default() });
    assert_eq!(names.name(addr(1), 0), Lookup::Pending);
    names.settle(Duration::from_millis(1));
    assert_eq!(names.name(addr(1), 0), Lookup::Pending);
    open.send(()).unwrap();
    names.settle(LONG);
    assert!(names.name(addr(1), 0).known().is_some());
}

#[test]
fn what_finds_no_place_in_the_queue_is_pending_and_counted_and_may_be_asked_again() {
    let (names, open) = gated(Options { workers: 1, queue: 1, ..Options::default() });
    // Two at most are under way: one asked, one waiting. Which of them the third meets depends on the thread.
    for last in 1..=3 {
        assert_eq!(names.name(addr(last), 0), Lookup::Pending);
    }
    assert!(names.counts().refused >= 1);
    for _ in 0..8 {
        open.send(()).unwrap();
    }
    for _ in 0..3 {
        (1..=3).for_each(|last| drop(names.name(addr(last), 0)));
        names.settle(LONG);
    }
    assert!((1..=3).all(|last| names.name(addr(last), 0).known().is_some()));
}

#[test]
fn what_is_left_of_the_time_tells_whether_anything_came() {
    let (names, open) = gated(Options { workers: 1, ..Options::default() });
    assert_eq!(names.settle(LONG), LONG, "nobody has asked");
    assert_eq!(names.name(addr(1), 0), Lookup::Pending);
    assert_eq!(names.settle(Duration::from_millis(1)), Duration::ZERO);
    open.send(()).unwrap();
    let left = names.settle(LONG);
    assert!(Duration::ZERO < left && left < LONG, "{left:?}");
    assert_eq!(names.settle(LONG), LONG, "all is there");
    // An answer that was there before anybody waited came all the same.
    names.name(addr(2), 0);
    open.send(()).unwrap();
    while names.name(addr(2), 0) == Lookup::Pending {
        std::thread::yield_now();
    }
    assert!(names.settle(LONG) < LONG);
    assert_eq!(names.settle(LONG), LONG);
}

#[test]
fn no_more_threads_ask_than_allowed() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let source = move |addr| {
        let busy = now.fetch_add(1, Ordering::SeqCst) + 1;
        seen.fetch_max(busy, Ordering::SeqCst);
        std::thread::yield_now();
        now.fetch_sub(1, Ordering::SeqCst);
        named(addr)
    };
    let names = Cached::new(source, Options { workers: 3, ..Options::default() });
    (0..=255).for_each(|last| drop(names.name(addr(last), 0)));
    names.settle(LONG);
    assert_eq!(names.counts().named, 256);
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
}

#[test]
fn a_source_that_panics_has_failed_and_holds_nobody_up() {
    let source = |addr| if addr == self::addr(1) { panic!("on purpose") } else { named(addr) };
    let names = Cached::new(source, Options { workers: 1, ..Options::default() });
    names.name(addr(1), 0);
    names.settle(LONG);
    assert_eq!(names.name(addr(1), 0), Lookup::Failed, "not that there is none");
    names.name(addr(2), 0);
    names.settle(LONG);
    assert!(names.name(addr(2), 0).known().is_some());
    assert_eq!(names.counts().failed, 1);
}

#[test]
fn dropping_it_waits_for_nobody() {
    let (names, _open) = gated(Options::default());
    names.name(addr(1), 0);
    drop(names);
}
