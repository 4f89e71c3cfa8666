"""What a client of Berth does that no document can say.

A deletion that is answered with 202 is waited for: only then may nothing be left. Whoever revokes the very token that
they show asks the shell for another, as the operator of a real Berth would. And a tenant or a user who was suspended is
taken back into service, or nobody would be left to ask.
"""

import json
import os
import subprocess
import time

import requests
import schemathesis
from schemathesis.wfc.escalation import escalating_provider

# Longest until what was deleted is gone; a machine goes with it.
GONE_WITHIN = 30.0
REVOKES = {("DELETE", "/api/v1/tokens/{id}"), ("POST", "/settings/tokens/{id}/revoke")}
SUSPENDS = {
    ("POST", "/api/admin/v1/tenants/{id}/suspension"): ("DELETE", "/suspension"),
    ("POST", "/api/admin/v1/users/{id}/suspension"): ("DELETE", "/suspension"),
    ("POST", "/admin/tenants/{id}/suspend"): ("POST", "/restore"),
    ("POST", "/admin/users/{id}/suspend"): ("POST", "/restore"),
}

with open(os.environ["BERTH_SHELL"], encoding="utf-8") as file:
    SHELL = json.load(file)


@schemathesis.hook
def after_call(context, case, response):
    asked = (case.method.upper(), case.operation.path)
    if asked[0] == "DELETE" and response.status_code == 202 and "location" in response.headers:
        until_gone(response)
    if asked in SUSPENDS and response.status_code in (204, 303):
        restore(response, SUSPENDS[asked])
    if asked in REVOKES and response.status_code in (204, 303):
        renew(case)


def until_gone(response):
    address = requests.compat.urljoin(response.request.url, response.headers["location"][0])
    shown = {"Authorization": response.request.headers["Authorization"]}
    end = time.monotonic() + GONE_WITHIN
    while (status := requests.get(address, headers=shown, timeout=10).status_code) != 404:
        if time.monotonic() > end:
            raise AssertionError(f"{address} still answers {status}, {GONE_WITHIN:.0f} s after it was deleted")
        time.sleep(0.02)


def restore(response, how):
    method, last = how
    address = response.request.url.rpartition("/")[0] + last
    shown = {"Authorization": response.request.headers["Authorization"]}
    answer = requests.request(method, address, headers=shown, timeout=10, allow_redirects=False)
    if answer.status_code not in (204, 303):
        raise AssertionError(f"{method} {address}: {answer.status_code} {answer.text}")


def renew(case):
    """Gives whoever revoked their own token a new one."""
    command = SHELL["people"].get(case.auth_identity)
    if command is None:
        return
    header = escalating_provider(case.operation.schema).provider_for(case.auth_identity).headers[0]
    me = f"{SHELL['base']}/api/v1/me"
    if requests.get(me, headers={"Authorization": header.value}, timeout=10).status_code == 200:
        return
    issued = subprocess.run(command, env=SHELL["env"], check=True, capture_output=True, text=True)
    header.value = f"Bearer {issued.stdout.strip()}"
