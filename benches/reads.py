#!/usr/bin/env python3
"""B1: a signed-in read of a tenant's ten agents through session check and row security, beside fastify.

    benches/reads.py --runs 3 --seconds 10

Needs Postgres, npm, Rust and wrk (the package wrk). Starts a Postgres of its own
(fsync on, in /var/tmp) with 10,000 tenants, and all sides at once: Berth's release
program as it is shipped, and fastify with jose and pg on the same tables, as the same
roles, with as many connections. wrk asks with the sessions of all tenants in turn; the
sides alternate. Before the clock starts each side's answers are compared with the
truth, forged and ended sessions must be refused, and one load is looked at answer by
answer. Processor time is that of /proc. Prints a table for docs/BENCHMARKS.md.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from measuring import (CHECKOUT, STATE, Cluster, berth, free_port, idle_share, keep, machine, node, peers,
                       processor_seconds, spread)

AGENTS = 10
PATH = "/api/v1/agents"
KEY = os.urandom(32)
# Who, in which way, in how many processes.
SIDES = {
    "berth": ("Berth", None, 1),
    "fastify-one": ("fastify, four statements, one process", "steps", 1),
    "fastify": ("fastify, four statements, two processes", "steps", 2),
    "fastify-pipelined": ("fastify, one round trip, two processes", "pipelined", 2),
    "fastify-function": ("fastify, Berth's function, two processes", "function", 2),
}


def uuid(kind, tenant, number=0):
    """As SQL below makes them: whose it is stands in front."""
    return f"{tenant:08x}-{kind:04x}-7000-8000-{number:012x}"


TENANT, USER, MEMBER, SESSION, AGENT, MACHINE, PROOF = range(1, 8)


def populate(cluster, program, tenants):
    cluster.database("bench")
    urls = {"DATABASE_URL": cluster.url("berth_login", "bench"),
            "BERTH_DATABASE_MIGRATOR_URL": cluster.url("berth_migrator", "bench")}
    subprocess.run([program, "migrate"], check=True, cwd=cluster.home, stdout=subprocess.DEVNULL, env=os.environ | urls)
    cluster.ask("bench", f"""
        set session_replication_role = replica;
        create function pg_temp.made(kind int, tenant int, number int) returns uuid language sql as $$
            select (lpad(to_hex(tenant), 8, '0') || '-' || lpad(to_hex(kind), 4, '0') || '-7000-8000-'
                    || lpad(to_hex(number), 12, '0'))::uuid $$;
        create function pg_temp.printed(prefix text, id uuid) returns text language sql as $$
            select prefix || '_' || replace(id::text, '-', '') $$;
        create temp table t as select t from generate_series(1, {tenants}) t;
        insert into tenants (id, name) select pg_temp.made({TENANT}, t, 0), 'tenant ' || t from t;
        insert into users (id, email) select pg_temp.made({USER}, t, 0), 'user-' || t || '@example.org' from t;
        insert into members (id, tenant_id, user_id, role)
        select pg_temp.made({MEMBER}, t, 0), pg_temp.made({TENANT}, t, 0), pg_temp.made({USER}, t, 0), 'owner' from t;
        insert into sessions (id, token_hash, user_id, tenant_id, browser, expires_at)
        select pg_temp.made({SESSION}, t, 0), sha256(t::text::bytea), pg_temp.made({USER}, t, 0),
               pg_temp.made({TENANT}, t, 0), 'wrk', now() + interval '1 day' from t;
        insert into agents (tenant_id, id, name, wanted, seen, machine, proof, created_at)
        select pg_temp.made({TENANT}, t, 0), pg_temp.made({AGENT}, t, n), 'agent-' || n, 'running',
               '{{"state": "live", "since": "2026-11-20T12:00:00Z"}}',
               jsonb_build_object('id', pg_temp.printed('mch', pg_temp.made({MACHINE}, t, n)),
                                  'isolation', 'container', 'image', 'berth-machine-2026.9.6-0123456789ab',
                                  'openclaw', '2026.9.6', 'created_at', '2026-11-20T11:59:00Z'),
               jsonb_build_object('id', pg_temp.printed('prf', pg_temp.made({PROOF}, t, n)),
                                  'at', '2026-11-20T12:00:00Z', 'ok', true, 'latency_ms', 400 + n, 'why', null),
               '2026-11-20T11:58:00Z'
        from t, generate_series(1, {AGENTS}) n;
        set session_replication_role = origin;
        vacuum analyze;
        checkpoint;""")


class Server:
    """One side, listening."""

    def __init__(self, side, cluster, connections):
        self.side, self.cluster, self.connections = side, cluster, connections
        _, self.way, self.processes = SIDES[side]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self, program, folder):
        if self.way is None:
            self.process = subprocess.Popen([program, "serve"], cwd=self.cluster.home, env=self.environment(),
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)
        else:
            said = {"way": self.way, "processes": self.processes, "port": self.port, "issuer": self.url,
                    "url": self.cluster.url("berth_login", "bench"), "connections": self.connections,
                    "key": base64.b64encode(KEY).decode(), "kid": kid()}
            self.process = subprocess.Popen([node(folder), folder / "reads.mjs", json.dumps(said)],
                                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            if self.get(None)[0] == 401:
                return
            time.sleep(0.05)
        sys.exit(f"{self.side} did not answer within 20 s.")

    def environment(self):
        # Everybody is counted, as always; the most that may be set is more than this machine can ask.
        said = {"DATABASE_URL": self.cluster.url("berth_login", "bench"), "BERTH_LISTEN": self.url[7:],
                "BERTH_PUBLIC_URL": self.url, "BERTH_SESSION_KEY": base64.b64encode(KEY).decode(),
                "CREDENTIAL_ENCRYPTION_KEY": base64.b64encode(os.urandom(32)).decode(),
                "BERTH_DATABASE_CONNECTIONS": str(self.connections), "BERTH_REQUESTS_PER_MINUTE": "1000000",
                "BERTH_MACHINE_IMAGE": "none"}
        return {"PATH": os.environ["PATH"]} | said

    def cookie(self, tenant, now):
        return f"berth_session={signed(self.url, tenant, now)}"

    def get(self, cookie):
        request = urllib.request.Request(self.url + PATH, headers={"cookie": cookie} if cookie else {})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, None
        except OSError:
            return None, None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


def kid():
    return hashlib.sha256(b"berth session key id" + KEY).hexdigest()[:16]


def signed(issuer, tenant, now):
    """What a browser of this tenant shows: the pass of crates/vault/src/session.rs, good for ten minutes."""
    head = {"typ": "berth-session+jwt", "alg": "HS256", "kid": kid()}
    user, session = (uuid(kind, tenant).replace("-", "") for kind in (USER, SESSION))
    claims = {"iss": issuer, "aud": "berth session", "sub": f"usr_{user}", "sid": f"ses_{session}",
              "iat": now, "nbf": now, "exp": now + 600}
    def text(raw):
        return base64.urlsafe_b64encode(raw).rstrip(b"=")
    said = b".".join(text(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    return (said + b"." + text(hmac.digest(KEY, said, "sha256"))).decode()


def truth(cluster, tenant):
    """The answer as the database's owner knows it."""
    return json.loads(cluster.ask("bench", f"""
        select json_build_object('next', null, 'agents', json_agg(json_build_object(
            'id', 'agt_' || replace(id::text, '-', ''), 'name', name, 'wanted', wanted, 'seen', seen,
            'machine', machine, 'proof', proof,
            'created_at', to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) order by id))
        from agents where tenant_id = '{uuid(TENANT, tenant)}'"""))


