#!/usr/bin/env python3
"""Times an agent's life on the real thing: real machine, real sshd, real OpenClaw.

    scripts/dev --setup-only --release
    benches/agent_times.py --agents 30 --turns 30 --program target/release/berth

Starts Berth by itself from .berth/env, makes agents one after the other, and
prints a table for docs/BENCHMARKS.md. Only the standard library is needed. Times
of steps are Berth's own (its timeline, by the database's clock); "create to live"
is the caller's: from sending the request to seeing `live` on the event stream.
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
    def __init__(self, program, env):
        self.url = env["BERTH_PUBLIC_URL"].rstrip("/")
        self.log = open("target/agent_times.log", "ab")
        began = time.monotonic()
        self.process = subprocess.Popen([program, "all"], stdout=self.log, stderr=self.log)
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

    def call(self, method, path, body=None, timeout=120):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("authorization", "Bearer " + self.token)
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


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--agents", type=int, default=30)
    arguments.add_argument("--turns", type=int, default=30)
    arguments.add_argument("--program", default="target/release/berth")
    chosen = arguments.parse_args()
    env = settings(".berth/env")
    steps = {}
    live, turn_all, turn_guest, proofs, berths_share = [], [], [], [], []

    starts = []
    for _ in range(10):
        berth = Berth(chosen.program, env)
        starts.append(berth.first_200 * 1000)
        berth.stop()
    berth = Berth(chosen.program, env)
    time.sleep(5)
    idle = berth.memory_mib()

    for number in range(chosen.agents):
        began = time.monotonic()
        agent = berth.call("POST", "/api/v1/agents", {"name": f"bench-{os.getpid()}-{number}"})["id"]
        live.append(berth.until(agent, "live") - began)
        for event in berth.timeline(agent):
            if event.get("event") == "step_ended":
                steps.setdefault(event["step"], []).append(event["took_ms"] / 1000)
        proofs.append(berth.call("GET", f"/api/v1/agents/{agent}")["proof"]["latency_ms"] / 1000)
        if number == chosen.agents - 1:
            for word in range(chosen.turns):
                began = time.monotonic()
                answer = berth.call("POST", f"/api/v1/agents/{agent}/turns", {"text": f"word {word}"})
                turn_all.append((time.monotonic() - began) * 1000)
                turn_guest.append(answer["latency_ms"])
                berths_share.append(turn_all[-1] - turn_guest[-1])
        berth.call("DELETE", f"/api/v1/agents/{agent}")
        berth.gone(agent)
        print(f"  agent {number + 1}: live after {live[-1]:.1f} s", file=sys.stderr, flush=True)
    loaded = berth.memory_mib()
    berth.stop()

    print(f"\n{platform.system()} {platform.release()}, {os.cpu_count()} processors\n")
    print("| what | n | least | mean | p50 | p95 | most | unit |\n|---|---:|---:|---:|---:|---:|---:|---|")
    row("create to live, fresh machine", live, "s")
    for step, values in steps.items():
        row(f"of which `{step}`", values, "s")
    row("first proof, in the gateway", proofs, "s")
    row("turn, as the caller sees it", turn_all, "ms")
    row("of which in the gateway", turn_guest, "ms")
    row("Berth's own share of a turn", berths_share, "ms")
    row("start to first 200", starts, "ms")
    print(f"\nMemory (resident): {idle:.1f} MiB idle after start, {loaded:.1f} MiB after the run.")


if __name__ == "__main__":
    main()
