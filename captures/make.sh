#!/usr/bin/env bash
# Makes the captures of this folder: real servers and clients, in network namespaces of their own.
#
#   captures/make.sh [--install] [FOLDER]
#
# FOLDER is where the files go (default: this script's own). --install first installs the Debian packages it needs.
# Needs root. Three namespaces without any way out, joined by a bridge:
#
#   client c0 ---- m0 bridge m1 ---- s0 server
#   192.0.2.2                        192.0.2.1       (documentation addresses: RFC 5737, RFC 3849)
#   2001:db8::2                      2001:db8::1
#
# The shape is the same every time (which connections, in which order, how they end); times, ephemeral ports and how
# many ACKs a transfer takes are the kernel's. TRUTH.tsv is therefore written anew, by tshark, with the files.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
install=false
out=$here
for argument in "$@"; do
    case $argument in
    --install) install=true ;;
    -h | --help) sed -n '2,/^set/{s/^# \{0,1\}//;/^set/!p}' "$0"; exit 0 ;;
    -*) echo "$0: no option $argument" >&2; exit 2 ;;
    *) out=$(mkdir -p "$argument" && cd "$argument" && pwd) ;;
    esac
done

packages=(bind9-dnsutils curl dnsmasq-base ethtool gzip iproute2 iputils-ping lz4 nftables nginx-light openssl
    python3 redis-server redis-tools tcpdump tshark xz-utils zstd)
tools=(capinfos curl dig dnsmasq dumpcap editcap ethtool gzip ip lz4 nft nginx openssl ping python3 redis-benchmark redis-cli
    redis-server tcpdump tshark xz zstd)

if $install; then
    # Why: Debian starts a daemon when its package is installed; these are only to run in the namespaces.
    policy=/usr/sbin/policy-rc.d
    made_policy=false
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
        made_policy=true
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
    if $made_policy; then rm $policy; fi
