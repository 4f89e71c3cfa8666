"""The machines of benches/rollout.py: one OpenSSH server each, on a loopback address of its own."""

import contextlib
import getpass
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

from measuring import free_port

# What every side but ansible has a machine do; the folder is found by the address that was called.
RECEIVE = """\
set -- $SSH_CONNECTION
cd {folder}/at/"$3" || exit 1
umask 077
cat > secret.new && sum=$(sha256sum < secret.new) && mv secret.new secret || exit 1
printf '{answer}' "${{sum%% *}}"
"""
APPLIED = json.dumps({"version": 1, "outcome": {"done": {"reply": "applied", "fence": 0, "digest": "%s",
                                                         "applied": True}}})
CONFIG = """\
ListenAddress {address}:{port}
HostKey {home}/host_key
PidFile none
LogLevel QUIET
StrictModes no
UseDNS no
SetEnv HOME={folder}
UsePAM {pam}
TrustedUserCAKeys {folder}/authority.pub
AuthorizedPrincipalsFile {home}/principals
AuthorizedKeysFile {folder}/client.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""
CLIENT = """\
Host *
    User {account}
    Port {port}
    IdentityFile {folder}/client
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    UpdateHostKeys no
    KexAlgorithms curve25519-sha256
    ConnectTimeout 5
    BatchMode yes
    LogLevel ERROR
"""


class Hosts:
    """So many machines; they stop with the value."""

    def __init__(self, folder, program, count):
        self.folder, self.count = folder, count
        self.account, self.port = getpass.getuser(), free_port()
        self.addresses = [f"127.90.{number // 200}.{number % 200 + 1}" for number in range(count)]
        self.servers = {}
        subprocess.run([program, "keys", folder, str(count)], check=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / "client"], check=True)
        for name in ["authority", *(f"hosts/{number}/host_key" for number in range(count))]:
            (folder / name).chmod(0o600)
        self.command = f"sh {folder}/receive"
        for name, answer in {"receive": "%s\\n", "apply": APPLIED}.items():
            (folder / name).write_text(RECEIVE.format(folder=folder, answer=answer), encoding="ascii")
        (folder / "at").mkdir()
        known = []
        for number, address in enumerate(self.addresses):
            home = self.home(number)
            (folder / "at" / address).symlink_to(home)
            name = (home / "machine").read_text(encoding="ascii").strip()
            (home / "principals").write_text(f'command="sh {folder}/apply" {name}\n', encoding="ascii")
            (home / "config").write_text(CONFIG.format(address=address, port=self.port, home=home, folder=folder,
                                                       pam="yes" if root_is_locked() else "no"), encoding="ascii")
            known.append(f"[{address}]:{self.port} {(home / 'host_key.pub').read_text(encoding='ascii')}")
        (folder / "known_hosts").write_text("".join(known), encoding="ascii")
        (folder / "addresses").write_text("".join(f"{a}:{self.port}\n" for a in self.addresses), encoding="ascii")
        (folder / "ssh_config").write_text(CLIENT.format(account=self.account, port=self.port, folder=folder),
                                           encoding="ascii")
        (folder / "inventory.json").write_text(json.dumps([
            {"address": address, "port": self.port, "account": self.account, "command": self.command}
            for address in self.addresses]), encoding="ascii")

    def home(self, number):
        return self.folder / "hosts" / str(number)

    def __enter__(self):
        if os.geteuid() == 0:
            # As the unit of the distribution does: root's sshd wants this folder.
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.start(range(self.count))
        return self

    def __exit__(self, *_):
        self.stop(list(self.servers))

    def start(self, numbers):
        for number in numbers:
            self.servers[number] = subprocess.Popen(
                ["/usr/sbin/sshd", "-D", "-f", self.home(number) / "config"], stdin=subprocess.DEVNULL)
        for number in numbers:
            deadline = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection((self.addresses[number], self.port), timeout=1).close()
                    break
                except OSError:
                    if time.monotonic() > deadline or self.servers[number].poll() is not None:
                        sys.exit(f"sshd does not listen on {self.addresses[number]}:{self.port}")
                    time.sleep(0.02)

    def stop(self, numbers):
        for number in numbers:
            self.servers[number].terminate()
        for number in numbers:
            self.servers.pop(number).wait(timeout=10)

    @contextlib.contextmanager
    def listening(self, count, dead):
        """While it lasts, `dead` of the first `count` take connections and never answer. Gives their numbers."""
        numbers = [number * (count // dead) + 3 for number in range(dead)] if dead else []
        self.stop(numbers)
        black_holes = []
        for number in numbers:
            black_holes.append(black_hole((self.addresses[number], self.port)))
            (self.home(number) / "secret").unlink(missing_ok=True)
        try:
            yield numbers
        finally:
            for hole in black_holes:
                hole.close()
            self.start(numbers)

    def holds(self, number, digest):
        """Whether a machine holds this file, for its owner alone, and nothing half done beside it."""
        try:
            path = self.home(number) / "secret"
            right = hashlib.sha256(path.read_bytes()).hexdigest() == digest and path.stat().st_mode & 0o777 == 0o600
            return right and not (self.home(number) / "secret.new").exists()
        except FileNotFoundError:
            return False


def black_hole(address):
    """Takes connections, as the kernel does by itself, and never answers one."""
    deadline = time.monotonic() + 20
    while True:
        hole = socket.socket()
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            hole.bind(address)
            hole.listen(64)
            return hole
        except OSError:
            # A process of the server that was there may be on its last breath.
            hole.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def root_is_locked():
    """Without PAM sshd refuses a locked account, and root's is locked on some systems."""
    if os.geteuid() != 0:
        return False
    lines = pathlib.Path("/etc/shadow").read_text(encoding="utf-8").splitlines()
    return any(line.startswith("root:!") for line in lines)
