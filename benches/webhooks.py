#!/usr/bin/env python3
"""B2: Stripe's webhooks, acknowledged once they are kept, beside fastify with Stripe's own library.

    benches/webhooks.py --runs 5 --seconds 10

Needs Postgres, npm, Rust and ssh-keygen. Starts a Postgres of its own (fsync on, in
/var/tmp), and all sides at once: Berth's release program as it is shipped, and fastify
with stripe and pg, which keeps its events in a table of the same shape beside Berth's.
One sender brings signed events, no two alike, over 1, 8 and 32 connections that stay open;
the sides alternate. Before the clock starts each side must refuse what Stripe did not sign.
After each run every acknowledged event must lie in its table exactly once. Then 500 a
second come in steadily, to Berth while its flows understand them and its health sweep
looks at machines over SSH again and again. Prints tables for docs/BENCHMARKS.md.
"""

import argparse
import base64
import gc
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

from measuring import (STATE, Cluster, Worker, berth, free_port, idle_share, keep, machine, node, peers,
                       processor_seconds, spread)
from stripe_sender import PATH, Nobody, Supply, flat_out, steadily
from sweep import HOST_KEY, fleet

SECRET = "whsec_" + os.urandom(16).hex()
CRON = os.urandom(16).hex()
KEY = base64.b64encode(os.urandom(32)).decode()
CUSTOMERS = 1000
CONNECTIONS = [1, 8, 32]
RATE = 500
# Berth has this long to understand what came steadily.
UNDERSTOOD_WITHIN = 120
# Who, in which way, in how many processes.
SIDES = {
    "berth": ("Berth", None, 1),
    "fastify-one": ("fastify, one process", "event", 1),
    "fastify": ("fastify, two processes", "event", 2),
    "fastify-job": ("fastify, two processes, with a job", "job", 2),
}
# What the ratio of the aim is taken against.
PEER = "fastify"


def populate(cluster, program, machines):
    """Berth's tables with customers and machines, and the same tables for the other side, without row security."""
    cluster.database("bench")
    urls = {"DATABASE_URL": cluster.url("berth_login", "bench"),
            "BERTH_DATABASE_MIGRATOR_URL": cluster.url("berth_migrator", "bench")}
    subprocess.run([program, "migrate"], check=True, cwd=cluster.home, stdout=subprocess.DEVNULL, env=os.environ | urls)
    fleet(cluster, machines)
    cluster.ask("bench", f"""
        create temp table t as select gen_random_uuid() as id, n from generate_series(0, {CUSTOMERS - 1}) n;
        insert into tenants (id, name) select id, 'tenant ' || n from t;
        insert into billing (tenant_id, customer) select id, 'cus_bench' || lpad(n::text, 9, '0') from t;
        create schema peer;
        create table peer.events (like events including all);
        alter table peer.events alter received_at set default now();
        create table peer.flows (like flows including all);
        alter table peer.flows alter step_since set default now(), alter run_at set default now(),
                               alter created_at set default now();
        create role peer login;
        grant usage on schema peer to peer;
        grant select, insert on peer.events, peer.flows to peer;""")
    odd = cluster.ask("bench", """
        select count(*) from pg_db_role_setting, unnest(setconfig) as set
        where set ~ '^(synchronous_commit|fsync|commit_delay)'""")
    logged = cluster.ask("bench", "select bool_and(relpersistence = 'p') from pg_class where relname in ('events', 'flows')")
    if (odd, logged) != ("0", "t"):
        sys.exit("The sides would not be equally safe.")


