"""An IDA partner that is not ours: seals and signs from the reference text, speaks mutual TLS with Python's `ssl`.

Reads a job (JSON) from standard input:

    {"port": partner face, "pki": folder, "licence": "..", "api_key": "..", "partner": "crvs",
     "seal_to": "misp",                    optional: to whose encryption certificate requests are sealed
     "signature": {"dir": .., "alg": ..},  optional: another signature key than the partner's own
     "do": ["auth", "no", "kyc", "otp"]}

and prints one JSON object by line: what was asked, status, our code, the answer, and the identity where there is one.
Ends with an error when an answer's signature does not hold.
"""

import hashlib
import http.client
import json
import ssl
import sys
from pathlib import Path

from ida_form import (
    IDS,
    certificate,
    compact,
    now,
    open_identity,
    private_key,
    seal,
    sign,
    transaction,
    verify,
)

ADA = "2753114735"
NAME = [{"language": "eng", "value": "Ada Example"}]


class Partner:
    """A partner with its three certificates, at the partner face of a gateway."""

    def __init__(self, job):
        pki = Path(job["pki"])
        self.partner = job.get("partner", "crvs")
        own = pki / "parties" / self.partner
        misp = pki / "parties" / "misp"
        self.tls = ssl.create_default_context(cafile=pki / "anchors" / "tls.pem")
        self.tls.load_cert_chain(own / "tls.pem", own / "tls.key.pem")
        self.port = job["port"]
        self.tail = f"{job['licence']}/{self.partner}/{job['api_key']}"
        chosen = job.get("signature", {})
        keys = Path(chosen.get("dir", own))
        self.signature = (certificate(keys / "signature.pem"), private_key(keys / "signature.key.pem"))
        self.alg = chosen.get("alg", "RS256")
        self.encryption = (certificate(own / "encryption.pem"), private_key(own / "encryption.key.pem"))
        self.to = certificate(pki / "parties" / job.get("seal_to", "misp") / "encryption.pem")
        self.answers = certificate(misp / "signature.pem")

    def message(self, operation, inner):
        message = {
            "id": IDS[operation],
            "version": "1.0",
            "individualId": ADA,
            "individualIdType": "UIN",
            "transactionID": transaction(),
            "requestTime": now(),
        }
        if operation == "otp":
            return {**message, "otpChannel": ["email"]}
        plain = compact({"timestamp": message["requestTime"], **inner})
        return {
            **message,
            "specVersion": "1.0",
            "domainUri": "https://localhost",
            "env": "Staging",
            "consentObtained": True,
            **seal(plain, self.to),
        }

    def send(self, operation, message):
        body = compact(message)
        headers = {
            "Content-Type": "application/json",
            "Authorization": "Authorization",
            "Signature": sign(body, *self.signature, self.alg),
        }
        connection = http.client.HTTPSConnection("localhost", self.port, context=self.tls, timeout=20)
        connection.request("POST", f"/idauthentication/v1/{operation}/{self.tail}", body, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        outcome = {
            "sent": hashlib.sha256(body).hexdigest(),
            "signature": headers["Signature"],
            "transaction": message["transactionID"],
            "status": response.status,
            "code": response.getheader("x-triseal-code"),
            "answer": json.loads(answer),
        }
        verify(response.getheader("response-signature"), answer, self.answers)
        assert outcome["answer"]["transactionID"] == message["transactionID"], "another transaction"
        held = outcome["answer"].get("response") or {}
        if "identity" in held:
            outcome["identity"] = json.loads(open_identity(held, *self.encryption))
        return outcome

    def ask(self, what):
        """auth and kyc with the right name, `no` with a wrong one, otp."""
        operation = "auth" if what == "no" else what
        name = [{"language": "eng", "value": "Somebody Else"}] if what == "no" else NAME
        message = self.message(operation, {"demographics": {"name": name}})
        return self.send(operation, message)


def main():
    job = json.load(sys.stdin)
    partner = Partner(job)
    for what in job["do"]:
        print(json.dumps({"asked": what, **partner.ask(what)}), flush=True)


if __name__ == "__main__":
    main()
