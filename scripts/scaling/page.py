"""The figures of docs/scaling.md: tables, and the projection that is computed from them."""

from pathlib import Path

import consumers
import publishers

PAGE = Path(__file__).resolve().parent.parent.parent / "docs/scaling.md"

# A deployment of a hundred partitions, as config/hundred-partitions has it.
PARTITIONS = 100
PODS = 25
LANES_PER_POD = 2
REPLICAS = 3
# What a lane commits in a backlog or under load: every 100 ms.
TRANSACTIONS_PER_LANE_S = 10
# Records of the log of transactions: partitions added twice, prepared, completed.
STATE_RECORDS = 4
RATES = (100_000, 500_000, 1_000_000)
BUSY_MAX = 0.6
RETENTION_DAYS = 7
# Prices, in dollars: a processor for an hour, a gigabyte of disk for a month, a gigabyte between zones.
CORE_HOUR, GB_MONTH, GB_BETWEEN = 0.04, 0.08, 0.02


def block(name, text):
    return f"<!-- {name}: made by scripts/scaling.sh, do not edit -->\n{text}\n<!-- end of {name} -->"


def results(found):
    kind = "A short run, whose figures only show that it works" if found["short"] else "One run"
    parts = [f"{kind}: {found['day']}, {found['cores']} processors, {found['system']}."]
    if runs := found.get("publishers"):
        parts += [publishers.table(runs), publishers.cost_table(runs)]
    if runs := found.get("consumers"):
        sent = found["sent"]
        parts.append(consumers.table(runs))
        parts.append(
            f"The producer sent the backlog at {sent['rate']:,.0f} orders/s, with {sent['producer_us']:.2f} µs of processor "
            f"for an order and {sent['broker_us']:.2f} µs in the broker. An order takes {sent['bytes']:.0f} bytes of its "
            "topic's log."
        )
    return "\n\n".join(parts)


def dollars(amount):
    return f"${amount:.5f}"


def projection(found):
    one = next(run for run in found["consumers"] if run["consumers"] == 1)
    sent = found["sent"]
    reads_us, serves_us = one["cpu_us"]["consumers"], one["cpu_us"]["Kafka"]
    takes_us, order_bytes = sent["broker_us"], sent["bytes"]
    # Small transactions write an average for nearly each order; this run has the smallest.
    averages_bytes = max(run["averages_bytes"] for run in found["consumers"])
    both = order_bytes + averages_bytes
    lanes = PODS * LANES_PER_POD
    per_lane = PARTITIONS // lanes
    transactions = lanes * TRANSACTIONS_PER_LANE_S
    writes = per_lane + 1 + STATE_RECORDS
    core_s = reads_us + serves_us + REPLICAS * takes_us
    gb, averages_gb = order_bytes * 1e6 / 1e9, averages_bytes * 1e6 / 1e9
    core_cost = core_s / BUSY_MAX * CORE_HOUR / 3600
    disk_cost = REPLICAS * gb * GB_MONTH * RETENTION_DAYS / 30
    copied_gb = (2 / 3 + REPLICAS - 1) * (gb + averages_gb) + 2 / 3 * gb
    between_cost = copied_gb * GB_BETWEEN
    lines = [
        f"Measured above: a consumer takes {reads_us:.2f} µs of processor for an order, and the broker {takes_us:.2f} µs to take "
        f"one and {serves_us:.2f} µs to serve one with its transaction. An order takes {order_bytes:.0f} bytes, and averages at most "
        f"{averages_bytes:.0f} more for each (1,000 products, small transactions).",
        "",
        "| | arithmetic | |",
        "|---|---|--:|",
        f"| lanes | {PODS} instances × {LANES_PER_POD} | {lanes} |",
        f"| partitions of a lane | {PARTITIONS} ÷ {lanes} | {per_lane} |",
        f"| transactions per second | {lanes} lanes × {TRANSACTIONS_PER_LANE_S} | {transactions} |",
        f"| records that a transaction adds for itself | {per_lane} markers in averages + 1 in offsets + {STATE_RECORDS} of the "
        f"log of transactions | {writes} |",
        f"| of those per second, with replicas | {transactions} × {writes} × {REPLICAS} | {transactions * writes * REPLICAS:,} |",
        f"| seconds of processor for a million orders | {reads_us:.2f} + {serves_us:.2f} + {REPLICAS} × {takes_us:.2f} "
        f"| {core_s:.1f} |",
        f"| their cost | {core_s:.1f} s ÷ {BUSY_MAX} × ${CORE_HOUR} ÷ 3600 s | {dollars(core_cost)} |",
        f"| disk for a million orders | {REPLICAS} × {gb:.3f} GB × ${GB_MONTH} × {RETENTION_DAYS} days ÷ 30 "
        f"| {dollars(disk_cost)} |",
        f"| bytes between zones | ((⅔ in + {REPLICAS - 1} copies) × ({gb:.3f} + {averages_gb:.3f}) + ⅔ out × {gb:.3f}) GB "
        f"× ${GB_BETWEEN} | {dollars(between_cost)} |",
        f"| **a million orders** | sum | **{dollars(core_cost + disk_cost + between_cost)}** |",
        "",
        "| orders/s | per partition | in MB/s | written MB/s, all brokers | read MB/s | orders in a transaction "
        f"| cores at {BUSY_MAX:.0%} | disk for {RETENTION_DAYS} days |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for rate in RATES:
        mb = rate * order_bytes / 1e6
        disk_tb = REPLICAS * mb * 86_400 * RETENTION_DAYS / 1e6
        lines.append(
            f"| {rate:,} | {rate // PARTITIONS:,} | {mb:,.0f} | {REPLICAS * rate * both / 1e6:,.0f} | {mb:,.0f} | {rate // transactions:,} "
            f"| {rate * core_s / 1e6 / BUSY_MAX:,.1f} | {disk_tb:,.1f} TB |"
        )
    return "\n".join(lines)


def blocks(found):
    made = {"results": results(found)}
    if "consumers" in found:
        made["projection"] = projection(found)
    return {name: block(name, text) for name, text in made.items()}


def rendered(found):
    return "\n\n".join(blocks(found).values())


def write(found):
    """Replaces what stands between the marks of the page."""
    text = PAGE.read_text()
    for name, made in blocks(found).items():
        begin, end = f"<!-- {name}: made by", f"<!-- end of {name} -->"
        before, rest = text.split(begin, 1)
        text = before + made + rest.split(end, 1)[1]
    PAGE.write_text(text)
