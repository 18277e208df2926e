// MQTT over WebSocket: the client mqtt.js, the broker aedes.
import aedes from "aedes";
import mqtt from "mqtt";
import { createWebSocketStream, WebSocketServer } from "ws";
import { described } from "./conversation.mjs";

export function serve(server, heard) {
  const broker = aedes();
  const sockets = new WebSocketServer({ server, handleProtocols: () => "mqtt" });
  sockets.on("connection", (socket, request) => {
    const events = [];
    // Without the close code: after MQTT's DISCONNECT both ends close the connection, and either may be first.
    socket.on("close", () => heard({ url: request.url, subprotocol: socket.protocol, events }));
    const client = broker.handle(createWebSocketStream(socket), request);
    client.heard = (...event) => events.push(event);
  });
  broker.on("client", (client) => client.heard("connect", client.id));
  broker.on("subscribe", (topics, client) => client.heard("subscribe", topics.map(({ topic, qos }) => [topic, qos])));
  broker.on("publish", ({ topic, payload, qos, retain }, client) => {
    client?.heard("publish", topic, described(payload), qos, retain);
  });
  broker.on("ping", (_, client) => client.pinged || (client.pinged = true) && client.heard("ping"));
}

export const scenarios = {
  async publish(url) {
    const client = await mqtt.connectAsync(`${url}/mqtt`, {
      clientId: "a client",
      keepalive: 1,
      reconnectPeriod: 0,
    });
    const arrived = [];
    let wake;
    client.on("message", (topic, payload, { qos, retain }) => {
      arrived.push([topic, described(payload), qos, retain]);
      wake?.();
    });
    const arrive = async (count) => {
      while (arrived.length < count) await new Promise((resolve) => (wake = resolve));
    };
    const pong = new Promise((resolve) => {
      client.on("packetreceive", ({ cmd }) => cmd === "pingresp" && resolve(cmd));
    });

    const granted = (await client.subscribeAsync("room/#", { qos: 2 })).map(({ topic, qos }) => [topic, qos]);
    await client.publishAsync("room/retained", "to late ones", { qos: 1, retain: true });
    await arrive(1);
    for (const qos of [0, 1, 2]) {
      await client.publishAsync(`room/${qos}`, `hello ${qos}`, { qos });
      await arrive(2 + qos);
    }
    await client.publishAsync("room/large", Buffer.alloc(100_000, "large "), { qos: 2 });
    await arrive(5);
    await client.unsubscribeAsync("room/#");
    await client.subscribeAsync("room/retained", { qos: 1 }); // a late subscriber
    await arrive(6);
    await client.publishAsync("room/retained", "", { qos: 1, retain: true });
    const answer = await pong;
    await client.endAsync();
    return { granted, arrived, answer };
  },
};
