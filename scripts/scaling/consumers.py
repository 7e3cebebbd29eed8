"""One, two and three consumers of orders, with one lane each, on six partitions."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import machine
from machine import Program, Window, free_address, owned, quantile_s, total, until

PARTITIONS = 6
LOOK_EVERY_S = 0.1
DONE_MAX_S = 600
# A partition that is read to its end earlier than others leaves its lane idle: the last tenth is not measured.
MEASURED_SHARE = 0.9


@dataclass(frozen=True)
class Work:
    """Orders, and what the consumers do with each. Without a rate they lie there before the consumers start."""

    name: str
    orders: int
    rate: int = 0
    args: tuple = ()


def orders(folder, topic, count, rate):
    """Sends orders, at a rate or as fast as it goes."""
    pace = ["--rate", f"{rate}/s"] if rate else ["--interval", "0ms"]
    args = ["--topic", topic, "--count", str(count), "--seed", "42", "--products", "1000", "--key", "order-id"]
    quiet = ["--quiet", "--metrics-addr", "off"]
    environment = {**os.environ, "RUST_LOG": "warn"}
    return owned(subprocess.Popen(
        [folder / "producer", *args, *pace, *quiet],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
    ))


def done(process, what):
    if code := process.wait(DONE_MAX_S):
        raise SystemExit(f"scaling: {what} ended with {code}")


def make_topic(topic):
    args = ["--create", "--topic", topic, "--partitions", str(PARTITIONS)]
    brokers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    subprocess.run(
        ["kafka-topics", "--bootstrap-server", brokers, *args], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )


def fill(folder, servers, topic, count):
    """Makes a topic with so many orders; gives orders per second, and what one took of the processors, in µs."""
    make_topic(topic)
    producer = orders(folder, topic, count, 0)
    window = Window({**servers, "producer": [producer.pid]})
    # Its own time is that of a child that has ended.
    before = os.times()
    done(producer, "the producer")
    seconds, _, cpu = window.end()
    after = os.times()
    own = after.children_user + after.children_system - before.children_user - before.children_system
    return {"rate": count / seconds, "broker_us": cpu["Kafka"] * 1e6 / count, "producer_us": own * 1e6 / count}


def start(folder, logs, topic, group, instances, args):
    """Starts the instances of a group, side by side."""
    names = [["--averages-topic", f"{group}-averages"], ["--retry-topic", f"{group}-retry"], ["--dlq-topic", f"{group}-dlq"]]
    common = ["--topic", topic, "--group-id", group, "--create-topics", "--lanes", "1", "-o", "json", *sum(names, []), *args]
    all_of_them = []
    for _ in range(instances):
        address = free_address()
        all_of_them.append(Program(folder, logs, "consumer", ["consumer", *common, "--metrics-addr", address], address))
    return all_of_them


def consumed(group, topic):
    return [total([one], "orders_consumed_total", f'topic="{topic}"') for one in group]


def measure(folder, logs, servers, topic, instances, work):
    """One run: from the moment at which every instance works until nine tenths are done; then all must be done."""
    group = f"{topic}-{instances}-{time.time_ns()}"
    if work.rate or work.args:
        topic = group
        make_topic(topic)
    members = start(folder, logs, topic, group, instances, work.args)
    producer = None
    if topic == group:
        for member in members:
            member.wait_ready()
        producer = orders(folder, topic, work.orders, work.rate)
    until("every instance works", lambda: min(consumed(members, topic)) > 0, DONE_MAX_S, LOOK_EVERY_S)
    window = Window({**servers, "consumers": [member.pid for member in members]})
    first = sum(consumed(members, topic))
    committed_first = total(members, "orders_transactions_total", 'result="committed"')

    def is_measured():
        return sum(consumed(members, topic)) >= first + (work.orders - first) * MEASURED_SHARE

    until("most orders are done", is_measured, DONE_MAX_S, LOOK_EVERY_S)
    last = sum(consumed(members, topic))
    committed = total(members, "orders_transactions_total", 'result="committed"') - committed_first
    seconds, busy, cpu = window.end()
    until("all orders are done", lambda: sum(consumed(members, topic)) == work.orders, DONE_MAX_S, LOOK_EVERY_S)
    if producer:
        done(producer, "the producer")
    ages_s = [quantile_s(members, "orders_end_to_end_seconds", share) for share in (0.5, 0.95)]
    for member in members:
        member.stop()
    told = [json.loads(member.log.read_text().splitlines()[-1])["consumed"] for member in members]
    if sum(told) != work.orders:
        raise SystemExit(f"scaling: {work.orders} orders were sent, and counted: {told}")
    measured = last - first
    return {
        "consumers": instances,
        "work": work.name,
        "orders": work.orders,
        "rate": measured / seconds,
        "end_to_end_s": ages_s if work.rate else None,
        "busy": busy,
        "cpu_us": {name: used * 1e6 / measured for name, used in cpu.items()},
        "transactions_per_lane": committed / seconds / instances,
        "orders_per_transaction": measured / max(1, committed),
        "averages_bytes": size(os.environ["SCALING_STACK"], f"{group}-averages") / work.orders,
    }


def size(stack_dir, topic):
    """Bytes of a topic's log on disk."""
    folders = (path for path in Path(stack_dir).glob(f"kafka/**/{topic}-[0-9]*") if path.is_dir())
    return sum(log.stat().st_size for path in folders for log in path.glob("*.log"))


def age(seconds):
    return f"≤ {seconds * 1000:g} ms" if seconds < 1 else f"≤ {seconds:g} s"


def table(runs):
    """The runs, as a table of Markdown."""
    lines = [
        "| work | consumers | orders/s | times one | end to end p50 | p95 | consumers µs/order | broker µs/order | processors busy |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for run in runs:
        one = next(other["rate"] for other in runs if other["work"] == run["work"] and other["consumers"] == 1)
        ages = [age(seconds) for seconds in run["end_to_end_s"]] if run["end_to_end_s"] else ["–", "–"]
        cpu = run["cpu_us"]
        lines.append(
            f"| {run['work']} | {run['consumers']} | {run['rate']:,.0f} | {run['rate'] / one:.2f} | {ages[0]} | {ages[1]} "
            f"| {cpu['consumers']:.2f} | {cpu['Kafka']:.2f} | {run['busy']:.0%} of {machine.CORES} |"
        )
    return "\n".join(lines)
