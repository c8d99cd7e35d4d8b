#!/usr/bin/env python3
"""A partner that seals its own requests in the envelope `jose` (docs/jose.md) and believes no answer that is not proven.

    partner.py METHOD URL PARTNER GATEWAY CA < plain body

PARTNER is a folder with our own tls.pem, encryption.pem and signature.pem and the keys beside them (tls.key.pem, ...), GATEWAY
one with the gateway's encryption.pem and signature.pem, CA the file with the anchors of its TLS certificate. Needs
`pip install jwcrypto`; RSA, P-256, P-384 and Ed25519 certificates work by themselves.
"""

import hashlib
import http.client
import json
import secrets
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from jwcrypto import jwe, jwk, jws
from jwcrypto.common import JWSEHeaderParameter, base64url_decode, base64url_encode

REQUEST = ("htm", "htu")
ANSWER = ("status", "req")
WRAPPINGS = ("RSA-OAEP-256", "ECDH-ES+A256KW")
# Members of our own that a library has to be told of, since `crit` names them.
PRIVATE = {name: JWSEHeaderParameter(name, True, True, None) for name in ("iat", "jti", *REQUEST, *ANSWER)}
MEMBERS = {"alg", "x5t#S256", "b64", "iat", "jti", "crit"}


class Certificate:
    """A certificate, its name in messages, and the algorithm that goes with its key."""

    def __init__(self, path):
        leaf = x509.load_pem_x509_certificates(Path(path).read_bytes())[0]
        self.name = base64url_encode(hashlib.sha256(leaf.public_bytes(Encoding.DER)).digest())
        self.public = leaf.public_key()
        self.key = jwk.JWK.from_pyca(self.public)

    @property
    def wrapping(self):
        return "RSA-OAEP-256" if isinstance(self.public, rsa.RSAPublicKey) else "ECDH-ES+A256KW"

    @property
    def signing(self):
        # An RSA certificate may also be agreed for PS256.
        kinds = {rsa.RSAPublicKey: "RS256", ec.EllipticCurvePublicKey: "ES256", ed25519.Ed25519PublicKey: "EdDSA"}
        return next(alg for kind, alg in kinds.items() if isinstance(self.public, kind))


class Own(Certificate):
    """A certificate of ours with its private key."""

    def __init__(self, folder, role):
        super().__init__(Path(folder) / f"{role}.pem")
        self.key = jwk.JWK.from_pem((Path(folder) / f"{role}.key.pem").read_bytes())


def seal(plain, media_type, to):
    """The body as it is sent: nothing for nothing, else a JWE to the certificate."""
    if not plain:
        return b""
    header = {"alg": to.wrapping, "enc": "A256GCM", "kid": to.name, "cty": media_type}
    token = jwe.JWE(plain, json.dumps(header), recipient=to.key, algs=[to.wrapping, "A256GCM"])
    return token.serialize(compact=True).encode()


def open_body(body, own):
    """The plain body and its media type."""
    if not body:
        return b"", None
    token = jwe.JWE(algs=[own.wrapping, "A256GCM"])
    token.deserialize(body.decode("ascii"))
    header = json.loads(token.objects["protected"])
    expected = {"alg", "enc", "kid", "cty"} | ({"epk"} if own.wrapping != "RSA-OAEP-256" else set())
    if set(header) != expected or header["kid"] != own.name or header["enc"] != "A256GCM":
        raise ValueError("the body is not sealed to us in the agreed form")
    token.decrypt(own.key)
    return token.payload, header["cty"]


def sign(body, own, **bound):
    """The value of the signature header over the octets of the body."""
    header = {
        "alg": own.signing,
        "x5t#S256": own.name,
        "b64": False,
        "iat": int(time.time()),
        "jti": base64url_encode(secrets.token_bytes(16)),
        **bound,
        "crit": ["b64", "iat", "jti", *bound],
    }
    token = jws.JWS(body.decode("ascii"), header_registry=PRIVATE)
    token.add_signature(own.key, own.signing, json.dumps(header))
    made = json.loads(token.serialize())
    return f"{made['protected']}..{made['signature']}"


def check(value, body, signer, names, back_s=60, forward_s=30):
    """The bound values of a signature header, after everything about it was checked."""
    protected, nothing, signature = value.split(".")
    header = json.loads(base64url_decode(protected))
    right = (
        nothing == ""
        and set(header) - ({"leaf"} if names == ANSWER else set()) == MEMBERS | set(names)
        and header["b64"] is False
        and header["alg"] == signer.signing
        and header["x5t#S256"] == signer.name
        and sorted(header["crit"]) == sorted(["b64", "iat", "jti", *names])
    )
    if not right:
        raise ValueError("the signature is not of the agreed form, or somebody else's")
    token = jws.JWS(header_registry=PRIVATE)
    token.allowed_algs = [signer.signing]
    whole = {"protected": protected, "payload": body.decode("ascii"), "signature": signature}
    token.deserialize(json.dumps(whole), signer.key)
    if not -back_s <= header["iat"] - time.time() <= forward_s:
        raise ValueError("the signature is not fresh")
    return {name: header[name] for name in names}


def fingerprint(signature):
    """How an answer names its request."""
    return base64url_encode(hashlib.sha256(signature.encode()).digest())


def ask(method, url, plain, partner, gateway, ca, media_type="application/json"):
    """Asks and gives status, plain answer and its media type; raises where the answer is not proven."""
    tls = ssl.create_default_context(cafile=ca)
    tls.load_cert_chain(Path(partner) / "tls.pem", Path(partner) / "tls.key.pem")
    target = urlsplit(url)
    body = seal(plain, media_type, Certificate(Path(gateway) / "encryption.pem"))
    signature = sign(body, Own(partner, "signature"), htm=method, htu=url)
    headers = {"signature": signature, **({"Content-Type": "application/jose"} if body else {})}
    connection = http.client.HTTPSConnection(target.hostname, target.port, context=tls, timeout=20)
    connection.request(method, target.path, body, headers)
    response = connection.getresponse()
    answer = response.read()
    value = response.getheader("response-signature")
    if value is None:
        code = response.getheader("x-triseal-code")
        raise ValueError(f"no signature: status {response.status}, code {code}, {answer[:300]}")
    bound = check(value, answer, Certificate(Path(gateway) / "signature.pem"), ANSWER)
    if bound != {"status": response.status, "req": fingerprint(signature)}:
        raise ValueError("the answer is to another request")
    if answer and response.getheader("Content-Type") != "application/jose":
        raise ValueError("the answer is not sealed")
    return response.status, *open_body(answer, Own(partner, "encryption"))


def main():
    method, url, partner, gateway, ca = sys.argv[1:]
    status, plain, _ = ask(method, url, sys.stdin.buffer.read(), partner, gateway, ca)
    print(status)
    print(plain.decode())


if __name__ == "__main__":
    main()
