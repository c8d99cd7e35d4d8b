#!/usr/bin/env python3
"""A partner that seals its own messages: MOSIP's IDA form with nothing but Python's `cryptography`.

None of Triseal's code is used here, so it is also a second opinion on the envelope. As a module it serves the demo; as a
command it talks to a running sandbox:

    python demo/partner.py --scene DIR/scene.json auth --uin 2753114735 --name "Ada Example" --dob 1987/11/25
    python demo/partner.py --scene DIR/scene.json otp  --uin 2753114735 --transaction AbC1234567
    python demo/partner.py --scene DIR/scene.json read-otp --transaction AbC1234567
    python demo/partner.py --scene DIR/scene.json auth --uin 2753114735 --otp 123456 --transaction AbC1234567

`--age`, `--alter`, `--signed-by` and `--tls` make the slips and attacks of the demo; `--curl FOLDER` writes the sealed
message down instead of sending it, for `curl --config FOLDER/curl.conf`.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import re
import secrets
import ssl
import string
import sys
import time
import urllib.parse
import warnings
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.utils import CryptographyDeprecationWarning

# About half of the certificates that MOSIP re-signs have a negative serial number, and so have the sandbox's.
warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)

# RSA-OAEP as MOSIP uses it: SHA-256 twice, no label.
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
NONCE_BYTES = 16
ANSWER_WITHIN_S = 20
KNOCK_WITHIN_S = 3


# ---- files ----------------------------------------------------------------------------------------------------------


def first_certificate(path: Path) -> bytes:
    """The DER of the first certificate of a PEM file: the party's own, the chain comes after it."""
    return x509.load_pem_x509_certificates(path.read_bytes())[0].public_bytes(serialization.Encoding.DER)


def private_key(path: Path):
    return serialization.load_pem_private_key(path.read_bytes(), password=None)


def public_key(der: bytes):
    return x509.load_der_x509_certificate(der).public_key()


def fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64u(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# ---- the message ----------------------------------------------------------------------------------------------------


def mosip_time(age_s: float = 0) -> str:
    """`yyyy-MM-dd'T'HH:mm:ss.SSSXXX`, that many seconds ago."""
    at = datetime.now(timezone.utc) - timedelta(seconds=age_s)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def new_transaction() -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(10))


def encrypt(key: bytes, plain: bytes) -> bytes:
    """AES-256-GCM as MOSIP lays it out: content, tag, and the 16-byte nonce at the end."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return AESGCM(key).encrypt(nonce, plain, None) + nonce


def decrypt(key: bytes, sealed: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[-NONCE_BYTES:], sealed[:-NONCE_BYTES], None)


def seal_block(block: dict, recipient: bytes) -> dict:
    """The second seal: the inner block, encrypted to the recipient's encryption certificate."""
    plain = json.dumps(block, ensure_ascii=False).encode()
    key = secrets.token_bytes(32)
    digest = hashlib.sha256(plain).hexdigest().upper().encode()
    return {
        "request": b64u(encrypt(key, plain)),
        "requestHMAC": b64u(encrypt(key, digest)),
        "requestSessionKey": b64u(public_key(recipient).encrypt(key, OAEP)),
        "thumbprint": b64u(hashlib.sha256(recipient).digest()),
    }


def sign(body: bytes, key, certificate: bytes) -> str:
    """The third seal: a detached JWS over the exact bytes, the certificate in `x5c`."""
    protected = json.dumps({"alg": "RS256", "x5c": [base64.b64encode(certificate).decode()]}).encode()
    signing_input = f"{b64u(protected)}.{b64u(body)}".encode()
    signature = key.sign(signing_input, padding.PKCS1v15(), hashes.SHA256())
    return f"{b64u(protected)}..{b64u(signature)}"


def is_signed_by(signature: str | None, body: bytes, certificate: bytes) -> bool:
    """Whether `response-signature` fits the bytes, with the key of the certificate we hold, not of one it brings."""
    try:
        protected, middle, value = (signature or "").split(".")
        header = json.loads(from_b64u(protected))
        brought = base64.b64decode(header["x5c"][0])
        if middle or header["alg"] != "RS256" or brought != certificate:
            return False
        signed = f"{protected}.{b64u(body)}".encode()
        public_key(certificate).verify(from_b64u(value), signed, padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, KeyError, IndexError, TypeError, InvalidSignature):
        return False
    return True


def open_identity(response: dict, key) -> dict:
    """The identity of an eKYC answer, sealed to our encryption certificate."""
    session_key = key.decrypt(from_b64u(response["sessionKey"]), OAEP)
    return json.loads(decrypt(session_key, from_b64u(response["identity"])))


