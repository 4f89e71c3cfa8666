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
import json
import multiprocessing
import os
import signal
import statistics
import sys
import time
import urllib.request

from measuring import (STATE, Cluster, Worker, berth, free_port, idle_share, keep, machine, node, peers,
                       processor_seconds, spread)
from stripe_sender import Nobody, Supply, flat_out, steadily
from sweep import HOST_KEY
from webhooks_sides import CRON, CUSTOMERS, SECRET, SIDES, Server, compare, measured, populate, run

CONNECTIONS = [1, 8, 32]
RATE = 500
# Berth has this long to understand what came steadily.
UNDERSTOOD_WITHIN = 120
# What the ratio of the aim is taken against.
PEER = "fastify"


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
