// SignalR: the client @microsoft/signalr. Its server needs .NET, so this is a hub of our own, which implements the
// published protocols: HubProtocol.md (JSON records ended by 0x1E) and TransportProtocols.md of ASP.NET Core.
import { HttpTransportType, HubConnectionBuilder, LogLevel } from "@microsoft/signalr";
import { randomUUID } from "node:crypto";
import { WebSocketServer } from "ws";

const END = "\x1e";
const TRANSPORTS = ["WebSockets", "ServerSentEvents", "LongPolling"];
const TYPE = { invocation: 1, item: 2, completion: 3, streamInvocation: 4, cancel: 5, ping: 6, close: 7 };

// One client's connection over any transport. `transport` has send(text).
class Connection {
  #rest = "";
  #pinged;
  #cancelled = new Set();

  constructor() {
    this.events = [];
    this.pinged = new Promise((resolve) => (this.#pinged = resolve));
  }

  receive(text) {
    const records = (this.#rest + text).split(END);
    this.#rest = records.pop();
    for (const record of records) this.#take(JSON.parse(record));
  }

  #send(message) {
    this.transport.send(JSON.stringify(message) + END);
  }

  #take(message) {
    if (!this.greeted) {
      this.greeted = true;
      this.events.push(message);
      const known = message.protocol === "json" && message.version <= 2;
      this.#send(known ? {} : { error: `no protocol ${message.protocol} here` });
    } else if (message.type === TYPE.ping) {
      this.#pinged();
      this.#send({ type: TYPE.ping });
    } else if (message.type === TYPE.cancel) {
      this.#cancelled.add(message.invocationId);
    } else if (message.type === TYPE.invocation || message.type === TYPE.streamInvocation) {
      this.events.push([message.target, JSON.stringify(message.arguments).length]);
      this.#invoke(message).catch((error) => this.#complete(message, { error: error.message }));
    }
  }

  async #invoke(message) {
    const [first] = message.arguments;
    switch (message.target) {
      case "Echo":
        return this.#complete(message, { result: first });
      case "Broadcast": // an invocation of the client's own method; then the completion, if asked for
        this.#send({ type: TYPE.invocation, target: "received", arguments: [first] });
        return this.#complete(message, { result: null });
      case "Pinged":
        await this.pinged;
        return this.#complete(message, { result: true });
      case "Count":
        for (let item = 1; item <= first && !this.#cancelled.has(message.invocationId); item += 1) {
          this.#send({ type: TYPE.item, invocationId: message.invocationId, item });
          await new Promise(setImmediate);
        }
        return this.#complete(message, {});
      case "Leave": // the client closes the transport once it has read this
        return this.#send({ type: TYPE.close, error: "you asked for it" });
      default:
        throw new Error(`there is no method ${message.target}`);
    }
  }

  #complete({ invocationId }, outcome) {
    if (invocationId) this.#send({ type: TYPE.completion, invocationId, ...outcome });
  }
}

export function serve(server, heard, name) {
  const connections = new Map();
  const ended = (token, how) => {
    const connection = connections.get(token);
    if (connections.delete(token)) heard({ events: connection.events, how });
  };

  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true });
  server.on("upgrade", (request, stream, head) => {
    const asked = new URL(request.url, "http://hub").searchParams.get("id");
    const token = asked ?? randomUUID(); // none: the client has skipped the negotiation
    if (asked === null) connections.set(token, new Connection());
    const connection = connections.get(token);
    if (!connection) return stream.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    sockets.handleUpgrade(request, stream, head, (socket) => {
      connection.transport = { send: (text) => socket.send(text) };
      socket.on("message", (data) => connection.receive(data.toString()));
      socket.on("close", (code, reason) => ended(token, [code, reason.toString()]));
    });
  });

  server.on("request", async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://hub");
    const answer = (status, body = "", type = "text/plain") => {
      response.writeHead(status, { "Content-Type": type, "Content-Length": Buffer.byteLength(body) }).end(body);
    };
    if (pathname === "/hub/negotiate") {
      const token = randomUUID();
      connections.set(token, new Connection());
      const availableTransports = TRANSPORTS.map((transport) => ({ transport, transferFormats: ["Text"] }));
      const answered = { negotiateVersion: 1, connectionId: randomUUID(), connectionToken: token, availableTransports };
      return answer(200, JSON.stringify(answered), "application/json");
    }
    const token = searchParams.get("id");
    const connection = connections.get(token);
    if (!connection) return answer(404, `${name} has no such connection`);
    if (request.method === "POST") {
      let body = "";
      for await (const part of request.setEncoding("utf8")) body += part;
      connection.receive(body);
      return answer(200);
    }
    if (request.method === "DELETE") {
      connection.transport.end(); // long polling alone
      ended(token, "deleted");
      return answer(202);
    }
    if (request.headers.accept === "text/event-stream") {
      response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-store" });
      response.write(":\r\n"); // so that the client hears of it at once
      connection.transport = { send: (text) => response.write(`data: ${text}\r\n\r\n`) };
      return response.on("close", () => ended(token, "stream ended"));
    }
    connection.transport ??= new Polls();
    return connection.transport.poll(answer);
  });
}

