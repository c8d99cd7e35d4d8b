"""Checks a delivered credential without a line of ours: HMAC, VER_R2, and the proof by `pyld` and `cryptography`.

Job on standard input: {"body": base64 of the delivery, "signature": its X-Hub-Signature, "secret": …, "key": path of the
recipient's key, "certificate": path, "contexts": folder of the W3C documents, "published": folder of MOSIP's documents}.
Prints one object: what held, and the credential.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyld import jsonld

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
W3C = {
    "https://www.w3.org/2018/credentials/v1": "credentials-v1.jsonld",
    "https://w3id.org/security/v1": "security-v1.jsonld",
    "https://w3id.org/security/v2": "security-v2.jsonld",
    "https://www.w3.org/ns/odrl.jsonld": "odrl.jsonld",
}


def from_b64u(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def open_hybrid(sealed: bytes, job: dict) -> bytes:
    certificate = x509.load_pem_x509_certificates(Path(job["certificate"]).read_bytes())[0]
    key = serialization.load_pem_private_key(Path(job["key"]).read_bytes(), password=None)
    thumbprint = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()
    if sealed[:6] != b"VER_R2" or sealed[6:38] != thumbprint:
        raise ValueError("not VER_R2 for this certificate")
    modulus = key.key_size // 8
    session = key.decrypt(sealed[38 : 38 + modulus], OAEP)
    rest = sealed[38 + modulus :]
    assert rest[:14] == b"#KEY_SPLITTER#", "splitter"
    aad, text = rest[14:46], rest[46:]
    return AESGCM(session).decrypt(aad[:12], text, aad)


def loader(job: dict):
    contexts, published = Path(job["contexts"]), Path(job["published"])

    def load(url: str, _options=None) -> dict:
        if url.endswith("/.well-known/mosip-context.json"):
            text = (published / "mosip-context.json").read_text()
        else:
            text = (contexts / W3C[url]).read_text()
        return {"contextUrl": None, "documentUrl": url, "document": json.loads(text)}

    return load


def quads(document: dict, job: dict) -> bytes:
    # No base: a relative type stays relative and drops out. With an empty one, pyld would invent example.org.
    options = {"algorithm": "URDNA2015", "format": "application/n-quads", "documentLoader": loader(job), "base": None}
    return jsonld.normalize(document, options).encode()


def proof_holds(credential: dict, job: dict) -> bool:
    document = {name: value for name, value in credential.items() if name != "proof"}
    proof = dict(credential["proof"])
    header, middle, signature = proof.pop("jws").split(".")
    said = json.loads(from_b64u(header))
    assert middle == "" and said["alg"] == "PS256" and said["b64"] is False and said["crit"] == ["b64"], said
    options = {**proof, "@context": "https://w3id.org/security/v2"}
    signed = header.encode() + b"." + hashlib.sha256(quads(options, job)).digest()
    signed += hashlib.sha256(quads(document, job)).digest()
    published = json.loads((Path(job["published"]) / "public-key.json").read_text())
    assert published["id"] == proof["verificationMethod"], "another key's address"
    key = serialization.load_pem_public_key(published["publicKeyPem"].encode())
    try:
        key.verify(from_b64u(signature), signed, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


job = json.load(sys.stdin)
body = base64.b64decode(job["body"])
event = json.loads(body)
mac = "sha256=" + hmac.new(job["secret"].encode(), body, hashlib.sha256).hexdigest()
found = {"hmac": mac == job["signature"], "opened": False, "proof": None, "event": event}
try:
    credential = json.loads(open_hybrid(from_b64u(event["event"]["data"]["credential"]), job))
    found |= {"opened": True, "credential": credential, "proof": proof_holds(credential, job)}
except ValueError as error:
    found["why"] = str(error) or type(error).__name__
print(json.dumps(found))
