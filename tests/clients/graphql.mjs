// GraphQL subscriptions over WebSocket: graphql-ws on both sides.
import { GraphQLError, GraphQLInt, GraphQLObjectType, GraphQLSchema, GraphQLString } from "graphql";
import { createClient } from "graphql-ws";
import { useServer } from "graphql-ws/lib/use/ws";
import { WebSocket, WebSocketServer } from "ws";

const schema = new GraphQLSchema({
  query: new GraphQLObjectType({
    name: "Query",
    fields: {
      echo: {
        type: GraphQLString,
        args: { text: { type: GraphQLString } },
        resolve: (_, { text }) => text,
      },
      refusal: {
        type: GraphQLString,
        resolve() {
          throw new GraphQLError("not for you");
        },
      },
    },
  }),
  subscription: new GraphQLObjectType({
    name: "Subscription",
    fields: {
      count: {
        type: GraphQLInt,
        args: { to: { type: GraphQLInt } },
        async *subscribe(_, { to }) {
          for (let count = 1; count <= to; count += 1) yield { count };
        },
      },
    },
  }),
});

export function serve(server, heard) {
  const sockets = new WebSocketServer({ server, path: "/graphql", perMessageDeflate: true });
  sockets.on("connection", (socket, request) => {
    const types = [];
    socket.on("message", (data) => types.push(JSON.parse(data).type));
    socket.on("close", (code, reason) => {
      const { protocol, extensions } = socket;
      heard({ url: request.url, subprotocol: protocol, extensions, types, close: [code, reason.toString()] });
    });
  });
  useServer({ schema, onConnect: ({ connectionParams }) => connectionParams?.token === "secret" }, sockets);
}

export const scenarios = {
  async operations(url) {
    const said = [];
    const client = createClient({
      url: `${url}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { token: "secret" },
      lazy: false,
      retryAttempts: 0,
      on: { message: ({ id: _, ...message }) => said.push(message) },
    });
    const closed = new Promise((resolve) => {
      client.on("closed", ({ code, reason }) => resolve([code, reason]));
    });
    const results = [];
    for (const query of [
      `{ echo(text: "☃") }`,
      `{ echo(text: "${"large ".repeat(20_000)}") }`,
      "{ refusal }",
      "{ nonsense }",
      "subscription { count(to: 3) }",
    ]) {
      try {
        for await (const result of client.iterate({ query })) results.push(result);
      } catch (error) {
        results.push({ error });
      }
    }
    for await (const { data } of client.iterate({ query: "subscription { count(to: 1000000) }" })) {
      if (data.count === 3) break; // completed by the client
    }
    await client.dispose();
    const pairs = said.filter(({ payload }) => !(payload?.data?.count > 3)); // how many were under way is chance
    return { results, said: pairs, closed: await closed };
  },
  // A client without the token: closed by the server with 4403.
  async refusal(url) {
    const options = { webSocketImpl: WebSocket, lazy: false, retryAttempts: 0, onNonLazyError: () => {} };
    const client = createClient({ url: `${url}/graphql`, ...options });
    return new Promise((resolve) => {
      client.on("closed", ({ code, reason }) => resolve({ closed: [code, reason] }));
    });
  },
};
