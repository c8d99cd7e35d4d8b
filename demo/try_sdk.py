#!/usr/bin/env python3
"""The published `mosip-auth-sdk`, unchanged, against the partner's gateway: all it needs is the sandbox's sdk.toml.

    python demo/try_sdk.py DIR/sdk.toml [UIN [NAME [BORN]]]
"""

from __future__ import annotations

import json
import logging
import sys
import types
import warnings
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10: pip brings the same reader.
    from pip._vendor import tomli as tomllib

from cryptography.utils import CryptographyDeprecationWarning

# The SDK's age shows in warnings of its libraries; they are not about anything here.
warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)

from mosip_auth_sdk import MOSIPAuthenticator  # noqa: E402
from mosip_auth_sdk.models import DemographicsModel  # noqa: E402


def authenticator(settings: Path) -> MOSIPAuthenticator:
    """The SDK with those settings, and silent."""
    read = tomllib.loads(settings.read_text())
    config = types.SimpleNamespace(**{name: types.SimpleNamespace(**part) for name, part in read.items()})
    logger = logging.getLogger("mosip-auth-sdk")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return MOSIPAuthenticator(config=config, logger=logger)


def demographics(name: str, born: str) -> DemographicsModel:
    return DemographicsModel(name=[{"language": "eng", "value": name}], dob=born)


def main() -> int:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    settings, uin, name, born = sys.argv[1:] + ["2753114735", "Ada Example", "1987/11/25"][len(sys.argv) - 2 :]
    sdk = authenticator(Path(settings))
    person = {
        "individual_id": uin,
        "individual_id_type": "UIN",
        "demographic_data": demographics(name, born),
        "consent": True,
    }
    answer = sdk.auth(**person)
    print("auth: HTTP", answer.status_code, answer.headers.get("x-triseal-code", ""))
    print("correlation id", answer.headers.get("x-correlation-id"))
    print(json.dumps(answer.json(), indent=2))
    if not (answer.json().get("response") or {}).get("authStatus"):
        return 1
    identity = sdk.decrypt_response(sdk.kyc(**person).json())
    print("kyc, opened by the SDK:")
    print(json.dumps({**identity, "photo": identity["photo"][:40] + "…"}, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
