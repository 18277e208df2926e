// SockJS: the packages sockjs and sockjs-client.
import SockJS from "sockjs-client";
import sockjs from "sockjs";
import { described } from "./conversation.mjs";

export function serve(server, heard, { name = "only" } = {}) {
  const service = sockjs.createServer({ log: () => {}, disconnect_delay: 500 });
  service.on("connection", (connection) => {
    const events = [];
    connection.on("data", (data) => {
      events.push(described(data));
      if (data === "leave") connection.close(4002, "the server is done ✓");
      else connection.write(data);
    });
    connection.on("close", () => heard({ name, protocol: connection.protocol, events }));
    connection.write(`from ${name}`);
  });
  service.installHandlers(server, { prefix: "/chat" });
}

async function talk(url, kind, { leave = false } = {}) {
  const socket = new SockJS(`${url.replace(/^ws/, "http")}/chat`, null, { transports: [kind] });
  const messages = ["☃", "", "large ".repeat(20_000)];
  const heard = [];
  let transport;
  return new Promise((resolve) => {
    socket.onopen = () => {
      transport = socket.transport;
      messages.forEach((message) => socket.send(message));
    };
    socket.onmessage = ({ data }) => {
      heard.push(described(data));
      if (heard.length < 1 + messages.length) return;
      if (leave) socket.send("leave");
      else socket.close(4001, "the client is done ✓");
    };
    socket.onclose = ({ code, reason, wasClean }) => {
      resolve({ transport, heard, closed: [code, reason, wasClean] });
    };
  });
}

export const scenarios = {
  websocket: (url) => talk(url, "websocket"),
  "xhr-streaming": (url) => talk(url, "xhr-streaming"),
  "xhr-polling": (url) => talk(url, "xhr-polling"),
  left: (url) => talk(url, "websocket", { leave: true }),
};
