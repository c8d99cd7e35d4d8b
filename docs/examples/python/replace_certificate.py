#!/usr/bin/env python3
"""A partner replaces one of its own certificates at a gateway, and proves that it holds the new key (docs/partner-guide.md).

    replace_certificate.py ROLE URL PARTNER NEW GATEWAY CA [VALID_FROM]

ROLE is tls, encryption or signature; URL the address of the route, such as https://gateway.example/certificates. PARTNER,
GATEWAY and CA are as partner.py has them: the keys in use until now. NEW is a folder with ROLE.pem and ROLE.key.pem.
"""

import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from jwcrypto import jwe, jws
from jwcrypto.common import base64url_decode

import partner


class New(partner.Own):
    """The new certificate with its key."""

    @property
    def proving(self):
        # Keys of TLS may be on P-384, with which no message is signed.
        on_p384 = isinstance(self.public, ec.EllipticCurvePublicKey) and self.public.curve.key_size == 384
        return "ES384" if on_p384 else self.signing


def sign_proof(new, claims):
    """The proof of a key that signs: a compact JWS whose header is exactly alg and typ."""
    token = jws.JWS(json.dumps(claims))
    header = {"alg": new.proving, "typ": "triseal-key-possession+jwt"}
    token.add_signature(new.key, new.proving, json.dumps(header))
    return token.serialize(compact=True)


def open_proof(new, sealed, claims):
    """The proof of a key that decrypts: the 256 bits that were sealed to it. Nothing else is opened for whoever asks."""
    token = jwe.JWE(algs=[new.wrapping, "A256GCM"])
    token.deserialize(sealed)
    header = json.loads(token.objects["protected"])
    if header["cty"] != "application/triseal-key-challenge+json" or header["kid"] != new.name:
        raise ValueError("what is to be opened is no challenge for the new key")
    token.decrypt(new.key)
    plain = json.loads(token.payload)
    nonce = plain.pop("nonce")
    if plain != claims or len(base64url_decode(nonce)) != 32:
        raise ValueError("the challenge is not about this certificate")
    return nonce


def replace(role, url, folder, new_folder, gateway, ca, valid_from=None):
    """Asks for a challenge, answers it, and gives what the gateway says of the replacement."""
    new = New(new_folder, role)
    pem = (Path(new_folder) / f"{role}.pem").read_text()

    def ask(what, question):
        plain = json.dumps(question).encode()
        status, answer, _ = partner.ask("POST", f"{url}/{what}", plain, folder, gateway, ca)
        answer = json.loads(answer)
        if status != 200:
            raise SystemExit(f"{answer['code']}: {answer['message']} ({answer['correlationId']})")
        return answer

    asked = ask("challenge", {"role": role, "certificate": pem})
    # What is proven is written here, not taken from the gateway; only whom it is told to comes with its signed answer.
    claims = {"aud": asked["audience"], "sub": asked["partner"], "role": role, "x5t#S256": new.name}
    if role == "encryption":
        proof = open_proof(new, asked["sealed"], claims)
    else:
        proof = sign_proof(new, {**claims, "nonce": asked["nonce"]})
    question = {"challenge": asked["challenge"], "certificate": pem, "proof": proof}
    if valid_from:
        question["validFrom"] = valid_from
    return ask("replacement", question)


if __name__ == "__main__":
    print(json.dumps(replace(*sys.argv[1:]), indent=2))
