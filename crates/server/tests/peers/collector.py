"""Takes traces as OTLP over HTTP, decodes them with OpenTelemetry's own protobuf classes, and gives them back as JSON.

Prints `port <port>`. POST /v1/traces takes; GET / answers {"spans": […], "refused": […]}.
"""
import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

spans, refused = [], []


def attributes(pairs):
    return {pair.key: next(iter(MessageToDict(pair.value).values()), None) for pair in pairs}


def take(body):
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    for of_resource in request.resource_spans:
        resource = attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                spans.append({
                    "trace": span.trace_id.hex(), "span": span.span_id.hex(), "parent": span.parent_span_id.hex(),
                    "name": span.name, "kind": span.kind, "status": span.status.code,
                    "began": span.start_time_unix_nano, "ended": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes), "resource": resource,
                    "events": [{"name": event.name, "attributes": attributes(event.attributes)} for event in span.events],
                    "links": len(span.links),
                })


class Collector(BaseHTTPRequestHandler):
    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            if self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
                raise ValueError(f"{self.path} {self.headers['content-type']}")
            take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
        except Exception as error:
            refused.append(repr(error))
            return self.answer(400, "text/plain", b"")
        self.answer(200, "application/x-protobuf", ExportTraceServiceResponse().SerializeToString())

    def do_GET(self):
        self.answer(200, "application/json", json.dumps({"spans": spans, "refused": refused}).encode())

    def log_message(self, *words):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print("port", server.server_address[1], flush=True)
server.serve_forever()
