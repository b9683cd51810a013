#!/bin/bash
# One download through a router that drops every so often a packet, seen by three: the server's socket (flow vol), tcpdump
# beside it, and nginx. Usage: run.sh FLOW FOLDER; leaves vol, lat, conns and access.log in FOLDER.
set -e
flow=$1
cd "$2"
here=$PWD
p=flow$$
cleanup() {
    kill $capture $server $client 2>/dev/null || true
    for n in s m c; do ip netns del $p$n 2>/dev/null || true; done
}
trap cleanup EXIT
for n in s m c; do ip netns add $p$n; ip -n $p$n link set lo up; done
ip link add eth0 netns ${p}s type veth peer name s netns ${p}m
ip link add eth0 netns ${p}c type veth peer name c netns ${p}m
ip -n ${p}s addr add 198.51.100.1/25 dev eth0
ip -n ${p}m addr add 198.51.100.2/25 dev s
ip -n ${p}c addr add 198.51.100.129/25 dev eth0
ip -n ${p}m addr add 198.51.100.130/25 dev c
ip -n ${p}s link set eth0 up; ip -n ${p}m link set s up; ip -n ${p}m link set c up; ip -n ${p}c link set eth0 up
ip -n ${p}s route add default via 198.51.100.2
ip -n ${p}c route add default via 198.51.100.130
# Segments as on the wire: one that is sent again is one.
ip netns exec ${p}s ethtool -K eth0 tso off gso off gro off >/dev/null
ip netns exec ${p}m sysctl -qw net.ipv4.ip_forward=1
ip netns exec ${p}m nft -f - <<RULES
table ip lossy {
    chain forward {
        type filter hook forward priority 0;
        ip saddr 198.51.100.1 ip length gt 1000 numgen inc mod 67 == 66 drop
    }
}
RULES
head -c 2000000 /dev/urandom > file
cat > nginx.conf <<CONF
daemon off;
user root;
pid $here/pid;
error_log $here/error.log;
events {}
http {
    log_format beside '\$tcpinfo_rtt \$tcpinfo_rttvar \$bytes_sent \$request_length';
    access_log $here/access.log beside;
    keepalive_timeout 60s;
    server { listen 80; root $here; }
}
CONF
ip netns exec ${p}s nginx -c "$here/nginx.conf" 2>/dev/null & server=$!
ip netns exec ${p}s tcpdump -q -U -B 16384 -i eth0 -s 128 -w packets.pcap tcp 2>/dev/null & capture=$!
for _ in $(seq 50); do [ -s pid ] && [ -s packets.pcap ] && break; sleep 0.1; done
"$flow" vol --netns ${p}s -i 4s -o jsonl > vol & volume=$!
sleep 0.5
ip netns exec ${p}c bash -c '
    exec 3<>/dev/tcp/198.51.100.1/80
    printf "GET /file HTTP/1.1\r\nHost: beside\r\n\r\n" >&3
    head -c 2000000 <&3 >/dev/null
    while [ ! -e again ]; do sleep 0.1; done
    # Logged with the round-trip time of what was before it, and of its own first acknowledgments.
    printf "HEAD /file HTTP/1.1\r\nHost: beside\r\nConnection: close\r\n\r\n" >&3
    cat <&3 >/dev/null' & client=$!
wait $volume
kill $capture; wait $capture 2>/dev/null || true
touch again
wait $client
"$flow" lat -r packets.pcap -o jsonl > lat
"$flow" conns -r packets.pcap -o jsonl --columns all > conns
