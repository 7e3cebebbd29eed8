import java.io.IOException;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Orders and averages as the topics have them, read and written by hand. */
final class Records {
    private static final int FRAME_BYTES = 5;
    private static final int VALUE_BYTES_MAX = 1_024;

    private Records() {
    }

    /** The id of a subject's latest schema. */
    static int latestSchema(String registry, String subject) throws IOException, InterruptedException {
        URI uri = URI.create(registry + "/subjects/" + subject + "/versions/latest");
        HttpRequest request = HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(10)).build();
        String body = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
        Matcher id = Pattern.compile("\"id\"\\s*:\\s*(\\d+)").matcher(body);
        if (!id.find()) {
            throw new IOException("no schema of " + subject + ": " + body);
        }
        return Integer.parseInt(id.group(1));
    }

    /** An order, to be read from its first field on. */
    static ByteBuffer order(byte[] value) {
        return ByteBuffer.wrap(value, FRAME_BYTES, value.length - FRAME_BYTES);
    }

    static void skipText(ByteBuffer datum) {
        int length = length(datum);
        datum.position(datum.position() + length);
    }

    static String text(ByteBuffer datum) {
        int length = length(datum);
        String text = new String(datum.array(), datum.position(), length, StandardCharsets.UTF_8);
        datum.position(datum.position() + length);
        return text;
    }

    /** A price, in 1/10000. */
    static long price(ByteBuffer datum) {
        float price = datum.order(ByteOrder.LITTLE_ENDIAN).getFloat();
        return Math.round((double) price * 10_000.0);
    }

    /** The average of a product; the sum is in 1/10000. */
    static byte[] average(int schemaId, byte[] product, long count, long sum, long now) {
        ByteBuffer value = ByteBuffer.allocate(VALUE_BYTES_MAX);
        value.put((byte) 0).putInt(schemaId);
        putBytes(value, product);
        putLong(value, count);
        putBytes(value, BigInteger.valueOf(sum).toByteArray());
        value.order(ByteOrder.LITTLE_ENDIAN);
        value.putDouble(sum / 10_000.0 / count);
        putLong(value, now);
        byte[] bytes = new byte[value.position()];
        value.flip();
        value.get(bytes);
        return bytes;
    }

    private static void putBytes(ByteBuffer value, byte[] bytes) {
        putLong(value, bytes.length);
        value.put(bytes);
    }

    /** Avro's long: zigzag, seven bits in each byte. */
    private static void putLong(ByteBuffer value, long number) {
        long rest = (number << 1) ^ (number >> 63);
        while ((rest & ~0x7fL) != 0) {
            value.put((byte) ((rest & 0x7f) | 0x80));
            rest >>>= 7;
        }
        value.put((byte) rest);
    }

    private static int length(ByteBuffer datum) {
        int number = 0;
        int shift = 0;
        byte next;
        do {
            next = datum.get();
            number |= (next & 0x7f) << shift;
            shift += 7;
        } while (next < 0);
        return number >>> 1;
    }
}
