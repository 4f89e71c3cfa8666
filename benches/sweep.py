#!/usr/bin/env python3
"""B7: one look at every machine of a simulated fleet, beside a serial loop in Node and prometheus-blackbox-exporter.

    benches/sweep.py --machines 1000 10000 100000 --runs 3

One machine in a hundred is dead (half of them cut the connection, half hang), one in
a hundred answers after 1.5 s, the others after --latency ms. They are HTTP servers on
loopback addresses, and so every side asks them the same thing; Berth's own SSH is
left out. Starts a Postgres of its own. Prints a table for docs/BENCHMARKS.md.
"""

import argparse
import json
import pathlib
import select
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request

from measuring import STATE, Cluster, Worker, engine, free_port, idle_share, keep, machine, node, peers, spread

HOST_KEY = STATE / "host_key"


def host_key():
    """Any key of the right form: the simulated line shows none."""
    STATE.mkdir(parents=True, exist_ok=True)
    if not HOST_KEY.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", HOST_KEY], check=True)
    return pathlib.Path(f"{HOST_KEY}.pub").read_text(encoding="ascii").strip()


def dead(number):
    return number % 100 == 13


def populate(cluster, program, machines):
    cluster.database("bench")
    Worker([program, "migrate", cluster.url("berth_migrator", "bench")]).end()
    fleet(cluster, machines)


def fleet(cluster, machines):
    """Rows of so many machines, each with an agent that is live, on 64 loopback addresses."""
    cluster.ask("bench", f"""
        insert into tenants (id, name) values ('00000000-0000-0000-0000-000000000001', 'bench');
        -- Looks like an envelope, which nobody here opens.
        create function pg_temp.sealed(length int) returns bytea language sql as $$
            select '\\x01'::bytea || repeat('k', length - 1)::bytea $$;
        create temp table m as
            select n, ('01980000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid as id,
                   ('01990000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid as agent
            from generate_series(0, {machines - 1}) n;
        insert into machines (id, tenant_id, agent_id, provider, isolation, image, state, address, host_key,
                              host_key_sealed, machine_key_sealed, machine_token_sealed, machine_token_hash,
                              gateway_token_sealed, model_key_sealed, model_key_hash)
        select id, '00000000-0000-0000-0000-000000000001', agent, 'fake', 'container', 'bench', 'made',
               '127.32.0.' || n % 64 + 1, '{host_key()}', pg_temp.sealed(460), pg_temp.sealed(90),
               pg_temp.sealed(110), sha256(('t' || n)::bytea), pg_temp.sealed(110), pg_temp.sealed(110),
               sha256(('m' || n)::bytea) from m;
        insert into flows (id, kind, tenant_id, subject, step, run_at)
        select gen_random_uuid(), 'life', '00000000-0000-0000-0000-000000000001', agent,
               jsonb_build_object('step', 'live', 'machine', id), now() + interval '1 day' from m;
        vacuum analyze;
        checkpoint;""")


def written(cluster):
    """Rows written so far; a connection that idles tells after ten seconds."""
    time.sleep(11)
    return int(cluster.ask("bench", """
        select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) from pg_stat_user_tables
        where schemaname = 'public'"""))


def wrong_rows(cluster):
    """Machines whose row says another thing than the truth."""
    return int(cluster.ask("bench", """
        select count(*) from machines
        where health <> case when ('x' || right(id::text, 8))::bit(32)::int % 100 = 13 then 'silent' else 'ready' end"""))


def berth(cluster, program, machines, port, runs):
    results = []
    populate(cluster, program, machines)
    worker = Worker([program, "sweep", cluster.url("berth_login", "bench"), machines, port])
    worker.until("ready")
    so_far = written(cluster)
    for number in range(runs + 1):
        worker.say("sweep")
        said = json.loads(worker.line())
        before, so_far = so_far, written(cluster)
        said["rows"] = so_far - before
        counts = said["counts"]
        said["wrong"] = max(wrong_rows(cluster), abs(counts["silent"] - said["dead"]) + counts["not_ready"])
        said["first"] = number == 0
        results.append(said)
        print(f"  berth {machines}: {said['seconds']:.1f} s, {said['rows']} rows, {said['wrong']} wrong",
              file=sys.stderr, flush=True)
    worker.end()
    return results


def peak_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        fields = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return int(fields["VmRSS"]), int(fields["VmHWM"])


def probed(folder, how, machines, port, exporter="", watched=None):
    worker = Worker([node(folder), folder / "probes.mjs", how, port, machines, exporter])
    worker.until("ready")
    pid = watched or worker.process.pid
    idle = peak_kib(pid)[0]
    worker.say("go")
    said = None
    peak = idle
    # Its answer comes on one line; until then its memory is read now and then.
    while not select.select([worker.process.stdout], [], [], 0.2)[0]:
        peak = max(peak, peak_kib(pid)[1])
    said = json.loads(worker.line())
    worker.end()
    found = set(said.pop("dead"))
    said["wrong"] = len(found ^ {number for number in range(machines) if dead(number)})
    said |= {"idle_kib": idle, "peak_kib": peak}
    print(f"  {how} {machines}: {said['seconds']:.1f} s, {said['wrong']} wrong", file=sys.stderr, flush=True)
    return said


