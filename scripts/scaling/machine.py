"""Processes of a measurement, what they take of the machine, and what they say of themselves."""

import atexit
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

READY_MAX_S = 90
STOP_MAX_S = 15
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()

# Some are not there at once, and one that ends says nothing more.
AWAY = (OSError, urllib.error.URLError)


def free_address():
    """An address of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def until(what, condition, limit_s=READY_MAX_S, pause_s=0.1):
    """Waits until a condition gives something true, and returns that."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(pause_s)
    raise SystemExit(f"scaling: {what}: not within {limit_s} s")


def get(address, path):
    """The body of an answer 200, and None without one."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.read().decode()
    except AWAY:
        return None


def owned(process):
    """A process that ends with this one, however that comes to its end."""
    atexit.register(process.kill)  # nothing to one that has ended
    return process


class Program:
    """A program that serves HTTP and that this measurement has started."""

    def __init__(self, folder, logs, name, args, address):
        self.name, self.address = name, address
        self.log = logs / f"{name}-{address.rsplit(':', 1)[1]}.log"
        with self.log.open("w") as log:
            self.process = owned(subprocess.Popen(
                [folder / args[0], *args[1:]], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, "RUST_LOG": "warn"},
            ))

    @property
    def pid(self):
        return self.process.pid

    def wait_ready(self):
        def is_ready():
            if self.process.poll() is not None:
                raise SystemExit(f"scaling: {self.name} ended: {self.log.read_text()}")
            return get(self.address, "/readyz") is not None

        until(f"{self.name} is ready", is_ready)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if code := self.process.wait(STOP_MAX_S):
            raise SystemExit(f"scaling: {self.name} ended with {code}: {self.log.read_text()}")

    def samples(self):
        """All samples, by name with labels."""
        text = get(self.address, "/metrics") or ""
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {pair[0]: float(pair[1]) for pair in lines if len(pair) == 2}


def total(programs, name, labels=""):
    """A metric of several programs, all series that have these labels added up."""
    is_one = re.compile(rf"{name}(\{{.*{re.escape(labels)}.*\}})?$").fullmatch
    return sum(value for of in programs for key, value in of.samples().items() if is_one(key))


def quantile_s(programs, name, share):
    """A quantile of a histogram of several programs: the upper bound of its bucket, in seconds."""
    buckets = {}
    for program in programs:
        for key, value in program.samples().items():
            if found := re.fullmatch(rf'{name}_bucket\{{.*le="([^"]+)".*\}}', key):
                bound = float(found[1].replace("+Inf", "inf"))
                buckets[bound] = buckets.get(bound, 0) + value
    if not buckets:
        return float("nan")
    wanted = share * max(buckets.values())
    return min(bound for bound, count in buckets.items() if count >= wanted)


def cpu_s(roots):
    """User and system time of processes and of all below them."""
    parents, times = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue  # it has ended
        parents[int(entry.name)] = int(fields[1])
        times[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    wanted = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in wanted} - wanted:
        wanted |= more
    return sum(times.get(pid, 0.0) for pid in wanted)


def busy_s():
    """Time that all cores together were not idle."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / TICKS_PER_S


class Window:
    """What parts of the system took of the machine between its begin and its end."""

    def __init__(self, parts):
        self.parts = parts
        self.before = {name: cpu_s(pids) for name, pids in parts.items()}
        self.busy_before, self.began_at = busy_s(), time.monotonic()

    def end(self):
        """Seconds, shares of all cores that were busy, and processor time by part."""
        seconds = time.monotonic() - self.began_at
        busy = (busy_s() - self.busy_before) / (seconds * CORES)
        cpu = {name: cpu_s(pids) - self.before[name] for name, pids in self.parts.items()}
        return seconds, busy, cpu


# Servers that have a share in a measurement, as tables call them.
SERVERS = {"kafka": "Kafka", "rabbitmq": "RabbitMQ", "redis": "stores", "valkey": "stores"}


def server_pids(stack_dir):
    """Processes of the stack's servers, by their names in tables."""
    pids = {}
    for line in (Path(stack_dir) / "pids").read_text().splitlines():
        name, pid = line.split()[:2]
        if shown := SERVERS.get(re.sub(r"-\d+$", "", name)):
            pids.setdefault(shown, []).append(int(pid))
    return pids
