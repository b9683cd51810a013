#!/usr/bin/env python3
"""Records what sock_diag answers about sockets made here, and what `ss` prints of them, beside this file.

Run in a network namespace of its own, as root:  unshare -n sh -c 'ip link set lo up; exec python3 record.py'
"""

import os
import socket
import struct
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# TCP over IPv4 and IPv6, all states, with memory, TOS, congestion control and everything else that may be asked for.
REQUESTS = [
    struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0xFF, 0, 0xFFFFFFFF) + bytes(48)
    for family in (socket.AF_INET, socket.AF_INET6)
]


def answers(request):
    """The messages of one dump, as they came."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as channel:
        channel.send(struct.pack("=IHHII", 16 + len(request), 20, 0x301, 1, 0) + request)
        while True:
            datagram = channel.recv(1 << 16)
            yield datagram
            # NLMSG_DONE is the last, alone or behind others.
            at = 0
            while at < len(datagram):
                length, kind = struct.unpack_from("=IH", datagram, at)
                if kind == 3:
                    return
                at += (length + 3) & ~3


def connect(family, address, congestion, carried):
    listener = socket.socket(family)
    listener.bind((address, 0))
    listener.listen(7)
    client = socket.socket(family)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion)
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    for _ in range(carried):
        client.sendall(b"x" * 3000)
        got = 0
        while got < 3000:
            got += len(server.recv(3000))
        server.sendall(b"y" * 100)
        client.recv(100)
    return listener, client, server


held = [
    connect(socket.AF_INET, "127.0.0.1", b"cubic", 20),
    connect(socket.AF_INET6, "::1", b"reno", 3),
]
# One end is closed first and stays in TIME-WAIT.
listener, client, server = connect(socket.AF_INET, "127.0.0.2", b"cubic", 1)
client.close()
server.close()
time.sleep(0.5)

with open(os.path.join(HERE, "tcp.nl"), "wb") as file:
    for request in REQUESTS:
        for datagram in answers(request):
            file.write(datagram)
with open(os.path.join(HERE, "tcp.ss"), "wb") as file:
    file.write(subprocess.run(["ss", "-taniemOH"], check=True, stdout=subprocess.PIPE).stdout)
