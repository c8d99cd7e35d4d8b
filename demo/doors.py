"""The second half of the story: every other door, and six attacks at them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import try_sdk
from neighbours import Browser, Connector, Got, OpenCrvs, ask, birth_fields, death_fields
from paper import chapter, fact, scene

UIN = "2753114735"
# Hugo Fiction, born 1941: the one who dies here.
DECEASED, DECEASED_NAME, DECEASED_BORN = "2753185642", ("Hugo", "Fiction"), "1941-05-17"
NEWBORN, NEWBORN_BORN = "Nova Example", "2026/11/01"
# A registration passes two gateways, MOSIP's registration, its hub, and two gateways back.
PATIENCE_S = 30.0


def patiently(look, otherwise: str):
    """What `look` finds within a while; a step that waits in vain has failed."""
    until = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if time.monotonic() > until:
            raise TimeoutError(otherwise)
        time.sleep(0.1)
    return found


class Doors:
    """What the steps at the other doors share."""

    def __init__(self, story, must):
        self.story, self.must = story, must
        settings = story.settings
        self.crvs, self.browser, self.connector = OpenCrvs(settings), Browser(settings), Connector(settings)
        self.mosip, self.hub_face = settings["mosip"], settings["misp_services"]
        self.topic = settings["topic"]
        self.triseal = os.environ.get("TRISEAL", "target/release/triseal")
        self.token = ""
        self.number = ""
        self.nid = ""
        self.birth_id = ""

    # ---- pieces ----

    def subscribed(self) -> bool:
        """Whether the hub delivers to the MISP's gateway, and that to the partner's: neither's health speaks of it."""
        subscribers = ask("GET", f"{self.mosip}/sandbox/hub").json
        active = any(one["active"] and one["topic"] == self.topic for one in subscribers)
        settings = self.story.settings
        healthy = [ask("GET", f"{settings[admin]}/healthz").text for admin in ("misp_admin", "partner_admin")]
        return active and not any("subscription" in text for text in healthy)

    def accepted(self, action: dict) -> dict:
        """Core's record once it is confirmed; exactly once."""
        state = patiently(
            lambda: (s := self.crvs.state(action))["status"] == "Accepted" and s, "core got no confirmation"
        )
        self.must(state["applied"] == 1, f"confirmed {state['applied']} times")
        return state

    def registered(self, action: dict, fields: dict) -> str:
        """Sends a registration; the correlation id comes back."""
        got = self.crvs.register(action, fields)
        self.must(got.status == 202 and not got.code, f"HTTP {got.status} {got.code}: {got.text[:200]}")
        return got.headers.get("x-correlation-id", "")

    def deliveries(self, gateway: str, standing: str) -> list[str]:
        """`triseal deliveries list`, beside the running gateway."""
        config = Path(self.story.home) / gateway / "gateway.toml"
        command = [self.triseal, "deliveries", "--config", config, "list", "--standing", standing]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.splitlines()

    def way_there(self, correlation_id: str) -> None:
        story = self.story
        line = patiently(
            lambda: story.watch.with_id("misp", correlation_id, "create-packet"), "no packet reached MISP One"
        )
        started = patiently(lambda: story.watch.with_id("misp", correlation_id, "workflow"), "no workflow was started")
        self.must(line["outcome"] == "answered" and started["outcome"] == "answered", f"{line} {started}")
        story.hops(
            [
                ["OpenCRVS       ──▶ Civil Registry", "none, loopback", "not encrypted", "OpenCRVS' token"],
                [
                    "Civil Registry ══▶ MISP One",
                    story.proven("tls", "crvs", line.get("tls_certificate"), "MISP One's gateway"),
                    story.seal("encryption", "misp"),
                    story.proven("signature", "crvs", line.get("signed_by"), "MISP One's gateway"),
                ],
            ]
        )
        fact("at MOSIP", "packet written, workflow started, with the MISP's login")

    def way_back(self, before: int) -> None:
        story = self.story
        line = patiently(lambda: story.watch.on_route("crvs", "websub-callback", before), "no delivery came back")
        story.hops(
            [
                ["MOSIP's hub    ──▶ MISP One", "none, loopback", "credential: VER_R2", "HMAC of the hub"],
                [
                    "MISP One       ══▶ Civil Registry",
                    story.proven("tls", "misp", line.get("tls_certificate"), "Civil Registry's gateway"),
                    story.seal("encryption", "crvs"),
                    story.proven("signature", "misp", line.get("signed_by"), "Civil Registry's gateway"),
                ],
            ]
        )

    # ---- the honest ones ----

    def birth(self) -> None:
        patiently(self.subscribed, "the hub did not verify the subscription")
        action = self.crvs.action("birth")
        self.token, self.number = action["token"], f"B{action['trackingId']}"
        back = self.story.watch.count("crvs", "websub-callback")
        began = time.perf_counter()
        correlation_id = self.birth_id = self.registered(action, birth_fields(self.number, NEWBORN, NEWBORN_BORN))
        fact("OpenCRVS", f"registered {self.number}; the gateway has it on disk and answered 202")
        self.way_there(correlation_id)
        state = self.accepted(action)
        took = time.perf_counter() - began
        self.way_back(back)
        fact("the credential", "opened with Civil Registry's key; MOSIP's proof over its RDF graph verifies (PS256)")
        self.nid = state["declaration"]["child.nid"]
        self.must(state["registrationNumber"] == self.number, "another registration number")
        self.must(len(self.nid) == 10, f"no national id: {state['declaration']}")
        fact("core says", f"confirmed, once: {self.number} has the national id {self.nid}", "yes")
        answer = self.story.sdk.auth(
            individual_id=self.nid,
            individual_id_type="UIN",
            demographic_data=try_sdk.demographics(NEWBORN, NEWBORN_BORN),
            consent=True,
        )
        self.must(answer.json()["response"]["authStatus"] is True, f"IDA does not know her: {answer.text[:200]}")
        fact("IDA says", "yes to the new id, asked by the Python SDK")
        fact("time", f"{took:.1f} s from the registration to the confirmation, MOSIP's own work in it")
        self.story.exchanges += 1

    def verify(self) -> None:
        born = NEWBORN_BORN.replace("/", "-")
        first, last = NEWBORN.split()
        yes = self.crvs.verify(self.token, self.nid, born, first, last)
        self.must((yes.status, yes.text) == (200, "verified"), f"HTTP {yes.status} {yes.code} {yes.text[:200]}")
        fact("is it her?", "verified", "yes")
        no = self.crvs.verify(self.token, self.nid, born, "Eve", last)
        self.must((no.status, no.text) == (200, "failed"), f"HTTP {no.status} {no.code} {no.text[:200]}")
        fact("is it Eve?", "failed", "no")
        self.story.exchanges += 1

    def death(self) -> None:
        alive = self.crvs.verify(self.token, DECEASED, DECEASED_BORN, *DECEASED_NAME)
        self.must(alive.text == "verified", f"HTTP {alive.status} {alive.code} {alive.text[:200]}")
        fact("before", f"{' '.join(DECEASED_NAME)}: verified")
        action = self.crvs.action("death")
        number = f"D{action['trackingId']}"
        correlation_id = self.registered(action, death_fields(number, DECEASED, "2026/11/20"))
        self.way_there(correlation_id)
        state = self.accepted(action)
        self.must("child.nid" not in state["declaration"], f"a death has a child: {state['declaration']}")
        fact("core says", f"confirmed, once: {number}, with an empty declaration", "yes")
        after = self.crvs.verify(self.token, DECEASED, DECEASED_BORN, *DECEASED_NAME)
        self.must(after.text == "failed", f"HTTP {after.status} {after.code} {after.text[:200]}")
        fact("after", f"{' '.join(DECEASED_NAME)}: failed, the UIN is deactivated", "no")
        self.story.exchanges += 1

    def login(self) -> None:
        code, state = self.browser.log_in(UIN)
        fact("the browser", "logged in at E-Signet's pages, consented, came back with a code and the same state")
        got = self.crvs.userinfo(self.token, code, state, self.browser.client, self.browser.back)
        self.must(got.status == 200, f"HTTP {got.status} {got.code}: {got.text[:200]}")
        name = got.json["name"]
        self.must(got.json["verificationStatus"] == "authenticated", str(got.json))
        fact("the gateway", "made the client assertion (no service has the key), fetched userinfo, verified its signature")
        fact("answer", f"{name['firstname']} {name['surname']}, born {got.json.get('birthDate')}", "yes")
        self.story.exchanges += 1

    def token_request(self) -> None:
        record = {
            "id": 117, "vid": vid_of(self.triseal, UIN), "given_name": "Ada", "family_name": "Example", "gender": "Female",
            "birthdate": "1987/11/25", "email": "", "phone": "",
            "address": "1 Example Street Sample Quarter Flat 1 Exampleville Test Region Specimen Province 10001",
        }
        before = len(self.connector.received())
        got = self.connector.request(record)
        self.must(got.status == 200 and not got.code, f"HTTP {got.status} {got.code}: {got.text[:200]}")
        fact("the connector", "sent its request as it always does, with Odoo's password in it")
        fact("the gateway", "kept the password, put its own callback address in its place; so did the next gateway")
        came = patiently(lambda: self.connector.received()[before:], "no callback reached Odoo")
        value = came[0]["body"][0]["ids"][0]["value"]
        self.must(came[0]["body"][0]["updateId"] == 117 and len(value) == 36, str(came))
        fact("Odoo got", f"the token {value[:8]}… for record 117, in a session of its own", "yes")
        self.story.exchanges += 1

    # ---- the attacks ----

    def refused(self, got: Got, status: int, code: str) -> None:
        fact("the gateway", f"HTTP {got.status}, x-triseal-code {got.code or 'none'}")
        self.must((got.status, got.code) == (status, code), f"expected HTTP {status} with {code}: {got.text[:200]}")

    def forged(self) -> None:
        fact("the attacker", "Has the public certificate, a pending registration's id and a key of his own: makes a credential.")
        before = len(self.deliveries("crvs", "parked"))
        ask("POST", f"{self.mosip}/sandbox/fault", {"kind": "credential-forged"})
        action = self.crvs.action("birth")
        self.registered(action, birth_fields(f"B{action['trackingId']}", NEWBORN, NEWBORN_BORN))
        parked = patiently(lambda: self.deliveries("crvs", "parked")[before:], "nothing was parked")
        self.must(any("credential-signature" in line for line in parked), str(parked))
        fact("the gateway", "opened it, and the proof does not verify: parked, with the reason credential-signature")
        state = self.crvs.state(action)
        self.must(state["status"] == "Requested" and state["applied"] == 0, f"core took it: {state}")
        fact("refused", "core heard nothing; the registration goes on waiting for the true one", "bad")
        self.story.refusals += 1

    def unsigned(self) -> None:
        fact("the attacker", "Posts an event to the callback of the hub, without the hub's signature.")
        before = len(self.deliveries("misp", "parked"))
        event = {
            "publisher": "CREDENTIAL_SERVICE", "topic": self.topic, "publishedOn": "2026-11-22T00:00:00.000Z",
            "event": {"id": "1", "transactionId": "1", "timestamp": "2026-11-22T00:00:00.000Z", "data": {"credential": "x"}},
        }
        got = ask("POST", f"{self.hub_face}/websub/delivery", event)
        self.must(got.status == 202, f"HTTP {got.status} {got.code}")
        parked = patiently(lambda: self.deliveries("misp", "parked")[before:], "nothing was put into quarantine")
        self.must(any("quarantine" in line for line in parked), str(parked))
        fact("the gateway", "answered 202, which tells a forger nothing, and put the bytes into quarantine")
        fact("refused", "nobody is handed anything; health speaks of it", "bad")
        self.story.refusals += 1

    def challenge(self) -> None:
        fact("the attacker", "Asks the callback to confirm a subscription that nobody here asked for.")
        query = "hub.mode=subscribe&hub.topic=somebody-else/CREDENTIAL_ISSUED&hub.challenge=echo-me&hub.lease_seconds=9"
        got = ask("GET", f"{self.hub_face}/websub/delivery?{query}")
        self.refused(got, 404, "WSB-001")
        self.must("echo-me" not in got.text, "the challenge came back")
        fact("refused", "No request of that mode and topic is pending; the challenge is not echoed", "bad")
        self.story.refusals += 1

    def stranger(self) -> None:
        fact("the attacker", "Stands before E-Signet and signs userinfo with a key of his own, under the right key id.")
        code, state = self.browser.log_in(UIN)
        self.browser.lie("stranger-signature")
        got = self.crvs.userinfo(self.token, code, state, self.browser.client, self.browser.back)
        self.refused(got, 502, "ESG-011")
        self.must("Ada" not in got.text, "a name came through")
        fact("refused", "the key set was fetched ahead; only its keys count", "bad")
        self.story.refusals += 1

    def inside(self) -> None:
        fact("the attacker", "Asks for tokens, to be called back at an address inside the network.")
        for address in ("http://169.254.169.254/latest/meta-data", "http://127.0.0.1:1/admin", "http://[::1]/x"):
            got = self.connector.request({"id": 1, "vid": "1"}, url=address)
            self.must((got.status, got.code) == (403, "SEED-003"), f"{address}: HTTP {got.status} {got.code}")
        self.refused(got, 403, "SEED-003")
        fact("refused", "three such addresses: a callback goes to a declared target, and no address is ever resolved", "bad")
        self.story.refusals += 1

    def other_action(self) -> None:
        fact("the attacker", f"Has a good token of OpenCRVS, for another action, and wants the answer of {self.number}.")
        action = self.crvs.action("birth")
        got = self.crvs.register(action, birth_fields(self.number, "Eve Example", NEWBORN_BORN))
        self.refused(got, 409, "CRVS-011")
        state = self.crvs.state(action)
        self.must(state["applied"] == 0, f"core took it: {state}")
        fact("refused", "a registration number belongs to the event and action that came with it first", "bad")
        self.story.refusals += 1