fi
PATH=$PATH:/usr/sbin:/sbin
missing=()
for tool in "${tools[@]}"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
if [ ${#missing[@]} -gt 0 ]; then
    echo "$0: missing: ${missing[*]}; '$0 --install' installs them (Debian)" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "$0: needs root, to make network namespaces" >&2
    exit 1
fi

# ---- namespaces, and how everything is taken down again -------------------------------------------------------------

# One processor for everything: packets stamped by two can stand in the file in the wrong order.
taskset -pc 0 $$ >/dev/null

client=flow-client-$$ server=flow-server-$$ middle=flow-middle-$$
work=$(mktemp -d)
chmod 755 "$work"
daemons=()

clean() {
    local pid namespace
    for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${daemons[@]}"; do wait "$pid" 2>/dev/null || true; done
    for namespace in $client $server $middle; do
        # Why: whatever is still inside was started by this script: nobody else knows the namespace.
        for pid in $(ip netns pids "$namespace" 2>/dev/null); do kill "$pid" 2>/dev/null || true; done
        ip netns del "$namespace" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

on_client() { ip netns exec "$client" "$@"; }
on_server() { ip netns exec "$server" "$@"; }
on_middle() { ip netns exec "$middle" "$@"; }
daemon() { "$@" >"$work/log" 2>&1 & daemons+=($!); }

for namespace in $client $server $middle; do
    ip netns add "$namespace"
    ip -n "$namespace" link set lo up
    ip netns exec "$namespace" sysctl -qw net.ipv6.conf.all.accept_ra=0 net.ipv6.conf.default.accept_ra=0 \
        net.ipv6.conf.default.router_solicitations=0 net.ipv6.conf.default.accept_dad=0 \
        net.ipv6.conf.default.mldv2_unsolicited_report_interval=1
done
ip link add c0 netns "$client" address 02:00:00:00:00:02 type veth peer name m0 netns "$middle"
ip link add s0 netns "$server" address 02:00:00:00:00:01 type veth peer name m1 netns "$middle"
ip -n "$middle" link add br0 type bridge
for port in m0 m1; do
    on_middle sysctl -qw net.ipv6.conf.$port.disable_ipv6=1
    ip -n "$middle" link set $port master br0 up
done
on_middle sysctl -qw net.ipv6.conf.br0.disable_ipv6=1
ip -n "$middle" link set br0 up
ip -n "$client" addr add 192.0.2.2/24 dev c0
ip -n "$server" addr add 192.0.2.1/24 dev s0
ip -n "$client" addr add 2001:db8::2/64 dev c0 nodad
ip -n "$server" addr add 2001:db8::1/64 dev s0 nodad
ip -n "$client" link set c0 up
ip -n "$server" link set s0 up
ip -n "$client" route add blackhole 203.0.113.0/24

# Segmentation offload: on, a capture on the host sees merged segments larger than the MTU; off, what the wire sees.
offload() {
    on_client ethtool -K c0 tso "$1" gso "$1" gro "$1" tx "$1" >/dev/null 2>&1
    on_server ethtool -K s0 tso "$1" gso "$1" gro "$1" tx "$1" >/dev/null 2>&1
    on_middle ethtool -K m0 tso "$1" gso "$1" gro "$1" tx "$1" >/dev/null 2>&1
    on_middle ethtool -K m1 tso "$1" gso "$1" gro "$1" tx "$1" >/dev/null 2>&1
}

# ---- capturing ------------------------------------------------------------------------------------------------------

capturing= # the process
# capture FILE NAMESPACE COMMAND...: starts a capturing program and waits until it is ready to.
capture() {
    local file=$1 namespace=$2
    shift 2
    ip netns exec "$namespace" "$@" -w "$work/$file" >"$work/$file.log" 2>&1 &
    capturing=$!
    daemons+=($capturing)
    for _ in $(seq 100); do
        # tcpdump and dumpcap open the socket before the file.
        if [ -s "$work/$file" ] || grep -q 'listening on\|Capturing on' "$work/$file.log"; then break; fi
        sleep 0.05
    done
    sleep 0.3
}

finish() {
    sleep 1.2 # delayed FINs and ACKs, and the capturing program's own buffer
    kill -INT $capturing
    wait $capturing || true
}

# serving COMMAND...: waits until the command succeeds.
serving() {
    for _ in $(seq 100); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.05
    done
    echo "$0: not serving: $*" >&2
    exit 1
}

get() { on_client curl --silent --insecure "$@" >/dev/null || true; }

# ---- servers --------------------------------------------------------------------------------------------------------

mkdir "$work/www"
for kib in 1 10 60; do
    # Text, so that the captures compress.
    yes "flow: what the network flows of a host are doing" | head -c $((kib * 1024)) >"$work/www/$kib"k.txt || true
done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=web.example \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
cat >"$work/nginx.conf" <<NGINX
daemon off; worker_processes 1; user root; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 128; }
http {
    access_log off; sendfile on; keepalive_timeout 20;
    client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work;
    scgi_temp_path $work;
    server {
        listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl;
        ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
        root $work/www;
        location /slow { alias $work/www/60k.txt; limit_rate 8k; }
        location /up { return 200 "ok\n"; }
    }
}
NGINX
daemon on_server nginx -e "$work/nginx.log" -c "$work/nginx.conf"
daemon on_server redis-server --bind 192.0.2.1 2001:db8::1 --port 6379 --protected-mode no --save '' --dir "$work"
daemon on_server dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --pid-file= \
    --user=root --group= --cache-size=0 --auth-ttl=60 --local-ttl=60 --address=/web.example/192.0.2.1 \
    --address=/web.example/2001:db8::1 --txt-record=long.example,"$(printf 'x%.0s' {1..255})","$(printf 'y%.0s' {1..255})"
cat >"$work/udp.py" <<'PYTHON'
"""udp.py serve HOST PORT | send HOST PORT COUNT [LITE]: datagrams, each answered by four bytes."""
import socket, sys
what, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
lite = len(sys.argv) > 5 and hasattr(socket, "IPPROTO_UDPLITE")
family = socket.AF_INET6 if ":" in host else socket.AF_INET
endpoint = socket.socket(family, socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE if lite else 0)
if what == "serve":
    endpoint.bind((host, port))
    while True:
        endpoint.sendto(b"seen", endpoint.recvfrom(2048)[1])
endpoint.settimeout(2)
endpoint.connect((host, port))
for number in range(int(sys.argv[4])):
    endpoint.send(bytes([number % 256]) * 400)
    endpoint.recv(16)
PYTHON
daemon on_server python3 "$work/udp.py" serve 192.0.2.1 9000
daemon on_server python3 "$work/udp.py" serve 2001:db8::1 9000

serving on_client curl -s http://192.0.2.1/1k.txt
serving on_client redis-cli -h 192.0.2.1 ping
serving on_client dig +short +time=1 +tries=1 @192.0.2.1 web.example
serving on_client python3 "$work/udp.py" send 192.0.2.1 9000 1
serving on_client python3 "$work/udp.py" send 2001:db8::1 9000 1
# Port 81 answers nothing at all: a SYN to it stays alone.
on_server nft -f - <<'NFT'
table inet silence {
    chain in {
        type filter hook input priority 0;
        tcp dport 81 drop
        udp dport 5399 drop
    }
}
NFT
sleep 1

# ---- web.pcapng: what a small web server sees, offloads on ----------------------------------------------------------

offload on
capture web.pcapng "$client" dumpcap -q -i c0
u4=http://192.0.2.1 u6="http://[2001:db8::1]"
get $u4/1k.txt                                                              # one request, closed by the client
get "$u4/1k.txt?1" "$u4/1k.txt?2" "$u4/10k.txt" "$u4/1k.txt?3"              # keep-alive: four requests, one connection
get -H 'Connection: close' $u4/10k.txt                                      # closed by the server
get $u4/nothing-here                                                        # 404
get --data-binary "@$work/www/10k.txt" $u4/up                               # an upload
get "$u6/1k.txt" "$u6/10k.txt"                                              # IPv6
get $u6/60k.txt
get -H 'Connection: close' https://192.0.2.1/10k.txt                        # TLS
get "https://[2001:db8::1]/1k.txt"
get $u4:8080/                                                               # refused: SYN, RST
get --connect-timeout 3.5 $u4:81/                                           # unanswered: SYNs alone
get --max-time 0.6 $u4/slow                                                 # the client gives up in the middle
for name in A AAAA; do on_client dig +short @192.0.2.1 web.example $name >/dev/null; done
on_client ping -q -c 3 -i 0.2 192.0.2.1 >/dev/null
finish

# ---- failures.pcap: how connections fail ----------------------------------------------------------------------------

capture failures.pcap "$client" tcpdump -i c0 -Z root -U --immediate-mode
for port in 8080 8081 8082; do get $u4:$port/; get "$u6:$port/"; done       # refused, IPv4 and IPv6
get --connect-timeout 1.5 $u4:81/                                           # unanswered
get --connect-timeout 1.5 "$u6:81/"
on_client dig +tries=1 +time=1 @192.0.2.1 -p 5399 web.example >/dev/null || true  # a lost question
on_client dig +tries=1 +time=1 @192.0.2.1 -p 5400 web.example >/dev/null || true  # ICMP port unreachable
on_client dig +tries=1 +time=1 @2001:db8::1 -p 5400 web.example >/dev/null || true
get --connect-timeout 1 http://192.0.2.99/                                  # nobody has the address: ARP only
on_client python3 - <<'PYTHON'                                              # an abortive close: RST after data
import socket, struct
for host, family in (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6)):
    connection = socket.socket(family)
    connection.connect((host, 80))
    connection.sendall(b"GET /10k.txt HTTP/1.1\r\nHost: web.example\r\n\r\n")
    connection.recv(1000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
half = socket.create_connection(("192.0.2.1", 80))                          # half-closed: answered after our FIN
half.sendall(b"GET /1k.txt HTTP/1.0\r\n\r\n")
half.shutdown(socket.SHUT_WR)
while half.recv(4096):
    pass
half.close()
PYTHON
finish

# ---- dns.pcap -------------------------------------------------------------------------------------------------------

offload off
capture dns.pcap "$client" tcpdump -i c0 -Z root -U --immediate-mode
for at in 192.0.2.1 2001:db8::1; do
    for type in A AAAA MX; do on_client dig +short @$at web.example $type >/dev/null; done
    on_client dig +tcp +short @$at web.example >/dev/null
    on_client dig +noedns +short @$at long.example TXT >/dev/null           # too long: asked again over TCP
    on_client dig +short @$at missing.invalid >/dev/null
done
finish

# ---- redis.pcap: small requests on a few connections, offloads off --------------------------------------------------

capture redis.pcap "$server" tcpdump -i s0 -Z root -U --immediate-mode
on_client redis-cli -h 192.0.2.1 set greeting hello >/dev/null
on_client redis-cli -h 2001:db8::1 get greeting >/dev/null
on_client redis-benchmark -q -h 192.0.2.1 -t set,get -n 120 -c 4 -d 64 >/dev/null
on_client redis-benchmark -q -h 192.0.2.1 -t ping -n 60 -c 2 -P 8 >/dev/null
finish

# ---- mixed.pcapng: both ports of the bridge, so every packet is seen twice ------------------------------------------

ip -n "$client" link add vx0 address 02:00:00:00:01:02 type vxlan id 42 remote 192.0.2.1 local 192.0.2.2 dstport 4789 dev c0
ip -n "$server" link add vx0 address 02:00:00:00:01:01 type vxlan id 42 remote 192.0.2.2 local 192.0.2.1 dstport 4789 dev s0
ip -n "$client" addr add 198.51.100.2/24 dev vx0
ip -n "$server" addr add 198.51.100.1/24 dev vx0
on_client sysctl -qw net.ipv6.conf.vx0.disable_ipv6=1
on_server sysctl -qw net.ipv6.conf.vx0.disable_ipv6=1
ip -n "$client" link set vx0 up
ip -n "$server" link set vx0 up
ip -n "$client" neigh flush all 2>/dev/null || true
capture mixed.pcapng "$middle" dumpcap -q -i m0 -i m1
on_client ping -q -c 3 -i 0.2 192.0.2.1 >/dev/null
on_client ping -q -c 3 -i 0.2 2001:db8::1 >/dev/null
on_client ping -q -c 2 -i 0.2 -s 3000 192.0.2.1 >/dev/null                  # fragments, IPv4 and IPv6
on_client ping -q -c 2 -i 0.2 -s 3000 2001:db8::1 >/dev/null
get "$u4/1k.txt" "$u4/10k.txt"
get "$u6/10k.txt"
on_client dig +short @192.0.2.1 web.example >/dev/null
on_client python3 "$work/udp.py" send 192.0.2.1 9000 20
on_client python3 "$work/udp.py" send 2001:db8::1 9000 20
on_client ping -q -c 2 -i 0.2 198.51.100.1 >/dev/null                       # through the VXLAN tunnel
get http://198.51.100.1/10k.txt
finish
ip -n "$client" link del vx0
ip -n "$server" link del vx0

# ---- snap96.pcap: nanoseconds, cut at 96 bytes, offloads on, IPv6 segments beyond 64 KiB where the kernel can -------

offload on
for side in "$client c0" "$server s0" "$middle m0" "$middle m1"; do
    ip -n ${side% *} link set "${side#* }" gso_max_size 150000 gro_max_size 150000 2>/dev/null || true
done
yes "flow: what the network flows of a host are doing" | head -c 2000000 >"$work/www/2m.txt" || true
capture snap96.pcap "$client" tcpdump -i c0 -Z root -U --immediate-mode -s 96 --time-stamp-precision=nano
get $u4/2m.txt
get $u6/2m.txt
get https://192.0.2.1/60k.txt
on_client dig +short @192.0.2.1 long.example TXT >/dev/null
finish

# ---- any.pcap: every interface at once (Linux cooked, version 2) ----------------------------------------------------

capture any.pcap "$server" tcpdump -i any -y LINUX_SLL2 -Z root -U --immediate-mode
get $u4/1k.txt
on_server redis-cli -h 192.0.2.1 get greeting >/dev/null                    # over the loopback interface
on_server ping -q -c 2 -i 0.2 2001:db8::2 >/dev/null
on_client dig +short @2001:db8::1 web.example >/dev/null
finish

# ---- lossy.pcap: every 15th TCP packet lost on the bridge, and every 50th by the capture; offloads off --------------

offload off
on_middle nft -f - <<'NFT'
table bridge lossy {
    chain forward {
        type filter hook forward priority 0
        ether type ip ip protocol tcp tcp flags & (syn | fin | rst) == 0 numgen inc mod 15 == 7 drop
        ether type ip6 meta l4proto tcp tcp flags & (syn | fin | rst) == 0 numgen inc mod 15 == 7 drop
    }
}
NFT
capture lossy.all "$client" tcpdump -i c0 -Z root -U --immediate-mode -s 96
get $u4/60k.txt $u4/60k.txt
get $u6/60k.txt
on_client redis-benchmark -q -h 192.0.2.1 -t set -n 20 -c 1 -d 3000 >/dev/null
finish
on_middle nft delete table bridge lossy
total=$(capinfos -Mrc "$work/lossy.all" | awk 'END { print $NF }')
editcap -F pcap "$work/lossy.all" "$work/lossy.pcap" $(seq 25 50 "$total")

# ---- what they hold, by tshark --------------------------------------------------------------------------------------

# Columns: see README.md. A packet counts for the innermost transport header of its frame; ICMP errors count for none.
{
    printf 'file\tpackets\twire_bytes\ttcp_streams\tudp_streams\tinterfaces\tfirst\tlast\n'
    for file in any.pcap dns.pcap failures.pcap lossy.pcap mixed.pcapng redis.pcap snap96.pcap web.pcapng; do
        case $file in
        any.pcap) name=$file.xz ;;
        failures.pcap) name=$file.lz4 ;;
        lossy.pcap) name=$file.zst ;;
        redis.pcap) name=$file.gz ;;
        web.pcapng) name=$file.zst ;;
        *) name=$file ;;
        esac
        tshark -n -r "$work/$file" -T fields -E occurrence=a -E aggregator=, -e frame.time_epoch -e frame.len \
            -e frame.interface_id -e frame.protocols -e tcp.stream -e udp.stream 2>/dev/null |
            awk -F '\t' -v name=$name '
                BEGIN { OFS = "\t" }
                {
                    packets++; bytes += $2; interfaces[$3]
                    if (packets == 1 || $1 < first) first = $1
                    if ($1 > last) last = $1
                    if ($4 ~ /icmp/) next
                    count = split($6, datagrams, ",")
                    if ($5 != "") { split($5, segments, ","); tcp[segments[1]] }
                    else if (count > 0) udp[datagrams[count]]
                }
                END { print name, packets, bytes, length(tcp), length(udp), length(interfaces), first, last }'
    done
} >"$work/TRUTH.tsv"

gzip -9 -n -c "$work/redis.pcap" >"$out/redis.pcap.gz"
zstd -q -19 -f "$work/web.pcapng" -o "$out/web.pcapng.zst"
lz4 -q -9 -f "$work/failures.pcap" "$out/failures.pcap.lz4"
zstd -q -19 -f "$work/lossy.pcap" -o "$out/lossy.pcap.zst"
xz -9 -c "$work/any.pcap" >"$out/any.pcap.xz"
cp "$work/dns.pcap" "$work/mixed.pcapng" "$work/snap96.pcap" "$out/"
cp "$work/TRUTH.tsv" "$out/"
chmod 644 "$out"/*.pcap* "$out/TRUTH.tsv"
column -t -s $'\t' "$out/TRUTH.tsv" 2>/dev/null || cat "$out/TRUTH.tsv"
du -ch "$out"/*.pcap* | tail -n 1
