//! E-Signet through the gateways: the sandbox's, with both gateways sealed in between, and a scripted one that answers in every
//! way that it should not.

use std::{
    io::Write,
    net::TcpStream,
    sync::{Arc, Mutex},
    time::Duration,
};

use josekit::{
    jwk::{Jwk, alg::rsa::RsaKeyPair},
    jws::{self, JwsHeader, RS256},
};
use serde_json::{Value, json};
use triseal::{
    config::Algorithm,
    envelope::jwt,
    keys::{Secret, SigningKey},
};

use crate::{
    harness::{Answer, Reloaded, Site, World, now, triseal, until, within},
    scripted::{Asked, Said, Scripted},
};

const TOKEN: &str = "/v1/esignet/oauth/token";
const TOKEN2: &str = "/v1/esignet/oauth/v2/token";
const USERINFO: &str = "/v1/esignet/oidc/userinfo";
const KEYS: &str = "/v1/esignet/oauth/.well-known/jwks.json";
const DISCOVERY: &str = "/v1/esignet/oidc/.well-known/openid-configuration";
const OAUTH: &str = "/v1/esignet/oauth/.well-known/oauth-authorization-server";
const KIND: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
/// The verifier of RFC 7636, appendix B, and its challenge.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Sends bytes to a plain listener and reads one answer.
#[track_caller]
pub fn plain(port: u16, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    Answer::read(&mut stream).expect("an answer")
}

