"""The last part of the story: what happened is proven offline, by two programs that share nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from doors import Doors, patiently
from paper import chapter, fact, scene

VERIFIER = Path(__file__).parent.parent / "docs" / "evidence_verify.py"


class Proofs:
    """What the steps share."""

    def __init__(self, story, doors: Doors, must):
        self.story, self.doors, self.must = story, doors, must
        self.home = Path(story.home)
        self.bundle = self.home / "proof.json"
        self.record: dict = {}
        self.number = ""
        self.receipt = self.home / "receipt-of-the-birth"

    # ---- pieces ----

    def evidence(self, *arguments, gateway="misp") -> subprocess.CompletedProcess:
        """`triseal evidence …` beside a running gateway."""
        config = ["--config", self.home / gateway / "gateway.toml"]
        command = [self.doors.triseal, "evidence", arguments[0], *config, *arguments[1:]]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def verified(self, bundle: Path) -> tuple[subprocess.CompletedProcess, subprocess.CompletedProcess]:
        """By `triseal evidence verify`, and by the Python program in docs/; neither sees the gateway."""
        anchor = ["--anchor", Path(self.story.settings["pki"]) / "anchors" / "partner.pem", "--organisation", "MISP One"]
        ours = [self.doors.triseal, "evidence", "verify", bundle, *anchor]
        theirs = [sys.executable, VERIFIER, bundle, *anchor]
        return tuple(subprocess.run(c, capture_output=True, text=True, timeout=60) for c in (ours, theirs))

    def holds(self, bundle: Path, links: list[str]) -> None:
        ours, theirs = self.verified(bundle)
        self.must(ours.returncode == 0, ours.stdout + ours.stderr)
        self.must(theirs.returncode == 0, theirs.stdout + theirs.stderr)
        for line in ours.stdout.splitlines():
            word, name, words = line[:9].strip(), line[10:28].strip(), line[29:]
            if word == "holds" and name in links:
                fact(name, words)
        fact("triseal verify", "the proof holds", "yes")
        fact("evidence_verify.py", f"{len(theirs.stdout.splitlines())} links hold, with none of our code", "yes")

    def exported(self, which: str, *more) -> None:
        def done() -> bool:
            # A head is signed within a second.
            return self.evidence("export", which, "--out", self.bundle, *more).returncode == 0

        patiently(done, "no signed head covers the record")

    # ---- the steps ----

    def recorded(self, gateway: str) -> list[dict]:
        """What a gateway's log says of the birth: one correlation id goes all the way."""
        listed = self.evidence("list", "--correlation-id", self.doors.birth_id, "--json", gateway=gateway)
        self.must(listed.returncode == 0, listed.stderr)
        return [json.loads(line) for line in listed.stdout.splitlines()]

    def birth(self) -> None:
        # Registration, packet, workflow, credential, confirmation.
        near = patiently(lambda: len(all_ := self.recorded("crvs")) >= 5 and all_, "the birth is not in the log")
        far = self.recorded("misp")
        for one in near:
            fact("Civil Registry", f"record {one['index']}: {one['errand'] or one['route']}, {one['verdict']}")
        for one in far:
            fact("MISP One", f"record {one['index']}: {one['route']} of {one['partner']}, {one['verdict']}")
        self.number = str(far[0]["index"])
        packet = next(one for one in near if one["errand"] == "opencrvs/received")
        shown = self.evidence("show", str(packet["index"]), "--receipt", gateway="crvs")
        self.must(shown.returncode == 0, shown.stderr)
        self.receipt = self.home / "receipt-of-the-birth"
        self.receipt.write_text(shown.stdout)
        fact("the receipt", "Civil Registry kept MISP One's signed word that the packet is in its log")
        self.exported(self.number, "--bodies", "--receipt", self.receipt)
        self.record = json.loads(json.loads(self.bundle.read_text())["record"])
        fact("proof.json", f"{self.bundle.stat().st_size // 1024} KiB: record, path, signed head, receipt, lists, bodies")
        self.holds(self.bundle, ["inclusion", "head", "signer", "revocation", "body", "receipt", "request signature"])

    def of_the_sdk(self) -> None:
        answer = self.story.answered
        self.must(answer is not None, "no answer was kept")
        receipt, body = self.home / "receipt", self.home / "answer"
        receipt.write_text(answer.headers["response-signature"])
        body.write_bytes(answer.body)
        self.exported(answer.headers["x-correlation-id"], "--receipt", receipt, "--answer", body)
        fact("the partner", "kept the header response-signature of scene 6: its `leaf` names the record")
        self.holds(self.bundle, ["inclusion", "receipt"])

    def erased(self) -> None:
        done = self.evidence("erase", "--partner", "crvs", "--day", self.record["time"][:10])
        self.must("destroyed" in done.stdout, done.stdout + done.stderr)
        fact("erased", "the key of that day's bodies is destroyed; nobody reads them again")
        self.exported(self.number, "--bodies", "--receipt", self.receipt)
        self.must("body" not in json.loads(self.bundle.read_text()), "a body is still there")
        self.holds(self.bundle, ["inclusion", "head", "receipt"])

    def flipped(self) -> None:
        bundle = json.loads(self.bundle.read_text())
        bundle["record"] = bundle["record"].replace('"answered"', '"Answered"')
        changed = self.home / "changed.json"
        changed.write_text(json.dumps(bundle))
        fact("one byte", "answered → Answered, in the record")
        for name, done in zip(("triseal verify", "evidence_verify.py"), self.verified(changed)):
            broken = next((line for line in (done.stdout + done.stderr).splitlines() if "BROKEN" in line), "")
            self.must(done.returncode == 1 and "inclusion" in broken, done.stdout + done.stderr)
            fact(name, " ".join(broken.split()), "no")


def tell(story, doors: Doors, must) -> None:
    """Tells it all."""
    proofs = Proofs(story, doors, must)
    chapter(
        "Proof, for somebody who trusts neither side",
        "Every exchange is a leaf of a log that can only grow; its heads are signed. One file proves one exchange, offline.",
    )
    for number, (title, right, step) in enumerate(
        [
            ("The receipt of the birth, proven", "triseal evidence export, verify", proofs.birth),
            ("A receipt that a partner without a gateway holds", "response-signature", proofs.of_the_sdk),
            ("The personal data is erased; the proof holds", "triseal evidence erase", proofs.erased),
            ("One flipped byte", "found and named", proofs.flipped),
        ],
        12,
    ):
        scene(str(number), title, right)
        story.step(title, step)
