#!/usr/bin/env python3
"""The demo: eleven honest exchanges and eleven attacks against a running sandbox, each told and each checked.

    python demo/story.py --scene DIR/scene.json --sandbox-log FILE

Exit code 0 when everything came out as it must, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import doors
import proofs
import rules
import try_sdk
from paper import NARROW, chapter, fact, paint, paragraph, say, scene, table
from partner import Answer, Partner, fingerprint, from_b64u, is_signed_by, new_transaction, read_otp
from watch import NAMES, ROLES, Cast, Seen, Watch

UIN, NAME, BORN = "2753114735", "Ada Example", "1987/11/25"
HOP = ["", "TLS shown" if NARROW else "TLS certificate shown", "encrypted to", "signed by"]
# What the codes mean, in words for whoever watches; the gateway's own remedies are in its refusal catalogue.
MEANING = {
    "SIG-005": "The signing certificate belongs to another partner.",
    "SIG-008": "The signature does not fit the bytes received.",
    "FRS-002": "The request is too old, or the sender's clock is behind.",
    "FRS-004": "This message was received before.",
}


class Unexpected(Exception):
    """A step did not do what it must."""


def must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Unexpected(otherwise)


class Story:
    """What every step needs, and the tally."""

    def __init__(self, settings: dict, sandbox_log: Path):
        self.settings = settings
        self.home = Path(settings["dir"])
        self.cast = Cast(Path(settings["pki"]))
        self.watch = Watch(self.home, sandbox_log)
        self.sdk = try_sdk.authenticator(self.home / "sdk.toml")
        self.partner = Partner(settings)
        self.answered: Answer | None = None
        self.exchanges = 0
        self.refusals = 0
        self.failures: list[str] = []

    def step(self, title: str, tell) -> None:
        """Runs a step; one that fails is told and counted, and the story goes on."""
        try:
            tell()
        except Unexpected as why:
            self._failed(title, str(why))
        except Exception as error:  # Whatever a library raises is a step that failed.
            self._failed(title, f"{type(error).__name__}: {error}")

    def _failed(self, title: str, why: str) -> None:
        self.failures.append(title)
        fact("✗ NOT AS EXPECTED", why, "bad")

    # ---- pieces of telling ----

    def seal(self, role: str, party: str, shown: str | None = None) -> str:
        """A party with the short fingerprint of its certificate in that role."""
        short = (shown or self.cast.fingerprint(party, role))[:8].lower()
        return f"{NAMES[party]} {paint(role, short)}"

    def hops(self, rows: list[list[str]]) -> None:
        """The table of an exchange; in a narrow terminal without the names, which the arrows tell."""

        def narrow(cell: str) -> str:
            named = [name for name in NAMES.values() if cell.startswith(f"{name} ")]
            return cell.removeprefix(f"{named[0]} ") if named else cell

        table(HOP, [[row[0], *map(narrow, row[1:])] for row in rows] if NARROW else rows)

    def proven(self, role: str, party: str, shown: str | None, where: str) -> str:
        """The same for a fingerprint that a witness wrote down; it must be that party's."""
        whose = self.cast.whose(shown)
        must(whose == (party, role), f"{where} saw {whose or shown}, not the {role} certificate of {NAMES[party]}")
        return self.seal(role, party, shown)

    def verified(self, signature: str | None, body: bytes, party: str) -> None:
        """The answer's signature, checked here with Python against the certificate in the PKI folder."""
        fits = is_signed_by(signature, body, self.cast.certificates[party, "signature"])
        must(fits, f"the answer is not signed by {NAMES[party]}")


# ---- the published SDK ----------------------------------------------------------------------------------------------


def by_sdk(story: Story, operation: str, call, outcome: str, verdict) -> None:
    """One call of the SDK: what each hop showed, what IDA said, and whether the answer is what it must be.

    `verdict(answer)` gives the words for the outcome or raises.
    """
    began = time.perf_counter()
    answer = call()
    took_ms = (time.perf_counter() - began) * 1000
    code = answer.headers.get("x-triseal-code")
    must(answer.status_code == 200 and not code, f"HTTP {answer.status_code}, {code or 'no code'}: {answer.text[:200]}")
    body = answer.json()
    seen = story.watch.exchange(answer.headers.get("x-correlation-id", ""), body["transactionID"])
    must(bool(seen.partner_gateway and seen.misp_gateway and seen.ida), "a witness wrote nothing about it")
    hops(story, operation, json.loads(answer.request.body), seen)
    must(seen.ida.get("outcome") == outcome, f"IDA says {seen.ida.get('outcome')}, not {outcome}")
    fact("IDA says", f"{seen.ida['outcome']}, after {seen.ida['checks']} checks of its own")
    words, style = verdict(body)
    story.verified(answer.headers.get("response-signature"), answer.content, "crvs")
    fact("answer signed by", f"{story.seal('signature', 'crvs')} ✓ verified here, by Python")
    fact("answer", words, style)
    fact("time", timing(took_ms, seen))
    story.exchanges += 1


