"""A time-stamping authority over HTTP: `openssl ts -reply` in a folder. Arguments: the port, the folder."""

import http.server
import os
import subprocess
import sys


class Authority(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        with open("query", "wb") as file:
            file.write(self.rfile.read(int(self.headers["content-length"])))
        subprocess.run(
            ["openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-signer", "tsa.pem",
             "-inkey", "tsa.key", "-out", "reply"],
            check=True,
        )
        reply = open("reply", "rb").read()
        self.send_response(200)
        self.send_header("content-type", "application/timestamp-reply")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)


os.chdir(sys.argv[2])
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Authority)
print("ready", flush=True)
server.serve_forever()
