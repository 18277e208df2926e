// SockJS: the packages sockjs and sockjs-client; `/` is a page in which the client runs too.
import { readFileSync } from "node:fs";
import SockJS from "sockjs-client";
import sockjs from "sockjs";
import { described } from "./conversation.mjs";
import { talk } from "./sockjs-client.mjs";

const PAGE = {
  "/": ["text/html", '<!doctype html><title>SockJS</title><script src="/sockjs.js"></script>'],
  "/sockjs.js": ["text/javascript", file("node_modules/sockjs-client/dist/sockjs.min.js")],
  "/sockjs-client.mjs": ["text/javascript", file("sockjs-client.mjs")],
  "/conversation.mjs": ["text/javascript", file("conversation.mjs")],
};

function file(name) {
  return readFileSync(new URL(name, import.meta.url), "utf8");
}

export function serve(server, heard, name) {
  server.on("request", ({ url }, response) => {
    const [type, text] = PAGE[url] ?? ["text/plain", ""];
    response.writeHead(text ? 200 : 404, { "Content-Type": type }).end(text);
  });
  // Milliseconds for which a session survives without a poll.
  const service = sockjs.createServer({ log: () => {}, disconnect_delay: 2500 });
  service.on("connection", (connection) => {
    const events = [];
    connection.on("data", (data) => {
      events.push(described(data));
      if (data === "leave") connection.close(4002, "the server is done ✓");
      else connection.write(data);
    });
    connection.on("close", () => heard({ protocol: connection.protocol, events }));
    connection.write(name);
  });
  service.installHandlers(server, { prefix: "/chat" });
}

export const scenarios = {
  websocket: (url) => talk(SockJS, url, "websocket"),
  "xhr-streaming": (url) => talk(SockJS, url, "xhr-streaming"),
  "xhr-polling": (url) => talk(SockJS, url, "xhr-polling"),
  left: (url) => talk(SockJS, url, "websocket", { leave: true }),
};
