// Machines that can only be looked at: SSH servers on loopback, one process for all of them, for benches/webhooks.py.
//
// The handshake, the pinned host key, the certificate that is shown and the question are real. Whether the certificate
// is good is not looked at, and the answer is always that the gateway is ready.
import { readFileSync } from "node:fs";
import net from "node:net";
import ssh2 from "ssh2";

const { hostKey, port, addresses } = JSON.parse(process.argv[2]);
const READY = { reply: "status", boot: "", gateway: "ready", in_force: null, memory_bytes: null, disk_free_bytes: null, failing: [] };
const ANSWER = JSON.stringify({ version: 1, outcome: { done: READY } });
let answered = 0;

const server = new ssh2.Server({ hostKeys: [readFileSync(hostKey)] }, (client) => {
  client.on("error", () => {});
  client.on("authentication", (context) => (context.method === "publickey" ? context.accept() : context.reject(["publickey"])));
  client.on("session", (accept) => {
    accept().on("exec", (accept) => {
      const stream = accept();
      stream.resume().on("end", () => {
        answered += 1;
        stream.write(ANSWER);
        stream.exit(0);
        stream.end();
      });
    });
  });
});

for (const host of addresses) {
  await new Promise((done) => net.createServer({ noDelay: true }, (socket) => server.injectSocket(socket)).listen({ host, port }, done));
}
console.log("ready");
process.stdin.on("data", () => console.log(answered)).on("end", () => process.exit());