def vid_of(triseal: str, uin: str) -> str:
    """The VID of one of the sandbox's people."""
    done = subprocess.run([triseal, "sandbox", "--people"], capture_output=True, text=True, timeout=60, check=True)
    rows = [[cell.strip() for cell in line.split("|")] for line in done.stdout.splitlines()]
    return next(row[2] for row in rows if len(row) > 2 and row[1] == uin)


def tell(story, must) -> Doors:
    """Tells it all; what its steps know is for the chapter after."""
    doors = Doors(story, must)
    chapter(
        "Every other door",
        "OpenCRVS, E-Signet and OpenG2P speak to Civil Registry's gateway as they speak to what it replaces. Packets go through "
        "both gateways sealed; credentials come back the same way from MOSIP's hub.",
    )
    for number, (title, right, step) in enumerate(
        [
            ("A child is born", "/events/registration", doors.birth),
            ("Is that number hers?", "/verify", doors.verify),
            ("Somebody has died", "/events/registration", doors.death),
            ("A login at E-Signet", "/esignet/get-oidp-user-info", doors.login),
            ("OpenG2P asks for a token", "/authtoken/json, and a callback", doors.token_request),
        ],
        7,
    ):
        scene(str(number), title, right)
        story.step(title, step)
    chapter("Six attacks at these doors")
    for letter, (title, step) in zip(
        "FGHIJK",
        [
            ("Forged credential", doors.forged),
            ("Unsigned callback", doors.unsigned),
            ("Foreign challenge", doors.challenge),
            ("Userinfo signed by a stranger", doors.stranger),
            ("Callback address inside the network", doors.inside),
            ("Token for another action", doors.other_action),
        ],
    ):
        scene(letter, title)
        story.step(title, step)
    return doors
