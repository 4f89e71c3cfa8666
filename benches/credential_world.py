"""What benches/credential.py measures in: Postgres, Berth, the vendor of bots, and machines with a disk to watch."""

import base64
import contextlib
import ctypes
import http.client
import http.server
import json
import os
import pathlib
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

from measuring import CHECKOUT, Cluster, Worker, free_port

PATIENCE = 60
ACCOUNT = "berth"


class Vendor(http.server.BaseHTTPRequestHandler):
    """Telegram's `getMe`, which knows every bot."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        bot = self.path.removeprefix("/bot").split(":")[0]
        body = json.dumps({"ok": True, "result": {"id": int(bot), "is_bot": True, "username": f"bench_{bot}_bot"}})
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Watch:
    """Tells when each machine's file holds what it should, by inotify."""

    MOVED_TO = 0x80

    def __init__(self, folders, name, values):
        self.libc, self.name, self.values = ctypes.CDLL(None, use_errno=True), name, values
        self.file = self.libc.inotify_init1(os.O_CLOEXEC)
        self.watched = {}
        for number in values:
            watch = self.libc.inotify_add_watch(self.file, os.fsencode(folders[number]), self.MOVED_TO)
            if watch < 0:
                sys.exit(f"{folders[number]} cannot be watched: {os.strerror(ctypes.get_errno())}")
            self.watched[watch] = (number, folders[number] / name)
        self.landed, self.changed = {}, threading.Condition()
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        while len(self.landed) < len(self.values):
            if not select.select([self.file], [], [], PATIENCE)[0]:
                return
            events, now = os.read(self.file, 64 * 1024), time.monotonic()
            while events:
                watch, _, _, length = struct.unpack_from("iIII", events)
                name, events = events[16:16 + length].rstrip(b"\0"), events[16 + length:]
                number, path = self.watched[watch]
                if name.decode() == self.name and path.read_text(encoding="ascii") == self.values[number]:
                    self.landed.setdefault(number, now)
        with self.changed:
            self.changed.notify()

    def wait(self):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.landed) == len(self.values), timeout=PATIENCE):
                missing = sorted(set(self.values) - set(self.landed))
                sys.exit(f"the new value did not arrive on the machines {missing} within {PATIENCE} s")
        return self.landed

    def close(self):
        os.close(self.file)


