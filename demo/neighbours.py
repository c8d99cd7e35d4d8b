"""The neighbours of the two gateways, as the story meets them: OpenCRVS, E-Signet with a browser, the OpenG2P connector.

Plain HTTP with Python's own library; what they send is what the real ones send.
"""

from __future__ import annotations

import json
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timezone

ANSWER_WITHIN_S = 30


@dataclass
class Got:
    """An answer."""

    status: int
    headers: dict
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.headers.get("x-triseal-code", "")


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other."""

    def redirect_request(self, *_):
        return None


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)


def ask(method: str, address: str, body=None, headers: dict | None = None) -> Got:
    """One request; a dictionary or list goes as JSON."""
    fields = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        fields.setdefault("content-type", "application/json")
    request = urllib.request.Request(address, body, fields, method=method)
    try:
        answer = _opener.open(request, timeout=ANSWER_WITHIN_S)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return Got(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())


def now() -> str:
    at = datetime.now(timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


# ---- OpenCRVS -------------------------------------------------------------------------------------------------------


class OpenCrvs:
    """Core (a stand-in) and its country configuration, which calls the gateway in place of the middleware."""

    def __init__(self, settings: dict):
        self._core, self._gateway = settings["core"], settings["service_face"]

    def action(self, kind: str) -> dict:
        """A registration that core has begun, with the token for its confirmation."""
        return ask("POST", f"{self._core}/sandbox/actions", {"kind": kind}).json

    def state(self, action: dict) -> dict:
        """What core has of it."""
        return ask("GET", f"{self._core}/sandbox/actions/{action['actionId']}").json

    def register(self, action: dict, fields: dict) -> Got:
        """What country configuration sends when somebody has registered an event."""
        tracking = action["trackingId"]
        body = {
            "trackingId": tracking,
            "notification": {"recipientFullName": "Ada Example", "recipientEmail": "", "recipientPhone": ""},
            "requestFields": fields,
            "metaInfo": {
                "metaData": json.dumps([{"label": "centerId", "value": "10001"}, {"label": "machineId", "value": "10004"}]),
                "registrationId": '""',
                "operationsData": "[]",
                "capturedRegisteredDevices": "[]",
                "creationDate": '""',
            },
            "audit": {
                "uuid": secrets.token_hex(8), "createdAt": now(), "eventId": "REG-EVT-001", "eventName": "REGISTRATION",
                "eventType": "USER", "hostName": "countryconfig", "hostIp": "127.0.0.1", "applicationId": "OPENCRVS",
                "applicationName": "OPENCRVS", "sessionUserId": "registrar", "sessionUserName": "registrar",
                "id": tracking, "idType": "TRACKING_ID", "createdBy": "registrar", "moduleName": "registration",
                "moduleId": "REG-MOD-100", "description": "registered", "actionTimeStamp": now(),
            },
        }
        return ask("POST", f"{self._gateway}/events/registration", body, _bearer(action["token"]))

    def verify(self, token: str, nid: str, born: str, first: str, last: str) -> Got:
        body = {"nid": nid, "dob": born, "name": {"firstname": first, "surname": last}}
        return ask("POST", f"{self._gateway}/verify", body, _bearer(token))

    def userinfo(self, token: str, code: str, state: str, client: str, back: str) -> Got:
        """What the front end asks when somebody has come back from E-Signet."""
        query = urllib.parse.urlencode({"code": code, "state": state})
        address = f"{self._gateway}/esignet/get-oidp-user-info?{query}"
        return ask("POST", address, {"clientId": client, "redirectUri": back}, _bearer(token))


def birth_fields(number: str, name: str, born: str) -> dict:
    def spoken(value: str) -> str:
        return json.dumps([{"language": "eng", "value": value}])

    return {
        "birthCertificateNumber": number, "fullName": spoken(name), "gender": spoken("Female"), "dateOfBirth": born,
        "postalCode": "10001", "email": "", "phone": "", "zone": spoken("Exampleville"), "region": spoken("Test Region"),
        "province": spoken("Specimen Province"), "preferredLang": "English",
    }


def death_fields(number: str, uin: str, when: str) -> dict:
    return {
        "deathCertificateNumber": number, "UIN": uin, "declaredAsDeceased": "Y", "deceasedDeclarationDate": when,
        "typeOfDeath": "NATURAL", "deceasedInformer": "",
    }


def _bearer(token: str) -> dict:
    return {"authorization": f"Bearer {token}"}


# ---- E-Signet -------------------------------------------------------------------------------------------------------


class Browser:
    """Somebody who logs in at E-Signet: three pages, a cookie, and back with a code."""

    def __init__(self, settings: dict):
        self._esignet = settings["esignet"]
        self.client = "crvs-client"
        self.back = f"{self._esignet}/sandbox/landing"

    def log_in(self, uin: str) -> tuple[str, str]:
        """The code and the state that the browser brings back."""
        state = secrets.token_urlsafe(12)
        claims = {"userinfo": {name: {"essential": True} for name in ("name", "birthdate", "gender")}, "id_token": {}}
        query = {
            "client_id": self.client, "response_type": "code", "scope": "openid profile", "state": state,
            "acr_values": "mosip:idp:acr:static-code", "claims": json.dumps(claims), "redirect_uri": self.back,
        }
        page = ask("GET", f"{self._esignet}/authorize?{urllib.parse.urlencode(query)}")
        cookie = {"cookie": page.headers["set-cookie"].split(";")[0]}
        form = {"transaction": _hidden(page.text), "individual_id": uin, "code": uin[-6:]}
        page = self._send("/authorize/login", form, cookie)
        form = {"transaction": _hidden(page.text), "decision": "allow"}
        landed = self._send("/authorize/consent", form, cookie)
        brought = urllib.parse.parse_qs(urllib.parse.urlsplit(landed.headers["location"]).query)
        if brought["state"] != [state]:
            raise ValueError("another state came back")
        return brought["code"][0], state

    def lie(self, kind: str) -> None:
        """Makes E-Signet's next answer wrong."""
        ask("POST", f"{self._esignet}/sandbox/fault", {"kind": kind})

    def _send(self, path: str, form: dict, cookie: dict) -> Got:
        fields = {**cookie, "content-type": "application/x-www-form-urlencoded", "origin": self._esignet}
        return ask("POST", self._esignet + path, urllib.parse.urlencode(form).encode(), fields)


