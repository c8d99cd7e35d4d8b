#!/usr/bin/env python3
"""Checks an evidence bundle offline, with none of Triseal's code: docs/evidence.md is all it was written from.

    evidence_verify.py BUNDLE --anchor CA.pem [--tsa-anchor CA.pem] [--organisation NAME]

Prints each link of the proof; exits with 1 at the first broken one. The anchor file holds every CA: a bundle's certificate is no issuer.
"""
import argparse, base64, datetime, hashlib, json, subprocess, sys, tempfile, warnings
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

warnings.filterwarnings("ignore")  # MOSIP's certificates have negative serial numbers
sha256 = lambda data: hashlib.sha256(data).digest()
node = lambda left, right: sha256(b"\x01" + left + right)
pem = lambda certificate: certificate.public_bytes(Encoding.PEM)
url = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Broken(Exception):
    link = "bundle"  # the one that is looked at; an error has its link's name, and why it does not hold


def check(link, true, why):
    Broken.link = link
    if not true:
        raise Broken(link, why)


def unurl(link, text):
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    check(link, url(data) == text, "no canonical base64url")  # one spelling only: any changed character is found
    return data


def un64(link, text):
    check(link, base64.b64encode(data := base64.b64decode(text, validate=True)).decode() == text, "no canonical base64")
    return data


def moment(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)


def verify_key(key, alg, signature, message):
    """Raises where `signature` (JOSE's form) is not the key's over `message`."""
    if alg in ("RS256", "PS256") and isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        pad = padding.PKCS1v15() if alg == "RS256" else padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        key.verify(signature, message, pad, hashes.SHA256())
    elif alg == "ES256" and isinstance(key, ec.EllipticCurvePublicKey) and len(signature) == 64:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    elif alg == "EdDSA" and isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, message)
    else:
        raise InvalidSignature


def jws(link, text, certificates, body=None, signer=None):
    """Header and signer of a JWS that one of the certificates signed; `body` where the payload travels elsewhere."""
    parts = text.split(".")
    check(link, len(parts) == 3 and (body is None or parts[1] == ""), "no JWS of the form")
    header = json.loads(unurl(link, parts[0]))
    if signer is None:
        name = unurl(link, header["x5t#S256"])
        signer = next((c for c in certificates if c.fingerprint(hashes.SHA256()) == name), None)
    check(link, signer is not None, "the certificate that signed is missing")
    payload = parts[1].encode() if body is None else body if header.get("b64") is False else url(body).encode()
    try:
        verify_key(signer.public_key(), header["alg"], unurl(link, parts[2]), parts[0].encode() + b"." + payload)
    except InvalidSignature:
        raise Broken(link, f"the signature of {signer.subject.rfc4514_string()} does not fit")
    return header, signer


