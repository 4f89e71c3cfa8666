// A fastify server that takes Stripe's webhooks with Stripe's own library and keeps them by pg: for benches/webhooks.py.
//
// It is meant to be a good one: the raw body is checked, the row goes in by one prepared statement that commits by
// itself, nothing is logged, and ids grow with time as Berth's do. It answers once the row is committed.
import cluster from "node:cluster";
import { randomFillSync } from "node:crypto";
import Fastify from "fastify";
import pg from "pg";
import Stripe from "stripe";

const { way, processes, port, url, connections, secret } = JSON.parse(process.argv[2]);
const INSERT = `insert into peer.events (id, sender, name, kind, is_live, body) values ($1, 'stripe', $2, $3, $4, $5)
  on conflict (sender, name) do nothing`;
const ways = {
  // The event, and nothing that would bring anybody to look at it.
  event: { name: "event", text: INSERT, more: () => [] },
  // The same with a job in the same commit, as Berth does it.
  job: {
    name: "job",
    text: `with kept as (${INSERT} returning id)
      insert into peer.flows (id, kind, subject, step, deadline_at)
      select $6, 'event', kept.id, $7, now() + interval '1 hour' from kept`,
    more: () => [uuid(), '{"step":"read"}'],
  },
};

/** One that grows with time, so that its index is written at one end. */
function uuid() {
  const bytes = randomFillSync(Buffer.allocUnsafe(16));
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

async function serve() {
  const pool = new pg.Pool({ connectionString: url, max: connections / processes });
  pool.on("error", () => process.exit(1));
  const stripe = new Stripe("sk_test_bench_0123456789");
  const { name, text, more } = ways[way];
  const app = Fastify({ logger: false });
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_, body, done) => done(null, body));
  app.post("/webhooks/stripe", async (request, reply) => {
    let event;
    try {
      event = stripe.webhooks.constructEvent(request.body, request.headers["stripe-signature"], secret);
    } catch {
      return reply.code(400).send({ title: "This is not taken for Stripe's." });
    }
    const values = [uuid(), event.id, event.type, event.livemode, request.body, ...more()];
    await pool.query({ name, text, values });
    return reply.code(204).send();
  });
  await app.listen({ host: "127.0.0.1", port });
}

// Whoever started it is gone, or ends it.
const until = (end) => {
  process.on("SIGTERM", end);
  process.stdin.on("end", end).resume();
};

if (processes > 1 && cluster.isPrimary) {
  const workers = Array.from({ length: processes }, () => cluster.fork());
  const end = () => {
    for (const worker of workers) worker.process.kill("SIGKILL");
    process.exit();
  };
  cluster.on("exit", end);
  until(end);
} else {
  await serve();
  if (!cluster.isWorker) until(() => process.exit());
}
