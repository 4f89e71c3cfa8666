"""What stands for Stripe in benches/webhooks.py: events, signed as Stripe does it, over connections that stay open."""

import collections
import hmac
import json
import multiprocessing
import os
import random
import select
import signal
import socket
import sys
import time

PATH = "/webhooks/stripe"
# Nobody answers later than this and is still worth measuring.
PATIENCE = 20
TAKEN = b"HTTP/1.1 204 "
ENDS = b"\r\n\r\n"


def invoice_paid():
    """An `invoice.paid` of about 3 KiB as Stripe writes them, indented, with names in capitals where each differs."""
    period = {"end": 1797811200, "start": 1795219200}
    line = {
        "id": "il_INVOICE", "object": "line_item", "amount": 4900, "currency": "eur",
        "description": "1 × Pro (at €49.00 / month)", "discount_amounts": [], "discountable": True,
        "discounts": [], "invoice": "in_INVOICE", "livemode": False, "metadata": {}, "period": period, "pretax_credit_amounts": [], "quantity": 1, "taxes": [],
        "parent": {"type": "subscription_item_details", "subscription_item_details": {
            "proration": False, "subscription": "sub_CUSTOMER", "subscription_item": "si_CUSTOMER"}},
        "pricing": {"type": "price_details", "price_details": {"price": "price_bench_pro", "product": "prod_bench"},
                    "unit_amount_decimal": "4900"},
    }
    invoice = {
        "id": "in_INVOICE", "object": "invoice", "account_country": "DE", "account_name": "Berth", "amount_due": 4900,
        "amount_paid": 4900, "amount_remaining": 0, "attempt_count": 1, "attempted": True, "auto_advance": False,
        "automatic_tax": {"enabled": False, "liability": None, "status": None}, "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically", "created": 1795219200, "currency": "eur", "customer": "cus_CUSTOMER",
        "customer_email": "CUSTOMER@example.org", "customer_name": None, "customer_tax_exempt": "none",
        "default_payment_method": None, "description": None, "discounts": [], "due_date": None, "ending_balance": 0,
        "footer": None, "hosted_invoice_url": "https://invoice.stripe.com/i/acct_bench/INVOICE?s=ap",
        "invoice_pdf": "https://pay.stripe.com/invoice/acct_bench/INVOICE/pdf?s=ap", "issuer": {"type": "self"},
        "lines": {"object": "list", "data": [line], "has_more": False, "total_count": 1,
                  "url": "/v1/invoices/in_INVOICE/lines"},
        "livemode": False, "metadata": {}, "next_payment_attempt": None, "number": "BENCH-INVOICE",
        "parent": {"type": "subscription_details", "quote_details": None, "subscription_details": {
            "metadata": {}, "subscription": "sub_CUSTOMER"}},
        "payment_settings": {"default_mandate": None, "payment_method_types": None}, "period_end": 1795219200,
        "period_start": 1792627200, "receipt_number": None, "starting_balance": 0, "status": "paid",
        "status_transitions": {"finalized_at": 1795219200, "paid_at": 1795219201, "voided_at": None}, "subtotal": 4900,
        "total": 4900, "total_taxes": [], "webhooks_delivered_at": None,
    }
    event = {"id": "EVENT", "object": "event", "api_version": "2026-09-30.endive", "created": 1795219201,
             "data": {"object": invoice}, "livemode": False, "pending_webhooks": 1,
             "request": {"id": None, "idempotency_key": None}, "type": "invoice.paid"}
    return json.dumps(event, indent=2, ensure_ascii=False).encode()


def customer(number):
    return f"bench{number:09d}"


class Supply:
    """Requests that are ready to be sent, each with another event. All have the same length."""

    def __init__(self, secret, customers):
        self.secret, self.customers = secret.encode(), customers
        self.event, self.ready = invoice_paid(), []

    def prepare(self, count):
        """So many are signed ahead; further ones are made when they are asked for."""
        self.ready = [self.one() for _ in range(count)]

    def next(self):
        return self.ready.pop() if self.ready else self.one()

    def one(self):
        """An event's name and the whole request."""
        name = f"evt_1{os.urandom(12).hex()}"
        body = self.body(name)
        return name, request(body, self.signature(body))

    def body(self, name):
        body = self.event.replace(b"EVENT", name.encode()).replace(b"INVOICE", name[5:].encode())
        return body.replace(b"CUSTOMER", customer(random.randrange(self.customers)).encode())

    def signature(self, body, seconds_ago=0):
        at = int(time.time()) - seconds_ago
        return f"t={at},v1={hmac.digest(self.secret, b'%d.%b' % (at, body), 'sha256').hex()}"


