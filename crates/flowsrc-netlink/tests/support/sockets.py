"""Sockets of every kind, held until standard input ends; what the kernel lacks is named."""
import os, socket, struct, sys, tempfile, time

SOL_TCP, TCP_DEFER_ACCEPT, TCP_CONGESTION, TCP_KEEPIDLE = 6, 9, 13, 4
keep, missing = [], []


def made(what, make):
    """Not every kernel has everything."""
    try:
        keep.append(make())
    except OSError as error:
        missing.append(f"{what}: {error.strerror}")


def pair(family, host, options=(), scope=0, client_family=None, client_host=None):
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for level, option, value in options:
        server.setsockopt(level, option, value)
    inet6 = family == socket.AF_INET6
    server.bind((host, 0, 0, scope) if inet6 else (host, 0))
    server.listen(17)
    port = server.getsockname()[1]
    client = socket.socket(client_family or family, socket.SOCK_STREAM)
    for level, option, value in options:
        client.setsockopt(level, option, value)
    to = client_host or host
    client.connect((to, port, 0, scope) if (client_family or family) == socket.AF_INET6 else (to, port))
    accepted, _ = server.accept()
    for size in (100, 5000, 20000):
        client.sendall(b"x" * size)
        got = 0
        while got < size:
            got += len(accepted.recv(65536))
        accepted.sendall(b"y" * (size // 3))
        got = 0
        while got < size // 3:
            got += len(client.recv(65536))
    return server, client, accepted


def unread(family, host):
    three = pair(family, host)
    three[1].sendall(b"z" * 777)
    return three


def time_wait():
    server, client, accepted = pair(socket.AF_INET, "127.0.0.1")
    client.close()
    accepted.close()
    return server


def half_closed():
    three = pair(socket.AF_INET, "127.0.0.1")
    three[1].shutdown(socket.SHUT_WR)
    return three


def syn_recv():
    server = socket.socket()
    server.setsockopt(SOL_TCP, TCP_DEFER_ACCEPT, 60)
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    client = socket.create_connection(server.getsockname())
    return server, client


def waiting():
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(9)
    return server, [socket.create_connection(server.getsockname()) for _ in range(3)]


def syn_sent():
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("10.99.0.9", 81))
    return client


def udp(family, host, connected, scope=0, options=(), protocol=0):
    one = socket.socket(family, socket.SOCK_DGRAM, protocol)
    for level, option, value in options:
        one.setsockopt(level, option, value)
    inet6 = family == socket.AF_INET6
    one.bind((host, 0, 0, scope) if inet6 else (host, 0))
    if connected:
        one.connect((host, 4242, 0, scope) if inet6 else (host, 4242))
    return one


def udp_unread():
    one = udp(socket.AF_INET, "127.0.0.1", False)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.sendto(b"q" * 600, one.getsockname())
    return one, other


def unix(kind, name, connect=True):
    server = socket.socket(socket.AF_UNIX, kind)
    server.bind(name)
    if kind == socket.SOCK_DGRAM:
        return server
    server.listen(6)
    client = socket.socket(socket.AF_UNIX, kind)
    client.connect(name)
    accepted, _ = server.accept()
    return server, client, accepted


def shut_unix():
    two = socket.socketpair()
    two[0].shutdown(socket.SHUT_WR)
    return two


def mptcp():
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    server.bind(("127.0.0.1", 0))
    server.listen(3)
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    client.connect(server.getsockname())
    accepted, _ = server.accept()
    client.sendall(b"m" * 300)
    accepted.recv(300)
    return server, client, accepted


def packet():
    # A type that nobody else sends (IEEE 802 local experimental), so that what waits to be read stays the same.
    local = 0x88b5
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(local))
    one.bind(("lo", local))
    other = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    other.bind(("lo", 0))
    for _ in range(2):
        other.send(bytes(12) + struct.pack("!H", local) + b"q" * 600)
    return one, other


device = socket.if_nametoindex("fa")
link_local = sys.argv[1]
V4, V6 = socket.AF_INET, socket.AF_INET6
LO4, LO6 = "127.0.0.1", "::1"
TOS = [(socket.IPPROTO_IP, socket.IP_TOS, 0x20)]
TCLASS = [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0x48)]
MARK = [(socket.SOL_SOCKET, socket.SO_MARK, 0x77)]
KEEPALIVE = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (SOL_TCP, TCP_KEEPIDLE, 3000)]
DEVICE = [(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"fa")]
V6ONLY = [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)]
directory = tempfile.mkdtemp()

made("tcp", lambda: pair(V4, LO4))
made("tcp6", lambda: pair(V6, LO6))
made("mapped", lambda: pair(V6, "::", client_family=V4, client_host=LO4))
made("both mapped", lambda: pair(V6, "::ffff:127.0.0.1"))
made("link-local", lambda: pair(V6, link_local, scope=device))
made("v6only", lambda: pair(V6, "::", V6ONLY, client_host=LO6))
made("any", lambda: pair(V4, "0.0.0.0", client_host=LO4))
made("unread", lambda: unread(V4, LO4))
made("unread6", lambda: unread(V6, LO6))
made("tos", lambda: pair(V4, LO4, TOS))
made("tclass", lambda: pair(V6, LO6, TCLASS))
made("mark", lambda: pair(V4, LO4, MARK))
made("keepalive", lambda: pair(V4, LO4, KEEPALIVE))
for name in ("reno", "cubic", "bbr", "dctcp", "vegas", "illinois"):
    made(name, lambda: pair(V4, LO4, [(SOL_TCP, TCP_CONGESTION, name.encode())]))
made("time-wait", time_wait)
made("half-closed", half_closed)
made("syn-recv", syn_recv)
made("waiting", waiting)
made("syn-sent", syn_sent)
made("udp", lambda: udp(V4, LO4, False))
made("udp connected", lambda: udp(V4, LO4, True))
made("udp any", lambda: udp(V4, "0.0.0.0", False))
made("udp6", lambda: udp(V6, "::", False))
made("udp6 connected", lambda: udp(V6, LO6, True))
made("udp6 link-local", lambda: udp(V6, link_local, True, device))
made("udp device", lambda: udp(V4, "0.0.0.0", False, options=DEVICE))
made("udp unread", udp_unread)
made("udplite", lambda: udp(V4, LO4, False, protocol=136))
made("raw", lambda: socket.socket(V4, socket.SOCK_RAW, 89))
made("raw6", lambda: socket.socket(V6, socket.SOCK_RAW, 58))
made("packet", packet)
made("mptcp", mptcp)
made("sctp", lambda: socket.socket(V4, socket.SOCK_STREAM, 132))
made("unix stream", lambda: unix(socket.SOCK_STREAM, directory + "/stream"))
made("unix packets", lambda: unix(socket.SOCK_SEQPACKET, directory + "/packets"))
made("unix datagrams", lambda: unix(socket.SOCK_DGRAM, directory + "/datagrams"))
made("unix abstract", lambda: unix(socket.SOCK_STREAM, b"\0flow\0test"))
made("unix shut", shut_unix)
time.sleep(0.3)
print("ready; missing: " + "; ".join(missing), flush=True)
sys.stdin.read()
