"""The sides of benches/rollout.py, each with how it is told to push and how its work is counted."""

import contextlib
import ctypes
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

from measuring import CHECKOUT, STATE, Worker

SIDES = {
    "berth": "Berth",
    "asyncssh": "asyncssh 2.24",
    "parallel-ssh": "parallel-ssh 2.16",
    "pssh": "pssh 2.3.4 (OpenSSH)",
    "ansible": "ansible-core 2.19, copy",
}


@dataclasses.dataclass
class Turn:
    """What one side is to do once. `how` is `fresh` or `again`."""

    how: str
    path: pathlib.Path
    digest: str
    count: int
    at_once: int
    limit_ms: int
    watch_memory: bool


class Library:
    """A side that is one process and stays: it is counted from the word to go until it says that it is done."""

    def __init__(self, name, ways, command, line):
        self.name, self.ways, self.line = name, ways, line
        self.worker = Worker(command)
        self.worker.until("ready")

    def turn(self, turn):
        pid = self.worker.process.pid
        self.worker.say(self.line(turn))
        self.worker.until("set")
        # Forgets how much memory it ever had.
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
        used, began = processor_ns(pid), time.monotonic()
        self.worker.say("go")
        said = json.loads(self.worker.line())
        said["seconds"] = time.monotonic() - began
        said["cpu_ms"] = (processor_ns(pid) - used) / 1e6 / turn.count
        said["memory_mib"] = status(pid)["VmHWM"] / 1024
        return said

    def end(self):
        self.worker.end()


class Program:
    """A side that is started anew each time, with what it starts and leaves behind."""

    def __init__(self, name, ways, command, done, environment):
        self.name, self.ways, self.command, self.done, self.environment = name, ways, command, done, environment
        self.left = {}

    def turn(self, turn):
        if turn.how == "fresh":
            self.end()
        memory, before = 0, dict(self.left)
        others = children()
        with open(turn.path, "rb") as content, open(STATE / "rollout.log", "w+", encoding="utf-8") as said:
            began = time.monotonic()
            process = subprocess.Popen([str(word) for word in self.command(turn)], stdin=content, stdout=said,
                                       stderr=subprocess.STDOUT, env=self.environment)
            watching = threading.Event()
            if turn.watch_memory:
                def watch():
                    nonlocal memory
                    while not watching.wait(0.05):
                        memory = max(memory, sum(
                            status(pid).get("RssAnon", 0) for pid in below(process.pid) | set(before)))
                watcher = threading.Thread(target=watch)
                watcher.start()
            _, code, used = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(code)
            watching.set()
            if turn.watch_memory:
                watcher.join()
            said.seek(0)
            text = said.read()
        cpu = (used.ru_utime + used.ru_stime) * 1e9 + self.reap(before, others)
        result = {"done": self.done(text, turn), "failures": {}, "seconds": seconds, "cpu_ms": cpu / 1e6 / turn.count,
                  "memory_mib": memory / 1024}
        if process.returncode and "again" not in turn.how and result["done"] == 0:
            sys.exit(f"{self.name} ended with {process.returncode}:\n{text[-2000:]}")
        return result

    def reap(self, before, others):
        """What those used that it left behind: they are our children now. Remembers those that go on."""
        used = 0
        self.left = {}
        for pid in (children() - others) | set(before):
            try:
                gone, _, resources = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if gone:
                used += (resources.ru_utime + resources.ru_stime) * 1e9 - before.get(pid, 0)
            else:
                self.left[pid] = processor_ns(pid)
                used += self.left[pid] - before.get(pid, 0)
        return used

    def end(self):
        for pid in self.left:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, 15)
                os.waitpid(pid, 0)
        self.left = {}


def processor_ns(pid):
    """What a process has used so far with all its threads: its own clock, which the kernel numbers so."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def status(pid):
    """The memory of a process in KiB; empty: it is gone."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.startswith(("Vm", "Rss", "PPid")))
    return {words[0].rstrip(":"): int(words[1]) for words in fields}


def parents():
    found = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            found[int(folder.name)] = status(int(folder.name)).get("PPid", 0)
    return found


def children():
    return {pid for pid, parent in parents().items() if parent == os.getpid()}


def below(root):
    """A process and all that it started."""
    tree, found = parents(), {root}
    while more := {pid for pid, parent in tree.items() if parent in found} - found:
        found |= more
    return found


