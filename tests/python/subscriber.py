"""A WebSub subscriber that answers as it is told and prints every request it gets, a JSON object a line.

    subscriber.py JOB      with {"port": …}; POST /control {"get": "echo" | "other" | "space", "post": [500, 200]} changes its mind:
                           `post` holds the statuses of the next deliveries, 200 after that.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

mind = {"get": "echo", "post": []}


class Subscriber(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def note(self, body: bytes) -> None:
        split = urllib.parse.urlsplit(self.path)
        line = {
            "method": self.command,
            "path": split.path,
            "query": dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True)),
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": base64.b64encode(body).decode(),
        }
        print(json.dumps(line), flush=True)

    def do_GET(self):
        self.note(b"")
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        challenge = query.get("hub.challenge", "")
        said = {"echo": challenge, "other": "other", "space": challenge + "\n"}[mind["get"]]
        self.answer(200, said.encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/control":
            mind.update(json.loads(body))
            return self.answer(200, b"")
        self.note(body)
        self.answer(mind["post"].pop(0) if mind["post"] else 200, b"")


job = json.loads(Path(sys.argv[1]).read_text())
server = ThreadingHTTPServer(("127.0.0.1", job["port"]), Subscriber)
print("ready", flush=True)
server.serve_forever()
