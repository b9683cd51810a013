//! What a histogram costs: 64 k latencies, log-normal around 1 ms, in nanoseconds; one iteration records them all, so
//! `Melem/s` 1000 is 1 ns a record. `floor` sums the same slice: what reading the values takes. `hdrhistogram` is the
//! crate of that name with two significant digits, which has the same buckets.

use std::hint::black_box;

use benches::random::Random;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowstats::Histogram;

const VALUES: usize = 1 << 16;

fn latencies() -> Vec<u64> {
    let mut random = Random::seeded(7);
    (0..VALUES).map(|_| random.log_normal(1e6, 1.5) as u64).collect()
}

fn histogram(criterion: &mut Criterion) {
    let values = latencies();
    let mut group = criterion.benchmark_group("histogram");
    group.throughput(Throughput::Elements(VALUES as u64));
    group.bench_function("floor", |bencher| bencher.iter(|| black_box(&values).iter().sum::<u64>()));
    let mut warm = Histogram::new();
    group.bench_function("record", |bencher| {
        bencher.iter(|| black_box(&values).iter().for_each(|&value| warm.record(value)));
    });
    let mut peer = hdrhistogram::Histogram::<u64>::new_with_bounds(1, u64::MAX / 2, 2).expect("bounds it can have");
    group.bench_function("record, hdrhistogram", |bencher| {
        bencher.iter(|| black_box(&values).iter().for_each(|&value| peer.record(value).expect("within its bounds")));
    });
    group.bench_function("record from nothing", |bencher| {
        bencher.iter(|| {
            let mut fresh = Histogram::new();
            black_box(&values).iter().for_each(|&value| fresh.record(value));
            fresh
        });
    });
    group.bench_function("sixteen records a key", |bencher| {
        bencher.iter(|| {
            black_box(&values).chunks_exact(16).fold(0, |memory, chunk| {
                let mut few = Histogram::new();
                chunk.iter().for_each(|&value| few.record(value));
                memory + few.memory_bytes()
            })
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group("histogram, whole");
    group.bench_function("three quantiles", |bencher| bencher.iter(|| warm.quantiles(black_box(&[0.5, 0.95, 0.99]))));
    group.bench_function("merge", |bencher| {
        bencher.iter(|| {
            let mut sum = black_box(&warm).clone();
            sum.merge(&warm);
            sum
        });
    });
    group.finish();
}

criterion_group!(benches, histogram);
criterion_main!(benches);
