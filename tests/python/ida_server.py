"""MOSIP's IDA as the gateway sees it, by code that is not ours: takes what the gateway emits apart and answers.

Reads a job (JSON) from the file named as its argument:

    {"port": .., "tls": true, "pki": folder,
     "host": "127.0.0.1", "certificate": folder,     optional: where to listen, whose TLS certificate to show,
     "held": {..},                                   what to put wrong into an eKYC answer
     "mode": "sealed"        the gateway sealed anew: signed by the MISP, encrypted to MOSIP
           | "as-received"   the partner's own bytes: signed by the partner, encrypted to MOSIP
           | "opened"}       plain, for an internal handler

and prints one JSON object by request. An answer to eKYC holds an identity: sealed to partner `crvs`, or plain on opened
routes. What does not hold is printed with its reason and answered with HTTP 500.
"""

import hashlib
import json
import ssl
import sys
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ida_form import (
    b64u,
    certificate,
    compact,
    der,
    now,
    open_request,
    private_key,
    seal_identity,
    sha256,
    sign,
    verify,
)

PERSON = {"name_eng": "Ada Example", "dateOfBirth": "1987/11/25", "gender_eng": "Female"}


def members(pairs):
    """A JSON object without a name twice."""
    value = dict(pairs)
    assert len(value) == len(pairs), "a name twice"
    return value


class Keys:
    def __init__(self, pki):
        mosip, misp, crvs = (pki / "parties" / party for party in ("mosip", "misp", "crvs"))
        self.encryption = (certificate(mosip / "encryption.pem"), private_key(mosip / "encryption.key.pem"))
        self.signature = (certificate(mosip / "signature.pem"), private_key(mosip / "signature.key.pem"))
        self.misp = certificate(misp / "signature.pem")
        self.crvs = certificate(crvs / "signature.pem")
        self.person = certificate(crvs / "encryption.pem")


class Ida(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    job = None
    keys = None

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        line = {
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "received": hashlib.sha256(body).hexdigest(),
        }
        try:
            answer = self.take(body, line)
        except Exception as why:  # whatever it is, the test reads it
            line["wrong"] = f"{type(why).__name__}: {why}"
            self.reply(500, b"{}", {})
        else:
            headers = {} if self.job["mode"] == "opened" else {"response-signature": sign(answer, *self.keys.signature)}
            self.reply(200, answer, headers)
        print(json.dumps(line), flush=True)

    def reply(self, status, body, headers):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def take(self, body, line):
        mode = self.job["mode"]
        if mode != "opened":
            signer = self.keys.misp if mode == "sealed" else self.keys.crvs
            protected = verify(self.headers["signature"], body, signer)
            if mode == "sealed":
                assert protected["x5t#S256"] == b64u(sha256(der(signer))), "no x5t#S256"
            assert self.headers["authorization"], "IDA wants the header to be there"
        message = json.loads(body, object_pairs_hook=members)
        line["members"] = sorted(message)
        operation = self.path.split("/")[3]
        if operation != "otp":
            if mode == "opened":
                plain = json.dumps(message["request"]).encode()
                assert not {"requestSessionKey", "requestHMAC", "thumbprint"} & set(message), "still sealed"
            else:
                plain = open_request(message, *self.keys.encryption)
            line["plain"] = json.loads(plain, object_pairs_hook=members)
        return compact(
            {
                "transactionID": message["transactionID"],
                "version": "1.0",
                "id": message["id"],
                "errors": None,
                "responseTime": now(),
                "response": self.response(operation),
            }
        )

    def response(self, operation):
        if operation == "otp":
            return {"maskedMobile": None, "maskedEmail": "XXXXX@example.org"}
        if operation == "auth":
            return {"authStatus": True, "authToken": "1" * 36}
        if self.job["mode"] == "opened":
            held = {"identity": PERSON}
        else:
            held = seal_identity(compact(PERSON), self.keys.person)
            held.update(self.job.get("held", {}))
        return {"kycStatus": True, "authToken": "1" * 36, **held}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a caller that turns away is no news here


def main():
    warnings.simplefilter("ignore")
    job = json.loads(Path(sys.argv[1]).read_text())
    pki = Path(job["pki"])
    Ida.job, Ida.keys = job, Keys(pki)
    server = Server((job.get("host", "127.0.0.1"), job["port"]), Ida)
    if job["tls"]:
        own = Path(job.get("certificate", pki / "parties" / "mosip"))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(own / "tls.pem", own / "tls.key.pem")
        tls.load_verify_locations(pki / "anchors" / "tls.pem")
        tls.verify_mode = ssl.CERT_REQUIRED
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
