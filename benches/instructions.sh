#!/usr/bin/env bash
# Instructions per packet of each stage, counted by callgrind: the same on any machine, so a rise is a regression.
# usage: benches/instructions.sh [check|write]
#   check (default) fails if a stage takes over 5 % more than benches/instructions.tsv says; write makes that file anew.
#   Another compiler makes other instructions: then check only tells.
# A file of 50,000 packets less one of 1,000, so that start-up does not count.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mode=${1:-check} baseline=benches/instructions.tsv target=${CARGO_TARGET_DIR:-target}
compiler=$(${RUSTC:-rustc} --version)
if ! command -v valgrind >/dev/null; then
    echo "instructions: SKIPPED, no valgrind here: nothing holds regressions of speed (apt-get install valgrind)" >&2
    exit 0
fi
[ "${BUILT:-}" = 1 ] || ${CARGO:-cargo} build --release --locked -q -p benches -p flowcli
lab=$(mktemp -d)
trap 'rm -rf "$lab"' EXIT
long=50000 short=1000
for shape in small flows; do
    for packets in $long $short; do
        "$target/release/generate" "$lab/$shape-$packets.pcap" $shape $packets --seed 16 >/dev/null
        "$target/release/generate" "$lab/$shape-$packets.pcapng" $shape $packets --seed 16 --pcapng >/dev/null
    done
done
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 >/dev/null | awk '/Collected/ { print $4 }'
}
measure() { # NAME FILE-STEM EXTENSION COMMAND...
    local name=$1 stem=$2 extension=$3 more less
    shift 3
    more=$(count "${@//FILE/$lab/$stem-$long.$extension}")
    less=$(count "${@//FILE/$lab/$stem-$short.$extension}")
    printf '%s\t%s\n' "$name" "$(((more - less) / (long - short)))"
}
{
    echo "# instructions per packet, by benches/instructions.sh write with $compiler"
    for stage in walk read decode table conns course hosts; do
        measure "$stage/small.pcap" small pcap "$target/release/floor" $stage FILE
    done
    measure read/small.pcapng small pcapng "$target/release/floor" read FILE
    measure conns/flows.pcap flows pcap "$target/release/floor" conns FILE
    measure course/flows.pcap flows pcap "$target/release/floor" course FILE
    measure hosts/flows.pcap flows pcap "$target/release/floor" hosts FILE
    measure command-top/small.pcap small pcap "$target/release/flow" conns -r FILE --top 20
    measure command-jsonl/flows.pcap flows pcap "$target/release/flow" conns -r FILE -o jsonl
} >"$lab/now"
if [ "$mode" = write ]; then
    cp "$lab/now" "$baseline"
    cat "$baseline"
    exit 0
fi
binding=1
if ! grep -qF "$compiler" "$baseline"; then
    binding=0
    echo "instructions: NOT BINDING, the baseline is by another compiler than $compiler" >&2
fi
awk -F '\t' -v binding=$binding '
    /^#/ { next }
    NR == FNR { allowed[$1] = $2; next }
    { verdict = "ok"
      if (!($1 in allowed)) { verdict = "not in the baseline"; bad = 1 }
      else if ($2 > allowed[$1] * 1.05) { verdict = "over 5 % more"; bad = 1 }
      else if ($2 < allowed[$1] * 0.95) verdict = "over 5 % less: write a new baseline"
      printf "%-28s %6d was %6d  %s\n", $1, $2, allowed[$1], verdict }
    END { exit bad && binding }' "$baseline" "$lab/now"
