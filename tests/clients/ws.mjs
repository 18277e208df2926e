// The package `ws` on both sides.
import { WebSocket, WebSocketServer } from "ws";
import { conversations, described, patience, SUBPROTOCOLS } from "./conversation.mjs";

export function serve(server, heard) {
  const sockets = new WebSocketServer({ server, perMessageDeflate: true, handleProtocols });
  sockets.on("headers", (headers) => headers.push("Set-Cookie: room=7; Path=/; HttpOnly"));
  sockets.on("connection", (socket, request) => {
    const messages = [];
    const pings = [];
    socket.on("ping", (payload) => pings.push(payload.toString()));
    socket.on("message", (data, isBinary) => {
      const message = isBinary ? data : data.toString();
      messages.push(described(message));
      if (message === "close") socket.close(4002, "the server is done ✓");
      else socket.send(message);
    });
    socket.on("close", (code, reason) => {
      const { url, headers } = request;
      const { protocol, extensions } = socket;
      heard({ url, headers, subprotocol: protocol, extensions, pings, messages, close: [code, reason.toString()] });
    });
  });
}

function handleProtocols(offered) {
  return SUBPROTOCOLS.find((name) => offered.has(name)) ?? false;
}

export const scenarios = {
  async conversations(url) {
    const answers = [];
    const pongs = [];
    const transcript = await conversations((...target) => {
      const socket = new WebSocket(...target, { headers: { Cookie: "session=abc; theme=dark" } });
      socket.on("upgrade", ({ headers }) => answers.push(headers));
      socket.on("pong", (payload) => pongs.push(payload.toString()));
      socket.on("open", () => socket.ping("are you there?"));
      return socket;
    }, `${url}/room?x=1&y=%20`);
    return { ...transcript, answers, pongs };
  },
  patience: (url) => patience((...target) => new WebSocket(...target), `${url}/`),
};
