import java.net.URI;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.eclipse.jetty.http.HttpCookieStore;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.ssl.SslContextFactory;
import org.eclipse.jetty.websocket.api.Callback;
import org.eclipse.jetty.websocket.api.Session;
import org.eclipse.jetty.websocket.client.ClientUpgradeRequest;
import org.eclipse.jetty.websocket.client.WebSocketClient;
import org.eclipse.jetty.websocket.server.WebSocketUpgradeHandler;

/** Jetty. */
class JettyPack implements Peer.Pack {
    private WebSocketClient client;

    @Override
    public Peer.Answer dial(URI url, Peer.Events events) throws Exception {
        if (client == null) {
            var tls = new SslContextFactory.Client();
            tls.setSslContext(Tls.client());
            client = new WebSocketClient();
            client.getHttpClient().setSslContextFactory(tls);
            client.getHttpClient().setHttpCookieStore(new HttpCookieStore.Empty());
            client.setMaxTextMessageSize(Peer.LONGEST);
            client.setMaxBinaryMessageSize(Peer.LONGEST);
            client.start();
        }
        var request = new ClientUpgradeRequest(url);
        request.setHeader("Cookie", "session=abc; theme=dark");
        request.setSubProtocols(Peer.SUBPROTOCOLS);
        request.addExtensions("permessage-deflate");
        var session = client.connect(new Listener(events), request).get(60, TimeUnit.SECONDS);
        var answer = session.getUpgradeResponse();
        var headers = new LinkedHashMap<String, String>();
        answer.getHeaders().forEach((name, values) -> headers.put(name.toLowerCase(), String.join(", ", values)));
        return new Peer.Answer(new Connection(session), answer.getAcceptedSubProtocol(), headers);
    }

    @Override
    public int serve(boolean secure) throws Exception {
        var server = new Server();
        var connector = secure ? new ServerConnector(server, tls()) : new ServerConnector(server);
        connector.setHost("127.0.0.1");
        server.addConnector(connector);
        server.setHandler(WebSocketUpgradeHandler.from(server, container -> {
            container.setMaxTextMessageSize(Peer.LONGEST);
            container.setMaxBinaryMessageSize(Peer.LONGEST);
            container.addMapping("/*", (request, response, callback) -> {
                var chosen = Peer.SUBPROTOCOLS.stream().filter(request::hasSubProtocol).findFirst().orElse(null);
                if (chosen != null) response.setAcceptedSubProtocol(chosen);
                response.getHeaders().add("Set-Cookie", "room=7; Path=/; HttpOnly");
                Map<String, String> headers = new LinkedHashMap<>();
                for (var field : request.getHeaders()) {
                    headers.merge(field.getLowerCaseName(), field.getValue(), (one, other) -> one + ", " + other);
                }
                return new Listener(new Served(request.getHttpURI().getPathQuery(), headers, chosen));
            });
        }));
        server.start();
        return connector.getLocalPort();
    }

    private static SslContextFactory.Server tls() throws Exception {
        var factory = new SslContextFactory.Server();
        factory.setKeyStore(Tls.serverKeys()); // by which Jetty compares SNI and Host
        factory.setKeyStorePassword("");
        return factory;
    }

    private record Connection(Session session) implements Peer.Connection {
        @Override
        public void send(Message message) throws Exception {
            var sent = new Callback.Completable();
            if (message.isText()) session.sendText(message.asText(), sent);
            else session.sendBinary(ByteBuffer.wrap(message.data()), sent);
            sent.get(60, TimeUnit.SECONDS);
        }

        @Override
        public void close(int code, String reason) {
            session.close(code, reason, Callback.NOOP);
        }
    }

    /** Jetty calls it by reflection, so it is public. */
    public static class Listener implements Session.Listener.AutoDemanding {
        private final Peer.Events events;

        Listener(Peer.Events events) {
            this.events = events;
        }

        @Override
        public void onWebSocketOpen(Session session) {
            if (events instanceof Served served) served.opened(new Connection(session));
        }

        @Override
        public void onWebSocketText(String text) {
            pass(Message.text(text));
        }

        @Override
        public void onWebSocketBinary(ByteBuffer data, Callback callback) {
            var bytes = new byte[data.remaining()];
            data.get(bytes);
            callback.succeed();
            pass(new Message(false, bytes));
        }

        @Override
        public void onWebSocketClose(int code, String reason, Callback callback) {
            events.closed(code, reason == null ? "" : reason);
            callback.succeed();
        }

        @Override
        public void onWebSocketError(Throwable error) {
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