// The server's side of long polling: each GET is answered once there is a message. The first answer is empty
// and at once, which confirms the connection to the client; 204 ends it.
class Polls {
  #waiting = [];
  #answer;
  #begun = false;
  #over = false;

  send(text) {
    this.#waiting.push(text);
    this.#flush();
  }

  end() {
    this.#over = true;
    this.#flush();
  }

  poll(answer) {
    if (!this.#begun) {
      this.#begun = true;
      return answer(200);
    }
    this.#answer = answer;
    return this.#flush();
  }

  #flush() {
    if (!this.#answer || (this.#waiting.length === 0 && !this.#over)) return;
    const answer = this.#answer;
    this.#answer = undefined;
    if (this.#waiting.length) answer(200, this.#waiting.splice(0).join(""));
    else answer(204);
  }
}

async function talk(url, options) {
  const connection = new HubConnectionBuilder()
    .withUrl(`${url.replace(/^ws/, "http")}/hub`, { logMessageContent: true, ...options })
    .configureLogging(LogLevel.None)
    .build();
  connection.keepAliveIntervalInMilliseconds = 100;
  const heard = [];
  connection.on("received", (text) => heard.push(["received", text]));
  const closed = new Promise((resolve) => connection.onclose((error) => resolve(error?.message ?? null)));
  await connection.start();

  heard.push(["echo", await connection.invoke("Echo", "☃ and 𝄞")]);
  const large = "a message that is large. ".repeat(8000);
  heard.push(["large", (await connection.invoke("Echo", large)) === large]);
  await connection.invoke("Broadcast", "to all");
  await connection.send("Broadcast", "without an answer");
  heard.push(["refused", await connection.invoke("Nonsense").catch((error) => error.message)]);
  await new Promise((complete, error) => {
    connection.stream("Count", 3).subscribe({ next: (item) => heard.push(["item", item]), complete, error });
  });
  await new Promise((resolve) => {
    const subscription = connection.stream("Count", 1_000_000).subscribe({
      next(item) {
        if (item !== 3) return;
        subscription.dispose(); // cancelled by the client
        resolve();
      },
      complete() {},
      error() {},
    });
  });
  // Long polling needs no pings, and its client sends none.
  if (options.transport !== HttpTransportType.LongPolling) heard.push(["pinged", await connection.invoke("Pinged")]);
  if (options.leave) await connection.send("Leave");
  else await connection.stop();
  return { heard, closed: await closed };
}

const skipNegotiation = { transport: HttpTransportType.WebSockets, skipNegotiation: true };

export const scenarios = {
  direct: (url) => talk(url, skipNegotiation),
  left: (url) => talk(url, { ...skipNegotiation, leave: true }),
  websockets: (url) => talk(url, { transport: HttpTransportType.WebSockets }),
  events: (url) => talk(url, { transport: HttpTransportType.ServerSentEvents }),
  polls: (url) => talk(url, { transport: HttpTransportType.LongPolling }),
};
