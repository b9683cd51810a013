//! Histograms against sorted vectors, against each other, and against the crate whose format they exchange.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

use flowstats::Histogram;
use flowstats::histogram::index_of;
use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer, V2Serializer};
use proptest::collection::vec;
use proptest::prelude::*;

const LEVELS: [f64; 9] = [0.0, 0.001, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0];

fn of(values: &[u64]) -> Histogram {
    let mut histogram = Histogram::new();
    values.iter().for_each(|&value| histogram.record(value));
    histogram
}

/// Values of every magnitude alike, and those where the way to their bucket changes.
fn magnitudes() -> impl Strategy<Value = u64> {
    prop_oneof![
        40 => (any::<u64>(), 0..64u32).prop_map(|(value, shift)| value >> shift),
        1 => Just(u64::MAX),
        1 => Just(0),
        1 => 126..130u64,
        1 => (1 << 53) - 2..(1u64 << 53) + 2,
    ]
}

/// What latencies look like: a narrow body, in nanoseconds, with a tail.
fn latencies() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 200_000..900_000u64, 2 => 1_000_000..200_000_000u64, 1 => Just(1_000_000_000u64)]
}

fn is_within_the_stated_error(histogram: &Histogram, values: &[u64]) -> Result<(), TestCaseError> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    prop_assert_eq!(histogram.count(), sorted.len() as u64);
    prop_assert_eq!((histogram.min(), histogram.max()), (sorted.first().copied(), sorted.last().copied()));
    if let Some(mean) = histogram.mean() {
        let truth = sorted.iter().map(|&value| value as f64).sum::<f64>() / sorted.len() as f64;
        prop_assert!((mean - truth).abs() <= truth * (Histogram::RELATIVE_ERROR + 1e-9), "mean {mean} for {truth}");
    }
    for (level, said) in LEVELS.into_iter().zip(histogram.quantiles(&LEVELS)) {
        let truth = index_of(level, sorted.len() as u64).map(|index| sorted[index as usize]);
        let (Some(said), Some(truth)) = (said, truth) else {
            prop_assert!(said.is_none() && truth.is_none());
            return Ok(());
        };
        let off = said.abs_diff(truth);
        prop_assert!(off as f64 <= truth as f64 * Histogram::RELATIVE_ERROR, "{level}: {said} for {truth}");
        prop_assert!(truth >= 256 || off == 0, "{level}: {said} for {truth}");
    }
    Ok(())
}

