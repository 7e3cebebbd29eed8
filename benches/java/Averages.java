import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Running averages with Kafka's own client: orders decoded by hand, transactions of 100 ms. {@code make bench} measures the
 * consumer beside it.
 *
 * <p>Usage: {@code Averages BROKERS REGISTRY ORDERS AVERAGES GROUP}; reads to the end, and prints the number of orders, and
 * the sum of their prices in 1/10000.
 */
public final class Averages {
    private static final long COMMIT_EVERY_NANOS = 100_000_000L;
    private static final int POLL_RECORDS = 5_000;

    /** One product. */
    private static final class Average {
        final String product;
        final byte[] key;
        long count;
        /** In 1/10000. */
        long sum;
        boolean hasChanged;

        Average(String product) {
            this.product = product;
            this.key = product.getBytes(StandardCharsets.UTF_8);
        }
    }

    private final KafkaConsumer<byte[], byte[]> consumer;
    private final KafkaProducer<byte[], byte[]> producer;
    private final String topic;
    private final int schemaId;
    private final Map<String, Average> products = new HashMap<>();
    private final List<Average> changed = new ArrayList<>();
    private final Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();

    private Averages(String brokers, String registry, String topic, String group) throws Exception {
        Properties reading = new Properties();
        reading.put("bootstrap.servers", brokers);
        reading.put("group.id", group);
        reading.put("enable.auto.commit", "false");
        reading.put("auto.offset.reset", "earliest");
        reading.put("isolation.level", "read_committed");
        reading.put("max.poll.records", POLL_RECORDS);
        consumer = new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        Properties writing = new Properties();
        writing.put("bootstrap.servers", brokers);
        writing.put("transactional.id", group);
        writing.put("linger.ms", 5);
        producer = new KafkaProducer<>(writing, new ByteArraySerializer(), new ByteArraySerializer());
        producer.initTransactions();
        this.topic = topic;
        this.schemaId = Records.latestSchema(registry, topic + "-value");
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 5) {
            System.err.println("usage: Averages BROKERS REGISTRY ORDERS AVERAGES GROUP");
            System.exit(2);
        }
        new Averages(arguments[0], arguments[1], arguments[3], arguments[4]).run(arguments[2]);
    }

    private void run(String orders) {
        List<TopicPartition> partitions = new ArrayList<>();
        for (PartitionInfo partition : consumer.partitionsFor(orders)) {
            partitions.add(new TopicPartition(orders, partition.partition()));
        }
        Map<TopicPartition, Long> open = new HashMap<>(consumer.endOffsets(partitions));
        open.values().removeIf(end -> end == 0);
        consumer.subscribe(List.of(orders));
        long commitAt = System.nanoTime() + COMMIT_EVERY_NANOS;
        while (!open.isEmpty()) {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
            for (TopicPartition partition : records.partitions()) {
                List<ConsumerRecord<byte[], byte[]>> batch = records.records(partition);
                for (ConsumerRecord<byte[], byte[]> record : batch) {
                    add(record.value());
                }
                long position = batch.get(batch.size() - 1).offset() + 1;
                positions.put(partition, new OffsetAndMetadata(position));
                if (open.containsKey(partition) && position >= open.get(partition)) {
                    open.remove(partition);
                }
            }
            if (System.nanoTime() >= commitAt) {
                commit();
                commitAt = System.nanoTime() + COMMIT_EVERY_NANOS;
            }
        }
        commit();
        long count = 0;
        long sum = 0;
        for (Average average : products.values()) {
            count += average.count;
            sum += average.sum;
        }
        System.out.println(count + " records, sum " + sum);
        producer.close();
        consumer.close();
    }

    /** Counts one order: its id, its product, its price. */
    private void add(byte[] value) {
        ByteBuffer datum = Records.order(value);
        Records.skipText(datum);
        String product = Records.text(datum);
        Average average = products.get(product);
        if (average == null) {
            average = new Average(product);
            products.put(product, average);
        }
        average.count++;
        average.sum += Records.price(datum);
        if (!average.hasChanged) {
            average.hasChanged = true;
            changed.add(average);
        }
    }

    /** Writes what has changed, and commits it with the offsets. */
    private void commit() {
        if (positions.isEmpty()) {
            return;
        }
        producer.beginTransaction();
        long now = System.currentTimeMillis();
        for (Average average : changed) {
            average.hasChanged = false;
            byte[] value = Records.average(schemaId, average.key, average.count, average.sum, now);
            producer.send(new ProducerRecord<>(topic, average.key, value));
        }
        producer.sendOffsetsToTransaction(positions, consumer.groupMetadata());
        producer.commitTransaction();
        changed.clear();
        positions.clear();
    }
}
