"""The published PyPI mosip-auth-sdk against a service face, exactly as a partner's service would use it.

Reads a job (JSON) from standard input: {"settings": sdk.toml, "pki": folder, "signer": party whose signature the answers
must carry, "otp": {"host": .., "port": .., "party": ..}}; prints one JSON object by line. The SDK never looks at
`response-signature`; here it is verified with jwcrypto.
"""

import http.client
import json
import ssl
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

from mosip_auth_sdk import MOSIPAuthenticator
from mosip_auth_sdk.models import DemographicsModel

from ida_form import certificate, transaction, verify

ADA = "2753114735"


def main():
    job = json.load(sys.stdin)
    with open(job["settings"], "rb") as file:
        settings = {name: SimpleNamespace(**section) for name, section in tomllib.load(file).items()}
    sdk = MOSIPAuthenticator(config=SimpleNamespace(**settings))
    pki = Path(job["pki"])
    signer = certificate(pki / "parties" / job["signer"] / "signature.pem")

    def say(what, response, **more):
        signed = verify(response.headers["response-signature"], response.content, signer)
        line = {
            "asked": what,
            "status": response.status_code,
            "code": response.headers.get("x-triseal-code"),
            "correlation": response.headers.get("x-correlation-id"),
            "signed": sorted(signed),
            "answer": response.json(),
        }
        print(json.dumps({**line, **more}), flush=True)

    def person(value):
        return DemographicsModel(name=[{"language": "eng", "value": value}], dob="1987/11/25")

    who = {"individual_id": ADA, "individual_id_type": "UIN", "consent": True}
    say("yes", sdk.auth(**who, demographic_data=person("Ada Example")))
    say("no", sdk.auth(**who, demographic_data=person("Somebody Else")))
    answer = sdk.kyc(**who, demographic_data=person("Ada Example"))
    say("kyc", answer, identity=sdk.decrypt_response(answer.json()))
    txn = transaction()
    say("otp", sdk.genotp(individual_id=ADA, individual_id_type="UIN", txn_id=txn, email=True))
    say("yes-otp", sdk.auth(**who, txn_id=txn, otp_value=outbox(job, pki, txn)))
    say("no-otp", sdk.auth(**who, txn_id=txn, otp_value="000000"))
    say("no-consent", sdk.auth(**{**who, "consent": False}, demographic_data=person("Ada Example")))


def outbox(job, pki, txn):
    """The one-time password that the person would have got."""
    own = pki / "parties" / "misp"
    tls = ssl.create_default_context(cafile=pki / "anchors" / "tls.pem")
    tls.load_cert_chain(own / "tls.pem", own / "tls.key.pem")
    connection = http.client.HTTPSConnection("localhost", job["ida"], context=tls, timeout=20)
    connection.request("GET", f"/sandbox/otp/{txn}")
    return json.loads(connection.getresponse().read())["otp"]


if __name__ == "__main__":
    main()
