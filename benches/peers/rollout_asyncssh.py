"""asyncssh's side of benches/rollout.py: one process, all machines, by lines.

Started with the inventory (JSON), a private key and a file of known hosts. Answers each line
`HOW FILE MACHINES AT_ONCE LIMIT_MS` with `set` and, when told to go, with what came of it. HOW is `fresh` or `again`,
over the connections that the last one left open.
"""

import asyncio
import hashlib
import json
import sys

import asyncssh

HOSTS = json.load(open(sys.argv[1], encoding="utf-8"))
KEY, KNOWN = sys.argv[2], sys.argv[3]


async def one(number, content, seats, limit, kept):
    host = HOSTS[number]
    async with seats:
        try:
            async with asyncio.timeout(limit):
                if number not in kept:
                    kept[number] = await asyncssh.connect(
                        host["address"], host["port"], username=host["account"], client_keys=[KEY], known_hosts=KNOWN,
                        agent_path=None, config=None, connect_timeout=limit, login_timeout=limit)
                ran = await kept[number].run(host["command"], input=content, encoding=None, check=True)
            return None if ran.stdout.strip().decode() == digest(content) else "the machine holds something else"
        except (OSError, TimeoutError, asyncssh.Error) as error:
            return type(error).__name__


def digest(content):
    return hashlib.sha256(content).hexdigest()


async def main():
    kept = {}
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        how, path, count, at_once, limit = line.split()
        with open(path, "rb") as file:
            content = file.read()
        if how == "fresh":
            await close(kept)
        print("set", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        seats = asyncio.Semaphore(int(at_once))
        ends = await asyncio.gather(
            *(one(number, content, seats, int(limit) / 1000, kept) for number in range(int(count))))
        failures = [end for end in ends if end]
        print(json.dumps({"done": len(ends) - len(failures),
                          "failures": {why: failures.count(why) for why in set(failures)}}), flush=True)
    await close(kept)


async def close(kept):
    for connection in kept.values():
        connection.close()
    await asyncio.gather(*(connection.wait_closed() for connection in kept.values()))
    kept.clear()


asyncio.run(main())
