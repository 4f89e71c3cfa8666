// Looks at simulated machines in the two ways of others. Speaks in lines with benches/sweep.py.
//   serial ADDRESS... : one after the other, as a loop with `await` does
//   exporter URL      : asks a running prometheus-blackbox-exporter, 256 probes at once
import http from "node:http";
import { createInterface } from "node:readline";

const [how, port, machines, exporter] = process.argv.slice(2);
const TIMEOUT_MS = 5000;
const count = Number(machines);
const host = (n) => `127.32.0.${(n % 64) + 1}`;
const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });

function get(options) {
  return new Promise((resolve) => {
    const request = http.get(options, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (piece) => (text += piece));
      answer.on("end", () => resolve({ status: answer.statusCode, text }));
      answer.on("error", () => resolve(null));
    });
    request.setTimeout(options.patience, () => request.destroy());
    request.on("error", () => resolve(null));
  });
}

async function serial() {
  const dead = [];
  for (let n = 0; n < count; n++) {
    const answer = await get({ host: host(n), port, path: `/${n}`, agent: false, patience: TIMEOUT_MS });
    if (answer?.status !== 200 || answer.text !== "ready") dead.push(n);
  }
  return dead;
}

async function byExporter() {
  const dead = [];
  let next = 0;
  const { hostname, port: theirs } = new URL(exporter);
  const loop = async () => {
    while (next < count) {
      const n = next++;
      const target = encodeURIComponent(`http://${host(n)}:${port}/${n}`);
      const path = `/probe?module=machine&target=${target}`;
      const answer = await get({ host: hostname, port: theirs, path, agent, patience: 2 * TIMEOUT_MS });
      if (!answer?.text.includes("\nprobe_success 1")) dead.push(n);
    }
  };
  await Promise.all(Array.from({ length: 256 }, loop));
  return dead;
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
console.log("ready");
await lines.next();
const began = process.hrtime.bigint();
const dead = await (how === "serial" ? serial() : byExporter());
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
console.log(JSON.stringify({ seconds, dead }));
process.exit(0);