class Server:
    """One side, listening."""

    def __init__(self, side, cluster, connections, verb="serve"):
        self.side, self.cluster, self.connections, self.verb = side, cluster, connections, verb
        self.name, self.way, self.processes = SIDES[side]
        self.schema = "public" if self.way is None else "peer"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process, self.rates = None, {}

    def start(self, program, folder, ssh_port=0):
        if self.way is None:
            self.process = subprocess.Popen([program, self.verb], cwd=self.cluster.home, env=self.environment(ssh_port),
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        else:
            said = {"way": self.way, "processes": self.processes, "port": self.port, "secret": SECRET,
                    "url": self.cluster.url("peer", "bench"), "connections": self.connections}
            self.process = subprocess.Popen([node(folder), folder / "webhooks.mjs", json.dumps(said)],
                                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            if self.post(b"{}", None) == 400:
                return
            time.sleep(0.05)
        sys.exit(f"{self.name} did not answer within 20 s.")

    def environment(self, ssh_port):
        said = {"DATABASE_URL": self.cluster.url("berth_login", "bench"), "BERTH_LISTEN": self.url[7:],
                "BERTH_PUBLIC_URL": self.url, "CREDENTIAL_ENCRYPTION_KEY": KEY, "CRON_SECRET": CRON,
                "BERTH_DATABASE_CONNECTIONS": str(self.connections), "BERTH_MACHINE_IMAGE": "none",
                "STRIPE_WEBHOOK_SECRET": SECRET, "STRIPE_SECRET_KEY": "sk_test_bench0123456789",
                # Nobody is there: whatever a flow asks of Stripe it has to ask again later.
                "BERTH_STRIPE_URL": f"http://127.0.0.1:{free_port()}/"}
        if ssh_port:
            said |= {"BERTH_MACHINE_SSH_PORT": str(ssh_port), "BERTH_INCUS_SOCKET": "/nonexistent/incus.socket",
                     "BERTH_MACHINE_KEYS_DAYS": "0"}
        return {"PATH": os.environ["PATH"]} | said

    def post(self, body, signature):
        headers = {"content-type": "application/json; charset=utf-8"}
        if signature is not None:
            headers["stripe-signature"] = signature
        try:
            asked = urllib.request.Request(self.url + PATH, data=body, headers=headers)
            with urllib.request.urlopen(asked, timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)
            self.process = None

    def begin(self):
        """Empty tables, and nothing left to be written of what was before."""
        self.cluster.ask("bench", f"""
            delete from {self.schema}.flows where kind in ('event', 'billing');
            delete from {self.schema}.events;
            vacuum analyze {self.schema}.events, {self.schema}.flows;
            checkpoint;""")

    def account(self, names):
        """What was acknowledged lies in the table, each exactly once, and nothing else does; or the program ends."""
        rows = self.cluster.ask("bench", f"select name from {self.schema}.events").split()
        lost, twice = set(names) - set(rows), len(rows) - len(set(rows))
        if lost or twice or len(rows) != len(names):
            sys.exit(f"{self.name} acknowledged {len(names)} events and keeps {len(rows)}: {len(lost)} are lost, "
                     f"{twice} lie there twice.")
        if self.way != "event" and self.verb == "serve":
            jobs = self.cluster.ask("bench", f"""
                select count(*) || ' ' || count(distinct f.subject) from {self.schema}.flows f
                join {self.schema}.events e on e.id = f.subject where f.kind = 'event'""")
            if jobs != f"{len(names)} {len(names)}":
                sys.exit(f"{self.name} keeps {len(names)} events and has other jobs for them: {jobs}.")


def compare(server):
    """Takes what Stripe signed, once; refuses all else; ends the program otherwise."""
    server.begin()
    supply, other = Supply(SECRET, CUSTOMERS), Supply("whsec_" + os.urandom(16).hex(), CUSTOMERS)
    name = "evt_1rightandtwice"
    body, changed = supply.body(name), supply.body("evt_1changed")
    good = supply.signature(body)
    asked = [(body, good), (body, supply.signature(body)), (changed, good), (changed, other.signature(changed)),
             (changed, supply.signature(changed, seconds_ago=600)), (changed, supply.signature(changed).replace("v1", "v0")),
             (changed, None)]
    answers = [server.post(*one) for one in asked]
    if answers != [204, 204, 400, 400, 400, 400, 400]:
        sys.exit(f"{server.name} does not tell Stripe's events from others: {answers}")
    server.account([name])


def measured(server, load, count, *how):
    """One run of the sender, and what server and database used for it."""
    supply = Supply(SECRET, CUSTOMERS)
    supply.prepare(count)
    def used():
        return processor_seconds(server.process.pid), processor_seconds(server.cluster.pid())
    gc.disable()
    before = used()
    said = load(server.port, *how, supply)
    spent = [later - earlier for later, earlier in zip(used(), before)]
    gc.enable()
    names = said.pop("names")
    said["server_us"], said["database_us"] = (1e6 * one / len(names) for one in spent)
    server.account(names)
    return said


def run(server, connections, seconds):
    server.begin()
    # As many as the last run of these would have needed, and half as many more; the others are signed as they go out.
    count = int(1.5 * server.rates.get(connections, 2000) * seconds)
    said = measured(server, flat_out, count, connections, seconds)
    server.rates[connections] = said["rate"]
    return said


class Sweeps:
    """Asks Berth for a look at every machine, again and again, from a process of its own."""

    def __init__(self, url):
        fork = multiprocessing.get_context("fork")
        self.heard, said = fork.Pipe(duplex=False)
        self.end = fork.Event()
        self.process = fork.Process(target=self.ask, args=(url, said), daemon=True)
        self.process.start()

    def ask(self, url, said):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while not self.end.is_set():
            asked = urllib.request.Request(f"{url}/api/cron/health", data=b"", headers={"authorization": f"Bearer {CRON}"})
            with urllib.request.urlopen(asked, timeout=70) as answer:
                said.send(json.loads(answer.read()))
        said.send(None)

    def counts(self):
        """Of every sweep that ended, once no further one is asked for."""
        self.end.set()
        counts = []
        while self.heard.poll(80):
            one = self.heard.recv()
            if one is None:
                return counts
            if one["state"] == "ended":
                counts.append(one["counts"])
        sys.exit("the sweep did not end")


def steady(chosen, cluster, program, folder, servers):
    """500 a second to each side in turn; Berth works and sweeps meanwhile."""
    results = {}
    for server in servers:
        server.start(program, folder)
        server.begin()
        results[server.side] = measured(server, steadily, chosen.steady * RATE, 32, chosen.steady, RATE)
        server.stop()
    whole, ssh_port = Server("berth", cluster, chosen.pool, "all"), free_port()
    said = {"hostKey": str(HOST_KEY), "port": ssh_port, "addresses": [f"127.32.0.{n}" for n in range(1, 65)]}
    # What machines use is not Berth's, and here it comes from the same processors: they stand back a little.
    machines = Worker(["nice", "-n", "5", node(folder), folder / "machines.mjs", json.dumps(said)])
    machines.until("ready")
    try:
        whole.start(program, folder, ssh_port)
        compare(whole)
        whole.begin()
        sweeps = Sweeps(whole.url)
        found = measured(whole, steadily, chosen.steady * RATE, 32, chosen.steady, RATE)
        found["sweeps"] = sweeps.counts()
        found["understood_after"] = understood(cluster)
        machines.say("?")
        found["looks"] = int(machines.line())
        found["machine_us"] = 1e6 * processor_seconds(machines.process.pid) / max(1, found["looks"])
    finally:
        whole.stop()
        machines.end()
    # Machines that get no processor for seconds are rightly taken for silent: then nothing is said of this part.
    found["good_sweeps"] = sum(one["ready"] == chosen.machines for one in found["sweeps"])
    found["is_good"] = found["good_sweeps"] == len(found["sweeps"]) > 0 and (
        found["looks"] >= chosen.machines * found["good_sweeps"])
    return results | {"berth, at work": found}


def understood(cluster):
    """Seconds from now until a flow has found out of every event whom it is about."""
    began = time.monotonic()
    while time.monotonic() < began + UNDERSTOOD_WITHIN:
        left = cluster.ask("bench", """
            select count(*) filter (where read_at is null), count(*) filter (where tenant_id is null) from events""")
        if left == "0|0":
            return time.monotonic() - began
        time.sleep(0.2)
    sys.exit(f"Berth did not understand within {UNDERSTOOD_WITHIN} s what came: unread, and nobody's: {left}.")


def flat(chosen, program, folder, servers):
    for server in servers:
        server.start(program, folder)
        compare(server)
        warm = run(server, 8, max(3, chosen.seconds // 2))
        print(f"  {server.name} is right; warming up: {warm['rate']:.0f}/s", file=sys.stderr, flush=True)
    results = {server.side: {connections: [] for connections in CONNECTIONS} for server in servers}
    for number in range(chosen.runs):
        for connections in CONNECTIONS:
            for server in servers:
                said = run(server, connections, chosen.seconds)
                results[server.side][connections].append(said)
                print(f"  run {number + 1}, {connections} connections, {server.name}: {said['rate']:.0f}/s, "
                      f"{said['server_us']:.0f} + {said['database_us']:.0f} µs", file=sys.stderr, flush=True)
    return results


def by_itself(chosen):
    """The sender against somebody who looks at nothing: what it could do at most."""
    supply, seconds, results = Supply(SECRET, CUSTOMERS), min(3, chosen.seconds), {}
    with Nobody(supply) as nobody:
        for connections in CONNECTIONS:
            supply.prepare(40000 * seconds)
            results[connections] = flat_out(nobody.port, connections, seconds, supply)
        supply.prepare(RATE * seconds)
        results["steady"] = steadily(nobody.port, 32, seconds, RATE, supply)
    for said in results.values():
        del said["names"]
    return results


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                        epilog="Needs Postgres, npm, Rust and ssh-keygen.")
    arguments.add_argument("--runs", type=int, default=5, help="of each side and number of connections, after one to warm up")
    arguments.add_argument("--seconds", type=int, default=10, help="of one run")
    arguments.add_argument("--steady", type=int, default=30, help="seconds at 500 a second, of each side; 0: none")
    arguments.add_argument("--machines", type=int, default=500, help="that the sweeps look at meanwhile")
    arguments.add_argument("--pool", type=int, default=8, help="connections to the database, of each side")
    arguments.add_argument("--without-peer", action="store_true", help="Berth alone")
    arguments.add_argument("--profile", default="release", help="cargo profile of Berth; dev for trying out")
    arguments.add_argument("--program", help="a berth that is built already, instead of building one")
    chosen = arguments.parse_args()
    STATE.mkdir(parents=True, exist_ok=True)
    program = os.path.abspath(chosen.program) if chosen.program else berth(chosen.profile)
    folder = peers()
    with Cluster() as cluster:
        populate(cluster, program, chosen.machines)
        where = machine(cluster, idle_share())
        alone = by_itself(chosen)
        servers = [Server(side, cluster, chosen.pool) for side in SIDES if side == "berth" or not chosen.without_peer]
        try:
            results = flat(chosen, program, folder, servers)
            for server in servers:
                server.stop()
            at_500 = steady(chosen, cluster, program, folder, servers) if chosen.steady else {}
        finally:
            for server in servers:
                server.stop()
    report(where, alone, results, at_500, chosen)


def report(where, alone, results, at_500, chosen):
    print(f"\n{where}\n")
    print(f"{chosen.pool} connections to the database, {chosen.seconds} s a run; median (least to most) of {chosen.runs} "
          "alternating runs. Before: each side took what Stripe signed, once, and refused five that it did not. After each "
          "run: every acknowledged event lay in its table exactly once.\n")
    print("| connections | who | acknowledged a second | Berth is faster by | p50 ms | p99 ms | µs of the server | "
          "µs of Postgres |\n|---:|---|---:|---:|---:|---:|---:|---:|")
    ratios = {}
    for connections in CONNECTIONS:
        ours = results["berth"][connections]
        for side, runs in results.items():
            said, ratio = runs[connections], "–"
            def values(name):
                return [one[name] for one in said]
            if side != "berth":
                pairs = [a["rate"] / b["rate"] for a, b in zip(ours, said)]
                ratios[side, connections] = statistics.median(pairs)
                ratio = spread(pairs, "{:.2f}") + " times"
            middle = [f"{statistics.median(values(name)):.{digits}f}" for name, digits in
                      (("p50_ms", 2), ("p99_ms", 2), ("server_us", 0), ("database_us", 0))]
            print(f"| {connections} | {SIDES[side][0]} | {spread(values('rate'))} | {ratio} | {' | '.join(middle)} |")
    print("\nThe sender by itself, acknowledged by somebody who looks at nothing: "
          + ", ".join(f"{alone[connections]['rate']:,.0f} a second over {connections}" for connections in CONNECTIONS)
          + f"; {alone[8]['sender_us']:.0f} µs each.")
    best = max(statistics.median(one["rate"] for one in runs) for runs in results["berth"].values())
    aims = [("3,000 a second", best >= 3000, f"{best:,.0f}")]
    for connections in CONNECTIONS:
        if (ratio := ratios.get((PEER, connections))) is not None:
            aims.append((f"1.5 times {SIDES[PEER][0]} over {connections}", ratio >= 1.5, f"{ratio:.2f}"))
    if at_500:
        at_work = report_steady(alone, at_500, chosen)
        if at_work["is_good"]:
            kept, aim = at_work["p99_ms"] <= 25, f"p99 of 25 ms at {RATE} a second while it sweeps"
            aims.append((aim, kept, f"{at_work['p99_ms']:.1f}"))
    print("\nAims: " + "; ".join(f"{aim}: {figure}, {'kept' if kept else 'missed'}" for aim, kept, figure in aims) + ".")
    keep("webhooks", {"where": where, "pool": chosen.pool, "seconds": chosen.seconds, "machines": chosen.machines,
                      "profile": chosen.program or chosen.profile, "alone": alone, "results": results, "steady": at_500})


def report_steady(alone, at_500, chosen):
    found = at_500["berth, at work"]
    print(f"\n{RATE} a second for {chosen.steady} s over 32 connections, each timed from the moment at which it was due.\n")
    print("| who | n | p50 ms | p99 ms | most ms | µs of the server | µs of Postgres |\n|---|---:|---:|---:|---:|---:|---:|")
    for side, said in at_500.items():
        name = SIDES[side][0] if side in SIDES else "Berth, all of it, while it understands them and sweeps"
        print(f"| {name} | {said['n']:,} | {said['p50_ms']:.2f} | {said['p99_ms']:.2f} | {said['most_ms']:.1f} | "
              f"{said['server_us']:.0f} | {said['database_us']:.0f} |")
    nobody = alone["steady"]
    print(f"| somebody who looks at nothing | {nobody['n']:,} | {nobody['p50_ms']:.2f} | {nobody['p99_ms']:.2f} | "
          f"{nobody['most_ms']:.1f} | – | – |")
    print(f"\n{len(found['sweeps'])} sweeps of {chosen.machines:,} machines ended in that time, {found['good_sweeps']} saw every "
          "machine ready" + (". " if found["is_good"] else ": **that says nothing, the machine was too busy**. ")
          + f"Every event's tenant was found {found['understood_after']:.1f} s after the last acknowledgement and sweep. "
          f"A look costs a simulated machine {found['machine_us']:.0f} µs.")
    return found


if __name__ == "__main__":
    main()
