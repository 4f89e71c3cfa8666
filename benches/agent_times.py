#!/usr/bin/env python3
"""Times an agent's life on the real thing: real machine, real sshd, real OpenClaw.

    scripts/dev --setup-only --release
    benches/agent_times.py --agents 30 --turns 30 --program target/release/berth
    benches/agent_times.py --pool 2 --agents 30 --empty 30 --turns 0

Starts Berth by itself from .berth/env, makes agents one after the other, and
prints a table for docs/BENCHMARKS.md. Only the standard library is needed. Times
of steps are Berth's own (its timeline, by the database's clock); "create to live"
is the caller's: from sending the request to seeing `live` on the event stream.

With --pool N, N spares are ready before each creation, and no machine is in the
making; then the same once more without a pool, as often as --empty says.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request


def settings(path):
    with open(path, encoding="utf-8") as lines:
        pairs = (line.strip().split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        return dict(pairs)


class Berth:
    def __init__(self, program, env, pool=0):
        self.url = env["BERTH_PUBLIC_URL"].rstrip("/")
        self.pool = pool
        self.log = open("target/agent_times.log", "ab")
        self.cron = os.urandom(16).hex()
        # What the environment says goes before .berth/env.
        said = {"BERTH_POOL_FLOOR": str(pool), "BERTH_POOL_CEILING": str(pool), "CRON_SECRET": self.cron}
        began = time.monotonic()
        self.process = subprocess.Popen([program, "all"], stdout=self.log, stderr=self.log, env=os.environ | said)
        self.first_200 = self.until_health(began)
        made = subprocess.run(
            [program, "admin", "issue-token", "--email", "bench@localhost", "--operator"],
            check=True, capture_output=True, text=True)
        self.token = made.stdout.strip()

    def until_health(self, began):
        while time.monotonic() - began < 30:
            try:
                with urllib.request.urlopen(self.url + "/health", timeout=1):
                    return time.monotonic() - began
            except OSError:
                time.sleep(0.001)
        sys.exit("Berth did not answer within 30 s; target/agent_times.log says why.")

    def call(self, method, path, body=None, timeout=120, bearer=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("authorization", "Bearer " + (bearer or self.token))
        if data is not None:
            request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def until(self, agent, wanted, seconds=240):
        """Follows the event stream until the agent is seen so."""
        request = urllib.request.Request(f"{self.url}/api/v1/agents/{agent}/events")
        request.add_header("authorization", "Bearer " + self.token)
        end = time.monotonic() + seconds
        with urllib.request.urlopen(request, timeout=60) as stream:
            for line in stream:
                if time.monotonic() > end:
                    break
                if line.startswith(b"data:"):
                    event = json.loads(line[5:])
                    state = (event.get("seen") or {}).get("state") if event.get("event") == "seen" else None
                    if state == "failed":
                        sys.exit(f"{agent} failed: {event['seen'].get('why')}")
                    if state == wanted:
                        return time.monotonic()
        sys.exit(f"{agent} was not {wanted} within {seconds} s")

    def timeline(self, agent):
        """Every event so far: read until the first heartbeat or a second of silence."""
        request = urllib.request.Request(f"{self.url}/api/v1/agents/{agent}/events")
        request.add_header("authorization", "Bearer " + self.token)
        events = []
        try:
            with urllib.request.urlopen(request, timeout=1) as stream:
                for line in stream:
                    if line.startswith(b"data:"):
                        events.append(json.loads(line[5:]))
        except OSError:
            pass
        return events

    def spares(self):
        """How many spares are at each step."""
        steps = self.call("GET", "/api/admin/v1/stats")["flows"]["by_step"]
        return {flow["step"]: flow["count"] for flow in steps if flow["kind"] == "spare"}

    def until_pool_is_full(self, seconds=600):
        """As many spares as wanted are ready, and none is on its way in or out."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            spares = self.spares()
            if spares == ({"ready": self.pool} if self.pool else {}):
                return
            time.sleep(0.5)
        sys.exit(f"the pool was not at rest with {self.pool} spares within {seconds} s: {self.spares()}")

    def refill(self):
        """Asks for the job that makes and retires spares; it would also come by itself."""
        self.call("POST", "/api/cron/pool", bearer=self.cron)

    def gone(self, agent, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.call("GET", f"/api/v1/agents/{agent}")
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return
            time.sleep(0.2)
        sys.exit(f"{agent} was not gone within {seconds} s")

    def memory_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as lines:
            kib = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return kib / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=40)


