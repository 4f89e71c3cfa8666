"""parallel-ssh's side of benches/rollout.py: one process, all machines, by lines.

Started with the inventory (JSON) and a private key; libssh2 as parallel-ssh uses it compares no host key. Answers
each line `HOW FILE MACHINES AT_ONCE LIMIT_MS` with `set` and, when told to go, with what came of it. HOW is `fresh`
or `again`, over the connections that the last one left open.
"""

import gc
import hashlib
import json
import sys

from pssh.clients import ParallelSSHClient

HOSTS = json.load(open(sys.argv[1], encoding="utf-8"))
KEY = sys.argv[2]


def client_for(count, at_once, limit):
    hosts = HOSTS[:count]
    return ParallelSSHClient(
        [host["address"] for host in hosts], user=hosts[0]["account"], port=hosts[0]["port"], pkey=KEY, pool_size=at_once,
        timeout=limit, num_retries=1, allow_agent=False, identity_auth=False)


def push(client, count, content):
    commands = [(host["command"],) for host in HOSTS[:count]]
    outputs = client.run_command("%s", host_args=commands, stop_on_errors=False)
    failures = []
    wanted = hashlib.sha256(content).hexdigest()
    for output in outputs:
        if output.exception is None:
            output.stdin.write(content)
            output.stdin.flush()
            output.client.eagain(output.channel.send_eof)
    for output in outputs:
        if output.exception is not None:
            failures.append(type(output.exception).__name__)
        elif [line.strip() for line in output.stdout] != [wanted]:
            failures.append("the machine holds something else")
    return failures


def main():
    client = None
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        how, path, count, at_once, limit = line.split()
        with open(path, "rb") as file:
            content = file.read()
        if how == "fresh":
            client = None
            gc.collect()
        print("set", flush=True)
        sys.stdin.readline()
        client = client or client_for(int(count), int(at_once), int(limit) / 1000)
        failures = push(client, int(count), content)
        print(json.dumps({"done": int(count) - len(failures),
                          "failures": {why: failures.count(why) for why in set(failures)}}), flush=True)


main()
