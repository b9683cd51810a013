#!/usr/bin/env python3
"""Runs whole commands in turn, A B C A B C ..., and prints what each cost beside the first.

usage: compare.py --file CAPTURE --packets N [--runs N] [--timeout S] [--markdown] NAME=COMMAND ...

CPU is user and system time of the process and its waited-for children, from wait4, so neither the shell's clock nor a
neighbour's load on the other core counts. Times are medians; ratios are medians of the ratios run by run, so that what
slows a whole round cancels. `{file}` in a command is the capture, `{dir}` a folder of its own that is emptied each run.
Packets and flows are what the command's own output says (`packets=N`, `flows=N`, or the forms in SEEN), because a
program that is fast on half of the file is not fast. Before each run a gigabyte of memory is touched and given back:
a virtual machine's host takes free memory away, and to get it again costs whoever is next up to 2.5 ns a byte that is
none of its own doing. A command may append `@@COMMAND`: run after the timed one,
untimed, to ask what was seen (`nfdump -R`, `racluster`)."""
import argparse, mmap, os, platform, re, shutil, signal, statistics, subprocess, sys, tempfile, time

SEEN = [  # (what, pattern); the first that matches counts
    ("packets", r"packets=(\d+)"), ("flows", r"flows=(\d+)"),
    ("packets", r"(\d+) packets? (?:seen|processed|captured)"), ("packets", r"Number of packets processed: (\d+)"),
    ("packets", r"^(\d+) packets"), ("packets", r"^(\d+)$"),
    ("packets", r"Packets processed: (\d+)"), ("packets", r"(\d+) packets seen"),
    ("flows", r"Flows expired: (\d+)"), ("flows", r"flow records: (\d+)"), ("flows", r"(\d+) TCP connections? traced"),
]


def machine():
    model, cores = "unknown processor", os.cpu_count()
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as lines:
        memory = int(lines.readline().split()[1]) / 2**20
    load = " ".join(f"{x:.2f}" for x in os.getloadavg())
    return f"{model}, {cores} cores, {memory:.0f} GiB, Linux {platform.release()}, load {load} at the start"


def seen(text):
    found = {}
    for what, pattern in SEEN:
        match = None if what in found else re.search(pattern, text, re.M)
        if match:
            found[what] = int(match.group(1))
    return found


def warm_memory():
    """Touches memory that the next process will be given, in large pages if there are any."""
    with mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        try:
            memory.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            pass  # a kernel without them
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = 1


def run(command, timeout):
    """(cpu seconds, wall seconds, peak MiB, exit status, output)"""
    warm_memory()
    with tempfile.TemporaryFile() as said:
        begin = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            null = os.open("/dev/null", os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            os.execvp("bash", ["bash", "-c", command])
        late = []

        def stop(*_):
            late.append(True)
            os.killpg(pid, signal.SIGKILL)

        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, timeout)
        _, status, used = os.wait4(pid, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        wall = time.monotonic() - begin
        size = said.seek(0, 2)
        said.seek(max(0, size - 100_000))
        text = said.read().decode(errors="replace")
        code = "late" if late else os.waitstatus_to_exitcode(status)
        return used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024, code, text


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--file", required=True)
    options.add_argument("--packets", type=int, required=True)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--timeout", type=float, default=300)
    options.add_argument("commands", nargs="+", metavar="NAME=COMMAND")
    asked = options.parse_args()
    commands = [c.split("=", 1) for c in asked.commands]
    with open(asked.file, "rb") as capture:  # into the page cache
        while capture.read(1 << 20):
            pass
    print(f"machine: {machine()}")
    print(f"file: {os.path.basename(asked.file)}, {os.path.getsize(asked.file) / 1e6:.0f} MB, {asked.packets} packets\n")
    folder = tempfile.mkdtemp()
    runs = {name: [] for name, _ in commands}
    found = {name: {} for name, _ in commands}
    for _ in range(asked.runs):
        for name, command in commands:
            shutil.rmtree(folder, ignore_errors=True)
            os.mkdir(folder)
            timed, _, after = command.replace("{file}", asked.file).replace("{dir}", folder).partition("@@")
            result = run(timed, asked.timeout)
            runs[name].append(result)
            if not found[name]:
                text = result[4]
                if after:
                    text = subprocess.run(["bash", "-c", after], capture_output=True, text=True).stdout + text
                found[name] = seen(text)
    shutil.rmtree(folder, ignore_errors=True)
    first = runs[commands[0][0]]
    print("| command | CPU ns/packet | lowest | CPU s | wall s | peak MiB | packets seen | flows seen | times the first | exit |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name, _ in commands:
        mine = runs[name]
        cpu = statistics.median(r[0] for r in mine)
        low = min(r[0] for r in mine)
        wall = statistics.median(r[1] for r in mine)
        ratio = statistics.median(r[0] / f[0] for r, f in zip(mine, first))
        told = [f"{found[name][w]:,}" if w in found[name] else "-" for w in ("packets", "flows")]
        print(f"| {name} | {cpu / asked.packets * 1e9:.1f} | {low / asked.packets * 1e9:.1f} | {cpu:.2f} | {wall:.2f} "
              f"| {max(r[2] for r in mine):.0f} | {told[0]} | {told[1]} | {ratio:.2f} | {mine[-1][3]} |", flush=True)
    print(f"\nload {' '.join(f'{x:.2f}' for x in os.getloadavg())} at the end; {asked.runs} runs each, in turn")


if __name__ == "__main__":
    sys.exit(main())
