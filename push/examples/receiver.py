"""A receiver for push: Python's standard library alone.

    python3 receiver.py 9000

Prints each record that it takes as one line of JSON. A record whose answer was lost comes again with
the same Idempotency-Key: what must happen once goes by that.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from urllib.parse import unquote

done = set()  # a real service keeps this with what it does, in one commit
lock = Lock()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are used again

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            record = json.loads(body) if body else None
        except ValueError:
            return self.refuse(422, "The body is not JSON")
        if record is not None and record.get("amount", 0) < 0:
            return self.refuse(422, "A payment is not negative")  # a dead letter, at once
        key = self.headers["idempotency-key"]
        with lock:
            if key not in done:
                done.add(key)
                told = {
                    "id": self.headers["ce-id"],
                    "key": unquote(self.headers.get("ce-partitionkey", "")),
                    "attempt": int(self.headers["ce-attempt"]),
                    "record": record,
                }
                print(json.dumps(told), flush=True)
        self.answer(204)

    def refuse(self, status, title):
        problem = json.dumps({"title": title, "status": status}).encode()
        self.answer(status, problem, "application/problem+json")

    def answer(self, status, body=b"", content_type=None):
        self.send_response(status)
        if content_type:
            self.send_header("content-type", content_type)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # push opens up to 64 connections at once


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    server = Server(("127.0.0.1", port), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    server.serve_forever()
