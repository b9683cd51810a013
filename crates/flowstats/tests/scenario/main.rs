//! Synthetic truth: two simulated TCP ends, a path with every fault, a capture point anywhere on it; what we report of
//! the packets seen there is held against what really happened.
//!
//! `FLOW_SCENARIOS=N` runs so many (default 3000), `FLOW_SCENARIO=SEED` one, with its packets printed if it fails.

mod census;
mod courses;
mod frames;
mod heard;
mod host;
mod laws;
mod plan;
mod random;
mod segment;
mod tape;
mod truth;
mod world;

use crate::laws::{Case, Verdict};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Holds `law` against all scenarios; names the first seeds that break it.
fn hold(law: impl Fn(&Case) -> Verdict) {
    if let Some(seed) = number("FLOW_SCENARIO") {
        let case = Case::of(seed);
        eprintln!("{}", tape::print(&case));
        assert_eq!(law(&case), Ok(()));
        return;
    }
    let mut broken = Vec::new();
    for seed in 0..number("FLOW_SCENARIOS").unwrap_or(3000) {
        let case = Case::of(seed);
        if let Err(why) = law(&case) {
            broken.push((case.captured.len(), seed, why));
        }
    }
    broken.sort();
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

#[test]
fn counts_are_those_of_the_captured_packets() {
    hold(laws::counts);
}

#[test]
fn handshake_times_are_true_or_absent() {
    hold(laws::handshake);
}

#[test]
fn a_capture_loss_never_passes_as_complete() {
    hold(laws::missing);
}

#[test]
fn a_lossless_capture_misses_nothing() {
    hold(laws::nothing_missing);
}

#[test]
fn the_stream_is_as_long_as_the_capture_shows() {
    hold(laws::stream);
}

#[test]
fn states_are_those_of_the_ends() {
    hold(laws::states);
}

#[test]
fn files_and_events_in_any_batches_give_the_same_rows() {
    hold(laws::same_rows);
}

#[test]
fn a_round_trip_time_is_never_wrong_after_a_retransmission() {
    hold(courses::round_trips);
}

#[test]
fn where_nothing_was_sent_again_round_trips_are_told() {
    hold(courses::round_trips_are_many);
}
