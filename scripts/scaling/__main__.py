"""What scripts/scaling.sh runs when its servers are up: measures, prints the tables, writes them into the page.

    python3 scripts/scaling PROGRAMS STACK_DIR [--short] [--write]
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path

import consumers
import machine
import page
import publishers
from consumers import Work
from publishers import Load


def say(text):
    print(f"scaling: {text}", file=sys.stderr, flush=True)


def of_publishers(given, logs, servers, seconds):
    loads = [
        Load("50, with pauses of 0.1 to 0.9 s", "0.1,0.9", seconds),
        Load("50, without pauses", "0,0", seconds),
    ]
    # The first requests of a JVM and of a new topic are slow, and belong to nobody.
    publishers.measure(given.programs, logs, servers, 1, Load("warm-up", "0,0", 15))
    runs = []
    for load in loads:
        for pairs in (1, 2):
            say(f"publishers: {pairs}, users: {load.name}, {load.seconds} s")
            runs.append(publishers.measure(given.programs, logs, servers, pairs, load))
    return runs


def of_consumers(given, logs, servers, short):
    share = 10 if short else 1
    waits = ("--simulate-latency", "20ms", "--concurrency", "64")
    works = [
        Work("averages, from a backlog", 8_000_000 // share),
        Work("20 ms of waiting for each, as fast as it goes", 90_000 // share, rate=100_000, args=waits),
        Work("20 ms of waiting for each, 5,000 orders/s sent", 200_000 // share, rate=5_000, args=waits),
    ]
    topic = f"scaling-{time.time_ns()}"
    say(f"consumers: {works[0].orders:,} orders are sent")
    sent = consumers.fill(given.programs, servers, topic, works[0].orders)
    sent["bytes"] = consumers.size(given.stack_dir, topic) / works[0].orders
    runs = []
    for work in works:
        for instances in (1, 2, 3):
            say(f"consumers: {instances}, {work.name}")
            runs.append(consumers.measure(given.programs, logs, servers, topic, instances, work))
    # Of rates that were only offered, none is a capacity, and no age of the second work means anything.
    for run in runs:
        if run["work"] == works[1].name:
            run["end_to_end_s"] = None
    return sent, runs


def main():
    # What was started ends with this program.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(prog="scripts/scaling.sh")
    parser.add_argument("programs", type=Path)
    parser.add_argument("stack_dir", type=Path)
    parser.add_argument("--short", action="store_true", help="small loads: shows only that it works")
    parser.add_argument("--write", action="store_true", help="replace the figures of docs/scaling.md")
    parser.add_argument("--only", choices=["publishers", "consumers"], help="one half")
    given = parser.parse_args()
    given.programs = given.programs.resolve()
    os.environ["SCALING_STACK"] = str(given.stack_dir)
    logs = given.stack_dir / "measured"
    logs.mkdir(exist_ok=True)
    servers = machine.server_pids(given.stack_dir)
    found = {
        "cores": machine.CORES,
        "system": f"{platform.system()} {platform.release()}",
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "short": given.short,
    }
    if given.only != "consumers":
        found["publishers"] = of_publishers(given, logs, servers, 20 if given.short else 120)
    if given.only != "publishers":
        found["sent"], found["consumers"] = of_consumers(given, logs, servers, given.short)
    to = Path(os.environ.get("SCALING_JSON", "target/scaling.json"))
    to.write_text(json.dumps(found, indent=1) + "\n")
    text = page.rendered(found)
    print(text)
    say(f"all figures are in {to}")
    if given.write:
        page.write(found)
        say("docs/scaling.md has them")


main()