def hops(story: Story, operation: str, sent: dict, seen: Seen) -> None:
    """The way there, a line a hop. What is in no log (whose key the content was encrypted to between the gateways) follows
    from the configuration: the receiver has no other key, and decrypted it."""
    if operation == "otp":
        sealed = [paint("dim", "not encrypted")] * 3
    else:
        # The SDK writes SHA-256 of the recipient's certificate as base64url; witnesses and files have it in hex.
        thumbprint = from_b64u(sent["thumbprint"].rstrip("=")).hex()
        sealed = [
            story.proven("encryption", "crvs", thumbprint, "the SDK's request"),
            story.seal("encryption", "misp"),
            story.seal("encryption", "mosip"),
        ]
    crvs, misp, ida = seen.partner_gateway, seen.misp_gateway, seen.ida
    story.hops(
        [
            [
                "SDK            ──▶ Civil Registry",
                paint("dim", "none, loopback"),
                sealed[0],
                story.proven("signature", "sdk", crvs.get("signed_by"), "Civil Registry's gateway"),
            ],
            [
                "Civil Registry ══▶ MISP One",
                story.proven("tls", "crvs", misp.get("tls_certificate"), "MISP One's gateway"),
                sealed[1],
                story.proven("signature", "crvs", misp.get("signed_by"), "MISP One's gateway"),
            ],
            [
                "MISP One       ══▶ MOSIP IDA",
                story.proven("tls", "misp", ida.get("tls"), "IDA"),
                sealed[2],
                story.proven("signature", "misp", ida.get("signer"), "IDA"),
            ],
        ]
    )


def timing(took_ms: float, seen: Seen) -> str:
    crvs, misp = seen.partner_gateway, seen.misp_gateway
    parts = {
        "Civil Registry": crvs["took_us"] - crvs["upstream_us"],
        "MISP One": misp["took_us"] - misp["upstream_us"],
        "IDA": misp["upstream_us"],
    }
    spent = " · ".join(f"{name} {us / 1000:.1f}" for name, us in parts.items())
    return f"{took_ms:.1f} ms with the SDK's own work, of it {spent}"


def person(name: str = NAME) -> dict:
    return {
        "individual_id": UIN,
        "individual_id_type": "UIN",
        "demographic_data": try_sdk.demographics(name, BORN),
        "consent": True,
    }


def said_yes(body: dict):
    must(body["response"]["authStatus"] is True and not body["errors"], f"not a yes: {body}")
    return "YES, it is her", "yes"


def said_no(body: dict):
    codes = [error["errorCode"] for error in body["errors"] or []]
    must(body["response"]["authStatus"] is False and codes == ["IDA-DEA-001"], f"not the no of a wrong name: {body}")
    return f"NO: {body['errors'][0]['errorMessage']} ({codes[0]})", "no"


def sdk_chapter(story: Story) -> None:
    chapter(
        f"The published mosip-auth-sdk {version('mosip-auth-sdk')} from PyPI, unchanged",
        "It knows one plain address and its own keys; licence, API key and the three certificates stay in the gateway. "
        "TLS and signature are what the receiver of each hop wrote down. The SDK's message says whom it is encrypted to; "
        "between the gateways it is the one certificate they are configured with. On the way back each gateway verifies "
        "the signature of the answer it gets before it signs its own.",
    )
    once = new_transaction()

    def yes() -> None:
        by_sdk(story, "auth", lambda: story.sdk.auth(**person()), "yes", said_yes)

    def no() -> None:
        by_sdk(story, "auth", lambda: story.sdk.auth(**person("Eve Example")), "no", said_no)

    def kyc() -> None:
        by_sdk(story, "kyc", lambda: story.sdk.kyc(**person()), "yes", lambda body: identity(story, body))

    def otp() -> None:
        def ask():
            return story.sdk.genotp(individual_id=UIN, individual_id_type="UIN", txn_id=once, email=True)

        def sent(body: dict):
            masked = (body["response"] or {}).get("maskedEmail")
            must(not body["errors"] and bool(masked), f"no one-time password was sent: {body}")
            return f"SENT to {masked}", "yes"

        by_sdk(story, "otp", ask, "done", sent)

    def with_otp() -> None:
        code = read_otp(story.settings, once)

        def check():
            return story.sdk.auth(
                individual_id=UIN, individual_id_type="UIN", otp_value=code, txn_id=once, consent=True
            )

        by_sdk(story, "auth", check, "yes", said_yes)

    for number, (title, right, tell) in enumerate(
        [
            (f"Is this “{NAME}”, born {BORN}?", "auth", yes),
            ("Is this “Eve Example”? (the same UIN, another name)", "auth", no),
            (f"Who is {UIN}? (and may we know)", "kyc", kyc),
            ("Send her a one-time password", "otp", otp),
            ("She read it to us. Is it right?", "auth with the otp", with_otp),
        ],
        1,
    ):
        scene(str(number), title, right)
        story.step(title, tell)


