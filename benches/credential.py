#!/usr/bin/env python3
"""B6: from "the API said yes" to "the machine's disk holds the new value", beside a script that does it over SSH.

    benches/credential.py --changes 200

Starts Berth as it is shipped with a Postgres of its own, and machines that are an
OpenSSH server, the real guest and a stand-in for the gateway each. A bot's token is
changed, one change at a time and on all machines at once; the kernel tells when the file
is in place, and its content is compared. The other side is node-ssh with shell lines over
the same servers, with and without the pauses that such scripts have. Needs root: the
machines' sshd must know the account `berth`, which a file system of their own tells them.
"""

import argparse
import os
import statistics
import sys
import time

from credential_world import World
from measuring import Worker, berth, built, idle_share, keep, machine, node, peers

SIDES = {
    "berth": "Berth",
    "none": "node-ssh, without pauses",
    "sleeps": "node-ssh, with its pauses of 2 s and 5 s",
}


def by_berth(world, numbers):
    """One change on each of these machines at once. Milliseconds from each answer to the disk, and to in force."""
    values = {number: world.token(number) for number in numbers}
    with world.watching("telegram_token", values) as watch:
        answered = world.set_tokens(values)
        landed = watch.wait()
    in_force = world.in_force(numbers)
    world.settled()
    return [{"disk": (landed[number] - answered[number]) * 1000, "done": (in_force[number] - answered[number]) * 1000}
            for number in numbers]


def by_node(world, script, numbers, sleeps):
    """The same by the script; from its beginning, since it has no API before it."""
    values = {number: world.token(number) for number in numbers}
    script.say(f"{world.request(values)} {sleeps}")
    script.until("set")
    with world.watching("key", values) as watch:
        began = time.monotonic()
        script.say("go")
        landed = watch.wait()
    took = script.json()
    return [{"disk": (landed[number] - began) * 1000, "done": took[index]} for index, number in enumerate(numbers)]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def shown(values):
    """Median, 99th of a hundred where there are thirty, most."""
    p99 = f"{percentile(values, 0.99):,.0f}" if len(values) >= 30 else "–"
    return f"{statistics.median(values):,.0f} | {p99} | {max(values):,.0f}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--changes", type=int, default=200, help="of Berth and of the script without pauses, each way")
    arguments.add_argument("--slow", type=int, default=5, help="of the script with its pauses; seven seconds each; 0: none")
    arguments.add_argument("--machines", type=int, default=20, help="also how many changes at once")
    arguments.add_argument("--profile", default="release", help="cargo profile of Berth, guest and simulator; dev for trying out")
    chosen = arguments.parse_args()
    if os.geteuid() != 0:
        sys.exit("Run this as root: the machines' sshd must sign in the account `berth`.")
    programs = {
        "berth": berth(chosen.profile),
        "simulator": built("berth-sim", "build", "--workspace", "--bin", "berth-sim", "--profile", chosen.profile),
        "machine": built("machine", "bench", "--workspace", "--bench", "machine", "--no-run", "--profile", chosen.profile),
    }
    folder = peers()
    idle = idle_share()
    everyone = list(range(chosen.machines))
    results = {f"{side} {how}": [] for side in SIDES for how in ("one", "all")}
    with World(programs, chosen.machines) as world:
        where = machine(world.cluster, idle)
        script = Worker([node(folder), folder / "update_key.mjs", world.inventory])
        script.until("ready")
        by_berth(world, everyone)  # the first warms up
        by_node(world, script, everyone, "none")
        for number in range(chosen.changes):
            # Both sides in turns, and every machine in turn.
            one = [number % chosen.machines]
            results["berth one"] += by_berth(world, one)
            results["none one"] += by_node(world, script, one, "none")
        for _ in range(-(-chosen.changes // chosen.machines)):
            results["berth all"] += by_berth(world, everyone)
            results["none all"] += by_node(world, script, everyone, "none")
        for number in range(chosen.slow):
            results["sleeps one"] += by_node(world, script, [number % chosen.machines], "sleeps")
        if chosen.slow:
            results["sleeps all"] += by_node(world, script, everyone, "sleeps")
        script.end()
    print(f"\n{where}.\n{chosen.machines} machines. Milliseconds; a value that did not arrive whole would have ended the program.\n")
    print("| changes | who | n | to the disk: p50 | p99 | most | until it knows: p50 | p99 | most |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for how, words in (("one", "one at a time"), ("all", f"{chosen.machines} at once")):
        for side, name in SIDES.items():
            if rows := results[f"{side} {how}"]:
                print(f"| {words} | {name} | {len(rows)} | {shown([row['disk'] for row in rows])} | "
                      f"{shown([row['done'] for row in rows])} |")
    for how in ("one", "all"):
        disk = {side: statistics.median(row["disk"] for row in results[f"{side} {how}"]) for side in ("berth", "none")}
        print(f"\n{'One at a time' if how == 'one' else 'All at once'}: p99 to the disk "
              f"{percentile([row['disk'] for row in results[f'berth {how}']], 0.99):.0f} ms (aim 300); the script's median is "
              f"{disk['none'] / disk['berth']:.1f} times Berth's.")
    keep("credential", {"where": where, "profile": chosen.profile, "machines": chosen.machines, "results": results})


if __name__ == "__main__":
    main()
