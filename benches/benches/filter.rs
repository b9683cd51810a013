//! What a filter costs: ns per event of bound filters over 16,384 decoded packets of the `small` shape (criterion's
//! throughput is events), and the time from the text of a filter to its bound form.

use std::fs::File;
use std::hint::black_box;
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Duration;

use benches::capture::{Format, Writer};
use benches::filter::{FILTERS, bound, count, fifty, packets};
use benches::traffic::{Plan, Shape, generate};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const PACKETS: usize = 16_384;

/// Two hundred characters of many kinds of test.
const LONG: &str = "tcp and (dport {80, 443, 8000:8100} or sport {80, 443}) and not src 10.0.0.0/8 and syn and not ack or udp and port 53 and len > 512 and (dst 192.0.2.1 or dst 2001:db8::/32) or icmp and icmptype {8, 0}";

fn filters(criterion: &mut Criterion) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("filter.pcap");
    let file = BufWriter::new(File::create(&path).expect("the target folder can be written"));
    let mut out = Writer::new(file, Format::Pcap, 100).expect("a header can be written");
    let plan = Plan { shape: Shape::Small, packets: PACKETS as u64, seed: 16, seconds: 60 };
    generate(plan, &mut out).expect("packets can be written");
    out.finish().expect("the rest can be written");
    let events = packets(&path.display().to_string(), PACKETS).expect("a generated file is read");
    let mut group = criterion.benchmark_group("evaluate");
    group.sample_size(20).measurement_time(Duration::from_secs(1)).throughput(Throughput::Elements(PACKETS as u64));
    let more = [("50 leaves", fifty()), ("a list of 10,000", "src in @list".to_owned())];
    let all = FILTERS.iter().map(|(name, text)| (*name, (*text).to_owned())).chain(more);
    for (name, text) in all {
        let filter = bound(&text).expect("a filter");
        group.bench_function(name, |bencher| bencher.iter(|| count(black_box(&filter), &events)));
    }
    group.finish();
    criterion.bench_function("parse and bind 200 characters", |bencher| bencher.iter(|| bound(black_box(LONG))));
}

criterion_group!(benches, filters);
criterion_main!(benches);
