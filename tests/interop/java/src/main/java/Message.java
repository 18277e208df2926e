import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.zip.CRC32;

/** A message of a conversation. */
record Message(boolean isText, byte[] data) {
    static final List<Message> ALL = List.of(
            text("hello"),
            text(""),
            text("héllo wörld ☃ 𝄞"),
            new Message(false, allBytes()),
            text("a message that deflates well. ".repeat(7000)),
            new Message(false, noise(100_000)));

    static Message text(String text) {
        return new Message(true, text.getBytes(StandardCharsets.UTF_8));
    }

    String asText() {
        return new String(data, StandardCharsets.UTF_8);
    }

    /** Returns type, bytes and CRC-32. */
    List<Object> described() {
        var checksum = new CRC32();
        checksum.update(data);
        return List.of(isText ? "text" : "binary", data.length, checksum.getValue());
    }

    private static byte[] allBytes() {
        var bytes = new byte[256];
        for (int place = 0; place < bytes.length; place++) bytes[place] = (byte) place;
        return bytes;
    }

    /** Returns bytes that do not compress. */
    private static byte[] noise(int length) {
        var bytes = new byte[length];
        for (int place = 0, state = 1; place < length; place++) {
            state = (state * 1103515245 + 12345) & 0x7fffffff;
            bytes[place] = (byte) (state >> 16);
        }
        return bytes;
    }
}
