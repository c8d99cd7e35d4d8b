"""An OpenID client over jwcrypto: exchanges a code with private_key_jwt, fetches userinfo, decrypts and verifies it.

Reads a job from standard input: {"issuer", "client", "pki", "code", "redirect_uri", "verifier"?}. Prints one object.
"""

import json
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from jwcrypto import jwe, jwk, jws, jwt


def fetch(address, data=None, headers=None):
    request = urllib.request.Request(address, data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def key(job, role):
    with open(f"{job['pki']}/parties/crvs/{role}.key.pem", "rb") as file:
        return jwk.JWK.from_pem(file.read())


def assertion(job, endpoint):
    now = int(time.time())
    token = jwt.JWT(
        header={"alg": "RS256", "typ": "JWT"},
        claims={"iss": job["client"], "sub": job["client"], "aud": [endpoint, job["issuer"]],
                "iat": now, "exp": now + 120, "jti": secrets.token_urlsafe(16)})
    token.make_signed_token(key(job, "signature"))
    return token.serialize()


def verified(token, keys):
    signed = jws.JWS()
    signed.deserialize(token)
    kid = signed.jose_header["kid"]
    found = keys.get_key(kid)
    assert found is not None, f"{kid} is not in the key set"
    signed.verify(found, "RS256")
    return json.loads(signed.payload)


def main():
    job = json.load(sys.stdin)
    _, said = fetch(f"{job['issuer']}/oidc/.well-known/openid-configuration")
    discovery = json.loads(said)
    assert discovery["issuer"] == job["issuer"]
    _, said = fetch(discovery["jwks_uri"])
    keys = jwk.JWKSet.from_json(said)
    endpoint = discovery["token_endpoint"]
    form = {
        "grant_type": "authorization_code", "code": job["code"], "redirect_uri": job["redirect_uri"],
        "client_id": job["client"], "client_assertion": assertion(job, endpoint),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    if "verifier" in job:
        form["code_verifier"] = job["verifier"]
    status, said = fetch(endpoint, urllib.parse.urlencode(form).encode())
    if status != 200:
        print(json.dumps({"token_status": status, "error": json.loads(said)}))
        return
    tokens = json.loads(said)
    status, said = fetch(discovery["userinfo_endpoint"], headers={"Authorization": f"Bearer {tokens['access_token']}"})
    token = said.decode()
    sealed = token.count(".") == 4
    if sealed:
        box = jwe.JWE()
        box.deserialize(token, key(job, "encryption"))
        assert box.jose_header["alg"] == "RSA-OAEP-256" and box.jose_header["enc"] == "A256GCM"
        token = box.payload.decode()
    print(json.dumps({
        "token_status": 200, "status": status, "sealed": sealed,
        "id_token": verified(tokens["id_token"], keys), "userinfo": verified(token, keys),
    }))


main()
