#!/usr/bin/env bash
# Filters beside libpcap's, in turn on the same packets: ns per packet to evaluate one, medians of RUNS, and the median of
# the ratios run by run. What passes may differ by frames with tags, behind which libpcap does not look.
# usage: benches/filters.sh FILE [RUNS]      (gcc, libpcap-dev, python3; cargo build --release -p benches before)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
gcc -O2 -o "$target/libpcap-filter" benches/libpcap-filter.c -lpcap
exec python3 - "$target/release/filter" "$target/libpcap-filter" "$1" "${2:-5}" <<'END'
import statistics, subprocess, sys

ours, theirs, file, runs = sys.argv[1:]


def run(program, text):
    nanos, seen, passing = subprocess.check_output([program, file, "16384", "200", text], text=True).split()
    return float(nanos), (int(seen), int(passing))


print("| filter | ours ns | libpcap ns | times | passing: ours, libpcap |")
print("| --- | ---: | ---: | ---: | ---: |")
for line in subprocess.check_output([ours, "list"], text=True).splitlines():
    name, text = line.split("\t")
    pairs = [(run(ours, text), run(theirs, text)) for _ in range(int(runs))]
    a, b = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
    times = statistics.median(pair[1][0] / pair[0][0] for pair in pairs)
    passing = [f"{pairs[0][side][1][1]}" for side in (0, 1)]
    print(f"| {name} | {a:.2f} | {b:.2f} | {times:.1f} | {passing[0]}, {passing[1]} |", flush=True)
END
