//! CPU time of the job's stages over one generated file, in memory's page cache.
//!
//! One iteration is one whole pass over a file of 200,000 packets, opened anew; criterion's throughput is packets, so
//! `Melem/s` 40 is 25 ns a packet. Each stage contains the one before it. The files are made into the target folder.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Duration;

use benches::capture::{Format, Writer};
use benches::stage::Stage;
use benches::traffic::{Plan, Shape, generate};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flowstats::Hosts;
use flowstats::conns::{Conns, Depth};
use flowstats::tcp::Followed;

const PACKETS: u64 = 200_000;

fn made(name: &str, shape: Shape, format: Format) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let file = BufWriter::new(File::create(&path).expect("the target folder can be written"));
    let snap_length = if shape == Shape::Full { 65_535 } else { 100 };
    let mut out = Writer::new(file, format, snap_length).expect("a header can be written");
    let plan = Plan { shape, packets: PACKETS, seed: 16, seconds: 60 };
    generate(plan, &mut out).expect("packets can be written");
    out.finish().expect("the rest can be written");
    path.display().to_string()
}

fn stages(criterion: &mut Criterion) {
    for (name, shape, format) in [
        ("small.pcap", Shape::Small, Format::Pcap),
        ("small.pcapng", Shape::Small, Format::PcapNg),
        ("flows.pcap", Shape::Flows, Format::Pcap),
        ("full.pcap", Shape::Full, Format::Pcap),
    ] {
        let path = made(name, shape, format);
        let mut group = criterion.benchmark_group(name);
        group.sample_size(20).measurement_time(Duration::from_secs(2)).throughput(Throughput::Elements(PACKETS));
        for stage in Stage::ALL {
            group.bench_function(BenchmarkId::from_parameter(stage.name()), |bencher| {
                bencher.iter(|| {
                    let seen = stage.run(&path).expect("a generated file is read");
                    assert_eq!(seen.packets, PACKETS);
                    seen
                });
            });
        }
        group.finish();
    }
}

/// What one open connection takes, whatever it carries.
fn state(_: &mut Criterion) {
    let bytes = [
        ("conns", Conns::bytes_per_connection(Depth::Plain)),
        ("conns with the course", Conns::bytes_per_connection(Depth::Course)),
        ("hosts", Hosts::bytes_per_connection()),
        ("of a connection in every kind of trouble at most", Followed::MOST_BYTES),
    ];
    for (what, bytes) in bytes {
        println!("state: {what}: {bytes} bytes");
    }
}

criterion_group!(benches, state, stages);
criterion_main!(benches);