class Exporter:
    """prometheus-blackbox-exporter, with a module that asks as the others do."""

    def __init__(self):
        program = shutil.which("prometheus-blackbox-exporter")
        if program is None:
            sys.exit("prometheus-blackbox-exporter is missing. Install that package, or leave it out: --without exporter")
        config = STATE / "blackbox.yml"
        config.write_text("""modules:
  machine:
    prober: http
    timeout: 5s
    http:
      valid_status_codes: [200]
      preferred_ip_protocol: ip4
""", encoding="ascii")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [program, f"--config.file={config}", f"--web.listen-address={self.url[7:]}", "--log.level=error"],
            stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                with urllib.request.urlopen(self.url + "/-/healthy", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        sys.exit("prometheus-blackbox-exporter did not start.")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)


def line(who, machines, results, rows, note):
    seconds = spread([said["seconds"] for said in results], "{:.1f}")
    memory = max(said["peak_kib"] - said["idle_kib"] for said in results) / 1024
    wrong = max(said["wrong"] for said in results)
    print(f"| {machines:,} | {who} | {len(results)} | {seconds} | {memory:.0f} | {wrong} | {rows} | {note} |")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--machines", type=int, nargs="+", default=[1000, 10000, 100000])
    arguments.add_argument("--runs", type=int, default=3, help="of Berth, after a first sweep that writes every row")
    arguments.add_argument("--latency", type=int, default=20, help="ms that a machine takes to answer")
    arguments.add_argument("--serial-max", type=int, default=1000, help="largest fleet for the serial loop")
    arguments.add_argument("--exporter-max", type=int, default=10000, help="largest fleet for the exporter")
    arguments.add_argument("--without", nargs="+", choices=["serial", "exporter"], default=[])
    arguments.add_argument("--profile", default="bench", help="cargo profile of Berth's half; dev for trying out")
    chosen = arguments.parse_args()
    program, folder = engine(chosen.profile), peers()
    results = {}
    with Cluster() as cluster:
        where = machine(cluster, idle_share())
        for machines in chosen.machines:
            endpoints = Worker([program, "endpoints", machines, chosen.latency])
            port = int(endpoints.line())
            results[f"berth {machines}"] = berth(cluster, program, machines, port, chosen.runs)
            if "serial" not in chosen.without and machines <= chosen.serial_max:
                results[f"serial {machines}"] = [probed(folder, "serial", machines, port)]
            if "exporter" not in chosen.without and machines <= chosen.exporter_max:
                exporter = Exporter()
                results[f"exporter {machines}"] = [
                    probed(folder, "exporter", machines, port, exporter.url, exporter.process.pid)
                    for _ in range(chosen.runs)]
                exporter.stop()
            endpoints.say("end")
            endpoints.end()
    print(f"\n{where}\n")
    print(f"1 % dead (half cut, half hang), 1 % answer after 1.5 s, the others after {chosen.latency} ms. "
          "Simulated: HTTP on loopback in place of SSH, and the provider's listing.\n")
    print("| machines | who | n | seconds: median (least to most) | MiB above idle | wrong verdicts | rows written | how |")
    print("|---:|---|---:|---:|---:|---:|---:|---|")
    for machines in chosen.machines:
        sweeps = results[f"berth {machines}"]
        first, later = sweeps[:1], sweeps[1:] or sweeps[:1]
        line("Berth, first sweep", machines, first, f"{first[0]['rows']:,}", "three looks before bad news counts")
        rows = statistics.median(said["rows"] for said in later)
        line("Berth, later ones", machines, later, f"{rows:,.0f}", "the same; writes what changed")
        if f"exporter {machines}" in results:
            line("blackbox exporter", machines, results[f"exporter {machines}"], "–", "one look, 256 at once, 5 s; no verdicts kept")
        if f"serial {machines}" in results:
            line("serial loop, Node", machines, results[f"serial {machines}"], "–", "one look, one at a time, 5 s")
    cpu = {name: [1e6 * said["cpu_seconds"] / int(name.split()[1]) for said in said_all]
           for name, said_all in results.items() if name.startswith("berth")}
    print("\nBerth's processor time a machine: "
          + "; ".join(f"{name.split()[1]} machines {statistics.median(values):.0f} µs" for name, values in cpu.items()))
    keep("sweep", {"where": where, "latency_ms": chosen.latency, "profile": chosen.profile, "results": results})


if __name__ == "__main__":
    main()
