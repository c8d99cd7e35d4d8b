"""MOSIP credentials with PyLD and `cryptography`: issues and verifies them without any code of ours.

Standard input: {"contexts": {url: document}, "issue": [{document, options}], "verify": [{credential, key}]}; one object a line
comes out for each, in this order.
"""

import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pyld import jsonld

SECURITY = "https://w3id.org/security/v2"
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def quads(document):
    return jsonld.normalize(
        document, {"algorithm": "URDNA2015", "format": "application/n-quads", "base": ""}
    )


def sha(text):
    return hashlib.sha256(text.encode()).digest()


def hashes_of(document, options):
    return sha(quads({"@context": SECURITY, **options})) + sha(quads(document))


def issue(key, document, options):
    header = b64u(json.dumps({"b64": False, "crit": ["b64"], "kid": "k", "alg": "PS256"}).encode())
    digest = hashes_of(document, options)
    signature = key.sign(header.encode() + b"." + digest, PSS, hashes.SHA256())
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "credential": {**document, "proof": {**options, "jws": f"{header}..{b64u(signature)}"}},
        "quads": quads(document),
        "key": base64.b64encode(public).decode(),
    }


def verify(credential, key):
    document = {name: value for name, value in credential.items() if name != "proof"}
    options = {name: value for name, value in credential["proof"].items() if name != "jws"}
    header, middle, signature = credential["proof"]["jws"].split(".")
    assert middle == "" and json.loads(unb64u(header))["alg"] == "PS256"
    public = serialization.load_der_public_key(base64.b64decode(key))
    try:
        signed = header.encode() + b"." + hashes_of(document, options)
        public.verify(unb64u(signature), signed, PSS, hashes.SHA256())
        return {"verified": True}
    except InvalidSignature:
        return {"verified": False}


def main():
    job = json.load(sys.stdin)

    def load(url, _options):
        return {"contextUrl": None, "documentUrl": url, "document": job["contexts"][url]}

    jsonld.set_document_loader(load)
    key = rsa.generate_private_key(65537, 2048)
    for one in job.get("issue", []):
        print(json.dumps(issue(key, one["document"], one["options"])))
    for one in job.get("verify", []):
        print(json.dumps(verify(one["credential"], one["key"])))


main()
