import java.net.InetAddress;
import java.net.URI;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import mockwebserver3.Dispatcher;
import mockwebserver3.MockResponse;
import mockwebserver3.MockWebServer;
import mockwebserver3.RecordedRequest;
import okhttp3.Headers;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.Response;
import okhttp3.WebSocket;
import okhttp3.WebSocketListener;
import okio.ByteString;

/** OkHttp, and MockWebServer of the same project. */
class OkHttpPack implements Peer.Pack {
    private OkHttpClient client;

    @Override
    public Peer.Answer dial(URI url, Peer.Events events) throws Exception {
        if (client == null) {
            var factory = Tls.client().getSocketFactory();
            client = new OkHttpClient.Builder().sslSocketFactory(factory, Tls.trust()).build();
        }
        var request = new Request.Builder()
                .url(url.toString())
                .header("Cookie", "session=abc; theme=dark")
                .header("Sec-WebSocket-Protocol", String.join(", ", Peer.SUBPROTOCOLS))
                .build();
        var listener = new Listener(events);
        var socket = client.newWebSocket(request, listener);
        var answer = listener.answer.get(60, TimeUnit.SECONDS);
        return new Peer.Answer(
                new Connection(socket), answer.header("Sec-WebSocket-Protocol"), lower(answer.headers()));
    }

    @Override
    public int serve(boolean secure) throws Exception {
        var server = new MockWebServer();
        server.setProtocols(List.of(Protocol.HTTP_1_1));
        if (secure) server.useHttps(Tls.server().getSocketFactory());
        server.setDispatcher(new Dispatcher() {
            @Override
            public MockResponse dispatch(RecordedRequest request) {
                var offered = request.getHeaders().get("Sec-WebSocket-Protocol");
                var names = offered == null ? List.of() : List.of(offered.split(", *"));
                var chosen = Peer.SUBPROTOCOLS.stream().filter(names::contains).findFirst().orElse(null);
                var served = new Served(request.getTarget(), lower(request.getHeaders()), chosen);
                var response = new MockResponse.Builder()
                        .webSocketUpgrade(new Listener(served))
                        .addHeader("Set-Cookie", "room=7; Path=/; HttpOnly");
                if (chosen != null) response.addHeader("Sec-WebSocket-Protocol", chosen);
                var extensions = request.getHeaders().get("Sec-WebSocket-Extensions");
                if (extensions != null && extensions.startsWith("permessage-deflate")) {
                    response.addHeader("Sec-WebSocket-Extensions", "permessage-deflate");
                }
                return response.build();
            }
        });
        server.start(InetAddress.getByName("127.0.0.1"), 0);
        return server.getPort();
    }

    private static Map<String, String> lower(Headers headers) {
        var made = new LinkedHashMap<String, String>();
        for (var pair : headers) made.merge(pair.getFirst().toLowerCase(), pair.getSecond(), (a, b) -> a + ", " + b);
        return made;
    }

    private record Connection(WebSocket socket) implements Peer.Connection {
        @Override
        public void send(Message message) {
            var sent = message.isText() ? socket.send(message.asText()) : socket.send(ByteString.of(message.data()));
            if (!sent) throw new IllegalStateException("the socket takes no more messages");
        }

        @Override
        public void close(int code, String reason) {
            socket.close(code, reason);
        }
    }

    private static class Listener extends WebSocketListener {
        final CompletableFuture<Response> answer = new CompletableFuture<>();
        private final Peer.Events events;

        Listener(Peer.Events events) {
            this.events = events;
        }

        @Override
        public void onOpen(WebSocket socket, Response response) {
            if (events instanceof Served served) served.opened(new Connection(socket));
            answer.complete(response);
        }

        @Override
        public void onMessage(WebSocket socket, String text) {
            pass(Message.text(text));
        }

        @Override
        public void onMessage(WebSocket socket, ByteString bytes) {
            pass(new Message(false, bytes.toByteArray()));
        }

        @Override
        public void onClosing(WebSocket socket, int code, String reason) {
            socket.close(code, reason); // does nothing if this end was first
        }

        @Override
        public void onClosed(WebSocket socket, int code, String reason) {
            events.closed(code, reason);
        }

        @Override
        public void onFailure(WebSocket socket, Throwable error, Response response) {
            answer.completeExceptionally(error);
            events.failed(error);
        }

        private void pass(Message message) {
            try {
                events.message(message);
            } catch (Exception error) {
                events.failed(error);
            }
        }
    }
}
