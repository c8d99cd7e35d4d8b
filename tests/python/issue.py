"""Issues a signature certificate with a P-256 key below the partner CA of a test PKI: {"pki": .., "out": folder,
"organisation": ".."} on standard input; writes signature.pem (leaf first, then the CA) and signature.key.pem."""

import datetime
import json
import os
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ida_form import certificate, private_key

PEM = serialization.Encoding.PEM


def main():
    job = json.load(sys.stdin)
    ca_dir = Path(job["pki"]) / "ca"
    ca, ca_key = certificate(ca_dir / "partner.pem"), private_key(ca_dir / "partner.key.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=5)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, job["organisation"]),
                    x509.NameAttribute(NameOID.COMMON_NAME, "signature p256"),
                ]
            )
        )
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(
            x509.KeyUsage(True, False, False, False, False, False, False, False, False), True
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), False
        )
        .sign(ca_key, hashes.SHA256())
    )
    out = Path(job["out"])
    (out / "signature.pem").write_bytes(leaf.public_bytes(PEM) + ca.public_bytes(PEM))
    pem = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(out / "signature.key.pem", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(pem)


if __name__ == "__main__":
    main()
