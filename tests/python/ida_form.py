"""MOSIP's IDA message form, written from the reference text alone (mosip-ida-and-keymanager.md sections 1 and 3) with
`cryptography` and `jwcrypto`: nothing here has seen the gateway's own code.

A message is sealed by `seal`, opened by `open_request`; a detached JWS is made by `sign` and checked by `verify`.
"""

import base64
import hashlib
import json
import os
import secrets
from datetime import datetime, timezone

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from jwcrypto import jwk, jws

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
IDS = {"auth": "mosip.identity.auth", "kyc": "mosip.identity.kyc", "otp": "mosip.identity.otp"}


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    """Unpadded base64url, and nothing else."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert b64u(data) == text, "not canonical unpadded base64url"
    return data


def certificate(path):
    """The first certificate of a PEM file: the leaf."""
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificates(file.read())[0]


def private_key(path):
    with open(path, "rb") as file:
        return serialization.load_pem_private_key(file.read(), None)


def der(leaf):
    return leaf.public_bytes(serialization.Encoding.DER)


def sha256(data):
    return hashlib.sha256(data).digest()


def now():
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def transaction():
    return "".join(secrets.choice("0123456789") for _ in range(10))


def encrypt(key, plain):
    """ciphertext ‖ tag (16) ‖ nonce (16)."""
    nonce = os.urandom(16)
    encryptor = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    return encryptor.update(plain) + encryptor.finalize() + encryptor.tag + nonce


def decrypt(key, sealed):
    text, tag, nonce = sealed[:-32], sealed[-32:-16], sealed[-16:]
    decryptor = Cipher(algorithms.AES(key), modes.GCM(nonce, tag)).decryptor()
    try:
        return decryptor.update(text) + decryptor.finalize()
    except InvalidTag as why:
        raise AssertionError("the GCM tag does not fit") from why


def seal(plain, leaf):
    """The four encrypted members of a request for the holder of a certificate."""
    key = os.urandom(32)
    return {
        "request": b64u(encrypt(key, plain)),
        "requestSessionKey": b64u(leaf.public_key().encrypt(key, OAEP)),
        "requestHMAC": b64u(encrypt(key, hashlib.sha256(plain).hexdigest().upper().encode())),
        "thumbprint": b64u(sha256(der(leaf))),
    }


def open_request(message, leaf, key):
    """The exact plain bytes of a request that was sealed to `leaf`, everything checked."""
    named = message["thumbprint"]
    expected = sha256(der(leaf))
    assert named.upper() == expected.hex().upper() or unb64u(named) == expected, "sealed to another certificate"
    session = key.decrypt(unb64u(message["requestSessionKey"]), OAEP)
    assert len(session) == 32, "not an AES-256 key"
    hmac = unb64u(message["requestHMAC"])
    assert len(hmac) == 96, "requestHMAC is not 64 hex digits, a tag and a nonce of 16 bytes"
    plain = decrypt(session, unb64u(message["request"]))
    assert decrypt(session, hmac) == hashlib.sha256(plain).hexdigest().upper().encode(), "the digest does not fit"
    return plain


def seal_identity(plain, leaf):
    """What `response` of an eKYC answer holds for the holder of a certificate."""
    key = os.urandom(32)
    return {
        "identity": b64u(encrypt(key, plain)),
        "sessionKey": b64u(leaf.public_key().encrypt(key, OAEP)),
        "thumbprint": sha256(der(leaf)).hex().upper(),
    }


def open_identity(response, leaf, key):
    assert response["thumbprint"] == sha256(der(leaf)).hex().upper(), "sealed to another certificate"
    session = key.decrypt(unb64u(response["sessionKey"]), OAEP)
    return decrypt(session, unb64u(response["identity"]))


def sign(body, leaf, key, alg="RS256", **more):
    """A detached compact JWS over the bytes of a body, made by jwcrypto."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    token = jws.JWS(body)
    protected = {"alg": alg, "x5c": [base64.b64encode(der(leaf)).decode()], **more}
    token.add_signature(jwk.JWK.from_pem(pem), alg, json.dumps(protected), None)
    token.detach_payload()
    return token.serialize(compact=True)


def verify(header, body, leaf, alg="RS256"):
    """Whether a detached JWS was made over `body` by the holder of `leaf`: chosen by us, not by the message."""
    first, middle, last = header.split(".")
    assert middle == "", "not detached"
    protected = json.loads(unb64u(first))
    assert protected["alg"] == alg, protected["alg"]
    assert set(protected) <= {"alg", "x5c", "x5t#S256", "kid", "leaf"}, sorted(protected)
    assert base64.b64decode(protected["x5c"][0], validate=True) == der(leaf), "another certificate in x5c"
    if "x5t#S256" in protected:
        assert unb64u(protected["x5t#S256"]) == sha256(der(leaf)), "x5t#S256 is not that of x5c"
    key = jwk.JWK.from_pem(
        leaf.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    token = jws.JWS()
    token.allowed_algs = [alg]
    token.deserialize(header)
    token.verify(key, alg=alg, detached_payload=body)
    unb64u(last)
    return protected


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
