"""Judges signed requests, and signs some, with Stripe's own library: one a line, one answer a line."""

import sys
import types

import stripe._webhook as webhook


def taken(moment, secret, header, body):
    webhook.time = types.SimpleNamespace(time=lambda: moment / 1000)
    try:
        return webhook.WebhookSignature.verify_header(body, header, secret, 300)
    except Exception:
        return False


for line in sys.stdin:
    verb, moment, secrets, header, body = line.rstrip("\n").split(" ")
    body = bytes.fromhex(body)
    if verb == "sign":
        print(webhook.WebhookSignature.generate_signature_header(body.decode(), secrets, int(moment)))
        continue
    header = None if header == "-" else bytes.fromhex(header).decode("latin1")
    print("yes" if any(taken(int(moment), secret, header, body) for secret in secrets.split(",")) else "no")
