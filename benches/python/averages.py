"""Running averages with confluent-kafka and fastavro: batches from `consume`, transactions of 100 ms.

`make bench` measures the consumer beside it.

Usage: averages.py BROKERS REGISTRY ORDERS AVERAGES GROUP; reads to the end, and prints the number of orders, and the sum of
their prices in 1/10000.
"""

import json
import struct
import sys
import time
import urllib.request
from decimal import Decimal
from io import BytesIO

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from fastavro import parse_schema, schemaless_reader, schemaless_writer

COMMIT_EVERY_S = 0.1
BATCH_RECORDS = 1_000
FRAME_BYTES = 5


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


class Averages:
    def __init__(self, brokers, registry, topic, group):
        latest = fetch(f"{registry}/subjects/{topic}-value/versions/latest")
        self.schema = parse_schema(json.loads(latest["schema"]))
        self.frame = struct.pack(">bI", 0, latest["id"])
        self.topic = topic
        self.products = {}
        self.changed = set()
        self.positions = {}
        self.producer = Producer({"bootstrap.servers": brokers, "transactional.id": group, "linger.ms": 5})
        self.producer.init_transactions(10)

    def commit(self, consumer, orders):
        """Writes what has changed, and commits it with the offsets."""
        if not self.positions:
            return
        self.producer.begin_transaction()
        now = int(time.time() * 1000)
        for product in self.changed:
            count, total = self.products[product]
            value = BytesIO()
            value.write(self.frame)
            average = {
                "product": product,
                "count": count,
                "sum": Decimal(total).scaleb(-4),
                "average": total / 10_000 / count,
                "updatedAt": now,
            }
            schemaless_writer(value, self.schema, average)
            self.producer.produce(self.topic, key=product.encode(), value=value.getvalue())
        offsets = [TopicPartition(orders, partition, at) for partition, at in self.positions.items()]
        self.producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
        self.producer.commit_transaction()
        self.changed.clear()
        self.positions.clear()


def main():
    brokers, registry, orders, topic, group = sys.argv[1:]
    averages = Averages(brokers, registry, topic, group)
    products, changed, positions = averages.products, averages.changed, averages.positions
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    consumer.subscribe([orders])
    partitions = len(consumer.list_topics(orders, timeout=10).topics[orders].partitions)
    schemas = {}
    ended = set()
    commit_at = time.monotonic() + COMMIT_EVERY_S
    while len(ended) < partitions:
        for message in consumer.consume(num_messages=BATCH_RECORDS, timeout=COMMIT_EVERY_S):
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise SystemExit(error)
                ended.add(message.partition())
                continue
            value = message.value()
            schema_id = value[1:FRAME_BYTES]
            schema = schemas.get(schema_id)
            if schema is None:
                number = int.from_bytes(schema_id, "big")
                schema = parse_schema(json.loads(fetch(f"{registry}/schemas/ids/{number}")["schema"]))
                schemas[schema_id] = schema
            datum = BytesIO(value)
            datum.seek(FRAME_BYTES)
            order = schemaless_reader(datum, schema, None)
            product = order["product"]
            average = products.get(product)
            if average is None:
                average = products[product] = [0, 0]
            average[0] += 1
            average[1] += round(order["price"] * 10_000)
            changed.add(product)
            positions[message.partition()] = message.offset() + 1
        if time.monotonic() >= commit_at:
            averages.commit(consumer, orders)
            commit_at = time.monotonic() + COMMIT_EVERY_S
    averages.commit(consumer, orders)
    count = sum(average[0] for average in products.values())
    total = sum(average[1] for average in products.values())
    print(f"{count} records, sum {total}")
    consumer.close()


main()
