// Reads lines {"module", "scenario", "url"}; answers each with the transcript of that scenario's client.
import dns from "node:dns";
import { createInterface } from "node:readline";

// Every name resolves to this machine, as by a line in /etc/hosts.
const lookup = dns.lookup;
dns.lookup = (_, options, done) => lookup("127.0.0.1", options, done);

for await (const line of createInterface({ input: process.stdin })) {
  const { module, scenario, url } = JSON.parse(line);
  const { scenarios } = await import(`./${module}.mjs`);
  const answer = await scenarios[scenario](url).catch((error) => ({ error: `${error.stack ?? error} ${error.cause ?? ""}` }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit();
