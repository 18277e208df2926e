// java Conversation.java CA.pem: reads lines "SCENARIO URL" and answers each with the client's transcript as JSON.
// The same conversations as in conversation.mjs, by the WebSocket of java.net.http.

import java.io.*;
import java.net.URI;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.CRC32;
import javax.net.ssl.*;

public class Conversation implements WebSocket.Listener {
    private static HttpClient client;

    private final BlockingQueue<String> messages = new LinkedBlockingQueue<>();
    private final CompletableFuture<String> closed = new CompletableFuture<>();
    private final StringBuilder text = new StringBuilder();
    private final ByteArrayOutputStream binary = new ByteArrayOutputStream();

    public static void main(String[] arguments) throws Exception {
        client = HttpClient.newBuilder().sslContext(trusting(Path.of(arguments[0]))).build();
        var output = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        var input = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = input.readLine()) != null; ) {
            var words = line.split(" ");
            output.println(words[0].equals("patience") ? patience(words[1]) : conversations(words[1]));
        }
        System.exit(0);
    }

    private static String conversations(String url) throws Exception {
        var ended = new ArrayList<String>();
        for (var who : List.of("client", "server")) {
            var conversation = new Conversation();
            var socket = conversation.connect(url + "/room?x=1&y=%20");
            var sent = sendAll(socket);
            if (who.equals("server")) socket.sendText("close", true).get();
            var messages = conversation.take(sent);
            if (who.equals("client")) socket.sendClose(4001, "the client is done ✓").get();
            ended.add(quoted(who) + ": " + conversation.transcript(socket, messages));
        }
        return "{" + String.join(", ", ended) + "}";
    }

    private static String patience(String url) throws Exception {
        var conversation = new Conversation();
        var socket = conversation.connect(url + "/");
        socket.sendText("wait", true).get();
        var messages = conversation.take(1);
        socket.sendClose(1000, "").get();
        return conversation.transcript(socket, messages);
    }

    /** Sends the messages, the large text in three fragments, and returns their number. */
    private static int sendAll(WebSocket socket) throws Exception {
        socket.sendText("hello", true).get();
        socket.sendText("", true).get();
        socket.sendText("héllo wörld ☃ 𝄞", true).get();
        var bytes = new byte[256];
        for (int place = 0; place < bytes.length; place++) bytes[place] = (byte) place;
        socket.sendBinary(ByteBuffer.wrap(bytes), true).get();
        var large = "a message that deflates well. ".repeat(7000);
        socket.sendText(large.substring(0, 1), false).get();
        socket.sendText(large.substring(1, 100_000), false).get();
        socket.sendText(large.substring(100_000), true).get();
        socket.sendBinary(ByteBuffer.wrap(noise(100_000)), true).get();
        return 6;
    }

    private static byte[] noise(int length) {
        var bytes = new byte[length];
        for (int place = 0, state = 1; place < length; place++) {
            state = (state * 1103515245 + 12345) & 0x7fffffff;
            bytes[place] = (byte) (state >> 16);
        }
        return bytes;
    }

    private WebSocket connect(String url) throws Exception {
        return client.newWebSocketBuilder()
                .subprotocols("chat.v2", "chat.v1")
                .header("Cookie", "session=abc; theme=dark")
                .buildAsync(URI.create(url), this)
                .get();
    }

    private List<String> take(int count) throws Exception {
        var taken = new ArrayList<String>();
        while (taken.size() < count) taken.add(messages.take());
        return taken;
    }

    private String transcript(WebSocket socket, List<String> messages) throws Exception {
        return "{\"messages\": [%s], \"subprotocol\": %s, \"close\": %s}"
                .formatted(String.join(", ", messages), quoted(socket.getSubprotocol()), closed.get());
    }

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
        text.append(data);
        if (last) {
            messages.add(described("text", text.toString().getBytes(StandardCharsets.UTF_8)));
            text.setLength(0);
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
        while (data.hasRemaining()) binary.write(data.get());
        if (last) {
            messages.add(described("binary", binary.toByteArray()));
            binary.reset();
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
        closed.complete("[%d, %s]".formatted(code, quoted(reason)));
        return null;
    }

    @Override
    public void onError(WebSocket socket, Throwable error) {
        error.printStackTrace();
        closed.complete("[-1, %s]".formatted(quoted(error.toString())));
    }

    private static String described(String type, byte[] bytes) {
        var checksum = new CRC32();
        checksum.update(bytes);
        return "[%s, %d, %d]".formatted(quoted(type), bytes.length, checksum.getValue());
    }

    private static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    private static SSLContext trusting(Path authority) throws Exception {
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (var pem = Files.newInputStream(authority)) {
            store.setCertificateEntry("tests", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        var context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
