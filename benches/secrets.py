#!/usr/bin/env python3
"""B4: what opening a sealed value costs, beside deriving a key for every record.

    benches/secrets.py --runs 5

Berth unwraps a tenant's key once and then opens each value with AES-256-GCM. The
other side derives a key from a passphrase for every record, as PBKDF2 asks, with
100,000 rounds and with the 600,000 that OWASP asks; with Node's own functions.
Berth's reader of that form runs too: it is used once, when somebody brings a
value along. All sides take turns in one run, on one processor; every value is
compared. Prints a table for docs/BENCHMARKS.md.
"""

import argparse
import os
import statistics

from measuring import Worker, built, idle_share, keep, machine, node, peers, spread

# What, by whom, how it is asked, how often in one turn.
SIDES = [
    ("Berth, the tenant's key at hand", "berth", "open", 20000),
    ("Berth, with unwrapping the tenant's key", "berth", "unwrap", 10000),
    ("Berth's reader of the form below", "berth", "imported", 8),
    ("a key for every record, 100,000 rounds, Node", "node", "100000", 8),
    ("a key for every record, 600,000 rounds, Node", "node", "600000", 2),
]


def turn(worker, way, count):
    """Microseconds for one value."""
    worker.say(f"{way} {count}")
    return int(worker.line()) / count / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--profile", default="release")
    arguments = parser.parse_args()

    program = built("secrets", "bench", "--workspace", "--bench", "secrets", "--no-run", "--profile", arguments.profile)
    folder = peers()
    idle = idle_share()
    # Both on one processor, which the other's turn leaves alone: nobody gains by a quieter one.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    other = Worker([node(folder), folder / "opens.mjs"])
    ours = Worker([program])
    ours.say(other.line())
    workers = {"berth": ours, "node": other}

    took = {name: [] for name, *_ in SIDES}
    for number in range(arguments.runs + 1):
        for name, side, way, count in SIDES:
            microseconds = turn(workers[side], way, count)
            if number:  # the first warms up
                took[name].append(microseconds)
    for worker in workers.values():
        worker.end()

    least = statistics.median(took[SIDES[0][0]])
    print(f"\n{machine(None, idle)}.\n128 bytes, one processor; median (least to most) of {arguments.runs} turns.\n")
    print("| how | µs a value | times Berth's |\n|---|---:|---:|")
    for name, *_ in SIDES:
        values = took[name]
        ratio = "–" if name == SIDES[0][0] else f"{statistics.median(values) / least:,.0f}"
        print(f"| {name} | {spread(values, '{:,.2f}' if statistics.median(values) < 100 else '{:,.0f}')} | {ratio} |")
    keep("secrets", {"idle": idle, "microseconds": took})


if __name__ == "__main__":
    main()
