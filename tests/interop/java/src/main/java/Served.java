import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** One connection of a server: it echoes, closes when it is asked to, and says its transcript at the end. */
class Served implements Peer.Events {
    private final List<Object> messages = new ArrayList<>();
    private final Map<String, Object> transcript = new LinkedHashMap<>();
    private Peer.Connection connection;

    Served(String url, Map<String, String> headers, String subprotocol) {
        transcript.put("url", url);
        transcript.put("headers", headers);
        transcript.put("subprotocol", subprotocol);
    }

    void opened(Peer.Connection connection) {
        this.connection = connection;
    }

    @Override
    public void message(Message message) throws Exception {
        messages.add(message.described());
        if (message.isText() && message.asText().equals("close")) {
            connection.close(4002, "the server is done ✓");
        } else {
            connection.send(message);
        }
    }

    @Override
    public void closed(int code, String reason) {
        transcript.put("messages", messages);
        transcript.put("close", List.of(code, reason));
        Json.say(transcript);
    }

    @Override
    public void failed(Throwable error) {
        error.printStackTrace();
        transcript.put("error", error.toString());
        Json.say(transcript);
    }
}
