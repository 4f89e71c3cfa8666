#!/usr/bin/env python3
"""B3: how many steps a second Berth's engine claims and ends, beside graphile-worker and pg-boss.

    benches/claims.py --jobs 20000 --runs 5

Starts a Postgres of its own (fsync on, in /var/tmp) and for each side two worker
processes. All jobs are there before the clock starts; every side does nothing in
a job but remember that it ran, and writes that to a table afterwards: each job
must stand there once. The sides alternate. Prints a table for docs/BENCHMARKS.md.
"""

import argparse
import statistics
import sys
import threading
import time

from measuring import Cluster, Worker, engine, idle_share, keep, machine, node, peers, spread

PROCESSES = 2
# Of each process: jobs at once, and connections. Berth's own defaults.
AT_ONCE, CONNECTIONS = 32, 12
TENANTS = 64
LEDGER = "create table ledger (job text not null);"

SIDES = {
    "berth": "Berth, the real runner",
    "graphile": "graphile-worker 0.18.0",
    "graphile-batch": "graphile-worker 0.18.0, local queue of 500",
    "pgboss": "pg-boss 12.35.0, fetched one by one",
    "pgboss-batch": "pg-boss 12.35.0, fetched by 50",
}


def prepare(cluster, side, jobs, program, folder):
    cluster.database("bench")
    if side == "berth":
        Worker([program, "migrate", cluster.url("berth_migrator", "bench")]).end()
        cluster.ask("bench", LEDGER + f"""
            insert into tenants (id, name) select gen_random_uuid(), 'bench' from generate_series(1, {TENANTS});
            insert into flows (id, kind, tenant_id, subject, step)
            select gen_random_uuid(), 'nothing', t.id, gen_random_uuid(), '{{"step": "nothing"}}'
            from generate_series(1, {jobs}) n
            join (select id, row_number() over () - 1 as place from tenants) t on t.place = n % {TENANTS};
            vacuum analyze flows;""")
    else:
        cluster.ask("bench", LEDGER)
        url = cluster.url("postgres", "bench")
        Worker([node(folder), folder / "queues.mjs", "prepare", side, url, jobs]).end()
    cluster.ask("postgres", "checkpoint;")


def start(cluster, side, program, folder):
    root = cluster.url("postgres", "bench")
    if side == "berth":
        command = [program, "claims", cluster.url("berth_login", "bench"), root, AT_ONCE, CONNECTIONS]
    else:
        command = [node(folder), folder / "queues.mjs", "work", side, root, AT_ONCE, CONNECTIONS]
    workers = [Worker(command) for _ in range(PROCESSES)]
    for worker in workers:
        worker.until("ready")
    return workers


def run(cluster, side, jobs, program, folder):
    """One run. Returns jobs a second; ends the program where a job was lost or ran twice."""
    prepare(cluster, side, jobs, program, folder)
    workers = start(cluster, side, program, folder)
    counts, changed, written = [0] * PROCESSES, threading.Condition(), []

    def follow(index):
        while (line := workers[index].line()) != "written":
            with changed:
                counts[index] = int(line)
                changed.notify()
        written.append(index)

    followers = [threading.Thread(target=follow, args=(index,), daemon=True) for index in range(PROCESSES)]
    began = time.monotonic()
    for worker, follower in zip(workers, followers):
        worker.say("go")
        follower.start()
    with changed:
        if not changed.wait_for(lambda: sum(counts) >= jobs, timeout=600):
            sys.exit(f"{side}: {sum(counts)} of {jobs} jobs after ten minutes")
    took = time.monotonic() - began
    # Time for whoever would run a job a second time to do so, and to settle the last ones.
    time.sleep(1)
    for worker in workers:
        worker.say("end")
    for follower in followers:
        follower.join(timeout=120)
    for worker in workers:
        worker.end()
    ran, different = map(int, cluster.ask("bench", "select count(*), count(distinct job) from ledger").split("|"))
    if (ran, different) != (jobs, jobs):
        sys.exit(f"{side}: {ran} jobs ran, {different} different ones, where there were {jobs}")
    return jobs / took


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--jobs", type=int, default=20000)
    arguments.add_argument("--runs", type=int, default=5, help="after one to warm up")
    arguments.add_argument("--profile", default="bench", help="cargo profile of Berth's half; dev for trying out")
    arguments.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    chosen = arguments.parse_args()
    program, folder = engine(chosen.profile), peers()
    with Cluster() as cluster:
        idle = idle_share()
        where = machine(cluster, idle)
        rates = {side: [] for side in chosen.sides}
        for number in range(chosen.runs + 1):
            for side in chosen.sides:
                rate = run(cluster, side, chosen.jobs, program, folder)
                print(f"  run {number} {side}: {rate:.0f}/s", file=sys.stderr, flush=True)
                if number > 0 or chosen.runs == 0:
                    rates[side].append(rate)
    print(f"\n{where}\n")
    print(f"{chosen.jobs} jobs, {PROCESSES} processes, {AT_ONCE} jobs at once and {CONNECTIONS} connections each; "
          f"median (least to most) of {max(1, chosen.runs)} alternating runs.\n")
    print("| who | jobs a second | Berth is faster by | lost | twice |\n|---|---:|---:|---:|---:|")
    for side, values in rates.items():
        ratio = "–"
        if side != "berth" and "berth" in rates:
            ratio = spread([ours / theirs for ours, theirs in zip(rates["berth"], values)], "{:.2f}") + " times"
        print(f"| {SIDES[side]} | {spread(values)} | {ratio} | 0 | 0 |")
    keep("claims", {"where": where, "jobs": chosen.jobs, "profile": chosen.profile, "rates": rates,
                    "medians": {side: statistics.median(values) for side, values in rates.items()}})


if __name__ == "__main__":
    main()