def compare(server, tenants, spare):
    """Right answers to the right people, and none to others; ends the program otherwise."""
    now = int(time.time())
    for tenant in random.Random(889).sample(range(1, tenants + 1), 20):
        status, answer = server.get(server.cookie(tenant, now))
        if (status, answer) != (200, truth(server.cluster, tenant)):
            sys.exit(f"{server.side} gave tenant {tenant} another answer than the truth: {status} {answer}")
    good = server.cookie(spare, now)
    forged = good[:-20] + ("A" if good[-20] != "A" else "B") + good[-19:]
    foreign = f"berth_session={signed('http://elsewhere', spare, now)}"
    old = server.cookie(spare, now - 1200)
    if [server.get(cookie)[0] for cookie in (good, forged, foreign, old)] != [200, 401, 401, 401]:
        sys.exit(f"{server.side} does not tell good sessions from bad ones.")
    server.cluster.ask("bench", f"delete from sessions where id = '{uuid(SESSION, spare)}'")
    end = time.monotonic() + 1
    while server.get(good)[0] != 401:
        if time.monotonic() > end:
            sys.exit(f"{server.side} lets a session go on a second after its end.")


def load(server, tenants, connections, seconds, *how):
    """One run of wrk; what it says, and what server and database used for it."""
    now = int(time.time())
    with tempfile.NamedTemporaryFile("w", prefix="berth-reads-", encoding="ascii") as sessions:
        sessions.writelines(f"{tenant:08x} {server.cookie(tenant, now)}\n" for tenant in range(1, tenants + 1))
        sessions.flush()
        def used():
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            return (processor_seconds(server.process.pid), processor_seconds(server.cluster.pid()),
                    children.ru_utime + children.ru_stime)
        before = used()
        made = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", CHECKOUT / "benches/reads.lua",
             server.url + PATH, "--", sessions.name, *how],
            check=True, capture_output=True, text=True)
        spent = [later - earlier for later, earlier in zip(used(), before)]
    said = json.loads(made.stdout.splitlines()[-1])
    said["rate"] = said["requests"] / said["seconds"]
    for name, seconds_used in zip(("server_us", "database_us", "wrk_us"), spent):
        said[name] = 1e6 * seconds_used / max(1, said["requests"])
    if said["not_ok"] + said["broken"] + said["wrong"] > 0:
        sys.exit(f"{server.side} answered wrongly: {said}")
    return said


