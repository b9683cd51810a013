#!/usr/bin/env bash
# `flow conns`, the floors and other tools on the same file in the same run.
# usage: benches/peers.sh FILE PACKETS [RUNS] [floors|fast|slow]
#   floors  the reading floors only; fast (default) also the flow exporters; slow also tcptrace and tshark
# INSTALL=1 installs the peers with apt (Debian, root).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
file=$1 packets=$2 runs=${3:-3} which=${4:-fast}
target=${CARGO_TARGET_DIR:-target} flow=$target/release/flow floor=$target/release/floor
if [ "${INSTALL:-}" = 1 ]; then
    apt-get install -qy softflowd nfdump argus-server argus-client tcptrace tshark tcpdump libpcap-dev gcc >/dev/null
fi
commands=()
add() { # NAME PROGRAM COMMAND: only what is installed is run, and what is not is said
    if command -v "$2" >/dev/null; then commands+=("$1=$3"); else echo "$1: no $2 here" >&2; fi
}
sums='{ p += $1; n++ } END { printf "packets=%d flows=%d\n", p, n }'
# The shell replaces itself (exec): what is measured is the program.
add 'flow conns --top 20' "$flow" "exec $flow conns -r {file} --top 20 >/dev/null@@$floor conns {file}"
[ "$which" = floors ] || add 'flow conns -o jsonl' "$flow" "exec $flow conns -r {file} -o jsonl >{dir}/o@@echo flows=\$(wc -l <{dir}/o)"
[ "$which" = floors ] || {
    add 'flow hosts --top 20' "$flow" "exec $flow hosts -r {file} --top 20 >/dev/null"
    add 'flow conns, course' "$flow" "exec $flow conns -r {file} --top 20 --columns +rtt_p95,retrans,missing_bytes,requests,response_p95 >/dev/null"
}
for stage in walk read decode table conns; do add "floor: $stage" "$floor" "exec $floor $stage {file}"; done
add 'pcap-file reader' "$floor" "exec $floor pcap-file {file}"
if command -v gcc >/dev/null && [ -e /usr/include/pcap/pcap.h ]; then
    gcc -O2 -o "$target/libpcap-loop" benches/libpcap-loop.c -lpcap
    add 'libpcap loop' "$target/libpcap-loop" "exec $target/libpcap-loop {file}"
fi
add 'tcpdump -w /dev/null' tcpdump 'exec tcpdump -r {file} -w /dev/null'
if [ "$which" != floors ]; then
    add 'softflowd -6' softflowd 'exec softflowd -6 -r {file} -n 127.0.0.1:19995 -d -m 3000000'
    add nfpcapd nfpcapd "exec nfpcapd -r {file} -l {dir}@@nfdump -q -R {dir} -o 'fmt:%pkt' | awk '$sums'"
    add 'argus, ra' ra "argus -r {file} -w {dir}/a && exec ra -n -r {dir}/a -s tcprtt synack ackdat >/dev/null"
    add argus argus "exec argus -r {file} -w {dir}/a@@ra -n -r {dir}/a -s pkts - not man | awk '\$1 ~ /^[0-9]/ $sums'"
fi
if [ "$which" = slow ]; then
    add 'tcptrace -lr' tcptrace 'exec tcptrace -n -l -r {file}'
    add 'tshark conv,tcp' tshark 'exec tshark -n -q -r {file} -z conv,tcp'
    add 'tshark initial_rtt' tshark 'exec tshark -n -r {file} -Y tcp.flags==0x12 -T fields -e tcp.analysis.initial_rtt'
fi
exec python3 benches/compare.py --file "$file" --packets "$packets" --runs "$runs" --timeout "${TIMEOUT:-300}" "${commands[@]}"