def identity(story: Story, body: dict):
    """The identity travels back sealed to the service: the gateway opened what IDA sealed and sealed it anew."""
    must(body["response"]["kycStatus"] is True and not body["errors"], f"no identity: {body}")
    sealed_to = story.proven("encryption", "sdk", body["response"]["thumbprint"], "the answer")
    fact("identity sealed", f"by IDA to Civil Registry (MISP One has no key to it), and there anew to {sealed_to}")
    opened = story.sdk.decrypt_response(body)
    must(
        opened.get("name_eng") == NAME and opened.get("dob") == BORN and len(opened.get("photo", "")) > 100,
        f"not her identity: {sorted(opened)}",
    )
    photo = f"photo of {len(opened['photo']) * 3 // 4} bytes"
    return f"{opened['name_eng']}, born {opened['dob']}, {opened['gender_eng']}, {photo}", "yes"


# ---- a partner of one's own, and the attacks ------------------------------------------------------------------------


def direct_chapter(story: Story) -> None:
    chapter(
        "A partner without a gateway, and five attacks",
        "demo/partner.py seals the messages itself (Python's cryptography, none of Triseal's code) and speaks to MISP One's "
        "partner face over mutual TLS.",
    )
    honest = story.partner.message("auth", UIN, story.partner.demographics(NAME, BORN))
    scene("6", "One honest request, for comparison", "auth")
    story.step("an honest direct request", lambda: direct_yes(story, honest))

    attack = story.partner.message
    demographics = story.partner.demographics(NAME, BORN)
    attacks = [
        (
            "Altered body",
            "Changes one byte of the encrypted content after it was signed.",
            lambda: attack("auth", UIN, demographics).altered(),
            200,
            "SIG-008",
            "IDA-MPA-001",
        ),
        (
            "Another partner's signature",
            "Comes over Civil Registry's connection, but Social Registry's key signed the message.",
            lambda: attack("auth", UIN, demographics, signed_by="seeder"),
            200,
            "SIG-005",
            "IDA-MPA-021",
        ),
        (
            "Stale time",
            "Kept a rightly signed and sealed message for five minutes before sending it.",
            lambda: attack("auth", UIN, demographics, age_s=300),
            200,
            "FRS-002",
            "IDA-MLC-001",
        ),
        (
            "Replay",
            "Sends the honest request of scene 6 a second time, byte for byte.",
            lambda: honest,
            409,
            "FRS-004",
            "IDA-MLC-007",
        ),
    ]
    for letter, (title, did, build, status, code, mosip) in zip("ABCD", attacks):
        scene(letter, title)
        story.step(title, lambda: refused(story, did, build(), status, code, mosip))
    scene("E", "Revoked certificate")
    story.step("Revoked certificate", lambda: refused_at_the_door(story))


def direct_yes(story: Story, message) -> None:
    answer = story.partner.send(message)
    must(answer.status == 200 and not answer.error_codes, f"HTTP {answer.status} {answer.error_codes}")
    must(answer.json["response"]["authStatus"] is True, "not a yes")
    seen = story.watch.at_misp(answer.headers.get("x-correlation-id", ""))
    ida = story.watch.at_ida(message.transaction)
    server = story.proven("tls", "misp", fingerprint(answer.server_certificate), "the partner")
    story.hops(
        [
            [
                "Civil Registry ══▶ MISP One",
                story.proven("tls", "crvs", seen.get("tls_certificate"), "MISP One's gateway"),
                story.seal("encryption", "misp"),
                story.proven("signature", "crvs", seen.get("signed_by"), "MISP One's gateway"),
            ],
            [
                "MISP One       ══▶ MOSIP IDA",
                story.proven("tls", "misp", ida.get("tls"), "IDA"),
                story.seal("encryption", "mosip"),
                story.proven("signature", "misp", ida.get("signer"), "IDA"),
            ],
        ]
    )
    signed_by_misp(story, answer)
    story.answered = answer
    fact("answer", "YES, it is her", "yes")
    fact("time", f"{answer.took_s * 1000:.1f} ms with a new connection ({answer.tls}; the server showed {server})")
    story.exchanges += 1