def alone(cluster, tenants, connections, seconds):
    """How often a second the database answers Berth's one statement when pgbench asks for it and nothing else."""
    made = f"(lpad(to_hex(:t::int), 8, '0') || '-{TENANT:04x}-7000-8000-000000000000')::uuid"
    script = cluster.home / "reads.sql"
    script.write_text(f"\\set t random(1, {tenants})\n"
                      f"select * from berth.agents_of({made}, '00000000-0000-0000-0000-000000000000', 101);\n",
                      encoding="ascii")
    made = subprocess.run(
        [cluster.bin / "pgbench", "-n", "-M", "prepared", "-c", str(connections), "-j", "1", "-T", str(seconds),
         "-f", script, "-h", cluster.home, "-U", "berth_login", "bench"],
        check=True, capture_output=True, text=True)
    return float(next(line for line in made.stdout.splitlines() if line.startswith("tps")).split()[2])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                        epilog="Needs Postgres, npm, Rust and the package wrk.")
    arguments.add_argument("--runs", type=int, default=3, help="of each side and number of connections, after one to warm up")
    arguments.add_argument("--seconds", type=int, default=10, help="of one run")
    arguments.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64], help="of wrk")
    arguments.add_argument("--tenants", type=int, default=10000, help="with ten agents each")
    arguments.add_argument("--pool", type=int, default=8, help="connections to the database, of each side")
    arguments.add_argument("--profile", default="release", help="cargo profile of Berth; dev for trying out")
    arguments.add_argument("--program", help="a berth that is built already, instead of building one")
    arguments.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    chosen = arguments.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing. Install the package wrk.")
    STATE.mkdir(parents=True, exist_ok=True)
    program = os.path.abspath(chosen.program) if chosen.program else berth(chosen.profile)
    folder = peers()
    with Cluster() as cluster:
        # One tenant more for each side: their sessions are ended.
        populate(cluster, program, chosen.tenants + len(chosen.sides))
        where = machine(cluster, idle_share())
        servers = [Server(side, cluster, chosen.pool) for side in chosen.sides]
        try:
            results, looked_at = measure(servers, program, folder, chosen)
        finally:
            for server in servers:
                if server.process is not None:
                    server.stop()
        floor = alone(cluster, chosen.tenants, chosen.pool, chosen.seconds)
    report(where, results, looked_at, floor, chosen)


def measure(servers, program, folder, chosen):
    looked_at = 0
    for number, server in enumerate(servers):
        server.start(program, folder)
        compare(server, chosen.tenants, chosen.tenants + 1 + number)
        # Every answer of a load is looked at; and afterwards each side knows who is in every session.
        looked_at += load(server, chosen.tenants, 16, 5, "check")["looked_at"]
        warm = load(server, chosen.tenants, 16, max(3, chosen.seconds // 2))
        print(f"  {server.side} is right; warming up: {warm['rate']:.0f}/s", file=sys.stderr, flush=True)
    results = {server.side: {connections: [] for connections in chosen.connections} for server in servers}
    for number in range(chosen.runs):
        for connections in chosen.connections:
            for server in servers:
                said = load(server, chosen.tenants, connections, chosen.seconds)
                results[server.side][connections].append(said)
                print(f"  run {number + 1}, {connections} connections, {server.side}: {said['rate']:.0f}/s, "
                      f"{said['server_us']:.0f} + {said['database_us']:.0f} µs", file=sys.stderr, flush=True)
    return results, looked_at


def report(where, results, looked_at, floor, chosen):
    print(f"\n{where}\n")
    print(f"{chosen.tenants:,} tenants with {AGENTS} agents, {chosen.pool} connections to the database, "
          f"{chosen.seconds} s a run; median (least to most) of {chosen.runs} alternating runs. Before: 20 answers of "
          f"each side equal to the truth, forged and ended sessions refused, {looked_at:,} answers under load looked "
          "at, all right.\n")
    print("| connections | who | requests a second | Berth is faster by | p50 ms | p99 ms | µs of the server | "
          "µs of Postgres | not 200 |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|")
    for connections in chosen.connections:
        ours = results.get("berth", {}).get(connections, [])
        for side, runs in results.items():
            said = runs[connections]
            def values(name):
                return [one[name] for one in said]
            ratio = "–"
            if side != "berth" and ours:
                ratio = spread([a["rate"] / b["rate"] for a, b in zip(ours, said)], "{:.2f}") + " times"
            middle = [f"{statistics.median(values(name)):.{digits}f}" for name, digits in
                      (("p50_ms", 2), ("p99_ms", 2), ("server_us", 0), ("database_us", 0))]
            print(f"| {connections} | {SIDES[side][0]} | {spread(values('rate'))} | {ratio} | {' | '.join(middle)} | "
                  f"{sum(values('not_ok'))} |")
    wrk = statistics.median(one["wrk_us"] for runs in results.values() for said in runs.values() for one in said)
    print(f"\nwrk itself takes {wrk:.0f} µs a request. The database alone, asked for Berth's statement by pgbench over "
          f"{chosen.pool} connections: {floor:.0f} a second.")
    keep("reads", {"where": where, "tenants": chosen.tenants, "pool": chosen.pool, "seconds": chosen.seconds,
                   "profile": chosen.program or chosen.profile, "looked_at": looked_at, "floor": floor,
                   "results": results})


if __name__ == "__main__":
    main()
