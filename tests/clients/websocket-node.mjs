// The package `websocket` (WebSocket-Node), by its own interface: its W3C one loses empty texts. It has no extensions.
import websocket from "websocket";
import { conversations, patience } from "./conversation.mjs";

const HEADERS = { Cookie: "session=abc; theme=dark" };

// The events of the browser's WebSocket.
class Socket extends EventTarget {
  constructor(url, protocols) {
    super();
    const client = new websocket.client({ closeTimeout: 60_000 });
    client.on("connectFailed", (error) => this.#tell("close", { code: 1006, reason: String(error) }));
    client.on("connect", (connection) => {
      this.connection = connection;
      this.protocol = connection.protocol;
      connection.on("message", ({ type, utf8Data, binaryData }) => {
        this.#tell("message", { data: type === "utf8" ? utf8Data : binaryData });
      });
      connection.on("close", (code, reason) => this.#tell("close", { code, reason }));
      this.#tell("open");
    });
    client.connect(url, protocols, undefined, HEADERS);
  }

  send(message) {
    if (typeof message === "string") this.connection.sendUTF(message);
    else this.connection.sendBytes(Buffer.from(message));
  }

  close(code, reason) {
    this.connection.close(code, reason);
  }

  #tell(type, facts = {}) {
    this.dispatchEvent(Object.assign(new Event(type), facts));
  }
}

const connect = (...target) => new Socket(...target);

export const scenarios = {
  conversations: (url) => conversations(connect, `${url}/room?x=1&y=%20`),
  patience: (url) => patience(connect, `${url}/`),
};
