// Socket.IO: the packages socket.io and socket.io-client.
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { described } from "./conversation.mjs";

// `name` identifies an origin: each answers 400 to a session of another one.
export function serve(server, heard, name) {
  const sockets = new Server(server, { perMessageDeflate: true });
  sockets.engine.on("connection_error", ({ code, message }) => heard({ refused: [code, message] }));
  sockets.on("connection", (socket) => {
    const { url, headers } = socket.request;
    const events = [["connected by", socket.conn.transport.name]];
    socket.conn.on("upgrade", (transport) => events.push(["upgraded to", transport.name]));
    socket.on("echo", (data, answer) => {
      events.push(["echo", described(data)]);
      answer(data);
    });
    socket.on("leave", () => socket.disconnect(true));
    socket.on("disconnect", (reason) => {
      heard({ path: url.split("?")[0], agent: headers["user-agent"], events, reason });
    });
    socket.emit("welcome", { from: name, bytes: Buffer.from([1, 2, 255]) });
  });
}

async function talk(url, { transports, upgraded, leave }) {
  // withCredentials: Node's client stores cookies as a browser does.
  const options = { transports, reconnection: false, forceNew: true, withCredentials: true };
  const socket = io(url.replace(/^ws/, "http"), options);
  const heard = [];
  socket.io.on("open", () => heard.push(["opened by", socket.io.engine.transport.name]));
  const closed = new Promise((resolve) => socket.on("disconnect", resolve));
  const welcome = new Promise((resolve) => socket.on("welcome", resolve));
  await new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("connect_error", reject);
    socket.io.on("close", (reason) => reject(new Error(reason)));
  });
  const { from, bytes } = await welcome;
  heard.push(["welcome", described(bytes)]);
  if (upgraded && socket.io.engine.transport.name !== "websocket") {
    await new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
  }
  for (const data of ["☃", "", Buffer.from([0, 128, 255]), "large ".repeat(30_000), Buffer.alloc(100_000, "binary")]) {
    heard.push(["echo", described(await socket.timeout(10_000).emitWithAck("echo", data))]);
  }
  heard.push(["in the end by", socket.io.engine.transport.name]);
  if (leave) socket.emit("leave");
  else socket.disconnect();
  return { from, heard, closed: await closed };
}

const both = ["polling", "websocket"];

export const scenarios = {
  websocket: (url) => talk(url, { transports: ["websocket"] }),
  left: (url) => talk(url, { transports: ["websocket"], leave: true }),
  polling: (url) => talk(url, { transports: ["polling"] }),
  upgrade: (url) => talk(url, { transports: both, upgraded: true }),
  // The origins of four new clients, one after the other.
  async four(url) {
    const froms = [];
    while (froms.length < 4) froms.push((await talk(url, { transports: both, upgraded: true })).from);
    return { froms };
  },
};
