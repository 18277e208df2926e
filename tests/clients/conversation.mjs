// The transcript of a client; runs in Node and in a page, since it uses only the browser's WebSocket.
// Conversation.java and conversation.py have the same conversations.

export const SUBPROTOCOLS = ["chat.v2", "chat.v1"];

const MESSAGES = [
  "hello",
  "",
  "héllo wörld ☃ 𝄞",
  Uint8Array.from({ length: 256 }, (_, place) => place),
  "a message that deflates well. ".repeat(7000),
  noise(100_000),
];

// Bytes that do not compress.
function noise(length) {
  let state = 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 16) & 255;
  });
}

// Type, bytes and CRC-32 of a message.
export function described(data) {
  const type = typeof data === "string" ? "text" : "binary";
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
  return [type, bytes.length, crc32(bytes)];
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

function crc32(bytes) {
  let rest = 0xffffffff;
  for (const byte of bytes) rest = TABLE[(rest ^ byte) & 255] ^ (rest >>> 8);
  return (rest ^ 0xffffffff) >>> 0;
}

// Two conversations; `connect(url, subprotocols)` returns a WebSocket. The first is closed by the client, the second by the server.
export async function conversations(connect, url) {
  const ended = { client: undefined, server: undefined };
  for (const who of Object.keys(ended)) {
    const socket = open(connect, url);
    for (const message of MESSAGES) socket.send(message);
    const messages = [];
    while (messages.length < MESSAGES.length) messages.push(described(await socket.next()));
    if (who === "client") socket.close(4001, "the client is done ✓");
    else socket.send("close");
    ended[who] = { messages, ...(await socket.closed) };
  }
  return ended;
}

// A client that sends nothing until the server does.
export async function patience(connect, url) {
  const socket = open(connect, url);
  socket.send("wait");
  const messages = [described(await socket.next())];
  socket.close(1000, "");
  return { messages, ...(await socket.closed) };
}

function open(connect, url) {
  const socket = connect(url, SUBPROTOCOLS);
  socket.binaryType = "arraybuffer";
  const arrived = [];
  let wake = () => {};
  let failed;
  const opened = new Promise((resolve) => socket.addEventListener("open", resolve));
  const closed = new Promise((resolve) => {
    socket.addEventListener("close", ({ code, reason }) => {
      failed = new Error(`closed with ${code} ${reason}`);
      wake();
      resolve({ subprotocol: socket.protocol, extensions: socket.extensions, close: [code, reason] });
    });
  });
  socket.addEventListener("error", (event) => console.error(event.message));
  socket.addEventListener("message", ({ data }) => {
    arrived.push(data);
    wake();
  });
  return {
    closed,
    send: (message) => opened.then(() => socket.send(message)),
    close: (code, reason) => socket.close(code, reason),
    async next() {
      while (arrived.length === 0) {
        if (failed) throw failed;
        await new Promise((resolve) => (wake = resolve));
      }
      return arrived.shift();
    },
  };
}
