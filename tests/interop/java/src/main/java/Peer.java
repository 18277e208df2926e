import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * The WebSocket packages Jetty, Netty and OkHttp, as clients and as servers of the conversations in
 * tests/clients/conversation.mjs.
 *
 * <pre>
 * Peer client PACKAGE     reads URLs, one a line; answers each with the client's transcript
 * Peer server PACKAGE     prints its ports, and then the transcript of each connection that has ended
 * </pre>
 *
 * Environment: TLS_AUTHORITY (client), TLS_CERTIFICATE and TLS_KEY (server).
 */
public class Peer {
    static final List<String> SUBPROTOCOLS = List.of("chat.v2", "chat.v1");
    static final int LONGEST = 1 << 24;

    /** One end of an open connection. */
    interface Connection {
        void send(Message message) throws Exception;

        void close(int code, String reason) throws Exception;
    }

    /** What a package tells of a connection; `closed` has the other end's Close. */
    interface Events {
        void message(Message message) throws Exception;

        void closed(int code, String reason);

        void failed(Throwable error);
    }

    /** What a client has got in answer to its handshake. */
    record Answer(Connection connection, String subprotocol, Map<String, String> headers) {}

    interface Pack {
        Answer dial(URI url, Events events) throws Exception;

        /** Listens; returns the port. `secure`: over TLS. */
        int serve(boolean secure) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        var pack = switch (arguments[1]) {
            case "jetty" -> new JettyPack();
            case "netty" -> new NettyPack();
            case "okhttp" -> new OkHttpPack();
            default -> throw new IllegalArgumentException(arguments[1]);
        };
        var input = new BufferedReader(new InputStreamReader(System.in));
        if (arguments[0].equals("server")) {
            Json.say(Map.of("ws", pack.serve(false), "wss", pack.serve(true)));
            while (input.readLine() != null) {} // until the test closes it
        } else {
            for (String line; (line = input.readLine()) != null; ) Json.say(conversations(pack, line));
        }
        System.exit(0);
    }

    private static Map<String, Object> conversations(Pack pack, String url) {
        var ended = new LinkedHashMap<String, Object>();
        for (var who : List.of("client", "server")) {
            try {
                ended.put(who, converse(pack, URI.create(url + "/room?x=1&y=%20"), who));
            } catch (Exception error) {
                error.printStackTrace();
                return Map.of("error", error.toString());
            }
        }
        return ended;
    }

    /** Has one conversation, which `who` closes. */
    private static Map<String, Object> converse(Pack pack, URI url, String who) throws Exception {
        var arrived = new LinkedBlockingQueue<Object>();
        var closed = new CompletableFuture<List<Object>>();
        var answer = pack.dial(url, new Events() {
            @Override
            public void message(Message message) {
                arrived.add(message.described());
            }

            @Override
            public void closed(int code, String reason) {
                closed.complete(List.of(code, reason));
            }

            @Override
            public void failed(Throwable error) {
                arrived.add(error.toString());
                closed.completeExceptionally(error);
            }
        });
        for (var message : Message.ALL) answer.connection.send(message);
        var messages = new java.util.ArrayList<>();
        while (messages.size() < Message.ALL.size()) messages.add(arrived.take());
        if (who.equals("client")) answer.connection.close(4001, "the client is done ✓");
        else answer.connection.send(Message.text("close"));
        var transcript = new LinkedHashMap<String, Object>();
        transcript.put("messages", messages);
        transcript.put("close", closed.get());
        transcript.put("subprotocol", answer.subprotocol);
        transcript.put("answer", answer.headers);
        return transcript;
    }
}
