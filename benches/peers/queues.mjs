// The other queues: prepare puts jobs in, work takes them out. Speaks in lines with benches/claims.py.
import { createInterface } from "node:readline";
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { PgBoss } from "pg-boss";

const [what, side, url, ...numbers] = process.argv.slice(2);
const QUEUE = "nothing";
const quiet = new Logger(() => () => {});
const effects = [];

const boss = (max) =>
  // No monitoring and no clock of its own while we measure: only the queue.
  new PgBoss({ connectionString: url, max, supervise: false, schedule: false });

async function prepare(jobs) {
  if (side.startsWith("graphile")) {
    const utils = await makeWorkerUtils({ connectionString: url, logger: quiet });
    await utils.migrate();
    await utils.withPgClient((client) =>
      client.query(
        "select graphile_worker.add_job($1, json_build_object('n', n)) from generate_series(1, $2::int) n",
        [QUEUE, jobs],
      ),
    );
    await utils.withPgClient((client) => client.query("vacuum analyze graphile_worker._private_jobs"));
    await utils.release();
    return;
  }
  const queue = boss(4);
  await queue.start();
  await queue.createQueue(QUEUE);
  for (let n = 0; n < jobs; n += 1000) {
    const some = Math.min(1000, jobs - n);
    await queue.insert(QUEUE, Array.from({ length: some }, (_, i) => ({ data: { n: n + i } })));
  }
  await queue.stop();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("vacuum analyze");
  await client.end();
}

async function graphile(atOnce, connections) {
  const pgPool = new pg.Pool({ connectionString: url, max: connections });
  pgPool.on("error", () => {});
  pgPool.on("connect", (client) => client.on("error", () => {}));
  const batch = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
  const preset = side === "graphile-batch" ? { worker: batch } : {};
  return async () => {
    const runner = await run({
      pgPool,
      logger: quiet,
      preset,
      concurrency: atOnce,
      noHandleSignals: true,
      taskList: {
        [QUEUE]: async (_, helpers) => {
          effects.push(helpers.job.id);
        },
      },
    });
    return async () => {
      await runner.stop();
      await pgPool.end();
    };
  };
}

async function pgBoss(atOnce, connections) {
  const batchSize = side === "pgboss-batch" ? 50 : 1;
  const queue = boss(connections);
  await queue.start();
  return async () => {
    let going = true;
    const loop = async () => {
      while (going) {
        const jobs = await queue.fetch(QUEUE, { batchSize });
        if (jobs.length === 0) {
          await new Promise((resolve) => setTimeout(resolve, 50));
          continue;
        }
        for (const job of jobs) effects.push(job.id);
        await queue.complete(QUEUE, jobs.map((job) => job.id));
      }
    };
    const loops = Array.from({ length: atOnce }, loop);
    return async () => {
      going = false;
      await Promise.all(loops);
      await queue.stop();
    };
  };
}

async function work(atOnce, connections) {
  const begin = side.startsWith("graphile") ? await graphile(atOnce, connections) : await pgBoss(atOnce, connections);
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  console.log("ready");
  await lines.next();
  const end = await begin();
  let told = 0;
  const telling = setInterval(() => {
    if (effects.length !== told) {
      told = effects.length;
      console.log(told);
    }
  }, 20);
  await lines.next();
  clearInterval(telling);
  await end();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("insert into ledger (job) select unnest($1::text[])", [effects.map(String)]);
  await client.end();
  console.log("written");
  process.exit(0);
}

await (what === "prepare" ? prepare(Number(numbers[0])) : work(...numbers.map(Number)));
