"""What an operator sees of an exchange: both gateways' access logs, tied by the correlation id, and IDA's own line.

And whose a fingerprint is: logs and messages name certificates by their SHA-256, the sandbox's PKI folder says whose they are.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from partner import fingerprint, first_certificate

# The access log is written in batches, 50 ms late at most; a busy machine may take longer.
PATIENCE_S = 3.0
ROLES = ("tls", "encryption", "signature")
NAMES = {
    "sdk": "SDK service",
    "crvs": "Civil Registry",
    "misp": "MISP One",
    "mosip": "MOSIP",
    "seeder": "Social Registry",
}


class Cast:
    """Every certificate of the sandbox, by fingerprint."""

    def __init__(self, pki: Path):
        self._by_fingerprint: dict[str, tuple[str, str]] = {}
        self.certificates: dict[tuple[str, str], bytes] = {}
        for party in NAMES:
            for role in ROLES:
                der = first_certificate(pki / "parties" / party / f"{role}.pem")
                self.certificates[party, role] = der
                self._by_fingerprint[fingerprint(der)] = (party, role)

    def fingerprint(self, party: str, role: str) -> str:
        return fingerprint(self.certificates[party, role])

    def whose(self, shown: str | None) -> tuple[str, str] | None:
        """Party and role behind a fingerprint or the first 16 digits of one."""
        if not shown or len(shown) < 16:
            return None
        found = [who for known, who in self._by_fingerprint.items() if known.startswith(shown.lower())]
        return found[0] if len(found) == 1 else None


@dataclass
class Seen:
    """One exchange as its witnesses wrote it down; what is missing did not happen, or was not written in time."""

    partner_gateway: dict = field(default_factory=dict)
    misp_gateway: dict = field(default_factory=dict)
    ida: dict = field(default_factory=dict)


class Watch:
    """Reads the logs of a running sandbox."""

    def __init__(self, scene_dir: Path, sandbox_log: Path):
        self._partner = scene_dir / "crvs" / "access.log"
        self._misp = scene_dir / "misp" / "access.log"
        self._misp_log = scene_dir / "misp" / "gateway.log"
        self._sandbox = sandbox_log

    def exchange(self, correlation_id: str, transaction: str) -> Seen:
        """All three witnesses of an exchange through both gateways."""
        return Seen(
            partner_gateway=self._line(self._partner, correlation_id),
            misp_gateway=self._line(self._misp, correlation_id),
            ida=_patiently(lambda: self.at_ida(transaction)) or {},
        )

    def with_id(self, gateway: str, correlation_id: str, route: str) -> dict:
        """A gateway's line with that correlation id on a route, or nothing yet."""
        lines = self._on_route(gateway, route)
        return next((line for line in lines if line["correlation_id"] == correlation_id), {})

    def count(self, gateway: str, route: str) -> int:
        return len(self._on_route(gateway, route))

    def on_route(self, gateway: str, route: str, after: int) -> dict:
        """A gateway's first line on a route past the given number of them, or nothing yet."""
        lines = [line for line in self._on_route(gateway, route)[after:] if line["method"] == "POST"]
        return lines[0] if lines else {}

    def _on_route(self, gateway: str, route: str) -> list[dict]:
        path = {"misp": self._misp, "crvs": self._partner}[gateway]
        return [line for text in _lines(path) if f'"{route}"' in text and (line := json.loads(text)).get("route") == route]

    def at_misp(self, correlation_id: str) -> dict:
        return self._line(self._misp, correlation_id)

    def at_ida(self, transaction: str) -> dict:
        """IDA's line about a transaction, or nothing when it never heard of it."""
        for line in reversed(_lines(self._sandbox)):
            if line.startswith("ida ") and f" transaction={transaction} " in line:
                pairs = re.findall(r'([a-z-]+)=("[^"]*"|\S+)', line)
                return {name: value.strip('"') for name, value in pairs}
        return {}

    def exchanges_at_ida(self) -> int:
        return sum(line.startswith("ida ") for line in _lines(self._sandbox))

    def refused_handshake(self, after: int) -> str:
        """What the MISP's gateway wrote about a handshake it refused, past the given number of such lines."""

        def look() -> str:
            lines = self._refused_handshakes()
            return lines[-1] if len(lines) > after else ""

        return _patiently(look) or ""

    def refused_handshakes(self) -> int:
        return len(self._refused_handshakes())

    def _refused_handshakes(self) -> list[str]:
        found = (re.search(r"TLS handshake refused.*?cause=(.*)$", line) for line in _lines(self._misp_log))
        return [match.group(1) for match in found if match]

    def _line(self, path: Path, correlation_id: str) -> dict:
        def look() -> dict:
            for text in reversed(_lines(path)):
                if correlation_id in text:
                    line = json.loads(text)
                    if line["correlation_id"] == correlation_id:
                        return line
            return {}

        return _patiently(look) or {} if correlation_id else {}


def _lines(path: Path) -> list[str]:
    """Whole lines only: the last may still be in writing."""
    text = path.read_text(errors="replace")
    return text[: text.rfind("\n") + 1].splitlines()


def _patiently(look):
    until = time.monotonic() + PATIENCE_S
    while not (found := look()) and time.monotonic() < until:
        time.sleep(0.02)
    return found