def refused(story: Story, did: str, message, status: int, code: str, mosip: str) -> None:
    """Sends it; the answer must be that refusal, signed, and IDA must not hear of it."""
    fact("the attacker", did)
    before = story.watch.exchanges_at_ida()
    answer = story.partner.send(message)
    got = answer.headers.get("x-triseal-code", "no refusal")
    codes = answer.error_codes
    fact("the gateway", f"HTTP {answer.status}, x-triseal-code {got}, MOSIP's {' + '.join(codes) or 'no error'}")
    must((answer.status, got) == (status, code), f"expected HTTP {status} with {code}")
    must(codes[-1:] == [mosip], f"expected MOSIP's {mosip}")
    fact("in words", f"{MEANING[code]} MOSIP's clients read: “{answer.json['errors'][-1]['errorMessage']}”")
    correlation_id = answer.headers.get("x-correlation-id", "")
    line = story.watch.at_misp(correlation_id)
    must((line.get("outcome"), line.get("code")) == ("refused", code), f"the access log says {line or 'nothing'}")
    fact("operator's log", f"{line.get('cause') or line['code']}  (correlation id {correlation_id})")
    signed_by_misp(story, answer)
    must(story.watch.exchanges_at_ida() == before, "IDA heard of it")
    fact("refused", f"in {answer.took_s * 1000:.1f} ms with a new connection; IDA never heard of it", "bad")
    story.refusals += 1


def signed_by_misp(story: Story, answer: Answer) -> None:
    story.verified(answer.headers.get("response-signature"), answer.body, "misp")
    fact("answer signed by", f"{story.seal('signature', 'misp')} ✓ verified here, by Python")


def refused_at_the_door(story: Story) -> None:
    fact("the attacker", "Knocks with a TLS certificate in Civil Registry's name, from the right CA, key in hand: but revoked.")
    before = story.watch.refused_handshakes()
    at_ida = story.watch.exchanges_at_ida()
    revoked = Partner(story.settings, tls=Path(story.settings["pki"]) / "twins" / "revoked")
    began = time.perf_counter()
    alert = revoked.knock()
    took_ms = (time.perf_counter() - began) * 1000
    must(bool(alert), "the connection was taken")
    fact("the gateway", f"No HTTP at all: TLS alert {alert}")
    must(alert == "certificate_revoked", "expected the alert certificate_revoked")
    cause = story.watch.refused_handshake(after=before)
    must("Revoked" in cause, f"the gateway's log says {cause or 'nothing'}")
    fact("operator's log", f"TLS handshake refused: {cause}")
    must(story.watch.exchanges_at_ida() == at_ida, "IDA heard of it")
    fact("refused", f"in {took_ms:.1f} ms, before anything could be asked; IDA never heard of it", "bad")
    story.refusals += 1


# ---- beginning and end ----------------------------------------------------------------------------------------------


def beginning(story: Story) -> None:
    say()
    say("   SDK ──plain──▶ Civil Registry ══sealed══▶ MISP One ══sealed══▶ MOSIP IDA")
    say(paint("dim", "                  gateway                    gateway"))
    chapter("Who holds which certificates", "First digits of the SHA-256 of each; colours and digits mean the same all the way down.")
    say()
    notes = {
        "sdk": "known to its gateway only",
        "crvs": "the partner",
        "misp": "the infrastructure provider",
        "mosip": "IDA, embedded for the demo",
        "seeder": "another partner; an attacker here",
    }
    rows = []
    for party, note in notes.items():
        shorts = [paint(role, story.cast.fingerprint(party, role)[:8]) for role in ROLES]
        if party == "sdk":
            shorts[0] = paint("dim", "-")
        rows.append([paint("bold", NAMES[party]), *shorts, paint("dim", note)])
    table(["", *(paint(role, name) for role, name in zip(ROLES, ["TLS", "encrypt", "sign"])), ""], rows)


def ending(story: Story, began: float) -> None:
    chapter("In sum")
    took = time.perf_counter() - began
    tally = f"{story.exchanges} exchanges, {story.refusals} refusals"
    if story.failures:
        paragraph(f"{tally}, {took:.1f} s. NOT as expected: {'; '.join(story.failures)}.", "     ", "bad")
    else:
        paragraph(f"✓ {tally}, all as expected, {took:.1f} s.", "     ", "yes")
    say()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, required=True, help="scene.json of a running sandbox")
    parser.add_argument("--sandbox-log", type=Path, required=True, help="what that sandbox prints")
    args = parser.parse_args()
    began = time.perf_counter()
    story = Story(json.loads(args.scene.read_text()), args.sandbox_log)
    beginning(story)
    sdk_chapter(story)
    direct_chapter(story)
    proofs.tell(story, doors.tell(story, must), must)
    rules.tell(story, must)
    ending(story, began)
    everything = story.exchanges == 11 and story.refusals == 11
    return 0 if everything and not story.failures else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