def installed():
    """Installs the peers of PyPI into target/bench, pinned; returns the folder of their programs."""
    folder, wanted = STATE / "rollout-peers", CHECKOUT / "benches/peers/rollout.txt"
    done = folder / "installed"
    if not done.exists() or done.read_bytes() != wanted.read_bytes():
        print("Installing asyncssh, parallel-ssh and ansible", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "-q", "-r", wanted], check=True)
        shutil.copy(wanted, done)
    return folder / "bin"


def pssh():
    """pssh as Debian packages it, unpacked into target/bench; None where it cannot be had."""
    folder = STATE / "pssh"
    program = folder / "usr/bin/parallel-ssh"
    if not (folder / "usr/lib/python3").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(["apt-get", "download", "-qq", "pssh", "python3-psshlib"], check=True, cwd=folder,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for package in folder.glob("*.deb"):
                subprocess.run(["dpkg", "-x", package, folder], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"pssh is left out: {error}", file=sys.stderr, flush=True)
            return None
    return program


@contextlib.contextmanager
def start_sides(names, program, hosts):
    """The chosen sides; they end with the block."""
    # Whatever a side leaves behind becomes our child, so that its work is counted and it is ended.
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)
    folder, peers = hosts.folder, CHECKOUT / "benches/peers"
    python = installed() / "python"
    make = {
        "berth": lambda: Library(
            "berth", ["fresh"], [program, "push", folder, hosts.account],
            lambda turn: f"{turn.path} {turn.digest} {turn.count} {turn.at_once} {turn.limit_ms}"),
        "asyncssh": lambda: Library(
            "asyncssh", ["fresh", "again"],
            [python, peers / "rollout_asyncssh.py", folder / "inventory.json", folder / "client", folder / "known_hosts"],
            by_line),
        "parallel-ssh": lambda: Library(
            "parallel-ssh", ["fresh", "again"],
            [python, peers / "rollout_parallel_ssh.py", folder / "inventory.json", folder / "client"], by_line),
        "pssh": lambda: by_pssh(hosts),
        "ansible": lambda: by_ansible(hosts, python.parent),
    }
    sides = [side for side in (make[name]() for name in names) if side]
    try:
        yield sides
    finally:
        for side in sides:
            side.end()


def by_line(turn):
    return f"{turn.how} {turn.path} {turn.count} {turn.at_once} {turn.limit_ms}"


def listed(hosts, turn, line):
    path = hosts.folder / "hosts.txt"
    path.write_text("".join(line(number, hosts.addresses[number]) for number in range(turn.count)), encoding="ascii")
    return path


def by_pssh(hosts):
    """Sends its own input to `ssh` for each machine, and shows what each said."""
    program = pssh()
    if program is None:
        return None

    def command(turn):
        return ["/usr/bin/python3", program, "-h", listed(hosts, turn, lambda _, address: f"{address}\n"), "-I", "-i",
                "-p", turn.at_once, "-t", turn.limit_ms // 1000, "-x", f"-F {hosts.folder}/ssh_config", hosts.command]

    # Its inline output is the digest that each machine read back.
    return Program("pssh", ["fresh"], command, lambda text, turn: text.count(turn.digest),
                   os.environ | {"PYTHONPATH": str(STATE / "pssh/usr/lib/python3/dist-packages")})


def by_ansible(hosts, programs):
    """One `copy`, without asking for facts; the masters that ssh leaves open are the second turn's connections."""
    folder = hosts.folder
    (folder / "ansible.cfg").write_text(f"""\
[defaults]
host_key_checking = True
timeout = 5
local_tmp = {folder}/local
remote_tmp = {folder}/remote
interpreter_python = /usr/bin/python3
[ssh_connection]
pipelining = True
ssh_args = -F {folder}/ssh_config -o ControlMaster=auto -o ControlPersist=60s
control_path_dir = {folder}/cp
""", encoding="ascii")

    def command(turn):
        inventory = listed(hosts, turn, lambda number, address: (
            f"h{number} ansible_host={address} ansible_port={hosts.port} ansible_user={hosts.account} "
            f"home={hosts.home(number)}\n"))
        return [programs / "ansible", "all", "-o", "-i", inventory, "-f", turn.at_once, "-m", "copy",
                "-a", f"src={turn.path} dest={{{{home}}}}/secret mode=0600"]

    return Program("ansible", ["fresh", "again"], command, lambda text, _: text.count("| CHANGED"),
                   os.environ | {"ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
                                 "ANSIBLE_HOME": str(folder / "ansible")})
