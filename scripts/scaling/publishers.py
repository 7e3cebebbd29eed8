"""One and two publishers of weather under 50 users: with the pauses of people, and without any."""

import json
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from urllib.parse import urlparse

import machine
from machine import Program, Window, free_address, owned, total, until

# Reports are in both stores soon after the last answer.
COUNTED_MAX_S = 60
PERCENTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Load:
    """What users do: `name` for the table, their pauses, and for how long."""

    name: str
    pause_s: str
    seconds: int


def counted(url):
    """Reports that a store has counted."""
    at = urlparse(url)
    with socket.create_connection((at.hostname, at.port), timeout=10) as store:
        store.sendall(b"GET messages:total\r\n")
        answer = store.recv(1024).split(b"\r\n")
    return int(answer[1]) if answer[0] != b"$-1" else 0


def percentile_ms(times, share):
    """A percentile of Locust's table of milliseconds and how often each was."""
    pairs = sorted((float(ms), count) for ms, count in times.items())
    wanted, seen = share * sum(count for _, count in pairs), 0
    for ms, count in pairs:
        seen += count
        if seen >= wanted:
            return ms
    return float("nan")


def locust(hosts, load):
    """Runs Locust, which ends by itself; gives its process and where its results will be."""
    args = ["deploy/locust/run", "weather.py", "--headless", "--only-summary", "--reset-stats", "--json"]
    args += ["--run-time", f"{load.seconds}s", "--stop-timeout", "15"]
    environment = {**os.environ, "HOSTS": ",".join(f"http://{host}" for host in hosts), "PAUSE_S": load.pause_s}
    return owned(subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment))


class Weather:
    """The weather system with so many pairs of API and publisher, and one consumer on each side."""

    def __init__(self, folder, logs, pairs):
        def start(service, args, address):
            return Program(folder, logs, service, ["weather", service, *args], address)

        self.publishers, self.apis, self.consumers = [], [], []
        for service in ("kafka-consumer", "rabbit-consumer"):
            address = free_address()
            self.consumers.append(start(service, ["--metrics-addr", address], address))
            self.consumers[-1].wait_ready()
        for _ in range(pairs):
            grpc, rest, front = free_address(), free_address(), free_address()
            self.publishers.append(start("publisher", ["--listen", rest, "--grpc-listen", grpc], rest))
            self.publishers[-1].wait_ready()
            self.apis.append(start("api", ["--listen", front, "--publisher-url", f"http://{grpc}"], front))
            self.apis[-1].wait_ready()

    def parts(self):
        groups = {"api": self.apis, "publisher": self.publishers, "weather consumers": self.consumers}
        return {name: [program.pid for program in programs] for name, programs in groups.items()}

    def stop(self):
        for program in self.apis + self.publishers + self.consumers:
            program.stop()


def measure(folder, logs, servers, pairs, load):
    """One run. Both stores must have counted exactly what was answered with 202."""
    urls = [os.environ["REDIS_URL"], os.environ["VALKEY_URL"]]
    weather = Weather(folder, logs, pairs)
    before = [counted(url) for url in urls]
    users = locust([api.address for api in weather.apis], load)
    window = Window({**servers, **weather.parts(), "Locust": [users.pid]})
    # Locust ends by itself: its time is taken just before.
    time.sleep(load.seconds - 1)
    _, busy, cpu = window.end()
    stdout, stderr = users.communicate(timeout=60)
    if users.returncode != 0:
        raise SystemExit(f"scaling: locust ended with {users.returncode}: {stderr}")
    answered = total(weather.apis, "weather_reports_total", 'result="published"')
    shares = [total([api], "weather_reports_total", 'result="published"') for api in weather.apis]
    if min(shares) == 0:
        raise SystemExit(f"scaling: an API was not asked: {shares}")

    def is_counted():
        return all(counted(url) - was >= answered for url, was in zip(urls, before))

    until("both stores have counted the reports", is_counted, COUNTED_MAX_S)
    found = [counted(url) - was for url, was in zip(urls, before)]
    if found != [answered, answered]:
        raise SystemExit(f"scaling: {answered} reports were answered, and counted: {found}")
    weather.stop()
    entry = next(line for line in json.loads(stdout) if line["name"] == "/weather")
    lasted_s = entry["last_request_timestamp"] - entry["start_time"]
    return {
        "publishers": pairs,
        "load": load.name,
        "seconds": round(lasted_s),
        "reports": entry["num_requests"],
        "failed": entry["num_failures"],
        "rate": entry["num_requests"] / lasted_s,
        "mean_ms": entry["total_response_time"] / max(1, entry["num_requests"]),
        "percentiles_ms": [percentile_ms(entry["response_times"], share) for share in PERCENTILES],
        "busy": busy,
        "cpu_us": {name: used * 1e6 / answered for name, used in cpu.items()},
        "answered": int(answered),
    }


def table(runs):
    """The runs, as a table of Markdown."""
    lines = [
        "| users | publishers | reports/s | mean ms | p50 | p95 | p99 | failed | processors busy |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for run in runs:
        p50, p95, p99 = (f"{ms:.0f}" for ms in run["percentiles_ms"])
        lines.append(
            f"| {run['load']} | {run['publishers']} | {run['rate']:,.0f} | {run['mean_ms']:.1f} | {p50} | {p95} | {p99} "
            f"| {run['failed']} | {run['busy']:.0%} of {machine.CORES} |"
        )
    return "\n".join(lines)


def cost_table(runs):
    """What a report takes of the processors, by part, in µs."""
    parts = list(runs[0]["cpu_us"])
    lines = [
        "| µs of processor for a report (users; publishers) | " + " | ".join(parts) + " | all |",
        "|---|" + "--:|" * (len(parts) + 1),
    ]
    for run in runs:
        used = [run["cpu_us"][part] for part in parts]
        cells = " | ".join(f"{us:,.0f}" for us in [*used, sum(used)])
        lines.append(f"| {run['load']}; {run['publishers']} | {cells} |")
    return "\n".join(lines)