def root_of(leaf, index, size, proof):
    """RFC 9162 section 2.1.3.2."""
    fn, sn, r = index, size - 1, leaf
    check("inclusion", 0 <= index < size, "there is no such record under the head")
    for p in proof:
        check("inclusion", sn != 0, "the proof is too long")
        if fn & 1 or fn == sn:
            r = node(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    check("inclusion", sn == 0, "the proof is too short")
    return r


def chain(link, leaf, anchors, at):
    """From the leaf to a self-signed anchor, every certificate valid at that moment."""
    path = [leaf]
    while True:
        one = path[-1]
        name = one.subject.rfc4514_string()
        check(link, one.not_valid_before_utc <= at <= one.not_valid_after_utc, f"{name} is not valid at {at}")
        if len(path) > 1 and one.subject == one.issuer:
            return " <- ".join(c.subject.rfc4514_string() for c in path)
        for issuer in (a for a in anchors if a.subject == one.issuer and len(path) < 6):
            try:
                one.verify_directly_issued_by(issuer)
            except (InvalidSignature, TypeError, ValueError):
                continue
            limits = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
            check(link, limits.ca and (limits.path_length is None or limits.path_length >= len(path) - 1), "no CA")
            path.append(issuer)
            break
        else:
            raise Broken(link, f"{name} does not chain to the anchors")


def openssl(link, files, allowed, *command):
    """Runs the openssl command over files in a folder of its own; it must be content, or complain of what is `allowed` alone."""
    with tempfile.TemporaryDirectory() as home:
        for name, data in files.items():
            open(f"{home}/{name}", "wb").write(data)
        told = subprocess.run(["openssl", *command], cwd=home, capture_output=True, text=True)
    check(link, told.returncode == 0 or allowed in told.stderr, " ".join(told.stderr.split()))


def links(raw, anchors, authorities, organisation):
    """Yields each link of the proof that holds; raises Broken at the first that does not."""
    bundle = json.loads(raw)
    known = {"format", "record", "index", "inclusion", "head", "certificates", "crls", "timestamp", "receipt", "body"}
    check("bundle", set(bundle) <= known and bundle["format"] == "triseal-evidence-bundle/1", "not of this form")
    certificates = [x509.load_der_x509_certificate(un64("bundle", c)) for c in bundle["certificates"]]
    record = json.loads(bundle["record"])
    armour = b"-----BEGIN X509 CRL-----\n%b-----END X509 CRL-----\n"
    lists = [armour % base64.encodebytes(un64("revocation", c)) for c in bundle.get("crls", [])]
    leaf = sha256(b"\x00" + bundle["record"].encode())
    yield "record", f"{record['time']} {record['correlationId']}: {record['verdict']}; leaf hash {url(leaf)}"

    head = json.loads(unurl("head", bundle["head"].split(".")[1]))
    root = root_of(leaf, bundle["index"], head["size"], [unurl("inclusion", h) for h in bundle["inclusion"]])
    check("inclusion", url(root) == head["root"], "record, index, proof or head is another: the root differs")
    yield "inclusion", f"number {bundle['index']} of {head['size']} in log {head['log']}"
    header, signer = jws("head", bundle["head"], certificates)
    check("head", set(header) == {"alg", "x5t#S256", "typ"} and header["typ"] == "triseal-tree-head", "no tree head")
    owner, at = signer.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)[0].value, moment(head["time"])
    check("signer", organisation in (None, owner), f"the log is {owner}'s")
    yield "head", f"signed {head['time']}: " + chain("signer", signer, anchors, at)
    if lists:  # openssl reads lists with MOSIP's negative serial numbers; a list that is missing proves nothing either way
        files = {"ca": b"".join(map(pem, anchors)), "leaf": pem(signer), "crl": b"".join(lists)}
        openssl("revocation", files, "unable to get certificate CRL", *"verify -no_check_time -crl_check_all -CAfile ca".split(),
                "-CRLfile", "crl", "leaf")
        yield "revocation", f"none of them is named by the {len(lists)} lists"
    in_order = moment(record["time"]) <= at and head["log"].rpartition("/")[0] == record["gateway"]
    check("order", in_order, "the record is younger than the head, or another gateway's")
    if "timestamp" in bundle and authorities:  # whose it is can only be said with an anchor
        files = {"token": un64("time stamp", bundle["timestamp"]), "ca": b"".join(f.read() for f in authorities)}
        openssl("time stamp", files, "no such complaint", *"ts -verify -token_in -in token -CAfile ca -digest".split(),
                sha256(bundle["head"].encode()).hex(), "-attime", str(int(at.timestamp())))
        yield "time stamp", "an authority below the anchor stamped this head"

    bodies, receipt = {}, bundle.get("receipt")
    for which, text in bundle.get("body", {}).items():
        salted = un64("body", text)
        check("body", url(sha256(salted)) == record["body"][which]["plainDigest"], f"{which} is another")
        check("body", url(sha256(salted[16:])) == record[which]["bodyDigest"], f"{which} is another")
        bodies[which] = salted[16:]
        yield "body", f"the {which} is the one whose digests the record has"
    named = {signer.fingerprint(hashes.SHA256()), bytes.fromhex(record.get("signer", ""))}
    if receipt:
        header = json.loads(unurl("receipt", receipt["signature"].split(".")[0]))
        check("receipt", header.get("leaf") == url(leaf), "it is of another record")
        named.add(unurl("receipt", header["x5t#S256"]))
        answer = un64("receipt", receipt["answer"]) if "answer" in receipt else bodies.get("answer")
        if answer is not None:
            check("receipt", url(sha256(answer)) == record["answer"]["bodyDigest"], "it is of another answer")
            _, who = jws("receipt", receipt["signature"], certificates, answer)
            yield "receipt", "signed with the answer: " + chain("receipt", who, anchors, moment(record["time"]))
    by = [c for c in certificates if c.fingerprint(hashes.SHA256()).hex() == record.get("signer")]
    if by and "request" in bodies:
        jws("request signature", record["request"]["signature"], by, bodies["request"], by[0])
        yield "request signature", f"by {by[0].subject.rfc4514_string()}"
    check("bundle", {c.fingerprint(hashes.SHA256()) for c in certificates} <= named, "a certificate that nothing in it names")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=argparse.FileType("rb"))
    parser.add_argument("--anchor", action="append", required=True, type=argparse.FileType("rb"))
    parser.add_argument("--tsa-anchor", action="append", type=argparse.FileType("rb"), help="a PEM file")
    parser.add_argument("--organisation", help="whose log it must be")
    args = parser.parse_args()
    anchors = [c for f in args.anchor for c in x509.load_pem_x509_certificates(f.read())]
    try:
        for step, words in links(args.bundle.read(), anchors, args.tsa_anchor, args.organisation):
            print(f"ok      {step}: {words}")
    except Exception as error:  # Broken, or what cannot even be read
        sys.exit("BROKEN  " + (": ".join(error.args) if isinstance(error, Broken) else f"{Broken.link}: {error!r}"))


main()
