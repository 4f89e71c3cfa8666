"""Takes mails over SMTP with aiosmtpd and webhooks with the standardwebhooks library, and says what it took.

Usage: receiver.py <webhook secret>. Prints `ports <smtp> <http>`, then one JSON object a line.
"""
import json
import socket
import sys
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer

from aiosmtpd.controller import Controller
from standardwebhooks.webhooks import Webhook


def say(**what):
    print(json.dumps(what), flush=True)


class Mails:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such person"
        if address.startswith("later@"):
            return "451 4.3.0 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        headers = [name.lower() for name in mail.keys()]
        text, html = mail.get_body(("plain",)), mail.get_body(("html",))
        say(
            mail=mail["message-id"], sender=envelope.mail_from, to=envelope.rcpt_tos, subject=mail["subject"],
            date=mail["date"], text=text.get_content(), html=html.get_content() if html else None,
            type=mail.get_content_type(), parts=[part.get_content_type() for part in mail.iter_parts()],
            headers=headers, defects=[str(d) for part in mail.walk() for d in part.defects],
        )
        return "250 OK"


class Posts(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            took = Webhook(sys.argv[1]).verify(body, dict(self.headers.items()))
            say(webhook=self.headers["webhook-id"], took=took, path=self.path)
            self.send_response(204)
        except Exception as error:
            say(refused=str(error))
            self.send_response(400)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
smtp = Controller(Mails(), hostname="127.0.0.1", port=port)
smtp.start()
http = HTTPServer(("127.0.0.1", 0), Posts)
print("ports", port, http.server_address[1], flush=True)
http.serve_forever()