# ---- the partner ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    """A request as it will travel."""

    operation: str
    transaction: str
    body: bytes
    signature: str

    def altered(self) -> Message:
        """The same with one byte of the encrypted content changed after signing, still valid JSON and base64url."""
        at = self.body.index(b'"request": "') + len(b'"request": "') + 40
        other = b"B" if self.body[at : at + 1] != b"B" else b"C"
        return replace(self, body=self.body[:at] + other + self.body[at + 1 :])


@dataclass(frozen=True)
class Answer:
    """What came back, and over which connection."""

    status: int
    headers: dict
    body: bytes
    took_s: float
    tls: str
    server_certificate: bytes

    @property
    def json(self) -> dict:
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def error_codes(self) -> list[str]:
        return [error.get("errorCode", "?") for error in self.json.get("errors") or []]


class Partner:
    """A party of the sandbox's PKI with its three certificates, at the MISP's partner face."""

    def __init__(self, scene: dict, party: str = "crvs", tls: Path | None = None):
        self.scene = scene
        self.party = party
        pki = Path(scene["pki"])
        self.home = pki / "parties" / party
        self.tls = tls or self.home
        self.anchor = pki / "anchors" / "tls.pem"
        self.misp_encryption = first_certificate(pki / "parties" / "misp" / "encryption.pem")
        self.misp_signature = first_certificate(pki / "parties" / "misp" / "signature.pem")

    def demographics(self, name: str | None, born: str | None) -> dict:
        said: dict = {}
        if name:
            said["name"] = [{"language": "eng", "value": name}]
        if born:
            said["dob"] = born
        return {"demographics": said} if said else {}

    def message(
        self,
        operation: str,
        uin: str,
        factors: dict | None = None,
        *,
        transaction: str | None = None,
        age_s: float = 0,
        signed_by: str | None = None,
    ) -> Message:
        """Builds, encrypts (except for `otp`, which MOSIP only signs) and signs a request."""
        transaction = transaction or new_transaction()
        at = mosip_time(age_s)
        outer = {
            "id": f"mosip.identity.{operation}",
            "version": "1.0",
            "individualId": uin,
            "individualIdType": "UIN",
            "transactionID": transaction,
            "requestTime": at,
        }
        if operation == "otp":
            outer["otpChannel"] = ["email"]
        else:
            outer |= {
                "specVersion": "1.0",
                "domainUri": "https://localhost",
                "env": "Staging",
                "consentObtained": True,
                **seal_block({"timestamp": at, "otp": "", "biometrics": [], **(factors or {})}, self.misp_encryption),
            }
        body = json.dumps(outer).encode()
        signer = self.home.parent / (signed_by or self.party)
        signature = sign(body, private_key(signer / "signature.key.pem"), first_certificate(signer / "signature.pem"))
        return Message(operation, transaction, body, signature)

    def send(self, message: Message) -> Answer:
        """Over mutual TLS to the partner face. Licence and API key are in the path, as MOSIP has it."""
        return self.call(
            self.scene["partner_face"], "POST", self._path(message), message.body, self._headers(message)
        )

    def write_for_curl(self, message: Message, folder: Path) -> Path:
        """The same call as a configuration file of curl. It holds the licence key and the API key."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "request.json").write_bytes(message.body)
        options = [
            ("url", self.scene["partner_face"] + self._path(message)),
            ("cacert", self.anchor),
            ("cert", self.tls / "tls.pem"),
            ("key", self.tls / "tls.key.pem"),
            *(("header", f"{name}: {value}") for name, value in self._headers(message).items()),
            ("data-binary", f"@{(folder / 'request.json').absolute()}"),
        ]
        configuration = folder / "curl.conf"
        configuration.touch(mode=0o600)
        configuration.write_text("".join(f'{name} = "{value}"\n' for name, value in options) + "include\nsilent\n")
        return configuration

    def _path(self, message: Message) -> str:
        identifiers = [self.scene["licence_key"], self.scene["partner_id"], self.scene["api_key"]]
        return "/".join(["/idauthentication/v1", message.operation, *identifiers])

    @staticmethod
    def _headers(message: Message) -> dict:
        return {
            "Content-Type": "application/json",
            "Authorization": "Authorization",
            "Signature": message.signature,
        }

    def knock(self) -> str:
        """Shows the TLS certificate and waits for a word: the alert when it is refused, else nothing.

        With TLS 1.3 a client's handshake is done before the server has judged its certificate: the refusal is the first
        thing to be read. Nothing is sent, so that no reset can overtake it.
        """
        connection = self._connect(self.scene["partner_face"], KNOCK_WITHIN_S)
        try:
            connection.connect()
            connection.sock.recv(1)
        except TimeoutError:
            return ""
        except ssl.SSLError as error:
            return re.sub(r"^(SSLV3|TLSV1|TLSV13)_ALERT_", "", error.reason or str(error)).lower()
        finally:
            connection.close()
        return "closed without a word"

    def call(self, base: str, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> Answer:
        began = time.perf_counter()
        connection = self._connect(base, ANSWER_WITHIN_S)
        try:
            connection.connect()
            shown = connection.sock.getpeercert(binary_form=True)
            cipher = f"{connection.sock.version()}, {connection.sock.cipher()[0]}"
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            content = answer.read()
            took = time.perf_counter() - began
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, fields, content, took, cipher, shown)
        finally:
            connection.close()

    def _connect(self, base: str, within_s: float) -> http.client.HTTPSConnection:
        """Mutual TLS: our TLS certificate, and the sandbox's TLS anchor for theirs."""
        where = urllib.parse.urlsplit(base)
        context = ssl.create_default_context(cafile=str(self.anchor))
        context.load_cert_chain(self.tls / "tls.pem", self.tls / "tls.key.pem")
        return http.client.HTTPSConnection(where.hostname, where.port, context=context, timeout=within_s)


