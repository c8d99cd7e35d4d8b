"""Issues certificates below the partner CA of a test PKI: {"pki": .., "out": folder, "organisation": ".."} on standard
input writes signature.pem with a P-256 key (leaf first, then the CA) and signature.key.pem. With {"kinds": ["p256", ..]} it
writes ROLE-KIND.pem and ROLE-KIND.key.pem instead, for every kind of key in every role that can have it."""

import datetime
import json
import os
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from ida_form import certificate, private_key

PEM = serialization.Encoding.PEM

MAKE = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
ROLES = {
    "p256": ("encryption", "signature"),
    "p384": ("encryption",),
    "ed25519": ("signature",),
}


def usage(role):
    signs = role == "signature"
    return x509.KeyUsage(signs, False, False, False, not signs, False, False, False, False)


def issue(ca, ca_key, organisation, role, kind, out, name):
    key = MAKE[kind]()
    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=5)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                    x509.NameAttribute(NameOID.COMMON_NAME, f"{role} {kind}"),
                ]
            )
        )
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(usage(role), True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), False
        )
        .sign(ca_key, hashes.SHA256())
    )
    (out / f"{name}.pem").write_bytes(leaf.public_bytes(PEM) + ca.public_bytes(PEM))
    pem = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(out / f"{name}.key.pem", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(pem)


def main():
    job = json.load(sys.stdin)
    ca_dir = Path(job["pki"]) / "ca"
    ca, ca_key = certificate(ca_dir / "partner.pem"), private_key(ca_dir / "partner.key.pem")
    out = Path(job["out"])
    if "kinds" not in job:
        issue(ca, ca_key, job["organisation"], "signature", "p256", out, "signature")
    for kind in job.get("kinds", ()):
        for role in ROLES[kind]:
            issue(ca, ca_key, job["organisation"], role, kind, out, f"{role}-{kind}")


if __name__ == "__main__":
    main()
