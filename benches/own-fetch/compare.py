#!/usr/bin/env python3
"""Runs programs in turn on the same topic, some rounds, and prints what each costs beside the first one.

Usage: compare.py ROUNDS RECORDS BROKERS TOPIC PROGRAM...
"""
import os
import statistics
import sys
import time


def run(program, arguments):
    """CPU in s, time in s, memory in MiB and output of one run."""
    read, write = os.pipe()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        os.execv(program, [program, *arguments])
    os.close(write)
    with os.fdopen(read) as output:
        text = output.read().strip()
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"{program} failed")
    return usage.ru_utime, usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss / 1024, text


def main():
    rounds, records = int(sys.argv[1]), int(sys.argv[2])
    arguments, programs = sys.argv[3:5], sys.argv[5:]
    costs = {program: [] for program in programs}
    outputs = set()
    for number in range(rounds):
        for program in programs if number % 2 == 0 else programs[::-1]:
            *cost, text = run(program, arguments)
            outputs.add(text)
            costs[program].append(cost)
    print("all printed:", *outputs, sep="\n  ")
    if len(outputs) != 1 or not outputs.pop().startswith(f"{records} "):
        sys.exit("they do not agree, or have not read everything")
    floor = costs[programs[0]]
    print("| program | CPU µs/record | user | system | × first | records/s | MiB |\n|---|--:|--:|--:|--:|--:|--:|")
    for program in programs:
        of = costs[program]
        micros = [(user + system) / records * 1e6 for user, system, _, _ in of]
        ratios = [(it[0] + it[1]) / (first[0] + first[1]) for it, first in zip(of, floor)]
        median = statistics.median
        print(
            f"| {os.path.basename(program)} | {median(micros):.3f} ({min(micros):.3f}–{max(micros):.3f})"
            f" | {median(it[0] for it in of) / records * 1e6:.3f} | {median(it[1] for it in of) / records * 1e6:.3f}"
            f" | {median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
            f" | {records / median(it[2] for it in of):,.0f} | {median(it[3] for it in of):.0f} |"
        )


if __name__ == "__main__":
    main()
