// node origins.mjs MODULE[:INSTANCE]...: an HTTP and an HTTPS server each. The first line of the output has their
// ports; each other one is the transcript of a connection that has ended.
import { readFileSync } from "node:fs";
import { createServer as createHttp } from "node:http";
import { createServer as createHttps } from "node:https";

const tls = { cert: readFileSync(process.env.TLS_CERTIFICATE), key: readFileSync(process.env.TLS_KEY) };
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const ports = {};
for (const name of process.argv.slice(2)) {
  const { serve } = await import(`./${name.split(":")[0]}.mjs`);
  ports[name] = {};
  for (const [scheme, server] of Object.entries({ ws: createHttp(), wss: createHttps(tls) })) {
    serve(server, (heard) => say({ from: name, ...heard }), name);
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    ports[name][scheme] = server.address().port;
  }
}
say(ports);

process.stdin.resume();
process.stdin.on("end", () => process.exit());