def _hidden(page: str) -> str:
    return re.search(r'name="transaction" value="([^"]+)"', page).group(1)


# ---- OpenG2P --------------------------------------------------------------------------------------------------------


class Connector:
    """OpenG2P's MTS connector, and the Odoo that its callbacks come to."""

    def __init__(self, settings: dict):
        self._gateway, self.odoo = settings["service_face"], settings["odoo"]
        self._format = settings["output_format"]
        self.path = "/api/story/update_individual"

    def request(self, record: dict, url: str | None = None) -> Got:
        odoo = self.odoo
        asked = {
            "output": "json", "deliverytype": "callback", "lang": "eng", "outputFormat": self._format,
            "mapping": {
                "vid": "vid", "name": ["given_name", "family_name"], "gender": "gender", "dob": "birthdate",
                "phoneNumber": "phone", "emailId": "email", "fullAddress": ["address"],
            },
            "authdata": [record],
            "callbackProperties": {
                "url": url or f"{odoo['address']}{self.path}", "httpMethod": "PUT", "timeoutSeconds": 10,
                "callInBulk": False, "authType": "odoo",
                "authOdoo": {
                    "database": odoo["database"], "authUrl": f"{odoo['address']}/web/session/authenticate",
                    "username": odoo["login"], "password": odoo["password"],
                },
            },
        }
        body = {"id": "string", "version": "string", "metadata": "string", "requesttime": now(), "request": asked}
        return ask("POST", f"{self._gateway}/authtoken/json", body)

    def received(self) -> list[dict]:
        """The callbacks that Odoo took."""
        every = ask("GET", f"{self.odoo['address']}/sandbox/received").json
        return [one for one in every if one["path"] == self.path and one["status"] == 200]