#[test]
fn a_quantile_of_hundredths_is_the_one_that_whole_numbers_give() {
    for (percent, count) in (0..=100u64).flat_map(|percent| (1..=400u64).map(move |count| (percent, count))) {
        let expected = ((2 * percent * count).saturating_sub(100) / 200).min(count - 1);
        assert_eq!(index_of(percent as f64 / 100.0, count), Some(expected), "{percent} % of {count}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn quantiles_are_within_the_stated_error(values in vec(magnitudes(), 0..600)) {
        is_within_the_stated_error(&of(&values), &values)?;
    }

    #[test]
    fn quantiles_of_latencies_are_within_the_stated_error(values in vec(latencies(), 0..2000)) {
        is_within_the_stated_error(&of(&values), &values)?;
    }

    #[test]
    fn merging_is_recording_the_union(parts in vec(vec(prop_oneof![magnitudes(), latencies()], 0..300), 0..5)) {
        let mut merged = Histogram::new();
        parts.iter().for_each(|part| merged.merge(&of(part)));
        let all = parts.concat();
        prop_assert_eq!(&merged, &of(&all));
        is_within_the_stated_error(&merged, &all)?;
        let mut backwards = Histogram::new();
        parts.iter().rev().for_each(|part| backwards.merge(&of(part)));
        prop_assert_eq!(merged, backwards);
    }

    #[test]
    fn recording_many_is_recording_one_many_times(value in magnitudes(), times in 0..200u64) {
        let mut many = Histogram::new();
        many.record_many(value, times);
        prop_assert_eq!(many, of(&vec![value; times as usize]));
    }

    #[test]
    fn the_exchange_format_loses_no_count(values in vec(prop_oneof![magnitudes(), latencies()], 0..400)) {
        let histogram = of(&values);
        for back in [Histogram::decode(&histogram.encode()), Histogram::decode_bytes(&histogram.encode_plain())] {
            prop_assert!(back.unwrap().buckets().eq(histogram.buckets()));
        }
    }

    // The crate's own arithmetic overflows in the uppermost bucket of all, hence the shift.
    #[test]
    fn the_hdrhistogram_crate_reads_what_we_write(values in vec(prop_oneof![magnitudes(), latencies()], 0..400)) {
        let values: Vec<u64> = values.iter().map(|value| value >> 1).collect();
        let histogram = of(&values);
        let theirs: Hdr<u64> = Deserializer::new().deserialize(&mut histogram.encode_plain().as_slice()).unwrap();
        let buckets: Vec<(u64, u64)> = theirs
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
            .collect();
        prop_assert!(histogram.buckets().map(|(_, high, count)| (high, count)).eq(buckets));
        prop_assert_eq!(theirs.sigfig(), 2);
    }

    #[test]
    fn we_read_what_the_hdrhistogram_crate_writes(
        values in vec(1..1u64 << 50, 1..300), digits in 0..=4u8, lowest in 1..5000u64,
    ) {
        let mut theirs = Hdr::<u64>::new_with_bounds(lowest, 1 << 51, digits).unwrap();
        for &value in &values {
            theirs.record(value).unwrap();
        }
        let (mut plain, mut packed) = (Vec::new(), Vec::new());
        V2Serializer::new().serialize(&theirs, &mut plain).unwrap();
        V2DeflateSerializer::new().serialize(&theirs, &mut packed).unwrap();
        let ours = Histogram::decode_bytes(&plain).unwrap();
        prop_assert_eq!(&ours, &Histogram::decode_bytes(&packed).unwrap());
        // Theirs, each at the middle of its bucket, recorded in ours: the same to the last count.
        let mut expected = Histogram::new();
        for step in theirs.iter_recorded() {
            let (low, high) = (theirs.lowest_equivalent(step.value_iterated_to()), step.value_iterated_to());
            expected.record_many(low + (high - low) / 2, step.count_since_last_iteration());
        }
        prop_assert_eq!(ours, expected);
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_but_never_panic(
        values in vec(latencies(), 0..50), at in any::<prop::sample::Index>(), byte in any::<u8>(), packed in any::<bool>(),
    ) {
        use base64::Engine;
        let histogram = of(&values);
        let mut bytes = if packed {
            base64::engine::general_purpose::STANDARD.decode(histogram.encode()).unwrap()
        } else {
            histogram.encode_plain()
        };
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Histogram::decode_bytes(&bytes);
    }
}

#[test]
fn a_histogram_from_another_languages_log_is_read() {
    // The crate's text form of one, as the Java tools write it: 1, 2, 3 and 1,000,000 in three digits.
    let mut theirs = Hdr::<u64>::new(3).unwrap();
    for value in [1, 2, 3, 1_000_000] {
        theirs.record(value).unwrap();
    }
    let mut packed = Vec::new();
    V2DeflateSerializer::new().serialize(&theirs, &mut packed).unwrap();
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(&packed);
    assert!(text.starts_with("HISTFAAA"), "{text}");
    let ours = Histogram::decode(&text).unwrap();
    assert_eq!(ours.count(), 4);
    assert_eq!(ours.quantile(0.5), Some(2));
    assert!(ours.quantile(1.0).unwrap().abs_diff(1_000_000) < 4_400);
    assert!(of(&[1]).encode().starts_with("HISTFAAA"));
}

#[test]
fn the_percentile_rule_is_trtops() {
    // From its contract: n=1 the value, n=2 the larger, n=20 the 19th smallest, n=171 the one at index 161.
    let p95 = |count: u64| of(&(1..=count).collect::<Vec<_>>()).quantile(0.95);
    assert_eq!((p95(0), p95(1), p95(2), p95(20), p95(171)), (None, Some(1), Some(2), Some(19), Some(162)));
    let [first, last] = [0.0, 1.0].map(|level| of(&[5, 6, 7]).quantile(level));
    assert_eq!((first, last), (Some(5), Some(7)));
    assert_eq!(of(&[5]).quantile(f64::NAN), Some(5));
}

#[test]
fn a_single_value_is_said_exactly_however_large() {
    for value in [0, 255, 256, 9_642_000, u64::MAX] {
        assert_eq!(LEVELS.map(|level| of(&[value]).quantile(level)), [Some(value); 9]);
    }
}

#[test]
fn an_empty_histogram_has_no_mean() {
    assert_eq!(of(&[255, 1]).mean(), Some(128.0));
    assert_eq!(Histogram::new().mean(), None);
}

#[test]
fn memory_is_nothing_at_first_little_for_few_and_bounded_for_any() {
    assert_eq!((Histogram::new().memory_bytes(), size_of::<Histogram>()), (0, 64));
    assert!(of(&[1_000_000, 2_000_000, 3_000_000]).memory_bytes() <= 64);
    // 1 ns to 137 s, every value of every octave.
    let wide = of(&(0..37)
        .flat_map(|octave| (0..128).map(move |step| (1 << octave) + (step << octave) / 128))
        .collect::<Vec<u64>>());
    assert!(wide.memory_bytes() <= 16 * 1024, "{}", wide.memory_bytes());
    let widest = of(&(0..64).flat_map(|octave| (0..128).map(move |step| 1 << octave | step)).collect::<Vec<u64>>());
    assert!(widest.memory_bytes() <= 15 * 1024, "{}", widest.memory_bytes());
}
