import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;

import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.Stores;

/**
 * Running averages with Kafka Streams, exactly once: one thread, a store in memory behind Streams' cache, so that a commit
 * every 100 ms writes each product that has changed once. Orders are decoded by hand; their key is the product, so nothing is
 * sent through a topic in between. {@code make bench} measures the consumer beside it.
 *
 * <p>Usage: {@code AveragesOfStreams BROKERS REGISTRY ORDERS AVERAGES GROUP}; reads to the end, and prints the number of
 * orders, and the sum of their prices in 1/10000.
 */
public final class AveragesOfStreams {
    private static final int COMMIT_EVERY_MS = 100;
    private static final int POLL_RECORDS = 5_000;
    private static final Duration CLOSE_MAX = Duration.ofSeconds(30);

    /** A price in 1/10000, and the partition of its order: averages go into the same. */
    private record Priced(int partition, long price) {
    }

    /** What was counted of a product in a partition; the sum is in 1/10000. */
    private record Total(int partition, long count, long sum) {
        static final int BYTES = Integer.BYTES + 2 * Long.BYTES;

        Total and(Priced order) {
            return new Total(order.partition, count + 1, sum + order.price);
        }

        byte[] encode() {
            return ByteBuffer.allocate(BYTES).putInt(partition).putLong(count).putLong(sum).array();
        }

        static Total decode(byte[] bytes) {
            ByteBuffer from = ByteBuffer.wrap(bytes);
            return new Total(from.getInt(), from.getLong(), from.getLong());
        }
    }

    /** An average as it is written. */
    private record Written(int partition, byte[] value) {
    }

    /** Reads prices, and tells when all orders were counted. Streams' one thread alone calls it. */
    private static final class Counted {
        private final long expected;
        private final CountDownLatch ended;
        private long count;
        private long sum;

        Counted(long expected, CountDownLatch ended) {
            this.expected = expected;
            this.ended = ended;
        }

        void add(long price) {
            sum += price;
            if (++count == expected) {
                ended.countDown();
            }
        }
    }

    private static final class Pricing extends ContextualFixedKeyProcessor<byte[], byte[], Priced> {
        private final Counted counted;

        Pricing(Counted counted) {
            this.counted = counted;
        }

        @Override
        public void process(FixedKeyRecord<byte[], byte[]> order) {
            ByteBuffer datum = Records.order(order.value());
            Records.skipText(datum); // its id
            Records.skipText(datum); // its product
            long price = Records.price(datum);
            context().forward(order.withValue(new Priced(context().taskId().partition(), price)));
            counted.add(price); // after it has gone all the way
        }
    }

    private AveragesOfStreams() {
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 5) {
            System.err.println("usage: AveragesOfStreams BROKERS REGISTRY ORDERS AVERAGES GROUP");
            System.exit(2);
        }
        String brokers = arguments[0];
        String orders = arguments[2];
        int schemaId = Records.latestSchema(arguments[1], arguments[3] + "-value");
        CountDownLatch ended = new CountDownLatch(1);
        Counted counted = new Counted(ordersIn(brokers, orders), ended);
        Path directory = Files.createTempDirectory("averages-of-streams");
        Topology topology = topology(orders, arguments[3], schemaId, counted);
        KafkaStreams streams = new KafkaStreams(topology, settings(brokers, arguments[4], directory));
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR) {
                ended.countDown();
            }
        });
        streams.start();
        ended.await();
        // Closing commits what was counted.
        boolean isClosed = streams.close(CLOSE_MAX);
        streams.cleanUp();
        Files.delete(directory);
        if (!isClosed || counted.count != counted.expected) {
            System.err.println(counted.count + " of " + counted.expected + " orders were counted");
            System.exit(1);
        }
        System.out.println(counted.count + " records, sum " + counted.sum);
    }

    private static Topology topology(String orders, String averages, int schemaId, Counted counted) {
        Serde<byte[]> bytes = Serdes.ByteArray();
        Serde<Total> totals = Serdes.serdeFrom((topic, total) -> total == null ? null : total.encode(),
            (topic, value) -> value == null ? null : Total.decode(value));
        Serde<Written> written = Serdes.serdeFrom((topic, average) -> average.value, (topic, value) -> null);
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(orders, Consumed.with(bytes, bytes))
            .processValues(() -> new Pricing(counted))
            .groupByKey(Grouped.keySerde(bytes))
            .aggregate(() -> new Total(0, 0, 0), (product, order, total) -> total.and(order),
                Materialized.<byte[], Total>as(Stores.inMemoryKeyValueStore("totals"))
                    .withKeySerde(bytes)
                    .withValueSerde(totals)
                    .withCachingEnabled())
            .toStream()
            .mapValues((product, total) -> new Written(total.partition,
                Records.average(schemaId, product, total.count, total.sum, System.currentTimeMillis())))
            .to(averages, Produced.with(bytes, written,
                (topic, product, average, partitions) -> Optional.of(Set.of(average.partition))));
        return builder.build();
    }

    private static Properties settings(String brokers, String group, Path directory) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", brokers);
        settings.put("application.id", group);
        settings.put("processing.guarantee", "exactly_once_v2");
        settings.put("commit.interval.ms", COMMIT_EVERY_MS);
        settings.put("num.stream.threads", 1);
        settings.put("state.dir", directory.toString());
        settings.put("consumer.max.poll.records", POLL_RECORDS);
        return settings;
    }

    /** Orders that the topic has now; none was compacted away. */
    private static long ordersIn(String brokers, String orders) {
        Properties reading = new Properties();
        reading.put("bootstrap.servers", brokers);
        try (KafkaConsumer<byte[], byte[]> asking =
            new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (PartitionInfo partition : asking.partitionsFor(orders)) {
                partitions.add(new TopicPartition(orders, partition.partition()));
            }
            return asking.endOffsets(partitions).values().stream().mapToLong(Long::longValue).sum();
        }
    }
}
