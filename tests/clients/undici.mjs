// The WebSocket of undici, which is also Node's own.
import { WebSocket } from "undici";
import { conversations, patience } from "./conversation.mjs";

const connect = (url, protocols) => new WebSocket(url, { protocols, headers: { Cookie: "session=abc; theme=dark" } });

export const scenarios = {
  conversations: (url) => conversations(connect, `${url}/room?x=1&y=%20`),
  patience: (url) => patience(connect, `${url}/`),
};
