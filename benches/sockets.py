#!/usr/bin/env python3
"""Lists established TCP sockets with `flow sockets` and its peers, in a network namespace made for it, in turn.

usage: sockets.py [--sockets N,N,…] [--runs N] [--flow PROGRAM] [--floor PROGRAM] [--python PROGRAM_WITH_PSUTIL]

Needs root. Both ends of every connection are held by processes of this script, so a connection is two sockets. CPU is user
and system time of each process from wait4; times are medians, ratios medians of the ratios run by run. Output goes to a
file in memory, whose lines are counted: fast on half of the sockets is not fast. `repeat` is what one more poll costs a
process that goes on: a run of six polls less one of one, over five."""
import argparse, ctypes, os, platform, resource, signal, socket, statistics, subprocess, sys

PER_HOLDER = 4_000  # connections; a descriptor for each end
CLONE_NEWNET = 0x40000000

PSUTIL = "import psutil\nfor c in psutil.net_connections('tcp'): print(c.laddr, c.raddr, c.status, c.pid)"


def hold(connections, port):
    """A process that holds so many connections, when it says that it does."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        if os.read(reading, 1) != b"!":
            sys.exit("a holder failed: is the limit of open files too low?")
        os.close(reading)
        return pid
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    held = []
    for _ in range(connections):
        client = socket.socket()
        client.connect(("127.0.0.1", port))
        server, _ = listener.accept()
        client.send(b"twelve bytes")
        server.recv(12)
        server.send(b"an answer")
        client.recv(9)
        held += (client, server)
    os.write(writing, b"!")
    signal.pause()


def cost(command):
    """(CPU seconds, lines)"""
    memory = os.memfd_create("output")
    pid = os.fork()
    if pid == 0:
        os.dup2(memory, 1)
        os.execvp(command[0], command)
    _, status, used = os.wait4(pid, 0)
    if status:
        sys.exit(f"{command}: failed")
    lines = os.lseek(memory, 0, os.SEEK_CUR) and sum(
        block.count(b"\n") for block in iter(lambda at=[0]: advance(memory, at), b""))
    os.close(memory)
    return used.ru_utime + used.ru_stime, lines


def advance(file, at):
    block = os.pread(file, 1 << 20, at[0])
    at[0] += len(block)
    return block


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sockets", default="10000,50000,100000")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--flow", default="target/release/flow")
    options.add_argument("--floor", default="target/release/sockdump")
    options.add_argument("--python", default=sys.executable)
    asked = options.parse_args()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        sys.exit("a network namespace needs root")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
        file.write("10000 65535")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    flow = [asked.flow, "sockets", "-t", "-q"]
    rows = ["-o", "jsonl"]
    polls = lambda count: ["--every", "10ms", "-c", str(count)]
    commands = {
        "bare dump": [asked.floor],
        "flow, no rows": [*flow, "-s", "--state", "established"],
        "ss -tin": ["ss", "-tinH"],
        "flow -ti": [*flow, "-i", *rows],
        "ss -tinp": ["ss", "-tinpH"],
        "flow -tip": [*flow, "-ip", *rows],
        "six polls": [*flow, "-ip", *rows, *polls(6)],
        "one poll": [*flow, "-ip", *rows, *polls(1)],
        "psutil": [asked.python, "-c", PSUTIL],
    }
    if subprocess.run([asked.python, "-c", "import psutil"], stderr=subprocess.DEVNULL).returncode:
        del commands["psutil"]
        print("psutil is not there: left out")
    print(f"{os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.2f} at the start\n")
    print("| sockets | command | CPU µs/socket | lines | ratio |")
    print("|---:|---|---:|---:|---|")
    holders, held = [], 0
    try:
        for sockets in map(int, asked.sockets.split(",")):
            while held < sockets // 2:
                some = min(PER_HOLDER, sockets // 2 - held)
                holders.append(hold(some, 2_000 + len(holders)))
                held += some
            report(sockets, commands, asked.runs)
    finally:
        for holder in holders:
            os.kill(holder, signal.SIGKILL)
            os.waitpid(holder, 0)
    print(f"\nload {os.getloadavg()[0]:.2f} at the end; {asked.runs} runs each, in turn")


def report(sockets, commands, runs):
    taken = {name: [] for name in commands}
    lines = {}
    for _ in range(runs):
        for name, command in commands.items():
            seconds, lines[name] = cost(command)
            taken[name].append(seconds)
    # What goes on after the first poll, for one poll.
    taken["repeat"] = [(six - one) / 5 for six, one in zip(taken.pop("six polls"), taken.pop("one poll"))]
    beside = {
        "flow, no rows": "bare dump", "flow -ti": "ss -tin", "flow -tip": "ss -tinp", "repeat": "ss -tinp",
        "psutil": "flow -tip",
    }
    for name, mine in taken.items():
        ratio = ""
        if other := beside.get(name):
            if name in ("flow, no rows", "psutil"):
                ratio = f"{statistics.median(a / b for a, b in zip(mine, taken[other])):.2f} times {other}"
            else:
                ratio = f"{other} takes {statistics.median(b / a for a, b in zip(mine, taken[other])):.1f} times as long"
        told = f"{lines[name]:,}" if name in lines else ""
        print(f"| {sockets:,} | {name} | {statistics.median(mine) / sockets * 1e6:.2f} | {told} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
