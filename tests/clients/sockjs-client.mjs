// The transcript of a SockJS client, in Node and in a page.
import { described } from "./conversation.mjs";

const MESSAGES = ["☃", "", "large ".repeat(20_000)];

export function talk(SockJS, url, kind, { leave = false } = {}) {
  const socket = new SockJS(`${url.replace(/^ws/, "http")}/chat`, null, { transports: [kind] });
  const heard = [];
  let from;
  let transport;
  return new Promise((resolve) => {
    socket.onopen = () => {
      transport = socket.transport;
      MESSAGES.forEach((message) => socket.send(message));
    };
    socket.onmessage = ({ data }) => {
      if (!from) from = data;
      else heard.push(described(data));
      if (heard.length < MESSAGES.length) return;
      if (leave) socket.send("leave");
      else socket.close(4001, "the client is done ✓");
    };
    socket.onclose = ({ code, reason, wasClean }) => {
      resolve({ from, transport, heard, closed: [code, reason, wasClean] });
    };
  });
}