def request(body, signature):
    return (f"POST {PATH} HTTP/1.1\r\nhost: berth.bench\r\nuser-agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
            "accept: */*; q=0.5, application/xml\r\ncontent-type: application/json; charset=utf-8\r\n"
            f"cache-control: no-cache\r\ncontent-length: {len(body)}\r\nstripe-signature: {signature}\r\n\r\n").encode() + body


class Line:
    """One connection: sends, and waits for the answer before it sends again."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.name, self.since, self.heard = None, 0.0, b""

    def fileno(self):
        return self.socket.fileno()

    def send(self, supply, since):
        self.name, whole = supply.next()
        self.since = since
        if self.socket.send(whole) != len(whole):
            sys.exit("a request did not fit into the connection")

    def is_answered(self):
        """Whether the whole answer is there. One that is no success ends the program: it has no body to be read."""
        said = self.socket.recv(4096)
        self.heard += said
        if not said or not self.heard.startswith(TAKEN[:len(self.heard)]):
            sys.exit(f"{self.name} was not acknowledged: {self.heard[:300]!r}")
        if not self.heard.endswith(ENDS):
            return False
        self.heard = b""
        return True


def flat_out(port, connections, seconds, supply):
    """Every connection sends the next event as soon as the last one is acknowledged."""
    lines = {line.fileno(): line for line in (Line(port) for _ in range(connections))}
    poll = select.epoll()
    for number in lines:
        poll.register(number, select.EPOLLIN)
    took, names, in_time, waited_for = [], [], 0, connections
    used, began = time.process_time(), time.perf_counter()
    end = began + seconds
    for line in lines.values():
        line.send(supply, time.perf_counter())
    while waited_for:
        heard = poll.poll(PATIENCE)
        if not heard:
            sys.exit(f"no answer within {PATIENCE} s")
        for number, _ in heard:
            line = lines[number]
            if not line.is_answered():
                continue
            now = time.perf_counter()
            took.append(now - line.since)
            names.append(line.name)
            if now < end:
                in_time += 1
                line.send(supply, now)
            else:
                waited_for -= 1
    used = time.process_time() - used
    for line in lines.values():
        line.socket.close()
    return said(took, names) | {"rate": in_time / seconds, "sender_us": 1e6 * used / len(names)}


def steadily(port, connections, seconds, rate, supply):
    """An event every so often, whatever became of those before; each is timed from the moment at which it was due."""
    # In turns: a connection that nobody uses is closed.
    idle, busy, total = collections.deque(Line(port) for _ in range(connections)), set(), int(seconds * rate)
    took, names, sent = [], [], 0
    began = time.perf_counter()
    while len(names) < total:
        while sent < total and idle and began + sent / rate <= time.perf_counter():
            line = idle.popleft()
            line.send(supply, began + sent / rate)
            busy.add(line)
            sent += 1
        is_next = sent < total and idle
        # Not epoll here: it counts in whole milliseconds.
        heard, _, _ = select.select(busy, [], [], max(0, began + sent / rate - time.perf_counter()) if is_next else PATIENCE)
        if not heard and not is_next:
            sys.exit(f"no answer within {PATIENCE} s")
        for line in heard:
            if line.is_answered():
                took.append(time.perf_counter() - line.since)
                names.append(line.name)
                busy.remove(line)
                idle.append(line)
    for line in idle:
        line.socket.close()
    return said(took, names) | {"rate": total / (time.perf_counter() - began)}


def said(took, names):
    ordered = sorted(took)
    def percentile(share):
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]
    return {"names": names, "n": len(names), "p50_ms": percentile(0.5), "p99_ms": percentile(0.99),
            "most_ms": 1000 * ordered[-1]}


class Nobody:
    """Acknowledges everything and looks at nothing: how fast the sender is by itself."""

    def __init__(self, supply):
        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = listening.getsockname()[1]
        size = len(supply.one()[1])
        self.process = multiprocessing.get_context("fork").Process(target=acknowledge, args=(listening, size), daemon=True)
        self.process.start()
        listening.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.join(10)


def acknowledge(listening, size):
    """Every so many bytes are a request: they all have the same length."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    poll, lines, heard = select.epoll(), {}, {}
    poll.register(listening, select.EPOLLIN)
    answer = TAKEN + b"No Content" + ENDS
    while True:
        for number, _ in poll.poll():
            if number == listening.fileno():
                line, _ = listening.accept()
                lines[line.fileno()], heard[line.fileno()] = line, 0
                poll.register(line, select.EPOLLIN)
                continue
            count = len(lines[number].recv(65536))
            if count == 0:
                poll.unregister(number)
                lines.pop(number).close()
                continue
            heard[number] += count
            if heard[number] >= size:
                heard[number] -= size
                lines[number].send(answer)