def read_otp(scene: dict, transaction: str) -> str:
    """The one-time password that the person would find in the mail: the embedded IDA has an outbox for tests.

    IDA takes connections from the MISP alone, so the MISP's TLS certificate is shown.
    """
    answer = Partner(scene, "misp").call(scene["ida"], "GET", f"/sandbox/otp/{transaction}")
    if answer.status != 200:
        raise SystemExit(f"IDA has no one-time password for transaction {transaction} (HTTP {answer.status}).")
    return answer.json["otp"]


# ---- the command ----------------------------------------------------------------------------------------------------


def main() -> int:
    args = arguments()
    scene = json.loads(args.scene.read_text())
    if args.what == "read-otp":
        print(read_otp(scene, args.transaction or sys.exit("say which --transaction")))
        return 0
    partner = Partner(scene, args.party, Path(scene["pki"]) / args.tls if args.tls else None)
    factors = partner.demographics(args.name, args.dob)
    if args.otp:
        factors["otp"] = args.otp
    message = partner.message(
        args.what,
        args.uin,
        factors,
        transaction=args.transaction,
        age_s=args.age,
        signed_by=args.signed_by,
    )
    if args.alter:
        message = message.altered()
    if args.curl:
        print(f"curl --config {partner.write_for_curl(message, args.curl)}")
        return 0
    try:
        answer = partner.send(message)
    except (ssl.SSLError, OSError) as error:
        print(f"the gateway took no request: {error}")
        return 1
    show(partner, answer)
    return 0 if answer.status == 200 and "x-triseal-code" not in answer.headers else 1


def show(partner: Partner, answer: Answer) -> None:
    signed = is_signed_by(answer.headers.get("response-signature"), answer.body, partner.misp_signature)
    print(f"HTTP {answer.status} in {answer.took_s * 1000:.1f} ms over {answer.tls}")
    print(f"server's TLS certificate  {fingerprint(answer.server_certificate)}")
    print(f"answer signed by MISP     {'yes' if signed else 'NO'}")
    for name in ("x-correlation-id", "x-triseal-code"):
        if name in answer.headers:
            print(f"{name:<24}  {answer.headers[name]}")
    body = answer.json
    response = body.get("response") or {}
    if "sessionKey" in response:
        body["response"] = {
            "kycStatus": response.get("kycStatus"),
            "identity, opened with our key": shortened(
                open_identity(response, private_key(partner.home / "encryption.key.pem"))
            ),
        }
    print(json.dumps(body, indent=2, ensure_ascii=False) if body else answer.body.decode(errors="replace"))


def shortened(identity: dict) -> dict:
    """Photos are long."""
    return {name: f"{value[:40]}…" if len(value) > 60 else value for name, value in identity.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, required=True, help="scene.json of a running sandbox")
    parser.add_argument("--party", default="crvs", help="whose certificates to use (a folder of pki/parties)")
    parser.add_argument("what", choices=["auth", "kyc", "otp", "read-otp"])
    parser.add_argument("--uin", default="2753114735")
    parser.add_argument("--name", help="in English, as a demographic factor")
    parser.add_argument("--dob", help="yyyy/MM/dd, as a demographic factor")
    parser.add_argument("--otp", help="a one-time password, as a factor")
    parser.add_argument("--transaction", help="ten letters or digits")
    parser.add_argument("--age", type=float, default=0, help="how many seconds old the message says it is")
    parser.add_argument("--alter", action="store_true", help="change one byte after signing")
    parser.add_argument("--signed-by", help="another party whose signature key signs, such as seeder")
    parser.add_argument("--tls", help="another TLS certificate, such as twins/revoked (a folder of pki)")
    parser.add_argument("--curl", type=Path, metavar="FOLDER", help="write the message for curl, do not send it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
