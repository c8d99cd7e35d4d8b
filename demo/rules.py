"""A chapter of the story: a rule is tried on the traffic that was recorded, before it counts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from paper import chapter, fact, scene

# What is in force today, as a rule: whom the routes and MOSIP's policies admit.
TODAY = """\
@id("as-the-routes-say")
@description("Whoever may use a route may use it.")
permit (principal, action, resource);
"""

# What somebody proposes.
PROPOSED = TODAY + """\

@id("attributes-need-a-strong-factor")
@description("eKYC needs a one-time password or a biometric factor.")
forbid (principal, action in Action::"ida-kyc", resource)
unless {
  context has factors &&
  context.factors.containsAny(["otp", "bio-FINGER", "bio-IRIS", "bio-FACE"])
};
"""


class Rules:
    """What the steps share."""

    def __init__(self, story, must):
        self.story, self.must = story, must
        self.config = story.home / "misp" / "gateway.toml"
        self.proposed = story.home / "misp" / "rules-proposed"
        self.triseal = os.environ.get("TRISEAL", "target/release/triseal")

    def policy(self, *args: str) -> tuple[int, list[str]]:
        """One command: its exit code and its lines."""
        command = [self.triseal, "policy", args[0], "--config", str(self.config), *args[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.must(done.returncode in (0, 1), f"triseal policy {args[0]}: {done.stderr.strip()}")
        return done.returncode, done.stdout.splitlines()

    def write(self, folder: Path, text: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "ida.cedar").write_text(text)

    def tried(self) -> None:
        """The proposal on what this story has recorded so far."""
        self.write(self.proposed, PROPOSED)
        code, lines = self.policy("replay", "--since", "1h", "--proposed", str(self.proposed))
        changed = [line for line in lines if line.startswith("allow -> deny")]
        self.must(code == 1 and changed, f"nobody would change: {lines}")
        self.must(all("ida-kyc" in line for line in changed), f"more than eKYC changes: {changed}")
        self.must(not any(line.startswith("deny -> allow") for line in lines), "somebody would be let in")
        fact("recorded", lines[1])
        for line in changed:
            fact("✗ would change", line.removeprefix("allow -> deny: "), "bad")
        self.must(str(self.proposed) not in self.config.read_text(), "the proposal counts already")

    def asked(self) -> None:
        """Why, in words, for one of them."""
        code, lines = self.policy("explain", "--partner", "crvs", "--route", "ida-auth", "--factors", "demo")
        self.must(code == 0 and lines[-1] == "ALLOW", f"today's rules refuse: {lines}")
        fact("today", f"{lines[0]}: {lines[-1]}")


def tell(story, must) -> None:
    """Tells it."""
    rules = Rules(story, must)
    chapter(
        "A rule, before it counts",
        "Somebody proposes that eKYC needs more than a name. The proposal is asked about the exchanges above, from the evidence; "
        "nothing is started, nothing changes.",
    )
    scene("R", "Who would be refused that was not?", "triseal policy replay")
    story.step("A rule on recorded traffic", rules.tried)
    scene("S", "And one question", "triseal policy explain")
    story.step("A question explained", rules.asked)
