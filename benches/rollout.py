#!/usr/bin/env python3
"""B5: one secret of 4 kB brought to many machines, by Berth's SSH client, ansible, pssh, parallel-ssh and asyncssh.

    benches/rollout.py --hosts 50 200 --runs 5

Each machine is an sshd of its own on a loopback address of its own, with a host key of
its own and one folder. All sides send the same bytes to the same script, which writes
them beside the file, mode 0600, and renames; ansible's copy module does that its own way.
After each turn every machine's file is compared. Then the same with --dead % of the
machines taking connections and never answering. Prints a table for docs/BENCHMARKS.md.
"""

import argparse
import hashlib
import json
import os
import pathlib
import statistics
import sys
import tempfile

from measuring import built, idle_share, keep, machine, spread
from rollout_hosts import Hosts
from rollout_sides import SIDES, Turn, start_sides

# All sides give a machine this long, and work on so many at once: the limits that a person would choose are alike.
LIMIT_MS = 5000
SECRET_BYTES = 4000


def payload(folder):
    """The file of one turn: Berth's request with a fresh secret, as its own encoder writes it. All sides push it."""
    request = {"version": 1, "verb": "apply", "fence": 1, "document": {},
               "secrets": [{"name": "model_key", "value": os.urandom(SECRET_BYTES // 2).hex()}]}
    content = json.dumps(request, separators=(",", ":")).encode()
    path = folder / "payload"
    path.write_bytes(content)
    path.chmod(0o600)
    return path, hashlib.sha256(content).hexdigest()


def measured(side, hosts, how, count, dead, at_once, sample):
    """One turn of one side, with the files looked at afterwards."""
    path, digest = payload(hosts.folder)
    with hosts.listening(count, dead) as numbers:
        said = side.turn(Turn(how, path, digest, count, at_once, LIMIT_MS, sample))
    right = sum(hosts.holds(number, digest) for number in range(count))
    alive = count - len(numbers)
    said |= {"right": right, "failed": count - right}
    if right != alive or said.pop("done") != alive:
        sys.exit(f"{side.name}, {how}: {right} of {alive} machines hold the secret; it says {said}")
    print(f"  {count} hosts, {len(numbers)} dead, {side.name}, {how}: {said['seconds']:.2f} s, "
          f"{said['cpu_ms']:.2f} ms a host", file=sys.stderr, flush=True)
    return said


def compared(sides, hosts, count, dead, chosen):
    """All sides in turns. By name and way: the measured turns, and the memory of the first."""
    rows = {}
    for number in range(chosen.runs + 1):
        for side in sides:
            # With dead machines nobody keeps connections.
            for how in side.ways if not dead else ["fresh"]:
                said = measured(side, hosts, how, count, dead, chosen.at_once, number == 0)
                row = rows.setdefault(f"{side.name} {how}", {"memory_mib": 0, "turns": []})
                row["memory_mib"] = max(row["memory_mib"], said["memory_mib"])
                if number or not chosen.runs:
                    row["turns"].append(said)
    return rows


def table(rows, count, dead):
    ours = rows["berth fresh"]["turns"]
    print(f"\n{count} machines, {dead} of them dead.\n")
    print("| who | connections | wall, s | times Berth's | client CPU a host, ms | times Berth's | peak memory, MiB | "
          "not reached |\n|---|---|---:|---:|---:|---:|---:|---:|")
    for name, row in rows.items():
        (side, how), turns = name.split(" "), row["turns"]
        ratios = {"seconds": "–", "cpu_ms": "–"}
        if name != "berth fresh":
            ratios = {what: spread([theirs[what] / own[what] for theirs, own in zip(turns, ours)], "{:.1f}")
                      for what in ratios}
        print(f"| {SIDES[side]} | {how} | {spread([turn['seconds'] for turn in turns], '{:.2f}')} | {ratios['seconds']} | "
              f"{spread([turn['cpu_ms'] for turn in turns], '{:.2f}')} | {ratios['cpu_ms']} | "
              f"{row['memory_mib']:.0f} | {turns[0]['failed']} |")


def aims(results):
    """What issue 5 asks for, answered by the medians."""
    for (count, dead), sides in results.items():
        median = {name: {what: statistics.median(turn[what] for turn in row["turns"]) for what in ("seconds", "cpu_ms")}
                  for name, row in sides.items()}
        fresh = {name: row["seconds"] for name, row in median.items() if name.endswith("fresh") and name[:5] != "berth"}
        said = f"{count} machines, {dead} dead: client CPU {median['berth fresh']['cpu_ms']:.2f} ms a host (aim 1.5)"
        if fresh:
            best = min(fresh, key=fresh.get)
            said += (f"; wall {median['berth fresh']['seconds']:.2f} s, the fastest peer with fresh connections "
                     f"{fresh[best]:.2f} s ({SIDES[best.split(' ')[0]]})")
        if dead:
            added = median["berth fresh"]["seconds"] - statistics.median(
                turn["seconds"] for turn in results[(count, 0)]["berth fresh"]["turns"])
            said += f"; the dead add {added:.2f} s to Berth's wall (aim: at most {LIMIT_MS / 1000:.0f} s)"
        print("\n" + said + ".")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--hosts", type=int, nargs="+", default=[50, 200])
    arguments.add_argument("--runs", type=int, default=5, help="after one to warm up, in which memory is watched")
    arguments.add_argument("--dead", type=int, default=5, help="per cent of the machines in the second half; 0: none")
    arguments.add_argument("--at-once", type=int, default=50, help="machines at once, for every side")
    arguments.add_argument("--profile", default="release", help="cargo profile of Berth's half; dev for trying out")
    arguments.add_argument("--without", nargs="+", choices=list(SIDES)[1:], default=[])
    chosen = arguments.parse_args()
    program = built("rollout", "bench", "--workspace", "--bench", "rollout", "--no-run", "--profile", chosen.profile)
    idle = idle_share()
    results = {}
    with tempfile.TemporaryDirectory(prefix="berth-rollout-") as folder:
        os.chmod(folder, 0o755)
        with Hosts(pathlib.Path(folder), program, max(chosen.hosts)) as hosts:
            with start_sides([name for name in SIDES if name not in chosen.without], program, hosts) as sides:
                for count in chosen.hosts:
                    for dead in [0, count * chosen.dead // 100] if chosen.dead else [0]:
                        results[(count, dead)] = compared(sides, hosts, count, dead, chosen)
    print(f"\n{machine(None, idle)}.\nOne sshd a machine, {chosen.at_once} machines at once, {LIMIT_MS / 1000:.0f} s for each; "
          f"median (least to most) of {max(1, chosen.runs)} turns.")
    for (count, dead), rows in results.items():
        table(rows, count, dead)
    aims(results)
    keep("rollout", {"idle": idle, "at_once": chosen.at_once, "profile": chosen.profile, "results": {
        f"{count} hosts, {dead} dead": sides for (count, dead), sides in results.items()}})


if __name__ == "__main__":
    main()