class World:
    """Everything up, with one agent a machine, each with a bot."""

    def __init__(self, programs, machines):
        self.programs, self.count = programs, machines
        self.processes, self.serial = [], 0

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self.cluster = stack.enter_context(Cluster())
            self.home = pathlib.Path(tempfile.mkdtemp(prefix="berth-machines-", dir="/var/tmp"))
            stack.callback(shutil.rmtree, self.home, ignore_errors=True)
            stack.callback(self.stop)
            self.home.chmod(0o755)
            self.vendor = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
            threading.Thread(target=self.vendor.serve_forever, daemon=True).start()
            settings = self.simulator()
            self.serve(settings)
            self.populate()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def simulator(self):
        """Starts the machines' daemon where the account `berth` exists, as whoever runs this. Gives Berth's settings."""
        known = pathlib.Path("/etc/passwd").read_text(encoding="utf-8")
        rows = [row for row in known.splitlines() if not row.startswith(f"{ACCOUNT}:")]
        rows.append(f"{ACCOUNT}:x:{os.getuid()}:{os.getgid()}::{self.home}:/bin/sh")
        (self.home / "passwd").write_text("\n".join(rows) + "\n", encoding="utf-8")
        (self.home / "machines").mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", self.home / "machines/peer"], check=True)
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        # A mount of its own: nobody else sees the account, and it is gone with the simulator.
        script = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", self.home / "passwd",
             self.programs["simulator"], self.home, "--machine", self.programs["machine"]],
            stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        settings = {}
        while "BERTH_MACHINE_LISTEN" not in settings:
            name, _, value = process.stdout.readline().strip().partition("=")
            if not name:
                sys.exit("the machine simulator did not start")
            settings[name] = value
        return settings

    def serve(self, settings):
        self.cluster.database("bench")
        self.port = free_port()
        environment = {"PATH": os.environ["PATH"], **settings}
        environment |= {
            "DATABASE_URL": self.cluster.url("berth_login", "bench"),
            "BERTH_DATABASE_MIGRATOR_URL": self.cluster.url("berth_migrator", "bench"),
            "CREDENTIAL_ENCRYPTION_KEY": base64.b64encode(os.urandom(32)).decode(),
            "BERTH_LISTEN": f"127.0.0.1:{self.port}",
            "BERTH_PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "BERTH_MACHINE_HOME": f"http://{settings['BERTH_MACHINE_LISTEN']}",
            "BERTH_CREDENTIAL_VENDORS": f"telegram=http://127.0.0.1:{self.vendor.server_port}",
            # One owner changes more than people do.
            "BERTH_REQUESTS_PER_MINUTE": "0",
        }
        def run(*words):
            made = subprocess.run([self.programs["berth"], *words], env=environment, cwd=self.home, text=True,
                                  capture_output=True, check=False)
            if made.returncode:
                sys.exit(f"berth {words[0]}: {made.stderr}")
            return made.stdout.strip()
        run("migrate")
        with open(self.home / "berth.log", "w", encoding="utf-8") as log:
            self.processes.append(subprocess.Popen([self.programs["berth"], "all"], env=environment, cwd=self.home,
                                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        self.until("Berth is ready", lambda: self.call("GET", "/ready")[0] == 200)
        self.bearer = run("admin", "issue-token", "--email", "bench@example.org", "--operator")
        self.database = Worker([self.cluster.bin / "psql", "-X", "-q", "-A", "-t", "-h", self.cluster.home, "-U", "postgres",
                                "-d", "bench"])

    def populate(self):
        self.agents = []
        for number in range(self.count):
            status, answer = self.call("POST", "/api/v1/agents", {"name": f"bench-{number}"})
            if status != 201:
                sys.exit(f"agent {number} of {self.count}: {status} {answer}")
            self.agents.append(answer["id"])
        self.until("every agent is live", lambda: all(
            self.call("GET", f"/api/v1/agents/{agent}")[1]["seen"]["state"] == "live" for agent in self.agents))
        self.uuids = [agent.partition("_")[2] for agent in self.agents]
        names = self.ask("select string_agg(agent_id || '=' || id, ',') from machines where agent_id is not null")
        of_agent = dict(pair.split("=") for pair in names.split(","))
        found = {}
        for config in (self.home / "machines").glob("*/etc/berth/guest.json"):
            found[json.loads(config.read_text(encoding="utf-8"))["machine"].partition("_")[2]] = config.parents[2]
        self.folders = [found[of_agent[uuid_of(agent)].replace("-", "")] for agent in self.uuids]
        self.inventory = self.home / "inventory.json"
        machines = [self.peer(folder) for folder in self.folders]
        self.inventory.write_text(json.dumps({
            "machines": machines, "account": ACCOUNT, "key": str(self.home / "machines/peer")}), encoding="utf-8")
        # The first token changes the configuration too; all that is measured is a change of the token.
        self.set_tokens({number: self.token(number) for number in range(self.count)})
        self.until("every bot is known", lambda: all(
            (folder / "root/secrets/opened/telegram_token").exists() for folder in self.folders))
        self.settled()

    def peer(self, folder):
        """Where the script works on a machine: beside what the guest works on."""
        peer = folder / "peer"
        peer.mkdir()
        (peer / "systemctl").symlink_to(CHECKOUT / "crates/guest/tests/it/fake-systemctl")
        settings = dict(line.split(" ", 1) for line in (folder / "sshd_config").read_text(encoding="utf-8").splitlines())
        host, _, port = settings["ListenAddress"].rpartition(":")
        return {"host": host, "port": int(port), "file": str(peer / "key"), "restart": f"{peer}/systemctl restart openclaw.service"}

    def token(self, number):
        """A fresh token of this machine's bot."""
        return f"{700000000 + number}:AA{os.urandom(16).hex()}A"

    def request(self, values):
        path = self.home / "request.json"
        path.write_text(json.dumps([{"machine": number, "value": value} for number, value in values.items()]),
                        encoding="ascii")
        return path

    @contextlib.contextmanager
    def watching(self, name, values):
        inside = "root/secrets/opened" if name == "telegram_token" else "peer"
        watch = Watch([folder / inside for folder in self.folders], name, values)
        try:
            yield watch
        finally:
            watch.close()

    def set_tokens(self, values):
        """Sets them all at once; when each answer had come."""
        answered, wrong = {}, []
        ready = threading.Barrier(len(values))
        # How often a vendor is asked for one owner is limited (sixty at once, then one in ten seconds); begun anew here.
        self.ask("with begun as (delete from limits returning 1) select count(*) from begun")

        def one(number, value):
            connection = self.connect()
            connection.connect()
            ready.wait()
            body = {"kind": "telegram", "agent": self.agents[number], "value": value}
            status, answer = self.call("POST", "/api/v1/credentials", body, connection)
            answered[number] = time.monotonic()
            if status != 201:
                wrong.append(f"{status} {answer}")

        threads = [threading.Thread(target=one, args=pair) for pair in values.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wrong:
            sys.exit(f"a token was not taken: {wrong[0]}")
        return answered

    def in_force(self, numbers):
        """When Berth had written down that each machine holds its token."""
        waiting = {self.uuids[number]: number for number in numbers}
        known = {}
        deadline = time.monotonic() + PATIENCE
        while waiting:
            said = self.ask("select coalesce(string_agg(replace(id::text, '-', ''), ','), '') from agents "
                            "where credentials_in_force = credentials_wanted")
            now = time.monotonic()
            for agent in set(said.split(",")) & set(waiting):
                known[waiting.pop(agent)] = now
            if now > deadline:
                sys.exit(f"Berth does not see the token of {sorted(waiting.values())} in force")
            time.sleep(0.002)
        return known

    def settled(self):
        """Every agent was proved anew and rests: the next change begins from there."""
        self.until("every agent rests", lambda: self.ask(
            "select count(*) from flows where kind = 'life' and step->>'step' <> 'live'") == "0")

    def ask(self, question):
        """One line of one answer, on a connection that stays."""
        self.database.say(question + ";")
        return self.database.line()

    def until(self, what, holds):
        deadline = time.monotonic() + PATIENCE * 2
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if holds():
                    return
            if time.monotonic() > deadline:
                log = (self.home / "berth.log").read_text(encoding="utf-8", errors="replace").splitlines()
                words = [line for line in log if " answered " not in line]
                sys.exit("\n".join([f"not so after {PATIENCE * 2} s: {what}", *words[-40:]]))
            time.sleep(0.05)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def call(self, method, path, body=None, connection=None):
        connection = connection or self.connect()
        headers = {"content-type": "application/json"} if body is not None else {}
        if hasattr(self, "bearer"):
            headers["authorization"] = f"Bearer {self.bearer}"
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def stop(self):
        if hasattr(self, "database"):
            self.database.end()
        for process in reversed(self.processes):
            process.send_signal(signal.SIGINT)
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def uuid_of(text):
    """32 letters as Postgres writes them."""
    return "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])
