// Brings a new key to machines as control planes do that have no machine side of their own: node-ssh and shell lines.
// Speaks in lines with benches/credential.py: each `REQUEST SLEEPS` is answered, when told to go, with milliseconds.
// REQUEST is a file that lists machines and values, all worked on at once; SLEEPS is `sleeps` or `none`.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { NodeSSH } from "node-ssh";

const { machines, account, key } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const privateKey = readFileSync(key, "utf8");

async function run(ssh, line) {
  const { code, stderr } = await ssh.execCommand(line);
  if (code !== 0) throw new Error(`${line.split(" ")[0]} ended with ${code}: ${stderr}`);
}

async function updateApiKey({ host, port, file, restart, value }, sleeps) {
  const ssh = new NodeSSH();
  await ssh.connect({ host, port, username: account, privateKey });
  // In the command line, as such scripts have it: whoever lists processes there reads it.
  const encoded = Buffer.from(value).toString("base64");
  await run(ssh, `umask 077; echo '${encoded}' | base64 -d > '${file}.tmp' && mv '${file}.tmp' '${file}'`);
  if (sleeps) await run(ssh, "sleep 2");
  await run(ssh, restart);
  if (sleeps) await run(ssh, "sleep 5");
  await run(ssh, `test -s '${file}'`);
  ssh.dispose();
}

console.log("ready");
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
for (let line; !(line = await lines.next()).done; ) {
  const [request, sleeps] = line.value.split(" ");
  const wanted = JSON.parse(readFileSync(request, "utf8"));
  console.log("set");
  await lines.next();
  const took = await Promise.all(
    wanted.map(async ({ machine, value }) => {
      const began = performance.now();
      await updateApiKey({ ...machines[machine], value }, sleeps === "sleeps");
      return performance.now() - began;
    }),
  );
  console.log(JSON.stringify(took));
}
