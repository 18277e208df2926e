import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.codec.http.DefaultHttpHeaders;
import io.netty.handler.codec.http.HttpClientCodec;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.websocketx.BinaryWebSocketFrame;
import io.netty.handler.codec.http.websocketx.CloseWebSocketFrame;
import io.netty.handler.codec.http.websocketx.TextWebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketClientProtocolConfig;
import io.netty.handler.codec.http.websocketx.WebSocketClientProtocolHandler;
import io.netty.handler.codec.http.websocketx.WebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketFrameAggregator;
import io.netty.handler.codec.http.websocketx.WebSocketServerProtocolConfig;
import io.netty.handler.codec.http.websocketx.WebSocketServerProtocolHandler;
import io.netty.handler.codec.http.websocketx.extensions.compression.WebSocketClientCompressionHandler;
import io.netty.handler.codec.http.websocketx.extensions.compression.WebSocketServerCompressionHandler;
import io.netty.handler.ssl.SslHandler;
import java.net.URI;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;

/** Netty: its client sends header names in lower case, and an Origin. */
class NettyPack implements Peer.Pack {
    private final MultiThreadIoEventLoopGroup threads = new MultiThreadIoEventLoopGroup(2, NioIoHandler.newFactory());

    @Override
    public Peer.Answer dial(URI url, Peer.Events events) throws Exception {
        var config = WebSocketClientProtocolConfig.newBuilder()
                .webSocketUri(url)
                .subprotocol(String.join(", ", Peer.SUBPROTOCOLS))
                .allowExtensions(true)
                .maxFramePayloadLength(Peer.LONGEST)
                .customHeaders(new DefaultHttpHeaders().add("Cookie", "session=abc; theme=dark"))
                .handleCloseFrames(false)
                .sendCloseFrame(null)
                .build();
        var handler = new WebSocketClientProtocolHandler(config);
        var end = new End(events);
        var tls = url.getScheme().equals("wss") ? Tls.client() : null;
        var headers = new CompletableFuture<Map<String, String>>();
        new Bootstrap()
                .group(threads)
                .channel(NioSocketChannel.class)
                .handler(new ChannelInitializer<SocketChannel>() {
                    @Override
                    protected void initChannel(SocketChannel channel) {
                        if (tls != null) channel.pipeline().addLast(secured(tls, url));
                        channel.pipeline()
                                .addLast(new HttpClientCodec(), new Heads(headers), new HttpObjectAggregator(8192))
                                .addLast(new WebSocketClientCompressionHandler(Peer.LONGEST), handler)
                                .addLast(new WebSocketFrameAggregator(Peer.LONGEST), end);
                    }
                })
                .connect("127.0.0.1", url.getPort())
                .sync();
        end.opened.get(60, TimeUnit.SECONDS);
        return new Peer.Answer(end, handler.handshaker().actualSubprotocol(), headers.get(60, TimeUnit.SECONDS));
    }

    private static SslHandler secured(SSLContext context, URI url) {
        var engine = context.createSSLEngine(url.getHost(), url.getPort());
        engine.setUseClientMode(true);
        return new SslHandler(engine);
    }

    @Override
    public int serve(boolean secure) throws Exception {
        var tls = secure ? Tls.server() : null;
        var config = WebSocketServerProtocolConfig.newBuilder()
                .websocketPath("/")
                .checkStartsWith(true)
                .subprotocols(String.join(",", Peer.SUBPROTOCOLS))
                .allowExtensions(true)
                .maxFramePayloadLength(Peer.LONGEST)
                .handleCloseFrames(false)
                .sendCloseFrame(null)
                .build();
        var listening = new ServerBootstrap()
                .group(threads)
                .channel(NioServerSocketChannel.class)
                .childHandler(new ChannelInitializer<SocketChannel>() {
                    @Override
                    protected void initChannel(SocketChannel channel) {
                        if (tls != null) {
                            var engine = tls.createSSLEngine();
                            engine.setUseClientMode(false);
                            channel.pipeline().addLast(new SslHandler(engine));
                        }
                        channel.pipeline()
                                .addLast(new HttpServerCodec(), new HttpObjectAggregator(8192))
                                .addLast(new WebSocketServerCompressionHandler(Peer.LONGEST))
                                .addLast(new WebSocketServerProtocolHandler(config))
                                .addLast(new WebSocketFrameAggregator(Peer.LONGEST), new End(null));
                    }
                })
                .bind("127.0.0.1", 0)
                .sync();
        return ((java.net.InetSocketAddress) listening.channel().localAddress()).getPort();
    }

    private static Map<String, String> lower(HttpHeaders headers) {
        var made = new LinkedHashMap<String, String>();
        for (var pair : headers) made.merge(pair.getKey().toLowerCase(), pair.getValue(), (a, b) -> a + ", " + b);
        return made;
    }

    /** Reads the headers of the answer, which the handler of the client keeps to itself. */
    private static class Heads extends SimpleChannelInboundHandler<HttpResponse> {
        private final CompletableFuture<Map<String, String>> headers;

        Heads(CompletableFuture<Map<String, String>> headers) {
            super(false);
            this.headers = headers;
        }

        @Override
        protected void channelRead0(ChannelHandlerContext context, HttpResponse answer) {
            headers.complete(lower(answer.headers()));
            context.fireChannelRead(answer);
        }
    }

    /** The end of the pipeline, for both sides: a server's has no events before its handshake. */
    private static class End extends SimpleChannelInboundHandler<WebSocketFrame> implements Peer.Connection {
        final CompletableFuture<Channel> opened = new CompletableFuture<>();
        private final boolean isServer;
        private Peer.Events events;
        private boolean sentClose;

        End(Peer.Events events) {
            this.events = events;
            isServer = events == null;
        }

        @Override
        public void userEventTriggered(ChannelHandlerContext context, Object event) {
            if (event instanceof WebSocketServerProtocolHandler.HandshakeComplete done) {
                var served = new Served(done.requestUri(), lower(done.requestHeaders()), done.selectedSubprotocol());
                served.opened(this);
                events = served;
                opened.complete(context.channel());
            } else if (event == WebSocketClientProtocolHandler.ClientHandshakeStateEvent.HANDSHAKE_COMPLETE) {
                opened.complete(context.channel());
            }
        }

        @Override
        protected void channelRead0(ChannelHandlerContext context, WebSocketFrame frame) throws Exception {
            if (frame instanceof CloseWebSocketFrame close) {
                events.closed(close.statusCode(), close.reasonText());
                if (!sentClose) context.writeAndFlush(new CloseWebSocketFrame(close.statusCode(), close.reasonText()));
                if (isServer) context.channel().close();
                return;
            }
            var bytes = new byte[frame.content().readableBytes()];
            frame.content().readBytes(bytes);
            if (frame instanceof TextWebSocketFrame) events.message(new Message(true, bytes));
            if (frame instanceof BinaryWebSocketFrame) events.message(new Message(false, bytes));
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable error) {
            opened.completeExceptionally(error);
            if (events != null) events.failed(error);
            context.close();
        }

        @Override
        public void send(Message message) throws Exception {
            var data = Unpooled.wrappedBuffer(message.data());
            var frame = message.isText() ? new TextWebSocketFrame(data) : new BinaryWebSocketFrame(data);
            opened.get().writeAndFlush(frame);
        }

        @Override
        public void close(int code, String reason) throws Exception {
            sentClose = true;
            opened.get().writeAndFlush(new CloseWebSocketFrame(code, reason));
        }
    }
}
