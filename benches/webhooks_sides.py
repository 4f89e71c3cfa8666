"""The sides of benches/webhooks.py: Berth and fastify on the same database, started, tried, loaded, and counted afterwards."""

import base64
import gc
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from measuring import free_port, node, processor_seconds
from stripe_sender import PATH, Supply, flat_out
from sweep import fleet

SECRET = "whsec_" + os.urandom(16).hex()
CRON = os.urandom(16).hex()
KEY = base64.b64encode(os.urandom(32)).decode()
CUSTOMERS = 1000
# Who, in which way, in how many processes.
SIDES = {
    "berth": ("Berth", None, 1),
    "fastify-one": ("fastify, one process", "event", 1),
    "fastify": ("fastify, two processes", "event", 2),
    "fastify-job": ("fastify, two processes, with a job", "job", 2),
}


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