def row(name, values, unit):
    values = sorted(values)
    if not values:
        return
    at = lambda share: values[min(len(values) - 1, int(share * len(values)))]
    form = (lambda v: f"{v:.2f}") if unit == "s" else (lambda v: f"{v:.0f}")
    # A percentile of fewer than 30 runs would be a guess.
    p50, p95 = (form(at(0.5)), form(at(0.95))) if len(values) >= 30 else ("–", "–")
    mean = form(sum(values) / len(values))
    print(f"| {name} | {len(values)} | {form(values[0])} | {mean} | {p50} | {p95} | {form(values[-1])} | {unit} |", flush=True)


class Series:
    """Agents made one after the other, on one kind of pool."""

    def __init__(self, berth):
        self.berth = berth
        self.live, self.proofs, self.own, self.steps = [], [], [], {}
        self.turn_all, self.turn_guest, self.turn_own = [], [], []

    def make(self, number, turns=0):
        berth = self.berth
        berth.until_pool_is_full()
        began = time.monotonic()
        agent = berth.call("POST", "/api/v1/agents", {"name": f"bench-{os.getpid()}-{berth.pool}-{number}"})["id"]
        self.live.append(berth.until(agent, "live") - began)
        took = {event["step"]: event["took_ms"] / 1000
                for event in berth.timeline(agent) if event.get("event") == "step_ended"}
        for step, seconds in took.items():
            self.steps.setdefault(step, []).append(seconds)
        self.proofs.append(berth.call("GET", f"/api/v1/agents/{agent}")["proof"]["latency_ms"] / 1000)
        # What is neither the machine taking its configuration up nor the turn in its gateway.
        theirs = sum(seconds for step, seconds in took.items() if step in MACHINES_STEPS) + self.proofs[-1]
        self.own.append((self.live[-1] - theirs) * 1000)
        for word in range(turns):
            began = time.monotonic()
            answer = berth.call("POST", f"/api/v1/agents/{agent}/turns", {"text": f"word {word}"})
            self.turn_all.append((time.monotonic() - began) * 1000)
            self.turn_guest.append(answer["latency_ms"])
            self.turn_own.append(self.turn_all[-1] - self.turn_guest[-1])
        berth.call("DELETE", f"/api/v1/agents/{agent}")
        berth.gone(agent)
        print(f"  pool of {berth.pool}, agent {number + 1}: live after {self.live[-1]:.2f} s", file=sys.stderr, flush=True)

    def rows(self, what):
        row(f"create to live, {what}", self.live, "s")
        for step, values in self.steps.items():
            row(f"of which `{step}`", values, "s")
        row("first proof, in the gateway", self.proofs, "s")
        row("Berth's own share: create to live, without the steps of the machine and the turn", self.own, "ms")
        row("turn, as the caller sees it", self.turn_all, "ms")
        row("of which in the gateway", self.turn_guest, "ms")
        row("Berth's own share of a turn", self.turn_own, "ms")


# Where a flow waits for the provider or the machine.
MACHINES_STEPS = {"create", "await", "hello", "apply"}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--agents", type=int, default=30)
    arguments.add_argument("--turns", type=int, default=30)
    arguments.add_argument("--pool", type=int, default=0, help="spares that are ready before each creation")
    arguments.add_argument("--empty", type=int, help="agents without a pool, after those with one; default: as --agents")
    arguments.add_argument("--starts", type=int, default=10)
    arguments.add_argument("--program", default="target/release/berth")
    chosen = arguments.parse_args()
    env = settings(".berth/env")

    starts = []
    for _ in range(chosen.starts):
        berth = Berth(chosen.program, env)
        starts.append(berth.first_200 * 1000)
        berth.stop()

    every = []
    kinds = [(0, chosen.agents)]
    if chosen.pool:
        kinds = [(chosen.pool, chosen.agents), (0, chosen.agents if chosen.empty is None else chosen.empty)]
    memory = []
    for pool, agents in kinds:
        berth = Berth(chosen.program, env, pool)
        time.sleep(5)
        idle = berth.memory_mib()
        berth.refill()
        series = Series(berth)
        for number in range(agents):
            # One of them is also talked to.
            series.make(number, chosen.turns if number == agents - 1 and not every else 0)
        memory.append(f"pool of {pool}: {idle:.1f} MiB idle after start, {berth.memory_mib():.1f} MiB after the run")
        every.append(("from a pool kept full" if pool else "fresh machine", series))
        berth.stop()
        if pool:
            # The spares go: with no pool wanted, the same job retires them.
            berth = Berth(chosen.program, env)
            berth.refill()
            berth.until_pool_is_full()
            berth.stop()

    print(f"\n{platform.system()} {platform.release()}, {os.cpu_count()} processors\n")
    print("| what | n | least | mean | p50 | p95 | most | unit |\n|---|---:|---:|---:|---:|---:|---:|---|")
    for what, series in every:
        series.rows(what)
    row("start to first 200", starts, "ms")
    print("\nMemory (resident): " + "; ".join(memory) + ".")


if __name__ == "__main__":
    main()
