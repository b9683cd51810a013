//! Synthetic truth: two simulated TCP ends, a path with every fault, a capture point anywhere on it; what we report of
//! the packets seen there is held against what really happened.
//!
//! `FLOW_SCENARIOS=N` runs so many (default 7000), `FLOW_SCENARIO=SEED` one, with its packets printed if it fails.

mod census;
mod courses;
mod frames;
mod heard;
mod host;
mod laws;
mod manner;
mod plan;
mod random;
mod repetitions;
mod segment;
mod strays;
mod tape;
mod truth;
mod turns;
mod windows;
mod world;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::laws::{Case, Verdict};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A test for each law. All are asked of a scenario while it is there: to let one happen costs more than to judge it.
macro_rules! laws {
    ($($name:ident: $law:path,)+) => {
        const LAWS: &[(&str, fn(&Case) -> Verdict)] = &[$((stringify!($name), $law)),+];
        $(
            #[test]
            fn $name() {
                hold(stringify!($name));
            }
        )+
    };
}

laws! {
    what_is_none_of_the_connection_is_invalid: strays::invalid,
    counts_are_those_of_the_captured_packets: laws::counts,
    handshake_times_are_true_or_absent: laws::handshake,
    a_capture_loss_never_passes_as_complete: laws::missing,
    a_lossless_capture_misses_nothing: laws::nothing_missing,
    a_capture_in_disorder_misses_nothing: laws::nothing_missing_in_disorder,
    the_stream_is_as_long_as_the_capture_shows: laws::stream,
    states_are_those_of_the_ends: laws::states,
    files_and_events_in_any_batches_give_the_same_rows: laws::same_rows,
    a_round_trip_time_is_never_wrong_after_a_retransmission: courses::round_trips,
    what_is_sent_again_is_told_from_what_comes_twice_or_late: repetitions::kinds,
    a_fast_or_needless_retransmission_has_a_witness: repetitions::reasons,
    a_round_trip_time_is_never_too_short: courses::not_too_short,
    zero_windows_last_from_the_segment_that_closed_to_the_one_that_opened: windows::zero_windows,
    requests_and_responses_are_those_of_the_dialogue: turns::counts,
    a_turns_times_are_true_or_absent: turns::times,
    where_nothing_was_sent_again_round_trips_are_told: courses::round_trips_are_many,
}

/// A scenario that breaks a law: its packets, its seed, why.
type Breach = (usize, u64, String);

/// Those that break each law.
static BREACHES: LazyLock<Vec<Vec<Breach>>> = LazyLock::new(|| {
    let most = number("FLOW_SCENARIOS").unwrap_or(7000);
    let next = AtomicU64::new(0);
    let judge = || {
        let mut breaches = vec![Vec::new(); LAWS.len()];
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= most {
                return breaches;
            }
            let case = Case::of(seed);
            for ((_, law), breaches) in LAWS.iter().zip(&mut breaches) {
                breaches.extend(law(&case).err().map(|why| (case.captured.len(), seed, why)));
            }
        }
    };
    let mut all = vec![Vec::new(); LAWS.len()];
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, |threads| threads.get());
        let judges: Vec<_> = (0..threads).map(|_| scope.spawn(judge)).collect();
        for judge in judges {
            let breaches = judge.join().expect("a law says what is wrong and does not panic");
            all.iter_mut().zip(breaches).for_each(|(all, some)| all.extend(some));
        }
    });
    all.iter_mut().for_each(|breaches| breaches.sort());
    all
});

/// Holds a law against all scenarios; names the shortest that break it.
fn hold(name: &str) {
    let (place, law) =
        LAWS.iter().enumerate().find(|(_, law)| law.0 == name).map(|(place, law)| (place, law.1)).expect("it is one");
    if let Some(seed) = number("FLOW_SCENARIO") {
        let case = Case::of(seed);
        eprintln!("{}", tape::print(&case));
        assert_eq!(law(&case), Ok(()));
        return;
    }
    let broken = &BREACHES[place];
    let shown: Vec<_> =
        broken.iter().take(5).map(|(packets, seed, why)| format!("seed {seed}, {packets} packets: {why}")).collect();
    assert!(broken.is_empty(), "{} scenarios break the law; the shortest:\n{}", broken.len(), shown.join("\n"));
}

#[test]
fn the_scenarios_show_everything_often() {
    let census = census::take((0..1000).map(Case::of));
    let rare: Vec<_> = census.iter().filter(|(_, seen)| **seen < 10).collect();
    assert!(rare.is_empty(), "{rare:?} of {census:#?}");
    assert!(census["everything said was heard"] > 500, "{census:#?}");
}
