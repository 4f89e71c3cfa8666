// A fastify server that answers GET /api/v1/agents as Berth does, from the same tables: for benches/reads.py.
//
// It is meant to be a good one: the key is imported once, who is in a session is remembered and forgotten when the
// database tells of a change, statements are prepared, answers are written by a compiled schema, nothing is logged.
import cluster from "node:cluster";
import Fastify from "fastify";
import { jwtVerify } from "jose";
import pg from "pg";

const { way, processes, port, url, connections, key, kid, issuer } = JSON.parse(process.argv[2]);
const FIRST = "00000000-0000-0000-0000-000000000000";
// One more than a page, as Berth reads to know whether there is a next one.
const LIMIT = 101;
const COLUMNS = "id, name, wanted, seen, machine, proof, created_at";
const ENTER = "select set_config('role', 'berth_tenant', true), set_config('berth.tenant_id', $1, true)";
const AGENTS = `select ${COLUMNS} from agents where id > $1 order by id limit $2`;
const AGENTS_OF = `select ${COLUMNS} from berth.agents_of($1, $2, $3)`;
const CALLER = `select s.user_id, s.tenant_id, s.expires_at
  from sessions s
  join users u on u.id = s.user_id
  join members m on m.user_id = s.user_id and m.tenant_id = s.tenant_id
  join tenants t on t.id = s.tenant_id
  where s.id = $1 and s.expires_at > berth.now()`;

// The text as the answer needs it, where JavaScript's own date would be made and printed again.
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => text.replace(" ", "T").replace("+00", "Z"));

const options = "-c timezone=UTC -c statement_timeout=10s -c idle_in_transaction_session_timeout=15s";
const settings = { connectionString: url, options };

/** The tenant's agents, in one of three ways that all are bound by row security. */
const ways = {
  // As it is usually written: each statement is waited for.
  steps: (pool) => async (tenant) => {
    const client = await pool.connect();
    try {
      await client.query("begin read only");
      await client.query({ name: "enter", text: ENTER, values: [tenant] });
      const { rows } = await client.query({ name: "agents", text: AGENTS, values: [FIRST, LIMIT] });
      await client.query("commit");
      client.release();
      return rows;
    } catch (error) {
      client.release(error);
      throw error;
    }
  },
  // All of it in one round trip.
  pipelined: (pool) => async (tenant) => {
    const client = await pool.connect();
    try {
      const begin = `begin read only; set local role berth_tenant; set local berth.tenant_id = '${tenant}'`;
      const [, { rows }] = await Promise.all([
        client.query(begin),
        client.query({ name: "agents", text: AGENTS, values: [FIRST, LIMIT] }),
        client.query("commit"),
      ]);
      client.release();
      return rows;
    } catch (error) {
      client.release(error);
      throw error;
    }
  },
  // Berth's own function.
  function: (pool) => async (tenant) => {
    const { rows } = await pool.query({ name: "agents_of", text: AGENTS_OF, values: [tenant, FIRST, LIMIT] });
    return rows;
  },
};

/** Who is in a session: looked up once, forgotten when something about it changes. */
async function sessions(pool) {
  const known = new Map();
  let changes = 0;
  const listener = new pg.Client(settings);
  listener.on("error", () => process.exit(1));
  listener.on("notification", ({ payload }) => {
    changes += 1;
    for (const [id, { session, user, tenant }] of known) {
      if ([session, user, tenant].includes(payload)) known.delete(id);
    }
  });
  await listener.connect();
  await listener.query("listen berth_access");
  return async (id) => {
    const kept = known.get(id);
    if (kept) return kept;
    const before = changes;
    const session = uuid(id, "ses");
    if (!session) return undefined;
    const client = await pool.connect();
    try {
      await client.query("begin read only; set local role berth_system");
      const { rows: [row] } = await client.query(CALLER, [session]);
      await client.query("commit");
      client.release();
      if (!row) return undefined;
      const found = { session, user: row.user_id, tenant: row.tenant_id, until: Date.parse(row.expires_at) };
      if (changes === before) known.set(id, found);
      return found;
    } catch (error) {
      client.release(error);
      throw error;
    }
  };
}

const uuid = (id, prefix) =>
  new RegExp(`^${prefix}_[0-9a-f]{32}$`).test(id) &&
  id.slice(4).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
const print = (prefix, id) => `${prefix}_${id.replaceAll("-", "")}`;

const text = { type: "string" };
const maybe = { type: "string", nullable: true };
const object = (properties, nullable = false) => ({ type: "object", nullable, properties });
const AGENT = object({
  id: text,
  name: text,
  wanted: text,
  seen: object({ state: text, since: text, why: text }),
  machine: object({ id: text, isolation: text, image: text, openclaw: maybe, created_at: text }, true),
  proof: object({ id: text, at: text, ok: { type: "boolean" }, latency_ms: { type: "integer", nullable: true }, why: maybe }, true),
  created_at: text,
});
const PAGE = object({ agents: { type: "array", items: AGENT }, next: maybe });

async function serve() {
  const pool = new pg.Pool({ ...settings, max: connections / processes, pipeline: way === "pipelined" });
  pool.on("error", () => process.exit(1));
  const secret = Buffer.from(key, "base64");
  const imported = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  const rules = {
    algorithms: ["HS256"],
    typ: "berth-session+jwt",
    issuer,
    audience: "berth session",
    requiredClaims: ["sub", "sid", "exp", "nbf"],
  };
  const callerIn = await sessions(pool);
  const agentsOf = ways[way](pool);

  async function caller(cookie) {
    const pass = /(?:^|; )berth_session=([^;]+)/.exec(cookie ?? "")?.[1];
    if (!pass) return undefined;
    const read = await jwtVerify(pass, imported, rules).catch(() => undefined);
    if (!read || read.protectedHeader.kid !== kid) return undefined;
    const { sub, sid, exp, nbf } = read.payload;
    const found = exp - nbf <= 900 ? await callerIn(sid) : undefined;
    return found && print("usr", found.user) === sub && Date.now() < found.until ? found : undefined;
  }

  const app = Fastify({ logger: false });
  app.get("/api/v1/agents", { schema: { response: { 200: PAGE } } }, async (request, reply) => {
    const asked = request.headers["x-request-id"];
    if (asked) reply.header("x-request-id", asked);
    const found = await caller(request.headers.cookie);
    if (!found) return reply.code(401).send({ title: "Sign in first." });
    const rows = await agentsOf(found.tenant);
    for (const row of rows) row.id = print("agt", row.id);
    return { agents: rows, next: null };
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
