"""A receiver for push: Python's standard library alone.

    python3 receiver.py 9000

Prints each record that it takes as one line of JSON. A record whose answer was lost comes again with
the same Idempotency-Key: what must happen once goes by that. It also takes calls with several records,
as push --batch-max makes them.
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
        if self.headers.get("content-type", "").startswith("application/cloudevents-batch"):
            # One status for each record, in their order.
            each = [self.take(it["id"], it.get("partitionkey", ""), it["attempt"], it.get("data")) for it in record]
            statuses = [{"status": 422, "title": title} if title else {"status": 200} for title in each]
            return self.answer(207, json.dumps(statuses).encode(), "application/json")
        key = unquote(self.headers.get("ce-partitionkey", ""))
        title = self.take(self.headers["idempotency-key"], key, int(self.headers["ce-attempt"]), record)
        if title:
            return self.refuse(422, title)  # a dead letter, at once
        self.answer(204)

    def take(self, id, key, attempt, record):
        """Takes a record, or says why it never will."""
        if record is not None and record.get("amount", 0) < 0:
            return "A payment is not negative"
        with lock:
            if id not in done:
                done.add(id)
                told = {"id": id, "key": key, "attempt": attempt, "record": record}
                print(json.dumps(told), flush=True)

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
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