fn form(path: &str, more: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub fn get(path: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").into_bytes()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

pub fn escaped(text: &str) -> String {
    text.replace('%', "%25")
        .replace(':', "%3A")
        .replace('/', "%2F")
        .replace('?', "%3F")
}

/// Routes of one face.
fn routes(face: &str, from: &str, upstream: &str, to: &str) -> String {
    let mut out = String::new();
    for (name, path) in [
        ("es-token", TOKEN),
        ("es-token-2", TOKEN2),
        ("es-userinfo", USERINFO),
    ] {
        out.push_str(&format!(
            "\n[[route]]\nname = \"{name}\"\npath = \"{path}\"\nhandler = \"esignet\"\nfrom = {{ face = \"{face}\", envelope = \"{from}\" }}\nto = {{ upstream = \"{upstream}\", envelope = \"{to}\" }}\n"
        ));
    }
    for (name, path) in [
        ("es-keys", KEYS),
        ("es-openid", DISCOVERY),
        ("es-oauth", OAUTH),
    ] {
        out.push_str(&format!(
            "\n[[route]]\nname = \"{name}\"\npath = \"{path}\"\nhandler = \"esignet\"\nfrom = {{ face = \"{face}\", envelope = \"{from}\" }}\n"
        ));
    }
    out
}

const ROUTES: &str = "routes = [\"es-token\", \"es-token-2\", \"es-userinfo\", \"es-keys\", \"es-openid\", \"es-oauth\", ";

/// Both gateways before an E-Signet at this port; nothing is started.
pub fn site(world: &World, name: &str, port: u16, between: &str) -> Site {
    let site = Site::before(world, name);
    let origin = format!("http://127.0.0.1:{port}");
    let section = |upstream: &str, envelope: &str| {
        format!(
            "\n[esignet]\nissuer = \"{origin}/v1/esignet\"\nupstream = \"{upstream}\"\nenvelope = \"{envelope}\"\nkeys_refresh_s = 1\n"
        )
    };
    site.append(
        "misp/gateway.toml",
        &format!(
            "[[upstream]]\nname = \"esignet\"\naddresses = [\"{origin}\"]\nanswer_timeout_ms = 5000\n{}{}",
            section("esignet", "insecure_plain"),
            routes("partner", between, "esignet", "insecure_plain")
        ),
    );
    let clients: String = [("crvs-client", "jws"), ("crvs-sealed", "jwe")]
        .iter()
        .map(|(id, form)| {
            format!(
                "\n[[esignet.client]]\nid = \"{id}\"\nkey = {{ file = \"../pki/parties/crvs/signature.key.pem\" }}\nuserinfo = \"{form}\"\nredirect_uris = [\"{origin}/sandbox/landing\"]\n"
            )
        })
        .collect();
    site.append(
        "crvs/gateway.toml",
        &format!(
            "{}service_base = \"http://gateway.example:8080\"\n{clients}{}",
            section("misp", between),
            routes("service", "insecure_plain", "misp", between)
        ),
    );
    let theirs: String = ["crvs-client", "crvs-sealed"]
        .iter()
        .map(|id| {
            format!(
                "\n[[oidc_client]]\nid = \"{id}\"\nkey = \"../../pki/parties/crvs/signature.pem\"\nredirect_uris = [\"{origin}/sandbox/landing\"]\n"
            )
        })
        .collect();
    site.append("misp/partners/crvs.toml", &theirs);
    for file in ["misp/partners/crvs.toml", "crvs/partners/sdk.toml"] {
        site.edit(file, |text| text.replacen("routes = [", ROUTES, 1));
    }
    site
}

/// Waits until the partner's gateway has E-Signet's keys and documents.
pub fn ready(site: &Site) {
    until("the keys were fetched ahead", || {
        let keys = plain(site.service_face(), &get(KEYS, ""));
        let documents = plain(site.service_face(), &get(OAUTH, ""));
        (keys.status == 200 && documents.status == 200).then_some(())
    });
}

// The sandbox's E-Signet.

/// A person logs in at the pages, as a browser would do it, and comes back with a code.
fn code(port: u16, client: &str, pkce: bool) -> String {
    let claims = json!({"userinfo": {"name": {"essential": true}}});
    code_with(port, client, pkce, &claims)
}

/// The same, with a say in what is asked about the person.
pub fn code_with(port: u16, client: &str, pkce: bool, claims: &Value) -> String {
    let claims = escaped(&claims.to_string())
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace('"', "%22");
    let landing = escaped(&format!("http://127.0.0.1:{port}/sandbox/landing"));
    let challenge = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
    let path = format!(
        "/authorize?client_id={client}&response_type=code&scope=openid&state=st&redirect_uri={landing}&claims={claims}{}",
        if pkce { &challenge } else { "" }
    );
    let page = plain(port, &get(&path, ""));
    let cookie = page.header("set-cookie").unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let page = page.text();
    let (_, rest) = page.split_once("name=\"transaction\" value=\"").unwrap();
    let transaction = rest.split('"').next().unwrap();
    let uin = triseal::sandbox::people::all().remove(0).uin;
    let login = format!(
        "transaction={transaction}&individual_id={uin}&code={}",
        &uin[4..]
    );
    let consent = format!("transaction={transaction}&decision=allow");
    let answer = plain(port, &form("/authorize/login", &cookie, &login));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = plain(port, &form("/authorize/consent", &cookie, &consent));
    let back = answer.header("location").unwrap_or_default().to_owned();
    let (_, rest) = back.split_once("code=").expect(&back);
    rest.split('&').next().unwrap().to_owned()
}

/// The form that a service sends: no assertion, no key.
fn service_form(port: u16, client: &str, code: &str, verifier: bool) -> String {
    let landing = escaped(&format!("http://127.0.0.1:{port}/sandbox/landing"));
    let verifier = if verifier {
        format!("&code_verifier={VERIFIER}")
    } else {
        String::new()
    };
    format!(
        "grant_type=authorization_code&code={code}&redirect_uri={landing}&client_id={client}{verifier}"
    )
}

pub fn esignet_port(world: &World) -> u16 {
    let text = std::fs::read_to_string(world.dir().join("scene.json")).unwrap();
    let scene: Value = serde_json::from_str(&text).unwrap();
    let origin = scene["esignet"].as_str().unwrap();
    origin.rsplit(':').next().unwrap().parse().unwrap()
}

/// The claims of a userinfo, verified by josekit with the key set that the gateway serves.
fn verified(site: &Site, jwt: &str) -> Value {
    let set = plain(site.service_face(), &get(KEYS, "")).json();
    let header: Value = serde_json::from_slice(&base64(jwt.split('.').next().unwrap())).unwrap();
    let keys = set["keys"].as_array().unwrap();
    let key = keys.iter().find(|k| k["kid"] == header["kid"]).unwrap();
    let jwk = Jwk::from_map(key.as_object().unwrap().clone()).unwrap();
    let verifier = RS256.verifier_from_jwk(&jwk).unwrap();
    let (payload, _) = jws::deserialize_compact(jwt, &verifier).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

fn base64(text: &str) -> Vec<u8> {
    use ::base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[test]
fn a_service_without_any_key_logs_somebody_in_through_both_sealed_gateways() {
    let world = World::shared();
    let port = esignet_port(world);
    let mut site = site(world, "esignet-way", port, "jose");
    site.start_misp();
    site.start_crvs();
    ready(&site);
    let face = site.service_face();
    for (client, path, pkce) in [
        ("crvs-client", TOKEN, false),
        ("crvs-client", TOKEN2, true),
        ("crvs-sealed", TOKEN2, true),
    ] {
        let body = service_form(port, client, &code(port, client, pkce), pkce);
        let tokens = plain(face, &form(path, "", &body));
        assert_eq!(tokens.status, 200, "{client}: {}", tokens.text());
        assert_eq!(tokens.header("cache-control"), Some("no-store"));
        let access = tokens.json()["access_token"].as_str().unwrap().to_owned();
        let answer = plain(face, &get(USERINFO, &bearer(&access)));
        assert_eq!(answer.status, 200, "{client}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/jwt"));
        let claims = verified(&site, &answer.text());
        assert_eq!(claims["name"], "Ada Example");
        let id_token = tokens.json()["id_token"].as_str().unwrap().to_owned();
        assert_eq!(verified(&site, &id_token)["sub"], claims["sub"]);
        // The code is spent; E-Signet says so in its own word.
        let again = plain(face, &form(path, "", &body));
        assert_eq!(
            (again.status, again.code().as_str()),
            (400, "-"),
            "{}",
            again.text()
        );
        assert_eq!(again.json()["error"], "invalid_grant");
        let taken_back = plain(face, &get(USERINFO, &bearer(&access)));
        assert_eq!(taken_back.status, 401, "{}", taken_back.text());
        let challenge = taken_back.header("www-authenticate").unwrap_or_default();
        assert!(challenge.contains("invalid_token"), "{challenge}");
    }
    let discovery = plain(face, &get(DISCOVERY, "")).json();
    let base = "http://gateway.example:8080";
    assert_eq!(
        discovery["issuer"],
        format!("http://127.0.0.1:{port}/v1/esignet")
    );
    assert_eq!(discovery["token_endpoint"], format!("{base}{TOKEN2}"));
    assert_eq!(discovery["userinfo_endpoint"], format!("{base}{USERINFO}"));
    assert_eq!(discovery["jwks_uri"], format!("{base}{KEYS}"));
    let page = discovery["authorization_endpoint"].as_str().unwrap();
    assert!(
        page.contains(&format!(":{port}/")),
        "the page is E-Signet's own"
    );
}

#[test]
fn each_lie_of_e_signet_is_refused_by_name() {
    let world = World::start("esignet-liar");
    let port = esignet_port(&world);
    let mut site = site(&world, "esignet-lies", port, "insecure_plain");
    site.start_misp();
    site.start_crvs();
    ready(&site);
    let face = site.service_face();
    let order = |kind: &str| {
        let body = json!({"kind": kind, "times": 1}).to_string();
        let length = body.len();
        let text = format!(
            "POST /sandbox/fault HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        assert_eq!(plain(port, text.as_bytes()).status, 200, "{kind}");
    };
    let token = || {
        let code = code(port, "crvs-client", false);
        plain(
            face,
            &form(TOKEN, "", &service_form(port, "crvs-client", &code, false)),
        )
    };
    for (kind, status, codes) in [
        ("stranger-signature", 502, &["ESG-011"][..]),
        ("unknown-kid", 502, &["ESG-011"]),
        ("alg-none", 502, &["ESG-010", "ESG-011"]),
        ("other-subject", 502, &["ESG-012"]),
        ("error-text", 502, &["ESG-010"]),
        ("error500", 502, &["UP-006"]),
    ] {
        let tokens = token();
        assert_eq!(tokens.status, 200, "{kind}: {}", tokens.text());
        order(kind);
        let access = tokens.json()["access_token"].as_str().unwrap().to_owned();
        let answer = plain(face, &get(USERINFO, &bearer(&access)));
        assert_eq!(answer.status, status, "{kind}: {}", answer.text());
        assert!(
            codes.contains(&answer.code().as_str()),
            "{kind}: {}",
            answer.code()
        );
        assert!(!answer.text().contains("Ada"), "{kind}");
        // The next answer is believed again.
        let answer = plain(face, &get(USERINFO, &bearer(&access)));
        assert_eq!(answer.status, 200, "after {kind}: {}", answer.text());
    }
    // An id token about somebody else: the userinfo is not the one who logged in.
    order("other-id-token");
    let tokens = token();
    assert_eq!(tokens.status, 200);
    let access = tokens.json()["access_token"].as_str().unwrap().to_owned();
    let answer = plain(face, &get(USERINFO, &bearer(&access)));
    assert_eq!((answer.status, answer.code().as_str()), (502, "ESG-012"));
    order("expired-code");
    let answer = token();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"], "invalid_grant");
}

// A scripted E-Signet.

/// A key of E-Signet's.
#[derive(Clone)]
struct Authority {
    pair: RsaKeyPair,
    kid: String,
}

impl Authority {
    fn new(kid: &str) -> Self {
        Self {
            pair: RsaKeyPair::generate(2048).unwrap(),
            kid: kid.to_owned(),
        }
    }

    fn jwk(&self) -> Value {
        let mut jwk = self.pair.to_jwk_public_key();
        jwk.set_key_id(&self.kid);
        serde_json::to_value(&jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = JwsHeader::new();
        header.set_token_type("JWT");
        header.set_key_id(&self.kid);
        let signer = RS256
            .signer_from_pem(self.pair.to_pem_private_key())
            .unwrap();
        jws::serialize_compact(claims.to_string().as_bytes(), &header, &signer).unwrap()
    }
}

/// What it answers with.
#[derive(Clone)]
struct Script {
    keys: Arc<Mutex<Vec<Authority>>>,
    /// What to change in an id token.
    id_token: Arc<Mutex<Value>>,
    userinfo: Arc<Mutex<Option<Said>>>,
    down: Arc<Mutex<bool>>,
}

impl Script {
    fn new() -> Self {
        Self {
            keys: Arc::new(Mutex::new(vec![Authority::new("k1")])),
            id_token: Arc::default(),
            userinfo: Arc::default(),
            down: Arc::default(),
        }
    }

    fn newest(&self) -> Authority {
        self.keys.lock().unwrap().last().unwrap().clone()
    }

    fn say(&self, asked: &Asked, issuer: &str) -> Said {
        if *self.down.lock().unwrap() {
            return Said::text(503, "text/plain", "down");
        }
        match asked.path.as_str() {
            KEYS => {
                let keys = self.keys.lock().unwrap();
                let keys: Vec<Value> = keys.iter().map(Authority::jwk).collect();
                Said::json(200, &json!({"keys": keys}))
            }
            DISCOVERY | OAUTH => Said::json(200, &json!({"issuer": issuer})),
            TOKEN | TOKEN2 => {
                let mut claims = json!({"iss": issuer, "sub": "psut-1", "aud": "crvs-client",
                    "iat": now().s(), "exp": now().s() + 600});
                for (name, value) in self
                    .id_token
                    .lock()
                    .unwrap()
                    .as_object()
                    .into_iter()
                    .flatten()
                {
                    claims[name] = value.clone();
                }
                let id_token = self.newest().sign(&claims);
                Said::json(
                    200,
                    &json!({"access_token": "CANARY-access-token", "id_token": id_token,
                        "token_type": "Bearer", "expires_in": 600}),
                )
            }
            USERINFO => self.userinfo.lock().unwrap().clone().unwrap_or_else(|| {
                let jwt = self.newest().sign(&json!({"sub": "psut-1", "name": "Ada"}));
                Said::text(200, "application/jwt", jwt)
            }),
            _ => Said::text(404, "text/plain", "nothing"),
        }
    }
}

struct Scene {
    site: Site,
    esignet: Scripted,
    script: Script,
}

impl Scene {
    fn new(name: &str) -> Self {
        let script = Script::new();
        let esignet = Scripted::start(|_| Said::text(503, "text/plain", ""));
        let issuer = format!("http://127.0.0.1:{}/v1/esignet", esignet.port);
        let answering = script.clone();
        esignet.now(move |asked| answering.say(asked, &issuer));
        let site = site(World::shared(), name, esignet.port, "insecure_plain");
        Self {
            site,
            esignet,
            script,
        }
    }

    /// The partner's gateway alone, right before E-Signet.
    fn crvs(name: &str, refresh_s: u32) -> Self {
        let mut this = Self::new(name);
        let port = this.esignet.port;
        this.site.edit("crvs/gateway.toml", |text| {
            let text = text.replace(
                "upstream = \"misp\"\nenvelope",
                "upstream = \"near\"\nenvelope",
            );
            let text = text.replace(
                "to = { upstream = \"misp\", envelope = \"insecure_plain\" }",
                "to = { upstream = \"near\", envelope = \"insecure_plain\" }",
            );
            let text = text.replace(
                "keys_refresh_s = 1",
                &format!("keys_refresh_s = {refresh_s}"),
            );
            format!(
                "{text}\n[[upstream]]\nname = \"near\"\naddresses = [\"http://127.0.0.1:{port}\"]\n"
            )
        });
        this.site.start_crvs();
        ready(&this.site);
        this
    }

    fn misp(name: &str) -> Self {
        let mut this = Self::new(name);
        this.site.start_misp();
        until("the keys were fetched ahead", || {
            let answer = this.site.connect().ask(&get(KEYS, ""));
            (answer.status == 200).then_some(())
        });
        this
    }

    fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}/v1/esignet", self.esignet.port)
    }

    fn landing(&self) -> String {
        escaped(&format!(
            "http://127.0.0.1:{}/sandbox/landing",
            self.esignet.port
        ))
    }

    fn good_claims(&self) -> Value {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        json!({"iss": "crvs-client", "sub": "crvs-client",
            "aud": [format!("{}/oauth/v2/token", self.issuer()), self.issuer()],
            "iat": now().s(), "exp": now().s() + 120, "jti": format!("jti-{n}")})
    }

    /// An assertion of the partner's own client.
    fn assertion(&self, claims: &Value) -> String {
        let pem = std::fs::read(self.site.party("crvs").join("signature.key.pem")).unwrap();
        let signer = RS256.signer_from_pem(pem).unwrap();
        jws::serialize_compact(claims.to_string().as_bytes(), &JwsHeader::new(), &signer).unwrap()
    }

    fn partner_form(&self, assertion: &str) -> String {
        format!(
            "grant_type=authorization_code&code=CANARYcode&redirect_uri={}&client_assertion_type={KIND}&client_assertion={assertion}",
            self.landing()
        )
    }

    /// Asks the partner face.
    #[track_caller]
    fn ask(&self, bytes: &[u8]) -> Answer {
        self.site.connect().ask(bytes)
    }

    /// Asks the service face.
    #[track_caller]
    fn serve(&self, bytes: &[u8]) -> Answer {
        plain(self.site.service_face(), bytes)
    }

    fn tokens(&self) -> Answer {
        let body = service_form(self.esignet.port, "crvs-client", "CANARYcode", false);
        self.serve(&form(TOKEN2, "", &body))
    }

    fn userinfo(&self) -> Answer {
        self.serve(&get(USERINFO, &bearer("CANARY-access-token")))
    }

    /// Requests that reached E-Signet on a path.
    fn reached(&self, path: &str) -> Vec<Asked> {
        let asked = self.esignet.asked();
        asked.into_iter().filter(|a| a.path == path).collect()
    }
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str, what: &str) {
    let got = (answer.status, answer.code());
    assert_eq!(
        (got.0, got.1.as_str()),
        (status, code),
        "{what}: {}",
        answer.text()
    );
}

#[test]
fn a_partners_assertion_is_checked_and_its_bytes_go_on_as_they_came() {
    let scene = Scene::misp("esignet-partner");
    let verifier = format!("&code_verifier={VERIFIER}");
    let body = scene.partner_form(&scene.assertion(&scene.good_claims())) + &verifier;
    let dpop = "DPoP: header.payload.signature\r\nCookie: a=b\r\n";
    let answer = scene.ask(&form(TOKEN2, dpop, &body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let reached = scene.reached(TOKEN2);
    assert_eq!(reached.len(), 1);
    assert_eq!(String::from_utf8_lossy(&reached[0].body), body);
    assert_eq!(reached[0].method, "POST");
    assert_eq!(reached[0].header("dpop"), Some("header.payload.signature"));
    assert_eq!(reached[0].header("cookie"), None);
    let media = reached[0].header("content-type");
    assert_eq!(media, Some("application/x-www-form-urlencoded"));
    // Version 1 has an endpoint of its own, and the issuer will do for either.
    let mut claims = scene.good_claims();
    claims["aud"] = json!(format!("{}/oauth/token", scene.issuer()));
    let body = scene.partner_form(&scene.assertion(&claims));
    assert_eq!(scene.ask(&form(TOKEN, "", &body)).status, 200);
    claims = scene.good_claims();
    claims["aud"] = json!(scene.issuer());
    let body = scene.partner_form(&scene.assertion(&claims));
    assert_eq!(scene.ask(&form(TOKEN, "", &body)).status, 200);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn each_wrong_assertion_is_refused_and_does_not_reach_e_signet() {
    let scene = Scene::misp("esignet-assertions");
    let with = |member: &str, value: Value| {
        let mut claims = scene.good_claims();
        claims[member] = value;
        scene.assertion(&claims)
    };
    let stranger = |claims: &Value| {
        let signer = RS256
            .signer_from_pem(RsaKeyPair::generate(2048).unwrap().to_pem_private_key())
            .unwrap();
        jws::serialize_compact(claims.to_string().as_bytes(), &JwsHeader::new(), &signer).unwrap()
    };
    let other_algorithm = |claims: &Value| {
        let pem = std::fs::read(scene.site.party("crvs").join("signature.key.pem")).unwrap();
        let key = SigningKey::from_secret(&Secret::new(pem)).unwrap();
        jwt::sign(&key, Algorithm::PS256, None, claims).unwrap()
    };
    let none = {
        use ::base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B};
        let claims = scene.good_claims().to_string();
        format!("{}.{}.", B.encode(r#"{"alg":"none"}"#), B.encode(claims))
    };
    let now = now().s();
    for (name, assertion, code) in [
        (
            "a stranger's key",
            stranger(&scene.good_claims()),
            "ESG-004",
        ),
        (
            "another algorithm",
            other_algorithm(&scene.good_claims()),
            "ESG-004",
        ),
        ("no algorithm", none, "ESG-004"),
        ("no JWT", "a.b".to_owned(), "ESG-003"),
        ("another client", with("iss", json!("other")), "ESG-001"),
        (
            "another subject",
            with("sub", json!("crvs-sealed")),
            "ESG-005",
        ),
        (
            "for somebody else",
            with("aud", json!("https://other.example")),
            "ESG-005",
        ),
        (
            "for version 1",
            with("aud", json!(format!("{}/oauth/token", scene.issuer()))),
            "ESG-005",
        ),
        ("over", with("exp", json!(now - 10)), "ESG-005"),
        ("for an hour", with("exp", json!(now + 3600)), "ESG-005"),
        ("no jti", with("jti", Value::Null), "ESG-005"),
        ("old", with("iat", json!(now - 100)), "FRS-002"),
        ("from the future", with("iat", json!(now + 60)), "FRS-003"),
    ] {
        let answer = scene.ask(&form(TOKEN2, "", &scene.partner_form(&assertion)));
        assert_eq!(answer.code(), code, "{name}: {}", answer.text());
        assert!(
            answer.json()["error"].is_string(),
            "{name}: in OAuth's form"
        );
        assert_eq!(scene.site.misp().logged(&answer), code, "{name}");
    }
    let good = || scene.assertion(&scene.good_claims());
    let missing = format!(
        "grant_type=authorization_code&code=c&client_id=crvs-client&redirect_uri={}",
        scene.landing()
    );
    for (name, body, status, code) in [
        ("no assertion", missing, 401, "ESG-003"),
        (
            "another kind",
            scene.partner_form(&good()).replace(KIND, "urn%3Aother"),
            401,
            "ESG-003",
        ),
        (
            "another client_id",
            scene.partner_form(&good()) + "&client_id=crvs-sealed",
            403,
            "ESG-001",
        ),
        (
            "another redirect_uri",
            scene.partner_form(&good()).replace("landing", "elsewhere"),
            403,
            "ESG-002",
        ),
        (
            "a field twice",
            scene.partner_form(&good()) + "&code=other",
            400,
            "MSG-001",
        ),
        (
            "a field that is not taken",
            scene.partner_form(&good()) + "&scope=all",
            400,
            "MSG-003",
        ),
        (
            "another grant",
            scene
                .partner_form(&good())
                .replace("authorization_code", "password"),
            400,
            "MSG-003",
        ),
        (
            "a short verifier",
            scene.partner_form(&good()) + "&code_verifier=short",
            400,
            "MSG-003",
        ),
    ] {
        let answer = scene.ask(&form(TOKEN2, "", &body));
        assert_refused(&answer, status, code, name);
    }
    assert_eq!(scene.reached(TOKEN2).len(), 0);
    // Once, and no second time: neither the same bytes nor the same jti.
    let mut claims = scene.good_claims();
    let body = scene.partner_form(&scene.assertion(&claims));
    assert_eq!(scene.ask(&form(TOKEN2, "", &body)).status, 200);
    assert_refused(
        &scene.ask(&form(TOKEN2, "", &body)),
        401,
        "ESG-006",
        "replayed",
    );
    claims["exp"] = json!(claims["exp"].as_i64().unwrap() + 1);
    let body = scene.partner_form(&scene.assertion(&claims));
    assert_refused(
        &scene.ask(&form(TOKEN2, "", &body)),
        401,
        "ESG-006",
        "the jti again",
    );
    assert_eq!(scene.reached(TOKEN2).len(), 1);
    // Other paths of E-Signet are not there.
    for path in [
        "/v1/esignet/client-mgmt/client",
        "/v1/esignet/oauth/par",
        "/v1/esignet/linked-authorization",
    ] {
        let answer = scene.ask(&form(path, "", "a=b"));
        assert_refused(&answer, 404, "RT-001", path);
    }
    assert_refused(&scene.ask(&get(TOKEN2, "")), 405, "RT-002", "GET");
}

#[test]
fn on_a_partner_face_a_userinfo_that_e_signet_did_not_sign_does_not_pass() {
    let scene = Scene::misp("esignet-passing");
    let ask = || scene.ask(&get(USERINFO, &bearer("CANARY-access-token")));
    let answer = ask();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let reached = scene.reached(USERINFO);
    assert_eq!(
        reached[0].header("authorization"),
        Some("Bearer CANARY-access-token")
    );
    for (said, code) in [
        (
            Said::text(
                200,
                "application/jwt",
                Authority::new("k1").sign(&json!({"sub": "psut-1"})),
            ),
            "ESG-011",
        ),
        (
            Said::json(200, &json!({"errors": [{"errorCode": "x"}]})),
            "ESG-010",
        ),
        (
            Said::text(200, "application/jwt", "{\"errors\":[]}"),
            "ESG-010",
        ),
        (Said::text(500, "application/jwt", "x"), "UP-006"),
    ] {
        *scene.script.userinfo.lock().unwrap() = Some(said);
        assert_refused(&ask(), 502, code, "userinfo");
    }
    // E-Signet's own no, with its challenge.
    let no = Said::text(401, "text/plain", "CANARY")
        .header("WWW-Authenticate", "Bearer error=\"invalid_token\"");
    *scene.script.userinfo.lock().unwrap() = Some(no);
    let answer = ask();
    assert_eq!((answer.status, answer.text().as_str()), (401, ""));
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );
    assert_refused(&scene.ask(&get(USERINFO, "")), 401, "ESG-013", "no token");
    let two = format!("{}{}", bearer("a"), bearer("b"));
    assert_eq!(scene.ask(&get(USERINFO, &two)).status, 400);
}

#[test]
fn a_service_gets_no_further_than_its_configuration_and_never_brings_an_assertion() {
    let scene = Scene::crvs("esignet-service", 1);
    let port = scene.esignet.port;
    let good = service_form(port, "crvs-client", "c", false);
    let assertion = format!("&client_assertion_type={KIND}&client_assertion=a.b.c");
    for (name, body, status, code) in [
        (
            "another client",
            good.replace("crvs-client", "other"),
            403,
            "ESG-001",
        ),
        (
            "no client",
            good.replace("&client_id=crvs-client", ""),
            400,
            "MSG-002",
        ),
        (
            "another redirect_uri",
            good.replace("landing", "landing%2F"),
            403,
            "ESG-002",
        ),
        ("an assertion", good.clone() + &assertion, 400, "ESG-007"),
        ("no code", good.replace("code=c", "code="), 400, "MSG-002"),
    ] {
        assert_refused(&scene.serve(&form(TOKEN, "", &body)), status, code, name);
    }
    assert_eq!(scene.reached(TOKEN).len(), 0);
    let answer = scene.serve(&form(TOKEN, "", &good));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let reached = String::from_utf8(scene.reached(TOKEN)[0].body.clone()).unwrap();
    assert!(reached.starts_with(&good), "{reached}");
    let (_, assertion_sent) = reached.split_once("&client_assertion=").unwrap();
    let pem = std::fs::read(scene.site.party("crvs").join("signature.pem")).unwrap();
    let certificate = openssl::x509::X509::from_pem(&pem).unwrap();
    let public = certificate
        .public_key()
        .unwrap()
        .public_key_to_pem()
        .unwrap();
    let verifier = RS256.verifier_from_pem(public).unwrap();
    let (claims, _) = jws::deserialize_compact(assertion_sent, &verifier).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&json!("crvs-client"), &json!("crvs-client"))
    );
    assert_eq!(
        claims["aud"],
        json!([format!("{}/oauth/token", scene.issuer()), scene.issuer()])
    );
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert!((1..=300).contains(&life));
    assert_eq!(claims["jti"].as_str().map(str::len), Some(32));
    // Replaced where the configuration says so; used by the listed service alone.
    scene.site.edit("crvs/gateway.toml", |text| {
        text.replacen(
            "userinfo = \"jws\"",
            "userinfo = \"jws\"\nreplace_assertion = true",
            1,
        )
    });
    assert_eq!(scene.site.crvs().reload(), Reloaded::Published);
    let answer = scene.serve(&form(TOKEN, "", &(good.clone() + &assertion)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let reached = String::from_utf8(scene.reached(TOKEN)[1].body.clone()).unwrap();
    assert!(!reached.contains("a.b.c"));
    assert_eq!(reached.matches("client_assertion=").count(), 1);
    let other = "id = \"other\"\norganisation = \"Civil Registry\"\nkind = \"service\"\nroutes = [\"es-token\"]\n[access]\nnetworks = [\"10.0.0.0/8\"]\n";
    scene.site.write("crvs/partners/other.toml", other);
    scene.site.edit("crvs/gateway.toml", |text| {
        text.replacen(
            "userinfo = \"jwe\"",
            "userinfo = \"jwe\"\nservices = [\"other\"]",
            1,
        )
    });
    assert_eq!(scene.site.crvs().reload(), Reloaded::Published);
    let sealed = good.replace("crvs-client", "crvs-sealed");
    let answer = scene.serve(&form(TOKEN, "", &sealed));
    assert_refused(&answer, 403, "ESG-001", "another service's client");
}

#[test]
fn id_tokens_and_access_tokens_are_held_against_each_other() {
    let scene = Scene::crvs("esignet-id-token", 1);
    assert_refused(
        &scene.userinfo(),
        401,
        "ESG-013",
        "a token that was not obtained here",
    );
    for (name, change) in [
        ("another issuer", json!({"iss": "https://other.example"})),
        ("another client", json!({"aud": "other"})),
        ("several clients", json!({"aud": ["crvs-client", "other"]})),
        ("over", json!({"exp": now().s() - 60})),
        ("no end", json!({"exp": null})),
        ("no subject", json!({"sub": ""})),
        (
            "another access token",
            json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
        ),
    ] {
        *scene.script.id_token.lock().unwrap() = change;
        assert_refused(&scene.tokens(), 502, "ESG-009", name);
    }
    assert_refused(&scene.userinfo(), 401, "ESG-013", "still not obtained");
    *scene.script.id_token.lock().unwrap() = json!({});
    assert_eq!(scene.tokens().status, 200);
    let answer = scene.userinfo();
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Somebody else's token is nobody's.
    let other = scene.serve(&get(USERINFO, &bearer("CANARY-access-tokem")));
    assert_refused(&other, 401, "ESG-013", "one letter off");
    let body = |body: &str| {
        format!(
            "GET {USERINFO} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 1\r\n\r\n{body}",
            bearer("CANARY-access-token")
        )
    };
    assert_refused(&scene.serve(body("x").as_bytes()), 400, "MSG-001", "a body");
}

#[test]
fn keys_are_fetched_ahead_kept_for_the_grace_and_never_fetched_for_a_message() {
    let scene = Scene::crvs("esignet-keys", 3600);
    assert_eq!(scene.tokens().status, 200);
    let fetched = scene.reached(KEYS).len();
    assert_eq!(fetched, 1);
    // A key that is not in the set: refused, and nobody asks for it.
    let stranger = Authority::new("k2");
    let jwt = stranger.sign(&json!({"sub": "psut-1"}));
    *scene.script.userinfo.lock().unwrap() = Some(Said::text(200, "application/jwt", jwt));
    for _ in 0..3 {
        assert_refused(&scene.userinfo(), 502, "ESG-011", "unknown kid");
    }
    assert_eq!(scene.reached(KEYS).len(), fetched);
    // Rotation: the new key comes with the next fetch.
    scene.script.keys.lock().unwrap().push(stranger);
    scene.site.edit("crvs/gateway.toml", |text| {
        text.replace(
            "keys_refresh_s = 3600",
            "keys_refresh_s = 1\nkeys_grace_s = 5",
        )
    });
    // Other times of fetching do not undo what was fetched: only a restart asks at once.
    let mut scene = scene;
    scene.site.start_crvs();
    ready(&scene.site);
    assert_eq!(scene.tokens().status, 200);
    assert_eq!(scene.userinfo().status, 200);
    // Down: the last good keys serve until the grace is over.
    *scene.script.down.lock().unwrap() = true;
    let health = until("health says it", || {
        let health = scene.site.crvs().healthz().text();
        health
            .contains("key set cannot be fetched")
            .then_some(health)
    });
    assert!(health.contains("secondsLeft"), "{health}");
    let over = within(Duration::from_secs(15), || {
        let answer = scene.serve(&get(KEYS, ""));
        (answer.code() == "ESG-008").then_some(answer.status)
    });
    assert_eq!(over, Some(503));
    *scene.script.down.lock().unwrap() = false;
    ready(&scene.site);
    assert_eq!(scene.tokens().status, 200);
    assert!(
        scene
            .site
            .crvs()
            .metric("triseal_esignet_keys_seconds_left", &[])
            > 0.0
    );
    // A set that is no set does not replace the last good one.
    let broken = scene.script.newest();
    scene.script.keys.lock().unwrap().push(broken);
    assert!(scene.site.crvs().says("no key set"));
    assert_eq!(scene.tokens().status, 200);
}

#[test]
fn no_output_shows_a_token_a_code_or_a_person() {
    let scene = Scene::crvs("esignet-canaries", 1);
    let mut answers = vec![scene.tokens(), scene.userinfo()];
    assert_eq!(answers[1].status, 200);
    answers.clear();
    for said in [
        Said::json(
            200,
            &json!({"errors": [{"errorCode": "CANARY", "errorMessage": "CANARY"}]}),
        ),
        Said::text(500, "text/plain", "CANARY"),
        Said::text(200, "application/jwt", "CANARY.CANARY.CANARY"),
        Said::text(
            200,
            "application/jwt",
            scene.script.newest().sign(&json!({"sub": "CANARY"})),
        ),
    ] {
        *scene.script.userinfo.lock().unwrap() = Some(said);
        answers.push(scene.userinfo());
    }
    let port = scene.esignet.port;
    let body = service_form(port, "CANARY-client", "CANARYcode", false);
    answers.push(scene.serve(&form(TOKEN, "", &body)));
    *scene.script.id_token.lock().unwrap() = json!({"iss": "CANARY"});
    answers.push(scene.tokens());
    let gateway = scene.site.crvs();
    gateway.line(answers.last().unwrap().correlation_id());
    let mut outputs = vec![
        gateway.process().err(),
        gateway.process().out(),
        gateway.metrics(),
    ];
    outputs.push(gateway.healthz().text());
    outputs.push(scene.site.read("crvs/access.log"));
    outputs.extend(
        answers
            .iter()
            .map(|a| format!("{:?} {}", a.headers, a.text())),
    );
    for output in outputs {
        assert!(
            !output.contains("CANARY") && !output.contains("psut-1"),
            "{output}"
        );
    }
}

#[test]
fn mistakes_in_the_esignet_section_are_named() {
    let scene = Scene::new("esignet-config");
    let check = |file: &str, gateway: &str, from: &str, to: &str| {
        let before = scene.site.read(file);
        assert!(before.contains(from), "{file} has no `{from}`");
        scene.site.write(file, &before.replacen(from, to, 1));
        let config = scene.site.path(&format!("{gateway}/gateway.toml"));
        let said = triseal(["check", "--config", &config.display().to_string()]);
        scene.site.write(file, &before);
        assert_eq!(said.code, 2, "{}", said.all());
        said.all()
    };
    let crvs = "crvs/gateway.toml";
    for (from, to, word) in [
        (
            "upstream = \"misp\"\nenvelope",
            "upstream = \"mips\"\nenvelope",
            "there is no upstream `mips`",
        ),
        (
            "keys_refresh_s = 1",
            "keys_refresh_s = 100000",
            "shorter than keys_refresh_s",
        ),
        (
            "keys_refresh_s = 1",
            "keys = \"crvs/nothing.json\"",
            "cannot be read",
        ),
        (
            "userinfo = \"jws\"",
            "userinfo = \"jws\"\nalgorithm = \"ES256\"",
            "does not fit the key",
        ),
        (
            "userinfo = \"jws\"",
            "userinfo = \"jws\"\nalgorithm = \"EdDSA\"",
            "no such assertions",
        ),
        (
            "userinfo = \"jws\"",
            "userinfo = \"jws\"\nservices = [\"nobody\"]",
            "there is no service `nobody`",
        ),
        (
            "id = \"crvs-sealed\"",
            "id = \"crvs-client\"",
            "`crvs-client` stands twice",
        ),
        (
            "/oauth/v2/token\"",
            "/oauth/v3/token\"",
            "names no operation of E-Signet",
        ),
    ] {
        let said = check(crvs, "crvs", from, to);
        assert!(said.contains(word), "{word}: {said}");
    }
    let partner = "misp/partners/crvs.toml";
    let said = check(
        partner,
        "misp",
        "key = \"../../pki/parties/crvs/signature.pem\"",
        "key = \"crvs.toml\"",
    );
    assert!(said.contains("holds no public key"), "{said}");
    let said = check(
        partner,
        "misp",
        "/sandbox/landing\"]",
        "/sandbox/landing*\"]",
    );
    assert!(said.contains("is no redirect URI"), "{said}");
}
